"""What `pyproject.toml` says of this project, as installed."""

import importlib.metadata as installed


def about_project() -> installed.PackageMetadata:
    """Return Name, Version and Summary (the problem); `make setup` brings them up to date."""
    package = __package__.partition(".")[0]
    try:
        return installed.metadata(package)
    except installed.PackageNotFoundError:  # named otherwise than the package: a slower search
        return installed.metadata(installed.packages_distributions()[package][0])
