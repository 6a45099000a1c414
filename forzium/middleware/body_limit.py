"""`RequestBodyLimitMiddleware`: a request body above a size is answered with 413 and read no further.

Layer: on `exceptions`; counting is the core's (`rust/forzium-py/src/middleware/body_limit.rs`). `forzium._body_limit`
builds FastAPI's `max_body_size` on it.
Not for: limits on forms (number of fields, size of a part); the form parsers have those.

Limits may be nested (application, mounted application, route): one counter counts, the innermost limit decides.

Source: `starlette.middleware.body_limit`; 413 is RFC 9110, 15.5.14.
"""

from functools import cached_property
from typing import TYPE_CHECKING

from forzium._forzium import BodyLimit
from forzium.exceptions import StarletteHTTPException
from forzium.middleware._own import Linked, native

if TYPE_CHECKING:
    from forzium.types import ASGIApp

__all__ = ["MAX_BODY_SIZE_SCOPE_KEY", "RequestBodyLimitMiddleware"]

MAX_BODY_SIZE_SCOPE_KEY = "starlette.max_body_size"
"""Where the scope holds the limit in force, in bytes."""
_TEXT = "Content Too Large"


class _RequestBodyTooLarge(StarletteHTTPException):
    def __init__(self) -> None:
        super().__init__(status_code=413, detail=_TEXT)


class _RequestBodyLimitResponseSent(Exception):
    """Unwinds an application that has begun to answer a request whose body was declared too large."""


@native
class RequestBodyLimitMiddleware(Linked):
    """Limits the total size of the body of an HTTP request.

    A declared `Content-Length` above the limit is refused as soon as the application reads the body or answers, without
    reading any of it; a body without one when the byte after the limit arrives.

    Args:
        app: The application to wrap.
        max_body_size: In bytes.
    """

    _ungroups = False

    def __init__(self, app: "ASGIApp", max_body_size: int) -> None:
        self.app = app
        self.max_body_size = max_body_size

    @cached_property
    def _link(self) -> BodyLimit:
        return BodyLimit(self.max_body_size, ungroups=self._ungroups)


class RequestBodyLimitResponder(RequestBodyLimitMiddleware):
    """The limit of one request; the same as the middleware.

    Raises:
        HTTPException: 413, where the response has been started or an outer limit has the counter: that one answers.
    """
