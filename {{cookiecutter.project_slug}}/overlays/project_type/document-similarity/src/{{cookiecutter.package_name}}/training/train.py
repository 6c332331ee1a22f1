"""The train stage: fine-tune the encoder on judged queries, if there are any, and export it."""

import math
import shutil
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from portfolio_kit import artifacts, cores, tracking
from portfolio_kit.artifacts import PROCESSED
from portfolio_kit.checkpoint import Checkpoint
from portfolio_kit.errors import UserError
from portfolio_kit.retrieval import words
from portfolio_kit.retrieval.collection import WORDS
from portfolio_kit.retrieval.documents import Documents
from portfolio_kit.retrieval.words import Words
from portfolio_kit.steps import Progress, seed_step, warm_up_and_decay
from portfolio_kit.text.encoder import Encoder, embed_texts, fetch_backbone, in_bf16, load_backbone
from portfolio_kit.text.tokens import load_tokenizer, pad

from ..data.prepare import CORPUS, Dataset, read_split
from ..params import Params
from .export import WORKSHOP, export
from .pairs import Pairs, mine_hard_negatives

PACKAGE = Path(__file__).parents[1]
MAX_CANDIDATES = 2_000  # documents among which validation looks for the right ones
VALIDATED = 1_024  # queries compared with all of these at once


def train(params: Params) -> None:
    """Train on `train`, choose on `valid`, write `models/`; the test set stays closed."""
    data = artifacts.read_manifest(PROCESSED, Dataset, made_by="data")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(params.seed)
    torch.set_num_threads(cores.threads(params.train.threads))
    folder = fetch_backbone(params.model.backbone, params.model.sha256)
    tokenizer = load_tokenizer(folder / "tokenizer.json", params.model.max_tokens)
    documents = Documents(PROCESSED / CORPUS)
    model = Encoder(load_backbone(folder)).to(device)
    shutil.rmtree(WORKSHOP, ignore_errors=True)  # left by a killed run
    WORKSHOP.mkdir(parents=True)
    texts = tqdm(documents, desc="indexing words", unit=" documents")
    words.write(WORKSHOP / WORDS, texts, params.data.language)
    checkpoint = Checkpoint(
        PACKAGE,
        params.model_dump(include={"seed", "model", "train"}),
        params.data.language,
        artifacts.sha256(folder / "model.safetensors"),
        data.files,
        version("transformers"),
        device.type,
        torch.get_num_threads(),
        in_bf16(params.train.precision, device),
    )
    with tracking.run(params, checkpoint.run_id) as checkpoint.run_id:
        if data.rows["train"]:
            rows, valid = (
                Pairs(read_split(name), documents, tokenizer, params.train.passage_tokens)
                for name in ("train", "valid")
            )
            fit(model, rows, valid, Words(WORKSHOP / WORDS), params, checkpoint)
        else:
            print("there are no training queries: the pretrained encoder is used unchanged")
        export(model.cpu(), folder, documents, data, checkpoint, params)
        checkpoint.remove()


def fit(
    model: Encoder, train: Pairs, valid: Pairs, words: Words, params: Params, checkpoint: Checkpoint
) -> None:
    """Train `model` in place from where `checkpoint` stopped, and leave it at its best epoch.

    Each query has to rank its document above all others of the batch, among them some that BM25
    mistakes for it.
    """
    settings, device = params.train, model.device
    model.freeze(settings.freeze_layers)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    if not weights:
        raise UserError(
            f"train.freeze_layers: all {settings.freeze_layers} layers of the backbone are frozen, "
            "so nothing is left to train"
        )
    mined = mine_hard_negatives(train, words)
    groups = [{"params": weights, "peak": settings.learning_rate}]
    optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
    checkpoint.restore(model, optimizer)
    autocast = torch.autocast(device.type, torch.bfloat16, in_bf16(settings.precision, device))

    def embed(ids: list[list[int]]) -> torch.Tensor:
        return model(*(torch.from_numpy(array).to(device) for array in pad(ids))).float()

    steps_per_epoch = math.ceil(len(train) / settings.batch_size)
    steps = settings.epochs * steps_per_epoch
    with Progress(checkpoint, model, optimizer, steps, settings.checkpoint_steps) as progress:
        while checkpoint.step < steps:
            epoch, done = divmod(checkpoint.step, steps_per_epoch)
            if checkpoint.is_stale(epoch, settings.patience, settings.epochs):
                print(f"no better for {settings.patience} epochs: stopping early")
                break
            model.train()
            order = np.random.default_rng([params.seed, epoch]).permutation(len(train))
            for rows in np.array_split(order, steps_per_epoch)[done:]:
                seed_step(params.seed, checkpoint.step)
                factor = warm_up_and_decay(checkpoint.step, steps, settings.warmup_fraction)
                for group in optimizer.param_groups:
                    group["lr"] = group["peak"] * factor

                # Candidates: each row's own document, and a look-alike for some of the rows.
                hard = [mined[row] for row in rows[: settings.hard_negatives] if len(mined[row])]
                picked = [found[int(torch.randint(len(found), ()))] for found in hard]
                candidates = np.unique([*train.documents[rows], *picked])
                with autocast:
                    queries = embed([train.queries[row] for row in rows])  # (rows, hidden)
                    passages = embed(train.passages(candidates))  # (candidates, hidden)
                logits = queries @ passages.T / settings.temperature  # (rows, candidates)
                loss = contrastive_loss(logits, train, rows, candidates)

                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
                optimizer.step()
                progress.step(loss, is_last=(checkpoint.step + 1) % steps_per_epoch == 0)
            progress.epoch(epoch + 1, validate(model, valid, params))
    checkpoint.restore_best(model)


def contrastive_loss(
    logits: torch.Tensor, pairs: Pairs, rows: np.ndarray, candidates: np.ndarray
) -> torch.Tensor:
    """Return the mean cross-entropy of finding each row's document among the candidates.

    logits (rows, candidates), candidates sorted (InfoNCE: van den Oord et al. 2018). Other
    documents that are relevant to a row's query are left out: they are not wrong answers.
    """
    others = torch.from_numpy(pairs.is_other_relevant(rows, candidates)).to(logits.device)
    targets = torch.from_numpy(np.searchsorted(candidates, pairs.documents[rows]))
    masked = logits.masked_fill(others, -torch.inf)
    return nn.functional.cross_entropy(masked, targets.to(logits.device))


def validate(model: Encoder, valid: Pairs, params: Params) -> dict[str, float]:
    """Return loss and mean reciprocal rank over the validation queries."""
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
