"""Fixtures of the kit's tests; `tiny` is the project that they run it with.

Each test works in its own folder, an empty project with a params.yaml.
"""

import functools
import http.server
import operator
import os
import threading
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import yaml
from tiny import example
from tiny.params import Params
from tiny.project import FOLDER, PROJECT

import portfolio_kit
from portfolio_kit import artifacts, config
from portfolio_kit.cli import main
from portfolio_kit.records import Dataset


@pytest.fixture(scope="session", autouse=True)
def plain_environment():
    """Child processes import what the tests import; nothing from the shell changes parameters."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.upper().startswith(f"{PROJECT.package}_".upper()):
                patch.delenv(name)
        for name in list(os.environ):
            if name in ("MLFLOW_TRACKING_URI", "HOST", "PORT") or name.lower().endswith("_proxy"):
                patch.delenv(name)
        paths = [FOLDER.parent, Path(portfolio_kit.__file__).parents[1]]
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, paths)))
        yield


@pytest.fixture(scope="session")
def write_params():
    """Write the tiny project's params.yaml, with changes, into the working directory."""

    def write(changes):
        values = yaml.safe_load((FOLDER / "params.yaml").read_text(encoding="utf-8"))
        for key, value in changes.items():
            *sections, name = key.split(".")
            functools.reduce(operator.getitem, sections, values)[name] = value
        Path("params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
        return config.load(Params, PROJECT.package)

    return write


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch, write_params):
    """The working directory of each test."""
    monkeypatch.chdir(tmp_path)
    write_params({})
    return tmp_path


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys):
    """Run a verb as the command line does; return exit code, output and errors."""

    def run_verb(*arguments):
        capsys.readouterr()
        code = main(PROJECT, list(arguments))
        return Outcome(code, *capsys.readouterr())

    return run_verb


@pytest.fixture
def rejection(run):
    """Run a verb that must fail with a plain reason; return its error lines."""

    def rejected(*arguments):
        outcome = run(*arguments)
        assert outcome.code == 1, outcome
        lines = outcome.err.splitlines()
        assert lines, outcome
        assert all(line.startswith("error: ") for line in lines), outcome
        return lines

    return rejected


@pytest.fixture
def peak_memory():
    """Call a function; return its peak memory in bytes, above what was in use before."""

    def peak_memory(function, *arguments):
        tracemalloc.start()
        try:
            function(*arguments)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    return peak_memory


@pytest.fixture(scope="session")
def trained(tmp_path_factory, write_params):
    """The tiny project after `data` and `train`: its folder and its parameters."""
    from tiny.data import data
    from tiny.stages import export

    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("trained")
        patch.chdir(folder)
        params = write_params({"serve.log.folder": None})
        Path("texts.csv").write_text(example.texts(400), encoding="utf-8")
        data(params)
        dataset = artifacts.read_manifest(artifacts.PROCESSED, Dataset, made_by="data")
        export(dataset, params, run_id=None)
    return SimpleNamespace(folder=folder, models=folder / "models", params=params)


@pytest.fixture(scope="session")
def tracking_store(tmp_path_factory, plain_environment, write_params):
    """The database of training runs, created once because that takes seconds."""
    from portfolio_kit import tracking

    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("tracking")
        patch.chdir(folder)
        with tracking.run(write_params({})):
            pass
        # MLflow keeps a database open by its address: only an absolute one means one file.
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{(folder / 'mlflow.db').as_posix()}")
        yield folder / "mlflow.db"


class FileServer:
    """Serves files from memory on the loopback and records what it was asked for."""

    def __init__(self):
        self.files = {}  # path: content
        self.missing_bytes = 0  # promised in Content-Length, never sent
        self.requests = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.requests.append(f"{self.command} {self.path}")
                plain = self.path.partition("?")[0]
                body = server.files.get(self.path, server.files.get(plain))
                if body is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(body) + server.missing_bytes))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET  # noqa: N815

            def do_CONNECT(self):
                server.requests.append(f"{self.command} {self.path}")
                self.send_error(502)

            def log_message(self, *arguments):
                """Keep requests out of the tests' output."""

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server():
    """A web server for one test."""
    file_server = FileServer()
    yield file_server
    file_server.close()
