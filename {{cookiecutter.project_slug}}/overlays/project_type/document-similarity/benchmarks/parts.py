"""The parts of a search, each by itself: the index against numpy, the encoder against torch.

What is compared is measured in turns, and a ratio is that of one round: the median round counts.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

from {{ cookiecutter.package_name }} import cores
from {{ cookiecutter.package_name }}.errors import UserError
from {{ cookiecutter.package_name }}.evaluation.index_quality import recall, search
from {{ cookiecutter.package_name }}.params import Params
from {{ cookiecutter.package_name }}.retrieval.documents import Documents
from {{ cookiecutter.package_name }}.retrieval.vectors import Exact, Vectors, open_index
from {{ cookiecutter.package_name }}.serving.embedder import Embedder
from {{ cookiecutter.package_name }}.training.encoder import fetch_backbone

from .results import Figure

ROUNDS = 5
QUERIES = 500
RECALL = 0.98
TEXTS = 1_000
TIMES_THE_TEXTS = 1.5  # of sentence-transformers, in the same time
COSINE = 0.999  # between its vectors and ours, at least: they come from the same weights


def index(models: Path, queries: list[str], params: Params, most: float) -> Iterator[Figure]:
    """Yield what the index misses, and what it takes of brute force's time; `most` is the target.

    Both search for the same vectors; making these is left out.
    """
    embedder, vectors = Embedder.load(models, params.serve), Vectors(models)
    asked = embedder.embed(embedder.tokens(queries[:QUERIES]))
    ways = open_index(models, vectors, embedder.manifest["index"]), Exact(vectors)
    rounds = [[search(way, asked) for way in ways] for _ in range(ROUNDS)]
    (found, _), (truth, _) = rounds[0]
    share = recall(found, truth)
    documents = f"{embedder.manifest['documents']:,} documents"
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
    """Compare the texts a second with those of sentence-transformers, on as many threads.

    models: of an encoder as it comes. Raises `UserError` unless both make the same vectors.
    """
    ours = Embedder.load(models, params.serve)
    torch.set_num_threads(cores.threads(params.serve.threads))
    theirs = plain(fetch_backbone(params.model), ours.manifest["max_tokens"])
    texts = list(islice(Documents(models / "documents.sqlite"), TEXTS))

    def embed_ours() -> None:
        ours.embed(ours.tokens(texts))

    def embed_theirs() -> None:
        theirs.encode(texts, show_progress_bar=False)

    some = texts[:100]
    vectors = ours.embed(ours.tokens(some)), theirs.encode(some, show_progress_bar=False)
    cosine = (vectors[0] * vectors[1]).sum(axis=1).min()
    if not cosine >= COSINE:
        raise UserError(f"sentence-transformers: not the same model, a cosine is {cosine:.4f}")
    rounds = [(rate(embed_ours, texts), rate(embed_theirs, texts)) for _ in range(ROUNDS)]
    mine, its = (statistics.median(both[way] for both in rounds) for way in (0, 1))
    times = [one / other for one, other in rounds]
    median = statistics.median(times)
    return Figure(
        "texts embedded a second, against sentence-transformers on torch",
        f"at least {TIMES_THE_TEXTS} times",
        f"{spread(times)}: {mine:.0f}, {its:.0f}",
        median,
        median >= TIMES_THE_TEXTS,
    )


def plain(backbone: Path, max_tokens: int) -> SentenceTransformer:
    """Return sentence-transformers with the same weights, the mean over tokens, unit length."""
    encoder = Transformer(str(backbone), max_seq_length=max_tokens)
    mean = Pooling(encoder.get_embedding_dimension(), "mean")
    return SentenceTransformer(modules=[encoder, mean, Normalize()], device="cpu")


def rate(embed: Callable[[], None], texts: list[str]) -> float:
    """Return the texts a second."""
    start = time.perf_counter()
    embed()
    return len(texts) / (time.perf_counter() - start)


def spread(times: list[float]) -> str:
    """Return the median and the range of some ratios."""
    return f"{statistics.median(times):.2f} times ({min(times):.2f} to {max(times):.2f})"
