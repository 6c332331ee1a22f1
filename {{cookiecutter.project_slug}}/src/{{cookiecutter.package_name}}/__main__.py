"""The command line: `python -m PACKAGE VERB`."""

import sys
from functools import partial

from portfolio_kit.cli import main

from .project import PROJECT

run = partial(main, PROJECT)  # returns the exit code

if __name__ == "__main__":
    sys.exit(run())
