"""The checks at the boundary: what passes here can be trained on."""

from typing import Any

import pandas as pd
import pandera.pandas as pa

from ..errors import UserError
from ..params import Data

MIN_ROWS = 3  # of a class: one for each of train, valid and test
MAX_CLASSES = 1_000  # a column with more is no label, and splitting by it takes all memory
EXAMPLES = 3


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return isinstance(value, str)


def _is_unicode(value: object) -> bool:
    """Tell whether a value can be written down: half a surrogate pair, as in "\\ud83d", cannot."""
    try:
        str(value).encode()
    except UnicodeEncodeError:
        return False
    return True


# A missing value is a failure of "not text", not a reason to skip the check.
EACH: Any = {"element_wise": True, "ignore_na": False}
TEXT = pa.Check(lambda value: isinstance(value, str), error="not text", **EACH)
FILLED = pa.Check(lambda value: str(value).strip() != "", error="empty", **EACH)
NAME = pa.Check(lambda value: not _is_number(value), error="a number, not a name", **EACH)
WHOLE = pa.Check(_is_unicode, error="no Unicode", **EACH)
COMMON = pa.Check(
    lambda labels: labels.astype(str).map(labels.astype(str).value_counts()) >= MIN_ROWS,
    error=f"of a class with fewer than {MIN_ROWS} rows",
)
COLUMNS = {
    "text": pa.Column(checks=[TEXT, FILLED, WHOLE], nullable=True),
    "label": pa.Column(checks=[TEXT, FILLED, WHOLE, NAME], nullable=True),
    "group": pa.Column(checks=[TEXT, FILLED, WHOLE], nullable=True),
}
READABLE = pa.DataFrameSchema(COLUMNS)
SPLITTABLE = pa.DataFrameSchema(
    {**COLUMNS, "label": pa.Column(checks=[TEXT, FILLED, WHOLE, NAME, COMMON], nullable=True)},
    checks=[
        pa.Check(
            lambda rows: rows["label"].astype(str).nunique() > 1,
            error="at least two classes are needed",
        ),
        pa.Check(
            lambda rows: rows["label"].astype(str).nunique() <= MAX_CLASSES,
            error=f"more than {MAX_CLASSES:,} classes; name the column of the labels",
        ),
    ],
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


def describe(bad: pd.DataFrame, column: str) -> str:
    """Return "2 rows (line 4: 'x', line 9: '') are"."""
    first = bad.head(EXAMPLES)
    shown = ", ".join(
        f"line {line}: {value!r:.40}"
        for line, value in zip(first["line"], first[column], strict=True)
    )
    more = ", ..." if len(bad) > EXAMPLES else ""
    return f"{len(bad)} row{'s' * (len(bad) > 1)} ({shown}{more}) {'are' if len(bad) > 1 else 'is'}"
