"""Brings a project of template version 0.1 to the shape of 0.2: portfolio-migrate [PATH].

The project is generated twice from the template's own history: as it was, and as it would be now.
What its author changed since is merged into the new files at their new places, imports included. In
prose, the author's words win; elsewhere, conflicts stay between git's markers and are listed. Edits
of files without a successor move to `migrated/`.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from . import sections
from .imports import rewrite
from .moves import MOVED
from .rewording import reword
from .template import generated
from .writing import write_all

CRUFT, RECORD = ".cruft.json", ".generated.json"
LEFT = "migrated"  # where edits of files without a successor go
# What runs and tools make: neither the template's nor the author's.
MADE = (
    ".git/",
    ".venv/",
    ".cache/",
    "data/raw/",
    "data/processed/",
    "models/",
    "mlruns/",
    "changes/",
)
CONFLICT = 3  # the exit code


class MigrationError(Exception):
    """Why a project cannot be migrated, in one plain line."""


def main() -> int:
    """Migrate; return 0, 1 after one plain line if that is impossible, or 3 if conflicts remain."""
    parser = argparse.ArgumentParser(prog="portfolio-migrate", description=__doc__)
    parser.add_argument("path", nargs="?", default=".", help="the project (default: this folder)")
    parser.add_argument("--template", help="the template's git address, if cruft did not record it")
    options = parser.parse_args()
    try:
        conflicts, notes = migrate(Path(options.path).resolve(), options.template)
    except (MigrationError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    markers = "resolve the conflict between git's markers"
    print("\n".join([*notes, *(f"{name}: {markers}" for name in conflicts)]))
    print("Next: git add --all, git diff --cached, make setup test pipeline; then commit.")
    return CONFLICT if conflicts else 0


def migrate(root: Path, template: str | None = None) -> tuple[list[str], list[str]]:
    """Bring a project's files to the new shape; return the files in conflict, and notes.

    Raises `MigrationError` or `ValueError` before anything is changed.
    """
    cruft, record = read(root / CRUFT), read(root / RECORD)
    if (root / "kit").exists():
        raise MigrationError(f"{root.name} has the new shape already; `make update` updates it")
    if git(root, "status", "--porcelain"):
        raise MigrationError("there are uncommitted changes; commit them, or undo a `cruft update`")
    answers = record.get("answers") or cruft.get("context", {}).get("cookiecutter")
    if not answers:
        raise MigrationError(f"{CRUFT} is missing; link the project first: uvx cruft link TEMPLATE")
    address = template or cruft.get("template")
    if not address:
        raise MigrationError(f"{CRUFT} is missing; give the template's address with --template")
    with ExitStack() as stack:
        clone = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "template"
        git(root, "clone", "--quiet", str(address), str(clone))
        now = git(clone, "rev-parse", "HEAD")
        new = stack.enter_context(generated(chosen(answers, clone), clone))
        release = git(clone, "log", "--format=%H", "--grep=^Release 0.1.0$", "-1")
        git(clone, "checkout", "--quiet", cruft.get("commit") or release or "v0.1.0")
        old = stack.enter_context(generated(chosen(answers, clone), clone))
        conflicts, notes = merge(root, old, new)
    if cruft:
        write(root / CRUFT, {**cruft, "commit": now}, indent=2)
    # The record names the clone, which is gone.
    write(root / RECORD, {**read(root / RECORD), "template": address}, indent=1)
    return conflicts, notes


def merge(root: Path, old: Path, new: Path) -> tuple[list[str], list[str]]:
    """Replace the old files with the new ones and the author's edits; return conflicts, notes."""
    package = next((new / "src").glob("*/__main__.py")).parent.name
    places = {one: place.replace("PACKAGE", package) for one, place in renamed(package).items()}
    moved = {dotted(one): dotted(place) for one, place in places.items() if place[-3:] == ".py"}
    before, after, mine = files(old), files(new), files(root)
    deleted = before.keys() - mine.keys()
    result = {n: c for n, c in after.items() if n not in {places.get(one, one) for one in deleted}}
    conflicts, notes = [], []
    for name in sorted(before.keys() & mine.keys()):
        if mine[name] == before[name]:
            continue
        place = places.get(name, name)
        if place not in after:
            result[f"{LEFT}/{name}"] = mine[name]
            notes.append(f"{name}: has no successor; your edit of it is in {LEFT}/{name}")
            continue
        if place.endswith(".md"):
            result[place] = sections.merge(mine[name], before[name], after[place], prefer_ours)
            continue
        ours, base = (
            reword(follow(one, name, moved), before[name], after[place], place)
            for one in (mine[name], before[name])
        )
        result[place], is_clean = three_way(ours, base, after[place])
        if not is_clean:
            conflicts.append(place)
        elif place.startswith("kit/"):
            module = place.removeprefix("kit/portfolio_kit/").removesuffix(".py").replace("/", ".")
            eject = f"`.venv/bin/python -m portfolio_kit eject {module}` makes it yours"
            notes.append(f"{place}: machinery with your edit; {eject}")
    for name in mine.keys() - before.keys():  # the author's own files
        result[name] = follow(mine[name], name, moved)
    write_all(root, result)
    for name in before.keys() & mine.keys() - result.keys():
        (root / name).unlink()
        remove_if_empty((root / name).parent, root)
    return conflicts, notes


