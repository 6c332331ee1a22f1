"""Training, with an encoder so small that each run takes a second."""

import itertools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from sklearn.utils.class_weight import compute_class_weight
from torch import nn
from type_fixtures import LABELS

from portfolio_kit import artifacts, steps
from portfolio_kit.checkpoint import Checkpoint
from portfolio_kit.errors import UserError
from portfolio_kit.text.encoder import embed_texts, load_backbone
from portfolio_kit.text.tokens import encode, load_tokenizer

from {{cookiecutter.package_name}}.predictor import VALIDATION, Manifest
from {{cookiecutter.package_name}}.training import train
from {{cookiecutter.package_name}}.training.model import HEAD_SCALE, Classifier, Examples


@pytest.fixture(scope="module")
def lesson(notes, tiny_backbone):
    """The notes as token ids and class indices, every seventh for validation."""
    tokenizer = load_tokenizer(tiny_backbone / "tokenizer.json", max_tokens=32)
    ids = encode(tokenizer, notes["note"].tolist())
    targets = torch.tensor([LABELS.index(team) for team in notes["team"]])
    held_out = np.arange(len(ids)) % 7 == 0
    texts = notes["note"].tolist()
    return tuple(
        Examples(
            [texts[row] for row in np.flatnonzero(chosen)],
            [ids[row] for row in np.flatnonzero(chosen)],
            targets[chosen],
        )
        for chosen in (~held_out, held_out)
    )


@pytest.fixture
def classifier(tiny_backbone):
    """Make an untrained classifier, always the same."""

    def classifier(dropout=0.1):
        torch.manual_seed(1)
        return Classifier(load_backbone(tiny_backbone), len(LABELS), dropout)

    return classifier


@pytest.fixture
def fit(configure, classifier, lesson, monkeypatch):
    """Train with these settings; return the model, its best scores and the validation losses.

    A run with the name of an earlier one continues from its checkpoint.
    """
    # So small a model is faster than handing work to threads.
    torch.set_num_threads(1)
    names = itertools.count()

    def fit(seed=13, name=None, **settings):
        losses = []

        def log_metrics(metrics, step):
            losses.extend(value for key, value in metrics.items() if key == "valid_loss")

        recorder = SimpleNamespace(log_metrics=log_metrics)
        monkeypatch.setattr(steps, "mlflow", recorder)
        small = {"epochs": 2, "batch_size": 16, "freeze_layers": 0, "learning_rate": 1e-3}
        changes = {f"train.{name}": value for name, value in {**small, **settings}.items()}
        params = configure({"seed": seed, **changes})
        model = classifier(params.train.dropout)
        checkpoint = Checkpoint(Path("code"), name or next(names))
        train.fit(model, *lesson, params, Accelerator(cpu=True), checkpoint)
        return SimpleNamespace(model=model, best=checkpoint.best, losses=losses)

    return fit


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(fit):
    one, again, other = (weights(fit(seed).model) for seed in (13, 13, 14))
    assert same(one, again)
    assert not same(one, other)


def test_a_few_rows_can_be_memorised(fit, lesson):
    _, ids, targets = lesson[0]
    model = fit(epochs=30, learning_rate=5e-3, dropout=0.0, label_smoothing=0.0, patience=30).model
    embeddings = embed_texts(model, ids)
    found = model.head(embeddings).argmax(dim=1)
    assert (found == targets).float().mean() > 0.95


def test_training_lowers_the_loss(fit):
    losses = fit(epochs=8).losses
    assert len(losses) == 8
    assert losses[-1] < losses[0]


def test_bf16_learns_the_same_with_less_precision(fit):
    exact, coarse = (fit(precision=precision) for precision in ("fp32", "bf16"))
    assert coarse.best["loss"] == pytest.approx(exact.best["loss"], rel=0.1)
    assert not same(weights(exact.model), weights(coarse.model))
    assert {weight.dtype for weight in coarse.model.parameters()} == {torch.float32}


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_frozen_layers_stay_as_they_are_and_the_others_learn(layers, fit, classifier):
    before, after = weights(classifier()), weights(fit(epochs=1, freeze_layers=layers).model)
    frozen = [f"backbone.encoder.layer.{n}." for n in range(layers)]
    frozen += ["backbone.embeddings."] if layers else []
    for name in before:
        changed = not torch.equal(before[name], after[name])
        assert changed is not name.startswith(tuple(frozen)), name


