"""Checks that `monitor` notices changed queries: python -m benchmarks.shifts, in about a minute."""

import sys
from random import Random
from typing import Any

from portfolio_kit.bench import drift

from {{ cookiecutter.package_name }}.params import Params
from {{ cookiecutter.package_name }}.predictor import Predictor
from {{ cookiecutter.package_name }}.project import PROJECT

from . import rivals
from .text_shifts import another_subject, two_in_one


def inputs(params: Params) -> list[str]:
    """Return the queries of the validation set."""
    return rivals.queries()


def answers(predictor: Predictor, queries: list[str]) -> list[list[dict[str, Any]]]:
    """Return what is found for each query."""
    return [answer["results"] for answer in predictor.predict(queries)]


def keywords(queries: list[str], random: Random) -> list[str]:
    """Keep the two longest words, as people do who are used to keyword search."""
    return [" ".join(sorted(query.split(), key=len)[-2:]) for query in queries]


SHIFTS = {
    "half is about another subject": another_subject,
    "two queries in one": two_in_one,
    "two keywords instead of a sentence": keywords,
}

if __name__ == "__main__":
    sys.exit(drift.bench(PROJECT, inputs, answers, SHIFTS))
