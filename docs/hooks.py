"""Writes the site's reference from the code: mkdocs runs this at each build, so it cannot be stale.

It generates a project of each type, as a user would, and reads what is in it.
"""

import ast
import importlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

TEMPLATE = Path(__file__).resolve().parent.parent
ANSWERS = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
PROJECT_TYPES = ANSWERS["project_type"]

# What each key of reports/metrics.json means: which way is better, and the function that computes
# it, whose docstring has the formula, or else a sentence.
UP, DOWN, SO = "higher is better", "lower is better", "as near as can be to what its name says"
METRICS = {
    "text-classification": {
        "accuracy": (UP, "The share of rows whose label is right."),
        "macro_f1": (UP, "macro_f1"),
        "ece": (DOWN, "expected_calibration_error"),
    },
    "forecasting": {
        "wape": (DOWN, "wape"),
        "mape": (f"{DOWN}; only where `data.positive` is true", "mape"),
        "mase": (DOWN, "mase"),
        "rmse": (DOWN, "rmse"),
        "mean_pinball": (DOWN, "pinball"),
        "coverage_80": (SO, "coverage"),
        "coverage_95": (SO, "coverage"),
        "width_80": (f"{DOWN}, at the same coverage", "The mean width of the 80% interval."),
        "width_95": (f"{DOWN}, at the same coverage", "The mean width of the 95% interval."),
    },
    "document-similarity": {
        "ndcg_at_10": (
            UP,
            "The normalised discounted cumulative gain of the first ten documents: relevant ones "
            "count, those further down less. The mean over the queries, as `ir-measures` computes it.",
        ),
        "mrr_at_10": (
            UP,
            "One over the place of the first relevant document, 0 if it is not among the first ten. "
            "The mean over the queries.",
        ),
        "recall_at_10": (UP, "The share of a query's relevant documents among the first ten."),
        "recall_at_100": (UP, "The same among the first hundred."),
        "index_recall_at_10": (
            UP,
            "The share of the ten nearest documents, as comparing with all of them finds them, that "
            "the served index finds.",
        ),
    },
}
DOC = (ast.FunctionDef, ast.AsyncFunctionDef)


def on_files(files, config):
    """Add the generated pages."""
    with tempfile.TemporaryDirectory() as folder:
        projects = {kind: generate(kind, Path(folder)) for kind in PROJECT_TYPES}
        pages = {
            "prompts": prompts(projects),
            **{f"parameters/{kind}": parameters(kind, path) for kind, path in projects.items()},
            "metrics": metrics(projects),
            "commands": commands(projects[PROJECT_TYPES[0]]),
            "routes": routes(projects),
        }
    for name, text in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def generate(kind, folder):
    """Return a project with default answers, generated without a look at the user's settings."""
    settings = folder / "config.yaml"
    places = {"replay_dir": str(folder / "replay"), "cookiecutters_dir": str(folder / "cached")}
    settings.write_text(yaml.safe_dump(places), encoding="utf-8")
    command = [sys.executable, "-m", "cookiecutter", "--no-input", "--config-file", str(settings)]
    output = folder / kind
    done = subprocess.run(
        [*command, "--output-dir", str(output), str(TEMPLATE), f"project_type={kind}"],
        capture_output=True,
        encoding="utf-8",
    )
    if done.returncode:
        raise PluginError(f"no project could be generated: {done.stdout}{done.stderr}")
    return next(output.iterdir())


def prompts(projects):
    """Return the page of what cookiecutter asks."""
    asked = ANSWERS["__prompts__"]
    lines = ["# Prompts", "", "What cookiecutter asks, in this order. Press Enter for the default."]
    lines += ["An answer that would break something is refused before anything is written."]
    for key, default in ANSWERS.items():
        if key.startswith("_"):
            continue
        question = asked[key]
        lines += ["", f"## `{key}`", ""]
        if isinstance(default, list):
            lines += [question["__prompt__"], "", "| answer | |", "|---|---|"]
            for choice in default:
                is_default = " (default)" if choice == default[0] else ""
                lines += [f"| `{choice}`{is_default} | {question[choice].partition(': ')[2]} |"]
            continue
        lines += [f"{question}.", "", "| `project_type` | default |", "|---|---|"]
        for kind, path in projects.items():
            lines += [f"| `{kind}` | {answer(key, path)} |"]
    return "\n".join([*lines, ""])


