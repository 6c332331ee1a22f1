"""Requests to try the model with, from its training data: on the page, and in the README."""

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

REQUEST = Path("scripts/example_request.json")  # what a deployment is tested with, too
MOST, LONGEST = 4, 160  # texts, and characters of each
# What would end the quoted argument, or look like a marker of the README.
ESCAPED = {ord(character): f"\\u{ord(character):04x}" for character in "'<"}


def choose(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Return a text of each of the most common kinds: the one of median length that is not long.

    Rows are a text and its kind, such as its label. Long texts are cut where there are no others.
    """
    by_kind = defaultdict[str, list[str]](list)
    for text, kind in rows:
        if line := " ".join(text.split()):
            by_kind[kind].append(line)
    chosen = dict[str, None]()
    for kind in sorted(by_kind, key=lambda kind: (-len(by_kind[kind]), kind)):
        short = [line for line in by_kind[kind] if len(line) <= LONGEST]
        lines = short or [line[:LONGEST].rsplit(" ", 1)[0] for line in by_kind[kind]]
        chosen[sorted(lines, key=lambda line: (len(line), line))[len(lines) // 2]] = None
        if len(chosen) == MOST:
            break
    return list(chosen)


def shown(request: dict[str, Any]) -> str:
    """Return a request, with its `path` and `body`, as the README shows it."""
    body = json.dumps(request["body"], ensure_ascii=False).translate(ESCAPED)
    return (
        f"One request, also in [`{REQUEST.as_posix()}`]({REQUEST.as_posix()}):\n\n"
        f"```\ncurl -s http://127.0.0.1:8000{request['path']} "
        f"-H 'Content-Type: application/json' \\\n  -d '{body}'\n```"
    )
