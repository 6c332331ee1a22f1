"""The BEIR layout's files: read as they are, or rejected by file, line and value."""

import json
from pathlib import Path

import pytest

from portfolio_kit.errors import UserError
from portfolio_kit.retrieval import beir, documents, qrels
from portfolio_kit.retrieval.documents import Document, Documents
from portfolio_kit.retrieval.faults import Faults

HEAD = "query-id\tcorpus-id\tscore\n"
FILES = {
    "corpus.jsonl": '{"_id": "a", "title": "One", "text": "first"}\n{"_id": "b", "text": "two"}\n',
    "queries.jsonl": '{"_id": "q", "text": "which is first"}\n',
    "qrels/train.tsv": f"{HEAD}q\ta\t1\n",
    "qrels/test.tsv": f"{HEAD}q\tb\t2\n",
}


def write(files):
    for name, content in files.items():
        path = Path("given") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Path("given")


def record(document_id, text):
    return json.dumps({"_id": document_id, "text": text}) + "\n"


def rejected(function, *arguments):
    with pytest.raises(UserError) as caught:
        function(*arguments)
    return str(caught.value)


def read(content):
    """Read a corpus; return its documents and the lines of the error, if any."""
    faults = Faults("data.source: corpus.jsonl")
    found = list(beir.documents(write({"corpus.jsonl": content}), faults))
    try:
        faults.raise_any()
    except UserError as error:
        return found, str(error).splitlines()
    return found, []


def test_documents_come_with_their_lines_titles_and_metadata():
    content = (
        '{"_id": "a", "title": "One", "text": "first", "metadata": {"year": 1999}}\n'
        "\n"
        '{"_id": 7, "text": "second", "more": true, "metadata": "none"}\n'
        "   \n"
        '{"_id": "c", "title": null, "text": null}'
    )
    assert read(content) == (
        [
            (1, Document("a", "One", "first", {"year": 1999})),
            (3, Document("7", "", "second")),
            (5, Document("c", "", "")),
        ],
        [],
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.rstrip("\n"),
    ],
    ids=["byte order mark", "Windows line ends", "no last line end"],
)
def test_byte_order_marks_and_line_ends_do_not_matter(change):
    folder = write({name: change(content) for name, content in FILES.items()})
    found = list(beir.documents(folder, Faults("")))
    assert found == [(1, Document("a", "One", "first")), (2, Document("b", "", "two"))]
    assert beir.queries(folder).to_dict("records") == [{"query_id": "q", "query": "which is first"}]
    assert qrels.read(folder, "qrels/test.tsv")["relevance"].tolist() == [2]


def test_separators_within_a_text_do_not_end_a_line():
    text = "one\u2028two\x85three"
    line = json.dumps({"_id": "a", "text": text}, ensure_ascii=False)
    assert read(f"{line}\n{line}\n")[0][1] == (2, Document("a", "", text))


ID = "is not text of 1 to 200 characters in"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": "a"}', f'"_id" {ID} 1 line (line 2: None)'),
        ('{"_id": "", "text": "a"}', f"\"_id\" {ID} 1 line (line 2: '')"),
        ('{"_id": 1.5, "text": "a"}', f'"_id" {ID} 1 line (line 2: 1.5)'),
        ('{"_id": true, "text": "a"}', f'"_id" {ID} 1 line (line 2: True)'),
        ('{"_id": ["a"], "text": "a"}', f"\"_id\" {ID} 1 line (line 2: ['a'])"),
        (record("x" * 201, ""), f'"_id" {ID} 1 line (line 2: \'{"x" * 39})'),
        ('{"_id": "a", "text": 5}', '"title" or "text" is not text in 1 line (line 2: 5)'),
        (
            '{"_id": "a", "title": ["t"]}',
            '"title" or "text" is not text in 1 line (line 2: [\'t\'])',
        ),
        (r'{"_id": "a", "text": "\ud83d"}', "not valid Unicode in 1 line (line 2: 'a')"),
        (r'{"_id": "\udc00"}', r"not valid Unicode in 1 line (line 2: '\udc00')"),
        (
            r'{"_id": "a", "text": "b", "metadata": {"by": ["\ud83d"]}}',
            "not valid Unicode in 1 line (line 2: 'a')",
        ),
    ],
    ids=[
        "no id",
        "empty id",
        "a number with a point",
        "true",
        "a list",
        "long id",
        "text of numbers",
        "title of lists",
        "half a character",
        "half a character as id",
        "half a character in metadata",
    ],
)
def test_an_invalid_document_is_named_by_its_line(line, reason):
    found, lines = read(record("good", "fine") + line)
    assert lines == [f"data.source: corpus.jsonl: {reason}"]
    assert len(found) == 1


