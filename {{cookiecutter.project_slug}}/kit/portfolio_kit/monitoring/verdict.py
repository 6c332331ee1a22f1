"""`reports/drift.json`: the last verdict of `monitor`."""

from ..artifacts import REPORTS
from ..records import Interval, Record

VERDICT = REPORTS / "drift.json"


class Finding(Record):
    """How one signal compares: the chance of so large a difference, and its size."""

    signal: str
    test: str
    p_value: float
    adjusted: float  # p-value corrected for the number of signals
    effect: float  # 0: the same distribution; 1: no overlap
    reference: dict[str, float]
    window: dict[str, float]
    is_alarm: bool


class Quality(Record):
    """The score of answers whose outcome is known, and that of the held-out test set.

    Too few answers or test rows have no interval, and without both there is no alarm.
    """

    metric: str
    answers: int
    live: float
    interval_95: Interval | None
    held_out: float
    held_out_interval_95: Interval | None
    is_alarm: bool


class Invalid(Record):
    """Requests that were rejected with a 422."""

    invalid: int
    requests: int
    fields: dict[str, int]
    unreadable_lines: int  # of the log
    p_value: float
    is_alarm: bool


class Verdict(Record):
    """What `monitor` found."""

    checked: str
    model_version: str
    alarm: bool
    reasons: list[str]
    first: str
    last: str
    answers: int
    signals: list[Finding]
    data_quality: Invalid
    quality: Quality | None
