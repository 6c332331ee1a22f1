"""Parameters of every kind that projects use."""

from typing import Annotated, Any, Literal

from pydantic import Field

from portfolio_kit.config import Fraction, Place, Rate, ScoreTexts, Section, Serve, Settings, Share


class Data(Section):
    source: Place
    sha256: str | None = None
    text_column: str
    test_fraction: Fraction = 0.25


class Train(Section):
    epochs: Annotated[int, Field(ge=1, le=1000)]
    learning_rate: Rate
    warmup_fraction: Share
    patience: Annotated[int, Field(ge=1)]
    checkpoint_steps: Annotated[int, Field(ge=1)]
    precision: Literal["fp32", "int8"]


class Serving(Serve):
    seconds_per_text: Annotated[float, Field(ge=0, le=10)] = 0.0  # to act like a larger model


class Score(ScoreTexts):
    def scorer(self, model: Any, columns: Any, params: Any) -> Any:
        from .scoring import TinyScorer

        return TinyScorer(model, columns, params)


class Params(Settings):
    data: Data
    train: Train
    serve: Serving
    score: Score = Score()
