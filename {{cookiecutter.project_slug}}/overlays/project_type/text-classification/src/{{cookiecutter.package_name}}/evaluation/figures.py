"""Figures and tables that show a classifier's strengths and mistakes."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import ConfusionMatrixDisplay

from .confidence import coverage_curve, undo_temperature
from .plots import ACCENT, MUTED, STYLE, comparison, save
from .scores import reliability

ROWS = "texts"  # what the splits hold
METRIC = "Macro-F1 {:.3f}"  # what decides, as people write it
CAPTIONS = {
    "comparison.png": "Macro-F1 against the baselines; the line is the 95% interval",
    "f1_by_class.png": "F1 by class, best first, with the number of test rows",
    "confusion_matrix.png": "Where each class's rows go, in percent of the true class",
    "reliability.png": "How often the model is right when it is so confident",
    "coverage.png": "The more answers a person checks, the more of the others are right",
}
MORE = ", and [`reports/errors.md`](reports/errors.md) shows where the model errs"


def draw(
    metrics: dict[str, Any],
    targets: np.ndarray,
    probabilities: np.ndarray,
    valid: tuple[np.ndarray, np.ndarray],
    labels: list[str],
) -> None:
    """Draw each figure of `CAPTIONS`.

    targets (rows,) class indices and probabilities (rows, classes) of the test set; valid: those of
    the validation set.
    """
    comparison(metrics, "macro_f1", "comparison.png")
    by_class = sorted(metrics["per_class"].items(), key=lambda item: item[1]["f1"])
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(7.5, 0.32 * len(by_class) + 1))
        names, rows = zip(*by_class, strict=True)
        bars = axes.barh(names, [row["f1"] for row in rows], color=ACCENT)
        axes.bar_label(bars, [f"{row['f1']:.2f}  (n={row['rows']:.0f})" for row in rows], padding=4)
        axes.set(xlim=(0, 1.2), xticks=[0, 0.25, 0.5, 0.75, 1], title="F1 by class")
        save(figure, "f1_by_class.png")

        figure, axes = plt.subplots(figsize=(0.45 * len(labels) + 3, 0.45 * len(labels) + 2))
        matrix = ConfusionMatrixDisplay.from_predictions(
            targets,
            probabilities.argmax(axis=1),
            labels=range(len(labels)),
            display_labels=labels,
            normalize="true",
            cmap="GnBu",
            values_format=".0%",
            colorbar=False,
            text_kw={"fontsize": 7},
            ax=axes,
        )
        for cell in np.ravel(matrix.text_):
            cell.set_visible(cell.get_text() != "0%")
        plt.setp(axes.get_xticklabels(), rotation=45, ha="right")
        axes.set_title("Confusion matrix, % of each true class")
        save(figure, "confusion_matrix.png")

        figure, axes = plt.subplots(figsize=(5, 5))
        before = undo_temperature(probabilities, metrics["calibration"]["temperature"])
        for name, values, color in (("before", before, MUTED), ("after", probabilities, ACCENT)):
            counts, confidence, accuracy = reliability(targets, values)
            ece = metrics["calibration"][f"ece_{name}"]
            label = f"{name} temperature scaling, ECE {ece:.3f}"
            filled = counts > 0
            axes.plot(confidence[filled], accuracy[filled], color=color, label=label)
            axes.scatter(confidence, accuracy, 300 * counts / counts.sum(), color=color)
        axes.plot([0, 1], [0, 1], color="black", linewidth=1, linestyle=":", label="perfect")
        axes.set(xlabel="confidence", ylabel="share of right answers", title="Reliability")
        axes.legend(loc="upper left", frameon=False)
        save(figure, "reliability.png")

        figure, axes = plt.subplots(figsize=(7.5, 4))
        chosen = metrics["review"]
        curves = {"validation": (valid, MUTED), "test": ((targets, probabilities), ACCENT)}
        for name, (rows, color) in curves.items():
            coverage, precision = coverage_curve(*rows)
            shown = coverage >= 0.1  # of a few rows, the share jumps
            axes.plot(coverage[shown], precision[shown], color=color, label=f"{name} set")
        axes.axhline(chosen["target_precision"], color="black", linewidth=1, linestyle=":")
        if chosen["precision"] is not None:
            at = (chosen["coverage"], chosen["precision"])
            axes.plot(*at, "o", color="black", label=f"threshold {chosen['threshold']:.2f}")
        axes.set(xlabel="share of answers that need no review", ylabel="share of right ones")
        axes.set_title("Precision against coverage")
        axes.legend(loc="lower left", frameon=False)
        save(figure, "coverage.png")


def highlights(metrics: dict[str, Any]) -> str:
    """Return what the README says of the results beyond the comparison."""
    review, calibration = metrics["review"], metrics["calibration"]
    right = "none" if review["precision"] is None else f"{review['precision']:.1%}"
    return (
        f"{review['coverage']:.1%} of the answers need no review, and {right} of those are right "
        f"(the threshold, {review['threshold']:.2f}, was chosen on the validation set for "
        f"{review['target_precision']:.0%}). Temperature scaling brought the calibration error "
        f"from {calibration['ece_before']:.3f} to {calibration['ece_after']:.3f}."
    )


def model_card_sections(metrics: dict[str, Any], model: dict[str, Any]) -> list[str]:
    """Return what the model card says beyond the comparison: by class, confidence, training."""
    lines = ["| class | precision | recall | F1 | test rows |", "|---|---|---|---|---|"]
    for label, row in metrics["per_class"].items():
        numbers = " | ".join(f"{row[name]:.3f}" for name in ("precision", "recall", "f1"))
        lines.append(f"| {label} | {numbers} | {row['rows']:.0f} |")
    scores = ", ".join(f"{name.replace('_', ' ')} {v}" for name, v in model["validation"].items())
    training = (
        f"From `{model['backbone']}`, texts cut to {model['max_tokens']} tokens. Kept: the epoch "
        f"with the lowest validation loss ({scores}); its logits are divided by a temperature of "
        f"{model['temperature']:.3f}, fitted on the validation set."
    )
    sizes = ["| format | MB | ms a text | validation accuracy |", "|---|---|---|---|"]
    for name in ("fp32", "int8"):
        size = model[name]
        chosen = "**" if name == model["precision"] else ""
        sizes.append(
            f"| {chosen}{name}{chosen} | {size['megabytes']} | {size['milliseconds_a_text']} | "
            f"{size['accuracy']:.3f} |"
        )
    return [
        "### By class",
        "\n".join(lines),
        f"### Confidence\n\n{highlights(metrics)}",
        f"## Training\n\n{training}",
        "## Format\n\nThe one in bold is served; one thread, batches of 32.",
        "\n".join(sizes),
    ]
