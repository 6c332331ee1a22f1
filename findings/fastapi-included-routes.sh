#!/usr/bin/env bash
# FastAPI's `app.routes` no longer lists the routes of an included router.
#
# Versions: fastapi 0.165.0 and, for comparison, 0.115.0; httpx 0.28.1; seen with Python 3.11 on Linux.
#
# An application includes a router with one route that is guarded by a dependency. A program walks
# `app.routes` to find all routes with that dependency, as access checks and route listings do.
#
# Expected: the included route is among them, as in every release for years.
# Seen: 0.115.0 lists it; 0.165.0 does not, although it answers requests to it. The program finds
# nothing to guard, and no error says so. `fastapi.routing.iter_route_contexts` yields it.
#
# This script exits with 0 as long as that is so, and with 1 when it is not.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/routes.py" <<'CODE'
import sys

import fastapi
from fastapi import APIRouter, Depends, FastAPI
from fastapi.testclient import TestClient


def writing() -> None:
    """Marks routes that change something."""


router = APIRouter()


@router.post("/documents", dependencies=[Depends(writing)])
def put() -> dict[str, str]:
    return {"status": "written"}


app = FastAPI()
app.include_router(router)
listed = "/documents" in [getattr(route, "path", None) for route in app.routes]
answer = TestClient(app).post("/documents")
contexts = getattr(fastapi.routing, "iter_route_contexts", None)
found = contexts and "/documents" in [getattr(one, "path", None) for one in contexts(app.routes)]
print(fastapi.__version__, "listed:", listed, "answers:", answer.status_code, "context:", found)
wanted = {"0.115.0": (True, 200, None), "0.165.0": (False, 200, True)}
sys.exit((listed, answer.status_code, found) != wanted[fastapi.__version__])
CODE
for version in 0.115.0 0.165.0; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "fastapi==$version" httpx==0.28.1
  "$folder/$version/bin/python" -W ignore "$folder/routes.py"
done
