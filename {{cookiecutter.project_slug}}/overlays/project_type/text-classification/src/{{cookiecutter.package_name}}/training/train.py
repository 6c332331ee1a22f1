"""The train stage: fine-tune the classifier, keep the best epoch, export it."""

import time
from contextlib import nullcontext
from importlib.metadata import version

import mlflow
import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from sklearn.metrics import f1_score
from tokenizers import Tokenizer
from torch import nn
from tqdm import tqdm

from .. import artifacts, cores
from ..data.prepare import read_split
from ..params import Params, Train
from ..text import bucket, encode, load_tokenizer, pad
from . import tracking
from .checkpoint import Checkpoint
from .encoder import embed_texts, fetch_backbone, in_bf16, load_backbone
from .export import export
from .frozen import FrozenStates
from .model import Classifier, Examples
from .schedule import warm_up_and_decay

BUCKET_BATCHES = 50  # batches are sorted by length inside windows of this many: random, yet tight


def run(params: Params) -> None:
    """Train on `train`, choose the epoch on `valid`, write `models/`; the test set stays closed."""
    # The only process, or one of those that `accelerate launch` has started.
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    main = accelerator.is_main_process
    data = artifacts.read_manifest(artifacts.PROCESSED, made_by="data")
    labels = sorted(data["classes"])
    torch.manual_seed(params.seed)
    torch.set_num_threads(cores.threads(params.train.threads))
    with accelerator.main_process_first():  # the others find what it has fetched
        folder = fetch_backbone(params.model)
    tokenizer = load_tokenizer(folder / "tokenizer.json", params.model.max_tokens)
    train, valid = (read_examples(name, tokenizer, labels) for name in ("train", "valid"))
    model = Classifier(load_backbone(folder), len(labels), params.train.dropout)
    decisive = [
        params.model_dump(include={"seed", "model", "train"}),
        artifacts.sha256(folder / "model.safetensors"),
        data["files"],
        version("transformers"),
        accelerator.device.type,
        accelerator.num_processes,
        torch.get_num_threads(),
        in_bf16(params.train.precision, accelerator.device),
    ]
    checkpoint = Checkpoint(*decisive)

    with tracking.run(params, checkpoint.run_id) if main else nullcontext() as checkpoint.run_id:
        fit(model, train, valid, params, accelerator, checkpoint)
        if main:
            facts = {
                "project_type": "text-classification",
                "labels": labels,
                "max_tokens": params.model.max_tokens,
                "backbone": params.model.backbone,
                "data_sha256": data["sha256"],
                "splits": data["files"],
                "validation": checkpoint.best,
                "train_seconds": round(checkpoint.seconds, 1),
                "peak_memory_mb": tracking.peak_memory_mb(),
                "tracking_run": checkpoint.run_id,
            }
            manifest = export(model.cpu(), folder, valid, facts, params)
            mlflow.log_metrics({f"onnx_{name}": value for name, value in manifest["onnx"].items()})
            mlflow.log_param("data_sha256", data["sha256"])
            checkpoint.remove()
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
    valid: Examples,
    params: Params,
    accelerator: Accelerator,
    checkpoint: Checkpoint,
) -> None:
    """Train `model` in place from where `checkpoint` stands, and leave it at its best epoch.

    Order and dropout of a step depend on the seed and the step's number, and on nothing before
    it: so a run that was interrupted ends with the same weights as one that was not.
    """
    settings = params.train
    device, main = accelerator.device, accelerator.is_main_process
    rank, processes = accelerator.process_index, accelerator.num_processes
    lengths = np.array([len(row) for row in train.ids])
    steps_an_epoch = len(bucket(lengths, settings.batch_size))
    steps = settings.epochs * steps_an_epoch
    class_weights = weigh_classes(train.targets, settings)
    loss_function = nn.CrossEntropyLoss(
        class_weights.to(device), label_smoothing=settings.label_smoothing, reduction="sum"
    )
    autocast = torch.autocast(device.type, torch.bfloat16, in_bf16(settings.precision, device))

    start = time.perf_counter() - checkpoint.seconds
    model.to(device).freeze(settings.freeze_layers)
    encoder_weights = [weight for weight in model.backbone.parameters() if weight.requires_grad]
    groups = [
        {"params": encoder_weights, "peak": settings.learning_rate},
        {"params": model.head.parameters(), "peak": settings.head_learning_rate},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
    with autocast:
        if not checkpoint.restore(model, optimizer):
            model.start_from_prototypes(embed_texts(model, train.ids), train.targets)
        cached = settings.cache_frozen and settings.freeze_layers
        frozen = FrozenStates(model, train.ids) if cached else None
    network = accelerator.prepare(model)  # the model, or a wrapper that averages its gradients

    progress = tqdm(
        total=steps, initial=checkpoint.step, desc="training", unit="step", disable=not main
    )
    while checkpoint.step < steps:
        epoch, done = divmod(checkpoint.step, steps_an_epoch)
        if checkpoint.best and epoch - checkpoint.best["epoch"] >= settings.patience:
            progress.write(f"no better for {settings.patience} epochs: stopping early")
            break
        model.train()
        order = np.random.default_rng([params.seed, epoch])
        for batch in shuffled_batches(lengths, settings.batch_size, order)[done:]:
            noise = np.random.default_rng([params.seed, checkpoint.step, rank])
            torch.manual_seed(int(noise.integers(2**32)))
            factor = warm_up_and_decay(checkpoint.step, steps, settings.warmup_fraction)
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * factor

            share = batch[rank::processes]
            rows = share if len(share) else batch[:1]  # each process has to take part in each step
            inputs = frozen.batch(rows) if frozen else pad([train.ids[row] for row in rows])
            with autocast:
                logits = network(*(torch.as_tensor(array).to(device) for array in inputs))
            # The mean over the batch, as far as this process's rows are part of it.
            loss = loss_function(logits.float(), train.targets[rows].to(device)) * bool(len(share))
            loss = loss / class_weights[train.targets[batch]].sum()
            optimizer.zero_grad()
            accelerator.backward(loss * processes)  # which averages over the processes
            nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
            optimizer.step()

            checkpoint.step += 1
            checkpoint.seconds = time.perf_counter() - start
            progress.update()
            # The batch's loss; of several processes, an estimate from the main one's share.
            batch_loss = loss.item() * processes
            progress.set_postfix(epoch=epoch + 1, loss=f"{batch_loss:.3f}")
            # Not at the end of an epoch, which is not over before it is validated.
            is_within = checkpoint.step % steps_an_epoch > 0
            if main and is_within and checkpoint.step % settings.checkpoint_steps == 0:
                checkpoint.save(model, optimizer)
            if main and checkpoint.step % 20 == 0:
                mlflow.log_metric("loss", batch_loss, step=checkpoint.step)
                mlflow.log_metric(
                    "learning_rate", optimizer.param_groups[0]["lr"], step=checkpoint.step
                )

        scores = validate(model, valid) if main else {}
        [scores] = broadcast_object_list([scores])  # all go on alike, whatever their rounding
        # The loss tells epochs apart more finely than F1 on the few rows of a rare class.
        if not checkpoint.best or scores["loss"] < checkpoint.best["loss"]:
            checkpoint.keep_best(model, {"epoch": epoch + 1, **scores})
        if main:
            checkpoint.save(model, optimizer)
            progress.write(f"epoch {epoch + 1}: validation {scores}")
            named = {f"valid_{name}": value for name, value in scores.items()}
            mlflow.log_metrics(named, step=checkpoint.step)
    progress.close()
    checkpoint.restore_best(model)


def weigh_classes(targets: torch.Tensor, settings: Train) -> torch.Tensor:
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
        embeddings = embed_texts(model, valid.ids).to(model.head.weight.device)
        logits = model.head(embeddings).cpu()
    predictions = logits.argmax(dim=1)
    return {
        "loss": round(nn.functional.cross_entropy(logits, valid.targets).item(), 4),
        "accuracy": round((predictions == valid.targets).float().mean().item(), 4),
        "macro_f1": round(f1_score(valid.targets, predictions, average="macro"), 4),
    }
