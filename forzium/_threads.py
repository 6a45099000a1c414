"""Worker threads, under anyio's limit.

Layer: ground, on anyio and the native core. All of forzium's worker threads start here.
Not for: choosing what runs in a thread; nor how threads share the work, which is the core's (`rust/.../threads/`).

Under asyncio a *crew* of threads takes calls from one queue and reports what they came to in batches. The threads are
anyio's in every way that can be seen from inside of them: the caller's context variables, the limit
(`anyio.to_thread.current_default_thread_limiter()`), `anyio.from_thread`. Under other event loops anyio's own threads
do the work.

Calls of a request that holds something, and clean-up, need no token where there is none
(`docs/concepts/threads.md`).

A call keeps its token of the limiter for as long as its thread works. anyio's own cancellation waits until a thread is
done; `asyncio.Task.cancel` does not: it ends the wait at once, while the thread works on. Enough cancelled requests
would make any number of threads.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import Context
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet, WeakValueDictionary

import anyio
import anyio.lowlevel
import anyio.to_thread

from forzium._forzium import Crew, in_thread, lane

if TYPE_CHECKING:
    import asyncio

__all__ = ["call_beyond_the_limit", "call_in_thread", "crew_of"]

T = TypeVar("T")


async def call_in_thread(func: Callable[..., T], *args: Any) -> T:
    """Call a function in a worker thread, with the caller's context variables, under anyio's default limiter.

    Where the request that this is called by holds something, its lane will do as well as a token.

    Args:
        func: What to call.
        *args: Its arguments.

    Cancellation: by anyio, waits until the function is done and drops its result; by asyncio, is raised at once. A call
    whose thread has not begun is not made. In each case its token of the limiter is given back when the thread is free.
    """
    call = in_thread(func, args)
    if call is not None:
        result: T = await call
        return result
    if (own := lane()) is None:
        return await anyio.to_thread.run_sync(func, *args)
    async with _token_or_lane(own):
        return await anyio.to_thread.run_sync(func, *args, limiter=anyio.CapacityLimiter(1))


async def call_beyond_the_limit(func: Callable[..., T], *args: Any) -> T:
    """Call a function in a worker thread that no limit holds back: clean-up, for which others may be waiting.

    Cancellation: by anyio, waits until the function is done and drops its result; by asyncio, is raised at once. The
    call is made all the same.
    """
    call = in_thread(func, args, limited=False)
    if call is None:
        with anyio.CancelScope(shield=True):
            return await anyio.to_thread.run_sync(func, *args, limiter=anyio.CapacityLimiter(1))
        raise AssertionError("a shield swallows nothing")
    result: T = await call
    return result


_Lanes = WeakValueDictionary[tuple[int, int], anyio.CapacityLimiter]
_lanes: anyio.lowlevel.RunVar[_Lanes | None] = anyio.lowlevel.RunVar("forzium_lanes")


@asynccontextmanager
async def _token_or_lane(lane: tuple[int, int]) -> AsyncIterator[None]:
    """Hold what is to be had first: a token of anyio's default limiter, or the lane, which is for one at a time."""
    lanes = _lanes.get(None)
    if lanes is None:
        lanes = _Lanes()
        _lanes.set(lanes)
    default, own = anyio.to_thread.current_default_thread_limiter(), lanes.setdefault(lane, anyio.CapacityLimiter(1))
    token = object()
    held: list[anyio.CapacityLimiter] = []

    async def take(limiter: anyio.CapacityLimiter) -> None:
        await limiter.acquire_on_behalf_of(token)
        held.append(limiter)
        both.cancel_scope.cancel()

    try:
        try:
            default.acquire_on_behalf_of_nowait(token)
            held.append(default)
        except anyio.WouldBlock:
            async with anyio.create_task_group() as both:
                both.start_soon(take, default)
                both.start_soon(take, own)
            for surplus in held[1:]:
                surplus.release_on_behalf_of(token)
            del held[1:]
        yield
    finally:
        for limiter in held:
            limiter.release_on_behalf_of(token)


