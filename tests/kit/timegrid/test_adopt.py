"""Series are adopted: columns, step, horizon and seasons are told from the file, or asked for."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import pandas as pd
import pytest
from adopter import Adopter
from pydantic import Field

from portfolio_kit import artifacts, config
from portfolio_kit.adopting import Adopting
from portfolio_kit.config import Section, Settings
from portfolio_kit.timegrid.adopt import seasons_of, step_size
from portfolio_kit.timegrid.frequency import parse_freq
from portfolio_kit.timegrid.settings import ADOPTING

DATA = """data:
  source: wheel://template==1/hourly.csv
  sha256: 00aa
  id_column: null
  time_column: ts
  target_column: count
  future_columns: []
  past_columns: [tmin, tmax]  # weather
  past_delay: 23
  freq: h
  timezone: null
  holidays: US-DC
  gaps: error
  positive: false
horizon: 48  # steps
season_lengths: [24, 168]
model: {seasons: 3}"""


class Data(Section):
    source: str
    sha256: str | None = None
    id_column: str | None = None
    time_column: str
    target_column: str
    future_columns: list[str]
    past_columns: list[str]
    past_delay: int
    freq: str
    timezone: str | None
    holidays: str | None
    gaps: Literal["error", "fill", "mask"]
    positive: bool


class Model(Section):
    seasons: Annotated[int, Field(ge=1)]


class Evaluate(config.Evaluate):
    step_size: int = 23


class Params(Settings):
    adopting: ClassVar[Adopting] = ADOPTING
    data: Data
    horizon: Annotated[int, Field(ge=1, le=1_000)]
    season_lengths: list[int]
    model: Model
    evaluate: Evaluate


@pytest.fixture
def adopt(workspace, capsys):
    return Adopter(Params, DATA, capsys)


def shops(days=800):
    """Return sales of three shops by day, in long format."""
    dates = pd.date_range("2022-01-01", periods=days).strftime("%Y-%m-%d")
    return pd.concat(
        pd.DataFrame({"date": dates, "shop": f"Shop {one}", "sold": np.arange(days) % 7 + one})
        for one in range(1, 4)
    )


def test_one_step_sets_all_that_describes_series(adopt):
    shops().to_csv("shops.csv", index=False)
    done = adopt("shops.csv")
    assert (done.code, done.errors) == (0, [])
    params = adopt.params()
    assert params["data"] == {
        "source": "shops.csv",
        "sha256": artifacts.sha256(Path("shops.csv")),
        "id_column": "shop",
        "time_column": "date",
        "target_column": "sold",
        "future_columns": [],
        "past_columns": [],
        "past_delay": 0,
        "freq": "D",
        "timezone": None,
        "holidays": None,
        "gaps": "error",
        "positive": False,
    }
    assert (params["horizon"], params["season_lengths"]) == (14, [7])
    assert params["evaluate"]["step_size"] == 6
    for words in (
        "shops.csv: 2,400 rows, 3 columns",
        "series: 3 ('shop'); one step: D",
        "Shop 3: 800 rows, 2022-01-01 to 2024-03-10",
        "data.past_columns: []  (was [tmin, tmax])",
        "data.holidays: null  (was US-DC)",
        "horizon: 14 steps of D; how far ahead is needed?",
    ):
        assert words in done.out, words
    assert "[]  # weather" in Path("params.yaml").read_text(encoding="utf-8")
    again = adopt("shops.csv")
    assert (again.code, again.wrote) == (0, False)


def test_what_was_set_by_hand_stays_until_the_source_changes(adopt):
    table = shops()
    table.to_csv("shops.csv", index=False)
    settings = ("--horizon", 7, "--season-lengths", 7, 28, "--holidays", "GB")
    assert adopt("shops.csv", *settings).code == 0
    params = adopt.params()
    assert (params["horizon"], params["season_lengths"]) == (7, [7, 28])
    assert not adopt("shops.csv").wrote
    table.to_parquet("shops.parquet", index=False)
    assert adopt("shops.parquet").code == 0
    assert adopt.params()["data"]["holidays"] is None


@pytest.mark.parametrize(
    ("freq", "steps", "expected"),
    [
        ("30min", 4_000, ("30min", 96, [48, 336], 3)),
        ("15min", 4_000, ("15min", 192, [96, 672], 1)),
        ("h", 3_000, ("h", 48, [24, 168], 3)),
        ("h", 100, ("h", 10, [24], 1)),
        ("2D", 400, ("2D", 8, [24], 3)),  # neither a week nor a year of them is whole
        ("W", 400, ("W", 8, [52], 3)),
        ("W", 250, ("W", 8, [52], 1)),
    ],
    ids=str,
)
def test_horizon_and_seasons_fit_the_step_and_the_length(adopt, freq, steps, expected):
    times = pd.date_range("2016-01-03", periods=steps, freq=freq, tz="UTC")
    pd.DataFrame({"t": times, "mw": np.arange(steps) % 9 + 1.0}).to_parquet("x.parquet")
    assert adopt("x.parquet").code == 0
    params = adopt.params()
    found = (params["data"]["freq"], params["horizon"], params["season_lengths"])
    assert (*found, params["model"]["seasons"]) == expected


def test_steps_between_forecasts_share_no_factor_with_the_season():
    assert step_size(48, 24) == 23  # the template's
    assert [step_size(one, 7) for one in (1, 2, 14, 15)] == [1, 1, 6, 6]
    assert [step_size(24, 12), step_size(20, 10)] == [11, 9]
    assert seasons_of(parse_freq("min")) == [1_440]
    assert seasons_of(parse_freq("4W")) == [13]


def test_unclear_columns_are_asked_for(adopt):
    table = shops().assign(price=1.5, visitors=range(2_400))
    table.to_json("shops.jsonl", orient="records", lines=True)
    names = "'date', 'shop', 'sold', 'price', 'visitors'"
    assert adopt.rejected("shops.jsonl") == (
        "data.target_column: shops.jsonl has 3 columns that could be the values, 'sold', 'price', "
        f"'visitors'; name one with --target-column: {names}"
    )
    given = ("--target-column", "sold", "--future-columns", "price")
    done = adopt("shops.jsonl", *given)
    assert done.code == 0
    assert "'visitors' are not used; which are known in advance" in done.out
    assert adopt("shops.jsonl", "--past-columns", "visitors", "--past-delay", 2).code == 0
    data = adopt.params()["data"]
    assert (data["future_columns"], data["past_columns"]) == (["price"], ["visitors"])
    assert data["past_delay"] == 2
    assert "has two roles" in adopt.rejected("shops.jsonl", "--time-column", "sold")
    table.assign(kind=table["shop"]).to_csv("shops.csv", index=False)
    line = adopt.rejected("shops.csv", "--target-column", "sold")
    assert "(times repeat, so there are several), 'shop', 'kind'; name one with --id-column" in line
    table.drop(columns="date").to_csv("shops.csv", index=False)
    assert "no column that is clearly the times; name one with --time-column" in adopt.rejected(
        "shops.csv"
    )


def test_the_row_numbers_of_pandas_are_no_values(adopt):
    one = shops().query("shop == 'Shop 1'").drop(columns="shop")[3:]
    one.to_parquet("x.parquet")
    assert "__index_level_0__" in adopt("x.parquet").out
    one.to_csv("x.csv")
    assert adopt("x.csv").code == 0
    assert adopt.params()["data"]["target_column"] == "sold"


def test_gaps_are_reported_with_the_options(adopt):
    shops().query("date != '2022-03-05'").to_csv("shops.csv", index=False)
    done = adopt("shops.csv")
    assert (
        "data.gaps: 3 moments have no value, which the data stage rejects; give --gaps" in done.out
    )
    assert "moments have no value" not in adopt("shops.csv", "--gaps", "mask").out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--freq", "monthly"), "data.freq: 'monthly' is not a step of fixed length"),
        (("--freq", "h"), "data.freq: 'h' is not the step of x.csv, which is mostly D"),
        (("--holidays", "XX"), "data.holidays: "),
        (("--timezone", "Mars"), "data.timezone: there is no zone 'Mars'"),
        (("--horizon", "x"), "--horizon: 'x' is not a whole number of steps"),
        (("--horizon", "0"), "params.yaml: horizon: "),
        (("--gaps", "zero"), "params.yaml: data.gaps: "),
        (("--target-column", "y"), "data.target_column: x.csv has no column 'y'"),
        (("--time-column", "t"), "data.time_column: x.csv has no column 't'"),
        (("--future-columns", "shop"), "data.future_columns 'shop' of x.csv: "),
    ],
    ids=" ".join,
)
def test_bad_options_are_one_plain_line(adopt, arguments, line):
    table = shops().query("shop == 'Shop 1'")
    table.to_csv("x.csv", index=False)
    assert adopt.rejected("x.csv", *arguments).startswith(line)


def test_steps_without_a_fixed_length_are_rejected(adopt):
    months = pd.date_range("2012-01-01", periods=60, freq="MS")
    pd.DataFrame({"m": months, "v": range(60)}).to_csv("x.csv", index=False)
    assert adopt.rejected("x.csv") == (
        "data.freq: steps of 'm' of x.csv have no fixed length, like months; use the days or weeks "
        "they consist of"
    )
    seconds = pd.date_range("2012-01-01", periods=60, freq="10s")
    pd.DataFrame({"m": seconds, "v": range(60)}).to_csv("x.csv", index=False)
    assert "the usual step is 10 s; it must be whole minutes" in adopt.rejected("x.csv")
    pd.DataFrame({"m": ["2024-01-01"], "v": [1]}).to_csv("x.csv", index=False)
    assert "no series has two different times" in adopt.rejected("x.csv")
