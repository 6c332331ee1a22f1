"""The last verdict of `monitor`, for Prometheus."""

import json
from collections.abc import Iterator
from datetime import datetime

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ..artifacts import REPORTS

VERDICT = REPORTS / "drift.json"


class Verdict(Collector):
    """Read anew each time; while there is none of this model, there is nothing to collect."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self._version = version

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield whether it was an alarm, and when that was found."""
        try:
            verdict = json.loads(VERDICT.read_text(encoding="utf-8"))
            if verdict["model_version"] != self._version:
                return
            alarm = float(verdict["alarm"])
            checked = datetime.fromisoformat(verdict["checked"]).timestamp()
        except (OSError, ValueError, TypeError, KeyError):  # none yet, or half copied
            return
        yield GaugeMetricFamily("drift_alarm", "1: the last `monitor` raised an alarm", alarm)
        name = "drift_checked_timestamp_seconds"
        yield GaugeMetricFamily(name, "When `monitor` ran last", checked)
