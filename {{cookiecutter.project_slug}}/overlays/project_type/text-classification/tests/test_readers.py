"""Files of each kind are read alike, and lines are counted as an editor counts them."""

import contextlib
import json
from pathlib import Path

import pandas as pd
import pytest

from {{cookiecutter.package_name}}.data import readers
from {{cookiecutter.package_name}}.errors import UserError

ROWS = [
    ("Tap drips", "water", "Anna"),
    ('Lamp "7", dark', "power", "Bert"),
    ("Äste\nab", "tree", ""),
]


@pytest.fixture
def read(configure):
    """Read a file as the data stage does."""

    def read(content, name, group="reporter"):
        if isinstance(content, pd.DataFrame):
            content.to_parquet(name)
        else:
            Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return readers.read(Path(name), configure({"data.group_column": group}).data, "data.source")

    return read


def table():
    return pd.DataFrame(ROWS, columns=["note", "team", "reporter"])


def as_csv(newline="\n"):
    return table().to_csv(index=False, lineterminator=newline)


def as_jsonl():
    return "".join(json.dumps(row) + "\n" for row in table().to_dict("records"))


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (as_csv(), "notes.csv"),
        (as_csv(), "NOTES.CSV"),
        (as_csv("\r\n"), "notes.csv"),
        ("\ufeff" + as_csv(), "notes.csv"),
        (as_jsonl(), "notes.jsonl"),
        (table(), "notes.parquet"),
        (table().astype("category"), "notes.parquet"),
        (table().set_index("team", drop=False), "notes.parquet"),
    ],
    ids=[
        "csv",
        "upper case",
        "Windows line ends",
        "byte order mark",
        "jsonl",
        "parquet",
        "categories",
        "index",
    ],
)
def test_each_kind_of_file_gives_the_same_rows(content, name, read):
    rows = read(content, name)
    assert list(zip(rows["text"], rows["label"], rows["group"], strict=True)) == ROWS


def test_numbers_and_words_for_nothing_stay_as_they_are_written(read):
    rows = read("note,team,reporter\n007,NA,1.50\nnull,None,nan\n", "notes.csv")
    assert rows["text"].tolist() == ["007", "null"]
    assert rows["label"].tolist() == ["NA", "None"]
    assert rows["group"].tolist() == ["1.50", "nan"]


def test_without_a_group_column_each_row_is_a_group_of_its_own(read):
    halves = pd.concat([table(), table()])  # as often happens, the index repeats itself
    for rows in (read(as_csv(), "notes.csv", None), read(halves, "notes.parquet", None)):
        assert rows["group"].is_unique


def true_lines(content, texts):
    lines = content.splitlines()
    return [1 + next(i for i, line in enumerate(lines) if text in line) for text in texts]


@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["Unix", "Windows"])
def test_lines_of_a_csv_are_those_of_an_editor(newline, read):
    content = newline.join(
        [
            "id,note,team,reporter",
            "1,first,water,A",
            '2,"second',
            "",
            'goes on",water,A',
            '"3',
            '",third,water,A',
            "4,fourth,water,A",
            "",
            '5,fifth,"wa',
            'ter",A',
            "6,sixth,water,A",
            "",
        ]
    )
    rows = read(content, "notes.csv").set_index("text")
    expected = {"first": 2, "third": 6, "fourth": 8, "fifth": 10, "sixth": 12}
    assert rows.loc[list(expected), "line"].to_dict() == expected
    assert rows["line"].iloc[1] == 3


def test_lines_of_a_jsonl_are_those_of_an_editor(read):
    one, two, three = as_jsonl().splitlines()
    rows = read(f"{one}\n\n\n{two}\n   \n{three}\n", "notes.jsonl")
    assert rows["line"].tolist() == [1, 4, 6]


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        ("", "notes.csv", "cannot be parsed"),
        (as_csv() + "a,b,c,d,e\n", "notes.csv", "line 6"),
        (as_csv() + '"open,a,b\n', "notes.csv", "cannot be parsed"),
        (as_jsonl() + '{"note": \n', "notes.jsonl", "cannot be parsed: line 4: "),
        (as_jsonl() + "[1, 2]\n", "notes.jsonl", "cannot be parsed"),
        ("no Parquet at all", "notes.parquet", "cannot be parsed"),
        ("{}", "notes.json", "cannot be parsed"),
        ("[1]", "notes.json", "cannot be parsed"),
        (as_csv(), "notes.txt", "use a .csv, .jsonl or .parquet file"),
        (as_csv(), "notes", "use a .csv, .jsonl or .parquet file"),
        (as_csv(), "notes.csv.gz", "use a .csv, .jsonl or .parquet file"),
    ],
    ids=[
        "nothing",
        "too many fields",
        "open quote",
        "broken line",
        "no record",
        "no Parquet",
        "no bundle",
        "a list",
        "unknown suffix",
        "no suffix",
        "compressed",
    ],
)
def test_a_file_that_cannot_be_read_is_refused_by_name(content, name, reason, read):
    with pytest.raises(UserError) as error:
        read(content, name)
    assert str(error.value).startswith(f"data.source: {name}")
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_fields_too_many_in_each_row_do_not_move_columns(read):
    content = "note,team,reporter\ntap,water,A,\nlamp,power,B,\n"
    with contextlib.suppress(UserError):  # to refuse the file would do too
        rows = read(content, "notes.csv")
        assert rows["text"].tolist() == ["tap", "lamp"]
        assert rows["label"].tolist() == ["water", "power"]


@pytest.mark.parametrize("before", [0, 20_000], ids=["short file", "long file"])
@pytest.mark.parametrize("name", ["notes.csv", "notes.jsonl"])
def test_a_file_in_another_encoding_is_refused_by_the_byte(name, before, read):
    row = '{"note": "Tap", "team": "water", "reporter": "Ren\xe9"}\n'
    if name == "notes.csv":
        row = "Tap,water,Ren\xe9\n"
    good = row.replace("\xe9", "e") * before
    content = ("note,team,reporter\n" * (name == "notes.csv") + good + row).encode("latin-1")
    with pytest.raises(UserError) as error:
        read(content, name)
    assert f"{name} is not UTF-8 at byte {content.index(0xE9)};" in str(error.value)
