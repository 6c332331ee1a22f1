"""What `pyproject.toml` says of this project, as installed."""

from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from typing import NamedTuple


class About(NamedTuple):
    name: str
    version: str
    problem: str


def about_project() -> About:
    """Return name, version and problem; edit them in `pyproject.toml`, then `make setup`."""
    package = __package__.partition(".")[0]
    try:
        installed = distribution(package)
    except PackageNotFoundError:  # the project's name is not the package's: a slower search
        installed = distribution(packages_distributions()[package][0])
    return About(installed.name, installed.version, installed.metadata["Summary"])
