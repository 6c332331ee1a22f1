"""What is measured of queries and results, and live quality once results are judged."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import ndcg_score

from portfolio_kit import artifacts
from portfolio_kit.errors import UserError
from portfolio_kit.monitoring import reference
from portfolio_kit.retrieval.settings import MODES

from {{cookiecutter.package_name}}.data.prepare import read_split
from {{cookiecutter.package_name}}.evaluation.metrics import Metrics
from {{cookiecutter.package_name}}.monitoring.quality import live_quality
from {{cookiecutter.package_name}}.signals import Signals

HELD_OUT = Metrics.model_construct(
    model={"ndcg_at_10": 0.7}, intervals_95={"ndcg_at_10": [0.65, 0.75]}
)


@pytest.fixture
def observe(predictor):
    """Return what the prediction log keeps of a query."""
    signals = Signals(predictor)

    def observe(query):
        [answer] = predictor.predict([query])
        return signals(query, answer["results"])

    return observe


def test_the_signals_are_what_their_names_say(observe, predictor):
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


def test_an_empty_result_has_signals_as_well(predictor):
    seen = Signals(predictor)("tap", [])
    assert seen.answer == {"ids": []}
    assert seen.signals["best_score"] == 0


@pytest.mark.parametrize("mode", MODES)
def test_the_reference_has_the_signals_of_validation_queries_in_each_mode(
    mode, trained, predictor, monkeypatch
):
    monkeypatch.chdir(trained.folder)
    queries = read_split("valid")["query"].unique().tolist()
    table = reference.read(artifacts.MODELS)
    assert len(table) == len(MODES) * len(queries)
    monkeypatch.setattr(predictor.collection, "mode", mode)
    signals = Signals(predictor)
    rows = table[table["mode"] == mode].to_dict("records")
    for query, row in zip(queries, rows, strict=True):
        [answer] = predictor.predict([query])
        assert row == pytest.approx(signals(query, answer["results"]).signals, abs=1e-3)


def test_a_missing_reference_is_reported_if_there_were_no_queries(unjudged):
    with pytest.raises(UserError, match=r"reference\.csv: cannot be read .* validation set"):
        reference.read(unjudged.models)


def test_queries_are_logged_and_requests_for_neighbours_are_not(logged):
    body = {"query": "My kitchen tap drips all night."}
    with logged(changes=None) as (client, lines):
        answer = client.post("/search", json=body)
        assert client.post("/search", json={"document_id": "tap"}).status_code == 200
    [line] = lines
    assert line["id"] == f"{answer.headers['X-Request-ID']}/0"
    assert line["input"] == body["query"]
    assert line["answer"]["ids"] == [result["id"] for result in answer.json()["results"]]


@pytest.mark.parametrize("k", [1, 3, 20])
def test_the_first_ten_are_measured_whatever_k_is(k, logged, observe):
    query = "My kitchen tap drips all night."
    with logged(changes=None) as (client, lines):
        results = client.post("/search", json={"query": query, "k": k}).json()["results"]
    [line] = lines
    assert len(results) == k
    expected = observe(query)
    assert line["answer"] == expected.answer
    assert line["signals"] == pytest.approx(expected.signals, abs=1e-4)


def made_up(place):
    """Fifty searches with the right document at this place; None: not found."""
    answers, judged = [], []
    for number in range(50):
        ids = [f"d{rank}" for rank in range(10)]
        if place is not None:
            ids[place] = "right"
        answers.append({"id": f"r{number}/0", "answer": {"ids": ids}})
        judged.append({"id": f"r{number}/0", "document_id": "right"})
    pd.DataFrame(judged).to_csv("labels.csv", index=False)
    return answers


@pytest.mark.parametrize(("place", "is_alarm"), [(0, False), (1, True), (9, True), (None, True)])
def test_live_quality_is_that_of_the_judged_searches(place, is_alarm, configure):
    params = configure({})
    answers = made_up(place)
    found = live_quality(answers, "labels.csv", HELD_OUT, params)
    truth = np.zeros(10)
    if place is not None:
        truth[place] = 1
    expected = ndcg_score([truth], [np.arange(10, 0, -1)]) if place is not None else 0
    assert found.live == pytest.approx(expected)
    assert found.is_alarm is is_alarm
    assert found.answers == 50


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read"),
        ("id,label\nr0/0,x\n", "lacks the column 'document_id'"),
        ("id,document_id\nother,right\n", "no id in labels.csv"),
        ("id,document_id,relevance\nr0/0,right,very\n", "cannot be read"),
    ],
)
def test_invalid_judgements_are_rejected_with_the_reason(content, reason, rejected_labels):
    rejected_labels(content, reason, made_up(0), HELD_OUT)


def test_a_model_without_held_out_scores_has_nothing_to_compare_with(configure):
    unmeasured = HELD_OUT.model_copy(update={"model": {}, "intervals_95": {}})
    with pytest.raises(UserError, match="no held-out scores to compare with"):
        live_quality(made_up(0), "labels.csv", unmeasured, configure({}))
