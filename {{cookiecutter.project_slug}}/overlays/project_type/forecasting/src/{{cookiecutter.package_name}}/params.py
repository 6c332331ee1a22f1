"""The keys of `params.yaml`, their types and bounds; what has a default here may be left out."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .config import MOST, Monitor, Place, Section, Serve, Threads, Tracking

MAX_STEPS = 1_000_000  # a year has 525,600 minutes
Season = Annotated[int, Field(ge=2, le=MAX_STEPS)]
Fraction = Annotated[float, Field(gt=0, le=1 / 3)]
Share = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(gt=0, le=1)]


class Data(Section):
    source: Place
    sha256: str | None = None
    id_column: str | None = None
    time_column: str
    target_column: str
    future_columns: Annotated[list[str], Field(default_factory=list)]
    past_columns: Annotated[list[str], Field(default_factory=list)]
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


class Evaluate(Section):
    step_size: Annotated[int, Field(ge=1, le=MAX_STEPS)]
    bootstrap_samples: Annotated[int, Field(ge=100, le=100_000)]


class Params(Section):
    data: Data
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    horizon: Annotated[int, Field(ge=1, le=1_000)]
    season_lengths: Annotated[list[Season], Field(min_length=1, max_length=4)]
    model: Model
    train: Train
    evaluate: Evaluate
    tracking: Tracking
    serve: Serve
    monitor: Monitor
