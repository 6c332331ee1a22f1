"""The review verb: what a reviewer looks for in this project; the code is `review/`."""

from pathlib import Path

from .alongside import load
from .config import Section


def run(params: Section) -> int:
    """Print, write `reports/review.md` and `reports/review.json`; 3 while a must is not met."""
    return int(load("review").review(Path.cwd()))
