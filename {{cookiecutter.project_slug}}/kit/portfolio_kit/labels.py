"""The names of classes: one spelling for each; a number is not a name.

It imports no table library: `params.yaml` is read where only the API is installed.
"""

import numbers
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from . import records
from .adopting import Adopting, Asked, Option, Seen, words
from .config import ScoreTexts
from .data_section import code
from .errors import UserError
from .markdown import cell

if TYPE_CHECKING:
    from .scoring.inputs import Columns
    from .scoring.scorer import Scorer

MIN_ROWS = 3  # of a class: one each for train, valid and test
MAX_CLASSES = 1_000  # a column with more is not a label, and splitting by it takes all memory
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")
# Some programs read these as numbers, and some people as names.
NUMERIC = re.compile(rf"{NUMBER.pattern}(e[+-]?\d+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)
# What R, MySQL, Excel and pandas write for a missing value.
MISSING = {"na", "n/a", "#n/a", "nan", "<na>", "nat", "null", "\\n", "none", "nil", "-", "?"}
# Soft hyphens, and what has no width: spaces, joiners of words, marks of byte order and direction.
INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200e\u200f\u2060\ufeff"))
SHOWN = 3


@lru_cache(10_000)
def tidy(name: str) -> str:
    """Return a name as people see it: composed characters (NFC), single blanks, none outside."""
    return " ".join(unicodedata.normalize("NFC", name.translate(INVISIBLE)).split())


def text_of(value: Any) -> str | None:
    """Return text, a number or a boolean as the text of a label, and None for anything else."""
    if isinstance(value, str):
        return tidy(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # integers with gaps between them are read as floats
    return str(value) if isinstance(value, numbers.Real) and value == value else None


def _listed(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - SHOWN:,} more" if len(labels) > SHOWN else ""
    return ", ".join(f"{label!r:.40}" for label in labels[:SHOWN]) + more


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("put quotes around a name that YAML takes for true or false")
    return value


Label = Annotated[str, BeforeValidator(lambda value: text_of(value) or value)]
Name = Annotated[str, BeforeValidator(_no_boolean), AfterValidator(tidy), Field(min_length=1)]
Names = dict[Label, Name]  # by the label that is in the file


def named(values: Sequence[Any], names: Names | None, must_occur: bool) -> list[Any]:
    """Return tidy labels, renamed by `names`; other values without a name stay as they are.

    Raises `UserError` if labels `must_occur`, and one in `names` does not.
    """
    new, texts = names or {}, [*map(text_of, values)]
    labels = dict.fromkeys(text for text in texts if text is not None)
    strange = [label for label in new if label not in labels]
    if must_occur and strange:
        raise UserError(
            f"data.label_names: no label is {strange[0]!r:.40}; labels are {_listed([*labels])} "
            "(write yes, no and numbers with zeros in front in quotes)"
        )
    return [
        new.get(text, text if isinstance(value, str) else value) if text is not None else value
        for text, value in zip(texts, values, strict=True)
    ]


def are_numbers(labels: Sequence[Any], names: Names | None) -> list[bool]:
    """Tell which labels are numbers or booleans, unless `names` says that they are names.

    nan, Infinity and 4e5 are numbers if all others are, too: next to names they are names.
    """
    given = {*(names or {}).values()}
    texts = [(text_of(label), isinstance(label, str)) for label in labels]
    among_names = any(is_text and not NUMERIC.fullmatch(text or "") for text, is_text in {*texts})
    pattern = NUMBER if among_names else NUMERIC
    return [
        text is not None and not (is_text and (text in given or not pattern.fullmatch(text)))
        for text, is_text in texts
    ]


def no_name(labels: Sequence[Any]) -> str:
    """Return what is wrong with labels that are numbers or booleans, and the fix."""
    kind = "a boolean" if all(isinstance(label, bool) for label in labels) else "a number"
    texts = list(dict.fromkeys(map(text_of, labels)))
    shown = ", ".join(f'"{text:.20}": NAME' for text in texts[:SHOWN])
    more = ", ..." if len(texts) > SHOWN else ""
    return f"{kind}, not a name; name each in params.yaml: data.label_names: {{{shown}{more}}}"


class Dataset(records.Dataset):
    """The manifest of `data/processed/`: texts with labels."""

    classes: dict[str, int]  # rows of the training set, by class

    def contents(self) -> dict[str, str]:
        """Return how many classes there are, and how even they are."""
        (least, fewest), *_, (most, largest) = sorted(self.classes.items(), key=lambda one: one[1])
        uneven = (
            f"from {largest:,} training texts ({cell(most)}) down to {fewest:,} ({cell(least)})"
        )
        return {"Classes": f"{len(self.classes):,}, {uneven}"}

    def how_split(self) -> str:
        """Return how rows were drawn, and what must not straddle the split."""
        group = self.settings.get("group_column")
        what = "validation" if self.test_source else "validation and test"
        apart = f"; all rows with the same {code(group)} are on one side" if group else ""
        return f"{what} at random with seed {self.seed}, each class in proportion{apart}"


def _count(rows: int) -> str:
    return f"{rows:,} row{'s' * (rows != 1)}"


def report(values: Sequence[Any], names: Names | None, where: str) -> None:
    """Print what to know of the labels in a file: which were joined, and which look doubtful."""
    for note in _notes([value for value in values if isinstance(value, str)], names or {}):
        print(f"note: {where}: {note:.400}")


def _notes(values: list[str], names: Names) -> Iterator[str]:
    rows, forms = Counter(map(tidy, values)), defaultdict[str, set[str]](set)
    changed = Counter(tidy(value) for value in values if tidy(value) != value)
    for value in values:
        forms[tidy(value)].add(value)
    joined = [label for label, found in forms.items() if len(found) > 1]
    if joined:
        shown = ", ".join(f"{_count(changed[label])} into {label!r:.40}" for label in joined)
        yield f"labels that differ only in blanks or Unicode form were joined: {shown}"
    undecided = sorted(rows.keys() - names)
    for label in undecided:
        if label.casefold() in MISSING:
            seen = f"{label!r} looks like a missing value, and is a class of {_count(rows[label])}"
            yield f"{seen}; remove them if they have no label"
    alike = defaultdict[str, list[str]](list)
    for label in undecided:
        alike[unicodedata.normalize("NFKC", label).casefold()].append(label)
    for group in [group for group in alike.values() if len(group) > 1][:SHOWN]:
        shown = " and ".join(f"{label!r:.40} ({_count(rows[label])})" for label in group)
        join = f'data.label_names: {{"{group[0]:.40}": "{group[1]:.40}"}}'
        yield f"{shown} differ only in case or width, but stay separate; {join} joins them"


class Score(ScoreTexts):
    probabilities: bool = False  # of every class

    def scorer(self, model: Any, columns: "Columns", params: Any) -> "Scorer":
        """Return what labels the texts of a column."""
        from .classification.scoring import TextScorer

        return TextScorer(model, columns, self, params.data.text_column)


def _look(asked: Asked) -> Seen:
    from .labelled import look

    return look(asked)


ADOPTING = Adopting(
    options=(
        Option("data.text_column", "the column of the texts"),
        Option("data.label_column", "the column of their classes"),
        Option("data.label_names", "names of labels: 0=negative 1=positive", words, many=True),
        Option("data.group_column", "the column whose values must not straddle the split"),
        Option("data.test_source", "an official held-out file"),
    ),
    neutral={
        "data.label_names": None,
        "data.group_column": None,
        "data.test_source": None,
        "data.test_sha256": None,
    },
    look=_look,
)
