"""What `monitor` compares with, kept beside the model: signals of data not trained on."""

import csv
from pathlib import Path

import pandas as pd

from ..errors import UserError
from ..serving.prediction_log import MODE

REFERENCE = "reference.csv"
MAX_ROWS = 2_000
Signals = dict[str, float | str]


def write(folder: Path, signals: list[Signals]) -> None:
    """Write a row for each answer, a column for each signal."""
    with (folder / REFERENCE).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(signals[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(signals)


def read(folder: Path) -> pd.DataFrame:
    """Return the signals of the data that the model is to be judged by; numbers are floats."""
    try:
        table = pd.read_csv(folder / REFERENCE, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder / REFERENCE}: cannot be read ({error}); run train again, with data that has "
            "a validation set"
        ) from None
    return table.astype(dict.fromkeys(table.select_dtypes("number"), float))


def alike(reference: pd.DataFrame, window: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that were answered in a way that the window has too; without ways, all."""
    return reference[reference[MODE].isin(window[MODE])] if MODE in reference else reference
