"""One run of the rest of the chain below an http middleware: what it receives, what it sends, which variables it sets.

Layer: on `requests` and `responses`; `_one_task` and `base` beside it decide in which task it goes on.
Not for: user code; nothing here is public.

A run is *together* with `dispatch` while both go on in turns in one task: `call_next` hands control to the run, the run
hands it back with its response. They are *apart* when each has a task of its own. Messages then go through a stream
that holds none: each is handed over when it is asked for.
"""

import contextvars
import types
from collections.abc import AsyncGenerator, AsyncIterable, Generator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import anyio
import anyio.lowlevel

from forzium.requests import ClientDisconnect, Request
from forzium.responses import Response

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    from forzium.types import ASGIApp, Message, Receive, Scope, Send

BodyStreamGenerator = AsyncGenerator[bytes | MutableMapping[str, Any], None]
AsyncContentStream = AsyncIterable[str | bytes | memoryview | MutableMapping[str, Any]]

NOTHING_FOLLOWS: Final = "forzium.nothing_follows"
"""Set to True in the scope by what sends a response that no background task follows: no turn of the loop is needed
between the response and what is left of the run."""

_DISCONNECT: Final = "http.disconnect"
_START: Final = "http.response.start"
_BODY: Final = "http.response.body"
_PATHSEND: Final = "http.response.pathsend"
_UNSET: Any = object()
_BODILESS = frozenset((204, 304))


@types.coroutine
def hand_over(to: Any) -> Generator[Any, Any, None]:
    """Let the other coroutine go on; `to` is what the driver of both knows the wait by.

    Middleware inside middleware makes drivers inside drivers, hence a mark for each.
    """
    yield to


class Steps:
    """Makes a generator that yields what is to be waited for an awaitable."""

    __slots__ = ("steps",)

    def __init__(self, steps: Generator[Any, Any, None]) -> None:
        self.steps = steps

    def __await__(self) -> Generator[Any, Any, None]:
        return self.steps


class ResponseDiscarded(BaseException):
    """Raised from the `send` of a run whose response nobody will send, `dispatch` having failed: it is to unwind.

    No `Exception`: error handlers have nothing to answer any more.
    """


class CachedRequest(Request):
    """The request `dispatch` sees; what it has read of the body decides what the rest of the chain receives.

    After `body()` the rest gets the whole body again; after `stream()` has been read to its end it gets an empty one,
    so that it does not wait for ever; otherwise it gets what is still to come.
    """

    def __init__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        super().__init__(scope, receive, send)
        self._passed_disconnect = False
        self._passed_body = False

    async def wrapped_receive(self) -> "Message":
        """Return the next message for the rest of the chain."""
        if self._passed_disconnect:
            return {"type": _DISCONNECT}
        if self._passed_body:
            if not self._is_disconnected:
                message = await self.receive()
                if message["type"] != _DISCONNECT:
                    raise RuntimeError(f"Unexpected message received: {message['type']}")
            self._passed_disconnect = True
            return {"type": _DISCONNECT}
        whole = getattr(self, "_body", None)
        if whole is None and self._stream_consumed:
            whole = b""
        if whole is not None:
            self._passed_body = True
            return {"type": "http.request", "body": whole, "more_body": False}
        stream = self.stream()
        try:
            chunk = await anext(stream)
        except ClientDisconnect:
            self._passed_disconnect = True
            return {"type": _DISCONNECT}
        finally:
            await stream.aclose()
        self._passed_body = self._stream_consumed
        return {"type": "http.request", "body": chunk, "more_body": not self._stream_consumed}


def adopt(before: contextvars.Context, after: contextvars.Context) -> None:
    """Set in the current context what differs between two states of another one."""
    for variable, value in after.items():
        if before.get(variable, _UNSET) is not value:
            variable.set(value)


class Turns(Protocol):
    """Who lets `dispatch` and a run go on in turns."""

    def is_here(self) -> bool:
        """Tell whether this is the task both go on in."""

    def is_clear(self) -> bool:
        """Tell whether nothing is open in this task that was not when the run began: it may go on in another task."""

    def move_dispatch(self) -> None:
        """Let `dispatch` go on in a task of its own."""


