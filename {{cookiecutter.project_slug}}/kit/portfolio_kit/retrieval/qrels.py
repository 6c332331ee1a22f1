"""Finds the files of judgements in a source, under their usual names, and reads each layout."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from .. import artifacts
from ..errors import UserError
from .faults import Faults
from .lines import FIELD, opened, records

JUDGEMENTS = {"qrel", "qrels", "judgement", "judgements", "judgment", "judgments"}
SPLITS = {
    "train": ("train", "training"),
    "valid": ("dev", "valid", "validation", "val", "development"),
    "test": ("test", "testing"),
}
WORDS = {word: split for split, words in SPLITS.items() for word in words}
JSON = (".jsonl", ".ndjson", ".json")
BINARY = (".parquet", ".feather", ".gz", ".bz2", ".xz", ".zst", ".zip", ".xls", ".xlsx", ".pkl")
PROSE = ("readme", "license", "licence", "notice", "citation")
# What to ask for where a remote folder cannot be listed.
USUAL = [
    *("qrels.tsv", "qrels.jsonl", "qrels.txt"),
    *(f"qrels/{one}.tsv" for one in ("train", "dev", "valid", "validation", "val", "test")),
    *(f"qrels/{one}.jsonl" for one in ("train", "dev", "valid", "validation", "val", "test")),
]
COLUMNS = {
    "query_id": ("query-id", "queryid", "qid", "topic", "topic-id"),
    "document_id": ("corpus-id", "corpusid", "doc-id", "docid", "docno", "document-id", "pid"),
    "relevance": ("score", "relevance", "rel", "label", "grade", "judgement", "judgment"),
}
MEANING = {name: column for column, names in COLUMNS.items() for name in names}
# What columns mean without a header: BEIR's three, and TREC's four with an unused second one.
POSITIONS = {3: list(COLUMNS), 4: ["query_id", "", "document_id", "relevance"]}
NUMBER = re.compile(r"[+-]?[\d.]+(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
GRADE = re.compile(r"[+-]?\d{1,6}(\.0*)?", re.ASCII)


def is_judgements(name: str) -> bool:
    """Tell whether a path inside a source is, by its name, a file of judgements.

    That is anything in a folder `qrels`, a file called `qrels`, and `test.tsv` next to the corpus.
    """
    *folders, file = PurePosixPath(name).parts
    words = re.findall("[a-z]+", file.lower())
    if artifacts.is_hidden(name) or not words or words[0] in PROSE or words[-1] == "md":
        return False
    if folders:
        return folders[0].lower() in JUDGEMENTS
    is_split = words[-1] == "tsv" and set(words[:-1]) <= WORDS.keys() and len(words) > 1
    return is_split or bool(JUDGEMENTS.intersection(words))


def find(folder: Path) -> dict[str, str]:
    """Return the file of each split that has one, relative to the folder.

    A single file that names no split counts as that of training, out of which the other splits are
    held. Raises `UserError` for files that would not be used: an unknown split, two for one split.
    """
    every = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    names = sorted(name for name in every if is_judgements(name))
    found: dict[str, str] = {}
    for name in names:
        if PurePosixPath(name).suffix.lower() in BINARY:
            raise UserError(f"{FIELD}: {name} was found and cannot be read; save it as a .tsv file")
        splits = {WORDS[word] for word in re.findall("[a-z]+", name.lower()) if word in WORDS}
        if len(names) == 1 and not splits:
            splits = {"train"}
        if len(splits) != 1:
            raise UserError(
                f"{FIELD}: {name} was found and not used, since its name says no split; call it "
                "train, dev or test, or remove it"
            )
        [split] = splits
        if split in found:
            raise UserError(f"{FIELD}: {found[split]} and {name} both judge {split}; keep one")
        found[split] = name
    return {split: found[split] for split in SPLITS if split in found}


def read(folder: Path, name: str | None) -> pd.DataFrame:
    """Return the columns line, query_id, document_id and relevance of a file of judgements, if any.

    A grade below zero, as TREC has for spam, counts as 0: not relevant. Raises `UserError` if some
    lines are invalid.
    """
    faults, rows, below = Faults(f"{FIELD}: {name}"), [], 0
    for line, found in _lines(folder / name) if name else ():
        ids = [found.get(key) for key in ("query_id", "document_id")]
        grade = str(found.get("relevance")).strip()
        if not all(map(_is_id, ids)) or not NUMBER.fullmatch(grade):
            faults.add("not a query-id, a corpus-id and a score", line, found["line"])
        elif not GRADE.fullmatch(grade):
            faults.add("the score is not a whole number; round it or scale it", line, grade)
        else:
            below += (number := int(float(grade))) < 0
            rows.append((line, *map(str, ids), max(0, number)))
    faults.raise_any()
    if below:
        print(f"note: {FIELD}: {name}: {below:,} scores below 0 count as 0, not relevant")
    return pd.DataFrame(rows, columns=["line", "query_id", "document_id", "relevance"])


def _is_id(value: Any) -> bool:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return is_number or (isinstance(value, str) and value != "")


def _lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if path.suffix.lower() not in JSON:
        yield from _table(path)
        return
    for line, record in records(path):
        yield line, {**{_meaning(name): record[name] for name in record}, "line": record}


def _table(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the fields of each line: by the names in a header or, without one, by position."""
    names: list[str] = []
    with opened(path) as file:
        for line, text in enumerate(file, start=1):
            if not text.strip():
                continue
            text = text.rstrip("\r\n")
            if not names:  # this is the first line
                separator = "\t" if "\t" in text else "," if path.suffix.lower() == ".csv" else None
            fields = text.split(separator)
            if not names:
                names = [_meaning(one) for one in fields]
                if COLUMNS.keys() <= set(names):
                    continue
                names = POSITIONS.get(len(fields), [""] * len(fields))
            found = dict(zip(names, fields, strict=True)) if len(fields) == len(names) else {}
            yield line, {**found, "line": text}


def _meaning(name: str) -> str:
    """Return which of `COLUMNS` a name in a header means, or nothing."""
    return MEANING.get(re.sub(r"[\s_-]+", "-", name.strip().lower()), "")
