"""What `reports/metrics.json` holds for a search, and how the reports put it in words."""

from pydantic import Field

from portfolio_kit import Reporting, records
from portfolio_kit.markdown import table
from portfolio_kit.records import Interval, Record, Versus
from portfolio_kit.report import interval
from portfolio_kit.retrieval.records import IndexQuality
from portfolio_kit.retrieval.settings import MODES, EncoderName, Mode

from ..data.prepare import Dataset
from ..predictor import Manifest

NAMES: dict[EncoderName, str] = {
    "fine_tuned": "fine-tuned encoder",
    "pretrained": "pretrained encoder",
}


class Slice(Record):
    """One part of the test set."""

    queries: int
    ndcg_at_10: float
    interval_95: Interval


class Retrieval(Record):
    """The scores of each encoder in each retrieval mode, which of them is served, and why."""

    served: Mode
    encoder: EncoderName
    chosen_by: str
    dense: dict[str, float]  # of the encoder that is served, like the next two
    bm25: dict[str, float]
    hybrid: dict[str, float]
    by_encoder: dict[EncoderName, dict[Mode, dict[str, float]]]
    gains: dict[str, Versus]  # of training, and of fusing dense search with BM25


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
    scores = {
        NAMES[name]: [f"{by_mode[mode]['ndcg_at_10']:.3f}" for mode in MODES]
        for name, by_mode in modes.by_encoder.items()
    }
    leads = ", ".join(
        f"{one.difference:+.3f} over {name} ({interval(one)})"
        for name, one in metrics.versus.items()
    )
    gains = "; ".join(
        f"{name} changes it by {one.difference:+.3f} ({interval(one)})"
        for name, one in (
            ("training, in dense search,", modes.gains.get("training")),
            ("fusing it with BM25", modes.gains["fusion"]),
        )
        if one
    )
    return (
        f"{table('nDCG@10|' + '|'.join(MODES), [(name, *row) for name, row in scores.items()])}\n\n"
        f"The API uses {modes.served} search with the {NAMES[modes.encoder]}, chosen by "
        f"{modes.chosen_by}. Its lead in nDCG@10: {leads}. Where that comes from: {gains}. {found}"
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
    best = ", ".join(f"{name} {value}" for name, value in model.validation.items())
    kept = f"Kept: the epoch with the lowest validation loss ({best})."
    if model.is_fine_tuned:
        training = f"Fine-tuned. {kept}"
    elif model.validation:
        training = f"Fine-tuned, but served unchanged: that did better on validation. {kept}"
    else:
        training = "The pretrained encoder is used unchanged: there were no training queries."
    if model.validation_ndcg_at_10:
        rows = [
            (NAMES[name], *(f"{by_mode[mode]:.3f}" for mode in MODES))
            for name, by_mode in model.validation_ndcg_at_10.items()
        ]
        training += (
            " nDCG@10 on the validation queries, by which encoder and retrieval mode are chosen:"
            f"\n\n{table('|'.join(('', *MODES)), rows)}"
        )
    passages = (
        f"From `{model.backbone}`; {model.documents:,} documents, cut into passages of at most "
        f"{model.max_tokens} tokens that overlap by {model.overlap_tokens}. In ONNX, a vector's "
        f"components differ from torch's by at most {model.max_difference:.1g}. {training}"
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
    request=lambda texts, model: {"path": "/search", "body": {"query": texts[0], "k": 3}},
    more=", and [`reports/errors.md`](reports/errors.md) shows where searches fail",
)
