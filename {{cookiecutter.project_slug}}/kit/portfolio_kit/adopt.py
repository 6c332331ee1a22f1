"""Adopts another data set: sets it in `params.yaml` and says what remains to be written.

What a data set is depends on the project's type: `params.py` names an `Adopting` of the kit, which
reads the data with the code of the data stage.
"""

import argparse
import hashlib
import io
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from . import artifacts, config, edits, markdown
from .adopting import Adopting, Asked
from .config import PARAMS_FILE
from .data_section import ABOUT, MARK
from .errors import UserError
from .project import Project
from .report import README

PYPROJECT = Path("pyproject.toml")
# Files that only the author can write, and what about.
WRITTEN_BY_HAND = {
    ABOUT: "what the data is, who made it, when, and on what terms",
    "tests/test_model.py": "its cases are the template's; add what your service must get right",
}


def add_arguments(verb: argparse.ArgumentParser, adopting: Adopting | None) -> None:
    """Declare what `adopt` takes on the command line."""
    verb.add_argument("source", metavar="SOURCE", help="the data: a file, a folder or a URL")
    verb.add_argument("--title", help="of the project")
    verb.add_argument("--statement", help='of the problem, in one sentence: "A service that …"')
    for option in adopting.options if adopting else ():
        verb.add_argument(
            option.flag,
            dest=option.key,
            nargs="+" if option.many else None,
            metavar=option.flag.removeprefix("--").upper(),
            help=option.help,
        )


def adopt(project: Project, options: Mapping[str, Any], others: Iterable[tuple[str, Any]]) -> None:
    """Show a data set, and set it in `params.yaml`, together with other keys.

    `options` are those of `add_arguments`. Raises `UserError` before anything is written.
    """
    adopting, schema = project.params.adopting, project.params
    source, title, says = options["source"], options["title"], options["statement"]
    if adopting is None:
        raise UserError("params.py: Params.adopting does not say how this project adopts data")
    if not source.strip():
        raise UserError("SOURCE: name a file, folder or URL: make adopt SOURCE=notes.csv")
    if isinstance(sys.stdout, io.TextIOWrapper):  # data may have what a console cannot show
        sys.stdout.reconfigure(errors="backslashreplace")
    given = dict(others)
    for option in adopting.options:
        if (typed := options[option.key]) is not None:
            try:
                given[option.key] = option.read(typed)
            except UserError as error:
                raise UserError(f"{option.flag}: {error}") from None
    known_keys = list(config.keys(schema))
    for key in given:
        if key not in known_keys:
            raise UserError(config.unknown(key, known_keys))
    text = config.text_of(PARAMS_FILE)
    now = dict(_flat(config.parsed(text)))
    source = _portable(source)
    is_same = now.get("data.source") == source
    describing = {*adopting.neutral, *(option.key for option in adopting.options)}
    kept = {key: now[key] for key in describing if is_same and key in now}
    seen = adopting.look(Asked(source, {**kept, **given}, now))
    values = {**adopting.neutral, **kept, **seen.values, **given}
    values |= {"data.source": source, "data.sha256": seen.sha256}
    if title is not None:
        values["serve.title"] = title = _one_line(title, "--title")
    if says is not None:
        says = _one_line(says, "--statement")
    if "serve.examples" in now and not is_same:
        values["serve.examples"] = None  # the run takes some from the training rows
    in_order = [key for key in dict.fromkeys([*now, *known_keys]) if key in known_keys]
    before = {key: _in_force(key, now, schema) for key in in_order if key in values}
    changes = {key: values[key] for key in before if values[key] != before[key]}
    files = {PARAMS_FILE: edits.yaml_values(text, changes)}
    config.check(schema, config.parsed(files[PARAMS_FILE]), {})
    readme = config.text_of(README)
    if title is not None or says is not None:
        files[README] = readme = edits.readme_lines(readme, title, says)
    if says is not None:
        toml = config.text_of(PYPROJECT)
        files[PYPROJECT] = edits.toml_description(toml, says)

    for path, content in reversed(files.items()):  # params.yaml last: only then it is adopted
        artifacts.write_text(path, content)
    print("\n".join(seen.lines))
    print(f"\n{PARAMS_FILE}: {'' if changes else 'nothing to change'}")
    for key, value in changes.items():
        print(f"  {key}: {edits.written(value)}  (was {_short(edits.written(before[key]))})")
    print("\nRemains to be written or decided, by you:")
    for line in [*seen.undecided, *_remaining(readme)]:
        print(f"- {line}")
    setup = "make setup (it registers the statement), then " if says is not None else ""
    print(f"\nNext: {setup}make pipeline; without make, python -m {project.package} pipeline")


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        yield f"{prefix}{name}", value
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")


def _portable(source: str) -> str:
    """Return a path inside the project's folder as any machine reads it; others as they are."""
    if "://" in source:
        return source
    path = Path(source)
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return source if path.is_absolute() else path.as_posix()


def _in_force(key: str, now: Mapping[str, Any], schema: type[BaseModel]) -> Any:
    """Return the value in the file, or else the default, if there is one."""
    if key in now:
        return now[key]
    model: Any = schema
    *sections, name = key.split(".")
    for part in sections:
        model = model.model_fields[part].annotation
    return model.model_fields[name].get_default(call_default_factory=True)


def _one_line(text: str, option: str) -> str:
    if not text.strip() or not text.isprintable():
        raise UserError(f"{option}: write one line of text")
    return text.strip()


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"


def _remaining(readme: str) -> Iterator[str]:
    """Yield what no run can write, as far as it still is as the template wrote it."""
    generated = _generated()
    answers = generated.get("answers", {})
    for option, mark, prompt in (
        ("--title", "#", "project_name"),
        ("--statement", ">", "problem_statement"),
    ):
        if f"{mark} {markdown.escaped(answers.get(prompt, chr(0)))}\n" in readme:
            yield f"{README}: the {option[2:]}, if it speaks of other data ({option})"
    sections = re.split(r"^## +", readme, flags=re.MULTILINE)
    names = [one.partition("\n")[0].strip() for one in sections if MARK in one]
    if names:
        yield f"{README}: {', '.join(names)}: they give the template's reasons for its data"
    for name, about in WRITTEN_BY_HAND.items():
        if (path := Path(name)).is_file():
            hash_ = hashlib.sha256(path.read_bytes()).hexdigest()
            if generated.get("files", {}).get(name, hash_) == hash_:
                yield f"{name}: {about}"


def _generated() -> dict[str, Any]:
    """Return what the project was generated from, if it is known."""
    try:
        return dict(json.loads(Path(".generated.json").read_bytes()))
    except (OSError, ValueError, TypeError):
        return {}
