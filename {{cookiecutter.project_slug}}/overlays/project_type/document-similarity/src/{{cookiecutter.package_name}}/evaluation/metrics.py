"""What `reports/metrics.json` holds for a search, and how the reports put it in words."""

from pydantic import Field

from portfolio_kit import Reporting, records
from portfolio_kit.markdown import table
from portfolio_kit.records import Interval, Record, Versus
from portfolio_kit.report import interval
from portfolio_kit.retrieval.records import IndexQuality
from portfolio_kit.retrieval.settings import MODES, Mode

from ..data.prepare import Dataset
from ..predictor import Manifest


class Slice(Record):
    """One part of the test set."""

    queries: int
    ndcg_at_10: float
    interval_95: Interval


class Retrieval(Record):
    """The scores of each retrieval mode, which mode is served, and why."""

    served: Mode
    chosen_by: str
    dense: dict[str, float]
    bm25: dict[str, float]
    hybrid: dict[str, float]


class Metrics(records.Metrics):
    """`reports/metrics.json`; without held-out queries only `index` is measured."""

    index: IndexQuality
    versus: dict[str, Versus] = Field(default_factory=dict)  # by baseline
    retrieval: Retrieval | None = None
    slices: dict[str, Slice] = Field(default_factory=dict)
    # Share of queries with a relevant document among the first 1, 2, ...
    found_at: dict[str, list[float]] = Field(default_factory=dict)


def highlights(metrics: Metrics) -> str:
    """Return what the README says of the results beyond the comparison."""
    index = metrics.index
    exact = f"{index.passages:,} passages takes {index.exact_p50_ms:.2f} ms"
    found = f"The index is exact, so it misses nothing: comparing with all {exact}."
    if index.recall_at_10 is not None:
        found = (
            f"The index ({index.kind}) finds {index.recall_at_10:.1%} of the ten nearest documents "
            f"in {index.p50_ms:.2f} ms; comparing with all {exact}."
        )
    modes = metrics.retrieval
    if modes is None:
        return found
    scores = ", ".join(f"{mode} {getattr(modes, mode)['ndcg_at_10']:.3f}" for mode in MODES)
    leads = ", ".join(
        f"{one.difference:+.3f} over {name} ({interval(one)})"
        for name, one in metrics.versus.items()
    )
    return (
        f"nDCG@10 by retrieval mode: {scores}; the API uses {modes.served}, chosen by "
        f"{modes.chosen_by}. Its lead in nDCG@10: {leads}. {found}"
    )


def model_card(metrics: Metrics, model: Manifest) -> list[str]:
    """Return what the model card says beyond the comparison: slices, search, training."""
    slices = [
        (
            name,
            f"{one.queries:,}",
            f"{one.ndcg_at_10:.3f}",
            "{:.3f} to {:.3f}".format(*one.interval_95),
        )
        for name, one in metrics.slices.items()
    ]
    training = "The pretrained encoder is used unchanged: there were no training queries."
    if model.is_fine_tuned:
        best = ", ".join(f"{name} {value}" for name, value in model.validation.items())
        training = f"Fine-tuned. Kept: the epoch with the lowest validation loss ({best})."
    passages = (
        f"From `{model.backbone}`; {model.documents:,} documents, cut into passages of at most "
        f"{model.max_tokens} tokens that overlap by {model.overlap_tokens}. {training} In ONNX, a "
        f"vector's components differ from torch's by at most {model.max_difference:.1g}."
    )
    by_slice = f"### By slice\n\n{table('slice|queries|nDCG@10|95% interval', slices)}"
    return [
        *([by_slice] if slices else []),
        f"### Search\n\n{highlights(metrics)}",
        f"## Training\n\n{passages}",
    ]


REPORTING = Reporting(
    dataset=Dataset,
    manifest=Manifest,
    metrics=Metrics,
    rows="queries",
    score="nDCG@10 {:.3f}",
    captions={
        "comparison.png": "nDCG@10 against the baselines; the line is the 95% interval",
        "found_at.png": "How many documents to read until a relevant one comes",
        "slices.png": "nDCG@10 by the query's length, and by the words it shares with documents",
        "index.png": "Which share of the nearest documents the index finds, and how long it takes",
    },
    highlights=highlights,
    model_card=model_card,
    more=", and [`reports/errors.md`](reports/errors.md) shows where searches fail",
)
