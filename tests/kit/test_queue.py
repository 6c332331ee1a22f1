"""The queue in front of the model, with a model that only takes its time, or waits to be told."""

import asyncio
import random
import threading
import time

import pytest

from {{cookiecutter.package_name}}.serving.batching import Batcher, OverloadError


class Model:
    """An item is a string, as costly as it is long; its answer is itself in upper case."""

    def __init__(self, seconds=0.0):
        self.seconds = seconds  # for a unit of cost
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


def serve(model, scenario, workers=1, max_cost=32, max_wait=60):
    """Run a scenario, a coroutine function that takes a batcher, and return what it returns."""

    async def run():
        batcher = Batcher(model, workers, max_cost, max_wait)
        try:
            return await scenario(batcher)
        finally:
            model.may_answer.set()
            batcher.close()

    return asyncio.run(run())


async def queue(batcher, *requests):
    """Submit requests one after the other, and return their tasks once they are queued."""
    tasks = []
    for inputs in requests:
        tasks.append(asyncio.create_task(batcher.submit(inputs)))
        await asyncio.sleep(0.02)
    return tasks


def test_an_idle_model_answers_at_once_and_alone():
    model = Model()

    async def scenario(batcher):
        return [await batcher.submit([text]) for text in ("a", "b", "c")]

    assert serve(model, scenario) == [["A"], ["B"], ["C"]]
    assert model.batches == [["a"], ["b"], ["c"]]


def test_what_waits_is_answered_together():
    model = Model()

    async def scenario(batcher):
        model.may_answer.clear()
        tasks = await queue(batcher, ["first"], ["aa"], ["bb", "cc"], ["dd"])
        model.may_answer.set()
        return await asyncio.gather(*tasks)

    assert serve(model, scenario) == [["FIRST"], ["AA"], ["BB", "CC"], ["DD"]]
    assert model.batches == [["first"], ["aa", "bb", "cc", "dd"]]


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("seed", range(5))
def test_every_item_gets_its_own_answer_in_batches_of_like_cost(seed, workers):
    model = Model(seconds=0.0001)
    generator = random.Random(seed)
    requests = [
        ["x" * generator.randint(1, 40) for _ in range(generator.randint(1, 9))] for _ in range(60)
    ]

    async def scenario(batcher):
        return await asyncio.gather(*map(batcher.submit, requests))

    answers = serve(model, scenario, workers, max_cost=200)
    assert answers == [[item.upper() for item in request] for request in requests]
    for batch in model.batches:
        costs = sorted(map(len, batch))
        assert sum(costs) <= 200
        assert costs[-1] <= max(1.3 * costs[0], 1)
    assert len(model.batches) < sum(map(len, requests)) / 2
    assert len(model.threads) == workers
    assert threading.main_thread() not in model.threads


def test_the_event_loop_stays_free_while_the_model_works():
    model = Model(seconds=0.3)

    async def scenario(batcher):
        task = asyncio.create_task(batcher.submit(["x"]))
        ticks = 0
        while not task.done():
            await asyncio.sleep(0.01)
            ticks += 1
        return ticks

    assert serve(model, scenario) > 10


def test_a_huge_request_does_not_hold_up_a_small_one():
    model = Model(seconds=0.0005)

    async def scenario(batcher):
        await batcher.submit(["to set the pace"])
        huge = asyncio.create_task(batcher.submit(["x" * 16] * 100))
        await asyncio.sleep(0.05)
        started = len(model.batches)
        await batcher.submit(["small"])
        assert not huge.done()
        batches = model.batches[started:]
        await huge
        return batches

    # At most the batch under way and one more come before it.
    assert ["small"] in serve(model, scenario)[:3]


