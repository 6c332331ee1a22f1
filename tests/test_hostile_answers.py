"""Answers are data: carried exactly into every file, or rejected with one plain line each."""

import ast
import json
import tomllib

import pytest
import yaml
from conftest import PROMPTS, TEMPLATE, BakedProject
from cookiecutter.exceptions import FailedHookException
from markdown_it import MarkdownIt

HOSTILE = {
    "double quote": 'say "hi"',
    "single quote": "it's",
    "backtick": "run `rm -rf` now",
    "curly quotes": "“so” ‘it’ «goes»",
    "three double quotes": 'a """ b',
    "three single quotes": "a ''' b",
    "only quotes": "\"'`",
    "backslashes": r"C:\new\table\u0041 \N{DASH} \\server",
    "trailing backslash": "ends in \\",
    "trailing quote": 'ends in "',
    "single braces": "{a} {} }{",
    "double braces": "{{ 7*7 }}",
    "block": "{% z %}",
    "comment": "{# c #}",
    "unclosed": "{{ {% {#",
    "closing": "}} %} #}",
    "endraw": "{% endraw %}{{ 1 }}{% raw %}",
    "attribute": "{{ cookiecutter.project_slug }}",
    "folder's own template": "{{cookiecutter.project_slug}}",
    "workflow": "${{ secrets.TOKEN }} $(id) ${HOME} %PATH%",
    "script": "<script>alert(1)</script>",
    "html": "</p> <!-- x --> &amp; &copy; &#65; & <3 a<b",
    "emoji": "👩‍💻 🏳️‍🌈 é ñ 中文 العربية",
    "yaml words": "yes",
    "yaml marks": "- key: value # not a comment",
    "yaml anchors": "&a *b !tag %TAG @x | >",
    "toml": '[table] key = "value" # not a comment',
    "number": "007",
    "null": "null",
    "heading": "# a title #",
    "ordered list": "1. first",
    "emphasis": "*a* _b_ **c** ~~d~~ __init__ snake_case",
    "link": "[a](http://b) ![c](d) <http://e> [f]: g",
    "table": "a | b |--| c",
    "rule": "---",
    "math": "$x^2$ and $$y$$ cost 5 $",
    "outer spaces": "    four before and two after  ",
    "percent": "%s %(name)s %d {0} {name!r}",
    "300 characters": "A service that reads. " * 13 + "It ends here.",
    "1000 characters": "é{{x}}'\"\\" * 111 + "é",
}
EVERYTHING = " ".join(text for name, text in HOSTILE.items() if "characters" not in name)
AUTHOR = HOSTILE["backslashes"] + " {{ 7*7 }} {% z %} \"'` <b> 👩‍💻 \\"
# A complete set of answers, as a replay file holds them.
ANSWERS = {
    "project_type": "text-classification",
    "project_name": "Notes",
    "project_slug": "notes",
    "package_name": "notes",
    "problem_statement": "A service that reads notes.",
    "author_name": "Ada",
    "deployment_target": "none",
    "license": "MIT",
}

YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
COPIED = ("kit/", "src/")  # without rendering


def assert_carried(project, statement, author):
    """Assert that the answers arrive in the project's files exactly, and that all files parse."""
    metadata = tomllib.loads(project.read("pyproject.toml"))["project"]
    assert metadata["description"] == statement
    assert metadata["authors"] == [{"name": author}]
    assert statement.strip() in paragraphs(project.read("README.md"))
    for name in project.files():
        if name.endswith((".yaml", ".yml")):
            list(yaml.load_all(project.read(name), YAML))
        elif name.endswith(".toml"):
            tomllib.loads(project.read(name))
        elif name.endswith(".json"):
            json.loads(project.read(name))
        elif name.endswith(".py") and not name.startswith(COPIED):
            ast.parse(project.read(name))


def paragraphs(markdown):
    """Return the texts of a Markdown document's blocks that hold nothing but text."""
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    blocks = [token.children for token in parser.parse(markdown) if token.type == "inline"]
    return ["".join(part.content for part in parts if part.type == "text") for parts in blocks]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_carried_by_the_api(bake, text):
    name = text if len(text) <= 100 else AUTHOR
    project = bake(project_name=name, problem_statement=text, author_name=name)
    assert_carried(project, text, name)
    assert name.strip() in paragraphs(project.read("README.md"))


def only_project(command_line):
    """Return the one project that a command line has generated."""
    (path,) = command_line.out.iterdir()
    return BakedProject(path)


@pytest.mark.parametrize("text", [EVERYTHING, HOSTILE["1000 characters"]], ids=["all", "1000"])
def test_carried_by_the_command_line(command_line, text):
    answers = (f"problem_statement={text}", f"author_name={AUTHOR}")
    done = command_line("cookiecutter", str(TEMPLATE), "--no-input", *answers)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_carried(only_project(command_line), text, AUTHOR)


