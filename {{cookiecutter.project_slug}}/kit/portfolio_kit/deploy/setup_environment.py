"""Creates `.venv` with what `pyproject.toml` pins; a second run only adds what is missing.

Needs Python 3.11 or newer and a package registry that pip is set up for, and imports nothing else.
Packages are installed by uv: the one on PATH, or one installed into `.venv`.
"""

import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import venv
from pathlib import Path

VENV = Path(".venv")
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
TORCH_INDEX = "https://download.pytorch.org/whl"
PROBE_SECONDS = 10
# uv does not read pip's settings: what pip is told, uv is told here.
PIP_TO_UV = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
    "trusted-host": "UV_INSECURE_HOST",
}
COMMA_SEPARATED = {"UV_FIND_LINKS"}


def main() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - an older Python is who needs to be told
        sys.exit(f"error: Python 3.11 or newer is needed, this is {sys.version.split()[0]}")
    import tomllib

    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = dict(
        requirement.split("==")
        for group in project["optional-dependencies"].values()
        for requirement in group
    )
    if not PYTHON.exists():
        print(f"creating {VENV}", flush=True)
        venv.create(VENV, with_pip=True)
    environment = uv_environment()
    uv = shutil.which("uv") or installed_uv(pins["uv"])
    install = [uv, "pip", "install", "--python", str(PYTHON)]
    options = torch_options(install, pins["torch"], environment)
    command = [*install, *options, "--editable", ".[train,serve,dev]"]
    if subprocess.run(command, env=environment).returncode:
        sys.exit("error: the packages could not be installed; the lines above say which and why")
    report_size()


def uv_environment() -> dict[str, str]:
    """Return the environment for uv, with pip's settings where uv's own are missing."""
    environment = {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}
    for name, value in pip_settings().items():
        variable = PIP_TO_UV.get(name)
        if variable and variable not in environment:
            # Skip file: indexes: pip ignores packages that they lack, uv stops there.
            parts = [part for part in value.split() if not part.startswith("file:")]
            environment[variable] = ("," if variable in COMMA_SEPARATED else " ").join(parts)
    # Like pip, take the best version from whichever index has it.
    environment.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    return environment


def pip_settings() -> dict[str, str]:
    """Return pip's settings from its files and the environment, which wins."""
    result = subprocess.run(
        [str(PYTHON), "-m", "pip", "config", "list"], capture_output=True, text=True
    )
    settings = {}
    lines = (line.partition("=") for line in result.stdout.splitlines())
    # `global.` and `install.` come from files, `:env:.` from PIP_... variables.
    for key, _, value in sorted(lines, key=lambda line: line[0].startswith(":env:")):
        settings[key.rpartition(".")[2]] = value.strip("'").replace("\\n", " ")
    return settings


def installed_uv(version: str) -> str:
    """Install uv into `.venv` with pip if it is missing, and return its path."""
    uv = BIN / ("uv.exe" if os.name == "nt" else "uv")
    if not uv.exists():
        pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if subprocess.run([*pip, f"uv=={version}"]).returncode:
            sys.exit("error: uv could not be installed with pip; the lines above say why")
    return str(uv)


def torch_options(install: list[str], version: str, environment: dict[str, str]) -> list[str]:
    """Return what makes uv choose torch for this machine's device.

    The registry's torch for Linux brings gigabytes of CUDA, useless without an NVIDIA GPU. Where
    PyTorch's own index cannot be reached, the CPU build comes from the environment's find-links.
    """
    if list(VENV.glob(f"lib/python*/site-packages/torch-{version}*.dist-info")):
        return []
    if answers(f"{TORCH_INDEX}/cpu/torch/"):
        return ["--torch-backend=auto"]
    if not sys.platform.startswith("linux") or shutil.which("nvidia-smi"):
        return []
    torch, links = f"torch=={version}+cpu", environment.get("UV_FIND_LINKS", "")
    if not links:
        sys.exit(
            f"error: {TORCH_INDEX} cannot be reached; set PIP_FIND_LINKS to a folder or page that "
            f"has {torch}"
        )
    print(f"installing {torch} from {links}")
    # Without its dependencies, which come from the registry with the rest.
    if subprocess.run([*install, "--no-deps", "--no-index", torch], env=environment).returncode:
        sys.exit(f"error: {torch} for this Python is missing; see the lines above")
    return []


def answers(url: str) -> bool:
    """Tell whether a server answers at `url` within a few seconds."""
    try:
        request = urllib.request.Request(url, method="HEAD")
        return urllib.request.urlopen(request, timeout=PROBE_SECONDS).status == 200
    except (urllib.error.URLError, OSError):
        return False


def report_size() -> None:
    """Print how much was installed."""
    files = [path for path in VENV.rglob("*") if path.is_file() and not path.is_symlink()]
    packages = len(list(VENV.rglob("*.dist-info")))
    size = sum(path.stat().st_size for path in files)
    print(f"{VENV}: {packages} packages, {size / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
