"""Whole benchmarks of the tiny project, with a stub in place of the load generator."""

import json
import os
import shutil
import sys
import textwrap
from pathlib import Path

import pytest
from tiny import example
from tiny.data import read_split
from tiny.project import PROJECT
from tiny.rivals import TWIN

from portfolio_kit.bench import drift, environment, load, measure, serving
from portfolio_kit.bench.load import Overload
from portfolio_kit.bench.rivals import Rival
from portfolio_kit.bench.server import Server
from portfolio_kit.errors import UserError

POSIX = pytest.mark.skipif(os.name == "nt", reason="the stub is a script with a shebang")


@pytest.fixture
def project(trained):
    """A trained project in the working directory."""
    for name in ("models", "data"):
        shutil.copytree(trained.folder / name, name)
    Path("benchmarks").mkdir()
    Path("benchmarks/rivals.py").touch()


@pytest.fixture
def k6(monkeypatch):
    """Replace k6 by a program; it reads the options and writes what the tests say."""

    def write(program):
        load.BIN.mkdir(parents=True, exist_ok=True)
        script = load.BIN / "k6"
        script.write_text(f"#!{sys.executable}\n{textwrap.dedent(program)}", encoding="utf-8")
        script.chmod(0o755)

    return write


K6 = """
    import json, os, pathlib
    options = json.loads(os.environ["OPTIONS"])
    bodies = pathlib.Path(os.environ["BODIES"])
    assert len(list(bodies.iterdir())) == int(os.environ["COUNT"])
    trend = {"values": {"med": 4.0, "p(99)": 9.0, "max": 40.0}}
    metrics = {
        "status_200": {"values": {"count": 500}},
        "status_503": {"values": {"count": 20}},
        "milliseconds_200": trend,
        "recovery_milliseconds": trend,
        "recovery_attempts": {"values": {"count": 3}},
    }
    result = {"state": {"testRunDurationMs": 2000.0}, "metrics": metrics}
    pathlib.Path(os.environ["RESULT"]).write_text(json.dumps(result))
    pathlib.Path("options.json").write_text(json.dumps(options))
"""


@pytest.fixture
def target(workspace):
    load.FOLDER.mkdir(parents=True)
    load.prepare(["1", "2", "3"])
    return Server(Rival("a server", "", []), "/", {})


@POSIX
def test_measurements_are_those_of_the_load_generator(target, k6):
    k6(K6)
    one = load.closed(target, clients=8, seconds=2)
    assert (one.p50, one.p99, one.rate, one.errors) == (4.0, 9.0, 250.0, 20)
    options = json.loads(Path("options.json").read_text())
    assert options["scenarios"]["load"]["vus"] == 8


@POSIX
def test_an_overload_is_a_multiple_of_the_capacity(target, k6):
    k6(K6)
    found = load.overload(target, capacity=52, times=10, seconds=1)
    assert found == Overload(10.0, 1, 500, 20, 0, p99=0.009, recovery=0.04, recovery_attempts=3)
    options = json.loads(Path("options.json").read_text())
    assert options["scenarios"]["load"]["rate"] == 520


@POSIX
@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("raise SystemExit('level=error no such host')", "k6 failed: level=error no such host"),
        (K6.replace('"milliseconds_200": trend,', ""), "a server: no milliseconds_200"),
    ],
    ids=["it fails", "no answers"],
)
def test_a_load_that_measured_nothing_is_an_error(target, k6, program, reason):
    k6(program)
    with pytest.raises(UserError, match=reason):
        load.closed(target, clients=1, seconds=1)


@POSIX
def test_a_whole_serving_benchmark_is_reported(project, k6, run, monkeypatch, capsys):
    k6(K6)
    monkeypatch.setattr(environment, "install", lambda: None)
    monkeypatch.setattr(serving, "CLIENTS", (1, 64))
    monkeypatch.setattr(serving.shutdown, "CLIENTS", 4)
    monkeypatch.setattr(serving.shutdown, "LOAD_SECONDS", (0.2, 0.3))
    monkeypatch.setattr(serving.bench, "__defaults__", (1, 1, 1))
    monkeypatch.setattr(serving.signal, "signal", lambda *_: None)
    outcome = run("bench", "--set", "serve.seconds_per_text=0.001")
    assert outcome.code == 0, outcome
    written = json.loads(Path("reports/bench.json").read_text(encoding="utf-8"))
    assert set(written["servers"]) == {serving.OURS, TWIN}
    figures = {one["name"]: one for one in written["figures"]}
    assert figures[f"requests per second at 64 clients, against {TWIN}"]["value"] == 1.0
    for clients in ("keep-alive", "one connection per request"):
        lost = figures[f"requests lost on SIGTERM, {clients}"]
        assert lost["is_met"], lost
    assert all(one["answered"]["200"] > 0 for one in written["stops"])
    page = Path("reports/bench.md").read_text(encoding="utf-8")
    assert f"| {serving.OURS} | 1 | 4.0 | 9.0 | 250.0 | 20 |" in page
    assert f"{TWIN}: answers differ from {serving.OURS}'s by 0 at most" in outcome.out


def test_drift_benchmarks_count_false_and_missed_alarms(project, monkeypatch, capsys):
    monkeypatch.setattr(drift, "RUNS", 20)
    monkeypatch.setattr(drift, "AT_LEAST", 19)

    def bench(shift):
        inputs, answers = (
            lambda params: read_split("valid"),
            lambda model, texts: model.predict(texts),
        )
        return drift.bench(PROJECT, inputs, answers, {"shifted": shift})

    assert bench(lambda texts, chance: [f"{text} {text} {text}" for text in texts]) == 0
    assert "shifted: alarm in 20 of 20 windows" in capsys.readouterr().out
    assert bench(lambda texts, chance: texts) == 1
    assert "shifted: alarm in 0 of 20 windows" in capsys.readouterr().out


def test_the_data_stage_is_measured_on_few_rows_and_on_many(monkeypatch, capsys):
    monkeypatch.setattr(measure, "ROWS", (100, 300))
    made = []

    def write_rows(path, rows):
        made.append(rows)
        path.write_text(example.texts(rows), encoding="utf-8")

    measure.prepare(PROJECT.package, write_rows, {"data.sha256": "null"})
    assert made == [100, 300]
    few, many, ratio, memory = capsys.readouterr().out.splitlines()
    assert few.lstrip().startswith("100 rows: ")
    assert many.lstrip().startswith("300 rows: ")
    assert "(target: at most 1.3)" in ratio
    assert float(memory.split()[1]) > 0.02


def test_a_data_stage_that_fails_ends_the_measurement(monkeypatch):
    monkeypatch.setattr(measure, "ROWS", (100,))
    with pytest.raises(SystemExit, match="data failed"):
        measure.prepare(PROJECT.package, lambda path, rows: path.touch(), {})
