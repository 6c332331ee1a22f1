"""What tests make up for the tiny project."""

from portfolio_kit.records import Dataset, Evaluated, Metrics, Versus

from .predictor import Manifest

VERSION = "0123456789ab"
README = "".join(
    f"<!-- {name}:start -->\nold\n<!-- {name}:end -->\n"
    for name in ("headline", "results", "data", "request")
)


def texts(count: int) -> str:
    """Return a CSV file of texts with 1 to 40 characters."""
    return "text\n" + "".join(f"{'a b c ' * 7:.{1 + n % 40}}\n" for n in range(count))


def metrics(**changes: object) -> Metrics:
    """Return results of a model that is better than its baselines."""
    made = Metrics(
        project_type="tiny",
        model_version=VERSION,
        data=Evaluated(sha256="d" * 64, rows={"train": 1400, "valid": 200, "test": 1200}),
        model={"accuracy": 0.91239, "error_rate": 0.08761},
        baselines={
            "the usual label": {"accuracy": 0.5, "error_rate": 0.5},
            "a guess": {"accuracy": 1 / 3},
        },
        intervals_95={"accuracy": [0.8811, 0.9409]},
        versus_best_baseline=Versus(
            baseline="the usual label",
            metric="accuracy",
            difference=0.41239,
            interval_95=[0.3512, 0.4777],
        ),
        train_seconds=61.4,
        peak_memory_mb=1234.5,
    )
    return made.model_copy(update=changes)


def dataset() -> Dataset:
    """Return what `data` writes of 2,800 texts."""
    return Dataset(
        source="texts.csv",
        sha256="d" * 64,
        seed=13,
        rows=metrics().data.rows,
        dropped={"too_odd": 1234},
    )


def manifest() -> Manifest:
    """Return what `train` writes of the model with those results."""
    return Manifest(
        project_type="tiny",
        version=VERSION,
        precision="fp32",
        data_sha256="d" * 64,
        splits={},
        validation={"epoch": 2, "loss": 0.31},
        max_difference=0.0,
        train_seconds=61.4,
        peak_memory_mb=1234.5,
        tracking_run=None,
        labels=["short", "long"],
    )
