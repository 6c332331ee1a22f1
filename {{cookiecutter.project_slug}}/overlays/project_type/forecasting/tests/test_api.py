"""The route that forecasts: what it takes, what it answers, what it refuses."""

import math
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import uvicorn
from api_fixtures import ready_client

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def client(trained):
    """A client of the API with the trained model."""
    with ready_client(trained.params, trained.folder / "models") as client:
        yield client


@pytest.fixture
def history(client):
    """What is stored, in the form that a request takes."""
    return client.get("/history").json()["history"]


@pytest.fixture
def future(history):
    """Make rows of what is known of the steps after the history."""

    def future(steps):
        last = datetime.fromisoformat(history[-1]["ds"])
        moments = (last + timedelta(hours=step) for step in range(1, steps + 1))
        return [{"ds": moment.isoformat(), "event": moment.day % 2} for moment in moments]

    return future


@pytest.fixture
def reshape(client, monkeypatch):
    """Change what the model says of its series."""
    model = client.app.state.predictor

    def reshape(**changes):
        monkeypatch.setattr(model, "shape", replace(model.shape, **changes))

    return reshape


def refused(client, body):
    """Ask what has to be refused; return where and why."""
    answer = client.post("/forecast", json=body)
    assert answer.status_code == 422, answer.text
    [problem, *_] = answer.json()["detail"]
    return ".".join(problem["loc"]), problem["msg"]


def test_without_a_history_it_goes_on_from_what_is_stored(client, predictor, history):
    answer = client.post("/forecast", json={})
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"model_version", "forecast", "warning"}
    assert body["model_version"] == predictor.version
    assert "no event of the steps ahead" in body["warning"]
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


def test_many_series_are_answered_in_their_places(client, history, predictor):
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


@pytest.mark.parametrize("level", [[], [80], [95], [95, 80]])
def test_only_the_levels_asked_for_are_answered(level, client):
    step = client.post("/forecast", json={"h": 1, "level": level}).json()["forecast"][0]
    ends = {f"{end}_{each}" for each in level for end in ("lo", "hi")}
    assert set(step) == {"unique_id", "ds", "y_hat", *ends}


def test_what_is_known_in_advance_moves_the_forecast(client, future, predictor):
    horizon = predictor.shape.horizon
    body = {"future": future(horizon)}
    answer = client.post("/forecast", json=body).json()
    assert answer["warning"] is None
    eventful = [{**row, "event": 1 - row["event"]} for row in body["future"]]
    other = client.post("/forecast", json={"future": eventful}).json()
    for one, another in zip(answer["forecast"], other["forecast"], strict=True):
        assert one["ds"] == another["ds"]
        assert one["y_hat"] != another["y_hat"]


def test_a_future_that_does_not_follow_the_history_is_refused(client, future, predictor):
    horizon = predictor.shape.horizon
    rows = future(horizon + 1)
    where, why = refused(client, {"future": rows[: horizon - 1]})
    assert where == "body.future"
    assert f"event of the {horizon} steps" in why
    where, why = refused(client, {"future": rows[1:]})
    assert where == "body.future.0.ds"
    assert rows[0]["ds"] in why
    where, _ = refused(client, {"future": [rows[0], *rows[2:]]})
    assert where == "body.future.1.ds"
    where, _ = refused(client, {"future": [{"ds": row["ds"]} for row in rows]})
    assert where == "body.future.0.event"


def test_a_future_of_no_series_is_refused(client, future, predictor):
    rows = future(predictor.shape.horizon)
    where, why = refused(client, {"future": [*rows, {**rows[0], "unique_id": "Quai"}]})
    assert where == f"body.future.{len(rows)}.unique_id"
    assert "series 'Quai' has no history" in why


def test_a_future_that_the_model_does_not_know_is_refused(client, future, predictor, reshape):
    reshape(future_columns=[])
    for steps in (1, predictor.shape.horizon):
        where, why = refused(client, {"future": future(steps)})
        assert where == "body.future"
        assert "has to be left out" in why


def test_beyond_the_horizon_there_is_a_warning(client, predictor, future):
    h = 2 * predictor.shape.horizon + 1
    body = client.post("/forecast", json={"h": h, "future": future(h)}).json()
    assert len(body["forecast"]) == h
    assert f"trained for {predictor.shape.horizon} steps" in body["warning"]
    assert len({step["ds"] for step in body["forecast"]}) == h


@pytest.mark.parametrize("offset", ["Z", "+00:00"])
def test_times_may_be_written_in_any_iso_way(offset, client, history):
    rows = [{**row, "ds": row["ds"].replace("T", " ") + offset} for row in history]
    given, plain = (
        client.post("/forecast", json={"history": each, "h": 1}).json()["forecast"]
        for each in (rows, history)
    )
    assert given == plain


@pytest.mark.parametrize("after", range(5), ids="{} hours of it in the history".format)
@pytest.mark.parametrize("change", ["2024-03-10T07:00", "2024-11-03T05:00"], ids=["spring", "fall"])
def test_local_times_are_told_apart_when_clocks_change(change, after, client, predictor, reshape):
    reshape(timezone="America/New_York")
    shape, zone = predictor.shape, ZoneInfo("America/New_York")
    count = shape.history + shape.horizon
    first = datetime.fromisoformat(change).replace(tzinfo=UTC) + (after - shape.history) * HOUR
    moments = [first + n * HOUR for n in range(count)]
    known = {"rain": 0, "event": 0}
    answers = []
    for times in (moments, [one.astimezone(zone).replace(tzinfo=None) for one in moments]):
        rows = [{"ds": one.isoformat(), "y": n, **known} for n, one in enumerate(times, 100)]
        body = {"history": rows[: shape.history], "future": rows[shape.history :]}
        answer = client.post("/forecast", json=body)
        assert answer.status_code == 200, answer.text
        answers.append(answer.json())
    assert answers[0] == answers[1]
    ahead = [datetime.fromisoformat(step["ds"]) for step in answers[0]["forecast"]]
    assert ahead == moments[shape.history :]


