"""What the tests of a document search share: some documents and queries, a trained model."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest_plugins = ["encoder_fixtures"]

DATA = Path(__file__).parent / "data"

# "Either a query or a document's id" is not in the schema, and an Allow header names the methods of
# one route only, where two share a path.
EXCLUDED_CHECKS = ["positive_data_acceptance", "allow_header_conformance"]

# How many requests are made up for each route, so that there are 2,000.
CASES_OF_A_ROUTE = 700

# What only training installs, beyond what it does for every type.
TRAINING = "datasketch ir_measures qdrant_client transformers"

# A request, and what its answer holds.
QUESTION = ("/search", {"query": "My kitchen tap drips all night."})
ANSWER = "'id': 'tap'"

# What makes the example request take its time.
SLOWLY = {"query": "a lamp over the door of the church " * 280, "k": 100}

# Every knob that matters here, whatever params.yaml says today.
SETTINGS = {
    "seed": 13,
    "data.source": str(DATA),
    "data.sha256": None,
    "data.language": "english",
    "data.near_duplicate_similarity": 0.8,
    "data.valid_fraction": 0.1,
    "data.test_fraction": 0.2,
    "model.sha256": None,
    "model.max_tokens": 32,
    "model.overlap_tokens": 8,
    "train.epochs": 12,
    "train.batch_size": 16,
    "train.hard_negatives": 4,
    "train.passage_tokens": 32,
    "train.learning_rate": 3e-3,
    "train.temperature": 0.1,
    "train.warmup_fraction": 0.1,
    "train.weight_decay": 0.01,
    "train.freeze_layers": 0,
    "train.patience": 4,
    "train.threads": 1,
    "train.precision": "fp32",
    "train.checkpoint_steps": 100,
    "index.exact_below": 20_000,
    "index.storage": "f16",
    "index.connectivity": 16,
    "index.expansion_add": 128,
    "index.expansion_search": 64,
    "index.qdrant_url": None,
    "evaluate.bootstrap_samples": 200,
    "serve.threads": 1,
    "serve.max_body_bytes": 1_000_000,
    "serve.retrieval": "hybrid",
    "serve.exact": False,
    "serve.changes": "changes/documents.sqlite",  # in the folder of each test
    "serve.examples": ["A loaf with a dark crust.", "Who clears the snow?"],
}


def records(name):
    """Return the records of a JSONL file of the tests' data."""
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="session")
def configure(write_params):
    """Write a params.yaml that is about these documents, with changes, into the working folder."""

    def configure(changes=()):
        return write_params({**SETTINGS, **dict(changes)})

    return configure


@pytest.fixture(scope="session")
def corpus():
    """The documents as they are in the file: _id, title, text."""
    return records("corpus.jsonl")


@pytest.fixture(scope="session")
def queries():
    """The queries as they are in the file: _id, text."""
    return records("queries.jsonl")


