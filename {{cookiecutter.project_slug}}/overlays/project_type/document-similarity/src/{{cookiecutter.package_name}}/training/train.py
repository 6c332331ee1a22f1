"""The train stage: fine-tune the encoder where there are queries, export it, build the index."""

import shutil
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn
from tqdm import tqdm

from .. import artifacts, cores
from ..artifacts import MODELS, PROCESSED
from ..data.prepare import CORPUS, read_split
from ..errors import UserError
from ..evaluation.scores import MODES, best_mode
from ..monitoring import reference
from ..params import Params
from ..retrieval import words
from ..retrieval.documents import Documents
from ..serving.observe import observer
from ..serving.predictor import Predictor
from ..text import load_tokenizer, pad
from . import indexing, loop, tracking
from .checkpoint import Checkpoint
from .encoder import Encoder, embed_texts, fetch_backbone, in_bf16, load_backbone
from .export import export
from .pairs import Pairs, mine_hard_negatives

WORKSHOP = Path(".cache/export")
MAX_CANDIDATES = 2_000  # documents among which an epoch's model has to find the right ones
VALIDATED = 1_024  # queries compared with all of these at a time
MAX_SAMPLES = 64  # documents on which the exported model is compared with torch


def run(params: Params) -> None:
    """Train on `train`, choose on `valid`, write `models/`; the test set stays closed."""
    data = artifacts.read_manifest(PROCESSED, made_by="data")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(params.seed)
    torch.set_num_threads(cores.threads(params.train.threads))
    backbone = fetch_backbone(params.model)
    tokenizer = load_tokenizer(backbone / "tokenizer.json", params.model.max_tokens)
    documents = Documents(PROCESSED / CORPUS)
    model = Encoder(load_backbone(backbone)).to(device)
    shutil.rmtree(WORKSHOP, ignore_errors=True)  # what a killed run left
    WORKSHOP.mkdir(parents=True)
    texts = tqdm(documents, desc="indexing words", unit=" documents")
    words.write(WORKSHOP / "words", texts, params.data.language)
    decisive = [
        params.model_dump(include={"seed", "model", "train"}),
        params.data.language,
        artifacts.sha256(backbone / "model.safetensors"),
        data["files"],
        version("transformers"),
        device.type,
        torch.get_num_threads(),
        in_bf16(params.train.precision, device),
    ]
    checkpoint = Checkpoint(*decisive)
    with tracking.run(params, checkpoint.run_id) as checkpoint.run_id:
        if data["rows"]["train"]:
            fit(model, documents, tokenizer, params, checkpoint)
        else:
            print("there are no training queries: the encoder stays as it comes")
        facts = {
            "project_type": "document-similarity",
            "max_tokens": params.model.max_tokens,
            "overlap_tokens": params.model.overlap_tokens,
            "backbone": params.model.backbone,
            "is_fine_tuned": bool(data["rows"]["train"]),
            "documents": len(documents),
            "data_sha256": data["sha256"],
            "splits": data["files"],
            "validation": checkpoint.best,
            "precision": "fp32",
            "train_seconds": round(checkpoint.seconds, 1),
            "tracking_run": checkpoint.run_id,
        }
        manifest = assemble(model.cpu(), backbone, tokenizer, documents, facts, params)
        mlflow.log_metrics({f"onnx_{name}": value for name, value in manifest["onnx"].items()})
        mlflow.log_param("data_sha256", data["sha256"])
        checkpoint.remove()
        shutil.rmtree(indexing.CACHE)


