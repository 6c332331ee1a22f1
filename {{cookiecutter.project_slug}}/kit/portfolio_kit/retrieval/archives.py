"""Fetches a folder in the BEIR layout: a local one, an archive, or one behind a URL."""

import hashlib
import os
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import fsspec

from .. import artifacts, sources
from ..errors import UserError
from .beir import CORPUS, QUERIES
from .lines import FIELD
from .qrels import USUAL, is_judgements

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error)
MAX_RATIO = 200  # of unpacked to packed size: texts come to 10, a bomb to 1,000
SMALL = 10_000_000  # bytes that any archive may unpack to
PART = 1 << 20


class Fetched(NamedTuple):
    """A source on this machine."""

    folder: Path  # with the files of the layout
    sha256: str  # of the source itself, as pinned: the archive's or the folder's


def fetch(source: str, pin: str | None, cache: Path) -> Fetched:
    """Return a local folder with the files of the layout, and the hash to pin.

    Raises `UserError` if the source cannot be read, has no corpus or differs from the pinned hash.
    """
    if source.lower().partition("?")[0].endswith(ARCHIVES):
        archive = sources.fetch(source, pin, cache, FIELD)
        sha256 = artifacts.sha256(archive)
        folder = cache / f"archive-{sha256[:12]}"
        if not folder.exists():
            _unpack(archive, folder)
        return Fetched(folder, sha256)
    folder = _fetch_each(source, cache) if "://" in source else Path(os.path.expanduser(source))
    if not os.path.isfile(folder / CORPUS):
        raise UserError(
            f"{FIELD}: {source} has no {CORPUS}; name a folder or an archive that has one"
        )
    sources.check(folder, pin, f"{FIELD}: {source}")
    return Fetched(folder, artifacts.sha256(folder))


def is_part(name: str) -> bool:
    """Tell whether a path inside a source is a file of the layout, and leads nowhere else."""
    is_inside = not {"", ".", ".."} & set(name.split("/")) and not {"\\", ":"} & set(name)
    return is_inside and (name in (CORPUS, QUERIES) or is_judgements(name))


def _fetch_each(source: str, cache: Path) -> Path:
    """Fetch those files of the layout that a remote folder has."""
    url = source.rstrip("/")
    try:
        sources.complete_proxies()
        files, path = fsspec.core.url_to_fs(url)
        if url.startswith(("http://", "https://")):  # these have no listings
            others = [name for name in (QUERIES, *USUAL) if files.exists(f"{url}/{name}")]
            there = [CORPUS, *others]  # no file exists on a server that cannot be reached
        else:
            inside = (found.removeprefix(path).lstrip("/") for found in files.find(path))
            there = [name for name in inside if is_part(name)]
    except Exception as error:  # each protocol has its own exceptions
        raise UserError(f"{FIELD}: {source} could not be reached: {sources.why(error)}") from error
    folder = cache / f"fetched-{hashlib.sha256(url.encode()).hexdigest()[:12]}"
    for name in there:
        fetched = sources.fetch(f"{url}/{name}", None, cache, FIELD)
        artifacts.write_atomic(folder / name, partial(shutil.copyfile, fetched))
    gone = {f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file()} - {*there}
    for name in filter(is_part, gone):  # the source has fewer files today
        (folder / name).unlink(missing_ok=True)
    return folder


def _unpack(archive: Path, folder: Path) -> None:
    """Extract the layout's files, wherever they lie in the archive, and nothing else."""
    try:
        with _members(archive) as (names, open_member):
            found = [name for name in names if name.rpartition("/")[2] == CORPUS]
            if len(found) != 1:
                raise UserError(f"{FIELD}: {archive.name} has {len(found)} files {CORPUS}, not one")
            root = found[0].removesuffix(CORPUS)
            room = SMALL + MAX_RATIO * archive.stat().st_size
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent) as workshop:
                inside = {name.removeprefix(root) for name in names if name.startswith(root)}
                for name in filter(is_part, inside):
                    target = Path(workshop) / "whole" / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with open_member(root + name) as stream, target.open("wb") as file:
                        while part := stream.read(PART):
                            room -= file.write(part)
                            if room < 0:
                                raise OSError(f"it holds more than {MAX_RATIO} times its size")
                try:
                    os.replace(Path(workshop) / "whole", folder)
                except OSError:
                    if not folder.exists():  # nor has another process unpacked the same archive
                        raise
    # A RuntimeError is raised for a password, or for a compression that Python lacks.
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
