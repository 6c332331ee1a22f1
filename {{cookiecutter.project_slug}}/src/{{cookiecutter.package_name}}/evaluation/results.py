"""Writes `reports/metrics.json`: the one file that every number in the README comes from."""

from typing import Any

from ..artifacts import METRICS, write_json


def write(model: dict[str, Any], data: dict[str, Any], report: dict[str, Any]) -> None:
    """Join the model's manifest, the data's manifest and the scores; print them and write them."""
    metrics = {
        "project_type": model["project_type"],
        "model_version": model["version"],
        "data": {"sha256": data["sha256"], "rows": data["rows"]},
        **report,
        "train_seconds": model["train_seconds"],
        "peak_memory_mb": model["peak_memory_mb"],
    }
    write_json(METRICS, metrics)
    print(f"{table(metrics)}\n{METRICS}: version {metrics['model_version']}. {verdict(metrics)}.")


def table(metrics: dict[str, Any]) -> str:
    """Return a Markdown table of the model, in bold, and its baselines; "–" is no such score."""
    names = list(metrics["model"])
    lines = [f"| | {' | '.join(names)} |".replace("_", " "), "|---" * (len(names) + 1) + "|"]
    for row, scores in {"**this model**": metrics["model"], **metrics["baselines"]}.items():
        cells = [f"{scores[name]:.3f}" if name in scores else "–" for name in names]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join(lines)


def verdict(metrics: dict[str, Any]) -> str:
    """Return one sentence: the lead over the best baseline, and whether it may be chance.

    A difference above zero is one for the better, whether the metric is a score or an error.
    """
    versus = metrics["versus_best_baseline"]
    if versus is None:
        return metrics["not_measured"]
    better = "Better" if versus["difference"] >= 0 else "Worse"
    return (
        f"{better} in {versus['metric'].replace('_', ' ')} than the best baseline, "
        f"{versus['baseline']}, by {versus['difference']:+.3f} (paired bootstrap, "
        f"{interval(versus)})"
    )


def interval(versus: dict[str, Any]) -> str:
    """Return the 95% interval of a difference, and whether it may be chance."""
    low, high = versus["interval_95"]
    certain = "" if low > 0 or high < 0 else ", so it may be chance"
    return f"95% interval {low:+.3f} to {high:+.3f}{certain}"
