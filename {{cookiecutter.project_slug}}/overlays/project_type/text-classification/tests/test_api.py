"""The route that predicts: what it accepts, answers and rejects."""

import json
import shutil
from pathlib import Path

import pytest
from api_fixtures import ready_client

from portfolio_kit.serving import server

TEXTS = ["The tap in the bathroom leaks.", "I forgot the password of my account."]
JSON = {"Content-Type": "application/json"}
ODD = "\ud800"  # half of a pair: JSON can spell it, UTF-8 cannot


@pytest.fixture(scope="module")
def client(trained):
    """A client of the API with the trained model."""
    with ready_client(trained.params, trained.folder / "models") as client:
        yield client


def test_each_text_is_answered_in_its_place(client, predictor):
    answer = client.post("/predict", json={"texts": TEXTS})
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"model_version", "predictions"}
    assert body["model_version"] == predictor.version
    assert [prediction["label"] for prediction in body["predictions"]] == ["plumbing", "computers"]
    for prediction, expected in zip(body["predictions"], predictor.predict(TEXTS), strict=True):
        assert set(prediction) == {"label", "confidence", "probabilities", "needs_review"}
        assert prediction["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-4)
        assert prediction["confidence"] == max(prediction["probabilities"].values())
        assert prediction["needs_review"] is expected["needs_review"]


@pytest.mark.parametrize("top_k", [1, 3.0, 4, 5, 10**30])
def test_the_most_probable_labels_are_the_largest_in_descending_order(top_k, client):
    whole = client.post("/predict", json={"texts": TEXTS}).json()["predictions"]
    part = client.post("/predict", json={"texts": TEXTS, "top_k": top_k}).json()["predictions"]
    for one, all_of_it in zip(part, whole, strict=True):
        found = [*one["probabilities"].items()]
        expected = sorted(all_of_it["probabilities"].values(), reverse=True)[: int(top_k)]
        assert [share for _, share in found] == pytest.approx(expected, abs=1e-6)
        assert found[0] == (one["label"], one["confidence"])
        assert one["needs_review"] is all_of_it["needs_review"]


@pytest.mark.parametrize(
    "top_k", [0, -1, True, 1.5, "2", [2], {}], ids=lambda value: f"{value!r:.8}"
)
def test_another_top_k_gets_a_422_in_one_line(top_k, client):
    answer = client.post("/predict", json={"texts": TEXTS, "top_k": top_k})
    assert answer.status_code == 422
    [problem] = answer.json()["detail"]
    assert problem["loc"] == ["body", "top_k"]
    assert problem["msg"].startswith("Input should be")


def test_null_asks_for_all_labels_and_the_model_says_how_many(client):
    answer = client.post("/predict", json={"texts": TEXTS, "top_k": None}).json()
    assert {len(one["probabilities"]) for one in answer["predictions"]} == {4}
    assert client.get("/model").json()["classes"] == 4


def test_the_largest_valid_request_is_answered(client):
    answer = client.post("/predict", json={"texts": ["leak " * 2000] * 64})
    assert answer.status_code == 200
    assert len(answer.json()["predictions"]) == 64


@pytest.mark.parametrize("text", ["x", "\x00", "🚰", "</script>", "'; DROP x"], ids=ascii)
def test_any_text_that_is_not_blank_is_answered(text, client):
    assert client.post("/predict", json={"texts": [text]}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        None,
        "tap",
        {"texts": None},
        {"texts": ["tap"], "topk": 3},
        {"texts": "tap"},
        {"texts": {"0": "tap"}},
        {"texts": []},
        {"texts": ["tap"] * 65},
        {"texts": [""]},
        {"texts": ["tap", " \t\n\u2003\x1c"]},
        {"texts": ["x" * 10_001]},
        {"texts": [7]},
        {"texts": [None]},
        {"texts": [["tap"]]},
        {"text": ["tap"]},
        {"texts": [ODD]},
        {"texts": ["tap", f"tap {ODD}"]},
        {ODD: ["tap"]},
    ],
    ids=lambda body: ascii(body)[:30],
)
def test_an_invalid_body_gets_a_422_that_names_the_field(body, client):
    answer = client.post("/predict", content=json.dumps(body), headers=JSON)
    assert answer.status_code == 422
    for problem in answer.json()["detail"]:
        assert set(problem) == {"loc", "msg"}
        assert problem["loc"][0] == "body"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"tap",
        b'{"texts": ["tap"]',
        b'{"texts": [NaN]}',
        b'{"texts": ["tap"], "limit": Infinity}x',
        b'{"texts": ["caf\xe9"]}',
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"texts": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b'{"texts": [' + b"9" * 5_000 + b"]}",
    ],
    ids=lambda content: ascii(content[:20]),
)
def test_a_body_that_is_not_json_gets_a_422(content, client):
    answer = client.post("/predict", content=content, headers=JSON)
    assert answer.status_code == 422
    assert answer.json()["detail"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "image/png"])
def test_a_body_of_another_media_type_gets_a_415_that_names_the_header(kind, client):
    answer = client.post("/predict", content=b"texts=tap", headers={"Content-Type": kind})
    assert answer.status_code == 415
    assert "Content-Type" in answer.json()["detail"]


def test_more_than_a_megabyte_gets_a_413(client):
    answer = client.post("/predict", json={"texts": ["x" * 1_000_000]})
    assert answer.status_code == 413


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_other_methods_are_not_allowed(method, client):
    assert client.request(method, "/predict").status_code == 405


def test_the_model_route_names_the_model_that_answers(client, predictor):
    model = client.get("/model").json()
    assert model["model_version"] == predictor.version
    assert model["data_sha256"] == predictor.manifest.data_sha256


@pytest.mark.parametrize(
    ("series", "more"),
    [
        ('predictions_total{label="plumbing"}', 3),
        ("inference_seconds_count", 1),
        ("batch_items_sum", 3),
        ("queue_wait_seconds_count", 3),
        ("prediction_confidence_count", 3),
        ('http_requests_total{route="/predict",status="200"}', 1),
    ],
)
def test_predictions_are_counted(series, more, client):
    assert counted(client, series, TEXTS[:1] * 3) == more


def test_abstentions_are_counted(trained):
    serve = trained.params.serve.model_copy(update={"review_below": 1.0})
    params = trained.params.model_copy(update={"serve": serve})
    with ready_client(params, trained.folder / "models") as client:
        assert counted(client, "predictions_needing_review_total", TEXTS) == 2


def counted(client, series, texts):
    """Return by how much a request increases a series of the metrics."""

    def count():
        lines = client.get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(series))

    before = count()
    client.post("/predict", json={"texts": texts})
    return count() - before


def test_the_documentation_describes_the_request(client):
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    texts = schemas["PredictRequest"]["properties"]["texts"]
    assert (texts["minItems"], texts["maxItems"]) == (1, 64)
    assert (texts["items"]["minLength"], texts["items"]["maxLength"]) == (1, 10_000)
    number, nothing = schemas["PredictRequest"]["properties"]["top_k"]["anyOf"]
    assert (number["type"], number["minimum"], nothing["type"]) == ("integer", 1, "null")


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_an_altered_artifact_is_not_served(name, trained, rejection, monkeypatch):
    monkeypatch.setattr(server, "create_app", lambda *arguments, **options: pytest.fail("served"))
    shutil.copytree(trained.folder / "models", "models")
    path = Path("models") / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    for verb in (["serve"], ["predict", "tap"]):
        [line] = rejection(*verb)
        assert name in line
        assert "train" in line
