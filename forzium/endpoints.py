"""Endpoints as classes: a method for each HTTP method, or for each thing a WebSocket does.

Stands on ``requests``, ``responses``, ``websockets`` and ``concurrency``. A route calls such a class with the ASGI
triple and awaits the instance.

Not for: FastAPI's endpoints; parameters, validation and dependencies do not reach these.

Source: ``starlette.endpoints``.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Literal

from forzium import status
from forzium._utils import is_async_callable
from forzium.concurrency import run_in_threadpool
from forzium.exceptions import StarletteHTTPException
from forzium.requests import Request
from forzium.responses import PlainTextResponse, Response
from forzium.websockets import WebSocket

if TYPE_CHECKING:
    from forzium.types import Message, Receive, Scope, Send

__all__ = ["HTTPEndpoint", "WebSocketEndpoint"]

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY")


class HTTPEndpoint:
    """Answers each HTTP method with the method of that name (``get``, ``post`` ...), ``def`` or ``async def``.

    HEAD is answered by ``get`` where there is no ``head``; a method that is missing is answered with 405.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        self.scope = scope
        self.receive = receive
        self.send = send
        self._allowed_methods = [method for method in _METHODS if self._handler(method) is not None]

    def _handler(self, method: str) -> Any:
        handler = getattr(self, method.lower(), None)
        if handler is None and method == "HEAD":
            handler = getattr(self, "get", None)
        return handler

    def __await__(self) -> Generator[Any, None, None]:
        return self.dispatch().__await__()

    async def dispatch(self) -> None:
        """Answer the request."""
        request = Request(self.scope, receive=self.receive, send=self.send)
        allowed = request.method in self._allowed_methods
        handler = self._handler(request.method) if allowed else self.method_not_allowed
        if is_async_callable(handler):
            response = await handler(request)
        else:
            response = await run_in_threadpool(handler, request)
        await response(self.scope, self.receive, self.send)

    async def method_not_allowed(self, request: Request) -> Response:
        """Answer 405: by an exception, so that the application's handler sees it, if there is an application."""
        headers = {"Allow": ", ".join(self._allowed_methods)}
        if "app" in self.scope:
            raise StarletteHTTPException(status_code=405, headers=headers)
        return PlainTextResponse("Method Not Allowed", status_code=405, headers=headers)


class WebSocketEndpoint:
    """Serves a WebSocket: override what is to happen on connecting, on each message and on disconnecting.

    ``encoding`` says what `on_receive` gets: "text", "bytes", "json", or either text or bytes where it is ``None``.
    """

    encoding: Literal["text", "bytes", "json"] | None = None

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "websocket"
        self.scope = scope
        self.receive = receive
        self.send = send

    def __await__(self) -> Generator[Any, None, None]:
        return self.dispatch().__await__()

    async def dispatch(self) -> None:
        """Serve the connection to its end; `on_disconnect` is called in any case."""
        websocket = WebSocket(self.scope, receive=self.receive, send=self.send)
        await self.on_connect(websocket)
        close_code = status.WS_1000_NORMAL_CLOSURE
        try:
            while True:
                message = await websocket.receive()
                if message["type"] == "websocket.receive":
                    data = await self.decode(websocket, message)
                    await self.on_receive(websocket, data)
                elif message["type"] == "websocket.disconnect":
                    close_code = int(message.get("code") or status.WS_1000_NORMAL_CLOSURE)
                    break
        except Exception:
            close_code = status.WS_1011_INTERNAL_ERROR
            raise
        finally:
            await self.on_disconnect(websocket, close_code)

    async def decode(self, websocket: WebSocket, message: Message) -> Any:
        """Give what `on_receive` gets of a message.

        Raises:
            RuntimeError: it is of another kind, or no JSON; the connection is closed with 1003 first.
        """
        text, data = message.get("text"), message.get("bytes")
        if self.encoding == "text":
            if text is None:
                return await self._refuse(websocket, "Expected text websocket messages, but got bytes")
            return text
        if self.encoding == "bytes":
            if data is None:
                return await self._refuse(websocket, "Expected bytes websocket messages, but got text")
            return data
        if self.encoding == "json":
            try:
                return json.loads(message["bytes"].decode("utf-8") if text is None else text)
            except (ValueError, RecursionError):  # no JSON, bytes that are no text, or nested without end
                return await self._refuse(websocket, "Malformed JSON data received.")
        assert self.encoding is None, f"Unsupported 'encoding' attribute {self.encoding}"
        return message["bytes"] if text is None else text

    async def _refuse(self, websocket: WebSocket, reason: str) -> None:
        await websocket.close(code=status.WS_1003_UNSUPPORTED_DATA)
        raise RuntimeError(reason)

    async def on_connect(self, websocket: WebSocket) -> None:
        """Handle a new connection. The default accepts it."""
        await websocket.accept()

    async def on_receive(self, websocket: WebSocket, data: Any) -> None:
        """Handle a message. The default ignores it."""

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        """Handle the end of the connection. The default does nothing."""
