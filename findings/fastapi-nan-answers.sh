#!/usr/bin/env bash
# Whether FastAPI answers NaN with `null` or with a 500 depends on the route's return annotation.
#
# Versions: fastapi 0.165.0, pydantic 2.14.3, httpx 0.28.1; seen with Python 3.11 on Linux.
#
# Three routes return the same number, NaN: one declares its answer as a model with `y: float`, one
# declares nothing, one declares `y: FiniteFloat`.
#
# Expected: one behaviour, and no answer that the API's own OpenAPI document does not allow.
# Seen: the first answers 200 with {"y":null}, although the document says that y is a required number,
# so a client that trusts it fails later, elsewhere. The other two end with an error (a 500): the
# JSON encoder rejects NaN, and the validation of the answer does.
#
# This script exits with 0 as long as that is so, and with 1 when it is not.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  fastapi==0.165.0 pydantic==2.14.3 httpx==0.28.1
"$folder/venv/bin/python" -W ignore - <<'CODE'
import sys

from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel, FiniteFloat

app = FastAPI()
NAN = float("nan")


class Answer(BaseModel):
    y: float


class FiniteAnswer(BaseModel):
    y: FiniteFloat


@app.get("/declared")
def declared() -> Answer:
    return {"y": NAN}


@app.get("/undeclared")
def undeclared():
    return {"y": NAN}


@app.get("/finite")
def finite() -> FiniteAnswer:
    return {"y": NAN}


client = TestClient(app, raise_server_exceptions=False)
answers = {path: client.get(path) for path in ("/declared", "/undeclared", "/finite")}
for path, answer in answers.items():
    print(path, answer.status_code, answer.text)
promised = client.get("/openapi.json").json()["components"]["schemas"]["Answer"]
print("promised:", promised["properties"]["y"]["type"], "required:", promised["required"])
found = [(answer.status_code, answer.text) for answer in answers.values()]
errors = [status for status, _ in found[1:]]
is_so = found[0] == (200, '{"y":null}') and errors == [500, 500]
sys.exit(not (is_so and promised["properties"]["y"]["type"] == "number"))
CODE
