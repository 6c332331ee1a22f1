"""Judgements are found under their usual names and read in their usual layouts, or rejected."""

import json
from pathlib import Path

import pytest

from portfolio_kit.errors import UserError
from portfolio_kit.retrieval import qrels

FOLDER = Path("given")
HEAD = "query-id\tcorpus-id\tscore\n"


def write(*names, content="q\ta\t1\n"):
    for name in names:
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


def read(content, name="qrels/test.tsv"):
    write(name, content=content)
    table = qrels.read(FOLDER, name)
    return list(table.itertuples(index=False, name=None))


def rejected(function, *arguments):
    with pytest.raises(UserError) as caught:
        function(*arguments)
    return str(caught.value)


@pytest.mark.parametrize(
    "files",
    [
        {"train": "qrels/train.tsv", "valid": "qrels/dev.tsv", "test": "qrels/test.tsv"},
        {"train": "qrels/train.tsv", "valid": "qrels/valid.tsv", "test": "qrels/test.tsv"},
        {"valid": "qrels/validation.jsonl", "test": "qrels/test.jsonl"},
        {"train": "qrels/TRAIN.TSV", "valid": "qrels/val.txt"},
        {"train": "qrels.train.tsv", "test": "qrels-test.txt"},
        {"train": "train.qrels", "valid": "dev_qrels.csv", "test": "judgements.test.tsv"},
        {"train": "train.tsv", "valid": "valid.tsv", "test": "test.tsv"},
        {"test": "qrels/nq/test.tsv", "train": "qrels/nq/training.tsv"},
        {"train": "qrels.tsv"},
        {"train": "qrels.jsonl"},
        {"train": "qrels/qrels.tsv"},
        {"train": "qrels/robust.txt"},
        {"test": "qrels/test"},
        {},
    ],
    ids=lambda files: " ".join(files.values()) or "none",
)
def test_files_are_found_under_their_usual_names(files):
    others = ["corpus.jsonl", "queries.jsonl", "notes.txt", "train.jsonl", "README.md", "qrels.md"]
    hidden = ["qrels/.DS_Store", "qrels/._test.tsv", ".qrels.tsv", "__MACOSX/qrels/train.tsv"]
    write(*others, *hidden, "qrels/README.txt", *files.values())
    assert qrels.find(FOLDER) == files


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["qrels/train.tsv", "qrels/other.tsv"], "qrels/other.tsv was found and not used"),
        (["qrels.tsv", "qrels/test.tsv"], "qrels.tsv was found and not used"),
        (["qrels/train-dev.tsv"], "qrels/train-dev.tsv was found and not used"),
        (
            ["qrels/dev.tsv", "qrels/valid.tsv"],
            "qrels/dev.tsv and qrels/valid.tsv both judge valid",
        ),
        (["qrels/test.tsv", "test.tsv"], "qrels/test.tsv and test.tsv both judge test"),
        (["qrels/test.parquet"], "qrels/test.parquet was found and cannot be read; save it as a"),
        (["qrels.tsv.gz"], "qrels.tsv.gz was found and cannot be read; save it as a .tsv file"),
    ],
    ids=" ".join,
)
def test_a_file_that_would_not_be_used_is_rejected(names, reason):
    write(*names)
    assert rejected(qrels.find, FOLDER).startswith(f"data.source: {reason}")


