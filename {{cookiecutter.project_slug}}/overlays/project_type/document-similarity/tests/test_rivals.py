"""What the benchmarks compare: the same queries, documents and weights."""

import json
import math
import shutil

import pytest
from benchmarks import large, parts, rivals

from portfolio_kit.bench.environment import FOLDER
from portfolio_kit.bench.server import Server
from portfolio_kit.cli import main
from portfolio_kit.errors import UserError
from portfolio_kit.retrieval.documents import Documents

from {{cookiecutter.package_name}}.data.prepare import read_split
from {{cookiecutter.package_name}}.project import PROJECT

DOCUMENTS = 300


def answer(*ids, version="0123456789ab"):
    return {"model_version": version, "results": [{"id": one} for one in ids]}


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        (answer("a", "b"), 0),
        (answer("b", "a"), 0),
        (answer("a", "c"), 0.5),
        (answer("a"), 0),
        (answer(), 0),
        (answer("a", "b", version="ba9876543210"), math.inf),
    ],
)
def test_answers_are_compared_by_model_and_documents(theirs, expected):
    assert rivals.difference(answer("a", "b"), theirs) == expected


def test_requests_are_queries_of_the_validation_set(trained, monkeypatch):
    monkeypatch.chdir(trained.folder)
    bodies = [json.loads(body) for body in rivals.bodies()]
    assert {body["query"] for body in bodies} == set(read_split("valid")["query"])
    assert {body["k"] for body in bodies} == {10}


def test_without_queries_sentences_are_searched_for(given, run):
    given([{"_id": "1", "title": "Tea", "text": "Leaves in water. It steeps."}])
    assert run("data").code == 0
    assert rivals.queries() == ["It steeps.", "Leaves in water.", "Tea"]


def test_a_large_corpus_is_made_of_the_corpus_own_sentences(workspace):
    sentences = large.sentences(["One. Two!\nOne.", "三。四。", "word " * 100])
    assert sentences == sorted(["One.", "Two!", "三。", "四。", ("word " * large.WORDS).strip()])
    for name in ("first", "second"):
        large.write_corpus(workspace / name, 100, sentences)
    assert (workspace / "first").read_bytes() == (workspace / "second").read_bytes()
    records = [json.loads(line) for line in (workspace / "first").read_text("utf-8").splitlines()]
    assert [one["_id"] for one in records] == [str(number) for number in range(100)]
    assert len({one["text"] for one in records}) > 50


def run_here(package, folder, settings, verb):
    """Run a stage as `measure.run` does, but in this process."""
    with pytest.MonkeyPatch.context() as patch:
        shutil.copy("params.yaml", folder)
        patch.chdir(folder)
        options = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
        assert main(PROJECT, [verb, *options]) == 0
    return 1.0, 1


@pytest.fixture(scope="module")
def made(trained):
    """The folder of a larger corpus, next to the trained model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(trained.folder)
        FOLDER.mkdir(parents=True, exist_ok=True)
        patch.setattr(large, "SIZES", (DOCUMENTS,))
        patch.setattr(large.measure, "run", run_here)
        yield large.folder(DOCUMENTS, trained.params).resolve()


def test_a_large_corpus_is_made_once(made, trained, monkeypatch):
    monkeypatch.chdir(trained.folder)
    monkeypatch.setattr(large.measure, "run", lambda *_: pytest.fail("made again"))
    assert large.folder(DOCUMENTS, trained.params).resolve() == made
    manifest = json.loads((made / "models" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["documents"] == DOCUMENTS
    assert manifest["index"]["kind"] == "hnsw"
    assert not manifest["is_fine_tuned"]
    assert len(Documents(made / "models" / "documents.sqlite")) == DOCUMENTS


@pytest.mark.parametrize("change", ["parameters", "documents", "half"])
def test_a_large_corpus_of_another_origin_is_made_again(made, trained, monkeypatch, change):
    monkeypatch.chdir(trained.folder)
    asked = []
    monkeypatch.setattr(large, "build", lambda *wanted: asked.append(wanted))
    params, record = trained.params, made / large.RECIPE
    before = record.read_bytes()
    if change == "parameters":
        index = params.index.model_copy(update={"connectivity": 8})
        params = params.model_copy(update={"index": index})
    else:
        record.write_bytes(before[:-9] if change == "half" else before.replace(b"300", b"200", 1))
    large.folder(DOCUMENTS, params)
    assert asked == [(DOCUMENTS, params)]
    record.write_bytes(before)


def test_index_and_brute_force_answer_alike(made, trained, monkeypatch):
    monkeypatch.chdir(trained.folder)
    monkeypatch.setattr(large, "SIZES", (DOCUMENTS,))
    bodies, answers = rivals.bodies()[:5], []
    for rival in rivals.rivals(trained.params, "python"):
        server = Server(rival, rivals.RIVALS.path, {})
        try:
            server.start(bodies[0])
            answers.append([server.ask(body) for body in bodies])
        finally:
            server.stop()
    for ours, theirs in zip(*answers, strict=True):
        assert len(theirs["results"]) == rivals.K
        assert rivals.difference(ours, theirs) <= rivals.RIVALS.tolerance["fp32"]


def test_the_index_is_compared_with_exact_search(made, trained, monkeypatch):
    monkeypatch.chdir(trained.folder)
    monkeypatch.setattr(parts, "ROUNDS", 1)
    recall, time = parts.index(made / "models", rivals.queries(), trained.params, 0.1)
    assert recall.name == "recall@10 at 300 documents"
    assert 0.9 < recall.value <= 1
    assert time.value > 0
    assert time.target == "at most 0.1 times"


def test_both_ways_to_embed_use_the_same_weights(made, trained, monkeypatch):
    monkeypatch.chdir(trained.folder)
    monkeypatch.setattr(parts, "ROUNDS", 2)
    monkeypatch.setattr(parts, "TEXTS", 20)
    figure = parts.embedding(made / "models", trained.params)
    assert figure.value > 0
    assert figure.is_met == (figure.value >= 1.5)
    with pytest.raises(UserError, match="not the same model"):  # this one was trained
        parts.embedding(trained.folder / "models", trained.params)
