"""The train stage: fit the forecaster, keep the best epoch, export it."""

import math
import time

import mlflow
import numpy as np
import torch

from .. import artifacts, cores
from ..data.prepare import read_series
from ..errors import UserError
from ..evaluation.rolling import Origins, batches, origins
from ..features import Shape, Windows, shape_of
from ..params import Params
from . import loop, tracking
from .checkpoint import Checkpoint
from .export import export
from .model import Forecaster, pinball_loss


def run(params: Params) -> None:
    """Train on `train`, choose the epoch on `valid`, write `models/`; `test` stays closed."""
    data = artifacts.read_manifest(artifacts.PROCESSED, made_by="data")
    shape = Shape(**data["shape"])
    if shape != shape_of(params, shape.yearly):
        raise UserError("data/processed/ was made with other parameters; run data again")
    torch.manual_seed(params.seed)
    torch.set_num_threads(cores.threads(params.train.threads))
    windows = Windows(read_series(shape, "train", "valid"), shape)
    start, end = (np.datetime64(data["starts"][name], "s") for name in ("valid", "test"))
    train = origins(windows, None, start)
    valid = origins(windows, start, end)
    model = Forecaster(
        shape,
        windows.inputs(*sample(train, params.seed)),
        params.model,
        params.train.dropout,
        params.data.positive,
    )
    decisive = [
        params.model_dump(include={"seed", "model", "train"}),
        data["files"],
        data["shape"],
        torch.get_num_threads(),
    ]
    checkpoint = Checkpoint(*decisive)
    with tracking.run(params, checkpoint.run_id) as checkpoint.run_id:
        fit(model, windows, train, valid, params, checkpoint)
        facts = {
            "project_type": "forecasting",
            "shape": data["shape"],
            "windows": {"train": len(train[0]), "valid": len(valid[0])},
            "nonnegative": bool(min(one.y.min() for one in windows.series) >= 0),
            "positive": params.data.positive,
            "data_sha256": data["sha256"],
            "splits": data["files"],
            "validation": checkpoint.best,
            "train_seconds": round(checkpoint.seconds, 1),
            "peak_memory_mb": tracking.peak_memory_mb(),
            "tracking_run": checkpoint.run_id,
        }
        manifest = export(model, windows, valid, facts, params)
        mlflow.log_metrics({f"onnx_{name}": value for name, value in manifest["onnx"].items()})
        mlflow.log_param("data_sha256", data["sha256"])
        checkpoint.remove()


def sample(train: Origins, seed: int, size: int = 4096) -> Origins:
    """Return some of the windows, or all if they are few."""
    rows = np.random.default_rng(seed).permutation(len(train[0]))[:size]
    return train[0][rows], train[1][rows]


def fit(
    model: Forecaster,
    windows: Windows,
    train: Origins,
    valid: Origins,
    params: Params,
    checkpoint: Checkpoint,
) -> None:
    """Train `model` in place from where `checkpoint` stands, and leave it at its best epoch."""
    settings = params.train
    which, at = train
    steps_an_epoch = math.ceil(len(at) / settings.batch_size)

    def shuffled(random: np.random.Generator) -> list[Origins]:
        rows = np.array_split(random.permutation(len(at)), steps_an_epoch)
        return [(which[batch], at[batch]) for batch in rows]

    start = time.perf_counter()
    groups = [{"params": model.parameters(), "peak": settings.learning_rate}]
    optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
    if not checkpoint.restore(model, optimizer):
        model.start_from_least_squares(windows, train)
    checkpoint.seconds += time.perf_counter() - start
    loop.fit(
        model,
        optimizer,
        checkpoint,
        settings,
        params.seed,
        steps_an_epoch,
        batches=shuffled,
        loss_of=lambda batch: loss_of(model, windows, batch),
        validate=lambda: validate(model, windows, valid),
    )


def loss_of(model: Forecaster, windows: Windows, batch: Origins) -> torch.Tensor:
    """Return the pinball loss of some windows, measured by the level of each."""
    quantiles, scale = model(*map(torch.from_numpy, windows.inputs(*batch)))
    y, observed = map(torch.from_numpy, windows.targets(*batch))
    return pinball_loss(quantiles, model.normalise(y.float(), scale), observed)


@torch.no_grad()
def validate(model: Forecaster, windows: Windows, valid: Origins) -> dict[str, float]:
    """Return the loss of the model as it stands on every window of the validation block."""
    model.eval()
    parts = list(batches(valid))
    losses = [loss_of(model, windows, part).item() for part in parts]
    sizes = [len(at) for _, at in parts]
    return {"loss": round(float(np.average(losses, weights=sizes)), 5)}
