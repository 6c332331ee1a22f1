"""A project as the review sees it: files, the template's record and git's history, nothing run.

It may be a stranger's: links are not followed, and sizes are bounded.
"""

import ast
import json
import os
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from . import origin
from .history import MAX_BYTES, History, is_plain, read_history

MAX_FILES = 20_000
MAX_ALIASES = 12  # in one file; within each other, they make at most 81 copies
MADE_BY_RUNS = ("data/raw/", "data/processed/", "models/", "changes/", "predictions/", "mlruns/")
# Folders that are no part of what somebody wrote.
IGNORED = re.compile(
    r"(^|/)(\.git|\.venv|venv|env|\.cache|__pycache__|\.\w+_cache|[^/]+\.egg-info|node_modules"
    r"|\.hypothesis|\.ipynb_checkpoints|\.tox)$|^(build|dist|\.dvc/(cache|tmp))$"
)


class _PlainLoader(yaml.SafeLoader):
    """YAML with few aliases of short texts: nine lines of many can stand for gigabytes."""

    aliases = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            self.aliases += 1
            if self.aliases > MAX_ALIASES or self.peek_event().start_mark.index > 20_000:
                raise yaml.YAMLError("more aliases than are read here")
        return super().compose_node(parent, index)


@dataclass(frozen=True)
class Project:
    """A folder with a project, and the record of what the template generated."""

    root: Path
    record: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def files(self) -> list[str]:
        """The names, with slashes, of the files that somebody wrote and of reports.

        Neither links nor what .gitignore names: nobody who clones it gets that. Raises OSError if
        there are too many.
        """
        found: list[str] = []
        for folder, folders, names in os.walk(self.root):
            place = Path(folder).relative_to(self.root).as_posix()
            here = "" if place == "." else f"{place}/"
            folders[:] = [name for name in folders if not IGNORED.search(here + name)]
            folders[:] = [name for name in folders if f"{here}{name}/" not in MADE_BY_RUNS]
            found += [here + name for name in names if is_plain(os.path.join(folder, name))]
            if len(found) > MAX_FILES:
                raise OSError(f"{self.root}: more than {MAX_FILES:,} files")
        return sorted({*found} - (self.history.ignored if self.history else set()))

    def has(self, name: str) -> bool:
        """Tell whether there is such a file, inside of the project and no link."""
        return self.inside(name) and (self.root / name).is_file()

    def inside(self, name: str) -> bool:
        """Tell whether a name is one of a place inside of the project that no link leads out of."""
        try:
            path = (self.root / name).resolve()
            return path.is_relative_to(self.root.resolve()) and not (self.root / name).is_symlink()
        except (OSError, ValueError, RuntimeError):  # a name that no file can have; a loop of links
            return False

    def text(self, name: str) -> str:
        """Return a file's text, or nothing for one that is missing or too large."""
        if not self.has(name) or (self.root / name).stat().st_size > MAX_BYTES:
            return ""
        try:
            return (self.root / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def data(self, name: str) -> dict[str, Any]:
        """Return what a JSON, YAML or TOML file holds, or nothing if it is no such mapping."""
        return mapping(self.text(name), name)

    @cached_property
    def python(self) -> dict[str, ast.Module | None]:
        """The syntax trees of all Python files; None for one that is no Python."""
        return {name: _tree(self.text(name)) for name in self.files if name.endswith(".py")}

    @cached_property
    def package(self) -> str:
        """The name of its Python package, or nothing."""
        mains = [name for name in self.files if re.fullmatch(r"src/\w+/__main__\.py", name)]
        return mains[0].split("/")[1] if mains else ""

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """What `evaluate` wrote."""
        return self.data("reports/metrics.json")

    @cached_property
    def params(self) -> dict[str, Any]:
        """The parameters."""
        return self.data("params.yaml")

    @property
    def type(self) -> str:
        """The project type, as the run or the template has it."""
        return str(self.metrics.get("project_type") or self.answers.get("project_type") or "")

    @property
    def answers(self) -> dict[str, Any]:
        """What was answered at generation."""
        return part(self.record, "answers")

    @cached_property
    def statement(self) -> str:
        """The problem in one sentence."""
        return str(part(self.data("pyproject.toml"), "project").get("description", ""))

    @cached_property
    def readme(self) -> dict[str, str]:
        """The sections of README.md by heading; what stands before the first has the key ""."""
        text = re.sub(r"^```.*?^```", _masked, self.text("README.md"), flags=re.M | re.S)
        parts = re.split(r"^## +(\S.*)$", text, flags=re.MULTILINE)
        names = ["", *(name.strip() for name in parts[1::2])]
        sections = dict(zip(names, parts[0::2], strict=True))
        return {name: body.replace("\0", "#") for name, body in sections.items()}

    def section(self, name: str) -> str:
        """Return what stands under a heading that begins with a name, after numbers and emoji."""
        plain = ((re.sub(r"^[\W\d_]+", "", key), body) for key, body in self.readme.items())
        start = name.casefold()
        return next((body for key, body in plain if key.casefold().startswith(start)), "")

    def at(self, name: str, pattern: str) -> str:
        """Return a file's name with the number of the first line that a pattern finds, if any."""
        rows = enumerate(self.text(name).splitlines(), 1)
        row = next((row for row, line in rows if re.search(pattern, line)), None)
        return f"{name}:{row}" if row else name

    @cached_property
    def history(self) -> History | None:
        """What git has, or None without git or a repository here."""
        return read_history(self.root) if self.inside(".git") else None

    @cached_property
    def _generated(self) -> dict[str, Counter[str]]:
        """The hashes of the lines of each file that was generated."""
        files = part(self.record, "files")
        return {
            name: Counter(origin.pieces(str(part(files, name).get("lines", "")), origin.LINE))
            for name in files
        }

    def before(self, name: str) -> Counter[str]:
        """Return the hashes of the lines that a file was generated with.

        Of a new file that is mostly a generated one under another name, they are that one's.
        """
        if name in self._generated:
            return self._generated[name]
        now = origin.lines(self.text(name), name)
        rest = {(now - one).total(): one for one in self._generated.values()}
        least = min(rest, default=0)
        return rest.get(least, now) if least < now.total() / 2 else Counter()

    def own(self, name: str) -> tuple[int, int]:
        """Return how many lines of a file were added, and how many removed, since generation."""
        now, before = origin.lines(self.text(name), name), self.before(name)
        gone = (before - now).total() if name in self._generated else 0
        return (now - before).total(), gone

    def of_the_template(self, text: str, prose: str = "README.md") -> float:
        """Return which share of a text's words stands in the prose that was generated, 0 to 1."""
        known = str(part(self.record, "prose").get(prose, ""))
        triples = origin.triples(text)
        return len(triples & set(origin.pieces(known, origin.WORDS))) / max(1, len(triples))


def mapping(text: str, name: str) -> dict[str, Any]:
    """Return what JSON, YAML or TOML holds, as what JSON can hold; nothing if it is no mapping."""
    try:
        if name.endswith((".json", ".ipynb")):
            content = json.loads(text)
        elif name.endswith(".toml"):
            content = tomllib.loads(text)
        else:
            content = yaml.load(text, _PlainLoader)  # a SafeLoader
        # YAML has keys that are no text, and numbers that Python refuses to write.
        content = json.loads(json.dumps(content, default=str, skipkeys=True))
    except (ValueError, TypeError, AttributeError, yaml.YAMLError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def part(content: Any, name: str) -> dict[str, Any]:
    """Return the mapping under a key, or an empty one: files may hold anything."""
    inner = content.get(name) if isinstance(content, dict) else None
    return inner if isinstance(inner, dict) else {}


def number(content: Any) -> float | None:
    """Return a finite number, or None for anything else."""
    if not isinstance(content, int | float) or isinstance(content, bool):
        return None
    return content if abs(content) < 1e300 else None  # NaN is not, either


def calls(tree: ast.Module) -> Iterator[tuple[ast.Call, str]]:
    """Yield each call and what is called: its name in full, whatever it was imported as."""
    imported: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {one.asname: one.name for one in node.names if one.asname}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imported |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            root, dot, rest = dotted(node.func).partition(".")
            yield node, imported.get(root, root) + dot + rest


def dotted(node: ast.expr) -> str:
    """Return the names that an expression goes through; it may be deeper than Python recurses."""
    names = []
    while isinstance(node, ast.Attribute | ast.Call | ast.Subscript):
        if isinstance(node, ast.Attribute):
            names.append(node.attr)
        node = node.func if isinstance(node, ast.Call) else node.value
    names.append(node.id if isinstance(node, ast.Name) else "")
    return ".".join(reversed(names))


def _masked(match: re.Match[str]) -> str:
    """Return a block of code in which no line looks like a heading."""
    return re.sub(r"^#", "\0", match[0], flags=re.MULTILINE)


def _tree(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