class _Anyio:
    """What is needed of anyio that it does not show, found once.

    `anyio.from_thread` knows a worker thread by these. Where a release of anyio has them no more, its own threads are
    used.
    """

    def __init__(self) -> None:
        from anyio._backends._asyncio import AsyncIOBackend, _task_states, find_root_task
        from anyio._core._eventloop import claim_worker_thread, threadlocals

        self.backend = AsyncIOBackend
        self.find_root_task = find_root_task
        self.claim_worker_thread = claim_worker_thread
        self.threadlocals = threadlocals
        self.task_states = _task_states.data  # type: ignore[attr-defined]
        self.library = None
        if "sniffio" in sys.modules:
            from sniffio import current_async_library_cvar

            self.library = current_async_library_cvar


_anyio: _Anyio
_crew: anyio.lowlevel.RunVar[Crew | None] = anyio.lowlevel.RunVar("forzium_crew")
_crews: WeakSet[Crew] = WeakSet()
_waiting: set[asyncio.Task[None]] = set()


def crew_of(event_loop: asyncio.AbstractEventLoop) -> Crew | None:
    """Give the crew of the running event loop. None where it cannot be known who ends the threads with it."""
    global _anyio
    import asyncio  # not before somebody uses it: it is a quarter of what importing an application's class costs

    try:
        _anyio = _Anyio()
        if asyncio.current_task() is None:  # something else runs on top of asyncio
            return None
        crew = _crew.get(None)
        if crew is not None and not crew.dismissed:
            return crew
        root = _anyio.find_root_task()
    except (ImportError, AttributeError):
        return None
    crew = Crew(
        event_loop,
        anyio.to_thread.current_default_thread_limiter(),
        start_thread=_start_thread,
        wait_for_token=_wait_for_token,
        threadlocals=_anyio.threadlocals,
        task_states=_anyio.task_states,
        library=_anyio.library,
    )
    root.add_done_callback(crew.dismiss, context=Context())
    if not _crews:
        _watch_the_process()
    _crews.add(crew)
    _crew.set(crew)
    return crew


def _start_thread(crew: Crew) -> None:
    # As anyio's: not a daemon, so that the interpreter waits for what it is doing.
    options: dict[str, Any] = {"context": Context()} if sys.version_info >= (3, 14) else {}
    import asyncio

    event_loop = asyncio.get_running_loop()
    threading.Thread(target=_work, args=(crew, event_loop), name="AnyIO worker thread", **options).start()


def _work(crew: Crew, event_loop: asyncio.AbstractEventLoop) -> None:
    _anyio.threadlocals.current_cancel_scope = None
    with _anyio.claim_worker_thread(_anyio.backend, event_loop):
        del event_loop
        crew.work()


def _wait_for_token(crew: Crew, token: object) -> None:
    import asyncio

    task = asyncio.get_running_loop().create_task(_granted(crew, token), context=Context())
    _waiting.add(task)
    task.add_done_callback(_waiting.discard)


async def _granted(crew: Crew, token: object) -> None:
    limiter = anyio.to_thread.current_default_thread_limiter()
    try:
        await limiter.acquire_on_behalf_of(token)
    except BaseException:
        crew.granted(None)
        raise
    crew.granted(token)


_watched = False


def _watch_the_process() -> None:
    """See that threads end with the process, and are not expected to live on in a forked one."""
    global _watched
    if _watched:
        return
    _watched = True
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forget_crews)
    # Threads that nobody has dismissed, since their event loop was never run to its end, would be waited for.
    if (register := getattr(threading, "_register_atexit", None)) is not None:
        register(_dismiss_crews)


def _forget_crews() -> None:
    for crew in list(_crews):
        crew.abandon()


def _dismiss_crews() -> None:
    for crew in list(_crews):
        crew.dismiss()
