"""The template as an installable tool: found from a project, built by uv, and updating projects."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile

import pytest
from conftest import SKELETON, TEMPLATE, BakedProject, commit, copy_template, environment, python

# What the tools' wheel is built from.
TOOL_FILES = ("README.md", "src", "tests/kit")


@pytest.fixture(scope="module")
def dispatcher():
    """The kit's module that finds the tools."""
    name = "portfolio_kit.__main__"
    sys.path.insert(0, str(SKELETON / "kit"))
    try:
        spec = importlib.util.find_spec(name)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(SKELETON / "kit"))


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ("/home/ada/template", "/home/ada/template"),
        (r"C:\Users\ada\template", r"C:\Users\ada\template"),
        ("https://git.example/ada/template.git", "git+https://git.example/ada/template.git"),
        ("file:///srv/template", "git+file:///srv/template"),
        ("git@git.example:ada/template.git", "git+ssh://git@git.example/ada/template.git"),
        ("ssh://git@git.example/ada/template", "git+ssh://git@git.example/ada/template"),
        ("https://git.example/template.zip", "https://git.example/template.zip"),
    ],
)
def test_uv_reads_each_kind_of_address(address, wanted, dispatcher):
    assert dispatcher.requirement(address) == wanted


@pytest.fixture
def mine(project, tmp_path):
    """Return a project with an environment, this one, and a function that runs the dispatcher."""
    shutil.copytree(project.path, tmp_path / "project")
    (tmp_path / "project/.venv").symlink_to(sys.prefix)
    mine = BakedProject(tmp_path / "project")

    def run(*arguments, **variables):
        command = (python(mine), "-m", "portfolio_kit", *arguments)
        return mine.run(*command, check=False, PYTHONPATH=str(mine.path / "kit"), **variables)

    return mine, run


needs_links = pytest.mark.skipif(os.name == "nt", reason="links need special rights there")


@needs_links
@pytest.mark.parametrize("template", ["", "no/such/folder", "file:///no/such/folder", "tests"])
def test_a_template_that_cannot_be_used_gets_one_line(template, mine):
    project, run = mine
    record = project.path / ".generated.json"
    if template == "":
        record.write_text("{}", encoding="utf-8")
    done = run("review", **({"TEMPLATE": template} if template else {}))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "make review TEMPLATE=folder-or-url" in done.stderr
    assert template in done.stderr


