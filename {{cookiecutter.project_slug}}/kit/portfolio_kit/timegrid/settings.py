"""What describes series in `params.yaml`; it imports no table library, as the API reads it too."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from .. import config
from ..adopting import Adopting, Asked, Option, Seen
from ..errors import UserError

if TYPE_CHECKING:
    from ..scoring.inputs import Columns
    from ..scoring.scorer import Scorer


class Score(config.Score):
    """How files of series are scored."""

    shard_rows: Annotated[int, Field(ge=1, le=config.MOST)] = 100_000

    def scorer(self, model: Any, columns: "Columns", params: Any) -> "Scorer":
        """Return what forecasts whole series."""
        from .scoring import SeriesScorer

        return SeriesScorer(model, columns, params)


def number(typed: str) -> int:
    """Return a whole number; raises `UserError` for anything else."""
    try:
        return int(typed)
    except ValueError:
        raise UserError(f"{typed!r:.40} is not a whole number of steps") from None


def _look(asked: Asked) -> Seen:
    from .adopt import look

    return look(asked)


def _numbers(typed: list[str]) -> list[int]:
    return [number(one) for one in typed]


NEUTRAL: dict[str, Any] = {
    "data.future_columns": [],
    "data.past_columns": [],
    "data.past_delay": 0,
    "data.timezone": None,
    "data.holidays": None,
    "data.gaps": "error",
    "data.positive": False,
    "serve.total": False,
}
ADOPTING = Adopting(
    options=(
        Option("data.id_column", "the column that names the series, if there are several"),
        Option("data.time_column", "the column of times"),
        Option("data.target_column", "the column of values to forecast"),
        Option("data.future_columns", "columns that are known in advance", many=True),
        Option("data.past_columns", "columns that are known only afterwards", many=True),
        Option("data.past_delay", "steps until those are known", number),
        Option("data.freq", "one step: 30min, h, D, W, or a whole number of them"),
        Option("data.timezone", "of local times without an offset, such as Europe/London"),
        Option("data.holidays", "a country, or country and part of it, such as US-DC"),
        Option("data.gaps", "what a missing value is: error, fill or mask"),
        Option("horizon", "steps to forecast", number),
        Option("season_lengths", "steps after which a pattern repeats", _numbers, many=True),
    ),
    neutral=NEUTRAL,
    look=_look,
)
