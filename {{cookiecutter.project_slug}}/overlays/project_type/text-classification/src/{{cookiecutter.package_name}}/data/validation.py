"""The checks at the boundary: rows that pass can be trained on."""

from typing import Any

import pandas as pd
import pandera.pandas as pa

from portfolio_kit.errors import UserError
from portfolio_kit.tables import describe

from ..params import Data

MIN_ROWS = 3  # of a class: one each for train, valid and test
MAX_CLASSES = 1_000  # a column with more is not a label, and splitting by it takes all memory


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return isinstance(value, str)


def _is_unicode(value: object) -> bool:
    """Tell whether a value can be encoded; half a surrogate pair, as in "\\ud83d", cannot."""
    try:
        str(value).encode()
    except UnicodeEncodeError:
        return False
    return True


# A missing value fails the check "not text" instead of skipping it.
EACH: Any = {"element_wise": True, "ignore_na": False}
TEXT = pa.Check(lambda value: isinstance(value, str), error="not text", **EACH)
FILLED = pa.Check(lambda value: str(value).strip() != "", error="empty", **EACH)
NAME = pa.Check(lambda value: not _is_number(value), error="a number, not a name", **EACH)
UNICODE = pa.Check(_is_unicode, error="not valid Unicode", **EACH)
COMMON = pa.Check(
    lambda labels: labels.astype(str).map(labels.astype(str).value_counts()) >= MIN_ROWS,
    error=f"of a class with fewer than {MIN_ROWS} rows",
)
SEVERAL = pa.Check(
    lambda rows: rows["label"].astype(str).nunique() > 1, error="at least two classes are needed"
)
FEW = pa.Check(
    lambda rows: rows["label"].astype(str).nunique() <= MAX_CLASSES,
    error=f"more than {MAX_CLASSES:,} classes; name the column of the labels",
)
COLUMNS = {
    "text": pa.Column(checks=[TEXT, FILLED, UNICODE], nullable=True),
    "label": pa.Column(checks=[TEXT, FILLED, UNICODE, NAME], nullable=True),
    "group": pa.Column(checks=[TEXT, FILLED, UNICODE], nullable=True),
}
READABLE = pa.DataFrameSchema(COLUMNS)
SPLITTABLE = pa.DataFrameSchema(
    {**COLUMNS, "label": pa.Column(checks=[TEXT, FILLED, UNICODE, NAME, COMMON], nullable=True)},
    checks=[SEVERAL, FEW],
)


def check(rows: pd.DataFrame, data: Data, file: str, schema: pa.DataFrameSchema) -> None:
    """Raise one `UserError` with a line for each thing that is wrong with `rows`.

    Each line names the parameter and the column, counts the rows, and shows the first three.
    """
    try:
        schema.validate(rows, lazy=True)
    except pa.errors.SchemaErrors as error:
        columns = {"text": data.text_column, "label": data.label_column, "group": data.group_column}
        messages = []
        for (column, reason), cases in error.failure_cases.groupby(
            ["column", "check"], sort=False, dropna=False
        ):
            if column in columns:
                bad = rows.loc[sorted(set(cases["index"]))]
                reason = f"{describe(bad, column)} {reason}"
            else:  # a check of the whole table
                column = "label"
            messages.append(f"data.{column}_column {columns[column]!r} of {file}: {reason}")
        raise UserError("\n".join(messages)) from None
