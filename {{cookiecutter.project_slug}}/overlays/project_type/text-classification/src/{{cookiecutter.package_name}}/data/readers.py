"""Reads a data file into the columns text, label, group and line."""

from pathlib import Path

import pandas as pd

from portfolio_kit import tables

from ..params import Data
from . import attack


def read(path: Path, data: Data, source: str) -> pd.DataFrame:
    """Return one row per record: text, label, group, and the line (or row) where it starts.

    Without a group column each record is its own group. Raises `UserError`, which names the
    parameter `source`, for a file that is empty or cannot be parsed, and for missing columns.
    """
    roles = {"text": data.text_column, "label": data.label_column, "group": data.group_column}
    columns = {role: name for role, name in roles.items() if name is not None}
    fields = {f"data.{role}_column": name for role, name in columns.items()}
    found = tables.read(path, fields, source, {".json": attack.read})
    rows = pd.DataFrame({role: found.table[name].astype(object) for role, name in columns.items()})
    rows["label"] = rows["label"].map(lambda v: v.strip() if isinstance(v, str) else v)
    groups = rows["group"] if data.group_column else found.table.index.to_series()
    rows["group"] = groups.where(groups.isna(), groups.astype(str))
    rows.attrs = found.table.attrs
    return rows.assign(line=found.lines)
