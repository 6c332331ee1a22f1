"""Figures that show what a search finds and what it misses."""

import matplotlib.pyplot as plt

from portfolio_kit.plots import ACCENT, MUTED, STYLE, comparison, save
from portfolio_kit.retrieval.records import IndexQuality

from .metrics import Metrics, Slice

COLORS = {"this model": ACCENT, "BM25": MUTED, "pretrained encoder": "#d08c3f"}


def draw(metrics: Metrics) -> None:
    """Draw each figure that the metrics allow."""
    with plt.rc_context(STYLE):
        index_quality(metrics.index)
        if metrics.versus_best_baseline:
            comparison(metrics, "ndcg_at_10", "comparison.png")
            found_at(metrics.found_at)
            by_slice(metrics.slices)


def found_at(shares: dict[str, list[float]]) -> None:
    figure, axes = plt.subplots(figsize=(7.5, 4))
    for name, values in shares.items():
        axes.plot(range(1, len(values) + 1), values, color=COLORS[name], label=name)
    axes.set(xscale="log", xticks=[1, 3, 10, 30, 100], ylim=(0, 1))
    axes.set_xticklabels(["1", "3", "10", "30", "100"])
    axes.set(xlabel="k", ylabel="share of queries")
    axes.set_title("Queries with a relevant document among the first k")
    axes.legend(loc="lower right", frameon=False)
    save(figure, "found_at.png")


def by_slice(slices: dict[str, Slice]) -> None:
    figure, axes = plt.subplots(figsize=(7.5, 0.4 * len(slices) + 1))
    for place, (name, part) in enumerate(reversed(slices.items())):
        axes.barh(name, part.ndcg_at_10, color=ACCENT)
        axes.plot(part.interval_95, [place, place], color="black", linewidth=2)
        label = f"{part.ndcg_at_10:.2f}  (n={part.queries:,})"
        axes.annotate(label, (part.interval_95[1], place), (6, -3), textcoords="offset points")
    axes.set(xlim=(0, 1.2), xticks=[0, 0.25, 0.5, 0.75, 1], title="nDCG@10 by slice")
    save(figure, "slices.png")


def index_quality(index: IndexQuality) -> None:
    figure, axes = plt.subplots(figsize=(7.5, 4))
    times = [point.p50_ms for point in index.curve]
    recalls = [point.recall_at_10 for point in index.curve]
    axes.plot(times, recalls, "o-", color=ACCENT, label="graph, by expansion_search")
    for point in index.curve:
        at = (point.p50_ms, point.recall_at_10)
        axes.annotate(str(point.expansion_search), at, (4, -12), textcoords="offset points")
    axes.plot(index.exact_p50_ms, 1, "s", color=MUTED, label="compared with every passage")
    served = (index.p50_ms or index.exact_p50_ms, index.recall_at_10 or 1)
    axes.plot(*served, "o", color="black", fillstyle="none", markersize=14, label="served")
    axes.set(xlabel="median search time, ms", ylabel="recall@10 of the nearest documents")
    axes.set_title(f"The index over {index.passages:,} passages")
    axes.margins(0.1)
    axes.legend(loc="lower right", frameon=False)
    save(figure, "index.png")
