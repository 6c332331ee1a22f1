"""What a report says of a forecaster."""

import pytest
from timegrid.series import grid

from portfolio_kit.timegrid.results import Comparison, Rolling, against


@pytest.mark.parametrize(
    ("series", "said"),
    [
        (1, "1,680 held-out forecasts, 12 hours each"),
        (1_007, "1,680 held-out forecasts of 1,007 series, 12 hours each"),
    ],
)
def test_forecasts_are_counted_and_not_their_rows(series, said):
    assert Rolling(n_windows=1680, step_size=23).words(series, grid()) == said


def test_a_lead_is_shown_with_what_is_known_of_it():
    certain = Comparison(difference=0.5144, interval_95=[0.1, 0.882], diebold_mariano_p=0.0312)
    unknown = Comparison(difference=-1.25, interval_95=None, diebold_mariano_p=None)
    table = against({"trees": certain, "MSTL": unknown}, "wape")
    assert table.splitlines() == [
        "| against | WAPE lower by | 95% interval | Diebold-Mariano p |",
        "| --- | --- | --- | --- |",
        "| trees | 0.514 | 0.100 to 0.882 | 0.031 |",
        "| MSTL | -1.250 | too few origins to say | – |",
    ]
