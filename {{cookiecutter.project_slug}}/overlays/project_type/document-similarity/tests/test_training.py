"""Training: what the encoder learns from, and that it does, here in a second a run."""

import itertools
import random
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from {{cookiecutter.package_name}} import artifacts
from {{cookiecutter.package_name}}.data.prepare import read_split
from {{cookiecutter.package_name}}.evaluation import scores
from {{cookiecutter.package_name}}.retrieval.documents import Documents
from {{cookiecutter.package_name}}.retrieval.words import Words
from {{cookiecutter.package_name}}.serving.embedder import Embedder
from {{cookiecutter.package_name}}.serving.predictor import Predictor
from {{cookiecutter.package_name}}.text import encode, load_tokenizer
from {{cookiecutter.package_name}}.training import indexing, loop, train
from {{cookiecutter.package_name}}.training.checkpoint import Checkpoint
from {{cookiecutter.package_name}}.training.encoder import Encoder, embed_texts, load_backbone
from {{cookiecutter.package_name}}.training.pairs import MINED, Pairs, mine_hard_negatives

QUERIES = [
    "My kitchen tap drips all night.",
    "lamp",
    "Who clears the snow from the pavement, and by when, and with what, and who pays for it all?",
]


@pytest.fixture
def prepared(trained):
    """The data stage has run here, and so has the first step of training: the words' index."""
    shutil.copytree(trained.folder / "data", "data")
    shutil.copytree(trained.folder / "models" / "words", train.WORKSHOP / "words")


@pytest.fixture
def lesson(prepared, trained):
    """Make pairs of the judged queries of a split, or of these rows."""
    tokenizer = load_tokenizer(trained.folder / "models" / "tokenizer.json", 32)
    documents = Documents(artifacts.PROCESSED / "corpus.sqlite")

    def lesson(judged="train"):
        rows = read_split(judged) if isinstance(judged, str) else judged
        return Pairs(rows, documents, tokenizer, trained.params)

    return lesson


@pytest.fixture
def words(trained):
    """BM25 over the documents."""
    return Words(trained.folder / "models" / "words")


def judgements(*rows):
    """Return judged queries as the splits hold them."""
    table = pd.DataFrame(rows, columns=["query_id", "query", "document_id", "relevance"])
    return table.assign(group=table["query_id"])


@pytest.fixture
def fit(prepared, configure, tiny_backbone, monkeypatch):
    """Train with these settings; return the model, its best scores and each epoch's.

    A run with the name of an earlier one goes on from its checkpoint.
    """
    # So small a model computes faster than threads can be told what to do.
    torch.set_num_threads(1)
    names = itertools.count()
    documents = Documents(artifacts.PROCESSED / "corpus.sqlite")
    tokenizer = load_tokenizer(tiny_backbone / "tokenizer.json", 32)

    def fit(seed=13, name=None, **settings):
        epochs = []

        def log_metrics(metrics, step):
            epochs.append(metrics)

        recorder = SimpleNamespace(log_metrics=log_metrics, log_metric=lambda *a, **k: None)
        monkeypatch.setattr(loop, "mlflow", recorder)
        changes = {f"train.{key}": value for key, value in {"epochs": 2, **settings}.items()}
        params = configure({"seed": seed, **changes})
        model = Encoder(load_backbone(tiny_backbone))
        checkpoint = Checkpoint(name or next(names))
        train.fit(model, documents, tokenizer, params, checkpoint)
        return SimpleNamespace(model=model, best=checkpoint.best, epochs=epochs)

    return fit


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(fit):
    one, again, other = (weights(fit(seed).model) for seed in (13, 13, 14))
    assert same(one, again)
    assert not same(one, other)


def test_training_brings_the_right_documents_forward(fit, lesson, trained, tiny_backbone):
    untrained = Encoder(load_backbone(tiny_backbone))
    before = train.validate(untrained, lesson("valid"), trained.params)
    epochs = fit(epochs=12).epochs
    losses = [before["loss"], *(epoch["valid_loss"] for epoch in epochs)]
    assert min(losses[1:]) < 0.8 * losses[0]
    assert max(epoch["valid_mrr"] for epoch in epochs) > 2 * before["mrr"]


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_frozen_layers_stay_as_they_came_and_the_others_learn(layers, fit, tiny_backbone):
    before = weights(Encoder(load_backbone(tiny_backbone)))
    after = weights(fit(epochs=1, freeze_layers=layers).model)
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


