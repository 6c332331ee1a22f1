"""Training: what the encoder learns from, and that it learns; a run of this one takes a second."""

import itertools
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from portfolio_kit import artifacts, steps
from portfolio_kit.checkpoint import Checkpoint
from portfolio_kit.retrieval.documents import Documents
from portfolio_kit.retrieval.words import Words
from portfolio_kit.text.encoder import Encoder, embed_texts, load_backbone
from portfolio_kit.text.tokens import load_tokenizer

from {{cookiecutter.package_name}}.data.prepare import CORPUS, read_split
from {{cookiecutter.package_name}}.training import train
from {{cookiecutter.package_name}}.training.pairs import MINED, Pairs, mine_hard_negatives


@pytest.fixture
def prepared(trained):
    """The data stage has run in this test's folder."""
    shutil.copytree(trained.folder / "data", "data")


@pytest.fixture
def documents(prepared):
    """The documents of the data stage."""
    return Documents(artifacts.PROCESSED / CORPUS)


@pytest.fixture
def lesson(documents, tiny_backbone):
    """Make pairs of the judged queries of a split, or of these rows."""
    tokenizer = load_tokenizer(tiny_backbone / "tokenizer.json", 32)

    def lesson(judged="train"):
        rows = read_split(judged) if isinstance(judged, str) else judged
        return Pairs(rows, documents, tokenizer, passage_tokens=32)

    return lesson


@pytest.fixture
def words(trained):
    """BM25 over the documents."""
    return Words(trained.models / "words")


@pytest.fixture
def encoder(tiny_backbone):
    """Make an untrained encoder, always the same."""
    return lambda: Encoder(load_backbone(tiny_backbone))


def judgements(*rows):
    """Return judged queries as the splits hold them."""
    table = pd.DataFrame(rows, columns=["query_id", "query", "document_id", "relevance"])
    return table.assign(group=table["query_id"])


@pytest.fixture
def fit(lesson, words, configure, encoder, monkeypatch):
    """Train with these settings; return the model, its best scores and each epoch's.

    A run with the name of an earlier one resumes from its checkpoint.
    """
    # So small a model computes faster than threads can be started.
    torch.set_num_threads(1)
    names = itertools.count()

    def fit(seed=13, name=None, **settings):
        epochs = []
        monkeypatch.setattr(
            steps, "mlflow", SimpleNamespace(log_metrics=lambda found, step: epochs.append(found))
        )
        changes = {f"train.{key}": value for key, value in {"epochs": 2, **settings}.items()}
        params = configure({"seed": seed, **changes})
        model = encoder()
        checkpoint = Checkpoint(train.PACKAGE, name or next(names))
        train.fit(model, lesson("train"), lesson("valid"), words, params, checkpoint)
        validated = [found for found in epochs if "valid_loss" in found]
        return SimpleNamespace(model=model, best=checkpoint.best, epochs=validated)

    return fit


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(fit):
    one, again, other = (weights(fit(seed).model) for seed in (13, 13, 14))
    assert same(one, again)
    assert not same(one, other)


def test_training_moves_the_right_documents_up(fit, lesson, encoder, trained):
    before = train.validate(encoder(), lesson("valid"), trained.params)
    epochs = fit(epochs=12).epochs
    losses = [before["loss"], *(epoch["valid_loss"] for epoch in epochs)]
    assert min(losses[1:]) < 0.8 * losses[0]
    assert max(epoch["valid_mrr"] for epoch in epochs) > 2 * before["mrr"]


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_frozen_layers_stay_unchanged_and_the_others_learn(layers, fit, encoder):
    before, after = weights(encoder()), weights(fit(epochs=1, freeze_layers=layers).model)
    frozen = [f"backbone.encoder.layer.{n}." for n in range(layers)]
    frozen += ["backbone.embeddings."] if layers else []
    for name in before:
        changed = not torch.equal(before[name], after[name])
        assert changed is not name.startswith(tuple(frozen)), name


