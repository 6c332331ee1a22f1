"""Fills in the site's reference from the code at each build, so that it cannot be stale.

A line `<!-- code: NAME ARGUMENT... -->` of a page is replaced by what `WRITERS[NAME]` returns of
projects that are generated as a user would generate them.
"""

import ast
import functools
import importlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from mkdocs.exceptions import PluginError

TEMPLATE = Path(__file__).resolve().parent.parent
CONFIGURATION = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
PROJECT_TYPES = CONFIGURATION["project_type"]
HTTP_METHODS = ("get", "post", "put", "delete")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# Of a JSON schema.
LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "minItems": "at least {} of them",
    "maxItems": "at most {} of them",
    "maxLength": "at most {} characters",
}
KINDS = {"string": "text", "boolean": "true or false", "array": "list"}

scratch = tempfile.TemporaryDirectory()


def on_page_markdown(markdown, **_):
    """Replace each marker of a page."""

    def written(marker):
        name, *arguments = marker[1].split()
        return "\n".join(WRITERS[name](*arguments))

    return re.sub(r"^<!-- code: (.*) -->$", written, markdown, flags=re.MULTILINE)


@functools.cache
def generated(kind):
    """Return a project with default answers, generated without a look at the user's settings."""
    folder = Path(scratch.name)
    settings = folder / "settings.yaml"
    places = {"replay_dir": str(folder / "replay"), "cookiecutters_dir": str(folder / "cached")}
    settings.write_text(yaml.safe_dump(places), encoding="utf-8")
    options = ["--no-input", "--config-file", str(settings), "--output-dir", str(folder / kind)]
    done = subprocess.run(
        [sys.executable, "-m", "cookiecutter", *options, str(TEMPLATE), f"project_type={kind}"],
        capture_output=True,
        encoding="utf-8",
    )
    if done.returncode:
        raise PluginError(f"no project could be generated: {done.stdout}{done.stderr}")
    return next((folder / kind).iterdir())


def package(kind):
    """Return the folder of a project's Python package."""
    return next((generated(kind) / "src").glob("*/__main__.py")).parent


def source(kind, name):
    """Return the code of a module of the package, and what Python makes of it."""
    text = (package(kind) / name).read_text(encoding="utf-8")
    return text, ast.parse(text)


def row(*cells):
    """Return a row of a table."""
    return f"| {' | '.join(str(cell).replace('|', '&#124;') for cell in cells)} |"


def prompts():
    """Yield a section for each prompt: its answers on offer, or its default for each type."""
    asked = CONFIGURATION["__prompts__"]
    for key, default in CONFIGURATION.items():
        if key.startswith("_"):
            continue
        yield from ("", f"## `{key}`", "")
        if isinstance(default, list):
            yield from (asked[key]["__prompt__"], "", row("answer", ""), row("---", "---"))
            for choice in default:
                note = " (default)" if choice == default[0] else ""
                yield row(f"`{choice}`{note}", asked[key][choice].partition(": ")[2])
        else:
            yield from (f"{asked[key]}.", "", row("`project_type`", "default"), row("---", "---"))
            for kind in PROJECT_TYPES:
                yield row(f"`{kind}`", default_answers(kind)[key])


def default_answers(kind):
    """Return the default answers that are text, as they stand in the generated project."""

    def found(name, pattern):
        text = (generated(kind) / name).read_text(encoding="utf-8")
        return re.search(pattern, text, re.MULTILINE)[1]

    return {
        "project_name": found("README.md", r"^# (.*)$"),
        "project_slug": generated(kind).name,
        "package_name": package(kind).name,
        "problem_statement": found("README.md", r"^> (.*)$"),
        "author_name": found("LICENSE", r"^Copyright \(c\) \d+ (.*)$"),
    }


def parameters(kind):
    """Yield a table for each section of params.yaml: values, bounds, and what its comments say."""
    sys.path.insert(0, str(generated(kind) / "src"))
    module = importlib.import_module(f"{package(kind).name}.params")
    sys.path.pop(0)
    schema = module.Params.model_json_schema()
    section = None
    for key, value, comment in entries(generated(kind) / "params.yaml"):
        first = key.partition(".")[0]
        if first != section:
            section = first
            yield from ("", f"## {section}", "", row("key", "value", "bounds", ""))
            yield row("---", "---", "---", "---")
        if not isinstance(value, dict):
            yield row(f"`{key}`", f"`{shown(value)}`", bounds(part(schema, key), schema), comment)
        elif comment:
            yield row(f"`{key}`", "", "", comment)


