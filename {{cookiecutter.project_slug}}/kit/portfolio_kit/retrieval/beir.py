"""Reads a folder in the BEIR layout: corpus.jsonl, queries.jsonl, and judgements."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ..errors import UserError
from . import qrels
from .documents import Document, Documents
from .faults import Faults
from .lines import FIELD, records

CORPUS, QUERIES = "corpus.jsonl", "queries.jsonl"
MAX_ID = 200  # characters of a document's id


def documents(folder: Path, faults: Faults) -> Iterator[tuple[int, Document]]:
    """Yield the valid documents, one at a time, with their lines; note others in `faults`."""
    for line, record in records(folder / CORPUS):
        document_id = record.get("_id")
        title, text = record.get("title") or "", record.get("text") or ""
        metadata = record.get("metadata")
        if not isinstance(metadata, dict):
            metadata = {}
        if isinstance(document_id, int) and not isinstance(document_id, bool):
            document_id = str(document_id)
        if not isinstance(document_id, str) or not 0 < len(document_id) <= MAX_ID:
            faults.add(f'"_id" is not text of 1 to {MAX_ID} characters', line, document_id)
        elif not isinstance(title, str) or not isinstance(text, str):
            wrong = title if isinstance(text, str) else text
            faults.add('"title" or "text" is not text', line, wrong)
        elif not _is_unicode(document_id, title, text, metadata):
            faults.add("not valid Unicode", line, document_id)
        else:
            yield line, Document(document_id, title, text, metadata)


def queries(folder: Path) -> pd.DataFrame:
    """Return the columns query_id and query; raises `UserError` if some are invalid."""
    faults, rows = Faults(f"{FIELD}: {QUERIES}"), []
    if (folder / QUERIES).is_file():
        for line, record in records(folder / QUERIES):
            query_id, query = record.get("_id"), record.get("text")
            if not isinstance(query_id, str | int) or not isinstance(query, str):
                faults.add('"_id" or "text" is missing or not text', line, query_id)
            elif not _is_unicode(query):
                faults.add("not valid Unicode", line, query_id)
            else:
                rows.append((line, str(query_id), query))
    table = pd.DataFrame(rows, columns=["line", "query_id", "query"])
    faults.add_rows("repeats an id", table[table["query_id"].duplicated()], "query_id")
    faults.raise_any()
    return table[["query_id", "query"]]


class Judged(NamedTuple):
    """The judged queries of a source."""

    splits: dict[str, pd.DataFrame]  # query_id, query, document_id and relevance
    files: dict[str, str]  # by split, of those that have one
    of_empty_documents: int  # judgements that were left out


def judged_queries(folder: Path, stored: Documents, empty: Iterable[str] = ()) -> Judged:
    """Return the judged queries of each split; `empty` are ids of documents that were left out.

    Of a repeated judgement the highest relevance counts. Raises `UserError` for what is invalid,
    for judgements of unknown queries or documents, and if there are queries, none of them judged.
    """
    known, files, empty = queries(folder), qrels.find(folder), set(empty)
    every = {split: qrels.read(folder, files.get(split)) for split in qrels.SPLITS}
    splits, dropped = {}, 0
    for split, judged in every.items():
        where = f"{FIELD}: {files.get(split)}"
        filled = without_empty(judged, empty, where)
        dropped += len(judged) - len(filled)
        check_references(filled, known, stored, where)
        filled = filled.sort_values("relevance", kind="stable", ascending=False)
        filled = filled.drop_duplicates(["query_id", "document_id"]).sort_index()
        splits[split] = filled.merge(known, on="query_id")
    check_coverage(known, every, files)
    return Judged(splits, files, dropped)


def without_empty(judged: pd.DataFrame, empty: set[str], where: str) -> pd.DataFrame:
    """Leave out judgements of empty documents, and report them."""
    is_empty = judged["document_id"].isin(empty)
    filled, faults = judged[~is_empty], Faults(f"note: {where}")
    faults.add_rows("names an empty document", judged[is_empty], "document_id")
    lost = len(set(judged["query_id"]) - set(filled["query_id"]))
    noun = "query" if lost == 1 else "queries"
    more = f", and {lost:,} {noun} with no other judgement" if lost else ""
    for line in faults.lines():
        print(f"{line}; left out{more}")
    return filled


def check_references(
    judged: pd.DataFrame, known: pd.DataFrame, stored: Documents, where: str
) -> None:
    """Raise `UserError` if judgements name queries or documents that do not exist."""
    faults = Faults(where)
    unknown = judged[~judged["query_id"].isin(known["query_id"])]
    faults.add_rows(f"names a query that is not in {QUERIES}", unknown, "query_id")
    there = {one: stored.row_of(one) is not None for one in judged["document_id"].unique()}
    unknown = judged[~judged["document_id"].map(there).astype(bool)]
    faults.add_rows(f"names a document that is not in {CORPUS}", unknown, "document_id")
    faults.raise_any()


def check_coverage(
    known: pd.DataFrame, splits: dict[str, pd.DataFrame], files: dict[str, str]
) -> None:
    """Report queries that no file judges; raise `UserError` if that is all of them."""
    judged = {one for part in splits.values() for one in part["query_id"]}
    missing = [one for one in known["query_id"] if one not in judged]
    if len(missing) == len(known) > 0:
        found = f"only {', '.join(files.values())}" if files else "no such file"
        raise UserError(
            f"{FIELD}: nothing judges the queries in {QUERIES} ({found} was found); add "
            f"qrels/test.tsv with query-id, corpus-id and score, or remove {QUERIES} to search "
            "without measuring"
        )
    if missing:
        of_all = f"{len(missing):,} of {len(known):,} queries in {QUERIES}"
        shown = ", ".join(map(repr, missing[:3]))
        print(f"note: {FIELD}: no file judges {of_all} ({shown}); left out")


def _is_unicode(*values: Any) -> bool:
    """Tell whether values can be encoded; half a surrogate pair, as in "\\ud83d", cannot."""
    try:
        json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
