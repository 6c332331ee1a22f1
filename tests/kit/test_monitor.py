"""The monitor verb on a made-up log: verdict, exit code, report, errors."""

import json
import random
import re
import zlib
from pathlib import Path

import pytest
from live import ready_client
from tiny import example
from tiny.example import VERSION
from tiny.stages import LABELS

from portfolio_kit import artifacts, plots
from portfolio_kit.monitoring import monitor, reference, report, served
from portfolio_kit.monitoring.verdict import VERDICT
from portfolio_kit.serving.prediction_log import NAME

LOG = Path("predictions") / NAME


def signals(number, words=14.0):
    noise = random.Random(number)
    return {"words": round(noise.gauss(words, 4), 2), "label": noise.choice(LABELS)}


def answer(number, version=VERSION, **changes):
    """A line of the log."""
    return {
        "time": f"2026-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}+00:00",
        "id": f"r{number}/0",
        "model_version": version,
        "input": "?",
        "answer": {"label": LABELS[0]},
        "signals": signals(number, **changes),
    }


def invalid(number, *fields, version=VERSION):
    moment = answer(number)["time"]
    return {"time": moment, "model_version": version, "invalid": list(fields)}


def list_files(*names):
    artifacts.write_manifest(artifacts.MODELS, names, example.manifest())


def evaluated(**changes):
    artifacts.write_json(artifacts.METRICS, example.metrics(**changes).model_dump(mode="json"))


@pytest.fixture(autouse=True)
def small_figures(monkeypatch):
    monkeypatch.setitem(plots.STYLE, "savefig.dpi", 30)


@pytest.fixture
def model(write_params):
    """A model with a reference of 500 answers, evaluated; nothing is logged yet."""
    write_params({"serve.log.folder": "predictions", "monitor.labels": None})
    artifacts.MODELS.mkdir()
    reference.write(artifacts.MODELS, [signals(-number) for number in range(1, 501)])
    list_files(reference.REFERENCE)
    evaluated()


@pytest.fixture
def log(model):
    """Write lines into the log."""

    def write(*lines, path=LOG):
        path.parent.mkdir(exist_ok=True)
        texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
        path.write_text("\n".join(texts) + "\n", encoding="utf-8")

    return write


def verdict():
    return json.loads(VERDICT.read_text(encoding="utf-8"))


def test_unchanged_data_raise_no_alarm(log, run):
    log(*(answer(number) for number in range(300)))
    outcome = run("monitor")
    assert outcome.code == 0, outcome
    assert "no alarm" in outcome.out
    assert verdict()["alarm"] is False
    assert verdict()["answers"] == 300
    assert report.REPORT.read_text(encoding="utf-8").startswith("# Drift: no alarm\n")


def test_changed_data_raise_an_alarm_with_a_separate_exit_code(log, run):
    log(*(answer(number, words=20.0) for number in range(300)))
    outcome = run("monitor")
    assert outcome.code == monitor.ALARM
    assert "words has drifted" in outcome.out
    assert [one["signal"] for one in verdict()["signals"] if one["is_alarm"]] == ["words"]
    page = report.REPORT.read_text(encoding="utf-8")
    assert page.startswith("# Drift: alarm\n")
    assert "- words has drifted" in page
    [row] = re.findall(r"^\| words \|.*$", page, re.MULTILINE)
    assert row.endswith("| **alarm** |")
    assert f"({report.FIGURE})" in page
    assert (artifacts.REPORTS / report.FIGURE).read_bytes().startswith(b"\x89PNG")


def in_mode(mode, numbers, words):
    """Return signals of a model that answers in several ways."""
    return [{reference.MODE: mode, **signals(number, words)} for number in numbers]


@pytest.mark.parametrize(
    ("modes", "words", "drifted"),
    [("a", 14.0, []), ("b", 30.0, []), ("b", 14.0, ["words"]), ("abbbbbbbbb", 30.0, ["mode"])],
)
def test_answers_are_compared_with_reference_answers_of_the_same_mode(
    modes, words, drifted, log, run
):
    """The usual length is 14 in one mode and 30 in the other."""
    known = [*in_mode("a", range(-500, 0), 14.0), *in_mode("b", range(-500, 0), 30.0)]
    reference.write(artifacts.MODELS, known)
    list_files(reference.REFERENCE)
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
    assert verdict()["first"] == answer(400)["time"]


