"""Worker threads and their limit."""

import asyncio
import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.to_thread
import pytest
from anyio.lowlevel import checkpoint

from forzium.concurrency import run_in_threadpool


class Work:
    """A function that blocks until it is told to go on, and counts how many threads are in it."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.lock = threading.Lock()
        self.running = self.most = self.calls = 0

    def __call__(self) -> None:
        with self.lock:
            self.calls += 1
            self.running += 1
            self.most = max(self.most, self.running)
        self.go.wait(10)
        with self.lock:
            self.running -= 1


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in threads
            await checkpoint()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_calls_that_asyncio_cancels_count_against_the_limit_until_their_threads_are_done(
    anyio_backend: str,
) -> None:
    limiter = anyio.to_thread.current_default_thread_limiter()
    limiter.total_tokens = 3
    work = Work()
    cancelled: list[asyncio.Task[Any]] = []
    for _ in range(4):  # each round would take three new threads
        tasks = [asyncio.ensure_future(run_in_threadpool(work)) for _ in range(3)]
        await until(lambda: work.running == 3)
        for task in tasks:
            task.cancel()
        cancelled += tasks
        await asyncio.wait(tasks)
        assert limiter.borrowed_tokens == 3
    waiting = asyncio.ensure_future(run_in_threadpool(work))
    for _ in range(20):
        await checkpoint()
    assert (work.calls, work.most) == (3, 3)
    work.go.set()
    await waiting
    await until(lambda: limiter.borrowed_tokens == 0)
    assert (work.calls, work.most) == (4, 3)
    assert all(task.cancelled() for task in cancelled)


@pytest.mark.anyio
async def test_every_way_out_gives_the_token_back() -> None:
    limiter = anyio.to_thread.current_default_thread_limiter()

    def fail() -> None:
        assert limiter.borrowed_tokens == 1
        raise ValueError("in the thread")

    with pytest.raises(ValueError, match="in the thread"):
        await run_in_threadpool(fail)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await run_in_threadpool(fail)
    assert await run_in_threadpool(lambda: limiter.borrowed_tokens) == 1
    assert limiter.borrowed_tokens == 0


def test_a_thread_may_outlive_the_event_loop() -> None:
    work = Work()

    async def main() -> None:
        task = asyncio.ensure_future(run_in_threadpool(work))
        await until(lambda: work.running == 1)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(main())
    work.go.set()


class Gate:
    """A function that counts how many threads are in it, all of which wait for the gate."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.lock = threading.Lock()
        self.inside = self.most = 0

    def __call__(self, value: int = 0) -> int:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.open.wait(10)
        with self.lock:
            self.inside -= 1
        return value


@pytest.mark.anyio
async def test_calls_that_block_run_side_by_side_up_to_the_limit() -> None:
    limiter = anyio.to_thread.current_default_thread_limiter()
    limiter.total_tokens = 12
    gate, values = Gate(), set[int]()

    async def call(value: int) -> None:
        values.add(await run_in_threadpool(gate, value))

    async with anyio.create_task_group() as group:
        for value in range(50):
            group.start_soon(call, value)
        await until(lambda: gate.inside == 12)
        assert limiter.borrowed_tokens == 12
        gate.open.set()
    assert (values, gate.most) == (set(range(50)), 12)
    await until(lambda: limiter.borrowed_tokens == 0)


@pytest.mark.anyio
async def test_a_limit_that_is_raised_lets_waiting_calls_begin_although_none_is_done() -> None:
    limiter = anyio.to_thread.current_default_thread_limiter()
    limiter.total_tokens = 2
    gate = Gate()
    async with anyio.create_task_group() as group:
        for _ in range(7):
            group.start_soon(run_in_threadpool, gate)
        await until(lambda: gate.inside == 2)
        limiter.total_tokens = 6
        await until(lambda: gate.inside == 6)
        gate.open.set()
    assert gate.most == 6
    await until(lambda: limiter.borrowed_tokens == 0)


@pytest.mark.anyio
@pytest.mark.parametrize("lowered", [1, 0])
async def test_a_limit_that_is_lowered_holds_for_calls_that_are_waiting(lowered: int) -> None:
    limiter = anyio.to_thread.current_default_thread_limiter()
    limiter.total_tokens = 4
    first, second, began = Gate(), Gate(), 0
    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(run_in_threadpool, first)
        await until(lambda: first.inside == 4)
        for _ in range(4):
            group.start_soon(run_in_threadpool, second)
        for _ in range(20):
            await checkpoint()
        limiter.total_tokens = lowered
        first.open.set()
        await until(lambda: first.inside == 0)
        await until(lambda: limiter.borrowed_tokens == lowered)
        began = second.inside
        limiter.total_tokens = max(lowered, 1)
        second.open.set()
    assert (began <= lowered, second.most) == (True, 1)
    await until(lambda: limiter.borrowed_tokens == 0)


