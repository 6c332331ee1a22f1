"""The evaluate stage: the exported model on the test block, opened here and nowhere else."""

from typing import Any, NamedTuple

import mlflow
import numpy as np
import torch

from .. import artifacts, cores
from ..data.prepare import BLOCKS, read_series
from ..errors import UserError
from ..features import Windows
from ..params import Params
from ..serving.predictor import Predictor
from ..timegrid import parse_freq
from ..training import tracking
from . import baselines, figures, results, scores, significance, slices
from .rolling import origins


class Test(NamedTuple):
    """What is scored: windows of the test block, ordered by series and time."""

    which: np.ndarray  # (windows,) series
    at: np.ndarray  # (windows,) index of the origin in it
    moments: np.ndarray  # (windows, horizon) datetime64[s]
    y: np.ndarray  # (windows, horizon); NaN: filled in, so not scored
    scale: np.ndarray  # (windows,) of the mean absolute scaled error


def run(params: Params) -> None:
    """Score model and baselines on the same windows; write `reports/`: metrics and figures."""
    data = artifacts.read_manifest(artifacts.PROCESSED, made_by="data")
    predictor = Predictor.load(artifacts.MODELS, params.serve)
    if predictor.manifest["splits"] != data["files"]:
        # Another split would put what this model was trained on into the test block.
        raise UserError("models/ comes from another split than data/processed/; run train again")
    torch.set_num_threads(cores.threads(params.train.threads))
    windows = Windows(read_series(predictor.shape, *BLOCKS), predictor.shape)
    starts = [np.datetime64(data["starts"][name], "s") for name in ("valid", "test")]
    test = cut(windows, starts, params.evaluate.step_size)

    print(f"evaluating the exported model and its baselines on {len(test.at):,} windows")
    quantiles = predictor.quantiles(windows.inputs(test.which, test.at)).astype(np.float64)
    rivals, foreknowledge = forecast_with_baselines(windows, test, starts[0], predictor, params)
    report = compare(test, quantiles, rivals, predictor, params)
    report["foreknowledge"] = foreknowledge
    report["slices"] = slices.errors(test, quantiles, rivals, predictor.shape)
    report["windows"] = {"n_windows": len(test.at), "step_size": params.evaluate.step_size}
    figures.draw(report, test, quantiles, rivals)
    results.write(predictor.manifest, data, report)
    with tracking.run(params, predictor.manifest["tracking_run"]):
        mlflow.log_metrics({f"test_{name}": value for name, value in report["model"].items()})
        mlflow.log_artifact(str(artifacts.METRICS))
        mlflow.log_artifacts(str(artifacts.REPORTS / "figures"), "figures")


