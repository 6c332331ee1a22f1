"""The confusion matrix of a few classes, and what is left of it with many."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.metrics import f1_score

from portfolio_kit.classification.plots import NAME, WORST, confusion


def drawn(axes):
    """Return the numbers in a matrix by (row, column)."""
    return {(round(y), round(x)): text.get_text() for text in axes.texts for x, y in [text.xy]}


def matrix_of(classes, seed=0):
    random = np.random.default_rng(seed)
    counts = random.poisson(0.3, (classes, classes))
    return counts + np.diag(random.integers(1, 40, classes))


def pairs_of(counts):
    """Return true and predicted classes with these counts."""
    return np.repeat(np.argwhere(counts + 1), counts.ravel(), axis=0).T


def labels_of(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


@pytest.mark.parametrize("classes", [2, 3, 14, 30])
def test_up_to_thirty_classes_have_a_whole_matrix(classes):
    counts, names = matrix_of(classes), [f"class {n}" for n in range(classes)]
    [axes] = confusion(counts, names).axes
    shares = 100 * counts / counts.sum(axis=1, keepdims=True)
    expected = {f"{share:.0f}" for share in shares.ravel()} - {"0"}
    assert {text.get_text() for text in axes.texts} == expected
    assert len(axes.texts) == (shares.round() > 0).sum()
    assert labels_of(axes.yaxis) == labels_of(axes.xaxis) == names
    [right] = axes.child_axes
    f1 = f1_score(*pairs_of(counts), average=None)
    rows = counts.sum(axis=1)
    expected = [f"F1 {score:.2f}, n={n:,}" for score, n in zip(f1, rows, strict=True)]
    assert labels_of(right.yaxis) == expected


@pytest.mark.parametrize("classes", [31, 77, 150])
def test_of_more_classes_the_confused_pairs_and_the_worst_are_shown(classes):
    counts, names = matrix_of(classes), [f"class {n}" for n in range(classes)]
    counts[5, 7], counts[20, 3], counts[4, 9] = 60, 50, 40
    figure = confusion(counts, names)
    above, below = figure.axes
    pairs = labels_of(above.yaxis)
    assert pairs[:3] == ["class 5 → class 7", "class 20 → class 3", "class 4 → class 9"]
    assert len(pairs) == WORST
    assert f"60 of {counts[5].sum()}" in {text.get_text() for text in above.texts}
    worst = f1_score(*pairs_of(counts), average=None).argsort(kind="stable")[:WORST]
    assert labels_of(below.yaxis) == [f"class {n}" for n in worst]
    assert labels_of(below.xaxis) == [*(f"class {n}" for n in worst), "any other class"]
    shares = below.images[0].get_array()
    assert shares.shape == (WORST, WORST + 1)
    np.testing.assert_allclose(shares.sum(axis=1), 100)
    assert figure.get_figwidth() < 8.5


def test_classes_without_rows_are_not_the_worst():
    counts = np.diag([10] * 40)
    counts[:5, :5] = 0
    above, below = confusion(counts, [f"class {n}" for n in range(40)]).axes
    assert not labels_of(above.yaxis)
    assert labels_of(below.yaxis) == [f"class {n}" for n in range(5, 5 + WORST)]


def test_long_names_are_cut_in_the_middle_and_stay_different():
    long = [f"{'a very ' * 9}long name, number {n} of {'many ' * 9}" for n in range(3)]
    [axes] = confusion(np.eye(5, dtype=int), [*long, "配" * 60, "two\nlines"]).axes
    names = labels_of(axes.yaxis)
    assert len(set(names)) == 5
    assert names[4] == "two lines"
    assert all(name.startswith("a very") and "…" in name for name in names[:3])
    assert all(len(name) <= NAME + 3 for name in names)
    assert names[3].count("配") <= NAME / 2
