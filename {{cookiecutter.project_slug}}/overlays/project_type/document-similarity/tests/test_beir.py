"""The BEIR layout: the same from a folder, an archive or a URL, and refused by name and line."""

import hashlib
import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from {{cookiecutter.package_name}} import artifacts
from {{cookiecutter.package_name}}.data import beir
from {{cookiecutter.package_name}}.data.validation import Faults
from {{cookiecutter.package_name}}.errors import UserError
from {{cookiecutter.package_name}}.retrieval.documents import Document

CACHE = Path("cache")
HEAD = "query-id\tcorpus-id\tscore\n"
FILES = {
    "corpus.jsonl": '{"_id": "a", "title": "One", "text": "first"}\n{"_id": "b", "text": "two"}\n',
    "queries.jsonl": '{"_id": "q", "text": "which is first"}\n',
    "qrels/train.tsv": f"{HEAD}q\ta\t1\n",
    "qrels/test.tsv": f"{HEAD}q\tb\t2\n",
}


def write(files, folder="given"):
    for name, content in files.items():
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Path(folder)


def zipped(files, prefix=""):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(prefix + name, content)
    return target.getvalue()


def tarred(files, prefix="", mode="w:gz"):
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode=mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(content.encode())
            archive.addfile(member, io.BytesIO(content.encode()))
    return target.getvalue()


def contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in files}


def refused(function, *arguments):
    with pytest.raises(UserError) as caught:
        function(*arguments)
    return str(caught.value)


def fetch(source, pin=None):
    return beir.fetch(str(source), pin, CACHE)


def test_a_folder_is_read_where_it_lies():
    folder = write({**FILES, "notes.txt": "not of the layout"})
    assert fetch(folder) == folder
    assert not CACHE.exists()


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("corpus.zip", zipped),
        ("CORPUS.ZIP", zipped),
        ("corpus.tar.gz", tarred),
        ("corpus.tgz", tarred),
        ("corpus.tar", lambda files, prefix: tarred(files, prefix, "w")),
    ],
)
@pytest.mark.parametrize("prefix", ["", "scifact/", "deep/er/", "./"])
def test_an_archive_gives_the_same_files_wherever_in_it_they_lie(prefix, name, pack):
    more = {"README.md": "no", "qrels/other.tsv": "no"}
    Path(name).write_bytes(pack({**FILES, **more}, prefix))
    assert contents(fetch(name)) == FILES


def test_an_archive_is_unpacked_once(monkeypatch):
    Path("corpus.zip").write_bytes(zipped(FILES))
    folder = fetch("corpus.zip")
    monkeypatch.setattr(beir, "_members", None)
    assert fetch("corpus.zip") == folder
    monkeypatch.undo()
    Path("corpus.zip").write_bytes(zipped({**FILES, "queries.jsonl": "{}"}))
    assert contents(fetch("corpus.zip"))["queries.jsonl"] == "{}"


def test_an_archive_comes_by_its_url_and_its_hash(server):
    content = server.files["/open/scifact.zip"] = zipped(FILES, "scifact/")
    pin = hashlib.sha256(content).hexdigest()
    assert contents(fetch(f"{server.url}/open/scifact.zip?download=1", pin)) == FILES
    fetch(f"{server.url}/open/scifact.zip?download=1", pin)
    assert len([one for one in server.requests if one.startswith("GET")]) == 1


def test_a_folder_behind_a_url_gives_the_files_that_it_has(server):
    for name, content in FILES.items():
        server.files[f"/open/scifact/{name}"] = content.encode()
    for source in ("scifact", "scifact/"):
        folder = fetch(f"{server.url}/open/{source}")
        assert contents(folder) == FILES
        assert folder.is_relative_to(CACHE)
    pin = artifacts.sha256(folder)
    assert fetch(f"{server.url}/open/scifact", pin) == folder


def test_two_folders_of_one_name_are_two(server):
    for place in ("one", "two"):
        server.files[f"/{place}/data/corpus.jsonl"] = place.encode()
    folders = [fetch(f"{server.url}/{place}/data") for place in ("one", "two")]
    assert [contents(folder) for folder in folders] == [
        {"corpus.jsonl": "one"},
        {"corpus.jsonl": "two"},
    ]


