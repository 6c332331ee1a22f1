"""The hooks' own rules and steps, without cookiecutter and without git."""

import hashlib
import importlib.util
import json
import re
import subprocess
import sys

import pytest
from conftest import CHOICES, TEMPLATE


def load(name):
    spec = importlib.util.spec_from_file_location(name, TEMPLATE / "hooks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pre_gen = load("pre_gen_project")
post_gen = load("post_gen_project")

GOOD = {
    "project_type": "text-classification",
    "project_name": "Attack Tactic Classifier",
    "project_slug": "attack-tactic-classifier",
    "package_name": "attack_tactic_classifier",
    "problem_statement": "A service that reads a note and names the attack tactic.",
    "author_name": "Ada Lovelace",
    "deployment_target": "none",
    "license": "MIT",
}
FACTS = {"answers": GOOD}
RECORD = ".generated.json"

REJECTED = [
    ("project_slug", "", "is empty"),
    ("project_slug", "../evil", "is a path"),
    ("project_slug", "a/b/c", "is a path"),
    ("project_slug", "/tmp/xyz/abs", "is a path"),
    ("project_slug", "C:\\temp", "is a path"),
    ("project_slug", "~root", "is a path"),
    ("project_slug", "..", "is a path"),
    ("project_slug", "a" * 61, "is longer than 60"),
    ("project_slug", "naïve", "is not lower-case"),
    ("project_slug", "Upper", "is not lower-case"),
    ("project_slug", "two--hyphens", "is not lower-case"),
    ("project_slug", "-n", "is not lower-case"),
    ("project_slug", "line\n", "is not lower-case"),
    ("project_slug", "con", "reserved by Windows"),
    ("project_slug", "lpt9", "reserved by Windows"),
    ("project_slug", "scikit-learn", "a library"),
    ("project_slug", "python", "a command"),
    ("project_slug", "stubgen", "a command"),
    ("project_slug", "mako-render", "a command"),
    ("project_slug", None, "is not text"),
    ("package_name", "", "is empty"),
    ("package_name", "a" * 41, "is longer than 40"),
    ("package_name", "3d", "is not a letter"),
    ("package_name", "_private", "is not a letter"),
    ("package_name", "a-b", "is not a letter"),
    ("package_name", "ünder", "is not a letter"),
    ("package_name", "class", "a Python keyword"),
    ("package_name", "match", "a Python keyword"),
    ("package_name", "print", "a Python built-in"),
    ("package_name", "json", "a standard-library module"),
    ("package_name", "distutils", "a standard-library module"),
    ("package_name", "annotationlib", "a standard-library module"),
    ("package_name", "aux", "reserved by Windows"),
    ("package_name", "torch", "a library"),
    ("package_name", "sklearn", "a library"),
    ("package_name", "tests", "a folder"),
    ("package_name", "data", "a folder"),
    ("package_name", "benchmarks", "a folder"),
    ("package_name", "test_app", "a file of tests"),
    ("package_name", "page_fixtures", "a file of tests"),
    ("package_name", "virtual", "the start of an environment variable"),
    ("package_name", "aws_lambda", "the start of an environment variable"),
    ("project_name", " ", "is blank"),
    ("project_name", "\u200b\u2003", "is blank"),
    ("project_name", "\u3164\u0301", "is blank"),
    ("project_name", "a" * 101, "is longer than 100"),
    ("problem_statement", "a" * 1001, "is longer than 1000"),
    ("problem_statement", "two\nlines", "has a line break"),
    ("problem_statement", "two\u2028lines", "has a line break"),
    ("author_name", "bell\a", "has a line break or an unprintable"),
    ("author_name", "\x7f", "has a line break or an unprintable"),
    ("author_name", "\x85", "has a line break or an unprintable"),
    ("author_name", "\udcff", "has a line break or an unprintable"),
    ("author_name", "\U0001ffff", "has a line break or an unprintable"),
    ("project_type", "magic", "is not on offer"),
    ("license", "GPL-3.0", "is not on offer"),
    ("license", ["MIT"], "is not on offer"),
]


def test_good_answers_pass():
    assert pre_gen.errors(GOOD, CHOICES) == []


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    REJECTED,
    ids=[f"{field}={value!r:.20}" for field, value, _ in REJECTED],
)
def test_a_bad_answer_gets_one_plain_line(field, value, reason):
    (line,) = pre_gen.errors({**GOOD, field: value}, CHOICES)
    assert line.startswith(f"{field}: ")
    assert reason in line
    assert ";" in line, "says what is wrong, then what to do"
    assert line.isprintable()
    assert len(line) <= 200


