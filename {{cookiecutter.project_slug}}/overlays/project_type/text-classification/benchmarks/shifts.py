"""What may happen to the texts that are sent, to see whether `monitor` notices."""

from collections.abc import Callable
from random import Random
from typing import Any

from {{ cookiecutter.package_name }}.data.prepare import read_split
from {{ cookiecutter.package_name }}.params import Params
from {{ cookiecutter.package_name }}.serving.predictor import Predictor

from .text_shifts import another_subject, two_in_one


def inputs(params: Params) -> list[str]:
    """Return the texts of the validation set."""
    return read_split("valid")["text"].tolist()


def answers(predictor: Predictor, texts: list[str]) -> list[dict[str, Any]]:
    """Return what the model says of each text."""
    return predictor.answer(predictor.prepare(texts))


def typing_errors(texts: list[str], random: Random) -> list[str]:
    """Swap two letters in every third word."""

    def typed(word: str) -> str:
        if len(word) < 4 or random.random() > 1 / 3:
            return word
        place = random.randrange(len(word) - 2)
        return word[:place] + word[place + 1] + word[place] + word[place + 2 :]

    return [" ".join(map(typed, text.split())) for text in texts]


SHIFTS: dict[str, Callable[[list[str], Random], list[str]]] = {
    "half is about another subject": another_subject,
    "two texts in one": two_in_one,
    "typing errors in every third word": typing_errors,
}
