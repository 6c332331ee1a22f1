"""What is measured of texts and labels, and how live quality is computed once labels arrive."""

import numpy as np
import pandas as pd
import pytest
from api_fixtures import LABELS as FILE
from sklearn.metrics import f1_score
from type_fixtures import LABELS

from portfolio_kit import artifacts
from portfolio_kit.monitoring import reference

from {{cookiecutter.package_name}}.data.prepare import read_split
from {{cookiecutter.package_name}}.monitoring.quality import live_quality
from {{cookiecutter.package_name}}.signals import Signals

TEXTS = ["The tap in the bathroom leaks.", "I forgot the password of my account."]


@pytest.fixture
def observe(predictor):
    """Return the observation of a text."""
    signals = Signals(predictor)

    def observe(text):
        [answer] = predictor.answer(predictor.prepare([text]))
        return signals(text, answer)

    return observe


def test_signals_describe_the_text_and_the_answer(observe, predictor, trained, monkeypatch):
    monkeypatch.chdir(trained.folder)
    known = " ".join(read_split("train")["text"]).casefold()
    text = "The TAP leaks zyxwv, qponm!"
    seen = observe(text)
    [answer] = predictor.predict([text])
    assert "tap" in known
    assert "zyxwv" not in known
    assert seen.input == text
    assert seen.signals["words"] == 5
    assert seen.signals["unknown_words"] == pytest.approx(2 / 5)
    assert seen.signals["label"] == answer["label"] == seen.answer["label"]
    assert seen.signals["confidence"] == pytest.approx(answer["confidence"], abs=1e-4)


def test_distance_is_from_the_centroid_of_the_training_embeddings(
    observe, predictor, trained, monkeypatch
):
    monkeypatch.chdir(trained.folder)
    texts = read_split("train")["text"].tolist()
    _, vectors = predictor.compute(predictor.prepare(texts))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    centroid = vectors.mean(axis=0)
    _, [own] = predictor.compute(predictor.prepare([TEXTS[0]]))
    expected = 1 - own @ centroid / np.linalg.norm(centroid)
    assert observe(TEXTS[0]).signals["distance"] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("text", ["x", " ", "!?", "🚰"], ids=ascii)
def test_any_text_has_signals(text, observe):
    signals = observe(text).signals
    assert signals.pop("label") in LABELS
    assert all(map(np.isfinite, signals.values()))


def test_the_reference_holds_the_signals_of_validation_texts(observe, trained, monkeypatch):
    monkeypatch.chdir(trained.folder)
    texts = read_split("valid")["text"].tolist()
    table = reference.read(artifacts.MODELS)
    assert len(table) == len(texts)
    for text, row in zip(texts[:5], table.to_dict("records"), strict=False):
        expected = observe(text).signals
        assert row.pop("label") == expected.pop("label")
        assert row == pytest.approx(expected, abs=1e-3)


def test_answers_are_logged_under_the_id_that_the_client_knows(logged):
    with logged() as (client, lines):
        answer = client.post("/predict", json={"texts": TEXTS})
        assert answer.status_code == 200
        assert client.post("/predict", json={"texts": [""]}).status_code == 422
    request_id = answer.headers["X-Request-ID"]
    assert [line["id"] for line in lines[:2]] == [f"{request_id}/0", f"{request_id}/1"]
    assert [line["input"] for line in lines[:2]] == TEXTS
    labels = [prediction["label"] for prediction in answer.json()["predictions"]]
    assert [line["answer"]["label"] for line in lines[:2]] == labels
    assert lines[2]["invalid"] == ["body.texts.0"]


def made_up(rows, right, seed=1):
    """Write the labels of made-up answers, a share of which is right; return answers and both."""
    random = np.random.default_rng(seed)
    truth = random.choice(LABELS, rows)
    said = np.where(random.random(rows) < right, truth, random.choice(LABELS, rows))
    answers = [{"id": f"r{n}/0", "answer": {"label": label}} for n, label in enumerate(said)]
    pd.DataFrame({"id": [one["id"] for one in answers], "label": truth}).to_csv(FILE)
    return answers, truth, said


@pytest.mark.parametrize(("right", "is_alarm"), [(0.95, False), (0.6, True)])
def test_live_quality_counts_answers_with_a_label(right, is_alarm, configure, example_metrics):
    answers, truth, said = made_up(400, right)
    more = [{"id": "unlabelled/0", "answer": {"label": "garden"}}]
    found = live_quality([*answers, *more], FILE, example_metrics, configure())
    assert found.answers == 400
    assert found.live == pytest.approx(f1_score(truth, said, average="macro"))
    assert found.interval_95[0] < found.live < found.interval_95[1]
    assert found.is_alarm is is_alarm


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read"),
        ("", "cannot be read"),
        ("id,team\nr0/0,garden\n", "lacks the column 'label'"),
        ("id,label\nother,garden\n", f"no id in {FILE}"),
        ("id,label\nr0/0,kitchen\n", "has 'kitchen'; the labels are"),
    ],
)
def test_an_invalid_file_of_labels_is_rejected(content, reason, rejected_labels, example_metrics):
    answers, _, _ = made_up(3, 1.0)
    rejected_labels(content, reason, answers, example_metrics)