def test_rotated_files_are_read_in_order(log, run):
    numbers = {LOG: range(20, 150), LOG.with_suffix(".jsonl.1"): range(10, 20)}
    numbers[LOG.with_suffix(".jsonl.2")] = range(10)
    for path, kept in numbers.items():
        log(*(answer(number) for number in kept), path=path)
    assert run("monitor").code == 0
    assert (verdict()["first"], verdict()["last"]) == (answer(0)["time"], answer(149)["time"])


@pytest.mark.parametrize(("count", "code"), [(8, 0), (40, monitor.ALARM)])
def test_many_invalid_requests_are_an_alarm(count, code, log, run):
    lines = [invalid(number, "body.k", "body.query") for number in range(count)]
    log(*lines, *(answer(number) for number in range(200)), invalid(5, "old", version="another"))
    assert run("monitor").code == code
    quality = verdict()["data_quality"]
    assert (quality["invalid"], quality["requests"]) == (count, 200 + count)
    assert quality["fields"] == {"body.k": count, "body.query": count}


def test_the_items_of_a_request_count_once(log, run):
    log(*({**answer(number), "id": f"r{number // 10}/{number % 10}"} for number in range(200)))
    run("monitor")
    assert verdict()["data_quality"]["requests"] == 20


@pytest.mark.parametrize(
    "broken",
    ["{", "", "null", "[]", '{"time": "x"}', '{"time": "x", "model_version": "y"}', "\x00"],
)
def test_a_damaged_line_is_counted_and_skipped(broken, log, run):
    log(*(answer(number) for number in range(150)), broken)
    assert run("monitor").code == 0
    assert verdict()["data_quality"]["unreadable_lines"] == 1


def test_too_few_answers_are_an_error(log, rejection):
    log(*(answer(number) for number in range(served.MIN_ROWS - 1)))
    [line] = rejection("monitor")
    assert f"{served.MIN_ROWS - 1} answers of model {VERSION}" in line
    assert not VERDICT.exists()


def test_a_missing_log_is_an_error_that_names_the_folder(model, rejection):
    [line] = rejection("monitor")
    assert "predictions: holds 0 answers" in line
    [line] = rejection("monitor", "--set", "serve.log.folder=null")
    assert line.startswith("error: serve.log.folder: is null")


def test_a_missing_reference_is_an_error_that_names_the_fix(log, rejection):
    log(*(answer(number) for number in range(150)))
    (artifacts.MODELS / reference.REFERENCE).unlink()
    list_files()
    [line] = rejection("monitor")
    assert "reference.csv: cannot be read" in line
    assert "run `make train`" in line


def test_metrics_of_another_model_are_an_error(log, rejection):
    log(*(answer(number) for number in range(150)))
    evaluated(model_version="another")
    [line] = rejection("monitor")
    assert "run `make evaluate` again" in line


def test_a_log_written_by_other_code_is_an_error(log, rejection):
    log(*({**answer(number), "signals": {"words": 3.0}} for number in range(150)))
    [line] = rejection("monitor")
    assert "lack signals" in line


MARKUP = [
    "<script>alert(1)</script>",
    "[click](javascript:alert(1))",
    "![image](http://example.invalid/x.png)",
    "| a | cell |",
    "a\n\n# heading",
    "`code` **bold** _it_ ~no~ $x^2$",
    "\\<b>",
    "x" * 20_000,
    "\x00\x1b[2J",
    "\ud800",
]


@pytest.mark.parametrize("text", MARKUP, ids=lambda text: ascii(text)[:20])
def test_what_clients_send_cannot_become_markup(text, log, run):
    known = [signals(-number) for number in range(1, 501)]
    for one in known[::3]:
        one["label"] = text.encode("utf-8", "replace").decode()
    reference.write(artifacts.MODELS, known)
    list_files(reference.REFERENCE)
    lines = [answer(number) for number in range(150)]
    for line in lines:
        line["signals"]["label"] = line["input"] = text
    log(*lines, invalid(7, text))
    assert run("monitor").code == monitor.ALARM
    assert verdict()["data_quality"]["invalid"] == 1
    page = report.REPORT.read_text(encoding="utf-8")
    assert len(page) < 10_000
    assert page.replace("\n", "").isprintable()
    markup = re.sub(r"\\[\\`*_\[\]|<>$~]", "", page)  # without what is escaped
    assert set(re.findall(r"[<>~$]|`[^`]*`|!\[.*?\]\(.*?\)|(?<!!)\[", markup)) == {
        f"`{VERSION}`",
        "`monitor.labels`",
        f"![Distribution of each signal]({report.FIGURE})",
    }
    headings = [line for line in page.splitlines() if line.startswith("#")]
    assert headings == ["# Drift: alarm", "## Quality", "## Invalid requests"]
    rows = [line for line in markup.splitlines() if line.startswith("| ")]
    assert [row.count("|") for row in rows] == [8] * 3