def fit(
    model: Encoder,
    documents: Documents,
    tokenizer: Tokenizer,
    params: Params,
    checkpoint: Checkpoint,
) -> None:
    """Train `model` in place from where `checkpoint` stands, and leave it at its best epoch.

    For each query, its document has to come before all others of the batch, and before some that
    BM25 takes for the right ones.
    """
    settings = params.train
    model.freeze(settings.freeze_layers)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    if not weights:
        raise UserError(
            f"train.freeze_layers: all {settings.freeze_layers} layers of the backbone are frozen, "
            "and nothing is left to train"
        )
    train, valid = (
        Pairs(read_split(name), documents, tokenizer, params) for name in ("train", "valid")
    )
    mined = mine_hard_negatives(train, words.Words(WORKSHOP / "words"))
    groups = [{"params": weights, "peak": settings.learning_rate}]
    optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
    checkpoint.restore(model, optimizer)
    device = model.device
    autocast = torch.autocast(device.type, torch.bfloat16, in_bf16(settings.precision, device))
    steps_an_epoch = -(-len(train) // settings.batch_size)

    def embed(ids: list[list[int]]) -> torch.Tensor:
        return model(*(torch.from_numpy(array).to(device) for array in pad(ids))).float()

    def loss_of(rows: np.ndarray) -> torch.Tensor:
        hard = [mined[row] for row in rows[: settings.hard_negatives] if len(mined[row])]
        picked = [found[int(torch.randint(len(found), ()))] for found in hard]
        candidates = np.unique([*train.documents[rows], *picked])
        with autocast:
            queries = embed([train.queries[row] for row in rows])  # (rows, hidden)
            passages = embed(train.passages(candidates))  # (candidates, hidden)
        logits = queries @ passages.T / settings.temperature
        return contrastive_loss(logits, train, rows, candidates)

    loop.fit(
        model,
        optimizer,
        checkpoint,
        settings,
        params.seed,
        steps_an_epoch,
        batches=lambda random: np.array_split(random.permutation(len(train)), steps_an_epoch),
        loss_of=loss_of,
        validate=lambda: validate(model, valid, params),
    )


def contrastive_loss(
    logits: torch.Tensor, pairs: Pairs, rows: np.ndarray, candidates: np.ndarray
) -> torch.Tensor:
    """Return the mean cross-entropy of finding each row's document among the candidates.

    logits (rows, candidates), candidates sorted (InfoNCE: van den Oord et al. 2018). What else is
    relevant to a row's query is no wrong answer, and left out.
    """
    others = torch.from_numpy(pairs.is_other_relevant(rows, candidates)).to(logits.device)
    targets = torch.from_numpy(np.searchsorted(candidates, pairs.documents[rows]))
    masked = logits.masked_fill(others, -torch.inf)
    return nn.functional.cross_entropy(masked, targets.to(logits.device))


def validate(model: Encoder, valid: Pairs, params: Params) -> dict[str, float]:
    """Return the loss, and the mean reciprocal rank, over the validation queries."""
    rest = np.setdiff1d(np.arange(valid.n_documents), valid.documents)
    more = max(0, MAX_CANDIDATES - len(np.unique(valid.documents)))
    others = np.random.default_rng(params.seed).permutation(rest)[:more]
    candidates = np.unique([*valid.documents, *others])
    queries = embed_texts(model, valid.queries)
    passages = embed_texts(model, valid.passages(candidates))
    loss = mrr = 0.0
    for start in range(0, len(valid), VALIDATED):
        rows = np.arange(start, min(start + VALIDATED, len(valid)))
        logits = queries[rows] @ passages.T / params.train.temperature  # (rows, candidates)
        own = logits[rows - start, np.searchsorted(candidates, valid.documents[rows])]
        ranks = 1 + (logits > own[:, None]).sum(dim=1)
        loss += contrastive_loss(logits, valid, rows, candidates).item() * len(rows)
        mrr += (1 / ranks).sum().item()
    return {"loss": round(loss / len(valid), 4), "mrr": round(mrr / len(valid), 4)}


def assemble(
    model: Encoder,
    backbone: Path,
    tokenizer: Tokenizer,
    documents: Documents,
    facts: dict[str, Any],
    params: Params,
) -> dict[str, Any]:
    """Export the model, build the index, choose how to search, and put all into `models/`."""
    some = np.linspace(0, len(documents) - 1, min(MAX_SAMPLES, len(documents)))
    samples = [tokenizer.encode(documents[row]).ids for row in some]
    embedder = export(model, backbone, samples, WORKSHOP, facts, params)
    corpus = facts["splits"][CORPUS]
    facts["index"] = indexing.build(WORKSHOP, embedder, documents, corpus, params)
    shutil.copyfile(PROCESSED / CORPUS, WORKSHOP / "documents.sqlite")
    facts["retrieval"], facts["validation_ndcg_at_10"] = "hybrid", None
    valid = read_split("valid")
    if len(valid):
        settings = params.serve.model_copy(update={"changes": None})
        predictor = Predictor(WORKSHOP, facts, settings)
        facts["retrieval"], facts["validation_ndcg_at_10"] = best_mode(predictor, valid)
        write_reference(predictor, valid["query"].unique().tolist())
    facts["peak_memory_mb"] = tracking.peak_memory_mb()
    files = sorted(file for file in WORKSHOP.rglob("*") if file.is_file())
    names = [file.relative_to(WORKSHOP).as_posix() for file in files]
    for name in names:
        artifacts.write_atomic(MODELS / name, partial(shutil.move, WORKSHOP / name))
    shutil.rmtree(WORKSHOP)
    return artifacts.write_manifest(MODELS, names, facts)


def write_reference(predictor: Predictor, queries: list[str]) -> None:
    """Write what `monitor` compares with: the signals of validation queries, in each way to search,
    since `serve.retrieval` may change it later.
    """
    queries, signals = queries[: reference.MAX_ROWS], []
    for mode in MODES:
        predictor.collection.mode = mode
        observe = observer(predictor, WORKSHOP)
        found = [answer["results"] for answer in predictor.predict(queries)]
        signals += [observe(*pair).signals for pair in zip(queries, found, strict=True)]
    reference.write(WORKSHOP, signals)
