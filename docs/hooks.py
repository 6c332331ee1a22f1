"""Fills in the site's reference from the code at each build, so it is never out of date.

`WRITERS[NAME]` replaces each line `<!-- code: NAME ARGUMENT... -->` of a page. Writers read the
template, and projects that are generated as a user would generate them.
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
SKELETON = TEMPLATE / "{{cookiecutter.project_slug}}"
KIT = SKELETON / "kit"  # with the parts of all project types
CONFIGURATION = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
PROJECT_TYPES = CONFIGURATION["project_type"]
HTTP_METHODS = ("get", "post", "put", "delete")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DECLARED = {"BaseModel", "TypedDict", "Body"}  # base classes of what a request or its answer holds
# The limits of a JSON schema in words.
LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "minItems": "at least {} of them",
    "maxItems": "at most {} of them",
    "maxLength": "at most {} characters",
}
KINDS = {"string": "text", "boolean": "true or false", "array": "list", "object": "mapping"}

scratch = tempfile.TemporaryDirectory()


def on_page_markdown(markdown, **_):
    """Replace each marker of a page."""

    def written(marker):
        name, *arguments = marker[1].split()
        return "\n".join(WRITERS[name](*arguments))

    return re.sub(r"^<!-- code: (.*) -->$", written, markdown, flags=re.MULTILINE)


@functools.cache
def generated(kind):
    """Return a project with default answers; the user's cookiecutter settings are ignored."""
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
    """Return a module's text and syntax tree: of the kit, or of a project's package."""
    folder = generated(kind) if name.startswith("kit/") else package(kind)
    text = (folder / name).read_text(encoding="utf-8")
    return text, ast.parse(text)


def imported(name, *folders):
    """Return a module of the kit, or of a package in one of the folders."""
    sys.path[:0] = [str(folder) for folder in (KIT, *folders)]
    try:
        return importlib.import_module(name)
    finally:
        del sys.path[: 1 + len(folders)]


def row(*cells):
    """Return a row of a table."""
    return f"| {' | '.join(str(cell).replace('|', '&#124;') for cell in cells)} |"


def prompts():
    """Yield a section per prompt: its choices, or its default for each project type."""
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
    """Return the default answers that are text, as the generated project shows them."""

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
    """Yield a table per section of params.yaml: values, bounds and comments."""
    module = imported(f"{package(kind).name}.params", generated(kind) / "src")
    schema = module.Params.model_json_schema()
    section = None
    for key, value, comment in entries(generated(kind) / "params.yaml"):
        first = key.partition(".")[0]
        if first != section:
            section = first
            yield from ("", f"## {section}", "", row("key", "value", "bounds", ""))
            yield row("---", "---", "---", "---")
        found = part(schema, key)
        if "properties" not in followed(found, schema):
            yield row(f"`{key}`", f"`{shown(value)}`", bounds(found, schema), comment)
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
    """Return a value as in params.yaml, shortened."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 44 else f"{text[:40]} …"


def part(schema, key):
    """Return the JSON schema of a key."""
    found = schema
    for name in key.split("."):
        found = followed(found, schema)["properties"][name]
    return found


def followed(found, schema):
    """Return a JSON schema, or the one that it refers to."""
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
    """Return a function's docstring, and where to find it."""
    _, code = source(kind, module)
    (found,) = (one for one in code.body if isinstance(one, FUNCTIONS) and one.name == function)
    return [ast.get_docstring(found), "", f"Computed by `{function}` in `{module}`."]


def targets(of):
    """Yield the targets that `make` lists: the template's, or those of a project of this type."""
    folder = TEMPLATE if of == "template" else generated(of)
    makefile = (folder / "Makefile").read_text(encoding="utf-8")
    yield from (row("`make …`", "does"), row("---", "---"))
    for target, what in re.findall(r"^([a-z-]+):.*?## +(.*)$", makefile, re.MULTILINE):
        yield row(f"`{target}`", what)


def verbs():
    """Yield the verbs of a project's command line."""
    yield from (row("verb", "does"), row("---", "---"))
    for command in imported("portfolio_kit.cli").COMMANDS:
        yield row(f"`{command.name}`", command.help)


def routes(kind, *modules):
    """Yield the documented routes that modules declare."""
    yield from (row("route", "answers"), row("---", "---"))
    for one in (one for module in modules for one in ast.walk(source(kind, module)[1])):
        if isinstance(one, FUNCTIONS) and (text := ast.get_docstring(one)):
            for call in one.decorator_list:
                if isinstance(call, ast.Call) and getattr(call.func, "attr", "") in HTTP_METHODS:
                    path = call.args[0].value.replace(":path", "")  # it may contain slashes
                    route = f"`{call.func.attr.upper()} {path}`"
                    yield row(route, " ".join(text.split()))


def bodies(kind, *modules):
    """Return the declared bodies and answers without their checks, after the bounds they name."""
    named, classes, known = [], [], set(DECLARED)
    for module in modules:
        text, code = source(kind, module)
        for one in code.body:
            if isinstance(one, ast.Assign) and is_limit(one.value):
                named.append((one.targets[0].id, ast.get_source_segment(text, one)))
            elif isinstance(one, ast.ClassDef) and known & {*map(ast.unparse, one.bases)}:
                known.add(one.name)
                fields = [field for field in one.body if isinstance(field, ast.AnnAssign)]
                if fields:
                    bases = ", ".join(map(ast.unparse, one.bases))
                    classes.append(f"\nclass {one.name}({bases}):")
                classes += [f"    {ast.get_source_segment(text, field)}" for field in fields]
    shown = classes
    for name, line in reversed(named):  # a name is declared before it is used
        if re.search(rf"\b{name}\b", "\n".join(shown)):
            shown = [line, *shown]
    return ["```python", *shown, "```"]


def is_limit(value):
    """Tell whether a module's constant is a number, or a type with bounds."""
    return isinstance(value, ast.Constant) or ast.unparse(value).startswith("Annotated[")


def definitions(module, *names):
    """Return the code of classes of the kit."""
    text = (KIT / module).read_text(encoding="utf-8")
    found = {one.name: one for one in ast.parse(text).body if isinstance(one, ast.ClassDef)}
    lines = text.splitlines()
    code = []
    for name in names:
        first = min([found[name].lineno, *(one.lineno for one in found[name].decorator_list)])
        code += [*lines[first - 1 : found[name].end_lineno], ""]
    return ["```python", *code[:-1], "```"]


def blocks():
    """Yield the blocks that a project type can fill in, by file of the skeleton."""
    yield from (row("file", "blocks"), row("---", "---"))
    types = (SKELETON / "overlays" / "project_type").iterdir()
    names = {path.relative_to(one).as_posix() for one in types for path in one.rglob("*")}
    for path in (SKELETON / name for name in sorted(names)):
        found = path.is_file() and re.findall(r"{%-? block (\w+)", path.read_text("utf-8"))
        if found:
            named = ", ".join(f"`{block}`" for block in found)
            yield row(f"`{path.relative_to(SKELETON).as_posix()}`", named)


WRITERS = {
    writer.__name__: writer
    for writer in (
        prompts,
        parameters,
        docstring,
        targets,
        verbs,
        routes,
        bodies,
        definitions,
        blocks,
    )
}
