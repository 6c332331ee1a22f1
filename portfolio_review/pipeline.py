"""Does everything from raw data on come out again, of one command, on another machine?"""

import ast
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .criteria import NOT_YET, PARTLY, Finding, criterion, judge
from .project import Project, calls, part

STAGES = ("data", "train", "evaluate", "report")
REPEAT = "Run `make pipeline`, and commit dvc.lock."


@criterion("pipeline.one_command", "one command from raw data to the report")
def one_command(project: Project) -> Finding:
    stages = part(project.data("dvc.yaml"), "stages")
    faults = [f"dvc.yaml: no stage `{name}`" for name in STAGES if name not in stages]
    if "pipeline:" not in project.text("Makefile"):
        faults.append("Makefile: no target `pipeline`")
    for name, stage in stages.items():
        command = str(part(stages, name).get("cmd", ""))
        if re.search(r"nbconvert|papermill|\.ipynb", command):
            faults.append(f"dvc.yaml, `{name}`: runs a notebook")
        for dependency in _names(part({"stage": stage}, "stage").get("deps")):
            made = dependency.startswith(("data/", "models", "reports/", ".params"))
            here = project.inside(dependency) and (project.root / dependency).exists()
            if not made and not here:
                faults.append(f"dvc.yaml, `{name}`: depends on {dependency}, which is not here")
    evidence = f"dvc.yaml: {', '.join(stages)}; Makefile: `make pipeline`"
    return judge(faults, evidence, "Make every step a stage of dvc.yaml.")


@criterion("pipeline.lock", "the lock file is that of this code and these parameters")
def lock(project: Project) -> Finding:
    locked = part(project.data("dvc.lock"), "stages")
    stages = part(project.data("dvc.yaml"), "stages")
    if not locked:
        return Finding(NOT_YET, ["dvc.lock: not here"], REPEAT)
    run = {name.partition("@")[0] for name in locked}  # a stage for each of a list: name@item
    faults = [f"dvc.lock: no stage `{name}`" for name in stages if name not in run]
    for name in locked:
        entry, stage = part(locked, name), part(stages, name.partition("@")[0])
        filled = "@" in name or "${" in str(stage.get("cmd"))  # by DVC
        if not stage or (entry.get("cmd") != stage.get("cmd") and not filled):
            faults.append(f"dvc.lock, `{name}`: another command than in dvc.yaml")
        for what in ("deps", "outs"):
            for path, md5 in _hashes(entry.get(what)):
                mine = path.startswith("src/" if what == "deps" else "reports/")
                found = dvc_md5(project, path) if mine else None
                if found and found != md5:
                    faults.append(f"dvc.lock, `{name}`: {path} has changed since")
        recorded = part(part(entry, "params"), ".params.yaml")
        for key, value in recorded.items():
            if other := _other(value, _get(project.params, key), key):
                faults.append(f"dvc.lock, `{name}`: params.yaml has another `{other}`")
    return judge(faults, f"dvc.lock: {len(locked)} stages, all as the code and params.yaml", REPEAT)


def _names(entries: Any) -> Iterator[str]:
    for entry in entries if isinstance(entries, list) else []:
        yield str(next(iter(entry)) if isinstance(entry, dict) and entry else entry)


def _hashes(entries: Any) -> Iterator[tuple[str, Any]]:
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict):
            yield str(entry.get("path")), entry.get("md5")


def _get(params: dict[str, Any], key: str) -> Any:
    value: Any = params
    for name in str(key).split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _other(old: Any, new: Any, key: str) -> str | None:
    """Return the dotted key of the first parameter that differs; one that is left out does not."""
    if isinstance(old, dict) and isinstance(new, dict):
        pairs = (_other(old.get(name), value, f"{key}.{name}") for name, value in new.items())
        return next((found for found in pairs if found), None)
    return key if new is not None and old != new else None


def dvc_md5(project: Project, name: str) -> str | None:
    """Return the MD5 by which DVC knows a file, or a folder (of its sorted listing as JSON)."""
    if project.has(name):
        return _md5(project.root / name)
    listing = [
        {"md5": _md5(project.root / file), "relpath": Path(file).relative_to(name).as_posix()}
        for file in project.files
        if file.startswith(f"{name}/")
    ]
    listing.sort(key=lambda entry: entry["relpath"])
    content = json.dumps(listing, sort_keys=True).encode()
    return f"{_new_md5(content).hexdigest()}.dir" if listing else None


def _new_md5(content: bytes = b"") -> Any:
    return hashlib.md5(content, usedforsecurity=False)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, _new_md5).hexdigest()


