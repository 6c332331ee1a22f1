"""Writes the encoder as ONNX, builds what it searches, and chooses how: into `models/`."""

import shutil
from pathlib import Path

import mlflow
import numpy as np
import torch
from tokenizers import Tokenizer

from portfolio_kit import artifacts, cores, onnx_export, tracking
from portfolio_kit.artifacts import PROCESSED
from portfolio_kit.checkpoint import Checkpoint
from portfolio_kit.errors import UserError
from portfolio_kit.monitoring import reference
from portfolio_kit.retrieval import embedding
from portfolio_kit.retrieval.collection import DOCUMENTS
from portfolio_kit.retrieval.documents import Documents
from portfolio_kit.retrieval.index import build
from portfolio_kit.retrieval.passages import Ids
from portfolio_kit.retrieval.records import IndexRecord
from portfolio_kit.retrieval.scores import by_query, queries_of, rank
from portfolio_kit.retrieval.settings import MODES
from portfolio_kit.retrieval.vectors import OFFSETS, VECTORS
from portfolio_kit.text.encoder import Encoder, embed_texts
from portfolio_kit.text.tokens import encode, pad

from ..data.prepare import CORPUS, Dataset, read_split
from ..params import Params
from ..predictor import Manifest, Predictor
from ..signals import Signals

MAX_DIFFERENCE = 1e-4  # of a vector's component: far below what changes a ranking
MAX_SAMPLES = 64  # documents on which ONNX is compared with torch
WORKSHOP = Path(".cache/export")


def export(
    model: Encoder,
    backbone: Path,
    tokenizer: Tokenizer,
    documents: Documents,
    data: Dataset,
    checkpoint: Checkpoint,
    params: Params,
) -> Manifest:
    """Convert `model`, verify it, index the documents, calibrate the search, and publish it."""
    rows = np.linspace(0, len(documents) - 1, min(MAX_SAMPLES, len(documents)))
    samples = encode(tokenizer, [documents[row] for row in rows])
    convert(model, backbone, samples, WORKSHOP)
    manifest = Manifest(
        project_type="document-similarity",
        version=artifacts.sha256(WORKSHOP / "model.onnx")[:12],
        precision="fp32",
        data_sha256=data.sha256,
        splits=data.files,
        validation=checkpoint.best,
        max_difference=0.0,
        train_seconds=round(checkpoint.seconds, 1),
        peak_memory_mb=0.0,
        tracking_run=checkpoint.run_id,
        documents=len(documents),
        max_tokens=params.model.max_tokens,
        overlap_tokens=params.model.overlap_tokens,
        backbone=params.model.backbone,
        is_fine_tuned=bool(data.rows["train"]),
        index=IndexRecord(kind="exact", passages=0, settings=params.index),  # until it is built
        retrieval="hybrid",  # until validation queries decide
    )
    predictor = verify(model, manifest, samples, params)
    index(predictor, documents, params)
    calibrate(predictor)
    return publish(predictor)


def convert(model: Encoder, backbone: Path, samples: list[Ids], folder: Path) -> None:
    """Write the encoder as ONNX, with pooling and unit length inside, and its tokenizer."""
    shutil.copyfile(backbone / "tokenizer.json", folder / "tokenizer.json")
    token_ids, mask = map(torch.from_numpy, pad((samples * 2)[:2]))
    inputs = {"input_ids": token_ids, "attention_mask": mask}
    onnx_export.write(model, inputs, ["embeddings"], free=2, path=folder / "model.onnx")


def verify(model: Encoder, manifest: Manifest, samples: list[Ids], params: Params) -> Predictor:
    """Load the file as the API does; raise `UserError` if its vectors differ from torch's."""
    settings = params.serve.model_copy(update={"changes": None})
    predictor = Predictor(WORKSHOP, manifest, settings)
    difference = float(np.abs(predictor.embed(samples) - embed_texts(model, samples).numpy()).max())
    if not difference <= MAX_DIFFERENCE:
        raise UserError(f"export: a vector of ONNX differs from torch's by {difference}")
    predictor.manifest = manifest.model_copy(update={"max_difference": difference})
    return predictor


def index(predictor: Predictor, documents: Documents, params: Params) -> None:
    """Embed every passage with the exported encoder, and build the index over the vectors."""
    model, embed = predictor.manifest, predictor.embed_documents
    identity = (model.embedding, model.splits[CORPUS])
    embedded = embedding.embed_corpus(documents, embed, predictor.dimensions, *identity)
    for name in (VECTORS, OFFSETS):
        shutil.copyfile(embedded / name, WORKSHOP / name)
    shutil.copyfile(PROCESSED / CORPUS, WORKSHOP / DOCUMENTS)
    record = build(WORKSHOP, embedded.name, params.index, cores.threads(params.train.threads))
    predictor.manifest = model.model_copy(update={"index": record})


def calibrate(predictor: Predictor) -> None:
    """Choose the retrieval mode with the highest nDCG@10 on the validation queries, if any."""
    valid = read_split("valid")
    if not len(valid):
        return
    queries = queries_of(valid)
    vectors = predictor.embed_queries(list(queries.values()))
    ndcg = {
        mode: round(float(by_query(valid, rankings)["ndcg_at_10"].mean()), 4)
        for mode, rankings in rank(predictor.collection, queries, vectors).items()
    }
    chosen = max(ndcg, key=lambda mode: ndcg[mode])
    found = {"retrieval": chosen, "validation_ndcg_at_10": ndcg}
    predictor.manifest = predictor.manifest.model_copy(update=found)
    write_reference(predictor, list(queries.values())[: reference.MAX_ROWS])


def write_reference(predictor: Predictor, queries: list[str]) -> None:
    """Write what `monitor` compares with: signals in each mode, since it may change later."""
    observe, signals = Signals(predictor), []
    for mode in MODES:
        predictor.collection.mode = mode
        found = [answer["results"] for answer in predictor.predict(queries)]
        signals += [observe(*pair).signals for pair in zip(queries, found, strict=True)]
    reference.write(WORKSHOP, signals)


def publish(predictor: Predictor) -> Manifest:
    """Move the model, the index and the documents into `models/`; remove what is left over."""
    cost = {"peak_memory_mb": tracking.peak_memory_mb()}
    manifest = artifacts.publish(WORKSHOP, predictor.manifest.model_copy(update=cost))
    shutil.rmtree(embedding.CACHE)
    mlflow.log_metric("onnx_max_difference", manifest.max_difference)
    mlflow.log_param("data_sha256", manifest.data_sha256)
    return manifest
