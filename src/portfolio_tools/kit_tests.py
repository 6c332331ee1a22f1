"""The template's tests of the kit, and what each of them needs."""

from functools import cache
from pathlib import Path

from .ejected import KIT, KIT_TESTS, TESTS
from .imports import imported, rewrite


def tests_of(module: str) -> tuple[dict[str, Path], dict[str, Path]]:
    """Return the tests of a module alone, and what they need, by their places in a project."""
    *folders, name = module.split(".")
    named = (Path(*folders, f"test_{name}.py"), Path(f"test_{name}.py"))
    found = [
        path
        for path in (KIT_TESTS / one for one in named)
        if path.is_file() and f"{KIT}.{module}" in imported(path.read_text("utf-8"))
    ][:1]
    needed = {file for test in found for file in needs(test)} - {*found}
    own = f"test_{module.replace('.', '_')}.py"  # pytest wants each name once
    tests = {place(file.with_name(own)): file for file in found}
    return tests, {place(file): file for file in sorted(needed)}


def needs(test: Path) -> set[Path]:
    """Return the files that a test needs, itself among them: fixtures, and what is imported."""
    found: set[Path] = set()
    waiting = [test]
    while waiting:
        file = waiting.pop()
        if file in found or not file.is_file() or "__pycache__" in file.parts:
            continue
        found.add(file)
        if file.suffix == ".py":
            folders = [one for one in file.parents if one.is_relative_to(KIT_TESTS)]
            for folder in folders:
                waiting.append(folder / "conftest.py")
                for name in packages(file):
                    waiting += [folder / f"{name}.py", *(folder / name).rglob("*")]
                    waiting += folder.glob(f"{name}-*.dist-info/*")  # its version
    return found


def place(file: Path) -> str:
    """Return where a file of the kit's tests goes in a project."""
    return f"{TESTS}/{file.relative_to(KIT_TESTS).as_posix()}"


@cache
def packages(file: Path) -> frozenset[str]:
    """Return the top-level names that a file of the kit's tests imports."""
    return frozenset(one.partition(".")[0] for one in imported(file.read_text("utf-8"))) - {""}


def content(file: Path, moved: dict[str, str]) -> str:
    """Return a file of the kit's tests, with imports of what was ejected."""
    text = file.read_text(encoding="utf-8")
    return rewrite(text, moved) if file.suffix == ".py" else text
