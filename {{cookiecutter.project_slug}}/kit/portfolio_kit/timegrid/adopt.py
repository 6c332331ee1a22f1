"""Looks at a table of series, for `adopt`."""

import math
from collections.abc import Iterator
from numbers import Number
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pandera.pandas as pa

from .. import columns, tables
from ..adopting import Asked, Seen
from ..errors import UserError
from . import checks, files, iso, table
from .calendar import check_calendar
from .frequency import DAY, MINUTE, freq_of, is_daily, parse_freq
from .times import moments

WEEK = 7 * DAY
SHOWN = 5  # series
SAMPLE = 200  # different values that tell whether a column holds times
SEASONS = 3  # that are averaged, if the series are long enough
LONGEST_SEASON = 2_016  # steps: a week of five minutes
SHARES = (("valid", 0.1), ("test", 0.2))  # of the time, unless the file says otherwise
HORIZONS: dict[np.timedelta64, int] = {
    DAY: 14,
    WEEK: 8,
}  # by step; shorter ones are forecast for two days


class Roles(NamedTuple):
    """What the columns of a file are."""

    time: str
    target: str
    series: str | None


def look(asked: Asked) -> Seen:
    """Return what a file of series holds; raises `UserError` if it is not clear what is what."""
    known = asked.known
    path, sha256 = tables.located(asked.source, None, "data.source")
    every = columns.read(path)
    covariates = {
        f"data.{kind}_columns": known.get(f"data.{kind}_columns") or []
        for kind in ("future", "past")
    }
    named = {one for names in covariates.values() for one in names}
    roles = _roles(every, known, named, path.name)
    rows = files.read(path, "data.source", *roles, covariates)
    rows, freq = regular(rows, known, roles, covariates, path.name)
    gaps = int(table.complete(rows, freq)["y"].isna().sum())
    values: dict[str, Any] = {
        "data.time_column": roles.time,
        "data.target_column": roles.target,
        "data.id_column": roles.series,
        "data.freq": freq,
        **windows(rows, freq, asked),
    }
    used = {*roles, *named}
    unused = [
        name
        for name in every
        if name not in used and not columns.is_index(name) and are_values(every[name])
    ]
    undecided = [
        f"horizon: {values['horizon']} steps of {freq}; how far ahead is needed?",
        f"season_lengths: {values['season_lengths']}; after how many steps do patterns repeat?",
        "serve.total: does the sum of a forecast mean something, as of sales?",
    ]
    if unused:
        listed = ", ".join(f"{name!r:.40}" for name in unused[:SHOWN])
        undecided.append(
            f"data.future_columns and data.past_columns: {listed} are not used; which are known in "
            "advance, which only afterwards?"
        )
    if known.get("data.holidays") is None and parse_freq(freq) < WEEK:
        undecided.append("data.holidays: null; a country such as GB, if public holidays matter")
    if gaps and known.get("data.gaps", "error") == "error":
        undecided.append(
            f"data.gaps: {gaps:,} moments have no value, which the data stage rejects; give --gaps "
            "fill (with the value one season before) or --gaps mask (that, but not learned from)"
        )
    lines = [*columns.shown(every, path.name), *described(rows, roles, freq)]
    return Seen(sha256, values, lines, undecided)


def _roles(every: pd.DataFrame, known: dict[str, Any], named: set[str], file: str) -> Roles:
    """Return what columns are: what was given, or else the only ones that can be meant."""
    given = {known.get(f"data.{role}_column") for role in ("time", "target", "id")} - {None}
    taken = {*given, *named}
    time = known.get("data.time_column") or columns.only(
        every, "data.time_column", "the times", are_times, taken, file
    )
    _exists(every, "data.time_column", time, file)
    if "data.id_column" in known:
        series = known["data.id_column"]
    elif every[time].map(str).duplicated().any():
        what = "the names of series (times repeat, so there are several)"
        others = every.drop(columns=[*({*taken, time} & {*every})])
        able = [name for name in others if tell_apart(others[name], every[time])]
        texts = {name for name in able if not are_values(others[name])}  # rather than numbers
        fits = texts or {*able}
        series = columns.only(
            every, "data.id_column", what, lambda values: values.name in fits, {*taken, time}, file
        )
    else:
        series = None
    target = known.get("data.target_column") or columns.only(
        every, "data.target_column", "the values", are_values, {*taken, time, series}, file
    )
    roles = Roles(time, target, series)
    names = [name for name in (*roles, *named) if name is not None]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(
            f"data: column {twice!r} of {file} has two roles; name another with --time-column, "
            "--target-column or --id-column"
        )
    return roles


