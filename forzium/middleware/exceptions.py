"""`ExceptionMiddleware`: answers the exceptions an application has handlers for; HTTPException always has one.

Layer: on `_exception_handler`, `responses`, `requests`, `websockets`. The Rust core shares `build_handlers` and the two
default handlers.
Not for: what has no handler; that passes through to `middleware.errors`.

Source: `starlette.middleware.exceptions`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from forzium._exception_handler import ExceptionHandlers, StatusHandlers, wrap_app_handling_exceptions
from forzium.exceptions import StarletteHTTPException, StarletteWebSocketException
from forzium.requests import Request
from forzium.responses import PlainTextResponse, Response
from forzium.websockets import WebSocket

if TYPE_CHECKING:
    from forzium.types import ASGIApp, ExceptionHandler, Receive, Scope, Send

__all__ = ["ExceptionMiddleware", "build_handlers", "http_exception", "websocket_exception"]

_BODILESS = frozenset((204, 304))


async def http_exception(request: Request, exc: Exception) -> Response:
    """Answer an `HTTPException` with its detail as plain text; without a body where the status has none."""
    assert isinstance(exc, StarletteHTTPException)
    if exc.status_code in _BODILESS:
        return Response(status_code=exc.status_code, headers=exc.headers)
    return PlainTextResponse(exc.detail, status_code=exc.status_code, headers=exc.headers)


async def websocket_exception(websocket: WebSocket, exc: Exception) -> None:
    """Close the socket with the code and reason of a `WebSocketException`."""
    assert isinstance(exc, StarletteWebSocketException)
    await websocket.close(code=exc.code, reason=exc.reason)


def _file_handler(
    by_class: ExceptionHandlers, by_status: StatusHandlers, key: "int | type[Exception]", handler: "ExceptionHandler"
) -> None:
    if isinstance(key, int):
        by_status[key] = handler
        return
    assert issubclass(key, Exception)
    by_class[key] = handler


def build_handlers(
    handlers: "Mapping[Any, ExceptionHandler] | None" = None, debug: bool = False
) -> tuple[ExceptionHandlers, StatusHandlers]:
    """Sort declared handlers into those by class and those by status, on top of the two defaults.

    Args:
        handlers: From an exception class or a status code to a handler. Default is none.
        debug: Has no effect yet, as in Starlette. Default is False.

    Returns:
        `(by_class, by_status)`, the pair that belongs into `scope["starlette.exception_handlers"]`.
    """
    by_class: ExceptionHandlers = {
        StarletteHTTPException: http_exception,
        StarletteWebSocketException: websocket_exception,
    }
    by_status: StatusHandlers = {}
    for key, handler in (handlers or {}).items():
        _file_handler(by_class, by_status, key, handler)
    return by_class, by_status


class ExceptionMiddleware:
    """Answers what the wrapped application raises, where there is a handler for it.

    Args:
        app: The application to wrap.
        handlers: From an exception class or a status code to a handler. Default is none.
        debug: Kept as an attribute. Default is False.
    """

    def __init__(
        self, app: "ASGIApp", handlers: "Mapping[Any, ExceptionHandler] | None" = None, debug: bool = False
    ) -> None:
        self.app = app
        self.debug = debug
        # Monitoring agents wrap the entries of these two by name.
        self._exception_handlers, self._status_handlers = build_handlers(None, debug)
        self._exception_handlers[StarletteHTTPException] = self.http_exception
        self._exception_handlers[StarletteWebSocketException] = self.websocket_exception
        for key, handler in (handlers or {}).items():
            self.add_exception_handler(key, handler)

    def add_exception_handler(
        self, exc_class_or_status_code: "int | type[Exception]", handler: "ExceptionHandler"
    ) -> None:
        """Declare `handler` for a class or a status, replacing an earlier one."""
        _file_handler(self._exception_handlers, self._status_handlers, exc_class_or_status_code, handler)

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        kind = scope["type"]
        if kind not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        scope["starlette.exception_handlers"] = (self._exception_handlers, self._status_handlers)
        conn = Request(scope, receive, send) if kind == "http" else WebSocket(scope, receive, send)
        await wrap_app_handling_exceptions(self.app, conn)(scope, receive, send)

    async def http_exception(self, request: Request, exc: Exception) -> Response:
        """Answer an `HTTPException`; see the function of this name."""
        return await http_exception(request, exc)

    async def websocket_exception(self, websocket: WebSocket, exc: Exception) -> None:
        """Close the socket for a `WebSocketException`; see the function of this name."""
        await websocket_exception(websocket, exc)
