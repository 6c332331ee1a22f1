"""Prometheus metrics by name: an ejected module and the kit's count in the same ones."""

from collections.abc import Sequence
from typing import Any, TypeVar

from prometheus_client import Counter, Gauge, Histogram, Summary

Metric = TypeVar("Metric", Counter, Gauge, Histogram, Summary)
_known: dict[str, Any] = {}


def metric(
    kind: type[Metric], name: str, help: str, labels: Sequence[str] = (), **options: Any
) -> Metric:
    """Return the process's metric of this name, made by the first call."""
    if name not in _known:
        _known[name] = kind(name, help, labels, **options)
    return _known[name]
