"""Kills the API while documents are written: python -m benchmarks.kills, in about a minute.

Exits with code 1 if an acknowledged change is gone after the last start.
"""

import sys

from portfolio_kit.retrieval import kills

from {{ cookiecutter.package_name }}.project import PROJECT

if __name__ == "__main__":
    sys.exit(kills.bench(PROJECT.package))
