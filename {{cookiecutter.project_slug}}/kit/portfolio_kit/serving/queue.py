"""Answers many requests at once: a bounded queue that forms batches of waiting items.

Earliest deadline first. A request's first batch is due on arrival; the rest is due as if the
request had only a share of the machine, so long requests neither block short ones nor starve.
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
from typing import Any

from prometheus_client import Gauge, Histogram

from .model import OnnxModel
from .prometheus import metric

DEPTH = metric(Gauge, "queue_depth", "Items waiting for the model")
WAITED = metric(Histogram, "queue_wait_seconds", "Time an item waited for the model")
BATCHED = metric(
    Histogram, "batch_items", "Items answered together", buckets=(1, 2, 4, 8, 16, 32, 64)
)
INFERENCE = metric(Histogram, "inference_seconds", "Time the model took for one batch")
MAX_INLINE = 4096  # total length of inputs that are prepared on the event loop, in a millisecond
SHARE = 4  # a request larger than one batch is promised a fourth of the machine
SMOOTHING = 0.1  # weight of the newest batch in the running means
LATE = 1.5  # times the longest wait: then a request is rejected after all


class OverloadError(Exception):
    """Too many items wait, for about `wait` seconds; retry after `retry_after` whole seconds."""

    def __init__(self, wait: float) -> None:
        super().__init__(f"Too many requests are waiting (about {wait:.1f} s); try again later.")
        self.retry_after = max(1, math.ceil(wait))


@dataclass(eq=False)
class _Request:
    arrival: float
    answers: list[Any]  # in the order of the items, filled in as batches finish
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
    """Let the event loop run first, so rejections stay quick when every core computes."""
    if sys.platform == "linux":  # where a thread has its own priority
        os.nice(10)


class Queue:
    """Batches items of similar size on threads, which leaves the event loop free.

    At most `workers` batches run at a time, each of items that cost `max_cost` together. A request
    that would wait longer than `max_wait` seconds is rejected, and so is one that turns out half as
    late again because the machine slowed down; a request that was begun is finished.
    """

    def __init__(self, model: OnnxModel[Any], workers: int, max_wait: float) -> None:
        self._model, self._max_cost, self._max_wait = model, model.max_cost, max_wait
        self._workers = self._free = workers
        self._threads = ThreadPoolExecutor(workers, "model", give_way)
        self._numbers = itertools.count()
        # One heap per size; sizes within a fifth of each other share one.
        self._heaps: dict[int, list[_Item]] = defaultdict(list)
        self._waiting = 0  # cost of all items in the heaps
        self.requests = 0  # waiting or being answered
        # Running means of a batch. (The mean of their ratios would be that of small batches, which
        # take longer for their cost than those of a full queue.)
        self._seconds = self._cost = 0.0

    async def submit(self, inputs: list[Any]) -> list[Any]:
        """Return the answer to each of at least one input; a cancelled request leaves the queue.

        Raises `OverloadError` if the wait would be too long.
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
            heapq.heappush(self._heaps[round(4 * math.log2(item.cost))], item)
        self._waiting += whole
        DEPTH.inc(len(queued))
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
        """Return the seconds per unit of cost with all workers busy."""
        return self._seconds / self._cost / self._workers if self._cost else 0.0

    def check(self, due: float | None = None) -> None:
        """Raise `OverloadError` if what precedes a request due then (or now) takes too long."""
        if self._waiting * self._pace <= self._max_wait:  # without looking at each item
            return
        due = time.monotonic() if due is None else due
        ahead = sum(i.cost for heap in self._heaps.values() for i in heap if i.due <= due)
        if ahead * self._pace > self._max_wait:
            raise OverloadError(ahead * self._pace)

    def _start_batches(self) -> None:
        """Give each free worker a batch: the earliest due item and others of its size."""
        while self._free and (filled := [heap for heap in self._heaps.values() if heap]):
            heap = min(filled, key=lambda heap: heap[0])
            request, late = heap[0].request, time.monotonic() - heap[0].due
            begun = request.missing < len(request.answers)
            if late > LATE * self._max_wait and not begun and not request.done.done():
                request.done.set_exception(OverloadError(late))
            if request.done.done():  # also cancelled, or failed with another batch
                self._remove(request)
                continue
            batch, room = [heapq.heappop(heap)], self._max_cost
            while heap and (room := room - batch[-1].cost) >= heap[0].cost:
                batch.append(heapq.heappop(heap))
            self._free -= 1
            self._waiting -= sum(item.cost for item in batch)
            DEPTH.dec(len(batch))
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
        for heap in self._heaps.values():
            gone = [item for item in heap if item.request is request]
            if gone:
                self._waiting -= sum(item.cost for item in gone)
                DEPTH.dec(len(gone))
                heap[:] = [item for item in heap if item.request is not request]
                heapq.heapify(heap)

    def close(self) -> None:
        """Wait for the running batches."""
        self._threads.shutdown()
