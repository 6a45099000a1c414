"""Dependencies with the scope `"lifespan"`: values that are made when an application starts and last until it stops.

Layer: `forzium.dependencies.graph`. One run of an application's lifespan is a `LastingValues`. Which dependencies an
application has is `forzium.routing.lasting`; a request finds a value that is there in the core, without this module.

What is made at the start is entered and left by the task of the lifespan. What is first asked for later, of a route or
an override that was added meanwhile, is entered and left by one task beside it: a request's own task ends too early.

FastAPI has no such thing.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel

from forzium.concurrency import contextmanager_in_threadpool, run_in_threadpool
from forzium.dependencies.callables import call_kind
from forzium.dependencies.graph import described, overridden
from forzium.dependencies.models import LastingDependant
from forzium.exceptions import FastAPIError

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

__all__ = ["Lasting", "LastingValues", "lasting"]


class Lasting:
    """What is made once a lifespan: a callable and what it is called with, overrides considered.

    Two are equal if they are the same callable, called with the same.

    Args:
        call: The callable.
        needs: The parameters that other lasting values are given for.
        application: The parameter that takes the application, if any.
    """

    __slots__ = ("application", "call", "key", "needs")

    def __init__(self, call: Callable[..., Any], needs: Mapping[str, Lasting], application: str | None) -> None:
        self.call = call
        self.needs = needs
        self.application = application
        # What the core looks a value up by: the callable alone, unless an override may stand behind it.
        self.key: Any = (call, *(inner.key for inner in needs.values())) if needs else call

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Lasting) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    async def __call__(self, scope: Mapping[str, Any]) -> Any:
        """Give the value to a request that has not found it.

        Raises:
            FastAPIError: The lifespan of the application does not run, or runs in another event loop.
            Exception: What making it raises.
        """
        app = scope.get("app")
        runs: list[LastingValues] = getattr(app, "_lasting_runs", None) or []
        here = _event_loop()
        for run in reversed(runs):
            if run.event_loop is here:
                return await run.value(self)
        if len(runs) == 1 and self.key in runs[0].values:
            return runs[0].values[self.key]
        raise _without_lifespan(self, runs)


def lasting(dependency: LastingDependant, overrides: Mapping[Callable[..., Any], Callable[..., Any]]) -> Lasting:
    """Return what is made for a dependency with the scope `"lifespan"` where these overrides are set."""
    used = overridden(dependency, overrides)
    assert isinstance(used, LastingDependant)
    assert used.call is not None
    needs = {
        inner.name: lasting(inner, overrides)
        for inner in used.dependencies
        if isinstance(inner, LastingDependant) and inner.name is not None
    }
    return Lasting(used.call, needs, used.application_param_name)


class LastingValues:
    """The values that one run of an application's lifespan has made.

    Args:
        app: The application.

    Attributes:
        values: They, by `Lasting.key`.
        event_loop: Stands for the event loop that the lifespan runs in.
    """

    def __init__(self, app: Any) -> None:
        self.values: dict[Any, Any] = {}
        self.event_loop = _event_loop()
        self._app = app
        self._context = Context()
        self._asked: dict[Lasting, _Asked] = {}
        self._latecomers: MemoryObjectSendStream[_Asked] | None = None
        self._ended = anyio.Event()
        self._failure: Exception | None = None

    @asynccontextmanager
    async def made(self, wanted: Iterable[Lasting]) -> AsyncIterator[None]:
        """Make what is wanted, in this order, and let requests take it; leave it in reverse.

        Raises:
            Exception: What making or leaving one raises. The others are left all the same.
        """
        async with AsyncExitStack() as exits:
            for each in wanted:
                await self._made(each, exits)
            self._context = copy_context()
            exits.push_async_callback(self._dismiss_latecomers)
            exits.callback(self._show, False)
            self._show(True)
            yield

    def _show(self, is_open: bool) -> None:
        runs: list[LastingValues] = vars(self._app).setdefault("_lasting_runs", [])
        if is_open:
            runs.append(self)
        else:
            runs.remove(self)
        # Of several at once, each in an event loop of its own, the right one has to be chosen.
        vars(self._app)["_lasting"] = runs[0].values if len(runs) == 1 else None

    async def _made(self, wanted: Lasting, exits: AsyncExitStack) -> Any:
        if wanted.key in self.values:
            return self.values[wanted.key]
        arguments = {name: await self._made(inner, exits) for name, inner in wanted.needs.items()}
        if wanted.application is not None:
            arguments[wanted.application] = self._app
        value = self.values[wanted.key] = await _entered(wanted.call, arguments, exits)
        return value

    async def value(self, wanted: Lasting) -> Any:
        """Give a value to a request, made now if it is not there yet; once, however many ask.

        Cancellation: it is made to the end.

        Raises:
            Exception: What making it raises; the next who asks has it tried again.
        """
        if wanted.key in self.values:
            return self.values[wanted.key]
        asked = self._asked.get(wanted)
        if asked is None:
            asked = self._asked[wanted] = _Asked(wanted)
            if self._latecomers is None:
                self._latecomers, latecomers = anyio.create_memory_object_stream[_Asked](float("inf"))
                _start(self._make_latecomers, latecomers, self._context)
            self._latecomers.send_nowait(asked)
        await asked.answered.wait()
        if asked.error is not None:
            raise asked.error
        return asked.value

    async def _make_latecomers(self, latecomers: MemoryObjectReceiveStream[_Asked]) -> None:
        """The task beside that of the lifespan."""
        try:
            async with latecomers, AsyncExitStack() as exits:
                async for asked in latecomers:
                    try:
                        asked.value, asked.error = await self._made(asked.wanted, exits), None
                    except Exception as error:
                        asked.error = error
                    del self._asked[asked.wanted]
                    asked.answered.set()
        except Exception as error:
            self._failure = error
        finally:
            for asked in self._asked.values():
                asked.answered.set()
            self._ended.set()

    async def _dismiss_latecomers(self) -> None:
        if self._latecomers is None:
            return
        self._latecomers.close()
        with anyio.CancelScope(shield=True):
            await self._ended.wait()
        if self._failure is not None:
            raise self._failure


class _Asked:
    """A value that requests wait for."""

    def __init__(self, wanted: Lasting) -> None:
        self.wanted = wanted
        self.value: Any = None
        self.error: Exception | None = _without_lifespan(wanted, [])
        self.answered = anyio.Event()


async def _entered(call: Callable[..., Any], arguments: dict[str, Any], exits: AsyncExitStack) -> Any:
    """Call a dependency. One with `yield` is entered, also where `contextlib` has made a context manager of it."""
    kind = call_kind(call)
    if kind.is_async_gen:
        given = call(**arguments)
        return await exits.enter_async_context(
            given if hasattr(given, "__aenter__") else asynccontextmanager(lambda: given)()
        )
    if kind.is_gen:
        given = call(**arguments)
        manager = given if hasattr(given, "__enter__") else contextmanager(lambda: given)()
        return await exits.enter_async_context(contextmanager_in_threadpool(manager))
    return await (call(**arguments) if kind.is_coroutine else run_in_threadpool(call, **arguments))


_loops: anyio.lowlevel.RunVar[object] = anyio.lowlevel.RunVar("forzium_lifespans")


def _event_loop() -> object:
    """Something that stands for the running event loop, asyncio's or trio's."""
    known = _loops.get(None)
    if known is None:
        known = object()
        _loops.set(known)
    return known


_tasks: set[Any] = set()


def _start(function: Callable[..., Coroutine[Any, Any, None]], argument: Any, context: Context) -> None:
    """Start a task that belongs to no task group: who asks for it is a request, and ends before."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
        trio.lowlevel.spawn_system_task(function, argument, context=context)
        return
    import asyncio

    task = asyncio.get_running_loop().create_task(function(argument), context=context)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


def _without_lifespan(wanted: Lasting, runs: list[LastingValues]) -> FastAPIError:
    why = "runs in another event loop" if runs else "does not run"
    return FastAPIError(
        f'A dependency has a scope of "lifespan", but the lifespan of the application {why}\n'
        "  In a test write `with TestClient(app) as client:`; let a server run the lifespan protocol; for a mounted "
        "application call `run_mounted_lifespans` with the outermost one.\n"
        f"  {described(wanted.call)}"
    )
