"""Chooses the encoder and how it searches, and builds what a search needs: into `models/`."""

import shutil
from pathlib import Path

import mlflow

from portfolio_kit import artifacts, cores, tracking
from portfolio_kit.artifacts import PROCESSED
from portfolio_kit.checkpoint import Checkpoint
from portfolio_kit.monitoring import reference
from portfolio_kit.retrieval import embedding
from portfolio_kit.retrieval.collection import DOCUMENTS, WORDS
from portfolio_kit.retrieval.documents import Documents
from portfolio_kit.retrieval.index import build
from portfolio_kit.retrieval.records import IndexRecord
from portfolio_kit.retrieval.scores import by_query, choose, queries_of
from portfolio_kit.retrieval.settings import MODES, EncoderName, Mode
from portfolio_kit.retrieval.vectors import OFFSETS, VECTORS
from portfolio_kit.retrieval.words import Words
from portfolio_kit.text.encoder import Encoder, load_backbone

from ..data.prepare import CORPUS, Dataset, read_split
from ..params import Params
from ..predictor import NOT_SERVED, Manifest, Predictor
from ..signals import Signals
from .candidates import FOLDER, Candidate, load, make

WORKSHOP = Path(".cache/export")


def export(
    model: Encoder,
    backbone: Path,
    documents: Documents,
    data: Dataset,
    checkpoint: Checkpoint,
    params: Params,
) -> Manifest:
    """Export `model` if it was trained, and the untrained encoder; publish the better one.

    Fine-tuning may make an encoder worse, and words alone may find more than either: encoder and
    retrieval mode are chosen together.
    """
    manifest = Manifest(
        project_type="document-similarity",
        version="",  # until the encoder is chosen
        precision="fp32",
        data_sha256=data.sha256,
        splits=data.files,
        validation=checkpoint.best,
        max_difference=0.0,
        train_seconds=round(checkpoint.seconds, 1),
        peak_memory_mb=0.0,
        tracking_run=checkpoint.run_id,
        examples=data.examples,
        documents=len(documents),
        max_tokens=params.model.max_tokens,
        overlap_tokens=params.model.overlap_tokens,
        backbone=params.model.backbone,
        is_fine_tuned=False,
        index=IndexRecord(kind="exact", passages=0, settings=params.index),  # until it is built
        retrieval="hybrid",  # unless validation queries decide
    )
    encoders: dict[EncoderName, Encoder] = {"pretrained": Encoder(load_backbone(backbone))}
    if data.rows["train"]:
        encoders = {"fine_tuned": model, **encoders}
    candidates = {
        name: make(name, encoder, backbone, documents, manifest, params)
        for name, encoder in encoders.items()
    }
    name, facts = decide(candidates, documents)
    predictor = assemble(name, candidates, facts, params)
    write_reference(predictor)
    return publish(name, predictor)


def decide(
    candidates: dict[EncoderName, Candidate], documents: Documents
) -> tuple[EncoderName, dict[str, object]]:
    """Return the encoder with the highest nDCG@10 in its best mode on the validation queries.

    Also returns what the manifest says of that. Without validation queries it is the first one.
    """
    valid, words = read_split("valid"), Words(WORKSHOP / WORDS)
    if not len(valid):
        return next(iter(candidates)), {}
    queries = queries_of(valid)
    ndcg: dict[EncoderName, dict[Mode, float]] = {
        name: {
            mode: round(float(by_query(valid, rankings)["ndcg_at_10"].mean()), 4)
            for mode, rankings in candidate.rank(queries, words, documents).items()
        }
        for name, candidate in candidates.items()
    }
    encoder, mode = choose(ndcg)
    print(f"nDCG@10 on {len(queries):,} validation queries: {ndcg}; serving {encoder}, {mode}")
    if encoder == "pretrained" and len(candidates) > 1:
        print("note: fine-tuning did not help, so the pretrained encoder is served unchanged")
    return encoder, {"retrieval": mode, "validation_ndcg_at_10": ndcg}


def assemble(
    name: EncoderName,
    candidates: dict[EncoderName, Candidate],
    facts: dict[str, object],
    params: Params,
) -> Predictor:
    """Put everything that a search needs into the workshop, and build the index."""
    served = candidates[name]
    folders = {name: WORKSHOP}
    if "fine_tuned" in candidates:  # kept: the evaluation needs both
        folders.setdefault("fine_tuned", WORKSHOP / NOT_SERVED)
    for each, folder in folders.items():
        shutil.copytree(candidates[each].predictor.folder, folder, dirs_exist_ok=True)
    for file in (VECTORS, OFFSETS):
        shutil.copyfile(served.embedded / file, WORKSHOP / file)
    shutil.copyfile(PROCESSED / CORPUS, WORKSHOP / DOCUMENTS)
    key, threads = served.embedded.name, cores.threads(params.train.threads)
    facts = {**facts, "index": build(WORKSHOP, key, params.index, threads)}
    return load(name, WORKSHOP, served.predictor.manifest.model_copy(update=facts), params)


def write_reference(predictor: Predictor) -> None:
    """Write what `monitor` compares with: signals in each mode, since it may change later."""
    queries = list(queries_of(read_split("valid")).values())[: reference.MAX_ROWS]
    if not queries:
        return
    observe, signals = Signals(predictor), []
    for mode in MODES:
        predictor.collection.mode = mode
        found = [answer["results"] for answer in predictor.predict(queries)]
        signals += [observe(*pair).signals for pair in zip(queries, found, strict=True)]
    reference.write(WORKSHOP, signals)


def publish(name: EncoderName, predictor: Predictor) -> Manifest:
    """Move the model, the index and the documents into `models/`; remove what is left over."""
    cost = {"peak_memory_mb": tracking.peak_memory_mb()}
    manifest = artifacts.publish(WORKSHOP, predictor.manifest.model_copy(update=cost))
    shutil.rmtree(FOLDER)
    if name == "fine_tuned":  # the others' vectors are used again by the evaluation
        shutil.rmtree(embedding.CACHE / name)
    mlflow.log_metric("onnx_max_difference", manifest.max_difference)
    mlflow.log_param("data_sha256", manifest.data_sha256)
    return manifest