def test_anything_but_the_pinned_content_is_refused(server):
    wrong = "0" * 64
    folder = write(FILES)
    found = artifacts.sha256(folder)
    assert refused(fetch, "given", wrong) == (
        f"data.source: given: it has sha256 {found}, not the pinned {wrong}"
    )
    Path("corpus.zip").write_bytes(zipped(FILES))
    assert refused(fetch, "corpus.zip", wrong).endswith(f"not the pinned {wrong}")
    server.files["/corpus.zip"] = zipped(FILES)
    assert "is truncated or altered" in refused(fetch, f"{server.url}/corpus.zip", wrong)
    server.files["/data/corpus.jsonl"] = b"{}"
    assert refused(fetch, f"{server.url}/data", wrong).endswith(f"not the pinned {wrong}")


@pytest.mark.parametrize("source", ["nowhere", "given", "given/queries.jsonl"])
def test_what_has_no_corpus_is_refused(source):
    write({"queries.jsonl": ""})
    assert refused(fetch, source) == (
        f"data.source: {source} has no corpus.jsonl; name a folder or archive that has one"
    )


def test_a_url_without_a_corpus_is_refused(server):
    server.files["/data/queries.jsonl"] = b""
    source = f"{server.url}/data"
    assert refused(fetch, source).startswith(
        f"data.source: {source} could not be fetched: there is no corpus.jsonl; "
    )
    assert refused(fetch, "no-such-protocol://data").startswith(
        "data.source: no-such-protocol://data could not be reached: "
    )


def test_an_archive_that_is_not_there_is_refused():
    assert refused(fetch, "corpus.zip") == "data.source: there is no file corpus.zip"


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({"queries.jsonl": ""}, 0),
        ({"one/corpus.jsonl": "", "two/corpus.jsonl": ""}, 2),
        ({"my-corpus.jsonl": "", "corpus.jsonl.bak": ""}, 0),
    ],
)
def test_an_archive_needs_exactly_one_corpus(files, count):
    Path("corpus.zip").write_bytes(zipped(files))
    assert refused(fetch, "corpus.zip") == (
        f"data.source: corpus.zip has {count} files corpus.jsonl, not one"
    )
    assert not list(CACHE.glob("*"))


def damaged(content):
    """Return an archive with some of its compressed bytes turned over, its directory whole."""
    middle = len(content) // 3
    turned = bytes(byte ^ 255 for byte in content[middle : middle + 60])
    return content[:middle] + turned + content[middle + 60 :]


def encrypted(content):
    """Return a ZIP file that says of its entries that they need a password."""
    flagged = bytearray(content)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = -1
        while (place := flagged.find(signature, place + 1)) >= 0:
            flagged[place + offset] |= 1
    return bytes(flagged)


def record(document_id, text):
    return json.dumps({"_id": document_id, "text": text}) + "\n"


LONG = {"corpus.jsonl": "".join(record(n, str(n * n)) for n in range(300))}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("corpus.zip", b"no archive"),
        ("corpus.tar.gz", b"no archive"),
        ("corpus.zip", zipped(LONG)[:1000]),
        ("corpus.tar.gz", tarred(LONG)[:1000]),
        ("corpus.zip", damaged(zipped(LONG))),
        ("corpus.tar.gz", damaged(tarred(LONG))),
        ("corpus.zip", encrypted(zipped(LONG))),
    ],
    ids=["no ZIP", "no tar", "half a ZIP", "half a tar", "bad ZIP", "bad tar", "password"],
)
def test_an_archive_that_cannot_be_unpacked_leaves_nothing(name, content):
    Path(name).write_bytes(content)
    line = refused(fetch, name)
    assert line.startswith(f"data.source: {name} cannot be unpacked: ")
    assert "\n" not in line
    assert not list(CACHE.glob("*"))


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("prefix", ["../", "../../evil/", "/tmp/evil-corpus/", "a/../../b/"])
def test_names_that_lead_out_of_an_archive_write_nothing_outside(prefix, pack, workspace):
    name = "corpus.zip" if pack is zipped else "corpus.tar.gz"
    inner = workspace / "some" / "where"
    inner.mkdir(parents=True)
    (inner / name).write_bytes(pack({**FILES, "../../evil.txt": "!"}, prefix))
    before = set(workspace.rglob("*"))
    assert contents(fetch(inner / name)) == FILES
    new = set(workspace.rglob("*")) - before
    assert new
    assert all(path.is_relative_to(workspace / CACHE) for path in new)
    assert not Path("/tmp/evil-corpus").exists()