@pytest.mark.parametrize("interruptions", [[1], [7, 8], [9, 10, 14]], ids=str)
def test_an_interrupted_run_ends_with_the_weights_of_one_that_was_not(
    interruptions, fit, monkeypatch
):
    settings = {"epochs": 3, "checkpoint_steps": 3}
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


@pytest.mark.parametrize("seed", range(10))
def test_the_loss_is_that_of_each_query_by_itself(seed, lesson):
    """Its document among the candidates, without those that are relevant to it as well."""
    judged = read_split("train")
    pairs, chance = lesson(), np.random.default_rng(seed)
    crowded = np.flatnonzero(judged["query_id"].duplicated(keep=False))
    assert len(crowded) > 3
    rows = np.unique([*crowded[:4], *chance.integers(len(judged), size=12)])
    chance.shuffle(rows)
    others = chance.integers(pairs.n_documents, size=5)
    candidates = np.unique([*pairs.documents[rows], *others])
    logits = chance.normal(size=(len(rows), len(candidates))) * 5
    documents = Documents(artifacts.PROCESSED / "corpus.sqlite")
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


def test_pairs_are_a_query_with_each_document_that_is_relevant_to_it(lesson):
    rows = [("a", "one", "tap", 2), ("b", "two", "snow", 0), ("a", "one", "heater", 1)]
    pairs = lesson(judgements(*rows, ("b", "two", "swim", 1)))
    documents = Documents(artifacts.PROCESSED / "corpus.sqlite")
    tap, heater, swim = map(documents.row_of, ("tap", "heater", "swim"))
    assert pairs.documents.tolist() == [tap, heater, swim]
    assert pairs.texts == ["one", "one", "two"]
    assert pairs.relevant == [{tap, heater}, {tap, heater}, {swim}]


def test_a_document_is_learnt_by_its_title_and_its_beginning(lesson, corpus, trained):
    tokenizer = load_tokenizer(trained.folder / "models" / "tokenizer.json", 512)
    passages = lesson().passages(np.array([0, 7]))
    for passage, document in zip(passages, (corpus[0], corpus[7]), strict=True):
        whole = tokenizer.encode(f"{document['title']}. {document['text']}").ids
        assert len(passage) == trained.params.train.passage_tokens < len(whole)
        assert passage == [*whole[: len(passage) - 1], whole[-1]]


def test_look_alikes_share_words_with_the_query_and_are_never_relevant(lesson, words):
    pairs = lesson()
    documents = Documents(artifacts.PROCESSED / "corpus.sqlite")
    mined = mine_hard_negatives(pairs, words)
    assert len(mined) == len(pairs)
    assert max(map(len, mined)) <= MINED
    judged = read_split("train")
    for (_, row), found in zip(judged.iterrows(), mined, strict=True):
        relevant = set(judged[judged["query_id"] == row["query_id"]]["document_id"])
        assert not relevant & {documents.at(number).id for number in found}
        asked = set(words.tokens.split(row["query"]))
        for number in found:
            assert asked & set(words.tokens.split(documents[number]))
    assert np.mean([len(found) > 0 for found in mined]) > 0.5


def test_look_alikes_are_the_best_of_bm25(lesson, words):
    query = "salt and water in the kitchen"
    pairs = lesson(judgements(("q", query, "bread", 1), ("r", "zebra", "tap", 1)))
    found, nothing = mine_hard_negatives(pairs, words)
    ranking, _ = words.search(words.tokens.split(query), 100)
    assert found.tolist() == [row for row in ranking if row != pairs.documents[0]][:MINED]
    assert len(nothing) == 0


@pytest.mark.parametrize("count", [0, 1, 4])
def test_a_batch_has_its_own_documents_and_so_many_look_alikes(count, fit, monkeypatch):
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
    assert sorted(np.concatenate([rows for _, rows, _, _ in batches])) == list(range(90))
    mined = mine_hard_negatives(batches[0][0], Words(train.WORKSHOP / "words"))
    more = 0
    for _, rows, own, candidates in batches:
        assert len(rows) <= 16
        assert candidates >= own
        assert len(candidates - own) <= count
        assert candidates - own <= {row for each in rows[:count] for row in mined[each].tolist()}
        more += len(candidates - own)
    assert (more > 0) is (count > 0)


