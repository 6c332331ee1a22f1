"""The exported model: what torch computed, searched as the manifest says, whole after a kill."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import mlflow
import numpy as np
import pandas as pd
import pytest
from torch import nn

from portfolio_kit import artifacts
from portfolio_kit.artifacts import PROCESSED
from portfolio_kit.errors import UserError
from portfolio_kit.retrieval import embedding, scores
from portfolio_kit.retrieval.graph import Graph
from portfolio_kit.retrieval.settings import MODES
from portfolio_kit.retrieval.vectors import Exact
from portfolio_kit.text.encoder import embed_texts
from portfolio_kit.text.tokens import encode, load_tokenizer

from {{cookiecutter.package_name}}.data.prepare import Dataset
from {{cookiecutter.package_name}}.predictor import Manifest, Predictor
from {{cookiecutter.package_name}}.training import candidates
from {{cookiecutter.package_name}}.training.train import train

QUERIES = [
    "My kitchen tap drips all night.",
    "lamp",
    "Who clears the snow from the pavement, and by when, and with what, and who pays for it all?",
]


@pytest.fixture(scope="module")
def texts(corpus, queries):
    """Texts of all lengths."""
    return [*QUERIES, *(one["text"] for one in [*corpus, *queries])]


def load(project, **settings):
    """Load a project's model with documents as they were trained."""
    settings = project.params.serve.model_copy(update={"changes": None, **settings})
    return Predictor.load(project.models, settings)


@pytest.fixture(scope="module")
def resumed(trained, configure, tiny_backbone, tmp_path_factory):
    """A second training, killed once while it learns and once while it embeds.

    It has the names of the splits that were read, and each of the three runs' steps and passages.
    """
    folder = tmp_path_factory.mktemp("resumed")
    shutil.copytree(trained.folder / "data", folder / "data")
    runs, read, steps, embedded = [], [], [0, 0, 0], [0, 0, 0]
    clip, embed, pandas_read = nn.utils.clip_grad_norm_, Predictor.embed, pd.read_parquet

    def clip_or_die(*arguments, **settings):
        if not runs and steps[0] == 20:
            raise InterruptedError
        steps[len(runs)] += 1
        return clip(*arguments, **settings)

    def embed_or_die(self, ids, *advance):
        if advance and len(runs) == 1 and embedded[1] >= 50:
            raise InterruptedError
        embedded[len(runs)] += len(ids) if advance else 0
        return embed(self, ids, *advance)

    def read_parquet(path, *arguments):
        read.append(Path(path).name)
        return pandas_read(path, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(nn.utils, "clip_grad_norm_", clip_or_die)
        patch.setattr(Predictor, "embed", embed_or_die)
        patch.setattr(pd, "read_parquet", read_parquet)
        patch.setattr(embedding, "PART", 20)
        params = configure({"model.backbone": str(tiny_backbone)})
        for _ in range(2):
            with pytest.raises(InterruptedError):
                train(params)
            assert not artifacts.MODELS.exists()
            runs.append("another")
        train(params)
    models = folder / artifacts.MODELS
    return SimpleNamespace(folder=folder, models=models, read=read, steps=steps, embedded=embedded)


def test_a_killed_training_ends_with_the_same_model_byte_for_byte(resumed, trained):
    for name in ("model.onnx", "tokenizer.json", "words/vocab.index.json"):
        one, other = ((each.models / name).read_bytes() for each in (resumed, trained))
        assert one == other, name
    one, other = (np.load(each.models / "vectors.npy") for each in (resumed, trained))
    np.testing.assert_allclose(one, other, atol=1e-3)  # it was embedded in other parts
    one, other = (
        artifacts.read_manifest(each.models, Manifest, "train") for each in (resumed, trained)
    )
    for name in ("version", "validation", "retrieval", "validation_ndcg_at_10", "splits"):
        assert getattr(one, name) == getattr(other, name), name


def test_a_killed_training_repeats_only_the_steps_since_its_checkpoint(resumed):
    saved = resumed.steps[0] - resumed.steps[0] % 6
    assert resumed.steps[0] == 20
    assert (saved + resumed.steps[1]) % 6 == 0
    assert resumed.steps[2] == 0
    passages = len(np.load(resumed.models / "vectors.npy"))
    assert resumed.embedded[0] == 0
    assert 50 <= resumed.embedded[1] < 80
    assert sum(resumed.embedded) == 2 * passages, "of both encoders, each passage once"


def test_training_never_opens_the_test_set(resumed):
    assert set(resumed.read) == {"train.parquet", "valid.parquet"}


def test_training_leaves_only_the_vectors_that_the_evaluation_uses_again(resumed):
    names = {path.name for path in resumed.folder.iterdir()}
    assert names <= {"params.yaml", "data", "models", "mlruns", ".cache"}
    [folder] = (resumed.folder / ".cache").glob("*/*/*")
    assert folder.parent == resumed.folder / embedding.CACHE / "pretrained"
    assert sorted(path.name for path in folder.iterdir()) == ["passages.npy", "vectors.npy"]


def test_the_manifest_names_every_file_of_the_model(resumed, trained, unjudged):
    for project in (resumed, trained, unjudged):
        listed = artifacts.read_manifest(project.models, Manifest, "train").files
        there = [file for file in project.models.rglob("*") if file.is_file()]
        names = {file.relative_to(project.models).as_posix() for file in there}
        assert names == {*listed, "manifest.json"}


def test_the_exported_model_computes_what_torch_computes(trained, predictor, texts):
    tokenizer = load_tokenizer(trained.models / "tokenizer.json", 32)
    expected = embed_texts(trained.model, encode(tokenizer, texts)).numpy()
    np.testing.assert_allclose(predictor.embed_queries(texts), expected, atol=1e-5)
    assert predictor.manifest.max_difference < 1e-5


def test_a_file_that_differs_from_torch_is_not_published(trained, monkeypatch):
    monkeypatch.setattr(candidates, "embed_texts", lambda *given: embed_texts(*given) + 0.01)
    with pytest.raises(UserError, match=r"^export: a vector of ONNX differs from torch's by 0\.01"):
        candidates.max_difference(trained.model, load(trained), [[2, 7, 9, 3]])


def test_without_training_queries_vectors_are_those_of_sentence_transformers(
    unjudged, tiny_backbone, texts
):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    transformer = Transformer(str(tiny_backbone), max_seq_length=32)
    pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode="mean")
    theirs = SentenceTransformer(modules=[transformer, pooling, Normalize()], device="cpu")
    vectors = load(unjudged).embed_queries(texts)
    np.testing.assert_allclose(vectors, theirs.encode(texts), atol=1e-5)
    assert not np.allclose(vectors[0], vectors[1], atol=0.01)


