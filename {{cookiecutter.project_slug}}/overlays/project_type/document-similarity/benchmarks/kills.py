"""Kills the API while documents are being added: python -m benchmarks.kills.

Counts the documents that were acknowledged and are not there after the next start: none may be.
The project's own changes stay as they are. Takes about a minute and a half.
"""

import http.client
import json
import random
import sys
import tempfile
import time
import urllib.error
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

from {{ cookiecutter.package_name }} import artifacts

from .server import FOLDER, Server, opener

KILLS = 20
CLIENTS = 8
LOAD_SECONDS = (0.2, 1.0)  # before the kill: at a moment of chance
DOCUMENTS = 3  # of a request


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        server = changing(Path(folder) / "changes.sqlite")
        acknowledged, lost = run(server, KILLS)
    print(f"acknowledged {acknowledged:,}, lost {lost} over {KILLS} kills")
    sys.exit(bool(lost))


def changing(changes: Path) -> Server:
    """Return the API of this folder's model, with a file of its own for what is added."""
    command = [sys.executable, "-m", artifacts.__package__, "serve"]
    command += ["--set", f"serve.changes={json.dumps(str(changes.resolve()))}"]
    return Server("the API that is killed", "", command, "/documents")


def run(server: Server, kills: int) -> tuple[int, int]:
    """Kill the server so often while clients add documents; return how many came, and were lost."""
    acknowledged: dict[str, str] = {}  # texts by id
    try:
        for number in range(kills):
            body, texts = request(f"start {number}")
            server.start(body)
            acknowledged |= texts
            with ThreadPoolExecutor(CLIENTS) as clients:
                names = [f"start {number}, client {client}" for client in range(CLIENTS)]
                adding = [clients.submit(add, server, name) for name in names]
                time.sleep(random.uniform(*LOAD_SECONDS))
                server.kill()
            for one in adding:
                acknowledged |= one.result()
        server.start(request("last start")[0])
        return len(acknowledged), len(missing(server, acknowledged))
    finally:
        server.stop()


def add(server: Server, name: str) -> dict[str, str]:
    """Add documents until the server is gone; return those that it acknowledged."""
    acknowledged: dict[str, str] = {}
    for number in count():
        body, texts = request(f"{name}, request {number}")
        try:
            server.ask(body)
        except urllib.error.HTTPError:  # refused, which is no promise
            continue
        except (OSError, http.client.HTTPException):
            return acknowledged
        acknowledged |= texts
    raise AssertionError  # it counts for ever


def request(name: str) -> tuple[str, dict[str, str]]:
    """Return the request that adds some documents, and their texts by id."""
    texts = {f"{name}, {number}": f"Document {number} of {name}." for number in range(DOCUMENTS)}
    documents = [{"id": key, "text": text} for key, text in texts.items()]
    return json.dumps({"documents": documents}), texts


def missing(server: Server, texts: dict[str, str]) -> list[str]:
    """Return the ids of documents that are not there as they were added."""
    found = []
    for key, text in texts.items():
        try:
            with opener.open(f"{server.url}/{urllib.parse.quote(key)}") as response:
                if json.load(response)["text"] == text:
                    continue
        except urllib.error.HTTPError:
            pass
        found.append(key)
    return found


if __name__ == "__main__":
    main()
