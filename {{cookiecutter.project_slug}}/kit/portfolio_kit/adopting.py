"""What `adopt` needs to know of a project's type: what describes its data, and how to read it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .errors import UserError


@dataclass(frozen=True)
class Option:
    """A key of `params.yaml` that `adopt` takes on the command line."""

    key: str
    help: str
    read: Callable[[Any], Any] = lambda typed: typed  # what was typed as a value
    many: bool = False  # several words: `read` takes a list

    @property
    def flag(self) -> str:
        """Return the option's name, such as --text-column for data.text_column."""
        return "--" + self.key.rpartition(".")[2].replace("_", "-")


class Asked(NamedTuple):
    """What is to be adopted."""

    source: str
    known: dict[str, Any]  # by key: what was given and, for the same source, what the file says
    now: dict[str, Any]  # by key: what the file says


class Seen(NamedTuple):
    """What a data set holds."""

    sha256: str
    values: dict[str, Any]  # by key: what describes it
    lines: list[str]  # to show
    undecided: Sequence[str] = ()  # what the author should check or decide


@dataclass(frozen=True)
class Adopting:
    """How a type of project adopts a data set."""

    options: tuple[Option, ...]
    neutral: Mapping[str, Any]  # by key: what holds for data of which nothing else is known
    look: Callable[[Asked], Seen]


def words(typed: list[str]) -> dict[str, str]:
    """Return what was typed as KEY=VALUE, several times."""
    pairs = [one.partition("=") for one in typed]
    for key, equals, value in pairs:
        if not (key and equals and value):
            raise UserError(f"{key!r}: write it as LABEL=NAME, for example 0=negative 1=positive")
    return {key: value for key, _, value in pairs}
