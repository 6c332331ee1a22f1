"""Reads the text files of a source line by line."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ..errors import UserError

FIELD = "data.source"


def records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the JSON objects of a file with their lines; raises `UserError` for anything else."""
    with opened(path) as file:
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
def opened(path: Path) -> Iterator[IO[str]]:
    """Open a UTF-8 file; raises `UserError` if it turns out to be in another encoding."""
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            yield file
    except UnicodeDecodeError as error:
        raise UserError(
            f"{FIELD}: {path.name} is not UTF-8 ({error.reason}); save it as UTF-8"
        ) from None
