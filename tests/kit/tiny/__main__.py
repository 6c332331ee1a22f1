"""The command line: `python -m tiny VERB`."""

import sys

from portfolio_kit.cli import main

from .project import PROJECT

if __name__ == "__main__":
    sys.exit(main(PROJECT))
