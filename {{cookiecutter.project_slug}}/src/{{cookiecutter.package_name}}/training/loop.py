"""The training loop, whatever the batches, their loss and the judgement of an epoch are."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import mlflow
import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from .checkpoint import Checkpoint

LOG_STEPS = 20  # from one loss that is logged to the next


class Team:
    """The processes that train one model together: here, this one alone."""

    rank = 0  # of this process; the one of rank 0 writes and logs

    def backward(self, loss: torch.Tensor) -> None:
        """Compute the gradients of the mean of all processes' losses."""
        loss.backward()

    def agree(self, scores: dict[str, float]) -> dict[str, float]:
        """Return the scores that rank 0 found."""
        return scores


ALONE = Team()


def fit(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    checkpoint: Checkpoint,
    settings: Any,
    seed: int,
    steps_an_epoch: int,
    batches: Callable[[np.random.Generator], Sequence[Any]],
    loss_of: Callable[[Any], torch.Tensor],
    validate: Callable[[], dict[str, float]],
    team: Team = ALONE,
) -> None:
    """Train `model` in place from where `checkpoint` stands, and leave it at its best epoch.

    `batches` makes the batches of an epoch, `loss_of` the loss of one (a scalar), and `validate`
    scores, the lowest "loss" being the best. Each group of the optimizer has a "peak", its highest
    learning rate. Of `settings` it takes epochs, warmup_fraction, patience and checkpoint_steps.

    Order and dropout of a step depend on the seed and the step's number, and on nothing before
    it: so a run that was interrupted ends with the same weights as one that was not.
    """
    main = team.rank == 0
    steps = settings.epochs * steps_an_epoch
    start = time.perf_counter() - checkpoint.seconds
    progress = tqdm(
        total=steps, initial=checkpoint.step, desc="training", unit="step", disable=not main
    )
    while checkpoint.step < steps:
        epoch, done = divmod(checkpoint.step, steps_an_epoch)
        if checkpoint.best and epoch - checkpoint.best["epoch"] >= settings.patience:
            progress.write(f"no better for {settings.patience} epochs: stopping early")
            break
        model.train()
        for batch in batches(np.random.default_rng([seed, epoch]))[done:]:
            noise = np.random.default_rng([seed, checkpoint.step, team.rank])
            torch.manual_seed(int(noise.integers(2**32)))
            factor = warm_up_and_decay(checkpoint.step, steps, settings.warmup_fraction)
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * factor
            loss = loss_of(batch)
            optimizer.zero_grad()
            team.backward(loss)
            nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
            optimizer.step()

            checkpoint.step += 1
            checkpoint.seconds = time.perf_counter() - start
            progress.update()
            # Not at the end of an epoch, which is not over before it is validated.
            is_within = checkpoint.step % steps_an_epoch > 0
            if main and is_within and checkpoint.step % settings.checkpoint_steps == 0:
                checkpoint.save(model, optimizer)
            # Of several processes, the first one's estimate from its share of the batch.
            if main and checkpoint.step % LOG_STEPS == 0:
                progress.set_postfix(epoch=epoch + 1, loss=f"{loss.item():.4f}")
                mlflow.log_metric("loss", loss.item(), step=checkpoint.step)
                mlflow.log_metric(
                    "learning_rate", optimizer.param_groups[0]["lr"], step=checkpoint.step
                )

        scores = team.agree(validate() if main else {})
        if not checkpoint.best or scores["loss"] < checkpoint.best["loss"]:
            checkpoint.keep_best(model, {"epoch": epoch + 1, **scores})
        if main:
            checkpoint.save(model, optimizer)
            progress.write(f"epoch {epoch + 1}: validation {scores}")
            named = {f"valid_{name}": value for name, value in scores.items()}
            mlflow.log_metrics(named, step=checkpoint.step)
    progress.close()
    checkpoint.restore_best(model)


def warm_up_and_decay(step: int, steps: int, warmup_fraction: float) -> float:
    """Return the factor on the learning rate: up to 1 over the warm-up, then down to 0."""
    warmup = max(1, round(steps * warmup_fraction))
    return min((step + 1) / warmup, (steps - step) / max(1, steps - warmup))
