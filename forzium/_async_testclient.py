"""`AsyncTestClient`: call an application from tests that are coroutines, in the event loop of the test.

Layer: top, beside `testclient`, which names it and knows requests and responses.
Not for: production clients.

The application runs in tasks beside the test, of asyncio or trio, that belong to no task group: a client may be entered
and left in different tasks, as the fixtures of some pytest plugins are.
"""

import asyncio
import contextvars
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, cast
from urllib.parse import urljoin

import anyio
import anyio.lowlevel

from forzium._test_exchange import ASGI3App, Exchange, Lifespan, as_asgi3
from forzium.testclient import Requests, Upgrade, WebSocketDenialResponse, upgrade_headers
from forzium.types import ASGIApp, Message, Scope
from forzium.websockets import WebSocketDisconnect

if TYPE_CHECKING:
    import httpx2 as httpx
else:
    from forzium.testclient import httpx

__all__ = ["AsyncTestClient", "AsyncWebSocketTestSession"]

GRACE = 1.0
"""Seconds that an application has to notice that its WebSocket was closed, before it is cancelled."""

_ABNORMAL_CLOSURE = 1006


class _Beside:
    """A coroutine function, run in a task beside the caller's; it sees the caller's context variables.

    Attributes:
        ended: Set when it has ended, however.
    """

    def __init__(self, function: Callable[[], Awaitable[Any]]) -> None:
        self._function = function
        self._error: BaseException | None = None
        self._scope = anyio.CancelScope()
        self.ended = anyio.Event()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            import trio

            trio.lowlevel.spawn_system_task(self._run, name=function, context=contextvars.copy_context())
        else:
            self._task = loop.create_task(self._run())  # kept: a loop holds its tasks weakly

    async def _run(self) -> None:
        try:
            with self._scope:
                await self._function()
        except BaseException as error:  # raised by `result`, in the task that waits for it
            self._error = error
        finally:
            self.ended.set()

    def cancel(self) -> None:
        """Cancel it; it may take its time to end."""
        self._scope.cancel()

    def result(self) -> None:
        """Raise what it raised, if it has ended so."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    async def join(self) -> None:
        """Wait until it has ended; a caller who is cancelled meanwhile cancels it."""
        try:
            await self.ended.wait()
        finally:
            if not self.ended.is_set():
                self.cancel()
                with anyio.CancelScope(shield=True):
                    await self.ended.wait()


class _AsyncExchange(Exchange, httpx.AsyncByteStream):
    """A request and its response, for a caller in the same event loop."""

    _body: AsyncIterator[bytes] | None = None
    _closed = False

    async def start(self) -> None:
        """Start the application and wait until its response has started or it has ended.

        Raises:
            Exception: What the application raised, if it did before a response (and errors are to be raised).
        """
        await self._prepare()
        self._running = _Beside(self._run)
        begun = False
        try:
            await self._started.wait()
            begun = True
        finally:
            if not begun:
                self._running.cancel()
                with anyio.CancelScope(shield=True):
                    await self._end()
        if self.status is None:
            await self.aclose()

    async def _request_message(self) -> Message:
        if self._body is None:
            try:
                content = self.request.content
            except httpx.RequestNotRead:  # the test writes the body while it is read
                self._body = aiter(cast("httpx.AsyncByteStream", self.request.stream))
            else:
                self.request_sent = True
                return {"type": "http.request", "body": content, "more_body": False}
        try:
            return {"type": "http.request", "body": await anext(self._body), "more_body": True}
        except StopAsyncIteration:
            self.request_sent = True
            return {"type": "http.request", "body": b"", "more_body": False}

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self  # no generator: trio complains about those that are left

    async def __anext__(self) -> bytes:
        try:
            while not (chunk := await self._next_chunk()) or self.request.method == "HEAD":
                pass
        except anyio.EndOfStream:
            await self.aclose()
            raise StopAsyncIteration from None
        return chunk

    async def aclose(self) -> None:
        """Wait until the application has ended; one that has not sent all of its response is cancelled."""
        if self._closed:
            return
        self._closed = True
        self._cancel_if_incomplete()
        await self._end()
        if self.raise_server_exceptions:
            self._running.result()

    async def _end(self) -> None:
        try:
            await self._running.join()
        finally:
            self._chunks_in.close()
            self._chunks_out.close()
            self.on_closed()

    async def abort(self) -> None:
        """Cancel the application, whatever it is doing."""
        self._running.cancel()
        await self.aclose()


class _AsyncTransport(httpx.AsyncBaseTransport):
    """Runs the application for each request, beside the caller."""

    def __init__(self, requests: Requests) -> None:
        self.requests = requests
        self._open: set[_AsyncExchange] = set()

    async def aclose(self) -> None:
        """Cancel the applications whose responses nobody has closed."""
        while self._open:
            await self._open.pop().abort()

    async def handle_async_request(self, request: "httpx.Request") -> "httpx.Response":
        scope = self.requests.scope(request)
        exchange = _AsyncExchange(self.requests.app, scope, request, self.requests.raise_server_exceptions)
        await exchange.start()
        if exchange.status is not None:
            self._open.add(exchange)
            exchange.on_closed = lambda: self._open.discard(exchange)
        return self.requests.response(exchange)


class AsyncWebSocketTestSession:
    """One end of a WebSocket, the application being the other; made by `AsyncTestClient.websocket_connect`.

    Entering the context connects and waits until the application has accepted. Leaving it disconnects with code 1000
    and waits until the application has ended; one that takes no notice is cancelled after a second.

    Attributes:
        accepted_subprotocol: What the application chose, or None.
        extra_headers: Headers of its acceptance, or None.
        scope: The ASGI scope it was given.

    Raises:
        WebSocketDisconnect: On entering or receiving: the application closed the socket, or (1006) has ended.
        WebSocketDenialResponse: On entering: it answered with an HTTP response.
    """

    scope: Scope

    def __init__(self, app: ASGI3App, handshake: Callable[[], Awaitable[Scope]]) -> None:
        self.app = app
        self._handshake = handshake
        self._left = False
        self.accepted_subprotocol: str | None = None
        self.extra_headers: Any = None

    async def __aenter__(self) -> Self:
        self.scope = await self._handshake()
        from_app, self._from_app = anyio.create_memory_object_stream[Message](math.inf)
        self._to_app, to_app = anyio.create_memory_object_stream[Message](math.inf)

        async def send(message: Message) -> None:
            await anyio.lowlevel.checkpoint()
            if self._left:
                raise OSError("the client has closed the WebSocket")
            from_app.send_nowait(message)

        async def run() -> None:
            with to_app, from_app:
                await self.app(self.scope, to_app.receive, send)

        self._running = _Beside(run)
        entered = False
        try:
            await self.send({"type": "websocket.connect"})
            answer = await self.receive()
            await self._raise_on_close(answer)
            self.accepted_subprotocol = answer.get("subprotocol", None)
            self.extra_headers = answer.get("headers", None)
            entered = True
        finally:
            if not entered:
                await self._leave()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._leave()

    async def _leave(self) -> None:
        if not self._running.ended.is_set():
            await self.close(1000)
            with anyio.move_on_after(GRACE):
                await self._running.ended.wait()
            self._running.cancel()
        await self._running.join()
        self._to_app.close()
        self._from_app.close()
        self._running.result()

    async def _raise_on_close(self, message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.close":
            raise WebSocketDisconnect(code=message.get("code", 1000), reason=message.get("reason", ""))
        if kind == "websocket.http.response.start":
            content, more = b"", True
            while more:
                part = await self.receive()
                assert part["type"] == "websocket.http.response.body"
                content += part["body"]
                more = part.get("more_body", False)
            raise WebSocketDenialResponse(status_code=message["status"], headers=message["headers"], content=content)

    async def send(self, message: Message) -> None:
        """Give the application an ASGI message."""
        await anyio.lowlevel.checkpoint()
        try:
            self._to_app.send_nowait(message)
        except anyio.BrokenResourceError:
            pass  # it has ended: a client learns that by receiving

    async def send_text(self, data: str) -> None:
        """Send a text frame."""
        await self.send({"type": "websocket.receive", "text": data})

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary frame."""
        await self.send({"type": "websocket.receive", "bytes": data})

    async def send_json(self, data: Any, mode: Literal["text", "binary"] = "text") -> None:
        """Send `data` as JSON, in a text frame or a binary one."""
        text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
        if mode == "text":
            await self.send_text(text)
        else:
            await self.send_bytes(text.encode("utf-8"))

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Tell the application that the client is gone. What it sends from now on raises `OSError` there."""
        await self.send({"type": "websocket.disconnect", "code": code, "reason": reason})
        self._left = True

    async def receive(self) -> Message:
        """Return the next ASGI message of the application, waiting for it."""
        try:
            return await self._from_app.receive()
        except anyio.EndOfStream:
            self._running.result()
            raise WebSocketDisconnect(code=_ABNORMAL_CLOSURE, reason="the application has ended") from None

    async def _receive_frame(self) -> Message:
        message = await self.receive()
        await self._raise_on_close(message)
        return message

    async def receive_text(self) -> str:
        """Return the text of the next frame."""
        return cast(str, (await self._receive_frame())["text"])

    async def receive_bytes(self) -> bytes:
        """Return the content of the next binary frame."""
        return cast(bytes, (await self._receive_frame())["bytes"])

    async def receive_json(self, mode: Literal["text", "binary"] = "text") -> Any:
        """Return the JSON value of the next frame, text or binary."""
        message = await self._receive_frame()
        return json.loads(message["text"] if mode == "text" else message["bytes"].decode("utf-8"))


class AsyncTestClient(Lifespan, httpx.AsyncClient):
    """An asynchronous httpx client whose requests go to `app`, in the event loop of the test (asyncio or trio).

    As an asynchronous context manager it runs the lifespan of the application around the block. Responses are not
    buffered: `client.stream(...)` gives each chunk as the application sends it.

    Args:
        app: The ASGI application.
        base_url: What paths are relative to. Default is `"http://testserver"`.
        raise_server_exceptions: Raise what the application raises, instead of showing its 500. Default is True.
        root_path: For the scope. Default is empty.
        cookies: Sent with every request. Default is none.
        headers: Sent with every request; `user-agent` is `testclient` unless given.
        follow_redirects: Default is True.
        client: Address and port the application sees. Default is `("testclient", 50000)`.

    Example:
        >>> from forzium import FastAPI
        >>> async def test() -> int:
        ...     async with AsyncTestClient(FastAPI()) as client:
        ...         return (await client.get("/nowhere")).status_code
        >>> anyio.run(test)
        404
    """

    __test__ = False

    def __init__(
        self,
        app: ASGIApp,
        base_url: str = "http://testserver",
        raise_server_exceptions: bool = True,
        root_path: str = "",
        cookies: "httpx._types.CookieTypes | None" = None,
        headers: dict[str, str] | None = None,
        follow_redirects: bool = True,
        client: tuple[str, int] = ("testclient", 50000),
    ) -> None:
        self.app = as_asgi3(app)
        self.app_state = {}
        requests = Requests(self.app, raise_server_exceptions, root_path, client=client, app_state=self.app_state)
        super().__init__(
            base_url=base_url,
            headers={"user-agent": "testclient", **(headers or {})},
            cookies=cookies,
            follow_redirects=follow_redirects,
            transport=_AsyncTransport(requests),
        )

    def websocket_connect(
        self, url: str, subprotocols: Sequence[str] | None = None, **kwargs: Any
    ) -> AsyncWebSocketTestSession:
        """Return a session for `url`, to be entered with `async with`.

        Args:
            url: Path, or URL of scheme ws or wss.
            subprotocols: Offered to the application. Default is none.
            **kwargs: As for `request`.
        """
        upgrade_headers(subprotocols, kwargs)

        async def handshake() -> Scope:
            try:
                await self.request("GET", urljoin("ws://testserver", url), **kwargs)
            except Upgrade as upgrade:
                return upgrade.scope
            raise RuntimeError("Expected WebSocket upgrade")

        return AsyncWebSocketTestSession(self.app, handshake)

    async def __aenter__(self) -> Self:
        self._closing = self._open_streams()
        self.task = _Beside(self.lifespan)
        started = False
        try:
            await self.wait_startup()
            started = True
        finally:
            if not started:
                await self._end()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        try:
            await self._transport.aclose()
            await self.wait_shutdown()
        finally:
            await self._end()

    async def _end(self) -> None:
        self.task.cancel()
        await self.task.join()
        for close in self._closing:
            close()

    async def _lifespan_message(self) -> Any:
        message = await self.stream_send.receive()
        if message is None:
            await self.task.join()
            self.task.result()
        return message