@pytest.mark.anyio
async def test_the_limit_is_shared_with_those_who_use_anyio_themselves_and_both_get_their_turn() -> None:
    limiter = anyio.to_thread.current_default_thread_limiter()
    limiter.total_tokens = 3
    lock = threading.Lock()
    running = most = 0
    order: list[str] = []

    def work(who: str) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            order.append(who)
        threading.Event().wait(0.002)
        with lock:
            running -= 1

    async with anyio.create_task_group() as group:
        for _ in range(30):
            group.start_soon(run_in_threadpool, work, "ours")
            group.start_soon(anyio.to_thread.run_sync, work, "theirs")
    assert (most, sorted(order)) == (3, ["ours"] * 30 + ["theirs"] * 30)
    await until(lambda: limiter.borrowed_tokens == 0)
    assert {"ours", "theirs"} <= set(order[:40])


@pytest.mark.anyio
async def test_short_calls_come_back_each_with_its_own_result_and_context() -> None:
    variable: ContextVar[int] = ContextVar("variable")

    def work(value: int) -> int:
        if value % 7 == 0:
            raise LookupError(value)
        assert variable.get() == value
        variable.set(-1)
        return -value

    async def call(value: int) -> int:
        variable.set(value)
        try:
            return await run_in_threadpool(work, value)
        except LookupError as error:
            return int(error.args[0])
        finally:
            assert variable.get() == value

    results: dict[int, int] = {}

    async def note(value: int) -> None:
        results[value] = await call(value)

    async with anyio.create_task_group() as group:
        for value in range(500):
            group.start_soon(note, value)
    assert results == {value: value if value % 7 == 0 else -value for value in range(500)}


@pytest.mark.anyio
async def test_short_calls_are_made_although_one_among_them_blocks() -> None:
    gate, values = Gate(), set[int]()

    async def call(value: int) -> None:
        values.add(await run_in_threadpool(int, value))

    async with anyio.create_task_group() as group:
        for turn in range(3):
            for value in range(20):
                group.start_soon(call, 20 * turn + value)
            group.start_soon(run_in_threadpool, gate)
        await until(lambda: len(values) == 60)
        assert gate.inside == 3
        gate.open.set()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_calls_that_are_cancelled_take_nothing_from_those_beside_and_after_them(anyio_backend: str) -> None:
    for _ in range(3):
        gate = Gate()
        tasks = [asyncio.ensure_future(run_in_threadpool(gate, value)) for value in range(60)]
        await until(lambda gate=gate: gate.inside > 0)  # type: ignore[misc]
        for task in tasks[::3]:
            task.cancel()
        gate.open.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [result for result in results if isinstance(result, int)] == [v for v in range(60) if v % 3]
        assert all(task.cancelled() for task in tasks[::3])


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_a_task_waits_for_ends_for_others_who_know_it_and_is_not_what_the_next_call_waits_for(
    anyio_backend: str,
) -> None:
    def waited_for(task: asyncio.Task[Any]) -> "asyncio.Future[Any]":
        return task._fut_waiter  # type: ignore[attr-defined,no-any-return]

    for asked_before in (True, False):
        first, second = Gate(), Gate()
        task = asyncio.ensure_future(run_in_threadpool(first, 1))
        await until(lambda gate=first: gate.inside == 1)  # type: ignore[misc]
        known = waited_for(task)
        others = [asyncio.ensure_future(asyncio.wait([known]))] if asked_before else []
        await checkpoint()
        first.open.set()
        assert await task == 1
        await asyncio.wait([known], timeout=10)
        assert (known.done(), known.cancelled()) == (True, False)
        await asyncio.gather(*others)
        task = asyncio.ensure_future(run_in_threadpool(second, 2))
        await until(lambda gate=second: gate.inside == 1)  # type: ignore[misc]
        assert waited_for(task) is not known
        known.cancel()
        second.open.set()
        assert await task == 2


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_call_may_be_awaited_by_something_that_is_no_task(anyio_backend: str) -> None:
    gate = Gate()
    steps = run_in_threadpool(gate, 5).__await__()
    future: asyncio.Future[Any] = next(steps)
    done = asyncio.Event()
    future.add_done_callback(lambda _: done.set())
    gate.open.set()
    with anyio.fail_after(10):
        await done.wait()
    assert future.done()
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value == 5


