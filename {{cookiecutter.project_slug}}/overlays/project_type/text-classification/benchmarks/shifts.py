"""Checks that `monitor` notices changed texts: python -m benchmarks.shifts, in about a minute."""

import sys
from random import Random
from typing import Any

from portfolio_kit.bench import drift

from {{ cookiecutter.package_name }}.data.prepare import read_split
from {{ cookiecutter.package_name }}.params import Params
from {{ cookiecutter.package_name }}.predictor import Predictor
from {{ cookiecutter.package_name }}.project import PROJECT

from .text_shifts import another_subject, two_in_one


def inputs(params: Params) -> list[str]:
    """Return the texts of the validation set."""
    return read_split("valid")["text"].tolist()


def answers(predictor: Predictor, texts: list[str]) -> list[dict[str, Any]]:
    """Return the model's answer to each text."""
    return predictor.answer(predictor.prepare(texts))


def typing_errors(texts: list[str], random: Random) -> list[str]:
    """Swap two letters in every third word."""

    def typed(word: str) -> str:
        if len(word) < 4 or random.random() > 1 / 3:
            return word
        place = random.randrange(len(word) - 2)
        return word[:place] + word[place + 1] + word[place] + word[place + 2 :]

    return [" ".join(map(typed, text.split())) for text in texts]


SHIFTS = {
    "half is about another subject": another_subject,
    "two texts in one": two_in_one,
    "typing errors in every third word": typing_errors,
}

if __name__ == "__main__":
    sys.exit(drift.bench(PROJECT, inputs, answers, SHIFTS))
