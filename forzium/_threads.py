"""Worker threads that keep to anyio's limit even where asyncio cancels whoever waits for them.

Layer: ground, on anyio only. All of forzium's worker threads start here.
Not for: choosing what runs in a thread.

anyio's own cancellation waits until a thread is done. `asyncio.Task.cancel` does not: it ends the wait at once, and
with it the hold on the limit, while the thread works on. Enough cancelled requests make any number of threads. Here the
hold lasts as long as the thread's work does.
"""

import math
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar, cast

import anyio
import anyio.lowlevel
import anyio.to_thread

__all__ = ["call_in_thread"]

T = TypeVar("T")

_endless: anyio.lowlevel.RunVar[anyio.CapacityLimiter] = anyio.lowlevel.RunVar("forzium_endless_limiter")


async def call_in_thread(func: Callable[..., T], *args: Any) -> T:
    """Call a function in a worker thread, with the caller's context variables, under anyio's default limiter.

    Args:
        func: What to call.
        *args: Its arguments.

    Cancellation: by anyio, waits until the function is done and drops its result; by asyncio, is raised at once. A call
    whose thread has not begun is not made. In each case its token of the limiter is given back when the thread is free.
    """
    limiter = anyio.to_thread.current_default_thread_limiter()
    call = _Call(func, args)
    try:
        limiter.acquire_on_behalf_of_nowait(call)
    except anyio.WouldBlock:
        await limiter.acquire_on_behalf_of(call)
    try:
        # The call holds its token already; this limiter stands in for the default one.
        if (endless := _endless.get(None)) is None:
            _endless.set(endless := anyio.CapacityLimiter(math.inf))
        return await anyio.to_thread.run_sync(call, limiter=endless)
    finally:
        call.leave(limiter)


class _Call(Generic[T]):
    """One call, and who gives its token back: the waiter, or the thread where that ends later."""

    __slots__ = ("_args", "_begun", "_dropped", "_func", "_lock", "_when_done")

    def __init__(self, func: Callable[..., T], args: tuple[Any, ...]) -> None:
        self._func = func
        self._args = args
        self._lock = threading.Lock()
        self._begun = False
        self._dropped = False
        self._when_done: Callable[[], object] | None = None

    def __call__(self) -> T:
        """Make the call, in the thread."""
        with self._lock:
            if self._dropped:
                return cast(T, None)  # nobody looks at it
            self._begun = True
        try:
            return self._func(*self._args)
        finally:
            with self._lock:
                self._begun = False
                when_done = self._when_done
            if when_done is not None:
                when_done()

    def leave(self, limiter: anyio.CapacityLimiter) -> None:
        """Stop waiting, in the event loop."""
        with self._lock:
            self._dropped = True
            if self._begun and (in_loop := _scheduler()) is not None:
                self._when_done = partial(in_loop, partial(limiter.release_on_behalf_of, self))
                return
        limiter.release_on_behalf_of(self)


def _scheduler() -> Callable[[Callable[[], object]], object] | None:
    """Give what makes another thread's call in this event loop; None outside of asyncio, where nobody leaves early."""
    import asyncio

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None

    def schedule(callback: Callable[[], object]) -> None:
        try:
            loop.call_soon_threadsafe(callback)
        except RuntimeError:  # the loop was closed, and its limiter with it
            pass

    return schedule
