"""Files of every kind give the same rows; a file that cannot be read is rejected by name."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from portfolio_kit.errors import UserError
from portfolio_kit.timegrid import files

COVARIATES = {"data.future_columns": ["event"], "data.past_columns": ["rain"]}
ALONE = {"series": None, "covariates": {}}


def read(content, name="hires.csv", series="dock", covariates=COVARIATES):
    """Write a file, from a table or as it is, and read it."""
    if isinstance(content, bytes | str):
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    elif name.endswith(".parquet"):
        content.to_parquet(name)
    else:
        content.to_csv(name, index=False)
    return files.read(Path(name), "data.source", "ts", "hires", series, covariates)


def table():
    return pd.DataFrame(
        {
            "ts": pd.to_datetime(["2024-05-01 00:00", "2024-05-01 01:00", "2024-05-01 00:00"]),
            "dock": ["Quay", "Quay", "Ärmel, NA"],
            "hires": [3, 0, 7],
            "rain": [0.5, 0.25, 0.0],
            "event": [0, 1, 0],
            "remark": ["dry", "", 'a "flood"'],
        }
    )


def as_csv(newline="\n"):
    return table().to_csv(index=False, lineterminator=newline)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (as_csv(), "hires.csv"),
        (as_csv(), "HIRES.CSV"),
        (as_csv("\r\n"), "hires.csv"),
        ("\ufeff" + as_csv(), "hires.csv"),
        (table()[["hires", "event", "rain", "dock", "ts"]], "hires.csv"),
        (table(), "hires.parquet"),
        (table().astype({"dock": "category", "hires": "float32"}), "hires.parquet"),
        (table().astype({"dock": "string", "hires": "Int64"}), "hires.parquet"),
        (table().astype({"ts": str}).astype({"ts": "category"}), "hires.parquet"),
        (table().assign(ts=table()["ts"].dt.tz_localize("UTC")), "hires.parquet"),
        (table().set_index(["dock", "ts"]), "hires.parquet"),
        (table().to_json(orient="records", lines=True, date_format="iso"), "hires.jsonl"),
    ],
    ids=[
        "csv",
        "upper case",
        "Windows line ends",
        "byte order mark",
        "columns in another order",
        "parquet",
        "categories",
        "nullable types",
        "categories of times",
        "zoned",
        "index",
        "jsonl",
    ],
)
def test_every_kind_of_file_gives_the_same_rows(content, name):
    rows = read(content, name)
    assert list(rows) == ["unique_id", "ds", "y", "event", "rain", "line"]
    assert rows["unique_id"].tolist() == ["Quay", "Quay", "Ärmel, NA"]
    times = pd.to_datetime(rows["ds"].astype(object), utc=True).dt.tz_localize(None)
    assert times.tolist() == table()["ts"].tolist()
    for own, column in (("y", "hires"), ("event", "event"), ("rain", "rain")):
        assert rows[own].tolist() == table()[column].tolist()
    first = 2 if name.lower().endswith("csv") else 1
    assert rows["line"].tolist() == [first, first + 1, first + 2]


def test_names_of_series_stay_as_they_are_written():
    content = "ts,dock,hires\n2024-05-01,007,1\n2024-05-01,NA,2\n2024-05-01,1.50,3\n"
    rows = read(content, covariates={})
    assert rows["unique_id"].tolist() == ["007", "NA", "1.50"]


PADDED = ["A", "A ", " A", "A\u00a0", "Caf\u00e9 1", "Cafe\u0301  1", "\u00c4", "a"]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_names_that_differ_by_blanks_or_unicode_form_are_joined_and_counted(suffix, capsys):
    rows = pd.DataFrame({"ts": "2024-05-01", "dock": PADDED, "hires": range(len(PADDED))})
    if suffix == "jsonl":
        rows = rows.to_json(orient="records", lines=True)
    found = read(rows, f"hires.{suffix}", covariates={})
    assert found["unique_id"].tolist() == ["A"] * 4 + ["Caf\u00e9 1"] * 2 + ["\u00c4", "a"]
    assert capsys.readouterr().out == (
        f"note: data.id_column 'dock' of hires.{suffix}: 4 joined with a name that differs "
        "only by blanks or in the form of its Unicode: 'A', 'A ', ' A', 'A\\xa0'; "
        "'Caf\u00e9 1', 'Cafe\\u0301  1'\n"
    )


def test_names_that_are_padded_alike_are_not_joined(capsys):
    content = "ts,dock,hires\n2024-05-01,A  ,1\n2024-05-01,B  ,2\n"
    assert read(content, covariates={})["unique_id"].tolist() == ["A", "B"]
    assert capsys.readouterr().out == ""


def test_a_name_of_blanks_only_is_empty():
    with pytest.raises(UserError, match=r"^data.id_column 'dock' of hires.csv: 1 row .* is empty$"):
        read("ts,dock,hires\n2024-05-01,  ,1\n2024-05-01,B,2\n", covariates={})


def test_without_an_id_column_all_rows_are_one_series():
    rows = read(as_csv(), series=None)
    assert rows["unique_id"].nunique() == 1


def test_words_for_missing_values_are_missing_values():
    rows = read("ts,hires\n2024-05-01,NA\n2024-05-02,\n2024-05-03,nan\n2024-05-04,4\n", **ALONE)
    np.testing.assert_array_equal(rows["y"], [np.nan, np.nan, np.nan, 4])


def test_blank_lines_are_not_rows_but_count_as_lines():
    content = "ts,hires\n2024-05-01,1\n\n2024-05-02,2\n\n\n2024-05-03,3\n\n"
    assert read(content, **ALONE)["line"].tolist() == [2, 4, 7]


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        ("", "hires.csv", "cannot be parsed"),
        ("\n\n", "hires.csv", "cannot be parsed"),
        (as_csv().splitlines()[0], "hires.csv", "holds no rows"),
        (table().head(0), "hires.parquet", "holds no rows"),
        (as_csv() + "2024-05-01 01:00,Quay,1,5,0,0,\n", "hires.csv", "line 5"),
        ("ts,dock,hires,rain,event\n2024-05-01,Quay,1,5,0,0\n", "hires.csv", "line 2: 6 fields"),
        (as_csv() + '"open\n', "hires.csv", "cannot be parsed: line 5: a quote opens a text"),
        (as_csv().encode("latin-1"), "hires.csv", "is not UTF-8 at byte"),
        ("not Parquet", "hires.parquet", "cannot be parsed"),
        (json.dumps([1, 2]), "hires.jsonl", "cannot be parsed: line 1 is not a JSON object"),
        (as_csv(), "hires.txt", "use a .csv, .jsonl or .parquet file"),
        (as_csv(), "hires", "use a .csv, .jsonl or .parquet file"),
        (as_csv(), "hires.csv.gz", "use a .csv, .jsonl or .parquet file"),
    ],
    ids=[
        "empty",
        "blank lines",
        "header only",
        "no rows",
        "decimal comma in one row",
        "decimal comma in each row",
        "open quote",
        "another encoding",
        "not Parquet",
        "not records",
        "unknown suffix",
        "no suffix",
        "compressed",
    ],
)
def test_a_file_that_cannot_be_read_is_rejected_by_name(content, name, reason):
    with pytest.raises(UserError) as error:
        read(content, name)
    assert str(error.value).startswith(f"data.source: {name}")
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [as_csv(), as_csv().replace(",", ";")], ids=[",", ";"])
def test_missing_columns_are_named_with_those_that_are_there(content):
    covariates = {"data.past_columns": ["rain", "sun"]}
    with pytest.raises(UserError) as error:
        read(content, covariates=covariates)
    found = ", ".join(map(repr, content.splitlines()[0].split(",")))
    if ";" in content:
        found += " (columns are separated by semicolons: save it with commas)"
    parameter, column = ("past_columns[1]", "sun") if "," in content else ("time_column", "ts")
    assert (
        str(error.value) == f"data.{parameter}: hires.csv has no column {column!r}; it has {found}"
    )


def test_decimal_commas_between_semicolons_are_not_the_first_thing_to_say():
    content = "\ufeffts;dock;hires\r\n2024-05-01;Quay;1,5\r\n2024-05-02;Quay;2,5\r\n"
    with pytest.raises(UserError) as error:
        read(content, covariates={})
    assert str(error.value) == (
        "data.time_column: hires.csv has no column 'ts'; it has 'ts;dock;hires' "
        "(columns are separated by semicolons: save it with commas)"
    )


def test_a_folder_of_parts_gives_the_same_rows():
    for place, rows in table().groupby("dock"):
        folder = Path("hires", f"dock={place}")
        folder.mkdir(parents=True)
        rows.drop(columns="dock").to_parquet(folder / "part-0.parquet")
    rows = files.read(Path("hires"), "data.source", "ts", "hires", "dock", COVARIATES)
    found = zip(rows["unique_id"], rows["y"], rows["event"], rows["rain"], strict=True)
    assert {*found} == {("Quay", 3, 0, 0.5), ("Quay", 0, 1, 0.25), ("Ärmel, NA", 7, 0, 0.0)}


def test_a_repeated_column_is_rejected():
    content = "ts,hires,rain,event,hires\n2024-03-01,1,2,3,4\n"
    with pytest.raises(
        UserError, match=r"^data.target_column: hires.csv has 2 columns 'hires'; it"
    ):
        read(content, series=None)


def test_a_covariate_must_not_have_a_name_that_the_project_uses():
    renamed = table().rename(columns={"rain": "line"})
    with pytest.raises(UserError, match=r"^data.past_columns: the project itself uses 'line'; ren"):
        read(renamed, covariates={"data.past_columns": ["line"]})


def test_empty_names_of_series_are_rejected():
    content = "ts,dock,hires,rain,event\n2024-05-01,,1,0,0\n2024-05-01,Quay,1,0,0\n"
    with pytest.raises(UserError, match=r"^data.id_column 'dock' of hires.csv: 1 row .* is empty$"):
        read(content)
    with pytest.raises(UserError, match=r"1 row .* is empty"):
        read(table().assign(dock=["Quay", None, "Pier"]), "hires.parquet")
