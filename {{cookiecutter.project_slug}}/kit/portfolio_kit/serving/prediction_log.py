"""Logs questions and answers for `monitor`: a sample, bounded, and never in a request's way.

One JSON object per line, in `predictions.jsonl` and the older `predictions.jsonl.1` and so on. One
process writes to a folder.
"""

import json
import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from prometheus_client import Counter, Summary

from ..config import Log
from ..project import Observation, Observe
from .prometheus import metric

LOGGED = metric(Counter, "predictions_logged", "Answers, by whether they reached the log", ["how"])
SIGNALS = metric(Summary, "prediction_signal", "Signals of logged answers", ["signal"])
NAME = "predictions.jsonl"
FILES = 4  # that share the folder's limit
MAX_WAITING = 1_000  # requests waiting to be written; more are dropped
CLOSE_SECONDS = 5
Lines = Callable[[], list[dict[str, Any]]]
log = logging.getLogger(__package__)


class PredictionLog:
    """Writes on its own thread; a full or read-only disk costs no answer."""

    def __init__(self, settings: Log, version: str, observe: Observe) -> None:
        self._settings, self._version, self._observe = settings, version, observe
        self._has_failed = False
        self._waiting: queue.Queue[Lines | None] = queue.Queue(MAX_WAITING)
        self._thread = threading.Thread(target=self._write, name="predictions", daemon=True)
        if settings.folder is not None:
            self._thread.start()

    def add(self, request_id: str, inputs: Sequence[Any], answers: Sequence[Any]) -> None:
        """Log a sample of a request's items; an item's id is the request's and its place."""
        moment = _now()
        rows = [row for row in range(len(inputs)) if random.random() < self._settings.sample]

        def lines() -> list[dict[str, Any]]:  # computed by the writing thread
            return [
                {"time": moment, "id": f"{request_id}/{row}", "model_version": self._version}
                | self._kept(self._observe(inputs[row], answers[row]))
                for row in rows
            ]

        self._put(lines, len(rows))

    def reject(self, problems: list[dict[str, Any]]) -> None:
        """Log which fields of a request were invalid, and nothing of their content."""
        if random.random() < self._settings.sample:
            fields = sorted({".".join(problem["loc"]) for problem in problems})
            line = {"time": _now(), "model_version": self._version, "invalid": fields}
            self._put(lambda: [line], 1)

    def close(self) -> None:
        """Write what waits, for at most `CLOSE_SECONDS`."""
        if self._thread.is_alive():
            deadline = time.monotonic() + CLOSE_SECONDS
            with suppress(queue.Full):  # the disk is stuck
                self._waiting.put(None, timeout=CLOSE_SECONDS)
            self._thread.join(max(0.0, deadline - time.monotonic()))

    def _kept(self, observation: Observation) -> dict[str, Any]:
        for name, value in observation.signals.items():
            if not isinstance(value, str):
                SIGNALS.labels(name).observe(value)
        kept = observation._asdict()
        return {**kept, "input": None} if self._settings.redact else kept

    def _put(self, lines: Lines, count: int) -> None:
        if self._settings.folder is None or not count:
            return
        try:
            self._waiting.put_nowait(lines)
        except queue.Full:
            LOGGED.labels("dropped").inc(count)

    def _write(self) -> None:
        file = None
        while (lines := self._waiting.get()) is not None:
            try:
                file = file or _File(self._settings)
                for line in lines():
                    file.handle(logging.makeLogRecord({"msg": json.dumps(line)}))
                    LOGGED.labels("logged").inc()
            except Exception as error:  # whatever it is, the API keeps answering
                if not self._has_failed:
                    log.warning("serve.log.folder: not everything is logged: %s", error)
                self._has_failed = True
                LOGGED.labels("failed").inc()
        if file:
            file.close()


class _File(RotatingFileHandler):
    """The newest file; a full one is renamed."""

    def __init__(self, settings: Log) -> None:
        assert settings.folder is not None
        folder = Path(settings.folder)
        folder.mkdir(parents=True, exist_ok=True)
        size = settings.megabytes * 1_000_000 // FILES
        super().__init__(folder / NAME, maxBytes=size, backupCount=FILES - 1, encoding="utf-8")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Pass the error on to the caller."""
        raise


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
