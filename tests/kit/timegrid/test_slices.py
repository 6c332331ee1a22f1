"""Errors of parts of the test block, worked out by hand."""

import numpy as np
import pytest

from portfolio_kit.timegrid import slices

Y = np.array([[1.0, 2.0], [10.0, np.nan], [0.0, 0.0]])
QUANTILES = Y[:, :, None] + np.array(
    [[[-2, -1, 0.5, 1, 2]], [[-2, -1, 3, 1, 2]], [[1, 1, 1, 1, 1]]]
)


@pytest.fixture
def found():
    """Three windows of three series; the third one is always zero."""
    which = np.broadcast_to(np.arange(3)[:, None], Y.shape)
    sums = {
        name: (np.abs(Y - y_hat), np.abs(Y))
        for name, y_hat in {slices.OURS: QUANTILES[:, :, 2], "rival": np.zeros_like(Y)}.items()
    }
    return slices.errors({"series": (("a", "b", "c", "d"), which)}, Y, QUANTILES, sums)["series"]


def test_each_series_has_its_errors_and_coverage(found):
    assert list(found) == ["a", "b", "c"]  # of d there is nothing
    assert (found["a"].rows, found["b"].rows) == (2, 1)
    assert found["a"].error == {slices.OURS: pytest.approx(1 / 3), "rival": 1.0}
    assert found["b"].error == {slices.OURS: pytest.approx(0.3), "rival": 1.0}
    assert (found["a"].mae, found["b"].mae) == (0.5, 3.0)
    assert (found["a"].coverage_80, found["c"].coverage_95) == (1.0, 0.0)


def test_an_undefined_error_is_shown_as_such(found):
    assert found["c"].error == {slices.OURS: None, "rival": None}
    table = slices.table("series", found, "wape", "rival", "metrics.json")
    assert table.splitlines()[-1] == "| c | 2 | – | – | 1 | 0.0% | 0.0% |"


def test_of_many_series_the_hardest_are_shown(found):
    many = {
        f"series {number}": found["a"].model_copy(
            update={"error": {slices.OURS: number, "rival": 1}}
        )
        for number in range(400)
    }
    table = slices.table("series", many, "mase", "rival", "../metrics.json")
    assert table.count("| series ") == 1 + 10
    assert "| series 399 | 2 | 399.00 | 1.00 | 0.5 |" in table
    assert "10 of 400 series" in table
    assert "](../metrics.json)" in table


def test_of_many_lead_times_some_are_shown_from_the_first_to_the_last(found):
    leads = {str(lead): found["a"] for lead in range(1, 337)}
    table = slices.table("lead", leads, "mase", "rival", "metrics.json")
    shown = [int(line.split("|")[1]) for line in table.splitlines()[2:14]]
    assert (shown[0], shown[-1], shown) == (1, 336, sorted(set(shown)))
    assert "12 of 336 lead times" in table
    few = slices.table("lead", {str(lead): found["a"] for lead in range(24)}, "mase", "rival", "")
    assert len(few.splitlines()) == 2 + 24
