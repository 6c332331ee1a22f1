"""Figures and tables that show what a search finds and what it misses."""

from typing import Any

import matplotlib.pyplot as plt

from .plots import ACCENT, MUTED, STYLE, comparison, save
from .scores import MODES

ROWS = "queries"  # what the splits hold
METRIC = "nDCG@10 {:.3f}"  # what decides, as people write it
CAPTIONS = {
    "comparison.png": "nDCG@10 against the baselines; the line is the 95% interval",
    "found_at.png": "How far down one has to read until a relevant document comes",
    "slices.png": "nDCG@10 by length of the query, and by the words it shares with its documents",
    "index.png": "What the index finds of the nearest documents, and how long it takes",
}
MORE = ", and [`reports/errors.md`](reports/errors.md) shows where searches fail"
COLORS = {"this model": ACCENT, "BM25": MUTED, "encoder as it comes": "#d08c3f"}


def draw(report: dict[str, Any]) -> None:
    """Draw each figure of `CAPTIONS`, as far as it was measured."""
    with plt.rc_context(STYLE):
        _index(report["index"])
        if report["versus_best_baseline"]:
            comparison(report, "ndcg_at_10", "comparison.png")
            _found_at(report["found_at"])
            _slices(report["slices"])


def _found_at(shares: dict[str, list[float]]) -> None:
    figure, axes = plt.subplots(figsize=(7.5, 4))
    for name, values in shares.items():
        axes.plot(range(1, len(values) + 1), values, color=COLORS[name], label=name)
    axes.set(xscale="log", xticks=[1, 3, 10, 30, 100], ylim=(0, 1))
    axes.set_xticklabels(["1", "3", "10", "30", "100"])
    axes.set(xlabel="first so many documents", ylabel="share of queries with a relevant one")
    axes.set_title("Found within the first so many")
    axes.legend(loc="lower right", frameon=False)
    save(figure, "found_at.png")


def _slices(slices: dict[str, Any]) -> None:
    figure, axes = plt.subplots(figsize=(7.5, 0.4 * len(slices) + 1))
    for place, (name, part) in enumerate(reversed(slices.items())):
        axes.barh(name, part["ndcg_at_10"], color=ACCENT)
        axes.plot(part["interval_95"], [place, place], color="black", linewidth=2)
        label = f"{part['ndcg_at_10']:.2f}  (n={part['queries']:,})"
        axes.annotate(label, (part["interval_95"][1], place), (6, -3), textcoords="offset points")
    axes.set(xlim=(0, 1.2), xticks=[0, 0.25, 0.5, 0.75, 1], title="nDCG@10 by slice")
    save(figure, "slices.png")


def _index(index: dict[str, Any]) -> None:
    figure, axes = plt.subplots(figsize=(7.5, 4))
    curve = index["curve"]
    times, recalls = ([point[name] for point in curve] for name in ("p50_ms", "recall_at_10"))
    axes.plot(times, recalls, "o-", color=ACCENT, label="graph, by expansion_search")
    for point in curve:
        at = (point["p50_ms"], point["recall_at_10"])
        axes.annotate(point["expansion_search"], at, (4, -12), textcoords="offset points")
    axes.plot(index["exact_p50_ms"], 1, "s", color=MUTED, label="compared with every passage")
    served = (index["p50_ms"], index["recall_at_10"])
    axes.plot(*served, "o", color="black", fillstyle="none", markersize=14, label="served")
    axes.set(xlabel="p50 of a search, ms", ylabel="recall@10 of the nearest documents")
    axes.set_title(f"The index over {index['passages']:,} passages")
    axes.margins(0.1)
    axes.legend(loc="lower right", frameon=False)
    save(figure, "index.png")


def highlights(metrics: dict[str, Any]) -> str:
    """Return what the README says of the results beyond the comparison."""
    index = metrics["index"]
    found = (
        f"The index ({index['kind']}, {index['passages']:,} passages) finds "
        f"{index['recall_at_10']:.1%} of the ten nearest documents, in {index['p50_ms']:.2f} ms; "
        f"comparing with every passage takes {index['exact_p50_ms']:.2f} ms."
    )
    if not metrics["versus_best_baseline"]:
        return found
    ways = metrics["retrieval"]
    listed = ", ".join(f"{mode} {ways[mode]['ndcg_at_10']:.3f}" for mode in MODES)
    against = ", ".join(
        f"over {name} {one['difference']:+.3f} ({one['interval_95'][0]:+.3f} to "
        f"{one['interval_95'][1]:+.3f})"
        for name, one in metrics["versus"].items()
    )
    return (
        f"Searched in three ways, nDCG@10 is: {listed}; served is {ways['served']}, chosen by "
        f"{ways['chosen_by']}. Its lead in nDCG@10: {against}. {found}"
    )


def model_card_sections(metrics: dict[str, Any], model: dict[str, Any]) -> list[str]:
    """Return what the model card says beyond the comparison: slices, search, training."""
    sections = []
    if metrics["versus_best_baseline"]:
        lines = ["| slice | queries | nDCG@10 | 95% interval |", "|---|---|---|---|"]
        for name, part in metrics["slices"].items():
            low, high = part["interval_95"]
            score = f"{part['ndcg_at_10']:.3f} | {low:.3f} to {high:.3f}"
            lines.append(f"| {name} | {part['queries']:,} | {score} |")
        sections += ["### By slice", "\n".join(lines)]
    training = "The encoder is used as it comes: there were no training queries."
    if model["is_fine_tuned"]:
        best = ", ".join(f"{name} {value}" for name, value in model["validation"].items())
        training = f"Fine-tuned. Kept: the epoch with the lowest validation loss ({best})."
    passages = (
        f"From `{model['backbone']}`; {model['documents']:,} documents, cut into passages of at "
        f"most {model['max_tokens']} tokens that share {model['overlap_tokens']}. {training} ONNX "
        f"differs from torch by at most {model['onnx']['max_difference']:.1g} in a component."
    )
    return [*sections, f"### Search\n\n{highlights(metrics)}", f"## Training\n\n{passages}"]
