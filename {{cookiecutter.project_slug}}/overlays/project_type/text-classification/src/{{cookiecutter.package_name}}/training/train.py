"""The train stage: fine-tune the classifier, choose the epoch, fit again on all rows, export."""

import math
import time
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from sklearn.metrics import accuracy_score, f1_score
from tokenizers import Tokenizer
from torch import nn

from portfolio_kit import artifacts, cores, tracking
from portfolio_kit.checkpoint import CHECKPOINT, Checkpoint
from portfolio_kit.steps import Progress, seed_step, warm_up_and_decay
from portfolio_kit.text.encoder import embed_texts, fetch_backbone, in_bf16, load_backbone
from portfolio_kit.text.tokens import encode, load_tokenizer, pad, shuffled_batches

from ..data.prepare import Dataset, read_split
from ..params import Params, Train
from .export import export, publish, replace
from .model import Classifier, Examples

FEW = 300  # rows per class: with fewer, a tenth more of them is worth a second training


def train(params: Params) -> None:
    """Train on `train`, choose on `valid`, refit on both, write `models/`; `test` stays closed."""
    accelerator = Accelerator(cpu=not torch.cuda.is_available())  # also under `accelerate launch`
    data = artifacts.read_manifest(artifacts.PROCESSED, Dataset, made_by="data")
    labels = sorted(data.classes)
    torch.manual_seed(params.seed)
    torch.set_num_threads(cores.threads(params.train.threads))
    with accelerator.main_process_first():  # the others find what it fetched
        folder = fetch_backbone(params.model.backbone, params.model.sha256)
    tokenizer = load_tokenizer(folder / "tokenizer.json", params.model.max_tokens)
    rows, valid = (read_examples(name, tokenizer, labels) for name in ("train", "valid"))
    is_bf16 = in_bf16(params.train.precision, accelerator.device)
    settings = params.model_dump(include={"seed", "model", "train"})
    inputs = [artifacts.sha256(folder / "model.safetensors"), data.files, version("transformers")]
    machine = [accelerator.device.type, accelerator.num_processes, torch.get_num_threads(), is_bf16]
    identity = Path(__file__).parents[1], settings, inputs, machine
    checkpoint = Checkpoint(*identity)
    is_main = accelerator.is_main_process
    with tracking.run(params, checkpoint.run_id) if is_main else nullcontext() as run_id:
        checkpoint.run_id = run_id
        model = Classifier(load_backbone(folder), len(labels), params.train.dropout)
        fit(model, rows, valid, params, accelerator, checkpoint)
        if is_main:
            manifest = export(model.cpu(), folder, rows, valid, data, checkpoint, params)
        second = Checkpoint(*identity, checkpoint.best, path=CHECKPOINT.with_stem("refit"))
        refit = params.train.refit
        if refit is True or (refit == "auto" and len(rows.ids) < FEW * len(labels)):
            epochs = {"epochs": checkpoint.best["epoch"]}
            found = params.model_copy(update={"train": params.train.model_copy(update=epochs)})
            targets = torch.cat([rows.targets, valid.targets])
            both = Examples(rows.texts + valid.texts, rows.ids + valid.ids, targets)
            model = Classifier(load_backbone(folder), len(labels), params.train.dropout)
            fit(model, both, None, found, accelerator, second)
            if is_main:
                manifest = replace(model.cpu(), manifest, rows, valid, params)
        if is_main:
            publish(manifest, model, checkpoint.seconds + second.seconds)
            checkpoint.remove()
            second.remove()
    accelerator.wait_for_everyone()


def read_examples(name: str, tokenizer: Tokenizer, labels: list[str]) -> Examples:
    """Return a split of `data/processed/` as the model sees it."""
    rows = read_split(name)
    texts = rows["text"].tolist()
    targets = torch.tensor(rows["label"].map(labels.index).tolist())
    return Examples(texts, encode(tokenizer, texts), targets)


