"""The monitor verb, on a log and a reference made up here: verdict, exit code, page, refusals."""

import json
import random
from pathlib import Path

import pytest

from {{cookiecutter.package_name}} import artifacts
from {{cookiecutter.package_name}}.monitoring import monitor, reference, served
from {{cookiecutter.package_name}}.serving.prediction_log import NAME

VERSION = "0123456789ab"
LOG = Path("predictions") / NAME


def signals(number, words=14.0):
    noise = random.Random(number)
    return {"words": round(noise.gauss(words, 4), 2), "label": noise.choice("ab")}


def answer(number, version=VERSION, **changes):
    """A line of the log."""
    return {
        "time": f"2026-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}+00:00",
        "id": f"r{number}/0",
        "model_version": version,
        "input": "?",
        "answer": {},
        "signals": signals(number, **changes),
    }


def refused(number, *fields, version=VERSION):
    moment = answer(number)["time"]
    return {"time": moment, "model_version": version, "refused": list(fields)}


@pytest.fixture
def model(write_params):
    """A model with a reference of 500 answers, evaluated; nothing is logged yet."""
    write_params({"serve.log.folder": "predictions", "monitor.labels": None})
    artifacts.MODELS.mkdir()
    reference.write(artifacts.MODELS, [signals(-number) for number in range(1, 501)])
    artifacts.write_manifest(artifacts.MODELS, [reference.REFERENCE], {"version": VERSION})
    artifacts.write_json(artifacts.METRICS, {"model_version": VERSION, "model": {}})


@pytest.fixture
def log(model):
    """Write lines into the log."""

    def write(*lines, path=LOG):
        path.parent.mkdir(exist_ok=True)
        texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
        path.write_text("\n".join(texts) + "\n", encoding="utf-8")

    return write


def verdict():
    return json.loads(monitor.VERDICT.read_text(encoding="utf-8"))


def test_unchanged_data_are_quiet(log, run):
    log(*(answer(number) for number in range(300)))
    outcome = run("monitor")
    assert outcome.code == 0, outcome
    assert "no alarm" in outcome.out
    assert verdict()["alarm"] is False
    assert verdict()["answers"] == 300
    assert "No alarm" in monitor.PAGE.read_text(encoding="utf-8")


def test_changed_data_raise_an_alarm_with_an_exit_code_of_its_own(log, run):
    log(*(answer(number, words=20.0) for number in range(300)))
    outcome = run("monitor")
    assert outcome.code == monitor.ALARM
    assert "words has drifted" in outcome.out
    assert [one["signal"] for one in verdict()["signals"] if one["is_alarm"]] == ["words"]
    page = monitor.PAGE.read_text(encoding="utf-8")
    assert "words has drifted" in page
    assert page.count("data:image/png;base64,") == 2


def in_mode(mode, numbers, words):
    """Signals of a model that answers in several ways."""
    return [{reference.MODE: mode, **signals(number, words)} for number in numbers]


@pytest.mark.parametrize(
    ("modes", "words", "drifted"),
    [("a", 14.0, []), ("b", 30.0, []), ("b", 14.0, ["words"]), ("abbbbbbbbb", 30.0, ["mode"])],
)
def test_answers_are_compared_with_those_given_in_the_same_way(modes, words, drifted, log, run):
    """The usual length in one way is 14, in the other 30."""
    known = [*in_mode("a", range(-500, 0), 14.0), *in_mode("b", range(-500, 0), 30.0)]
    reference.write(artifacts.MODELS, known)
    artifacts.write_manifest(artifacts.MODELS, [reference.REFERENCE], {"version": VERSION})
    kept = [in_mode(modes[number % len(modes)], [number], words)[0] for number in range(300)]
    log(*({**answer(number), "signals": one} for number, one in enumerate(kept)))
    assert run("monitor").code == (monitor.ALARM if drifted else 0)
    found = {one["signal"] for one in verdict()["signals"] if one["is_alarm"]}
    assert found >= set(drifted)
    assert bool(found) is bool(drifted)


