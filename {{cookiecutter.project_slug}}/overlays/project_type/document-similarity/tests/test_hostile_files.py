"""Whatever a folder in the BEIR layout holds: documents and queries, or a reason in plain words."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from hostile_fixtures import CRUMBS, altered, examples, prepared
from hypothesis import given as with_examples
from hypothesis import strategies as st

from {{cookiecutter.package_name}}.artifacts import PROCESSED, RAW
from {{cookiecutter.package_name}}.data import prepare
from {{cookiecutter.package_name}}.errors import UserError
from {{cookiecutter.package_name}}.retrieval.documents import Documents

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


@pytest.fixture
def prepare_folder(given):
    """Run the data stage on files; return the documents and queries, or None for a refusal."""
    params = given([], [], near_duplicate_similarity=None)

    def prepare_folder(**changed):
        for name, content in {**GOOD, **changed}.items():
            path = Path("given") / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        manifest = prepared(prepare.run, params)
        if manifest is None:
            return None
        stored = Documents(PROCESSED / prepare.CORPUS)
        documents = {one.id: one for one in stored.from_row(0)}
        assert len(documents) == manifest["documents"] == len(stored)
        judged = pd.concat(prepare.read_split(part) for part in prepare.SPLITS)
        assert set(judged["document_id"]) <= set(documents) | {""}
        assert judged["query"].str.strip().all()
        return documents, judged

    return prepare_folder


def test_unaltered_files_are_prepared(prepare_folder):
    documents, judged = prepare_folder()
    assert list(documents) == [one["_id"] for one in DOCUMENTS]
    assert len(judged) == len(JUDGED) - 1


@examples(100)
@with_examples(st.lists(RECORDS, max_size=3))
def test_any_documents_come_through_as_they_are_or_are_refused(prepare_folder, records):
    found = prepare_folder(**{"corpus.jsonl": as_jsonl([*DOCUMENTS, *records])})
    if found is not None:
        texts = {(str(one["_id"]), one.get("text") or "") for one in [*DOCUMENTS, *records]}
        assert {(one.id, one.text) for one in found[0].values()} <= texts


@examples(80)
@with_examples(st.lists(RECORDS, max_size=3))
def test_any_queries_come_through_as_they_are_or_are_refused(prepare_folder, records):
    found = prepare_folder(**{"queries.jsonl": as_jsonl([*QUERIES, *records])})
    if found is not None:
        assert set(found[1]["query"]) <= {one["text"] for one in [*QUERIES, *records]}


@examples(80)
@with_examples(st.lists(ROWS, max_size=3), st.sampled_from(["train", "dev", "test"]))
def test_any_judgements_come_through_or_are_refused(prepare_folder, rows, split):
    prepare_folder(**{f"qrels/{split}.tsv": as_tsv([*JUDGED, *rows])})
    Path(f"given/qrels/{split}.tsv").unlink()


@examples(120)
@with_examples(
    st.one_of(
        *(st.tuples(st.just(name), altered(content)) for name, content in GOOD.items()),
        st.tuples(st.sampled_from(list(GOOD)), st.binary(max_size=100)),
    )
)
def test_any_altered_file_is_prepared_or_refused(prepare_folder, change):
    prepare_folder(**dict([change]))


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
@with_examples(
    st.one_of(
        *(
            st.tuples(st.just(name), altered(content))
            for name, content in (("a.zip", zipped(GOOD)), ("a.tar.gz", tarred(GOOD)))
        ),
        st.tuples(st.sampled_from(["a.zip", "a.tar.gz"]), st.binary(max_size=200)),
    )
)
def test_any_altered_archive_is_prepared_or_refused(configure, archive):
    name, content = archive
    Path(name).write_bytes(content)
    prepared(prepare.run, configure({"data.source": name}))


@pytest.mark.parametrize(("name", "pack"), [("a.zip", zipped), ("a.tar.gz", tarred)])
def test_a_bomb_is_not_unpacked(name, pack, configure, peak_memory):
    Path(name).write_bytes(pack({**GOOD, "corpus.jsonl": b" " * 60_000_000}))
    params = configure({"data.source": name})
    with pytest.raises(UserError, match=f"{name} cannot be unpacked: .* 200 times its size"):
        peak_memory(prepare.run, params)
    assert not [one for one in RAW.rglob("*") if one.is_file()]


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
def test_a_line_takes_little_more_memory_than_its_size(line, prepare_folder, peak_memory):
    content = GOOD["corpus.jsonl"] + line
    assert peak_memory(lambda: prepare_folder(**{"corpus.jsonl": content})) < 60_000_000


BUNDLE = {
    "type": "bundle",
    "objects": [
        {"type": "intrusion-set", "id": "a", "name": "Someone"},
        *(
            {
                "type": "attack-pattern",
                "id": f"t{n}",
                "name": f"Technique {n}",
                "description": f"How to do {n}.",
                "external_references": [{"source_name": "mitre-attack", "external_id": f"T{n}"}],
                "kill_chain_phases": [{"phase_name": "impact"}],
            }
            for n in range(9)
        ),
        *(
            {
                "type": "relationship",
                "relationship_type": "uses",
                "id": f"r{n}",
                "source_ref": "a",
                "target_ref": f"t{n}",
                "description": f"Someone did {n}.",
            }
            for n in range(9)
        ),
    ],
}


@examples(60)
@with_examples(altered(json.dumps(BUNDLE).encode()))
def test_any_altered_bundle_is_prepared_or_refused(configure, content):
    Path("bundle.json").write_bytes(content)
    prepared(prepare.run, configure({"data.source": "bundle.json"}))
