"""Is the code checked and tested like code that a team would merge?"""

import ast
import re
from collections.abc import Iterator
from typing import Any

from portfolio_tools import ejected

from .criteria import NOT_YET, PARTLY, Finding, criterion, judge
from .project import Project
from .reading import part

FEW_TESTS = 20
UNNOTICED = r"continue-on-error: true|\b(lint|check|test)\b.{0,99}\|\| *(true|:|exit 0)"
SWITCHED_OFF = r"^# *(ruff: noqa *$|flake8: noqa|mypy: ignore-errors|type: ignore *$)"


@criterion("engineering.tests", "tests of data, code, API and model")
def tests(project: Project) -> Finding:
    counts = {
        name: sum(
            isinstance(node, ast.FunctionDef) and node.name.startswith("test")
            for node in ast.walk(tree)
        )
        for name, tree in project.python.items()
        if tree is not None and name.startswith("tests/")
    }
    total = sum(counts.values())
    generated = [
        name
        for name in (project.origin.files if project.origin else ())
        if name.startswith("tests/test_") and name.endswith(".py")
    ]
    gone = [name for name in generated if name not in project.files]
    faults = [] if total >= FEW_TESTS else [f"tests/: {total} test functions"]
    if generated and len(gone) > len(generated) / 2:
        faults.append(f"tests/: {len(gone)} of the template's {len(generated)} files were removed")
    evidence = f"tests/: {total} test functions in {len(counts)} files; RUN=1 runs them"
    return judge(faults, evidence, "Write tests of what can break.", PARTLY if total else NOT_YET)


@criterion("engineering.lint", "code that parses, with checks of style and types")
def lint(project: Project) -> Finding:
    faults = [
        f"{name}: is not valid Python" for name, tree in project.python.items() if tree is None
    ]
    tools = part(project.data("pyproject.toml"), "tool")
    faults += [
        f"pyproject.toml: no settings for {name}" for name in ("ruff", "mypy") if name not in tools
    ]
    off = [n for n in project.python if re.search(SWITCHED_OFF, project.text(n), re.MULTILINE)]
    faults += [
        f"{project.at(name, SWITCHED_OFF)}: switches off the checks of style or types"
        for name in off
    ]
    if part(tools, "mypy").get("ignore_errors"):
        faults.append(
            f"{project.at('pyproject.toml', 'ignore_errors')}: switches off the check of types"
        )
    evidence = (
        f"{len(project.python)} Python files parse; ruff and mypy have settings; RUN=1 runs them"
    )
    return judge(faults, evidence, "Run `make format` and `make lint`.", PARTLY)


@criterion("engineering.ci", "pull requests are checked: style, types and tests")
def ci(project: Project) -> Finding:
    folder = ".github/workflows/"
    names = [n for n in project.files if n.startswith(folder) and n.endswith((".yml", ".yaml"))]
    faults = [
        f"{name}: is not a workflow" for name in names if not part(project.data(name), "jobs")
    ]
    checks = {
        name: "\n".join(_commands(project.data(name)))
        for name in names
        # YAML reads the key `on` as true.
        if "pull_request" in str(project.data(name).get("true", project.data(name).get("on")))
    }
    for what, how in {"lint": r"\b(lint|ruff check)\b", "test": r"\b(py)?test\b"}.items():
        if not any(re.search(how, commands) for commands in checks.values()):
            faults.append(f"{folder}: no workflow runs `make {what}` on pull requests")
    faults += [
        f"{project.at(name, UNNOTICED)}: ignores that a check fails"
        for name in checks
        if re.search(UNNOTICED, project.text(name))
    ]
    evidence = f"{', '.join(checks)}: lint and tests on pull requests"
    return judge(faults, evidence, "Run `make lint test` in .github/workflows/ci.yml.")


def _commands(workflow: dict[str, Any]) -> Iterator[str]:
    """Yield the lines that a workflow's steps run, without comments and output."""
    for name in part(workflow, "jobs"):
        steps = part(part(workflow, "jobs"), name).get("steps")
        for step in steps if isinstance(steps, list) else []:
            lines = str(step.get("run", "") if isinstance(step, dict) else "").splitlines()
            yield from (line for line in lines if not line.strip().startswith(("#", "echo")))


@criterion("engineering.kit", "machinery that is not edited in place", required=False)
def kit(project: Project) -> Finding:
    files = project.origin.files if project.origin else {}
    faults = []
    for name in files:
        if name.startswith(f"{ejected.FOLDER}/"):
            added, removed = project.own(name)
            if added or removed:
                faults.append(f"{name}: edited, +{added} −{removed}; an update may conflict")
    advice = "`python -m portfolio_kit eject MODULE` makes a module the author's own."
    copied = [name for name in project.copied if name in project.files and name[:4] == "src/"]
    evidence = [f"{ejected.FOLDER}/: as the template generated it"]
    evidence += [f"{name}: ejected" for name in copied]
    if not files:
        return Finding(NOT_YET, ["what was generated is not known"], advice)
    return judge(faults, evidence, advice, PARTLY)