def test_a_link_in_an_archive_is_not_followed():
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for name in ("corpus.jsonl", "queries.jsonl"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
    Path("corpus.tar.gz").write_bytes(target.getvalue())
    assert "has 0 files corpus.jsonl" in refused(fetch, "corpus.tar.gz")


def read(content):
    """Read a corpus; return its documents and what is wrong with it, line by line."""
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
def test_editors_marks_and_line_ends_do_not_matter(change):
    folder = write({name: change(content) for name, content in FILES.items()})
    found = list(beir.documents(folder, Faults("")))
    assert found == [(1, Document("a", "One", "first")), (2, Document("b", "", "two"))]
    assert beir.queries(folder).to_dict("records") == [{"query_id": "q", "query": "which is first"}]
    assert beir.judgements(folder, "test")["relevance"].tolist() == [2]


def test_separators_within_a_text_are_no_line_ends():
    text = "one\u2028two\x85three"
    line = json.dumps({"_id": "a", "text": text}, ensure_ascii=False)
    assert read(f"{line}\n{line}\n")[0][1] == (2, Document("a", "", text))


ID = "is no text of 1 to 200 characters in"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": "a"}', f'"_id" {ID} 1 line (line 2: None)'),
        ('{"_id": "", "text": "a"}', f"\"_id\" {ID} 1 line (line 2: '')"),
        ('{"_id": 1.5, "text": "a"}', f'"_id" {ID} 1 line (line 2: 1.5)'),
        ('{"_id": true, "text": "a"}', f'"_id" {ID} 1 line (line 2: True)'),
        ('{"_id": ["a"], "text": "a"}', f"\"_id\" {ID} 1 line (line 2: ['a'])"),
        (record("x" * 201, ""), f'"_id" {ID} 1 line (line 2: \'{"x" * 39})'),
        ('{"_id": "a", "text": 5}', '"title" or "text" is no text in 1 line (line 2: 5)'),
        (
            '{"_id": "a", "title": ["t"]}',
            '"title" or "text" is no text in 1 line (line 2: [\'t\'])',
        ),
        (
            r'{"_id": "a", "text": "\ud83d"}',
            "has characters that are no Unicode in 1 line (line 2: 'a')",
        ),
        (r'{"_id": "\udc00"}', r"has characters that are no Unicode in 1 line (line 2: '\udc00')"),
        (
            r'{"_id": "a", "text": "b", "metadata": {"by": ["\ud83d"]}}',
            "has characters that are no Unicode in 1 line (line 2: 'a')",
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
def test_a_document_that_does_not_do_is_named_by_its_line(line, reason):
    found, lines = read(record("good", "fine") + line)
    assert lines == [f"data.source: corpus.jsonl: {reason}"]
    assert len(found) == 1


def test_a_whole_character_outside_the_basic_plane_is_fine():
    assert read(r'{"_id": "a", "text": "\ud83d\ude00"}')[0] == [(1, Document("a", "", "😀"))]


def test_numbers_that_are_none_are_nothing():
    line = '{"_id": "a", "title": NaN, "text": "b", "metadata": {"n": -Infinity}}'
    assert read(line)[0] == [(1, Document("a", "", "b", {"n": None}))]


def test_an_id_of_just_the_longest_length_is_fine():
    [(_, document)], _ = read(json.dumps({"_id": "x" * 200}))
    assert document.id == "x" * 200


def test_faults_are_counted_by_kind_and_shown_three_times():
    _, lines = read('{"text": "a"}\n' * 1234 + '{"_id": "b", "text": 1}\n')
    assert lines == [
        f'data.source: corpus.jsonl: "_id" {ID} 1,234 lines '
        "(line 1: None, line 2: None, line 3: None, ...)",
        'data.source: corpus.jsonl: "title" or "text" is no text in 1 line (line 1235: 1)',
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"_id": "a", ', "is no JSON: "),
        ("nothing", "is no JSON: "),
        ("[" * 100_000, "is no JSON: "),
        ('{"_id": ' + "9" * 5000 + "}", "is no JSON: "),
        ('["a", "b"]', "is no JSON object"),
        ('"a"', "is no JSON object"),
    ],
    ids=["half", "words", "nested", "a number of 5000 digits", "list", "text"],
)
@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl"])
def test_a_line_that_is_no_record_is_named(name, line, reason):
    folder = write({name: '{"_id": "a", "text": "b"}\n\n' + line})
    read_it = beir.queries if name == "queries.jsonl" else lambda it: [*beir.documents(it, None)]
    assert refused(read_it, folder).startswith(f"data.source: {name} line 3 {reason}")


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"])
def test_a_file_in_another_encoding_is_refused(name):
    folder = write({**FILES, name: '{"_id": "a", "text": "Ren\xe9"}\n'.encode("latin-1")})
    read_it = {
        "corpus.jsonl": lambda: [*beir.documents(folder, Faults(""))],
        "queries.jsonl": lambda: beir.queries(folder),
        "qrels/test.tsv": lambda: beir.judgements(folder, "test"),
    }
    line = refused(read_it[name])
    assert line.startswith(f"data.source: {name.rpartition('/')[2]} is not UTF-8 (")
    assert line.endswith("; save it as UTF-8")


def test_queries_may_have_numbers_as_ids_or_be_missing_altogether():
    assert beir.queries(write({})).empty
    folder = write({"queries.jsonl": '{"_id": 7, "text": "a"}\n{"_id": "8", "text": "b"}\n'})
    assert beir.queries(folder)["query_id"].tolist() == ["7", "8"]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (['{"text": "a"}'], '"_id" or "text" is missing or no text in 1 line (line 1: None)'),
        (['{"_id": "q"}'], '"_id" or "text" is missing or no text in 1 line (line 1: \'q\')'),
        (
            [r'{"_id": "q", "text": "\ud83d"}'],
            "has characters that are no Unicode in 1 line (line 1: 'q')",
        ),
        (
            ['{"_id": "7", "text": "a"}', '{"_id": "q", "text": "b"}', '{"_id": 7, "text": "c"}'],
            "repeats an id in 1 line (line 3: '7')",
        ),
    ],
    ids=["no id", "no text", "half a character", "repeated"],
)
def test_queries_that_do_not_do_are_named_by_line(lines, reason):
    folder = write({"queries.jsonl": "\n".join(lines)})
    assert refused(beir.queries, folder) == f"data.source: queries.jsonl: {reason}"


