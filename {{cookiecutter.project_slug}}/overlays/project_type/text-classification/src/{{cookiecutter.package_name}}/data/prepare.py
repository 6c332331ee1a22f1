"""The data stage: one source in, three Parquet files and a manifest out."""

import warnings

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from portfolio_kit import artifacts, labels
from portfolio_kit.artifacts import PROCESSED
from portfolio_kit.errors import UserError
from portfolio_kit.text.near_duplicates import repeats, sign

from ..params import Params
from .readers import load

SPLITS = ("train", "valid", "test")


class Dataset(labels.Dataset):
    """The manifest of `data/processed/`."""


def prepare(params: Params) -> None:
    """Fetch, validate, split and write `data/processed/`, the manifest last."""
    data = params.data
    sha256, rows = load(data, data.source, data.sha256, "data.source")
    rows, dropped = deduplicate(rows)
    if data.test_source:
        # An official test file is used as it is.
        test_sha256, test = load(data, data.test_source, data.test_sha256, "data.test_source")
        known = rows["text"].isin(test["text"])
        if data.group_column:
            known |= rows["group"].isin(test["group"])
        dropped["in_test_source"] = int(known.sum())
        rest, fraction = rows[~known], data.valid_fraction
    else:
        test_sha256 = None
        rest, test = holdout(rows, data.test_fraction, params.seed)
        fraction = data.valid_fraction / (1 - data.test_fraction)
    train, valid = holdout(rest, fraction, params.seed)
    splits = {"train": train, "valid": valid, "test": test}
    if data.near_duplicate_similarity:
        dropped |= drop_near_duplicates(splits, data.near_duplicate_similarity)
    check_classes(splits, SPLITS[:2] if data.test_source else SPLITS, data.label_column)

    for name, part in splits.items():
        table = part[["text", "label", "group"]].reset_index(drop=True)
        artifacts.write_atomic(PROCESSED / f"{name}.parquet", table.to_parquet)
    dataset = Dataset.of(
        params,
        texts=zip(splits["train"]["text"], splits["train"]["label"], strict=True),
        sha256=sha256,
        test_sha256=test_sha256,
        rows={name: len(part) for name, part in splits.items()},
        dropped=dropped,
        classes=splits["train"]["label"].value_counts().to_dict(),
    )
    artifacts.write_manifest(PROCESSED, [f"{name}.parquet" for name in SPLITS], dataset)
    print(f"{PROCESSED}: rows {dataset.rows}, {len(dataset.classes)} classes, dropped {dropped}")


def read_split(name: str) -> pd.DataFrame:
    """Return the columns text, label and group of `train`, `valid` or `test`."""
    return pd.read_parquet(PROCESSED / f"{name}.parquet")


def deduplicate(rows: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Keep one row per text; a text with several labels has no right answer, so all its rows go."""
    repeated = rows.duplicated(["text", "label"])
    contradictory = rows.groupby("text")["label"].transform("nunique") > 1
    reasons = {"repeat an earlier text": repeated, "contradict another": contradictory}
    for reason, bad in reasons.items():
        if bad.any():
            lines = ", ".join(map(str, rows.loc[bad, "line"].head(3)))
            print(f"note: data.text_column: {bad.sum():,} rows {reason} (lines {lines}); dropped")
    dropped = dict(rows.attrs.get("dropped", {}))
    dropped["repeated"] = int((repeated & ~contradictory).sum())
    dropped["contradictory"] = int(contradictory.sum())
    return rows[~repeated & ~contradictory], dropped


def holdout(rows: pd.DataFrame, fraction: float, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Hold out about `fraction` of the rows, stratified by class, each group on one side."""
    # If every group is one row, the plain splitter does the same in linear time.
    groups = rows["group"] if rows["group"].duplicated().any() else None
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    parts = kind(n_splits=round(1 / fraction), shuffle=True, random_state=seed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about rare classes; check_classes says it better
            kept, held_out = next(parts.split(rows["text"], rows["label"], groups))
    except ValueError:
        raise UserError(
            f"data.{'label' if groups is None else 'group'}_column: {len(rows)} rows in "
            f"{rows['group'].nunique()} groups are too few to hold out one part in "
            f"{parts.n_splits} of each class; add rows"
        ) from None
    return rows.iloc[kept], rows.iloc[held_out]


def drop_near_duplicates(splits: dict[str, pd.DataFrame], similarity: float) -> dict[str, int]:
    """Drop rows of train that nearly repeat valid or test, and rows of valid that repeat test.

    Changes `splits` in place and returns how many rows were dropped. The test set stays whole.
    """
    signed = {name: sign(splits[name]["text"].tolist()) for name in SPLITS}
    counts = {}
    for name, others in (("train", SPLITS[1:]), ("valid", SPLITS[2:])):
        pairs = [repeats(signed[name], signed[other], similarity) for other in others]
        repeated = np.any(pairs, axis=0)
        splits[name] = splits[name][~repeated]
        counts[f"near_duplicates_in_{name}"] = int(repeated.sum())
    return counts


def check_classes(splits: dict[str, pd.DataFrame], wanted: tuple[str, ...], column: str) -> None:
    """Raise `UserError` unless there are two classes, and each is in every wanted split."""
    classes = set().union(*(part["label"] for part in splits.values()))
    where = f"data.label_column {column!r}"
    if len(classes) < 2:
        raise UserError(f"{where}: only {classes} is left; at least two classes are needed")
    for name in wanted:
        if missing := ", ".join(sorted(classes - set(splits[name]["label"]))):
            reason = f"too rare to split, {name} has no row of {missing}"
            raise UserError(f"{where}: {reason}; add rows or groups, or merge classes")
