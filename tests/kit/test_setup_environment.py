"""`make setup` and `make lock`: what is locked and installed, which torch, and from where.

uv is told what pip was told.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from portfolio_kit.deploy import setup_environment as setup

VERSION = "2.13.0"
INSTALL = ["uv", "pip", "install"]


@pytest.fixture
def index(server, monkeypatch):
    """PyTorch's index, which answers unless its files are removed."""
    server.files["/whl/cpu/torch/"] = b"<a href='torch-2.13.0+cpu.whl'></a>"
    monkeypatch.setattr(setup, "TORCH_INDEX", f"{server.url}/whl")
    return server


@pytest.fixture
def installed(monkeypatch):
    """Linux without an NVIDIA GPU; collects the commands that install."""
    commands = []

    def run(command, env):
        commands.append((command, env))
        return subprocess.CompletedProcess(command, returncode=0)

    monkeypatch.setattr(setup.sys, "platform", "linux")
    monkeypatch.setattr(setup.shutil, "which", lambda name: None)
    monkeypatch.setattr(setup.subprocess, "run", run)
    return commands


def options(links=""):
    return setup.torch_options(INSTALL, VERSION, {"UV_FIND_LINKS": links})


def test_where_the_index_answers_uv_chooses_torch_for_the_device(index, installed):
    assert options() == ["--torch-backend=auto"]
    assert index.requests == ["HEAD /whl/cpu/torch/"]
    assert installed == []


@pytest.mark.parametrize("failure", ["no such page", "no server"])
def test_without_the_index_the_cpu_build_comes_from_find_links(failure, index, installed, capsys):
    index.files.clear()
    if failure == "no server":
        index.close()
    assert options("https://mirror.invalid/torch") == []
    [(command, environment)] = installed
    assert command == [*INSTALL, "--no-deps", "--no-index", f"torch=={VERSION}+cpu"]
    assert environment["UV_FIND_LINKS"] == "https://mirror.invalid/torch"
    assert f"torch=={VERSION}+cpu from https://mirror.invalid/torch" in capsys.readouterr().out


def test_without_the_index_and_find_links_setup_ends_with_what_to_do(index, installed):
    index.files.clear()
    with pytest.raises(SystemExit, match=r"cannot be reached; set PIP_FIND_LINKS to .*\+cpu$"):
        options()
    assert installed == []


def test_a_build_that_find_links_lacks_ends_setup(index, installed, monkeypatch):
    index.files.clear()
    failed = subprocess.CompletedProcess([], returncode=1)
    monkeypatch.setattr(setup.subprocess, "run", lambda command, env: failed)
    with pytest.raises(SystemExit, match=f"torch=={VERSION}\\+cpu for this Python is missing"):
        options("links")


@pytest.mark.parametrize("version", [VERSION, f"{VERSION}+cpu", f"{VERSION}+cu128"])
def test_an_installed_torch_is_kept(version, index, installed):
    folder = Path(f".venv/lib/python3.11/site-packages/torch-{version}.dist-info")
    folder.mkdir(parents=True)
    assert options() == []
    assert index.requests == installed == []


def test_another_version_of_torch_is_replaced(index, installed):
    Path(".venv/lib/python3.11/site-packages/torch-2.12.0+cpu.dist-info").mkdir(parents=True)
    assert options() == ["--torch-backend=auto"]


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_off_linux_the_registry_has_the_right_build(platform, index, installed, monkeypatch):
    monkeypatch.setattr(setup.sys, "platform", platform)
    assert options() == ["--torch-backend=auto"]
    index.files.clear()
    assert options() == []
    assert installed == []


def test_with_an_nvidia_gpu_the_registry_s_torch_is_right(index, installed, monkeypatch):
    monkeypatch.setattr(setup.shutil, "which", lambda name: f"/usr/bin/{name}")
    index.files.clear()
    assert options() == []
    assert installed == []


