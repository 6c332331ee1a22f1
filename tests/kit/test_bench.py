"""The benchmarks: what they report of a server must be true of it."""

import asyncio
import contextlib
import itertools
import json
import math
import sys
import time
from collections import Counter
from types import SimpleNamespace

import psutil
import pytest
from live import free_port

from portfolio_kit.bench import results, server, serving, shutdown
from portfolio_kit.bench.load import Load
from portfolio_kit.bench.rivals import Goal, Rival
from portfolio_kit.errors import UserError

# Answers every request with the id of a process that it has started.
SERVER = """
import http.server, json, os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.dumps({"child": child.pid}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest.fixture
def make(workspace):
    """Return a server that runs a Python program."""
    server.FOLDER.mkdir(parents=True)

    def make(program, folder=workspace):
        command = [sys.executable, "-c", program]
        return server.Server(Rival("a server", "", command, folder), "/", {"MODE": "bench"})

    return make


@pytest.fixture
def started(make, monkeypatch):
    """A server with a child process that has to be killed."""
    monkeypatch.setattr(server, "GRACE_SECONDS", 0.5)
    one = make(SERVER)
    try:
        one.start("{}")
        yield one
    finally:
        one.stop()


def test_a_stopped_server_leaves_no_process_behind(started):
    child = psutil.Process(started.ask("{}")["child"])
    started.suspend()
    deadline = time.monotonic() + 10
    while child.status() != psutil.STATUS_STOPPED and time.monotonic() < deadline:
        time.sleep(0.01)
    assert child.status() == psutil.STATUS_STOPPED
    started.stop()
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_killed_server_leaves_no_process_behind(started):
    child = psutil.Process(started.ask("{}")["child"])
    started.kill()
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_server_runs_in_its_folder_with_its_variables(make, workspace):
    (workspace / "elsewhere").mkdir()
    program = "import os; raise SystemExit(os.getcwd() + ' in mode ' + os.environ['MODE'])"
    with pytest.raises(UserError, match=r"did not start: .*elsewhere in mode bench"):
        make(program, workspace / "elsewhere").start("{}")


def test_a_suspended_server_answers_when_awake(started):
    started.suspend()
    with started.awake():
        assert started.ask("{}")


def test_a_server_is_sent_the_key_of_the_environment(make, monkeypatch):
    needs_one = SERVER.replace(
        "self.send_response(200)",
        "self.send_response(200 if self.headers['Authorization'] == 'Bearer k-1' else 401)",
    )
    one = make(needs_one)
    try:
        with pytest.raises(UserError, match="a server needs an API key: set API_KEY to one"):
            one.start("{}")
        one.stop()
        monkeypatch.setenv("API_KEY", "k-1")
        one.start("{}")
        assert one.ask("{}")

        async def ask():
            connection = await asyncio.open_connection("127.0.0.1", one.port)
            return await shutdown.ask(*connection, "/", "{}", b"")

        assert asyncio.run(ask())[0] == "200"
    finally:
        one.stop()


def test_memory_of_one_process_is_its_resident_set():
    process = psutil.Process()
    assert server.memory([process]) == pytest.approx(process.memory_info().rss, rel=0.05)


def test_memory_that_processes_share_counts_once(started):
    started.watch()
    alone = server.memory([psutil.Process(started.ask("{}")["child"])])
    resident = sum(p.memory_info().rss for p in psutil.Process().children(recursive=True))
    assert alone < started.peak <= resident


def test_a_server_that_does_not_start_is_an_error_with_its_last_line(make):
    with pytest.raises(UserError, match="a server did not start: no room"):
        make("raise SystemExit('no room')").start("{}")


@pytest.mark.parametrize("last_words", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"])
def test_requests_without_a_complete_answer_count_as_lost(last_words):
    """Three answers on one connection, then half an answer or none, then nobody listens."""
    counts = Counter()

    async def serve(reader, writer):
        for _ in range(3):
            await reader.readuntil(b"}")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await reader.readuntil(b"}")
        listener.close()
        writer.write(last_words)
        writer.close()

    async def run():
        nonlocal listener
        listener = await asyncio.start_server(serve, "127.0.0.1", 0)
        target = SimpleNamespace(port=listener.sockets[0].getsockname()[1], path="/")
        await asyncio.wait_for(shutdown.client(target, itertools.repeat("{}"), b"", counts), 10)

    listener = None
    asyncio.run(run())
    assert counts == {"200": 3, "lost": 1}


def test_a_refused_connection_loses_nothing():
    counts = Counter()
    nobody = SimpleNamespace(port=free_port(), path="/")
    asyncio.run(shutdown.client(nobody, itertools.repeat("{}"), b"", counts))
    assert counts == {}


def loads(*rates):
    return {8: [Load(p50=1, p99=1, rate=rate, errors=0) for rate in rates]}


@pytest.mark.parametrize(
    ("goal", "is_met"),
    [({"at_least": 3}, True), ({"at_least": 3.1}, False), ({"at_most": 2.9}, False)],
)
def test_ratios_are_taken_within_a_round(goal, is_met):
    ours = SimpleNamespace(name="ours")
    # By round 2, 3 and 10 times; by medians it would be 20 / 5 = 4 times.
    all_loads = {"ours": loads(20, 15, 50), "theirs": loads(10, 5, 5)}
    measured = results.Measured([ours], {}, all_loads, None, [])
    figure = results.compared(measured, Goal("rate", 8, "theirs", **goal))
    assert figure.value == 3
    assert figure.is_met == is_met
    assert "3.00 times (2.00 to 10.00)" in figure.measured


@pytest.mark.parametrize(("at_least", "is_met"), [(20, True), (20.1, False)])
def test_a_goal_without_a_rival_compares_the_figure_itself(at_least, is_met):
    ours = SimpleNamespace(name="ours")
    measured = results.Measured([ours], {}, {"ours": loads(20, 15, 50)}, None, [])
    figure = results.compared(measured, Goal("rate", 8, None, at_least=at_least))
    assert (figure.value, figure.is_met) == (20, is_met)
    assert figure.name == "requests per second at 8 clients"
    assert figure.measured == "20.00 per second (15.00 to 50.00)"


def test_a_goal_may_be_about_another_server():
    ours = SimpleNamespace(name="ours")
    all_loads = {"ours": loads(1, 1, 1), "large": loads(20, 15, 50), "theirs": loads(10, 5, 5)}
    measured = results.Measured([ours], {}, all_loads, None, [])
    goal = Goal("rate", 8, "theirs", at_least=3, server="large")
    figure = results.compared(measured, goal)
    assert (figure.value, figure.is_met) == (3, True)
    assert figure.name == "requests per second at 8 clients, large, against theirs"


@pytest.mark.parametrize(
    ("differences", "said"),
    [
        ([0.0, 1e-4], "theirs: answers differ from ours's by 0.0001 at most"),
        ([None, None], "theirs: another method, the same questions"),
        ([1e-4, 0.1], None),
        ([1e-4, math.nan], None),
        ([None, math.inf], None),
    ],
)
def test_servers_are_compared_before_they_are_measured(capsys, differences, said):
    answers = iter(differences)
    rivals = SimpleNamespace(difference=lambda *pair: next(answers), tolerance={"fp32": 1e-3})
    server = {"awake": contextlib.nullcontext, "ask": json.loads, "folder": "one"}
    servers = [SimpleNamespace(name=name, **server) for name in ("ours", "theirs")]
    if said is None:
        with pytest.raises(UserError, match=r"^theirs: not the same model"):
            serving.compare(servers, ["1", "2"], rivals, "fp32")
    else:
        serving.compare(servers, ["1", "2"], rivals, "fp32")
        assert capsys.readouterr().out.strip() == said


def test_servers_are_compared_with_the_first_of_their_folder(capsys):
    difference = {("a", "b"): 0.0, ("c", "d"): 0.5}
    rivals = SimpleNamespace(difference=lambda *p: difference[p], tolerance={"fp32": 0.5})
    servers = [
        SimpleNamespace(name=name, folder=folder, awake=contextlib.nullcontext, ask=name.format)
        for name, folder in (("a", "one"), ("b", "one"), ("c", "two"), ("d", "two"))
    ]
    serving.compare(servers, ["1"], rivals, "fp32")
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "b: answers differ from a's by 0 at most",
        "d: answers differ from c's by 0.5 at most",
    ]


def test_bench_runs_only_in_the_project_s_folder(rejection):
    [line] = rejection("bench")
    assert line == "error: benchmarks/rivals.py: not found; run this in the project's folder"
