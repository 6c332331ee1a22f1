"""Does the project run on another machine, with the same result?"""

import ast
import re

from .criteria import Finding, criterion, judge
from .project import Project
from .syntax import calls

# Places on one person's machine; /app, /venv and /tmp are in containers.
PRIVATE = re.compile(
    r"(?:(?<![\w./~-])|(?<=file://))(/home/\w|/Users/\w|/root/\w|/mnt/\w|/content/drive\b"
    r"|/kaggle/input\b|[A-Za-z]:[\\/]+Users\b|~/\w)"
)
READ = (".py", ".yaml", ".yml", ".toml", ".json", ".sh", ".ipynb", ".cfg", ".ini", ".lock")


@criterion("pipeline.paths", "no path that exists on one machine only")
def paths(project: Project) -> Finding:
    faults = []
    for name in project.files:
        # The template's own files may name such places: workflows and tests do.
        if not (name.endswith(READ) or name == "Makefile") or not any(project.own(name)):
            continue
        for row, line in enumerate(project.text(name).splitlines(), 1):
            if match := PRIVATE.search(line):
                faults.append(f"{name}:{row}: {match[0]}…")
    evidence = "no path to a home or mounted folder in code, parameters or pipeline"
    return judge(faults, evidence, "Make the path relative to the project, or a parameter.")


@criterion("pipeline.notebooks", "nothing is implemented in a notebook only")
def notebooks(project: Project) -> Finding:
    books = [name for name in project.files if name.endswith(".ipynb")]
    missing = [
        f"src/{project.package}/{module}: no code for `{verb}`"
        for verb, module in {
            "data": "data/prepare.py",
            "train": "training/train.py",
            "evaluate": "evaluation/evaluate.py",
        }.items()
        if not _does_something(project, f"src/{project.package}/{module}")
    ]
    evidence = f"{len(books)} notebooks; every stage is a module in src/"
    return judge(missing, evidence, "Move the notebook's code into src/, with tests.")


def _does_something(project: Project, name: str) -> bool:
    """Tell whether a module has a function that does more than pass, print or return."""
    tree = project.python.get(name)
    functions = (node for node in ast.walk(tree or ast.Module([], [])) if _is_function(node))
    counts = (sum(isinstance(one, ast.Call) for one in ast.walk(node)) for node in functions)
    return any(count > 2 for count in counts)


def _is_function(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef)


# Draws from a global state.
GLOBAL_RANDOM = re.compile(
    r"^(random\.(random|randint|choice|choices|shuffle|sample|uniform|gauss)"
    r"|(np|numpy)\.random\.(rand|randn|randint|random|choice|shuffle|permutation|normal|uniform))$"
)
UNSEEDED = re.compile(r"(^|\.)(default_rng|RandomState|Random|PCG64|MT19937)$")
SEED_SET = re.compile(r"^(random|(np|numpy)\.random)\.seed$")
# The first keep the rows' order unless told to shuffle; the second shuffle unless told not to.
FOLDS = re.compile(r"(^|\.)(KFold|StratifiedKFold)$")
SPLITTERS = re.compile(r"(^|\.)(train_test_split|\w*ShuffleSplit)$")


@criterion("pipeline.seeds", "every random draw has a seed")
def seeds(project: Project) -> Finding:
    faults = []
    if not isinstance(project.params.get("seed"), int):
        faults.append("params.yaml: `seed` is missing")
    for name, tree in project.python.items():
        # Code of data, model and figures; serving needs no seed.
        if tree is None or not re.match(r"src/\w+/(data|training|evaluation|\w+\.py)", name):
            continue
        called = list(calls(tree))
        is_set = any(SEED_SET.search(called) and node.args for node, called in called)
        faults += [
            f"{name}:{node.lineno}: {function}() without a seed"
            for node, function in called
            if (GLOBAL_RANDOM.search(function) and not is_set) or _unseeded(node, function)
        ]
    evidence = f"params.yaml, `seed`: {project.params.get('seed')}; no draw without a seed"
    return judge(faults, evidence, "Draw from numpy.random.default_rng(seed).")


def _unseeded(node: ast.Call, called: str) -> bool:
    """Tell whether a call makes a generator, or shuffles rows, without a given seed."""
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
