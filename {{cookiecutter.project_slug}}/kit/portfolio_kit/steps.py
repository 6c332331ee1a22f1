"""What a training loop needs around its steps: seeds, learning rates, progress, checkpoints."""

import time
from types import TracebackType
from typing import Self

import mlflow
import numpy as np
import torch
from tqdm import tqdm

from .checkpoint import Checkpoint

LOG_STEPS = 20  # between two logged losses


def seed_step(seed: int, step: int, rank: int = 0) -> None:
    """Seed dropout from the run's seed, the step and the process, and from nothing before it.

    So a run that was interrupted ends with the same weights as one that was not.
    """
    noise = np.random.default_rng([seed, step, rank])
    torch.manual_seed(int(noise.integers(2**32)))


def warm_up_and_decay(step: int, steps: int, warmup_fraction: float) -> float:
    """Return the factor on the learning rate: up to 1 over the warm-up, then down to 0."""
    warmup = max(1, round(steps * warmup_fraction))
    return min((step + 1) / warmup, (steps - step) / max(1, steps - warmup))


class Progress:
    """Counts, logs and saves the steps of a loop; only the main process writes."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        steps: int,
        save_every: int,
        is_main: bool = True,
    ) -> None:
        self._checkpoint, self._model, self._optimizer = checkpoint, model, optimizer
        self._save_every, self._is_main = save_every, is_main
        self._prefix = "" if checkpoint.name == "training" else f"{checkpoint.name}_"
        self._start = time.perf_counter() - checkpoint.seconds
        self._bar = tqdm(
            total=steps,
            initial=checkpoint.step,
            desc=checkpoint.name,
            unit="step",
            disable=not is_main,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def step(self, loss: torch.Tensor, is_last: bool) -> None:
        """Count a step; the last one of an epoch is saved only after validation."""
        checkpoint = self._checkpoint
        checkpoint.step += 1
        checkpoint.seconds = time.perf_counter() - self._start
        self._bar.update()
        if self._is_main and not is_last and checkpoint.step % self._save_every == 0:
            checkpoint.save(self._model, self._optimizer)
        # With several processes this is the main one's estimate, from its share of the batch.
        if self._is_main and checkpoint.step % LOG_STEPS == 0:
            rate = self._optimizer.param_groups[0]["lr"]
            self._bar.set_postfix(loss=f"{loss.item():.4f}")
            values = {"loss": loss.item(), "learning_rate": rate}
            named = {f"{self._prefix}{key}": value for key, value in values.items()}
            mlflow.log_metrics(named, step=checkpoint.step)

    def epoch(self, number: int, scores: dict[str, float]) -> None:
        """Keep the best epoch, save, and log the validation scores."""
        self._checkpoint.keep_best(self._model, number, scores)
        if self._is_main:
            self._checkpoint.save(self._model, self._optimizer)
            self._bar.write(f"epoch {number}: validation {scores}")
            if self._bar.n == self._bar.total and self._checkpoint.best["epoch"] == number > 1:
                self._bar.write("the validation loss was still falling: try more train.epochs")
            named = {f"valid_{name}": value for name, value in scores.items()}
            mlflow.log_metrics(named, step=self._checkpoint.step)
