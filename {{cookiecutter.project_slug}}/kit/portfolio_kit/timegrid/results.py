"""What a report says of a forecaster: what was scored, and the lead over each baseline."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field

from .. import records
from ..data_section import code
from ..markdown import table
from ..records import Interval, Record
from .frequency import duration
from .grid import Grid

UNKNOWN = "too few origins to say"
STEPS = 6  # of a request that shows how to ask


class Dataset(records.Dataset):
    """The manifest of `data/processed/`."""

    starts: dict[str, str]  # of the validation and the test block
    ends: list[str] = Field(default_factory=list)  # the first and the last moment
    series: int
    filled: int  # values
    shape: Grid

    def contents(self) -> dict[str, str]:
        """Return the series and their columns, and what is known of these when."""
        said, names = self.settings, self.shape
        which = f", named by {code(said['id_column'])}" if said.get("id_column") else ""
        column = f" of {code(said['target_column'])}" if "target_column" in said else ""
        period = f", from {self._at(self.ends[0])} to {self._at(self.ends[1])}" if self.ends else ""
        known = {
            "known in advance": names.future_columns,
            f"known {said.get('past_delay', 0)} steps later": names.past_columns,
        }
        columns = [f"{', '.join(map(code, some))} ({when})" for when, some in known.items() if some]
        return {
            "Series": f"{self.series:,}{which}{column}, in steps of {code(names.freq)}{period}",
            "Covariates": "; ".join(columns) or "none",
            "Filled": f"{self.filled:,} missing values (`data.gaps`)" if self.filled else "",
        }

    def how_split(self) -> str:
        """Return where the blocks of time begin."""
        valid, test = (self._at(self.starts[name]) for name in ("valid", "test"))
        return (
            f"by time, at the same moments for all series; validation begins at {valid}, the test "
            f"at {test}"
        )

    def _at(self, moment: str) -> str:
        return self.shape.written(np.datetime64(moment).astype("datetime64[s]"))


def request(model: Any) -> dict[str, Any]:
    """Return the body of a request: some steps of the only or the first stored series."""
    first, *others = model.widths_by_series
    which = {"unique_id": first} if others else {}
    return {**which, "h": min(model.shape.horizon, STEPS), "level": [80]}


class Rolling(Record):
    """How the test block was cut into windows."""

    n_windows: int
    step_size: int

    def words(self, series: int, grid: Grid) -> str:
        """Return what was scored, in words."""
        of = f" of {series:,} series" if series > 1 else ""
        length = duration(grid.horizon, grid.freq)
        return f"{self.n_windows:,} held-out forecasts{of}, {length} each"


class Comparison(Record):
    """How much lower the model's error is than a baseline's; None: too few origins to say."""

    difference: float
    interval_95: Interval | None
    diebold_mariano_p: float | None


def against(baselines: Mapping[str, Comparison], metric: str) -> str:
    """Return a table of the leads over baselines in a metric."""
    rows = []
    for name, one in baselines.items():
        limits = "{:.3f} to {:.3f}".format(*one.interval_95) if one.interval_95 else UNKNOWN
        p_value = "–" if one.diebold_mariano_p is None else f"{one.diebold_mariano_p:.2g}"
        rows.append((name, f"{one.difference:.3f}", limits, p_value))
    return table(f"against|{metric.upper()} lower by|95% interval|Diebold-Mariano p", rows)