def cut(windows: Windows, starts: list[np.datetime64], step_size: int) -> Test:
    """Return the windows of the test block, whose origins are `step_size` steps apart."""
    shape = windows.shape
    which, at = origins(windows, starts[1], None, step_size)
    y, observed = windows.targets(which, at)
    step, begin = parse_freq(shape.freq), np.array([one.start for one in windows.series])
    moments = (begin[which] + at * step)[:, None] + step * np.arange(shape.horizon)
    training = [
        np.where(one.observed, one.y, np.nan)[: int((starts[0] - one.start) // step)]
        for one in windows.series
    ]
    naive = np.array([scores.naive_error(y, shape.longest) for y in training])
    return Test(which, at, moments, np.where(observed, y, np.nan), naive[which])


def forecast_with_baselines(
    windows: Windows, test: Test, valid_start: np.datetime64, predictor: Predictor, params: Params
) -> tuple[dict[str, np.ndarray], dict[str, float] | None]:
    """Return forecasts (windows, horizon) by baseline, and what foreknowledge would be worth."""
    pair, train = (test.which, test.at), origins(windows, None, valid_start)
    floor = 0.0 if predictor.manifest["nonnegative"] else -np.inf
    found = baselines.seasonal_naive(windows, pair)
    found["MSTL"] = baselines.mstl(windows, pair, params.train.threads)
    found[baselines.BOOSTED] = baselines.BoostedTrees(windows, train, params).forecast(pair)
    rivals = {name: np.maximum(y_hat, floor) for name, y_hat in found.items()}
    if not windows.shape.past_columns:
        return rivals, None
    knowing = baselines.BoostedTrees(windows, train, params, foreknowledge=True).forecast(pair)
    return rivals, {
        "past_only": scores.wape(test.y, rivals[baselines.BOOSTED]),
        "perfect": scores.wape(test.y, np.maximum(knowing, floor)),
    }


def compare(
    test: Test,
    quantiles: np.ndarray,
    rivals: dict[str, np.ndarray],
    predictor: Predictor,
    params: Params,
) -> dict[str, Any]:
    """Return scores, intervals and paired comparisons; quantiles (windows, horizon, levels)."""
    positive = predictor.manifest["positive"]
    middle = quantiles[:, :, predictor.levels.index(0.5)]
    table = {name: point_scores(test, y_hat, positive) for name, y_hat in rivals.items()}
    best = min(table, key=lambda name: table[name]["wape"])
    # Windows that start at one moment are one draw.
    starts, moment = np.unique(test.moments[:, 0], return_inverse=True)
    shape, step_size = predictor.shape, params.evaluate.step_size
    overlap = (shape.horizon - 1) // step_size
    block = max(1, (shape.longest + shape.horizon) // step_size)
    drawn = significance.draw_blocks(
        len(starts), block, params.evaluate.bootstrap_samples, params.seed
    )

    def by_moment(values: np.ndarray) -> np.ndarray:
        return np.bincount(moment, np.nansum(values, axis=1), len(starts))

    level = by_moment(np.abs(test.y))
    lost = {name: by_moment(np.abs(test.y - y_hat)) for name, y_hat in rivals.items()}
    ours = by_moment(np.abs(test.y - middle))

    def versus(name: str) -> dict[str, Any]:
        """Return how much lower our error is than a rival's, in points of WAPE."""
        theirs = lost[name]

        def advantage(rows: np.ndarray) -> float:
            return float(100 * (theirs[rows] - ours[rows]).sum() / level[rows].sum())

        return {
            "difference": advantage(np.arange(len(starts))),
            "interval_95": significance.interval_95(advantage, drawn),
            "diebold_mariano_p": significance.diebold_mariano(ours, theirs, overlap),
        }

    def own_wape(rows: np.ndarray) -> float:
        return float(100 * ours[rows].sum() / level[rows].sum())

    lowest, low, _, high, highest = np.moveaxis(quantiles, -1, 0)
    counted = by_moment(np.where(np.isnan(test.y), np.nan, 1.0))

    def share_inside(bottom: np.ndarray, top: np.ndarray) -> list[float]:
        inside = np.where(np.isnan(test.y), np.nan, (test.y >= bottom) & (test.y <= top))
        hits = by_moment(inside)

        def share(rows: np.ndarray) -> float:
            return float(hits[rows].sum() / counted[rows].sum())

        return significance.interval_95(share, drawn)

    against = {name: versus(name) for name in rivals}
    intervals = {
        "wape": significance.interval_95(own_wape, drawn),
        "coverage_80": share_inside(low, high),
        "coverage_95": share_inside(lowest, highest),
    }
    return {
        "model": {
            **point_scores(test, middle, positive),
            "mean_pinball": scores.pinball(test.y, quantiles, predictor.levels),
            "coverage_80": scores.coverage(test.y, low, high),
            "coverage_95": scores.coverage(test.y, lowest, highest),
            "width_80": float(np.mean(high - low)),
            "width_95": float(np.mean(highest - lowest)),
        },
        "baselines": table,
        "intervals_95": intervals,
        "versus_best_baseline": {"baseline": best, "metric": "wape", **against[best]},
        "versus": against,
    }


def point_scores(test: Test, y_hat: np.ndarray, positive: bool) -> dict[str, float]:
    """Return the errors of forecasts (windows, horizon); MAPE only where no value is near zero."""
    return {
        **({"mape": scores.mape(test.y, y_hat)} if positive else {}),
        "wape": scores.wape(test.y, y_hat),
        "mase": scores.mase(test.y, y_hat, test.scale),
        "rmse": scores.rmse(test.y, y_hat),
    }
