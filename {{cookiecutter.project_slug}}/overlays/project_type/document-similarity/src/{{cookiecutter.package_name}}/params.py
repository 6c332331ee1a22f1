"""The keys of `params.yaml`, their types and bounds; a key with a default here is optional."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from portfolio_kit.config import MOST, Fraction, Place, Rate, Section, Settings, Share, Threads
from portfolio_kit.retrieval.settings import ADOPTING, Index, Language, Serving


class Data(Section):
    source: Place
    sha256: str | None = None
    language: Language | None = None
    near_duplicate_similarity: Annotated[float, Field(ge=0.5, lt=1)] | None = 0.8
    valid_fraction: Fraction = 0.1
    test_fraction: Fraction = 0.2


class Model(Section):
    backbone: Place
    sha256: dict[str, str] | None
    max_tokens: Annotated[int, Field(ge=32, le=512)]
    overlap_tokens: Annotated[int, Field(ge=0, le=MOST)]

    @model_validator(mode="after")
    def _passages_advance(self) -> "Model":
        if self.overlap_tokens > self.max_tokens // 2:
            raise ValueError("overlap_tokens is more than half of max_tokens; make it smaller")
        return self


class Train(Section):
    epochs: Annotated[int, Field(ge=1, le=1000)]
    batch_size: Annotated[int, Field(ge=2, le=4096)]
    hard_negatives: Annotated[int, Field(ge=0, le=4096)]
    passage_tokens: Annotated[int, Field(ge=16, le=512)]
    learning_rate: Rate
    temperature: Annotated[float, Field(gt=0, le=1)]
    warmup_fraction: Share
    weight_decay: Share
    freeze_layers: Annotated[int, Field(ge=0, le=MOST)]
    patience: Annotated[int, Field(ge=1, le=MOST)]
    threads: Threads
    precision: Literal["auto", "fp32", "bf16"]
    checkpoint_steps: Annotated[int, Field(ge=1, le=MOST)]


class Params(Settings):
    adopting = ADOPTING
    data: Data
    model: Model
    train: Train
    index: Index
    serve: Serving
