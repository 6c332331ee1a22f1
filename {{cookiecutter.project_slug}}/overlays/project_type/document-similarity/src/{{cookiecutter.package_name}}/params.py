"""The keys of `params.yaml`, their types and bounds; what has a default here may be left out."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .config import MOST, Monitor, Place, Section, Serve, Threads, Tracking

Fraction = Annotated[float, Field(gt=0, le=1 / 3)]
Share = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(gt=0, le=1)]
Mode = Literal["dense", "bm25", "hybrid"]
# Those with both a stemmer and a list of stop words.
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


class Data(Section):
    source: Place
    sha256: str | None = None
    language: Language | None = None
    near_duplicate_similarity: Annotated[float, Field(ge=0.5, lt=1)] | None = 0.8
    valid_fraction: Fraction = 0.1
    test_fraction: Fraction = 0.2


class Model(Section):
    backbone: Place
    sha256: str | None
    max_tokens: Annotated[int, Field(ge=32, le=512)]
    overlap_tokens: Annotated[int, Field(ge=0, le=MOST)]

    @model_validator(mode="after")
    def _passages_move_on(self) -> "Model":
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


class Index(Section):
    exact_below: Annotated[int, Field(ge=0, le=MOST)]
    storage: Literal["f16", "i8"]
    connectivity: Annotated[int, Field(ge=2, le=256)]
    expansion_add: Annotated[int, Field(ge=1, le=10_000)]
    expansion_search: Annotated[int, Field(ge=1, le=10_000)]
    qdrant_url: str | None = None


class Evaluate(Section):
    bootstrap_samples: Annotated[int, Field(ge=100, le=100_000)]


class Serving(Serve):
    retrieval: Mode | None
    exact: bool
    changes: Place | None


class Params(Section):
    data: Data
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    model: Model
    train: Train
    index: Index
    evaluate: Evaluate
    tracking: Tracking
    serve: Serving
    monitor: Monitor
