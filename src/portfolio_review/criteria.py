"""What a criterion is: an id, what it looks for, and a check that returns evidence."""

from collections.abc import Callable
from dataclasses import dataclass, field

from .project import Project

MET, PARTLY, NOT_YET, NOT_CHECKED = "met", "partly", "not yet", "not checked"
GROUPS = {
    "problem": "A clearly stated problem",
    "pipeline": "A reproducible pipeline",
    "evaluation": "A proper evaluation",
    "endpoint": "A deployed endpoint",
    "readme": "A README that explains",
    "engineering": "Engineering",
    "operation": "Operation",
    "own_work": "The author's own work",
}


@dataclass(frozen=True)
class Finding:
    """What a check found: a verdict, the evidence for it, and the next step if it is not met."""

    verdict: str
    evidence: list[str]
    next: str = ""


@dataclass(frozen=True)
class Criterion:
    """One thing that a reviewer looks for; the review fails if a required one is not met."""

    id: str
    what: str
    required: bool
    check: Callable[[Project], Finding] = field(repr=False)

    @property
    def group(self) -> str:
        """The key of the group that it belongs to."""
        return self.id.partition(".")[0]


CRITERIA: list[Criterion] = []


def criterion(
    id: str, what: str, required: bool = True
) -> Callable[[Callable[[Project], Finding]], Callable[[Project], Finding]]:
    """Register a function that takes a project and returns a finding as a criterion's check."""

    def add(check: Callable[[Project], Finding]) -> Callable[[Project], Finding]:
        CRITERIA.append(Criterion(id, what, required, check))
        return check

    return add


def judge(
    faults: list[str], evidence: str | list[str], next: str, verdict: str = NOT_YET
) -> Finding:
    """Return "met" with the evidence, or the faults with the next step."""
    if faults:
        return Finding(verdict, faults, next)
    return Finding(MET, [evidence] if isinstance(evidence, str) else evidence)
