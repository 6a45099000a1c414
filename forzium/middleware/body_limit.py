"""`RequestBodyLimitMiddleware`: a request body above a size is answered with 413 and read no further.

Layer: on `exceptions`, `responses`, `datastructures`. `forzium._body_limit` builds FastAPI's `max_body_size` on it.
Not for: limits on forms (number of fields, size of a part); the form parsers have those.

Limits may be nested (application, mounted application, route): one counter counts, the innermost limit decides.

Source: `starlette.middleware.body_limit`; 413 is RFC 9110, 15.5.14.
"""

from typing import TYPE_CHECKING, Any

from forzium.exceptions import StarletteHTTPException

if TYPE_CHECKING:
    from forzium.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["MAX_BODY_SIZE_SCOPE_KEY", "RequestBodyLimitMiddleware"]

MAX_BODY_SIZE_SCOPE_KEY = "starlette.max_body_size"
"""Where the scope holds the limit in force, in bytes."""
_COUNTER_KEY = "starlette._body_limit_responder"
_ABSENT: Any = object()
_TEXT = "Content Too Large"


class _RequestBodyTooLarge(StarletteHTTPException):
    def __init__(self) -> None:
        super().__init__(status_code=413, detail=_TEXT)


class _RequestBodyLimitResponseSent(Exception):
    """Unwinds an application that has begun to answer a request whose body was declared too large."""


class RequestBodyLimitMiddleware:
    """Limits the total size of the body of an HTTP request.

    A declared `Content-Length` above the limit is refused as soon as the application reads the body or answers, without
    reading any of it; a body without one when the byte after the limit arrives.

    Args:
        app: The application to wrap.
        max_body_size: In bytes.
    """

    def __init__(self, app: "ASGIApp", max_body_size: int) -> None:
        self.app = app
        self.max_body_size = max_body_size

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] == "http":
            await RequestBodyLimitResponder(self.app, self.max_body_size)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


class RequestBodyLimitResponder:
    """The counter of one request: `receive` and `send` as the wrapped application gets them.

    Raises:
        HTTPException: 413, where the response has been started or an outer limit has the counter: that one answers.
    """

    scope: "Scope"
    receive: "Receive"
    send: "Send"

    def __init__(self, app: "ASGIApp", max_body_size: int) -> None:
        self.app = app
        self.max_body_size = max_body_size
        self.content_length: int | None = None
        self.total_size = 0
        self.response_started = False

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        outer_limit = scope.get(MAX_BODY_SIZE_SCOPE_KEY, _ABSENT)
        scope[MAX_BODY_SIZE_SCOPE_KEY] = self.max_body_size
        outer: RequestBodyLimitResponder | None = scope.get(_COUNTER_KEY)
        if outer is not None:
            outer.max_body_size = self.max_body_size
            if outer.total_size > outer.max_body_size:
                raise _RequestBodyTooLarge
            await self.app(scope, receive, send)
            return
        self.scope, self.receive, self.send = scope, receive, send
        self.content_length = _declared_length(scope)
        scope[_COUNTER_KEY] = self
        try:
            await self.app(scope, self.receive_with_limit, self.send_with_limit)
        except _RequestBodyTooLarge:
            if self.response_started:
                raise
            await self._refuse()
        except _RequestBodyLimitResponseSent:
            pass
        finally:
            scope.pop(_COUNTER_KEY, None)
            if outer_limit is _ABSENT:
                scope.pop(MAX_BODY_SIZE_SCOPE_KEY, None)
            else:
                scope[MAX_BODY_SIZE_SCOPE_KEY] = outer_limit

    @property
    def _declared_too_large(self) -> bool:
        return self.content_length is not None and self.content_length > self.max_body_size

    async def _refuse(self) -> None:
        from forzium.responses import PlainTextResponse

        await PlainTextResponse(_TEXT, status_code=413)(self.scope, self.receive, self.send)

    async def receive_with_limit(self) -> "Message":
        """Return the next message, counting its bytes."""
        if self._declared_too_large:
            raise _RequestBodyTooLarge
        message = await self.receive()
        if message["type"] == "http.request":
            self.total_size += len(message.get("body", b""))
            if self.total_size > self.max_body_size:
                raise _RequestBodyTooLarge
        return message

    async def send_with_limit(self, message: "Message") -> None:
        """Send a message, or the 413 in place of a response to a request that declared too large a body."""
        if message["type"] == "http.response.start":
            self.response_started = True
            if self._declared_too_large:
                await self._refuse()
                raise _RequestBodyLimitResponseSent
        await self.send(message)


def _declared_length(scope: "Scope") -> int | None:
    from forzium.datastructures import Headers

    try:
        return int(Headers(scope=scope)["content-length"])
    except (KeyError, ValueError):
        return None