@pytest.fixture(scope="session")
def judged():
    """The judgements as they are in the file: query, document, relevance."""
    lines = (DATA / "qrels" / "train.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines[1:]]
    return [(query, document, int(relevance)) for query, document, relevance in rows]


@pytest.fixture
def given(configure):
    """Write a folder in the BEIR layout and a params.yaml that names it.

    Documents and queries are records, judgements rows; a text is written as it is, None is no file.
    """

    def given(documents=None, queries=None, train=None, dev=None, test=None, **changes):
        for name, content in (("corpus", documents), ("queries", queries)):
            _write(Path("given") / f"{name}.jsonl", content, json.dumps)
        for name, content in (("train", train), ("dev", dev), ("test", test)):
            rows = content
            if isinstance(rows, list):
                rows = [("query-id", "corpus-id", "score"), *rows]
            _write(Path("given/qrels") / f"{name}.tsv", rows, lambda row: "\t".join(map(str, row)))
        named = {f"data.{key}": value for key, value in changes.items()}
        return configure({"data.source": "given", **named})

    return given


def _write(path, content, as_line):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if isinstance(content, list):
        content = "".join(f"{as_line(one)}\n" for one in content)
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.fixture(scope="session")
def trained(tmp_path_factory, configure, tiny_backbone, tracking_store):
    """A project after `data` and `train` on these documents: its folder, parameters and model."""
    from {{cookiecutter.package_name}}.data import prepare
    from {{cookiecutter.package_name}}.training import train

    folder = tmp_path_factory.mktemp("trained")
    exported = []

    def export(*arguments):
        exported[:] = arguments
        return train_export(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train_export = train.export
        patch.setattr(train, "export", export)
        params = configure({"model.backbone": str(tiny_backbone)})
        prepare.run(params)
        train.run(params)
    return SimpleNamespace(folder=folder, params=params, model=exported[0], exported=exported)


@pytest.fixture(scope="session")
def predictor(trained):
    """The exported model, loaded as the API loads it, with the documents as they were trained."""
    from {{cookiecutter.package_name}}.serving.predictor import Predictor

    settings = trained.params.serve.model_copy(update={"changes": None})
    return Predictor.load(trained.folder / "models", settings)


@pytest.fixture(scope="session")
def unjudged(tmp_path_factory, configure, tiny_backbone, tracking_store):
    """A project after `data` and `train` on the documents alone, with a graph for its index."""
    from {{cookiecutter.package_name}}.data import prepare
    from {{cookiecutter.package_name}}.training import train

    folder = tmp_path_factory.mktemp("unjudged")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "given").mkdir()
        shutil.copy(DATA / "corpus.jsonl", "given")
        changes = {"data.source": "given", "index.exact_below": 0, "serve.retrieval": None}
        params = configure({"model.backbone": str(tiny_backbone), **changes})
        prepare.run(params)
        train.run(params)
    return SimpleNamespace(folder=folder, params=params)


@pytest.fixture
def example_model():
    """What the model card says of training, as `train` writes it."""
    settings = {"exact_below": 20_000, "storage": "f16", "expansion_search": 64}
    return {
        "project_type": "document-similarity",
        "backbone": "encoder",
        "is_fine_tuned": True,
        "max_tokens": 128,
        "overlap_tokens": 32,
        "documents": 637,
        "validation": {"epoch": 2, "loss": 1.31, "mrr": 0.71},
        "precision": "fp32",
        "onnx": {"max_difference": 1.2e-6},
        "index": {"kind": "exact", "settings": settings, "passages": 1671},
        "retrieval": "dense",
        "validation_ndcg_at_10": {"dense": 0.7012, "bm25": 0.4321, "hybrid": 0.6543},
    }


@pytest.fixture
def example_metrics():
    """Made-up results, as `evaluate` writes them."""
    dense = {
        "ndcg_at_10": 0.71239,
        "mrr_at_10": 0.70051,
        "recall_at_10": 0.8449,
        "recall_at_100": 0.9612,
    }
    bm25 = {
        "ndcg_at_10": 0.4412,
        "mrr_at_10": 0.4203,
        "recall_at_10": 0.5534,
        "recall_at_100": 0.7745,
    }
    encoder = {
        "ndcg_at_10": 0.5567,
        "mrr_at_10": 0.5345,
        "recall_at_10": 0.6789,
        "recall_at_100": 0.8891,
    }
    hybrid = {name: value - 0.02 for name, value in dense.items()}
    versus_bm25 = {"difference": 0.27119, "interval_95": [0.2512, 0.2911]}
    versus_encoder = {"difference": 0.15569, "interval_95": [0.1411, 0.1702]}
    return {
        "project_type": "document-similarity",
        "model_version": "0123456789ab",
        "data": {"sha256": "d" * 64, "rows": {"train": 8596, "valid": 1149, "test": 2618}},
        "model": {**dense, "index_recall_at_10": 1.0},
        "baselines": {"BM25": bm25, "encoder as it comes": encoder},
        "intervals_95": {
            "ndcg_at_10": [0.6981, 0.7264],
            "mrr_at_10": [0.6852, 0.7161],
            "recall_at_10": [0.8301, 0.8593],
            "recall_at_100": [0.9533, 0.9687],
        },
        "versus_best_baseline": {
            "baseline": "encoder as it comes",
            "metric": "ndcg_at_10",
            **versus_encoder,
        },
        "versus": {"BM25": versus_bm25, "encoder as it comes": versus_encoder},
        "retrieval": {
            "served": "dense",
            "chosen_by": "the validation queries",
            "dense": dense,
            "bm25": bm25,
            "hybrid": hybrid,
        },
        "slices": {
            "1 to 9 words": {"queries": 40, "ndcg_at_10": 0.69, "interval_95": [0.61, 0.77]}
        },
        "index": {
            "kind": "exact",
            "passages": 1671,
            "recall_at_10": 1.0,
            "curve": [{"expansion_search": 16, "recall_at_10": 0.97, "p50_ms": 0.05}],
            "p50_ms": 0.31,
            "exact_p50_ms": 0.3,
        },
        "train_seconds": 61.4,
        "peak_memory_mb": 1234.5,
    }
