"""What `pyproject.toml` says of this project, as installed."""

from importlib.metadata import Distribution, distribution, packages_distributions
from typing import NamedTuple


class About(NamedTuple):
    name: str
    version: str
    problem: str


def about_project() -> About:
    """Return name, version and problem; edit them in `pyproject.toml`, then `make setup`."""
    package = __package__.partition(".")[0]
    installed: Distribution = distribution(packages_distributions()[package][0])
    return About(installed.name, installed.version, installed.metadata["Summary"])
