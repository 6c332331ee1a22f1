"""Files of each format give the same rows, and lines are counted as an editor counts them."""

import contextlib
import csv
import io
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from hostile import CRUMBS, altered, examples
from hypothesis import given
from hypothesis import strategies as st

from portfolio_kit import artifacts, tables
from portfolio_kit.errors import UserError
from portfolio_kit.tables import Rows

NAMES = ["note", "team", "reporter"]
FIELDS = {f"data.{name}": name for name in NAMES}
ROWS = [
    ("Tap drips", "water", "Anna"),
    ('Lamp "7", dark', "power", "Bert"),
    ("Äste\nab", "tree", ""),
]


def read(content, name, fields=FIELDS):
    """Return the rows of a file as a list of tuples, and their lines."""
    if isinstance(content, pd.DataFrame):
        content.to_parquet(name)
    else:
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    found = tables.read(Path(name), fields, "data.source", {".json": bundle})
    rows = found.table[list(fields.values())].itertuples(index=False, name=None)
    assert len(found.table) == len(found.lines)
    return list(rows), list(found.lines)


def bundle(path, wanted):
    """Parse a format that a project adds: one object of lists."""
    table = pd.DataFrame(json.loads(path.read_text(encoding="utf-8")))
    return Rows(list(table.columns), table, range(1, len(table) + 1))


def table():
    return pd.DataFrame(ROWS, columns=NAMES)


def as_csv(rows=ROWS, newline="\n"):
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator=newline).writerows([NAMES, *rows])
    return file.getvalue().encode("utf-8", "surrogatepass")


def as_jsonl(rows=ROWS):
    records = (row if isinstance(row, dict) else dict(zip(NAMES, row, strict=True)) for row in rows)
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def as_parquet(rows):
    file = io.BytesIO()
    pd.DataFrame(rows, columns=NAMES).to_parquet(file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (as_csv(), "notes.csv"),
        (as_csv(), "NOTES.CSV"),
        (as_csv(newline="\r\n"), "notes.csv"),
        (b"\xef\xbb\xbf" + as_csv(), "notes.csv"),
        (as_jsonl(), "notes.jsonl"),
        (b"\xef\xbb\xbf" + as_jsonl(), "notes.jsonl"),
        (table(), "notes.parquet"),
        (table().astype("category"), "notes.parquet"),
        (table().set_index("team", drop=False), "notes.parquet"),
        (table().set_index("team"), "notes.parquet"),
        (json.dumps(table().to_dict("list")), "notes.json"),
    ],
    ids=[
        "csv",
        "upper case",
        "Windows line ends",
        "byte order mark",
        "jsonl",
        "jsonl with a byte order mark",
        "parquet",
        "categories",
        "index and column",
        "index",
        "a project's format",
    ],
)
def test_each_format_gives_the_same_rows(content, name):
    assert read(content, name)[0] == ROWS


def test_numbers_and_missing_values_stay_as_they_are_written():
    rows, _ = read("note,team,reporter\n007,NA,1.50\nnull,None,nan\n", "notes.csv")
    assert rows == [("007", "NA", "1.50"), ("null", "None", "nan")]


@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["Unix", "Windows"])
def test_lines_of_a_csv_are_those_of_an_editor(newline):
    lines = [
        "id,note,team,reporter",
        "1,first,water,A",
        '2,"second',
        "",
        'continues",water,A',
        '"3',
        '",third,water,A',
        "4,fourth,water,A",
        "",
        '5,fifth,"wa',
        'ter",A',
        "6,sixth,water,A",
        "",
    ]
    rows, numbers = read(newline.join(lines), "notes.csv")
    first_words = [row[0].split()[0] for row in rows]
    assert first_words == ["first", "second", "third", "fourth", "fifth", "sixth"]
    assert numbers == [2, 3, 6, 8, 10, 12]


