"""Tables of any text, for people to read."""

import re
from collections.abc import Iterable


def table(header: str, rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table under a header such as "label|text"; long texts are cut."""
    lines = [header.split("|"), ["---"] * (header.count("|") + 1), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    plain = " ".join(text.split())
    short = plain if len(plain) <= 300 else plain[:299] + "…"
    return re.sub(r"[\\`*_\[\]|<>$~]", r"\\\g<0>", short)
