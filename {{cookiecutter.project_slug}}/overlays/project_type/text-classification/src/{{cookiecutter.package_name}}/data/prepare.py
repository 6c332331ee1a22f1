"""The data stage: one source in, three Parquet files and a manifest out."""

from pathlib import Path

import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from .. import artifacts
from ..artifacts import PROCESSED, RAW
from ..errors import UserError
from ..params import Params
from . import readers, sources, validation

SPLITS = ("train", "valid", "test")


def run(params: Params) -> None:
    """Fetch, validate, split and write `data/processed/`, the manifest last."""
    path, rows = _load(params, params.data.source, params.data.sha256, "data.source")
    rows, dropped = deduplicate(rows)
    if params.data.test_source:
        source, pin = params.data.test_source, params.data.test_sha256
        _, test = _load(params, source, pin, "data.test_source")
        test, _ = deduplicate(test)
        known = rows["text"].isin(test["text"])
        if params.data.group_column:
            known |= rows["group"].isin(test["group"])
        dropped["in_test_source"] = int(known.sum())
        train, valid = holdout(rows[~known], params.data.valid_fraction, params.seed)
    else:
        rest, test = holdout(rows, params.data.test_fraction, params.seed)
        fraction = params.data.valid_fraction / (1 - params.data.test_fraction)
        train, valid = holdout(rest, fraction, params.seed)
    splits = {"train": train, "valid": valid, "test": test}
    # An official test file is taken as it is; of the rest, each part needs a row of each class.
    wanted = ("train", "valid") if params.data.test_source else SPLITS
    _check_classes(splits, wanted, params.data.label_column)

    for name, part in splits.items():
        table = part[["text", "label", "group"]].reset_index(drop=True)
        artifacts.write_atomic(PROCESSED / f"{name}.parquet", table.to_parquet)
    manifest = artifacts.write_manifest(
        PROCESSED,
        [f"{name}.parquet" for name in SPLITS],
        {
            "source": params.data.source,
            "test_source": params.data.test_source,
            "sha256": artifacts.sha256(path),
            "seed": params.seed,
            "rows": {name: len(part) for name, part in splits.items()},
            "dropped": dropped,
            "classes": {
                label: int(count) for label, count in train["label"].value_counts().items()
            },
        },
    )
    rows_text = ", ".join(f"{count:,} {name}" for name, count in manifest["rows"].items())
    print(f"{PROCESSED}: {rows_text}; {len(manifest['classes'])} classes; dropped {dropped}")


def read_split(name: str) -> pd.DataFrame:
    """Return the columns text, label and group of `train`, `valid` or `test`."""
    return pd.read_parquet(PROCESSED / f"{name}.parquet")


def deduplicate(rows: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Keep one row a text; a text with several labels has no right answer and goes altogether."""
    repeated = rows.duplicated(["text", "label"])
    contradictory = rows.groupby("text")["label"].transform("nunique") > 1
    for bad, reason in (
        (repeated, "repeat an earlier text"),
        (contradictory, "contradict another"),
    ):
        if bad.any():
            lines = ", ".join(str(line) for line in rows.loc[bad, "line"].head(3))
            print(f"note: data.text_column: {bad.sum():,} rows {reason} (lines {lines}); left out")
    counts = {
        "repeated": int((repeated & ~contradictory).sum()),
        "contradictory": int(contradictory.sum()),
    }
    return rows[~repeated & ~contradictory], counts


def holdout(rows: pd.DataFrame, fraction: float, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split off about `fraction` of the rows: classes in proportion, each group on one side."""
    # With a group to each row the plain kind does the same, in linear time.
    groups = rows["group"] if rows["group"].duplicated().any() else None
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    folds = kind(n_splits=round(1 / fraction), shuffle=True, random_state=seed)
    try:
        kept, held_out = next(folds.split(rows["text"], rows["label"], groups))
    except ValueError as error:
        raise UserError(
            f"data: cannot hold out {fraction:.0%} of {len(rows)} rows: {error}"
        ) from None
    return rows.iloc[kept], rows.iloc[held_out]


def _load(params: Params, source: str, sha256: str | None, field: str) -> tuple[Path, pd.DataFrame]:
    path = sources.fetch(source, sha256, RAW, field)
    if sha256 is None:
        print(f"{field} is not pinned; {path.name} has sha256 {artifacts.sha256(path)}")
    rows = readers.read(path, params.data)
    validation.check(rows, params.data, path.name)
    return path, rows


def _check_classes(splits: dict[str, pd.DataFrame], wanted: tuple[str, ...], column: str) -> None:
    classes = sorted(set().union(*(part["label"] for part in splits.values())))
    if len(classes) < 2:
        raise UserError(
            f"data.label_column {column!r}: only {classes} is left; at least two classes are needed"
        )
    for name in wanted:
        missing = sorted(set(classes) - set(splits[name]["label"]))
        if missing:
            raise UserError(
                f"data.label_column {column!r}: too rare to split, no row of {', '.join(missing)} "
                f"came into {name}; add rows, or groups, or merge classes"
            )
