"""Training and the network, on series so short that each run takes a second."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from portfolio_kit.checkpoint import Checkpoint
from portfolio_kit.timegrid.series import Series

from {{cookiecutter.package_name}}.data.rolling import origins
from {{cookiecutter.package_name}}.features import Shape, Windows
from {{cookiecutter.package_name}}.training import least_squares, train
from {{cookiecutter.package_name}}.training.model import Forecaster

SHAPE = Shape(
    horizon=10,
    season_lengths=[8, 24],
    seasons=2,
    freq="h",
    timezone=None,
    holidays=None,
    yearly=True,
    past_delay=2,
    past_columns=["rain"],
    future_columns=["price"],
)
LENGTH = 400


@pytest.fixture(scope="module")
def windows():
    """Two series with seasons, noise, and a price that matters."""
    random = np.random.default_rng(1)
    steps = np.arange(LENGTH)
    series = []
    for name, level in (("a", 10), ("b", 1000)):
        price = random.normal(size=LENGTH).astype(np.float32)
        y = 5 + np.sin(2 * np.pi * steps / 8) + np.sin(2 * np.pi * steps / 24) - 0.5 * price
        series.append(
            Series(
                name=name,
                start=np.datetime64("2024-01-01", "s"),
                y=level * (y + 0.1 * random.normal(size=LENGTH)),
                past=random.normal(size=(LENGTH, 1)).astype(np.float32),
                future=price[:, None],
                observed=random.random(LENGTH) < 0.98,
            )
        )
    return Windows(series, SHAPE)


@pytest.fixture(scope="module")
def lesson(windows):
    """Windows to learn from and windows to validate on, which do not cross."""
    middle = np.datetime64("2024-01-01", "s") + 300 * np.timedelta64(3600, "s")
    return origins(windows, None, middle), origins(windows, middle, None)


@pytest.fixture
def forecaster(windows, lesson, configure):
    """Make an untrained network, always the same."""

    def forecaster(positive=False, dropout=0.1, **size):
        torch.manual_seed(1)
        size = {
            f"model.{name}": value for name, value in {"hidden": 8, "members": 2, **size}.items()
        }
        model = configure(size).model
        return Forecaster(SHAPE, windows.inputs(*lesson[0]), model, dropout, positive)

    return forecaster


@pytest.fixture
def fit(configure, forecaster, windows, lesson, monkeypatch):
    """Train with these settings; return the model, its best scores and the validation losses.

    A run with the name of an earlier one continues from its checkpoint.
    """
    torch.set_num_threads(1)
    names = itertools.count()

    def fit(seed=13, name=None, **settings):
        losses = []

        def log_metrics(metrics, step):
            if "valid_loss" in metrics:
                losses.append(metrics["valid_loss"])

        recorder = SimpleNamespace(log_metrics=log_metrics)
        monkeypatch.setattr("portfolio_kit.steps.mlflow", recorder)
        model = forecaster()
        small = {"epochs": 2, "batch_size": 64, "learning_rate": 3e-3, "patience": 9}
        changes = {f"train.{key}": value for key, value in {**small, **settings}.items()}
        params = configure({"seed": seed, **changes})
        checkpoint = Checkpoint(train.PACKAGE, name or next(names))
        train.fit(model, windows, *lesson, params, checkpoint)
        return SimpleNamespace(model=model, best=checkpoint.best, losses=losses)

    return fit


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(fit):
    one, again, other = (weights(fit(seed).model) for seed in (13, 13, 14))
    assert same(one, again)
    assert not same(one, other)


def test_training_lowers_the_loss(fit):
    losses = fit(epochs=8).losses
    assert len(losses) == 9  # the first one is the regression's
    assert losses[-1] < losses[1]


def test_the_regression_is_kept_where_training_makes_it_worse(fit, forecaster, windows, lesson):
    result = fit(epochs=2, learning_rate=1.0)
    start = forecaster()
    least_squares.fit_regression(start, windows, *lesson)
    assert result.best["epoch"] == 0
    assert result.best["loss"] == result.losses[0] < min(result.losses[1:])
    assert same(weights(result.model), weights(start))


def test_covariates_that_are_known_in_advance_are_learned_from(fit, windows, lesson):
    """The middle forecast falls where the price rises."""
    model = fit(epochs=20).model.eval()
    inputs = windows.inputs(*lesson[1])
    dearer = inputs.steps.copy()
    dearer[:, :, -1] += 1
    with torch.no_grad():
        before, _ = model(*map(torch.from_numpy, inputs))
        after, _ = model(*map(torch.from_numpy, inputs._replace(steps=dearer)))
    assert (after < before)[:, :, 2].float().mean() > 0.9


@pytest.mark.parametrize("interruptions", [[1], [7, 8], [9, 10, 14]], ids=str)
def test_an_interrupted_run_ends_with_the_weights_of_one_that_was_not(
    interruptions, fit, monkeypatch
):
    settings = {"epochs": 3, "checkpoint_steps": 3}
    whole = fit(name="whole", **settings)
    step = itertools.count(1)

    def clip_or_die(*arguments, **settings):
        if next(step) in interruptions:
            raise InterruptedError
        return clip(*arguments, **settings)

    clip = nn.utils.clip_grad_norm_
    monkeypatch.setattr(nn.utils, "clip_grad_norm_", clip_or_die)
    for _ in interruptions:
        with pytest.raises(InterruptedError):
            fit(name="parts", **settings)
    parts = fit(name="parts", **settings)
    assert same(weights(parts.model), weights(whole.model))
    assert parts.best == whole.best


@pytest.mark.parametrize("positive", [False, True], ids=["level", "log level"])
def test_quantiles_never_cross_whatever_the_weights(positive, forecaster, windows, lesson):
    model = forecaster(positive).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight))
        quantiles, _ = model(*map(torch.from_numpy, windows.inputs(*lesson[1])))
    assert (quantiles.diff(dim=2) >= 0).all()


def test_untrained_it_forecasts_the_average_of_the_last_seasons(forecaster, windows, lesson):
    model = forecaster().eval()
    inputs = windows.inputs(*lesson[0])
    with torch.no_grad():
        quantiles, unit = model(*map(torch.from_numpy, inputs))
        middle = model.denormalise(quantiles, unit)[:, :, 2].numpy()
    history, season = inputs.history, 24
    average = (history[:, -season:][:, :10] + history[:, -2 * season :][:, :10]) / 2
    np.testing.assert_allclose(middle, average, rtol=1e-4)


def test_the_regressions_expect_better_than_what_is_usual(forecaster, windows, lesson):
    model, [batch] = forecaster(), [*lesson[1].batches()]
    inputs, (y, observed) = windows.inputs(*batch), windows.targets(*batch)
    errors = []
    for _ in range(2):
        history = torch.from_numpy(inputs.history)
        unit = model.unit(history)
        expected = model.look(model.normalise(history, unit)).expected
        off = model.denormalise(expected, unit)[:, :, 0].numpy() - y
        errors.append(np.abs(off / unit[:, 1:].numpy())[observed].mean())
        least_squares.fit_regression(model, windows, *lesson)
    assert errors[1] < 0.95 * errors[0]


@pytest.mark.parametrize("positive", [False, True], ids=["level", "log level"])
def test_normalised_values_are_restored(positive, forecaster):
    model = forecaster(positive)
    y = torch.rand(3, 72, dtype=torch.float64) * 100 + 1
    unit = model.unit(y)
    normalised = model.normalise(y, unit)
    assert normalised.mean(dim=1).tolist() == pytest.approx([0, 0, 0], abs=1e-6)
    assert normalised.std(dim=1, correction=0).tolist() == pytest.approx([1, 1, 1])
    back = model.denormalise(normalised[:, :, None], unit)[:, :, 0]
    torch.testing.assert_close(back, y, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("constant", [0.0, -3.0, 1e9])
def test_after_a_constant_history_values_stay_finite(constant, forecaster):
    model = forecaster()
    unit = model.unit(torch.full((1, 72), constant, dtype=torch.float64))
    far = model.normalise(torch.tensor([[constant, constant + 1e12]], dtype=torch.float64), unit)
    assert far[0, 0] == 0
    assert far.isfinite().all()


def test_values_that_were_filled_in_are_not_learned_from():
    quantiles = torch.zeros(2, 3, 5)
    y = torch.tensor([[1.0, 2.0, float("nan")], [3.0, 4.0, 5.0]])
    observed = torch.tensor([[True, False, False], [False, False, True]])
    levels = [0.025, 0.1, 0.5, 0.5, 0.5, 0.9, 0.975]  # the median counts three times
    expected = np.mean(levels) * (1 + 5) / 2
    assert train.pinball_loss(quantiles, y, observed).item() == pytest.approx(expected)
