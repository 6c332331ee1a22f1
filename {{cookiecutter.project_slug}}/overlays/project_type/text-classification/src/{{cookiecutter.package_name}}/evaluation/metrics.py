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
    """How a threshold that was chosen on the validation set does on the test set."""

    target_precision: float
    threshold: float
    valid_coverage: float  # the share of answers that the model does not abstain from
    coverage: float
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
    selective_prediction: SelectivePrediction  # with the model's own threshold
    review_options: list[SelectivePrediction]  # other choices of train.review_precision
    slices: dict[str, Slice]
    per_class: dict[str, ClassScores]


MAX_CLASSES = 30  # in a table of all
WORST = 10
OPTIONS = "precision wanted|answered, validation set|answered, test set|right, test set"


def highlights(metrics: Metrics) -> str:
    """Return what the README says of the results beyond the comparison."""
    chosen, calibration = metrics.selective_prediction, metrics.calibration
    options = [
        map(_percent, (o.target_precision, o.valid_coverage, o.coverage, o.precision))
        for o in metrics.review_options
    ]
    return (
        f"Selective prediction: the model answers {chosen.coverage:.1%} of the texts and abstains "
        f"from the rest; {_percent(chosen.precision)} of those answers are right (the threshold, "
        f"{chosen.threshold:.2f}, was chosen on the validation set for "
        f"{chosen.target_precision:.0%}). Temperature scaling changed the calibration error from "
        f"{calibration.ece_before:.3f} to {calibration.ece_after:.3f}.\n\n"
        f"Choices of `train.review_precision`, and what each does:\n\n{table(OPTIONS, options)}"
    )


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{share:.1%}"


def model_card(metrics: Metrics, model: Manifest) -> list[str]:
    """Return what the model card says beyond the comparison: classes, confidence, training."""
    classes, note = [*metrics.per_class.items()], ""
    if len(classes) > MAX_CLASSES:
        everything = "[`metrics.json`](metrics.json) has all (`per_class`)"
        note = f"The {WORST} of {len(classes)} classes with the lowest F1; {everything}.\n\n"
        classes = sorted(classes, key=lambda row: row[1].f1)[:WORST]
    by_class = [
        (label, *(f"{score:.3f}" for score in (row.precision, row.recall, row.f1)), str(row.rows))
        for label, row in classes
    ]
    scores = ", ".join(f"{name.replace('_', ' ')} {v}" for name, v in model.validation.items())
    training = (
        f"From `{model.backbone}`, texts cut to {model.max_tokens} tokens. Kept: the epoch with "
        f"the lowest validation loss ({scores}). Its logits are divided by a temperature of "
        f"{model.temperature:.3f}, fitted on the validation set."
    )
    if "valid" in model.trained_on:
        training += (
            " Then it was trained again for that many epochs on training and validation rows "
            "together. All validation scores are from before that."
        )
    files = [
        (name, str(file.megabytes), str(file.milliseconds_per_text), f"{file.accuracy:.3f}")
        for name, file in model.model_files.items()
    ]
    return [
        f"### By class\n\n{note}{table('class|precision|recall|F1|test rows', by_class)}",
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
        "confusion_matrix.png": "Which classes are taken for which, and F1 by class",
        "reliability.png": "How often the model is right at each level of confidence",
        "coverage.png": "The more the model abstains, the more of its answers are right",
    },
    highlights=highlights,
    model_card=model_card,
    request=lambda texts, model: {"path": "/predict", "body": {"texts": texts[:2]}},
    more=", and [`reports/errors.md`](reports/errors.md) shows where the model errs",
)
