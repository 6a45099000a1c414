"""Worker threads, under anyio's limit.

Layer: ground, on anyio only. All of forzium's worker threads start here.
Not for: choosing what runs in a thread.

Under asyncio a *crew* of threads takes calls from one queue and reports what they came to in batches: a thread that is
awake takes the next call without going to sleep, and the event loop is woken once for all that was done meanwhile.
The threads are anyio's in every way that can be seen from inside of them: the caller's context variables, the limit
(`anyio.to_thread.current_default_thread_limiter()`), `anyio.from_thread`. Under other event loops anyio's own threads
do the work.

A call keeps its token of the limiter for as long as its thread works. anyio's own cancellation waits until a thread is
done; `asyncio.Task.cancel` does not: it ends the wait at once, while the thread works on. Enough cancelled requests
would make any number of threads.
"""

import asyncio
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread

if TYPE_CHECKING:
    from anyio import CapacityLimiter

__all__ = ["call_in_thread"]

T = TypeVar("T")

_IDLE_SECONDS = 10.0
"""How long a thread waits for work before it ends: as long as anyio's."""


async def call_in_thread(func: Callable[..., T], *args: Any) -> T:
    """Call a function in a worker thread, with the caller's context variables, under anyio's default limiter.

    Args:
        func: What to call.
        *args: Its arguments.

    Cancellation: by anyio, waits until the function is done and drops its result; by asyncio, is raised at once. A call
    whose thread has not begun is not made. In each case its token of the limiter is given back when the thread is free.
    """
    crew = _crew_of_this_loop()
    if crew is None:
        return await anyio.to_thread.run_sync(func, *args)
    await anyio.lowlevel.checkpoint_if_cancelled()
    limiter = anyio.to_thread.current_default_thread_limiter()
    call = _Call(func, args, limiter, crew.loop.create_future())
    try:
        limiter.acquire_on_behalf_of_nowait(call)
    except anyio.WouldBlock:
        await limiter.acquire_on_behalf_of(call)
    with anyio.CancelScope(shield=True) as scope:
        crew.take(call, scope)
        result: T = await call.future
    return result


class _Call:
    """One call, and what it holds."""

    __slots__ = ("args", "context", "error", "func", "future", "limiter", "result", "scope")

    context: Context
    scope: Any

    def __init__(
        self, func: Callable[..., Any], args: tuple[Any, ...], limiter: "CapacityLimiter", future: asyncio.Future[Any]
    ) -> None:
        self.func = func
        self.args = args
        self.limiter = limiter
        self.future = future
        self.result: Any = None
        self.error: BaseException | None = None

    def make(self) -> None:
        """Make the call, in the thread, unless nobody waits for it any more."""
        if self.future.cancelled():
            return
        try:
            self.result = self.context.run(self.func, *self.args)
        except BaseException as error:
            self.error = error

    def report(self) -> None:
        """Give the result to the waiter and the token back, in the event loop."""
        self.limiter.release_on_behalf_of(self)
        if self.future.cancelled():
            return
        error = self.error
        if error is None:
            self.future.set_result(self.result)
            return
        if isinstance(error, StopIteration):  # which no future can raise
            raised = RuntimeError("coroutine raised StopIteration")
            raised.__cause__ = error
            error = raised
        self.future.set_exception(error)
        self.error = None  # the frames of its traceback lead back here


class _Crew:
    """The threads of one event loop. All but `_work` is called in the loop's own thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._done: deque[_Call] = deque()
        self._reporting = False
        self._threads: set[threading.Thread] = set()
        self._busy = 0
        self._stopped = False

    def take(self, call: _Call, scope: Any) -> None:
        """Have a call made."""
        call.context = copy_context()
        call.context.run(_anyio.set_current_async_library, None)
        call.scope = getattr(scope, "_parent_scope", None) or scope
        self._busy += 1
        self._calls.put(call)
        if self._busy > len(self._threads):
            thread = threading.Thread(target=self._work, name="AnyIO worker thread", daemon=True)
            self._threads.add(thread)
            thread.start()

    def stop(self, _task: object = None) -> None:
        """Let the threads end: their event loop does."""
        self._stopped = True
        for _ in self._threads:
            self._calls.put(None)

    def _work(self) -> None:
        with _anyio.claim_worker_thread(_anyio.backend, self.loop):
            while True:
                try:
                    call = self._calls.get(timeout=_IDLE_SECONDS)
                except Empty:
                    if self._leave():
                        return
                    continue
                if call is None:
                    return
                _anyio.threadlocals.current_cancel_scope = call.scope
                call.make()
                del _anyio.threadlocals.current_cancel_scope
                self._done.append(call)
                del call
                if not self._reporting:
                    self._reporting = True
                    self._in_loop(self._report)

    def _leave(self) -> bool:
        """End an idle thread, in agreement with the event loop, which counts them."""
        answer: SimpleQueue[bool] = SimpleQueue()

        def decide() -> None:
            idle = self._busy < len(self._threads)
            if idle:
                self._threads.discard(thread)
            answer.put(idle)

        thread = threading.current_thread()
        return self._stopped or not self._in_loop(decide) or answer.get()

    def _in_loop(self, callback: Callable[[], None]) -> bool:
        try:
            self.loop.call_soon_threadsafe(callback)
        except RuntimeError:  # the loop was closed; nobody waits any more
            return False
        return True

    def _report(self) -> None:
        # A call done after this line schedules another report.
        self._reporting = False
        while self._done:
            self._busy -= 1
            self._done.popleft().report()


class _Anyio:
    """What is needed of anyio that it does not show, found once.

    `anyio.from_thread` knows a worker thread by these. Where a release of anyio has them no more, its own threads are
    used.
    """

    def __init__(self) -> None:
        from anyio._backends._asyncio import AsyncIOBackend, find_root_task
        from anyio._core._eventloop import claim_worker_thread, set_current_async_library, threadlocals

        self.backend = AsyncIOBackend
        self.find_root_task = find_root_task
        self.claim_worker_thread = claim_worker_thread
        self.set_current_async_library = set_current_async_library
        self.threadlocals = threadlocals


_anyio: _Anyio
_crew: anyio.lowlevel.RunVar["_Crew | None"] = anyio.lowlevel.RunVar("forzium_crew")


def _crew_of_this_loop() -> _Crew | None:
    """The crew of the running event loop. None where it is not asyncio's."""
    crew = _crew.get(None)
    if crew is not None:
        return crew
    return _new_crew()


def _new_crew() -> _Crew | None:
    global _anyio
    if "asyncio" not in sys.modules:
        return None
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    try:
        _anyio = _Anyio()
        root = _anyio.find_root_task()
    except (ImportError, AttributeError):
        return None
    crew = _Crew(loop)
    root.add_done_callback(crew.stop, context=Context())
    _crew.set(crew)
    return crew
