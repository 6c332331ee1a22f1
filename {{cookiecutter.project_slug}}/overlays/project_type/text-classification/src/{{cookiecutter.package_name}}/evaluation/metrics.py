"""What `reports/metrics.json` holds for a classifier, and how the reports put it in words."""

from portfolio_kit import Reporting, records
from portfolio_kit.markdown import table
from portfolio_kit.records import Interval, Record

from ..data.prepare import Dataset
from ..predictor import Manifest


class Calibration(Record):
    """The expected calibration error with and without temperature scaling."""

    temperature: float
    ece_before: float
    ece_after: float


class SelectivePrediction(Record):
    """How the model's own threshold, chosen on the validation set, does on the test set."""

    target_precision: float
    threshold: float
    coverage: float  # the share of answers that the model does not abstain from
    precision: float | None  # the share of right ones among them; None if there are none
    precision_interval_95: Interval | None


class ClassScores(Record):
    precision: float
    recall: float
    f1: float
    rows: int


class Slice(Record):
    rows: int
    accuracy: float
    interval_95: Interval


class Metrics(records.Metrics):
    calibration: Calibration
    selective_prediction: SelectivePrediction
    slices: dict[str, Slice]
    per_class: dict[str, ClassScores]


def highlights(metrics: Metrics) -> str:
    """Return what the README says of the results beyond the comparison."""
    chosen, calibration = metrics.selective_prediction, metrics.calibration
    right = "none" if chosen.precision is None else f"{chosen.precision:.1%}"
    return (
        f"Selective prediction: the model answers {chosen.coverage:.1%} of the texts and abstains "
        f"from the rest; {right} of those answers are right (the threshold, "
        f"{chosen.threshold:.2f}, was chosen on the validation set for "
        f"{chosen.target_precision:.0%}). Temperature scaling changed the calibration error from "
        f"{calibration.ece_before:.3f} to {calibration.ece_after:.3f}."
    )


def model_card(metrics: Metrics, model: Manifest) -> list[str]:
    """Return what the model card says beyond the comparison: classes, confidence, training."""
    classes = [
        (label, *(f"{score:.3f}" for score in (row.precision, row.recall, row.f1)), str(row.rows))
        for label, row in metrics.per_class.items()
    ]
    scores = ", ".join(f"{name.replace('_', ' ')} {v}" for name, v in model.validation.items())
    training = (
        f"From `{model.backbone}`, texts cut to {model.max_tokens} tokens. Kept: the epoch with "
        f"the lowest validation loss ({scores}). Its logits are divided by a temperature of "
        f"{model.temperature:.3f}, fitted on the validation set."
    )
    files = [
        (name, str(file.megabytes), str(file.milliseconds_per_text), f"{file.accuracy:.3f}")
        for name, file in model.model_files.items()
    ]
    return [
        f"### By class\n\n{table('class|precision|recall|F1|test rows', classes)}",
        f"### Confidence\n\n{highlights(metrics)}",
        f"## Training\n\n{training}",
        f"## Format\n\nThe model is served as {model.precision}. One thread, batches of 32:",
        table("format|MB|ms per text|validation accuracy", files),
    ]


REPORTING = Reporting(
    dataset=Dataset,
    manifest=Manifest,
    metrics=Metrics,
    rows="texts",
    score="Macro-F1 {:.3f}",
    captions={
        "comparison.png": "Macro-F1 against the baselines; the line is the 95% interval",
        "confusion_matrix.png": "F1 by class, and where its rows go, in percent of the true class",
        "reliability.png": "How often the model is right at each level of confidence",
        "coverage.png": "The more the model abstains, the more of its answers are right",
    },
    highlights=highlights,
    model_card=model_card,
    request=lambda texts, model: {"path": "/predict", "body": {"texts": texts[:2]}},
    more=", and [`reports/errors.md`](reports/errors.md) shows where the model errs",
)