def test_lines_of_a_jsonl_are_those_of_an_editor():
    one, two, three = as_jsonl().splitlines()
    content = b"%s\n\n\n%s\n   \n%s\n" % (one, two, three)
    assert read(content, "notes.jsonl") == (ROWS, [1, 4, 6])


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        (b"", "notes.csv", "cannot be parsed: it is empty"),
        (b"note,team,reporter\n", "notes.csv", "holds no rows"),
        (b"", "notes.jsonl", "holds no rows"),
        (as_csv() + b"a,b,c,d,e\n", "notes.csv", "line 6"),
        (as_csv() + b'"open,a,b\n', "notes.csv", "cannot be parsed"),
        (as_jsonl() + b'{"note": \n', "notes.jsonl", "cannot be parsed: line 4: "),
        (as_jsonl() + b"[1, 2]\n", "notes.jsonl", "cannot be parsed: line 4 is not a JSON object"),
        (as_jsonl() + b"[" * 100_000, "notes.jsonl", "line 4 is nested too deeply"),
        (b"not Parquet", "notes.parquet", "cannot be parsed"),
        (b"[1", "notes.json", "cannot be parsed"),
        (as_csv(), "notes.txt", "use a .csv, .jsonl or .parquet file"),
        (as_csv(), "notes", "use a .csv, .jsonl or .parquet file"),
        (as_csv(), "notes.csv.gz", "use a .csv, .jsonl or .parquet file"),
    ],
    ids=[
        "nothing",
        "a header alone",
        "no records",
        "too many fields",
        "open quote",
        "broken line",
        "not a record",
        "nested",
        "not Parquet",
        "a project's format",
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


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("note,reporter", "data.team: notes.csv has no column 'team'; it has 'note', 'reporter'"),
        (
            "note,team,team",
            "data.team: notes.csv has 2 columns 'team'; it has 'note', 'team', 'team'",
        ),
    ],
    ids=["missing", "twice"],
)
def test_a_column_that_is_missing_or_repeated_is_named(header, reason):
    fields = {"data.note": "note", "data.team": "team"}
    with pytest.raises(UserError) as error:
        read(f"{header}\n{'x' + ',y' * header.count(',')}\n", "notes.csv", fields)
    assert str(error.value) == reason


SEMICOLONS = "columns are separated by semicolons: save it with commas"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("sentence,category\nx,y\n", "'sentence', 'category'"),
        ("sentence,category\n", "'sentence', 'category'"),
        ("note;team\nx;y\n", f"'note;team' ({SEMICOLONS})"),
        ("note;team\nx;y, z\n", f"'note;team' ({SEMICOLONS})"),
        ("\ufeffnote;team\r\n1,5;y\r\n", f"'note;team' ({SEMICOLONS})"),
        ('"note";"team"\n"x";"y"\n', f"'note;\"team\"' ({SEMICOLONS})"),
        ("a;b;c\nx;y;z\n", f"'a;b;c' ({SEMICOLONS})"),
        (
            "note\tteam\nx\ty\n",
            "'note\\tteam' (columns are separated by tabs: save it with commas)",
        ),
        (
            "note|team\nx|y\n",
            "'note|team' (columns are separated by vertical bars: save it with commas)",
        ),
        (
            "sep=,\nnote,team\nx,y\n",
            "'sep=', '' (the header is in line 2: delete what is above it)",
        ),
        (
            "sep=;\nnote;team\nx;y\n",
            f"'sep=;' (the header is in line 2: delete what is above it; {SEMICOLONS})",
        ),
        (
            "sep=;\na;b\nx;y\n",
            f"'sep=;' (the header is in line 2: delete what is above it; {SEMICOLONS})",
        ),
        (
            "Notes of 2024\n\nnote,team\nx,y\n",
            "'Notes of 2024' (the header is in line 3: delete what is above it)",
        ),
    ],
    ids=[
        "other names",
        "no rows",
        "semicolons",
        "commas in rows only",
        "decimal commas",
        "semicolons and quotes",
        "semicolons and other names",
        "tabs",
        "bars",
        "a note to Excel",
        "a note to Excel and semicolons",
        "a note to Excel, semicolons, other names",
        "a title",
    ],
)
def test_the_header_says_why_a_column_is_missing(content, said):
    with pytest.raises(UserError) as error:
        read(content, "notes.csv", {"data.note": "note", "data.team": "team"})
    assert str(error.value) == f"data.note: notes.csv has no column 'note'; it has {said}"


