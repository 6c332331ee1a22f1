"""The training loop, on a model of five weights."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from {{cookiecutter.package_name}}.training import loop
from {{cookiecutter.package_name}}.training.checkpoint import CHECKPOINT, Checkpoint

ROWS, BATCHES = 48, 8  # of an epoch
PEAK = 0.01
SETTINGS = {"epochs": 4, "warmup_fraction": 0.1, "patience": 2, "checkpoint_steps": 3}


@pytest.fixture
def fit(monkeypatch):
    """Train with these settings; return the model, its best scores, what was logged and
    the weights at each validation.

    A run with the name of an earlier one goes on from its checkpoint. `losses` are what validation
    finds after each epoch, instead of the truth; `dies` is asked before every loss.
    """
    chance = torch.Generator().manual_seed(1)
    x = torch.rand(ROWS, 4, generator=chance)
    y = x @ torch.tensor([1.0, -2.0, 3.0, 0.0])
    names = itertools.count()

    def fit(seed=13, name=None, losses=None, dies=lambda: False, team=loop.ALONE, **settings):
        torch.manual_seed(1)
        model = nn.Sequential(nn.Dropout(0.1), nn.Linear(4, 1))
        optimizer = torch.optim.AdamW([{"params": model.parameters(), "peak": PEAK}])
        checkpoint = Checkpoint(name or next(names))
        logged, seen = [], []

        def log_metrics(metrics, step):
            logged.extend((step, name, value) for name, value in metrics.items())

        def log_metric(name, value, step):
            logged.append((step, name, value))

        def loss_of(rows):
            if dies():
                raise InterruptedError
            return nn.functional.mse_loss(model(x[rows])[:, 0], y[rows])

        def validate():
            model.eval()
            loss = loss_of(np.arange(ROWS)).item()
            seen.append(weights(model))
            if losses:
                loss = losses[checkpoint.step // BATCHES - 1]
            return {"loss": loss, "rows": ROWS}

        recorder = SimpleNamespace(log_metrics=log_metrics, log_metric=log_metric)
        monkeypatch.setattr(loop, "mlflow", recorder)
        checkpoint.restore(model, optimizer)
        loop.fit(
            model,
            optimizer,
            checkpoint,
            SimpleNamespace(**{**SETTINGS, **settings}),
            seed,
            BATCHES,
            batches=lambda random: np.array_split(random.permutation(ROWS), BATCHES),
            loss_of=loss_of,
            validate=validate,
            team=team,
        )
        return SimpleNamespace(model=model, best=checkpoint.best, logged=logged, seen=seen)

    return fit


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(fit):
    one, again, other = (weights(fit(seed).model) for seed in (13, 13, 14))
    assert same(one, again)
    assert not same(one, other)


def test_what_is_logged_has_its_step(fit):
    logged = fit(epochs=6).logged
    valid = [(step, value) for step, name, value in logged if name == "valid_loss"]
    assert [step for step, _ in valid] == [BATCHES * epoch for epoch in (1, 2, 3, 4, 5, 6)]
    assert valid[0][1] > valid[-1][1]
    rates = [(step, value) for step, name, value in logged if name == "learning_rate"]
    assert [step for step, _ in rates] == [20, 40]
    assert PEAK > rates[0][1] > rates[1][1] > 0
    assert {name for _, name, _ in logged} == {"loss", "learning_rate", "valid_loss", "valid_rows"}


@pytest.mark.parametrize(
    ("losses", "patience", "epochs_run", "best"),
    [
        ([0.9, 0.8, 0.7, 0.6], 1, 4, 4),
        ([0.9, 0.5, 0.6, 0.4], 1, 3, 2),
        ([0.9, 0.5, 0.6, 0.4], 2, 4, 4),
        ([0.5, 0.9, 0.9, 0.1], 2, 3, 1),
        ([0.5, 0.5, 0.5, 0.5], 3, 4, 1),
    ],
)
def test_training_stops_early_and_the_best_epoch_is_kept(losses, patience, epochs_run, best, fit):
    result = fit(losses=losses, patience=patience)
    assert len(result.seen) == epochs_run
    assert (result.best["epoch"], result.best["loss"]) == (best, losses[best - 1])
    assert same(weights(result.model), result.seen[best - 1])
    assert not same(result.seen[0], result.seen[1])


@pytest.mark.parametrize("losses", [None, [0.5, 0.6, 0.7, 0.8]], ids=["all", "stops early"])
@pytest.mark.parametrize("checkpoint_steps", [1, 3])
@pytest.mark.parametrize("deaths", [[1], [7, 8], [9, 10, 11], [18, 19]], ids=str)
def test_an_interrupted_run_ends_with_the_weights_of_one_that_was_not(
    deaths, checkpoint_steps, losses, fit
):
    """An epoch computes nine losses, its eight steps' and then that of the validation."""
    settings = {"checkpoint_steps": checkpoint_steps, "losses": losses}
    whole = fit(name="whole", **settings)
    calls = itertools.count(1)
    for _ in deaths:
        with pytest.raises(InterruptedError):
            fit(name="parts", dies=lambda: next(calls) in deaths, **settings)
    parts = fit(name="parts", **settings)
    assert same(weights(parts.model), weights(whole.model))
    assert parts.best == whole.best


def test_a_checkpoint_of_something_else_or_a_damaged_one_is_not_gone_on_from(fit):
    fit(name="one")
    assert Checkpoint("one").step > 0
    assert Checkpoint("other").step == 0
    content = CHECKPOINT.read_bytes()
    for damaged in (b"", content[:1000], content[: len(content) // 2]):
        CHECKPOINT.write_bytes(damaged)
        assert Checkpoint("one").step == 0


def test_of_several_processes_only_the_first_writes_and_all_agree(fit):
    class Second(loop.Team):
        rank = 1

        def agree(self, scores):
            assert scores == {}, "only the first validates"
            return {"loss": 0.5}

    second = fit(team=Second())
    assert not CHECKPOINT.exists()
    assert second.logged == second.seen == []
    assert second.best == {"epoch": 1, "loss": 0.5}
    assert not same(weights(second.model), weights(fit(losses=[0.5] * 4).model)), "other dropout"


@pytest.mark.parametrize(("steps", "fraction"), [(100, 0.1), (37, 0.25), (10, 0.0), (1, 0.5)])
def test_the_rate_rises_over_the_warm_up_and_falls_to_zero(steps, fraction):
    warmup = max(1, round(steps * fraction))
    rates = [loop.warm_up_and_decay(step, steps, fraction) for step in range(steps + 1)]
    falling = np.linspace(1, 0, steps - warmup + 1)
    assert rates[:warmup] == pytest.approx(np.arange(1, warmup + 1) / warmup)
    assert rates[warmup:] == pytest.approx(falling if steps > warmup else [0])
    assert max(rates) == 1
