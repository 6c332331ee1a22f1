"""A copy of the changes, taken while the service runs, and put back."""

import re
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import live
import pytest
from retrieval import toy
from retrieval.conftest import OVERLAY

from portfolio_kit.retrieval import backup
from portfolio_kit.retrieval.documents import Document
from portfolio_kit.retrieval.journal import Change, Journal

CHANGES, COPY = Path("changes/documents.sqlite"), Path("changes/backup.sqlite")
TEXTS = {"new": "lantern", "d1": "candle"}


@pytest.fixture
def start(workspace, write_params):
    """Return a function that runs the API of three documents."""
    toy.write(workspace / "models", [Document(f"d{n}", "", f"tap cat {n}") for n in range(3)])
    write_params({})
    return lambda: live.serving(workspace, workspace / "serve.log", "retrieval.toy")


def put(server, texts):
    documents = [{"id": name, "text": text} for name, text in texts.items()]
    answer = httpx.post(f"{server.url}/documents", json={"documents": documents})
    assert answer.status_code == 200, answer.text


def stored(server, *names):
    answers = {name: httpx.get(f"{server.url}/documents/{name}") for name in names}
    return {name: one.json().get("text") for name, one in answers.items()}


def stop(server):
    server.send_signal(signal.SIGTERM)
    assert server.wait(30) == 0, server.log.read_text()


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "portfolio_kit.retrieval.backup", *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
    )


def test_a_server_that_is_told_to_stop_leaves_one_file_with_everything(start):
    with start() as server:
        put(server, TEXTS)
        assert httpx.delete(f"{server.url}/documents/d2").status_code == 200
        assert CHANGES.with_name(f"{CHANGES.name}-wal").exists()
        stop(server)
    assert [path.name for path in CHANGES.parent.iterdir()] == [CHANGES.name]
    with sqlite3.connect(f"{CHANGES.resolve().as_uri()}?mode=ro&immutable=1", uri=True) as file:
        rows = dict(file.execute("SELECT id, text FROM changes").fetchall())
    assert rows == {**TEXTS, "d2": None}


def test_a_copy_is_taken_while_the_service_runs_and_restored_as_the_reference_says(start):
    text = (OVERLAY / "docs/reference.md").read_text(encoding="utf-8")
    taken, *restored = re.findall(r"^(?:\.venv.*|rm .*|cp .*) .*\.sqlite.*$", text, re.M)
    with start() as server:
        put(server, TEXTS)
        done = subprocess.run(
            taken.replace(".venv/bin/python", sys.executable),
            shell=True,
            capture_output=True,
            encoding="utf-8",
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"{COPY}: 2 changes of {CHANGES}\n"
        put(server, {"new": "other", "late": "wren"})
        httpx.delete(f"{server.url}/documents/d1")
        server.kill()  # so there is a write-ahead log that does not belong to the copy
        server.wait()
    assert CHANGES.with_name(f"{CHANGES.name}-wal").stat().st_size
    assert len(restored) == 2
    subprocess.run(" && ".join(restored), shell=True, check=True)
    with start() as server:
        assert stored(server, "new", "d1", "late") == {**TEXTS, "late": None}
        put(server, {"new": "again"})
        stop(server)
    assert COPY.exists()


def test_a_copy_is_of_one_moment_while_others_write():
    """Both halves of each write are in it, or none."""
    journal, stop_writing = Journal(CHANGES), threading.Event()

    def write():
        step = 0
        while not stop_writing.is_set():
            step += 1
            journal.write([Change(f"{step}a"), Change(f"{step}b"), Change("last")])

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for number in range(5):
            backup.backup(CHANGES, Path(f"copy{number}.sqlite"))
    finally:
        stop_writing.set()
        thread.join()
        journal.close()
    assert not [*Path().glob(".*.partial*"), *Path().glob("*-journal"), *Path().glob("*-wal")]
    for number in range(5):
        ids = {one.id for one in Journal(Path(f"copy{number}.sqlite")).since(0)} - {"last"}
        assert len(ids) % 2 == 0
        assert {one[:-1] for one in ids if one[-1] == "a"} == {
            one[:-1] for one in ids if one[-1] == "b"
        }


def test_what_cannot_be_copied_gets_one_line_and_no_file(write_params):
    write_params({})
    assert command("copy.sqlite").stderr == f"error: serve.changes: there is no {CHANGES} to copy\n"
    journal = Journal(CHANGES)
    journal.write([Change("a")])
    journal.close()
    lines = {
        (CHANGES,): f"{CHANGES}: exists already; name a new file",
        ("copy.sqlite", "params.yaml"): "params.yaml: cannot be copied to copy.sqlite: file is not "
        "a database",
    }
    for arguments, line in lines.items():
        done = command(*arguments)
        assert (done.returncode, done.stderr) == (1, f"error: {line}\n")
    write_params({"changes": None})
    line = "serve.changes: params.yaml names no file; name it as CHANGES"
    assert command("copy.sqlite").stderr == f"error: {line}\n"
    assert not Path("copy.sqlite").exists()
    assert not [*Path().glob(".*")]
    assert command("copy.sqlite", CHANGES).stdout == f"copy.sqlite: 1 changes of {CHANGES}\n"
