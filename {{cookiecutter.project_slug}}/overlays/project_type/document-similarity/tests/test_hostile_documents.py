"""Documents that are put by clients that break off: whole, or not there at all."""

import asyncio
import json
import random
import shutil
from urllib.parse import quote

import httpx
from api_fixtures import serving

WRITERS, ROUNDS, TOGETHER = 8, 12, 3
IDS = ["a/b", "../../x", "%00", "é🚰", "x" * 200, " ", ".", "a?b#c", "'; DROP TABLE changes; --"]


def batch_of(writer, turn):
    """Return documents whose texts say which batch they came in."""
    text = f"batch {writer}-{turn} " + "lantern " * 20
    return [
        {"id": f"{IDS[(turn + n) % len(IDS)][:190]}@{writer}", "text": text}
        for n in range(TOGETHER)
    ]


async def put(port, documents, kept):
    """Put documents, or send only so many bytes of that; return whether it was acknowledged."""
    body = json.dumps({"documents": documents}).encode()
    head = f"POST /documents HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n"
    content = head.encode() + b"Content-Type: application/json\r\nConnection: close\r\n\r\n" + body
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(content[:kept])
        await writer.drain()
        if kept is not None:
            return False
        answer = await asyncio.wait_for(reader.read(), 30)
        assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 503"))
        return answer.startswith(b"HTTP/1.1 200")
    finally:
        writer.close()


async def write_and_break_off(port, writer, acknowledged):
    chance = random.Random(writer)
    for turn in range(ROUNDS):
        documents = batch_of(writer, turn)
        broken = chance.random() < 0.4
        # Some break off in the head, some in the body, some before the answer.
        kept = chance.choice([20, 120, 300, 100_000]) if broken else None
        if await put(port, documents, kept):
            acknowledged.update({one["id"]: {one["text"]} for one in documents})
        elif kept == 100_000:  # sent whole, but nobody waited for what came of it
            for one in documents:
                acknowledged.setdefault(one["id"], {None}).add(one["text"])


def found(url, document_id):
    answer = httpx.get(f"{url}/documents/{quote(document_id, safe='')}")
    assert answer.status_code in (200, 404)
    return answer.json()["text"] if answer.status_code == 200 else None


def test_what_was_acknowledged_is_there_and_the_rest_is_whole(trained, workspace):
    shutil.copytree(trained.folder / "models", workspace / "models")
    shutil.copy(trained.folder / "params.yaml", workspace)
    possible = {}

    async def write(port):
        writers = (write_and_break_off(port, one, possible) for one in range(WRITERS))
        await asyncio.gather(*writers)

    with serving(workspace, workspace / "log") as service:
        asyncio.run(write(service.port))
        assert "Traceback" not in service.log.read_text(encoding="utf-8")
    with serving(workspace, workspace / "log") as service:  # the one before was killed
        texts = {one: found(service.url, one) for one in possible}
    assert len(texts) > WRITERS
    assert {one: text for one, text in texts.items() if text not in possible[one]} == {}