def test_carried_by_the_prompts(command_line):
    typed = {"problem_statement": EVERYTHING, "author_name": AUTHOR}
    lines = "".join(f"{typed.get(prompt, '')}\n" for prompt in PROMPTS)
    done = command_line("cookiecutter", str(TEMPLATE), typed=lines)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_carried(only_project(command_line), EVERYTHING, AUTHOR)


def test_carried_by_a_replay_file(command_line, tmp_path):
    answers = {**ANSWERS, "problem_statement": EVERYTHING, "author_name": AUTHOR}
    replay = tmp_path / "answers.json"
    replay.write_text(json.dumps({"cookiecutter": answers}))
    done = command_line("cookiecutter", str(TEMPLATE), "--replay-file", str(replay))
    assert done.returncode == 0, done.stdout + done.stderr
    assert_carried(only_project(command_line), EVERYTHING, AUTHOR)


def test_carried_by_cruft(command_line, template_repository):
    answers = json.dumps({"problem_statement": EVERYTHING, "author_name": AUTHOR})
    template = str(template_repository.path)
    done = command_line("cruft", "create", template, "--no-input", "--extra-context", answers)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_carried(only_project(command_line), EVERYTHING, AUTHOR)


REJECTED = {
    "parent folder": {"project_slug": "../evil"},
    "nested folders": {"project_slug": "a/b/c"},
    "absolute path": {"project_slug": "/tmp/xyz/abs"},
    "empty": {"project_slug": ""},
    "too long": {"project_slug": "a" * 61},
    "not ASCII": {"project_slug": "naïve"},
    "reserved by Windows": {"project_slug": "con"},
    "keyword": {"package_name": "class"},
    "library": {"package_name": "torch"},
    "folder": {"package_name": "tests"},
    "standard library": {"package_name": "json"},
    "built-in": {"package_name": "print"},
    "line break": {"problem_statement": "one\ntwo"},
    "blank": {"author_name": "  "},
    "all at once": {
        "project_name": "a\tb",
        "project_slug": "a/../../b",
        "package_name": "class",
        "problem_statement": "a" * 1001,
        "author_name": "",
    },
}


def assert_rejected(done, answers, command_line):
    """Assert that the run said one line for each answer, and left nothing behind."""
    assert done.returncode == 1
    printed = (done.stdout + done.stderr).splitlines()
    assert [line.split(": ")[0] for line in printed] == list(answers), printed
    assert list(command_line.out.iterdir()) == []
    assert not (command_line.out.parent / "evil").exists()


@pytest.mark.parametrize("answers", REJECTED.values(), ids=REJECTED)
def test_rejected_by_the_command_line(command_line, answers):
    given = [f"{field}={value}" for field, value in answers.items()]
    done = command_line("cookiecutter", str(TEMPLATE), "--no-input", *given)
    assert_rejected(done, answers, command_line)


def test_rejected_by_the_api(bake, tmp_path):
    with pytest.raises(FailedHookException) as rejection:
        bake(project_slug="a/b/c", package_name="class")
    _, second = str(rejection.value).splitlines()
    assert second == "package_name: 'class' is a Python keyword; choose another name"
    assert list(tmp_path.iterdir()) == []


def test_rejected_by_a_replay_file(command_line, tmp_path):
    answers = REJECTED["all at once"]
    replay = tmp_path / "answers.json"
    replay.write_text(json.dumps({"cookiecutter": {**ANSWERS, **answers}}))
    done = command_line("cookiecutter", str(TEMPLATE), "--replay-file", str(replay))
    assert_rejected(done, answers, command_line)


def test_rejected_by_cruft(command_line, template_repository):
    answers = REJECTED["all at once"]
    template = str(template_repository.path)
    extra = ("--extra-context", json.dumps(answers))
    done = command_line("cruft", "create", template, "--no-input", *extra)
    assert_rejected(done, answers, command_line)


def test_an_unknown_choice_is_rejected(command_line):
    done = command_line("cookiecutter", str(TEMPLATE), "--no-input", "license=GPL-3.0")
    assert done.returncode == 1
    # cookiecutter itself says so, with a traceback, before it runs anything of the template.
    assert "GPL-3.0 provided for choice variable license" in done.stderr.splitlines()[-1]
    assert list(command_line.out.iterdir()) == []


@pytest.mark.parametrize("text", ["It's 5 > 3 & 2 < 4, isn't it? Yes!", "R&D (2024): 50% more."])
def test_an_ordinary_sentence_is_plain_in_markdown(bake, text):
    assert text in bake(problem_statement=text).read("README.md")
