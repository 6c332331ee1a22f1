"""The queue in front of a model that only sleeps, or waits for a signal."""

import asyncio
import itertools
import random
import threading
import time
from collections import defaultdict

import pytest

from portfolio_kit.serving.queue import DEPTH, OverloadError, Queue


class Model:
    """An item is a string that costs its length; the answer is the string in upper case."""

    def __init__(self, seconds=0.0, max_cost=32):
        self.seconds = seconds  # per unit of cost
        self.max_cost = max_cost
        self.batches = []
        self.threads = set()
        self.may_answer = threading.Event()
        self.may_answer.set()

    def prepare(self, inputs):
        return list(inputs)

    def answer(self, items):
        self.batches.append(items)
        self.threads.add(threading.current_thread())
        assert self.may_answer.wait(timeout=30)
        time.sleep(self.seconds * sum(map(len, items)))
        if "broken" in items:
            raise RuntimeError("it broke")
        return [item.upper() for item in items]


def serve(model, scenario, workers=1, max_wait=60):
    """Run a scenario, a coroutine function that takes a queue, and return what it returns."""

    async def run():
        queue = Queue(model, workers, max_wait)
        try:
            return await scenario(queue)
        finally:
            model.may_answer.set()
            queue.close()

    return asyncio.run(run())


async def submit(queue, *requests):
    """Submit requests one after another, and return their tasks once they are queued."""
    tasks = []
    for inputs in requests:
        tasks.append(asyncio.create_task(queue.submit(inputs)))
        await asyncio.sleep(0.02)
    return tasks


def test_an_idle_model_answers_at_once_and_alone():
    model = Model()

    async def scenario(queue):
        return [await queue.submit([text]) for text in ("a", "b", "c")]

    assert serve(model, scenario) == [["A"], ["B"], ["C"]]
    assert model.batches == [["a"], ["b"], ["c"]]


def test_waiting_items_are_answered_together():
    model = Model()

    async def scenario(queue):
        model.may_answer.clear()
        tasks = await submit(queue, ["first"], ["aa"], ["bb", "cc"], ["dd"])
        model.may_answer.set()
        return await asyncio.gather(*tasks)

    assert serve(model, scenario) == [["FIRST"], ["AA"], ["BB", "CC"], ["DD"]]
    assert model.batches == [["first"], ["aa", "bb", "cc", "dd"]]


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("seed", range(5))
def test_every_item_gets_its_answer_in_batches_of_similar_cost(seed, workers):
    model = Model(seconds=0.0001, max_cost=200)
    generator = random.Random(seed)
    requests = [
        ["x" * generator.randint(1, 40) for _ in range(generator.randint(1, 9))] for _ in range(60)
    ]

    async def scenario(queue):
        return await asyncio.gather(*map(queue.submit, requests))

    answers = serve(model, scenario, workers)
    assert answers == [[item.upper() for item in request] for request in requests]
    for batch in model.batches:
        costs = sorted(map(len, batch))
        assert sum(costs) <= 200
        assert costs[-1] <= max(1.3 * costs[0], 1)
    assert len(model.batches) < sum(map(len, requests)) / 2
    assert len(model.threads) == workers
    assert threading.main_thread() not in model.threads


def test_the_event_loop_stays_free_while_the_model_computes():
    model = Model(seconds=0.3)

    async def scenario(queue):
        task = asyncio.create_task(queue.submit(["x"]))
        ticks = 0
        while not task.done():
            await asyncio.sleep(0.01)
            ticks += 1
        return ticks

    assert serve(model, scenario) > 10


def test_a_huge_request_does_not_delay_a_small_one():
    model = Model(seconds=0.0005)

    async def scenario(queue):
        await queue.submit(["to set the pace"])
        huge = asyncio.create_task(queue.submit(["x" * 16] * 100))
        await asyncio.sleep(0.05)
        started = len(model.batches)
        await queue.submit(["small"])
        assert not huge.done()
        batches = model.batches[started:]
        await huge
        return batches

    # At most the running batch and one more precede it.
    assert ["small"] in serve(model, scenario)[:3]


