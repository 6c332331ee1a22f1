"""Steps have a fixed length, and lengths have a name."""

import numpy as np
import pandas as pd
import pytest

from portfolio_kit.errors import UserError
from portfolio_kit.timegrid.frequency import duration, freq_of, parse_freq

FREQS = {"15min": 900, "h": 3600, "6h": 21_600, "D": 86_400, "W": 604_800, "2W": 1_209_600}


@pytest.mark.parametrize(("freq", "seconds"), FREQS.items())
def test_a_step_has_a_length(freq, seconds):
    assert parse_freq(freq) == np.timedelta64(seconds, "s")
    assert freq_of(parse_freq(freq)) == freq


def test_lengths_are_named_as_simply_as_possible():
    assert freq_of(pd.Timedelta("90min").to_timedelta64()) == "90min"
    assert freq_of(pd.Timedelta("24h").to_timedelta64()) == "D"
    assert freq_of(pd.Timedelta("90s").to_timedelta64()) == "90 s"
    assert freq_of(pd.Timedelta("500ms").to_timedelta64()) == "0.5 s"


@pytest.mark.parametrize(
    ("steps", "freq", "words"),
    [
        (48, "h", "48 hours"),
        (1, "D", "1 day"),
        (96, "15min", "96 steps of 15 minutes"),
        (1, "2W", "1 step of 2 weeks"),
        (1_000, "min", "1,000 minutes"),
    ],
)
def test_steps_take_a_time_in_words(steps, freq, words):
    assert duration(steps, freq) == words


FAULTY = ["", "0h", "000D", "00min", "1.5h", "-1h", "M", "MS", "H", "hour", "90s", "h\n", "12345h"]


@pytest.mark.parametrize("freq", FAULTY)
def test_steps_without_a_fixed_length_are_rejected(freq):
    with pytest.raises(UserError) as error:
        parse_freq(freq)
    reason = f"data.freq: {freq!r} is not a step of fixed length; write "
    assert str(error.value).startswith(reason)
