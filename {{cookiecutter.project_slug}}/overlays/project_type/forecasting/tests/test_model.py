"""How the exported forecaster behaves: what should change its forecasts, and what should not."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from portfolio_kit import artifacts
from portfolio_kit.errors import UserError
from portfolio_kit.timegrid.origins import Origins
from portfolio_kit.timegrid.series import Question

from {{cookiecutter.package_name}}.data.prepare import HISTORY, Dataset, read_series
from {{cookiecutter.package_name}}.data.rolling import origins
from {{cookiecutter.package_name}}.features import Windows
from {{cookiecutter.package_name}}.training import export


@pytest.fixture
def series(predictor):
    """The stored series, the end of the data."""
    return next(iter(predictor.stored.values()))


@pytest.fixture
def ahead(predictor):
    """Forecast a series as the API does: quantiles (h, levels)."""

    def ahead(series, h=None):
        horizon = predictor.shape.horizon
        return predictor.answer([Question(series, h or horizon, horizon)])[0]

    return ahead


@pytest.mark.parametrize("factor", [1e-6, 0.01, 3.0, 1e9])
def test_a_factor_multiplies_forecast_and_intervals(factor, series, ahead):
    found = ahead(replace(series, y=factor * series.y))
    np.testing.assert_allclose(found, factor * ahead(series), rtol=1e-4)


@pytest.mark.parametrize("constant", [50.0, -60.0, -1e3, 1e7])
def test_a_constant_moves_forecast_and_intervals_by_just_that(constant, series, ahead):
    """Hires end at zero; what is below zero anyway does not."""
    moved, expected = ahead(replace(series, y=series.y + constant)), ahead(series) + constant
    if (series.y + constant).min() >= 0:
        expected = np.maximum(expected, 0)
    assert (ahead(series) > 0).all()
    np.testing.assert_allclose(moved, expected, atol=1e-3 * series.y.std())


def test_a_series_around_zero_is_answered_with_intervals_as_wide(series, ahead):
    """Its mean says nothing about its errors."""
    width = ahead(series)[:, 3] - ahead(series)[:, 1]
    centred = ahead(replace(series, y=series.y - series.y.mean()))
    np.testing.assert_allclose(centred[:, 3] - centred[:, 1], width, rtol=1e-3)


def test_the_usual_season_repeated_is_forecast_as_itself(
    series, ahead, predictor, trained, monkeypatch
):
    monkeypatch.chdir(trained.folder)
    [known] = read_series(predictor.shape, "train")
    season = predictor.shape.longest
    usual = known.y[: len(known.y) // season * season].reshape(-1, season).mean(axis=0)
    forecast = ahead(replace(series, y=np.tile(usual, len(series.y) // season)))[:, 2]
    expected = usual[: len(forecast)]
    assert np.abs(forecast - expected).sum() < 0.1 * expected.sum()


def test_a_jump_in_the_last_hours_lifts_the_next_ones_most(series, ahead):
    jumped = series.y.copy()
    jumped[-6:] *= 1.5
    lift = ahead(replace(series, y=jumped))[:, 2] - ahead(series)[:, 2]
    assert lift[0] > 0
    assert lift[0] > lift[-1]


def test_quantiles_never_cross_nor_fall_below_zero(series, ahead):
    random = np.random.default_rng(1)
    for _ in range(20):
        odd = series.y * random.gamma(0.3, size=len(series.y))
        quantiles = ahead(replace(series, y=odd))
        assert np.isfinite(quantiles).all()
        assert (np.diff(quantiles, axis=1) >= 0).all()
        assert (quantiles >= 0).all()


@pytest.mark.parametrize("constant", [0.0, 1.0, 1e6])
def test_a_constant_series_is_answered(constant, series, ahead):
    quantiles = ahead(replace(series, y=np.full_like(series.y, constant)))
    assert np.isfinite(quantiles).all()
    assert quantiles[:, 2] == pytest.approx(constant, rel=0.5, abs=1e-6)


def test_shuffled_future_covariates_hurt(trained, predictor, monkeypatch):
    """Covariates that are known in advance matter: in another order, forecasts get worse."""
    monkeypatch.chdir(trained.folder)
    [whole] = read_series(predictor.shape, "train", "valid", "test")
    order = np.random.default_rng(1).permutation(len(whole.future))
    errors = []
    for series in (whole, replace(whole, future=whole.future[order])):
        windows = Windows([series], predictor.shape)
        at = np.arange(len(whole.y) - 200, len(whole.y) - predictor.shape.horizon)
        some = Origins(np.zeros_like(at), at)
        middle = predictor.quantiles(windows, some)[:, :, 2]
        errors.append(np.abs(middle - windows.targets(*some)[0]).mean())
    assert errors[1] > 1.05 * errors[0]


def test_a_batch_is_answered_as_each_series_alone(series, predictor):
    horizon = predictor.shape.horizon
    questions = [
        Question(replace(series, y=series.y * factor), h, horizon)
        for factor, h in ((1.0, horizon), (2.0, 3), (5.0, 2 * horizon + 1))
    ]
    together = predictor.answer(questions)
    for question, answer in zip(questions, together, strict=True):
        assert len(answer) == question.h
        np.testing.assert_allclose(answer, predictor.answer([question])[0], rtol=1e-4)


def test_beyond_the_horizon_it_continues_from_its_own_forecast(series, ahead, predictor):
    horizon = predictor.shape.horizon
    far, near = ahead(series, 2 * horizon), ahead(series)
    np.testing.assert_allclose(far[:horizon], near, rtol=1e-5)
    grown = series.longer(near[:, 2])
    np.testing.assert_allclose(far[horizon:], ahead(grown), rtol=1e-4)


def test_the_exported_model_computes_what_torch_computes(trained, predictor, monkeypatch):
    monkeypatch.chdir(trained.folder)
    windows = Windows(read_series(predictor.shape, "train", "valid"), predictor.shape)
    at = np.arange(predictor.shape.history, predictor.shape.history + 100)
    some = Origins(np.zeros_like(at), at)
    served = export.Served(trained.model, predictor.manifest.nonnegative).eval()
    inputs = (*windows.inputs(*some), predictor.widths(windows)[some.which])
    with torch.no_grad():
        expected = served(*map(torch.from_numpy, inputs)).numpy()
    np.testing.assert_allclose(predictor.quantiles(windows, some), expected, rtol=1e-4, atol=1e-3)


def test_each_series_has_its_own_width_and_others_that_of_all(series, predictor, monkeypatch):
    """A width of 2 doubles the intervals around the same forecast."""
    manifest = predictor.manifest
    changed = {"widths": [1.0, 1.0], "widths_by_series": {series.name: [2.0, 2.0]}}
    monkeypatch.setattr(predictor, "manifest", manifest.model_copy(update=changed))
    horizon = predictor.shape.horizon
    high = replace(series, y=series.y + 1000.0)  # far from zero, where hires end
    known, other = predictor.answer(
        [Question(one, horizon, horizon) for one in (high, replace(high, name="another"))]
    )
    np.testing.assert_allclose(known[:, 2], other[:, 2], rtol=1e-5)
    for place in (0, 1, 3, 4):
        wide, usual = (each[:, place] - each[:, 2] for each in (known, other))
        np.testing.assert_allclose(wide, 2 * usual, rtol=1e-3)


def test_the_widths_cover_the_validation_block_as_promised(trained, predictor, monkeypatch):
    monkeypatch.chdir(trained.folder)
    data = artifacts.read_manifest(artifacts.PROCESSED, Dataset, made_by="data")
    windows = Windows(read_series(data.shape, "train", "valid"), data.shape)
    valid = origins(windows, *data.boundaries)
    y, (lowest, low, _, high, highest) = (
        windows.targets(*valid)[0],
        np.moveaxis(predictor.quantiles(windows, valid), -1, 0),
    )
    assert ((y >= low) & (y <= high)).mean() == pytest.approx(0.80, abs=0.002)
    assert ((y >= lowest) & (y <= highest)).mean() == pytest.approx(0.95, abs=0.01)


def test_an_export_that_computes_something_else_is_rejected(trained, monkeypatch):
    shutil.copytree(trained.folder, "copy")
    monkeypatch.chdir("copy")
    before = {path: path.read_bytes() for path in artifacts.MODELS.iterdir()}
    # The same weights give the same graph, so it is not traced again.
    written = trained.folder / "models" / "model.onnx"
    monkeypatch.setattr(
        export.onnx_export, "write", lambda *_, path, **options: shutil.copyfile(written, path)
    )
    right = export.Predictor.quantiles
    monkeypatch.setattr(export.Predictor, "quantiles", lambda *given: right(*given) + 1)
    with pytest.raises(UserError, match="ONNX differs from torch"):
        export.export(*trained.exported)
    assert {path: path.read_bytes() for path in artifacts.MODELS.iterdir()} == before


def test_many_questions_are_answered_as_few(series, predictor, monkeypatch):
    monkeypatch.setattr("{{cookiecutter.package_name}}.predictor.BATCH_SIZE", 4)
    horizon = predictor.shape.horizon
    questions = [Question(replace(series, y=series.y * n), horizon, horizon) for n in range(1, 11)]
    found = predictor.answer_many(questions)
    np.testing.assert_allclose(found, predictor.answer(questions), rtol=1e-4)


def test_the_manifest_records_where_the_model_comes_from(trained, predictor):
    model = predictor.manifest
    data = artifacts.read_manifest(trained.folder / "data/processed", Dataset, made_by="data")
    assert model.shape == data.shape
    assert model.splits == data.files
    assert model.files["model.onnx"].startswith(model.version)
    assert model.files[HISTORY] == data.files[HISTORY]
    assert model.windows["train"] > model.windows["valid"] > 0
    assert model.max_difference < export.MAX_DIFFERENCE
    assert model.train_seconds > 0


def test_training_leaves_nothing_half_done(trained):
    assert not (trained.folder / ".cache/checkpoint.safetensors").exists()
    assert not (trained.folder / ".cache/export").exists()
    names = {path.name for path in (trained.folder / "models").iterdir()}
    assert names == {"manifest.json", "model.onnx", HISTORY, "reference.csv"}


def test_data_of_other_parameters_is_not_trained_on(trained, rejection, monkeypatch):
    monkeypatch.chdir(trained.folder)
    [line] = rejection("train", "--set", "horizon=5")
    assert "run `make data` again" in line


def test_the_predict_verb_prints_a_forecast_of_a_stored_series(trained, run, monkeypatch, series):
    monkeypatch.chdir(trained.folder)
    [rows] = json.loads(run("predict", series.name).out)
    assert [set(row) for row in rows] == [{"ds", "y_hat", "lo_80", "hi_80", "lo_95", "hi_95"}] * 12


def test_the_predict_verb_rejects_a_series_that_is_not_stored(
    trained, rejection, monkeypatch, series
):
    monkeypatch.chdir(trained.folder)
    [line] = rejection("predict", "nowhere")
    assert "'nowhere'" in line
    assert series.name in line
