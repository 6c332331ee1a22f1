"""The JSON files between stages are typed: other keys give one plain line, never a traceback."""

import json
import logging
import random
from pathlib import Path

import pytest
from live import ready_client
from tiny import example

from portfolio_kit import artifacts
from portfolio_kit.monitoring import reference
from portfolio_kit.monitoring.verdict import VERDICT, Finding, Invalid, Verdict
from portfolio_kit.serving.prediction_log import NAME

DATASET = artifacts.PROCESSED / artifacts.MANIFEST
MANIFEST = artifacts.MODELS / artifacts.MANIFEST
CHANGES = {
    "an extra key": lambda record: {**record, "surprise": 1},
    "a missing key": lambda record: dict(list(record.items())[1:]),
    "another type": lambda record: {**record, next(iter(record)): {"a": []}},
    "a list": lambda record: [record],
    "nothing": lambda record: None,
}


@pytest.fixture
def project():
    """A project after its evaluation, and some answers to monitor."""
    Path("README.md").write_text(example.README, encoding="utf-8")
    chance = random.Random(3)
    signals = [{"words": chance.gauss(9, 2), "label": chance.choice("ab")} for _ in range(300)]
    artifacts.MODELS.mkdir()
    reference.write(artifacts.MODELS, signals)
    artifacts.write_manifest(artifacts.MODELS, [reference.REFERENCE], example.manifest())
    artifacts.PROCESSED.mkdir(parents=True)
    artifacts.write_manifest(artifacts.PROCESSED, [], example.dataset())
    artifacts.write_json(artifacts.METRICS, example.metrics().model_dump(mode="json"))
    moment = {"time": "2026-01-01T00:00:00+00:00", "model_version": example.VERSION}
    answers = [
        json.dumps({**moment, "id": f"{n}/0", "input": "?", "answer": {}, "signals": signals[n]})
        for n in range(150)
    ]
    Path("predictions").mkdir()
    Path("predictions", NAME).write_text("\n".join(answers), encoding="utf-8")


def test_unchanged_files_are_read(project, run):
    for verb in ("report", "monitor"):
        assert run(verb).code == 0


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize(
    ("file", "verb", "fix"),
    [
        (DATASET, "report", "data"),
        (MANIFEST, "report", "train"),
        (MANIFEST, "monitor", "train"),
        (MANIFEST, "predict", "train"),
        (MANIFEST, "serve", "train"),
        (artifacts.METRICS, "report", "evaluate"),
        (artifacts.METRICS, "monitor", "evaluate"),
    ],
    ids=lambda value: str(value),
)
def test_other_keys_give_one_line_that_names_file_and_fix(
    file, verb, fix, change, project, rejection
):
    record = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(change(record)), encoding="utf-8")
    [line] = rejection(verb, *(["a text"] if verb == "predict" else []))
    assert line.startswith(f"error: {file}: damaged, or written by another version of this code;")
    assert f"run `make {fix}`" in line


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_verdict_with_other_keys_is_not_shown_and_reported_once(change, trained, caplog):
    verdict = Verdict(
        checked="2026-01-01T00:00:00+00:00",
        model_version=artifacts.sha256(trained.models / "model.onnx")[:12],
        alarm=True,
        reasons=["words has drifted"],
        first="2026-01-01T00:00:00+00:00",
        last="2026-01-01T00:00:00+00:00",
        answers=100,
        signals=[
            Finding(
                signal="words",
                test="Kolmogorov-Smirnov",
                p_value=0.0,
                adjusted=0.0,
                effect=1.0,
                reference={},
                window={},
                is_alarm=True,
            )
        ],
        data_quality=Invalid(
            invalid=0, requests=100, fields={}, unreadable_lines=0, p_value=1.0, is_alarm=False
        ),
        quality=None,
    )
    record = verdict.model_dump(mode="json")
    with ready_client(trained.params, trained.models) as client, caplog.at_level(logging.WARNING):
        artifacts.write_json(VERDICT, record)
        assert "drift_alarm 1.0" in client.get("/metrics").text
        assert caplog.messages == []
        artifacts.write_json(VERDICT, change(record))
        for _ in range(3):
            assert "drift_" not in client.get("/metrics").text
    [message] = caplog.messages
    assert message.startswith(f"{VERDICT}: damaged, or written by another version of this code;")
    assert "\n" not in message


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_api_answers_without_metrics_it_cannot_read(change, trained):
    record = example.metrics().model_dump(mode="json")
    artifacts.METRICS.parent.mkdir()
    artifacts.METRICS.write_text(json.dumps(change(record)), encoding="utf-8")
    with ready_client(trained.params, trained.models) as client:
        assert client.get("/model").json()["metrics"] is None
