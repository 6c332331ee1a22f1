"""The portfolio review: what a hiring manager looks for in a project, each with its evidence.

It reads; it runs code of the project's only where RUN=1 asks for it, and the network only with
ONLINE=1. What the template generated is known from `.generated.json`.
"""

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

from . import (
    endpoint,
    engineering,
    evaluation,
    operation,
    own_work,
    pipeline,
    problem,
    readme,
    render,
    rerun,
)
from .criteria import CRITERIA, GROUPS, NOT_YET, Criterion, Finding
from .origin import RECORD
from .project import Project, part

__all__ = ["CRITERIA", "GROUPS", "RECORD", "Project", "findings", "part", "review"]

CHECKS = (problem, pipeline, evaluation, endpoint, readme, engineering, operation, own_work, rerun)


def findings(project: Project) -> render.Findings:
    """Return each criterion with what was found, in the order of the groups."""
    order = list(GROUPS)
    chosen = sorted(CRITERIA, key=lambda one: order.index(one.group))
    return [(one, _checked(one, project)) for one in chosen]


def _checked(one: Criterion, project: Project) -> Finding:
    try:
        return one.check(project)
    except OSError:
        raise
    except Exception as error:  # a stranger's file may hold what no check has thought of
        found = f"could not be checked, {type(error).__name__}: {error}"
        return Finding(NOT_YET, [found], "Mend the file that it reads.")


def review(root: Path, record: dict[str, Any] | None = None, notes: tuple[str, ...] = ()) -> int:
    """Print the review, write `reports/review.md` and `.json`, and return 0, or 3 if a must fails.

    `record` is what the template generated; without it the project's own is taken. Raises OSError
    if the reports cannot be written.
    """
    project = Project(root)
    project = Project(root, project.data(RECORD) if record is None else record)
    found = findings(project)
    missing = render.failed(found)
    if isinstance(sys.stdout, io.TextIOWrapper):  # the console may lack characters
        sys.stdout.reconfigure(errors="replace")
    print(render.table(found))
    _write(project, "review.md", render.report(project, found, list(notes)))
    content = json.dumps(render.as_json(project, found, list(notes)), indent=2, default=str)
    _write(project, "review.json", content + "\n")
    last = f"{len(missing)} musts are not met" if missing else "every must is met"
    last += "; reports/review.md has the evidence and what next"
    print("\n" + "\n".join([*map(render.plain, notes), last]))
    return 3 if missing else 0


def _write(project: Project, name: str, text: str) -> None:
    """Write a report whole, and not through a link that leads elsewhere."""
    folder = project.root / "reports"
    if not project.inside("reports") or not project.inside(f"reports/{name}"):
        raise OSError(f"reports/{name}: is a link that leads out of the project; remove it")
    folder.mkdir(exist_ok=True)
    partial = folder / f".{name}.partial"
    partial.unlink(missing_ok=True)
    partial.write_text(text, encoding="utf-8", errors="replace", newline="\n")
    os.replace(partial, folder / name)
