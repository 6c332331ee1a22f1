"""Unpacks the model of a release into `models/`, if it is the one of the last commit:

    python -m portfolio_kit.deploy.release models.tar.gz

Its files must have the hash and the size that `dvc.lock` of that commit states for `models/`, and
the hash of its model file must begin with the version in `reports/metrics.json`. Otherwise one line
says what is wrong, the exit code is 1, and `models/` does not exist.
"""

import hashlib
import json
import os
import shutil
import sys
import tarfile
import tempfile
import zlib
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import yaml

from .. import artifacts
from ..errors import UserError
from .promote import committed, of_last_commit

LOCK = Path("dvc.lock")
DAMAGED = (tarfile.TarError, zlib.error, EOFError, OSError, ValueError)


class Locked(NamedTuple):
    """What `dvc.lock` says of a folder."""

    md5: str
    size: int  # in bytes
    files: int


def main(arguments: list[str]) -> None:
    if len(arguments) != 1:
        sys.exit("usage: python -m portfolio_kit.deploy.release models.tar.gz")
    try:
        archive, locked = Path(arguments[0]), read_lock()
        if artifacts.MODELS.exists():
            raise UserError(f"{artifacts.MODELS}: exists already; remove it with `make clean`")
        with tempfile.TemporaryDirectory(".partial", ".models.", Path()) as workshop:
            unpack(archive, Path(workshop), locked)
            found = Path(workshop) / artifacts.MODELS
            check(archive, found, locked)
            os.replace(found, artifacts.MODELS)
    except UserError as error:
        sys.exit(f"error: {error}")


def read_lock() -> Locked:
    """Return what the last commit's `dvc.lock` says of `models/`."""
    try:
        stages = yaml.safe_load(of_last_commit(LOCK))["stages"].values()
        outputs = [out for stage in stages for out in stage.get("outs", ())]
        [found] = [out for out in outputs if out["path"] == artifacts.MODELS.as_posix()]
        return Locked(str(found["md5"]), int(found["size"]), int(found["nfiles"]))
    except (yaml.YAMLError, LookupError, TypeError, ValueError, AttributeError):
        raise UserError(
            f"{LOCK}: the last commit has no hash of {artifacts.MODELS}/; run `make pipeline` and "
            f"commit {LOCK}"
        ) from None


def unpack(archive: Path, folder: Path, locked: Locked) -> None:
    """Write an archive's files below `models/` of `folder`, as many bytes as `locked` allows.

    Raises `UserError` for any other name, a link or a device, and for more bytes.
    """
    left = locked.size
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                if path.name.startswith("._"):  # the attributes that macOS packs with each file
                    continue
                inside = path.parts[:1] == (artifacts.MODELS.name,) and not path.is_absolute()
                if not inside or ".." in path.parts or any(c in member.name for c in "\\:\0"):
                    raise UserError(f"{archive}: {member.name!r:.80} is not below models/")
                if member.isdir():
                    continue
                if not member.isfile():
                    raise UserError(f"{archive}: {member.name!r:.80} is not a plain file")
                if not 0 <= member.size <= left:
                    raise UserError(f"{archive}: more than the {locked.size:,} bytes of {LOCK}")
                left -= member.size
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                with tar.extractfile(member) as source, (folder / path).open("xb") as file:  # type: ignore[union-attr]
                    shutil.copyfileobj(source, file)
    except DAMAGED as error:
        raise UserError(f"{archive}: cannot be unpacked ({error})") from None


def check(archive: Path, folder: Path, locked: Locked) -> None:
    """Raise `UserError` unless a folder is what the last commit describes."""
    if not folder.is_dir() or tree_md5(folder) != locked.md5:
        raise UserError(
            f"{archive}: not the model of the last commit's {LOCK}; release that model, or commit "
            f"the {LOCK} of this one"
        )
    found, evaluated = version(folder), (committed() or {}).get("model_version")
    if found != evaluated:
        raise UserError(
            f"{archive}: holds model {found}, but {artifacts.METRICS} of the last commit belongs "
            f"to {evaluated}"
        )


def tree_md5(folder: Path) -> str:
    """Return DVC's hash of a folder: the MD5 of a list of its files' names and MD5s."""
    files = (file for file in folder.rglob("*") if file.is_file())
    names = sorted(file.relative_to(folder).as_posix() for file in files)
    listed = [{"md5": md5((folder / name).read_bytes()), "relpath": name} for name in names]
    return f"{md5(json.dumps(listed).encode())}.dir"


def md5(content: bytes) -> str:
    """Return a hexadecimal MD5."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def version(folder: Path) -> str:
    """Return a model's version, from its file; raises `UserError` if its manifest has another."""
    try:
        stated = json.loads((folder / artifacts.MANIFEST).read_bytes())["version"]
        found = artifacts.sha256(folder / "model.onnx")[:12]
    except OSError as error:
        raise UserError(f"{error.filename}: missing; run `make pipeline`") from None
    except (ValueError, LookupError, TypeError):
        raise UserError(f"{folder / artifacts.MANIFEST}: damaged; run `make pipeline`") from None
    if stated != found:
        raise UserError(
            f"{folder / artifacts.MANIFEST}: states version {stated!r:.20}, but model.onnx is "
            f"{found}; run `make train`"
        )
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
