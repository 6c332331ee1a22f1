"""Reads a folder in the BEIR layout: corpus.jsonl, queries.jsonl, qrels/*.tsv."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pandas as pd

from ..errors import UserError
from .documents import Document, Documents
from .faults import Faults

FIELD = "data.source"
CORPUS, QUERIES = "corpus.jsonl", "queries.jsonl"
QRELS = {"train": "qrels/train.tsv", "valid": "qrels/dev.tsv", "test": "qrels/test.tsv"}
HEADER = ["query-id", "corpus-id", "score"]
MAX_ID = 200  # characters of a document's id


def documents(folder: Path, faults: Faults) -> Iterator[tuple[int, Document]]:
    """Yield the valid documents, one at a time, with their lines; note others in `faults`."""
    for line, record in _records(folder / CORPUS):
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
        for line, record in _records(folder / QUERIES):
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


def judgements(folder: Path, split: str) -> pd.DataFrame:
    """Return the columns line, query_id, document_id and relevance of a split.

    Without a file there are no rows. Raises `UserError` if some lines are invalid.
    """
    path, rows = folder / QRELS[split], []
    faults = Faults(f"{FIELD}: {QRELS[split]}")
    if path.is_file():
        with _read(path) as file:
            for line, text in enumerate(file, start=1):
                fields = text.rstrip("\r\n").split("\t")
                if fields == HEADER or fields == [""]:
                    continue
                if len(fields) != len(HEADER) or not fields[2].strip().isdecimal():
                    reason = "not a query-id, a corpus-id and a whole score, with tabs between"
                    faults.add(reason, line, text)
                else:
                    rows.append((line, fields[0], fields[1], int(fields[2])))
    faults.raise_any()
    return pd.DataFrame(rows, columns=["line", "query_id", "document_id", "relevance"])


def judged_queries(folder: Path, stored: Documents) -> dict[str, pd.DataFrame]:
    """Return query_id, query, document_id and relevance of each split.

    Of a repeated judgement the highest relevance counts. Raises `UserError` for what is invalid,
    and for judgements of unknown queries or documents.
    """
    known, splits = queries(folder), {}
    for name in QRELS:
        judged = judgements(folder, name)
        check_references(judged, known, stored, f"{FIELD}: {QRELS[name]}")
        judged = judged.sort_values("relevance", kind="stable", ascending=False)
        judged = judged.drop_duplicates(["query_id", "document_id"]).sort_index()
        splits[name] = judged.merge(known, on="query_id")
    return splits


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


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with _read(path) as file:
        for line, text in enumerate(file, start=1):
            if not text.strip():
                continue
            try:
                record = json.loads(text, parse_constant=lambda name: None)  # NaN is not JSON
            except (ValueError, RecursionError) as error:
                raise UserError(f"{FIELD}: {path.name} line {line} is not JSON: {error}") from None
            if not isinstance(record, dict):
                raise UserError(f"{FIELD}: {path.name} line {line} is not a JSON object")
            yield line, record


@contextmanager
def _read(path: Path) -> Iterator[IO[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            yield file
    except UnicodeDecodeError as error:
        raise UserError(
            f"{FIELD}: {path.name} is not UTF-8 ({error.reason}); save it as UTF-8"
        ) from None


def _is_unicode(*values: Any) -> bool:
    """Tell whether values can be encoded; half a surrogate pair, as in "\\ud83d", cannot."""
    try:
        json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
