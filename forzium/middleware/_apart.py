"""`dispatch` and the rest of the chain where they cannot go on in turns: a second task, and a stream between the two.

Layer: on anyio; the core (`around`) makes these objects when two part.
Not for: what nearly every request does, which needs none of this.

The stream holds no message: each is handed over when it is asked for.
"""

import sys
from collections.abc import Awaitable, Coroutine
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.lowlevel

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    from forzium._forzium import Run
    from forzium.middleware._rest_of_chain import CachedRequest
    from forzium.types import Message, Send

_DISCONNECT: Final = "http.disconnect"
_BODY: Final = "http.response.body"
_PATHSEND: Final = "http.response.pathsend"


class ResponseDiscarded(BaseException):
    """Raised from the `send` of a run whose response nobody will send, `dispatch` having failed: it is to unwind.

    No `Exception`: error handlers have nothing to answer any more.
    """


class Apart:
    """The messages of a run that goes on in another task than `dispatch`.

    Args:
        send_upstream: Where the middleware sends to: early hints go there at once.
    """

    def __init__(self, send_upstream: "Send") -> None:
        self._send_upstream = send_upstream
        self._tx: MemoryObjectSendStream[Message]
        self._rx: MemoryObjectReceiveStream[Message]
        self._tx, self._rx = anyio.create_memory_object_stream["Message"]()
        self._out = anyio.Event()
        self._before: list[Message] = []
        self._is_broken_off = False

    # What the rest of the chain does.

    async def send(self, message: "Message") -> None:
        """Hand a message over when it is asked for; after the last one, wait until the client has the response."""
        try:
            await self._tx.send(message)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return
        kind = message["type"]
        if kind == _PATHSEND or (kind == _BODY and not message.get("more_body", False)):
            await self._out.wait()

    def run_ended(self) -> None:
        """Note that nothing more will be sent."""
        self._tx.close()

    def break_off(self) -> None:
        """Note that the run was cancelled, and `dispatch` is about to be: what was sent is not all of the body."""
        self._is_broken_off = True

    # What `dispatch` does.

    def put_first(self, message: "Message") -> None:
        """Give a part of the body that was sent before the two went apart."""
        self._before.append(message)

    async def start(self) -> "tuple[Message, Any] | None":
        """Wait for the start of the response, and what a debug message before it said. None: there will be none."""
        info = None
        while True:
            try:
                message = await self._rx.receive()
            except anyio.EndOfStream:
                return None
            kind = message["type"]
            if kind == "http.response.debug":
                info = message["info"]
            elif kind == "http.response.early_hint":
                await self._send_upstream(message)
            else:
                assert kind == "http.response.start"
                return message, info

    async def part(self) -> "Message | None":
        """Wait for the next message of the body. None: there will be none."""
        if self._before:
            return self._before.pop(0)
        try:
            return await self._rx.receive()
        except anyio.EndOfStream:
            if self._is_broken_off:
                await anyio.sleep_forever()  # to be cancelled, and not to go on as if this were the end
            return None

    def finish(self) -> None:
        """Note that the response is out, or never will be."""
        self._out.set()
        self._rx.close()

    def close(self) -> None:
        """Let go of the stream; the run has ended."""
        self._tx.close()
        self._rx.close()


async def receive(run: "Run", request: "CachedRequest") -> "Message":
    """Return what the client sends, or a disconnect as soon as the response of `run` is out."""
    message: Message | None = None
    with anyio.CancelScope() as scope:
        run.receiving.add(scope)
        try:
            message = await request.wrapped_receive()
        finally:
            run.receiving.discard(scope)
    return {"type": _DISCONNECT} if message is None or scope.cancel_called else message


class Guard:
    """The cancel scope by which trio's first task is told to stop; `leave` ends it."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.scope.__enter__()

    def leave(self) -> None:
        """Leave the scope, in the task that has entered it."""
        self.scope.__exit__(None, None, None)


class Companion:
    """A task beside the first one, in which a run, or `dispatch`, goes on.

    Args:
        steps: What to do; gives whether the first task is to be interrupted at the end.
        guard: The cancel scope around the first task. None: it is one of asyncio's.
        task: The first task.

    Attributes:
        has_interrupted: Whether the first task was interrupted.
    """

    def __init__(self, steps: Awaitable[Any], guard: Guard | None = None, task: Any = None) -> None:
        self._scope = anyio.CancelScope()
        self._ended = anyio.Event()
        self._guard = guard
        self._task = task
        self._failure: BaseException | None = None
        self.has_interrupted = False
        _spawn(self._run(steps))

    async def _run(self, steps: Awaitable[Any]) -> None:
        try:
            with self._scope:
                if await steps:
                    self._interrupt()
        except Exception as failure:
            # Nobody looks at this task: whoever joins it raises this.
            self._failure = failure
        finally:
            self._ended.set()

    def _interrupt(self) -> None:
        self.has_interrupted = True
        if self._guard is not None:
            self._guard.scope.cancel()
        elif self._task is not None:
            self._task.cancel()

    @property
    def is_cancelled(self) -> bool:
        """Whether it was told to stop."""
        return self._scope.cancel_called

    def cancel(self) -> None:
        """Tell it to stop."""
        self._scope.cancel()

    async def join(self) -> None:
        """Wait for its end; cancel it when this is cancelled."""
        if self.has_interrupted and self._guard is None and self._task is not None:
            self._task.uncancel()
        try:
            await self._ended.wait()
        except BaseException:
            self._scope.cancel()
            with anyio.CancelScope(shield=True):
                await self._ended.wait()
            raise
        if self._failure is not None:
            failure, self._failure = self._failure, None
            try:
                raise failure
            finally:
                del failure


_tasks: set[Any] = set()
"""Tasks of asyncio's, which itself holds them weakly."""


def _spawn(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in a task of its own, which nobody waits for."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and asyncio._get_running_loop() is not None:
        task = asyncio.get_running_loop().create_task(coroutine)
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)
        return
    import contextvars

    import trio

    async def run() -> None:
        await coroutine

    trio.lowlevel.spawn_system_task(run, context=contextvars.copy_context())
