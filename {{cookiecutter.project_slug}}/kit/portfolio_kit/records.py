"""The JSON files that stages hand to each other, as types."""

from collections.abc import Iterable
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field

from . import examples

Interval = Annotated[list[float], Field(min_length=2, max_length=2)]


class Record(BaseModel):
    """A file with known keys; anything else was written by another version of the code."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Listed(Record):
    """The manifest of a folder; it is written last, so its files are whole."""

    files: dict[str, str] = {}  # name to SHA-256


class Dataset(Listed):
    """`data/processed/manifest.json`: what was split, and how."""

    source: str
    sha256: str
    seed: int
    rows: dict[str, int]  # by split
    dropped: dict[str, int]  # by reason
    test_source: str | None = None  # an official test file, used as it is
    test_sha256: str | None = None
    settings: dict[str, Any] = {}  # the parameters `data`, without pinned hashes
    examples: list[str] = []  # training texts that show what to ask

    @classmethod
    def of(cls, params: Any, /, texts: Iterable[tuple[str, str]] = (), **found: Any) -> Self:
        """Join what the data stage found with its parameters.

        `texts` are training texts with their kinds, from which examples are chosen.
        """
        settings = params.data.model_dump(mode="json", exclude={"sha256", "test_sha256"})
        return cls(
            source=params.data.source,
            seed=params.seed,
            test_source=settings.get("test_source"),
            settings=settings,
            examples=examples.choose(texts),
            **found,
        )

    def contents(self) -> dict[str, str]:
        """Return what else README and model card say of what is in the data, by name."""
        return {}

    def how_split(self) -> str:
        """Return how rows were divided, in words."""
        return f"at random, with seed {self.seed}"


class Manifest(Listed):
    """`models/manifest.json`: the exported model and where it came from."""

    project_type: str
    version: str  # the first digits of the model file's SHA-256
    precision: str  # of its weights: fp32 or int8
    data_sha256: str
    splits: dict[str, str]  # `files` of the dataset
    trained_on: list[str] = ["train"]  # of its splits
    validation: dict[str, int | float]  # the scores of the best epoch, and its number
    max_difference: float  # between the exported model's outputs and torch's
    train_seconds: float
    peak_memory_mb: float
    tracking_run: str | None
    examples: list[str] = []  # texts of the training data, shown on the page


class Versus(Record):
    """A paired comparison: above zero the model is better, whichever way the metric points.

    Without an interval there were too few forecasts to say whether the difference is chance.
    """

    baseline: str
    metric: str
    difference: float
    interval_95: Interval | None


class Evaluated(Record):
    """The data behind the metrics."""

    sha256: str
    rows: dict[str, int]
    test_source: str | None = None  # None if the test set was split from the source
    test_sha256: str | None = None


class Metrics(Record):
    """`reports/metrics.json`: the source of every number in the README."""

    project_type: str
    model_version: str
    data: Evaluated
    model: dict[str, float]
    baselines: dict[str, dict[str, float]]
    intervals_95: dict[str, Interval]  # without those that cannot be estimated
    versus_best_baseline: Versus | None
    not_measured: str | None = None  # why there is no comparison
    not_drawn: list[str] = []  # figures that the data does not allow
    trained_on: list[str] = ["train"]  # splits
    marks: dict[str, str] = {}  # letters that no font has, by what the figures show instead
    train_seconds: float
    peak_memory_mb: float

    @classmethod
    def of(cls, manifest: Manifest, dataset: Dataset, /, **scores: Any) -> Self:
        """Join what was measured with what the two manifests know."""
        return cls(
            project_type=manifest.project_type,
            model_version=manifest.version,
            trained_on=manifest.trained_on,
            data=Evaluated(**{name: getattr(dataset, name) for name in Evaluated.model_fields}),
            train_seconds=manifest.train_seconds,
            peak_memory_mb=manifest.peak_memory_mb,
            **scores,
        )