def renamed(package: str) -> dict[str, str]:
    """Return the new place of each file that moved, by its old one."""
    return {old.replace("PACKAGE", package): new for old, new in MOVED.items()}


def dotted(name: str) -> str:
    """Return the dotted name of a module below src/, kit/ or the project's folder."""
    parts = name.removeprefix("src/").removeprefix("kit/").removesuffix(".py").split("/")
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def follow(content: bytes, name: str, moved: Mapping[str, str]) -> bytes:
    """Return a Python file that imports modules from their new places; other files as they are."""
    if not name.endswith(".py"):
        return content
    try:
        return rewrite(content.decode(), moved, dotted(name)).encode()
    except (SyntaxError, ValueError):  # not Python that this version reads
        return content


def three_way(ours: bytes, base: bytes, theirs: bytes, *options: str) -> tuple[bytes, bool]:
    """Return git's merge of two versions with their ancestor, and whether it has no conflict."""
    with tempfile.TemporaryDirectory() as folder:
        names = ("yours", "before", "template")
        for name, content in zip(names, (ours, base, theirs), strict=True):
            Path(folder, name).write_bytes(content)
        command = ["git", "merge-file", "-p", *options, *names]
        done = subprocess.run(command, cwd=folder, capture_output=True)
        return done.stdout, done.returncode == 0


def prefer_ours(ours: bytes, base: bytes, theirs: bytes) -> bytes:
    """Return git's merge in which ours wins every conflict."""
    return three_way(ours, base, theirs, "--ours")[0]


def chosen(answers: Mapping[str, Any], template: Path) -> dict[str, str]:
    """Return the answers to the prompts that a version of the template has."""
    prompts = read(template / "cookiecutter.json")
    return {name: str(answers[name]) for name in prompts if name[0] != "_" and name in answers}


def git(folder: Path, *arguments: str) -> str:
    """Return what git prints; raises `MigrationError` with its last line if it fails."""
    if shutil.which("git") is None:
        raise MigrationError("git is not installed")
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, encoding="utf-8")
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it failed"])[-1]
        raise MigrationError(f"git {arguments[0]}: {reason}")
    return done.stdout.strip()


def files(project: Path) -> dict[str, bytes]:
    """Return a project's files by name, without what runs and tools make."""
    found = {}
    for path in project.rglob("*"):
        name = path.relative_to(project).as_posix()
        if path.is_file() and not name.startswith(MADE) and "__pycache__" not in path.parts:
            found[name] = path.read_bytes()
    return {name: content for name, content in found.items() if name != CRUFT}


def remove_if_empty(folder: Path, root: Path) -> None:
    """Remove a folder without files, and those around it."""
    while folder != root and folder.is_dir():
        if any(path.is_file() and "__pycache__" not in path.parts for path in folder.rglob("*")):
            return
        shutil.rmtree(folder)
        folder = folder.parent


def read(path: Path) -> dict[str, Any]:
    """Return what a JSON file holds, or nothing if it is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write(path: Path, content: Mapping[str, Any], indent: int) -> None:
    """Write JSON as the tool that owns the file does."""
    text = json.dumps(content, indent=indent, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    sys.exit(main())
