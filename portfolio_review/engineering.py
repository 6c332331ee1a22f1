"""Would one merge it?"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .criteria import NOT_YET, PARTLY, Finding, criterion, judge
from .project import MADE_BY_RUNS, Project, calls, part

MAX_COMMITTED = 1_000_000
FEW_TESTS = 20
UNNOTICED = r"continue-on-error: true|\b(lint|check|test)\b.{0,99}\|\| *(true|:|exit 0)"
SWITCHED_OFF = r"^# *(ruff: noqa *$|flake8: noqa|mypy: ignore-errors|type: ignore *$)"
PICKLES = (".pkl", ".pickle", ".joblib", ".dill", ".pt", ".pth", ".ckpt", ".h5", ".sav", ".pk")
PICKLE = re.compile(rb"\x80[\x02-\x05][\x80-\xff}\](cK]")  # how one begins, whatever its name
UNPICKLERS = re.compile(
    r"^(pickle|cloudpickle|dill|joblib|torch)\.(loads?|dumps?|save|Pickler|Unpickler)$"
    r"|\.(read|to)_pickle$|^shelve\.open$"
)
SECRETS = {
    "an AWS key": r"\b(AKIA|ASIA)[0-9A-Z]{16}\b",
    "a private key": r"-----BEGIN ([A-Z]+ )?PRIVATE KEY-----",
    "a GitHub token": r"\b(gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{60,})",
    "a Google API key": r"\bAIza[\w-]{35}\b",
    "a Slack token": r"\bxox[abprs]-[\w-]{10,}",
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{30,}\b",
    "an API key": r"\bsk-(?=\S*\d)[A-Za-z0-9_-]{32,}\b",
    # Not what names a variable, a header or a file that has it.
    "a password": r"(?i)(password|passwd|secret|api_?key|access_?token)"
    r"(?!\w*(name|env|var|header|path|file|field|url)\b)\w*+[\"']?\s*+[:=]\s*+"
    r"[\"'](?!(?-i:[A-Z_]+)[\"']|/|[^\"']*[${<%\s])[^\"']{12,}[\"']",
    "a password without quotes": r"^\s*(export )?[A-Z_]*(PASSWORD|SECRET|API_?KEY|TOKEN)"
    r"\s*[:=]\s*(?=\S*\d)[^\s\"'${<%()/]{12,}\s*$",
}
EXAMPLES = (".example", ".sample", ".template")
SECRET_FILES = re.compile(
    r"(^|/)(\.env[\w.-]*|[\w-]+\.env|env\.(local|prod\w*|dev\w*)|\.netrc|\.pypirc|kaggle\.json"
    r"|id_(rsa|dsa|ecdsa|ed25519)|credentials(\.json)?|.+\.(pem|p12|pfx|key))$"
)


@criterion("engineering.tests", "tests of the data, the code, the API and the model")
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
        for name in part(project.record, "files")
        if name.startswith("tests/test_") and name.endswith(".py")
    ]
    gone = [name for name in generated if name not in project.files]
    faults = [] if total >= FEW_TESTS else [f"tests/: {total} test functions"]
    if generated and len(gone) > len(generated) / 2:
        faults.append(f"tests/: {len(gone)} of the {len(generated)} files of the template are gone")
    evidence = f"tests/: {total} test functions in {len(counts)} files; RUN=1 runs them"
    return judge(faults, evidence, "Test what can break.", PARTLY if total else NOT_YET)


@criterion("engineering.lint", "code that parses, with style and types checked")
def lint(project: Project) -> Finding:
    faults = [f"{name}: is no Python" for name, tree in project.python.items() if tree is None]
    tools = part(project.data("pyproject.toml"), "tool")
    faults += [
        f"pyproject.toml: no settings for {name}" for name in ("ruff", "mypy") if name not in tools
    ]
    off = [n for n in project.python if re.search(SWITCHED_OFF, project.text(n), re.MULTILINE)]
    faults += [f"{project.at(name, SWITCHED_OFF)}: style or types not checked" for name in off]
    if part(tools, "mypy").get("ignore_errors"):
        faults.append(f"{project.at('pyproject.toml', 'ignore_errors')}: types are not checked")
    evidence = (
        f"{len(project.python)} Python files parse; settings for ruff and mypy; RUN=1 runs them"
    )
    return judge(faults, evidence, "Run `make format` and `make lint`.", PARTLY)


@criterion("engineering.ci", "each change is checked: style, types and tests")
def ci(project: Project) -> Finding:
    folder = ".github/workflows/"
    names = [n for n in project.files if n.startswith(folder) and n.endswith((".yml", ".yaml"))]
    faults = [f"{name}: no workflow" for name in names if not part(project.data(name), "jobs")]
    checks = {
        name: "\n".join(_commands(project.data(name)))
        for name in names
        # YAML takes the key `on` for true.
        if "pull_request" in str(project.data(name).get("true", project.data(name).get("on")))
    }
    for what, how in {"lint": r"\b(lint|ruff check)\b", "test": r"\b(py)?test\b"}.items():
        if not any(re.search(how, commands) for commands in checks.values()):
            faults.append(f"{folder}: nothing runs `make {what}` on a pull request")
    faults += [
        f"{project.at(name, UNNOTICED)}: a check may fail unnoticed"
        for name in checks
        if re.search(UNNOTICED, project.text(name))
    ]
    evidence = f"{', '.join(checks)}: lint and tests on each pull request"
    return judge(faults, evidence, "Let .github/workflows/ci.yml run what `make lint test` runs.")


def _commands(workflow: dict[str, Any]) -> Iterator[str]:
    """Yield the lines that the steps of a workflow run, without comments and what only prints."""
    for name in part(workflow, "jobs"):
        steps = part(part(workflow, "jobs"), name).get("steps")
        for step in steps if isinstance(steps, list) else []:
            lines = str(step.get("run", "") if isinstance(step, dict) else "").splitlines()
            yield from (line for line in lines if not line.strip().startswith(("#", "echo")))


@criterion("engineering.secrets", "no secret in the repository")
def secrets(project: Project) -> Finding:
    faults = [
        f"{name}: a file of secrets"
        for name in {*project.files, *(project.history.ever if project.history else ())}
        if SECRET_FILES.search(name) and not name.endswith(EXAMPLES)
    ]
    for name in project.files:
        # In code it is a name (TOKEN = read_token), in an example what to write there.
        other = name.endswith((".py", ".ipynb", ".js", ".md", *EXAMPLES))
        patterns = {what: p for what, p in SECRETS.items() if not (other and "without" in what)}
        for row, line in enumerate(project.text(name).splitlines(), 1):
            if len(line) > 5000:  # data, or something made by a program
                continue
            faults += [
                f"{name}:{row}: looks like {what}"
                for what, pattern in patterns.items()
                if re.search(pattern, line)
            ]
    evidence = f"{len(project.files)} files, none with what looks like a secret"
    return judge(faults, evidence, "Revoke it, take it out, and read it from the environment.")


@criterion("engineering.large_files", "no data, model or other large file in the repository")
def large_files(project: Project) -> Finding:
    if project.history:
        sizes, where = project.history.ever, "in git's history"
    else:
        sizes = {name: (project.root / name).stat().st_size for name in project.files}
        where = "here"
    faults = [
        f"{name}: {size / 1e6:.1f} MB {where}"
        for name, size in sizes.items()
        if size > MAX_COMMITTED
    ]
    faults += [
        f"{name}: committed"
        for name in (project.history.files if project.history else ())
        if name.startswith(MADE_BY_RUNS) and not name.endswith((".gitignore", "README.md"))
    ]
    evidence = f"{len(sizes)} files, the largest {max(sizes.values(), default=0) / 1e6:.2f} MB"
    return judge(faults, evidence, "Keep it out of git (git filter-repo); the pipeline makes it.")


@criterion("engineering.pickles", "no pickle: loading one runs whatever is in it")
def pickles(project: Project) -> Finding:
    committed = project.history.files if project.history else {}
    faults = [
        f"{name}: a pickle"
        for name in sorted({*project.files, *committed})
        if name.endswith(PICKLES) or (project.has(name) and _begins_as_pickle(project.root / name))
    ]
    for name, tree in project.python.items():
        if name.startswith("src/") and tree is not None:
            faults += [
                f"{name}:{node.lineno}: {called}()"
                for node, called in calls(tree)
                if UNPICKLERS.search(called) or any(map(_allows_pickle, node.keywords))
            ]
    evidence = "no pickle, and no code in src/ that reads or writes one"
    return judge(faults, evidence, "Write ONNX, safetensors, Parquet or JSON.")


def _begins_as_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        return PICKLE.match(file.read(3)) is not None


def _allows_pickle(given: ast.keyword) -> bool:
    return given.arg == "allow_pickle" and getattr(given.value, "value", True) is not False
