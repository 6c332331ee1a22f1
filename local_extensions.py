"""What this template adds to cookiecutter: answers stay data, and are checked before writing."""

import json
import re
import runpy
import sys
import tomllib
from functools import cache
from itertools import pairwise
from pathlib import Path

from cookiecutter.config import BUILTIN_ABBREVIATIONS
from cookiecutter.exceptions import FailedHookException
from cookiecutter.repository import expand_abbreviations
from jinja2.ext import Extension
from slugify import slugify

TEMPLATE = Path(__file__).resolve().parent
PROJECT_FOLDER = "{{cookiecutter.project_slug}}"


class RejectedAnswers(FailedHookException, SystemExit):
    """One line per bad answer, shown without a traceback."""

    def __init__(self, lines):
        super().__init__("\n".join(lines))
        # cookiecutter prints a failed hook's message and exits 1. cruft catches nothing, but for
        # SystemExit Python does the same with this code.
        self.code = str(self)


@cache
def rules():
    """Return the names that hooks/pre_gen_project.py defines: each rule exists once."""
    return runpy.run_path(str(TEMPLATE / "hooks" / "pre_gen_project.py"))


@cache
def prompts():
    """Return the contents of cookiecutter.json."""
    return json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))


@cache
def choices():
    """Return the values on offer for each prompt that is a choice."""
    return {
        name: raw
        for name, raw in prompts().items()
        if isinstance(raw, list) and not name.startswith("_")
    }


@cache
def hooks():
    """Return the texts of the hooks, which cookiecutter renders, but not from a file."""
    return {hook.read_text(encoding="utf-8") for hook in (TEMPLATE / "hooks").glob("*.py")}


@cache
def defaults():
    """Return for each default that is derived its prompt and the prompt before that."""
    asked = [(name, raw) for name, raw in prompts().items() if not name.startswith("_")]
    return {
        raw: (name, before) for (before, _), (name, raw) in pairwise(asked) if isinstance(raw, str)
    }


def facts(answers):
    """Return what a project records of its making: the template, its version, the answers."""
    about = tomllib.loads((TEMPLATE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {
        "template": address(str(answers["_template"])),
        "version": about["version"],
        "answers": {name: answers[name] for name in prompts() if not name.startswith("_")},
    }


def address(template):
    """Return where a project finds its template again: a URL, or a folder of this machine."""
    url = expand_abbreviations(template, BUILTIN_ABBREVIATIONS)
    is_remote = "://" in url or re.match(r"[\w.-]+@[\w.-]+:", url)
    return url if is_remote or Path(url).is_absolute() else str(TEMPLATE)


def checked(answers):
    """Return the project's folder name, or raise RejectedAnswers for answers that break a rule.

    Overlays that the answers leave out are removed by the hook, so they need no rendering.
    """
    if "_template" not in answers:  # still prompting: an answer that spells the folder's name
        return PROJECT_FOLDER
    faults = rules()["errors"](answers, choices())
    if faults:
        raise RejectedAnswers(faults)
    unused = (
        f"overlays/{prompt}/{other}"
        for prompt, offered in choices().items()
        for other in offered
        if other != answers[prompt]
    )
    answers["_copy_without_render"] = [*prompts()["_copy_without_render"], *unused]
    return answers["project_slug"]


def slug(project_name):
    """Return a project_slug, made from the project's name, that passes the rules."""
    name = slugify(str(project_name), max_length=57, word_boundary=True)
    return f"my-{name}".strip("-") if rules()["fault"]("project_slug", name) else name


def package(project_slug):
    """Return a package_name, made from the project's slug, that passes the rules."""
    name = slugify(str(project_slug), max_length=37, word_boundary=True, separator="_")
    return f"my_{name}".strip("_") if rules()["fault"]("package_name", name) else name


def literal(text):
    """Return a template that renders to the text, whatever Jinja it contains."""
    return '{{ "' + "".join(f"\\U{ord(character):08x}" for character in text) + '" }}'


def quoted(text):
    """Return the text in double quotes, as TOML, YAML, JSON and Python all read it."""
    return json.dumps(text, ensure_ascii=False)


def markdown(text):
    """Return the text with a backslash before what Markdown would read as markup."""
    text = re.sub(r"[\\`*_\[\]|~$]|<(?=\S)|&(?=#?\w+;)|(?<!\S)#", r"\\\g<0>", text.strip(" "))
    text = re.sub(r"^(?=[-+=>])", r"\\", text)
    return re.sub(r"^(\d+)(?=[.)](\s|$))", r"\1\\", text)


class TemplateExtension(Extension):
    """The template's filters, and the guard that keeps answers from being rendered."""

    def __init__(self, environment):
        super().__init__(environment)
        environment.globals["choices"] = choices()
        environment.filters.update(
            checked=checked,
            facts=facts,
            markdown=markdown,
            package=package,
            quoted=quoted,
            slug=slug,
        )
        # `cruft update` renders two versions of the template in one process: each imports its own.
        sys.modules.pop(__name__, None)

    def preprocess(self, source, name, filename=None):
        """Return the source to render: an answer becomes a literal, whatever Jinja it contains."""
        is_file_or_path = name is not None or self.environment.loader is not None
        if is_file_or_path:
            return source
        # The folder's name is what cookiecutter renders after the prompts and before it writes.
        if source == PROJECT_FOLDER:
            return "{{ cookiecutter | checked }}"
        if not re.search(r"{[{%#]", source) or source in hooks():
            return source
        if source not in defaults():
            return literal(source)
        # An answer may spell a prompt's default. It is the default in that prompt's turn: when the
        # one before it is answered, and it is not. (A replay file leaves out what it answers.)
        prompt, before = defaults()[source]
        turn = f'"{before}" in cookiecutter and "{prompt}" not in cookiecutter'
        replayed = f'"{next(iter(prompts()))}" not in cookiecutter'
        return f"{{% if {turn} or {replayed} %}}{source}{{% else %}}{literal(source)}{{% endif %}}"
