"""What is measured of queries and answers, and what it tells once they are judged."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import ndcg_score

from {{cookiecutter.package_name}} import artifacts
from {{cookiecutter.package_name}}.data.prepare import read_split
from {{cookiecutter.package_name}}.errors import UserError
from {{cookiecutter.package_name}}.evaluation.scores import MODES
from {{cookiecutter.package_name}}.monitoring import quality, reference
from {{cookiecutter.package_name}}.serving.observe import observer

HELD_OUT = {"model": {"ndcg_at_10": 0.7}, "intervals_95": {"ndcg_at_10": [0.65, 0.75]}}


@pytest.fixture
def observe(trained, predictor):
    """Return what is kept of a query."""
    watch = observer(predictor, trained.folder / "models")

    def observe(query):
        [answer] = predictor.predict([query])
        return watch(query, answer["results"])

    return observe


def test_the_signals_are_what_they_say(observe, predictor):
    query = "My kitchen tap drips and zyxwvut."
    [answer] = predictor.predict([query])
    scores = [result["score"] for result in answer["results"]]
    seen = observe(query)
    assert seen.answer["ids"] == [result["id"] for result in answer["results"]]
    assert seen.signals["mode"] == predictor.collection.mode
    assert seen.signals["words"] == 4  # kitchen, tap, drips, zyxwvut
    assert seen.signals["unknown_words"] >= 1 / 4
    assert seen.signals["best_score"] == pytest.approx(scores[0], abs=1e-3)
    assert seen.signals["lead"] == pytest.approx(scores[0] - scores[-1], abs=1e-3)
    assert 0 <= seen.signals["shared_words"] <= 3 / 4


@pytest.mark.parametrize("query", ["x", " ", "!?", "🚰", "the and of"], ids=ascii)
def test_any_query_has_signals(query, observe):
    signals = observe(query).signals
    assert all(np.isfinite(value) for name, value in signals.items() if name != "mode")


def test_nothing_found_has_signals_too(trained, predictor):
    seen = observer(predictor, trained.folder / "models")("tap", [])
    assert seen.answer == {"ids": []}
    assert seen.signals["best_score"] == 0


@pytest.mark.parametrize("mode", MODES)
def test_the_reference_holds_the_signals_of_validation_queries_in_each_way_to_search(
    mode, trained, predictor, monkeypatch
):
    monkeypatch.chdir(trained.folder)
    queries = read_split("valid")["query"].unique().tolist()
    table = reference.read(artifacts.MODELS)
    assert len(table) == len(MODES) * len(queries)
    monkeypatch.setattr(predictor.collection, "mode", mode)
    watch = observer(predictor, artifacts.MODELS)
    rows = table[table["mode"] == mode].to_dict("records")
    for query, row in zip(queries, rows, strict=True):
        [answer] = predictor.predict([query])
        assert row == pytest.approx(watch(query, answer["results"]).signals, abs=1e-3)


def test_without_queries_there_is_no_reference_and_it_is_said(unjudged):
    with pytest.raises(UserError, match=r"reference\.csv: cannot be read .* validation set"):
        reference.read(unjudged.folder / "models")


def test_searches_are_logged_and_looking_for_the_likes_of_a_document_is_not(logged):
    body = {"query": "My kitchen tap drips all night."}
    with logged(changes=None) as (client, lines):
        answer = client.post("/search", json=body, headers={"X-Request-ID": "mine"})
        assert client.post("/search", json={"document_id": "tap"}).status_code == 200
    [line] = lines
    assert (line["id"], line["input"]) == ("mine/0", body["query"])
    assert line["answer"]["ids"] == [result["id"] for result in answer.json()["results"]]


@pytest.mark.parametrize("k", [1, 3, 20])
def test_however_many_are_asked_for_the_first_ten_are_measured(k, logged, observe):
    query = "My kitchen tap drips all night."
    with logged(changes=None) as (client, lines):
        results = client.post("/search", json={"query": query, "k": k}).json()["results"]
    [line] = lines
    assert len(results) == k
    expected = observe(query)
    assert line["answer"] == expected.answer
    assert line["signals"] == pytest.approx(expected.signals, abs=1e-4)


def made_up(place):
    """Fifty searches whose right document stands at a place; None: nowhere."""
    answers, judged = [], []
    for number in range(50):
        ids = [f"d{rank}" for rank in range(10)]
        if place is not None:
            ids[place] = "right"
        answers.append({"id": f"r{number}/0", "answer": {"ids": ids}})
        judged.append({"id": f"r{number}/0", "document_id": "right"})
    pd.DataFrame(judged).to_csv("came.csv", index=False)
    return answers


@pytest.mark.parametrize(("place", "is_alarm"), [(0, False), (1, True), (9, True), (None, True)])
def test_live_quality_is_that_of_the_searches_that_were_judged(place, is_alarm, configure):
    params = configure({})
    answers = made_up(place)
    found = quality.live_quality(answers, "came.csv", HELD_OUT, params)
    truth = np.zeros(10)
    if place is not None:
        truth[place] = 1
    expected = ndcg_score([truth], [np.arange(10, 0, -1)]) if place is not None else 0
    assert found["live"] == pytest.approx(expected)
    assert found["is_alarm"] is is_alarm
    assert found["answers"] == 50


def test_without_labels_nothing_is_said(configure):
    assert quality.live_quality([], None, HELD_OUT, configure({})) is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read"),
        ("id,label\nr0/0,x\n", "lacks the column 'document_id'"),
        ("id,document_id\nother,right\n", "no id in came.csv"),
        ("id,document_id,relevance\nr0/0,right,very\n", "cannot be read"),
    ],
)
def test_judgements_that_do_not_fit_are_refused_by_name(content, reason, refused_labels):
    refused_labels(content, reason, made_up(0), HELD_OUT)


def test_a_model_that_was_never_evaluated_has_nothing_to_compare_with(configure):
    params = configure({})
    answers = made_up(0)
    with pytest.raises(UserError, match="never evaluated"):
        quality.live_quality(answers, "came.csv", {"model": {}, "intervals_95": {}}, params)
