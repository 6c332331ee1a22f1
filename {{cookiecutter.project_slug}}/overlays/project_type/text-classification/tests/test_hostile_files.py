"""Whatever a data file holds: three parts without a fault, or a reason in plain words."""

import csv
import io
import json
from pathlib import Path

import pandas as pd
import pytest
from hostile_fixtures import CRUMBS, altered, examples, prepared
from hypothesis import given as with_examples
from hypothesis import strategies as st

from {{cookiecutter.package_name}}.data import prepare

NAMES = ["note", "team", "reporter"]
TEAMS = ["water", "power", "garden"]
GOOD = [(f"{team} fault, number {n}", team, f"r{n}") for n in range(20) for team in TEAMS]
GOOD_RECORDS = [dict(zip(NAMES, row, strict=True)) for row in GOOD]
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


def as_csv(rows):
    file = io.StringIO(newline="")
    csv.writer(file).writerows([NAMES, *rows])
    return file.getvalue().encode("utf-8", "surrogatepass")


def as_jsonl(rows):
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def as_parquet(rows):
    file = io.BytesIO()
    pd.DataFrame(rows, columns=NAMES).to_parquet(file)
    return file.getvalue()


@pytest.fixture
def prepare_file(given):
    """Run the data stage on a file's content; return what it wrote, or None if that is refused."""
    params = {}

    def prepare_file(content, name, group="reporter"):
        if (name, group) not in params:
            params[name, group] = given(b"", name, group_column=group)
        Path(name).write_bytes(content)
        manifest = prepared(prepare.run, params[name, group])
        if manifest is None:
            return None
        parts = pd.concat(prepare.read_split(part) for part in prepare.SPLITS)
        assert len(parts) == sum(manifest["rows"].values())
        assert all(isinstance(text, str) and text.strip() for text in parts["text"])
        return parts

    return prepare_file


@pytest.mark.parametrize("group", [None, "reporter"])
def test_unaltered_files_are_prepared(prepare_file, group):
    files = {"csv": as_csv(GOOD), "jsonl": as_jsonl(GOOD_RECORDS), "parquet": as_parquet(GOOD)}
    for kind, content in files.items():
        parts = prepare_file(content, f"notes.{kind}", group)
        assert labelled(parts) == labelled_rows(GOOD)


def labelled(parts):
    return set(zip(parts["text"], parts["label"], strict=True))


def labelled_rows(rows):
    return {(text, label) for text, label, _ in rows}


@examples(100)
@with_examples(st.lists(st.tuples(TEXTS, st.one_of(st.sampled_from(TEAMS), TEXTS), TEXTS)))
def test_any_texts_in_a_csv_come_through_as_they_are_or_are_refused(prepare_file, rows):
    parts = prepare_file(as_csv([*GOOD, *rows]), "notes.csv")
    if parts is not None:
        assert labelled(parts) <= {(text, label.strip()) for text, label, _ in [*GOOD, *rows]}


RECORDS = st.one_of(
    st.fixed_dictionaries(
        {"note": st.one_of(TEXTS, CELLS), "team": st.one_of(st.sampled_from(TEAMS), CELLS)},
        optional={"reporter": st.one_of(st.just("r1"), CELLS)},
    ),
    st.dictionaries(st.one_of(st.sampled_from(NAMES), TEXTS), CELLS),
)


@examples(150)
@with_examples(st.lists(RECORDS, max_size=3), st.sampled_from([None, "reporter"]))
def test_any_records_in_a_jsonl_come_through_or_are_refused(prepare_file, rows, group):
    parts = prepare_file(as_jsonl([*GOOD_RECORDS, *rows]), "notes.jsonl", group)
    if parts is not None:
        given = [(row.get("note"), row.get("team")) for row in [*GOOD_RECORDS, *rows]]
        assert labelled(parts) <= {(text, label.strip()) for text, label in given}


@examples(100)
@with_examples(altered(as_csv(GOOD)))
def test_any_altered_csv_is_read_or_refused(prepare_file, content):
    prepare_file(content, "notes.csv")


@examples(100)
@with_examples(altered(as_jsonl(GOOD_RECORDS)))
def test_any_altered_jsonl_is_read_or_refused(prepare_file, content):
    prepare_file(content, "notes.jsonl")


@examples(100)
@with_examples(altered(as_parquet(GOOD)))
def test_any_altered_parquet_is_read_or_refused(prepare_file, content):
    prepare_file(content, "notes.parquet")


@examples(60)
@with_examples(st.binary(max_size=300), st.sampled_from(["csv", "jsonl", "parquet", "json"]))
def test_any_bytes_at_all_are_refused(prepare_file, content, kind):
    assert prepare_file(content, f"notes.{kind}") is None


def test_categories_are_texts_like_others(prepare_file):
    file = io.BytesIO()
    pd.DataFrame(GOOD, columns=NAMES).astype("category").to_parquet(file)
    assert labelled(prepare_file(file.getvalue(), "notes.parquet")) == labelled_rows(GOOD)


WIDE = [f"c{number}" for number in range(100_000)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.csv", as_csv([*GOOD, ("x" * 5_000_000, "water", "r1")])),
        ("notes.csv", as_csv(GOOD) + b'"' * 5_000_001),
        ("notes.csv", as_csv(GOOD) + b"\n" * 1_000_000),
        ("notes.csv", ",".join([*NAMES, *WIDE]).encode() + b"\n" + b"a" + b"," * 100_002),
        ("notes.jsonl", as_jsonl({**GOOD_RECORDS[n % 60], f"c{n}": n} for n in range(5_000))),
        ("notes.jsonl", as_jsonl(GOOD_RECORDS) + b'{"note": ' + b"[" * 1_000_000),
    ],
    ids=["a long text", "quotes", "blank lines", "columns", "keys", "nested"],
)
def test_a_file_takes_little_more_memory_than_its_size(name, content, prepare_file, peak_memory):
    assert peak_memory(lambda: prepare_file(content, name)) < 60_000_000


def test_rows_that_take_no_room_in_a_parquet_file_are_not_read(prepare_file, peak_memory):
    file = io.BytesIO()
    pd.DataFrame([GOOD[0]] * 1_000_000, columns=NAMES).astype("category").to_parquet(file)
    assert len(file.getvalue()) < 100_000
    assert peak_memory(lambda: prepare_file(file.getvalue(), "notes.parquet")) < 10_000_000


def test_a_column_of_ids_is_no_label(given, refusal):
    rows = [(f"text {n}", f"class {n // 3}", f"r{n}") for n in range(3_003)]
    given(as_csv(rows))
    [line] = refusal("data")
    assert "'team' of notes.csv: more than 1,000 classes" in line


@pytest.mark.parametrize("column", range(3))
def test_half_a_character_is_refused(column, given, refusal):
    odd = [*GOOD_RECORDS, {**GOOD_RECORDS[0], NAMES[column]: "x\ud800"}]
    given(as_jsonl(odd), "notes.jsonl", group_column="reporter")
    assert any("is no Unicode" in line and r"\ud800" in line for line in refusal("data"))