def entries(path):
    """Yield key, value and comment of each key of a params.yaml."""
    text = path.read_text(encoding="utf-8")
    place, above = [], []
    for line in text.splitlines():
        content, _, comment = line.partition("# ")
        if not line:
            above = []  # a comment on the whole file
        elif not content.strip():
            above.append(comment)
        elif key := re.match(r"( *)([a-z_0-9]+):", content):
            place = [*place[: len(key[1]) // 2], key[2]]
            value = functools.reduce(dict.__getitem__, place, yaml.safe_load(text))
            yield ".".join(place), value, " ".join([*above, comment]).strip()
            above = []


def shown(value):
    """Return a value as params.yaml has it, shortened."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 44 else f"{text[:40]} …"


def part(schema, key):
    """Return the JSON schema of a key."""
    found = schema
    for name in key.split("."):
        found = followed(found, schema)["properties"][name]
    return found


def followed(found, schema):
    """Return a JSON schema, or what it refers to."""
    reference = found.get("$ref")
    return schema["$defs"][reference.rpartition("/")[2]] if reference else found


def bounds(found, schema):
    """Return a JSON schema in words."""
    found = followed(found, schema)
    if "anyOf" in found:
        return ", or ".join(bounds(one, schema) for one in found["anyOf"])
    if "enum" in found:
        return ", ".join(f"`{value}`" for value in found["enum"])
    limits = (
        limit.format(round(found[name], 4)) for name, limit in LIMITS.items() if name in found
    )
    words = [KINDS.get(found["type"], found["type"]), *limits]
    if "items" in found:
        words.append(f"each {bounds(found['items'], schema)}")
    return ", ".join(words)


def docstring(kind, module, function):
    """Return what a function says of itself."""
    _, code = source(kind, module)
    (found,) = (one for one in code.body if isinstance(one, FUNCTIONS) and one.name == function)
    return [ast.get_docstring(found), "", f"Computed by `{function}` in `{module}`."]


def targets(of):
    """Yield the targets that a Makefile's help lists: the template's, or a project's."""
    folder = TEMPLATE if of == "template" else generated(of)
    makefile = (folder / "Makefile").read_text(encoding="utf-8")
    yield from (row("`make …`", "does"), row("---", "---"))
    for target, what in re.findall(r"^([a-z-]+):.*?## +(.*)$", makefile, re.MULTILINE):
        yield row(f"`{target}`", what)


def verbs():
    """Yield the verbs of a project's package."""
    _, code = source(PROJECT_TYPES[0], "__main__.py")
    named = {one.targets[0].id: one.value for one in code.body if isinstance(one, ast.Assign)}
    yield from (row("verb", "does"), row("---", "---"))
    for verb, (_, what) in ast.literal_eval(named["VERBS"]).items():
        yield row(f"`{verb}`", what)


def routes(kind, module):
    """Yield the documented routes that a module declares."""
    _, code = source(kind, module)
    yield from (row("route", "answers"), row("---", "---"))
    for one in ast.walk(code):
        if isinstance(one, FUNCTIONS) and (text := ast.get_docstring(one)):
            for call in one.decorator_list:
                if isinstance(call, ast.Call) and getattr(call.func, "attr", "") in HTTP_METHODS:
                    path = f"`{call.func.attr.upper()} {call.args[0].value}`"
                    yield row(path, " ".join(text.split()))


def bodies(kind):
    """Yield the bodies and answers of the routes as they are declared, without their checks.

    The numbers that they name come first.
    """
    text, code = source(kind, "serving/routes.py")
    lines = []
    for one in code.body:
        if isinstance(one, ast.Assign) and ast.unparse(one.value).startswith("Annotated["):
            lines.append(ast.get_source_segment(text, one))
        elif isinstance(one, ast.ClassDef):
            fields = [field for field in one.body if isinstance(field, ast.AnnAssign)]
            lines.append(f"\nclass {one.name}({', '.join(map(ast.unparse, one.bases))}):")
            lines += [f"    {ast.get_source_segment(text, field)}" for field in fields]
    named = set(re.findall(r"\w+", "\n".join(lines)))
    known = [*source(kind, "serving/predictor.py")[1].body, *code.body]
    numbers = [one for one in known if isinstance(getattr(one, "value", None), ast.Constant)]
    yield "```python"
    yield from (one for one in map(ast.unparse, numbers) if one.partition(" = ")[0] in named)
    yield from lines
    yield "```"


WRITERS = {
    writer.__name__: writer
    for writer in (prompts, parameters, docstring, targets, verbs, routes, bodies)
}
