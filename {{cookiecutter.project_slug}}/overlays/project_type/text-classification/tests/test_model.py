"""How a trained model behaves: on plain cases, under changes that must not or must matter."""

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from portfolio_kit import artifacts, tracking
from portfolio_kit.errors import UserError
from portfolio_kit.text.encoder import embed_texts
from portfolio_kit.text.tokens import encode, load_tokenizer

from {{cookiecutter.package_name}}.data.prepare import Dataset
from {{cookiecutter.package_name}}.predictor import Predictor, softmax
from {{cookiecutter.package_name}}.training import export

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


def logits(predictor, texts):
    return predictor.compute(predictor.prepare(texts))[0]


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
def test_irrelevant_changes_keep_the_label(change, predictor):
    for text, expected in PLAIN:
        assert label(predictor, change(text)) == expected, change(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The tapp in the bathrom leaks.", "plumbing"),
        ("The soket gives off sparcs.", "electrics"),
        ("The lawn and the hegde need cuting.", "garden"),
        ("My lapotp cannot open the emial program.", "computers"),
    ],
)
def test_typing_errors_keep_the_label(text, expected, predictor):
    assert label(predictor, text) == expected


@pytest.mark.parametrize(
    ("addition", "team"),
    [
        ("Water drips from the pipe under the sink.", "plumbing"),
        ("The fuse blows and the lamp flickers.", "electrics"),
        ("The lawn has to be mown and the hedge cut.", "garden"),
        ("The laptop does not accept my password.", "computers"),
    ],
)
def test_words_of_a_team_make_it_more_likely(addition, team, predictor):
    for start in ("Please have a look at this.", "Something is wrong on the second floor."):
        before, after = predictor.predict([start, f"{start} {addition}"])
        assert after["probabilities"][team] > before["probabilities"][team]
        assert after["label"] == team


@pytest.mark.parametrize(
    "text", ["tap " * 20_000, "x" * 50_000, "水" * 5_000], ids=["words", "one word", "symbols"]
)
def test_a_text_of_any_length_is_answered(text, predictor):
    [row] = logits(predictor, [text])
    assert np.isfinite(row).all()


def test_text_beyond_the_limit_changes_nothing(predictor):
    long = "The tap drips. " * 100
    one, other = logits(predictor, [long, long + "My laptop has a virus. " * 10])
    np.testing.assert_allclose(one, other, rtol=1e-5)


ODD = [" ", "\x00", "🚰", "\u200b", "...", "[PAD] [MASK]", "ปั๊มน้ำรั่ว"]


@pytest.mark.parametrize("text", ODD, ids=ascii)
def test_odd_texts_get_a_distribution_too(text, predictor):
    [row] = softmax(logits(predictor, [text]))
    assert row.sum() == pytest.approx(1)
    assert (row >= 0).all()


def test_a_batch_is_answered_like_each_text_alone(predictor, notes):
    texts = [text * (1 + i % 5) for i, text in enumerate(notes["note"].head(64))]
    together = logits(predictor, texts)
    alone = np.concatenate([logits(predictor, [text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-3)


def test_an_answer_is_the_likeliest_label_with_its_probability(predictor, notes):
    for answer in predictor.predict(notes["note"].head(40).tolist()):
        probabilities = answer["probabilities"]
        assert list(probabilities) == predictor.manifest.labels == sorted(notes["team"].unique())
        assert sum(probabilities.values()) == pytest.approx(1)
        assert answer["label"] == max(probabilities, key=probabilities.get)
        assert answer["confidence"] == probabilities[answer["label"]]


def test_answers_below_the_threshold_need_review(trained, notes):
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
    np.testing.assert_allclose(logits(predictor, texts), expected.numpy(), atol=1e-3)


@pytest.fixture
def export_again(trained, configure, monkeypatch):
    """Export the trained model, or a changed copy, again into this test's folder."""
    # The same weights give the same graph, so they are not traced again.
    written = trained.folder / "models" / "model.onnx"
    monkeypatch.setattr(
        export.onnx_export, "write", lambda *_, path, **options: shutil.copy(written, path)
    )

    def export_again(change=lambda model: None, **settings):
        model, *given, _ = trained.exported
        changes = {f"train.{name}": value for name, value in settings.items()}
        params = configure({"model.backbone": str(given[0]), **changes})
        again = copy.deepcopy(model)
        change(again)
        with tracking.run(params):
            return export.publish(export.export(again, *given, params), again, seconds=1)

    return export_again


def test_an_export_that_computes_something_else_is_rejected(export_again):
    with pytest.raises(UserError, match="a logit of ONNX differs"):
        export_again(lambda model: model.head.bias.data.add_(0.01))
    assert not Path("models").exists()


def test_int8_is_chosen_if_accuracy_holds(export_again, trained, configure):
    manifest = export_again(int8=True)
    files = manifest.model_files
    assert manifest.precision == "int8"
    assert files["fp32"].accuracy - files["int8"].accuracy <= export.MAX_INT8_LOSS
    sizes = [(f / "model.onnx").stat().st_size for f in (trained.folder / "models", Path("models"))]
    assert sizes[1] < 0.3 * sizes[0]
    assert files["int8"].megabytes == pytest.approx(sizes[1] / 1e6, abs=0.1)
    small = Predictor.load(Path("models"), configure().serve)
    assert [label(small, text) for text, _ in PLAIN] == [expected for _, expected in PLAIN]


def test_int8_is_not_used_if_accuracy_is_lost(export_again, monkeypatch, capsys):
    monkeypatch.setattr(export, "quantize_dynamic", lambda fp32, int8, **_: shutil.copy(fp32, int8))
    monkeypatch.setattr(export, "MAX_INT8_LOSS", -1)
    assert export_again(int8=True).precision == "fp32"
    assert "train.int8: not used" in capsys.readouterr().out


def test_the_manifest_describes_the_model_and_its_origin(trained, predictor):
    data = artifacts.read_manifest(trained.folder / "data/processed", Dataset, made_by="data")
    model = predictor.manifest
    assert model.project_type == "text-classification"
    assert model.data_sha256 == data.sha256
    assert model.splits == data.files
    assert model.version == model.files["model.onnx"][:12]
    assert 0 < model.max_difference < 1e-3
    assert model.accuracy_lost == 0
    assert model.precision == "fp32"
    assert set(model.model_files) == {"fp32", "int8"}
    assert model.validation["epoch"] in (1, 2)
    assert model.train_seconds > 0
    assert model.peak_memory_mb > 50


def test_training_leaves_nothing_half_done(trained):
    names = {path.name for path in trained.folder.iterdir()}
    assert names <= {"params.yaml", "data", "models", "mlruns", "reports", ".cache"}
    # The torch weights of the exported model stay for the benchmark; the checkpoint is deleted.
    assert {path.name for path in (trained.folder / ".cache").iterdir()} == {"trained.safetensors"}
    assert {path.name for path in (trained.folder / "models").iterdir()} == {
        "model.onnx",
        "tokenizer.json",
        "vocabulary.json",
        "reference.csv",
        "validation.parquet",
        "manifest.json",
    }


def test_the_predict_verb_prints_an_answer_for_each_text(trained, run, monkeypatch):
    monkeypatch.chdir(trained.folder)
    outcome = run("predict", PLAIN[0][0], PLAIN[-1][0])
    assert outcome.code == 0
    answers = json.loads(outcome.out)
    assert [answer["label"] for answer in answers] == [PLAIN[0][1], PLAIN[-1][1]]
