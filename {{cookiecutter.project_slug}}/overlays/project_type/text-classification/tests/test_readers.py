"""Files of each kind are read into the same rows, whatever else they hold."""

import csv
import io
import json
from pathlib import Path

import hypothesis
import pandas as pd
import pytest
from hypothesis import given as with_examples
from hypothesis import strategies as st

from portfolio_kit.errors import UserError
from portfolio_kit.labels import tidy

from {{cookiecutter.package_name}}.data.prepare import SPLITS, prepare, read_split
from {{cookiecutter.package_name}}.data.readers import load

NAMES = ["note", "team", "reporter"]
ROWS = [
    ("Tap drips", "water", "Anna"),
    ('Lamp "7", dark', "power", "Bert"),
    ("Äste\nab", "tree", "Cleo"),
]


@pytest.fixture
def read(configure):
    """Read a file as the data stage reads an official test file: no class may be too small."""

    def read(content, name, group="reporter"):
        if isinstance(content, pd.DataFrame):
            content.to_parquet(name)
        else:
            Path(name).write_bytes(content.encode())
        data = configure({"data.group_column": group}).data
        return load(data, name, None, "data.test_source")[1]

    return read


def table():
    return pd.DataFrame(ROWS, columns=NAMES)


def as_csv(rows, newline="\n"):
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator=newline).writerows([NAMES, *rows])
    return file.getvalue()


def as_jsonl(rows):
    return "".join(json.dumps(dict(zip(NAMES, row, strict=True))) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (as_csv(ROWS), "notes.csv"),
        (as_csv(ROWS), "NOTES.CSV"),
        (as_csv(ROWS, "\r\n"), "notes.csv"),
        ("\ufeff" + as_csv(ROWS), "notes.csv"),
        (as_jsonl(ROWS), "notes.jsonl"),
        (table(), "notes.parquet"),
        (table().astype("category"), "notes.parquet"),
        (table().set_index("team", drop=False), "notes.parquet"),
    ],
    ids=["csv", "upper case", "CRLF", "byte order mark", "jsonl", "parquet", "category", "index"],
)
def test_each_kind_of_file_gives_the_same_rows(content, name, read):
    rows = read(content, name)
    assert list(zip(rows["text"], rows["label"], rows["group"], strict=True)) == ROWS


def test_numbers_and_words_for_nothing_stay_as_they_are_written(read):
    rows = read("note,team,reporter\n007,NA,1.50\nnull, None ,nan\n", "notes.csv")
    assert rows["text"].tolist() == ["007", "null"]
    assert rows["label"].tolist() == ["NA", "None"]
    assert rows["group"].tolist() == ["1.50", "nan"]


def test_without_a_group_column_each_row_is_its_own_group(read):
    halves = pd.concat([table(), table()])  # as often happens, the index repeats itself
    for rows in (read(as_csv(ROWS), "notes.csv", None), read(halves, "notes.parquet", None)):
        assert rows["group"].is_unique


def test_lines_are_those_of_an_editor(read):
    rows = read(as_csv([*ROWS, ("Key lost", "locks", "Dora")], "\r\n"), "notes.csv")
    assert rows["line"].tolist() == [2, 3, 4, 6]  # the third note has two lines
    one, two, three = as_jsonl(ROWS).splitlines()
    assert read(f"{one}\n\n\n{two}\n  \n{three}\n", "notes.jsonl")["line"].tolist() == [1, 4, 6]


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        ("", "notes.csv", "cannot be parsed"),
        (as_csv(ROWS) + "a,b,c,d,e\n", "notes.csv", "line 6"),
        (as_jsonl(ROWS) + '{"note": \n', "notes.jsonl", "cannot be parsed: line 4: "),
        ("not Parquet", "notes.parquet", "cannot be parsed"),
        ("[1]", "notes.json", "cannot be parsed"),
        (as_csv(ROWS), "notes.txt", "use a .csv, .jsonl or .parquet file"),
    ],
    ids=["empty", "too many fields", "broken line", "not Parquet", "not a bundle", "suffix"],
)
def test_an_unreadable_file_is_rejected_by_name(content, name, reason, read):
    with pytest.raises(UserError, match=reason) as error:
        read(content, name)
    assert str(error.value).startswith(f"data.test_source: {name}")
    assert "\n" not in str(error.value)


# Whatever a file holds next to enough good rows: three splits without a fault, or a reason.
TEAMS = ["water", "power", "garden"]
GOOD = [(f"{team} fault, number {n}", team, f"r{n}") for n in range(20) for team in TEAMS]
CRUMBS = ["", "\x00", "\ufeff", '"', "\\", "\r\n", ",", "{", "NaN", "-1", "\ud800", "\x85", "🚰"]
PIECES = st.one_of(st.text(max_size=8), st.sampled_from(CRUMBS))
TEXTS = st.lists(PIECES, max_size=3).map("".join)
CELLS = st.one_of(
    TEXTS,
    st.sampled_from([*TEAMS, "", " ", "nan"]),
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(TEXTS, st.integers(), max_size=2),
)


def examples(count):
    """Return the settings of a test with this many examples, the same each time."""
    quiet = list(hypothesis.HealthCheck)
    return hypothesis.settings(
        max_examples=count, derandomize=True, deadline=None, suppress_health_check=quiet
    )


@pytest.fixture
def prepared(given):
    """Run the data stage on a file's content; return texts with labels, or None if rejected."""
    params = {}

    def prepared(content, name, group="reporter"):
        if (name, group) not in params:  # reading it again for each example would take long
            params[name, group] = given("", name, group_column=group)
        Path(name).write_bytes(content.encode("utf-8", "surrogatepass"))
        try:
            prepare(params[name, group])
        except UserError:
            return None
        rows = pd.concat(map(read_split, SPLITS))
        assert all(isinstance(text, str) and text.strip() for text in rows["text"])
        return set(zip(rows["text"], rows["label"], strict=True))

    return prepared


@pytest.mark.parametrize("group", [None, "reporter"])
def test_unaltered_files_are_prepared(prepared, group):
    for name, content in (("notes.csv", as_csv(GOOD)), ("notes.jsonl", as_jsonl(GOOD))):
        assert prepared(content, name, group) == {(text, label) for text, label, _ in GOOD}


@examples(150)
@with_examples(st.lists(st.tuples(TEXTS, st.one_of(st.sampled_from(TEAMS), TEXTS), TEXTS)))
def test_any_rows_of_a_csv_come_through_unchanged_or_are_rejected(prepared, rows):
    found = prepared(as_csv([*GOOD, *rows]), "notes.csv")
    if found is not None:
        assert found <= {(text, tidy(label)) for text, label, _ in [*GOOD, *rows]}


RECORDS = st.fixed_dictionaries(
    {"note": st.one_of(TEXTS, CELLS), "team": st.one_of(st.sampled_from(TEAMS), CELLS)},
    optional={"reporter": st.one_of(st.just("r1"), CELLS)},
)


@examples(150)
@with_examples(st.lists(RECORDS, max_size=3), st.sampled_from([None, "reporter"]))
def test_any_records_of_a_jsonl_come_through_unchanged_or_are_rejected(prepared, records, group):
    content = as_jsonl(GOOD) + "".join(json.dumps(record) + "\n" for record in records)
    found = prepared(content, "notes.jsonl", group)
    if found is not None:
        whole = [(text, label) for text, label, _ in GOOD]
        whole += [(record["note"], record["team"]) for record in records]
        assert found <= {(text, tidy(label)) for text, label in whole}
