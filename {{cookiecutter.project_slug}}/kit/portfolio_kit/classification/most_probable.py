"""Answers with the most probable labels only: with many classes most probabilities say nothing."""

from typing import Annotated, Any

from fastapi import HTTPException
from pydantic import Field

TopK = Annotated[
    Annotated[int, Field(strict=True, ge=1)] | None,
    Field(description="How many labels, the most probable first; at most as many as there are."),
]


def check_top_k(top_k: int | None, classes: int) -> None:
    """Answer 422 to a request for more labels than the model has."""
    if top_k is not None and top_k > classes:
        message = f"Input should be at most {classes:,}, the number of labels"
        raise HTTPException(422, [{"loc": ["body", "top_k"], "msg": message}])


def most_probable(answers: list[Any], top_k: int | None) -> list[Any]:
    """Return answers with only the `top_k` most probable labels, or as they are for None."""
    if top_k is None:
        return answers
    ranked = [sorted(one["probabilities"].items(), key=lambda pair: -pair[1]) for one in answers]
    return [
        {**one, "probabilities": dict(pairs[:top_k])}
        for one, pairs in zip(answers, ranked, strict=True)
    ]
