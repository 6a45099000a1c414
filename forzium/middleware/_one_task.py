"""Runs `dispatch` and the rest of the chain in turns in one task, as long as that is sound (asyncio and uvloop).

Layer: on `_rest_of_chain`; used by `middleware.base`.
Not for: trio, whose waits cannot be taken over; there the two are apart from the beginning.

Each of the two is a coroutine that is resumed by hand, in a copy of the context of its own; what one waits for is
passed on to the event loop untouched. An answer that is sent in one piece (nearly all are) costs no task and no turn of
the loop: `call_next` lets the rest go on until it has sent its response, `dispatch` goes on until that is out, and the
rest goes on to its end.

Two coroutines of one task share its stack of cancel scopes, and only one of them can wait at a time. So they part:

- when `call_next` is called under a cancel scope that `dispatch` has opened, or in another task: the rest gets a task;
- when the rest starts to stream: it gets a task, if it holds no cancel scope;
- when the rest streams out of a cancel scope or a task group of its own, which it cannot leave: `dispatch` gets a task.
"""

import contextvars
import sys
from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any, Protocol

import anyio
import anyio.lowlevel

from forzium.middleware._rest_of_chain import (
    NOTHING_FOLLOWS,
    CachedRequest,
    ResponseDiscarded,
    RestOfChain,
    Steps,
    adopt,
    hand_over,
)
from forzium.requests import Request
from forzium.responses import Response

if TYPE_CHECKING:
    import asyncio

    from forzium.types import ASGIApp, Send

    class HTTPMiddleware(Protocol):
        app: ASGIApp
        dispatch_func: Callable[[Request, Callable[[Request], Awaitable[Response]]], Awaitable[Response]]


class _Asyncio:
    """What is needed to tell where one is: asyncio's current task, and anyio's record of its cancel scopes."""

    def __init__(self, asyncio: Any) -> None:
        self.running_loop: Callable[[], Any] = asyncio._get_running_loop
        self.current_task: Callable[[Any], asyncio.Task[Any] | None] = asyncio.current_task
        # anyio has no question for the innermost scope. Without the record the two are always apart.
        self.states: Any = getattr(sys.modules.get("anyio._backends._asyncio"), "_task_states", None)


_asyncio: _Asyncio | None = None


def where() -> "tuple[asyncio.Task[Any], Any] | None":
    """Return the current task and its innermost cancel scope; None where that cannot be told."""
    global _asyncio
    known = _asyncio
    if known is None:
        module = sys.modules.get("asyncio")
        if module is None:
            return None
        known = _Asyncio(module)
        if known.states is None:
            # Nobody has opened a scope yet; with the import somebody may.
            if known.running_loop() is None or not _import_backend():
                return None
            known = _Asyncio(module)
        _asyncio = known
    loop = known.running_loop()
    task = None if loop is None else known.current_task(loop)
    if task is None:
        return None
    state = known.states.get(task)
    return task, None if state is None else state.cancel_scope


def _import_backend() -> bool:
    """Import the part of anyio that keeps the record; tell whether it is there."""
    from importlib import import_module

    return hasattr(import_module("anyio._backends._asyncio"), "_task_states")


class _Companion:
    """A task beside this one, in which one of the two goes on."""

    def __init__(self, task: "asyncio.Task[Any]", steps: Generator[Any, Any, None], at_end: Callable[[], None]) -> None:
        self.scope = anyio.CancelScope()
        self.ended = anyio.Event()
        self.task = task.get_loop().create_task(self._run(steps, at_end))

    async def _run(self, steps: Generator[Any, Any, None], at_end: Callable[[], None]) -> None:
        try:
            with self.scope:
                await Steps(steps)
        finally:
            self.ended.set()
            at_end()

    async def join(self) -> None:
        """Wait for its end; cancel it when this is cancelled."""
        try:
            await self.ended.wait()
        except BaseException:
            self.scope.cancel()
            with anyio.CancelScope(shield=True):
                await self.ended.wait()
            raise


def _nothing() -> None:
    pass


