"""The prediction log: what it keeps, where, how much, and what a bad disk costs."""

import json
import threading
import time
from pathlib import Path

import pytest

from portfolio_kit.config import Log
from portfolio_kit.project import Observation
from portfolio_kit.serving import prediction_log
from portfolio_kit.serving.prediction_log import PredictionLog

VERSION = "0123456789ab"


def observe(asked, answer):
    return Observation(asked, {"said": answer}, {"length": float(len(asked))})


@pytest.fixture
def start():
    """Start a log with some settings; it is closed at the end."""
    started = []

    def start(watch=observe, **settings):
        usual = {"folder": "kept", "sample": 1.0, "megabytes": 4, "redact": False}
        started.append(PredictionLog(Log(**{**usual, **settings}), VERSION, watch))
        return started[-1]

    yield start
    for log in started:
        log.close()


def lines(folder="kept"):
    """Return all lines, the oldest first."""
    files = sorted(Path(folder).iterdir(), key=lambda file: (len(file.name), file.name))
    return [json.loads(line) for file in files[::-1] for line in file.read_text().splitlines()]


def test_each_item_of_a_request_is_a_line_that_names_the_model(start):
    log = start()
    log.add("r1", ["tap", "lamp"], ["a", "b"])
    log.close()
    one, other = lines()
    assert one.pop("time") <= other.pop("time")
    assert one == {
        "id": "r1/0",
        "model_version": VERSION,
        "input": "tap",
        "answer": {"said": "a"},
        "signals": {"length": 3.0},
    }
    assert (other["id"], other["input"]) == ("r1/1", "lamp")


def test_a_redacted_log_holds_nothing_of_the_input(start):
    log = start(redact=True)
    log.add("r", ["my secret"], ["a"])
    log.reject([{"loc": ["body", "texts", "0"], "msg": "my secret"}])
    log.close()
    assert "secret" not in Path("kept", prediction_log.NAME).read_text()
    assert lines()[0]["input"] is None
    assert lines()[0]["signals"] == {"length": 9.0}
    assert lines()[1]["invalid"] == ["body.texts.0"]


@pytest.mark.parametrize(
    ("sample", "low", "high"), [(0.0, 0, 0), (0.25, 190, 310), (1.0, 1000, 1000)]
)
def test_a_sample_is_kept(sample, low, high, start):
    log = start(sample=sample)
    for number in range(100):
        log.add(str(number), ["tap"] * 10, ["a"] * 10)
    log.close()
    assert low <= (len(lines()) if sample else 0) <= high
    assert Path("kept").exists() is (sample > 0)


def test_the_folder_stays_within_its_limit_and_keeps_the_newest(start):
    log = start(megabytes=1)
    for number in range(2_000):
        log.add(str(number), ["x" * 1_000], ["a"])
        while log._waiting.qsize() > 500:  # nothing may be dropped here
            time.sleep(0.001)
    log.close()
    kept = lines()
    assert sum(file.stat().st_size for file in Path("kept").iterdir()) <= 1_000_000
    assert len(list(Path("kept").iterdir())) == prediction_log.FILES
    assert [one["id"] for one in kept] == [f"{n}/0" for n in range(2_000 - len(kept), 2_000)]
    assert len(kept) > 500


def test_without_a_folder_no_file_is_written_and_no_thread_started(start):
    threads = threading.active_count()
    log = start(folder=None)
    log.add("r", ["tap"], ["a"])
    log.reject([])
    assert threading.active_count() == threads
    assert {path.name for path in Path().iterdir()} == {"params.yaml"}


def test_a_log_continues_where_the_last_process_stopped(start):
    for name in ("one", "two"):
        log = start()
        log.add(name, ["tap"], ["a"])
        log.close()
    assert [line["id"] for line in lines()] == ["one/0", "two/0"]


@pytest.mark.parametrize("asked", ["\ud800", "tab\tand\nbreak", "é漢🚰", "\x00"], ids=ascii)
def test_any_text_is_one_line_and_is_read_back(asked, start):
    log = start()
    log.add("r", [asked], ["a"])
    log.close()
    assert [line["input"] for line in lines()] == [asked]


def test_a_disk_that_fails_costs_nothing_but_the_log(start, caplog):
    Path("kept").write_text("a file where the folder should be")
    log = start()
    for number in range(3):
        log.add(str(number), ["tap"], ["a"])
    log.close()
    assert not log._thread.is_alive()
    assert caplog.text.count("serve.log.folder: not everything is logged") == 1


def test_an_answer_that_cannot_be_observed_is_skipped(start):
    def watch(asked, answer):
        return observe(asked, answer / 1)  # fails for a text

    log = start(watch)
    log.add("bad", ["tap"], ["a"])
    log.add("good", ["tap"], [1])
    log.close()
    assert [line["id"] for line in lines()] == ["good/0"]


def test_a_full_queue_drops_answers_and_delays_nobody(start):
    may_write = threading.Event()

    def watch(asked, answer):
        assert may_write.wait(30)
        return observe(asked, answer)

    log, count = start(watch), prediction_log.MAX_WAITING + 500
    dropped = prediction_log.LOGGED.labels("dropped")._value.get
    before, earlier = time.monotonic(), dropped()
    for number in range(count):
        log.add(str(number), ["tap"], ["a"])
    assert time.monotonic() - before < 5
    may_write.set()
    log.close()
    assert prediction_log.MAX_WAITING <= len(lines()) <= prediction_log.MAX_WAITING + 1
    assert dropped() - earlier == count - len(lines())


@pytest.mark.parametrize("waiting", [1, 3], ids=["room in the queue", "a full queue"])
def test_closing_takes_no_longer_than_promised_while_the_disk_is_stuck(waiting, monkeypatch):
    monkeypatch.setattr(prediction_log, "MAX_WAITING", 2)
    monkeypatch.setattr(prediction_log, "CLOSE_SECONDS", 0.5)
    is_stuck, may_write = threading.Event(), threading.Event()

    def watch(asked, answer):
        is_stuck.set()
        assert may_write.wait(30)
        return observe(asked, answer)

    settings = Log(folder="kept", sample=1.0, megabytes=4, redact=False)
    log = PredictionLog(settings, VERSION, watch)
    try:
        log.add("stuck", ["tap"], ["a"])
        assert is_stuck.wait(30)
        for number in range(waiting):
            log.add(str(number), ["tap"], ["a"])
        assert log._waiting.full() is (waiting > 1)
        before = time.monotonic()
        log.close()
        assert 0.4 < time.monotonic() - before < 2
    finally:
        may_write.set()