@pytest.mark.parametrize("rows", [0, 3])
def test_columns_of_a_parquet_file_are_named(rows):
    others = pd.DataFrame({"sentence": ["x"] * rows, "category": ["y"] * rows})
    with pytest.raises(UserError) as error:
        read(others, "notes.parquet")
    expected = "data.note: notes.parquet has no column 'note'; it has 'sentence', 'category'"
    assert str(error.value) == expected


@pytest.mark.parametrize("name", ["notes.parquet", "notes.jsonl"])
def test_a_column_inside_another_is_found(name):
    rows = [dict(zip(NAMES, row, strict=True)) for row in ROWS]
    content = pd.DataFrame({"id": [1, 2, 3], "item": rows})
    if name.endswith("jsonl"):
        content = "\n" + content.to_json(orient="records", lines=True)
    with pytest.raises(UserError) as error:
        read(content, name)
    assert str(error.value).endswith(
        "it has 'id', 'item' ('note' is inside 'item': make it a column)"
    )


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (r'"He said \"no\" again",water,Dora', "a text continues after its closing quote"),
        ('"The lamp is dark,power,Dora', "a quote opens a text here and is never closed"),
    ],
    ids=["backslashes", "a stray quote"],
)
@pytest.mark.parametrize("after", ["", "Tap,water,Anna\nLamp,power,Bert\n"], ids=["last", "amid"])
def test_a_quote_out_of_place_is_found_where_its_record_begins(line, reason, after):
    with pytest.raises(UserError) as error:
        read(as_csv() + f"{line}\n{after}".encode(), "notes.csv")
    assert str(error.value) == (  # the third record has two lines
        f"data.source: notes.csv cannot be parsed: line 6: {reason}; "
        'write a quote that is part of a text twice ("" and not \\")'
    )


def parts(files):
    """Write a folder of Parquet parts, tables by path."""
    for name, content in files.items():
        path = Path("notes", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        content.to_parquet(path)
    return Path("notes")


def read_parts(folder, fields=FIELDS):
    found = tables.read(folder, fields, "data.source")
    rows = found.table[list(fields.values())].itertuples(index=False, name=None)
    assert list(found.lines) == list(range(1, len(found.table) + 1))
    return list(rows)


def test_parts_as_spark_writes_them_are_one_table():
    folder = parts({"part-00000.snappy.parquet": table()[:2], "part-00001.parquet": table()[2:]})
    for name in ("_SUCCESS", ".part-00000.snappy.parquet.crc", "_metadata", ".DS_Store"):
        (folder / name).write_bytes(b"no data")
    assert read_parts(folder) == ROWS


def test_parts_may_write_text_in_several_ways():
    one = table()[:1].astype({"team": "category"})
    other = table()[1:].assign(reporter=None)
    rows = read_parts(parts({"1.parquet": one, "2.parquet": other}))
    assert rows == [ROWS[0], (*ROWS[1][:2], None), (*ROWS[2][:2], None)]


def test_folders_that_name_a_value_are_columns():
    folder = parts(
        {
            "team=water/reporter=Anna/0.parquet": table()[["note"]][:1],
            "team=fire%20brigade/reporter=007/0.parquet": table()[["note"]][1:2],
            "team=__HIVE_DEFAULT_PARTITION__/reporter=Bert/0.parquet": table()[["note"]][2:],
        }
    )
    rows = {note: rest for note, *rest in read_parts(folder)}
    assert rows == {
        ROWS[0][0]: ["water", "Anna"],
        ROWS[1][0]: ["fire brigade", "007"],
        ROWS[2][0]: [None, "Bert"],
    }


def test_numbers_in_names_of_folders_are_numbers_unless_they_are_names():
    days = {
        f"year={year}/shop=0{shop}/0.parquet": table()[["note"]]
        for year, shop in ((2023, 1), (2024, 2))
    }
    rows = read_parts(parts(days), {"data.year": "year", "data.shop": "shop"})
    assert {*rows} == {(2023, "01"), (2024, "02")}


def test_columns_of_a_folder_of_parts_are_named():
    folder = parts({"lang=en/0.parquet": table()[["note", "team"]]})
    with pytest.raises(UserError) as error:
        read_parts(folder)
    expected = "data.reporter: notes has no column 'reporter'; it has 'note', 'team', 'lang'"
    assert str(error.value) == expected


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("2.parquet", table().assign(team=[1, 2, 3]), "incompatible types"),
        ("lang=en/2.parquet", b"", "lang=en/2.parquet: "),
        ("readme.txt", b"", "readme.txt is not a .parquet file; take it out of the folder"),
        ("_delta_log/0.json", b"", "with _delta_log, not all files in it are valid"),
    ],
    ids=["another type", "no Parquet", "another file", "a table with a log"],
)
def test_a_folder_that_is_not_one_table_is_rejected(name, content, reason):
    folder = parts({"1.parquet": table()})
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    content.to_parquet(path) if isinstance(content, pd.DataFrame) else path.write_bytes(content)
    with pytest.raises(UserError, match=re.escape(reason)) as error:
        read_parts(folder)
    assert str(error.value).startswith("data.source: notes cannot be parsed: ")


