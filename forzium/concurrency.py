"""Worker threads, and limits on how much happens at once.

Layer: above `forzium.exceptions`; asyncio and trio alike, through anyio.
Not for: the sync endpoints and dependencies of a compiled route; those go to their threads from Rust.

Source: `starlette.concurrency` and `fastapi.concurrency`. How many worker threads there are is anyio's default limiter
(40); set `anyio.to_thread.current_default_thread_limiter().total_tokens` to change it.
"""

import functools
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

import anyio
import anyio.lowlevel

from forzium._threads import call_beyond_the_limit, call_in_thread
from forzium.exceptions import StarletteDeprecationWarning

if TYPE_CHECKING:
    from anyio import CancelScope, Semaphore

__all__ = [
    "asynccontextmanager",
    "contextmanager_in_threadpool",
    "iterate_in_threadpool",
    "run_in_threadpool",
    "run_until_first_complete",
]

P = ParamSpec("P")
T = TypeVar("T")


async def run_in_threadpool(func: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in a worker thread, with the caller's context variables.

    Cancellation: waits until the function is done, whose result is then dropped; where asyncio itself cancels the task,
    that shows at once, and the thread still counts against the limit until it is done.

    Source: `starlette.concurrency.run_in_threadpool`.
    """
    return await call_in_thread(functools.partial(func, *args, **kwargs))


_END: Any = object()


async def iterate_in_threadpool(iterator: Iterable[T]) -> AsyncIterator[T]:
    """Iterate over what blocks, each step in a worker thread.

    Source: `starlette.concurrency.iterate_in_threadpool`.
    """
    steps: Iterator[T] = iter(iterator)
    # A default in place of StopIteration, which must not come out of a coroutine.
    while (item := await call_in_thread(next, steps, _END)) is not _END:
        yield item


async def run_until_first_complete(*args: tuple[Callable[..., Coroutine[Any, Any, Any]], dict[str, Any]]) -> None:
    """Call several coroutine functions at once, each with its keyword arguments; cancel the rest when one is done.

    Deprecated: open a task group instead.

    Source: `starlette.concurrency.run_until_first_complete`.
    """
    warnings.warn(
        "run_until_first_complete is deprecated and will be removed in a future version.",
        StarletteDeprecationWarning,
        stacklevel=1,
    )
    async with anyio.create_task_group() as task_group:

        async def run(func: Callable[..., Coroutine[Any, Any, Any]], kwargs: dict[str, Any]) -> None:
            await func(**kwargs)
            task_group.cancel_scope.cancel()

        for func, kwargs in args:
            task_group.start_soon(run, func, kwargs)


@asynccontextmanager
async def contextmanager_in_threadpool(cm: AbstractContextManager[T]) -> AsyncGenerator[T, None]:
    """Make an asynchronous context manager of a blocking one, whose entry and exit run in worker threads.

    The exit does not wait for a free thread: those that hold one may themselves wait for what this exit gives back.
    Nor can it be cancelled once the entry has succeeded.

    Source: `fastapi.concurrency.contextmanager_in_threadpool`.
    """

    async def leave(error: BaseException | None) -> bool:
        kind, trace = (None, None) if error is None else (type(error), error.__traceback__)
        return bool(await call_beyond_the_limit(cm.__exit__, kind, error, trace))

    value = await run_in_threadpool(cm.__enter__)
    try:
        yield value
    except BaseException as error:
        if not await leave(error):
            raise
    else:
        await leave(None)


@asynccontextmanager
async def _asynccontextmanager_with_shielded_exit(
    cm: AbstractAsyncContextManager[T], cleanup_scope: "CancelScope"
) -> AsyncGenerator[T, None]:
    """Shield the exit of a context manager from cancellation, by way of a scope that was entered before it.

    A scope opened here would be left in the wrong order where the context manager opens one of its own.
    """
    before = cleanup_scope.shield
    try:
        async with cm as value:
            try:
                yield value
            finally:
                cleanup_scope.shield = True
    finally:
        cleanup_scope.shield = before
    # A task group within may have swallowed the cancellation of what is around it.
    await anyio.lowlevel.checkpoint_if_cancelled()


class _DependencyConcurrency:
    """The limit of one `Depends(max_concurrency=...)`: a semaphore an event loop, which lives as long as both.

    Args:
        max_concurrency: How many may hold it at once.
    """

    def __init__(self, max_concurrency: int) -> None:
        self.max_concurrency = max_concurrency

    def get_semaphore(self) -> "Semaphore":
        """Give the semaphore of the running event loop."""
        known = _semaphores.get(None)
        if known is None:
            known = WeakKeyDictionary()
            _semaphores.set(known)
        semaphore = known.get(self)
        if semaphore is None:
            semaphore = known[self] = anyio.Semaphore(self.max_concurrency)
        return semaphore


_semaphores: anyio.lowlevel.RunVar["WeakKeyDictionary[_DependencyConcurrency, Semaphore] | None"] = (
    anyio.lowlevel.RunVar("forzium_dependency_semaphores")
)


@asynccontextmanager
async def _contextmanager_with_concurrency_limit(
    cm: AbstractAsyncContextManager[T], semaphore: "Semaphore"
) -> AsyncGenerator[T, None]:
    """Hold a semaphore for as long as a context manager is open.

    It opens no cancel scope: scopes of the dependency must be left first.
    """
    async with semaphore, cm as value:
        yield value