@pytest.mark.anyio
async def test_a_stop_iteration_from_a_thread_does_not_end_the_coroutine() -> None:
    with pytest.raises(RuntimeError, match="StopIteration") as raised:
        await run_in_threadpool(next, iter(()))
    assert isinstance(raised.value.__cause__, StopIteration)


@pytest.mark.anyio
async def test_anyio_cancellation_waits_for_the_thread() -> None:
    gate, ended = Gate(), False

    async def call() -> None:
        nonlocal ended
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await run_in_threadpool(gate)
            await checkpoint()
        ended = True

    scopes: list[anyio.CancelScope] = []
    async with anyio.create_task_group() as group:
        group.start_soon(call)
        await until(lambda: gate.inside == 1)
        scopes[0].cancel()
        for _ in range(20):
            await checkpoint()
        assert not ended
        gate.open.set()
    assert (ended, gate.inside) == (True, 0)


@pytest.mark.anyio
async def test_anyio_cancellation_does_not_wait_for_a_call_that_has_not_begun() -> None:
    limiter = anyio.to_thread.current_default_thread_limiter()
    limiter.total_tokens = 1
    gate, called = Gate(), list[int]()
    async with anyio.create_task_group() as group:
        group.start_soon(run_in_threadpool, gate)
        await until(lambda: gate.inside == 1)
        with anyio.move_on_after(0.01) as scope:
            await run_in_threadpool(called.append, 1)
        assert (scope.cancelled_caught, gate.inside) == (True, 1)
        gate.open.set()
    assert called == []


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_call_that_is_cancelled_before_it_begins_is_not_made_and_frees_what_it_holds(
    anyio_backend: str,
) -> None:
    limiter = anyio.to_thread.current_default_thread_limiter()
    limiter.total_tokens = 1
    gate = Gate()

    class Argument:
        pass

    argument = Argument()
    held = weakref.ref(argument)
    first = asyncio.ensure_future(run_in_threadpool(gate))
    await until(lambda: gate.inside == 1)
    called: list[Any] = []
    second = asyncio.ensure_future(run_in_threadpool(called.append, argument))
    del argument
    await checkpoint()
    second.cancel()
    await asyncio.wait([second])
    del second
    gc.collect()
    assert held() is None
    gate.open.set()
    await first
    await run_in_threadpool(int)
    assert called == []


def _worker_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "AnyIO worker thread"}


def test_threads_end_with_their_event_loop_also_where_loops_run_side_by_side() -> None:
    before = _worker_threads()
    counts: list[int] = []

    async def main() -> None:
        gate = Gate()
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(run_in_threadpool, gate)
            await until(lambda: gate.inside == 5)
            gate.open.set()
        counts.append(sum([await run_in_threadpool(int, 1) for _ in range(50)]))

    hosts = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(4)]
    for host in hosts:
        host.start()
    for host in hosts:
        host.join()
    for thread in _worker_threads() - before:
        thread.join(5)
    assert counts == [50] * 4
    assert _worker_threads() <= before


def test_an_event_loop_that_runs_without_end_is_served_on_and_on() -> None:
    loop = asyncio.new_event_loop()
    host = threading.Thread(target=loop.run_forever)
    host.start()
    try:
        for value in range(5):
            assert asyncio.run_coroutine_threadsafe(run_in_threadpool(int, value), loop).result(10) == value
    finally:
        loop.call_soon_threadsafe(loop.stop)
        host.join()
        loop.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_process_has_threads_of_its_own() -> None:
    script = """
import asyncio, os, warnings
from forzium.concurrency import run_in_threadpool
warnings.simplefilter("ignore")
loop = asyncio.new_event_loop()
assert loop.run_until_complete(run_in_threadpool(int, 1)) == 1
child = os.fork()
if child:
    os.waitpid(child, 0)
else:
    print(loop.run_until_complete(run_in_threadpool(int, 7)), asyncio.run(run_in_threadpool(int, 8)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("7 8\n", "", 0)


def test_a_process_ends_although_an_event_loop_was_left_half_way() -> None:
    script = """
import asyncio
from forzium.concurrency import run_in_threadpool
loop = asyncio.new_event_loop()
task = loop.create_task(run_in_threadpool(int, 3))
task.add_done_callback(lambda _: loop.stop())
loop.run_forever()
print(task.result())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("3\n", "", 0)
