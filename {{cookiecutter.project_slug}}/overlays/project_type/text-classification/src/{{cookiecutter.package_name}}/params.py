"""The keys of `params.yaml`, their types and bounds; a key with a default here is optional."""

from typing import Annotated, Literal

from pydantic import Field

from portfolio_kit.config import Fraction, Place, Rate, Section, Serve, Settings, Share, Threads
from portfolio_kit.labels import ADOPTING, Names


class Data(Section):
    source: Place
    sha256: str | None = None
    text_column: str
    label_column: str
    label_names: Names | None = None
    group_column: str | None = None
    test_source: Place | None = None
    test_sha256: str | None = None
    near_duplicate_similarity: Annotated[float, Field(ge=0.5, lt=1)] | None = 0.8
    valid_fraction: Fraction = 0.1
    test_fraction: Fraction = 0.2


class Model(Section):
    backbone: Place
    sha256: dict[str, str] | None
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
    freeze_layers: Annotated[int, Field(ge=0, le=1000)]
    patience: Annotated[int, Field(ge=1, le=1000)]
    threads: Threads
    precision: Literal["auto", "fp32", "bf16"]
    checkpoint_steps: Annotated[int, Field(ge=1, le=1_000_000)]
    refit: bool | Literal["auto"] = "auto"
    int8: bool
    review_precision: Annotated[float, Field(gt=0, lt=1)]


class Serving(Serve):
    review_below: Annotated[float, Field(ge=0, le=1)] | None


class Params(Settings):
    adopting = ADOPTING
    data: Data
    model: Model
    train: Train
    serve: Serving