@criterion("pipeline.hashes", "data and model are known by their hashes, and they match")
def hashes(project: Project) -> Finding:
    pinned = part(project.params, "data").get("sha256")
    used = part(project.metrics, "data").get("sha256")
    evidence = [f"{project.at('params.yaml', r'^  sha256:')}, `data.sha256`: {pinned}"]
    advice = "Run `make pipeline`; write the hash that `data` prints into `data.sha256`."
    if not pinned:
        return Finding(PARTLY, ["params.yaml: `data.sha256` is null, so any file is taken"], advice)
    faults = []
    if not used:
        faults.append("reports/metrics.json: not here")
    elif used != pinned:
        faults.append("reports/metrics.json is of other data than `data.sha256`")
    for folder in ("data/processed", "models"):
        manifest = project.data(f"{folder}/manifest.json")
        for name, expected in part(manifest, "files").items():
            path = project.root / folder / name
            if not project.inside(f"{folder}/{name}") or not (path.is_file() or path.is_dir()):
                faults.append(f"{folder}/{name}: listed in the manifest, and not here")
            elif _sha256(path) != expected:
                faults.append(f"{folder}/{name}: not the file that the manifest lists")
        evidence.append(
            f"{folder}: {len(part(manifest, 'files'))} files match their manifest"
            if manifest
            else f"{folder}: not here (it is never committed)"
        )
    version = project.data("models/manifest.json").get("version")
    if version and version != project.metrics.get("model_version"):
        faults.append("reports/metrics.json is of another model than models/")
    return judge(faults, evidence, advice)


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _sha256(path: Path) -> str:
    """Return the SHA-256 of a file, or of a folder's listing as `artifacts.py` makes it."""
    if path.is_dir():
        files = sorted(f.relative_to(path).as_posix() for f in path.rglob("*") if _is_file(f))
        listing = "".join(f"{_sha256(path / name)}  {name}\n" for name in files)
        return hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# Places of one person's machine. /app, /venv and /tmp are a container's.
PRIVATE = re.compile(
    r"(?:(?<![\w./~-])|(?<=file://))(/home/\w|/Users/\w|/root/\w|/mnt/\w|/content/drive\b"
    r"|/kaggle/input\b|[A-Za-z]:[\\/]+Users\b|~/\w)"
)
READ = (".py", ".yaml", ".yml", ".toml", ".json", ".sh", ".ipynb", ".cfg", ".ini", ".lock")


@criterion("pipeline.paths", "no path of one machine")
def paths(project: Project) -> Finding:
    faults = []
    for name in project.files:
        # What the template came with may name such places: workflows and their tests do.
        if not (name.endswith(READ) or name == "Makefile") or not any(project.own(name)):
            continue
        for row, line in enumerate(project.text(name).splitlines(), 1):
            if match := PRIVATE.search(line):
                faults.append(f"{name}:{row}: {match[0]}…")
    evidence = "no path of a home or mounted folder in code, parameters or pipeline"
    return judge(faults, evidence, "Make it relative to the project, or a parameter.")


@criterion("pipeline.notebooks", "no notebook as the only implementation")
def notebooks(project: Project) -> Finding:
    books = [name for name in project.files if name.endswith(".ipynb")]
    missing = [
        f"no code for `{verb}` in src/: {module}"
        for verb, module in {
            "data": "data/prepare.py",
            "train": "training/train.py",
            "evaluate": "evaluation/evaluate.py",
        }.items()
        if not _does_something(project, f"src/{project.package}/{module}")
    ]
    evidence = f"{len(books)} notebooks; every stage is a module of src/"
    return judge(missing, evidence, "Move what the notebook does into src/, with tests.")


def _does_something(project: Project, name: str) -> bool:
    """Tell whether a module has a function `run` that does more than pass, print or return."""
    tree = project.python.get(name)
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.FunctionDef) and node.name == "run":
            return sum(isinstance(inner, ast.Call) for inner in ast.walk(node)) > 2
    return False


# Calls that draw from a state that nobody set, by what they are called on.
GLOBAL_RANDOM = re.compile(
    r"^(random\.(random|randint|choice|choices|shuffle|sample|uniform|gauss)"
    r"|(np|numpy)\.random\.(rand|randn|randint|random|choice|shuffle|permutation|normal|uniform))$"
)
UNSEEDED = re.compile(r"(^|\.)(default_rng|RandomState|Random|PCG64|MT19937)$")
SEED_SET = re.compile(r"^(random|(np|numpy)\.random)\.seed$")
# In the order of the rows unless told to shuffle; the other two shuffle unless told not to.
FOLDS = re.compile(r"(^|\.)(KFold|StratifiedKFold)$")
SPLITTERS = re.compile(r"(^|\.)(train_test_split|\w*ShuffleSplit)$")


@criterion("pipeline.seeds", "what is drawn is drawn from a seed")
def seeds(project: Project) -> Finding:
    faults = []
    if not isinstance(project.params.get("seed"), int):
        faults.append("params.yaml: no `seed`")
    for name, tree in project.python.items():
        # What makes the data, the model and the figures; what serves may draw as it likes.
        if tree is None or not re.match(r"src/\w+/(data|training|evaluation|\w+\.py)", name):
            continue
        called = list(calls(tree))
        is_set = any(SEED_SET.search(called) and node.args for node, called in called)
        faults += [
            f"{name}:{node.lineno}: {function}() without a seed"
            for node, function in called
            if (GLOBAL_RANDOM.search(function) and not is_set) or _unseeded(node, function)
        ]
    evidence = f"params.yaml, `seed`: {project.params.get('seed')}; no unseeded draw"
    return judge(faults, evidence, "Draw from numpy.random.default_rng(seed).")


def _unseeded(node: ast.Call, called: str) -> bool:
    """Tell whether a generator is made, or rows are shuffled, from nothing that was given."""
    given = {
        keyword.arg: isinstance(keyword.value, ast.Constant) and not keyword.value.value
        for keyword in node.keywords
    }  # whether it is None or False
    first = node.args[0] if node.args else None
    if UNSEEDED.search(called):
        nothing = isinstance(first, ast.Constant) and first.value is None
        return nothing or (first is None and given.get("seed", not given))
    shuffles = SPLITTERS.search(called) and not given.get("shuffle", False)
    shuffles = shuffles or (FOLDS.search(called) and not given.get("shuffle", True))
    return bool(shuffles) and "random_state" not in given and None not in given
