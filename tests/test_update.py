"""A project of the last release, worked on since, follows the template to what it is now."""

import io
import os
import re
import subprocess
import tarfile

import pytest
from conftest import (
    CHOICES,
    DEMOS,
    TEMPLATE,
    TEMPLATE_FILES,
    BakedProject,
    commit,
    copy_template,
    environment,
    python,
)

STATEMENT = "A service that tells what I would have looked up, in half the time."
WORDS = '"""Counts words."""\n\n\ndef words(text: str) -> int:\n    return len(text.split())\n'
TESTS = '''"""What I added, and what I changed."""

from {package}.evaluation.intervals import share_interval_95
from {package}.words import words


def test_words_are_counted():
    assert words("one two  three") == 3


def test_a_share_of_nothing_may_be_any():
    assert share_interval_95(0, 0) == [0, 1]
'''
# What a learner changes in the template's files: what stood there, and what stands there now.
EDITS = {
    "pyproject.toml": [(r'^description = ".*"$', f'description = "{STATEMENT}"')],
    "params.yaml": [("^seed: 13 ", "seed: 31 "), (r"^  rows: 2000 ", "  rows: 500 ")],
    "README.md": [
        (r"^> .*$", f"> {STATEMENT}"),
        (
            r"^\*Written by the template; the author's own reasons go here\.\*",
            "I looked it up daily.",
        ),
        (
            r"^\*Written by the template; the author's own next steps go here\.\*",
            "Ask more people.",
        ),
    ],
    "src/{package}/evaluation/intervals.py": [
        (
            r"^    interval = binomtest\(hits, rows\)",
            "    if rows == 0:\n        return [0.0, 1.0]\n    interval = binomtest(hits, rows)",
        )
    ],
}


def git(*arguments):
    """Return what git prints of the template's own repository; nothing if it fails."""
    command = ["git", "-C", str(TEMPLATE), *arguments]
    return subprocess.run(command, env=environment(), capture_output=True).stdout


def last_release():
    """Return the last commit that was released: a tag's, or in a clone without tags a subject's."""
    if not (TEMPLATE / ".git").exists():
        return None
    tag = git("describe", "--tags", "--match", "v*", "--abbrev=0").decode().strip()
    log = git("log", "--format=%H %s").decode()
    subject = re.search(r"^(\w+) Release \d", log, re.MULTILINE)
    return tag or (subject and subject[1])


@pytest.fixture
def released(tmp_path):
    """Return a repository whose first commit is the template as it was last released."""
    release = last_release()
    if not release:
        required = os.environ.get("REQUIRE_HISTORY") == "1"
        (pytest.fail if required else pytest.skip)("no release is in this copy's git history")
    archive = git("archive", "--format=tar", release, "--", *TEMPLATE_FILES)
    folder = tmp_path / "template"
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    repository = BakedProject(folder)
    repository.run("git", "init", "--quiet")
    commit(repository, "Release")
    return repository


@pytest.fixture
def update(released, command_line, bake_in, tmp_path):
    """Return a function that generates a project, works on it as a learner does, and updates it.

    The function returns that project, and one that is generated now.
    """

    def update(project_type):
        answers = f'{{"project_type": "{project_type}"}}'
        create = ("create", str(released.path), "--no-input", "--extra-context", answers)
        done = command_line("cruft", *create)
        assert done.returncode == 0, done.stdout + done.stderr
        [folder] = command_line.out.iterdir()
        project = BakedProject(folder)
        work_on(project)
        commit(project, "Make it mine")

        copy_template(released.path)
        commit(released, "Now")
        done = command_line("cruft", "update", "--skip-apply-ask", folder=project.path)
        assert done.returncode == 0, done.stdout + done.stderr
        return project, bake_in(tmp_path / "now", project_type=project_type)

    return update


def work_on(project):
    """Add a module and a test, and edit files."""
    package = project.package
    added = {f"src/{package}/words.py": WORDS, "tests/test_mine.py": TESTS.format(package=package)}
    for name, text in added.items():
        (project.path / name).write_text(text, encoding="utf-8")
    for name in EDITS:
        place = project.path / name.format(package=package)
        place.write_text(edited(name, place.read_text(encoding="utf-8")), encoding="utf-8")


def edited(name, text):
    """Return a file's text with a learner's edits, each of which has its place there."""
    for pattern, replacement in EDITS[name]:
        text, count = re.subn(
            pattern, lambda _, new=replacement: new, text, count=1, flags=re.MULTILINE
        )
        assert count == 1, f"{name}: {pattern}"
    return text


def assert_updated(project, now):
    """Assert that the project is one of today with the learner's edits, and nothing in between."""
    package = project.package
    own = {f"src/{package}/words.py": WORDS, "tests/test_mine.py": TESTS.format(package=package)}
    edits = {
        name.format(package=package): edited(name, now.read(name.format(package=package)))
        for name in EDITS
    }
    assert project.files() == now.files() | {*own, ".cruft.json"}
    for name in sorted(now.files()):
        if name in edits:
            own[name] = edits[name]
        else:
            assert (project.path / name).read_bytes() == (now.path / name).read_bytes(), name
    assert {name: project.read(name) for name in own} == own


@pytest.mark.parametrize("project_type", CHOICES["project_type"])
def test_an_update_from_the_last_release_keeps_what_a_learner_did(project_type, update):
    assert_updated(*update(project_type))


@pytest.mark.slow
@pytest.mark.parametrize("project_type", ["text-classification"])
def test_an_updated_project_passes_its_own_tests_and_the_learners(project_type, update, request):
    _, demo = request.getfixturevalue(DEMOS[project_type])
    project, _ = update(project_type)
    # Without those that take long, and those that time requests.
    slow = "page or server or training or loop or schema or api or batching or hostile_requests"
    quick = ("-v", "-k", f"not ({slow})")
    code = {"PYTHONPATH": str(project.path / "src")}
    done = project.run(python(demo), "-m", "pytest", *quick, check=False, **code)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert done.stdout.count("tests/test_mine.py::") == TESTS.count("def test_")