def test_the_figure_holds_pixels_and_no_text(log, run):
    lines = [answer(number) for number in range(150)]
    for line in lines:
        line["signals"]["label"] = "<script>"
    log(*lines)
    assert run("monitor").code == monitor.ALARM
    content = (artifacts.REPORTS / report.FIGURE).read_bytes()
    chunks, place = [], 8
    while place < len(content):
        size = int.from_bytes(content[place : place + 4], "big")
        kind, body = content[place + 4 : place + 8], content[place + 8 : place + 8 + size]
        assert zlib.crc32(kind + body) == int.from_bytes(content[place + 8 + size :][:4], "big")
        chunks.append(kind)
        place += 12 + size
    assert set(chunks) <= {b"IHDR", b"pHYs", b"IDAT", b"IEND"}


@pytest.mark.parametrize(
    ("share_wrong", "code"), [(0.05, 0), (0.3, monitor.ALARM)], ids=["as good", "worse"]
)
def test_live_answers_worse_than_the_held_out_ones_are_an_alarm(share_wrong, code, log, run):
    """The held-out accuracy is 0.88 to 0.94."""
    log(*(answer(number) for number in range(300)))
    labels = [LABELS[number < 300 * share_wrong] for number in range(300)]
    lines = ["id,label", *(f"r{number}/0,{label}" for number, label in enumerate(labels))]
    Path("came.csv").write_text("\n".join(lines), encoding="utf-8")
    assert run("monitor", "--set", "monitor.labels=came.csv").code == code
    quality = verdict()["quality"]
    assert quality["live"] == pytest.approx(1 - share_wrong)
    assert quality["held_out"] == 0.91239
    assert ("accuracy is worse" in str(verdict()["reasons"])) is (code != 0)
    assert f"accuracy {1 - share_wrong:.3f}" in report.REPORT.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "cannot be read"), ("", "cannot be read"), ("id\nr1/0\n", "lacks the column 'label'")],
    ids=["missing", "empty", "without labels"],
)
def test_a_file_of_outcomes_that_cannot_be_used_is_named(content, reason, log, rejection):
    log(*(answer(number) for number in range(150)))
    if content is not None:
        Path("came.csv").write_text(content, encoding="utf-8")
    [line] = rejection("monitor", "--set", "monitor.labels=came.csv")
    assert line.startswith("error: monitor.labels: came.csv ")
    assert reason in line


def test_the_api_reports_the_last_verdict_on_its_model(trained, log, run):
    moment = '"checked": "2026-01-02T03:04:05+00:00"'

    def gauges(**changes):
        given = {"model_version": client.get("/model").json()["model_version"], **changes}
        content = json.dumps({**found, **given}).replace(json.dumps(found["checked"]), moment[11:])
        VERDICT.write_text(content, encoding="utf-8")
        return dict(re.findall(r"^(drift_\w+) (.+)$", client.get("/metrics").text, re.MULTILINE))

    log(*(answer(number) for number in range(150)))
    run("monitor")
    found = verdict()
    with ready_client(trained.params, trained.models) as client:
        checked = {"drift_checked_timestamp_seconds": "1.767323045e+09"}
        assert gauges() == {"drift_alarm": "0.0", **checked}
        assert gauges(alarm=True) == {"drift_alarm": "1.0", **checked}
        assert gauges(model_version="another") == {}
        VERDICT.unlink()
        assert "drift_alarm" not in client.get("/metrics").text


def test_the_reference_is_read_as_it_was_written(workspace):
    rows = [{"words": 3.5, "label": "null"}, {"words": 4.0, "label": 'a,"b"'}]
    reference.write(workspace, rows)
    assert reference.read(workspace).to_dict("records") == rows
