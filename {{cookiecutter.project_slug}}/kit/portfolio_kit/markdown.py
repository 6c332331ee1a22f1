"""Arbitrary text in Markdown."""

import re
from collections.abc import Iterable

MAX_CHARACTERS = 300  # of a cell
MAX_MARKS = 20


def table(header: str, rows: Iterable[Iterable[str]]) -> str:
    """Return a table under a header such as "label|text"; long cells are cut."""
    lines = [header.split("|"), ["---"] * (header.count("|") + 1)]
    cells = [map(cell, row) for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in [*lines, *cells])


def cell(text: str) -> str:
    """Return text on one line with nothing that Markdown would read as markup."""
    return re.sub(r"[\\`*_\[\]|<>$~]", r"\\\g<0>", plain(text, MAX_CHARACTERS))


def escaped(text: str) -> str:
    """Return a line of text with a backslash before what Markdown would read as markup."""
    text = re.sub(r"[\\`*_\[\]|~$]|<(?=\S)|&(?=#?\w+;)|(?<!\S)#", r"\\\g<0>", text.strip(" "))
    text = re.sub(r"^(?=[-+=>])", r"\\", text)
    return re.sub(r"^(\d+)(?=[.)](\s|$))", r"\1\\", text)


def plain(text: str, most: int) -> str:
    """Return text on one line, cut to `most` characters, without control characters."""
    line = "".join(filter(str.isprintable, " ".join(text.split())))
    return line if len(line) <= most else line[: most - 1] + "…"


def legend(marks: dict[str, str]) -> str:
    """Return a sentence on the letters that figures show a mark for; empty if there are none."""
    if not marks:
        return ""
    shown = ", ".join(f"{cell(mark)} {cell(of)}" for mark, of in [*marks.items()][:MAX_MARKS])
    more = f" and {len(marks) - MAX_MARKS:,} more" if len(marks) > MAX_MARKS else ""
    return f"Marks in the figures, for letters that no font had at the time: {shown}{more}."
