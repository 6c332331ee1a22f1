"""Whole series out of long tables, with a model whose forecasts are easy to predict."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from portfolio_kit.scoring import inputs
from portfolio_kit.timegrid.grid import Grid
from portfolio_kit.timegrid.scoring import SeriesScorer

LEVELS = ("lo_95", "lo_80", "y_hat", "hi_80", "hi_95")
HISTORY, HORIZON = 4, 2


class Shape(Grid):
    history: int = HISTORY


class LastValue:
    """Repeats the last value, and adds the future covariate, if there is one."""

    levels = LEVELS
    manifest = SimpleNamespace(positive=False)

    def __init__(self, future):
        self.shape = Shape(
            horizon=HORIZON,
            freq="h",
            timezone=None,
            holidays=None,
            yearly=False,
            past_columns=[],
            future_columns=future,
        )

    def answer_many(self, questions):
        assert {len(one.series.y) for one in questions} == {HISTORY}
        return [self._answer(one.series) for one in questions]

    def _answer(self, series):
        ahead = np.zeros(HORIZON)
        if self.shape.future_columns and len(series.future) > HISTORY:
            ahead = series.future[HISTORY:, 0].astype(float)
        middle = series.y[-1] + ahead
        return np.stack([middle + offset for offset in (-2, -1, 0, 1, 2)], axis=1)


@pytest.fixture
def score(workspace):
    """Score a table that was written to a CSV file; return the table of answers and rejections."""

    def score_table(table, size=100, future=(), id_column="shop", **data):
        table.to_csv("in.csv", index=False)
        defaults = {"time_column": "when", "target_column": "sales", "gaps": "error"}
        named = {**defaults, "id_column": id_column, "future_columns": [*future], **data}
        params = SimpleNamespace(data=SimpleNamespace(**named), season_lengths=[2])
        files = inputs.find("in.csv")
        model = LastValue([*future])
        scorer = SeriesScorer(model, inputs.columns(files[0]), params)
        parts = [*scorer.parts(files, size)]
        assert sum(rows for rows, _ in parts) == len(table)
        scored = [scorer.score(part) for _, part in parts]
        answers = pd.concat([one.table.to_pandas() for one in scored])
        return answers, [one for part in scored for one in part.rejected], len(parts)

    return score_table


def shops(count, steps=6, **columns):
    """Return a long table of shops: each sells its number times ten, and one more every hour."""
    when = pd.date_range("2024-05-01", periods=steps, freq="h").astype(str)
    return pd.concat(
        [
            pd.DataFrame(
                {"shop": f"s{n}", "when": when, "sales": 10.0 * n + np.arange(steps), **columns}
            )
            for n in range(count)
        ],
        ignore_index=True,
    )


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_each_series_is_continued_after_its_end_whatever_the_size_of_parts(score, size):
    answers, rejected, parts = score(shops(5), size)
    assert rejected == []
    assert (parts == 1) == (size == 1_000)
    assert answers["unique_id"].tolist() == [f"s{n}" for n in range(5) for _ in range(HORIZON)]
    assert answers["y_hat"].tolist() == [10.0 * n + 5 for n in range(5) for _ in range(HORIZON)]
    assert (answers["hi_95"] - answers["lo_95"] == 4).all()
    assert (answers["hi_80"] - answers["lo_80"] == 2).all()
    assert answers["ds"].astype(str).tolist()[:2] == ["2024-05-01 06:00:00", "2024-05-01 07:00:00"]


def test_parts_hold_whole_series_of_a_file_larger_than_what_is_read_at_a_time(score, monkeypatch):
    monkeypatch.setattr(inputs, "BLOCK", 200)
    answers, rejected, parts = score(shops(30), size=20)
    assert (len(answers), rejected) == (30 * HORIZON, [])
    assert parts > 3


def test_rows_of_a_series_may_be_in_any_order(score):
    table = shops(2)
    mixed = pd.concat([table[:6].sample(frac=1, random_state=0), table[6:][::-1]])
    assert score(mixed)[0]["y_hat"].tolist() == [5.0, 5.0, 15.0, 15.0]


def test_one_bad_series_costs_no_other(score):
    table = shops(4).astype({"sales": object})
    table.loc[8, "sales"] = "many"
    table = table.drop(index=[13, 18, 19, 20])  # s2 has a gap, s3 is too short
    answers, rejected, _ = score(table)
    assert answers["unique_id"].unique().tolist() == ["s0"]
    assert [one.line for one in rejected] == [8, 14, 19]
    reasons = [one.reason for one in rejected]
    assert reasons[0].startswith(
        "series 's1': 'sales' of in.csv: 1 row (series 's1', line 10: 'many')"
    )
    assert reasons[1].startswith("series 's2': data.gaps: in in.csv 1 row")
    assert reasons[2] == "series 's3': 3 steps, and the model needs at least 4"


@pytest.mark.parametrize("size", [1, 100])
def test_a_series_that_continues_after_others_is_not_taken_for_two(score, size):
    table = shops(3)
    apart = pd.concat([table[:3], table[6:], table[3:6]])
    answers, rejected, _ = score(apart, size)
    assert not (answers["unique_id"] == "s0").any() or size == 1
    why = [one.reason for one in rejected]
    assert any("series 's0' continues after others" in reason for reason in why)
    assert {"s1", "s2"} <= {*answers["unique_id"]}


def test_a_row_without_a_name_is_rejected(score):
    table = shops(2)
    table.loc[11, "shop"] = ""
    answers, [rejected], _ = score(table)
    assert (rejected.line, rejected.reason) == (13, "the name of the series is missing")
    assert answers["y_hat"].tolist() == [5.0, 5.0, 14.0, 14.0]


def test_a_single_series_needs_no_name(score):
    answers, rejected, _ = score(shops(1).drop(columns="shop"), id_column=None)
    assert (answers["y_hat"].tolist(), rejected) == ([5.0, 5.0], [])


def test_what_is_known_in_advance_follows_the_last_value(score):
    table = shops(2, steps=8, price=1.0).astype({"sales": object})
    for first in (6, 14):
        table.loc[first : first + 1, "sales"] = None
        table.loc[first : first + 1, "price"] = [100.0, 200.0]
    answers, rejected, _ = score(table, future=["price"])
    assert rejected == []
    assert answers["y_hat"].tolist() == [105.0, 205.0, 115.0, 215.0]


def test_a_horizon_that_is_known_in_part_is_rejected(score):
    table = shops(1, steps=7, price=1.0).astype({"sales": object})
    table.loc[6, "sales"] = None
    _, [rejected], _ = score(table, future=["price"])
    assert "lacks price for some of the 2 steps after its last value" in rejected.reason


def test_times_with_offsets_are_rejected_where_training_data_had_none(score):
    table = shops(1)
    table["when"] += "+02:00"
    _, [rejected], _ = score(table)
    assert "times have offsets, and those of the training data do not" in rejected.reason


def test_uneven_rows_are_rejected_and_lines_stay_right(workspace):
    lines = ["shop,when,sales", "a,1,2,3", "", "b,4,5", "c,6", "d,7,8"]
    (workspace / "in.csv").write_text("\n".join(lines), encoding="utf-8")
    [file], damaged = inputs.find("in.csv"), []
    [(places, table)] = inputs.tables(file, ["shop"], lambda *what: damaged.append(what))
    assert dict(zip(places.tolist(), table["shop"].to_pylist(), strict=True)) == {4: "b", 6: "d"}
    assert damaged == [
        (2, "has 4 fields, and the header has 3"),
        (5, "has 2 fields, and the header has 3"),
    ]
