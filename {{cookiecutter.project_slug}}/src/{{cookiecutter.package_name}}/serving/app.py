"""The API, whatever it serves: `predictor.py` holds the model and `routes.py` what it answers."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
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

from .. import cores
from ..about import about_project
from ..artifacts import MODELS, read_metrics
from ..errors import UserError
from ..params import Params
from .batching import Batcher, OverloadError, give_way
from .dependencies import NOT_READY, Model
from .middleware import Middleware, overloaded
from .observe import observer
from .page import Page
from .prediction_log import PredictionLog
from .predictor import MAX_COST, Predictor
from .routes import router
from .verdict import Verdict

log = logging.getLogger(__package__)


def create_app(params: Params, models: Path = MODELS) -> FastAPI:
    """Return the application; its model loads in the background once the server runs."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.create_task(_load(app, models, params))
        yield
        loading.cancel()
        if app.state.batcher:
            app.state.batcher.close()
            app.state.log.close()

    about = about_project()
    # FastAPI whose /docs needs no content delivery network.
    app = FastAPIOffline(title=params.serve.title, version=about["Version"], lifespan=lifespan)
    app.description = about["Summary"]
    app.state.predictor = app.state.batcher = app.state.log = app.state.verdict = None
    app.state.has_failed = False
    app.add_middleware(Middleware, max_body_bytes=params.serve.max_body_bytes)
    app.add_exception_handler(RequestValidationError, _unfit)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(OverloadError, _overloaded)
    app.include_router(router)
    page = Page()

    @app.get("/", include_in_schema=False)
    async def start(request: Request) -> Response:
        return await page.get_response("index.html", request.scope)

    @app.get("/static/{path:path}", include_in_schema=False)
    async def static(path: str, request: Request) -> Response:
        return await page.get_response(path, request.scope)

    @app.get("/health", tags=["operation"])
    async def health() -> dict[str, str]:
        """The process is alive."""
        return {"status": "alive"}

    @app.get("/ready", tags=["operation"], responses=NOT_READY)
    async def ready(predictor: Model) -> dict[str, str]:
        """The model is loaded and warm."""
        return {"status": "ready", "model_version": predictor.version}

    @app.get("/model", tags=["operation"], responses=NOT_READY)
    async def model(predictor: Model) -> dict[str, Any]:
        """Which model answers, what it was trained on, and how it did on the held-out test set."""
        metrics = read_metrics(predictor.version)
        return {
            "name": params.serve.title,
            "problem": about["Summary"],
            "model_version": predictor.version,
            "data_sha256": predictor.manifest["data_sha256"],
            "metrics": metrics and metrics["model"],
            "examples": params.serve.examples,
        }

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        text = generate_latest()
        if app.state.verdict:
            text += generate_latest(app.state.verdict.registry)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    return app


async def _load(app: FastAPI, models: Path, params: Params) -> None:
    try:
        # The threads that a library starts are as nice as the one that loads it.
        with ThreadPoolExecutor(1, "load", give_way) as thread:
            load = partial(Predictor.load, models, params.serve)
            predictor = await asyncio.get_running_loop().run_in_executor(thread, load)
        workers, max_wait = cores.threads(params.serve.threads), params.serve.max_wait_seconds
        app.state.log = PredictionLog(
            params.serve.log, predictor.version, observer(predictor, models)
        )
        app.state.batcher = Batcher(predictor, workers, MAX_COST, max_wait)
        app.state.verdict = Verdict(predictor.version)
        app.state.predictor = predictor
        log.info("model %s is ready on %d threads", predictor.version, workers)
    except UserError as error:
        # Without its model the service is of no use: end it, so that whoever runs it notices.
        log.critical("%s", error)
        app.state.has_failed = True
        signal.raise_signal(signal.SIGTERM)


async def _unfit(request: Request, error: Any) -> JSONResponse:
    # The input itself is not echoed: it may be large, private, or not valid in JSON (NaN).
    problems = [{"loc": list(map(str, p["loc"])), "msg": p["msg"]} for p in error.errors()]
    return _refuse(request, problems, 422)


async def _overloaded(request: Request, error: Any) -> JSONResponse:
    return overloaded(error)


async def _refused(request: Request, error: Any) -> JSONResponse:
    # FastAPI says 400 of a body that is no JSON at all; it does not fit either.
    status = 422 if error.status_code == 400 else error.status_code
    return _refuse(request, error.detail, status, error.headers)


def _refuse(request: Request, detail: Any, status: int, headers: Any = None) -> JSONResponse:
    if status == 422 and request.app.state.log:
        request.app.state.log.refuse(detail if isinstance(detail, list) else [])
    return JSONResponse({"detail": detail}, status, headers)
