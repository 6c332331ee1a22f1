"""Whatever a BEIR folder or archive holds: documents and queries, or a reason in plain words."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest
from hostile import CRUMBS, altered, examples
from hypothesis import given
from hypothesis import strategies as st

from portfolio_kit.errors import UserError, lines_of
from portfolio_kit.retrieval import archives, beir, corpus
from portfolio_kit.retrieval.documents import Documents
from portfolio_kit.retrieval.faults import Faults

FOLDER, STORE, CACHE = Path("given"), Path("store"), Path("cache")
DOCUMENTS = [{"_id": f"d{n}", "title": f"Number {n}", "text": f"On {n * n}."} for n in range(9)]
QUERIES = [{"_id": f"q{n}", "text": f"Which is the square of {n}?"} for n in range(9)]
JUDGED = [("query-id", "corpus-id", "score"), *((f"q{n}", f"d{n}", n % 3 or 1) for n in range(9))]
TEXTS = st.lists(st.one_of(st.text(max_size=8), st.sampled_from(CRUMBS)), max_size=3).map("".join)
IDS = st.one_of(
    st.sampled_from(["d1", "q1", "../../x", "/etc/passwd", "C:\\x", "a\nb", "%00", ".", "x" * 200]),
    TEXTS,
)
ODD = st.recursive(
    st.one_of(IDS, st.none(), st.booleans(), st.integers(), st.floats()),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(TEXTS, inner, max_size=2)),
    max_leaves=4,
)
FIELDS = ["_id", "title", "text", "metadata"]
RECORDS = st.one_of(
    st.fixed_dictionaries({"_id": IDS, "text": TEXTS}, optional={"title": TEXTS, "metadata": ODD}),
    st.dictionaries(st.one_of(st.sampled_from(FIELDS), TEXTS), ODD, max_size=4),
    ODD,
)
ROWS = st.one_of(
    st.tuples(
        st.one_of(st.sampled_from(["q1", "q2"]), IDS),
        st.one_of(st.sampled_from(["d1", "d2"]), IDS),
        st.one_of(st.integers(), st.sampled_from(["1", "1.0", "-1", "²", "٣", "1e3", "9" * 30])),
    ),
    st.lists(TEXTS, max_size=4),
)


def as_jsonl(records):
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def as_tsv(rows):
    lines = ("\t".join(map(str, row)) for row in rows)
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")


GOOD = {
    "corpus.jsonl": as_jsonl(DOCUMENTS),
    "queries.jsonl": as_jsonl(QUERIES),
    "qrels/train.tsv": as_tsv(JUDGED),
}


def read_all(source):
    """Read a source as the data stage does; return documents by id, and judged queries."""
    folder = archives.fetch(str(source), None, CACHE).folder
    faults = Faults("data.source: corpus.jsonl")
    empty = corpus.store(STORE, beir.documents(folder, faults), faults)
    stored = Documents(STORE)
    documents = {one.id: one for one in stored.from_row(0)}
    assert len(documents) == len(stored)
    judged = beir.judged_queries(folder, stored, empty).splits
    for table in judged.values():
        assert set(table["document_id"]) <= set(documents)
    return documents, judged


def read_or_reject(source):
    """Return what `read_all` does, or None for a reason in plain lines."""
    try:
        return read_all(source)
    except UserError as error:
        for line in lines_of(error):
            assert line.startswith("data.source")
            assert len(line) < 2_000
        return None


def read_files(**changed):
    for name, content in {**GOOD, **changed}.items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return read_or_reject(FOLDER)


def test_unaltered_files_are_read():
    documents, judged = read_files()
    assert list(documents) == [one["_id"] for one in DOCUMENTS]
    assert len(judged["train"]) == len(JUDGED) - 1


@examples(100)
@given(st.lists(RECORDS, max_size=3))
def test_any_documents_are_read_as_they_are_or_rejected(records):
    found = read_files(**{"corpus.jsonl": as_jsonl([*DOCUMENTS, *records])})
    if found is not None:
        texts = {(str(one["_id"]), one.get("text") or "") for one in [*DOCUMENTS, *records]}
        assert {(one.id, one.text) for one in found[0].values()} <= texts


@examples(80)
@given(st.lists(RECORDS, max_size=3))
def test_any_queries_are_read_as_they_are_or_rejected(records):
    found = read_files(**{"queries.jsonl": as_jsonl([*QUERIES, *records])})
    if found is not None:
        assert set(found[1]["train"]["query"]) <= {one["text"] for one in [*QUERIES, *records]}


@examples(80)
@given(st.lists(ROWS, max_size=3), st.sampled_from(["train.tsv", "dev.tsv", "test.csv"]))
def test_any_judgements_are_read_or_rejected(rows, name):
    read_files(**{f"qrels/{name}": as_tsv([*JUDGED, *rows])})
    (FOLDER / "qrels" / name).unlink()


@examples(80)
@given(st.lists(RECORDS, max_size=3))
def test_any_records_of_judgements_are_read_or_rejected(records):
    judged = [dict(zip(JUDGED[0], row, strict=True)) for row in JUDGED[1:]]
    read_files(**{"qrels/test.jsonl": as_jsonl([*judged, *records])})
    (FOLDER / "qrels/test.jsonl").unlink()


@examples(120)
@given(
    st.one_of(
        *(st.tuples(st.just(name), altered(content)) for name, content in GOOD.items()),
        st.tuples(st.sampled_from(list(GOOD)), st.binary(max_size=100)),
    )
)
def test_any_altered_file_is_read_or_rejected(change):
    read_files(**dict([change]))


def zipped(files, method=zipfile.ZIP_DEFLATED):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return target.getvalue()


def tarred(files):
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return target.getvalue()


@examples(80)
@given(
    st.one_of(
        *(
            st.tuples(st.just(name), altered(content))
            for name, content in (("a.zip", zipped(GOOD)), ("a.tar.gz", tarred(GOOD)))
        ),
        st.tuples(st.sampled_from(["a.zip", "a.tar.gz"]), st.binary(max_size=200)),
    )
)
def test_any_altered_archive_is_read_or_rejected(archive):
    name, content = archive
    Path(name).write_bytes(content)
    read_or_reject(name)


@pytest.mark.parametrize(("name", "pack"), [("a.zip", zipped), ("a.tar.gz", tarred)])
def test_a_bomb_is_not_unpacked(name, pack, peak_memory):
    Path(name).write_bytes(pack({**GOOD, "corpus.jsonl": b" " * 60_000_000}))
    with pytest.raises(UserError, match=f"{name} cannot be unpacked: .* 200 times its size"):
        peak_memory(read_all, name)
    assert not [one for one in CACHE.rglob("*") if one.is_file()]


@pytest.mark.parametrize(
    "line",
    [
        b'{"_id": "a", "text": ' + b"[" * 1_000_000 + b"\n",
        b'{"_id": "a", "text": "' + b"ab " * 2_000_000 + b'"}\n',
        b'{"_id": "a", "metadata": {' + b'"":{' * 100_000 + b"\n",
        b"\n" * 1_000_000,
    ],
    ids=["nested text", "a long text", "nested metadata", "blank lines"],
)
def test_a_line_takes_little_more_memory_than_its_size(line, peak_memory):
    content = GOOD["corpus.jsonl"] + line
    assert peak_memory(lambda: read_files(**{"corpus.jsonl": content})) < 60_000_000