EXPECTED = [("q 1", "a", 0), ("q2", "b", 3), ("q2", "c", 1)]


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("qrels/test.tsv", ["query-id\tcorpus-id\tscore", "q 1\ta\t0", "q2\tb\t3", "q2\tc\t1"]),
        ("qrels/test.tsv", ["q 1\ta\t0", "q2\tb\t3.0", "q2\tc\t+1"]),
        ("qrels/test.tsv", ["score\tdoc_id\tquery_id", "-1\ta\tq 1", "3\tb\tq2", "1.00\tc\tq2"]),
        ("qrels/test.txt", ["qid\titer\tdocno\trel", "q 1\t0\ta\t0", "q2\t0\tb\t3", "q2\t0\tc\t1"]),
        ("qrels/test.txt", ["q 1\tQ0\ta\t-2", "q2\t0\tb\t3", "q2\t0\tc\t1"]),
        ("qrels/test.csv", ["Query ID,Corpus ID,Score", "q 1,a,0", "q2,b,3", "q2,c,1"]),
        (
            "qrels/test.jsonl",
            [
                '{"query-id": "q 1", "corpus-id": "a", "score": -1}',
                '{"query-id": "q2", "corpus-id": "b", "score": 3.0, "more": [1]}',
                '{"score": "1", "corpus_id": "c", "query_id": "q2"}',
            ],
        ),
    ],
    ids=["header", "no header", "order", "TREC header", "TREC", "commas", "JSON lines"],
)
def test_the_usual_layouts_mean_the_same(name, lines):
    assert [row[1:] for row in read("\n".join(lines), name)] == EXPECTED
    assert [row[1:] for row in read("\r\n\r\n".join(lines) + "\r\n\r\n", name)] == EXPECTED


def test_trecs_four_columns_may_be_separated_by_blanks():
    assert read("301 0 FBIS3-10082 1\n301  0   FBIS3-10169  -1\n302 Q0 7 2\n") == [
        (1, "301", "FBIS3-10082", 1),
        (2, "301", "FBIS3-10169", 0),
        (3, "302", "7", 2),
    ]


def test_lines_are_counted_from_the_top_of_the_file():
    assert read(f"\n{HEAD}q\ta\t1\n\nr\tb\t0\n") == [(3, "q", "a", 1), (5, "r", "b", 0)]


def test_ids_may_be_numbers_in_json():
    line = json.dumps({"query-id": 7, "corpus-id": 8, "score": 1})
    assert read(line, "qrels/test.jsonl") == [(1, "7", "8", 1)]


def test_scores_below_zero_are_reported(capsys):
    read("q\ta\t-1\nq\tb\t-2\nq\tc\t1\n")
    said = "note: data.source: qrels/test.tsv: 2 scores below 0 count as 0, not relevant\n"
    assert capsys.readouterr().out == said
    read("q\ta\t0\n")
    assert capsys.readouterr().out == ""


def test_without_a_file_there_are_no_rows():
    assert list(qrels.read(FOLDER, None)) == ["line", "query_id", "document_id", "relevance"]


LAYOUT = "not a query-id, a corpus-id and a score in 1 line (line 3: "
WHOLE = "the score is not a whole number; round it or scale it in 1 line (line 3: "


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("q\ta", LAYOUT),
        ("q a 1", LAYOUT),
        ("q\t0\ta\t1", LAYOUT),
        ("\ta\t1", LAYOUT),
        ("q\ta\tyes", LAYOUT),
        ("q\ta\t0.5", WHOLE),
        ("q\ta\t", LAYOUT),
        ("q\ta\t²", LAYOUT),
        ("q\ta\tnan", LAYOUT),
        ("q\ta\t" + "9" * 30, WHOLE),
    ],
)
def test_an_invalid_line_is_named(line, reason):
    found = rejected(read, f"{HEAD}q\ta\t1\n{line}\n")
    assert found.startswith(f"data.source: qrels/test.tsv: {reason}")


@pytest.mark.parametrize(
    "line",
    [
        '{"query-id": "q", "corpus-id": "a"}',
        '{"query-id": "q", "score": 1}',
        '{"query-id": ["q"], "corpus-id": "a", "score": 1}',
        '{"query-id": "q", "corpus-id": "a", "score": true}',
        '{"q": {"a": 1}}',
    ],
)
def test_an_invalid_record_is_named(line):
    found = rejected(read, line, "qrels/test.jsonl")
    assert found.startswith(
        "data.source: qrels/test.jsonl: not a query-id, a corpus-id and a score"
    )


@pytest.mark.parametrize("first", ["question\tpassage\tgrade", "q Q0 a 1 12.5 run"])
def test_a_file_of_another_kind_is_rejected_by_its_first_line(first):
    found = rejected(read, f"{first}\n{first}\n")
    assert "not a query-id, a corpus-id and a score in 2 lines (line 1: " in found
