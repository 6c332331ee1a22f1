"""What the benchmark compares: the same texts, and answers of the same model."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from benchmarks import prepare, rivals
from benchmarks.rivals import RIVALS
from safetensors.numpy import save_file

from portfolio_kit.bench.environment import FOLDER
from portfolio_kit.bench.server import Server
from portfolio_kit.errors import UserError


def answer(**probabilities):
    label = max(probabilities, key=probabilities.get)
    return {"predictions": [{"label": label, "probabilities": probabilities}]}


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        (answer(a=0.7, b=0.3), 0),
        (answer(a=0.6, b=0.4), 0.1),
        (answer(a=0.4, b=0.6), math.inf),
        (answer(a=0.7, c=0.3), math.inf),
    ],
)
def test_answers_are_compared_by_label_and_probability(theirs, expected):
    assert RIVALS.difference(answer(a=0.7, b=0.3), theirs) == pytest.approx(expected)


def test_texts_are_those_of_the_validation_set(run, configure):
    configure()
    assert run("data").code == 0
    texts = [json.loads(body)["texts"] for body in RIVALS.bodies()]
    valid = pd.read_parquet("data/processed/valid.parquet")["text"]
    assert sorted(texts) == sorted([text[: rivals.MAX_CHARACTERS]] for text in valid)


def test_weights_of_another_model_are_rejected(trained, monkeypatch, workspace):
    other = workspace / "other.safetensors"
    save_file({"weight": np.zeros(1)}, other, {"version": "0123456789ab"})
    monkeypatch.chdir(trained.folder)
    monkeypatch.setattr(rivals, "WEIGHTS", other)
    with pytest.raises(UserError, match="not the weights of models/; run `make train`"):
        RIVALS.others(trained.params, "python")


def test_the_tutorial_server_serves_the_same_model(trained, predictor, monkeypatch, notes):
    monkeypatch.chdir(trained.folder)
    FOLDER.mkdir(parents=True, exist_ok=True)
    others = RIVALS.others(trained.params, "python")
    [tutorial] = [one for one in others if one.name == rivals.TUTORIAL]
    texts = notes["note"].head(20).tolist()
    body = json.dumps({"texts": texts})
    server = Server(tutorial, RIVALS.path, {})
    try:
        server.start(body)
        theirs = server.ask(body)
    finally:
        server.stop()
    ours = {"predictions": predictor.predict(texts)}
    assert RIVALS.difference(ours, theirs) <= RIVALS.tolerance["fp32"]
    assert theirs["model_version"] == predictor.version
    assert theirs["predictions"][0].keys() == ours["predictions"][0].keys()


def test_rows_of_the_benchmark_can_be_prepared(configure, run, workspace):
    configure()
    prepare.write_rows(workspace / "rows.csv", 2_000, ["one", "two", "three", "four"], ["a", "b"])
    options = [f"{key}={value}" for key, value in prepare.SETTINGS.items()]
    options.append("data.source=rows.csv")
    outcome = run("data", *(part for option in options for part in ("--set", option)))
    assert outcome.code == 0, outcome.err
    assert len(pd.read_csv("rows.csv")) == 2_000
