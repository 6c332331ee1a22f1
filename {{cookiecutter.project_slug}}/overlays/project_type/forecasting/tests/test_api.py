"""The route that forecasts: what it takes, what it answers, what it rejects."""

import math
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import uvicorn
from api_fixtures import ready_client

HOUR = timedelta(hours=1)
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def client(trained):
    """A client of the API with the trained model."""
    with ready_client(trained.params, trained.folder / "models") as client:
        yield client


@pytest.fixture
def history(client):
    """The stored history, in the form that a request takes."""
    return client.get("/history").json()["history"]


@pytest.fixture
def future(history):
    """Make rows of what is known of the steps after the history."""

    def future(steps):
        last = datetime.fromisoformat(history[-1]["ds"])
        moments = (last + step * HOUR for step in range(1, steps + 1))
        return [{"ds": moment.isoformat(), "event": moment.day % 2} for moment in moments]

    return future


@pytest.fixture
def reshape(client, monkeypatch):
    """Change what the model says of its series."""
    model = client.app.state.predictor

    def reshape(**changes):
        monkeypatch.setattr(model, "shape", model.shape.model_copy(update=changes))

    return reshape


def rejected(client, body):
    """Send a request that must be rejected; return where and why."""
    answer = client.post("/forecast", json=body)
    assert answer.status_code == 422, answer.text
    [problem, *_] = answer.json()["detail"]
    return ".".join(problem["loc"]), problem["msg"]


def test_without_a_history_it_continues_the_stored_series(client, predictor, history):
    answer = client.post("/forecast", json={})
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"model_version", "forecast", "warning"}
    assert body["model_version"] == predictor.version
    assert "no event for the steps ahead" in body["warning"]
    [expected] = predictor.predict(list(predictor.stored))
    assert len(body["forecast"]) == predictor.shape.horizon
    for step, row in zip(body["forecast"], expected, strict=True):
        assert step.pop("unique_id") in predictor.stored
        assert step.pop("ds") == row.pop("ds") > history[-1]["ds"]
        assert step == pytest.approx(row, rel=1e-5)
        assert step["lo_95"] <= step["lo_80"] <= step["y_hat"] <= step["hi_80"] <= step["hi_95"]


def test_the_same_history_in_the_request_gives_the_same_forecast(client, history):
    stored, given = (
        client.post("/forecast", json=body).json()["forecast"]
        for body in ({}, {"history": history})
    )
    for one, other in zip(stored, given, strict=True):
        assert one.pop("ds") == other.pop("ds")
        assert one.pop("unique_id") == other.pop("unique_id")
        assert one == pytest.approx(other, rel=1e-4)


def test_many_series_are_answered_in_their_places(client, history):
    rows = [
        {**row, "unique_id": name, "y": factor * row["y"]}
        for row in history
        for name, factor in (("small", 1), ("large", 10))
    ]
    forecast = client.post("/forecast", json={"history": rows, "h": 2}).json()["forecast"]
    assert [step["unique_id"] for step in forecast] == ["small", "small", "large", "large"]
    for small, large in zip(forecast[:2], forecast[2:], strict=True):
        assert large["ds"] == small["ds"]
        assert large["y_hat"] == pytest.approx(10 * small["y_hat"], rel=1e-2)


def test_a_name_alone_asks_for_one_stored_series(client, predictor, monkeypatch):
    series = next(iter(predictor.stored.values()))
    stored = {name: replace(series, name=name) for name in ("Quay", "Pier 1")}
    monkeypatch.setattr(client.app.state.predictor, "stored", stored)
    for body in ({"unique_id": "Pier 1", "h": 2}, {"unique_id": " Pier  1", "h": 2}):
        answer = client.post("/forecast", json=body).json()
        assert [step["unique_id"] for step in answer["forecast"]] == ["Pier 1"] * 2
    where, why = rejected(client, {"unique_id": "pier"})
    assert (where, why) == (
        "body.unique_id",
        "no series 'pier' is stored; there are 'Quay', 'Pier 1'",
    )


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_forecast_that_is_not_finite_is_an_error(value, client, history, monkeypatch):
    """FastAPI writes null in place of a number that is not finite."""
    model = client.app.state.predictor
    monkeypatch.setattr(model, "answer", lambda questions: [np.full((12, 5), value)])
    where, why = rejected(client, {"history": history})
    assert where == "body.history"
    assert "cannot compute a forecast of" in why


