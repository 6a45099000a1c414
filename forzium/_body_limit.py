"""`max_body_size` of applications, routers and routes: which limit holds, and who answers the 413.

Layer: on `middleware.body_limit`, `exceptions`; used by `routing` and `applications`.
Not for: counting bytes, which is the middleware's.

Source: `fastapi._body_limit`.
"""

from typing import TYPE_CHECKING, Any

from forzium.exceptions import StarletteHTTPException
from forzium.middleware._own import native
from forzium.middleware.body_limit import (
    MAX_BODY_SIZE_SCOPE_KEY,
    RequestBodyLimitMiddleware,
    _RequestBodyLimitResponseSent,
    _RequestBodyTooLarge,
)

if TYPE_CHECKING:
    from forzium.types import ASGIApp, Message, Receive, Scope, Send

__all__ = [
    "AppBodyLimitMiddleware",
    "get_body_limit_error",
    "get_body_size_limit",
    "validate_max_body_size",
    "wrap_app_with_body_limit",
]

_SIGNALS = (_RequestBodyTooLarge, _RequestBodyLimitResponseSent)


def validate_max_body_size(max_body_size: int | None) -> None:
    """Check a declared limit, in bytes.

    Raises:
        ValueError: It is neither None nor an integer of at least 0.
    """
    given: Any = max_body_size
    if given is None:
        return
    if not isinstance(given, int) or isinstance(given, bool) or given < 0:
        raise ValueError("max_body_size must be a non-negative integer or None")


def get_body_size_limit(*limits: int | None) -> int | None:
    """Return the first of `limits` that is set, the innermost being given first; None if none is."""
    return next((limit for limit in limits if limit is not None), None)


def get_body_limit_error(exc: Exception) -> Exception | None:
    """Return the limiter's own exception in `exc`, or None if there is anything else in it.

    An application that reads the body in one task and answers in another raises a group. Of its errors one is taken:
    the one which says that the 413 is out already, if it is there.
    """
    if not isinstance(exc, ExceptionGroup):
        return exc if isinstance(exc, _SIGNALS) else None
    leaves: list[Exception] = []
    groups: list[ExceptionGroup[Exception]] = [exc]
    while groups:
        for inner in groups.pop().exceptions:
            if isinstance(inner, ExceptionGroup):
                groups.append(inner)
            elif isinstance(inner, _SIGNALS):
                leaves.append(inner)
            else:
                return None
    return next((leaf for leaf in leaves if isinstance(leaf, _RequestBodyLimitResponseSent)), leaves[0])


def wrap_app_with_body_limit(app: "ASGIApp", max_body_size: int | None) -> "ASGIApp":
    """Return `app` with a limit of `max_body_size` bytes; `app` itself without one."""
    if max_body_size is None:
        return app
    return _Limit(app, max_body_size=max_body_size)


@native
class _Limit(RequestBodyLimitMiddleware):
    """Takes the limiter's exception out of a group of nothing else, which an application may have raised."""

    _ungroups = True


class AppBodyLimitMiddleware:
    """The limit of an application, which may be mounted in another that has one.

    The counter is then the outer application's, and so would be the answer. But on its way there the error passes this
    application's `ServerErrorMiddleware`, which would make it a 500: so it is answered here.

    Args:
        app: The application to wrap.
        max_body_size: In bytes; None for no limit of its own.
    """

    def __init__(self, app: "ASGIApp", max_body_size: int | None) -> None:
        self.app = wrap_app_with_body_limit(app, max_body_size)

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if MAX_BODY_SIZE_SCOPE_KEY not in scope:
            await self.app(scope, receive, send)
            return
        started = False

        async def noting_start(message: "Message") -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
            await send(message)

        try:
            await self.app(scope, receive, noting_start)
        except Exception as exc:
            if started or not await answered(scope, receive, send, exc):
                raise


async def answered(scope: "Scope", receive: "Receive", send: "Send", exc: Exception) -> bool:
    """Answer 413 if `exc` is the error of a limit, which no other handler has answered; tell whether it was."""
    error = get_body_limit_error(exc)
    if not isinstance(error, StarletteHTTPException):
        return False
    from forzium.exception_handlers import http_exception_handler
    from forzium.requests import Request

    response = await http_exception_handler(Request(scope, receive), error)
    await response(scope, receive, send)
    return True
