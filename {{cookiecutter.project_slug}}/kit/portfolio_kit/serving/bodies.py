"""What the bodies of all requests have in common."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("the text is blank")
    return text


# The pattern is for the API's documentation; what it calls a blank differs in places.
Text = Annotated[
    str,
    Field(min_length=1, max_length=10_000, json_schema_extra={"pattern": r"\S"}),
    AfterValidator(_not_blank),
]


class Body(BaseModel):
    """The body of a request; an unknown key may be a misspelled one, so it is a 422."""

    model_config = ConfigDict(extra="forbid")
