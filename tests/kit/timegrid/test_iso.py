"""Each form of a time in ISO 8601 is read right, or rejected: in files as in requests."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hostile import examples
from hypothesis import assume
from hypothesis import given as with_examples
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from portfolio_kit.errors import UserError
from portfolio_kit.timegrid import files, iso, times
from portfolio_kit.timegrid.requests import FutureRow

ROWS = TypeAdapter(list[FutureRow])
OFFSETS = st.one_of(
    st.none(),
    st.just("Z"),
    st.tuples(
        st.sampled_from("+-"), st.integers(0, 23), st.integers(0, 59), st.sampled_from(["", ":"])
    ),
)


@st.composite
def forms(draw):
    """Return a time as text, and as a datetime that is put together without a parser."""
    moment = draw(st.datetimes(datetime(1700, 1, 2), datetime(2199, 12, 30))).replace(microsecond=0)
    dash, colon = draw(st.sampled_from([("-", ":"), ("", ""), ("-", ""), ("", ":"), ("/", ":")]))
    text = dash.join([f"{moment.year:04}", f"{moment.month:02}", f"{moment.day:02}"])
    parts = draw(st.integers(0, 3))
    clock = [moment.hour, moment.minute, moment.second][:parts]
    moment = datetime(moment.year, moment.month, moment.day, *clock)
    if not parts:
        return text, moment
    text += draw(st.sampled_from("Tt ")) + colon.join(f"{one:02}" for one in clock)
    if parts == 3:
        text += draw(st.sampled_from(["", ".0", ",000", ".000000000"]))
    offset = draw(OFFSETS)
    if offset is None:
        return text, moment
    text += draw(st.sampled_from(["", " "]))
    if offset == "Z":
        return text + draw(st.sampled_from("Zz")), moment.replace(tzinfo=UTC)
    sign, hours, minutes, between = offset
    if draw(st.booleans()):
        minutes, text = 0, f"{text}{sign}{hours:02}"
    else:
        text = f"{text}{sign}{hours:02}{between}{minutes:02}"
    ahead = timedelta(hours=hours, minutes=minutes) * (1 if sign == "+" else -1)
    return text, moment.replace(tzinfo=timezone(ahead))


def read(text, suffix, freq="h", zone=None):
    """Return the first moment of a file that has this text twice, and whether it has an offset."""
    path = Path(f"times.{suffix}")
    table = pd.DataFrame({"ts": [text, text], "y": [1, 2]})
    if suffix == "csv":
        table.to_csv(path, index=False)
    elif suffix == "jsonl":
        path.write_text("\n".join(json.dumps({"ts": text, "y": 1}) for _ in range(2)))
    else:
        table.to_parquet(path)
    rows = files.read(path, "data.source", "ts", "y", None, {})
    found, has_offset = times.moments(rows, freq, zone, "data.time_column")
    return found[1].to_pydatetime(), has_offset


@examples(100)
@with_examples(forms())
def test_a_form_means_the_same_in_every_file_and_in_a_request(form):
    text, expected = form
    found = iso.parse(text)
    assert (found, found.utcoffset()) == (expected, expected.utcoffset())
    utc = expected.astimezone(UTC).replace(tzinfo=None) if expected.tzinfo else expected
    for suffix in ("csv", "jsonl", "parquet"):
        assert read(text, suffix) == (utc, expected.tzinfo is not None)
        day, _ = read(text, suffix, "D", "Asia/Tokyo")
        if not expected.tzinfo or (expected.hour, expected.minute, expected.second) == (0, 0, 0):
            assert day == expected.replace(tzinfo=None)  # the date as written
        else:
            assert day == expected.astimezone(ZoneInfo("Asia/Tokyo")).replace(tzinfo=None)
    [row] = ROWS.validate_python([{"ds": text}])
    assert (row["ds"], row["ds"].utcoffset()) == (expected, expected.utcoffset())


@examples(500)
@with_examples(
    st.one_of(
        st.from_regex(r"\A\d{4}-?\d\d-?\d\d[T ]?[\d:.,]{0,9} ?[Z+-]?[\d:]{0,6}\Z"),
        st.text("0123456789-:+.,TZW/ ", max_size=25),
    )
)
def test_what_is_read_is_read_as_the_standard_library_does(text):
    try:
        found = iso.parse(text)
    except ValueError as error:
        assert str(error) in (iso.NOT_ISO, iso.NOT_WHOLE, iso.TOO_FAR)  # noqa: PT017
        return
    assume("/" not in text)
    head, blank, offset = text.strip().rpartition(" ")
    joined = head + offset if blank and offset[0] in "Z+-" else text.strip()
    expected = datetime.fromisoformat(joined)
    assert (found, found.utcoffset()) == (expected, expected.utcoffset())


@pytest.mark.parametrize(
    "text",
    [
        "2024",
        "2024-05",
        "202405",
        "2024-122",
        "2024122",
        "2024-W18",
        "2024-W18-3",
        "2024W183",
        "2024-05-01T12.5",
        "2024-05-01T12:30,5",
        "2024-05-01T24:00",
        "2024-05-01T23:59:60Z",
        "2024-05-01T00:00\u221205:00",
        "2024-05-01T00:00+24:00",
        "2024-05-01T00:00+5:30",
        "2024-05-01+02:00",
        "2024-05-01Z",
        "+002024-05-01",
        "-0001-05-01",
        "2024-05-01/2024-05-02",
        "P1D",
        "2024-05-0100:00",
        "202405010000",
        "1714564800",
        "1714564800000",
        "2024-05-01T1:00",
        "2024-5-1",
        "\u0662024-05-01",
        "2024-05-01T00:00[Europe/Berlin]",
        "",
    ],
)
def test_other_forms_are_rejected_in_every_file_and_in_a_request(text):
    for suffix in ("csv", "jsonl", "parquet") if text else ():
        with pytest.raises(UserError, match=r"^data.time_column: 2 rows \(.*\) are not in ISO"):
            read(text, suffix)
    with pytest.raises(ValidationError) as error:
        ROWS.validate_python([{"ds": text}])
    [problem] = error.value.errors()
    assert (problem["loc"], problem["msg"]) == ((0, "ds"), f"is {iso.NOT_ISO}")


@pytest.mark.parametrize("number", [1714564800, 20240501, 1714564800.5, True, None, ["2024-05-01"]])
def test_numbers_are_no_times_in_a_request_either(number):
    with pytest.raises(ValidationError, match="not in ISO 8601"):
        ROWS.validate_python([{"ds": number}])
