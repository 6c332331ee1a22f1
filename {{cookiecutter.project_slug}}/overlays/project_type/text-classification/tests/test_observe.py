"""What is measured of texts and labels, and what it tells once labels arrive."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from {{cookiecutter.package_name}} import artifacts
from {{cookiecutter.package_name}}.data.prepare import read_split
from {{cookiecutter.package_name}}.monitoring import quality, reference
from {{cookiecutter.package_name}}.serving.observe import Observer

TEXTS = ["The tap in the bathroom leaks.", "I forgot the password of my account."]


@pytest.fixture
def observe(trained, predictor):
    """Return the signals of a text."""
    observer = Observer(trained.folder / "models")

    def observe(text):
        [answer] = predictor.answer(predictor.prepare([text]))
        return observer(text, answer)

    return observe


def test_the_signals_are_what_they_say(observe, predictor, trained, monkeypatch):
    monkeypatch.chdir(trained.folder)
    known = " ".join(read_split("train")["text"]).casefold()
    seen = observe("The TAP leaks zyxwv, qponm!")
    [answer] = predictor.predict(["The TAP leaks zyxwv, qponm!"])
    assert "tap" in known
    assert "zyxwv" not in known
    assert seen.signals["words"] == 5
    assert seen.signals["unknown_words"] == pytest.approx(2 / 5)
    assert seen.signals["label"] == answer["label"] == seen.answer["label"]
    assert seen.signals["confidence"] == pytest.approx(answer["confidence"], abs=1e-4)


def test_the_distance_is_that_of_the_embedding_from_the_middle_of_training(
    observe, predictor, trained, monkeypatch
):
    monkeypatch.chdir(trained.folder)
    texts = read_split("train")["text"].tolist()
    _, vectors = predictor.compute(predictor.prepare(texts))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    middle = vectors.mean(axis=0)
    _, [own] = predictor.compute(predictor.prepare([TEXTS[0]]))
    expected = 1 - own @ middle / np.linalg.norm(middle)
    assert observe(TEXTS[0]).signals["distance"] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("text", ["x", " ", "!?", "🚰"], ids=ascii)
def test_any_text_has_signals(text, observe):
    signals = observe(text).signals
    assert signals.pop("label") in NAMES
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


def test_what_is_served_is_logged_with_the_id_that_the_client_knows(logged):
    with logged() as (client, lines):
        answer = client.post("/predict", json={"texts": TEXTS}, headers={"X-Request-ID": "mine"})
        assert answer.status_code == 200
        assert client.post("/predict", json={"texts": [""]}).status_code == 422
    assert [line["id"] for line in lines[:2]] == ["mine/0", "mine/1"]
    assert [line["input"] for line in lines[:2]] == TEXTS
    labels = [prediction["label"] for prediction in answer.json()["predictions"]]
    assert [line["answer"]["label"] for line in lines[:2]] == labels
    assert lines[2]["refused"] == ["body.texts.0"]


NAMES = ["computers", "electrics", "garden", "plumbing"]
HELD_OUT = {
    "per_class": {name: {} for name in NAMES},
    "model": {"macro_f1": 0.9},
    "intervals_95": {"macro_f1": [0.85, 0.95]},
}


def made_up(rows, right, seed=1):
    """Answers and what would have been right, of which a share agrees."""
    random = np.random.default_rng(seed)
    truth = random.choice(NAMES, rows)
    said = np.where(random.random(rows) < right, truth, random.choice(NAMES, rows))
    answers = [{"id": f"r{n}/0", "answer": {"label": label}} for n, label in enumerate(said)]
    pd.DataFrame({"id": [one["id"] for one in answers], "label": truth}).to_csv("came.csv")
    return answers, truth, said


@pytest.mark.parametrize(("right", "is_alarm"), [(0.95, False), (0.6, True)])
def test_live_quality_is_that_of_the_answers_whose_label_came(right, is_alarm, configure):
    params = configure({})
    answers, truth, said = made_up(400, right)
    more = [{"id": "unlabelled/0", "answer": {"label": "garden"}}]
    found = quality.live_quality([*answers, *more], "came.csv", HELD_OUT, params)
    assert found["answers"] == 400
    assert found["live"] == pytest.approx(f1_score(truth, said, average="macro"))
    assert found["interval_95"][0] < found["live"] < found["interval_95"][1]
    assert found["is_alarm"] is is_alarm


def test_without_labels_nothing_is_said(configure):
    assert quality.live_quality([], None, HELD_OUT, configure({})) is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read"),
        ("", "cannot be read"),
        ("id,team\nr0/0,garden\n", "lacks the column 'label'"),
        ("id,label\nother,garden\n", "no id in came.csv"),
        ("id,label\nr0/0,kitchen\n", "has 'kitchen'; the labels are"),
    ],
)
def test_labels_that_do_not_fit_are_refused_by_name(content, reason, refused_labels):
    answers, _, _ = made_up(3, 1.0)
    refused_labels(content, reason, answers, HELD_OUT)