def test_all_bad_answers_are_reported_at_once(capsys):
    answers = {**GOOD, "project_slug": "a/b", "package_name": "class", "author_name": ""}
    assert pre_gen.main(answers, CHOICES) == 1
    printed = capsys.readouterr()
    assert [line.split(":")[0] for line in printed.err.splitlines()] == [
        "project_slug",
        "package_name",
        "author_name",
    ]
    assert printed.out == ""


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("project_slug", "a" * 60),
        ("project_slug", "3d-shapes"),
        ("package_name", "a" * 40),
        ("package_name", "shapes_3d"),
        ("project_name", "👩‍💻"),
        ("project_name", "C:/path/in/words"),
        ("author_name", "Zoë O'Brien-Ōe الاسم"),
        ("problem_statement", "{" * 1000),
    ],
)
def test_an_unusual_answer_passes(field, value):
    assert pre_gen.errors({**GOOD, field: value}, CHOICES) == []


def test_names_of_all_pinned_libraries_are_rejected():
    pins = (TEMPLATE / "templates" / "requirements.txt").read_text("utf-8").splitlines()
    names = [pin.split("==")[0].strip() for pin in pins if "==" in pin]
    assert names
    assert [n for n in names if not pre_gen.fault("project_slug", n)] == []
    assert [n for n in names if not pre_gen.fault("package_name", n.replace("-", "_"))] == []


def test_names_of_what_lies_beside_the_package_are_rejected():
    """Each folder, and each file of tests, which pytest imports by its bare name."""
    lines = (TEMPLATE / "tests" / "expected_files.txt").read_text("utf-8").splitlines()
    files = [line for line in lines if line and line[0] not in "#[."]
    names = {file.split("/")[0] for file in files if "/" in file}
    names |= {file.split("/")[-1][:-3] for file in files if re.fullmatch(r"tests/\w+\.py", file)}
    assert {"benchmarks", "conftest", "page_fixtures"} <= names
    assert [name for name in sorted(names) if not pre_gen.fault("package_name", name)] == []


class FakeGit:
    """Replaces `run`: records the commands, and fails those that a test names."""

    def __init__(self, fails=lambda words, identity: False):
        self.fails = fails
        self.commands = []
        self.names = []

    def __call__(self, command, identity=None):
        words = [word for word in command[1:] if word != "-c" and "=" not in word[:20]]
        self.commands.append(words[0])
        self.names.append(identity and identity["GIT_AUTHOR_NAME"])
        failed = self.fails(words, identity)
        return subprocess.CompletedProcess(command, failed, "", "git says\nno" if failed else "")


@pytest.fixture
def rendered(tmp_path, monkeypatch):
    """Return a folder as cookiecutter leaves it to the hook, which is the working directory."""
    files = {
        "shared.txt": "skeleton",
        "replaced.txt": "skeleton",
        "overlays/project_type/text-classification/replaced.txt": "type",
        "overlays/project_type/text-classification/src/pkg/model.py": "type",
        "overlays/project_type/forecasting/other.txt": "another type",
        "overlays/license/MIT/LICENSE": "licence",
    }
    for name, text in files.items():
        file = tmp_path / "proj" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.chdir(tmp_path / "proj")
    return tmp_path / "proj"


def test_chosen_overlays_are_merged_and_the_rest_removed(rendered):
    post_gen.merge_overlays(rendered, GOOD)
    texts = {
        file.relative_to(rendered).as_posix(): file.read_text()
        for file in rendered.rglob("*")
        if file.is_file()
    }
    assert texts == {
        "shared.txt": "skeleton",
        "replaced.txt": "type",
        "src/pkg/model.py": "type",
        "LICENSE": "licence",
    }
    assert not (rendered / "overlays").exists()


def test_a_choice_without_an_overlay_merges_nothing(rendered):
    post_gen.merge_overlays(rendered, {**GOOD, "license": "none"})
    assert not (rendered / "LICENSE").exists()


@pytest.fixture
def parts(rendered):
    """The same, with a kit and parts: one.py and two of this type, two and three of another."""
    files = {
        "kit/portfolio_kit/core.py": "kit",
        "kit/portfolio_kit/__pycache__/core.pyc": "compiled",
        "kit/portfolio_kit/one.py": "kit",
        "kit/portfolio_kit/two/__init__.py": "kit",
        "kit/portfolio_kit/three/__init__.py": "kit",
        "overlays/parts/two/replaced.txt": "part",
        "overlays/parts/two/tests/fixtures.py": "part",
        "overlays/parts/three/other.txt": "of another type",
        "overlays/project_type/text-classification/parts.txt": "one.py\ntwo\n",
        "overlays/project_type/forecasting/parts.txt": "two\nthree\n",
    }
    for name, text in files.items():
        file = rendered / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return rendered


def test_a_project_has_the_parts_of_its_type_and_no_others(parts):
    post_gen.merge_overlays(parts, GOOD)
    kit = parts / "kit/portfolio_kit"
    assert sorted(file.relative_to(kit).as_posix() for file in kit.rglob("*.*")) == [
        "core.py",
        "one.py",
        "two/__init__.py",
    ]
    assert (parts / "replaced.txt").read_text() == "type", "the type's own file wins"
    assert (parts / "tests/fixtures.py").read_text() == "part"
    assert not (parts / "other.txt").exists()
    assert not list(parts.rglob("parts.txt"))
    assert not (parts / "overlays").exists()