def test_without_queries_there_is_nothing_to_tune_or_to_choose_by(unjudged):
    model = load(unjudged)
    facts = model.manifest
    assert facts.is_fine_tuned is False
    assert facts.validation == {}
    assert (facts.retrieval, facts.validation_ndcg_at_10) == ("hybrid", None)
    assert model.collection.mode == "hybrid"


def test_from_exact_below_passages_on_a_graph_is_built_and_served(unjudged, trained, queries):
    served, exact = load(unjudged), load(unjudged, exact=True)
    assert served.manifest.index.kind == "hnsw"
    assert "graph.usearch" in served.manifest.files
    assert isinstance(served.collection.index, Graph)
    assert isinstance(exact.collection.index, Exact)
    texts = [query["text"] for query in queries]
    for one, other in zip(served.predict(texts), exact.predict(texts), strict=True):
        assert [each["id"] for each in one["results"]] == [each["id"] for each in other["results"]]
        assert [each["score"] for each in one["results"]] == pytest.approx(
            [each["score"] for each in other["results"]], abs=1e-5
        )
    assert load(trained).manifest.index.kind == "exact"
    assert not (trained.models / "graph.usearch").exists()


def test_encoder_and_mode_are_the_best_on_the_validation_queries(trained, predictor):
    valid = pd.read_parquet(trained.folder / PROCESSED / "valid.parquet")
    found = {}
    for mode in MODES:
        rankings = {}
        for query_id, query in scores.queries_of(valid).items():
            [vector] = predictor.embed_queries([query])
            hits = predictor.collection.search(query, vector, 10, mode)
            rankings[query_id] = [hit.document.id for hit in hits]
        found[mode] = scores.by_query(valid, rankings)["ndcg_at_10"].mean()
    facts = predictor.manifest
    assert facts.validation_ndcg_at_10["fine_tuned"] == pytest.approx(found, abs=1e-4)
    before = facts.validation_ndcg_at_10["pretrained"]
    assert before["bm25"] == facts.validation_ndcg_at_10["fine_tuned"]["bm25"]
    assert facts.retrieval == max(found, key=found.get)
    assert found["dense"] > before["dense"] + 0.2, "it has learnt something"
    assert len(set(found.values())) > 1


def test_an_encoder_that_training_made_worse_is_not_served(worse, trained, predictor):
    model = load(worse)
    ndcg = model.manifest.validation_ndcg_at_10
    assert ndcg["fine_tuned"]["dense"] < ndcg["pretrained"]["dense"]
    assert not model.manifest.is_fine_tuned
    assert set(model.manifest.validation) == {"epoch", "loss", "mrr"}
    assert "not-served/model.onnx" in model.manifest.files
    expected = predictor.embed_queries(QUERIES)  # the encoder that this one started from
    np.testing.assert_allclose(model.embed_queries(QUERIES), expected, atol=1e-6)
    assert not (trained.models / "not-served").exists()


def test_the_manifest_describes_the_model(trained, predictor, corpus):
    data = artifacts.read_manifest(trained.folder / PROCESSED, Dataset, made_by="data")
    facts = predictor.manifest
    assert facts.project_type == "document-similarity"
    assert facts.data_sha256 == data.sha256
    assert facts.splits == data.files
    assert facts.version == facts.files["model.onnx"][:12]
    assert facts.documents == len(corpus)
    assert facts.is_fine_tuned is True
    assert set(facts.validation) == {"epoch", "loss", "mrr"}
    assert facts.index.settings == trained.params.index
    assert facts.train_seconds > 0
    assert facts.peak_memory_mb > 50


def test_the_run_is_recorded(predictor):
    run = mlflow.get_run(predictor.manifest.tracking_run).data
    assert run.params["train.epochs"] == "12"
    assert run.params["data_sha256"] == predictor.manifest.data_sha256
    assert run.metrics["valid_mrr"] > 0
    difference = predictor.manifest.max_difference
    assert run.metrics["onnx_max_difference"] == pytest.approx(difference)