@needs_links
def test_a_tool_has_to_be_named(mine):
    for arguments in ((), ("revue",)):
        done = mine[1](*arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "error: name a tool: review, eject, update\n"


def update(project, *options):
    """Run what `make update` runs."""
    program = shutil.which("portfolio-update", path=os.path.dirname(sys.executable))
    return project.run(program, *options, check=False)


def test_a_project_without_cruft_is_told_how_to_be_updated(project):
    done = update(project)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(
        r"error: \.cruft\.json is missing, .* uvx cruft link TEMPLATE\n", done.stderr
    )


def change(project, name, old, new, message):
    """Replace a text in a file, and commit that."""
    text = project.read(name)
    assert old in text
    (project.path / name).write_text(text.replace(old, new), encoding="utf-8", newline="\n")
    commit(project, message)


def test_an_update_without_conflicts_says_what_comes_next(linked):
    project, template = linked
    change(template, f"{SKELETON.name}/CONTRIBUTING.md", "\n", "\n\n", "More room")
    done = update(project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("Next: git diff; make setup test pipeline; then commit.\n")
    change(project, "CONTRIBUTING.md", "\n\n", "\n\n", "Update")
    done = update(project)
    assert done.returncode == 0
    assert "up to date" in done.stdout


def test_conflicts_of_an_update_are_listed(linked):
    """Both changed one line: git knows the file as generated, and marks the conflict."""
    project, template = linked
    change(project, "params.yaml", "seed: 13", "seed: 31", "My seed")
    change(template, f"{SKELETON.name}/params.yaml", "seed: 13", "seed: 17", "Another seed")
    done = update(project)
    assert done.returncode == 1
    assert "params.yaml: has conflicts between git's markers; resolve them\n" in done.stdout
    assert "error: the update left 1 files to merge" in done.stderr
    assert "<<<<<<<" in project.read("params.yaml")


def test_rejected_changes_of_an_update_are_listed(linked):
    """Git does not know the file as it was generated; cruft says that all is well."""
    project, template = linked
    change(project, "params.yaml", "seed: 13", "seed: 31", "My seed")
    shutil.rmtree(project.path / ".git")
    project.run("git", "init", "--quiet")
    commit(project, "Start without a history")
    change(template, f"{SKELETON.name}/params.yaml", "seed: 13", "seed: 17", "Another seed")
    done = update(project)
    assert "as clean as possible" in done.stdout
    assert (done.returncode, (project.path / "params.yaml.rej").is_file()) == (1, True), done.stderr
    line = "params.yaml.rej: holds changes that git could not apply; merge them by hand\n"
    assert line in done.stdout
    assert "seed: 31" in project.read("params.yaml")


def uv(*arguments, folder):
    """Run uv in a folder, with the links that pip is given."""
    links = {"UV_FIND_LINKS": os.environ.get("PIP_FIND_LINKS", "")}
    return subprocess.run(
        [sys.executable, "-m", "uv", *arguments],
        cwd=folder,
        env=environment(**links),
        capture_output=True,
        encoding="utf-8",
    )


@pytest.fixture
def source(tmp_path):
    """Return a folder with the template and all that its tools are built from."""
    folder = tmp_path / "the template"
    copy_template(folder)
    for name in TOOL_FILES:
        if (TEMPLATE / name).is_dir():
            shutil.copytree(TEMPLATE / name, folder / name)
        else:
            shutil.copy(TEMPLATE / name, folder / name)
    return folder


@pytest.mark.slow
def test_the_wheel_has_the_template_and_nothing_else(source):
    done = uv("build", "--wheel", "--quiet", "--out-dir", "dist", folder=source)
    assert done.returncode == 0, done.stderr
    [wheel] = (source / "dist").glob("*.whl")
    packed = "portfolio_tools/_template/"
    names = zipfile.ZipFile(wheel).namelist()
    names = {name for name in names if not name.startswith("cookiecutter_ml_portfolio-")}
    template = {
        path.relative_to(source).as_posix()
        for name in ("hooks", "templates", "tests/kit", SKELETON.name)
        for path in (source / name).rglob("*")
        if path.is_file() and not {"__pycache__", ".ruff_cache"} & {*path.parts}
    } | {"cookiecutter.json", "local_extensions.py", "pyproject.toml"}
    code = {path.relative_to(source / "src").as_posix() for path in source.glob("src/*/*.py")}
    assert names == {f"{packed}{name}" for name in template} | code


@pytest.mark.slow
def test_the_installed_tool_generates_what_the_template_does(source, project, tmp_path):
    """From a folder and from git, far from this repository; what is edited there counts."""
    shutil.copytree(project.path, tmp_path / "project")
    empty = tmp_path / "empty"
    empty.mkdir()

    def review(template):
        command = ("tool", "run", "--from", template, "portfolio-review", "../project")
        done = uv(*command, folder=empty)
        assert done.returncode == 3, done.stdout + done.stderr
        return done.stdout

    assert "Compared with what the template generates from the same answers" in review(str(source))
    file = source / SKELETON.name / "CONTRIBUTING.md"
    file.write_text(file.read_text(encoding="utf-8") + "\nMore.\n", encoding="utf-8")
    assert ".generated.json was altered, or the template has changed" in review(str(source))
    repository = BakedProject(source)
    repository.run("git", "init", "--quiet")
    file.write_bytes((SKELETON / "CONTRIBUTING.md").read_bytes())
    commit(repository, "As it is")
    url = f"git+{source.as_uri()}"
    assert "Compared with what the template generates from the same answers" in review(url)
    file.unlink()
    commit(repository, "Without a guide")
    assert ".generated.json was altered, or the template has changed" in review(url)


@pytest.mark.slow
@needs_links
def test_a_project_calls_the_tools_of_its_template(mine):
    project, run = mine
    assert json.loads(project.read(".generated.json"))["template"] == str(TEMPLATE)
    done = run("review")
    assert done.returncode == 3, done.stdout + done.stderr
    assert project.has_file("reports/review.md")
    done = run("review", "no/such/folder")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    done = run("eject", "intervals")
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.has_file(f"src/{project.package}/intervals.py")
    assert run("update").returncode == 1


@pytest.mark.skipif(os.name == "nt", reason="names of files there cannot hold such signs")
@pytest.mark.parametrize("target", ["review", "migrate"])
def test_neither_make_nor_the_shell_runs_what_a_folders_name_holds(target, tmp_path):
    """The tool is replaced by a script that prints what it is given."""
    shutil.copy(TEMPLATE / "Makefile", tmp_path)
    tool = tmp_path / "build" / "venv" / "bin" / f"portfolio-{target}"
    tool.parent.mkdir(parents=True)
    tool.write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    tool.chmod(0o755)
    for name in ("requirements.txt", "requirements-tools.txt", "pyproject.toml"):
        (tmp_path / name).touch()
    for name in ("requirements.installed", "requirements-tools.installed"):
        (tmp_path / "build" / "venv" / name).touch()
    folder = "a b$(shell touch by-make)`touch by-shell`$$(touch by-shell);touch by-shell"
    done = subprocess.run(
        ["make", target, f"PROJECT={folder}"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
    )
    assert done.stdout == f"{folder}|", done.stderr
    assert not [*tmp_path.glob("by-*")]
