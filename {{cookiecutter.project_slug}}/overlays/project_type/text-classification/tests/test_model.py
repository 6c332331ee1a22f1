"""How a trained model behaves: on plain cases, under changes that must not or must matter."""

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from {{cookiecutter.package_name}} import artifacts
from {{cookiecutter.package_name}}.errors import UserError
from {{cookiecutter.package_name}}.text import encode, load_tokenizer
from {{cookiecutter.package_name}}.training import export
from {{cookiecutter.package_name}}.training.model import embed_texts

PLAIN = [
    ("The tap in the bathroom leaks.", "plumbing"),
    ("The drain is blocked and the toilet overflows.", "plumbing"),
    ("The socket gives off sparks.", "electrics"),
    ("All lamps went dark after a short circuit.", "electrics"),
    ("The lawn and the hedge need cutting.", "garden"),
    ("Weeds grow between the roses.", "garden"),
    ("My laptop cannot open the email program.", "computers"),
    ("I forgot the password of my account.", "computers"),
]


def label(predictor, text):
    [answer] = predictor.predict([text])
    return answer["label"]


@pytest.mark.parametrize(("text", "expected"), PLAIN)
def test_plain_sentences_get_their_label(text, expected, predictor):
    assert label(predictor, text) == expected


@pytest.mark.parametrize(
    "change",
    [
        str.upper,
        str.lower,
        lambda text: f"  {text.replace(' ', '   ')}\n",
        lambda text: text.rstrip(".") + "!!!",
        lambda text: f"Good morning, {text}",
        lambda text: f"{text} Thank you for your help.",
        lambda text: text.replace("The ", "That "),
    ],
    ids=[
        "upper case",
        "lower case",
        "spaces",
        "exclamation marks",
        "a greeting",
        "thanks",
        "another article",
    ],
)
def test_what_says_nothing_about_the_matter_changes_no_label(change, predictor):
    for text, expected in PLAIN:
        assert label(predictor, change(text)) == expected, change(text)


@pytest.mark.parametrize(
    ("addition", "team"),
    [
        ("Water drips from the pipe under the sink.", "plumbing"),
        ("The fuse blows and the lamp flickers.", "electrics"),
        ("The lawn has to be mown and the hedge cut.", "garden"),
        ("The laptop does not accept my password.", "computers"),
    ],
)
def test_words_of_a_team_make_it_likelier(addition, team, predictor):
    for start in ("Please have a look at this.", "Something is wrong on the second floor."):
        before, after = predictor.predict([start, f"{start} {addition}"])
        assert after["probabilities"][team] > before["probabilities"][team]
        assert after["label"] == team


@pytest.mark.parametrize(
    "text", ["tap " * 20_000, "x" * 50_000, "水" * 5_000], ids=["words", "one word", "symbols"]
)
def test_a_text_of_any_length_is_answered(text, predictor):
    [row] = predictor.probabilities([text])
    assert np.isfinite(row).all()


def test_what_lies_beyond_the_limit_changes_nothing(predictor):
    long = "The tap drips. " * 100
    one, other = predictor.logits([long, long + "My laptop has a virus. " * 10])
    np.testing.assert_allclose(one, other, rtol=1e-5)


ODD = [" ", "\x00", "🚰", "\u200b", "...", "[PAD] [MASK]", "ปั๊มน้ำรั่ว"]


@pytest.mark.parametrize("text", ODD, ids=ascii)
def test_odd_texts_get_a_distribution_too(text, predictor):
    [row] = predictor.probabilities([text])
    assert row.sum() == pytest.approx(1)
    assert (row >= 0).all()


def test_a_batch_is_answered_as_each_text_alone(predictor, notes):
    texts = [text * (1 + i % 5) for i, text in enumerate(notes["note"].head(64))]
    together = predictor.logits(texts)
    alone = np.concatenate([predictor.logits([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-3)


def test_an_answer_is_the_likeliest_label_with_its_probability(predictor, notes):
    for answer in predictor.predict(notes["note"].head(40).tolist()):
        probabilities = answer["probabilities"]
        assert list(probabilities) == predictor.labels == sorted(notes["team"].unique())
        assert sum(probabilities.values()) == pytest.approx(1)
        assert answer["label"] == max(probabilities, key=probabilities.get)
        assert answer["confidence"] == probabilities[answer["label"]]


def test_what_is_below_the_threshold_needs_review(trained, notes):
    from {{cookiecutter.package_name}}.serving.predictor import Predictor

    texts = notes["note"].head(40).tolist()
    settings = trained.params.serve
    models = trained.folder / "models"
    confidences = sorted(p["confidence"] for p in Predictor.load(models, settings).predict(texts))
    threshold = (confidences[19] + confidences[20]) / 2
    strict = Predictor.load(models, settings.model_copy(update={"review_below": threshold}))
    answers = strict.predict(texts)
    assert sum(answer["needs_review"] for answer in answers) == 20
    assert all(answer["needs_review"] == (answer["confidence"] < threshold) for answer in answers)


def test_the_exported_model_computes_what_torch_computes(trained, predictor, notes):
    texts = [text for text, _ in PLAIN] + notes["note"].head(21).tolist() + ["tap " * 200]
    tokenizer_file = trained.folder / "models" / "tokenizer.json"
    tokenizer = load_tokenizer(tokenizer_file, trained.params.model.max_tokens)
    with torch.inference_mode():
        expected = trained.model.head(embed_texts(trained.model, encode(tokenizer, texts)))
    np.testing.assert_allclose(predictor.logits(texts), expected.numpy(), atol=1e-3)


def test_an_export_that_computes_something_else_is_refused(trained, monkeypatch):
    altered = copy.deepcopy(trained.model)
    altered.head.bias.data += 0.01
    written = trained.folder / "models" / "model.onnx"
    monkeypatch.setattr(torch.onnx, "export", lambda *given, **_: shutil.copy(written, given[2]))
    with pytest.raises(UserError, match="ONNX"):
        export.export(altered, *trained.exported[1:])
    assert {path.name for path in Path().iterdir()} == {"params.yaml"}


def test_the_manifest_says_what_the_model_is_made_of(trained, predictor):
    data = artifacts.read_manifest(trained.folder / "data/processed", made_by="data")
    facts = predictor.manifest
    assert facts["project_type"] == "text-classification"
    assert facts["data_sha256"] == data["sha256"]
    assert facts["version"] == facts["files"]["model.onnx"][:12]
    assert facts["onnx"]["max_difference"] < 1e-3
    assert facts["onnx"]["accuracy_lost"] == 0
    assert facts["train_seconds"] > 0
    assert facts["peak_memory_mb"] > 50


def test_training_leaves_nothing_half_done(trained):
    names = {path.name for path in trained.folder.iterdir()}
    assert names <= {"params.yaml", "data", "models", "mlruns", "reports"}
    assert {path.name for path in (trained.folder / "models").iterdir()} == {
        "model.onnx",
        "tokenizer.json",
        "manifest.json",
    }


def test_the_predict_verb_prints_an_answer_for_each_text(trained, run, monkeypatch):
    monkeypatch.chdir(trained.folder)
    outcome = run("predict", PLAIN[0][0], PLAIN[-1][0])
    assert outcome.code == 0
    answers = json.loads(outcome.out)
    assert [answer["label"] for answer in answers] == [PLAIN[0][1], PLAIN[-1][1]]
