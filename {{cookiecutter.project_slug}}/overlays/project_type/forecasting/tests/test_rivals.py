"""What the benchmarks compare, send and change."""

import json
import math
from random import Random

import numpy as np
import pandas as pd
import pytest
from benchmarks import prepare, rivals, shifts
from safetensors.numpy import save_file

from portfolio_kit.artifacts import read_manifest
from portfolio_kit.bench import measure
from portfolio_kit.bench.environment import FOLDER
from portfolio_kit.bench.server import Server
from portfolio_kit.errors import UserError
from portfolio_kit.timegrid.series import Question, Series

from {{cookiecutter.package_name}}.project import PROJECT


def answer(*middles, version="0123456789ab", name="y"):
    return {
        "model_version": version,
        "forecast": [
            {
                "unique_id": name,
                "ds": f"2024-01-01T{hour:02}:00:00",
                **{"y_hat": y, "lo_80": y, "hi_80": y, "lo_95": y, "hi_95": y},
            }
            for hour, y in enumerate(middles)
        ],
        "warning": None,
    }


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        (answer(100, 300), 0),
        (answer(100, 302), 0.01),
        (answer(100, 300, version="ba9876543210"), math.inf),
        (answer(100), math.inf),
        (answer(100, 300, name="z"), math.inf),
        (answer(1, 3, version="AutoETS"), None),
        (answer(1, version="AutoETS"), math.inf),
        (answer(100, math.nan), math.nan),  # which is within no tolerance
    ],
)
def test_answers_are_compared_by_steps_model_and_values(theirs, expected):
    difference = rivals.difference(answer(100, 300), theirs)
    assert difference == pytest.approx(expected, nan_ok=True)


def served(name, trained, bodies):
    """Start one rival and return its answers."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (rival,) = (r for r in rivals.rivals(trained.params, "python") if r.name == name)
    server = Server(rival, rivals.RIVALS.path, {})
    try:
        server.start(bodies[0])
        return [server.ask(body) for body in bodies]
    finally:
        server.stop()


def moments(rows):
    return [row["ds"] for row in rows]


@pytest.fixture
def bodies(trained, monkeypatch):
    """The requests of the serving benchmark, in the folder of the trained model."""
    monkeypatch.chdir(trained.folder)
    return rivals.bodies()


def test_requests_ask_for_the_validation_block(bodies, predictor):
    shape = predictor.shape
    valid = pd.read_parquet("data/processed/valid.parquet").astype({"ds": "datetime64[s]"})
    y = dict(zip(valid["ds"].map(pd.Timestamp.isoformat), valid["y"], strict=True))
    assert 1 < len(set(bodies)) == len(bodies) <= rivals.REQUESTS
    for body in map(json.loads, bodies):
        assert len(body["history"]) == shape.history
        assert set(body["history"][0]) == {"ds", "y", *shape.past_columns, *shape.future_columns}
        assert len(body["future"]) == body["h"] == shape.horizon
        assert set(body["future"][0]) == {"ds", *shape.future_columns}
        assert y.keys() >= set(moments(body["future"]))
        times = pd.to_datetime([*moments(body["history"]), *moments(body["future"])])
        assert set(np.diff(times)) == {np.timedelta64(1, "h")}
        for row in body["history"]:
            assert row["y"] == y.get(row["ds"], row["y"])


def test_times_are_marked_as_utc_if_they_are(trained, monkeypatch):
    monkeypatch.chdir(trained.folder)

    def in_london(*arguments, **options):
        manifest = read_manifest(*arguments, **options)
        shape = manifest.shape.model_copy(update={"timezone": "Europe/London"})
        return manifest.model_copy(update={"shape": shape})

    monkeypatch.setattr(rivals, "read_manifest", in_london)
    body = json.loads(rivals.bodies()[0])
    assert all(ds.endswith(":00Z") for ds in moments([*body["history"], *body["future"]]))


def test_weights_of_another_model_are_rejected(trained, monkeypatch, workspace):
    other = workspace / "other.safetensors"
    save_file({"weight": np.zeros(1)}, other, {"version": "0123456789ab"})
    monkeypatch.chdir(trained.folder)
    monkeypatch.setattr(rivals, "WEIGHTS", other)
    with pytest.raises(UserError, match="not the weights of models/; run `make train`"):
        rivals.rivals(trained.params, "python")


def test_plain_torch_serves_the_same_model(trained, predictor, bodies):
    shape = predictor.shape
    for body, theirs in zip(bodies[:5], served(rivals.TORCH, trained, bodies[:5]), strict=True):
        content = json.loads(body)
        rows = pd.DataFrame(content["history"])
        known = pd.concat([rows, pd.DataFrame(content["future"])])
        series = Series(
            name="y",
            start=np.datetime64(rows["ds"][0], "s"),
            y=rows["y"].to_numpy(np.float64),
            past=rows[shape.past_columns].to_numpy(np.float32),
            future=known[shape.future_columns].to_numpy(np.float32),
            observed=np.ones(len(rows), dtype=bool),
        )
        steps = predictor.forecast(Question(series, shape.horizon, shape.horizon))
        ours = {
            "model_version": predictor.version,
            "forecast": [{"unique_id": "y", **step} for step in steps],
        }
        assert rivals.difference(ours, theirs) <= rivals.RIVALS.tolerance["fp32"]
        assert theirs["forecast"][0].keys() == ours["forecast"][0].keys()
        assert moments(theirs["forecast"]) == moments(content["future"])


def test_autoets_answers_the_same_steps(trained, bodies):
    (theirs,) = served(rivals.AUTOETS, trained, bodies[:1])
    assert theirs["model_version"] == rivals.OTHER_METHOD
    assert moments(theirs["forecast"]) == moments(json.loads(bodies[0])["future"])
    for step in theirs["forecast"]:
        assert step["lo_95"] < step["lo_80"] < step["y_hat"] < step["hi_80"] < step["hi_95"]


def test_each_shift_changes_the_series_and_nothing_else(trained, monkeypatch):
    monkeypatch.chdir(trained.folder)
    asked = shifts.inputs(trained.params)[:20]
    for name, shift in shifts.SHIFTS.items():
        for one, other in zip(asked, shift(asked, Random(1)), strict=True):
            assert not np.array_equal(one.series.y, other.series.y), name
            assert np.array_equal(one.series.past, other.series.past)
            assert (one.h, one.series.start) == (other.h, other.series.start)
    [stuck] = shifts.SHIFTS["one value repeated at the end"](asked[:1], Random(1))
    assert len(set(stuck.series.y[-(len(stuck.series.y) // 10) :])) == 1


def test_the_data_stage_is_measured(configure, workspace):
    configure()
    file = workspace / "folder" / "rows.csv"
    file.parent.mkdir()
    prepare.write_rows(file, 10_000)
    settings = {**prepare.SETTINGS, "data.source": file.name}
    seconds, peak = measure.run(PROJECT.package, file.parent, settings)
    assert len(pd.read_csv(file)) == 10_000
    assert (file.parent / "data" / "processed" / "manifest.json").is_file()
    assert 0.1 < seconds < 120
    assert peak > 50e6
