"""What the tests of a document search share: a few documents and queries, a trained model."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from portfolio_kit.artifacts import MODELS

pytest_plugins = ["encoder_fixtures"]

DATA = Path(__file__).parent / "data"

EXAMPLES = 60  # of requests, for each of several routes
# The schema cannot say "either a query or an id", nor that a document needs a title or a text. An
# Allow header names the methods of only one route, if two share a path.
EXCLUDED_CHECKS = ["positive_data_acceptance", "allow_header_conformance"]

# Every parameter that matters here, whatever params.yaml says today.
SETTINGS = {
    "seed": 8,
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
    """Write a params.yaml for these documents, with changes, into the working directory."""

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

    Documents and queries are records, judgements rows; text is written as it is, None means no
    file.
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
        path.write_bytes(content.encode())


@pytest.fixture(scope="session")
def exports():
    """Export each set of weights once, which takes seconds: the same weights give the same file."""
    from portfolio_kit import onnx_export

    known, write = {}, onnx_export.write

    def write_once(model, *arguments, path, **options):
        values = model.state_dict().values()
        key = hash(b"".join(value.numpy(force=True).tobytes() for value in values))
        if key not in known:
            write(model, *arguments, path=path, **options)
            known[key] = path.read_bytes()
        path.write_bytes(known[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_export, "write", write_once)
        yield


@pytest.fixture(scope="session")
def make(tmp_path_factory, configure, tracking_store, exports):
    """Run `data` and `train` in a new folder, with or without queries; return the project."""
    from {{cookiecutter.package_name}}.data.prepare import prepare
    from {{cookiecutter.package_name}}.training.train import train

    def make(name, backbone, is_judged=True, **changes):
        folder = tmp_path_factory.mktemp(name)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            if not is_judged:
                Path("given").mkdir()
                shutil.copy(DATA / "corpus.jsonl", "given")
                changes["data.source"] = "given"
            params = configure({"model.backbone": str(backbone), **changes})
            prepare(params)
            train(params)
        return SimpleNamespace(folder=folder, models=folder / MODELS, params=params)

    return make


@pytest.fixture(scope="session")
def trained(make, tiny_backbone):
    """A project after `data` and `train` on these documents: its folder, parameters and model."""
    from {{cookiecutter.package_name}}.training import train

    exported = []

    def export(*arguments):
        exported[:] = arguments
        return train_export(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        train_export = train.export
        patch.setattr(train, "export", export)
        project = make("trained", tiny_backbone)
    project.model = exported[0]
    return project


@pytest.fixture(scope="session")
def worse(make, trained, tiny_backbone, tmp_path_factory):
    """A project whose encoder knows the documents already, and forgets them in training."""
    folder = tmp_path_factory.mktemp("taught")
    shutil.copytree(tiny_backbone, folder, dirs_exist_ok=True)
    trained.model.backbone.save_pretrained(folder)
    changes = {"train.learning_rate": 0.5, "train.epochs": 1, "serve.retrieval": "dense"}
    return make("worse", folder, **changes)


@pytest.fixture(scope="session")
def predictor(trained):
    """The exported model, loaded as the API loads it, with the documents as they were trained."""
    from {{cookiecutter.package_name}}.predictor import Predictor

    settings = trained.params.serve.model_copy(update={"changes": None})
    return Predictor.load(trained.models, settings)


@pytest.fixture(scope="session")
def unjudged(make, tiny_backbone):
    """A project after `data` and `train` on the documents alone, with a graph for its index."""
    changes = {"index.exact_below": 0, "serve.retrieval": None}
    return make("unjudged", tiny_backbone, is_judged=False, **changes)
