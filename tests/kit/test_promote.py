"""The gate of retraining: only a model shown to be better than the current one passes."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import example

from portfolio_kit.deploy import promote as script
from portfolio_kit.deploy.promote import NO, YES, difference

METRICS = Path("reports/metrics.json")
OTHER = "ba9876543210"


@pytest.fixture(autouse=True)
def repository(workspace):
    """A repository with nothing committed."""
    METRICS.parent.mkdir()
    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "--message", "Nothing yet")


def git(*arguments):
    identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.invalid")
    subprocess.run(["git", *identity, *arguments], check=True)


def write(metrics):
    METRICS.write_text(json.dumps(metrics), encoding="utf-8")


def commit(metrics):
    write(metrics)
    git("add", str(METRICS))
    git("commit", "--quiet", "--message", "A model")


def made(lead, margin=0.01, **changes):
    """Return metrics of a model with this lead over its baseline."""
    metrics = {**example.metrics().model_dump(mode="json"), **changes}
    interval = [lead - margin, lead + margin]
    metrics["versus_best_baseline"].update(difference=lead, interval_95=interval)
    return metrics


@pytest.fixture
def promote():
    """Run the script as the workflow does; return its exit code, output and errors."""

    def promote(*options):
        command = [sys.executable, script.__file__, *options]
        done = subprocess.run(command, capture_output=True, encoding="utf-8")
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    return promote


# lead of the current model, lead of the new one (both ±0.01), promoted, promoted if not worse
@pytest.mark.parametrize(
    ("current", "new", "better", "not_worse"),
    [
        (0.1, 0.2, YES, YES),
        (0.1, 0.105, NO, YES),  # intervals of both overlap
        (0.1, 0.1, NO, YES),
        (0.2, 0.1, NO, NO),
        (0.1, 0.005, NO, NO),
        (-0.1, -0.005, NO, YES),  # better than the current one, but not than its baseline
        (None, 0.1, YES, YES),  # the first one
        (None, 0.005, NO, YES),
        (None, -0.1, NO, NO),
    ],
)
def test_a_model_must_be_shown_to_be_better(promote, current, new, better, not_worse):
    if current is not None:
        commit(made(current))
    write(made(new, model_version=OTHER))
    assert promote()[0] == better
    assert promote("--not-worse")[0] == not_worse


def test_a_lower_error_is_a_better_model(promote):
    """A positive lead is better for every metric; `evaluate` changes the sign of errors."""
    commit(made(0.1))
    model = {name: score / 2 for name, score in made(0.1)["model"].items()}
    write(made(0.2, model_version=OTHER, model=model))
    assert promote()[0] == YES


def test_the_current_model_is_not_proposed_again(promote):
    commit(made(0.1))
    write(made(0.3))
    code, out, _ = promote()
    assert code == NO
    assert "This is the current model" in out


def test_the_table_shows_both_models_in_markdown(promote):
    commit(made(0.1))
    write(made(0.25, model_version=OTHER))
    lines = promote()[1].splitlines()
    table = [line.strip("| ").split(" | ") for line in lines[: lines.index("")]]
    assert {len(row) for row in table[2:]} == {3}
    assert table[0] == ["current: `0123456789ab`", "new: `ba9876543210`"]
    assert ["lead over it", "+0.100", "+0.250"] in table
    assert ["95% interval", "+0.090 to +0.110", "+0.240 to +0.260"] in table
    for name, score in made(0.1)["model"].items():
        assert [name.replace("_", " "), f"{score:.3f}", f"{score:.3f}"] in table
    assert "+0.150 (95% interval +0.136 to +0.164; above zero is better)" in lines[-1]


def test_the_verdict_says_whether_the_scores_are_comparable(promote):
    commit(made(0.1))
    write(made(0.2, model_version=OTHER))
    assert "on the same data" in promote()[1]
    rows = made(0.1)["data"]["rows"]
    write(made(0.2, model_version=OTHER, data={"sha256": "e" * 64, "rows": rows}))
    assert "The data changed" in promote()[1]


def test_an_unmeasured_model_is_not_promoted(promote):
    commit(made(0.1))
    unmeasured = {"model": {}, "versus_best_baseline": None, "not_measured": "No queries."}
    write(made(0.1, model_version=OTHER) | unmeasured)
    code, out, _ = promote()
    assert (code, out.splitlines()[-1]) == (NO, "No queries.")


@pytest.mark.parametrize("unknown", ["current", "new"])
def test_a_lead_without_an_interval_is_undecided(promote, unknown):
    current, new = made(0.1), made(0.9, model_version=OTHER)
    {"current": current, "new": new}[unknown]["versus_best_baseline"]["interval_95"] = None
    commit(current)
    write(new)
    code, out, errors = promote()
    assert (code, errors) == (NO, "")
    assert "too few forecasts" in out
    assert promote("--not-worse")[0] == YES


def test_leads_in_different_metrics_are_not_compared(promote):
    metrics = made(0.1)
    metrics["versus_best_baseline"]["metric"] = "profit"
    commit(metrics)
    write(made(0.5, model_version=OTHER))
    code, out, _ = promote()
    assert code == NO
    assert "judged by profit" in out


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}", '{"versus_best_baseline": 1}'])
def test_metrics_that_cannot_be_read_give_one_plain_line(promote, content):
    if content is not None:
        METRICS.write_text(content, encoding="utf-8")
    code, out, errors = promote()
    assert (code, out) == (1, "")
    assert errors.startswith("error: ")
    assert METRICS.name in errors
    assert errors.count("\n") == 1


def test_an_unknown_option_gives_one_plain_line(promote):
    write(made(0.1))
    assert promote("--better")[0] == 1


def test_the_interval_covers_the_truth_as_often_as_it_promises():
    """Of two independent samples' means, 95% of the intervals cover the true difference."""
    generator = random.Random(13)

    def lead(truth, rows):
        sample = [generator.gauss(truth, 1) for _ in range(rows)]
        mean = sum(sample) / rows
        margin = 1.96 / rows**0.5
        return {"difference": mean, "interval_95": [mean - margin, mean + margin]}

    hits = 0
    for _ in range(1000):
        _, low, high = difference(lead(0.5, 80), lead(0.2, 120))
        hits += low < 0.3 < high
    assert 930 <= hits <= 970
