"""Data that cannot be trained on is rejected with column, number of rows and lines."""

import json

import pandas as pd
import pytest

from {{cookiecutter.package_name}}.data.prepare import SPLITS, read_split

HEAD = "note,team\n"
GOOD = "".join(f"pipe {i} leaks,water\nlamp {i} flickers,power\n" for i in range(10))  # 20 lines


def of(column, parameter, file="notes.csv"):
    return f"error: data.{parameter}_column {column!r} of {file}: "


TEXT, LABEL, GROUP = of("note", "text"), of("team", "label"), of("reporter", "group")


@pytest.fixture
def reasons(given, rejection):
    """Return what `data` says of a file that it has to reject."""

    def reasons(content, name="notes.csv", **changes):
        given(content, name, **changes)
        return rejection("data")

    return reasons


def as_jsonl(*rows):
    good = [dict(zip(["note", "team"], line.split(","), strict=True)) for line in GOOD.splitlines()]
    return "".join(json.dumps(row) + "\n" for row in [*good, *rows])


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"text_column": "body"}, "text_column: notes.csv has no column 'body'"),
        ({"label_column": "Team"}, "label_column: notes.csv has no column 'Team'"),
        ({"group_column": "author"}, "group_column: notes.csv has no column 'author'"),
    ],
)
def test_a_missing_column_is_named_next_to_the_existing_ones(changes, missing, reasons):
    assert reasons(HEAD + GOOD, **changes) == [f"error: data.{missing}; it has 'note', 'team'"]


def test_empty_texts_are_counted_and_three_are_shown(reasons):
    bad = ",water\n   ,water\n,power\n\t,power\n"
    [line] = reasons(HEAD + GOOD + bad)
    assert line == TEXT + "4 rows (line 22: '', line 23: '   ', line 24: '', ...) are empty"


def test_a_single_row_is_described_in_the_singular(reasons):
    [line] = reasons(HEAD + GOOD + ",water\n")
    assert line == TEXT + "1 row (line 22: '') is empty"


def test_a_column_without_any_text_is_rejected(reasons):
    [line] = reasons(HEAD + ",water\n" * 5 + ",power\n" * 5)
    assert line.startswith(TEXT + "10 rows (line 2: '', line 3: '', line 4: '', ...) are empty")


def test_empty_labels_are_rejected(reasons):
    lines = reasons(HEAD + GOOD + "pipe,\nlamp,\ntap,\n")
    assert lines == [LABEL + "3 rows (line 22: '', line 23: '', line 24: '') are empty"]


def test_empty_groups_are_rejected(reasons):
    rows = "".join(f"{line},anna{i}\n" for i, line in enumerate(GOOD.splitlines()))
    lines = reasons("note,team,reporter\n" + rows + "tap,water,\n", group_column="reporter")
    assert lines == [GROUP + "1 row (line 22: '') is empty"]


def test_a_row_with_too_few_fields_is_rejected(reasons):
    [line] = reasons(HEAD + GOOD + "only a note\n")
    assert "line 22: 1 fields instead of 2; put commas between fields" in line


def test_numbers_are_not_names_of_classes(reasons):
    [line] = reasons(HEAD + "".join(f"note {i},{i % 2}\n" for i in range(10)))
    assert line.startswith(LABEL + "10 rows (line 2: '0', line 3: '1', line 4: '0', ...) are ")
    assert "a number, not a name" in line


@pytest.mark.parametrize("label", ["0", " 7 ", "-1.5", "007", "٣"])
def test_a_number_among_names_is_not_a_name(label, reasons):
    lines = reasons(HEAD + GOOD + f"tap,{label}\n" * 3)
    assert f"({', '.join(f'line {n}: {label.strip()!r}' for n in (22, 23, 24))}) are a" in lines[0]


@pytest.mark.parametrize("label", ["nan", "1_2", "4e5", "-Infinity", "1,5", "2024-05-01", "50%"])
def test_what_a_program_might_read_as_a_number_is_a_name_among_names(label, given, run):
    given(HEAD + GOOD + "".join(f'tap {i},"{label}"\n' for i in range(10)))
    assert run("data").code == 0
    assert label in set(read_split("test")["label"])


def test_numbers_and_booleans_get_the_names_that_are_given(given, run, reasons):
    rows = [{"note": f"note {i}", "team": i % 2 == 0 if i % 3 else i % 2} for i in range(60)]
    content = "".join(json.dumps(row) + "\n" for row in rows)
    names = {"0": "plumbing", "1": "power", "True": "heating", "False": "locks"}
    lines = reasons(content, "notes.jsonl")
    assert 'name each in params.yaml: data.label_names: {"0": NAME, "False": NAME, ' in lines[0]
    given(content, "notes.jsonl", label_names=names)
    assert run("data").code == 0
    found = pd.concat(map(read_split, SPLITS)).set_index("text")["label"]
    assert found.to_dict() == {row["note"]: names[str(row["team"])] for row in rows}


def test_a_name_for_a_label_that_no_row_has_is_rejected(reasons):
    [line] = reasons(HEAD + GOOD, label_names={"Water": "pipes"})
    assert line.startswith("error: data.label_names: no label is 'Water'; labels are 'water', 'po")


