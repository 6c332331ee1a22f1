"""Files that later stages trust: written whole, listed with their hashes, checked when read."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import UserError

# What each stage writes and the next one reads, relative to the project's folder.
RAW = Path("data/raw")
PROCESSED = Path("data/processed")
MODELS = Path("models")
REPORTS = Path("reports")
METRICS = REPORTS / "metrics.json"

MANIFEST = "manifest.json"


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file, or of a folder's files and their names."""
    if path.is_dir():
        files = sorted(f.relative_to(path).as_posix() for f in path.rglob("*") if f.is_file())
        listing = "".join(f"{sha256(path / name)}  {name}\n" for name in files)
        return hashlib.sha256(listing.encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in place in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        write(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write text that is the same, byte for byte, on every system."""
    write_atomic(path, lambda partial: partial.write_text(text, encoding="utf-8", newline="\n"))


def write_json(path: Path, content: Any) -> None:
    """Write JSON that is the same, byte for byte, for the same content."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_manifest(folder: Path, names: list[str], facts: dict[str, Any]) -> dict[str, Any]:
    """Record `facts` and the hash of each named file of `folder`; write this after the files."""
    manifest = {**facts, "files": {name: sha256(folder / name) for name in names}}
    write_json(folder / MANIFEST, manifest)
    return manifest


def read_metrics(version: str) -> dict[str, Any] | None:
    """Return what the test set said of exactly this model, or None if it has not been evaluated."""
    try:
        metrics = json.loads(METRICS.read_text(encoding="utf-8"))
        return metrics if metrics["model_version"] == version and "model" in metrics else None
    except (OSError, ValueError, TypeError, KeyError):  # not evaluated, or half copied
        return None


def read_manifest(folder: Path, made_by: str) -> dict[str, Any]:
    """Return the manifest of `folder` once every file it lists has the hash it states.

    Raises `UserError` if something is missing or altered; `made_by` is the command that mends it.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = dict(manifest["files"]).items()
    except (OSError, ValueError, TypeError, KeyError):
        raise UserError(
            f"{folder}: nothing complete is there yet; run `python -m {__package__} {made_by}`"
        ) from None
    for name, expected in files:
        if not (folder / name).is_file() or sha256(folder / name) != expected:
            raise UserError(
                f"{folder / name}: not the file that {MANIFEST} lists (altered, or half written); "
                f"run `python -m {__package__} {made_by}` again"
            )
    return manifest
