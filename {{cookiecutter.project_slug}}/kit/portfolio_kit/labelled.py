"""Looks at a table of texts with labels, for `adopt`."""

import re
from collections import Counter
from typing import Any

import pandas as pd

from . import columns, labels, markdown, tables
from .adopting import Asked, Seen
from .errors import UserError

SHOWN = 12  # classes
MIN_WORDS = 1.5  # of a text, on average: what has fewer is a name, a date or an address
# Words are told by blanks, and characters of scripts without blanks are words.
WORDS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\s\u3040-\u30ff\u3400-\u9fff]+")
MEASURE = re.compile(r"[+-]?\d+[-/.,:]\d.*")
LETTER = re.compile(r"[^\W\d_]")


def look(asked: Asked) -> Seen:
    """Return what a file of texts holds; raises `UserError` if it is not clear what is what."""
    source, known = asked.source, asked.known
    path, sha256 = tables.located(source, None, "data.source")
    table = columns.read(path)
    text, label = _columns(table, known, path.name)
    group = known.get("data.group_column")
    fields = {"data.text_column": text, "data.label_column": label, "data.group_column": group}
    wanted = {field: name for field, name in fields.items() if name is not None}
    tables.read(path, wanted, "data.source")  # each has to be there once
    values: dict[str, Any] = {"data.text_column": text, "data.label_column": label}
    if test := known.get("data.test_source"):
        held_out, values["data.test_sha256"] = tables.located(test, None, "data.test_source")
        both = {"data.text_column": text, "data.label_column": label}
        tables.read(held_out, both, "data.test_source")

    names = known.get("data.label_names")
    written = table[label].tolist()
    named = labels.named(written, names, must_occur=True)
    numbers = [one for one, bad in zip(named, labels.are_numbers(named, names), strict=True) if bad]
    if numbers:
        found = list(dict.fromkeys(map(labels.text_of, numbers)))
        pairs = " ".join(f"{one}=NAME" for one in found[: labels.SHOWN])
        more = " …" if len(found) > labels.SHOWN else ""
        raise UserError(
            f"data.label_column {label!r} of {path.name}: labels are numbers or booleans; name "
            f"each with --label-names {pairs}{more}"
        )
    counts = Counter(str(one) for one in named if one is not None and one == one)
    shown = ", ".join(
        f"{markdown.plain(name, 40)} {count:,}" for name, count in counts.most_common(SHOWN)
    )
    more = f" and {len(counts) - SHOWN:,} more" if len(counts) > SHOWN else ""
    lines = [
        *columns.shown(table, path.name),
        f"texts: {text!r}; labels: {label!r}, {len(counts):,} classes: {shown}{more}",
    ]
    unused = [repr(name) for name in table if name not in fields.values()]
    undecided = [f"data.group_column: {_or(unused)}, if its rows belong together"] if unused else []
    if group is not None:
        undecided = []
    rare = [name for name, count in counts.items() if count < labels.MIN_ROWS]
    if rare:
        undecided.append(
            f"{len(rare):,} classes have fewer than {labels.MIN_ROWS} rows, such as "
            f"{rare[0]!r:.40}, and are rejected by the data stage: join, fill or delete them"
        )
    return Seen(sha256, values, lines, undecided)


def _columns(table: pd.DataFrame, known: dict[str, Any], file: str) -> tuple[str, str]:
    """Return the columns of texts and labels: those given, or the only ones that can be meant.

    Raises one `UserError` with a line for each that is missing.
    """
    given = {known.get(f"data.{role}_column") for role in ("text", "label", "group")} - {None}
    found, problems = [], []
    for role, fits in (("text", are_texts), ("label", are_labels)):
        key = f"data.{role}_column"
        try:
            found.append(
                known.get(key) or columns.only(table, key, f"the {role}s", fits, given, file)
            )
        except UserError as error:
            problems.append(str(error))
    if problems:
        raise UserError("\n".join(problems))
    return found[0], found[1]


def are_texts(values: pd.Series) -> bool:
    """Tell whether values could be the texts: most of them differ, and have several words."""
    known = columns.present(values)
    if not len(known) or not known.map(lambda one: isinstance(one, str)).all():
        return False
    some = known.head(1_000)
    words = some.map(lambda text: sum(1 for one in WORDS.findall(text) if LETTER.search(one)))
    return bool(known.nunique() * 2 >= len(known) and words.mean() >= MIN_WORDS)


def are_labels(values: pd.Series) -> bool:
    """Tell whether values could be the labels: names or whole numbers that occur often."""
    texts = columns.present(values).map(labels.text_of).dropna()
    most = min(labels.MAX_CLASSES, len(texts) // labels.MIN_ROWS)
    return 2 <= texts.nunique() <= most and not texts.map(is_measure).all()


def is_measure(text: str) -> bool:
    """Tell whether a text is a date, a time or a fraction, which name no class."""
    return bool(MEASURE.fullmatch(text))


def _or(names: list[str]) -> str:
    return " or ".join(names[:5])
