"""Worker threads and their limit."""

import asyncio
import threading
from collections.abc import Callable
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