def test_validation_goes_part_by_part(lesson, tiny_backbone, trained, monkeypatch):
    sizes = []

    def record(logits, pairs, rows, candidates):
        assert logits.shape == (len(rows), len(candidates))
        sizes.append(len(rows))
        return loss(logits, pairs, rows, candidates)

    loss = train.contrastive_loss
    model, pairs = Encoder(load_backbone(tiny_backbone)), lesson("train")
    whole = train.validate(model, pairs, trained.params)
    monkeypatch.setattr(train, "contrastive_loss", record)
    monkeypatch.setattr(train, "VALIDATED", 40)
    found = train.validate(model, pairs, trained.params)
    assert found == pytest.approx(whole, abs=2e-4)
    assert sizes == [40, 40, len(pairs) - 80]


@pytest.mark.parametrize("limit", [2000, 20, 1], ids=["all documents", "some", "no others"])
def test_validation_ranks_each_document_by_the_products_of_unit_vectors(
    limit, lesson, tiny_backbone, trained, monkeypatch
):
    monkeypatch.setattr(train, "MAX_CANDIDATES", limit)
    model, pairs = Encoder(load_backbone(tiny_backbone)), lesson("valid")
    found = train.validate(model, pairs, trained.params)
    assert found == train.validate(model, pairs, trained.params)
    queries = embed_texts(model, pairs.queries).numpy()
    documents = embed_texts(model, pairs.passages(np.arange(40))).numpy()
    similar = queries @ documents.T

    def mrr(candidates):
        pairs_of = zip(similar, pairs.documents, strict=True)
        return np.mean([1 / (1 + (row[candidates] > row[right]).sum()) for row, right in pairs_of])

    every, own = np.arange(40), np.unique(pairs.documents)
    # The fewer candidates there are, the fewer come before the right one.
    least, most = ((every, every), (every, own), (own, own))[(2000, 20, 1).index(limit)]
    assert mrr(least) - 1e-4 <= found["mrr"] <= mrr(most) + 1e-4
    assert mrr(every) < mrr(own) - 0.01


@pytest.fixture(scope="module")
def resumed(trained, configure, tiny_backbone, tmp_path_factory):
    """The folder of a second training, killed once while it learns and once while it embeds.

    What it read of the splits, and its steps and documents in each of the three runs, come along.
    """
    folder = tmp_path_factory.mktemp("resumed")
    shutil.copytree(trained.folder / "data", folder / "data")
    runs, read, steps, embedded = [], [], [0, 0, 0], [0, 0, 0]
    clip, embed = nn.utils.clip_grad_norm_, Embedder.embed_documents

    def clip_or_die(*arguments, **settings):
        if not runs and steps[0] == 20:
            raise InterruptedError
        steps[len(runs)] += 1
        return clip(*arguments, **settings)

    def embed_or_die(self, documents):
        if len(runs) == 1 and embedded[1] == 21:
            raise InterruptedError
        embedded[len(runs)] += len(documents)
        return embed(self, documents)

    def read_parquet(path, *arguments):
        read.append(Path(path).name)
        return pandas_read(path, *arguments)

    pandas_read = pd.read_parquet
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(nn.utils, "clip_grad_norm_", clip_or_die)
        patch.setattr(Embedder, "embed_documents", embed_or_die)
        patch.setattr(pd, "read_parquet", read_parquet)
        patch.setattr(indexing, "PART", 7)
        params = configure({"model.backbone": str(tiny_backbone)})
        for _ in range(2):
            with pytest.raises(InterruptedError):
                train.run(params)
            assert not artifacts.MODELS.exists()
            runs.append("another")
        train.run(params)
    return SimpleNamespace(folder=folder, read=read, steps=steps, embedded=embedded)


def test_a_training_that_was_killed_ends_with_the_same_model_byte_for_byte(resumed, trained):
    for name in ("model.onnx", "tokenizer.json", "words/vocab.index.json"):
        one, other = ((each.folder / "models" / name).read_bytes() for each in (resumed, trained))
        assert one == other, name
    one, other = (np.load(each.folder / "models" / "vectors.npy") for each in (resumed, trained))
    np.testing.assert_allclose(one, other, atol=1e-3)  # its parts were others
    one, other = (
        artifacts.read_manifest(each.folder / "models", "train") for each in (resumed, trained)
    )
    for name in ("version", "validation", "retrieval", "validation_ndcg_at_10", "splits"):
        assert one[name] == other[name], name


