"""What may happen to the queries that are sent, to see whether `monitor` notices."""

from collections.abc import Callable
from random import Random
from typing import Any

from {{ cookiecutter.package_name }}.params import Params
from {{ cookiecutter.package_name }}.serving.predictor import Predictor

from . import rivals
from .text_shifts import another_subject, two_in_one


def inputs(params: Params) -> list[str]:
    """Return the queries of the validation set."""
    return rivals.queries()


def answers(predictor: Predictor, queries: list[str]) -> list[list[dict[str, Any]]]:
    """Return what is found for each query."""
    return [answer["results"] for answer in predictor.predict(queries)]


def keywords(queries: list[str], random: Random) -> list[str]:
    """Keep the two longest words, as people do who are used to searching for words."""
    return [" ".join(sorted(query.split(), key=len)[-2:]) for query in queries]


SHIFTS: dict[str, Callable[[list[str], Random], list[str]]] = {
    "half is about another subject": another_subject,
    "two queries in one": two_in_one,
    "two keywords instead of a sentence": keywords,
}
