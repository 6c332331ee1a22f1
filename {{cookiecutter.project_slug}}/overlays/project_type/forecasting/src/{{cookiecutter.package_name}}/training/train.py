"""The train stage: fit the forecaster, keep the best epoch, export it."""

import math
import time

import mlflow
import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from .. import artifacts, cores
from ..data.prepare import read_series
from ..errors import UserError
from ..evaluation.rolling import Origins, batches, origins
from ..features import Shape, Windows, shape_of
from ..params import Params
from . import tracking
from .checkpoint import Checkpoint
from .export import export
from .model import Forecaster, pinball_loss
from .schedule import warm_up_and_decay


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
    """Train `model` in place from where `checkpoint` stands, and leave it at its best epoch.

    Order and dropout of a step depend on the seed and the step's number, and on nothing before
    it: so a run that was interrupted ends with the same weights as one that was not.
    """
    settings = params.train
    which, at = train
    steps_an_epoch = math.ceil(len(at) / settings.batch_size)
    steps = settings.epochs * steps_an_epoch
    start = time.perf_counter() - checkpoint.seconds
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    if not checkpoint.restore(model, optimizer):
        model.start_from_least_squares(windows, train)

    progress = tqdm(total=steps, initial=checkpoint.step, desc="training", unit="step")
    while checkpoint.step < steps:
        epoch, done = divmod(checkpoint.step, steps_an_epoch)
        if checkpoint.best and epoch - checkpoint.best["epoch"] >= settings.patience:
            progress.write(f"no better for {settings.patience} epochs: stopping early")
            break
        model.train()
        order = np.random.default_rng([params.seed, epoch]).permutation(len(at))
        for batch in np.array_split(order, steps_an_epoch)[done:]:
            noise = np.random.default_rng([params.seed, checkpoint.step])
            torch.manual_seed(int(noise.integers(2**32)))
            factor = warm_up_and_decay(checkpoint.step, steps, settings.warmup_fraction)
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * factor
            loss = loss_of(model, windows, (which[batch], at[batch]))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
            optimizer.step()

            checkpoint.step += 1
            checkpoint.seconds = time.perf_counter() - start
            progress.update()
            # Not at the end of an epoch, which is not over before it is validated.
            is_within = checkpoint.step % steps_an_epoch > 0
            if is_within and checkpoint.step % settings.checkpoint_steps == 0:
                checkpoint.save(model, optimizer)
            if checkpoint.step % 20 == 0:
                progress.set_postfix(epoch=epoch + 1, loss=f"{loss.item():.4f}")
                mlflow.log_metric("loss", loss.item(), step=checkpoint.step)
                mlflow.log_metric(
                    "learning_rate", optimizer.param_groups[0]["lr"], step=checkpoint.step
                )

        scores = validate(model, windows, valid)
        if not checkpoint.best or scores["loss"] < checkpoint.best["loss"]:
            checkpoint.keep_best(model, {"epoch": epoch + 1, **scores})
        checkpoint.save(model, optimizer)
        progress.write(f"epoch {epoch + 1}: validation {scores}")
        mlflow.log_metrics({f"valid_{n}": v for n, v in scores.items()}, step=checkpoint.step)
    progress.close()
    checkpoint.restore_best(model)


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
