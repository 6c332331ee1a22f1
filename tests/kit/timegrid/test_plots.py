"""Fan charts of the best, the median and the worst part of the test block."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from portfolio_kit.timegrid.plots import draw_fans, fans, rank_parts

DAY, HOUR = np.timedelta64(86_400, "s"), np.timedelta64(3600, "s")


def test_parts_are_ranked_by_their_error_and_cut_ones_left_out():
    first = np.tile(np.datetime64("2024-03-01", "s") + DAY * np.arange(23), 2)  # 3 weeks, 2 days
    which, days = np.repeat([0, 1], 23), np.tile(np.arange(23), 2)
    error = 10.0 * which + np.choose(days // 7, [5, 1, 9, 0])  # the cut week would be the best

    def mean(rows):
        return float(error[rows].mean())

    weeks = rank_parts(which, first, 7 * DAY, mean)
    assert list(weeks) == ["Best", "Median", "Worst"]
    assert weeks["Best"].tolist() == list(range(7, 14))
    assert mean(weeks["Median"]) == 11  # of 1, 5, 9, 11, 15, 19
    assert weeks["Worst"].tolist() == list(range(23 + 14, 23 + 21))


@pytest.mark.parametrize(("count", "names"), [(1, ["Only"]), (2, ["Best", "Worst"])])
def test_where_there_are_few_parts_each_is_drawn_once(count, names):
    first = np.datetime64("2024-03-01", "s") + DAY * np.arange(count)
    when = first[:, None] + HOUR * np.arange(3)
    y, quantiles = np.ones((count, 3)), np.tile([1.0, 2, 3, 4, 5], (count, 3, 1))
    which, series = np.zeros(count, int), ("Pier", "Quay")
    figure = fans(which, when, y, quantiles, series, DAY, lambda rows: rows[0], "MAE {:.1f}", "kW")
    titles = [axes.get_title(loc="left") or axes.get_title() for axes in figure.axes]
    assert [title.split()[0] for title in titles] == names
    assert titles[0] == f"{names[0]} part of Pier, MAE 0.0"
    assert [axes.get_ylabel() for axes in figure.axes] == ["kW"] * count
    plt.close(figure)


def test_windows_that_overlap_one_that_is_drawn_are_left_out():
    starts = [0, 5, 11, 12, 30]
    when = np.datetime64("2024-03-01", "s") + HOUR * (np.array(starts)[:, None] + np.arange(12))
    quantiles = np.tile([1.0, 2, 3, 4, 5], (5, 12, 1))
    figure, axes = plt.subplots()
    draw_fans(axes, when, np.full((5, 12), 3.0), quantiles)
    lines = [line for line in axes.get_lines() if len(line.get_xdata()) == 12]
    drawn = {line.get_xdata()[0] for line in lines}
    assert drawn == {when[0][0], when[3][0], when[4][0]}
    _, labels = axes.get_legend_handles_labels()
    assert sorted(labels) == ["80% interval", "95% interval", "forecast", "observed"]
    plt.close(figure)