@pytest.mark.parametrize("level", [[], [80], [95], [95, 80]])
def test_only_the_levels_asked_for_are_answered(level, client):
    step = client.post("/forecast", json={"h": 1, "level": level}).json()["forecast"][0]
    ends = {f"{end}_{each}" for each in level for end in ("lo", "hi")}
    assert set(step) == {"unique_id", "ds", "y_hat", *ends}


def test_what_is_known_in_advance_moves_the_forecast(client, future, predictor):
    body = {"future": future(predictor.shape.horizon)}
    answer = client.post("/forecast", json=body).json()
    assert answer["warning"] is None
    eventful = [{**row, "event": 1 - row["event"]} for row in body["future"]]
    other = client.post("/forecast", json={"future": eventful}).json()
    for one, another in zip(answer["forecast"], other["forecast"], strict=True):
        assert one["ds"] == another["ds"]
        assert one["y_hat"] != another["y_hat"]


def test_a_future_that_does_not_follow_the_history_is_rejected(client, future, predictor):
    horizon = predictor.shape.horizon
    where, why = rejected(client, {"future": future(horizon - 1)})
    assert where == "body.future"
    assert f"event of the {horizon} steps" in why


def test_a_future_that_the_model_does_not_use_is_rejected(client, future, predictor, reshape):
    reshape(future_columns=[])
    for steps in (1, predictor.shape.horizon):
        where, why = rejected(client, {"future": future(steps)})
        assert where == "body.future"
        assert "must be left out" in why


def test_beyond_the_horizon_there_is_a_warning(client, predictor, future):
    h = 2 * predictor.shape.horizon + 1
    body = client.post("/forecast", json={"h": h, "future": future(h)}).json()
    assert len(body["forecast"]) == h
    assert f"trained for {predictor.shape.horizon} steps" in body["warning"]
    assert len({step["ds"] for step in body["forecast"]}) == h


def test_local_times_are_answered_in_utc(client, predictor, reshape):
    """The history ends in the hour that clocks repeat."""
    reshape(timezone="America/New_York")
    shape, zone = predictor.shape, ZoneInfo("America/New_York")
    first = datetime(2024, 11, 3, 6, tzinfo=UTC) - (shape.history - 1) * HOUR
    moments = [first + n * HOUR for n in range(shape.history + shape.horizon)]
    answers = []
    for times in (moments, [one.astimezone(zone).replace(tzinfo=None) for one in moments]):
        known = {"rain": 0, "event": 0}
        rows = [{"ds": one.isoformat(), "y": n, **known} for n, one in enumerate(times, 100)]
        body = {"history": rows[: shape.history], "future": rows[shape.history :]}
        answer = client.post("/forecast", json=body)
        assert answer.status_code == 200, answer.text
        answers.append(answer.json())
    assert answers[0] == answers[1]
    ahead = [datetime.fromisoformat(step["ds"]) for step in answers[0]["forecast"]]
    assert ahead == moments[shape.history :]


def test_a_history_that_is_too_short_is_rejected(client, history, predictor):
    where, why = rejected(client, {"history": history[1:]})
    assert where == "body.history.0.ds"
    assert f"the model needs at least {predictor.shape.history}" in why


def test_a_history_with_a_hole_is_rejected_at_the_row_after_it(client, history):
    where, why = rejected(client, {"history": history[:5] + history[6:]})
    assert where == "body.history.5.ds"
    assert "skips 1 step" in why


@pytest.mark.parametrize("value", [None, "many", True, [1]])
@pytest.mark.parametrize("name", ["y", "rain", "event"])
def test_values_that_are_not_numbers_are_rejected_at_their_row(name, value, client, history):
    row = {**history[7], name: value}
    where, _ = rejected(client, {"history": [*history[:7], row, *history[8:]]})
    assert where.startswith(f"body.history.7.{name}")


