"""Applies to a file what the template merely reworded: docstrings, and comments of parameters.

Next to an author's edit, a new wording would be a conflict, though nothing but words has changed.
"""

import ast
import re
from collections.abc import Iterator

PARAMETER = re.compile(r"^( *)([\w-]+):(.*?)( +#.*)?$")
RENAMED = {"monitor.refused": "monitor.invalid"}


def reword(content: bytes, base: bytes, new: bytes, name: str) -> bytes:
    """Return a version of a file in the words of `new`, where it has those of `base`."""
    kind = _parameters if name == "params.yaml" else _docstrings
    if name != "params.yaml" and not name.endswith(".py"):
        return content
    try:
        return kind(content.decode(), base.decode(), new.decode()).encode()
    except (SyntaxError, ValueError):  # not text, or not Python that this version reads
        return content


def _docstrings(text: str, base: str, new: str) -> str:
    ours, before, after = (dict(_quoted(one)) for one in (text, base, new))
    lines = text.splitlines(keepends=True)
    for place in sorted(ours, key=lambda place: -ours[place][0]):
        start, end, words = ours[place]
        if place in after and words == before.get(place, (0, 0, None))[2]:
            lines[start:end] = [after[place][2]]
    return "".join(lines)


def _quoted(source: str) -> Iterator[tuple[str, tuple[int, int, str]]]:
    """Yield each docstring's place with its first line, the line after it, and its lines."""
    lines = source.splitlines(keepends=True)

    def visit(node: ast.AST, place: str) -> Iterator[tuple[str, tuple[int, int, str]]]:
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            return
        first = body[0] if body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            start, end = first.lineno - 1, first.end_lineno or first.lineno
            yield place, (start, end, "".join(lines[start:end]))
        for child in body:
            yield from visit(child, f"{place}.{getattr(child, 'name', '')}")

    yield from visit(ast.parse(source), "")


def _parameters(text: str, base: str, new: str) -> str:
    before, after = ({key: line for key, line in _keyed(one) if key} for one in (base, new))
    lines = []
    for key, line in _keyed(text):
        known, wanted = before.get(key), after.get(RENAMED.get(key, key))
        if known and wanted:
            ours, theirs, said = (PARAMETER.fullmatch(one) for one in (line, known, wanted))
            if ours and theirs and said:
                comment = said[4] if ours[4] == theirs[4] else ours[4]
                line = f"{said[1]}{said[2]}:{ours[3]}{comment or ''}"
        lines.append(line)
    return "\n".join(lines)


def _keyed(text: str) -> Iterator[tuple[str, str]]:
    """Yield each line with the dotted key that it sets, or with nothing."""
    section = ""
    for line in text.split("\n"):
        match = PARAMETER.fullmatch(line)
        if match and not match[1]:
            section = match[2]
            yield section, line
        else:
            yield (f"{section}.{match[2]}" if match else ""), line
