"""`BaseHTTPMiddleware`: middleware written as "take the request, call the rest, return a response".

Layer: on the core (`around`), which lets `dispatch` and the rest go on in turns in one task, and on `_rest_of_chain`
beside it.
Not for: middleware that sees ASGI messages; that is a plain class with `__call__(scope, receive, send)`.

Nothing is buffered: each message of the rest of the chain is handed over when it is sent, and a background task starts
when the response has gone out. What the rest of the chain does to context variables is seen by `dispatch` from the
moment `call_next` returns, and by whatever wraps this middleware.

Source: `starlette.middleware.base`. There context variables flow in only, and there is always a second task.
"""

import types
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from forzium._forzium import Around
from forzium.middleware._rest_of_chain import CachedRequest, StreamedResponse
from forzium.requests import Request
from forzium.responses import Response

if TYPE_CHECKING:
    from forzium.types import ASGIApp, Receive, Scope, Send

__all__ = ["BaseHTTPMiddleware", "DispatchFunction", "RequestResponseEndpoint"]

RequestResponseEndpoint = Callable[[Request], Awaitable[Response]]
DispatchFunction = Callable[[Request, RequestResponseEndpoint], Awaitable[Response]]

# Names under which others annotate what `call_next` gives.
_CachedRequest = CachedRequest
_StreamingResponse = StreamedResponse


class BaseHTTPMiddleware(Around):
    """Base of middleware that overrides `dispatch`; anything but HTTP passes through untouched.

    Args:
        app: The application to wrap.
        dispatch: Called instead of the method of this name. Default is None.
    """

    def __init__(self, app: "ASGIApp", dispatch: DispatchFunction | None = None) -> None:
        # Servers ask whether `__call__` of an object is a coroutine function.
        self.__dict__["__call__"] = types.MethodType(_asgi3, self)
        self.app = app
        self.dispatch_func = self.dispatch if dispatch is None else dispatch

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Answer `request`; `await call_next(request)` gives the response of the rest of the chain.

        Raises:
            NotImplementedError: A subclass neither overrides this nor was given `dispatch=`.
        """
        raise NotImplementedError()


async def _asgi3(middleware: BaseHTTPMiddleware, scope: "Scope", receive: "Receive", send: "Send") -> None:
    await middleware(scope, receive, send)
