"""Forecasts every series of long tables, whole series at a time."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pyarrow

from ..errors import UserError
from ..scoring import inputs
from ..scoring.inputs import Columns, Input, Rejected
from ..scoring.scorer import Scored, Scorer, check
from . import checks, table
from .files import MISSING
from .frequency import is_daily
from .grid import Grid
from .series import ONLY_SERIES, Question, Series, name_of
from .times import moments

FINITE = pa.Check(lambda values: ~np.isinf(values), error="infinite")
POSITIVE = pa.Check(lambda values: ~(values <= 0), error="not above zero, as in the training data")
NAMES = ("y_hat", "lo_80", "hi_80", "lo_95", "hi_95")  # in the order of the columns


class Forecaster(Protocol):
    """What scoring needs of a model."""

    @property
    def shape(self) -> Any: ...  # a `Grid` with its `history`

    levels: tuple[str, ...]  # names of the quantiles, in order
    manifest: Any  # which says whether values must be above zero

    def answer_many(self, questions: list[Question]) -> list[np.ndarray]: ...


class Part(NamedTuple):
    """Whole series of one file: unique_id, ds, y, covariates and line."""

    file: str
    rows: pd.DataFrame
    rejected: list[Rejected]


class SeriesScorer(Scorer):
    """Continues each series for one horizon."""

    def __init__(self, model: Forecaster, columns: Columns, params: Any) -> None:
        self._model, self._grid = model, model.shape
        self._data, self._seasons = params.data, params.season_lengths
        self._places = [model.levels.index(name) for name in NAMES]
        data, grid = params.data, model.shape
        named = {"unique_id": data.id_column, "ds": data.time_column, "y": data.target_column}
        named |= {name: name for name in (*grid.past_columns, *grid.future_columns)}
        self._columns = {own: theirs for own, theirs in named.items() if theirs is not None}
        check(columns, [*self._columns.values()])

    def parts(self, files: list[Input], size: int) -> Iterator[tuple[int, Part]]:
        """Yield whole series, together at least `size` rows, or the rest of a file."""
        for file in files:
            rejected: list[Rejected] = []
            seen: set[str] = set()
            left = pd.DataFrame()

            def damaged(line: int, why: str, name: str = file.name, to: Any = rejected) -> None:
                to.append(Rejected(name, line, why))

            for lines, found in inputs.tables(file, [*self._columns.values()], damaged):
                left = pd.concat([left, self._frame(found, lines)], ignore_index=True)
                names = left["unique_id"].to_numpy()
                begins = np.flatnonzero(names[1:] != names[:-1]) + 1
                if not len(begins) or begins[-1] < size:
                    continue
                yield self._part(file, left[: begins[-1]], rejected, seen)
                left = left[begins[-1] :].reset_index(drop=True)
            if len(left) or rejected:
                yield self._part(file, left, rejected, seen)

    def _frame(self, found: pyarrow.Table, lines: np.ndarray) -> pd.DataFrame:
        rows = found.to_pandas(ignore_metadata=True)
        rows = pd.DataFrame({own: rows[theirs] for own, theirs in self._columns.items()})
        for name in rows.columns.difference(["unique_id"]):
            if rows[name].dtype == object or pd.api.types.is_string_dtype(rows[name]):
                rows[name] = rows[name].astype(object).where(~rows[name].isin(MISSING), None)
        names = rows["unique_id"] if "unique_id" in rows else pd.Series(ONLY_SERIES, rows.index)
        known = {one: name_of("" if one is None else str(one)) for one in names.unique()}
        return rows.assign(unique_id=names.map(known), line=lines)

    def _part(
        self, file: Input, rows: pd.DataFrame, rejected: list[Rejected], seen: set[str]
    ) -> tuple[int, Part]:
        """Return a part without series that are in several places, and its number of rows."""
        count, taken = len(rows) + len(rejected), [*rejected]
        rejected.clear()
        if rows.empty:
            return count, Part(file.name, rows, taken)

        names, lines = rows["unique_id"], rows["line"]
        begins = names[names != names.shift()]
        wrong = begins[begins.isin(seen) | begins.duplicated() | (begins == "")]
        for at, name in wrong[~wrong.duplicated()].items():
            apart = f"series {name!r:.40} continues after others; sort the file by series and time"
            why = apart if name else "the name of the series is missing"
            taken.append(Rejected(file.name, int(lines[at]), why))
        rows = rows[~names.isin(wrong)]
        seen.update(begins)
        return count, Part(file.name, rows.reset_index(drop=True), taken)

    def score(self, part: Part) -> Scored:
        """Forecast the series of a part; one that cannot be is rejected, with its first line."""
        rejected = [*part.rejected]
        try:
            questions = self._questions(part.rows, part.file)
        except UserError:  # of which series?
            questions = []
            for name, own in part.rows.groupby("unique_id", sort=False):
                try:
                    questions += self._questions(own.reset_index(drop=True), part.file)
                except UserError as error:
                    why = f"series {name!r:.40}: {str(error).splitlines()[0]}"
                    rejected.append(Rejected(part.file, int(own["line"].iloc[0]), why))
        answers = self._model.answer_many(questions) if questions else []
        lines = part.rows.groupby("unique_id", sort=False)["line"].first()
        kept = []
        for question, answer in zip(questions, answers, strict=True):
            if np.isfinite(answer).all():
                kept.append((question, answer))
            else:
                name = question.series.name
                why = f"series {name!r:.40}: its values are too large to compute a forecast"
                rejected.append(Rejected(part.file, int(lines[name]), why))
        asked, given = [one for one, _ in kept], [one for _, one in kept]
        return Scored(self._table(asked, given), sorted(rejected), asked, given)

    def _questions(self, rows: pd.DataFrame, file: str) -> list[Question]:
        """Return what to ask of the series of rows, checked as training data are."""
        if rows.empty:
            return []
        data, grid = self._data, self._grid
        field = f"data.time_column {data.time_column!r} of {file}"
        ds, offsets = moments(rows, grid.freq, grid.timezone, field)
        if not is_daily(grid.freq) and grid.timezone is None and offsets != grid.offsets:
            have = "have offsets, and those of" if offsets else "lack the offsets that those of"
            raise UserError(f"{field}: times {have} the training data {'do not' * offsets}have")
        rows = rows.assign(ds=ds).sort_values(["unique_id", "ds"], kind="stable", ignore_index=True)
        history, _ = table.without_ends(rows)
        history = self._checked(history, file)
        is_single = data.id_column is None
        checks.check_times(history, grid.freq, grid.timezone, is_single, data.time_column, file)
        whole = table.complete(history, grid.freq)
        checks.check_gaps(whole, data.gaps, data.target_column, file)
        whole, _ = table.fill(whole, self._seasons, data.gaps)
        whole = whole.groupby("unique_id", sort=False).tail(grid.history).reset_index(drop=True)
        sizes = whole.groupby("unique_id", sort=False).size()
        if (sizes < grid.history).any():
            raise UserError(f"{sizes.min():,} steps, and the model needs at least {grid.history:,}")
        series = table.series_of(whole, grid)
        if grid.future_columns:
            series = [self._ahead(one, rows, file) for one in series]
        return [Question(one, grid.horizon, grid.horizon) for one in series]

    def _checked(self, rows: pd.DataFrame, file: str) -> pd.DataFrame:
        """Return rows with numbers as float64; raises `UserError` for unusable values."""
        fields = {own: f"{theirs!r} of {file}" for own, theirs in self._columns.items()}
        fields = {own: said for own, said in fields.items() if own not in ("unique_id", "ds")}
        columns = {name: pa.Column(checks=FINITE, nullable=name == "y") for name in fields}
        if self._model.manifest.positive:
            columns["y"] = pa.Column(checks=[FINITE, POSITIVE], nullable=True)
        return checks.check_values(rows, pa.DataFrameSchema(columns), fields)

    def _ahead(self, series: Series, rows: pd.DataFrame, file: str) -> Series:
        """Return a series with the covariates of the horizon; if there are none, the last stay."""
        grid: Grid = self._grid
        first = series.start + grid.step * len(series.y)
        own = rows[(rows["unique_id"] == series.name) & (rows["ds"] >= first)]
        own = own.head(grid.horizon)
        if own.empty:
            return series
        wanted = first + grid.step * np.arange(grid.horizon)
        if len(own) < grid.horizon or (own["ds"].to_numpy("datetime64[s]") != wanted).any():
            raise UserError(
                f"{file} lacks {', '.join(grid.future_columns)} for some of the {grid.horizon} "
                "steps after its last value"
            )
        known = self._checked(own.assign(**dict.fromkeys(("y", *grid.past_columns), 1.0)), file)
        ahead = known[grid.future_columns].to_numpy(np.float32)
        return replace(series, future=np.concatenate([series.future[: len(series.y)], ahead]))

    def _table(self, questions: list[Question], answers: list[np.ndarray]) -> pyarrow.Table:
        """Return a row for each series and step: unique_id, ds, y_hat and the intervals."""
        grid: Grid = self._grid
        horizon = np.arange(grid.horizon)
        starts = [one.series.start + grid.step * len(one.series.y) for one in questions]
        ds = [start + grid.step * horizon for start in starts]
        values = np.concatenate([np.empty((0, len(NAMES))), *(a[:, self._places] for a in answers)])
        names = np.repeat([one.series.name for one in questions], grid.horizon)
        return pyarrow.table(
            {
                "unique_id": pyarrow.array(names.tolist(), pyarrow.string()),
                "ds": pyarrow.array(
                    np.concatenate([np.empty(0, "datetime64[s]"), *ds]),
                    pyarrow.timestamp("s", "UTC" if grid.zone else None),
                ),
                **{name: values[:, column] for column, name in enumerate(NAMES)},
            }
        )
