"""What is measured of series and forecasts, and how good forecasts were."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from portfolio_kit.monitoring import reference
from portfolio_kit.timegrid.series import Question

from {{cookiecutter.package_name}}.monitoring.quality import live_quality
from {{cookiecutter.package_name}}.signals import Signals

HELD_OUT = SimpleNamespace(
    metric="wape", model={"wape": 20.0}, intervals_95={"wape": [18.0, 22.0]}, scales={"y": 50.0}
)


@pytest.fixture
def question(predictor):
    """The stored series, with changed values if given."""
    series, horizon = next(iter(predictor.stored.values())), predictor.shape.horizon

    def question(y=None):
        return Question(series if y is None else replace(series, y=y), horizon, horizon)

    return question


@pytest.fixture
def observe(predictor):
    """Return what is kept of a question."""
    signals = Signals(predictor)
    return lambda question: signals(question, predictor.answer([question])[0])


def test_the_signals_measure_what_their_names_say(observe, question, predictor):
    asked = question()
    season = predictor.shape.longest
    last, before = asked.series.y[-season:], asked.series.y[-2 * season : -season]
    rows = predictor.forecast(asked)
    seen = observe(asked).signals
    assert seen["level"] == pytest.approx(last.mean(), rel=1e-3)
    assert seen["spread"] == pytest.approx(last.std(), rel=1e-3)
    assert seen["seasonality"] == pytest.approx(np.corrcoef(last, before)[0, 1], abs=1e-3)
    middle = np.mean([row["y_hat"] for row in rows])
    assert seen["change"] == pytest.approx((middle - last.mean()) / last.std(), abs=1e-3)
    width = np.mean([row["hi_80"] - row["lo_80"] for row in rows])
    assert seen["width"] == pytest.approx(width / last.std(), abs=1e-3)


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_a_constant_series_has_signals(value, observe, question):
    signals = observe(question(np.full_like(question().series.y, value))).signals
    assert all(map(np.isfinite, signals.values()))
    assert signals["seasonality"] == 0


def test_the_forecast_is_kept_with_its_moments(observe, question, predictor):
    asked = question()
    kept = observe(asked).answer
    rows = predictor.forecast(asked)
    assert kept["unique_id"] == asked.series.name
    assert [moment for moment, _ in kept["forecast"]] == [row["ds"] for row in rows]
    y_hat = [row["y_hat"] for row in rows]
    assert [y for _, y in kept["forecast"]] == pytest.approx(y_hat, abs=1e-3)


def test_of_a_long_forecast_one_horizon_is_kept(predictor, question):
    longer = replace(question(), h=3 * predictor.shape.horizon)
    kept = Signals(predictor)(longer, predictor.answer([longer])[0])
    assert kept.signals == Signals(predictor)(question(), predictor.answer([question()])[0]).signals
    assert len(kept.answer["forecast"]) == predictor.shape.horizon


def test_the_reference_holds_windows_of_the_validation_block(trained, predictor):
    table = reference.read(trained.folder / "models")
    assert len(table) == min(predictor.manifest.windows["valid"], reference.MAX_ROWS)
    assert list(table) == ["level", "spread", "seasonality", "change", "width"]
    assert np.isfinite(table.to_numpy()).all()


def test_served_forecasts_are_logged(logged):
    with logged() as (client, lines):
        answer = client.post("/forecast", json={})
    [line] = lines
    assert line["id"] == f"{answer.headers['X-Request-ID']}/0"
    steps = answer.json()["forecast"]
    assert [moment for moment, _ in line["answer"]["forecast"]] == [step["ds"] for step in steps]


def made_up(off, lengths=(24,) * 30):
    """Forecasts of some lengths, one a day, that are off by a share of what came."""
    random = np.random.default_rng(3)
    moments = pd.date_range("2024-03-01", periods=24 * len(lengths), freq="h")
    y = random.uniform(50, 150, len(moments))
    pd.DataFrame({"ds": moments, "y": y}).to_csv("came.csv", index=False)
    y_hat = y * (1 + off * random.choice([-1, 1], len(y)))
    steps = [[moment.isoformat(), value] for moment, value in zip(moments, y_hat, strict=True)]
    answers = [
        {"answer": {"unique_id": "y", "forecast": steps[24 * day : 24 * day + length]}}
        for day, length in enumerate(lengths)
    ]
    return answers, y.reshape(-1, 24)


@pytest.mark.parametrize(("off", "is_alarm"), [(0.1, False), (0.19, False), (0.3, True)])
def test_live_quality_is_the_error_of_forecasts_with_a_known_outcome(off, is_alarm, configure):
    answers, _ = made_up(off)
    found = live_quality(answers, "came.csv", HELD_OUT, configure())
    assert (found.metric, found.answers, found.held_out) == ("wape", 30, 20)
    assert found.live == pytest.approx(100 * off)
    assert found.is_alarm is is_alarm


def test_each_step_of_forecasts_of_different_lengths_counts(configure):
    lengths = [day % 24 + 1 for day in range(30)]
    answers, y = made_up(0.1, lengths)
    error = total = 0
    for day, (one, length) in enumerate(zip(answers, lengths, strict=True)):
        misses = day % 3 == 0
        if misses:
            steps = one["answer"]["forecast"]
            steps[:] = [[moment, 0] for moment, _ in steps]
        came = y[day, :length].sum()
        error += came * (1 if misses else 0.1)
        total += came
    found = live_quality(answers, "came.csv", HELD_OUT, configure())
    assert found.live == pytest.approx(100 * error / total)
    low, high = found.interval_95
    assert low < found.live < high


def test_the_zero_of_a_series_does_not_matter(observe, question):
    """A temperature in other degrees: only its level changes."""
    y = question().series.y + 1000.0  # far from zero, where hires end
    seen, moved = (observe(question(y + constant)).signals for constant in (0.0, -3000.0))
    assert moved.pop("level") == pytest.approx(seen.pop("level") - 3000)
    assert moved == pytest.approx(seen, abs=1e-3)


def test_errors_of_series_in_different_units_are_scaled(configure):
    answers, y = made_up(0.1)
    held_out = SimpleNamespace(
        metric="mase", model={"mase": 0.2}, intervals_95={"mase": [0.1, 0.3]}, scales={"y": 50.0}
    )
    found = live_quality(answers, "came.csv", held_out, configure())
    assert (found.metric, found.live) == ("mase", pytest.approx(0.1 * y.mean() / 50))


def test_errors_of_unknown_series_cannot_be_scaled(rejected_labels):
    answers, _ = made_up(0.1)
    held_out = SimpleNamespace(metric="mase", scales={"x": 50.0})
    rejected_labels(Path("came.csv").read_text(), "other series", answers, held_out)


@pytest.mark.parametrize("answers", [1, 4])
def test_few_outcomes_raise_no_alarm(answers, configure):
    """Drawn again and again, one answer would look certain."""
    logged, _ = made_up(0.9)
    found = live_quality(logged[:answers], "came.csv", HELD_OUT, configure())
    assert found.live == pytest.approx(90)
    assert (found.interval_95, found.is_alarm) == (None, False)


def test_outcomes_that_cover_no_forecast_are_rejected(rejected_labels):
    answers, _ = made_up(0.1)
    rejected_labels("ds,y\n2024-03-01,1\n", "does not cover any forecast", answers, HELD_OUT)
    rejected_labels(None, "cannot be read", answers, HELD_OUT)