def test_a_part_that_does_not_exist_is_an_error(parts):
    (parts / "overlays/project_type/text-classification/parts.txt").write_text("wheels\n")
    with pytest.raises(RuntimeError, match=r"text-classification/parts.txt: the kit has no wheels"):
        post_gen.merge_overlays(parts, GOOD)


def test_an_overlay_that_belongs_to_no_prompt_is_an_error(rendered):
    (rendered / "overlays" / "colour").mkdir()
    with pytest.raises(RuntimeError, match="overlays/colour belongs to no prompt"):
        post_gen.merge_overlays(rendered, GOOD)


def test_the_first_commit_is_the_users_own(rendered):
    git = FakeGit()
    assert post_gen.main(GOOD, FACTS, git) == 0
    assert git.commands == ["--version", "init", "symbolic-ref", "add", "commit"]
    assert git.names[-1] is None


def test_without_an_identity_the_author_commits(rendered):
    git = FakeGit(lambda words, identity: words[0] == "commit" and identity is None)
    post_gen.commit_all("Ada", git)
    assert git.names[-2:] == [None, "Ada"]


def test_an_author_that_git_rejects_is_replaced(rendered):
    def reject(words, identity):
        return words[0] == "commit" and (identity or {}).get("GIT_AUTHOR_NAME") in (None, ".,;")

    git = FakeGit(reject)
    post_gen.commit_all(".,;", git)
    assert git.names[-3:] == [None, ".,;", "Author"]


@pytest.mark.parametrize("how", ["missing", "broken"])
def test_without_git_there_is_no_commit(rendered, monkeypatch, how):
    monkeypatch.setattr(post_gen.shutil, "which", lambda _: None if how == "missing" else "git")
    git = FakeGit(lambda words, identity: True)
    assert post_gen.main(GOOD, FACTS, git) == 0
    assert git.commands == (["--version"] if how == "broken" else [])


def test_what_was_generated_is_recorded_before_it_is_committed(rendered):
    recorded = []
    git = FakeGit(lambda words, identity: bool(recorded.append((rendered / RECORD).exists())))
    assert post_gen.main(GOOD, FACTS, git) == 0
    assert recorded[1:] == [True] * 4  # all but `git --version`
    record = json.loads((rendered / RECORD).read_text("utf-8"))
    assert record["answers"] == GOOD
    assert record["files"] == {
        file.relative_to(rendered).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in rendered.rglob("*")
        if file.is_file() and file.name != RECORD
    }


def test_a_record_is_kept(rendered):
    (rendered / RECORD).write_text("{}")
    assert post_gen.main(GOOD, FACTS, FakeGit()) == 0
    assert (rendered / RECORD).read_text() == "{}"


def test_an_existing_repository_is_left_alone(rendered):
    (rendered / ".git").mkdir()
    git = FakeGit()
    post_gen.assemble(rendered, GOOD, FACTS, git)
    assert git.commands == ["--version"]


@pytest.mark.parametrize("step", ["init", "add", "commit"])
def test_a_failure_is_one_plain_line(rendered, capsys, step):
    git = FakeGit(lambda words, identity: words[0] == step)
    assert post_gen.main(GOOD, FACTS, git) == 1
    printed = capsys.readouterr()
    assert printed.err == f"post_gen_project: git {step} failed: git says no\n"
    assert printed.out == ""


def test_the_next_three_commands_are_printed(rendered, capsys):
    post_gen.main(GOOD, FACTS, FakeGit())
    printed = capsys.readouterr().out
    assert str(rendered) in printed
    commands = [line.strip() for line in printed.splitlines() if line.startswith("  ")]
    assert commands == ["cd proj", "make setup", "make pipeline"]


def test_cruft_updates_print_nothing(rendered, capsys, monkeypatch):
    scratch = rendered.parent / "tmp1a_b2c3d"
    scratch.mkdir()
    monkeypatch.chdir(scratch)
    monkeypatch.chdir(rendered.rename(scratch / "proj"))
    assert post_gen.main({**GOOD, "_commit": "0123abcd"}, FACTS, FakeGit()) == 0
    assert capsys.readouterr().out == ""


def test_git_never_works_on_another_repository(monkeypatch):
    monkeypatch.delenv("GIT_CONFIG_NOSYSTEM")  # which the tests themselves set
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_AUTHOR_NAME"):
        monkeypatch.setenv(name, "somewhere")
    shown = "import os; print(*(name for name in os.environ if name.startswith('GIT_')))"
    assert post_gen.run([sys.executable, "-c", shown]).stdout.split() == ["GIT_AUTHOR_NAME"]