class RestOfChain:
    """One run of the application below an http middleware.

    Args:
        app: That application.
        request: The request `dispatch` has.
        send: Where the middleware sends to.
        turns: Who lets both go on in turns; None where they are apart from the beginning.
    """

    def __init__(self, app: "ASGIApp", request: CachedRequest, send: "Send", turns: Turns | None = None) -> None:
        self.app = app
        self.request = request
        self.send_upstream = send
        self.turns = turns
        self.adopted = contextvars.copy_context()
        self.context = self.adopted.copy()
        self.coroutine = self._run()
        self.ended = False
        self.finished = False
        self.error: BaseException | None = None
        self.start: Message | None = None
        self.only_chunk: Any = None
        self.info: Mapping[str, Any] | None = None
        self._receiving: set[anyio.CancelScope] = set()
        self._tx: MemoryObjectSendStream[Message] | None = None
        self._rx: MemoryObjectReceiveStream[Message] | None = None
        if turns is None:
            self.part()

    async def _run(self) -> None:
        await self.app(self.request.scope, self.receive, self.send)

    # How it goes on.

    def advance(self, value: Any = None, error: BaseException | None = None) -> Any:
        """Go on to the next wait and return what for: this object when control is handed over, None at the end.

        What the application raises is kept in `error`.
        """
        try:
            if error is None:
                return self.context.run(self.coroutine.send, value)
            return self.context.run(self.coroutine.throw, error)
        except StopIteration:
            pass
        except BaseException as exc:
            self.error = exc
        self.ended = True
        if self._tx is not None:
            self._tx.close()
        return None

    def go_on(self, error: BaseException | None = None) -> Generator[Any, Any, None]:
        """Go on, waiting for what is to be waited for, until control is handed over or the run has ended.

        Args:
            error: Raised where the run has stopped. Default is None.
        """
        waits_for = self.advance(None, error)
        while not self.ended and waits_for is not self:
            try:
                value = yield waits_for
            except GeneratorExit:
                self.coroutine.close()
                raise
            except BaseException as exc:
                waits_for = self.advance(None, exc)
            else:
                waits_for = self.advance(value)

    def part(self) -> None:
        """Go apart: messages go through a stream from now on."""
        self._tx, self._rx = anyio.create_memory_object_stream["Message"]()
        self._out = anyio.Event()

    @property
    def is_apart(self) -> bool:
        return self._tx is not None

    def finish(self) -> None:
        """Note that the response is out, or never will be: whatever else the run sends goes nowhere."""
        self.finished = True
        if self._rx is not None:
            self._out.set()
            self._rx.close()
        for scope in tuple(self._receiving):
            scope.cancel()

    def close(self) -> None:
        """Let go of everything; the run has ended."""
        self.turns = None
        for stream in (self._tx, self._rx):
            if stream is not None:
                stream.close()

    def adopt_variables(self) -> None:
        """Set in the current context what the run has set in its own."""
        now = self.context.copy()
        adopt(self.adopted, now)
        self.adopted = now

    # What the application is given.

    async def receive(self) -> "Message":
        """Return what the client sends, or a disconnect as soon as the response is out."""
        if self.finished:
            return {"type": _DISCONNECT}
        message: Message | None = None
        with anyio.CancelScope() as scope:
            self._receiving.add(scope)
            try:
                message = await self.request.wrapped_receive()
            finally:
                self._receiving.discard(scope)
        return {"type": _DISCONNECT} if message is None or scope.cancel_called else message

    async def send(self, message: "Message") -> None:
        """Hand a message to `dispatch`, at once or when it asks for it."""
        if self.finished:
            # Whoever sends in a loop must not keep others from telling it to stop.
            await anyio.lowlevel.checkpoint()
            return
        kind = message["type"]
        if self._tx is None:
            if kind == "http.response.debug":
                self.info = message["info"]
                return
            if kind == "http.response.early_hint":
                await self.send_upstream(message)
                return
            if await self._send_together(message):
                return
        assert self._tx is not None
        try:
            await self._tx.send(message)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return
        if kind == _PATHSEND or (kind == _BODY and not message.get("more_body", False)):
            # What follows, a background task for one, waits until the client has the response.
            await self._out.wait()

    async def _send_together(self, message: "Message") -> bool:
        """Hand over a start, or a whole response; else go apart. Tell whether that was all there is to do."""
        assert self.turns is not None
        here = self.turns.is_here()
        is_start = self.start is None
        if is_start:
            self.start = message
            if here and _body_comes_at_once(message):
                return True
        elif here and self._is_whole(message):
            await hand_over(self)
            return True
        self.part()
        if here and self.turns.is_clear():
            await hand_over(self)  # and this run goes on from here in a task of its own
        else:
            self.turns.move_dispatch()
        return is_start

    def _is_whole(self, message: "Message") -> bool:
        """Tell whether the message is all there is after the start, and keep what it carries."""
        kind = message["type"]
        if kind == _PATHSEND:
            self.only_chunk = message
            return True
        if kind == _BODY and not message.get("more_body", False):
            self.only_chunk = message.get("body", b"")
            return True
        return False

    # What `dispatch` gets.

    async def response(self) -> "StreamedResponse":
        """Return the response as soon as it has started, its body to come.

        Raises:
            RuntimeError: The application ended without a response.
            BaseException: Whatever the application raised.
        """
        try:
            start = await self._first_message()
        except anyio.EndOfStream:
            self.adopt_variables()
            if self.error is None:
                raise RuntimeError("No response returned.") from None
            # The end of the stream is no part of the story that the traceback tells.
            error, self.error = self.error, None
            cause = error.__cause__
            if cause is None and not error.__suppress_context__:
                cause = error.__context__
            try:
                raise error from cause
            finally:
                del error, cause  # the traceback holds this frame: without it there is no cycle
        assert start["type"] == _START
        self.adopt_variables()
        return StreamedResponse.of_run(self, start)

    async def _first_message(self) -> "Message":
        while self.start is None:
            if self._rx is None:
                raise anyio.EndOfStream
            message = await self._rx.receive()
            kind = message["type"]
            if kind == "http.response.debug":
                self.info = message["info"]
            elif kind == "http.response.early_hint":
                await self.send_upstream(message)
            else:
                self.start = message
        return self.start

    async def body(self) -> BodyStreamGenerator:
        """Give the pieces of the body; a mapping is a message that stands for all of it."""
        if self.only_chunk is not None:
            if self.only_chunk:
                yield self.only_chunk
            return
        if self._rx is None:
            return
        async for message in self._rx:
            kind = message["type"]
            if kind == _PATHSEND:
                yield message
                return
            assert kind == _BODY, f"Unexpected message: {message}"
            if chunk := message.get("body", b""):
                yield chunk
            if not message.get("more_body", False):
                return