def test_the_head_starts_at_the_mean_of_each_class(classifier, lesson):
    _, ids, targets = lesson[0]
    model = classifier()
    embeddings = embed_texts(model, ids)
    model.start_from_prototypes(embeddings, targets)
    vectors, classes = embeddings.numpy(), targets.numpy()
    means = np.stack([vectors[classes == index].mean(axis=0) for index in range(len(LABELS))])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    logits = model.head(embeddings).detach().numpy()
    np.testing.assert_allclose(logits, HEAD_SCALE * vectors @ means.T, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_class_weights_go_from_none_to_those_of_scikit_learn(seed, configure):
    random = np.random.default_rng(seed)
    targets = np.concatenate([np.arange(4), random.choice(4, size=60, p=[0.6, 0.2, 0.15, 0.05])])
    none, half, full = (
        train.weigh_classes(
            torch.tensor(targets), configure({"train.class_weight_power": power}).train
        )
        for power in (0.0, 0.5, 1.0)
    )
    balanced = compute_class_weight("balanced", classes=np.arange(4), y=targets)
    assert none.tolist() == pytest.approx([1.0] * 4)
    assert full.tolist() == pytest.approx(balanced.tolist(), rel=1e-5)
    assert half[targets].mean().item() == pytest.approx(1.0)
    assert (half[0] / half[3]).item() == pytest.approx((full[0] / full[3]).item() ** 0.5)


@pytest.mark.parametrize(
    "settings", [{}, {"patience": 1, "learning_rate": 5e-2}], ids=["all", "stops early"]
)
@pytest.mark.parametrize("interruptions", [[1], [7, 8], [9, 10, 20]], ids=str)
def test_an_interrupted_run_ends_with_the_weights_of_one_that_was_not(
    interruptions, settings, fit, monkeypatch
):
    settings = {"epochs": 4, "checkpoint_steps": 3, "freeze_layers": 1, **settings}
    whole = fit(name="whole", **settings)

    steps = itertools.count(1)

    def clip_or_die(*arguments, **settings):
        if next(steps) in interruptions:
            raise InterruptedError
        return clip(*arguments, **settings)

    clip = nn.utils.clip_grad_norm_
    monkeypatch.setattr(nn.utils, "clip_grad_norm_", clip_or_die)
    for _ in interruptions:
        with pytest.raises(InterruptedError):
            fit(name="parts", **settings)
    parts = fit(name="parts", **settings)
    assert same(weights(parts.model), weights(whole.model))
    assert parts.best == whole.best


def test_without_a_validation_set_the_last_epoch_stays(classifier, lesson, configure):
    torch.set_num_threads(1)
    params = configure({"train.epochs": 2, "train.freeze_layers": 0})
    model, checkpoint = classifier(), Checkpoint(Path("code"), "refit")
    train.fit(model, lesson[0], None, params, Accelerator(cpu=True), checkpoint)
    assert checkpoint.best == {}
    assert not same(weights(model), weights(classifier()))


@pytest.fixture
def prepared(configure, run):
    """Run the data stage on the notes."""
    configure()
    assert run("data").code == 0


def test_a_missing_encoder_is_reported_before_anything_is_trained(
    prepared, configure, rejection, tracking_store
):
    configure({"model.backbone": "nowhere", "model.sha256": None})
    [line] = rejection("train")
    assert line == "error: model.backbone: there is no file nowhere/model.safetensors"
    assert not artifacts.MODELS.exists()


def test_more_frozen_layers_than_the_encoder_has_are_rejected(
    prepared, configure, rejection, tiny_backbone, tracking_store
):
    backbone = {"model.backbone": str(tiny_backbone), "model.sha256": None}
    configure({**backbone, "train.freeze_layers": 4})
    [line] = rejection("train")
    assert line == "error: train.freeze_layers: the backbone has 3 layers to freeze"


def test_altered_data_is_not_trained_on(prepared, rejection):
    with (artifacts.PROCESSED / "train.parquet").open("ab") as file:
        file.write(b"x")
    [line] = rejection("train")
    assert "train.parquet" in line
    assert " data" in line


def test_without_data_there_is_no_training(configure, rejection):
    configure()
    [line] = rejection("train")
    assert str(artifacts.PROCESSED) in line


@pytest.fixture
def train_tiny(prepared, configure, tiny_backbone, tracking_store, monkeypatch):
    """Train the tiny encoder on the notes, with a step that may die; return the manifest."""

    def train_tiny(refit, dies=lambda: False):
        def clip_or_die(*arguments, **settings):
            if dies():
                raise InterruptedError
            return clip(*arguments, **settings)

        backbone = {"model.backbone": str(tiny_backbone), "model.sha256": None}
        settings = {"train.refit": refit, "train.freeze_layers": 0, "train.checkpoint_steps": 3}
        with monkeypatch.context() as patch:
            clip = nn.utils.clip_grad_norm_
            patch.setattr(nn.utils, "clip_grad_norm_", clip_or_die)
            train.train(configure({**backbone, **settings}))
        return artifacts.read_manifest(artifacts.MODELS, Manifest, "train")

    return train_tiny


def test_a_refit_changes_the_weights_and_nothing_that_was_chosen_on_valid(train_tiny, configure):
    chosen = train_tiny(refit=False)
    answers, signals = (Path("models", name).read_bytes() for name in (VALIDATION, "reference.csv"))
    known = Path("models/vocabulary.json").read_bytes()
    again = train_tiny(refit=True)
    assert again.version != chosen.version
    assert 0 < again.max_difference < 1e-3
    own = {"trained_on", "version", "files", "train_seconds", "peak_memory_mb", "tracking_run"}
    own |= {"max_difference", "model_files"}  # the last holds speeds
    assert again.model_dump(exclude=own) == chosen.model_dump(exclude=own)
    assert Path("models", VALIDATION).read_bytes() == answers
    assert Path("models/reference.csv").read_bytes() == signals
    assert Path("models/vocabulary.json").read_bytes() != known


def test_a_refit_trains_on_both_sets_for_the_epochs_that_were_found(train_tiny, monkeypatch):
    calls, fit = [], train.fit

    def recorded(model, rows, valid, params, *more):
        calls.append((len(rows.ids), valid, params.train.epochs))
        fit(model, rows, valid, params, *more)

    monkeypatch.setattr(train, "fit", recorded)
    manifest = train_tiny(refit=True)
    (rows, valid, _), (both, none, epochs) = calls
    assert both == rows + len(valid.ids)
    assert none is None
    assert epochs == manifest.validation["epoch"]


@pytest.mark.parametrize(("few", "fits"), [(10, 1), (1000, 2)], ids=["many rows", "few rows"])
def test_auto_trains_again_where_a_class_has_few_rows(few, fits, train_tiny, monkeypatch):
    """Without computing anything: the notes have 24 rows per class."""
    calls = []
    monkeypatch.setattr(train, "FEW", few)
    monkeypatch.setattr(train, "fit", lambda *given: calls.append(given[-1].best.update(epoch=1)))
    for name in ("export", "replace", "publish"):
        monkeypatch.setattr(train, name, lambda *given: None)
    with pytest.raises(UserError, match="nothing complete here"):  # nothing was published
        train_tiny(refit="auto")
    assert len(calls) == fits


def test_a_run_killed_in_each_part_resumes_with_the_same_model(train_tiny):
    whole, steps = train_tiny(refit=True), itertools.count(1)
    deaths = 5, 15  # training takes ten steps, and after the first death two are repeated
    for _ in deaths:
        with pytest.raises(InterruptedError):
            train_tiny(refit=True, dies=lambda: next(steps) in deaths)
    assert train_tiny(refit=True).version == whole.version
    assert {path.name for path in Path(".cache").glob("*.safetensors")} == {"trained.safetensors"}