def test_a_folder_of_parts_is_pinned_like_a_file(capsys):
    folder = parts({"1.parquet": table()})
    path, sha256 = tables.fetch("notes", None, "data.source")
    assert (path, sha256) == (folder, artifacts.sha256(folder))
    out = capsys.readouterr().out
    assert out == f"data.source is not pinned; notes has sha256 {sha256}\n"
    assert tables.fetch("notes", sha256, "data.source") == (folder, sha256)
    table()[:2].to_parquet(folder / "1.parquet")
    with pytest.raises(UserError, match=f"^data.source: notes: .*not the pinned {sha256}$"):
        tables.fetch("notes", sha256, "data.source")


def test_a_folder_without_parts_is_no_source():
    Path("notes").mkdir()
    with pytest.raises(UserError) as error:
        tables.fetch("notes", None, "data.source")
    assert str(error.value) == "data.source: notes is a folder; the folder has no .parquet files"


def test_only_what_was_fetched_may_be_deleted(server, capsys):
    server.files["/notes.csv"] = as_csv()
    Path("notes.csv").write_bytes(as_csv())
    for source, is_remote in ((f"{server.url}/notes.csv", True), ("notes.csv", False)):
        path, sha256 = tables.fetch(source, None, "data.source")
        [line] = [line for line in capsys.readouterr().out.splitlines() if sha256 in line]
        assert ("delete it" in line) == is_remote
        assert path.read_bytes() == as_csv()


def test_surplus_fields_in_each_row_do_not_shift_columns():
    content = "note,team,reporter\ntap,water,A,\nlamp,power,B,\n"
    with contextlib.suppress(UserError):  # rejecting the file is right, too
        rows, _ = read(content, "notes.csv")
        assert [row[:2] for row in rows] == [("tap", "water"), ("lamp", "power")]


@pytest.mark.parametrize("before", [0, 20_000], ids=["short file", "long file"])
@pytest.mark.parametrize("name", ["notes.csv", "notes.jsonl"])
def test_a_file_in_another_encoding_is_rejected_with_the_position(name, before):
    row = '{"note": "Tap", "team": "water", "reporter": "Ren\xe9"}\n'
    if name == "notes.csv":
        row = "Tap,water,Ren\xe9\n"
    good = row.replace("\xe9", "e") * before
    content = ("note,team,reporter\n" * (name == "notes.csv") + good + row).encode("latin-1")
    with pytest.raises(UserError) as error:
        read(content, name)
    assert f"{name} is not UTF-8 at byte {content.index(0xE9)};" in str(error.value)


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (1, "1 row (line 2: 'x') is"),
        (3, "3 rows (line 2: 'x', line 3: 'x', line 4: 'x') are"),
        (5, "5 rows (line 2: 'x', line 3: 'x', line 4: 'x', ...) are"),
    ],
)
def test_bad_rows_are_counted_and_the_first_are_shown(count, said):
    bad = pd.DataFrame({"note": ["x"] * count, "line": range(2, 2 + count)})
    assert tables.describe(bad, "note") == said