def _body_comes_at_once(start: "Message") -> bool:
    """Tell whether there is no harm in waiting for the body before the start is passed on: its length is known."""
    if start["status"] in _BODILESS:
        return True
    return any(header[0].lower() == b"content-length" for header in start.get("headers", ()))


class StreamedResponse(Response):
    """What `call_next` returns: status and headers that may be changed, and a body that is still being made.

    Attributes:
        body_iterator: Gives the pieces of the body; may be replaced.
    """

    def __init__(
        self,
        content: AsyncContentStream,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        info: Mapping[str, Any] | None = None,
    ) -> None:
        self.info = info
        self.body_iterator = content
        self.status_code = status_code
        self.media_type = media_type
        self.init_headers(headers)
        self.background = None

    @classmethod
    def of_run(cls, run: RestOfChain, start: "Message") -> "StreamedResponse":
        """Make the response that a run has started, its headers as they are."""
        response = cls.__new__(cls)
        response.info = run.info
        response._run = run
        response.status_code = start["status"]
        response.raw_headers = start.get("headers", [])
        response.background = None
        return response

    _run: RestOfChain | None = None
    _iterator: AsyncContentStream | None = None

    @property
    def body_iterator(self) -> AsyncContentStream:
        if self._iterator is None:
            assert self._run is not None
            self._iterator = self._run.body()
        return self._iterator

    @body_iterator.setter
    def body_iterator(self, content: AsyncContentStream) -> None:
        self._iterator = content

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if self.info is not None:
            await send({"type": "http.response.debug", "info": self.info})
        await send({"type": _START, "status": self.status_code, "headers": self.raw_headers})
        chunk = None if self._iterator is not None or self._run is None else self._run.only_chunk
        if isinstance(chunk, bytes):
            await self._send_whole(chunk, send)
        else:
            await self._send_pieces(send)
        if self.background:
            await self.background()

    async def _send_whole(self, body: bytes, send: "Send") -> None:
        """Send a body that nobody has looked at; to another middleware of this kind in one piece, as it came."""
        if body and not isinstance(getattr(send, "__self__", None), RestOfChain):
            await send({"type": _BODY, "body": body, "more_body": True})
            body = b""
        await send({"type": _BODY, "body": body, "more_body": False})

    async def _send_pieces(self, send: "Send") -> None:
        ended_by_message = False
        async for chunk in self.body_iterator:
            if isinstance(chunk, dict):
                ended_by_message = True
                await send(chunk)
            else:
                await send({"type": _BODY, "body": chunk, "more_body": True})
        if not ended_by_message:
            await send({"type": _BODY, "body": b"", "more_body": False})
