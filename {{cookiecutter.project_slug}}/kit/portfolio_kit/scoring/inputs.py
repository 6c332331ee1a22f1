"""Files to score, read part by part: CSV, JSON Lines or Parquet; a file, a glob or a folder."""

import glob
import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from .. import artifacts, headers, sources
from ..errors import UserError

FIELD = "--source"
BLOCK = 1 << 20  # bytes read at a time
BATCH = 4_096  # rows of a Parquet file decoded at a time
Columns = dict[str, pa.DataType]


class Input(NamedTuple):
    """One file: what the output calls it, and where it lies."""

    name: str
    path: Path


class Row(NamedTuple):
    """A row and where it is, or why there is none; the lines after it can still be read."""

    file: str
    line: int  # of a Parquet file: the row
    values: dict[str, Any]
    fault: str | None = None


class Rejected(NamedTuple):
    """A row without an answer."""

    file: str
    line: int
    reason: str


Damage = Callable[[int, str], None]  # takes the line of a damaged row, and what is wrong with it


def find(source: str) -> list[Input]:
    """Return the files of a source, in the order of their names; remote ones are fetched.

    A source is a file, a glob, or a folder with all that is in it, as a path or as a URL that
    fsspec opens. Raises `UserError` if there is none, or a file of another kind among them.
    """
    try:
        names = _remote(source) if "://" in source else _local(source)
    except Exception as error:  # each protocol has its own exceptions
        raise UserError(f"{FIELD}: {source} cannot be read: {sources.why(error)}") from None
    if not names:
        raise UserError(f"{FIELD}: {source}: there is no such file")
    for name in names:
        if _suffix(name) not in (".csv", ".jsonl", ".parquet"):
            raise UserError(f"{FIELD}: {name}: use .csv, .jsonl and .parquet files")
    paths = [sources.fetch(name, None, artifacts.RAW, FIELD) for name in names]
    folders = [name.split("/")[:-1] for name in names]
    same = itertools.takewhile(lambda level: len({*level}) == 1, zip(*folders, strict=False))
    above = len([*same])
    short = ["/".join(name.split("/")[above:]) for name in names]
    return [Input(name, path) for name, path in zip(short, paths, strict=True)]


def _local(source: str) -> list[str]:
    path = Path(os.path.expanduser(source))
    if path.is_dir():
        found = (file for file in path.rglob("*") if file.is_file())
        return sorted(f.as_posix() for f in found if not _ignored(f.relative_to(path).as_posix()))
    if path.is_file():
        return [path.as_posix()]
    return sorted(Path(name).as_posix() for name in glob.glob(str(path), recursive=True))


def _remote(source: str) -> list[str]:
    sources.complete_proxies()
    files, path = fsspec.core.url_to_fs(source)
    if source.startswith(("http://", "https://")) or files.isfile(path):
        return [source]  # a web server lists no folder
    if glob.has_magic(path):
        names = files.glob(path)
    else:
        names = [name for name in files.find(path) if not _ignored(name.removeprefix(path))]
    return [files.unstrip_protocol(name) for name in sorted(names)]


def _ignored(name: str) -> bool:
    """Tell whether a file of a folder is no data: hidden, or a note such as `_SUCCESS`."""
    parts = name.strip("/").split("/")
    return artifacts.is_hidden("/".join(parts)) or any(part.startswith("_") for part in parts)


def _suffix(name: str) -> str:
    return PurePosixPath(name.partition("?")[0]).suffix.lower()


def measure(file: Input) -> tuple[str, int]:
    """Return a file's SHA-256 and its rows: of a text file its lines, some more than its rows."""
    digest, rows = hashlib.sha256(), 0
    with file.path.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
            rows += block.count(b"\n")
    if _suffix(file.path.name) == ".parquet":
        with explained(file):
            rows = pq.read_metadata(file.path).num_rows
    return digest.hexdigest(), rows


def columns(file: Input) -> Columns:
    """Return the columns of a file; what CSV and JSON Lines hold counts as text."""
    suffix = _suffix(file.path.name)
    with explained(file):
        if suffix == ".parquet":
            return {field.name: field.type for field in pq.read_schema(file.path)}
        if suffix == ".csv":
            return dict.fromkeys(headers.csv_columns(file.path), pa.string())
        first = next((row for row in _jsonl(file) if not row.fault), Row("", 0, {}))
        return dict.fromkeys(first.values, pa.string())


