"""The command line: `python -m PACKAGE VERB`."""

import sys

from portfolio_kit.cli import main

from .project import PROJECT


def run() -> int:
    """Run the verb that the arguments name and return its exit code."""
    return main(PROJECT)


if __name__ == "__main__":
    sys.exit(run())
