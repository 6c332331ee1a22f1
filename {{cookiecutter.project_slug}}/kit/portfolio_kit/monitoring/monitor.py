"""The monitor verb: has the input moved away from the data the model was trained on?"""

from datetime import UTC, datetime
from typing import Any

from scipy.stats import binomtest

from .. import artifacts
from ..artifacts import MODELS
from ..config import Settings
from ..errors import UserError
from ..project import Project
from . import drift, reference, report, served
from .served import Served
from .verdict import VERDICT, Finding, Invalid, Verdict

ALARM = 3  # the exit code


def monitor(project: Project, params: Settings) -> int:
    """Compare the API's log with the model's reference; write and print the verdict.

    Returns 0, or `ALARM` if something differs by more than chance and by enough to matter.
    """
    says = project.reporting()
    model = artifacts.read_manifest(MODELS, says.manifest, made_by="train")
    expected = reference.read(MODELS)
    found = served.read(params.serve.log.folder, model.version, params.monitor.rows)
    window = found.signals(list(expected)).dropna()
    if len(window) < len(found.answers):
        raise UserError(
            f"{params.serve.log.folder}: answers of model {model.version} lack signals that "
            f"{MODELS / reference.REFERENCE} has; another version of this code wrote the log"
        )
    expected = reference.alike(expected, window)
    findings = drift.compare(expected, window, params.monitor)
    held_out, quality = artifacts.read_metrics(says.metrics, model.version), None
    if params.monitor.labels is not None:
        quality = project.quality(found.answers, params.monitor.labels, held_out, params)
    rejected = invalid_share(found, params)
    drifted = [one for one in findings if one.is_alarm]
    reasons = [f"{one.signal} has drifted (effect {one.effect:.2f})" for one in drifted]
    if rejected.is_alarm:
        reasons.append("more requests are invalid than monitor.invalid allows")
    if quality and quality.is_alarm:
        reasons.append(f"{quality.metric} is worse than on the held-out test set")
    verdict = Verdict(
        checked=datetime.now(UTC).isoformat(timespec="seconds"),
        model_version=model.version,
        alarm=bool(reasons),
        reasons=reasons,
        first=found.answers[0]["time"],
        last=found.answers[-1]["time"],
        answers=len(found.answers),
        signals=findings,
        data_quality=rejected,
        quality=quality,
    )
    artifacts.write_json(VERDICT, verdict.model_dump(mode="json"))
    report.write(verdict, expected, window)
    print(table(findings))
    print("\n".join(reasons) or "no alarm", f"wrote {VERDICT} and {report.REPORT}", sep="\n")
    return ALARM if reasons else 0


def invalid_share(found: Served, params: Any) -> Invalid:
    """Return how many requests were invalid, and whether that is certainly more than allowed."""
    allowed, count = params.monitor.invalid, len(found.invalid)
    test = binomtest(count, max(1, found.requests), allowed, alternative="greater")
    return Invalid(
        invalid=count,
        requests=found.requests,
        fields=found.fields,
        unreadable_lines=found.unreadable,
        p_value=float(test.pvalue),
        is_alarm=bool(test.pvalue < params.monitor.significance),
    )


def table(findings: list[Finding]) -> str:
    """Return the findings as lines to print."""
    width = max(len(one.signal) for one in findings)
    return "\n".join(
        f"{one.signal:<{width}}  effect {one.effect:.3f}  p {one.adjusted:.2g}"
        f"{'  ALARM' if one.is_alarm else ''}"
        for one in findings
    )
