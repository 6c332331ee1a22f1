"""Copies the changes of documents into a file: python -m portfolio_kit.retrieval.backup FILE.

The service may run meanwhile. Restoring is replacing the file that `serve.changes` names.
"""

import argparse
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from .. import artifacts, config
from ..errors import UserError, lines_of


def backup(source: Path, target: Path) -> int:
    """Copy a journal as it is at one moment, whole or not at all; return how many changes it has.

    Raises `UserError` if it cannot be read, or if the target exists.
    """
    if not source.is_file():
        raise UserError(f"serve.changes: there is no {source} to copy")
    if target.exists():
        raise UserError(f"{target}: exists already; name a new file")
    count = 0

    def copy(file: Path) -> None:
        nonlocal count
        with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(file)) as copied:
            original.backup(copied)
            copied.execute("PRAGMA journal_mode=DELETE")  # one file, that needs no other
            [(count,)] = copied.execute("SELECT count(*) FROM changes").fetchall()

    try:
        artifacts.write_atomic(target, copy)
    except sqlite3.Error as error:
        raise UserError(f"{source}: cannot be copied to {target}: {error}") from error
    return count


def main(arguments: list[str]) -> int:
    """Copy; return 0, or 1 after one plain line on standard error."""
    parser = argparse.ArgumentParser(prog="python -m portfolio_kit.retrieval.backup")
    parser.description = "Copy the changes of documents into a file; the service may run meanwhile."
    parser.add_argument("file", metavar="FILE", help="the copy, a new file")
    parser.add_argument(
        "changes", nargs="?", metavar="CHANGES", help="default: serve.changes of params.yaml"
    )
    given = parser.parse_args(arguments)
    try:
        source = given.changes or _named()
        count = backup(Path(source), Path(given.file))
    except (UserError, OSError) as error:
        for line in lines_of(error):
            print(f"error: {line}", file=sys.stderr)
        return 1
    print(f"{given.file}: {count:,} changes of {source}")
    return 0


def _named() -> str:
    serve = config.parsed(config.text_of(config.PARAMS_FILE)).get("serve")
    changes = serve.get("changes") if isinstance(serve, dict) else None
    if not isinstance(changes, str):
        raise UserError("serve.changes: params.yaml names no file; name it as CHANGES")
    return changes


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
