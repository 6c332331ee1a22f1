"""What a person gets to look at: slices, confident mistakes, labels that may be wrong."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from type_fixtures import LABELS

from portfolio_kit.intervals import share_interval_95

from {{cookiecutter.package_name}}.evaluation import error_analysis
from {{cookiecutter.package_name}}.evaluation.metrics import Slice


def answered(texts, labels, answers, confidence=0.5):
    rows = pd.DataFrame({"text": texts, "label": labels, "answer": answers})
    return rows.assign(is_right=rows["answer"] == rows["label"], confidence=confidence)


def test_slices_by_length_and_by_new_words_each_hold_every_row_once():
    train = pd.DataFrame({"text": ["the tap leaks", "a lamp is dark"], "label": ["a", "b"]})
    new = "ten new words here " * 4
    texts = ["the tap leaks", "A LAMP", "the lamp leaks oil", "dark", "...", new]
    slices = error_analysis.slices(train, answered(texts, list("abbbaa"), list("aabbab")))
    for kind in ("new words", "to"):
        parts = [part for name, part in slices.items() if kind in name.split(" ", 1)[1]]
        assert sum(part.rows for part in parts) == len(texts)
        assert sum(part.rows * part.accuracy for part in parts) == pytest.approx(4)
    expected = Slice(rows=4, accuracy=0.75, interval_95=share_interval_95(3, 4))
    assert slices["no new words"] == expected
    assert slices["more than 10% new words"].rows == 2
    assert (slices["5 to 16 words"].rows, slices["5 to 16 words"].accuracy) == (1, 0)


def test_texts_of_equal_length_are_one_slice():
    train = pd.DataFrame({"text": ["one two"], "label": ["a"]})
    slices = error_analysis.slices(train, answered(["one two"] * 3, list("aab"), list("aaa")))
    assert {name: part.rows for name, part in slices.items()} == {
        "2 to 2 words": 3,
        "no new words": 3,
    }


def test_swapped_labels_are_found():
    random = np.random.default_rng(3)
    centres = random.normal(size=(3, 16)) * 2
    truth = random.integers(0, 3, size=300)
    embeddings = centres[truth] + random.normal(size=(300, 16))
    given, swapped = truth.copy(), random.choice(300, size=15, replace=False)
    given[swapped] = (truth[swapped] + 1) % 3
    train = pd.DataFrame({"text": np.arange(300).astype(str), "label": np.array(LABELS)[given]})
    found = error_analysis.doubtful_labels(train, embeddings)
    rows = found.index.to_numpy()
    assert len(set(rows) & set(swapped)) >= 13
    assert len(rows) <= 20
    assert (found["label"] == np.array(LABELS)[given[rows]]).all()
    is_swapped = np.isin(rows, swapped)
    assert (found["likelier"] == np.array(LABELS)[truth[rows]])[is_swapped].all()
    assert is_swapped[:10].all()  # the most doubtful come first


def table_rows(markdown):
    """Return the cells of each row, as a reader sees them."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    return [[re.sub(r"\\(.)", r"\1", cell).strip() for cell in row] for row in cells]


def test_the_report_shows_the_most_confident_mistakes_as_they_are(example_metrics):
    odd = ["<b>bold</b> & | pipes", "`code` *stars* [link](x)", "two\nlines", "word " * 200]
    labels = np.array(["left", "ri|ght"])
    truth, answers = labels[[0, 0, 1, 1, 0]], labels[[1, 1, 0, 0, 0]]
    test = answered([*odd, "a right one"], truth, answers, [0.6, 0.9, 0.7, 0.8, 0.99])
    doubtful = test.iloc[[4]].assign(likelier="ri|ght")
    error_analysis.write(example_metrics, 5, test, doubtful)

    text = Path("reports/errors.md").read_text(encoding="utf-8")
    assert "1 of 5 rows look doubtful" in text
    rows = table_rows(text)
    start = rows.index(["confidence", "label", "answer", "text"]) + 2
    mistakes = rows[start : start + 4]
    assert [row[0] for row in mistakes] == ["0.90", "0.80", "0.70", "0.60"]
    assert mistakes[0] == ["0.90", "left", "ri|ght", odd[1]]
    assert mistakes[1][3].endswith("…")
    assert mistakes[2] == ["0.70", "ri|ght", "left", "two lines"]
    assert mistakes[3] == ["0.60", "left", "ri|ght", odd[0]]
    assert rows[-1] == ["left", "ri|ght", "a right one"]
    assert ["1 to 9 words", "40", "0.900, 0.770 to 0.960"] in rows