# Whatever a file holds: rows as they were written, or a reason.
TEAMS = ["water", "power", "garden"]
GOOD = [(f"{team} fault, number {n}", team, f"r{n}") for n in range(20) for team in TEAMS]
PIECES = st.one_of(st.text(max_size=8), st.sampled_from(CRUMBS))
TEXTS = st.lists(PIECES, max_size=3).map("".join)
CELLS = st.one_of(
    TEXTS,
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(TEXTS, st.integers(), max_size=2),
)


def read_or_reject(content, name):
    """Return the rows, or None for a file that is rejected with a plain reason."""
    try:
        return read(content, name)[0]
    except UserError as error:
        [line] = str(error).split("\n")
        assert line.startswith(("data.source: ", *(f"{field}: " for field in FIELDS)))
        assert len(line) < 1_000
        return None


@examples(150)
@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS)))
def test_any_rows_of_a_csv_are_read_unchanged_or_rejected(rows):
    found = read_or_reject(as_csv([*GOOD, *rows]), "notes.csv")
    assert found is None or found == [*GOOD, *rows]


RECORDS = st.one_of(
    st.fixed_dictionaries(dict.fromkeys(NAMES, CELLS)),
    st.dictionaries(st.one_of(st.sampled_from(NAMES), TEXTS), CELLS),
)


@examples(150)
@given(st.lists(RECORDS, max_size=3))
def test_any_records_of_a_jsonl_are_read_unchanged_or_rejected(records):
    found = read_or_reject(as_jsonl([*GOOD, *records]), "notes.jsonl")
    if found is not None:
        expected = [*GOOD, *(tuple(record.get(name) for name in NAMES) for record in records)]
        assert json.dumps(found) == json.dumps(expected)  # NaN is not equal to itself


@examples(150)
@given(altered(as_csv(GOOD)))
def test_any_altered_csv_is_read_or_rejected(content):
    read_or_reject(content, "notes.csv")


@examples(150)
@given(altered(as_jsonl(GOOD)))
def test_any_altered_jsonl_is_read_or_rejected(content):
    read_or_reject(content, "notes.jsonl")


@examples(150)
@given(altered(as_parquet(GOOD)))
def test_any_altered_parquet_is_read_or_rejected(content):
    read_or_reject(content, "notes.parquet")


@examples(100)
@given(st.binary(max_size=300), st.sampled_from(["csv", "jsonl", "parquet", "json"]))
def test_random_bytes_are_rejected(content, kind):
    assert read_or_reject(content, f"notes.{kind}") is None


WIDE = [f"c{number}" for number in range(100_000)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.csv", as_csv([*GOOD, ("x" * 5_000_000, "water", "r1")])),
        ("notes.csv", as_csv(GOOD) + b'"' * 5_000_001),
        ("notes.csv", as_csv(GOOD) + b"\n" * 1_000_000),
        ("notes.csv", ",".join([*NAMES, *WIDE]).encode() + b"\n" + b"a" + b"," * 100_002),
        ("notes.jsonl", as_jsonl({"note": "x", f"c{n}": n} for n in range(5_000))),
        ("notes.jsonl", as_jsonl(GOOD) + b'{"note": ' + b"[" * 1_000_000),
    ],
    ids=["a long text", "quotes", "blank lines", "columns", "keys", "nested"],
)
def test_a_file_takes_little_more_memory_than_its_size(name, content, peak_memory):
    assert peak_memory(read_or_reject, content, name) < 60_000_000


def test_a_parquet_file_that_repeats_a_row_a_million_times_is_not_read(peak_memory):
    file = io.BytesIO()
    pd.DataFrame([GOOD[0]] * 1_000_000, columns=NAMES).astype("category").to_parquet(file)
    assert len(file.getvalue()) < 100_000
    assert peak_memory(read_or_reject, file.getvalue(), "notes.parquet") < 10_000_000
