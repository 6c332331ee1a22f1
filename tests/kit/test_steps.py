"""A training loop as a project writes it, on a model of five weights."""

import itertools
from pathlib import Path
from types import SimpleNamespace

import mlflow
import numpy as np
import pytest
import torch
from torch import nn

from portfolio_kit import checkpoint as checkpoints
from portfolio_kit.checkpoint import CHECKPOINT, Checkpoint
from portfolio_kit.steps import LOG_STEPS, Progress, seed_step, warm_up_and_decay

ROWS, BATCHES = 48, 8  # of an epoch
PEAK = 0.01
SETTINGS = {"epochs": 4, "warmup_fraction": 0.1, "patience": 2, "checkpoint_steps": 3}
CODE = Path("code")  # the author's


@pytest.fixture
def fit(monkeypatch):
    """Train with these settings; return the model, the checkpoint, what was logged, and the
    weights at each validation.

    A run with the name of an earlier one resumes from its checkpoint. `losses` replaces what
    validation finds; `dies` is asked before each loss.
    """
    chance = torch.Generator().manual_seed(1)
    x = torch.rand(ROWS, 4, generator=chance)
    y = x @ torch.tensor([1.0, -2.0, 3.0, 0.0])
    names = itertools.count()
    logged = []

    def log_metrics(metrics, step):
        logged.extend((step, name, value) for name, value in metrics.items())

    monkeypatch.setattr(mlflow, "log_metrics", log_metrics)

    def fit(seed=13, name=None, losses=None, dies=lambda: False, rank=0, **changes):
        settings = SimpleNamespace(**{**SETTINGS, **changes})
        torch.manual_seed(1)
        model = nn.Sequential(nn.Dropout(0.1), nn.Linear(4, 1))
        checkpoint = Checkpoint(CODE, name or next(names))
        logged.clear()
        seen = []

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

        # From here on, the loop of a project's train.py.
        optimizer = torch.optim.AdamW([{"params": model.parameters(), "peak": PEAK}])
        checkpoint.restore(model, optimizer)
        steps, every = settings.epochs * BATCHES, settings.checkpoint_steps
        with Progress(checkpoint, model, optimizer, steps, every, rank == 0) as progress:
            while checkpoint.step < steps:
                epoch, done = divmod(checkpoint.step, BATCHES)
                if checkpoint.is_stale(epoch, settings.patience, settings.epochs):
                    break
                model.train()
                random = np.random.default_rng([seed, epoch])
                for rows in np.array_split(random.permutation(ROWS), BATCHES)[done:]:
                    seed_step(seed, checkpoint.step, rank)
                    factor = warm_up_and_decay(checkpoint.step, steps, settings.warmup_fraction)
                    for group in optimizer.param_groups:
                        group["lr"] = group["peak"] * factor
                    loss = loss_of(rows)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    progress.step(loss, is_last=(checkpoint.step + 1) % BATCHES == 0)
                progress.epoch(epoch + 1, validate() if rank == 0 else {"loss": 0.5})
        checkpoint.restore_best(model)
        return SimpleNamespace(model=model, checkpoint=checkpoint, logged=[*logged], seen=seen)

    return fit


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(fit):
    one, again, other = (weights(fit(seed).model) for seed in (13, 13, 14))
    assert same(one, again)
    assert not same(one, other)


def test_dropout_depends_on_seed_step_and_process_alone():
    drawn = {}
    for key in [(13, 5, 0), (13, 5, 1), (13, 6, 0), (14, 5, 0), (13, 5, 0)]:
        seed_step(*key)
        number = torch.rand(1).item()
        assert drawn.setdefault(key, number) == number
    assert len(set(drawn.values())) == 4


def test_metrics_are_logged_with_their_step(fit):
    logged = fit(epochs=6).logged
    valid = [(step, value) for step, name, value in logged if name == "valid_loss"]
    assert [step for step, _ in valid] == [BATCHES * epoch for epoch in range(1, 7)]
    assert valid[0][1] > valid[-1][1]
    rates = [(step, value) for step, name, value in logged if name == "learning_rate"]
    assert [step for step, _ in rates] == [LOG_STEPS, 2 * LOG_STEPS]
    assert PEAK > rates[0][1] > rates[1][1] > 0
    assert {name for _, name, _ in logged} == {"loss", "learning_rate", "valid_loss", "valid_rows"}


