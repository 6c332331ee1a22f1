"""The project as a whole: how its modules depend on each other, and what its README claims."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest
import yaml

from portfolio_kit import report
from portfolio_kit.artifacts import METRICS
from portfolio_kit.cli import COMMANDS

from {{cookiecutter.package_name}}.project import PROJECT

# Each layer may import the modules at the root, itself, and the layers before it.
LAYERS = ["data", "training", "evaluation", "serving", "monitoring"]
ENTRANCES = ["__main__.py", "project.py"]  # the kit enters here


@pytest.fixture(scope="session")
def package(project):
    """The folder of the package."""
    return project / "src" / PROJECT.package


def imports(path, package, nodes=None):
    """Return what a module imports from its own package, as parts: ["training", "export"]."""
    found = []
    for node in nodes or ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            start = list(path.relative_to(package).parts[: -node.level]) if node.level else []
            parts = (node.module or "").split(".") if node.module else []
            if not node.level and parts[0] != PROJECT.package:
                continue
            parts = parts if node.level else parts[1:]
            found += [[*start, *parts, alias.name] for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            found += [parts[1:] for parts in names if parts[0] == PROJECT.package]
    return found


def layer_of(parts):
    """Return the number of a module's layer; 0 is the root."""
    return LAYERS.index(parts[0]) + 1 if parts[0] in LAYERS else 0


def test_layers_import_only_the_root_and_the_layers_before_them(package):
    folders = {path.name for path in package.iterdir() if (path / "__init__.py").exists()}
    assert folders <= set(LAYERS)
    modules = [path for path in package.rglob("*.py") if path.name not in ENTRANCES]
    assert sum(len(imports(path, package)) for path in modules) > 20
    for path in modules:
        own = layer_of(path.relative_to(package).parts)
        for parts in imports(path, package):
            assert layer_of(parts) <= own, f"{path.relative_to(package)} imports {'.'.join(parts)}"
            assert f"{parts[0]}.py" not in ENTRANCES, path


def test_the_project_module_imports_layers_only_inside_its_functions(package):
    path = package / "project.py"
    at_the_top = imports(path, package, ast.parse(path.read_text(encoding="utf-8")).body)
    assert [parts[0] for parts in at_the_top] == ["params"]
    assert {parts[0] for parts in imports(path, package)} >= set(LAYERS)


# Answers in an interpreter that cannot import what only training installs.
PROGRAM = """
import sys, time
from importlib import import_module
from pathlib import Path

package, folder, *blocked = sys.argv[1:]

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ImportError(f"{name} is not installed for serving")

sys.meta_path.insert(0, Blocker())
from fastapi.testclient import TestClient
from portfolio_kit import config
from portfolio_kit.serving.app import create_app

project = import_module(f"{package}.project").PROJECT
params = config.load(project.params, package)
with TestClient(create_app(project, params, Path(folder))) as client:
    for _ in range(600):  # loading ends with a first answer
        if client.get("/ready").status_code == 200:
            break
        time.sleep(0.1)
    for route in ("/ready", "/about", "/", "/openapi.json"):
        assert client.get(route).status_code == 200, route
assert not set(blocked) & {name.partition(".")[0] for name in sys.modules}
"""


def test_the_api_starts_without_the_training_libraries(project, trained):
    pyproject = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = pyproject["optional-dependencies"]
    train, serve = ({name_of(one) for one in extras[name]} for name in ("train", "serve"))
    modules = packages_distributions().items()
    blocked = [name for name, owners in modules if {*map(name_of, owners)} <= train - serve]
    assert {"torch", "pandas", "sklearn", "mlflow"} <= {*blocked}
    command = [sys.executable, "-c", PROGRAM, PROJECT.package, trained.folder / "models", *blocked]
    done = subprocess.run(command, cwd=trained.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def name_of(requirement):
    """Return the package that a requirement names, as registries spell it."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


def test_each_stage_runs_a_verb_on_files_and_parameters_that_exist(project):
    stages = yaml.safe_load((project / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    made = {
        out if isinstance(out, str) else next(iter(out))
        for stage in stages.values()
        for out in [*stage.get("outs", []), *stage.get("metrics", [])]
    }
    for name, stage in stages.items():
        assert stage["cmd"] == f"python -m {PROJECT.package} {name}"
        assert name in {command.name for command in COMMANDS}
        keys = [key for record in stage.get("params", []) for key in record[".params.yaml"]]
        assert {key.partition(".")[0] for key in keys} <= set(PROJECT.params.model_fields)
        for path in stage.get("deps", []):
            assert path in made or (project / path).exists(), path


def test_the_readme_agrees_with_the_metrics(project):
    says, path = PROJECT.reporting(), project / METRICS
    readme = (project / "README.md").read_text(encoding="utf-8")
    headline, results = (between_markers(readme, name) for name in ("headline", "results"))
    if path.exists():
        metrics = says.metrics.model_validate(json.loads(path.read_text(encoding="utf-8")))
        assert headline == report.headline(metrics, says), "run `make report`"
        assert results == report.results(metrics, says), "run `make report`"
    else:
        assert not re.search(r"\d\.\d", headline + results), "these figures come from no run"


def between_markers(readme, name):
    start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
    assert (readme.count(start), readme.count(end)) == (1, 1)
    return readme.partition(start)[2].partition(end)[0].strip()
