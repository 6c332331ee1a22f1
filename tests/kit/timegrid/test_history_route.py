"""The routes that show which series are stored, and their history."""

from types import SimpleNamespace

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from timegrid.series import grid, series

from portfolio_kit.timegrid.api import router
from portfolio_kit.timegrid.requests import SeriesRequest, history_of


@pytest.fixture
def client():
    """An API with two stored series."""
    app = FastAPI()
    app.include_router(router)
    stored = {name: series(name, length) for name, length in (("Quay", 60), ("Pier & Co", 50))}
    settings = SimpleNamespace(total=True)
    app.state.predictor = SimpleNamespace(stored=stored, shape=grid(), settings=settings)
    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize("total", [True, False])
def test_it_lists_the_series_and_what_they_have_in_common(total, client):
    client.app.state.predictor.settings.total = total
    expected = {"series": ["Quay", "Pier & Co"], "freq": "h", "horizon": 12, "total": total}
    assert client.get("/series").json() == expected


def test_it_returns_the_end_of_a_series_as_the_body_of_a_request(client):
    whole = history_of(series("Quay", 60), grid())
    assert client.get("/history").json() == {"history": whole}
    assert SeriesRequest.model_validate(client.get("/history").json()).history
    assert client.get("/history?steps=3").json()["history"] == whole[-3:]
    assert client.get("/history?steps=999").json()["history"] == whole
    other = client.get("/history", params={"unique_id": "Pier & Co"}).json()["history"]
    assert other == history_of(series("Pier & Co", 50), grid())


def test_an_unknown_series_is_answered_with_the_known_ones(client):
    answer = client.get("/history?unique_id=nowhere")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "There is no series 'nowhere'; there are Quay, Pier & Co."


@pytest.mark.parametrize("query", ["steps=-1", "steps=many", "steps="])
def test_an_invalid_number_of_steps_is_rejected(query, client):
    assert client.get(f"/history?{query}").status_code == 422


def test_a_parameter_that_is_given_twice_is_rejected(client):
    answer = client.get("/history?steps=null&steps=3")
    assert answer.status_code == 422
    assert answer.json() == {"detail": [{"loc": ["query", "steps"], "msg": "is given twice"}]}


def test_while_the_model_loads_there_is_no_answer(client):
    client.app.state.predictor = None
    for path in ("/history", "/series"):
        answer = client.get(path)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
