"""What a person is given to look at: slices, confident mistakes, labels that may be wrong."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from {{cookiecutter.package_name}}.evaluation import error_analysis
from {{cookiecutter.package_name}}.evaluation.intervals import share_interval_95


def test_slices_by_length_and_by_new_words_each_hold_every_row_once():
    train = (pd.Series(["the tap leaks", "a lamp is dark"]), np.array([0, 1]))
    texts = [
        "the tap leaks",
        "A LAMP",
        "the lamp leaks oil",
        "dark",
        "...",
        "ten new words here " * 4,
    ]
    test = (pd.Series(texts), np.array([0, 1, 1, 1, 0, 0]))
    predictions = np.array([0, 0, 1, 1, 0, 1])
    slices = error_analysis.slices(train, test, predictions)
    for kind in ("new words", "to"):
        parts = [row for name, row in slices.items() if kind in name.split(" ", 1)[1]]
        assert sum(row["rows"] for row in parts) == len(texts)
        assert sum(row["rows"] * row["accuracy"] for row in parts) == pytest.approx(4)
    assert slices["no new words"] == {
        "rows": 4,
        "accuracy": 0.75,
        "interval_95": share_interval_95(3, 4),
    }
    assert slices["more than 10% new words"]["rows"] == 2
    assert {"rows": 1, "accuracy": 0.0}.items() <= slices["5 to 16 words"].items()


@pytest.mark.parametrize(("hits", "rows"), [(0, 10), (7, 10), (10, 10), (450, 1000)])
def test_intervals_of_shares_are_those_of_wilsons_formula(hits, rows):
    z, share = norm.ppf(0.975), hits / rows
    middle = (share + z * z / 2 / rows) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * np.sqrt(share * (1 - share) / rows + z * z / 4 / rows**2)
    assert share_interval_95(hits, rows) == pytest.approx([middle - half, middle + half], abs=1e-9)


def test_labels_that_were_swapped_are_found():
    random = np.random.default_rng(3)
    centres = random.normal(size=(3, 16)) * 2
    truth = random.integers(0, 3, size=300)
    embeddings = centres[truth] + random.normal(size=(300, 16))
    given, swapped = truth.copy(), random.choice(300, size=15, replace=False)
    given[swapped] = (truth[swapped] + 1) % 3
    rows, likelier = error_analysis.doubtful_labels(embeddings, given)
    assert len(set(rows) & set(swapped)) >= 13
    assert len(rows) <= 20
    is_swapped = np.isin(rows, swapped)
    assert (likelier == truth[rows])[is_swapped].all()


def table_rows(markdown):
    """Return the cells of each row, as a reader sees them."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    return [[re.sub(r"\\(.)", r"\1", cell).strip() for cell in row] for row in cells]


def test_the_report_shows_the_most_confident_mistakes_as_they_are():
    labels = ["left", "ri|ght"]
    odd = ["<b>bold</b> & | pipes", "`code` *stars* [link](x)", "two\nlines", "word " * 200]
    test = (pd.Series([*odd, "a right one"]), np.array([0, 0, 1, 1, 0]))
    confidence = np.array([0.6, 0.9, 0.7, 0.8, 0.99])
    predictions = np.array([1, 1, 0, 0, 0])
    probabilities = np.full((5, 2), 1 - confidence[:, None])
    probabilities[np.arange(5), predictions] = confidence
    metrics = {"slices": error_analysis.slices(test, test, predictions)}
    doubtful = (np.array([4]), np.array([1]))
    error_analysis.write(metrics, test, test, probabilities, doubtful, labels, "0123456789ab")

    rows = table_rows(Path("reports/errors.md").read_text(encoding="utf-8"))
    start = rows.index(["confidence", "label", "answer", "text"]) + 2
    mistakes = rows[start : start + 4]
    assert [row[0] for row in mistakes] == ["0.90", "0.80", "0.70", "0.60"]
    assert mistakes[0] == ["0.90", "left", "ri|ght", odd[1]]
    assert mistakes[1][3].endswith("…")
    assert mistakes[2] == ["0.70", "ri|ght", "left", "two lines"]
    assert mistakes[3] == ["0.60", "left", "ri|ght", odd[0]]
    assert rows[-1] == ["left", "ri|ght", "a right one"]