def test_spellings_of_one_label_are_joined_and_doubtful_labels_are_named(given, run):
    twins = ["Café", "Cafe\u0301", " Café", "CAFÉ", "log in", "log\xa0in", "log  in", "NA"]
    rows = "".join(f"{label} {i},{label}\n" for i in range(10) for label in twins)
    given(HEAD + rows)
    outcome = run("data")
    assert outcome.code == 0, outcome.err
    labels = set().union(*(read_split(name)["label"] for name in SPLITS))
    assert labels == {"Café", "CAFÉ", "log in", "NA"}
    assert "joined: 20 rows into 'Café', 20 rows into 'log in'" in outcome.out
    assert "'NA' looks like a missing value, and is a class of 10 rows" in outcome.out
    assert "'CAFÉ' (10 rows) and 'Café' (30 rows) differ only in case" in outcome.out


def test_one_class_is_not_enough(reasons):
    [line] = reasons(HEAD + "".join(f"note {i},water\n" for i in range(10)))
    assert line == LABEL + "at least two classes are needed"


def test_one_class_is_not_enough_after_contradictions_are_dropped(reasons):
    contradicted = "".join(f"lamp {i},power\nlamp {i},water\n" for i in range(10))
    rest = "".join(f"pipe {i},water\n" for i in range(20))
    assert "only {'water'} is left" in "\n".join(reasons(HEAD + contradicted + rest))


def test_a_column_of_ids_is_not_a_label(reasons):
    rows = "".join(f"text {n},class {n // 3}\n" for n in range(3_003))
    [line] = reasons(HEAD + rows)
    assert line == LABEL + "more than 1,000 classes; name the column of the labels"


def test_a_class_too_rare_to_split_is_rejected_with_its_rows(reasons):
    [line] = reasons(HEAD + GOOD + "key 1,locks\nkey 2,locks\n")
    assert line.startswith(LABEL + "2 rows (line 22: 'locks', line 23: 'locks') are of a class")


def test_a_class_within_one_group_is_too_rare_to_split(reasons):
    good = "".join(f"{line},anna{i % 10}\n" for i, line in enumerate(GOOD.splitlines()))
    bad = "".join(f"key {i},locks,bert\n" for i in range(6))
    [line] = reasons("note,team,reporter\n" + good + bad, group_column="reporter")
    assert line.startswith("error: data.label_column 'team': too rare to split")
    assert "locks" in line


def test_too_few_groups_are_explained(reasons):
    rows = "".join(f"{line},anna\n" for line in GOOD.splitlines())
    [line] = reasons("note,team,reporter\n" + rows, group_column="reporter")
    assert line.startswith("error: data.group_column: 20 rows in 1 groups are too few")


@pytest.mark.parametrize(
    ("value", "of_text", "of_label"),
    [
        (7, "is not text", "is a number, not a name"),
        (None, "is missing", "is missing"),
        (True, "is not text", "is a boolean, not a name"),
        (["x"], "is not text", "is not text"),
        ({"x": 1}, "is not text", "is not text"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("column", ["note", "team"])
def test_values_other_than_text_are_rejected(column, value, of_text, of_label, reasons):
    row = {"note": "tap", "team": "water"} | {column: value}
    lines = reasons(as_jsonl(row), "notes.jsonl")
    parameter = {"note": "text", "team": "label"}[column]
    start = of(column, parameter, "notes.jsonl") + "1 row (line 21: "
    fault = of_text if column == "note" else of_label
    assert [line for line in lines if line.startswith(start) and f") {fault}" in line]


@pytest.mark.parametrize("column", ["note", "team", "reporter"])
def test_half_a_surrogate_pair_is_rejected(column, reasons):
    good = [json.loads(line) for line in as_jsonl().splitlines()]
    rows = [{**row, "reporter": f"r{number}"} for number, row in enumerate(good)]
    content = "".join(json.dumps(row) + "\n" for row in [*rows, {**rows[0], column: "x\ud800"}])
    lines = reasons(content, "notes.jsonl", group_column="reporter")
    assert any("is not valid Unicode" in line and r"\ud800" in line for line in lines)


@pytest.mark.parametrize("groups", [[{"a": 1}], [["a"]], [1, "a"]], ids=["dict", "list", "mixed"])
def test_groups_of_other_types_are_rejected_or_read_as_text(groups, given, run):
    rows = [json.loads(line) for line in as_jsonl().splitlines()]
    for i, row in enumerate(rows):
        row["reporter"] = groups[i % len(groups)] if i % 3 else f"anna {i}"
    content = "".join(json.dumps(row) + "\n" for row in rows)
    given(content, "notes.jsonl", group_column="reporter")
    outcome = run("data")
    assert outcome.code == 0 or "data.group_column: " in outcome.err


def test_everything_that_is_wrong_is_reported_at_once(reasons):
    lines = reasons(HEAD + GOOD + ",water\ntap,\nkey,locks\n")
    assert any(line.startswith(TEXT + "1 row (line 22: '')") for line in lines)
    assert any(line.startswith(LABEL + "1 row (line 23: '')") for line in lines)
    assert any("line 24: 'locks'" in line for line in lines)


def test_long_values_are_cut(reasons):
    [line] = reasons(HEAD + GOOD + f"tap,{'x' * 5000}\n")
    assert len(line) < 200
