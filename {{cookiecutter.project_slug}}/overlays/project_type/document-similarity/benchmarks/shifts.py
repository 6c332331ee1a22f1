"""What may happen to the queries that are sent, to see whether `monitor` notices."""

import re
from collections.abc import Callable
from pydoc_data.topics import topics
from random import Random
from typing import Any

from {{ cookiecutter.package_name }}.params import Params
from {{ cookiecutter.package_name }}.serving.predictor import Predictor

from . import rivals

SENTENCE = re.compile(r"(?<=[.!?])\s+")


def inputs(params: Params) -> list[str]:
    """Return the queries of the validation set."""
    return rivals.queries()


def answers(predictor: Predictor, queries: list[str]) -> list[list[dict[str, Any]]]:
    """Return what is found for each query."""
    return [answer["results"] for answer in predictor.predict(queries)]


def another_subject(queries: list[str], random: Random) -> list[str]:
    """Replace half of the queries by sentences of Python's reference."""
    sentences = [
        " ".join(sentence.split())
        for topic in topics.values()
        for sentence in SENTENCE.split(topic)
        if 40 < len(sentence) < 300
    ]
    return [random.choice(sentences) if random.random() < 0.5 else query for query in queries]


def two_in_one(queries: list[str], random: Random) -> list[str]:
    """Put another query behind each."""
    return [f"{query} {random.choice(queries)}" for query in queries]


def keywords(queries: list[str], random: Random) -> list[str]:
    """Keep the two longest words, as people do who are used to searching for words."""
    return [" ".join(sorted(query.split(), key=len)[-2:]) for query in queries]


SHIFTS: dict[str, Callable[[list[str], Random], list[str]]] = {
    "half is about another subject": another_subject,
    "two queries in one": two_in_one,
    "two keywords instead of a sentence": keywords,
}
