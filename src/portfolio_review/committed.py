"""Is anything in the repository that should not be: secrets, large files, pickles?"""

import ast
import re

from .criteria import Finding, criterion, judge
from .project import MADE_BY_RUNS, Project
from .syntax import calls

MAX_COMMITTED = 1_000_000
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


@criterion("engineering.secrets", "no secret in the repository")
def secrets(project: Project) -> Finding:
    faults = [
        f"{name}: a file for secrets"
        for name in {*project.files, *(project.history.ever if project.history else ())}
        if SECRET_FILES.search(name) and not name.endswith(EXAMPLES)
    ]
    for name in project.files:
        # Unquoted, it is a name in code (TOKEN = read_token), and a hint in an example.
        other = name.endswith((".py", ".ipynb", ".js", ".md", *EXAMPLES))
        patterns = {what: p for what, p in SECRETS.items() if not (other and "without" in what)}
        for row, line in enumerate(project.text(name).splitlines(), 1):
            if len(line) > 5000:  # data, or written by a program
                continue
            faults += [
                f"{name}:{row}: looks like {what}"
                for what, pattern in patterns.items()
                if re.search(pattern, line)
            ]
    evidence = f"{len(project.files)} files, none with a likely secret"
    return judge(
        faults, evidence, "Revoke the secret, remove it, and read it from the environment."
    )


@criterion("engineering.large_files", "no data, model or other large file in the repository")
def large_files(project: Project) -> Finding:
    if project.history:
        sizes, where = project.history.ever, "in git's history"
    else:
        sizes = {name: project.size(name) for name in project.files}
        where = "in the folder"
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
    return judge(
        faults, evidence, "Remove it from git's history (git filter-repo); the pipeline makes it."
    )


@criterion("engineering.pickles", "no pickle: loading one runs the code in it")
def pickles(project: Project) -> Finding:
    committed = project.history.files if project.history else {}
    faults = [
        f"{name}: a pickle"
        for name in sorted({*project.files, *committed})
        if name.endswith(PICKLES) or PICKLE.match(project.start(name, 3) or b"")
    ]
    for name, tree in project.python.items():
        if name.startswith("src/") and tree is not None:
            faults += [
                f"{name}:{node.lineno}: {called}()"
                for node, called in calls(tree)
                if UNPICKLERS.search(called) or any(map(_allows_pickle, node.keywords))
            ]
    evidence = "no pickle, and no code in src/ that reads or writes one"
    return judge(faults, evidence, "Use ONNX, safetensors, Parquet or JSON.")


def _allows_pickle(given: ast.keyword) -> bool:
    return given.arg == "allow_pickle" and getattr(given.value, "value", True) is not False
