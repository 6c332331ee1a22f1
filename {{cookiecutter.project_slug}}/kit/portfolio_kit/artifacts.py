"""Files that later stages trust: written whole, listed with their hashes, checked when read."""

import glob
import hashlib
import json
import os
import secrets
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from .errors import UserError
from .records import Listed, Metrics

# What each stage writes and the next one reads, relative to the project's folder.
RAW = Path("data/raw")
PROCESSED = Path("data/processed")
MODELS = Path("models")
REPORTS = Path("reports")
METRICS = REPORTS / "metrics.json"

MANIFEST = "manifest.json"
STALE_SECONDS = 86_400  # without a byte written: its process is gone
# What Windows and macOS add to folders; other hidden names begin with a point.
ADDED = ("thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "icon\r")
R = TypeVar("R", bound=Listed)
M = TypeVar("M", bound=Metrics)


def is_hidden(name: str) -> bool:
    """Tell whether a relative path is hidden, or is something that an operating system adds."""
    parts = name.lower().split("/")
    return any(part.startswith(".") or part in ADDED for part in parts)


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file, or of a folder's file names and contents.

    Hidden files, such as .DS_Store, do not count.
    """
    if path.is_dir():
        files = sorted(f.relative_to(path).as_posix() for f in path.rglob("*") if f.is_file())
        names = (name for name in files if not is_hidden(name))
        listing = "".join(f"{sha256(path / name)}  {name}\n" for name in names)
        return hashlib.sha256(listing.encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file next to `path`, then put it in place in one step.

    Processes that write one file at the same time have a temporary file each; the last one wins.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{glob.escape(path.name)}.*partial"):  # by a killed process
        with suppress(OSError):  # another process was faster
            if time.time() - left.stat().st_mtime > STALE_SECONDS:
                left.unlink()
    partial_file = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        write(partial_file)
        os.replace(partial_file, path)
    finally:
        partial_file.unlink(missing_ok=True)


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Let one process at a time work in this folder under a name; raises `UserError` in another.

    SQLite's lock, which ends with the process, however that ends.
    """
    path = Path(".cache") / f"{name}.lock"
    path.parent.mkdir(exist_ok=True)
    try:
        lock = sqlite3.connect(path, timeout=0, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname.startswith("SQLITE_BUSY"):
            reason = f"`{name}` runs in this folder already; wait until it ends"
        else:
            reason = f"{path}: cannot be used: {error}"
        raise UserError(reason) from None
    with closing(lock):
        yield


def write_text(path: Path, text: str) -> None:
    """Write text with the same bytes on every system."""
    write_atomic(path, lambda file: file.write_text(text, encoding="utf-8", newline="\n"))


def write_json(path: Path, content: Any) -> None:
    """Write JSON with the same bytes for the same content."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_manifest(folder: Path, names: Iterable[str], record: R) -> R:
    """Write a record with the hash of each named file of `folder`; call this after the files."""
    files = {name: sha256(folder / name) for name in names}
    whole = record.model_copy(update={"files": files})
    write_json(folder / MANIFEST, whole.model_dump(mode="json"))
    return whole


def publish(workshop: Path, record: R) -> R:
    """Move a finished model's files into `models/`, the manifest last; remove the workshop."""
    files = sorted(file for file in workshop.rglob("*") if file.is_file())
    names = [file.relative_to(workshop).as_posix() for file in files]
    for name in names:
        write_atomic(MODELS / name, partial(shutil.move, workshop / name))
    shutil.rmtree(workshop)
    return write_manifest(MODELS, names, record)


def read_manifest(folder: Path, kind: type[R], made_by: str) -> R:
    """Return the manifest of `folder` once every file it lists has the hash it states.

    Raises `UserError` if something is missing or altered; `made_by` is the command that fixes it.
    """
    manifest = None
    try:
        manifest = kind.model_validate_json((folder / MANIFEST).read_bytes())
    except OSError:
        raise UserError(f"{folder}: nothing complete here yet; run `make {made_by}`") from None
    except ValidationError:
        pass
    if manifest is None or "files" not in manifest.model_fields_set:
        raise UserError(
            f"{folder / MANIFEST}: damaged, or written by another version of this code; "
            f"run `make {made_by}` again"
        )
    for name, expected in manifest.files.items():
        if not (folder / name).is_file() or sha256(folder / name) != expected:
            raise UserError(
                f"{folder / name}: not the file that {MANIFEST} lists (altered or incomplete); "
                f"run `make {made_by}` again"
            )
    return manifest


def read_metrics(kind: type[M], version: str) -> M:
    """Return the held-out metrics of exactly this model; raises `UserError` if there are none."""
    try:
        metrics = kind.model_validate_json(METRICS.read_bytes())
    except OSError:
        raise UserError(f"{METRICS}: not written yet; run `make evaluate`") from None
    except ValidationError:
        raise UserError(
            f"{METRICS}: damaged, or written by another version of this code; run `make evaluate`"
        ) from None
    if metrics.model_version != version:
        raise UserError(
            f"{METRICS} belongs to model {metrics.model_version}, but {MODELS} holds {version}; "
            "run `make evaluate` again"
        )
    return metrics


def read_scores(version: str) -> dict[str, float] | None:
    """Return the held-out scores of exactly this model, or None if it was not evaluated."""
    try:
        metrics = json.loads(METRICS.read_bytes())
        return metrics["model"] if metrics["model_version"] == version else None
    except (OSError, ValueError, TypeError, KeyError):
        return None
