"""The keys of `params.yaml`, their types and bounds; what has a default here may be left out."""

from typing import Annotated, Literal

from pydantic import Field

from .config import MOST, Monitor, Place, Section, Serve, Threads, Tracking

Fraction = Annotated[float, Field(gt=0, le=1 / 3)]
Share = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(gt=0, le=1)]


class Data(Section):
    source: Place
    sha256: str | None = None
    text_column: str
    label_column: str
    group_column: str | None = None
    test_source: Place | None = None
    test_sha256: str | None = None
    near_duplicate_similarity: Annotated[float, Field(ge=0.5, lt=1)] | None = 0.8
    valid_fraction: Fraction = 0.1
    test_fraction: Fraction = 0.2


class Model(Section):
    backbone: Place
    sha256: str | None
    max_tokens: Annotated[int, Field(ge=8, le=512)]


class Train(Section):
    epochs: Annotated[int, Field(ge=1, le=1000)]
    batch_size: Annotated[int, Field(ge=1, le=4096)]
    learning_rate: Rate
    head_learning_rate: Rate
    warmup_fraction: Share
    weight_decay: Share
    dropout: Share
    label_smoothing: Share
    class_weight_power: Annotated[float, Field(ge=0, le=1)]
    freeze_layers: Annotated[int, Field(ge=0, le=MOST)]
    patience: Annotated[int, Field(ge=1, le=MOST)]
    threads: Threads
    precision: Literal["auto", "fp32", "bf16"]
    cache_frozen: bool
    checkpoint_steps: Annotated[int, Field(ge=1, le=MOST)]
    int8: bool
    review_precision: Annotated[float, Field(gt=0, lt=1)]


class Evaluate(Section):
    bootstrap_samples: Annotated[int, Field(ge=100, le=100_000)]


class Serving(Serve):
    review_below: Annotated[float, Field(ge=0, le=1)] | None


class Params(Section):
    data: Data
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    model: Model
    train: Train
    evaluate: Evaluate
    tracking: Tracking
    serve: Serving
    monitor: Monitor
