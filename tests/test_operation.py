"""Monitors each demo's service as its docs say: answers are logged, and compared."""

import json
import time
import urllib.error

import pytest
from conftest import DEMOS, ask, python, running

pytestmark = pytest.mark.slow
FOREIGN = "Preheat the oven, grease a tin with butter, and leave dough number {} to rise overnight."


# Every run tries the quickest; the others encode thousands of texts.
SHIFTED = [
    pytest.param(name, marks=[] if kind == "forecasting" else pytest.mark.nightly)
    for kind, name in DEMOS.items()
]


@pytest.mark.parametrize("demo_name", SHIFTED)
def test_unchanged_data_raise_no_alarm_and_three_shifts_do(demo_name, request):
    project = request.getfixturevalue(demo_name)[1]
    done = project.run(python(project), "-m", "benchmarks.shifts", check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert done.stdout.count("windows (correct in at least 95)") == 4


@pytest.mark.parametrize(
    ("demo_name", "path", "body"),
    [
        ("demo", "/predict", lambda text: {"texts": [text]}),
        ("search_demo", "/search", lambda text: {"query": text}),
    ],
)
def test_foreign_texts_raise_an_alarm_that_prometheus_sees(
    demo_name, path, body, request, tmp_path
):
    project = request.getfixturevalue(demo_name)[1]
    before = project.read("reports/metrics.json")
    options = ("--set", f"serve.log.folder={tmp_path}")
    with running(python(project), project.package, project.path, *options) as url:
        assert "drift_alarm" not in ask(f"{url}/metrics")
        for number in range(150):
            ask(url + path, body(FOREIGN.format(number)))
        with pytest.raises(urllib.error.HTTPError, match="422"):
            ask(url + path, {})
        time.sleep(1)  # the log is written after the answers
        done = project.run("make", "monitor", f"ARGS={' '.join(options)}", check=False)
        try:
            assert "Error 3" in done.stderr  # make's report of the exit code
            assert "has drifted" in done.stdout
            assert "drift_alarm 1.0" in ask(f"{url}/metrics")
            verdict = json.loads(project.read("reports/drift.json"))
            assert verdict["answers"] == 150
            assert verdict["data_quality"]["invalid"] == 1
            assert r"unknown\_words has drifted" in project.read("reports/drift.md")
            assert project.has_file("reports/drift.png")
        finally:
            for name in ("drift.json", "drift.md", "drift.png"):
                (project.path / "reports" / name).unlink(missing_ok=True)
    assert project.read("reports/metrics.json") == before
