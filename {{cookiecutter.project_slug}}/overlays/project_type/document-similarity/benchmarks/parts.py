"""The parts of a search on their own: the index against numpy, the encoder against torch.

What is compared is measured in turns, and each round gives a ratio: the median round counts.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

from portfolio_kit import cores
from portfolio_kit.bench.rivals import Figure
from portfolio_kit.errors import UserError
from portfolio_kit.retrieval.quality import recall, search
from portfolio_kit.retrieval.vectors import Exact
from portfolio_kit.text.encoder import fetch_backbone

from {{ cookiecutter.package_name }}.params import Params
from {{ cookiecutter.package_name }}.predictor import Predictor

ROUNDS = 5
QUERIES = 500
RECALL = 0.98
TEXTS = 1_000
TIMES_THE_TEXTS = 1.5  # of sentence-transformers, in the same time
COSINE = 0.999  # between its vectors and ours, at least: they come from the same weights


def index(models: Path, queries: list[str], params: Params, most: float) -> Iterator[Figure]:
    """Yield the index's recall, and its time as a share of brute force's; `most` is the target.

    Both search for the same vectors; computing these is not measured.
    """
    predictor = load(models, params)
    collection, documents = predictor.collection, f"{predictor.manifest.documents:,} documents"
    asked = predictor.embed_queries(queries[:QUERIES])
    ways = collection.index, Exact(collection.vectors)
    rounds = [[search(way, asked) for way in ways] for _ in range(ROUNDS)]
    (found, _), (truth, _) = rounds[0]
    share = recall(found, truth)
    target = f"at least {RECALL}"
    yield Figure(f"recall@10 at {documents}", target, f"{share:.4f}", share, share >= RECALL)
    times = [ours / theirs for (_, ours), (_, theirs) in rounds]
    ours_ms, theirs_ms = (statistics.median(both[way][1] for both in rounds) for way in (0, 1))
    median = statistics.median(times)
    yield Figure(
        f"p50 of the search alone at {documents}, against brute force",
        f"at most {most:g} times",
        f"{spread(times)}: {ours_ms:.2f} ms, {theirs_ms:.2f} ms",
        median,
        median <= most,
    )


def embedding(models: Path, params: Params) -> Figure:
    """Compare texts embedded per second with sentence-transformers, on as many threads.

    models: with the pretrained encoder. Raises `UserError` unless both make the same vectors.
    """
    ours = load(models, params)
    torch.set_num_threads(cores.threads(params.serve.threads))
    backbone = fetch_backbone(params.model.backbone, params.model.sha256)
    theirs = plain(backbone, ours.manifest.max_tokens)
    texts = list(islice(ours.collection.documents, TEXTS))

    def embed_ours() -> None:
        ours.embed_queries(texts)

    def embed_theirs() -> None:
        theirs.encode(texts, show_progress_bar=False)

    some = texts[:100]
    vectors = ours.embed_queries(some), theirs.encode(some, show_progress_bar=False)
    cosine = (vectors[0] * vectors[1]).sum(axis=1).min()
    if not cosine >= COSINE:
        raise UserError(f"sentence-transformers: not the same model, a cosine is {cosine:.4f}")
    rounds = [(rate(embed_ours, texts), rate(embed_theirs, texts)) for _ in range(ROUNDS)]
    mine, its = (statistics.median(both[way] for both in rounds) for way in (0, 1))
    times = [one / other for one, other in rounds]
    median = statistics.median(times)
    return Figure(
        "texts embedded per second, against sentence-transformers on torch",
        f"at least {TIMES_THE_TEXTS} times",
        f"{spread(times)}: {mine:.0f}, {its:.0f}",
        median,
        median >= TIMES_THE_TEXTS,
    )


def load(models: Path, params: Params) -> Predictor:
    """Load a model with the documents that it was trained with."""
    settings = params.serve.model_copy(update={"changes": None, "exact": False})
    return Predictor.load(models, settings)


def plain(backbone: Path, max_tokens: int) -> SentenceTransformer:
    """Return sentence-transformers with the same weights, the mean over tokens, unit length."""
    encoder = Transformer(str(backbone), max_seq_length=max_tokens)
    mean = Pooling(encoder.get_embedding_dimension(), "mean")
    return SentenceTransformer(modules=[encoder, mean, Normalize()], device="cpu")


def rate(embed: Callable[[], None], texts: list[str]) -> float:
    """Return the texts per second."""
    start = time.perf_counter()
    embed()
    return len(texts) / (time.perf_counter() - start)


def spread(times: list[float]) -> str:
    """Return the median and the range of some ratios."""
    return f"{statistics.median(times):.2f} times ({min(times):.2f} to {max(times):.2f})"