def test_a_model_of_logarithms_rejects_values_that_are_not_positive(client, history, monkeypatch):
    model = client.app.state.predictor
    manifest = model.manifest.model_copy(update={"positive": True})
    monkeypatch.setattr(model, "manifest", manifest)
    rows = [*history[:7], {**history[7], "y": 0}, *history[8:]]
    where, why = rejected(client, {"history": rows})
    assert where == "body.history.7.y"
    assert "above zero" in why


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_not_finite_are_rejected(number, client):
    content = '{"history": [{"ds": "2024-01-01T00:00:00", "y": NUMBER}]}'.replace("NUMBER", number)
    assert client.post("/forecast", content=content, headers=JSON).status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        [],
        None,
        "hires",
        {"h": 0},
        {"h": 1001},
        {"h": 1.5},
        {"h": True},
        {"level": [50]},
        {"level": 80},
        {"history": []},
        {"history": {}},
        {"history": [{"ds": "soon", "y": 1}]},
        {"history": [{"y": 1}]},
        {"history": [{"ds": "2024-01-01T00:00:00"}]},
        {"history": [{"ds": "2024-01-01T00:00:00", "y": 1, "unique_id": None}]},
        {"history": [{"ds": 1704067200, "y": 1}]},
        {"unique_id": 7},
        {"unique_ids": "y"},
        {"horizon": 12},
    ],
    ids=str,
)
def test_an_invalid_body_gets_a_422(body, client):
    answer = client.post("/forecast", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"]


@pytest.mark.parametrize("value", [1e-300, 1e300, -5.0, 0.0])
def test_odd_but_finite_values_are_answered(value, client, history):
    rows = [{**row, "y": value} for row in history]
    answer = client.post("/forecast", json={"history": rows, "h": 1})
    assert answer.status_code in (200, 422)
    if answer.status_code == 200:
        step = answer.json()["forecast"][0]
        assert all(math.isfinite(step[name]) for name in step if name[:2] in ("y_", "lo", "hi"))


def test_a_body_that_is_too_large_gets_a_413(client):
    assert client.post("/forecast", content=b"x" * 1_000_001).status_code == 413


def test_the_stored_history_is_shown(client, predictor):
    body = client.get("/history?steps=3").json()
    shape = predictor.shape
    assert len(body["history"]) == 3
    assert set(body["history"][0]) == {"ds", "y", *shape.past_columns, *shape.future_columns}
    assert client.get("/history?unique_id=nowhere").status_code == 404


@pytest.mark.parametrize("total", [True, False])
def test_the_stored_series_are_listed(total, client, predictor, monkeypatch):
    model = client.app.state.predictor
    monkeypatch.setattr(model, "settings", model.settings.model_copy(update={"total": total}))
    body = client.get("/series").json()
    assert (body["series"], body["total"]) == (list(predictor.stored), total)
    assert (body["horizon"], body["freq"]) == (predictor.shape.horizon, predictor.shape.freq)


@pytest.mark.parametrize(
    ("series", "more"),
    [
        ('forecasts_total{history="given"}', 1),
        ("forecast_steps_count", 1),
        ("inference_seconds_count", 1),
        ('http_requests_total{route="/forecast",status="200"}', 1),
    ],
)
def test_forecasts_are_counted(series, more, client, history):
    before = counted(client, series)
    client.post("/forecast", json={"history": history})
    assert counted(client, series) == before + more


def counted(client, series):
    lines = client.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(series))


def test_forecasts_beyond_the_horizon_are_counted(client, predictor):
    before = counted(client, "forecasts_beyond_horizon_total")
    for more in (0, 1, 0):
        client.post("/forecast", json={"h": predictor.shape.horizon + more})
    assert counted(client, "forecasts_beyond_horizon_total") == before + 1


def test_the_end_of_forecasts_from_the_stored_history_is_a_metric(client, predictor, history):
    [line] = [
        line
        for line in client.get("/metrics").text.splitlines()
        if line.startswith("stored_forecast_end_timestamp_seconds ")
    ]
    last = datetime.fromisoformat(history[-1]["ds"]).replace(tzinfo=UTC)
    end = last + predictor.shape.horizon * HOUR
    assert float(line.split()[1]) == end.timestamp()


@pytest.mark.parametrize("name", ["model.onnx", "history.csv"])
def test_an_altered_artifact_is_not_served(name, trained, rejection, monkeypatch):
    monkeypatch.setattr(uvicorn, "run", lambda *arguments, **settings: pytest.fail("it served"))
    shutil.copytree(trained.folder / "models", "models")
    path = Path("models") / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    for verb in (["serve"], ["predict", "y"]):
        [line] = rejection(*verb)
        assert name in line
        assert "train" in line
