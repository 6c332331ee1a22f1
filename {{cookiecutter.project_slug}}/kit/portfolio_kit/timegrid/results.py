"""What a report says of a forecaster: what was scored, and the lead over each baseline."""

from collections.abc import Mapping

from ..markdown import table
from ..records import Interval, Record
from .frequency import duration
from .grid import Grid

UNKNOWN = "too few origins to say"


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
