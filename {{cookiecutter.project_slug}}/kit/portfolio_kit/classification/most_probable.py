"""Answers with the most probable labels only: with many classes most probabilities say nothing."""

from typing import Annotated, Any

from pydantic import Field

TopK = Annotated[
    Annotated[int, Field(strict=True, ge=1)] | None,
    Field(description="How many labels, the most probable first; more than there are returns all."),
]


def most_probable(answers: list[Any], top_k: int | None) -> list[Any]:
    """Return answers with at most `top_k` labels, the most probable first; for None as they are."""
    if top_k is None:
        return answers
    ranked = [sorted(one["probabilities"].items(), key=lambda pair: -pair[1]) for one in answers]
    return [
        {**one, "probabilities": dict(pairs[:top_k])}
        for one, pairs in zip(answers, ranked, strict=True)
    ]
