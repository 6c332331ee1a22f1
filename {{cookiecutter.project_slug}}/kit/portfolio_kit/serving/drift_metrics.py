"""The last verdict of `monitor`, as Prometheus metrics."""

import logging
from collections.abc import Iterator
from datetime import datetime

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from pydantic import ValidationError

from ..monitoring.verdict import VERDICT, Verdict

log = logging.getLogger(__package__)


class DriftMetrics(Collector):
    """Reads the verdict on each scrape; without one for this model it collects nothing."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self._version = version
        self._has_warned = False

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield whether there was an alarm, and when that was checked."""
        try:
            verdict = Verdict.model_validate_json(VERDICT.read_bytes())
        except OSError:  # none yet
            return
        except ValidationError:
            if not self._has_warned:
                cause = "damaged, or written by another version of this code"
                log.warning("%s: %s; run `make monitor` again", VERDICT, cause)
            self._has_warned = True
            return
        if verdict.model_version != self._version:
            return
        checked = datetime.fromisoformat(verdict.checked).timestamp()
        alarm = "1 if the last `monitor` raised an alarm"
        yield GaugeMetricFamily("drift_alarm", alarm, float(verdict.alarm))
        name = "drift_checked_timestamp_seconds"
        yield GaugeMetricFamily(name, "When `monitor` last ran", checked)
