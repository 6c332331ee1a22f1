"""`make setup`: which torch is installed, and from where; uv is told what pip was told."""

import json
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


@pytest.fixture
def project(workspace, monkeypatch):
    """A project with an environment, and a uv on PATH that only records how it is called."""
    extras = {"train": [f"torch=={VERSION}"], "dev": ["uv==0.13.9"]}
    lines = [f"{name} = {json.dumps(pins)}" for name, pins in extras.items()]
    text = "\n".join(["[project]", 'name = "p"', "[project.optional-dependencies]", *lines])
    Path("pyproject.toml").write_text(text, encoding="utf-8")
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
    setup.main()
    [call] = calls()
    arguments = call["arguments"]
    assert arguments[:4] == ["pip", "install", "--python", str(setup.PYTHON)]
    assert arguments[4:] == ["--torch-backend=auto", "--editable", ".[train,serve,dev]"]
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


def test_the_pinned_uv_knows_the_option(workspace):
    """A real, small installation: with the option, without a network."""
    uv = Path(sys.executable).with_name("uv")
    uv = str(uv) if uv.exists() else shutil.which("uv")
    if uv is None:
        pytest.skip("uv is neither in this environment nor on PATH")
    wheel = Path("links/tiny_notes-1.0-py3-none-any.whl")
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as file:
        info = "tiny_notes-1.0.dist-info"
        file.writestr("tiny_notes.py", "")
        file.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-notes\nVersion: 1.0\n")
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", "")
    command = [uv, "pip", "install", "--torch-backend=auto", "--no-index", "--offline"]
    options = ["--find-links", "links", "--target", "target", "--python", sys.executable]
    done = subprocess.run([*command, *options, "tiny-notes"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Path("target/tiny_notes.py").is_file()


def test_an_old_python_is_told_so(monkeypatch):
    monkeypatch.setattr(setup.sys, "version_info", (3, 10))
    with pytest.raises(SystemExit, match=r"Python 3\.11 or newer is needed"):
        setup.main()
