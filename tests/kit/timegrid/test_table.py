"""Gaps are filled from the series itself, and rows without values at its ends are dropped."""

import numpy as np
import pandas as pd
import pytest
from timegrid.series import grid

from portfolio_kit.timegrid import table


def rows_of(y, name="y", start="2024-03-01"):
    """Rows of an hourly series with these values."""
    moments = pd.date_range(start, periods=len(y), freq="h", unit="s")
    rows = pd.DataFrame({"unique_id": name, "ds": moments, "y": y, "rain": 0.5, "event": 1})
    return rows.assign(line=np.arange(len(y)) + 2)


@pytest.fixture
def two():
    """Two series that begin at different moments."""
    random = np.random.default_rng(1)
    first, second = random.uniform(1, 9, 100), random.uniform(100, 900, 80)
    return pd.concat([rows_of(first, "a"), rows_of(second, "b", "2024-03-02")], ignore_index=True)


def test_complete_series_stay_as_they_are(two):
    pd.testing.assert_frame_equal(table.complete(two, "h"), two)
    filled, count = table.fill(two, [24], "error")
    assert count == 0
    assert filled["observed"].all()
    pd.testing.assert_frame_equal(filled.drop(columns="observed"), two)


def test_missing_moments_become_rows_of_their_series(two):
    holed = two.drop(index=[3, 4, 5, 150])
    whole = table.complete(holed, "h")
    assert list(whole) == list(two)
    pd.testing.assert_frame_equal(whole[["unique_id", "ds"]], two[["unique_id", "ds"]])
    assert whole.index[whole["y"].isna()].tolist() == [3, 4, 5, 150]
    assert (whole["line"] == 0)[[3, 4, 5, 150]].all()
    kept = whole[whole["y"].notna()].reset_index(drop=True).astype({"line": int, "event": int})
    pd.testing.assert_frame_equal(kept, holed.reset_index(drop=True))


def test_gaps_are_filled_from_one_season_before():
    y = np.random.default_rng(2).uniform(1, 9, 200)
    rows = rows_of(np.where((np.arange(200) >= 100) & (np.arange(200) < 160), np.nan, y))
    rows.loc[120, "rain"] = np.nan
    filled, count = table.fill(rows, [24, 48], "fill")
    assert count == 60  # more than the longest season
    assert filled["y"][100:148].tolist() == y[52:100].tolist()
    assert filled["y"][148:160].tolist() == filled["y"][124:136].tolist()  # filled themselves
    assert filled["y"][160:].tolist() == y[160:].tolist()
    assert filled["rain"].notna().all()


def test_a_gap_of_one_series_is_not_filled_from_another(two):
    two.loc[103, "y"] = np.nan  # with no season before it
    filled, _ = table.fill(two, [24], "fill")
    assert filled["y"][103] == two["y"][102]


@pytest.mark.parametrize(("gaps", "observed"), [("fill", 180), ("mask", 178)])
def test_masked_values_are_filled_but_not_observed(gaps, observed, two):
    two.loc[[40, 150], "y"] = np.nan
    filled, _ = table.fill(two, [24], gaps)
    assert filled["observed"].sum() == observed
    assert filled["y"][40] == two["y"][16]


def test_gaps_without_covariates_are_filled_too(two):
    holed = two.drop(index=[40], columns=["rain", "event"])
    filled, count = table.fill(table.complete(holed, "h"), [24], "fill")
    assert count == 1
    assert filled["y"].notna().all()


def test_rows_before_the_first_value_and_after_the_last_are_dropped(two):
    empty = [0, 1, 2, 98, 99, 100, 179]
    two.loc[empty, "y"] = np.nan
    two.loc[50, "y"] = np.nan  # a gap, not an end
    kept, count = table.without_ends(two)
    assert count == len(empty)
    assert kept["line"].tolist() == two.drop(index=empty)["line"].tolist()


def test_a_series_without_any_value_stays(two):
    two.loc[two["unique_id"] == "b", "y"] = np.nan
    two.loc[0, "y"] = np.nan
    kept, count = table.without_ends(two)
    assert count == 1
    assert (kept["unique_id"] == "b").sum() == 80


def test_series_are_taken_out_of_a_table(two):
    filled, _ = table.fill(two.assign(event=np.arange(180)), [24], "error")
    first, second = table.series_of(filled, grid())
    assert (first.name, second.name) == ("a", "b")
    assert second.start == np.datetime64("2024-03-02T00:00:00")
    assert second.y.tolist() == two["y"][100:].tolist()
    assert second.future[:, 0].tolist() == list(range(100, 180))
    assert second.past.tolist() == [[0.5]] * 80
    assert second.observed.all()
