"""Splits judged queries by group and without near-repeats, to keep held-out ones unseen.

A table of judged queries has the columns `COLUMNS`: a row per query and document.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupShuffleSplit

from portfolio_kit.errors import UserError
from portfolio_kit.retrieval import beir
from portfolio_kit.retrieval.documents import Documents
from portfolio_kit.text import near_duplicates

from ..params import Data

SPLITS = ("train", "valid", "test")
COLUMNS = ["query_id", "query", "group", "document_id", "relevance"]
Splits = dict[str, pd.DataFrame]


def read_splits(
    folder: Path, stored: Documents, empty: list[str], data: Data, seed: int
) -> tuple[Splits, dict[str, int], dict[str, str]]:
    """Return a BEIR folder's splits, its number of judgements of `empty` documents, and its files.

    A missing test or dev file is held out of train. Says in one line which files were used. Raises
    `UserError` if there are judgements, but none that a ranking could be measured by.
    """
    judged = beir.judged_queries(folder, stored, empty)
    splits = {
        name: without_answerless(part.assign(group=part["query_id"]), name)
        for name, part in judged.splits.items()
    }
    train, missing = splits["train"], [name for name in SPLITS if not len(splits[name])]
    if judged.files and not any(map(len, splits.values())):
        raise UserError(
            f"data.source: {', '.join(judged.files.values())}: no query has a relevant document; "
            "judge some with a score of 1 or more, or remove the file"
        )
    used = ", ".join(f"{name} from {file}" for name, file in judged.files.items())
    if not len(train):
        missing = []
    elif missing == ["valid", "test"]:
        splits = hold_out(train, data, seed)
    elif missing == ["test"]:
        splits["train"], splits["test"] = split_off(train, data.test_fraction, seed)
    elif missing == ["valid"]:
        splits["train"], splits["valid"] = split_off(train, data.valid_fraction, seed)
    held_out = f"; {' and '.join(missing)} held out of train" if missing else ""
    print(f"judgements: {used or 'none'}{held_out}")
    return splits, {"judgements_of_empty_documents": judged.of_empty_documents}, judged.files


def without_answerless(judged: pd.DataFrame, name: str) -> pd.DataFrame:
    """Leave out queries that are empty or have no relevant document: no ranking is right."""
    is_answered = judged.groupby("query_id")["relevance"].transform("max") > 0
    kept = judged[is_answered & (judged["query"].str.strip() != "")]
    count = judged["query_id"].nunique()
    if gone := count - kept["query_id"].nunique():
        what = f"{gone:,} of {count:,} {name} queries"
        print(f"note: {what} are empty or have no relevant document; left out")
    return kept


def hold_out(judged: pd.DataFrame, data: Data, seed: int) -> Splits:
    """Split judged queries in three, each group in one of them."""
    rest, test = split_off(judged, data.test_fraction, seed)
    train, valid = split_off(rest, data.valid_fraction / (1 - data.test_fraction), seed)
    return {"train": train, "valid": valid, "test": test}


def split_off(
    judged: pd.DataFrame, fraction: float, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split off about a fraction of the groups, with all their queries."""
    parts = GroupShuffleSplit(n_splits=1, test_size=fraction, random_state=seed)
    try:
        kept, held_out = next(parts.split(judged, groups=judged["group"]))
    except ValueError:
        raise UserError(
            f"data.source: {judged['query_id'].nunique()} queries are too few to hold some out; "
            "judge more, or give only a test file"
        ) from None
    return judged.iloc[kept], judged.iloc[held_out]


def drop_near_duplicates(splits: Splits, similarity: float) -> dict[str, int]:
    """Drop queries of train that nearly repeat valid or test, and of valid that repeat test.

    Changes `splits` in place and returns how many queries were dropped. The test set stays whole.
    Raises `UserError` if no validation query is left to choose a model by.
    """
    queries = {name: part.drop_duplicates("query_id") for name, part in splits.items()}
    signed = {name: near_duplicates.sign(part["query"].tolist()) for name, part in queries.items()}
    counts = {}
    for name, others in (("train", SPLITS[1:]), ("valid", SPLITS[2:])):
        repeated = np.any(
            [near_duplicates.repeats(signed[name], signed[other], similarity) for other in others],
            axis=0,
        )
        gone = queries[name]["query_id"][repeated]
        splits[name] = splits[name][~splits[name]["query_id"].isin(gone)]
        counts[f"near_duplicates_in_{name}"] = len(gone)
    if len(splits["train"]) and not len(splits["valid"]):
        raise UserError(
            "data.near_duplicate_similarity: every validation query nearly repeats a test query, "
            "and none is left to choose a model by; add others, or set it to null"
        )
    return counts
