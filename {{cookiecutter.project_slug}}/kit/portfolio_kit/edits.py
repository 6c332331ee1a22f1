"""Changes single values in files that people write: comments, order and layout stay."""

import json
import math
import re
import tomllib
from collections.abc import Mapping
from typing import Any

import yaml

from . import markdown
from .config import PARAMS_FILE, parsed
from .errors import UserError


def yaml_values(text: str, changes: Mapping[str, Any]) -> str:
    """Return YAML with other values at dotted keys; a missing key is added to its section.

    Raises `UserError`, which names the key, if the file is written in a way that prevents this.
    """
    for key, value in changes.items():
        try:
            wanted = section = parsed(text)
            *sections, name = key.split(".")
            for part in sections:
                section = section[part]
            section[name] = value
            text = _with(text, key, value)
            is_done = parsed(text) == wanted
        except (LookupError, TypeError, ValueError, UserError):
            is_done = False
        if not is_done:  # anchors, merged mappings, a missing section and the like
            raise UserError(
                f"{PARAMS_FILE}: {key} cannot be changed where it is; set it to {written(value)} "
                "yourself, then run this again"
            )
    return text


def written(value: Any) -> str:
    """Return a value as YAML on one line."""
    options: Any = {"default_flow_style": True, "allow_unicode": True, "width": math.inf}
    line = yaml.safe_dump([value], sort_keys=False, **options).strip()[1:-1]
    return json.dumps(value, ensure_ascii=False) if "\n" in line else line


def _with(text: str, key: str, value: Any) -> str:
    *sections, name = key.split(".")
    node = yaml.compose(text, yaml.SafeLoader)
    for part in sections:
        node = _entries(node)[part][1]
    entries = _entries(node)
    if name not in entries:
        return _with_new(text, node, name, written(value))
    named, old = entries[name]
    start, end = old.start_mark.index, old.end_mark.index
    if start < named.end_mark.index:
        raise ValueError("an alias: its value is written elsewhere")
    if start == end:  # nothing is written there, which means null
        return f"{text[:start]} {written(value)}{text[end:]}"
    if not _spans_lines(old):
        return f"{text[:start]}{written(value)}{text[end:]}"
    # A block on separate lines gives way to a value behind the key, before a comment.
    colon = text.index(":", named.end_mark.index) + 1
    first_end, last_end = _end_of_line(text, colon), _end_of_line(text, _end(text, old))
    comment = re.search(r"[ \t]+#.*$", text[colon:first_end])
    return f"{text[:colon]} {written(value)}{comment[0] if comment else ''}{text[last_end:]}"


def _with_new(text: str, section: yaml.MappingNode, name: str, value: str) -> str:
    """Add an entry after the first one with a single value; `ValueError` if there is none."""
    scalars = (pair for pair in section.value if isinstance(pair[1], yaml.ScalarNode))
    named, old = min(scalars, key=lambda pair: _spans_lines(pair[1]))
    if section.flow_style:
        end = old.end_mark.index
        return f"{text[:end]}, {name}: {value}{text[end:]}"
    end = _end_of_line(text, old.end_mark.index)
    line_end = "\r\n" if "\r\n" in text else "\n"
    return f"{text[:end]}{line_end}{' ' * named.start_mark.column}{name}: {value}{text[end:]}"


def _entries(node: Any) -> dict[str, tuple[Any, Any]]:
    return {key.value: (key, value) for key, value in node.value}


def _spans_lines(node: yaml.Node) -> bool:
    is_block = isinstance(node, yaml.CollectionNode) and not node.flow_style
    return is_block or (isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"))


def _end(text: str, node: yaml.Node) -> int:
    """Return where a value ends; to the parser, a block ends only where something else begins."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(text, last[1] if isinstance(last, tuple) else last)
    end = node.end_mark.index
    return len(text[:end].rstrip()) if _spans_lines(node) else end


def _end_of_line(text: str, place: int) -> int:
    found = re.compile(r"\r?\n|\Z").search(text, place)
    return found.start() if found else len(text)


def readme_lines(text: str, title: str | None, statement: str | None) -> str:
    """Return a README with another title, or another statement of the problem under it."""
    quote = r">[^\r\n]*"
    for mark, pattern, line in (
        ("#", r"#[ \t][^\r\n]*", title),
        (">", rf"{quote}(?:\r?\n{quote})*", statement),
    ):
        if line is None:
            continue
        top = re.split(r"^## ", text, maxsplit=1, flags=re.M)[0]
        old = re.search(f"^{pattern}", top, re.M)
        if old is None:
            raise UserError(
                'README.md: begin it with the title ("# …"), and under it the problem in one '
                'sentence ("> …")'
            )
        text = f"{text[: old.start()]}{mark} {markdown.escaped(line)}{text[old.end() :]}"
    return text


def toml_description(text: str, description: str) -> str:
    """Return a `pyproject.toml` with another `description` of the project."""
    line = f"description = {json.dumps(description, ensure_ascii=False)}"
    changed = re.sub(r"^description[ \t]*=[^\r\n]*", lambda _: line, text, count=1, flags=re.M)
    try:
        wanted = tomllib.loads(text)
        wanted["project"]["description"] = description
        is_done = tomllib.loads(changed) == wanted
    except (ValueError, KeyError):
        is_done = False
    if not is_done:
        raise UserError("pyproject.toml: [project] has no description on one line; write it there")
    return changed
