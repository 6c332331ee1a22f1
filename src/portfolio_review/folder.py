"""A stranger's folder, whose files may name any place: the one door to all that the review reads.

Wherever a name comes from, `Folder.path` makes of it the one path that is checked and then used.
"""

import hashlib
import os
import stat
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path, PureWindowsPath

MAX_BYTES = 5_000_000  # of a file that is read whole
MAX_FILES = 20_000
MAX_HASHED = 20_000_000_000  # bytes, of all files together


def is_plain(path: str) -> bool:
    """Tell whether it is a regular file, not a link, nor a pipe that never ends."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False


def is_below(name: str) -> bool:
    """Tell whether a name is relative and stays in its folder."""
    parts = PureWindowsPath(name)  # which takes slashes, too, and knows drives
    return bool(name) and not parts.anchor and ".." not in parts.parts


@dataclass(frozen=True)
class Folder:
    """A folder whose files are read within bounds, and no file outside it."""

    root: Path

    def path(self, name: str) -> Path | None:
        """Return where a name leads, without links; None if it is a link, or leads outside."""
        try:
            if not is_below(name):
                return None
            named = self.place / name
            path = named.resolve()
            return path if path.is_relative_to(self.place) and not named.is_symlink() else None
        except (OSError, ValueError, RuntimeError):  # an impossible name; a loop of links
            return None

    @cached_property
    def place(self) -> Path:
        """Where it is, without links."""
        return self.root.resolve()

    def file(self, name: str) -> Path | None:
        """Return the path of a regular file; None if it is missing, or something else."""
        path = self.path(name)
        return path if path is not None and is_plain(str(path)) else None

    def has(self, name: str) -> bool:
        """Tell whether the project has such a file, not a link."""
        return self.file(name) is not None

    def size(self, name: str) -> int:
        """Return a file's size in bytes, 0 if it is missing."""
        path = self.file(name)
        return path.stat().st_size if path else 0

    def start(self, name: str, size: int) -> bytes | None:
        """Return a file's first bytes, or None if it is missing."""
        try:
            if (path := self.file(name)) is None:
                return None
            with path.open("rb") as file:
                return file.read(size)
        except OSError:
            return None

    def content(self, name: str) -> bytes | None:
        """Return a file's bytes, or None if it is missing or too large."""
        content = self.start(name, MAX_BYTES + 1)
        return None if content is None or len(content) > MAX_BYTES else content

    def text(self, name: str) -> str:
        """Return a file's text, empty if it is missing or too large."""
        text = (self.content(name) or b"").decode("utf-8", "replace")
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def digest(self, name: str, algorithm: str) -> str | None:
        """Return the hash of a file; None if it is missing, or too large after those before it."""
        path, known = self.file(name), (name, algorithm)
        if path and known not in self._digests and path.stat().st_size <= self._left_to_hash[0]:
            self._left_to_hash[0] -= path.stat().st_size
            with path.open("rb") as file:
                digest = partial(hashlib.new, algorithm, usedforsecurity=False)
                self._digests[known] = hashlib.file_digest(file, digest).hexdigest()
        return self._digests.get(known)

    def below(self, name: str) -> list[str] | None:
        """Return the names of the files in a folder, links left out; None if there are too many."""
        found: list[str] = []
        path = self.path(name)
        for folder, _, names in os.walk(path) if path else ():
            paths = (Path(folder, name) for name in names)
            found += [file.relative_to(path).as_posix() for file in paths if is_plain(str(file))]
            if len(found) > MAX_FILES:
                return None
        return sorted(found)

    @cached_property
    def _digests(self) -> dict[tuple[str, str], str]:
        return {}

    @cached_property
    def _left_to_hash(self) -> list[int]:
        return [MAX_HASHED]