def test_a_training_that_was_killed_does_nothing_twice_but_its_last_steps(resumed):
    whole = resumed.steps[0] - resumed.steps[0] % 6 + resumed.steps[1]
    assert resumed.steps[0] == 20
    assert whole % 6 == 0
    assert resumed.steps[2] == 0
    assert resumed.embedded == [0, 21, 19]


def test_training_never_opens_the_test_set(resumed):
    assert set(resumed.read) == {"train.parquet", "valid.parquet"}


def test_training_leaves_nothing_half_done(resumed):
    """The torch weights of the exported model stay, for the benchmark; all else goes."""
    names = {path.name for path in resumed.folder.iterdir()}
    assert names <= {"params.yaml", "data", "models", "mlruns", ".cache"}
    [left] = (resumed.folder / ".cache").iterdir()
    assert left.name == "trained.safetensors"


def test_the_manifest_names_every_file_of_the_model(resumed, trained, unjudged):
    for project in (resumed, trained, unjudged):
        folder = project.folder / "models"
        files = artifacts.read_manifest(folder, "train")["files"]
        there = [file for file in folder.rglob("*") if file.is_file()]
        assert {file.relative_to(folder).as_posix() for file in there} == {*files, "manifest.json"}


@pytest.fixture
def documents(trained):
    """The stored documents."""
    return Documents(trained.folder / "models" / "documents.sqlite")


@pytest.fixture
def embed_corpus(predictor, documents, monkeypatch):
    """Embed the documents into this folder's cache; return bytes of vectors and of offsets.

    A run dies before the part that `dies_at` names; `asked` are the sizes of the parts that it
    embedded.
    """
    asked = []

    class Mortal:
        manifest, dimensions, dies_at = predictor.manifest, predictor.dimensions, None

        def embed_documents(self, part):
            if len(asked) == self.dies_at:
                raise InterruptedError
            asked.append(len(part))
            return predictor.embed_documents(part)

    def embed_corpus(part=512, dies_at=None, version=predictor.version, corpus="c" * 64):
        asked.clear()
        monkeypatch.setattr(indexing, "PART", part)
        embedder = Mortal()
        embedder.dies_at, embedder.manifest = dies_at, {**predictor.manifest, "version": version}
        folder = indexing.embed_corpus(embedder, documents, corpus)
        return tuple((folder / name).read_bytes() for name in ("vectors.npy", "passages.npy"))

    embed_corpus.asked = asked
    return embed_corpus


@pytest.mark.parametrize("seed", range(6))
def test_embedding_that_was_killed_goes_on_from_the_last_part(seed, embed_corpus):
    chance = random.Random(seed)
    part = chance.randint(2, 13)
    whole = embed_corpus(part)
    parts = list(embed_corpus.asked)
    shutil.rmtree(indexing.CACHE)
    done = []
    for dies_at in sorted(chance.sample(range(len(parts)), 2)):
        with pytest.raises(InterruptedError):
            embed_corpus(part, dies_at=dies_at - len(done))
        done += embed_corpus.asked
    assert embed_corpus(part) == whole
    assert [*done, *embed_corpus.asked] == parts
    assert embed_corpus(part) == whole
    assert embed_corpus.asked == [], "all is there already"


@pytest.mark.parametrize(
    ("vectors", "counts"),
    [(b"x" * 37, b""), (b"x" * 640, b""), (b"x" * 640, b"\x03\x00\x00"), (b"", b"\x01")],
    ids=["half a vector", "vectors", "vectors and half a count", "half a count"],
)
def test_a_part_that_was_half_written_is_cut_off(vectors, counts, embed_corpus):
    whole = embed_corpus(7)
    shutil.rmtree(indexing.CACHE)
    with pytest.raises(InterruptedError):
        embed_corpus(7, dies_at=3)
    [cache] = indexing.CACHE.iterdir()
    for name, rubbish in (("vectors.raw", vectors), ("counts.raw", counts)):
        with (cache / name).open("ab") as file:
            file.write(rubbish)
    assert embed_corpus(7) == whole
    assert embed_corpus.asked == [7, 7, 5]


def test_what_another_model_or_other_documents_left_is_not_gone_on_from(embed_corpus):
    whole = embed_corpus(7)
    for other in ({"version": "another"}, {"corpus": "d" * 64}):
        with pytest.raises(InterruptedError):
            embed_corpus(7, dies_at=2, **other)
        assert embed_corpus(7) == whole
        assert embed_corpus.asked == [7, 7, 7, 7, 7, 5]
        assert len(list(indexing.CACHE.iterdir())) == 1


