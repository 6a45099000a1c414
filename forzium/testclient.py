"""`TestClient`: call an application from synchronous tests, as a client would, without a socket.

Layer: top; on `_utils`, `exceptions`, `websockets`, and on httpx2 (httpx where that is missing).
Not for: production clients, nor tests that are coroutines themselves: `AsyncTestClient` is for those (it stands in
`_async_testclient`, is named here, and shares what this module knows of requests and responses).

The application runs in an event loop of a thread of its own, through anyio's blocking portal. Inside `with client:`
there is one such thread, and the lifespan runs in it; outside each request gets its own, which ends with its response.

Source: `starlette.testclient`.
"""

import contextlib
import json
import math
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for_futures
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict, cast
from urllib.parse import unquote, urljoin

import anyio
import anyio.abc
import anyio.from_thread

from forzium._test_exchange import ASGI2App, ASGI3App, ASGIInstance, Exchange, Lifespan, as_asgi3
from forzium.exceptions import StarletteDeprecationWarning
from forzium.types import ASGIApp, Message, Scope
from forzium.websockets import WebSocketDisconnect

if TYPE_CHECKING:
    import httpx2 as httpx

    from forzium._async_testclient import AsyncTestClient as AsyncTestClient
    from forzium._async_testclient import AsyncWebSocketTestSession as AsyncWebSocketTestSession
else:
    try:
        import httpx2 as httpx
    except ModuleNotFoundError:
        try:
            import httpx
        except ModuleNotFoundError:
            raise RuntimeError(
                "The forzium.testclient module requires the httpx2 package to be installed.\n"
                "You can install this with:\n"
                "    $ pip install httpx2\n"
            ) from None
        # The text is Starlette's: people's warning filters name it.
        warnings.warn(
            "Using `httpx` with `starlette.testclient` is deprecated; install `httpx2` instead.",
            StarletteDeprecationWarning,
            stacklevel=2,
        )

__all__ = [
    "ASGI2App",
    "ASGI3App",
    "ASGIInstance",
    "AsyncTestClient",
    "AsyncWebSocketTestSession",
    "TestClient",
    "WebSocketDenialResponse",
    "WebSocketTestSession",
]


