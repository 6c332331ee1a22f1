"""What the head of a data file says: its columns, and why they are not the wanted ones."""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
FIRST = 20  # lines in which a header is looked for
LONGEST = 100_000  # characters of such a line
UNFINISHED = ("_delta_log", "_temporary", ".hoodie")  # in a folder where not every file counts
NOWHERE = "__HIVE_DEFAULT_PARTITION__"  # the folder of rows without a value


def csv_records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the line where each record of a CSV file begins, and its fields; [] for a blank line.

    Raises `ValueError`, which names that line, for quotes that do not match.
    """
    csv.field_size_limit(2**31 - 1)  # the default rejects long texts
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        start = 1
        try:
            for fields in reader:
                yield start, fields
                start = reader.line_num + 1
        except csv.Error as error:
            fault = {
                "unexpected end of data": "a quote opens a text here and is never closed",
                "',' expected after '\"'": "a text continues after its closing quote",
            }.get(str(error), str(error))
            fix = 'write a quote that is part of a text twice ("" and not \\")'
            raise ValueError(f"line {start}: {fault}; {fix}") from error


def csv_columns(path: Path) -> list[str]:
    """Return the first record of a CSV file; raises `ValueError` if there is none."""
    try:
        _, columns = next(csv_records(path), (1, None))
    except ValueError:  # its names may be in quotes, with other separators between them
        columns = next(csv.reader(_first_lines(path)[:1]))
    if columns is None:
        raise ValueError("it is empty")
    if not columns:
        raise ValueError("its first line is empty; it must name the columns")
    return columns


def csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the line and the fields of each record below the header, without blank lines.

    Raises `ValueError`, which names the line, for another number of fields than in the header.
    """
    records = csv_records(path)
    _, header = next(records)
    for line, fields in records:
        if fields and len(fields) != len(header):
            raise ValueError(
                f"line {line}: {len(fields)} fields instead of {len(header)}; put commas "
                "between fields, and quotes around a text that contains a comma"
            )
        if fields:
            yield line, fields


def parquet_columns(path: Path) -> list[str]:
    """Return the columns of a Parquet file, or of a folder of parts."""
    return [name for schema in parquet_schemas(path) for name in schema.names]


def parquet_schemas(path: Path) -> tuple[pa.Schema, pa.Schema]:
    """Return the columns in a Parquet file, or in a folder's parts, and those of its subfolders.

    Raises `ValueError` or `TypeError` if the parts have different types.
    """
    files = parquet_parts(path)
    if files == [path]:
        return pq.read_schema(path), pa.schema([])
    schemas = []
    for file in files:
        try:
            fields = pq.read_schema(file)
        except (ValueError, OSError) as error:
            raise ValueError(f"{file.relative_to(path).as_posix()}: {error}") from error
        schemas.append(pa.schema([(field.name, _plain(field.type)) for field in fields]))
    schema = pa.unify_schemas(schemas)
    folders = [field for field in _partitions(path, files) if field.name not in schema.names]
    return schema, pa.schema(folders)


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return one type for all that a writer may choose for text: it may vary from part to part."""
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    is_text = pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return pa.string() if is_text else kind


def parquet_parts(path: Path) -> list[Path]:
    """Return a Parquet file itself, or the parts in a folder as Spark, Dask and pandas write it.

    Hidden files, such as `_SUCCESS`, are no parts. Raises `ValueError` if there is another file.
    """
    if not path.is_dir():
        return [path]
    parts = []
    for file in path.rglob("*"):
        names = file.relative_to(path).parts
        if names[0] in UNFINISHED:
            raise ValueError(f"with {names[0]}, not all files in it are valid; export the table")
        if file.is_dir() or any(name.startswith((".", "_")) for name in names):
            continue
        if file.suffix.lower() != ".parquet":
            raise ValueError(f"{'/'.join(names)} is not a .parquet file; take it out of the folder")
        parts.append(file)
    if not parts:
        raise ValueError("the folder has no .parquet files")
    return sorted(parts)


def _partitions(path: Path, parts: list[Path]) -> pa.Schema:
    """Return the columns that a folder's subfolders name, as in `year=2024/part-0.parquet`.

    They are integers if all values are written like integers; 01 is a name.
    """
    values: dict[str, set[str]] = {}
    for part in parts:
        for folder in part.relative_to(path).parent.parts:
            name, equals, value = folder.partition("=")
            if equals:
                values.setdefault(name, set()).add(value)
    return pa.schema((name, _type_of(found - {NOWHERE})) for name, found in values.items())


def _type_of(values: set[str]) -> pa.DataType:
    are_integers = all(re.fullmatch(r"0|-?[1-9]\d{0,17}", value, re.ASCII) for value in values)
    return pa.int64() if values and are_integers else pa.string()


def advice(path: Path, wanted: list[str], missing: str) -> str:
    """Return what the file's head shows of the reason for a missing column, or nothing."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".csv":
            found = _advice_on_csv(path, wanted)
        elif suffix == ".jsonl":
            with path.open(encoding="utf-8-sig") as file:
                found = _inside(json.loads(next(filter(str.strip, file))), missing)
        elif suffix == ".parquet":
            structs = [f for f in parquet_schemas(path)[0] if pa.types.is_struct(f.type)]
            found = _inside({f.name: {one.name: None for one in f.type} for f in structs}, missing)
        else:
            found = ""
    except (csv.Error, ValueError, AttributeError, RecursionError):
        return ""
    return found and f" ({found})"


def _inside(record: Mapping[str, Any], missing: str) -> str:
    for name, value in record.items():
        if isinstance(value, dict) and missing in value:
            return f"{missing!r} is inside {name!r}: make it a column"
    return ""


def _advice_on_csv(path: Path, wanted: list[str]) -> str:
    """Find the header below notes to Excel and titles, and between other separators."""
    lines = _first_lines(path)
    is_note = bool(re.match(r"\"?sep=", lines[0], re.IGNORECASE))

    def split(number: int, separator: str) -> list[str]:
        return next(csv.reader(lines[number : number + 1], delimiter=separator), [])

    places = [(number, mark) for number in range(len(lines)) for mark in SEPARATORS]
    complete = (place for place in places if {*wanted} <= {*split(*place)})
    guess = max(((int(is_note), mark) for mark in SEPARATORS), key=lambda at: len(split(*at)))
    number, separator = next(complete, guess)
    found = []
    if number:
        found.append(f"the header is in line {number + 1}: delete what is above it")
    if separator != ",":
        found.append(f"columns are separated by {SEPARATORS[separator]}: save it with commas")
    return "; ".join(found)


def _first_lines(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(islice(iter(lambda: file.readline(LONGEST), ""), FIRST))
