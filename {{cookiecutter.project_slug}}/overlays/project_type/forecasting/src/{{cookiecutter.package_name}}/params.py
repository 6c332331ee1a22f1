"""The keys of `params.yaml`, their types and bounds; a key with a default here is optional."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from portfolio_kit import config
from portfolio_kit.config import MOST, Fraction, Place, Rate, Section, Settings, Share, Threads
from portfolio_kit.timegrid.serving import Serving
from portfolio_kit.timegrid.settings import ADOPTING, Score

MAX_STEPS = 1_000_000  # a year has 525,600 minutes
Columns = Annotated[list[str], Field(default_factory=list)]
Season = Annotated[int, Field(ge=2, le=MAX_STEPS)]


class Data(Section):
    source: Place
    sha256: str | None = None
    id_column: str | None = None
    time_column: str
    target_column: str
    future_columns: Columns
    past_columns: Columns
    past_delay: Annotated[int, Field(ge=0, le=MAX_STEPS)] = 0
    freq: str
    timezone: str | None = None
    holidays: str | None = None
    gaps: Literal["error", "fill", "mask"] = "error"
    positive: bool = False
    valid_fraction: Fraction = 0.1
    test_fraction: Fraction = 0.2

    @model_validator(mode="after")
    def _each_column_has_one_role(self) -> "Data":
        names = [self.id_column, self.time_column, self.target_column]
        names += [*self.future_columns, *self.past_columns]
        twice = {name for name in names if name is not None and names.count(name) > 1}
        if twice:
            raise ValueError(f"column {sorted(twice)[0]!r} has two roles; give it one")
        return self


class Model(Section):
    seasons: Annotated[int, Field(ge=1, le=52)]
    hidden: Annotated[int, Field(ge=1, le=4096)]
    members: Annotated[int, Field(ge=1, le=32)]


class Train(Section):
    epochs: Annotated[int, Field(ge=1, le=1000)]
    batch_size: Annotated[int, Field(ge=1, le=65_536)]
    learning_rate: Rate
    warmup_fraction: Share
    weight_decay: Annotated[float, Field(ge=0, le=10)]
    dropout: Share
    patience: Annotated[int, Field(ge=1, le=MOST)]
    threads: Threads
    checkpoint_steps: Annotated[int, Field(ge=1, le=MOST)]


class Evaluate(config.Evaluate):
    step_size: Annotated[int, Field(ge=1, le=MAX_STEPS)]
    metric: Literal["wape", "mase", "mae"] | None = None


class Params(Settings):
    adopting = ADOPTING
    data: Data
    horizon: Annotated[int, Field(ge=1, le=1_000)]
    season_lengths: Annotated[list[Season], Field(min_length=1, max_length=4)]
    model: Model
    train: Train
    evaluate: Evaluate
    serve: Serving
    score: Score = Score()