def fit(
    model: Classifier,
    train: Examples,
    valid: Examples | None,
    params: Params,
    accelerator: Accelerator,
    checkpoint: Checkpoint,
) -> None:
    """Train `model` in place from where `checkpoint` stopped, and leave it at its best epoch.

    Without `valid` that is the last one.
    """
    settings, device, rank = params.train, accelerator.device, accelerator.process_index
    lengths = np.array([len(row) for row in train.ids])
    class_weights = weigh_classes(train.targets, settings)
    loss_function = nn.CrossEntropyLoss(
        class_weights.to(device), label_smoothing=settings.label_smoothing, reduction="sum"
    )
    autocast = torch.autocast(device.type, torch.bfloat16, in_bf16(settings.precision, device))

    start = time.perf_counter()
    model.to(device).freeze(settings.freeze_layers)
    encoder_weights = [weight for weight in model.backbone.parameters() if weight.requires_grad]
    groups = [
        {"params": encoder_weights, "peak": settings.learning_rate},
        {"params": model.head.parameters(), "peak": settings.head_learning_rate},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
    if not checkpoint.restore(model, optimizer):
        with autocast:
            model.start_from_prototypes(embed_texts(model, train.ids), train.targets)
    network = accelerator.prepare(model)  # the model, or a wrapper that averages gradients
    checkpoint.seconds += time.perf_counter() - start

    steps_per_epoch = math.ceil(len(lengths) / settings.batch_size)
    steps = settings.epochs * steps_per_epoch
    every = settings.checkpoint_steps
    with Progress(checkpoint, model, optimizer, steps, every, rank == 0) as progress:
        while checkpoint.step < steps:
            epoch, done = divmod(checkpoint.step, steps_per_epoch)
            if checkpoint.is_stale(epoch, settings.patience, settings.epochs):
                print(f"no better for {settings.patience} epochs: stopping early")
                break
            model.train()
            random = np.random.default_rng([params.seed, epoch])
            for batch in shuffled_batches(lengths, settings.batch_size, random)[done:]:
                seed_step(params.seed, checkpoint.step, rank)
                factor = warm_up_and_decay(checkpoint.step, steps, settings.warmup_fraction)
                for group in optimizer.param_groups:
                    group["lr"] = group["peak"] * factor

                # Each process takes its share of the batch, and at least one row: all take part.
                share = batch[rank :: accelerator.num_processes]
                rows = share if len(share) else batch[:1]
                inputs = map(torch.from_numpy, pad([train.ids[row] for row in rows]))
                with autocast:
                    logits, _ = network(*(tensor.to(device) for tensor in inputs))
                loss = loss_function(logits.float(), train.targets[rows].to(device))
                # Scaled so the mean over processes is the weighted mean over the batch.
                weight = class_weights[train.targets[batch]].sum() / accelerator.num_processes
                loss = loss * bool(len(share)) / weight

                optimizer.zero_grad()
                accelerator.backward(loss)
                nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
                optimizer.step()
                is_last = (checkpoint.step + 1) % steps_per_epoch == 0
                progress.step(loss, is_last and valid is not None)

            if (
                valid is not None
            ):  # all processes take the main one's scores, whatever their rounding
                [scores] = broadcast_object_list([validate(model, valid) if rank == 0 else {}])
                progress.epoch(epoch + 1, scores)
    checkpoint.restore_best(model)


def weigh_classes(targets: torch.Tensor, settings: Train) -> torch.Tensor:
    """Return loss weights (classes,), mean 1 over rows: (1 / class size) ** class_weight_power."""
    counts = torch.bincount(targets).float()
    weights = counts**-settings.class_weight_power
    return weights * counts.sum() / (weights * counts).sum()


def validate(model: Classifier, valid: Examples) -> dict[str, float]:
    """Return loss, accuracy and macro-F1 of the model as it is."""
    with torch.inference_mode():
        embeddings = embed_texts(model, valid.ids).to(model.device)
        logits = model.head(embeddings).cpu()
    predictions = logits.argmax(dim=1)
    scores = {
        # Tells epochs apart more finely than F1 on the few rows of a rare class.
        "loss": nn.functional.cross_entropy(logits, valid.targets).item(),
        "accuracy": accuracy_score(valid.targets, predictions),
        "macro_f1": f1_score(valid.targets, predictions, average="macro"),
    }
    return {name: round(score, 4) for name, score in scores.items()}