def test_judgements_keep_their_grades_and_lines():
    folder = write({"qrels/dev.tsv": f"{HEAD}q 1\ta\t0\n\nq2\tb\t3\nq2\tc\t1\n"})
    table = beir.judgements(folder, "valid")
    assert table.to_dict("list") == {
        "line": [2, 4, 5],
        "query_id": ["q 1", "q2", "q2"],
        "document_id": ["a", "b", "c"],
        "relevance": [0, 3, 1],
    }
    assert beir.judgements(folder, "test").empty


def test_judgements_need_no_header():
    folder = write({"qrels/test.tsv": "q\ta\t1\nr\tb\t1\n"})
    assert beir.judgements(folder, "test")["query_id"].tolist() == ["q", "r"]


@pytest.mark.parametrize(
    "line",
    ["q\ta", "q a 1", "q\t0\ta\t1", "q\ta\tyes", "q\ta\t0.5", "q\ta\t-1", "q\ta\t", "q\ta\t²"],
)
def test_a_judgement_that_does_not_do_is_named_by_line(line):
    folder = write({"qrels/test.tsv": f"{HEAD}q\ta\t1\n{line}\n"})
    found = refused(beir.judgements, folder, "test")
    reason = "is no query-id, corpus-id and whole score with tabs in 1 line"
    assert found.startswith(f"data.source: qrels/test.tsv: {reason} (line 3: '{line[0]}")
