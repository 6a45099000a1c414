"""What the two test clients share: an application told to start and stop, and one exchange with it.

Layer: top, below `testclient`. All of it runs in the event loop of the application, and needs httpx for types only.
Not for: how a caller gets there (a portal from another thread, or nothing), nor scopes and httpx's responses.

Source: `starlette.testclient`.
"""

import inspect
import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Literal, TypeGuard, cast

import anyio
from anyio.streams.stapled import StapledObjectStream

from forzium._utils import is_async_callable
from forzium.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    import httpx2 as httpx
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

ASGIInstance = Callable[[Receive, Send], Awaitable[None]]
ASGI2App = Callable[[Scope], ASGIInstance]
ASGI3App = Callable[[Scope, Receive, Send], Awaitable[None]]


def _is_asgi3(app: "ASGI2App | ASGI3App | Any") -> TypeGuard[ASGI3App]:
    if inspect.isclass(app):
        return hasattr(app, "__await__")
    return is_async_callable(app) or _takes_three(app)


def _takes_three(app: Callable[..., Any]) -> bool:
    """Tell whether a callable that is no coroutine function takes scope, receive and send all the same."""
    try:
        inspect.signature(app).bind(None, None, None)
    except TypeError:
        return False
    except ValueError:  # native code that does not tell
        pass
    return True


class _ASGI2Adapter:
    """An application of ASGI 2, called in two steps, as one of ASGI 3."""

    def __init__(self, app: ASGI2App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope)(receive, send)


def as_asgi3(app: ASGIApp) -> ASGI3App:
    """The application as one of ASGI 3."""
    return app if _is_asgi3(app) else _ASGI2Adapter(cast(ASGI2App, app))


class Exchange:
    """One HTTP request to the application and the response it makes: all of it that happens in the event loop.

    A chunk is handed over when it is read and not before, so that the application feels a slow reader.
    """

    def __init__(self, app: ASGI3App, scope: Scope, request: "httpx.Request", raise_server_exceptions: bool) -> None:
        self.app = app
        self.scope = scope
        self.request = request
        self.raise_server_exceptions = raise_server_exceptions
        self.request_sent = False
        self.status: int | None = None
        self.headers: list[tuple[str, str]] = []
        self.body_sent = False
        self.trailers: list[tuple[bytes, bytes]] | None = None
        self.debug: dict[str, Any] | None = None
        self.on_closed: Callable[[], None] = lambda: None

    async def _prepare(self) -> None:
        self._started = anyio.Event()
        self._complete = anyio.Event()
        self._cancel_scope = anyio.CancelScope()
        streams: tuple[MemoryObjectSendStream[tuple[bytes, bool]], MemoryObjectReceiveStream[tuple[bytes, bool]]] = (
            anyio.create_memory_object_stream(0)
        )
        self._chunks_in, self._chunks_out = streams

    def _cancel_if_incomplete(self) -> None:
        if not self._complete.is_set():
            self._cancel_scope.cancel()

    async def _run(self) -> None:
        try:
            with self._cancel_scope:
                async with self._chunks_in:
                    await self.app(self.scope, self.receive, self.send)
        finally:
            self._started.set()

    async def _next_chunk(self) -> bytes:
        chunk, is_end = await self._chunks_out.receive()
        if is_end:
            self._complete.set()
        return chunk

    async def receive(self) -> Message:
        if self.request_sent:
            if not self._complete.is_set():  # waiting for what has happened would still give way to a cancellation
                await self._complete.wait()
            return {"type": "http.disconnect"}
        return await self._request_message()

    async def _request_message(self) -> Message:
        body = self.request.read()
        self.request_sent = True
        return {"type": "http.request", "body": body}

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            assert self.status is None, 'Received multiple "http.response.start" messages.'
            self.headers = [(key.decode(), value.decode()) for key, value in message.get("headers", [])]
            self.status = message["status"]
            if message.get("trailers", False):
                self.trailers = []
            self._started.set()
        elif kind == "http.response.body":
            assert self.status is not None, 'Received "http.response.body" without "http.response.start".'
            assert not self._complete.is_set(), 'Received "http.response.body" after response completed.'
            assert not self.body_sent, 'Received "http.response.body" after body completed.'
            is_last = not message.get("more_body", False)
            # The buffer may be the application's, to be written again: what is handed over is a copy.
            await self._chunks_in.send((bytes(message.get("body", b"")), is_last and self.trailers is None))
            self.body_sent = is_last
        elif kind == "http.response.trailers":
            assert self.trailers is not None, 'Received "http.response.trailers" without declaring trailers.'
            assert self.body_sent, 'Received "http.response.trailers" before body completed.'
            assert not self._complete.is_set(), 'Received "http.response.trailers" after response completed.'
            self.trailers.extend(message.get("headers", []))
            if not message.get("more_trailers", False):
                self._complete.set()
        elif kind == "http.response.debug":
            self.debug = message["info"]


class Lifespan:
    """The lifespan of an application, told to start and to shut down: all of it that happens in the event loop.

    The two streams and the task are the client's.
    """

    app: ASGI3App
    app_state: dict[str, Any]
    stream_send: "StapledObjectStream[Message | None]"
    stream_receive: "StapledObjectStream[Message]"
    task: Any

    def _open_streams(self) -> list[Callable[[], None]]:
        from_app = anyio.create_memory_object_stream[Message | None](math.inf)
        to_app = anyio.create_memory_object_stream[Message](math.inf)
        self.stream_send = StapledObjectStream(*from_app)
        self.stream_receive = StapledObjectStream(*to_app)
        return [end.close for end in (*from_app, *to_app)]

    async def lifespan(self) -> None:
        """Run the application's lifespan; its end is sent on as None."""
        try:
            await self.app(
                {"type": "lifespan", "state": self.app_state}, self.stream_receive.receive, self.stream_send.send
            )
        finally:
            await self.stream_send.send(None)

    async def _lifespan_message(self) -> Any:
        message = await self.stream_send.receive()
        if message is None:
            self.task.result()
        return message

    async def _lifespan_event(self, event: Literal["startup", "shutdown"]) -> None:
        await self.stream_receive.send({"type": f"lifespan.{event}"})
        answer = await self._lifespan_message()
        assert answer["type"] in (f"lifespan.{event}.complete", f"lifespan.{event}.failed")
        if answer["type"] == f"lifespan.{event}.failed":
            # The application goes on to raise, which is what the test is to see.
            await self._lifespan_message()

    async def wait_startup(self) -> None:
        """Have the application start, raising what it raises."""
        await self._lifespan_event("startup")

    async def wait_shutdown(self) -> None:
        """Have the application shut down, raising what it raises."""
        await self._lifespan_event("shutdown")
