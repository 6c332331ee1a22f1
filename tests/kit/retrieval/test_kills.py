"""Acknowledged changes survive: the server is killed again and again while clients write."""

import json
import random
from pathlib import Path

import pytest
from retrieval import toy

from portfolio_kit.retrieval import kills
from portfolio_kit.retrieval.documents import Document

KILLS = 5
WRITERS = 3
NEW_DOCUMENTS = 12  # per writer, and its share of the stored ones


@pytest.fixture
def server(corpus, workspace):
    """The API of forty documents, not yet started."""
    stored = [Document(one["_id"], one["title"], one["text"]) for one in corpus]
    toy.write(workspace / "models", stored)
    server = kills.killed_server(toy.__name__)
    yield server
    server.kill()


def test_no_acknowledged_write_is_lost_however_often_the_server_is_killed(server, corpus):
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    stored = {one["_id"]: one["text"] for one in corpus}
    writers = []
    for number in range(WRITERS):
        ids = [*stored][number::WRITERS] + [f"new/{number}-{n}" for n in range(NEW_DOCUMENTS)]
        texts = {one: stored.get(one) for one in ids}
        writers.append(kills.Writer(f"writer{number}", texts, seed + number))
    kills.kill_again_and_again(server, writers, KILLS)
    acknowledged = sum(writer.acknowledged for writer in writers)
    unanswered = sum(writer.unanswered for writer in writers)
    print(f"{acknowledged} acknowledged, {unanswered} unanswered")
    assert acknowledged > 10 * KILLS
    assert Path("changes/documents.sqlite").exists()
    assert [writer.lost(server.port) for writer in writers] == [{}] * WRITERS

    ids = [one for writer in writers for one in writer.possible]
    assert len(ids) == len(stored) + WRITERS * NEW_DOCUMENTS <= 100  # found by one search
    found = {one: kills.stored_text(server.port, one) for one in ids}
    there = {one: text for one, text in found.items() if text is not None}
    answer = search(server, "lantern", 100)
    assert {result["id"]: result["text"] for result in answer} == there
    assert len(answer) == len(there)
    for one, text in there.items():
        if text != stored.get(one):
            word = text.split()[1]  # only in documents of one request
            # All are asked for: by meaning, which is random here, others may rank higher.
            matched = {hit["id"] for hit in search(server, word, 100) if word in hit["matched"]}
            assert matched == {other for other, text in there.items() if word in text.split()}
            assert one in matched


def search(server, query, count):
    return server.ask(json.dumps({"query": query, "k": count}))["results"]


def test_documents_that_vanish_change_or_come_back_count_as_lost(server):
    writer = kills.Writer("writer", {"gone": "one", "altered": "two", "back": None, "new": None}, 1)
    writer.possible["new"].append("three")  # sent without an answer
    server.start(json.dumps({"query": "lantern"}))
    documents = [{"id": one, "text": "other"} for one in ("altered", "back")]
    kills.ask(server.port, "POST", "/documents", {"documents": documents})
    assert writer.lost(server.port) == {"gone": None, "altered": "other", "back": "other"}
    documents = [{"id": "new", "text": "three"}]
    kills.ask(server.port, "POST", "/documents", {"documents": documents})
    assert "new" not in writer.lost(server.port)


@pytest.mark.parametrize("is_lost", [False, True])
def test_the_benchmark_tells_whether_anything_was_lost(is_lost, server, monkeypatch, capsys):
    monkeypatch.setattr(kills, "KILLS", 1)
    monkeypatch.setattr(kills, "DOCUMENTS", 20)
    if is_lost:
        monkeypatch.setattr(kills, "stored_text", lambda port, document_id: "something else")
    assert kills.bench(toy.__name__) == int(is_lost)
    assert f"lost {80 if is_lost else 0} over 1 kills" in capsys.readouterr().out
    assert not Path("changes").exists(), "the project's own changes are not touched"
