"""What ejecting modules changes in a project, and what keeps using the kit's copies."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from .ejected import FOLDER, KIT, place_of
from .imports import imported, rewrite


def resources(file: Path, place: Path) -> dict[str, bytes]:
    """Return the files that a module reads from its own folder, at their new places."""
    source = file.read_text(encoding="utf-8")
    if "__file__" not in source:
        return {}
    strings = (one.value for one in ast.walk(ast.parse(source)) if isinstance(one, ast.Constant))
    names = {one for one in strings if isinstance(one, str) and re.fullmatch(r"\w[\w.-]*", one)}
    paths = (
        path for name in names for path in [file.parent / name, *file.parent.rglob(f"{name}/**/*")]
    )
    found = (path for path in paths if path.is_file())
    return {(place / path.relative_to(file.parent)).as_posix(): path.read_bytes() for path in found}


def inits(root: Path, package: str, new: Iterable[str]) -> dict[str, bytes]:
    """Return an `__init__.py` for each folder of the package that gets a module and has none."""
    files = (Path(name) for name in new if name.endswith(".py"))
    folders = {folder for file in files for folder in file.parents}
    missing = [
        folder
        for folder in folders
        if folder.is_relative_to(f"src/{package}") and not (root / folder / "__init__.py").exists()
    ]
    text = '"""Ejected from the kit."""\n'
    return {(folder / "__init__.py").as_posix(): text.encode() for folder in missing}


def rewritten(
    root: Path, package: str, moved: dict[str, str]
) -> tuple[dict[str, bytes], list[str]]:
    """Return the author's files whose imports change, and those that are not valid Python."""
    edits, broken = {}, []
    for folder in (f"src/{package}", "tests", "benchmarks"):
        for file in sorted((root / folder).rglob("*.py")):
            name = file.relative_to(root).as_posix()
            try:
                source = file.read_text(encoding="utf-8")
                changed = rewrite(source, moved)
            except (SyntaxError, ValueError):
                broken.append(name)
                continue
            if changed != source:
                edits[name] = changed.encode()
    return edits, broken


def staged(root: Path, package: str, modules: list[str]) -> dict[str, bytes]:
    """Return dvc.yaml with each ejected module next to the kit's copy, which may be used, too."""
    file = root / "dvc.yaml"
    before = file.read_text(encoding="utf-8") if file.is_file() else ""
    text = before
    for module in modules:
        line = rf"^( *- ){FOLDER}/{module.replace('.', '/')}\.py$"
        text = re.sub(line, rf"\g<0>\n\g<1>{place_of(module, package)}", text, flags=re.MULTILINE)
    return {"dvc.yaml": text.encode()} if text != before else {}


def left(
    root: Path, known: dict[str, Path], modules: list[str], record: dict[str, Any]
) -> Iterator[str]:
    """Yield what still uses the kit's copies."""
    wanted = {f"{KIT}.{module}" for module in modules}
    users = [
        name
        for name, file in known.items()
        if name not in record and wanted & imported(file.read_text("utf-8"), f"{KIT}.{name}")
    ]
    if users:
        yield f"These kit modules still use the kit's copy: {', '.join(users)}. To eject them, too:"
        yield f"  .venv/bin/python -m {KIT} eject {' '.join(users)}"
    for name in ("Makefile", "Dockerfile", "deploy", ".github"):
        files = [root / name, *(root / name).rglob("*")]
        for file in (one for one in files if one.is_file()):
            text = file.read_text(encoding="utf-8", errors="replace").replace("/", ".")
            for module in modules:
                if re.search(rf"\b{KIT}\.{module}\b", text):
                    yield f"{file.relative_to(root).as_posix()}: still runs the kit's {module}"