class OneTask:
    """One request through an http middleware; awaiting it does all there is to do.

    Args:
        middleware: The application below it and its function are used.
        request: What the function is called with.
        send: Where the response goes.
        here: The current task and cancel scope, from `where`.
    """

    def __init__(
        self,
        middleware: "HTTPMiddleware",
        request: CachedRequest,
        send: "Send",
        here: "tuple[asyncio.Task[Any], Any]",
    ) -> None:
        self.middleware = middleware
        self.request = request
        self.send = send
        self.here = here
        self.variables_before = contextvars.copy_context()
        self.context = self.variables_before.copy()
        self.coroutine = self._dispatch()
        self.ended = False
        self.error: BaseException | None = None
        self.runs: list[RestOfChain] = []
        self.companions: dict[RestOfChain, _Companion] = {}
        self.elsewhere: _Companion | None = None
        """Where `dispatch` goes on, once it does so in a task of its own."""
        self.is_interrupted = False

    async def _dispatch(self) -> None:
        response = await self.middleware.dispatch_func(self.request, self._call_next)
        await response(self.request.scope, self.request.wrapped_receive, self.send)

    async def _call_next(self, request: Request) -> Response:
        if where() == self.here:
            run = RestOfChain(self.middleware.app, self.request, self.send, self)
            self.runs.append(run)
            await hand_over(self)
        else:
            run = RestOfChain(self.middleware.app, self.request, self.send)
            self.runs.append(run)
            self._give_task(run)
        try:
            return await run.response()
        except BaseException:
            # Nobody will have the response of a run that `dispatch` has stopped waiting for, at a deadline for one.
            self._abandon(run)
            raise

    def _abandon(self, run: RestOfChain) -> None:
        companion = self.companions.get(run)
        if companion is not None:
            companion.scope.cancel()

    # For a run: what it may do.

    def is_here(self) -> bool:
        return _asyncio is not None and _asyncio.current_task(_asyncio.running_loop()) is self.here[0]

    def is_clear(self) -> bool:
        return where() == self.here

    def move_dispatch(self) -> None:
        self.elsewhere = _Companion(self.here[0], self._go_on(), self._moved_dispatch_ended)

    def _moved_dispatch_ended(self) -> None:
        for run in self.runs:
            run.finish()
        if self.error is not None and not self.runs[0].ended:
            # The run in the first task answers a request that nobody answers any more.
            self.is_interrupted = True
            self.here[0].cancel()

    def _give_task(self, run: RestOfChain) -> None:
        self.companions[run] = _Companion(self.here[0], run.go_on(), _nothing)

    # How it all goes on.

    def _advance(self, value: Any = None, error: BaseException | None = None) -> Any:
        """Let `dispatch` go on to its next wait and return what it waits for, which is this object for the rest."""
        try:
            if error is None:
                return self.context.run(self.coroutine.send, value)
            return self.context.run(self.coroutine.throw, error)
        except StopIteration:
            pass
        except BaseException as exc:
            self.error = exc
        self.ended = True
        return None

    def _go_on(self) -> Generator[Any, Any, None]:
        """Let `dispatch` go on until it has ended, or goes on elsewhere; and the rest, whenever it waits for that."""
        waits_for = self._advance()
        while not self.ended:
            if waits_for is self:
                run = self.runs[-1]
                yield from run.go_on()
                if self.elsewhere is not None:
                    return
                if run.is_apart and not run.ended:
                    self._give_task(run)
                waits_for = self._advance()
                continue
            try:
                value = yield waits_for
            except GeneratorExit:
                self.coroutine.close()
                raise
            except BaseException as exc:
                waits_for = self._advance(None, exc)
            else:
                waits_for = self._advance(value)

    def __await__(self) -> Generator[Any, Any, None]:
        try:
            yield from self._go_on()
            if self.elsewhere is not None:
                yield from self._await_dispatch(self.elsewhere)
            for run in self.runs:
                run.finish()
            for run in self.runs:
                yield from self._to_its_end(run)
        finally:
            for run in self.runs:
                run.coroutine.close()
                run.close()
        adopt(self.variables_before, self.context)
        for run in self.runs:
            run.adopt_variables()
        self._raise()

    def _await_dispatch(self, elsewhere: _Companion) -> Generator[Any, Any, None]:
        """Wait for the end of `dispatch` in its task, now that the run which stayed here has ended."""
        run = self.runs[0]
        if self.is_interrupted:
            self.here[0].uncancel()
            run.error = None
        elif run.error is not None and not isinstance(run.error, Exception):
            elsewhere.scope.cancel()
        yield from elsewhere.join().__await__()

    def _to_its_end(self, run: RestOfChain) -> Generator[Any, Any, None]:
        companion = self.companions.get(run)
        if companion is not None:
            if self.error is not None:
                companion.scope.cancel()
            yield from companion.join().__await__()
            if companion.scope.cancel_called and not isinstance(run.error, Exception):
                run.error = None
        elif run.ended:
            pass
        elif self.error is None:
            if not self.request.scope.get(NOTHING_FOLLOWS):
                # Others first: what comes now, a background task for one, nobody waits for.
                yield from anyio.lowlevel.cancel_shielded_checkpoint().__await__()
            yield from run.go_on()
        elif isinstance(self.error, Exception):
            yield from run.go_on(ResponseDiscarded())
            if isinstance(run.error, ResponseDiscarded):
                run.error = None
        else:
            yield from run.go_on(self.error)

    def _raise(self) -> None:
        runs, self.runs = self.runs, []
        self.companions.clear()
        # An error of the rest that `dispatch` has not seen comes before the cancellation of `dispatch` only.
        error, self.error = self.error, None
        for run in runs:
            unseen, run.error = run.error, None
            if unseen is not None and (error is None or isinstance(unseen, Exception) > isinstance(error, Exception)):
                error = unseen
            del unseen
        try:
            if error is not None:
                raise error
        finally:
            del error
