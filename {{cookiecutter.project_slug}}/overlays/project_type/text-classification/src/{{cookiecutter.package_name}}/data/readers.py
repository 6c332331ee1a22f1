"""Reads a data file into valid rows with the columns text, label, group and line."""

from collections.abc import Iterator

import pandas as pd

from portfolio_kit import labels, tables
from portfolio_kit.errors import UserError
from portfolio_kit.labels import Names

from ..params import Data
from . import attack


def load(data: Data, source: str, pin: str | None, field: str) -> tuple[str, pd.DataFrame]:
    """Return the hash of a file and its rows, each with the line (or row) where it starts.

    Without a group column each row is its own group. Raises `UserError`, which names the parameter,
    for a file that cannot be fetched or parsed, for missing columns, and for invalid rows.
    """
    path, sha256 = tables.fetch(source, pin, field)
    columns = {"text": data.text_column, "label": data.label_column, "group": data.group_column}
    given = {role: name for role, name in columns.items() if name is not None}
    fields = {f"data.{role}_column": name for role, name in given.items()}
    found = tables.read(path, fields, field, {".json": attack.read})
    rows = pd.DataFrame({role: found.table[name].astype(object) for role, name in given.items()})
    written, names, to_split = rows["label"].tolist(), data.label_names, field == "data.source"
    rows["label"] = pd.Series(labels.named(written, names, to_split), dtype=object)
    groups = rows["group"] if data.group_column else found.table.index.to_series()
    rows["group"] = groups.where(groups.isna(), groups.astype(str).map(labels.tidy))
    rows["line"] = found.lines
    rows.attrs = found.table.attrs
    where = {role: f"data.{role}_column {name!r} of {path.name}" for role, name in given.items()}
    check(rows, where, to_split, names)
    labels.report(written, names, where["label"])
    return sha256, rows


def check(rows: pd.DataFrame, where: dict[str, str], to_split: bool, names: Names | None) -> None:
    """Raise one `UserError` with a line for each thing that is wrong with `rows`.

    Each line says `where`, by column, counts the rows, and shows the first three. Rows `to_split`
    need several classes, and enough rows of each. `names` are those given to labels.
    """
    problems = [
        f"{place}: {tables.describe(rows[bad], role)} {fault}"
        for role, place in where.items()
        for fault, bad in faults(rows[role], role == "label", to_split, names)
        if bad.any()
    ]
    classes = rows["label"].map(str).nunique()
    if to_split and classes < 2:
        problems.append(f"{where['label']}: at least two classes are needed")
    if to_split and classes > labels.MAX_CLASSES:
        reason = f"more than {labels.MAX_CLASSES:,} classes; name the column of the labels"
        problems.append(f"{where['label']}: {reason}")
    if problems:
        raise UserError("\n".join(problems))


def faults(
    values: pd.Series, are_labels: bool, to_split: bool, names: Names | None
) -> Iterator[tuple[str, pd.Series]]:
    """Yield what can be wrong with a value, and which rows have that fault: bool (rows,)."""
    is_number = pd.Series(are_labels and labels.are_numbers(values, names), values.index)
    for fault, bad in tables.text_faults(values):
        yield fault, bad & ~is_number
    if is_number.any():
        yield labels.no_name(values[is_number]), is_number
    if are_labels and to_split:
        rows = values.map(str).map(values.map(str).value_counts())
        yield f"of a class with fewer than {labels.MIN_ROWS} rows", rows < labels.MIN_ROWS