def test_vectors_are_those_of_each_document_embedded_alone(trained, predictor, documents):
    vectors, offsets = (
        np.load(trained.folder / "models" / name) for name in ("vectors.npy", "passages.npy")
    )
    assert vectors.dtype == np.float16
    assert len(offsets) == len(documents) + 1 == 41
    assert predictor.manifest["index"]["passages"] == len(vectors) == offsets[-1] > 80
    for row, document in enumerate(documents.from_row(0)):
        [expected] = predictor.embed_documents([document])
        found = vectors[offsets[row] : offsets[row + 1]]
        np.testing.assert_allclose(found, expected, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(vectors.astype(float), axis=1), 1, atol=1e-3)


def test_the_exported_model_computes_what_torch_computes(trained, predictor, corpus, queries):
    tokenizer = load_tokenizer(trained.folder / "models" / "tokenizer.json", 32)
    texts = [*QUERIES, *(one["text"] for one in [*corpus, *queries])]
    expected = embed_texts(trained.model, encode(tokenizer, texts)).numpy()
    np.testing.assert_allclose(predictor.embed(predictor.tokens(texts)), expected, atol=1e-5)
    assert predictor.manifest["onnx"]["max_difference"] < 1e-5


def test_without_training_queries_vectors_are_those_of_sentence_transformers(
    unjudged, tiny_backbone, corpus, queries
):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    transformer = Transformer(str(tiny_backbone), max_seq_length=32)
    pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode="mean")
    theirs = SentenceTransformer(modules=[transformer, pooling, Normalize()], device="cpu")
    ours = Predictor.load(unjudged.folder / "models", unjudged.params.serve)
    texts = [*QUERIES, *(one["text"] for one in [*corpus, *queries])]
    vectors = ours.embed(ours.tokens(texts))
    np.testing.assert_allclose(vectors, theirs.encode(texts), atol=1e-5)
    assert not np.allclose(vectors[0], vectors[1], atol=0.01)


def test_without_training_queries_the_encoder_stays_as_it_comes(unjudged, tiny_backbone):
    model = Predictor.load(unjudged.folder / "models", unjudged.params.serve)
    untrained = Encoder(load_backbone(tiny_backbone))
    expected = embed_texts(untrained, model.tokens(QUERIES)).numpy()
    np.testing.assert_allclose(model.embed(model.tokens(QUERIES)), expected, atol=1e-5)
    facts = model.manifest
    assert facts["is_fine_tuned"] is False
    assert facts["validation"] == {}
    assert (facts["retrieval"], facts["validation_ndcg_at_10"]) == ("hybrid", None)
    assert model.collection.mode == "hybrid"


def test_from_so_many_passages_on_a_graph_is_built_listed_and_served(unjudged, queries):
    from {{cookiecutter.package_name}}.retrieval.vectors import Exact, Graph

    models, settings = unjudged.folder / "models", unjudged.params.serve
    served, exact = (
        Predictor.load(models, settings.model_copy(update={"exact": exact, "changes": None}))
        for exact in (False, True)
    )
    assert served.manifest["index"]["kind"] == "hnsw"
    assert "graph.usearch" in served.manifest["files"]
    assert isinstance(served.collection.index, Graph)
    assert isinstance(exact.collection.index, Exact)
    texts = [query["text"] for query in queries]
    for one, other in zip(served.predict(texts), exact.predict(texts), strict=True):
        assert [each["id"] for each in one["results"]] == [each["id"] for each in other["results"]]
        assert [each["score"] for each in one["results"]] == pytest.approx(
            [each["score"] for each in other["results"]], abs=1e-5
        )


def test_below_that_many_there_is_no_graph(trained, predictor):
    assert predictor.manifest["index"]["kind"] == "exact"
    assert not (trained.folder / "models" / "graph.usearch").exists()


