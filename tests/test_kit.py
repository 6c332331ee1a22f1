"""The kit: its own tests in each project type's environment, its types, and what it may import."""

import ast
import configparser
import os
import re
import subprocess
import sys
import tomllib

import pytest
from conftest import CHOICES, DEMOS, SKELETON, TEMPLATE, environment, python

KIT = SKELETON / "kit" / "portfolio_kit"
KIT_TESTS = TEMPLATE / "tests" / "kit"
# What runs in whose environment: all tests, but those of parts where their packages are installed.
FOLDERS = {
    "text-classification": ".",
    "forecasting": "timegrid",
    "document-similarity": "retrieval",
}


@pytest.fixture(params=CHOICES["project_type"])
def demo_of_type(request):
    """A project type, and a project of that type with its environment."""
    return request.param, request.getfixturevalue(DEMOS[request.param])[1]


@pytest.mark.slow
def test_the_kit_passes_its_tests(demo_of_type):
    project_type, project = demo_of_type
    command = [python(project), "-m", "pytest", "-q", "-c", KIT_TESTS / "pytest.ini"]
    done = subprocess.run(
        [*command, f"--confcutdir={KIT_TESTS}", "--durations=5", KIT_TESTS / FOLDERS[project_type]],
        cwd=TEMPLATE,
        # Other tests copy the skeleton meanwhile.
        env=environment(PYTHONPYCACHEPREFIX=str(TEMPLATE / "build" / "bytecode")),
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert os.name == "nt" or " skipped" not in done.stdout.splitlines()[-1], done.stdout[-2000:]


@pytest.mark.slow
def test_the_kit_passes_mypy_with_the_settings_of_each_type(demo_of_type):
    """With the parts of this type only: no module needs one that is missing here."""
    _, project = demo_of_type
    done = project.run(python(project), "-m", "mypy", "-p", "portfolio_kit", check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_test_of_the_kit_is_left_out():
    settings = configparser.ConfigParser()
    settings.read(KIT_TESTS / "pytest.ini")
    left_out = settings["pytest"]["norecursedirs"].split()
    tested = {path.relative_to(KIT_TESTS).parts[0] for path in KIT_TESTS.glob("*/**/test_*.py")}
    assert tested & {*left_out} == {*FOLDERS.values()} - {"."}


def test_kit_and_template_have_the_same_version():
    [version] = re.findall(
        r'^__version__ = "(.+)"$', (KIT / "__init__.py").read_text("utf-8"), re.M
    )
    pyproject = tomllib.loads((TEMPLATE / "pyproject.toml").read_text("utf-8"))
    assert version == pyproject["project"]["version"]


MODULES = [path.relative_to(KIT) for path in sorted(KIT.rglob("*.py"))]
# What only some project types get.
PARTS = {
    name.removesuffix(".py")
    for listed in SKELETON.glob("overlays/project_type/*/parts.txt")
    for name in listed.read_text("utf-8").split()
}
PINS = re.findall(
    r"^([\w.-]+)==", (TEMPLATE / "templates/requirements.txt").read_text("utf-8"), re.MULTILINE
)
# Packages whose modules have another name, and modules that a pinned package brings along.
PROVIDED_BY = {
    "Stemmer": "pystemmer",
    "cyclonedx": "cyclonedx-python-lib",
    "mlflow": "mlflow-skinny",
    "packageurl": "packageurl-python",
    "pydantic_core": "pydantic",
    "sklearn": "scikit-learn",
    "starlette": "fastapi",
    "threadpoolctl": "scikit-learn",
    "typing_extensions": "pydantic",
    "yaml": "pyyaml",
}


def imports(module):
    """Return what a module of the kit imports: others' modules by name, and the kit's by path."""
    names, paths = set(), set()
    for node in ast.walk(ast.parse((KIT / module).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module)
        elif isinstance(node, ast.ImportFrom):
            folder = (KIT / module).parents[node.level - 1]
            folder = folder.joinpath(*(node.module or "").split("."))
            paths |= {folder / alias.name for alias in node.names}
    return names, paths


def is_allowed(name):
    top = name.partition(".")[0]
    known = PROVIDED_BY.get(top, top.replace("_", "-"))
    return top in sys.stdlib_module_names or known in PINS


def test_the_kit_imports_the_standard_library_and_pinned_packages_only():
    found = {
        module: [name for name in imports(module)[0] if not is_allowed(name)] for module in MODULES
    }
    assert {module: names for module, names in found.items() if names} == {}


@pytest.mark.parametrize("name", ["tiny", "attack_tactic_classifier", "sentencepiece"])
def test_other_packages_would_be_noticed(name):
    assert not is_allowed(name)


def test_relative_imports_stay_within_the_kit():
    for module in MODULES:
        for path in imports(module)[1]:
            assert path.is_relative_to(KIT), module
            assert path.parent.is_dir() or path.parent.with_suffix(".py").is_file(), (module, path)


def test_what_every_project_gets_imports_no_part():
    assert len(PARTS) == 9
    for module in MODULES:
        if module.with_suffix("").parts[0] not in PARTS:
            used = {path.relative_to(KIT).parts[0] for path in imports(module)[1]}
            assert not used & PARTS, module


def test_no_module_imports_by_a_computed_name():
    """The tests above would miss those."""
    dynamic = re.compile(r"\bimport_module\b|\b__import__\b|\bexec\(|\brunpy\b|\bfind_spec\b")
    assert [module for module in MODULES if dynamic.search((KIT / module).read_text("utf-8"))] == []


def test_the_kit_holds_no_template_syntax():
    """It is copied, not rendered."""
    for path in KIT.rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            assert not re.search(r"\{\{ ?cookiecutter|\{% ", path.read_text("utf-8")), path