def test_a_huge_request_does_not_hold_up_those_that_keep_coming():
    model = Model(seconds=0.0005)

    async def scenario(batcher):
        await batcher.submit(["to set the pace"])
        huge = asyncio.create_task(batcher.submit(["x" * 16] * 150))  # 1.2 s of work alone
        waits = []
        while not huge.done():  # half of what the model can do
            start = time.monotonic()
            await batcher.submit(["x" * 8])
            waits.append(time.monotonic() - start)
            await asyncio.sleep(0.004)
        return waits

    waits = serve(model, scenario, max_wait=0.5)
    assert len(waits) > 50
    assert sorted(waits)[len(waits) // 2] < 0.1


def test_small_requests_do_not_starve_a_huge_one():
    model = Model(seconds=0.001)

    async def scenario(batcher):
        async def hurry():
            while not huge.done():
                await batcher.submit(["small"])

        await batcher.submit(["to set the pace"])
        huge = asyncio.create_task(batcher.submit(["x" * 16] * 20))
        await asyncio.gather(*(hurry() for _ in range(30)))
        return await huge

    assert serve(model, scenario) == ["X" * 16] * 20
    assert len(model.batches) < 150  # ten with it alone


def test_beyond_the_longest_wait_requests_are_refused_until_there_is_room():
    model = Model(seconds=0.01)

    async def scenario(batcher):
        await batcher.submit(["x" * 16])  # it takes 0.16 s
        model.may_answer.clear()
        tasks = await queue(batcher, *[["x" * 16]] * 6)
        with pytest.raises(OverloadError) as refusal:
            await batcher.submit(["x" * 16])
        await asyncio.sleep(0.2)  # by now the last of those that wait should be done
        with pytest.raises(OverloadError):
            batcher.check()  # whatever the request
        model.seconds = 0  # so that the last is not late, however slow this machine is
        model.may_answer.set()
        await asyncio.gather(*tasks)
        batcher.check()
        await batcher.submit(["y"])
        return refusal.value

    refusal = serve(model, scenario, max_cost=16, max_wait=0.7)
    assert refusal.retry_after >= 1
    assert "try again" in str(refusal)
    assert [item for batch in model.batches for item in batch] == ["x" * 16] * 7 + ["y"]


def test_a_request_is_measured_by_what_goes_before_it():
    model = Model(seconds=0.01)

    async def scenario(batcher):
        await batcher.submit(["x" * 16])
        [huge] = await queue(batcher, ["x" * 16] * 20)  # 3 s of work
        with pytest.raises(OverloadError):
            await batcher.submit(["x" * 16] * 20)
        assert await batcher.submit(["small"]) == ["SMALL"]
        assert not huge.done()
        huge.cancel()
        await asyncio.wait([huge])

    serve(model, scenario, max_cost=16, max_wait=0.5)


def test_who_waits_far_longer_than_was_foreseen_is_refused():
    model = Model(seconds=0.001)

    async def scenario(batcher):
        await batcher.submit(["to set the pace"])
        model.may_answer.clear()  # from now on it is slower
        tasks = await queue(batcher, ["under way"], ["a", "b"], ["c"])
        await asyncio.sleep(0.5)
        model.may_answer.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        return [*answers, await batcher.submit(["next"])]

    first, *late, following = serve(model, scenario, max_wait=0.2)
    assert (first, following) == (["UNDER WAY"], ["NEXT"])
    assert [type(answer) for answer in late] == [OverloadError] * 2
    assert model.batches[1:] == [["under way"], ["next"]]


def test_a_request_is_not_late_for_its_own_size():
    model = Model(seconds=0.001)

    async def scenario(batcher):
        await batcher.submit(["to set the pace"])
        return await batcher.submit(["x" * 16] * 40)  # 0.6 s of work

    assert serve(model, scenario, max_cost=16, max_wait=0.2) == ["X" * 16] * 40


def test_a_request_that_was_begun_is_finished_on_a_machine_that_has_become_slow():
    model = Model(seconds=0.0001)

    async def scenario(batcher):
        await batcher.submit(["to set the pace"])
        model.seconds = 0.005
        return await batcher.submit(["x" * 16] * 10)  # 0.8 s of work, which took 0.016 before

    assert serve(model, scenario, max_cost=16, max_wait=0.1) == ["X" * 16] * 10


def test_a_request_that_is_cancelled_frees_its_place():
    model = Model(seconds=0.01)

    async def scenario(batcher):
        await batcher.submit(["x" * 16])
        model.may_answer.clear()
        tasks = await queue(batcher, ["under way"], *[["x" * 16]] * 5)
        with pytest.raises(OverloadError):
            await batcher.submit(["x" * 16])
        for task in tasks[1:]:
            task.cancel()
        await asyncio.wait(tasks[1:])
        [after] = await queue(batcher, ["y"])
        model.may_answer.set()
        await tasks[0]
        return await after

    assert serve(model, scenario, max_cost=16, max_wait=0.7) == ["Y"]
    assert model.batches == [["x" * 16], ["under way"], ["y"]]


def test_a_failure_is_of_its_own_batch_only():
    model = Model()

    async def scenario(batcher):
        model.may_answer.clear()
        tasks = await queue(batcher, ["first"], ["broken", "a much longer one"], ["another"])
        model.may_answer.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        return [*answers, await batcher.submit(["next"])]

    first, broken, another, following = serve(model, scenario, max_cost=8)
    assert (first, another, following) == (["FIRST"], ["ANOTHER"], ["NEXT"])
    assert isinstance(broken, RuntimeError)
