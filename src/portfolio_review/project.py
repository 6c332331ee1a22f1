"""A project as the review sees it: its files, its git history, and what the template generated.

It may be a stranger's: nothing is run, links are not followed, and sizes are bounded.
"""

import ast
import os
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from portfolio_tools import ejected

from .folder import MAX_FILES, Folder, is_plain
from .history import History, read_history
from .origin import Origin, copies, follow, lines, triples
from .reading import mapping, part
from .syntax import parsed

MADE_BY_RUNS = ("data/raw/", "data/processed/", "models/", "changes/", "predictions/", "mlruns/")
# Folders with what programs wrote.
IGNORED = re.compile(
    r"(^|/)(\.git|\.venv|venv|env|\.cache|__pycache__|\.\w+_cache|[^/]+\.egg-info|node_modules"
    r"|\.hypothesis|\.ipynb_checkpoints|\.tox)$|^(build|dist|\.dvc/(cache|tmp))$"
)


@dataclass(frozen=True)
class Project(Folder):
    """A folder with a project, and what the template generated if that is known."""

    origin: Origin | None = None

    @cached_property
    def files(self) -> list[str]:
        """The names, with slashes, of the files that somebody wrote, and of reports.

        Links and ignored files are left out: a clone does not have them. Raises OSError if there
        are too many files.
        """
        found: list[str] = []
        for folder, folders, names in os.walk(self.place):
            place = Path(folder).relative_to(self.place).as_posix()
            here = "" if place == "." else f"{place}/"
            folders[:] = [name for name in folders if not IGNORED.search(here + name)]
            folders[:] = [name for name in folders if f"{here}{name}/" not in MADE_BY_RUNS]
            found += [here + name for name in names if is_plain(os.path.join(folder, name))]
            if len(found) > MAX_FILES:
                raise OSError(f"{self.root}: more than {MAX_FILES:,} files")
        return sorted({*found} - (self.history.ignored if self.history else set()))

    def data(self, name: str) -> dict[str, Any]:
        """Return the mapping in a JSON, YAML or TOML file, or an empty one."""
        if name not in self._mappings:
            self._mappings[name] = mapping(self.text(name), name)
        return self._mappings[name]

    @cached_property
    def _mappings(self) -> dict[str, dict[str, Any]]:
        return {}

    @cached_property
    def python(self) -> dict[str, ast.Module | None]:
        """The syntax trees of all Python files; None for one that is not Python."""
        return {name: parsed(self.text(name)) for name in self.files if name.endswith(".py")}

    @cached_property
    def package(self) -> str:
        """The name of its Python package, empty if it has none."""
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
        """The project type, from the run or else from the answers."""
        answered = self.origin.answers if self.origin else {}
        return str(self.metrics.get("project_type") or answered.get("project_type") or "")

    @cached_property
    def statement(self) -> str:
        """The problem in one sentence."""
        return str(part(self.data("pyproject.toml"), "project").get("description", ""))

    @cached_property
    def readme(self) -> dict[str, str]:
        """The sections of README.md by heading; the text before the first has the key ""."""
        text = re.sub(r"^```.*?^```", _masked, self.text("README.md"), flags=re.M | re.S)
        parts = re.split(r"^## +(\S.*)$", text, flags=re.MULTILINE)
        names = ["", *(name.strip() for name in parts[1::2])]
        sections = dict(zip(names, parts[0::2], strict=True))
        return {name: body.replace("\0", "#") for name, body in sections.items()}

    def section(self, name: str) -> str:
        """Return the text below a heading that begins with a name, after numbers and emoji."""
        plain = ((re.sub(r"^[\W\d_]+", "", key), body) for key, body in self.readme.items())
        start = name.casefold()
        return next((body for key, body in plain if key.casefold().startswith(start)), "")

    def at(self, name: str, pattern: str) -> str:
        """Return a file's name with the number of the first line that matches a pattern, if any."""
        rows = enumerate(self.text(name).splitlines(), 1)
        row = next((row for row, line in rows if re.search(pattern, line)), None)
        return f"{name}:{row}" if row else name

    @cached_property
    def history(self) -> History | None:
        """What git has, or None without git or a repository."""
        objects = self.path(".git/objects")
        return read_history(self.place, objects, self.text) if objects else None

    @cached_property
    def _generated(self) -> dict[str, Counter[str]]:
        """The lines of each file that was generated; of an unknown one, those that it has now."""
        files = self.origin.files if self.origin else {}
        known = {name: self.text(name) if text is None else text for name, text in files.items()}
        moved = ejected.moves(self.package, self.data(ejected.RECORD))
        return {name: lines(follow(text, name, moved), name) for name, text in known.items()}

    @cached_property
    def copied(self) -> dict[str, Counter[str]]:
        """The lines that `eject` wrote of each file that it copies, by the file's place."""
        if self.origin is None:
            return {}
        found = copies(self.origin, self.package, self.data(ejected.RECORD))
        return {name: lines(text, name) for name, text in found.items()}

    def before(self, name: str) -> Counter[str]:
        """Return the lines that the template wrote of a file.

        Of a new file that is mostly one of the template's under another name, they are that one's.
        """
        known = self.copied | self._generated
        if name in known:
            return known[name]
        now = lines(self.text(name), name)
        rest = {(now - one).total(): one for one in known.values()}
        least = min(rest, default=0)
        return rest.get(least, now) if least < now.total() / 2 else Counter()

    def own(self, name: str) -> tuple[int, int]:
        """Return how many lines of a file its author added, and how many removed."""
        now, before = lines(self.text(name), name), self.before(name)
        gone = (before - now).total() if name in self._generated or name in self.copied else 0
        return (now - before).total(), gone

    def from_template(self, text: str, prose: str = "README.md") -> float:
        """Return the share of a text's words that are in the prose that was generated, 0 to 1."""
        known = (self.origin.files.get(prose) if self.origin else None) or ""
        said = triples(text)
        return len(said & triples(known)) / max(1, len(said))


def _masked(match: re.Match[str]) -> str:
    """Return a block of code in which no line looks like a heading."""
    return re.sub(r"^#", "\0", match[0], flags=re.MULTILINE)
