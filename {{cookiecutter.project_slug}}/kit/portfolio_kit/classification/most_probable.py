"""Answers with the most probable labels only: with many classes most probabilities say nothing."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field


def _whole(given: Any) -> Any:
    """Return 3 for 3.0, which is an integer in JSON, too; anything else as it is."""
    return int(given) if isinstance(given, float) and given.is_integer() else given


TopK = Annotated[
    Annotated[int, Field(strict=True, ge=1), BeforeValidator(_whole)] | None,
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
