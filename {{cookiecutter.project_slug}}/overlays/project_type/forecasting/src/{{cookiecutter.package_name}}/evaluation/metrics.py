"""What `reports/metrics.json` holds for a forecaster, and how the reports put it in words."""

from portfolio_kit import Reporting, records
from portfolio_kit.markdown import table
from portfolio_kit.records import Interval, Record

from ..data.prepare import Dataset
from ..predictor import Manifest


class Comparison(Record):
    """How much lower the model's error is than a baseline's, in points of WAPE."""

    difference: float
    interval_95: Interval
    diebold_mariano_p: float


class Slice(Record):
    """One part of the test block."""

    rows: int
    wape: dict[str, float]  # by model
    coverage_80: float
    coverage_95: float


class Foreknowledge(Record):
    """The boosted trees' WAPE with past values of the covariates, and with those of the future."""

    past_only: float
    perfect: float


class Rolling(Record):
    """How the test block was cut into windows."""

    n_windows: int
    step_size: int


class Metrics(records.Metrics):
    """`reports/metrics.json`."""

    versus: dict[str, Comparison]  # by baseline
    foreknowledge: Foreknowledge | None  # None without past covariates
    slices: dict[str, dict[str, Slice]]  # by kind
    windows: Rolling


def highlights(metrics: Metrics) -> str:
    """Return what the README says of the results beyond the comparison."""
    model, known, windows = metrics.model, metrics.foreknowledge, metrics.windows
    text = (
        f"{windows.n_windows:,} forecasts of the test block, {windows.step_size} steps apart, "
        f"without refitting. The 80% interval covers {model['coverage_80']:.1%} of the values and "
        f"the 95% interval {model['coverage_95']:.1%}."
    )
    if known is None:
        return text
    return (
        f"{text} The model sees only past values of the covariates. As an upper bound, perfect "
        "foreknowledge of them changes the boosted trees' WAPE from "
        f"{known.past_only:.2f} to {known.perfect:.2f}."
    )


def model_card(metrics: Metrics, model: Manifest) -> list[str]:
    """Return what the model card says beyond the comparison: each baseline, slices, training."""
    versus = []
    for name, row in metrics.versus.items():
        low, high = row.interval_95
        p = f"{row.diebold_mariano_p:.2g}"
        versus.append((name, f"{row.difference:.3f}", f"{low:.3f} to {high:.3f}", p))
    columns = "against|WAPE lower by|95% interval|Diebold-Mariano p"
    sections = [f"### Against each baseline\n\n{table(columns, versus)}"]
    best = min(metrics.baselines, key=lambda name: metrics.baselines[name]["wape"])
    for kind, parts in metrics.slices.items():
        rows = []
        for name, part in parts.items():
            errors = f"{part.wape['this model']:.2f}", f"{part.wape[best]:.2f}"
            covers = f"{part.coverage_80:.1%}", f"{part.coverage_95:.1%}"
            rows.append((name, f"{part.rows:,}", *errors, *covers))
        columns = f"{kind}|values|WAPE|{best}|80% covers|95% covers"
        sections.append(f"### By {kind}\n\n{table(columns, rows)}")
    shape = model.shape
    scores = ", ".join(f"{name.replace('_', ' ')} {v}" for name, v in model.validation.items())
    sections.append(
        f"## Training\n\nHorizon {shape.horizon} steps of {shape.freq}, seasons of "
        f"{', '.join(map(str, shape.season_lengths))} steps, {model.windows['train']:,} windows. "
        f"Kept: the epoch with the lowest validation loss ({scores}). The intervals were widened "
        "or narrowed on the validation block (conformalised quantile regression), by "
        f"{model.margins[3]:+.4f} and {model.margins[4]:+.4f} of the level on each side."
    )
    return sections


REPORTING = Reporting(
    dataset=Dataset,
    manifest=Manifest,
    metrics=Metrics,
    rows="rows",
    score="WAPE {:.3f}%",
    captions={
        "comparison.png": "WAPE against the baselines (lower is better), with its 95% interval",
        "fans.png": "Forecasts of the best, the median and the worst week of the test block",
        "lead_time.png": "How the error grows with lead time, compared with the baselines",
        "coverage.png": "The share of values inside the intervals at each lead time",
        "slices.png": "The error by hour, weekday and holiday",
    },
    highlights=highlights,
    model_card=model_card,
    more=": each baseline, lead time, hour, weekday and holiday",
)
