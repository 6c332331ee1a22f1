"""Metrics by name: an ejected module counts where the kit's does."""

import pytest
from prometheus_client import Counter, Histogram

from portfolio_kit.serving.prometheus import metric


def test_the_second_copy_of_a_module_gets_the_metric_of_the_first():
    first = metric(Counter, "copied", "Counted by two copies", ["how"])
    second = metric(Counter, "copied", "Counted by two copies, in other words", ["how"])
    second.labels("well").inc()
    assert first is second
    with pytest.raises(ValueError, match="Duplicated"):
        Counter("copied", "Counted by two copies", ["how"])


def test_options_reach_the_metric():
    sizes = metric(Histogram, "sizes", "Sizes", buckets=(1, 2))
    sizes.observe(1.5)
    [family] = sizes.collect()
    bounds = [one.labels["le"] for one in family.samples if "le" in one.labels]
    assert bounds == ["1.0", "2.0", "+Inf"]