def __getattr__(name: str) -> Any:
    if name in ("AsyncTestClient", "AsyncWebSocketTestSession"):
        from forzium import _async_testclient

        return getattr(_async_testclient, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


_PortalFactory = Callable[[], AbstractContextManager[anyio.from_thread.BlockingPortal]]
_RequestData = Mapping[str, str | Iterable[str] | bytes]
_Headers = list[tuple[bytes, bytes]]

_DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


class _AsyncBackend(TypedDict):
    backend: str
    backend_options: dict[str, Any]


class Upgrade(Exception):
    """Carries the scope of a WebSocket out of the transport, past httpx, to `websocket_connect`."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope


def upgrade_headers(subprotocols: Sequence[str] | None, options: dict[str, Any]) -> None:
    """Complete the headers among a request's options by those of a WebSocket's handshake."""
    headers = options.setdefault("headers", {})
    headers.setdefault("connection", "upgrade")
    headers.setdefault("sec-websocket-key", "testserver==")
    headers.setdefault("sec-websocket-version", "13")
    if subprotocols is not None:
        headers.setdefault("sec-websocket-protocol", ", ".join(subprotocols))


class WebSocketDenialResponse(httpx.Response, WebSocketDisconnect):  # type: ignore[misc]
    """Raised when the application refuses a WebSocket with an HTTP response, which this is."""


class WebSocketTestSession:
    """One end of a WebSocket, the application being the other; made by `TestClient.websocket_connect`.

    Entering the context connects and waits until the application has accepted, leaving it disconnects with code 1000
    and waits until the application has ended.

    Attributes:
        accepted_subprotocol: What the application chose, or None.
        extra_headers: Headers of its acceptance, or None.
        scope: The ASGI scope it was given.

    Raises:
        WebSocketDisconnect: On entering or receiving: the application closed the socket.
        WebSocketDenialResponse: On entering: it answered with an HTTP response.
    """

    def __init__(self, app: ASGI3App, scope: Scope, portal_factory: _PortalFactory) -> None:
        self.app = app
        self.scope = scope
        self.portal_factory = portal_factory
        self.accepted_subprotocol: str | None = None
        self.extra_headers: Any = None

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as exits:
            self.portal = exits.enter_context(self.portal_factory())
            ended, cancel_scope = self.portal.start_task(self._run)
            exits.callback(ended.result)
            exits.callback(self.portal.call, cancel_scope.cancel)
            self.send({"type": "websocket.connect"})
            answer = self.receive()
            self._raise_on_close(answer)
            self.accepted_subprotocol = answer.get("subprotocol", None)
            self.extra_headers = answer.get("headers", None)
            exits.callback(self.close, 1000)
            self.exit_stack = exits.pop_all()
        return self

    def __exit__(self, *exc_info: Any) -> bool | None:
        return self.exit_stack.__exit__(*exc_info)

    async def _run(self, *, task_status: "anyio.abc.TaskStatus[anyio.CancelScope]") -> None:
        """Run the application, and keep what it has sent readable until the session is left."""
        from_app, self._from_app = anyio.create_memory_object_stream[Message](math.inf)
        self._to_app, to_app = anyio.create_memory_object_stream[Message](math.inf)
        with from_app, self._from_app, to_app, self._to_app, anyio.CancelScope() as cancel_scope:
            task_status.started(cancel_scope)
            await self.app(self.scope, to_app.receive, from_app.send)
            await anyio.sleep_forever()

    def _raise_on_close(self, message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.close":
            raise WebSocketDisconnect(code=message.get("code", 1000), reason=message.get("reason", ""))
        if kind == "websocket.http.response.start":
            content = b"".join(self._denial_body())
            raise WebSocketDenialResponse(status_code=message["status"], headers=message["headers"], content=content)

    def _denial_body(self) -> Iterator[bytes]:
        more = True
        while more:
            part = self.receive()
            assert part["type"] == "websocket.http.response.body"
            yield part["body"]
            more = part.get("more_body", False)

    def send(self, message: Message) -> None:
        """Give the application an ASGI message."""
        self.portal.call(self._to_app.send, message)

    def send_text(self, data: str) -> None:
        """Send a text frame."""
        self.send({"type": "websocket.receive", "text": data})

    def send_bytes(self, data: bytes) -> None:
        """Send a binary frame."""
        self.send({"type": "websocket.receive", "bytes": data})

    def send_json(self, data: Any, mode: Literal["text", "binary"] = "text") -> None:
        """Send `data` as JSON, in a text frame or a binary one."""
        text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
        if mode == "text":
            self.send_text(text)
        else:
            self.send_bytes(text.encode("utf-8"))

    def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Tell the application that the client is gone."""
        self.send({"type": "websocket.disconnect", "code": code, "reason": reason})

    def receive(self) -> Message:
        """Return the next ASGI message of the application, waiting for it."""
        return self.portal.call(self._from_app.receive)

    def _receive_frame(self) -> Message:
        message = self.receive()
        self._raise_on_close(message)
        return message

    def receive_text(self) -> str:
        """Return the text of the next frame."""
        return cast(str, self._receive_frame()["text"])

    def receive_bytes(self) -> bytes:
        """Return the content of the next binary frame."""
        return cast(bytes, self._receive_frame()["bytes"])

    def receive_json(self, mode: Literal["text", "binary"] = "text") -> Any:
        """Return the JSON value of the next frame, text or binary."""
        message = self._receive_frame()
        return json.loads(message["text"] if mode == "text" else message["bytes"].decode("utf-8"))


class _SyncExchange(Exchange, httpx.SyncByteStream):
    """The same for a caller in another thread: the application runs in the event loop of a portal."""

    def __init__(self, app: ASGI3App, scope: Scope, request: "httpx.Request", raise_server_exceptions: bool) -> None:
        super().__init__(app, scope, request, raise_server_exceptions)
        self._task: Future[None] | None = None
        self._exits = contextlib.ExitStack()

    def start(self, portal_factory: _PortalFactory) -> None:
        """Start the application and wait until its response has started or it has ended.

        Raises:
            Exception: What the application raised, if it did before a response (and errors are to be raised).
        """
        with contextlib.ExitStack() as exits:
            self.portal = exits.enter_context(portal_factory())
            self.portal.call(self._prepare)
            exits.callback(self._chunks_in.close)
            exits.callback(self._chunks_out.close)
            exits.push(self._leave)
            self._task = self.portal.start_task_soon(self._run)
            self.portal.call(self._started.wait)
            self._exits = exits.pop_all()
        if self.status is None:
            self._exits.close()

    def _leave(self, exc_type: type[BaseException] | None, *_: Any) -> None:
        task = self._task
        if task is None:  # a signal came before the application was started
            self.portal.call(self._cancel_scope.cancel)
            return
        if not task.done():
            self.portal.call(self._cancel_if_incomplete)
        wait_for_futures([task])
        self.on_closed()
        if exc_type is None and self.raise_server_exceptions:
            error = task.exception()
            if error is not None:
                raise error

    def __iter__(self) -> Iterator[bytes]:
        return self._read()

    def _read(self) -> Generator[bytes, None, None]:
        while True:
            try:
                chunk = self.portal.call(self._next_chunk)
            except anyio.EndOfStream:
                break
            if chunk and self.request.method != "HEAD":
                yield chunk
        self.close()

    def close(self) -> None:
        self._exits.close()

    def abort(self) -> None:
        """Cancel the application, whatever it is doing."""
        self.portal.call(self._cancel_scope.cancel)
        self.close()


class Requests:
    """What httpx's requests are to an application: scopes, and what its answers are to httpx."""

    def __init__(
        self,
        app: ASGI3App,
        raise_server_exceptions: bool = True,
        root_path: str = "",
        *,
        client: tuple[str, int],
        app_state: dict[str, Any],
    ) -> None:
        self.app = app
        self.raise_server_exceptions = raise_server_exceptions
        self.root_path = root_path
        self.client = client
        self.app_state = app_state

    def scope(self, request: "httpx.Request") -> dict[str, Any]:
        """The scope of an HTTP request.

        Raises:
            Upgrade: The request is the handshake of a WebSocket.
        """
        url = request.url
        headers: _Headers = [] if "host" in request.headers else [(b"host", url.netloc)]
        headers.extend((name.lower().encode(), value.encode()) for name, value in request.headers.multi_items())
        scope = {
            "path": unquote(url.path),
            "raw_path": url.raw_path.partition(b"?")[0],
            "root_path": self.root_path,
            "scheme": url.scheme,
            "query_string": url.query,
            "headers": headers,
            "client": self.client,
            "server": [url.raw_host.decode("ascii"), _DEFAULT_PORTS[url.scheme] if url.port is None else url.port],
            "state": self.app_state.copy(),
        }
        if url.scheme in ("ws", "wss"):
            offered = request.headers.get("sec-websocket-protocol", None)
            scope["type"] = "websocket"
            scope["subprotocols"] = [] if offered is None else [name.strip() for name in offered.split(",")]
            scope["extensions"] = {"websocket.http.response": {}}
            raise Upgrade(scope)
        scope["type"] = "http"
        scope["http_version"] = "1.1"
        scope["method"] = request.method
        scope["extensions"] = {"http.response.debug": {}, "http.response.trailers": {}}
        return scope

    def response(self, exchange: Exchange) -> "httpx.Response":
        """The response that has started, or an empty 500 where there is none.

        Raises:
            AssertionError: There is none, and errors are to be raised.
        """
        request = exchange.request
        if exchange.status is None:
            if self.raise_server_exceptions:
                raise AssertionError("TestClient did not receive any response.")
            response = httpx.Response(500, headers=[], stream=httpx.ByteStream(b""), request=request)
        else:
            stream = cast("httpx.SyncByteStream", exchange)
            response = httpx.Response(exchange.status, headers=exchange.headers, stream=stream, request=request)
        if exchange.trailers is not None:
            response.extensions["http.response.trailers"] = exchange.trailers
        if exchange.debug is not None:
            response.extensions["http.response.debug"] = exchange.debug
            # Where a template was rendered, tests look at it on the response itself.
            for name in ("template", "context"):
                if name in exchange.debug:
                    setattr(response, name, exchange.debug[name])
        return response


class _Transport(httpx.BaseTransport):
    """Runs the application for each request, in the event loop of a portal."""

    def __init__(self, requests: Requests, portal_factory: _PortalFactory) -> None:
        self.requests = requests
        self.portal_factory = portal_factory
        self._open: set[_SyncExchange] = set()

    def close(self) -> None:
        """Cancel the applications whose responses nobody has closed."""
        with contextlib.ExitStack() as exits:
            while self._open:
                exits.callback(self._open.pop().abort)

    def handle_request(self, request: "httpx.Request") -> "httpx.Response":
        scope = self.requests.scope(request)
        exchange = _SyncExchange(self.requests.app, scope, request, self.requests.raise_server_exceptions)
        exchange.start(self.portal_factory)
        if exchange.status is not None:
            self._open.add(exchange)
            exchange.on_closed = lambda: self._open.discard(exchange)
        return self.requests.response(exchange)


class TestClient(Lifespan, httpx.Client):
    """An httpx client whose requests go to `app`.

    As a context manager it runs the lifespan of the application around the block.

    Args:
        app: The ASGI application.
        base_url: What paths are relative to. Default is `"http://testserver"`.
        raise_server_exceptions: Raise what the application raises, instead of showing its 500. Default is True.
        root_path: For the scope. Default is empty.
        backend: `"asyncio"` or `"trio"`. Default is `"asyncio"`.
        backend_options: For `anyio.run`. Default is none.
        cookies: Sent with every request. Default is none.
        headers: Sent with every request; `user-agent` is `testclient` unless given.
        follow_redirects: Default is True.
        client: Address and port the application sees. Default is `("testclient", 50000)`.

    Example:
        >>> from forzium import FastAPI
        >>> app = FastAPI()
        >>> TestClient(app).get("/nowhere").status_code
        404
    """

    __test__ = False
    portal: anyio.from_thread.BlockingPortal | None = None

    def __init__(
        self,
        app: ASGIApp,
        base_url: str = "http://testserver",
        raise_server_exceptions: bool = True,
        root_path: str = "",
        backend: Literal["asyncio", "trio"] = "asyncio",
        backend_options: dict[str, Any] | None = None,
        cookies: "httpx._types.CookieTypes | None" = None,
        headers: dict[str, str] | None = None,
        follow_redirects: bool = True,
        client: tuple[str, int] = ("testclient", 50000),
    ) -> None:
        self.async_backend = _AsyncBackend(backend=backend, backend_options=backend_options or {})
        self.app = as_asgi3(app)
        self.app_state = {}
        headers = {} if headers is None else headers
        headers.setdefault("user-agent", "testclient")
        super().__init__(
            base_url=base_url,
            headers=headers,
            cookies=cookies,
            follow_redirects=follow_redirects,
            transport=_Transport(
                Requests(self.app, raise_server_exceptions, root_path, client=client, app_state=self.app_state),
                self._portal_factory,
            ),
        )

    @contextlib.contextmanager
    def _portal_factory(self) -> Generator[anyio.from_thread.BlockingPortal, None, None]:
        if self.portal is not None:
            yield self.portal
            return
        with anyio.from_thread.start_blocking_portal(**self.async_backend) as portal:
            yield portal

    def request(  # type: ignore[override]
        self,
        method: str,
        url: "httpx._types.URLTypes",
        *,
        content: "httpx._types.RequestContent | None" = None,
        data: _RequestData | None = None,
        files: "httpx._types.RequestFiles | None" = None,
        json: Any = None,
        params: "httpx._types.QueryParamTypes | None" = None,
        headers: "httpx._types.HeaderTypes | None" = None,
        cookies: "httpx._types.CookieTypes | None" = None,
        auth: "httpx._types.AuthTypes | httpx._client.UseClientDefault" = httpx._client.USE_CLIENT_DEFAULT,
        follow_redirects: "bool | httpx._client.UseClientDefault" = httpx._client.USE_CLIENT_DEFAULT,
        timeout: "httpx._types.TimeoutTypes | httpx._client.UseClientDefault" = httpx._client.USE_CLIENT_DEFAULT,
        extensions: dict[str, Any] | None = None,
    ) -> "httpx.Response":
        """Send a request; the parameters are httpx's. `timeout` has no effect, and giving it warns."""
        if timeout is not httpx.USE_CLIENT_DEFAULT:
            warnings.warn(
                "You should not use the 'timeout' argument with the TestClient. "
                "See https://github.com/Kludex/starlette/issues/1108 for more information.",
                StarletteDeprecationWarning,
                stacklevel=2,
            )
        return super().request(
            method,
            self._merge_url(url),
            content=content,
            data=cast(Any, data),
            files=files,
            json=json,
            params=params,
            headers=headers,
            cookies=cookies,
            auth=auth,
            follow_redirects=follow_redirects,
            timeout=timeout,
            extensions=extensions,
        )

    def websocket_connect(
        self, url: str, subprotocols: Sequence[str] | None = None, **kwargs: Any
    ) -> WebSocketTestSession:
        """Return a session for `url`, to be entered with `with`.

        Args:
            url: Path, or URL of scheme ws or wss.
            subprotocols: Offered to the application. Default is none.
            **kwargs: As for `request`.
        """
        upgrade_headers(subprotocols, kwargs)
        try:
            super().request("GET", urljoin("ws://testserver", url), **kwargs)
        except Upgrade as upgrade:
            return WebSocketTestSession(self.app, upgrade.scope, self._portal_factory)
        raise RuntimeError("Expected WebSocket upgrade")

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as exits:
            self.portal = portal = exits.enter_context(anyio.from_thread.start_blocking_portal(**self.async_backend))
            exits.callback(setattr, self, "portal", None)
            for close in self._open_streams():
                exits.callback(close)
            self.task = portal.start_task_soon(self.lifespan)
            portal.call(self.wait_startup)
            exits.callback(portal.call, self.wait_shutdown)
            exits.callback(self._transport.close)
            self.exit_stack = exits.pop_all()
        return self

    def __exit__(self, *args: Any) -> None:
        self.exit_stack.close()
