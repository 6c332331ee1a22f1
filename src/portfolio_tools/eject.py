"""Makes kit modules the author's own: copies them with their tests, and rewrites the imports."""

import argparse
import difflib
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from . import template
from .changes import inits, left, resources, rewritten, staged
from .ejected import FOLDER, KIT, RECORD, copied, moves, place_of
from .kit_tests import content, tests_of
from .writing import write_all


class EjectError(Exception):
    """Why modules cannot be ejected: one plain line."""


def main() -> int:
    """Eject modules and return 0, or 1 after one plain line if that is not possible."""
    parser = argparse.ArgumentParser(prog="portfolio-eject", description=__doc__)
    parser.add_argument("modules", nargs="+", metavar="MODULE", help="for example serving.queue")
    parser.add_argument("--without-tests", action="store_true", help="copy no tests")
    options = parser.parse_args()
    try:
        print("\n".join(eject(Path.cwd(), options.modules, not options.without_tests)))
    except (EjectError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def eject(root: Path, names: list[str], with_tests: bool = True) -> list[str]:
    """Copy kit modules into the project in `root`, and return what was done, in plain lines.

    Raises EjectError before anything is written, and OSError after everything is as it was.
    """
    package, known, record = package_of(root), kit_modules(root), read_record(root)
    modules = [name.removeprefix(f"{KIT}.") for name in dict.fromkeys(names)]
    for module in modules:
        check(module, known, record)
    moved = moves(package, [*record, *modules])
    new: dict[str, bytes] = {}
    said: list[str] = []
    for module in modules:
        source, place = known[module].read_bytes(), place_of(module, package)
        new[place] = copied(source.decode(), module, moved).encode()
        new |= resources(known[module], Path(place).parent)
        tests, needed = tests_of(module) if with_tests else ({}, {})
        refuse_twins(root, tests)
        missing = {n: f for n, f in needed.items() if n not in new and not (root / n).exists()}
        new |= {n: content(file, moved).encode() for n, file in (tests | missing).items()}
        said += described(root, module, place, [*tests], with_tests)
        record[module] = {
            "version": kit_version(root),
            "sha256": hashlib.sha256(source).hexdigest(),
            "file": place,
        }
    taken = next((name for name in new if (root / name).exists()), None)
    if taken:
        raise EjectError(f"{taken} exists already; rename or remove it first")
    new |= inits(root, package, new)
    edits, broken = rewritten(root, package, moved)
    edits |= staged(root, package, modules)
    text = json.dumps(record, indent=1, sort_keys=True) + "\n"
    write_all(root, {**new, **edits, RECORD: text.encode()})
    said += [f"{name}: now uses your copy" for name in edits]
    said += [f"{name}: is not valid Python; change its imports yourself" for name in broken]
    return [*said, *left(root, known, modules, record), "Next: make format test; then commit."]


def check(module: str, known: dict[str, Path], record: dict[str, Any]) -> None:
    """Raise EjectError for a name that is not a kit module, or is ejected already."""
    if module in record:
        raise EjectError(f"{module}: is ejected already, to {record[module]['file']}")
    if module in known:
        return
    inner = [name for name in known if name.startswith(f"{module}.")]
    if inner:
        raise EjectError(f"{module}: is a package; name its modules: {' '.join(inner)}")
    [nearest] = difflib.get_close_matches(module, known, 1, 0)
    raise EjectError(f"{module}: is not a module of the kit; the nearest is {nearest}")


def package_of(root: Path) -> str:
    """Return the name of the project's package; raises EjectError where there is no project."""
    found = sorted((root / "src").glob("*/__main__.py"))
    if not found or not (root / FOLDER / "__init__.py").is_file():
        raise EjectError(f"{root}: is not a project with a kit; run it in the project's folder")
    return found[0].parent.name


def kit_modules(root: Path) -> dict[str, Path]:
    """Return the files of the project's kit by their dotted names below `portfolio_kit`."""
    files = sorted((root / FOLDER).rglob("*.py"))
    names = (".".join(file.relative_to(root / FOLDER).with_suffix("").parts) for file in files)
    pairs = zip(names, files, strict=True)
    return {name: file for name, file in pairs if not name.endswith(("__init__", "__main__"))}


def kit_version(root: Path) -> str:
    """Return the version of the project's kit."""
    found = re.search(r'__version__ = "(.+)"', (root / FOLDER / "__init__.py").read_text("utf-8"))
    return found[1] if found else "unknown"


def read_record(root: Path) -> dict[str, Any]:
    """Return what was ejected before; raises EjectError if the record is damaged."""
    try:
        content = json.loads((root / RECORD).read_text(encoding="utf-8"))
        return {name: {**entry, "file": str(entry["file"])} for name, entry in content.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise EjectError(f"{RECORD}: is damaged; restore it from git") from error


def refuse_twins(root: Path, tests: Iterable[str]) -> None:
    """Raise EjectError if the project has a test file of the same name: pytest needs one only."""
    for name in tests:
        for twin in (root / "tests").rglob(Path(name).name):
            place = twin.relative_to(root).as_posix()
            raise EjectError(f"{place} exists already; rename it, or add --without-tests")


def described(
    root: Path, module: str, place: str, tests: list[str], with_tests: bool
) -> Iterator[str]:
    """Yield what became of a module."""
    yield f"{place}: your copy of {KIT}.{module}"
    file = f"{FOLDER}/{module.replace('.', '/')}.py"
    original = template.ROOT / template.SKELETON / file
    if tests:
        yield f"{tests[0]}: its tests"
        if not original.is_file() or original.read_bytes() != (root / file).read_bytes():
            yield f"{file}: differs from the template's, whose tests these are; run them"
    elif with_tests:
        yield f"{module}: the template has no tests of this module alone, so none were copied"
