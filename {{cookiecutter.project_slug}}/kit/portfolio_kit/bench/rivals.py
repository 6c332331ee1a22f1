"""What a project compares its API with; `benchmarks/rivals.py` has its own."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Rival:
    """Another way to answer the same requests; it reads PORT from the environment."""

    name: str
    about: str
    command: list[str]
    folder: Path = Path()  # where it runs


@dataclass(frozen=True)
class Goal:
    """How one of this API's figures should compare with a rival's, as a ratio, or stand alone."""

    metric: str  # p50, p99 or rate
    clients: int
    rival: str | None  # None: the figure itself, in its unit
    at_least: float = 0
    at_most: float = math.inf
    server: str | None = None  # whose figure counts; None: this API's


@dataclass(frozen=True)
class Figure:
    """One promise: what was measured, next to its target."""

    name: str
    target: str
    measured: str
    value: float
    is_met: bool


@dataclass(frozen=True)
class Rivals:
    """All that the serving benchmark needs to know of a project type."""

    path: str  # of the route
    bodies: Callable[[], list[str]]  # the requests
    others: Callable[[Any, Path], list[Rival]]  # given parameters and the benchmark's interpreter
    goals: tuple[Goal, ...]
    tolerance: Mapping[str, float]  # of the difference, by the model's precision
    difference: Callable[[Any, Any], float | None]  # of two answers; None: not comparable
    figures: Callable[[Any, Any], Iterable[Figure]] = field(default=lambda measured, params: ())
