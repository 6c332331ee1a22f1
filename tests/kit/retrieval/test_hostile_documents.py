"""Documents sent by clients that disconnect: stored whole, or not at all."""

import asyncio
import json
import random
from urllib.parse import quote

import httpx
from live import serving
from retrieval import toy

from portfolio_kit.retrieval.documents import Document

WRITERS, ROUNDS, TOGETHER = 8, 12, 3
IDS = ["a/b", "../../x", "%00", "é🚰", "x" * 200, " ", ".", "a?b#c", "'; DROP TABLE changes; --"]


def batch_of(writer, turn):
    """Return documents whose texts name the batch that they came in."""
    text = f"batch {writer}-{turn} " + "lantern " * 20
    return [
        {"id": f"{IDS[(turn + n) % len(IDS)][:190]}@{writer}", "text": text}
        for n in range(TOGETHER)
    ]


async def put(port, documents, kept):
    """Put documents, or send only the first `kept` bytes; return whether it was acknowledged."""
    body = json.dumps({"documents": documents}).encode()
    head = f"POST /documents HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
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


async def write_and_disconnect(port, writer, acknowledged):
    chance = random.Random(writer)
    for turn in range(ROUNDS):
        documents = batch_of(writer, turn)
        broken = chance.random() < 0.4
        # Some disconnect in the head, some in the body, some before the answer.
        kept = chance.choice([20, 120, 300, 100_000]) if broken else None
        if await put(port, documents, kept):
            acknowledged.update({one["id"]: {one["text"]} for one in documents})
        elif kept == 100_000:  # sent whole, but nobody waited for the answer
            for one in documents:
                acknowledged.setdefault(one["id"], {None}).add(one["text"])


def found(url, document_id):
    answer = httpx.get(f"{url}/documents/{quote(document_id, safe='')}")
    assert answer.status_code in (200, 404)
    return answer.json()["text"] if answer.status_code == 200 else None


def test_acknowledged_documents_are_there_and_all_others_are_whole(workspace):
    toy.write(workspace / "models", [Document("one", "", "tap cat")])
    possible = {}

    async def write(port):
        writers = (write_and_disconnect(port, one, possible) for one in range(WRITERS))
        await asyncio.gather(*writers)

    with serving(workspace, workspace / "log", program=toy.__name__) as service:
        asyncio.run(write(service.port))
        assert "Traceback" not in service.log.read_text(encoding="utf-8")
    # The server before was killed.
    with serving(workspace, workspace / "log", program=toy.__name__) as service:
        texts = {one: found(service.url, one) for one in possible}
    assert len(texts) > WRITERS
    assert {one: text for one, text in texts.items() if text not in possible[one]} == {}
