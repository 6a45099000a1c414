"""What `dispatch` is given: the request, whose body the rest of the chain receives as well, and the rest's response.

Layer: on `requests` and `responses`. The core (`around`) makes both, and does not call `__init__` for it.
Not for: letting the two go on, which is the core's, nor for what it needs when they part (`_apart`).
"""

from collections.abc import AsyncGenerator, AsyncIterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

from forzium.requests import ClientDisconnect, Request
from forzium.responses import Response

if TYPE_CHECKING:
    from forzium._forzium import Run
    from forzium.background import BackgroundTask
    from forzium.types import Message, Receive, Scope, Send

BodyStreamGenerator = AsyncGenerator[bytes | MutableMapping[str, Any], None]
AsyncContentStream = AsyncIterable[str | bytes | memoryview | MutableMapping[str, Any]]

_DISCONNECT: Final = "http.disconnect"
_START: Final = "http.response.start"
_BODY: Final = "http.response.body"
_PATHSEND: Final = "http.response.pathsend"


class CachedRequest(Request):
    """The request `dispatch` sees; what it has read of the body decides what the rest of the chain receives.

    After `body()` the rest gets the whole body again; after `stream()` has been read to its end it gets an empty one,
    so that it does not wait for ever; otherwise it gets what is still to come.
    """

    # Here and not in `__init__`, as in `Request`.
    _passed_disconnect: bool = False
    _passed_body: bool = False

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

    # Here, since no `__init__` sets them in what the core makes.
    info: Mapping[str, Any] | None = None
    background: "BackgroundTask | None" = None
    _run: "Run | None" = None
    _iterator: AsyncContentStream | None = None

    @property
    def body_iterator(self) -> AsyncContentStream:
        if self._iterator is None:
            assert self._run is not None
            self._iterator = BodyOf(self._run)
        return self._iterator

    @body_iterator.setter
    def body_iterator(self, content: AsyncContentStream) -> None:
        self._iterator = content

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if self.info is not None:
            await send({"type": "http.response.debug", "info": self.info})
        await send({"type": _START, "status": self.status_code, "headers": self.raw_headers})
        source = self.body_iterator
        try:
            await _send_pieces(source, send)
        except GeneratorExit:
            raise
        except BaseException:
            if (close := getattr(source, "aclose", None)) is not None:
                await close()
            raise
        if self.background:
            await self.background()


async def _send_pieces(source: AsyncContentStream, send: "Send") -> None:
    ended_by_message = False
    async for chunk in source:
        if isinstance(chunk, dict):
            ended_by_message = True
            await send(chunk)
        else:
            await send({"type": _BODY, "body": chunk, "more_body": True})
    if not ended_by_message:
        await send({"type": _BODY, "body": b"", "more_body": False})


class BodyOf(BodyStreamGenerator):
    """The pieces of the body of a run; a mapping is a message that stands for all of it.

    No generator: one that is left half-way would have to be closed by whoever leaves it.
    """

    def __init__(self, run: "Run") -> None:
        self._run: Run | None = run

    async def __anext__(self) -> bytes | MutableMapping[str, Any]:
        while (run := self._run) is not None:
            message: Message | None
            if (chunk := run.only_chunk) is not None:
                self._run = None
                if chunk:
                    return cast("bytes | Message", chunk)
                break
            message = None if run.apart is None else await run.apart.part()
            if message is None:
                self._run = None
                break
            kind = message["type"]
            if kind == _PATHSEND:
                self._run = None
                return cast("Message", message)
            assert kind == _BODY, f"Unexpected message: {message}"
            if not message.get("more_body", False):
                self._run = None
            if piece := message.get("body", b""):
                return cast(bytes, piece)
        raise StopAsyncIteration

    async def asend(self, value: None) -> bytes | MutableMapping[str, Any]:
        """Return the next piece."""
        return await self.__anext__()

    async def athrow(self, typ: Any, val: Any = None, tb: Any = None, /) -> NoReturn:
        """Raise the exception; there is nothing more."""
        self._run = None
        raise typ if val is None else val

    async def aclose(self) -> None:
        """Give no more pieces."""
        self._run = None
