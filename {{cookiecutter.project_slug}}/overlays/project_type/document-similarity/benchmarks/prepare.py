"""Measures what many documents cost to prepare and to index: python -m benchmarks.prepare.

Runs `data` and `train` on 10,000 and 100,000 made-up documents, in about ten minutes on two cores;
`make bench` then reuses them. Without queries nothing is trained: most of the time goes into
embedding.
"""

import sys

from portfolio_kit import config
from portfolio_kit.artifacts import PROCESSED
from portfolio_kit.bench.measure import MAX_MEMORY_GB, MAX_TIMES

from {{ cookiecutter.package_name }}.data.prepare import CORPUS
from {{ cookiecutter.package_name }}.params import Params
from {{ cookiecutter.package_name }}.project import PROJECT

from . import large


def main() -> None:
    if not (PROCESSED / CORPUS).is_file():
        sys.exit(f"error: {PROCESSED / CORPUS}: missing; run `make data`")
    params = config.load(Params, PROJECT.package)
    costs = {}
    for documents in large.SIZES:
        costs[documents] = large.build(documents, params)
        for verb, (seconds, peak) in costs[documents].items():
            print(
                f"{documents:>9,} documents, {verb:5}: {seconds:6.1f} s, "
                f"{1e3 * seconds / documents:5.2f} ms per document; "
                f"peak memory {peak / 1e6:5,.0f} MB, {peak / documents:7,.0f} bytes per document",
                flush=True,
            )
    few, many = large.SIZES
    for verb in large.VERBS:
        (few_seconds, few_bytes), (seconds, peak) = costs[few][verb], costs[many][verb]
        times = seconds / many / (few_seconds / few)
        more = (peak - few_bytes) / (many - few)
        print(
            f"{verb}: {times:.2f} times the time per document of fewer (at most {MAX_TIMES}); "
            f"memory {peak / 1e9:.2f} GB (at most {MAX_MEMORY_GB}), {peak / few_bytes:.2f} times "
            f"that of fewer, {more:,.0f} bytes per further document"
        )


if __name__ == "__main__":
    main()
