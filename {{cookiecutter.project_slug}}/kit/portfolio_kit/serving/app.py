"""The API around a project's own routes."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from .. import cores
from ..artifacts import MODELS, read_scores
from ..config import Settings
from ..errors import UserError
from ..project import Project, Serving
from .access import Guard
from .dependencies import NOT_READY
from .drift_metrics import DriftMetrics
from .middleware import Middleware
from .page import Page
from .prediction_log import PredictionLog
from .queue import OverloadError, Queue, give_way
from .reading import overloaded
from .secure import HEADERS, Secure

JSON = re.compile(r"application/([\w.-]+\+)?json\s*(;|$)", re.IGNORECASE)
CORS: dict[str, Any] = {
    "allow_methods": ["GET", "POST", "DELETE"],
    "allow_headers": ["Authorization", "Content-Type", "X-Request-ID"],
    "expose_headers": ["Retry-After", "X-Request-ID"],
}
log = logging.getLogger(__package__)


def create_app(
    project: Project,
    params: Settings,
    models: Path = MODELS,
    on_failure: Callable[[], None] = lambda: None,
    is_local: bool = False,
) -> FastAPI:
    """Return the application; its model loads in the background once the server runs.

    `on_failure` is called if the model cannot be loaded. `is_local` says that only this machine
    reaches the server: it may then write without a key, under the name of localhost.

    Raises `UserError` if the API keys in the environment are malformed.
    """
    serving, about = project.serving(), project.about

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.create_task(_load(app, serving, models, params, on_failure))
        yield
        loading.cancel()
        if app.state.queue:
            app.state.queue.close()
            app.state.log.close()
            app.state.predictor.close()

    # FastAPI with the files of Swagger UI. It redirects nobody: it would to any host that is named.
    app = FastAPIOffline(
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        title=params.serve.title,
        version=about["Version"],
        lifespan=lifespan,
    )
    app.description = about["Summary"]
    app.state.predictor = app.state.queue = app.state.log = app.state.drift = None
    settings = params.serve
    app.add_middleware(Middleware, settings=settings)
    if settings.cors:  # around it all: a page may read rejections, too
        app.add_middleware(CORSMiddleware, allow_origins=settings.cors, **CORS)
    app.add_middleware(Secure)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _rejected)
    app.add_exception_handler(OverloadError, _overloaded)
    app.add_exception_handler(Exception, _failed)
    app.include_router(serving.router)
    page = Page(serving.page)

    @app.get("/", include_in_schema=False)
    async def start(request: Request) -> Response:
        return await page.get_response("index.html", request.scope)

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        return await page.get_response("docs.html", request.scope)

    @app.get("/static/{path:path}", include_in_schema=False)
    async def static(path: str, request: Request) -> Response:
        return await page.get_response(path, request.scope)

    @app.get("/health", tags=["operation"])
    async def health() -> dict[str, str]:
        """The process is alive."""
        return {"status": "alive"}

    @app.get("/ready", tags=["operation"], responses=NOT_READY)
    async def ready() -> dict[str, str]:
        """The model is loaded and warm."""
        return {"status": "ready", "model_version": _model(app).version}

    @app.get("/about", tags=["operation"], responses=NOT_READY)
    async def describe() -> dict[str, Any]:
        """What the page says of the model: its scores on the held-out test set, and examples."""
        predictor, examples = _model(app), params.serve.examples
        return {
            "name": params.serve.title,
            "problem": about["Summary"],
            "model_version": predictor.version,
            **predictor.facts,
            "metrics": read_scores(predictor.version),
            "examples": predictor.manifest.examples if examples is None else examples,
        }

    is_public = settings.operations_port is None

    @app.get("/model", tags=["operation"], responses=NOT_READY, include_in_schema=is_public)
    async def model() -> dict[str, Any]:
        """Which model answers, what it was trained on, and its scores on the held-out test set."""
        return {**await describe(), "data_sha256": _model(app).manifest.data_sha256}

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        text = generate_latest()
        if app.state.drift:
            text += generate_latest(app.state.drift.registry)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    guard = app.state.guard = Guard(app, project.package, settings, is_local)
    openapi = app.openapi
    app.openapi = lambda: guard.describe(openapi())  # type: ignore[method-assign]
    return app


def _model(app: FastAPI) -> Any:
    if app.state.predictor is None:
        raise HTTPException(503, "The model is still loading.", headers={"Retry-After": "1"})
    return app.state.predictor


async def _load(
    app: FastAPI, serving: Serving, models: Path, params: Settings, on_failure: Callable[[], None]
) -> None:
    try:
        # The threads that a library starts inherit the priority of the one that loads it.
        with ThreadPoolExecutor(1, "load", give_way) as thread:
            load = partial(serving.predictor.load, models, params.serve)
            predictor = await asyncio.get_running_loop().run_in_executor(thread, load)
    except UserError as error:
        log.critical("%s", error)
        on_failure()
        return
    workers = cores.threads(params.serve.threads)
    observe = serving.signals(predictor)
    app.state.log = PredictionLog(params.serve.log, predictor.version, observe)
    app.state.queue = Queue(predictor, workers, params.serve.max_wait_seconds)
    app.state.drift = DriftMetrics(predictor.version)
    app.state.predictor = predictor
    log.info("model %s is ready on %d threads", predictor.version, workers)


async def _invalid(request: Request, error: Any) -> JSONResponse:
    # The input is not echoed: it may be large, private, or not valid JSON (NaN).
    # Nor is an unknown key of any length.
    problems = [
        {"loc": [f"{part!s:.80}" for part in p["loc"]], "msg": p["msg"]} for p in error.errors()
    ]
    is_of_body = any(p["loc"][0] == "body" and p["type"] != "missing" for p in error.errors())
    if is_of_body and (fault := _undeclared(request)):
        return _reject(request, fault, 415)
    return _reject(request, problems, 422)


def _undeclared(request: Request) -> str | None:
    """Return which header keeps the body from being read as JSON, if one does."""
    encoding = request.headers.get("content-encoding", "")
    kind = request.headers.get("content-type", "")
    if encoding.lower() not in ("", "identity"):
        return f"Content-Encoding {encoding!r:.100} is not supported; send the body uncompressed."
    if not JSON.match(kind):
        found = f"{kind!r:.100} is not supported" if kind else "is missing"
        return f"Content-Type {found}; send application/json."
    return None


async def _failed(request: Request, error: Exception) -> JSONResponse:
    # Starlette answers around all middleware, and then lets the server log the error.
    return JSONResponse({"detail": "The service failed; its log says why."}, 500, HEADERS)


async def _overloaded(request: Request, error: Any) -> JSONResponse:
    return overloaded(error)


async def _rejected(request: Request, error: Any) -> JSONResponse:
    # FastAPI answers 400 to a body that is not JSON at all; that is an invalid body, too.
    if error.status_code == 400:
        fault = _undeclared(request)
        return _reject(request, fault or error.detail, 415 if fault else 422)
    if error.status_code >= 500 and error.__cause__:  # for the log, not for strangers
        request.state.cause = str(error.__cause__)
    return _reject(request, error.detail, error.status_code, error.headers)


def _reject(request: Request, detail: Any, status: int, headers: Any = None) -> JSONResponse:
    if status == 422 and request.app.state.log:
        request.app.state.log.reject(detail if isinstance(detail, list) else [])
    return JSONResponse({"detail": detail}, status, headers)
