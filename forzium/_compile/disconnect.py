"""The client's leaving, where Python's own machinery is the rule: messages for those who ask, and trio.

Stands on requests and the core's `DisconnectWatch`. The names are those in
`rust/forzium-py/src/imports.rs`. When a watch begins, and what becomes of the request, is the core's.
"""

from __future__ import annotations

import contextvars
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

from forzium._forzium import DisconnectWatch, until_disconnect
from forzium.requests import ClientDisconnect

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from contextlib import AsyncExitStack
    from types import TracebackType

    from forzium.types import Message, Receive

READ_AHEAD = 64 * 1024
"""Bytes of a body that are read ahead of those who want them. A disconnect behind more than that is not seen."""

_MESSAGE_COST = 1024
"""What a message counts beside its body, in bytes."""


async def cancelled_on_disconnect(request: Any, stack: AsyncExitStack, work: Coroutine[Any, Any, Any]) -> Any:
    """Do `work`, cancelling it when the client of `request` leaves: for what is carried out in Python.

    Worker threads that `work` waits for are left to finish.

    Args:
        request: The `Request`; who asks it for messages gets those that came meanwhile.
        stack: The cancellation ends when it is unwound.
        work: Its result is returned.

    Raises:
        ClientDisconnect: The client has left, and the work was done in spite of it.
    """
    watch: Any = trio_watch(request._receive) or DisconnectWatch(request._receive)
    stack.push(watch)
    request._receive = watch.receive
    done = await until_disconnect(request, watch, work)
    if watch.left:
        raise ClientDisconnect
    return done


async def receive_from(watch: DisconnectWatch) -> Message:
    """Give the next message, which a watch has or is going to hear, under asyncio.

    Cancellation: nothing is lost.
    """
    while (message := watch.take()) is None:
        await watch.coming()
    return message


def trio_watch(receive: Receive) -> TrioWatch | None:
    """Make the watch of a request under trio, its cancel scope entered. None where trio does not run."""
    trio = sys.modules.get("trio")
    if trio is None or not trio.lowlevel.in_trio_task():
        return None
    return TrioWatch(trio, receive)


class TrioWatch:
    """Listens in a system task, and cancels a scope around the request; for the rest see `DisconnectWatch`.

    Args:
        trio: The module.
        receive: The host's.

    Attributes:
        left: The client has left.
        occupied: The request is in a worker thread.
    """

    def __init__(self, trio: Any, receive: Receive) -> None:
        self.left = False
        self.occupied = False
        self._trio = trio
        self._receive = receive
        self._messages: deque[Message] = deque()
        self._ahead = 0
        self._complete = False
        self._sated = False
        self._disconnect: Message | None = None
        self._error: Exception | None = None
        self._listening = False
        self._reader: Any = None
        self._came = trio.Event()
        self._scope = trio.CancelScope()
        self._scope.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """Leave the cancel scope; whether it swallowed the exception."""
        return bool(self._scope.__exit__(kind, error, traceback))

    def begin(self, occupied: bool) -> None:
        """Begin to listen."""
        self.occupied = occupied
        self._listening = True
        self._read()

    def insist(self) -> None:
        """Cancel the request if the client has left, and it can be."""
        if self.left and self._listening and not self.occupied:
            self._scope.cancel()

    def rest(self) -> None:
        """Stop being a reason to cancel."""
        self._listening = False
        self._stop_reading()

    def close(self) -> None:
        """End the listening for good."""
        self._listening = False
        self._stop_reading()

    def _stop_reading(self) -> None:
        if self._reader is not None:
            self._reader.cancel()

    def _read(self) -> None:
        if self._reader is None and self._listening and self._wants_more():
            self._reader = self._trio.CancelScope()
            self._trio.lowlevel.spawn_system_task(self._listen, context=contextvars.copy_context())

    def _wants_more(self) -> bool:
        return not (self.left or self._error or self._sated or self._ahead >= READ_AHEAD)

    async def _listen(self) -> None:
        try:
            with self._reader:
                while self._wants_more():
                    self._take_in(await self._receive())
        except Exception as error:
            self._error = error
        finally:
            self._reader = None
            self._wake()

    def _wake(self) -> None:
        self._came.set()
        self._came = self._trio.Event()

    def _take_in(self, message: Message) -> None:
        if message["type"] == "http.disconnect":
            self.left = True
            self._disconnect = message
            self.insist()
        else:
            self._ahead += len(message.get("body", b"")) + _MESSAGE_COST
            self._sated = self._complete
            self._complete = self._complete or not message.get("more_body", False)
            self._messages.append(message)
        self._wake()

    async def receive(self) -> Message:
        """Give the next message. Cancellation: nothing is lost while a system task listens."""
        while True:
            if self._messages:
                message = self._messages.popleft()
                self._ahead -= len(message.get("body", b"")) + _MESSAGE_COST
                self._sated = False
                self._read()
                await self._trio.lowlevel.checkpoint()
                return message
            if self._disconnect is not None:
                await self._trio.lowlevel.checkpoint()
                return self._disconnect
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            if self._reader is not None:
                await self._came.wait()
                continue
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.left, self._disconnect = True, message
                self.insist()
            return message
