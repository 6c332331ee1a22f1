"""The kit stands alone: what its modules may import."""

import ast
import re
import sys
from pathlib import Path

import pytest

import portfolio_kit

KIT = Path(portfolio_kit.__file__).parent
TEMPLATE = Path(__file__).resolve().parents[2]
PARTS = {"tables", "text", "timegrid", "retrieval"}  # that only some project types get
PINS = re.findall(
    r"^([\w.-]+)==", (TEMPLATE / "templates/requirements.txt").read_text("utf-8"), re.MULTILINE
)
MODULES = [path.relative_to(KIT) for path in sorted(KIT.rglob("*.py"))]
# Packages whose modules have another name, and modules that a pinned package brings along.
PROVIDED_BY = {
    "Stemmer": "pystemmer",
    "mlflow": "mlflow-skinny",
    "sklearn": "scikit-learn",
    "starlette": "fastapi",
    "typing_extensions": "pydantic",
    "yaml": "pyyaml",
}


def imports(module):
    """Yield the absolute and the relative imports of a module: a name, or None and a path."""
    for node in ast.walk(ast.parse((KIT / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, None
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module, None
        elif isinstance(node, ast.ImportFrom):
            package = module.parts[: -node.level]
            path = (*package, *(node.module.split(".") if node.module else ()))
            for alias in node.names:
                yield None, (*path, alias.name)


def is_allowed(name):
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names:
        return True
    return PROVIDED_BY.get(top, top.replace("_", "-")) in PINS


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_imports_the_kit_the_standard_library_and_pinned_packages_only(module):
    absolute = {name for name, _ in imports(module) if name}
    assert [name for name in absolute if not is_allowed(name)] == []


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_relative_import_stays_within_the_kit(module):
    for _, path in imports(module):
        if path is not None:
            folder = KIT.joinpath(*path[:-1])
            assert folder.is_dir() or folder.with_suffix(".py").is_file(), path


@pytest.mark.parametrize(
    "module", [one for one in MODULES if one.with_suffix("").parts[0] not in PARTS], ids=str
)
def test_what_every_project_gets_does_not_import_parts(module):
    assert [path for _, path in imports(module) if path and path[0] in PARTS] == []


def test_no_module_imports_by_a_computed_name():
    """The tests above would miss those."""
    dynamic = re.compile(r"\bimport_module\b|\b__import__\b|\bexec\(|\brunpy\b|\bfind_spec\b")
    found = [module for module in MODULES if dynamic.search((KIT / module).read_text("utf-8"))]
    assert found == []


@pytest.mark.parametrize("name", ["tiny", "attack_tactic_classifier", "sentencepiece"])
def test_other_packages_would_be_noticed(name):
    assert not is_allowed(name)


def test_modules_contain_no_template_syntax():
    """The kit is copied, not rendered."""
    for path in KIT.rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            assert not re.search(r"\{\{ ?cookiecutter|\{% ", path.read_text("utf-8")), path
