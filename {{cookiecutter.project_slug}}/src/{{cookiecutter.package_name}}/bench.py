"""The bench verb: this API against other ways to serve its model; the code is `benchmarks/`."""

from .alongside import load
from .config import Section


def run(params: Section, overrides: list[str]) -> None:
    """Measure, print, and write `reports/bench.md` and `reports/bench.json`."""
    load("benchmarks.serving").run(params, overrides)