def test_a_huge_request_does_not_delay_a_stream_of_small_ones():
    model = Model(seconds=0.0005)

    async def scenario(queue):
        await queue.submit(["to set the pace"])
        huge = asyncio.create_task(queue.submit(["x" * 16] * 150))  # 1.2 s of work alone
        waits = []
        while not huge.done():  # half of what the model can do
            start = time.monotonic()
            await queue.submit(["x" * 8])
            waits.append(time.monotonic() - start)
            await asyncio.sleep(0.004)
        return waits

    waits = serve(model, scenario, max_wait=0.5)
    assert len(waits) > 50
    assert sorted(waits)[len(waits) // 2] < 0.1


def test_small_requests_do_not_starve_a_huge_one():
    model = Model(seconds=0.001)

    async def scenario(queue):
        async def hurry():
            while not huge.done():
                await queue.submit(["small"])

        await queue.submit(["to set the pace"])
        huge = asyncio.create_task(queue.submit(["x" * 16] * 20))
        await asyncio.gather(*(hurry() for _ in range(30)))
        return await huge

    assert serve(model, scenario) == ["X" * 16] * 20
    assert len(model.batches) < 150  # ten with it alone


def test_beyond_the_longest_wait_requests_are_rejected_until_there_is_room():
    model = Model(seconds=0.01, max_cost=16)

    async def scenario(queue):
        await queue.submit(["x" * 16])  # it takes 0.16 s
        model.may_answer.clear()
        tasks = await submit(queue, *[["x" * 16]] * 6)
        with pytest.raises(OverloadError) as rejection:
            await queue.submit(["x" * 16])
        await asyncio.sleep(0.2)  # by now the last waiting one should be done
        with pytest.raises(OverloadError):
            queue.check()  # whatever the request
        model.seconds = 0  # or the last one is late on a slow machine
        model.may_answer.set()
        await asyncio.gather(*tasks)
        queue.check()
        await queue.submit(["y"])
        return rejection.value

    rejection = serve(model, scenario, max_wait=0.7)
    assert rejection.retry_after >= 1
    assert "try again" in str(rejection)
    assert [item for batch in model.batches for item in batch] == ["x" * 16] * 7 + ["y"]


def test_a_request_is_judged_by_what_precedes_it():
    model = Model(seconds=0.01, max_cost=16)

    async def scenario(queue):
        await queue.submit(["x" * 16])
        [huge] = await submit(queue, ["x" * 16] * 20)  # 3 s of work
        with pytest.raises(OverloadError):
            await queue.submit(["x" * 16] * 20)
        assert await queue.submit(["small"]) == ["SMALL"]
        assert not huge.done()
        huge.cancel()
        await asyncio.wait([huge])

    serve(model, scenario, max_wait=0.5)


def test_a_request_that_waits_far_longer_than_predicted_is_rejected():
    model = Model(seconds=0.001)

    async def scenario(queue):
        await queue.submit(["to set the pace"])
        model.may_answer.clear()  # from now on it is slow
        tasks = await submit(queue, ["under way"], ["a", "b"], ["c"])
        await asyncio.sleep(0.5)
        model.may_answer.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        return [*answers, await queue.submit(["next"])]

    first, *late, following = serve(model, scenario, max_wait=0.2)
    assert (first, following) == (["UNDER WAY"], ["NEXT"])
    assert [type(answer) for answer in late] == [OverloadError] * 2
    assert model.batches[1:] == [["under way"], ["next"]]


def test_a_request_is_not_late_because_of_its_own_size():
    model = Model(seconds=0.001, max_cost=16)

    async def scenario(queue):
        await queue.submit(["to set the pace"])
        return await queue.submit(["x" * 16] * 40)  # 0.6 s of work

    assert serve(model, scenario, max_wait=0.2) == ["X" * 16] * 40


def test_a_request_that_has_begun_is_finished_even_if_the_machine_becomes_slow():
    model = Model(seconds=0.0001, max_cost=16)

    async def scenario(queue):
        await queue.submit(["to set the pace"])
        model.seconds = 0.005
        return await queue.submit(["x" * 16] * 10)  # 0.8 s of work that used to take 0.016

    assert serve(model, scenario, max_wait=0.1) == ["X" * 16] * 10


def test_a_cancelled_request_frees_its_place():
    model = Model(seconds=0.01, max_cost=16)

    async def scenario(queue):
        await queue.submit(["x" * 16])
        model.may_answer.clear()
        tasks = await submit(queue, ["under way"], *[["x" * 16]] * 5)
        with pytest.raises(OverloadError):
            await queue.submit(["x" * 16])
        for task in tasks[1:]:
            task.cancel()
        await asyncio.wait(tasks[1:])
        [after] = await submit(queue, ["y"])
        model.may_answer.set()
        await tasks[0]
        return await after

    assert serve(model, scenario, max_wait=0.7) == ["Y"]
    assert model.batches == [["x" * 16], ["under way"], ["y"]]


def test_a_failure_affects_only_its_batch():
    model = Model(max_cost=8)

    async def scenario(queue):
        model.may_answer.clear()
        tasks = await submit(queue, ["first"], ["broken", "a much longer one"], ["another"])
        model.may_answer.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        return [*answers, await queue.submit(["next"])]

    first, broken, another, following = serve(model, scenario)
    assert (first, another, following) == (["FIRST"], ["ANOTHER"], ["NEXT"])
    assert isinstance(broken, RuntimeError)


class Heap(list):
    """A heap that counts how many of its items are looked at one by one."""

    looked_at = 0

    def __iter__(self):
        Heap.looked_at += len(self)
        return super().__iter__()


def test_a_nearly_empty_queue_does_not_look_at_each_item(monkeypatch):
    monkeypatch.setattr(Heap, "looked_at", 0)
    model = Model(seconds=0.001, max_cost=16)

    async def scenario(queue):
        queue._heaps = defaultdict(Heap)
        await queue.submit(["to set the pace"])
        model.may_answer.clear()
        tasks = await submit(queue, *[["x" * 16, "y"]] * 20)  # a third of a second of work
        queue.check()
        model.may_answer.set()
        await asyncio.gather(*tasks)
        return Heap.looked_at

    assert serve(model, scenario) == 0


def test_a_full_queue_does():
    """So the test above can fail."""
    model = Model(seconds=0.01, max_cost=16)

    async def scenario(queue):
        queue._heaps = defaultdict(Heap)
        await queue.submit(["to set the pace"])
        model.may_answer.clear()
        await submit(queue, ["x" * 16], ["x"], ["x"])
        before, queue._max_wait = Heap.looked_at, 0.001
        with pytest.raises(OverloadError):
            queue.check()
        queue._max_wait = 60
        return Heap.looked_at - before

    assert serve(model, scenario) == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_the_running_totals_agree_with_a_recount(workers):
    """Through answers, failures, cancellations and rejections, of requests large and small."""
    chance = random.Random(workers)
    model = Model(max_cost=24)

    async def scenario(queue):
        tasks, depth = [], DEPTH._value.get()

        def check():
            items = list(itertools.chain.from_iterable(queue._heaps.values()))
            assert queue._waiting == sum(item.cost for item in items)
            assert DEPTH._value.get() - depth == len(items)
            assert queue.requests == sum(not task.done() for task in tasks)

        for _ in range(250):
            action, running = chance.random(), [task for task in tasks if not task.done()]
            if action < 0.5:
                sizes = [chance.randint(1, 20) for _ in range(chance.randint(1, 8))]
                texts = ["broken" if chance.random() < 0.03 else "x" * size for size in sizes]
                tasks.append(asyncio.create_task(queue.submit(texts)))
            elif action < 0.7 and running:
                chance.choice(running).cancel()
            elif action < 0.8:
                model.may_answer.clear()
            else:
                model.may_answer.set()
            await asyncio.sleep(chance.choice([0, 0, 0.002, 0.02]))
            await asyncio.sleep(0)  # a cancelled task cleans up in its next turn
            check()
        model.may_answer.set()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        check()
        assert queue._waiting == queue.requests == 0
        return {type(outcome) for outcome in outcomes}

    kinds = serve(model, scenario, workers, max_wait=0.02)
    assert kinds == {list, asyncio.CancelledError, RuntimeError, OverloadError}
