"""The evaluate stage: the exported model on the test block, opened only here."""

import torch

from portfolio_kit import artifacts, cores, tracking
from portfolio_kit.errors import UserError
from portfolio_kit.report import write_metrics
from portfolio_kit.timegrid.results import Rolling

from ..data.prepare import BLOCKS, Dataset, read_series
from ..features import Windows
from ..params import Params
from ..predictor import Predictor
from . import figures, slices
from .baselines import forecast_with_baselines
from .comparison import compare
from .held_out import cut
from .metrics import CALENDAR, Metrics


def evaluate(params: Params) -> None:
    """Score model and baselines on the same windows; write `reports/`: metrics and figures."""
    data = artifacts.read_manifest(artifacts.PROCESSED, Dataset, made_by="data")
    predictor = Predictor.load(artifacts.MODELS, params.serve)
    model, step_size = predictor.manifest, params.evaluate.step_size
    if model.splits != data.files:
        # Another split would put what this model was trained on into the test block.
        raise UserError("models/ comes from another split than data/processed/; run `make train`")
    torch.set_num_threads(cores.threads(params.train.threads))
    windows = Windows(read_series(model.shape, *BLOCKS), model.shape)
    test = cut(windows, data.boundaries, step_size)
    metric = params.evaluate.metric or ("mase" if data.series > 1 else "wape")

    print(f"evaluating the exported model and its baselines on {len(test.y):,} windows")
    quantiles = predictor.quantiles(windows, test.origins)
    train_end, _ = data.boundaries
    rivals, foreknowledge = forecast_with_baselines(metric, windows, test, train_end, model, params)
    metrics = Metrics.of(
        model,
        data,
        **compare(metric, test, quantiles, rivals, model, params),
        foreknowledge=foreknowledge,
        slices=slices.errors(metric, test, quantiles, rivals, model.shape),
        scales=test.scales,
        windows=Rolling(n_windows=len(test.y), step_size=step_size),
        shape=model.shape,
        not_drawn=[] if model.shape.calendar.groups(test.moments) else [CALENDAR],
    )
    figures.draw(metrics, test, quantiles, params.data.target_column)
    write_metrics(metrics)
    tracking.record_evaluation(params, model.tracking_run, metrics)
