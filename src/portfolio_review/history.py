"""What git has of a project, which may be a stranger's.

Git runs with our settings on a copy of the references: a repository's own settings can name
commands to run.
"""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .folder import is_plain

MAX_FROM_GIT = 50_000_000
MAX_OBJECTS = 500_000  # files
MAX_SECONDS = 60  # per git command


@dataclass(frozen=True)
class Commit:
    """A commit: its hash, subject and body."""

    sha: str
    subject: str
    body: str


@dataclass(frozen=True)
class History:
    """The checked-out branch, newest commit first."""

    commits: list[Commit]
    files: dict[str, int]  # of the newest commit, with their sizes
    ever: dict[str, int]  # of all commits
    ignored: set[str]  # in the folder, but ignored


def read_history(root: Path, objects: Path, read: Callable[[str], str]) -> History | None:
    """Return the history of the checked-out branch, without using the repository's settings.

    None, too, if its objects are partly elsewhere: these may be of a repository that the author
    knows of, but must not show. `read` returns the text of a file in `root`, "" if it is missing.
    """
    head = _head(read)
    if shutil.which("git") is None or head is None or not _are_here(objects):
        return None
    with tempfile.TemporaryDirectory() as folder:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        environment |= {
            "GIT_DIR": folder,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
        }

        def git(*arguments: str) -> str:
            pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
            with subprocess.Popen(
                ["git", *arguments], env=environment, stdin=nothing, stdout=pipe, stderr=nothing
            ) as process:
                timer = threading.Timer(MAX_SECONDS, process.kill)
                timer.start()
                assert process.stdout is not None
                # Ten small nested trees can list more files than any disk holds.
                answer = process.stdout.read(MAX_FROM_GIT)
                if len(answer) == MAX_FROM_GIT:
                    process.kill()
                process.wait()
                timer.cancel()
            if process.returncode:
                raise subprocess.CalledProcessError(process.returncode, arguments)
            return answer.decode("utf-8", "replace")

        try:
            git("init", "--quiet", "--bare", folder)
            environment["GIT_OBJECT_DIRECTORY"] = str(objects)
            if shallow := read(".git/shallow"):
                (Path(folder) / "shallow").write_text(shallow, encoding="utf-8")
            log = git("log", "-z", "--max-count=1000", "--format=%T%n%H%n%s%n%b", head)
            tree = git("ls-tree", "-r", "-z", "--long", head)
            objects = git("rev-list", "--objects", "--max-count=1000", head)
            every = (
                "--batch-all-objects",
                "--batch-check=%(objectname) %(objecttype) %(objectsize)",
            )
            sizes = git("cat-file", *every)
            place = ("-C", str(root), "--work-tree", str(root))
            listed = ("--others", "--ignored", "--exclude-standard", "-z")
            ignored = ""
            with contextlib.suppress(subprocess.SubprocessError):  # too many of them
                ignored = git(*place, "ls-files", *listed)
        except (subprocess.SubprocessError, OSError):
            return None
    entries = [entry.split("\n", 3) for entry in log.split("\0") if entry.count("\n") > 2]
    # An empty commit has the tree of the one before.
    earlier = [tree for tree, *_ in entries[1:]] + [""]
    commits = [
        Commit(*rest)
        for (tree, *rest), before in zip(entries, earlier, strict=True)
        if tree != before
    ]
    rows = (row.split("\t", 1) for row in tree.split("\0") if "\t" in row)
    files = {name: int(size) for fields, name in rows if (size := fields.split()[3]).isdigit()}
    rows_of = (line.split() for line in sizes.splitlines())
    bytes_of = {sha: int(size) for sha, kind, size in rows_of if kind == "blob"}
    named = (line.split(" ", 1) for line in objects.splitlines() if " " in line)
    ever = {name: bytes_of[sha] for sha, name in named if sha in bytes_of}
    return History(commits, files, ever, {*ignored.split("\0")} - {*files})


def _are_here(objects: Path) -> bool:
    """Tell whether a repository's objects are all in its folder: no links, nothing borrowed."""
    seen = 0
    for folder, folders, names in os.walk(objects):
        paths = [os.path.join(folder, name) for name in names]
        seen += len(names)
        if seen > MAX_OBJECTS or not all(map(is_plain, paths)):
            return False
        if any(os.path.islink(os.path.join(folder, name)) for name in folders):
            return False
    return not (objects / "info" / "alternates").exists()


def _head(read: Callable[[str], str]) -> str | None:
    """Return the hash of the commit that is checked out."""
    name = read(".git/HEAD").strip()
    if name.startswith("ref: refs/"):
        reference = name.removeprefix("ref: ")
        name = read(f".git/{reference}").strip()
        if not name:
            rows = (row.split(" ") for row in read(".git/packed-refs").splitlines())
            name = next((row[0] for row in rows if row[1:] == [reference]), "")
    return name if re.fullmatch(r"[0-9a-f]{40,64}", name) else None
