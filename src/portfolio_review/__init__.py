"""The portfolio review: what a hiring manager looks for in a project, each with its evidence.

It only reads, unless RUN=1 asks it to run the project's code, or ONLINE=1 to use the network.
"""

import io
import json
import os
import secrets
import sys
from pathlib import Path

from . import (
    committed,
    endpoint,
    engineering,
    evaluation,
    operation,
    overlap,
    own_work,
    pipeline,
    problem,
    readme,
    render,
    repeatable,
    rerun,
    story,
)
from .criteria import CRITERIA, GROUPS, NOT_YET, Criterion, Finding
from .origin import RECORD, trace
from .project import Project

__all__ = ["CRITERIA", "GROUPS", "RECORD", "Project", "findings", "review", "traced"]

# Each registers its criteria; the report has them in this order.
CHECKS = (
    problem,
    pipeline,
    repeatable,
    evaluation,
    overlap,
    endpoint,
    readme,
    story,
    engineering,
    committed,
    operation,
    own_work,
    rerun,
)


def findings(project: Project) -> render.Findings:
    """Return each criterion with its finding, in the order of the groups."""
    groups, modules = list(GROUPS), [module.__name__ for module in CHECKS]

    def place(one: Criterion) -> tuple[int, int]:
        return groups.index(one.group), modules.index(one.check.__module__)

    return [(one, _checked(one, project)) for one in sorted(CRITERIA, key=place)]


def _checked(one: Criterion, project: Project) -> Finding:
    try:
        return one.check(project)
    except OSError:
        raise
    except Exception as error:  # a stranger's file may hold what no check expects
        found = f"could not be checked, {type(error).__name__}: {error}"
        return Finding(NOT_YET, [found], "Correct the file that it reads.")


def traced(root: Path) -> tuple[Project, str]:
    """Return the project in a folder with what the template generated, and a note on that."""
    project = Project(root)
    origin, note = trace(project.data(RECORD), project.content)
    return Project(root, origin), note


def review(root: Path) -> int:
    """Print the review, write `reports/review.md` and `.json`, and return 0.

    Returns 3 if a required criterion is not met. Raises OSError if the project cannot be read or
    the reports cannot be written.
    """
    project, note = traced(root)
    found = findings(project)
    missing = render.failed(found)
    if isinstance(sys.stdout, io.TextIOWrapper):  # the console may lack characters
        sys.stdout.reconfigure(errors="replace")
    print(render.table(found))
    _write(project, "review.md", render.report(project, found, note))
    content = json.dumps(render.as_json(project, found, note), indent=2, default=str)
    _write(project, "review.json", content + "\n")
    print(f"\n{render.plain(note, 2000)}\n{render.result(missing)} See reports/review.md.")
    return 3 if missing else 0


def _write(project: Project, name: str, text: str) -> None:
    """Write a report whole, and not through a link that leads elsewhere."""
    target = project.path(f"reports/{name}")
    if target is None:
        raise OSError(f"reports/{name}: is a link that leads out of the project; remove it")
    target.parent.mkdir(exist_ok=True)
    # A name of this process's: two reviews at a time do not mix their reports.
    partial = target.with_name(f".{name}.{secrets.token_hex(4)}.partial")
    try:
        with partial.open("x", encoding="utf-8", errors="replace", newline="\n") as file:
            file.write(text)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
