"""From an exception to the handler an application declared for it, and from that to an answer.

Layer: on `_utils`, `concurrency`, `exceptions`; used by `middleware.exceptions`, `routing` and the Rust core.
Not for: what nobody handles; that is `middleware.errors`.

Source: `starlette._exception_handler`.
"""

from typing import TYPE_CHECKING, Any, cast

from forzium._utils import is_async_callable
from forzium.concurrency import run_in_threadpool
from forzium.exceptions import StarletteHTTPException

if TYPE_CHECKING:
    from forzium.requests import Request
    from forzium.types import ASGIApp, ExceptionHandler, Message, Receive, Scope, Send
    from forzium.websockets import WebSocket

__all__ = ["ExceptionHandlers", "StatusHandlers", "find_handler", "wrap_app_handling_exceptions"]

ExceptionHandlers = dict[Any, "ExceptionHandler"]
StatusHandlers = dict[int, "ExceptionHandler"]

_HANDLERS_KEY = "starlette.exception_handlers"


def find_handler(
    exception_handlers: ExceptionHandlers, status_handlers: StatusHandlers, exc: Exception
) -> "ExceptionHandler | None":
    """Return the handler for `exc`, or None.

    A handler for the status of an `HTTPException` comes before one for its class; of the classes the nearest in the
    method resolution order is taken.
    """
    if isinstance(exc, StarletteHTTPException):
        by_status = status_handlers.get(exc.status_code)
        if by_status is not None:
            return by_status
    return next((exception_handlers[cls] for cls in type(exc).__mro__ if cls in exception_handlers), None)


def wrap_app_handling_exceptions(app: "ASGIApp", conn: "Request | WebSocket") -> "ASGIApp":
    """Return `app` with its exceptions answered by the handlers found in the scope of `conn`.

    A handler gets `conn` itself, so that what has been read of a body by the application is there for it too.

    Raises:
        RuntimeError: There is a handler, but the response has been started.
    """
    exception_handlers, status_handlers = conn.scope.get(_HANDLERS_KEY) or ({}, {})

    async def handling(scope: "Scope", receive: "Receive", send: "Send") -> None:
        started = False

        async def noting_start(message: "Message") -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
            await send(message)

        try:
            await app(scope, receive, noting_start)
        except Exception as exc:
            handler = cast(Any, find_handler(exception_handlers, status_handlers, exc))
            if handler is None:
                raise
            if started:
                raise RuntimeError("Caught handled exception, but response already started.") from exc
            if is_async_callable(handler):
                answer = await handler(conn, exc)
            else:
                answer = await run_in_threadpool(handler, conn, exc)
            if answer is not None:
                await answer(scope, receive, noting_start)
            # An exception object that is raised again and again must not keep every frame it has seen.
            exc.__traceback__ = None

    return handling
