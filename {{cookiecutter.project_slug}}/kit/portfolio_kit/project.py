"""What a project tells the machinery about itself: the one door between the two.

Functions import on use, so `serve` runs where no training library is installed.
"""

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .config import Settings
from .records import Dataset, Manifest, Metrics

if TYPE_CHECKING:
    from fastapi import APIRouter

    from .bench.rivals import Rivals
    from .monitoring.verdict import Quality
    from .serving.model import OnnxModel


class Observation(NamedTuple):
    """What the prediction log keeps of one answer."""

    input: Any  # what was asked; dropped when redacted
    answer: Any  # enough to tell later whether it was right
    signals: dict[str, float | str]  # what `monitor` compares with the training data


Observe = Callable[[Any, Any], Observation]  # an input and the model's answer to it


@dataclass(frozen=True)
class Serving:
    """What the API serves."""

    predictor: "type[OnnxModel[Any]]"
    router: "APIRouter"
    signals: "Callable[[Any], Observe]"  # takes the loaded predictor
    page: Path  # a folder with index.html and what it loads


@dataclass(frozen=True)
class Reporting:
    """What the README and the model card say that depends on the project."""

    dataset: type[Dataset]
    manifest: type[Manifest]
    metrics: type[Metrics]
    rows: str  # what the splits hold, such as "texts"
    # The deciding metric in words, with a format: "Macro-F1 {:.3f}"; by metric, if one is chosen.
    score: str | dict[str, str]
    captions: dict[str, str]  # by file in reports/figures/, the most telling first
    highlights: Callable[[Any], str]  # metrics to a paragraph
    model_card: Callable[[Any, Any], list[str]]  # metrics and manifest to Markdown sections
    # Texts to ask about, and the manifest, to the path and body of a request.
    request: Callable[[list[str], Any], dict[str, Any]]
    scored: Callable[[Any], str] | None = None  # metrics to what was scored, if it is not rows
    more: str = ""  # what else the model card or a report shows


@dataclass(frozen=True)
class Project:
    """An author's package, described."""

    package: str
    params: type[Settings]
    data: Callable[[Any], None]
    train: Callable[[Any], None]
    evaluate: Callable[[Any], None]
    serving: Callable[[], Serving]
    reporting: Callable[[], Reporting]
    # answers, the labels file, the held-out metrics, the parameters
    quality: "Callable[[list[dict[str, Any]], str, Any, Any], Quality]"
    rivals: "Callable[[], Rivals]"

    @property
    def about(self) -> importlib.metadata.PackageMetadata:
        """Return Name, Version and Summary (the problem), which `make setup` updates."""
        try:
            return importlib.metadata.metadata(self.package)
        except importlib.metadata.PackageNotFoundError:  # the distribution has another name
            names = importlib.metadata.packages_distributions()[self.package]
            return importlib.metadata.metadata(names[0])
