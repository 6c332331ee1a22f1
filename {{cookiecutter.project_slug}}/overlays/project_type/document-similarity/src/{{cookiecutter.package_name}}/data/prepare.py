"""The data stage: one source in, the document store, judged queries and a manifest out."""

import os
from pathlib import Path

import pandas as pd

from portfolio_kit import artifacts, sources
from portfolio_kit.artifacts import PROCESSED, RAW
from portfolio_kit.retrieval import archives, beir, corpus, records
from portfolio_kit.retrieval.documents import Documents
from portfolio_kit.retrieval.faults import Faults

from ..params import Params
from . import attack
from .splits import COLUMNS, SPLITS, drop_near_duplicates, hold_out, read_splits

CORPUS = "corpus.sqlite"
WORKSHOP = Path(".cache") / CORPUS


class Dataset(records.Dataset):
    """The manifest of `data/processed/`; its rows are queries."""


def prepare(params: Params) -> None:
    """Fetch, validate, split and write `data/processed/`, the manifest last."""
    data = params.data
    if data.source.lower().endswith(".json"):
        path = sources.fetch(data.source, data.sha256, RAW, "data.source")
        sha256, bundle = artifacts.sha256(path), attack.read(path)
        faults = Faults(f"data.source: {path.name}")
        empty = corpus.store(WORKSHOP, enumerate(bundle.documents, start=1), faults)
        stored = Documents(WORKSHOP)
        splits, dropped = hold_out(bundle.judged, data, params.seed), bundle.dropped
        judgements: dict[str, str] = {}
    else:
        path, sha256 = archives.fetch(data.source, data.sha256, RAW)
        faults = Faults(f"data.source: {beir.CORPUS}")
        empty = corpus.store(WORKSHOP, beir.documents(path, faults), faults)
        stored = Documents(WORKSHOP)
        splits, dropped, judgements = read_splits(path, stored, empty, data, params.seed)
    if data.sha256 is None:
        print(f"data.source is not pinned; {data.source} has sha256 {sha256}")
    dropped["empty_documents"] = len(empty)
    alike = 0
    if data.near_duplicate_similarity:
        dropped |= drop_near_duplicates(splits, data.near_duplicate_similarity)
        alike = corpus.count_near_duplicates(stored, data.near_duplicate_similarity)

    for name, part in splits.items():
        table = part[COLUMNS].reset_index(drop=True)
        artifacts.write_atomic(PROCESSED / f"{name}.parquet", table.to_parquet)
    artifacts.write_atomic(PROCESSED / CORPUS, lambda partial: os.replace(WORKSHOP, partial))
    asked = splits["train"][["query", "document_id"]].itertuples(index=False, name=None)
    dataset = Dataset.of(
        params,
        texts=asked if len(splits["train"]) else stored.titles(),
        sha256=sha256,
        rows={name: part["query_id"].nunique() for name, part in splits.items()},
        dropped=dropped,
        documents=len(stored),
        near_duplicate_documents=alike,
        judgements=judgements,
    )
    artifacts.write_manifest(PROCESSED, [CORPUS, *(f"{name}.parquet" for name in SPLITS)], dataset)
    counts = ", ".join(f"{count:,} {name}" for name, count in dataset.rows.items())
    print(f"{PROCESSED}: {len(stored):,} documents; queries: {counts}; dropped {dropped}")


def read_split(name: str) -> pd.DataFrame:
    """Return the judged queries of `train`, `valid` or `test`: a row per query and document."""
    return pd.read_parquet(PROCESSED / f"{name}.parquet")
