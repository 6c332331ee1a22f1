"""What only running the project shows: done with RUN=1, in a copy, from nothing."""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from .criteria import MET, NOT_CHECKED, NOT_YET, Finding, criterion, judge
from .endpoint import COMMON, PRIVATE
from .project import Project
from .reading import number, part
from .sandbox import Ended, ask, piped, serving

SAME = 0.02  # of a metric, relatively: another machine adds in another order
POINT = 0.01  # of a share, absolutely: a calibration error of 0.02 moves by a tenth of itself
SHARES = re.compile(r"accuracy|f1|ece|coverage|_at_|precision|recall|auc")
ASK = "Use RUN=1 to run it, in a copy of the project."


def asked() -> bool:
    """Tell whether the project's code may be run."""
    return os.environ.get("RUN") == "1"


def _of(project: Project) -> tuple[Path, tuple[str, ...], str]:
    return project.root, tuple(project.files), project.package


@criterion("pipeline.repeats", "the pipeline, run again in a clean folder, gives the same result")
def repeats(project: Project) -> Finding:
    if not asked():
        return Finding(NOT_CHECKED, ["not run"], ASK)
    copy, fault = piped(*_of(project))
    if fault:
        return Finding(NOT_YET, [fault], "Correct what stops it.")
    again = Project(copy.root)
    faults: list[str] = []
    evidence: list[str] = []
    old, new = (part(p.data("dvc.lock"), "stages") for p in (project, again))
    for stage in ("data", "train"):
        pair = [_outputs(part(stages, stage)) for stages in (old, new)]
        same = "the same hash" if pair[0] == pair[1] else "another hash"
        evidence.append(f"`{stage}`: {', '.join(pair[1])} has {same}")
        if stage == "data" and pair[0] != pair[1]:
            faults.append("`data`: its files differ from those in dvc.lock")
    before, after = (part(p.metrics, "model") for p in (project, again))
    for name, value in before.items():
        if number(value) is None:
            continue
        now = number(after.get(name))
        room = max(SAME * abs(value), POINT if SHARES.search(name) else 0)
        if now is None or abs(now - value) > room:
            faults.append(f"`model.{name}`: {value} before, {now} now")
    evidence.append(f"metrics: {', '.join(before)} within {SAME:.0%}, or {POINT} for a share")
    advice = "Seed every draw, pin what is installed, and run `make pipeline`."
    return judge(faults, evidence, advice)


def _outputs(stage: dict[str, Any]) -> dict[str, Any]:
    outs = stage.get("outs")
    found = [out for out in outs if isinstance(out, dict)] if isinstance(outs, list) else []
    return {str(out.get("path")): out.get("md5") for out in found}


@criterion("engineering.tests_pass", "the tests pass")
def tests_pass(project: Project) -> Finding:
    return _tried(project, "python", "-m", "pytest", "-q")


@criterion("engineering.lint_passes", "the checks of style and types pass")
def lint_passes(project: Project) -> Finding:
    evidence: list[str] = []
    for step in (("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",)):
        finding = _tried(project, "python", "-m", *step)
        if finding.verdict != MET:
            return finding
        evidence += finding.evidence
    return Finding(MET, evidence)


@criterion("endpoint.image_builds", "the container image builds, and answers as the model does")
def image_builds(project: Project) -> Finding:
    if asked() and shutil.which("docker") is None:
        return Finding(NOT_CHECKED, ["Docker is missing"], "Install Docker, and review again.")
    return _tried(project, "python", "-m", "portfolio_kit.deploy.image")


@criterion("endpoint.deploys", "a dry run of `make deploy` succeeds", required=False)
def deploys(project: Project) -> Finding:
    if not project.has("deploy/deploy.sh"):
        return Finding(NOT_CHECKED, ["deploy/deploy.sh is missing"], "See endpoint.target.")
    return _tried(project, "bash", "deploy/deploy.sh", DRY_RUN="1")


def _tried(project: Project, program: str, *arguments: str, **variables: str) -> Finding:
    """Run a program where the pipeline has run; `python` is that of the copy's environment."""
    if not asked():
        return Finding(NOT_CHECKED, ["not run"], ASK)
    copy, fault = piped(*_of(project))
    found = copy.python if program == "python" else program
    ended = Ended(True, fault) if fault else copy.run(found, *arguments, **variables)
    settings = (f"{name}={value}" for name, value in variables.items())
    evidence = f"{' '.join([*settings, program, *arguments])}: {ended.said}"
    return judge([evidence] if ended.failed else [], evidence, "Correct what it reports.")


@criterion("endpoint.answers", "the API answers, and rejects invalid requests")
def answers(project: Project) -> Finding:
    if not asked():
        return Finding(NOT_CHECKED, ["not run"], ASK)
    copy, fault = piped(*_of(project))
    if fault:
        return Finding(NOT_YET, [fault], "Correct what stops the pipeline.")
    faults: list[str] = []
    evidence: list[str] = []
    example = Project(copy.root).data("scripts/example_request.json")
    path, body = str(example.get("path", "/")), json.dumps(example.get("body")).encode()
    common = COMMON
    if part(project.params, "serve").get("operations_port"):
        common = tuple(route for route in COMMON if route not in PRIVATE)
    requests = [(route, None, 200) for route in ("/", "/docs", *common)]
    with serving(copy) as url:
        for route, sent, wanted in [*requests, (path, body, 200), (path, b'"no such body"', 422)]:
            status = ask(f"{url}{route}", sent)
            seen = f"{'POST' if sent else 'GET'} {route}: {status}"
            evidence.append(seen)
            faults += [] if status == wanted else [f"{seen} instead of {wanted}"]
    return judge(faults, evidence, "Start it with `make serve`, and send the request.")
