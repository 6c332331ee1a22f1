"""What `monitor` compares with, kept next to the model: signals of data that was new to it."""

import csv
from pathlib import Path

import pandas as pd

from ..errors import UserError

REFERENCE = "reference.csv"
MAX_ROWS = 2_000
MODE = "mode"  # a signal: how a model answered, if it can in several ways


def write(folder: Path, signals: list[dict[str, float | str]]) -> None:
    """Write one row per answer and one column per signal."""
    with (folder / REFERENCE).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(signals[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(signals)


def read(folder: Path) -> pd.DataFrame:
    """Return the signals, with numbers as floats."""
    try:
        table = pd.read_csv(folder / REFERENCE, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder / REFERENCE}: cannot be read ({error}); run `make train` on data with a "
            "validation set"
        ) from None
    return table.astype(dict.fromkeys(table.select_dtypes("number"), float))


def alike(reference: pd.DataFrame, window: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that were answered in a mode that the window has, too."""
    return reference[reference[MODE].isin(window[MODE])] if MODE in reference else reference