UV = """
    import json, os, sys
    told = {name: value for name, value in os.environ.items() if name.startswith("UV_")}
    with open("calls.jsonl", "a") as file:
        file.write(json.dumps({"arguments": sys.argv[1:], "environment": told}) + "\\n")
"""
posix = pytest.mark.skipif(sys.platform == "win32", reason="the stub is a script with a shebang")


PYPROJECT = """
[build-system]
requires = ["setuptools==84.2.1"]
[project]
name = "p"
requires-python = ">=3.11"
dependencies = ["app==1.0"]
[project.optional-dependencies]
serve = ["app-server[fast]==1.0"]
train = ["torch==2.13.0", "loop>=1"]
dev = ["uv==0.13.9"]
"""
ASKED = {
    "serve": ["app-server[fast]==1.0", "app==1.0", "setuptools==84.2.1"],
    "train": ["loop>=1", "torch==2.13.0"],
    "dev": ["uv==0.13.9"],
}


def write_locks():
    """Write locks that hold nothing, made from `PYPROJECT`."""
    Path("requirements").mkdir(exist_ok=True)
    for name, asked in ASKED.items():
        text = "\n".join([setup.HEADER, *(f"#   {one}" for one in asked), ""])
        Path(f"requirements/{name}.lock").write_text(text, encoding="utf-8")


@pytest.fixture
def project(workspace, monkeypatch):
    """A project with an environment, and a uv on PATH that only records how it is called."""
    Path("pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    write_locks()
    for path, program in ((setup.PYTHON, None), (Path("bin/uv"), UV)):
        path.parent.mkdir(parents=True)
        if program:
            path.write_text(f"#!{sys.executable}\n{textwrap.dedent(program)}", encoding="utf-8")
        else:
            path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(workspace / "bin"), prepend=":")
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_FIND_LINKS", "UV_INDEX_STRATEGY"):
        monkeypatch.delenv(name, raising=False)


def calls():
    return [json.loads(line) for line in Path("calls.jsonl").read_text().splitlines()]


@posix
def test_the_command_line_asks_uv_for_the_device_s_torch(project, index, monkeypatch, capsys):
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", f"{index.url}/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", "one two")
    monkeypatch.setenv("VIRTUAL_ENV", "/another")
    setup.main([])
    start = ["pip", "install", "--python", str(setup.PYTHON)]
    start += ["--build-constraints", "requirements/serve.lock"]
    locks = ["requirements/serve.lock", "requirements/train.lock", "requirements/dev.lock"]
    locked = [part for lock in locks for part in ("--requirements", lock)]
    assert [call["arguments"] for call in calls()] == [
        [*start, "--no-deps", "--require-hashes", *locked],
        [*start, "--torch-backend=auto", "torch==2.13.0"],
        [*start, "--no-deps", "--editable", "."],
    ]
    call = calls()[0]
    told = call["environment"]
    assert told["UV_DEFAULT_INDEX"] == f"{index.url}/simple"
    assert told["UV_FIND_LINKS"] == "one,two"
    assert told["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert ".venv: 0 packages" in capsys.readouterr().out


@posix
def test_the_environment_wins_over_files_and_uv_s_settings_over_pip_s(project, monkeypatch):
    settings = (
        "[global]\nindex-url = https://file.invalid/simple\nextra-index-url = file:///x https://y\n"
    )
    Path("pip.conf").write_text(settings, encoding="utf-8")
    monkeypatch.setenv("PIP_CONFIG_FILE", "pip.conf")
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    told = setup.uv_environment()
    assert told["UV_DEFAULT_INDEX"] == "https://file.invalid/simple"
    assert told["UV_INDEX"] == "https://y"  # uv would stop at a file: index that lacks a package
    monkeypatch.setenv("PIP_INDEX_URL", "https://variable.invalid/simple")
    assert setup.uv_environment()["UV_DEFAULT_INDEX"] == "https://variable.invalid/simple"
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://uv.invalid/simple")
    assert setup.uv_environment()["UV_DEFAULT_INDEX"] == "https://uv.invalid/simple"


@posix
@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("app==1.0", "app==1.1"), "serve.lock lacks app==1.1, which pyproject.toml asks for"),
        (
            ('"uv==0.13.9"', '"uv==0.13.9", "new>2"'),
            "dev.lock lacks new>2, which pyproject.toml asks for",
        ),
        (('"loop>=1"', ""), "train.lock has loop>=1, which pyproject.toml lacks"),
    ],
    ids=["changed", "added", "removed"],
)
def test_a_stale_lock_is_named_before_anything_is_installed(change, line, project):
    Path("pyproject.toml").write_text(PYPROJECT.replace(*change), encoding="utf-8")
    with pytest.raises(SystemExit) as caught:
        setup.main([])
    assert caught.value.code == f"error: requirements/{line}; run `make lock`"
    assert not Path("calls.jsonl").exists()