def test_bf16_learns_the_same_in_coarser_steps(fit):
    exact, coarse = (fit(precision=precision) for precision in ("fp32", "bf16"))
    assert coarse.best["loss"] == pytest.approx(exact.best["loss"], rel=0.1)
    assert not same(weights(exact.model), weights(coarse.model))
    assert {weight.dtype for weight in coarse.model.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("settings", "epochs"), [({}, 4), ({"patience": 1, "learning_rate": 0.2}, 3)], ids=str
)
def test_it_stops_early_only_if_the_loss_rises(settings, epochs, fit):
    assert len(fit(epochs=4, **settings).epochs) == epochs


@pytest.mark.parametrize("interruptions", [[1], [7, 8], [9, 10, 14]], ids=str)
def test_an_interrupted_run_ends_with_the_weights_of_one_that_was_not(
    interruptions, fit, monkeypatch
):
    settings = {"epochs": 3, "checkpoint_steps": 3}
    whole = fit(name="whole", **settings)
    calls = itertools.count(1)

    def clip_or_die(*arguments, **settings):
        if next(calls) in interruptions:
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


@pytest.mark.parametrize("seed", range(10))
def test_the_loss_is_the_mean_over_queries_taken_one_by_one(seed, lesson, documents):
    """Each ranks its document among the candidates, without others that are relevant to it."""
    judged = read_split("train")
    pairs, chance = lesson(), np.random.default_rng(seed)
    crowded = np.flatnonzero(judged["query_id"].duplicated(keep=False))
    assert len(crowded) > 3
    rows = np.unique([*crowded[:4], *chance.integers(len(judged), size=12)])
    chance.shuffle(rows)
    others = chance.integers(pairs.n_documents, size=5)
    candidates = np.unique([*pairs.documents[rows], *others])
    logits = chance.normal(size=(len(rows), len(candidates))) * 5
    names = [documents.at(row).id for row in candidates]
    losses, masked = [], 0
    for row, values in zip(rows, logits, strict=True):
        query_id, own = judged.iloc[row][["query_id", "document_id"]]
        relevant = set(judged[judged["query_id"] == query_id]["document_id"])
        rivals = [v for name, v in zip(names, values, strict=True) if name not in relevant - {own}]
        losses.append(np.log(np.exp(rivals).sum()) - values[names.index(own)])
        masked += len(names) - len(rivals)
    assert masked > 0
    loss = train.contrastive_loss(torch.from_numpy(logits), pairs, rows, candidates)
    assert loss.item() == pytest.approx(np.mean(losses), rel=1e-6)


def test_pairs_are_a_query_with_each_of_its_relevant_documents(lesson, documents):
    rows = [("a", "one", "tap", 2), ("b", "two", "snow", 0), ("a", "one", "heater", 1)]
    pairs = lesson(judgements(*rows, ("b", "two", "swim", 1)))
    tap, heater, swim = map(documents.row_of, ("tap", "heater", "swim"))
    assert pairs.documents.tolist() == [tap, heater, swim]
    assert pairs.texts == ["one", "one", "two"]
    assert pairs.relevant == [{tap, heater}, {tap, heater}, {swim}]


def test_a_document_is_learnt_from_its_title_and_its_beginning(lesson, corpus, tiny_backbone):
    tokenizer = load_tokenizer(tiny_backbone / "tokenizer.json", 512)
    passages = lesson().passages(np.array([0, 7]))
    for passage, document in zip(passages, (corpus[0], corpus[7]), strict=True):
        whole = tokenizer.encode(f"{document['title']}. {document['text']}").ids
        assert len(passage) == 32 < len(whole)
        assert passage == [*whole[:31], whole[-1]]


def test_look_alikes_share_words_with_the_query_and_are_never_relevant(lesson, documents, words):
    pairs, judged = lesson(), read_split("train")
    mined = mine_hard_negatives(pairs, words)
    assert len(mined) == len(pairs)
    assert max(map(len, mined)) <= MINED
    for (_, row), found in zip(judged.iterrows(), mined, strict=True):
        relevant = set(judged[judged["query_id"] == row["query_id"]]["document_id"])
        assert not relevant & {documents.at(number).id for number in found}
        asked = set(words.tokens.split(row["query"]))
        for number in found:
            assert asked & set(words.tokens.split(documents[number]))
    assert np.mean([len(found) > 0 for found in mined]) > 0.5