@pytest.mark.parametrize(
    ("losses", "patience", "epochs_run", "best"),
    [
        ([0.9, 0.8, 0.7, 0.6], 1, 4, 4),
        ([0.9, 0.5, 0.6, 0.4], 1, 3, 2),
        ([0.9, 0.5, 0.6, 0.4], 2, 4, 4),
        ([0.5, 0.9, 0.9, 0.1], 1, 3, 1),
        ([0.5, 0.9, 0.9, 0.1], 2, 4, 4),  # in the first half the rate is still high
        ([0.5, 0.5, 0.5, 0.5], 3, 4, 1),
    ],
)
def test_training_stops_early_and_keeps_the_best_epoch(losses, patience, epochs_run, best, fit):
    result = fit(losses=losses, patience=patience)
    assert len(result.seen) == epochs_run
    assert result.checkpoint.best == {"epoch": best, "loss": losses[best - 1], "rows": ROWS}
    assert same(weights(result.model), result.seen[best - 1])
    assert not same(result.seen[0], result.seen[1])


@pytest.mark.parametrize(
    ("losses", "is_said"),
    [([0.9, 0.8, 0.7, 0.6], True), ([0.9, 0.6, 0.7, 0.7], False), ([0.9], False)],
)
def test_a_loss_that_still_falls_at_the_end_is_said(losses, is_said, fit, capsys):
    fit(losses=losses, epochs=len(losses))
    assert ("still falling: try more train.epochs" in capsys.readouterr().out) is is_said


@pytest.mark.parametrize("losses", [None, [0.5, 0.6, 0.7, 0.8]], ids=["all", "stops early"])
@pytest.mark.parametrize("checkpoint_steps", [1, 3])
@pytest.mark.parametrize("deaths", [[1], [7, 8], [9, 10, 11], [18, 19]], ids=str)
def test_an_interrupted_run_ends_with_the_same_weights(deaths, checkpoint_steps, losses, fit):
    """An epoch computes nine losses: one per step, then that of the validation."""
    settings = {"checkpoint_steps": checkpoint_steps, "losses": losses, "patience": 1}
    whole = fit(name="whole", **settings)
    calls = itertools.count(1)
    for _ in deaths:
        with pytest.raises(InterruptedError):
            fit(name="parts", dies=lambda: next(calls) in deaths, **settings)
    parts = fit(name="parts", **settings)
    assert same(weights(parts.model), weights(whole.model))
    assert parts.checkpoint.best == whole.checkpoint.best


def test_a_resumed_run_keeps_its_time_and_its_run(fit, monkeypatch):
    first = fit(name="one").checkpoint
    first.run_id = "abc"
    model = nn.Linear(1, 1)
    first.save(model, torch.optim.AdamW(model.parameters()))
    again = Checkpoint(CODE, "one")
    assert again.seconds == first.seconds > 0
    assert again.run_id == "abc"
    again.remove()
    assert Checkpoint(CODE, "one").step == 0


def test_a_damaged_checkpoint_is_ignored(fit):
    fit(name="one")
    assert Checkpoint(CODE, "one").step > 0
    content = CHECKPOINT.read_bytes()
    for damaged in (b"", content[:1000], content[: len(content) // 2]):
        CHECKPOINT.write_bytes(damaged)
        assert Checkpoint(CODE, "one").step == 0


def test_a_checkpoint_of_other_settings_or_code_is_ignored(fit, monkeypatch, tmp_path):
    CODE.mkdir()
    (CODE / "train.py").write_text("steps = 1")
    fit(name="one")
    assert Checkpoint(CODE, "one").step > 0
    assert Checkpoint(CODE, "other").step == 0
    (CODE / "train.py").write_text("steps = 2")
    assert Checkpoint(CODE, "one").step == 0

    (CODE / "train.py").write_text("steps = 1")
    assert Checkpoint(CODE, "one").step > 0
    monkeypatch.setattr(checkpoints, "__file__", str(tmp_path / "another kit" / "checkpoint.py"))
    assert Checkpoint(CODE, "one").step == 0


def test_of_several_processes_only_the_main_one_writes(fit, capsys):
    second = fit(rank=1)
    assert not CHECKPOINT.exists()
    assert second.logged == second.seen == []
    assert capsys.readouterr() == ("", "")
    assert second.checkpoint.best == {"epoch": 1, "loss": 0.5}
    main = fit(losses=[0.5] * 4)
    assert not same(weights(second.model), weights(main.model)), "dropout must differ"


@pytest.mark.parametrize(("steps", "fraction"), [(100, 0.1), (37, 0.25), (10, 0.0), (1, 0.5)])
def test_the_rate_rises_over_the_warm_up_and_falls_to_zero(steps, fraction):
    warmup = max(1, round(steps * fraction))
    rates = [warm_up_and_decay(step, steps, fraction) for step in range(steps + 1)]
    falling = np.linspace(1, 0, steps - warmup + 1)
    assert rates[:warmup] == pytest.approx(np.arange(1, warmup + 1) / warmup)
    assert rates[warmup:] == pytest.approx(falling if steps > warmup else [0])
    assert max(rates) == 1
