"""What this API is compared with, what is sent to all, and what the comparison should show."""

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from portfolio_kit.artifacts import MODELS, PROCESSED, read_manifest
from portfolio_kit.bench.results import Measured
from portfolio_kit.bench.rivals import Figure, Goal, Rival, Rivals
from portfolio_kit.retrieval.documents import Documents

from {{ cookiecutter.package_name }}.data.prepare import CORPUS, Dataset, read_split
from {{ cookiecutter.package_name }}.params import Params
from {{ cookiecutter.package_name }}.predictor import Manifest
from {{ cookiecutter.package_name }}.project import PROJECT

from . import large, parts

K = 10
INDEX, BRUTE_FORCE = "index, {:,} documents", "brute force, {:,} documents"
MOST = max(large.SIZES)
COLD_START_SECONDS = 3
SEARCH_TIMES = 0.1  # of brute force's, at most


def bodies() -> list[str]:
    """Return requests of one query each."""
    return [json.dumps({"query": query, "k": K}) for query in queries()]


def queries() -> list[str]:
    """Return the queries of the validation set, as the test set stays closed.

    If there are none, sentences of the documents take their place.
    """
    read_manifest(PROCESSED, Dataset, made_by="data")
    found = read_split("valid")["query"].unique().tolist()
    return found or large.sentences(Documents(PROCESSED / CORPUS))


def rivals(params: Params, bench_python: Path) -> list[Rival]:
    """Return an index and brute force for each size; what they serve is made if it is missing."""
    mode = read_manifest(MODELS, Manifest, made_by="train").retrieval
    command = [sys.executable, "-m", PROJECT.package, "serve", "--set"]
    command.append(f"serve.retrieval={params.serve.retrieval or mode}")
    found = []
    for documents in large.SIZES:
        folder = large.folder(documents, params)
        found += [
            Rival(INDEX.format(documents), "`serve`, with a graph of neighbours", command, folder),
            Rival(
                BRUTE_FORCE.format(documents),
                "`serve`, with `serve.exact=true`: numpy compares with every vector",
                [*command, "--set", "serve.exact=true"],
                folder,
            ),
        ]
    return found


def difference(ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    """Return the share of brute force's documents that are missing; infinite for another model."""
    if theirs["model_version"] != ours["model_version"]:
        return math.inf
    wanted = {result["id"] for result in theirs["results"]}
    found = {result["id"] for result in ours["results"]}
    return len(wanted - found) / max(1, len(wanted))


def figures(measured: Measured, params: Params) -> Iterator[Figure]:
    """Yield the other promises: how soon many documents can be searched, and the parts' figures."""
    seconds = measured.cold_starts[INDEX.format(MOST)]
    yield Figure(
        f"first answer of a process with {MOST:,} documents",
        f"within {COLD_START_SECONDS} s",
        f"after {seconds:.2f} s",
        seconds,
        seconds <= COLD_START_SECONDS,
    )
    for documents in large.SIZES:
        models = large.folder(documents, params) / MODELS
        yield from parts.index(models, queries(), params, SEARCH_TIMES if documents == MOST else 1)
    yield parts.embedding(large.folder(MOST, params) / MODELS, params)


RIVALS = Rivals(
    path="/search",
    bodies=bodies,
    others=rivals,
    goals=(
        Goal("p50", 1, None, at_most=15),
        Goal("rate", 8, BRUTE_FORCE.format(MOST), at_least=1.3, server=INDEX.format(MOST)),
    ),
    tolerance={"fp32": 0.5},  # the share of an answer that an index may miss; `parts` counts them
    difference=difference,
    figures=figures,
)
