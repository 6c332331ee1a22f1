"""Merges Markdown by section; where both sides changed a passage, the author's words win."""

import re
from collections.abc import Callable

Merge = Callable[[bytes, bytes, bytes], bytes]


def merge(ours: bytes, base: bytes, theirs: bytes, merge_text: Merge) -> bytes:
    """Return `theirs` with the author's edits, each in the section of its heading.

    Sections that the author added, or edited although the template has dropped them, follow the one
    before them.
    """
    mine, before, new = (split(content.decode()) for content in (ours, base, theirs))
    result = dict(new)
    previous = ""
    for heading, text in mine.items():
        if text != before.get(heading):
            versions = (one.get(heading, "").encode() for one in (mine, before, new))
            merged = merge_text(*versions).decode() if heading in new else text
            result = insert(result, previous, heading, merged)
        previous = heading if heading in result else previous
    for heading in before.keys() - mine.keys():  # removed by the author
        result.pop(heading, None)
    return "".join(result.values()).encode()


def split(text: str) -> dict[str, str]:
    """Return the sections by heading, which each includes; the text before the first is ""."""
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    return {part.partition("\n")[0] if part.startswith("## ") else "": part for part in parts}


def insert(sections: dict[str, str], after: str, heading: str, text: str) -> dict[str, str]:
    """Return the sections with one replaced, or put after another."""
    if heading in sections:
        return {**sections, heading: text}
    found: dict[str, str] = {}
    for name, content in sections.items():
        found[name] = content
        if name == after:
            found[heading] = text
    return found
