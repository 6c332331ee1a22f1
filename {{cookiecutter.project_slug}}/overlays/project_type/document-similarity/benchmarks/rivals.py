"""What this API is compared with, what is sent to all, and what the comparison should show."""

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from {{ cookiecutter.package_name }} import artifacts
from {{ cookiecutter.package_name }}.artifacts import MODELS, PROCESSED, read_manifest
from {{ cookiecutter.package_name }}.data.prepare import CORPUS, read_split
from {{ cookiecutter.package_name }}.params import Params
from {{ cookiecutter.package_name }}.retrieval.documents import Documents

from . import large, parts
from .results import Figure, Goal, Measured

PATH = "/search"
K = 10
INDEX, BRUTE_FORCE = "index, {:,} documents", "brute force, {:,} documents"
MOST = max(large.SIZES)
COLD_START_SECONDS = 3
SEARCH_TIMES = 0.1  # of brute force's, at most
GOALS = (
    Goal("p50", 1, None, at_most=15),
    Goal("rate", 8, BRUTE_FORCE.format(MOST), at_least=1.3, server=INDEX.format(MOST)),
)
TOLERANCE = {"fp32": 0.5}  # the share of an answer that an index may miss; how often, `parts` says


class Rival(NamedTuple):
    """Another way to answer the same requests; it reads PORT from the environment."""

    name: str
    about: str
    command: list[str]
    folder: Path


def bodies() -> list[str]:
    """Return requests of one query each."""
    return [json.dumps({"query": query, "k": K}) for query in queries()]


def queries() -> list[str]:
    """Return the queries of the validation set, as the test set stays closed.

    Where there are none, sentences of the documents take their place.
    """
    read_manifest(PROCESSED, made_by="data")
    found = read_split("valid")["query"].unique().tolist()
    return found or large.sentences(Documents(PROCESSED / CORPUS))


def rivals(params: Params, bench_python: Path) -> list[Rival]:
    """Return an index and brute force for each size; what they serve is made if it is not there."""
    mode = read_manifest(MODELS, made_by="train")["retrieval"]
    command = [sys.executable, "-m", artifacts.__package__, "serve", "--set"]
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
    """Yield what more is promised: how soon many documents can be searched, and of the parts."""
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
