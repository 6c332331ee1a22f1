"""From documents as they are read to the document store, and near-duplicates in it."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ..errors import UserError
from ..text import near_duplicates
from . import documents
from .documents import Document, Documents
from .faults import Faults
from .lines import FIELD

COMPARED = 1_000  # characters of a document that are compared with others


def store(path: Path, found: Iterable[tuple[int, Document]], faults: Faults) -> list[str]:
    """Write the documents, each given with its line; return the ids of empty ones, left out.

    Holds one document at a time. Raises `UserError` for everything in `faults`, for a repeated id,
    and if no document has any text.
    """
    count, line = 0, 0
    empty: list[tuple[int, str]] = []  # lines and ids

    def filled() -> Iterator[Document]:
        nonlocal count, line
        for line, document in tqdm(found, desc="storing documents", unit=" documents"):
            count += 1
            if f"{document.title}{document.text}".strip():
                yield document
            else:
                empty.append((line, document.id))

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        stored = documents.write(path, filled())
    except documents.DuplicateError as error:
        faults.add("repeats an id", line, str(error))
    faults.raise_any()
    if empty:
        lines = ", ".join(str(line) for line, _ in empty[:3])
        print(
            f"note: {FIELD}: {len(empty):,} of {count:,} documents are empty (lines {lines}); "
            "left out"
        )
    if not stored:
        raise UserError(f"{FIELD}: no document has any text")
    return [document_id for _, document_id in empty]


def count_near_duplicates(stored: Documents, similarity: float) -> int:
    """Return how many documents nearly repeat an earlier one, and print the first of them.

    They stay, since judgements name them, but a search can rank only one of two such documents
    first.
    """
    signed = near_duplicates.sign(Beginnings(stored))
    rows = np.flatnonzero(near_duplicates.repeats(signed, None, similarity))
    if len(rows):
        shown = ", ".join(repr(stored.at(row).id) for row in rows[:3])
        print(
            f"note: {len(rows):,} of {len(stored):,} documents nearly repeat an earlier one "
            f"({shown}); kept"
        )
    return len(rows)


class Beginnings(Sequence[str]):
    """The beginnings of the stored texts, read when they are needed."""

    def __init__(self, stored: Documents) -> None:
        self._stored = stored

    def __len__(self) -> int:
        return len(self._stored)

    def __getitem__(self, row: Any) -> str:
        return self._stored[row][:COMPARED]

    def __iter__(self) -> Iterator[str]:
        texts = tqdm(self._stored, desc="comparing documents", unit=" documents")
        return (text[:COMPARED] for text in texts)
