"""Would one merge it?"""

import ast
import re

from .criteria import NOT_YET, PARTLY, Finding, criterion, judge
from .project import MADE_BY_RUNS, Project, part

MAX_COMMITTED = 1_000_000
FEW_TESTS = 20
PICKLES = (".pkl", ".pickle", ".joblib", ".dill", ".pt", ".pth", ".ckpt", ".h5", ".npy.pickle")
UNPICKLERS = re.compile(
    r"^(pickle|cloudpickle|dill|joblib|torch)\.(loads?|dumps?|save)$|\.(read|to)_pickle$"
)
SECRETS = {
    "an AWS key": r"\b(AKIA|ASIA)[0-9A-Z]{16}\b",
    "a private key": r"-----BEGIN ([A-Z]+ )?PRIVATE KEY-----",
    "a GitHub token": r"\b(gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{60,})",
    "a Google API key": r"\bAIza[\w-]{35}\b",
    "a Slack token": r"\bxox[abprs]-[\w-]{10,}",
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{30,}\b",
    "an API key": r"\bsk-[A-Za-z0-9_-]{32,}\b",
    "a password": r"(?i)\b\w*(password|passwd|secret|api_?key|access_?token)\w*[\"']?\s*[:=]\s*"
    r"[\"'](?![^\"']*[${<%\s])[^\"']{12,}[\"']",
}


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
    evidence = (
        f"{len(project.python)} Python files parse; settings for ruff and mypy; RUN=1 runs them"
    )
    return judge(faults, evidence, "Run `make format` and `make lint`.", PARTLY)


@criterion("engineering.ci", "each change is checked: style, types and tests")
def ci(project: Project) -> Finding:
    folder = ".github/workflows/"
    names = [name for name in project.files if name.startswith(folder)]
    faults = [f"{name}: no workflow" for name in names if not part(project.data(name), "jobs")]
    checks = [project.text(name) for name in names if "pull_request" in project.text(name)]
    for what in ("lint", "test"):
        if not any(re.search(rf"run: .*{what}", text) for text in checks):
            faults.append(f"{folder}: nothing runs `make {what}` on a pull request")
    if any("continue-on-error: true" in text for text in checks):
        faults.append(f"{folder}: a check may fail unnoticed (continue-on-error)")
    evidence = f"{', '.join(names)}: lint and tests on each pull request"
    return judge(faults, evidence, "Let .github/workflows/ci.yml run what `make lint test` runs.")


@criterion("engineering.secrets", "no secret in the repository")
def secrets(project: Project) -> Finding:
    faults = [
        f"{name}: a file of secrets"
        for name in {*project.files, *(project.history.ever if project.history else ())}
        if re.search(r"(^|/)(\.env(\.\w+)?|id_rsa|id_ed25519|credentials\.json|.+\.pem)$", name)
        and not name.endswith((".example", ".sample", ".template"))
    ]
    for name in project.files:
        for row, line in enumerate(project.text(name).splitlines(), 1):
            if len(line) > 5000:  # data, or something made by a program
                continue
            faults += [
                f"{name}:{row}: looks like {what}"
                for what, pattern in SECRETS.items()
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
        f"{name}: a pickle" for name in {*project.files, *committed} if name.endswith(PICKLES)
    ]
    for name, tree in project.python.items():
        if name.startswith("src/") and tree is not None:
            faults += [
                f"{name}:{node.lineno}: {ast.unparse(node.func)}()"
                for node in ast.walk(tree)
                if isinstance(node, ast.Call) and UNPICKLERS.search(ast.unparse(node.func))
            ]
    evidence = "no pickle, and no code in src/ that reads or writes one"
    return judge(faults, evidence, "Write ONNX, safetensors, Parquet or JSON.")
