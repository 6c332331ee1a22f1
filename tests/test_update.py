"""Projects of older versions, worked on since, follow the template to what it is now."""

import io
import json
import os
import re
import subprocess
import tarfile

import pytest
from conftest import (
    CHOICES,
    DEMOS,
    PROMPTS,
    SKELETON,
    TEMPLATE,
    TEMPLATE_FILES,
    BakedProject,
    commit,
    copy_template,
    environment,
    python,
)

from portfolio_tools.eject import eject

STATEMENT = "A service that answers what I would have looked up, in half the time."
WORDS = '"""Counts words."""\n\n\ndef words(text: str) -> int:\n    return len(text.split())\n'
# A test of the learner's own, which imports a module that is machinery now.
TESTS = '''"""What I added, and what I changed."""

from {intervals} import share_interval_95
from {package}.words import words


def test_words_are_counted():
    assert words("one two  three") == 3


def test_a_share_of_nothing_may_be_any():
    assert share_interval_95(0, 0) == [0, 1]
'''
# What a learner changes in the template's files: the text before, and after.
EDITS = {
    "pyproject.toml": [(r'^description = ".*"$', f'description = "{STATEMENT}"')],
    "params.yaml": [("^seed: 13 ", "seed: 31 "), (r"^  rows: 2000 ", "  rows: 500 ")],
    "README.md": [
        (r"^> .*$", f"> {STATEMENT}"),
        (
            r"^\*Written by the template; the author's own reasons go here\.\* .*(\n.+)+",
            "I looked it up daily.",
        ),
        (
            r"^\*Written by the template; the author's own next steps go here\.\*",
            "Ask more people.",
        ),
    ],
    "{intervals}": [
        (
            r"^    interval = binomtest\(hits, rows\)",
            "    if rows == 0:\n        return [0.0, 1.0]\n    interval = binomtest(hits, rows)",
        )
    ],
}
BEFORE = {
    "file": "src/{package}/evaluation/intervals.py",
    "module": "{package}.evaluation.intervals",
}
NOW = {"file": "kit/portfolio_kit/intervals.py", "module": "portfolio_kit.intervals"}


def git(*arguments):
    """Return what git prints of the template's own repository; nothing if it fails."""
    command = ["git", "-C", str(TEMPLATE), *arguments]
    return subprocess.run(command, env=environment(), capture_output=True).stdout


def commits():
    """Return the commits of the last release and the one before the kit, by name, if known."""
    if not (TEMPLATE / ".git").exists():
        return {}
    log = git("log", "--format=%H %s").decode()
    release = re.search(r"^(\w+) Release 0\.1\.0$", log, re.MULTILINE)
    added = ("log", "--diff-filter=A", "--format=%H", "--", f"{SKELETON.name}/kit/portfolio_kit")
    kit = git(*added).decode().split()
    found = {"release": release and release[1], "last": kit and f"{kit[-1]}^"}
    return {name: commit for name, commit in found.items() if commit}


@pytest.fixture
def history(tmp_path):
    """Return a function that makes a repository of the template, first as it was at a commit."""

    def history(name):
        if name not in commits():
            required = os.environ.get("REQUIRE_HISTORY") == "1"
            (pytest.fail if required else pytest.skip)(f"{name}: not in this copy's git history")
        archive = git("archive", "--format=tar", commits()[name], "--", *TEMPLATE_FILES)
        folder = tmp_path / "template"
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(folder, filter="data")
        repository = BakedProject(folder)
        repository.run("git", "init", "--quiet")
        commit(repository, "Release 0.1.0")
        return repository

    return history


@pytest.fixture
def migrate(history, command_line, bake_in, tmp_path):
    """Return a function that generates a project, works on it as a learner does, and migrates it.

    The function returns what the migration printed, the project, and one that is generated now.
    """

    def migrate(name, project_type, work=lambda project: None):
        template = history(name)
        answers = f'{{"project_type": "{project_type}"}}'
        create = ("create", str(template.path), "--no-input", "--extra-context", answers)
        done = command_line("cruft", *create)
        assert done.returncode == 0, done.stdout + done.stderr
        [folder] = command_line.out.iterdir()
        project = BakedProject(folder)
        work_on(project)
        work(project)
        commit(project, "Make it mine")

        copy_template(template.path)
        commit(template, "Now")
        context = json.loads(project.read(".cruft.json"))["context"]["cookiecutter"]
        done = command_line("portfolio_tools.migrate", folder=project.path)
        return done, project, bake_in(tmp_path / "now", **{name: context[name] for name in PROMPTS})

    return migrate


def work_on(project):
    """Add a module and a test, and edit files."""
    package = project.package
    test = TESTS.format(package=package, intervals=BEFORE["module"].format(package=package))
    for name, text in {f"src/{package}/words.py": WORDS, "tests/test_mine.py": test}.items():
        (project.path / name).write_text(text, encoding="utf-8")
    for name in EDITS:
        place = project.path / name.format(intervals=BEFORE["file"].format(package=package))
        place.write_text(edited(name, place.read_text(encoding="utf-8")), encoding="utf-8")


def edited(name, text):
    """Return a file's text with a learner's edits, each of which has its place there."""
    for pattern, replacement in EDITS[name]:
        text, count = re.subn(
            pattern, lambda _, new=replacement: new, text, count=1, flags=re.MULTILINE
        )
        assert count == 1, f"{name}: {pattern}"
    return text