def test_a_whole_character_outside_the_basic_plane_is_fine():
    assert read(r'{"_id": "a", "text": "\ud83d\ude00"}')[0] == [(1, Document("a", "", "😀"))]


def test_nan_and_infinity_are_read_as_nothing():
    line = '{"_id": "a", "title": NaN, "text": "b", "metadata": {"n": -Infinity}}'
    assert read(line)[0] == [(1, Document("a", "", "b", {"n": None}))]


def test_an_id_of_the_longest_length_is_fine():
    [(_, document)], _ = read(json.dumps({"_id": "x" * 200}))
    assert document.id == "x" * 200


def test_faults_are_counted_by_kind_and_shown_three_times():
    _, lines = read('{"text": "a"}\n' * 1234 + '{"_id": "b", "text": 1}\n')
    assert lines == [
        f'data.source: corpus.jsonl: "_id" {ID} 1,234 lines '
        "(line 1: None, line 2: None, line 3: None, ...)",
        'data.source: corpus.jsonl: "title" or "text" is not text in 1 line (line 1235: 1)',
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"_id": "a", ', "is not JSON: "),
        ("nothing", "is not JSON: "),
        ("[" * 100_000, "is not JSON: "),
        ('{"_id": ' + "9" * 5000 + "}", "is not JSON: "),
        ('["a", "b"]', "is not a JSON object"),
        ('"a"', "is not a JSON object"),
    ],
    ids=["half", "words", "nested", "a number of 5000 digits", "list", "text"],
)
@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl"])
def test_a_line_that_is_not_a_record_is_named(name, line, reason):
    folder = write({name: '{"_id": "a", "text": "b"}\n\n' + line})
    read_it = beir.queries if name == "queries.jsonl" else lambda it: [*beir.documents(it, None)]
    assert rejected(read_it, folder).startswith(f"data.source: {name} line 3 {reason}")


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"])
def test_a_file_in_another_encoding_is_rejected(name):
    folder = write({**FILES, name: '{"_id": "a", "text": "Ren\xe9"}\n'.encode("latin-1")})
    read_it = {
        "corpus.jsonl": lambda: [*beir.documents(folder, Faults(""))],
        "queries.jsonl": lambda: beir.queries(folder),
        "qrels/test.tsv": lambda: qrels.read(folder, "qrels/test.tsv"),
    }
    line = rejected(read_it[name])
    assert line.startswith(f"data.source: {name.rpartition('/')[2]} is not UTF-8 (")
    assert line.endswith("; save it as UTF-8")


def test_queries_may_have_numbers_as_ids_or_be_missing_altogether():
    assert beir.queries(write({})).empty
    folder = write({"queries.jsonl": '{"_id": 7, "text": "a"}\n{"_id": "8", "text": "b"}\n'})
    assert beir.queries(folder)["query_id"].tolist() == ["7", "8"]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (['{"text": "a"}'], '"_id" or "text" is missing or not text in 1 line (line 1: None)'),
        (['{"_id": "q"}'], '"_id" or "text" is missing or not text in 1 line (line 1: \'q\')'),
        ([r'{"_id": "q", "text": "\ud83d"}'], "not valid Unicode in 1 line (line 1: 'q')"),
        (
            ['{"_id": "7", "text": "a"}', '{"_id": "q", "text": "b"}', '{"_id": 7, "text": "c"}'],
            "repeats an id in 1 line (line 3: '7')",
        ),
    ],
    ids=["no id", "no text", "half a character", "repeated"],
)
def test_invalid_queries_are_named_by_line(lines, reason):
    folder = write({"queries.jsonl": "\n".join(lines)})
    assert rejected(beir.queries, folder) == f"data.source: queries.jsonl: {reason}"


