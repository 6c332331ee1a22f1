"""The train stage: fine-tune the classifier, keep the best epoch, export it."""

import time
from typing import Any

import mlflow
import numpy as np
import torch
from sklearn.metrics import f1_score
from tokenizers import Tokenizer
from torch import nn
from tqdm import tqdm

from .. import artifacts
from ..data.prepare import read_split
from ..params import Params, Train
from ..text import bucket, encode, load_tokenizer, pad
from . import tracking
from .export import export
from .model import Classifier, Examples, embed_texts, fetch_backbone, load_backbone

BUCKET_BATCHES = 50  # batches are sorted by length inside windows of this many: random, yet tight


def run(params: Params) -> None:
    """Train on `train`, choose the epoch on `valid`, write `models/`; the test set stays closed."""
    data = artifacts.read_manifest(artifacts.PROCESSED, made_by="data")
    labels = sorted(data["classes"])
    torch.manual_seed(params.seed)
    torch.set_num_threads(params.train.threads)
    folder = fetch_backbone(params.model)
    tokenizer = load_tokenizer(folder / "tokenizer.json", params.model.max_tokens)
    train, valid = (read_examples(name, tokenizer, labels) for name in ("train", "valid"))
    model = Classifier(load_backbone(folder), len(labels), params.train.dropout)

    with tracking.run(params) as run_id:
        start = time.perf_counter()
        model.start_from_prototypes(embed_texts(model, train.ids), train.targets)
        best = fit(model, train, valid, params)
        seconds = time.perf_counter() - start
        facts = {
            "project_type": "text-classification",
            "labels": labels,
            "max_tokens": params.model.max_tokens,
            "backbone": params.model.backbone,
            "data_sha256": data["sha256"],
            "splits": data["files"],
            "validation": best,
            "train_seconds": round(seconds, 1),
            "peak_memory_mb": tracking.peak_memory_mb(),
            "tracking_run": run_id,
        }
        manifest = export(model, folder, valid, facts, params.serve)
        mlflow.log_metrics({f"onnx_{name}": value for name, value in manifest["onnx"].items()})
        mlflow.log_param("data_sha256", data["sha256"])
    print(f"{artifacts.MODELS}: version {manifest['version']}, {best}, {seconds:.0f} s")
    print(f"ONNX against torch on the validation set: {manifest['onnx']}")


def read_examples(name: str, tokenizer: Tokenizer, labels: list[str]) -> Examples:
    """Return a split of `data/processed/` as the model sees it."""
    rows = read_split(name)
    texts = rows["text"].tolist()
    targets = torch.tensor(rows["label"].map(labels.index).tolist())
    return Examples(texts, encode(tokenizer, texts), targets)


def fit(model: Classifier, train: Examples, valid: Examples, params: Params) -> dict[str, Any]:
    """Train `model` in place, leave it at its best epoch, and return that epoch's scores."""
    settings = params.train
    model.freeze(settings.freeze_layers)
    encoder_weights = [weight for weight in model.backbone.parameters() if weight.requires_grad]
    weights = [
        {"params": encoder_weights, "lr": settings.learning_rate},
        {"params": model.head.parameters(), "lr": settings.head_learning_rate},
    ]
    optimizer = torch.optim.AdamW(weights, weight_decay=settings.weight_decay)
    lengths = np.array([len(row) for row in train.ids])
    steps = settings.epochs * len(bucket(lengths, settings.batch_size))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: warm_up_and_decay(step, steps, settings.warmup_fraction)
    )
    loss_function = nn.CrossEntropyLoss(
        weight=class_weights(train.targets, settings), label_smoothing=settings.label_smoothing
    )
    bf16 = computes_in_bf16(settings.precision)
    best: dict[str, Any] = {}
    best_weights: dict[str, torch.Tensor] = {}
    progress = tqdm(total=steps, desc="training", unit="step")
    for epoch in range(1, settings.epochs + 1):
        model.train()
        random = np.random.default_rng([params.seed, epoch])
        for batch in shuffled_batches(lengths, settings.batch_size, random):
            input_ids, attention_mask = map(torch.from_numpy, pad([train.ids[i] for i in batch]))
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                logits = model(input_ids, attention_mask)
            loss = loss_function(logits.float(), train.targets[batch])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
            optimizer.step()
            schedule.step()
            progress.update()
            progress.set_postfix(epoch=epoch, loss=f"{loss.item():.3f}")
            if progress.n % 20 == 0:
                mlflow.log_metric("loss", loss.item(), step=progress.n)
                mlflow.log_metric("learning_rate", optimizer.param_groups[0]["lr"], step=progress.n)

        scores = validate(model, valid)
        mlflow.log_metrics({f"valid_{name}": v for name, v in scores.items()}, step=progress.n)
        progress.write(f"epoch {epoch}: validation {scores}")
        # The loss tells epochs apart more finely than F1 on the few rows of a rare class.
        if not best or scores["loss"] < best["loss"]:
            best = {"epoch": epoch, **scores}
            best_weights = {name: value.clone() for name, value in model.state_dict().items()}
        elif epoch - best["epoch"] >= settings.patience:
            progress.write(f"no better for {settings.patience} epochs: stopping early")
            break
    progress.close()
    model.load_state_dict(best_weights)
    return best


def warm_up_and_decay(step: int, steps: int, warmup_fraction: float) -> float:
    """Return the factor on the learning rate: up to 1 over the warm-up, then down to 0."""
    warmup = max(1, round(steps * warmup_fraction))
    return min((step + 1) / warmup, (steps - step) / max(1, steps - warmup))


def computes_in_bf16(precision: str) -> bool:
    """Say whether matrix products are to be in bf16; without hardware for it they would be slow."""
    processor = torch.cpu.get_capabilities()
    in_hardware = any(processor.get(name) for name in ("avx512_bf16", "amx_bf16"))
    return precision == "bf16" or (precision == "auto" and in_hardware)


def class_weights(targets: torch.Tensor, settings: Train) -> torch.Tensor:
    """Return loss weights (classes,), mean 1 over rows: (1 / class size) ** class_weight_power."""
    counts = torch.bincount(targets).float()
    weights = counts**-settings.class_weight_power
    return weights * counts.sum() / (weights * counts).sum()


def shuffled_batches(
    lengths: np.ndarray, batch_size: int, random: np.random.Generator
) -> list[np.ndarray]:
    """Return an epoch's batches of row indices: random, each of texts of about one length."""
    order = random.permutation(len(lengths))
    window = batch_size * BUCKET_BATCHES
    windows = [order[start : start + window] for start in range(0, len(order), window)]
    batches = [rows[batch] for rows in windows for batch in bucket(lengths[rows], batch_size)]
    return [batches[index] for index in random.permutation(len(batches))]


def validate(model: Classifier, valid: Examples) -> dict[str, float]:
    """Return loss, accuracy and macro-F1 of the model as it stands."""
    with torch.inference_mode():
        logits = model.head(embed_texts(model, valid.ids))
    predictions = logits.argmax(dim=1)
    return {
        "loss": round(nn.functional.cross_entropy(logits, valid.targets).item(), 4),
        "accuracy": round((predictions == valid.targets).float().mean().item(), 4),
        "macro_f1": round(f1_score(valid.targets, predictions, average="macro"), 4),
    }
