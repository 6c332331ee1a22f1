"""The data stage: one source in, the document store, three tables of judged queries, a manifest."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupShuffleSplit
from tqdm import tqdm

from .. import artifacts
from ..artifacts import PROCESSED, RAW
from ..errors import UserError
from ..params import Data, Params
from ..retrieval import documents
from ..retrieval.documents import Document, Documents
from . import attack, beir, near_duplicates, sources
from .validation import Faults, check_references

SPLITS = ("train", "valid", "test")
CORPUS = "corpus.sqlite"
WORKSHOP = Path(".cache") / CORPUS
COLUMNS = ["query_id", "query", "group", "document_id", "relevance"]
COMPARED = 1_000  # characters of a document that are looked at for near-duplicates


def run(params: Params) -> None:
    """Fetch, validate, split and write `data/processed/`, the manifest last."""
    data = params.data
    if data.source.lower().endswith(".json"):
        path = sources.fetch(data.source, data.sha256, RAW, beir.FIELD)
        bundle = read_bundle(path)
        count = store(enumerate(bundle.documents, start=1), Faults(f"{beir.FIELD}: {path.name}"))
        judged = bundle.judgements.merge(bundle.queries, on="query_id")
        splits, dropped = hold_out(judged, data, params.seed), bundle.dropped
    else:
        path = beir.fetch(data.source, data.sha256, RAW)
        faults = Faults(f"{beir.FIELD}: {beir.CORPUS}")
        count = store(beir.documents(path, faults), faults)
        splits, dropped = read_splits(path, data, params.seed), {}
    sha256 = artifacts.sha256(path)
    if data.sha256 is None:
        print(f"data.source is not pinned; {path} has sha256 {sha256}")
    stored = Documents(WORKSHOP)
    dropped["empty_documents"] = count - len(stored)
    alike = 0
    if data.near_duplicate_similarity:
        dropped |= drop_near_duplicates(splits, data.near_duplicate_similarity)
        if len(splits["train"]) and not len(splits["valid"]):
            raise UserError(
                "data.near_duplicate_similarity: each validation query nearly repeats a test "
                "query, and none is left to choose a model by; add others, or set it to null"
            )
        alike = count_near_duplicates(stored, data.near_duplicate_similarity)

    for name, part in splits.items():
        table = part[COLUMNS].reset_index(drop=True)
        artifacts.write_atomic(PROCESSED / f"{name}.parquet", table.to_parquet)
    artifacts.write_atomic(PROCESSED / CORPUS, lambda partial: os.replace(WORKSHOP, partial))
    manifest = artifacts.write_manifest(
        PROCESSED,
        [CORPUS, *(f"{name}.parquet" for name in SPLITS)],
        {
            "source": data.source,
            "sha256": sha256,
            "seed": params.seed,
            "documents": len(stored),
            "rows": {name: part["query_id"].nunique() for name, part in splits.items()},
            "dropped": dropped,
            "near_duplicate_documents": alike,
            "graded": any((part["relevance"] > 1).any() for part in splits.values()),
        },
    )
    rows = ", ".join(f"{count:,} {name}" for name, count in manifest["rows"].items())
    print(f"{PROCESSED}: {len(stored):,} documents; queries: {rows}; dropped {dropped}")


def read_split(name: str) -> pd.DataFrame:
    """Return the judged queries of `train`, `valid` or `test`: the columns `COLUMNS`."""
    return pd.read_parquet(PROCESSED / f"{name}.parquet")


def read_bundle(path: Path) -> attack.Bundle:
    """Return what an ATT&CK bundle holds; raises `UserError` for a file that is none."""
    try:
        return attack.read(path)
    # What a malformed bundle raises (ValueError, KeyError, TypeError, StopIteration) depends on it.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{beir.FIELD}: {path.name} cannot be parsed: {reason:.300}") from error


def store(found: Iterator[tuple[int, Document]], faults: Faults) -> int:
    """Write the document store, one document at a time; return how many came, empty ones included.

    Raises `UserError` for what is wrong with them.
    """
    count, empty, line = 0, [], 0

    def filled() -> Iterator[Document]:
        nonlocal count, line
        for line, document in tqdm(found, desc="storing documents", unit=" documents"):
            count += 1
            if f"{document.title}{document.text}".strip():
                yield document
            else:
                empty.append(line)

    WORKSHOP.parent.mkdir(exist_ok=True)
    try:
        stored = documents.write(WORKSHOP, filled())
    except documents.DuplicateError as error:
        faults.add("repeats an id", line, str(error))
    faults.raise_any()
    if empty:
        what, lines = f"{len(empty):,} of {count:,} documents", ", ".join(map(str, empty[:3]))
        print(f"note: {beir.FIELD}: {what} without a text (line {lines}); left out")
    if not stored:
        raise UserError(f"{beir.FIELD}: there is no document with a text")
    return count


def read_splits(folder: Path, data: Data, seed: int) -> dict[str, pd.DataFrame]:
    """Return the judged queries of each split, as the files say or as they leave it open.

    Without a test file a part of the training queries becomes the test set, and without a dev file
    a part of them the validation set.
    """
    queries, stored = beir.queries(folder), Documents(WORKSHOP)
    splits = {}
    for name in SPLITS:
        judged = beir.judgements(folder, name)
        check_references(judged, queries, stored, f"{beir.FIELD}: {beir.QRELS[name]}")
        judged = judged.sort_values("relevance", kind="stable", ascending=False)
        judged = judged.drop_duplicates(["query_id", "document_id"]).sort_index()
        table = judged.merge(queries, on="query_id")
        splits[name] = without_answerless(table.assign(group=table["query_id"]), name)
    train, lacking = splits["train"], [name for name in SPLITS if not len(splits[name])]
    if lacking == ["valid", "test"]:
        return hold_out(train, data, seed)
    if lacking == ["test"]:
        splits["train"], splits["test"] = split_off(train, data.test_fraction, seed)
    if lacking == ["valid"]:
        splits["train"], splits["valid"] = split_off(train, data.valid_fraction, seed)
    return splits


def without_answerless(judged: pd.DataFrame, name: str) -> pd.DataFrame:
    """Leave out queries that are empty, or have no relevant document: no ranking is right."""
    is_answered = judged.groupby("query_id")["relevance"].transform("max") > 0
    kept = judged[is_answered & (judged["query"].str.strip() != "")]
    count = judged["query_id"].nunique()
    gone = count - kept["query_id"].nunique()
    if gone:
        what = f"{gone:,} of {count:,} {name} queries"
        print(f"note: {what} empty or without a relevant document; left out")
    return kept


def hold_out(judged: pd.DataFrame, data: Data, seed: int) -> dict[str, pd.DataFrame]:
    """Split judged queries in three, each group on one side."""
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
            f"{beir.FIELD}: too few queries ({judged['query_id'].nunique()}) to hold some out; "
            "judge more, or give only a test file"
        ) from None
    return judged.iloc[kept], judged.iloc[held_out]


def drop_near_duplicates(splits: dict[str, pd.DataFrame], similarity: float) -> dict[str, int]:
    """Drop from train what nearly repeats a query of valid or test, and from valid one of test.

    Changes `splits` in place and returns how many queries went. What is held out stays whole.
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
    return counts


def count_near_duplicates(stored: Documents, similarity: float) -> int:
    """Return how many documents nearly repeat an earlier one, and say which come first.

    They stay: judgements name them. But of two such documents, a search can only rank one first.
    """
    signed = near_duplicates.sign(Beginnings(stored))
    rows = np.flatnonzero(near_duplicates.repeats(signed, None, similarity))
    if len(rows):
        shown = ", ".join(repr(stored.at(row).id) for row in rows[:3])
        what = f"{len(rows):,} of {len(stored):,} documents"
        print(f"note: {what} much like an earlier one ({shown}); kept")
    return len(rows)


class Beginnings(Sequence[str]):
    """The beginnings of the stored texts, which are read when they are needed."""

    def __init__(self, stored: Documents) -> None:
        self._stored = stored

    def __len__(self) -> int:
        return len(self._stored)

    def __getitem__(self, row: Any) -> str:
        return self._stored[row][:COMPARED]

    def __iter__(self) -> Iterator[str]:
        texts = tqdm(self._stored, desc="comparing documents", unit=" documents")
        return (text[:COMPARED] for text in texts)