def read_judged(files, stored=("a", "b"), empty=()):
    """Read the judged queries of a folder whose documents are these."""
    documents.write(Path("store"), [Document(one, "", "text") for one in stored])
    return beir.judged_queries(write(files), Documents(Path("store")), empty)


def judged(files, stored=("a", "b"), empty=()):
    tables = read_judged(files, stored, empty).splits
    return {name: table.to_dict("list") for name, table in tables.items()}


def test_judged_queries_come_with_their_texts_split_by_split():
    splits = judged(FILES)
    assert splits["train"] == {
        "line": [2],
        "query_id": ["q"],
        "document_id": ["a"],
        "relevance": [1],
        "query": ["which is first"],
    }
    assert splits["valid"]["query_id"] == []
    assert (splits["test"]["document_id"], splits["test"]["relevance"]) == (["b"], [2])


def test_of_repeated_judgements_the_highest_counts():
    rows = "q\ta\t1\nq\tb\t3\nq\ta\t2\nq\ta\t0\n"
    test = judged({**FILES, "qrels/test.tsv": HEAD + rows})["test"]
    assert list(zip(test["document_id"], test["relevance"], strict=True)) == [("b", 3), ("a", 2)]


def test_judgements_of_unknown_queries_and_documents_are_named_by_line():
    rows = "q\ta\t1\nq9\ta\t1\nq\tz\t1\nq8\ty\t0\n"
    where = "data.source: qrels/test.tsv: names a"
    assert rejected(judged, {**FILES, "qrels/test.tsv": HEAD + rows}).splitlines() == [
        f"{where} query that is not in queries.jsonl in 2 lines (line 3: 'q9', line 5: 'q8')",
        f"{where} document that is not in corpus.jsonl in 2 lines (line 4: 'z', line 5: 'y')",
    ]


def test_judgements_of_empty_documents_are_left_out_counted_and_reported(capsys):
    queries = FILES["queries.jsonl"] + record("r", "which is empty") + record("s", "both")
    rows = "q\ta\t1\nr\te\t1\ns\te\t2\ns\tb\t1\n"
    files = {**FILES, "queries.jsonl": queries, "qrels/test.tsv": HEAD + rows}
    found = read_judged(files, empty=["e"])
    assert found.of_empty_documents == 2
    test = found.splits["test"]
    assert list(zip(test["query_id"], test["document_id"], strict=True)) == [("q", "a"), ("s", "b")]
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "note: data.source: qrels/test.tsv: names an empty document in 2 lines "
        "(line 3: 'e', line 4: 'e'); left out, and 1 query with no other judgement"
    ]
    assert read_judged(FILES).of_empty_documents == 0
    assert capsys.readouterr().out == ""


def test_queries_that_no_file_judges_are_counted_and_reported(capsys):
    more = "".join(record(f"r{n}", "which") for n in range(4))
    files = {**FILES, "queries.jsonl": FILES["queries.jsonl"] + more}
    assert judged(files)["test"]["query_id"] == ["q"]
    assert capsys.readouterr().out == (
        "note: data.source: no file judges 4 of 5 queries in queries.jsonl ('r0', 'r1', 'r2'); "
        "left out\n"
    )


@pytest.mark.parametrize(
    ("more", "found"),
    [({}, "no such file"), ({"qrels/test.tsv": HEAD, "qrels/dev.tsv": ""}, "only qrels/dev.tsv, ")],
    ids=["no file", "empty files"],
)
def test_queries_without_any_judgement_are_rejected(more, found):
    files = {name: FILES[name] for name in ("corpus.jsonl", "queries.jsonl")}
    line = rejected(judged, {**files, **more})
    assert line.startswith("data.source: nothing judges the queries in queries.jsonl (")
    assert found in line
    assert "qrels/test.tsv with query-id, corpus-id and score" in line


def test_documents_alone_need_no_judgements():
    assert read_judged({"corpus.jsonl": FILES["corpus.jsonl"]}).files == {}
