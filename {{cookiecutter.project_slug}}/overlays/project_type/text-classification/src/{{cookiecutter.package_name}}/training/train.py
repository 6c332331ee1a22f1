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

from .. import artifacts, cores
from ..data.prepare import read_split
from ..params import Params, Train
from ..text import bucket, encode, load_tokenizer, pad
from . import loop, tracking
from .checkpoint import Checkpoint
from .encoder import embed_texts, fetch_backbone, in_bf16, load_backbone
from .export import export
from .frozen import FrozenStates
from .model import Classifier, Examples

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
            manifest = export(model.cpu(), folder, train, valid, facts, params)
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
    """Train `model` in place from where `checkpoint` stands, and leave it at its best epoch."""
    settings, device = params.train, accelerator.device
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
    with autocast:
        if not checkpoint.restore(model, optimizer):
            model.start_from_prototypes(embed_texts(model, train.ids), train.targets)
        cached = settings.cache_frozen and settings.freeze_layers
        frozen = FrozenStates(model, train.ids) if cached else None
    network = accelerator.prepare(model)  # the model, or a wrapper that averages its gradients
    checkpoint.seconds += time.perf_counter() - start

    def loss_of(batch: np.ndarray) -> torch.Tensor:
        """Return the loss of this process's rows, scaled so that all processes' mean is theirs."""
        share = batch[accelerator.process_index :: accelerator.num_processes]
        rows = share if len(share) else batch[:1]  # each process has to take part in each step
        inputs = frozen.batch(rows) if frozen else pad([train.ids[row] for row in rows])
        with autocast:
            logits = network(*(torch.as_tensor(array).to(device) for array in inputs))
        loss = loss_function(logits.float(), train.targets[rows].to(device)) * bool(len(share))
        return loss / class_weights[train.targets[batch]].sum() * accelerator.num_processes

    loop.fit(
        model,
        optimizer,
        checkpoint,
        settings,
        params.seed,
        steps_an_epoch=len(bucket(lengths, settings.batch_size)),
        batches=lambda random: shuffled_batches(lengths, settings.batch_size, random),
        loss_of=loss_of,
        validate=lambda: validate(model, valid),
        team=Processes(accelerator),
    )


class Processes(loop.Team):
    """Those that `accelerate launch` has started, or the only one."""

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator, self.rank = accelerator, accelerator.process_index

    def backward(self, loss: torch.Tensor) -> None:
        """Compute the gradients of the mean of all processes' losses."""
        self.accelerator.backward(loss)

    def agree(self, scores: dict[str, float]) -> dict[str, float]:
        """Return the scores that rank 0 found: all go on alike, whatever their rounding."""
        [scores] = broadcast_object_list([scores])
        return scores


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
        embeddings = embed_texts(model, valid.ids).to(model.device)
        logits = model.head(embeddings).cpu()
    predictions = logits.argmax(dim=1)
    return {
        # It tells epochs apart more finely than F1 on the few rows of a rare class.
        "loss": round(nn.functional.cross_entropy(logits, valid.targets).item(), 4),
        "accuracy": round((predictions == valid.targets).float().mean().item(), 4),
        "macro_f1": round(f1_score(valid.targets, predictions, average="macro"), 4),
    }