def rows(file: Input) -> Iterator[Row]:
    """Yield the rows of a file; raises `UserError` for a file that cannot be read on."""
    with explained(file):
        yield from {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}[_suffix(file.path.name)](
            file
        )


def tables(file: Input, names: list[str], damaged: Damage) -> Iterator[tuple[np.ndarray, pa.Table]]:
    """Yield parts of a file, with some of its columns, and the line (or row) of each row.

    Much faster than `rows`. Texts of a CSV file may have no line breaks.
    """
    readers = {".csv": _csv_tables, ".jsonl": _jsonl_tables, ".parquet": _parquet_tables}
    with explained(file):
        yield from readers[_suffix(file.path.name)](file, names, damaged)


@contextmanager
def explained(file: Input) -> Iterator[None]:
    """Turn what is raised while a file is parsed into a `UserError`."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise UserError(f"{FIELD}: {file.name} is not UTF-8: {error}") from None
    except (ValueError, OSError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{FIELD}: {file.name}: {reason:.300}") from None


def _csv(file: Input) -> Iterator[Row]:
    names = headers.csv_columns(file.path)
    for line, fields in itertools.islice(headers.csv_records(file.path), 1, None):
        if len(fields) == len(names):
            yield Row(file.name, line, dict(zip(names, fields, strict=True)))
        elif fields:
            yield Row(file.name, line, {}, _uneven(len(fields), len(names)))


def _uneven(fields: int, names: int) -> str:
    return f"has {fields} fields, and the header has {names}"


def _jsonl(file: Input) -> Iterator[Row]:
    with file.path.open(encoding="utf-8-sig", newline="\n") as stream:
        for line, text in enumerate(stream, start=1):
            if not text.strip():
                continue
            try:
                values = json.loads(text)
            except (ValueError, RecursionError) as error:
                yield Row(file.name, line, {}, f"is not JSON: {error!s:.100}")
                continue
            if isinstance(values, dict):
                yield Row(file.name, line, values)
            else:
                yield Row(file.name, line, {}, "is not a JSON object")


def _parquet(file: Input) -> Iterator[Row]:
    parts = (batch.to_pylist() for batch in pq.ParquetFile(file.path).iter_batches(BATCH))
    for line, values in enumerate(itertools.chain.from_iterable(parts), start=1):
        yield Row(file.name, line, values)


def _csv_tables(
    file: Input, names: list[str], damaged: Damage
) -> Iterator[tuple[np.ndarray, pa.Table]]:
    skipped: list[int] = []

    def skip(row: pc.InvalidRow) -> str:
        skipped.append(row.number)
        if row.text:
            damaged(row.number, _uneven(row.actual_columns, row.expected_columns))
        return "skip"

    kinds = dict.fromkeys(headers.csv_columns(file.path), pa.string())
    parts = pc.open_csv(
        file.path,
        pc.ReadOptions(block_size=BLOCK, use_threads=False),  # else rows have no numbers
        pc.ParseOptions(invalid_row_handler=skip, ignore_empty_lines=False),
        pc.ConvertOptions(column_types=kinds, include_columns=names),
    )
    line = 2
    for part in parts:
        count = part.num_rows
        while count != (more := part.num_rows + sum(line <= at < line + count for at in skipped)):
            count = more
        lines = np.setdiff1d(np.arange(line, line + count), skipped)
        line += count
        # A blank line, which has to be counted, is read as a row without values.
        texts = [column.fill_null("").to_numpy(zero_copy_only=False) for column in part.columns]
        is_blank = np.logical_and.reduce([column == "" for column in texts])
        yield lines[~is_blank], pa.table(part).filter(pa.array(~is_blank))


def _jsonl_tables(
    file: Input, names: list[str], damaged: Damage
) -> Iterator[tuple[np.ndarray, pa.Table]]:
    every = _jsonl(file)
    while some := list(itertools.islice(every, BATCH)):
        for row in some:
            if row.fault:
                damaged(row.line, row.fault)
        kept = [row for row in some if not row.fault]
        values = {name: [row.values.get(name) for row in kept] for name in names}
        table = pa.table(
            {n: [None if v is None else str(v) for v in values[n]] for n in names},
            pa.schema([(name, pa.string()) for name in names]),
        )
        yield np.array([row.line for row in kept]), table


def _parquet_tables(
    file: Input, names: list[str], damaged: Damage
) -> Iterator[tuple[np.ndarray, pa.Table]]:
    row = 1
    for part in pq.ParquetFile(file.path).iter_batches(columns=names):
        yield np.arange(row, row + part.num_rows), pa.table(part)
        row += part.num_rows
