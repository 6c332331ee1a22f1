"""Lets the model answer many requests at once: a bounded queue that forms batches from what waits.

The earliest due goes first: a request's first batch is due when it arrives, and what goes beyond it
as late as if the request had only a share of the machine. So a long request neither holds up the
short ones nor is starved by them.
"""

import asyncio
import heapq
import itertools
import math
import os
import sys
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from prometheus_client import Gauge, Histogram

QUEUED = Gauge("queue_items", "Items that wait for the model")
WAITED = Histogram("queue_wait_seconds", "Time that an item waited for the model")
BATCHED = Histogram("batch_items", "Items answered together", buckets=(1, 2, 4, 8, 16, 32, 64))
INFERENCE = Histogram("inference_seconds", "Time that the model took for one batch")
MAX_INLINE = 4096  # characters, or whatever an input's length counts: prepared in a millisecond
SHARE = 4  # one part in so many of the machine is promised to a request of more than a batch
SMOOTHING = 0.1  # weight of the newest batch in the running means
LATE = 1.5  # times the longest wait: then a request is refused after all


class OverloadError(Exception):
    """Too many wait for about `wait` seconds; try again after `retry_after`, which is whole."""

    def __init__(self, wait: float) -> None:
        super().__init__(f"Too many requests wait already (about {wait:.1f} s); try again later.")
        self.retry_after = max(1, math.ceil(wait))


@dataclass(eq=False)
class _Request:
    arrival: float
    answers: list[Any]  # in the order of the items, filled in as batches are done
    missing: int
    done: asyncio.Future[None]


@dataclass(order=True)
class _Item:
    due: float
    number: int  # of arrival, to break ties
    cost: int = field(compare=False)
    content: Any = field(compare=False)
    position: int = field(compare=False)
    request: _Request = field(compare=False)


def give_way() -> None:
    """Let the event loop go first, so that refusals stay quick when all cores compute."""
    if sys.platform == "linux":  # where a thread has a priority of its own
        os.nice(10)


class Model(Protocol):
    """What a project type's `Predictor` offers; the length of an item is what it costs."""

    def prepare(self, inputs: list[Any]) -> list[Any]: ...
    def answer(self, items: list[Any]) -> list[Any]: ...


class Batcher:
    """Answers items in batches of about one size, on threads that leave the event loop free.

    At most `workers` batches are under way at a time, each of items that cost `max_cost` together.
    A request that would wait longer than `max_wait` seconds is refused, and so is one that is later
    than that by half, because the machine has become slower since; what was begun is finished.
    """

    def __init__(self, model: Model, workers: int, max_cost: int, max_wait: float) -> None:
        self._model = model
        self._max_cost, self._max_wait = max_cost, max_wait
        self._workers = self._free = workers
        self._threads = ThreadPoolExecutor(workers, "model", give_way)
        self._numbers = itertools.count()
        # A heap for each size: sizes within a fifth of each other are one.
        self._queues: dict[int, list[_Item]] = defaultdict(list)
        self.requests = 0  # that wait or are being answered
        # What a batch takes and costs, running means. (A mean of their ratios would be that of
        # small batches, which take longer for what they cost than those of a full queue.)
        self._seconds = self._cost = 0.0

    async def submit(self, inputs: list[Any]) -> list[Any]:
        """Return the answer to each input, or raise `OverloadError`; cancelled, leave the queue.

        There has to be at least one input.
        """
        if sum(map(len, inputs)) <= MAX_INLINE:
            items = self._model.prepare(inputs)
        else:
            items = await asyncio.to_thread(self._model.prepare, inputs)
        now = due = time.monotonic()
        request = _Request(now, [None] * len(items), len(items), asyncio.Future())
        queued, whole = [], 0
        for position, content in enumerate(items):
            cost = max(1, len(content))
            whole += cost
            if whole > self._max_cost:
                due += SHARE * cost * self._pace
            queued.append(_Item(due, next(self._numbers), cost, content, position, request))
        self.check(due)
        for item in queued:
            heapq.heappush(self._queues[round(4 * math.log2(item.cost))], item)
        QUEUED.inc(len(queued))
        self._start_batches()
        self.requests += 1
        try:
            await request.done
        finally:
            self.requests -= 1
            if request.missing:
                self._remove(request)
        return request.answers

    @property
    def _pace(self) -> float:
        """Return the seconds for a unit of cost, all workers together."""
        return self._seconds / self._cost / self._workers if self._cost else 0.0

    def check(self, due: float | None = None) -> None:
        """Raise `OverloadError` if what goes before a request due then (or now) takes too long."""
        due = time.monotonic() if due is None else due
        ahead = sum(i.cost for queue in self._queues.values() for i in queue if i.due <= due)
        if ahead * self._pace > self._max_wait:
            raise OverloadError(ahead * self._pace)

    def _start_batches(self) -> None:
        """Give each free worker a batch: the earliest due item and its likes."""
        while self._free and (waiting := [queue for queue in self._queues.values() if queue]):
            queue = min(waiting, key=lambda queue: queue[0])
            request, late = queue[0].request, time.monotonic() - queue[0].due
            begun = request.missing < len(request.answers)
            if late > LATE * self._max_wait and not begun and not request.done.done():
                request.done.set_exception(OverloadError(late))
            if request.done.done():  # also cancelled, or failed with another batch
                self._remove(request)
                continue
            batch, room = [heapq.heappop(queue)], self._max_cost
            while queue and (room := room - batch[-1].cost) >= queue[0].cost:
                batch.append(heapq.heappop(queue))
            self._free -= 1
            QUEUED.dec(len(batch))
            BATCHED.observe(len(batch))
            now = time.monotonic()
            for item in batch:
                WAITED.observe(now - item.request.arrival)
            future = asyncio.get_running_loop().run_in_executor(
                self._threads, self._model.answer, [item.content for item in batch]
            )
            future.add_done_callback(partial(self._finish, batch, now))

    def _finish(self, batch: list[_Item], start: float, future: asyncio.Future[list[Any]]) -> None:
        self._free += 1
        seconds = time.monotonic() - start
        INFERENCE.observe(seconds)
        weight = SMOOTHING if self._cost else 1
        self._seconds += weight * (seconds - self._seconds)
        self._cost += weight * (sum(item.cost for item in batch) - self._cost)
        error = future.exception()
        for item, answer in zip(batch, future.result() if not error else batch, strict=True):
            request = item.request
            request.answers[item.position] = answer
            request.missing -= not error
            if request.done.done():
                continue
            if error:
                request.done.set_exception(error)
            elif not request.missing:
                request.done.set_result(None)
        self._start_batches()

    def _remove(self, request: _Request) -> None:
        for queue in self._queues.values():
            kept = [item for item in queue if item.request is not request]
            QUEUED.dec(len(queue) - len(kept))
            queue[:] = kept
            heapq.heapify(queue)

    def close(self) -> None:
        """Wait for the batches under way."""
        self._threads.shutdown()
