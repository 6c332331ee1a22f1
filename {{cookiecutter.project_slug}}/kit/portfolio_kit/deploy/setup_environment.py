"""Creates `.venv` with what `requirements/*.lock` hold; a second run only adds what is missing.

Needs Python 3.11 or newer and a package registry that pip is set up for, and imports nothing else.
Packages are installed by uv: the one on PATH, or one installed into `.venv`. With the argument
`lock` it writes the locks instead: versions and hashes, for every system, of all that
`pyproject.toml` asks for. torch is in none: each of its indexes has builds with other hashes.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import venv
from pathlib import Path
from typing import Any

VENV = Path(".venv")
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
# Each holds what those before it lack: the image takes the first, training the first two.
SERVE, TRAIN, DEV = LOCKS = [
    Path(f"requirements/{name}.lock") for name in ("serve", "train", "dev")
]
HEADER = "# Made by `make lock`, of what pyproject.toml asks for:"
COMPILE = ["--universal", "--generate-hashes", "--no-header", "--no-annotate", "--quiet"]
TORCH_INDEX = "https://download.pytorch.org/whl"
# torch, and what only its builds for GPUs need.
OF_TORCH = re.compile(r"(torch|triton|nvidia-[\w-]+|cuda-[\w-]+)==")
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
Asked = dict[Path, list[str]]


def main(arguments: list[str]) -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - an older Python is who needs to be told
        sys.exit(f"error: Python 3.11 or newer is needed, this is {sys.version.split()[0]}")
    import tomllib

    pyproject = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    asked = requirements(pyproject)
    is_locking = arguments[:1] == ["lock"]
    if not is_locking:
        check_locks(asked)
    pins = dict(one.split("==") for one in [*asked[TRAIN], *asked[DEV]] if one.count("==") == 1)
    if not PYTHON.exists():
        print(f"creating {VENV}", flush=True)
        venv.create(VENV, with_pip=True)
    environment = uv_environment()
    uv = shutil.which("uv") or installed_uv(pins["uv"])
    if is_locking:
        oldest = re.findall(r"\d+\.\d+", pyproject["project"]["requires-python"])[0]
        compiler = [uv, "pip", "compile", f"--python-version={oldest}", *COMPILE]
        write_locks(compiler, arguments[1:], asked, environment)
    else:
        install([uv, "pip", "install", "--python", str(PYTHON)], pins["torch"], environment)
        report_size()


def requirements(pyproject: dict[str, Any]) -> Asked:
    """Return what each lock is asked for; what builds the project is in the first."""
    project = pyproject["project"]
    extras = project["optional-dependencies"]
    build = pyproject["build-system"]["requires"]
    serve = [*build, *project["dependencies"], *extras["serve"]]
    return {SERVE: serve, TRAIN: extras["train"], DEV: extras["dev"]}


def check_locks(asked: Asked) -> None:
    """Exit with the first difference if a lock was not made from this `pyproject.toml`."""
    for lock, wanted in asked.items():
        text = lock.read_text(encoding="utf-8") if lock.exists() else ""
        held = re.findall(r"^#   (.+)$", text, re.MULTILINE)
        for one in sorted({*wanted} - {*held}):
            sys.exit(f"error: {lock} lacks {one}, which pyproject.toml asks for; run `make lock`")
        for one in sorted({*held} - {*wanted}):
            sys.exit(f"error: {lock} has {one}, which pyproject.toml lacks; run `make lock`")


def install(command: list[str], torch: str, environment: dict[str, str]) -> None:
    """Install what the locks hold, torch for this machine's device, and the project itself."""
    # What comes as source is built by the tools of the lock.
    command = [*command, "--build-constraints", str(SERVE)]
    locked = [part for lock in LOCKS for part in ("--requirements", str(lock))]
    steps = [
        ["--no-deps", "--require-hashes", *locked],
        [*torch_options(command, torch, environment), f"torch=={torch}"],
        ["--no-deps", "--editable", "."],
    ]
    for arguments in steps:
        if subprocess.run([*command, *arguments], env=environment).returncode:
            sys.exit(
                "error: the packages could not be installed; the lines above say which and why"
            )


def write_locks(
    compiler: list[str], options: list[str], asked: Asked, environment: dict[str, str]
) -> None:
    """Write the locks; a version that they hold stays if it still is what is asked for."""

    def compiled(wanted: list[str], held: str, *options: str) -> list[str]:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "lock")
            file.write_text(held, encoding="utf-8")
            command = [*compiler, *options, f"--output-file={file}", "-"]
            text = "\n".join(wanted)
            if subprocess.run(command, env=environment, input=text, encoding="utf-8").returncode:
                sys.exit("error: nothing was locked; the lines above say why")
            return entries(file.read_text(encoding="utf-8"))

    held = "\n".join(lock.read_text(encoding="utf-8") for lock in LOCKS if lock.exists())
    whole = compiled([one for wanted in asked.values() for one in wanted], held, *options)
    wanted: list[str] = []
    written: set[str] = set()
    texts = {}
    for lock, ours in asked.items():
        wanted += ours
        # Versions and markers are those that suit all locks.
        names = {name(entry) for entry in compiled(wanted, "\n".join(whole))} - written
        written |= names
        kept = [entry for entry in whole if name(entry) in names and not OF_TORCH.match(entry)]
        texts[lock] = "\n".join([HEADER, *(f"#   {one}" for one in sorted(ours)), *kept, ""])
        print(f"{lock}: {len(kept)} packages")
    for lock, text in texts.items():
        lock.parent.mkdir(exist_ok=True)
        lock.write_text(text, encoding="utf-8", newline="\n")


def entries(text: str) -> list[str]:
    """Return a lock's entries: a pin each, followed by its hashes."""
    return re.findall(r"^[\w.-]+==.*(?:\n .*)*", text, re.MULTILINE)


def name(entry: str) -> str:
    """Return the name of the package that an entry pins."""
    return entry.partition("==")[0]


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
        pin, file = f"uv=={version}", VENV / "uv.txt"
        locked = entries(DEV.read_text(encoding="utf-8")) if DEV.exists() else []
        file.write_text(next((one for one in locked if one.startswith(f"{pin} ")), pin))
        if subprocess.run([*pip, "--requirement", str(file)]).returncode:
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
    # Without its dependencies, which the locks hold.
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
    main(sys.argv[1:])