# `make test-fast` migrates one project of the release.
MIGRATIONS = [(project_type, "last") for project_type in CHOICES["project_type"]]
MIGRATIONS += [
    pytest.param(project_type, "release", marks=[pytest.mark.slow] * (number > 0))
    for number, project_type in enumerate(CHOICES["project_type"])
]


@pytest.mark.parametrize(("project_type", "name"), MIGRATIONS)
def test_a_migration_keeps_what_a_learner_did(project_type, name, migrate):
    done, project, now = migrate(name, project_type)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "eject intervals` makes it yours" in done.stdout
    package = project.package
    own = {
        f"src/{package}/words.py": WORDS,
        "tests/test_mine.py": TESTS.format(package=package, intervals=NOW["module"]),
    }
    edits = {name.format(intervals=NOW["file"]): name for name in EDITS}
    assert project.files() == now.files() | {*own, ".cruft.json"}
    own |= {place: edited(name, now.read(place)) for place, name in edits.items()}
    for place in sorted(now.files() - {*own, ".generated.json"}):
        assert (project.path / place).read_bytes() == (now.path / place).read_bytes(), place
    assert {place: project.read(place) for place in own} == own
    record, expected = (json.loads(one.read(".generated.json")) for one in (project, now))
    assert record.pop("template").endswith("/template")
    assert record == {key: expected[key] for key in record}


def test_a_migrated_project_follows_its_template_and_keeps_what_is_ejected(
    migrate, command_line, tmp_path
):
    done, project, _ = migrate("last", "text-classification")
    assert done.returncode == 0, done.stdout + done.stderr
    commit(project, "Migrate")
    done = command_line("cruft", "check", folder=project.path)
    assert done.returncode == 0, done.stdout + done.stderr

    kept = NOW["file"]
    mine = project.read(kept)
    eject(project.path, ["intervals"])
    commit(project, "Own the intervals")
    template = BakedProject(tmp_path / "template")
    file = template.path / SKELETON.name / kept
    theirs = ("LEVEL = 0.95", "LEVEL = 0.9")
    file.write_text(file.read_text("utf-8").replace(*theirs), encoding="utf-8")
    commit(template, "Change the intervals")
    done = command_line("cruft", "update", "--skip-apply-ask", folder=project.path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.read(kept) == mine.replace(*theirs) != mine
    assert project.read(f"src/{project.package}/intervals.py") == mine
    assert f"from {project.package}.intervals import" in project.read("tests/test_mine.py")
    assert not list(project.path.rglob("*.rej"))


def test_what_cannot_be_merged_is_kept_and_listed(migrate):
    def work(project):
        package = project.package
        frozen = project.path / "src" / package / "training" / "frozen.py"
        frozen.write_text(frozen.read_text("utf-8") + "\nMINE = 1\n", encoding="utf-8")
        params = project.read("params.yaml").replace("cache_frozen: true", "cache_frozen: false")
        (project.path / "params.yaml").write_text(params, encoding="utf-8")

    done, project, _ = migrate("last", "text-classification", work)
    assert done.returncode == 3, done.stdout + done.stderr
    [left] = [name for name in project.files() if name.startswith("migrated/")]
    assert left.endswith("/training/frozen.py")
    assert project.read(left).endswith("MINE = 1\n")
    assert "frozen.py: has no successor" in done.stdout
    assert "params.yaml: resolve the conflict" in done.stdout
    assert re.search(r"<<<<<<< yours\n(.*\n)*  cache_frozen: false ", project.read("params.yaml"))


def test_a_project_that_cannot_be_migrated_is_left_alone(bake, command_line):
    project = bake()
    done = command_line("portfolio_tools.migrate", str(project.path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: attack-tactic-classifier has the new shape already")
    (project.path / "kit").rename(project.path / "tools")
    done = command_line("portfolio_tools.migrate", str(project.path))
    assert done.stderr.startswith("error: there are uncommitted changes")
    commit(project, "Move the kit")
    done = command_line("portfolio_tools.migrate", str(project.path))
    assert done.stderr.startswith("error: .cruft.json is missing; give the template's address")
    (project.path / ".generated.json").unlink()  # version 0.1.0 wrote none
    commit(project, "Forget the answers")
    template = ("--template", str(TEMPLATE))
    done = command_line("portfolio_tools.migrate", str(project.path), *template)
    assert done.stderr.startswith("error: .cruft.json is missing; link the project first")
    assert project.run("git", "status", "--porcelain").stdout == ""


@pytest.mark.slow
@pytest.mark.parametrize("project_type", ["text-classification"])
def test_a_migrated_project_passes_its_own_tests_and_the_learners(project_type, migrate, request):
    _, demo = request.getfixturevalue(DEMOS[project_type])
    _, project, _ = migrate("last", project_type)
    # Without those that take long, and those that time requests.
    quick = ("-v", "-k", "not (page or training or api or requests)")
    code = {"PYTHONPATH": os.pathsep.join(str(project.path / name) for name in ("src", "kit"))}
    done = project.run(python(demo), "-m", "pytest", *quick, check=False, **code)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert done.stdout.count("tests/test_mine.py::") == TESTS.count("def test_")
