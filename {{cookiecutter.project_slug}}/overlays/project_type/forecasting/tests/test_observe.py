"""What is measured of series and forecasts, and what it tells once the future has come."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from {{cookiecutter.package_name}} import artifacts
from {{cookiecutter.package_name}}.monitoring import quality, reference
from {{cookiecutter.package_name}}.serving.observe import observer
from {{cookiecutter.package_name}}.serving.predictor import Question

HELD_OUT = {
    "versus_best_baseline": {"metric": "wape"},
    "model": {"wape": 20.0},
    "intervals_95": {"wape": [18.0, 22.0]},
}


@pytest.fixture
def question(predictor):
    """The stored series, with changed values if given."""
    series, horizon = next(iter(predictor.stored.values())), predictor.shape.horizon

    def question(y=None):
        return Question(series if y is None else replace(series, y=y), horizon, horizon)

    return question


@pytest.fixture
def observe(trained, predictor):
    """Return what is kept of a question."""
    watch = observer(predictor, trained.folder / "models")
    return lambda question: watch(question, predictor.answer([question])[0])


def test_the_signals_are_what_they_say(observe, question, predictor):
    asked = question()
    season = predictor.shape.longest
    last, before = asked.series.y[-season:], asked.series.y[-2 * season : -season]
    rows = predictor.forecast(asked)
    seen = observe(asked).signals
    assert seen["level"] == pytest.approx(last.mean(), rel=1e-3)
    assert seen["spread"] == pytest.approx(last.std() / last.mean(), abs=1e-3)
    assert seen["seasonality"] == pytest.approx(np.corrcoef(last, before)[0, 1], abs=1e-3)
    middle = np.mean([row["y_hat"] for row in rows])
    assert seen["change"] == pytest.approx(middle / last.mean() - 1, abs=1e-3)
    width = np.mean([row["hi_80"] - row["lo_80"] for row in rows])
    assert seen["width"] == pytest.approx(width / last.mean(), abs=1e-3)


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_a_series_that_stands_still_has_signals(value, observe, question):
    signals = observe(question(np.full_like(question().series.y, value))).signals
    assert all(map(np.isfinite, signals.values()))
    assert signals["seasonality"] == 0


def test_the_forecast_is_kept_with_its_moments(observe, question, predictor):
    asked = question()
    kept = observe(asked).answer
    rows = predictor.forecast(asked)
    assert kept["unique_id"] == asked.series.name
    assert [moment for moment, _ in kept["forecast"]] == [row["ds"] for row in rows]
    assert [y for _, y in kept["forecast"]] == pytest.approx(
        [row["y_hat"] for row in rows], abs=1e-3
    )


def test_the_reference_holds_windows_of_the_validation_block(trained):
    table = reference.read(trained.folder / "models")
    manifest = artifacts.read_manifest(trained.folder / "models", "train")
    assert len(table) == min(manifest["windows"]["valid"], reference.MAX_ROWS)
    assert list(table) == ["level", "spread", "seasonality", "change", "width"]
    assert np.isfinite(table.to_numpy()).all()


def test_what_is_served_is_logged(logged):
    with logged() as (client, lines):
        answer = client.post("/forecast", json={}, headers={"X-Request-ID": "mine"})
    [line] = lines
    assert line["id"] == "mine/0"
    steps = answer.json()["forecast"]
    assert [moment for moment, _ in line["answer"]["forecast"]] == [step["ds"] for step in steps]


def made_up(off, name="y", zone=""):
    """Thirty forecasts of a day each, and what came, from which they are off by a share."""
    random = np.random.default_rng(3)
    moments = pd.date_range("2024-03-01", periods=24 * 30, freq="h")
    y = random.uniform(50, 150, len(moments))
    pd.DataFrame({"ds": moments, "y": y, "unique_id": name}).to_csv("came.csv", index=False)
    y_hat = y * (1 + off * random.choice([-1, 1], len(y)))
    steps = [
        [f"{moment.isoformat()}{zone}", value] for moment, value in zip(moments, y_hat, strict=True)
    ]
    return [
        {
            "id": f"r{day}/0",
            "answer": {"unique_id": name, "forecast": steps[24 * day : 24 * day + 24]},
        }
        for day in range(30)
    ]


@pytest.mark.parametrize("zone", ["", "Z"])
@pytest.mark.parametrize(("off", "is_alarm"), [(0.1, False), (0.19, False), (0.3, True)])
def test_live_quality_is_that_of_the_forecasts_that_have_come_true_or_not(
    off, is_alarm, zone, configure
):
    params = configure({})
    found = quality.live_quality(made_up(off, zone=zone), "came.csv", HELD_OUT, params)
    assert found["live"] == pytest.approx(100 * off)
    assert found["answers"] == 30
    assert found["is_alarm"] is is_alarm


def test_of_forecasts_of_different_lengths_each_step_counts(configure):
    answers = made_up(0.1)
    y = pd.read_csv("came.csv")["y"].to_numpy()
    error = total = 0
    for day, one in enumerate(answers):
        steps = one["answer"]["forecast"]
        del steps[day % 24 + 1 :]
        if day % 3 == 0:  # misses all of it
            steps[:] = [[moment, 0] for moment, _ in steps]
        came = y[24 * day : 24 * day + len(steps)].sum()
        error += came * (1 if day % 3 == 0 else 0.1)
        total += came
    found = quality.live_quality(answers, "came.csv", HELD_OUT, configure({}))
    assert found["live"] == pytest.approx(100 * error / total)
    low, high = found["interval_95"]
    assert low < found["live"] < high


def test_a_forecast_whose_end_has_not_come_is_left_out(configure):
    params = configure({})
    answers = made_up(0.1)
    table = pd.read_csv("came.csv").head(24 * 20 - 5)
    table.to_csv("came.csv", index=False)
    assert quality.live_quality(answers, "came.csv", HELD_OUT, params)["answers"] == 19


def test_without_labels_nothing_is_said(configure):
    assert quality.live_quality([], None, HELD_OUT, configure({})) is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read"),
        ("ds,value\n2024-03-01,1\n", "lacks the column 'y'"),
        ("ds,y\nnever,1\n", "cannot be read"),
        ("ds,y\n2024-03-01,many\n", "cannot be read"),
        ("ds,y\n2024-03-01,1\n", "no forecast's moments whole"),
    ],
)
def test_outcomes_that_do_not_fit_are_refused_by_name(content, reason, refused_labels):
    refused_labels(content, reason, made_up(0.1), HELD_OUT)
