"""What a criterion is: an id, what is checked, and a check that finds evidence."""

from collections.abc import Callable
from dataclasses import dataclass, field

from .project import Project

MET, PARTLY, NOT_YET, NOT_ASKED = "met", "partly", "not yet", "not asked"
GROUPS = {
    "problem": "A clearly stated problem",
    "pipeline": "A reproducible pipeline",
    "evaluation": "A proper evaluation",
    "endpoint": "A deployed endpoint",
    "readme": "A README that explains",
    "engineering": "Engineering",
    "operation": "Operation",
    "own_work": "Its own work",
}


@dataclass(frozen=True)
class Finding:
    """What a check found: a verdict, the evidence for it, and the next step if it is not met."""

    verdict: str
    evidence: list[str]
    next: str = ""


@dataclass(frozen=True)
class Criterion:
    """One thing that a reviewer looks for; without a "must" the review does not fail."""

    id: str
    what: str
    must: bool
    check: Callable[[Project], Finding] = field(repr=False)

    @property
    def group(self) -> str:
        """The heading that it belongs to."""
        return self.id.partition(".")[0]


CRITERIA: list[Criterion] = []


def criterion(
    id: str, what: str, must: bool = True
) -> Callable[[Callable[[Project], Finding]], Callable[[Project], Finding]]:
    """Make a check of a function that takes a project and returns a finding."""

    def add(check: Callable[[Project], Finding]) -> Callable[[Project], Finding]:
        CRITERIA.append(Criterion(id, what, must, check))
        return check

    return add


def judge(
    faults: list[str], evidence: str | list[str], next: str, verdict: str = NOT_YET
) -> Finding:
    """Return that it is met, with the evidence, or the faults with what to do about them."""
    if faults:
        return Finding(verdict, faults, next)
    return Finding(MET, [evidence] if isinstance(evidence, str) else evidence)