@posix
def test_a_missing_lock_is_named(project):
    Path("requirements/dev.lock").unlink()
    with pytest.raises(SystemExit) as caught:
        setup.main([])
    assert str(caught.value.code).startswith("error: requirements/dev.lock lacks uv==0.13.9")


def real_uv():
    """Return the pinned uv, or skip the test where there is none."""
    uv = Path(sys.executable).with_name("uv")
    uv = str(uv) if uv.exists() else shutil.which("uv")
    if uv is None:
        pytest.skip("uv is neither in this environment nor on PATH")
    return uv


def write_wheel(name, version, *needs):
    """Write a tiny wheel into the folder `links`."""
    stem = f"{name.replace('-', '_')}-{version}"
    wheel = Path(f"links/{stem}-py3-none-any.whl")
    wheel.parent.mkdir(exist_ok=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += ["Provides-Extra: fast", *(f"Requires-Dist: {need}" for need in needs), ""]
    files = {"METADATA": "\n".join(lines), "RECORD": ""}
    files["WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr(f"{name.replace('-', '_')}.py", "")
        for part, text in files.items():
            file.writestr(f"{stem}.dist-info/{part}", text)
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


@pytest.fixture
def packages(project, monkeypatch):
    """Wheels of all that `PYPROJECT` asks for, which a real uv finds; their hashes by pin."""
    monkeypatch.setenv("PATH", str(Path(real_uv()).parent), prepend=":")
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": "links", "NO_CACHE": "1"}.items():
        monkeypatch.setenv(f"UV_{name}", value)
    monkeypatch.setattr(setup, "uv_environment", lambda: dict(os.environ))
    needs = {
        "setuptools==84.2.1": [],
        "app==1.0": ["shared>=1"],
        "app-server==1.0": [
            "app",
            'quick ; extra == "fast"',
            'only-here ; sys_platform == "win32"',
        ],
        "shared==1.0": [],
        "quick==1.0": [],
        "only-here==1.0": [],
        "torch==2.13.0": ["shared", 'nvidia-cublas ; sys_platform == "linux"', "triton"],
        "nvidia-cublas==1.0": [],
        "triton==1.0": [],
        "loop==1.0": ["torch"],
        "uv==0.13.9": ["shared"],
    }
    return {pin: write_wheel(*pin.split("=="), *needs[pin]) for pin in needs}


def locked(name):
    """Return the pins of a lock with their hashes."""
    text = Path(f"requirements/{name}.lock").read_text(encoding="utf-8")
    return dict(re.findall(r"^(\S+==.*?) \\\n    --hash=sha256:(\w+)$", text, re.MULTILINE))


@posix
def test_each_lock_holds_what_those_before_it_lack(packages):
    setup.main(["lock"])
    windows = "only-here==1.0 ; sys_platform == 'win32'"
    packages[windows] = packages["only-here==1.0"]
    serve = ["app==1.0", "app-server==1.0", "quick==1.0", "setuptools==84.2.1", "shared==1.0"]
    assert locked("serve") == {pin: packages[pin] for pin in [*serve, windows]}
    assert locked("train") == {"loop==1.0": packages["loop==1.0"]}  # neither torch nor its GPUs'
    assert locked("dev") == {"uv==0.13.9": packages["uv==0.13.9"]}
    text = Path("requirements/serve.lock").read_text(encoding="utf-8")
    assert text.splitlines()[:4] == [setup.HEADER, *(f"#   {one}" for one in ASKED["serve"])]


@posix
def test_a_version_stays_until_upgrades_are_asked_for(packages):
    setup.main(["lock"])
    before = {name: locked(name) for name in ASKED}
    newer = write_wheel("shared", "1.5")
    setup.main(["lock"])
    assert {name: locked(name) for name in ASKED} == before
    Path("pyproject.toml").write_text(PYPROJECT.replace('"loop>=1"', '"loop>=1", "extra-one"'))
    write_wheel("extra-one", "3.0")
    setup.main(["lock"])
    assert {*locked("train")} == {"loop==1.0", "extra-one==3.0"}
    assert locked("serve") == before["serve"]
    setup.main(["lock", "--upgrade"])
    assert locked("serve")["shared==1.5"] == newer
    assert "shared==1.0" not in locked("serve")


@posix
def test_where_nothing_suits_all_no_lock_is_written(packages, capfd):
    Path("pyproject.toml").write_text(PYPROJECT.replace("app==1.0", "app==9.0"))
    before = {name: Path(f"requirements/{name}.lock").read_bytes() for name in ASKED}
    with pytest.raises(SystemExit, match="error: nothing was locked; the lines above say why"):
        setup.main(["lock"])
    assert "app==9.0" in capfd.readouterr().err
    assert {name: Path(f"requirements/{name}.lock").read_bytes() for name in ASKED} == before


@posix
def test_a_wheel_other_than_the_locked_one_is_not_installed(packages, monkeypatch, capfd):
    """By the real uv, into a folder."""
    setup.main(["lock"])
    command = [real_uv(), "pip", "install", "--target", "target", "--python", sys.executable]
    monkeypatch.setattr(setup, "torch_options", lambda *arguments: [])
    steps = []
    run = subprocess.run

    def first_step(arguments, env):
        steps.append(arguments)
        return run(arguments, env=env)

    monkeypatch.setattr(setup.subprocess, "run", first_step)
    write_wheel("shared", "1.0", "quick")  # altered
    with pytest.raises(SystemExit, match="error: the packages could not be installed"):
        setup.install(command, "2.13.0", dict(os.environ))
    assert len(steps) == 1
    assert "Hash mismatch for `shared==1.0`" in capfd.readouterr().err


def test_uv_is_installed_with_the_lock_s_hash(project, monkeypatch):
    entry = f"uv==0.13.9 \\\n    --hash=sha256:{'5' * 64}"
    Path("requirements/dev.lock").write_text(f"{setup.HEADER}\nmypy==1.0 \\\n{entry}\n")
    monkeypatch.setattr(setup.shutil, "which", lambda name: None)
    asked = []

    def run(command, **options):
        file = Path(command[command.index("--requirement") + 1])
        asked.append(file.read_text(encoding="utf-8"))
        return subprocess.CompletedProcess(command, returncode=0)

    monkeypatch.setattr(setup.subprocess, "run", run)
    setup.installed_uv("0.13.9")
    setup.installed_uv("0.14.0")  # to make a lock with another one
    assert asked == [entry, "uv==0.14.0"]


def test_the_pinned_uv_knows_the_option(workspace):
    """A real, small installation: with the option, without a network."""
    write_wheel("tiny-notes", "1.0")
    command = [real_uv(), "pip", "install", "--torch-backend=auto", "--no-index", "--offline"]
    options = ["--find-links", "links", "--target", "target", "--python", sys.executable]
    done = subprocess.run([*command, *options, "tiny-notes"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Path("target/tiny_notes.py").is_file()


def test_an_old_python_is_told_so(monkeypatch):
    monkeypatch.setattr(setup.sys, "version_info", (3, 10))
    with pytest.raises(SystemExit, match=r"Python 3\.11 or newer is needed"):
        setup.main([])
