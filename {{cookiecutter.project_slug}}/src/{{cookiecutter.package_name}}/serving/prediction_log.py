"""Keeps what was asked and answered, for `monitor`: some of it, off the requests' way, and bounded.

One JSON object a line, in `predictions.jsonl` and older files `predictions.jsonl.1` and so on. One
process writes into a folder.
"""

import json
import logging
import queue
import random
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client import Counter, Summary

from ..config import Log

LOGGED = Counter("predictions_logged", "Answers, by whether the prediction log has them", ["how"])
SIGNALS = Summary("prediction_signal", "What is measured of answers that are logged", ["signal"])
NAME = "predictions.jsonl"
MODE = "mode"  # a signal: in which way, where a model can answer in several
FILES = 4  # that the folder's room is divided among
MAX_WAITING = 1_000  # requests that wait to be written; those beyond are left out
CLOSE_SECONDS = 5
Lines = Callable[[], list[dict[str, Any]]]
log = logging.getLogger(__package__)


class Observation(NamedTuple):
    """What is kept of one answer."""

    input: Any  # what was asked; left out where it has to be
    answer: Any  # as much as it takes to tell later whether it was right
    signals: dict[str, float | str]  # what `monitor` compares with the data of training


class PredictionLog:
    """Writes on a thread of its own; a disk that is full or read-only costs no answer."""

    def __init__(
        self, settings: Log, version: str, observe: Callable[[Any, Any], Observation]
    ) -> None:
        self._settings, self._version, self._observe = settings, version, observe
        self._has_failed = False
        self._waiting: queue.Queue[Lines | None] = queue.Queue(MAX_WAITING)
        self._thread = threading.Thread(target=self._write, name="predictions", daemon=True)
        if settings.folder is not None:
            self._thread.start()

    def add(self, request_id: str, inputs: Sequence[Any], answers: Sequence[Any]) -> None:
        """Keep a sample of what one request asked; an item's id is the request's with its place."""
        moment = _now()
        rows = [row for row in range(len(inputs)) if random.random() < self._settings.sample]

        def lines() -> list[dict[str, Any]]:  # computed by the thread that writes
            return [
                {"time": moment, "id": f"{request_id}/{row}", "model_version": self._version}
                | self._kept(self._observe(inputs[row], answers[row]))
                for row in rows
            ]

        self._put(lines, len(rows))

    def refuse(self, problems: list[dict[str, Any]]) -> None:
        """Keep which fields of a request did not fit, and nothing of what was in them."""
        if random.random() < self._settings.sample:
            fields = sorted({".".join(problem["loc"]) for problem in problems})
            line = {"time": _now(), "model_version": self._version, "refused": fields}
            self._put(lambda: [line], 1)

    def close(self) -> None:
        """Write what waits, and stop."""
        if self._thread.is_alive():
            self._waiting.put(None)
            self._thread.join(CLOSE_SECONDS)

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
            LOGGED.labels("left out").inc(count)

    def _write(self) -> None:
        file = None
        while (lines := self._waiting.get()) is not None:
            try:
                file = file or _File(self._settings)
                for line in lines():
                    file.handle(logging.makeLogRecord({"msg": json.dumps(line)}))
                    LOGGED.labels("logged").inc()
            except Exception as error:  # whatever it is, answers go on
                if not self._has_failed:
                    log.warning("serve.log.folder: not everything is logged: %s", error)
                self._has_failed = True
                LOGGED.labels("failed").inc()
        if file:
            file.close()


class _File(RotatingFileHandler):
    """The newest file, which becomes an older one when it is full."""

    def __init__(self, settings: Log) -> None:
        assert settings.folder is not None
        folder = Path(settings.folder)
        folder.mkdir(parents=True, exist_ok=True)
        size = settings.megabytes * 1_000_000 // FILES
        super().__init__(folder / NAME, maxBytes=size, backupCount=FILES - 1, encoding="utf-8")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Let whoever writes know."""
        raise  # what is being handled by the one that calls this


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
