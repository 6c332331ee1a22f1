"""Steps of a fixed length."""

import re

import numpy as np

from ..errors import UserError

MINUTE, HOUR, DAY = (np.timedelta64(seconds, "s") for seconds in (60, 3600, 86_400))
YEAR = 365 * DAY
UNITS = {"min": MINUTE, "h": HOUR, "D": DAY, "W": 7 * DAY}
NOUNS = {"min": "minute", "h": "hour", "D": "day", "W": "week"}


def parse_freq(freq: str) -> np.timedelta64:
    """Return the length of a step in seconds; raises `UserError` if it has no fixed length."""
    match = re.fullmatch(r"(\d{0,4})(min|h|D|W)", freq)
    if not match or match[1].strip("0") == "" != match[1]:
        raise UserError(
            f"data.freq: {freq!r} is not a step of fixed length; write 30min, h, D or W, "
            "for example"
        )
    return int(match[1] or 1) * UNITS[match[2]]


def is_daily(freq: str) -> bool:
    """Return whether steps are whole days: these are dates, and have no zone."""
    return bool(parse_freq(freq) % DAY == 0)


def freq_of(step: np.timedelta64) -> str:
    """Return a step as `parse_freq` reads it, such as 30min; or as "90 s" if it cannot."""
    for freq, unit in reversed(UNITS.items()):
        count, rest = divmod(step, unit)
        if not rest:
            return freq if count == 1 else f"{count}{freq}"
    return f"{step / MINUTE * 60:g} s"


def duration(steps: int, freq: str) -> str:
    """Return in words how long steps take, such as 48 hours, or 48 steps of 30 minutes."""
    length, number = parse_freq(freq), re.sub(r"\D", "", freq)
    noun = NOUNS[freq.removeprefix(number)]
    if length == UNITS[freq.removeprefix(number)]:
        return f"{steps:,} {noun}{'s' * (steps != 1)}"
    return f"{steps:,} step{'s' * (steps != 1)} of {int(number)} {noun}s"