@pytest.mark.parametrize("count", [0, 1, 4])
def test_a_batch_has_its_own_documents_and_some_look_alikes(count, fit, words, monkeypatch):
    seen = []

    def record(logits, pairs, rows, candidates):
        assert logits.shape == (len(rows), len(candidates))
        assert (np.diff(candidates) > 0).all()
        own = set(pairs.documents[rows].tolist())
        seen.append((pairs, rows, own, set(candidates.tolist())))
        return loss(logits, pairs, rows, candidates)

    loss = train.contrastive_loss
    monkeypatch.setattr(train, "contrastive_loss", record)
    fit(epochs=1, hard_negatives=count)
    *batches, (_, _, own, everything) = seen  # the last is the validation
    assert len(everything) == 40 > len(own)
    pairs = batches[0][0]
    assert sorted(np.concatenate([rows for _, rows, _, _ in batches])) == list(range(len(pairs)))
    mined = mine_hard_negatives(pairs, words)
    more = 0
    for _, rows, own, candidates in batches:
        assert len(rows) <= 16
        assert candidates >= own
        assert len(candidates - own) <= count
        assert candidates - own <= {row for each in rows[:count] for row in mined[each].tolist()}
        more += len(candidates - own)
    assert (more > 0) is (count > 0)


@pytest.mark.parametrize("limit", [2000, 20, 1], ids=["all documents", "some", "no others"])
def test_validation_ranks_documents_by_the_products_of_unit_vectors(
    limit, lesson, encoder, trained, monkeypatch
):
    monkeypatch.setattr(train, "MAX_CANDIDATES", limit)
    model, pairs = encoder(), lesson("valid")
    found = train.validate(model, pairs, trained.params)
    assert found == train.validate(model, pairs, trained.params)
    queries = embed_texts(model, pairs.queries).numpy()
    documents = embed_texts(model, pairs.passages(np.arange(40))).numpy()
    similar = queries @ documents.T

    def mrr(candidates):
        pairs_of = zip(similar, pairs.documents, strict=True)
        return np.mean([1 / (1 + (row[candidates] > row[right]).sum()) for row, right in pairs_of])

    every, own = np.arange(40), np.unique(pairs.documents)
    # The fewer candidates there are, the fewer rank above the right one.
    least, most = ((every, every), (every, own), (own, own))[(2000, 20, 1).index(limit)]
    assert mrr(least) - 1e-4 <= found["mrr"] <= mrr(most) + 1e-4
    assert mrr(every) < mrr(own) - 0.01


def test_an_unusable_encoder_is_rejected_before_anything_is_trained(
    prepared, configure, rejection, tracking_store
):
    configure({"model.backbone": "nowhere"})
    [line] = rejection("train")
    assert line == "error: model.backbone: there is no file nowhere/model.safetensors"
    assert not artifacts.MODELS.exists()


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        (3, "all 3 layers of the backbone are frozen, so nothing is left to train"),
        (4, "the backbone has 3 layers to freeze"),
    ],
)
def test_freezing_all_layers_or_more_is_rejected(
    layers, reason, prepared, configure, rejection, tiny_backbone, tracking_store
):
    configure({"model.backbone": str(tiny_backbone), "train.freeze_layers": layers})
    [line] = rejection("train")
    assert line == f"error: train.freeze_layers: {reason}"
    assert not artifacts.MODELS.exists()


@pytest.mark.parametrize("name", ["train.parquet", "test.parquet", "corpus.sqlite"])
def test_altered_data_is_not_trained_on(name, prepared, configure, rejection):
    configure()
    with (artifacts.PROCESSED / name).open("ab") as file:
        file.write(b"x")
    [line] = rejection("train")
    assert name in line
    assert "make data" in line


def test_without_data_there_is_no_training(configure, rejection):
    configure()
    [line] = rejection("train")
    assert str(artifacts.PROCESSED) in line