@pytest.mark.parametrize("ds", ["2024-11-02T04:00", "2024-11-03T01:00"])
def test_local_times_that_are_there_too_often_are_refused(ds, client, predictor, reshape):
    reshape(timezone="America/New_York")
    moments = [datetime(2024, 11, 2) + n * HOUR for n in range(96)]
    rows = [{"ds": one.isoformat(), "y": 1, "rain": 0, "event": 0} for one in moments]
    place = next(n for n, row in enumerate(rows) if row["ds"].startswith(ds))
    twice = [*rows[:place], *[rows[place]] * 2, *rows[place:]]
    _, why = refused(client, {"history": twice})
    assert "give each time once" in why


def test_a_history_that_is_too_short_is_refused(client, history, predictor):
    where, why = refused(client, {"history": history[1:]})
    assert where == "body.history.0.ds"
    assert f"{predictor.shape.history} steps" in why
    assert "give" in why


def test_a_history_with_a_hole_is_refused_at_the_row_after_it(client, history):
    where, why = refused(client, {"history": history[:5] + history[6:]})
    assert where == "body.history.5.ds"
    assert "leaves out 1 step" in why


def test_an_unsorted_history_is_refused(client, history):
    rows = [*history[:5], history[6], history[5], *history[7:]]
    where, why = refused(client, {"history": rows})
    assert where in ("body.history.5.ds", "body.history.6.ds")
    where, why = refused(client, {"history": history[::-1]})
    assert where == "body.history.1.ds"
    assert "sort" in why


def test_a_time_that_is_there_twice_is_refused(client, history):
    where, why = refused(client, {"history": [*history[:5], history[4], *history[5:]]})
    assert where == "body.history.5.ds"
    assert "once" in why


def test_another_frequency_is_refused(client, history):
    rows = history[::2]
    where, why = refused(client, {"history": rows})
    assert where == "body.history.1.ds"
    assert "steps are of h" in why


@pytest.mark.parametrize("value", [None, "many", True, [1]])
def test_a_missing_or_odd_value_is_refused_at_its_row(value, client, history):
    where, _ = refused(
        client, {"history": [*history[:7], {**history[7], "y": value}, *history[8:]]}
    )
    assert where.startswith("body.history.7.y")


@pytest.mark.parametrize("value", [None, "wet", True])
def test_a_missing_or_odd_covariate_is_refused_at_its_row(value, client, history, predictor):
    shape = predictor.shape
    for name in (*shape.past_columns, *shape.future_columns):
        row = {**history[7], name: value}
        where, _ = refused(client, {"history": [*history[:7], row, *history[8:]]})
        assert where == f"body.history.7.{name}"


@pytest.mark.parametrize("ds", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_at_the_ends_of_the_calendar_is_refused_too(ds, client, history):
    where, _ = refused(client, {"history": [*history[:7], {**history[7], "ds": ds}, *history[8:]]})
    assert where in ("body.history.7.ds", "body.history.8.ds")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_none_is_refused(number, client):
    content = '{"history": [{"ds": "2024-01-01T00:00:00", "y": NUMBER}]}'.replace("NUMBER", number)
    assert client.post("/forecast", content=content).status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        [],
        None,
        "hires",
        {"h": 0},
        {"h": 481},
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
    ],
    ids=str,
)
def test_a_body_that_does_not_fit_gets_a_422(body, client):
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


def test_the_stored_history_can_be_asked_for(client, predictor):
    body = client.get("/history?steps=3").json()
    shape = predictor.shape
    assert (body["horizon"], body["freq"]) == (shape.horizon, shape.freq)
    assert len(body["history"]) == 3
    assert set(body["history"][0]) == {"ds", "y", *shape.past_columns, *shape.future_columns}
    assert client.get("/history?unique_id=nowhere").status_code == 404


def test_a_parameter_that_is_there_twice_is_refused(client):
    answer = client.get("/history?steps=null&steps=3")
    assert answer.status_code == 422
    assert answer.json() == {"detail": [{"loc": ["query", "steps"], "msg": "is there twice"}]}


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
    def count():
        lines = client.get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(series))

    before = count()
    client.post("/forecast", json={"history": history})
    assert count() == before + more


def test_it_is_told_how_old_the_stored_history_is(client, history):
    [line] = [
        line
        for line in client.get("/metrics").text.splitlines()
        if line.startswith("stored_history_end_timestamp_seconds ")
    ]
    last = datetime.fromisoformat(history[-1]["ds"]).replace(tzinfo=UTC)
    assert float(line.split()[1]) == last.timestamp()


@pytest.mark.parametrize("name", ["model.onnx", "history.csv"])
def test_an_altered_artifact_is_not_served(name, trained, refusal, monkeypatch):
    monkeypatch.setattr(uvicorn, "run", lambda *arguments, **settings: pytest.fail("it served"))
    shutil.copytree(trained.folder / "models", "models")
    path = Path("models") / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    for verb in (["serve"], ["predict", "y"]):
        [line] = refusal(*verb)
        assert name in line
        assert "train" in line
