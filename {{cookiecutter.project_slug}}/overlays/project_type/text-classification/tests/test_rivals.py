"""What the benchmark compares: the same texts, and answers of the same model."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from benchmarks import measure, prepare, rivals
from benchmarks.server import FOLDER, Server
from safetensors.numpy import save_file

from {{cookiecutter.package_name}}.errors import UserError


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
    assert rivals.difference(answer(a=0.7, b=0.3), theirs) == pytest.approx(expected)


def test_texts_are_those_of_the_validation_set(run, configure):
    configure()
    assert run("data").code == 0
    texts = [json.loads(body)["texts"] for body in rivals.bodies()]
    valid = pd.read_parquet("data/processed/valid.parquet")["text"]
    assert sorted(texts) == sorted([text[: rivals.MAX_CHARACTERS]] for text in valid)


def test_weights_of_another_model_are_refused(trained, monkeypatch, workspace):
    other = workspace / "other.safetensors"
    save_file({"weight": np.zeros(1)}, other, {"version": "0123456789ab"})
    monkeypatch.chdir(trained.folder)
    monkeypatch.setattr(rivals, "WEIGHTS", other)
    with pytest.raises(UserError, match="not the weights of models/; run train"):
        rivals.rivals(trained.params, "python")


def test_the_tutorials_server_serves_the_same_model(trained, predictor, monkeypatch, notes):
    monkeypatch.chdir(trained.folder)
    FOLDER.mkdir(parents=True, exist_ok=True)
    (tutorial,) = (r for r in rivals.rivals(trained.params, "python") if r.name == rivals.TUTORIAL)
    texts = notes["note"].head(20).tolist()
    body = json.dumps({"texts": texts})
    server = Server(*tutorial, rivals.PATH)
    try:
        server.start(body)
        theirs = server.ask(body)
    finally:
        server.stop()
    ours = {"predictions": predictor.predict(texts)}
    assert rivals.difference(ours, theirs) <= rivals.TOLERANCE["fp32"]
    assert theirs["model_version"] == predictor.version
    assert theirs["predictions"][0].keys() == ours["predictions"][0].keys()


def test_the_data_stage_is_measured(configure, workspace):
    configure()
    file = workspace / "folder" / "rows.csv"
    file.parent.mkdir()
    prepare.write_rows(file, 2_000, ["one", "two", "three", "four", "five"], ["a", "b"])
    held = b"x" * 10**9  # what this process has is none of the stage's
    seconds, peak = measure.run("data", file.parent, {**prepare.SETTINGS, "data.source": file.name})
    assert len(pd.read_csv(file)) == 2_000
    assert (file.parent / "data" / "processed" / "manifest.json").is_file()
    assert 0.1 < seconds < 120
    assert 50e6 < peak < len(held)