def test_only_the_newest_answers_of_this_model_count(log, run):
    old = [answer(number, words=30.0) for number in range(200)]
    other = [answer(number, "another", words=30.0) for number in range(200, 400)]
    log(*old, *other, *(answer(number) for number in range(400, 600)))
    outcome = run("monitor", "--set", "monitor.rows=200")
    assert outcome.code == 0, outcome
    assert verdict()["from"] == answer(400)["time"]


def test_rotated_files_are_read_in_their_order(log, run):
    numbers = {LOG: range(20, 150), LOG.with_suffix(".jsonl.1"): range(10, 20)}
    numbers[LOG.with_suffix(".jsonl.2")] = range(10)
    for path, kept in numbers.items():
        log(*(answer(number) for number in kept), path=path)
    assert run("monitor").code == 0
    assert (verdict()["from"], verdict()["to"]) == (answer(0)["time"], answer(149)["time"])


@pytest.mark.parametrize(("count", "code"), [(8, 0), (40, monitor.ALARM)])
def test_requests_that_do_not_fit_are_an_alarm_if_they_are_many(count, code, log, run):
    lines = [refused(number, "body.k", "body.query") for number in range(count)]
    log(*lines, *(answer(number) for number in range(200)), refused(5, "old", version="another"))
    assert run("monitor").code == code
    quality = verdict()["data_quality"]
    assert (quality["refused"], quality["requests"]) == (count, 200 + count)
    assert quality["fields"] == {"body.k": count, "body.query": count}


def test_items_of_one_request_are_one_request(log, run):
    log(*({**answer(number), "id": f"r{number // 10}/{number % 10}"} for number in range(200)))
    run("monitor")
    assert verdict()["data_quality"]["requests"] == 20


@pytest.mark.parametrize(
    "broken",
    ["{", "", "null", "[]", '{"time": "x"}', '{"time": "x", "model_version": "y"}', "\x00"],
)
def test_a_line_that_is_none_is_counted_and_passed_over(broken, log, run):
    log(*(answer(number) for number in range(150)), broken)
    assert run("monitor").code == 0
    assert verdict()["data_quality"]["unreadable_lines"] == 1


def test_few_answers_say_nothing(log, refusal):
    log(*(answer(number) for number in range(served.MIN_ROWS - 1)))
    [line] = refusal("monitor")
    assert f"{served.MIN_ROWS - 1} answers of model {VERSION}" in line
    assert not monitor.VERDICT.exists()


def test_without_a_log_it_is_said_where_it_would_be(model, refusal):
    [line] = refusal("monitor")
    assert "predictions: 0 answers" in line
    [line] = refusal("monitor", "--set", "serve.log.folder=null")
    assert line.startswith("error: serve.log.folder: null here")


def test_without_a_reference_it_is_said_what_mends_it(log, refusal):
    log(*(answer(number) for number in range(150)))
    (artifacts.MODELS / reference.REFERENCE).unlink()
    artifacts.write_manifest(artifacts.MODELS, [], {"version": VERSION})
    [line] = refusal("monitor")
    assert "reference.csv: cannot be read" in line
    assert "train again" in line


def test_metrics_of_another_model_do_not_count(log, refusal):
    log(*(answer(number) for number in range(150)))
    artifacts.write_json(artifacts.METRICS, {"model_version": "another"})
    [line] = refusal("monitor")
    assert "run evaluate first" in line


def test_a_log_of_other_code_is_refused(log, refusal):
    log(*({**answer(number), "signals": {"words": 3.0}} for number in range(150)))
    [line] = refusal("monitor")
    assert "lack signals" in line


def test_what_clients_sent_cannot_become_markup(log, run):
    lines = [answer(number) for number in range(150)]
    for line in lines:
        line["signals"]["label"] = "<script>"
    log(*lines)
    assert run("monitor").code == monitor.ALARM
    assert "<script>" not in monitor.PAGE.read_text(encoding="utf-8")


def test_what_the_reference_holds_comes_back(workspace):
    rows = [{"words": 3.5, "label": "null"}, {"words": 4.0, "label": 'a,"b"'}]
    reference.write(workspace, rows)
    assert reference.read(workspace).to_dict("records") == rows
