"""The monitor verb: has what is served moved away from what the model was trained on?"""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from scipy.stats import binomtest

from .. import artifacts
from ..artifacts import METRICS, MODELS
from ..errors import UserError
from ..params import Params
from ..serving.verdict import VERDICT
from . import drift, html, reference, served
from .quality import live_quality
from .served import Served

PAGE = artifacts.REPORTS / "drift.html"
ALARM = 3  # the exit code


def run(params: Params) -> int:
    """Compare the log of the API with the model's reference; write and print the verdict.

    Returns 0, or `ALARM` if something has changed by more than chance and by enough to matter.
    """
    model = artifacts.read_manifest(MODELS, made_by="train")
    expected = reference.read(MODELS)
    found = served.read(params.serve.log.folder, model["version"], params.monitor.rows)
    window = found.signals(list(expected)).dropna()
    if len(window) < len(found.answers):
        raise UserError(
            f"{params.serve.log.folder}: answers of model {model['version']} lack signals that "
            f"{MODELS / reference.REFERENCE} has; the log is of another version of this code"
        )
    expected = reference.alike(expected, window)
    findings = drift.compare(expected, window, params.monitor)
    refusals = refused_share(found, params)
    held_out = artifacts.read_metrics(model["version"])
    if held_out is None:
        raise UserError(f"{METRICS}: is not of model {model['version']}; run evaluate first")
    quality = live_quality(found.answers, params.monitor.labels, held_out, params)
    drifted = [one for one in findings if one.is_alarm]
    reasons = [f"{one.signal} has drifted (effect {one.effect:.2f})" for one in drifted]
    if refusals["is_alarm"]:
        reasons.append("requests that do not fit are more than monitor.refused allows")
    if quality and quality["is_alarm"]:
        reasons.append(f"{quality['metric']} is worse than on the held-out test set")
    verdict = {
        "checked": datetime.now(UTC).isoformat(timespec="seconds"),
        "model_version": model["version"],
        "alarm": bool(reasons),
        "reasons": reasons,
        "from": found.answers[0]["time"],
        "to": found.answers[-1]["time"],
        "answers": len(found.answers),
        "signals": [asdict(one) for one in findings],
        "data_quality": refusals,
        "quality": quality,
    }
    artifacts.write_json(VERDICT, verdict)
    artifacts.write_text(PAGE, html.page(verdict, expected, window))
    print(table(findings))
    print("\n".join(reasons) or "no alarm", f"wrote {VERDICT} and {PAGE}", sep="\n")
    return ALARM if reasons else 0


def refused_share(found: Served, params: Params) -> dict[str, Any]:
    """Return how many requests did not fit, and whether that is surely more than allowed."""
    allowed, count = params.monitor.refused, len(found.refused)
    test = binomtest(count, max(1, found.requests), allowed, alternative="greater")
    return {
        "refused": count,
        "requests": found.requests,
        "fields": found.fields,
        "unreadable_lines": found.unreadable,
        "p_value": float(test.pvalue),
        "is_alarm": bool(test.pvalue < params.monitor.significance),
    }


def table(findings: list[drift.Finding]) -> str:
    """Return the findings as lines to print."""
    width = max(len(one.signal) for one in findings)
    return "\n".join(
        f"{one.signal:<{width}}  effect {one.effect:.3f}  p {one.adjusted:.2g}"
        f"{'  ALARM' if one.is_alarm else ''}"
        for one in findings
    )