def test_the_way_to_search_is_the_best_on_the_validation_queries(trained, predictor):
    valid = pd.read_parquet(trained.folder / "data/processed/valid.parquet")
    found = {}
    for mode in scores.MODES:
        rankings = {}
        for query_id, query in scores.queries_of(valid).items():
            [vector] = predictor.embed(predictor.tokens([query]))
            hits = predictor.collection.search(query, vector, 10, mode)
            rankings[query_id] = [hit.document.id for hit in hits]
        found[mode] = scores.by_query(valid, rankings)["ndcg_at_10"].mean()
    facts = predictor.manifest
    assert facts["validation_ndcg_at_10"] == pytest.approx(found, abs=1e-4)
    assert facts["retrieval"] == max(found, key=found.get)
    assert len(set(found.values())) > 1


@pytest.mark.parametrize(
    ("right", "best"),
    [("dense", "dense"), ("bm25", "bm25"), ("hybrid", "hybrid"), ("bm25 hybrid", "bm25")],
)
def test_of_equal_ways_to_search_the_first_is_taken(right, best, monkeypatch):
    rankings = {mode: {"q": ["tap" if mode in right.split() else "cat"]} for mode in scores.MODES}
    monkeypatch.setattr(scores, "rank", lambda predictor, queries: rankings)
    mode, ndcg = scores.best_mode(None, judgements(("q", "drips", "tap", 1)))
    assert mode == best
    assert ndcg == {mode: float(mode in right.split()) for mode in scores.MODES}


def test_the_manifest_says_what_the_model_is_made_of(trained, predictor, corpus):
    data = artifacts.read_manifest(trained.folder / "data/processed", made_by="data")
    facts = predictor.manifest
    assert facts["project_type"] == "document-similarity"
    assert facts["data_sha256"] == data["sha256"]
    assert facts["splits"] == data["files"]
    assert facts["version"] == facts["files"]["model.onnx"][:12]
    assert facts["documents"] == len(corpus)
    assert facts["is_fine_tuned"] is True
    assert set(facts["validation"]) == {"epoch", "loss", "mrr"}
    assert facts["index"]["settings"] == trained.params.index.model_dump()
    assert facts["train_seconds"] > 0
    assert facts["peak_memory_mb"] > 50


def test_the_run_is_recorded(trained, predictor):
    import mlflow

    run = mlflow.get_run(predictor.manifest["tracking_run"]).data
    assert run.params["train.epochs"] == "12"
    assert run.params["data_sha256"] == predictor.manifest["data_sha256"]
    assert run.metrics["valid_mrr"] > 0
    assert run.metrics["onnx_max_difference"] == pytest.approx(
        predictor.manifest["onnx"]["max_difference"]
    )


def test_an_unusable_encoder_is_refused_before_anything_is_trained(
    prepared, configure, refusal, tracking_store
):
    configure({"model.backbone": "nowhere"})
    [line] = refusal("train")
    assert line == "error: model.backbone: there is no file nowhere/model.safetensors"
    assert not artifacts.MODELS.exists()


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        (3, "all 3 layers of the backbone are frozen, and nothing is left to train"),
        (4, "the backbone has 3 layers to freeze"),
    ],
)
def test_freezing_all_layers_or_more_is_refused(
    layers, reason, prepared, configure, refusal, tiny_backbone, tracking_store
):
    configure({"model.backbone": str(tiny_backbone), "train.freeze_layers": layers})
    [line] = refusal("train")
    assert line == f"error: train.freeze_layers: {reason}"
    assert not artifacts.MODELS.exists()


def test_training_queries_without_any_to_validate_on_are_refused_by_the_data_stage(
    given, refusal, corpus, queries, judged
):
    text = "my tap drips in the dark of the night"
    more = [{"_id": name, "text": text} for name in ("dev", "test")]
    held_out = {name: [(name, "tap", 1)] for name in ("dev", "test")}
    given(corpus, [*queries, *more], train=judged, **held_out)
    [line] = refusal("data")
    assert line == (
        "error: data.near_duplicate_similarity: each validation query nearly repeats a test query, "
        "and none is left to choose a model by; add others, or set it to null"
    )
    assert not artifacts.PROCESSED.exists()


@pytest.mark.parametrize("name", ["train.parquet", "test.parquet", "corpus.sqlite"])
def test_data_that_was_altered_is_not_trained_on(name, prepared, configure, refusal):
    configure()
    with (artifacts.PROCESSED / name).open("ab") as file:
        file.write(b"x")
    [line] = refusal("train")
    assert name in line
    assert "data` again" in line


def test_without_data_there_is_no_training(configure, refusal):
    configure()
    [line] = refusal("train")
    assert str(artifacts.PROCESSED) in line