def _exists(every: pd.DataFrame, key: str, name: str, file: str) -> None:
    if name not in every:
        found = ", ".join(map(repr, every))
        raise UserError(f"{key}: {file} has no column {name!r}; it has {found:.300}")


def are_times(values: pd.Series) -> bool:
    """Tell whether values could be the times: ISO 8601, or times as Parquet stores them."""
    if pd.api.types.is_datetime64_any_dtype(values):
        return True
    some = columns.present(values).drop_duplicates().head(SAMPLE)
    if not len(some) or some.map(lambda one: isinstance(one, Number)).any():
        return False
    try:
        for one in some:
            iso.parse(str(one))
    except ValueError:
        return False
    return True


def tell_apart(values: pd.Series, times: pd.Series) -> bool:
    """Tell whether values could be names of series: each has several times, and none twice."""
    names = values.map(str)
    if len(columns.present(values)) < len(values) or not 1 < names.nunique() <= len(names) / 2:
        return False
    return not pd.DataFrame({"name": names, "time": times.map(str)}).duplicated().any()


def are_values(values: pd.Series) -> bool:
    """Tell whether values could be forecast: they are numbers."""
    known = columns.present(values)
    return bool(len(known)) and bool(columns.numbers(known).notna().all())


def regular(
    rows: pd.DataFrame,
    known: dict[str, Any],
    roles: Roles,
    covariates: dict[str, list[str]],
    file: str,
) -> tuple[pd.DataFrame, str]:
    """Return the rows of series in order, checked as the data stage does, and their step."""
    timezone = known.get("data.timezone")
    field = f"data.time_column {roles.time!r} of {file}"
    freq = known.get("data.freq") or step_of(rows, timezone, field)
    check_calendar(freq, timezone, known.get("data.holidays"))
    times, _ = moments(rows, freq, timezone, field)
    rows = rows.assign(ds=times).sort_values(["unique_id", "ds"], kind="stable", ignore_index=True)
    rows, _ = table.without_ends(rows)
    fields = {"y": f"data.target_column {roles.target!r} of {file}"}
    for key, names in covariates.items():
        fields |= {name: f"{key} {name!r} of {file}" for name in names}
    schema = pa.DataFrameSchema({name: pa.Column(nullable=name == "y") for name in fields})
    rows = checks.check_values(rows, schema, fields)
    checks.check_times(rows, freq, timezone, roles.series is None, roles.time, file)
    return rows, freq


def step_of(rows: pd.DataFrame, timezone: str | None, field: str) -> str:
    """Return the usual step between the times of a series; raises `UserError` if it has none."""
    times, _ = moments(rows, "h", timezone, field)
    ordered = rows.assign(ds=times).sort_values(["unique_id", "ds"], kind="stable")
    steps = ordered.groupby("unique_id", sort=False)["ds"].diff().dropna()
    steps = steps[steps > pd.Timedelta(0)]
    if not len(steps):
        raise UserError(f"{field}: no series has two different times; is it the right column?")
    usual = steps.mode()[0].to_numpy()
    if usual % MINUTE:
        raise UserError(f"{field}: the usual step is {freq_of(usual)}; it must be whole minutes")
    is_usual = (steps == usual).mean()
    if usual > WEEK and is_usual < 0.9:  # months, quarters and years
        raise UserError(
            f"data.freq: steps of {field.removeprefix('data.time_column ')} have no fixed length, "
            "like months; use the days or weeks they consist of"
        )
    return freq_of(usual)