def answer(key, project):
    """Return a default answer, as it stands in the generated project."""
    package = package_of(project)
    return {
        "project_name": (project / "README.md").read_text(encoding="utf-8").splitlines()[0][2:],
        "project_slug": f"`{project.name}`",
        "package_name": f"`{package.name}`",
        "problem_statement": quoted_line(project / "README.md", r"^> (.*)$"),
        "author_name": quoted_line(project / "LICENSE", r"^Copyright \(c\) \d* ?(.*)$"),
    }[key]


def quoted_line(path, pattern):
    return re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE)[1]


def package_of(project):
    """Return the folder of a project's Python package."""
    return next((project / "src").glob("*/__main__.py")).parent


def parameters(kind, project):
    """Return the page of a type's params.yaml: values, bounds, and what its comments say."""
    sys.path.insert(0, str(project / "src"))
    schema = importlib.import_module(
        f"{package_of(project).name}.params"
    ).Params.model_json_schema()
    sys.path.pop(0)
    lines = [
        f"# Parameters: {kind}",
        "",
        "Every key of `params.yaml`, its value in a fresh project, and its bounds. Any of them can be",
        "overridden without editing, see [commands](../commands.md).",
    ]
    section, is_open = None, False
    for key, value, comment in entries((project / "params.yaml").read_text(encoding="utf-8")):
        top, _, name = key.partition(".")
        if top != section:
            section, is_open = top, False
            lines += ["", f"## {top}", ""]
            if not name and value is None:
                lines += [f"{comment}\n"] if comment else []
                continue
        if not is_open:
            lines += ["| key | value | bounds | |", "|---|---|---|---|"]
            is_open = True
        rule = bounds(resolve(schema, key), schema)
        if rule:  # a section within a section has none
            cells = f"`{key}`", f"`{shown(value)}`", rule, comment
            lines += [f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"]
    return "\n".join([*lines, ""])


def entries(text):
    """Yield key, value and comment of each line of a params.yaml; a section's value is None."""
    path, before, values = [], [], yaml.safe_load(text)
    for line in text.splitlines():
        if comment := re.fullmatch(r"\s*# (.*)", line):
            before.append(comment[1])
        elif pair := re.fullmatch(
            r"( *)([a-z_0-9]+):(?:\s+#\s(.*)|\s+(.*?)(?:\s+#\s(.*))?)?", line
        ):
            depth = len(pair[1]) // 2
            path = [*path[:depth], pair[2]]
            value = values
            for part in path:
                value = value[part]
            said = " ".join([*before, pair[3] or pair[5] or ""]).strip()
            yield ".".join(path), None if isinstance(value, dict) else json.dumps(value), said
            before = []
        else:
            before = []


def shown(value):
    """Return a value as params.yaml has it, shortened."""
    text = value if value.startswith(("[", "{")) else str(json.loads(value))
    text = {"None": "null", "True": "true", "False": "false"}.get(text, text)
    return text if len(text) <= 44 else f"{text[:40]} …"


def resolve(schema, key):
    """Return the JSON schema of a key."""
    part = schema
    for name in key.split("."):
        part = follow(part, schema)["properties"][name]
    return part


def follow(part, schema):
    """Return what a reference refers to."""
    while "$ref" in part:
        part = schema["$defs"][part["$ref"].rpartition("/")[2]]
    return part


def bounds(part, schema):
    """Return a schema in words, or nothing for a section."""
    part = follow(part, schema)
    if "anyOf" in part:
        return ", or ".join(bounds(one, schema) for one in part["anyOf"])
    if "enum" in part:
        return ", ".join(f"`{value}`" for value in part["enum"])
    kind = part.get("type")
    if kind == "object":
        return ""
    words = {"string": "text", "boolean": "true or false", "array": "list"}.get(kind, kind)
    limits = {
        "minimum": "at least {}",
        "exclusiveMinimum": "above {}",
        "maximum": "at most {}",
        "exclusiveMaximum": "below {}",
        "minItems": "at least {} of them",
        "maxItems": "at most {} of them",
        "maxLength": "at most {} characters",
    }
    said = [text.format(f"{part[name]:.4g}") if isinstance(part[name], float) else text.format(part[name])
            for name, text in limits.items() if name in part]  # fmt: skip
    if kind == "array":
        said.append(f"each {bounds(part['items'], schema)}")
    return ", ".join([words, *said])


def metrics(projects):
    """Return the page of metrics, with the docstrings of the functions that compute them."""
    lines = [
        "# Metrics",
        "",
        "The keys of `reports/metrics.json`, by project type. All are measured on",
    ]
    lines += ["the held-out test set, with the exported model that the API serves."]
    for kind, keys in METRICS.items():
        scores = package_of(projects[kind]) / "evaluation" / "scores.py"
        code = ast.parse(scores.read_text(encoding="utf-8"))
        documented = {one.name: ast.get_docstring(one) for one in code.body if isinstance(one, DOC)}
        lines += ["", f"## {kind}"]
        for key, (better, what) in keys.items():
            text = what if " " in what else documented[what]
            lines += ["", f"### `{key}`", "", f"*{better[0].upper()}{better[1:]}.*", "", text]
            if text is not what:
                lines += ["", f"Computed by `{what}` in `evaluation/scores.py`."]
    return "\n".join([*lines, ""])


def commands(project):
    """Return the page of commands: the targets of the Makefile, the verbs of the package."""
    makefile = (project / "Makefile").read_text(encoding="utf-8")
    code = ast.parse((package_of(project) / "__main__.py").read_text(encoding="utf-8"))
    assigned = {one.targets[0].id: one.value for one in code.body if isinstance(one, ast.Assign)}
    verbs = ast.literal_eval(assigned["VERBS"])
    lines = [
        "# Commands",
        "",
        "## Of a generated project",
        "",
        "| `make …` | does |",
        "|---|---|",
        *targets(makefile),
        "",
        "The same without make, as `.venv/bin/python -m PACKAGE VERB` (on Windows `.venv\\Scripts\\python`):",
        "",
        "| verb | does |",
        "|---|---|",
        *(f"| `{verb}` | {what} |" for verb, (_, what) in verbs.items()),
        "",
        "Each verb takes `--set KEY=VALUE`, as often as you like: `--set train.epochs=1`. Through make the",
        'options go into `ARGS`: `make train ARGS="--set train.epochs=1"`. The same key as an environment',
        "variable is `PACKAGE_TRAIN__EPOCHS=1`, the package's name in capitals.",
        "",
        "## Of the template",
        "",
        "| `make …` | does |",
        "|---|---|",
        *targets((TEMPLATE / "Makefile").read_text(encoding="utf-8")),
        "",
    ]
    return "\n".join(lines)


def targets(makefile):
    """Return a row of a table for each target that a Makefile's help lists."""
    found = re.findall(r"^([a-z-]+):.*?## +(.*)$", makefile, re.MULTILINE)
    return [f"| `{target}` | {what.replace('|', '&#124;')} |" for target, what in found]


def routes(projects):
    """Return the page of routes, with the bodies as the code declares them."""
    some = package_of(projects[PROJECT_TYPES[0]]) / "serving" / "app.py"
    lines = [
        "# Routes",
        "",
        "JSON in, JSON out. `GET /docs` of a running service has all of it, to try.",
        "",
    ]
    lines += ["## Of every type", "", "| route | answers |", "|---|---|"]
    lines += [
        "| `GET /` | A page to try it. |",
        "| `GET /docs` | The API's documentation, offline too. |",
    ]
    lines += ["| `GET /metrics` | Prometheus metrics. |", *handlers(some)]
    lines += [
        "",
        "A body that does not fit gets a 422 that names the field, one that is too large a 413, and a",
    ]
    lines += ["request that would wait too long for its turn a 503 with `Retry-After`."]
    for kind, project in projects.items():
        path = package_of(project) / "serving" / "routes.py"
        code = path.read_text(encoding="utf-8")
        bodies = [one for one in ast.parse(code).body if isinstance(one, ast.ClassDef)]
        lines += ["", f"## {kind}", "", "| route | answers |", "|---|---|", *handlers(path), ""]
        lines += ["Bodies and answers, in `serving/routes.py`:", "", "```python"]
        lines += ["\n\n".join(fields(one, code) for one in bodies), "```"]
    return "\n".join([*lines, ""])


def handlers(path):
    """Return a row of a table for each documented route that a module declares."""
    rows = []
    for one in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(one, DOC) and (text := ast.get_docstring(one)):
            rows += [
                f"| `{call.func.attr.upper()} {call.args[0].value}` | {' '.join(text.split())} |"
                for call in one.decorator_list
                if isinstance(call, ast.Call) and getattr(call.func, "attr", "") in HTTP
            ]
    return rows


HTTP = ("get", "post", "put", "delete")


def fields(body, code):
    """Return a class as it is declared, without its checks."""
    head = f"class {body.name}({', '.join(ast.unparse(base) for base in body.bases)}):"
    kept = [one for one in body.body if isinstance(one, ast.AnnAssign)]
    return "\n".join([head, *(f"    {ast.get_source_segment(code, one)}" for one in kept)])
