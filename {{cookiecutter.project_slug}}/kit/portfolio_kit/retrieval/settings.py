"""The sections of `params.yaml` that a search needs; a project's `Params` names them."""

from typing import Annotated, Literal, get_args

from pydantic import Field

from ..adopting import Adopting, Asked, Option, Seen
from ..config import MOST, Place, Section, Serve

Mode = Literal["dense", "bm25", "hybrid"]
MODES: tuple[Mode, ...] = get_args(Mode)
EncoderName = Literal["fine_tuned", "pretrained"]
# Languages with both a stemmer and a list of stop words.
Language = Literal[
    "english",
    "dutch",
    "french",
    "german",
    "italian",
    "norwegian",
    "portuguese",
    "russian",
    "spanish",
    "swedish",
    "turkish",
]


class Index(Section):
    """How the passages' vectors are indexed."""

    exact_below: Annotated[int, Field(ge=0, le=MOST)]
    storage: Literal["f16", "i8"]
    connectivity: Annotated[int, Field(ge=2, le=256)]
    expansion_add: Annotated[int, Field(ge=1, le=10_000)]
    expansion_search: Annotated[int, Field(ge=1, le=10_000)]
    qdrant_url: str | None = None


class Serving(Serve):
    """What the API of a search adds to every API's settings."""

    retrieval: Mode | None
    exact: bool
    changes: Place | None
    max_changes: Annotated[int, Field(ge=1, le=MOST)]
    max_changes_megabytes: Annotated[int, Field(ge=1, le=MOST)]


def _look(asked: Asked) -> Seen:
    from .adopt import look

    return look(asked)


ADOPTING = Adopting(
    options=(Option("data.language", "of the documents, for stop words and word endings"),),
    neutral={},
    look=_look,
)
