"""Kills the API while documents are written, and counts acknowledged changes that are lost.

What the project's own API has added and deleted is not touched.
"""

import http.client
import json
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..bench.environment import FOLDER
from ..bench.rivals import Rival
from ..bench.server import Server
from ..deploy.smoke_test import headers

KILLS = 20
WRITERS = 4
DOCUMENTS = 2_000  # per writer
LOAD_SECONDS = (0.05, 0.8)  # before a kill, at a random moment
TIMEOUT_SECONDS = 30


def bench(package: str) -> int:
    """Kill the API `KILLS` times, print what was lost, and return 1 if anything was."""
    seed = random.SystemRandom().randrange(2**32)
    writers = []
    for number in range(WRITERS):
        ids = [f"writer{number}/{document}" for document in range(DOCUMENTS)]
        writers.append(Writer(f"writer{number}", dict.fromkeys(ids), seed + number))
    with tempfile.TemporaryDirectory() as folder:
        changes = json.dumps(str(Path(folder) / "changes.sqlite"))
        server = killed_server(package, "--set", f"serve.changes={changes}")
        try:
            kill_again_and_again(server, writers, KILLS)
            lost = [writer.lost(server.port) for writer in writers]
        finally:
            server.stop()
    acknowledged, wrong = sum(writer.acknowledged for writer in writers), sum(map(len, lost))
    print(f"acknowledged {acknowledged:,}, lost {wrong} over {KILLS} kills")
    return int(bool(wrong))


def killed_server(package: str, *options: str) -> Server:
    """Return the API of the model in this folder, not yet started."""
    FOLDER.mkdir(parents=True, exist_ok=True)  # for its log
    command = [sys.executable, "-m", package, "serve", *options]
    return Server(Rival("the API that is killed", "", command), "/search", {})


class Writer:
    """Puts and deletes its own documents, one request after the other, and keeps count.

    `possible` holds the texts that each document may have: the one acknowledged last, and those
    sent since then without an answer; None means no document.
    """

    def __init__(self, name: str, texts: dict[str, str | None], seed: int) -> None:
        """texts: of each document before the first request."""
        self._name, self._ids = name, list(texts)
        self._random = random.Random(seed)
        self._steps = 0
        self.possible = defaultdict(list, {one: [text] for one, text in texts.items()})
        self.acknowledged = self.unanswered = 0  # documents

    def run(self, port: int) -> None:
        """Write until the server is gone."""
        is_there = True
        while is_there:
            is_there = self._write(port)

    def lost(self, port: int) -> dict[str, str | None]:
        """Return the documents with a text that is not possible, and that text."""
        found = {one: stored_text(port, one) for one in self.possible}
        return {one: text for one, text in found.items() if text not in self.possible[one]}

    def _write(self, port: int) -> bool:
        """Send one request; return whether there was an answer."""
        self._steps += 1
        chosen = self._random.sample(self._ids, self._random.choice([1, 1, 2, 5]))
        changes: dict[str, str | None]
        if is_delete := self._random.random() < 0.3:
            changes = {chosen[0]: None}
            request: Sequence[Any] = ("DELETE", f"/documents/{quote(chosen[0])}")
        else:
            word = f"{self._name}step{self._steps}"
            changes = {one: f"lantern {word} {one}" for one in chosen}
            documents = [{"id": one, "text": text} for one, text in changes.items()]
            request = ("POST", "/documents", {"documents": documents})
        try:
            status, answer = ask(port, *request)
        except ConnectionRefusedError:
            return False  # it was never sent
        except (OSError, http.client.HTTPException):
            status, answer = None, None
        if status == 200 or (status == 404 and is_delete):
            assert status == 404 or set(answer["ids"]) == set(changes)
            self.acknowledged += len(changes)
            for one, text in changes.items():
                self.possible[one] = [text]
        else:
            assert status in (None, 503), answer
            self.unanswered += len(changes)
            for one, text in changes.items():
                self.possible[one].append(text)
        return status is not None


def kill_again_and_again(server: Server, writers: list[Writer], kills: int) -> None:
    """Start the server and kill it while all write, `kills` times; leave it started."""
    body = json.dumps({"query": "lantern"})
    for _ in range(kills):
        server.start(body)
        with ThreadPoolExecutor(len(writers)) as threads:
            running = [threads.submit(writer.run, server.port) for writer in writers]
            time.sleep(random.uniform(*LOAD_SECONDS))
            server.kill()
        for one in running:
            one.result()
    server.start(body)


def stored_text(port: int, document_id: str) -> str | None:
    """Return a document's text, or None if there is no such document."""
    status, answer = ask(port, "GET", f"/documents/{quote(document_id)}")
    assert status in (200, 404), answer
    return answer["text"] if status == 200 else None


def ask(port: int, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Return status and answer; raises `OSError` or `HTTPException` if there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request(method, path, json.dumps(body) if body else None, headers())
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()
