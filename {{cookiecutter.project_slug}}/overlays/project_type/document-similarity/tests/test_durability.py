"""What was acknowledged is there: the server is killed again and again while clients write."""

import contextlib
import http.client
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from urllib.parse import quote

import pytest

from {{cookiecutter.package_name}} import config

KILLS = 5
WRITERS = 3
NEW_DOCUMENTS = 12  # of each writer, besides its share of the stored ones
SECONDS_TO_START = 60


class Service:
    """`serve` in a process that is killed and started again, on one port."""

    def __init__(self):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.is_up = threading.Event()
        self._process = None

    def start(self):
        environment = {**os.environ, "PORT": str(self.port)}
        command = [sys.executable, "-m", config.__package__, "serve"]
        self._process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + SECONDS_TO_START
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.ask("GET", "/ready")[0] == 200:
                    break
            assert self._process.poll() is None, "the server did not start"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        self.is_up.set()

    def kill(self):
        self.is_up.clear()
        if self._process:
            self._process.kill()
            self._process.wait()

    def ask(self, method, path, body=None):
        """Return status and answer; raises `OSError` or `HTTPException` if there is none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


class Writer:
    """Puts and deletes documents of its own, one request after the other, and keeps count.

    `possible` are the texts that each document may have: what was acknowledged last, and what was
    sent after that and got no answer; None stands for no document.
    """

    def __init__(self, name, ids, seed):
        self._name, self._ids = name, ids
        self._random = random.Random(seed)
        self._steps = 0
        self.possible = defaultdict(list)
        self.acknowledged = self.unanswered = 0

    def run(self, service, stop):
        while not stop.is_set():
            if service.is_up.wait(timeout=0.1):
                self._write(service)

    def _write(self, service):
        self._steps += 1
        chosen = self._random.sample(self._ids, self._random.choice([1, 1, 2, 5]))
        if is_delete := self._random.random() < 0.3:
            changes = {chosen[0]: None}
            request = ("DELETE", f"/documents/{quote(chosen[0])}")
        else:
            word = f"{self._name}step{self._steps}"
            changes = {one: f"lantern {word} {one}" for one in chosen}
            documents = [{"id": one, "text": text} for one, text in changes.items()]
            request = ("POST", "/documents", {"documents": documents})
        try:
            status, answer = service.ask(*request)
        except ConnectionRefusedError:
            return  # it was never sent
        except (OSError, http.client.HTTPException):
            status, answer = None, None
        if status == 200 or (status == 404 and is_delete):
            assert status == 404 or set(answer["ids"]) == set(changes)
            self.acknowledged += 1
            for one, text in changes.items():
                self.possible[one] = [text]
        else:
            assert status in (None, 503), answer
            self.unanswered += 1
            for one, text in changes.items():
                self.possible[one].append(text)


@pytest.fixture
def service(trained, workspace):
    """The service of a copy of the trained project, not yet started."""
    shutil.copytree(trained.folder / "models", workspace / "models")
    shutil.copy(trained.folder / "params.yaml", workspace)
    service = Service()
    yield service
    service.kill()


def test_no_acknowledged_write_is_lost_however_often_the_server_is_killed(service, corpus):
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    stored = {one["_id"]: one["text"] for one in corpus}
    writers = []
    for number in range(WRITERS):
        ids = [*stored][number::WRITERS] + [f"new/{number}-{n}" for n in range(NEW_DOCUMENTS)]
        writers.append(Writer(f"writer{number}", ids, seed + number))
        writers[-1].possible.update({one: [stored.get(one)] for one in ids})
    stop, faults = threading.Event(), []

    def write(writer):
        try:
            writer.run(service, stop)
        except Exception as error:  # to be raised where pytest sees it
            faults.append(error)

    threads = [threading.Thread(target=write, args=[writer]) for writer in writers]
    for thread in threads:
        thread.start()
    try:
        for _ in range(KILLS):
            service.start()
            time.sleep(chance.uniform(0.05, 0.8))
            service.kill()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert faults == []
    acknowledged = sum(writer.acknowledged for writer in writers)
    unanswered = sum(writer.unanswered for writer in writers)
    print(f"{acknowledged} acknowledged, {unanswered} unanswered")
    assert acknowledged > 10 * KILLS
    assert Path("changes/documents.sqlite").exists()

    service.start()
    possible = {one: texts for writer in writers for one, texts in writer.possible.items()}
    assert len(possible) == len(stored) + WRITERS * NEW_DOCUMENTS <= 100  # found by one search
    found = {}
    for one in possible:
        status, answer = service.ask("GET", f"/documents/{quote(one)}")
        assert status in (200, 404)
        found[one] = answer["text"] if status == 200 else None
    wrong = {one: (text, possible[one]) for one, text in found.items() if text not in possible[one]}
    assert wrong == {}

    there = {one: text for one, text in found.items() if text is not None}
    _, answer = service.ask("POST", "/search", {"query": "lantern", "k": 100})
    assert {result["id"]: result["text"] for result in answer["results"]} == there
    assert len(answer["results"]) == len(there)
    for one, text in there.items():
        if text != stored.get(one):
            word = text.split()[1]  # only of documents that one request has put
            _, answer = service.ask("POST", "/search", {"query": word, "k": 10})
            matched = {result["id"] for result in answer["results"] if word in result["matched"]}
            assert matched == {other for other, text in there.items() if word in text.split()}
            assert one in matched