def windows(rows: pd.DataFrame, freq: str, asked: Asked) -> dict[str, Any]:
    """Return horizon, seasons and step size: those given, or those that fit the step and length.

    What the file says stays if the step is the same.
    """
    known, now, step = asked.known, asked.now, parse_freq(freq)
    is_same = now.get("data.freq") == freq
    first, last = rows["ds"].min(), rows["ds"].max()
    steps = int((last - first) / pd.Timedelta(step)) + 1
    blocks = [round(steps * now.get(f"data.{name}_fraction", share)) for name, share in SHARES]
    begin = last - pd.Timedelta(step) * (sum(blocks) - 1)  # of the validation block
    before = int((rows["ds"] < begin).groupby(rows["unique_id"], sort=False).sum().min())

    horizon, lengths = known.get("horizon"), known.get("season_lengths")
    if horizon is None:
        horizon = max(1, min(now["horizon"] if is_same else horizon_of(step), *blocks))
    is_rerun = now.get("data.source") == asked.source
    is_given, seasons = lengths is not None, now["model.seasons"] if is_rerun else SEASONS
    if lengths is None:
        lengths = now["season_lengths"] if is_same else seasons_of(step) or now["season_lengths"]

    kept = [sorted(lengths)[:count] for count in range(len(lengths), 0, -1)]
    choices = [
        (some, count)
        for some in (kept[:1] if is_given else kept)
        for count in range(seasons, 0, -1)
    ]
    # A window of the longest season, averaged, and one more season of windows to learn from.
    fitting = (one for one in choices if max(one[0]) * (one[1] + 2) + horizon <= before)
    lengths, seasons = next(fitting, choices[-1])
    found = {"horizon": horizon, "season_lengths": lengths, "model.seasons": seasons}
    if any(now.get(key) != found[key] for key in ("horizon", "season_lengths")):
        found["evaluate.step_size"] = step_size(horizon, min(lengths))
    return found


def horizon_of(step: np.timedelta64) -> int:
    """Return how many steps to forecast if nobody says: two days, or a few longer steps."""
    return HORIZONS.get(step, int(2 * DAY // step) if step < DAY else 8)


def seasons_of(step: np.timedelta64) -> list[int]:
    """Return the steps of a day and a week, or of a year of weeks, if they are whole numbers."""
    periods = (DAY, WEEK) if step < WEEK else (52 * WEEK,)
    lengths = (int(period // step) for period in periods if not period % step)
    return [length for length in lengths if 2 <= length <= LONGEST_SEASON]


def step_size(horizon: int, season: int) -> int:
    """Return the steps from one forecast to the next: about half a horizon, at all times of a day.

    It has no factor in common with the season.
    """
    fitting = (one for one in range(max(1, horizon // 2), 0, -1) if math.gcd(one, season) == 1)
    return next(fitting)


def described(rows: pd.DataFrame, roles: Roles, freq: str) -> Iterator[str]:
    """Yield lines on the series: how many, their step, and when each begins and ends."""
    by_series = rows.groupby("unique_id", sort=False)["ds"]
    count = len(by_series)
    yield (
        f"times: {roles.time!r}; values: {roles.target!r}; series: {count:,}"
        f"{f' ({roles.series!r})' if roles.series else ''}; one step: {freq}"
    )
    facts = by_series.agg(["size", "min", "max"])
    for name, (size, first, last) in zip(facts.index[:SHOWN], facts.values[:SHOWN], strict=True):
        yield f"  {name}: {size:,} rows, {_moment(first, freq)} to {_moment(last, freq)}"
    if count > SHOWN:
        yield f"  and {count - SHOWN:,} more"


def _moment(moment: Any, freq: str) -> str:
    return str(pd.Timestamp(moment))[:10] if is_daily(freq) else str(pd.Timestamp(moment))[:16]
