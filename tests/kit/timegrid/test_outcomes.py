"""Forecasts are matched with what came, as far as it has come."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from portfolio_kit.errors import UserError
from portfolio_kit.timegrid.outcomes import match

LABELS = "came.csv"


def logged(name="y", zone=""):
    """Thirty logged forecasts of a day each, and their values in a file."""
    moments = pd.date_range("2024-03-01", periods=24 * 30, freq="h")
    y = np.random.default_rng(3).uniform(50, 150, len(moments))
    pd.DataFrame({"ds": moments, "y": y, "unique_id": name}).to_csv(LABELS, index=False)
    steps = [[f"{moment.isoformat()}{zone}", row] for row, moment in enumerate(moments)]
    days = [steps[start : start + 24] for start in range(0, len(steps), 24)]
    return [{"answer": {"unique_id": name, "forecast": day}} for day in days], y


@pytest.mark.parametrize("zone", ["", "Z"])
@pytest.mark.parametrize("name", ["y", "Ärmel, 7", "007", "NA"])
def test_each_forecast_is_matched_with_its_values(name, zone):
    answers, y = logged(name, zone)
    windows = match(answers, LABELS)
    assert len(windows) == 30
    for day, (series, (came, forecast)) in enumerate(windows):
        assert series == name
        assert came == pytest.approx(y[24 * day : 24 * day + 24])
        assert forecast.tolist() == list(range(24 * day, 24 * day + 24))


@pytest.mark.parametrize("form", ["%Y%m%dT%HZ", "%Y-%m-%dT%H+00", "%Y-%m-%d %H:%M:%S"])
def test_outcomes_may_be_written_in_any_iso_way(form):
    answers, y = logged(zone="Z")
    rows = pd.read_csv(LABELS, parse_dates=["ds"])
    rows.assign(ds=rows["ds"].dt.strftime(form)).to_csv(LABELS, index=False)
    _, (came, _) = match(answers, LABELS)[3]
    assert came == pytest.approx(y[72:96])


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%Y%m%d", "%Y-%m-%dT00:00+09:00"])
def test_outcomes_of_days_are_those_of_the_date_as_written(form):
    days = pd.date_range("2024-03-01", periods=7)
    answers = [{"answer": {"unique_id": "A", "forecast": [[str(day.date()), 1] for day in days]}}]
    rows = pd.DataFrame({"ds": days.strftime(form), "y": range(7), "unique_id": "A "})
    rows.to_csv(LABELS, index=False)
    [(name, (values, _))] = match(answers, LABELS)
    assert (name, values.tolist()) == ("A", list(range(7)))


@pytest.mark.parametrize("value", ["", "nan", "inf"])
def test_a_forecast_with_an_outcome_that_is_no_number_is_left_out(value):
    answers, _ = logged()
    rows = pd.read_csv(LABELS).astype({"y": object})
    rows.loc[30, "y"] = value
    rows.to_csv(LABELS, index=False)
    assert len(match(answers, LABELS)) == 29


def test_a_single_series_needs_no_name():
    answers, _ = logged()
    pd.read_csv(LABELS).drop(columns="unique_id").to_csv(LABELS, index=False)
    assert len(match(answers, LABELS)) == 30


def test_a_forecast_whose_end_has_not_come_is_left_out():
    answers, _ = logged()
    pd.read_csv(LABELS).head(24 * 20 - 5).to_csv(LABELS, index=False)
    assert len(match(answers, LABELS)) == 19


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read"),
        ("ds,value\n2024-03-01,1\n", "lacks the column 'y'"),
        ("ds,y\nnever,1\n", "cannot be read"),
        ("ds,y\n2024-03-01,many\n", "cannot be read"),
        ("ds,y\n2024-03-01,1\n", "does not cover any forecast completely"),
        ("ds,y,unique_id\n2024-03-01,1,Quay\n", "does not cover any forecast completely"),
    ],
)
def test_invalid_outcomes_are_rejected_by_name(content, reason):
    answers, _ = logged()
    Path(LABELS).unlink()
    if content is not None:
        Path(LABELS).write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=f"^monitor.labels: .*{reason}"):
        match(answers, LABELS)
