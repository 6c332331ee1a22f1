"""What `reports/metrics.json` holds for a forecaster, and how the reports put it in words."""

from portfolio_kit import Reporting, records
from portfolio_kit.records import Record
from portfolio_kit.timegrid import results, slices
from portfolio_kit.timegrid.frequency import duration
from portfolio_kit.timegrid.results import Comparison, Rolling, against
from portfolio_kit.timegrid.slices import Slice

from ..data.prepare import Dataset
from ..features import Shape
from ..predictor import Manifest

SCORES = {"wape": "WAPE {:.3f}%", "mase": "MASE {:.3f}", "mae": "MAE {:.3f}"}  # that may decide
CALENDAR = "slices.png"  # not drawn if the calendar tells no moments apart


class Foreknowledge(Record):
    """The boosted trees' error with past values of the covariates, and with those of the future."""

    past_only: float
    perfect: float


class Metrics(records.Metrics):
    """`reports/metrics.json`."""

    versus: dict[str, Comparison]  # by baseline
    foreknowledge: Foreknowledge | None  # None without past covariates
    slices: dict[str, dict[str, Slice]]  # by kind
    scales: dict[str, float]  # by series: the error of the seasonal naive forecast in training
    windows: Rolling
    shape: Shape

    @property
    def metric(self) -> str:
        """Return the metric that decides."""
        assert self.versus_best_baseline  # there always are baselines
        return self.versus_best_baseline.metric

    @property
    def best(self) -> str:
        """Return the best baseline."""
        assert self.versus_best_baseline
        return self.versus_best_baseline.baseline


def by(kind: str, metrics: Metrics, link: str) -> str:
    """Return the table of the slices of a kind; `link` leads to metrics.json."""
    return slices.table(kind, metrics.slices[kind], metrics.metric, metrics.best, link)


def highlights(metrics: Metrics) -> str:
    """Return what the README says of the results beyond the comparison."""
    model, known = metrics.model, metrics.foreknowledge
    text = (
        f"The forecasts start {metrics.windows.step_size} steps apart, and the model was not "
        f"refitted between them. The 80% interval covers {model['coverage_80']:.1%} of the values "
        f"and the 95% interval {model['coverage_95']:.1%}. {metrics.shape.inputs()}"
    )
    if known is not None:
        text += (
            " The model sees only past values of the covariates. As an upper bound, perfect "
            f"foreknowledge of them changes the boosted trees' {metrics.metric.upper()} from "
            f"{known.past_only:.2f} to {known.perfect:.2f}."
        )
    if "series" in metrics.slices:
        text += f"\n\n{by('series', metrics, 'reports/metrics.json')}"
    return text


def model_card(metrics: Metrics, model: Manifest) -> list[str]:
    """Return what the model card says beyond the comparison: each baseline, slices, training."""
    leads = against(metrics.versus, metrics.metric)
    sections = [f"### Against each baseline\n\n{leads}"]
    sections += [f"### By {kind}\n\n{by(kind, metrics, 'metrics.json')}" for kind in metrics.slices]
    shape = model.shape
    scores = ", ".join(f"{name.replace('_', ' ')} {v}" for name, v in model.validation.items())
    sections.append(
        f"## Training\n\nHorizon {duration(shape.horizon, shape.freq)}, seasons of "
        f"{', '.join(map(str, shape.season_lengths))} steps, {model.windows['train']:,} windows. "
        f"{shape.inputs()} Kept: the epoch with the lowest validation loss ({scores}); epoch 0 is "
        "the regression that training starts from. Intervals were widened or narrowed by series on "
        "the validation block (conformalised quantile regression); over all series, those of 80% "
        f"to {model.widths[0]:.3f} and those of 95% to {model.widths[1]:.3f} times the network's."
    )
    return sections


REPORTING = Reporting(
    dataset=Dataset,
    manifest=Manifest,
    metrics=Metrics,
    rows="rows",
    score=SCORES,
    captions={
        "comparison.png": "The error against the baselines (lower is better), with 95% interval",
        "fans.png": "Forecasts of the best, the median and the worst part of the test block",
        "lead_time.png": "How the error grows with lead time, compared with the baselines",
        "coverage.png": "The share of values inside the intervals at each lead time",
        CALENDAR: "The error by the calendar, compared with the best baseline",
    },
    highlights=highlights,
    model_card=model_card,
    request=lambda _, model: {"path": "/forecast", "body": results.request(model)},
    scored=lambda metrics: metrics.windows.words(len(metrics.scales), metrics.shape),
    more=": each baseline and part of the test block",
)
