"""The train stage: fit the forecaster, keep the best epoch, export it."""

import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from portfolio_kit import artifacts, cores, tracking
from portfolio_kit.checkpoint import Checkpoint
from portfolio_kit.errors import UserError
from portfolio_kit.steps import Progress, seed_step, warm_up_and_decay
from portfolio_kit.timegrid.origins import Origins

from ..data.prepare import Dataset, read_series
from ..data.rolling import origins
from ..features import LEVELS, Windows, shape_of
from ..params import Params
from .export import export
from .least_squares import fit_regression
from .model import Forecaster

PACKAGE = Path(__file__).parents[1]
SAMPLE = 4096  # windows that the scale of the inputs is taken from
# Of the quantiles in the loss: the median is the forecast, the others are calibrated later.
LEVEL_WEIGHTS = (1, 1, 3, 1, 1)


def train(params: Params) -> None:
    """Train on `train`, choose the epoch on `valid`, write `models/`; `test` stays closed."""
    data = artifacts.read_manifest(artifacts.PROCESSED, Dataset, made_by="data")
    shape = data.shape
    if shape != shape_of(params, shape.yearly, shape.offsets):
        raise UserError("data/processed/ was made with other parameters; run `make data` again")
    torch.manual_seed(params.seed)
    torch.set_num_threads(cores.threads(params.train.threads))
    windows = Windows(read_series(shape, "train", "valid"), shape)
    start, end = data.boundaries
    rows, valid = origins(windows, None, start), origins(windows, start, end)
    some = np.random.default_rng(params.seed).permutation(len(rows.at))[:SAMPLE]
    inputs = windows.inputs(*rows.take(some))
    settings, positive = params.train, params.data.positive
    model = Forecaster(shape, inputs, params.model, settings.dropout, positive)
    checkpoint = Checkpoint(
        PACKAGE,
        params.model_dump(include={"seed", "model", "train"}),
        data.files,
        shape.model_dump(),
        torch.get_num_threads(),
    )
    with tracking.run(params, checkpoint.run_id) as checkpoint.run_id:
        fit(model, windows, rows, valid, params, checkpoint)
        export(model, windows, rows, valid, data, checkpoint, params)
        checkpoint.remove()


def fit(
    model: Forecaster,
    windows: Windows,
    train: Origins,
    valid: Origins,
    params: Params,
    checkpoint: Checkpoint,
) -> None:
    """Train `model` in place from where `checkpoint` stopped, and leave it at its best epoch."""
    settings = params.train
    start = time.perf_counter()
    optimizer = torch.optim.AdamW(
        model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
    )
    checkpoint.restore(model, optimizer)
    fit_regression(model, windows, train, valid)  # not in the checkpoint: it takes seconds
    checkpoint.seconds += time.perf_counter() - start

    steps_per_epoch = math.ceil(len(train.at) / settings.batch_size)
    steps = settings.epochs * steps_per_epoch
    with Progress(checkpoint, model, optimizer, steps, settings.checkpoint_steps) as progress:
        if not checkpoint.step:  # on a short series no epoch may improve on the regression
            progress.epoch(0, validate(model, windows, valid))
        while checkpoint.step < steps:
            epoch, done = divmod(checkpoint.step, steps_per_epoch)
            if checkpoint.is_stale(epoch, settings.patience, settings.epochs):
                print(f"no better for {settings.patience} epochs: stopping early")
                break
            model.train()
            order = np.random.default_rng([params.seed, epoch]).permutation(len(train.at))
            for batch in np.array_split(order, steps_per_epoch)[done:]:
                seed_step(params.seed, checkpoint.step)
                factor = warm_up_and_decay(checkpoint.step, steps, settings.warmup_fraction)
                for group in optimizer.param_groups:
                    group["lr"] = settings.learning_rate * factor

                loss = loss_of(model, windows, train.take(batch))
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
                optimizer.step()
                progress.step(loss, is_last=(checkpoint.step + 1) % steps_per_epoch == 0)

            progress.epoch(epoch + 1, validate(model, windows, valid))
    checkpoint.restore_best(model)


def loss_of(model: Forecaster, windows: Windows, batch: Origins) -> torch.Tensor:
    """Return the pinball loss of some windows, each in units of its spread."""
    quantiles, unit = model(*map(torch.from_numpy, windows.inputs(*batch)))
    y, observed = map(torch.from_numpy, windows.targets(*batch))
    return pinball_loss(quantiles, model.normalise(y, unit), observed)


def pinball_loss(quantiles: torch.Tensor, y: torch.Tensor, observed: torch.Tensor) -> torch.Tensor:
    """Return the mean loss of quantiles (..., windows, horizon, levels) where `observed`.

    y and observed are (windows, horizon).
    """
    levels = quantiles.new_tensor(list(LEVELS.values()))
    weights = quantiles.new_tensor(LEVEL_WEIGHTS)
    error = torch.where(observed, y, 0.0)[:, :, None] - quantiles
    loss = torch.maximum(levels * error, (levels - 1) * error) @ (weights / weights.sum())
    loss = loss.reshape(-1, *observed.shape).mean(dim=0)  # over members
    return (loss * observed).sum() / observed.sum().clamp(min=1)


@torch.no_grad()
def validate(model: Forecaster, windows: Windows, valid: Origins) -> dict[str, float]:
    """Return the loss of the model as it is on every window of the validation block."""
    model.eval()
    batches = list(valid.batches())
    losses = [loss_of(model, windows, batch).item() for batch in batches]
    return {"loss": round(float(np.average(losses, weights=[len(b.at) for b in batches])), 5)}
