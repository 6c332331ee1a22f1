"""What the tests of every project type share; `api_fixtures.py` and `page_fixtures.py` have what
those of the API and of the page need, and `type_fixtures.py` what this type adds.

Each test works in a folder of its own with settings of its own: none needs the project's data or
models, and none touches them.
"""

import functools
import http.server
import operator
import os
import threading
import tracemalloc
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from {{cookiecutter.package_name}} import config
from {{cookiecutter.package_name}}.__main__ import main
from {{cookiecutter.package_name}}.params import Params

pytest_plugins = ["api_fixtures", "page_fixtures", "type_fixtures"]

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def project():
    """The project's folder, for the few tests that look at its own files."""
    return PROJECT


@pytest.fixture(scope="session", autouse=True)
def plain_environment():
    """Nothing that the shell overrides, and no proxy between a test and its own server."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.upper().startswith(f"{config.__package__}_".upper()):
                patch.delenv(name)
        for name in ("MLFLOW_TRACKING_URI", "HOST", "PORT"):
            patch.delenv(name, raising=False)
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, "127.0.0.1")
        yield


@pytest.fixture(scope="session")
def write_params():
    """Write the project's params.yaml, with changes, into the working directory."""

    def write(changes):
        values = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
        for key, value in changes.items():
            *sections, name = key.split(".")
            functools.reduce(operator.getitem, sections, values)[name] = value
        Path("params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
        return config.load(Params)

    return write


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch, write_params):
    """An empty project: the working directory of each test, holding params.yaml and no more."""
    monkeypatch.chdir(tmp_path)
    write_params({})
    return tmp_path


@pytest.fixture(scope="session")
def tracking_store(tmp_path_factory, plain_environment, write_params):
    """The database that runs are recorded in, made once: making it takes seconds."""
    from {{cookiecutter.package_name}}.training import tracking

    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("tracking")
        patch.chdir(folder)
        with tracking.run(write_params({})):
            pass
        # MLflow keeps a database open under its address: only an absolute one means one file.
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{(folder / 'mlflow.db').as_posix()}")
        yield folder / "mlflow.db"


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys):
    """Run a verb as the command line does; return exit code, output and errors."""

    def run_verb(*arguments):
        capsys.readouterr()
        code = main(list(arguments))
        return Outcome(code, *capsys.readouterr())

    return run_verb


@pytest.fixture
def refusal(run):
    """Run a verb that has to fail for a reason in plain words; return its error lines."""

    def refused(*arguments):
        outcome = run(*arguments)
        assert outcome.code == 1, outcome
        assert "Traceback" not in outcome.err
        lines = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
        assert lines, outcome
        return lines

    return refused


@pytest.fixture
def peak_memory():
    """Call a function; return how much memory it took at once, in bytes, what came before aside."""

    def peak_memory(function, *arguments):
        tracemalloc.start()
        try:
            function(*arguments)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    return peak_memory


class FileServer:
    """Serves files from memory on the loopback and remembers what it was asked for."""

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

            def log_message(self, *arguments):
                """Keep the tests' output free of requests."""

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self):
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server():
    """A web server of the test's own."""
    file_server = FileServer()
    yield file_server
    file_server.close()
