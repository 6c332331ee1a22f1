"""Reads the BEIR layout: corpus.jsonl, queries.jsonl, qrels/*.tsv in a folder or an archive."""

import hashlib
import json
import os
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import fsspec
import pandas as pd

from .. import artifacts
from ..errors import UserError
from ..retrieval.documents import Document
from . import sources
from .validation import Faults

FIELD = "data.source"
CORPUS, QUERIES = "corpus.jsonl", "queries.jsonl"
QRELS = {"train": "qrels/train.tsv", "valid": "qrels/dev.tsv", "test": "qrels/test.tsv"}
NAMES = (CORPUS, QUERIES, *QRELS.values())
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error)
HEADER = ["query-id", "corpus-id", "score"]
MAX_ID = 200  # characters of a document's id
MAX_RATIO = 200  # of what an archive unpacks to and its size: texts come to 10, a bomb to 1,000
SMALL = 10_000_000  # bytes that any archive may unpack to
PART = 1 << 20


def fetch(source: str, pin: str | None, cache: Path) -> Path:
    """Return a local folder with the files of a local one, an archive, or one behind a URL."""
    if source.lower().partition("?")[0].endswith(ARCHIVES):
        archive = sources.fetch(source, pin, cache, FIELD)
        folder = cache / f"unpacked-{artifacts.sha256(archive)[:12]}"
        if not folder.exists():
            _unpack(archive, folder)
        return folder
    folder = _fetch_each(source, cache) if "://" in source else Path(os.path.expanduser(source))
    if not os.path.isfile(folder / CORPUS):
        missing = "could not be fetched: there is" if "://" in source else "has"
        wrong = f"{missing} no {CORPUS}"
        raise UserError(f"{FIELD}: {source} {wrong}; name a folder or archive that has one")
    sources.check(folder, pin, f"{FIELD}: {source}")
    return folder


def documents(folder: Path, faults: Faults) -> Iterator[tuple[int, Document]]:
    """Yield the documents, one at a time, with their lines; what is wrong goes into `faults`."""
    for line, record in _records(folder / CORPUS):
        document_id, title, text = (
            record.get("_id"),
            record.get("title") or "",
            record.get("text") or "",
        )
        metadata = record.get("metadata")
        if not isinstance(metadata, dict):
            metadata = {}
        if isinstance(document_id, int) and not isinstance(document_id, bool):
            document_id = str(document_id)
        if not isinstance(document_id, str) or not 0 < len(document_id) <= MAX_ID:
            faults.add(f'"_id" is no text of 1 to {MAX_ID} characters', line, document_id)
        elif not isinstance(title, str) or not isinstance(text, str):
            wrong = title if isinstance(text, str) else text
            faults.add('"title" or "text" is no text', line, wrong)
        elif not _is_unicode(document_id, title, text, metadata):
            faults.add("has characters that are no Unicode", line, document_id)
        else:
            yield line, Document(document_id, title, text, metadata)


def queries(folder: Path) -> pd.DataFrame:
    """Return the columns query_id and query; raises `UserError` for what is wrong with them."""
    faults, rows = Faults(f"{FIELD}: {QUERIES}"), []
    if (folder / QUERIES).is_file():
        for line, record in _records(folder / QUERIES):
            query_id, query = record.get("_id"), record.get("text")
            if not isinstance(query_id, str | int) or not isinstance(query, str):
                faults.add('"_id" or "text" is missing or no text', line, query_id)
            elif not _is_unicode(query):
                faults.add("has characters that are no Unicode", line, query_id)
            else:
                rows.append((line, str(query_id), query))
    table = pd.DataFrame(rows, columns=["line", "query_id", "query"])
    faults.add_rows("repeats an id", table[table["query_id"].duplicated()], "query_id")
    faults.raise_any()
    return table[["query_id", "query"]]


def judgements(folder: Path, split: str) -> pd.DataFrame:
    """Return the columns line, query_id, document_id and relevance of a split.

    Without a file there are no rows. Raises `UserError` for what is wrong with the file.
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
                    faults.add("is no query-id, corpus-id and whole score with tabs", line, text)
                else:
                    rows.append((line, fields[0], fields[1], int(fields[2])))
    faults.raise_any()
    return pd.DataFrame(rows, columns=["line", "query_id", "document_id", "relevance"])


def _fetch_each(source: str, cache: Path) -> Path:
    """Fetch the files of a remote folder, those that it has."""
    url = source.rstrip("/")
    try:
        files, _ = fsspec.core.url_to_fs(url)
        there = [name for name in NAMES if files.exists(f"{url}/{name}")]
    # Each protocol has exceptions of its own; whichever it is, nothing was found.
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise UserError(f"{FIELD}: {source} could not be reached: {reason:.300}") from error
    folder = cache / f"fetched-{hashlib.sha256(url.encode()).hexdigest()[:12]}"
    for name in there:
        fetched = sources.fetch(f"{url}/{name}", None, cache, FIELD)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(fetched, folder / name)
    return folder


def _unpack(archive: Path, folder: Path) -> None:
    """Take the layout's files out of an archive, wherever in it they lie, and nothing else."""
    try:
        with _members(archive) as (names, open_member):
            found = [name for name in names if name.rpartition("/")[2] == CORPUS]
            if len(found) != 1:
                raise UserError(f"{FIELD}: {archive.name} has {len(found)} files {CORPUS}, not one")
            root = found[0].removesuffix(CORPUS)
            room = SMALL + MAX_RATIO * archive.stat().st_size
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent) as partial:
                for name in NAMES:
                    if root + name in names:
                        target = Path(partial) / "whole" / name
                        target.parent.mkdir(parents=True, exist_ok=True)
                        with open_member(root + name) as stream, target.open("wb") as file:
                            while part := stream.read(PART):
                                room -= file.write(part)
                                if room < 0:
                                    raise OSError(f"it holds more than {MAX_RATIO} times its size")
                os.replace(Path(partial) / "whole", folder)
    # A RuntimeError is raised for a password, or a method of compression that Python has not.
    except (OSError, EOFError, RuntimeError, *DAMAGED) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{FIELD}: {archive.name} cannot be unpacked: {reason:.300}") from error


@contextmanager
def _members(archive: Path) -> Iterator[tuple[list[str], Any]]:
    if archive.suffix.lower() == ".zip":
        with zipfile.ZipFile(archive) as zipped:
            yield zipped.namelist(), zipped.open
    else:
        with tarfile.open(archive) as tar:
            yield [one.name for one in tar.getmembers() if one.isfile()], tar.extractfile


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with _read(path) as file:
        for line, text in enumerate(file, start=1):
            if not text.strip():
                continue
            try:
                record = json.loads(text, parse_constant=lambda name: None)  # NaN is no JSON
            except (ValueError, RecursionError) as error:
                raise UserError(f"{FIELD}: {path.name} line {line} is no JSON: {error}") from None
            if not isinstance(record, dict):
                raise UserError(f"{FIELD}: {path.name} line {line} is no JSON object")
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
    """Tell whether values can be written down: half a surrogate pair, as in "\\ud83d", cannot."""
    try:
        json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
