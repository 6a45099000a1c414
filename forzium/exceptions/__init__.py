"""Exceptions a user raises, exceptions the framework raises, and its warnings.

Layer: ground; knows no request and no response. Two families share this module: Starlette's bases
(`StarletteHTTPException`, `StarletteWebSocketException`), which handlers are registered for, and FastAPI's classes on
top of them.
Not for: turning exceptions into responses (`forzium.exception_handlers`, `forzium.middleware.exceptions`).

Source: `fastapi.exceptions` and `starlette.exceptions`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from forzium import _forzium
from forzium._utils import as_written
from forzium.exceptions.base import HTTPException as StarletteHTTPException
from forzium.exceptions.base import WebSocketException as StarletteWebSocketException

if TYPE_CHECKING:
    from pydantic import BaseModel

    RequestErrorModel: type[BaseModel]
    WebSocketErrorModel: type[BaseModel]

__all__ = [
    "DependencyScopeError",
    "EndpointContext",
    "FastAPIDeprecationWarning",
    "FastAPIError",
    "HTTPException",
    "PydanticV1NotSupportedError",
    "RequestErrorModel",
    "RequestValidationError",
    "ResponseValidationError",
    "StarletteDeprecationWarning",
    "StarletteHTTPException",
    "StarletteWebSocketException",
    "ValidationException",
    "WebSocketErrorModel",
    "WebSocketException",
    "WebSocketRequestValidationError",
]


class HTTPException(StarletteHTTPException):
    """An error for the client, to be raised in endpoints and dependencies.

    Args:
        status_code: Status to answer with.
        detail: Anything JSON can say; it becomes the value of `detail` in the body. Default is the status' phrase.
        headers: Headers to add to the answer. Default is none.

    Example:
        >>> raise HTTPException(404, detail="no such item")
        Traceback (most recent call last):
        forzium.exceptions.HTTPException: 404: no such item

    Source: `fastapi.HTTPException`.
    """

    detail: Any

    @_forzium.http_exception_init
    def __init__(self, status_code: int, detail: Any = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status_code, detail, headers)


# While it holds, the core does what this class does.
_as_written = as_written(
    StarletteHTTPException,
    HTTPException,
    methods=("__init__", "__getattribute__", "__setattr__"),
    fields=("status_code", "detail", "headers"),
)


class WebSocketException(StarletteWebSocketException):
    """A refusal or a close for the WebSocket's client, to be raised in endpoints and dependencies.

    Args:
        code: Close code (RFC 6455, 7.4), see `forzium.status`.
        reason: Text for the peer, at most 123 bytes of UTF-8 on the wire. Default is "".

    Source: `fastapi.WebSocketException`.
    """

    def __init__(self, code: int, reason: str | None = None) -> None:
        super().__init__(code=code, reason=reason)


class FastAPIError(RuntimeError):
    """A declaration or a use of the framework that cannot work."""


class DependencyScopeError(FastAPIError):
    """A dependency asks for another one whose scope ends before its own."""


class PydanticV1NotSupportedError(FastAPIError):
    """A `pydantic.v1` model stands where a pydantic model is needed."""


class EndpointContext(TypedDict, total=False):
    """Where an endpoint was written, for error messages.

    Keys, all optional: `function` (its name), `path` (method and path), `file`, `line`.
    """

    function: str
    path: str
    file: str
    line: int


class ValidationException(Exception):
    """What validation refused, and at which endpoint.

    Args:
        errors: The refusals, in pydantic's form (`type`, `loc`, `msg`, `input`, maybe `ctx`).
        endpoint_ctx: Where the endpoint was written. Default is unknown.

    Source: `fastapi.exceptions.ValidationException`.
    """

    def __init__(self, errors: Sequence[Any], *, endpoint_ctx: EndpointContext | None = None) -> None:
        where = endpoint_ctx or {}
        self._errors = errors
        self.endpoint_ctx = endpoint_ctx
        self.endpoint_function = where.get("function")
        self.endpoint_path = where.get("path")
        self.endpoint_file = where.get("file")
        self.endpoint_line = where.get("line")

    def errors(self) -> Sequence[Any]:
        """Give the refusals, as they were passed in."""
        return self._errors

    def __str__(self) -> str:
        count = len(self._errors)
        lines = [f"{count} validation error{'' if count == 1 else 's'}:", *(f"  {error}" for error in self._errors), ""]
        if self.endpoint_file and self.endpoint_line and self.endpoint_function:
            lines.append(f'  File "{self.endpoint_file}", line {self.endpoint_line}, in {self.endpoint_function}')
            if self.endpoint_path:
                lines.append(f"    {self.endpoint_path}")
        elif self.endpoint_path:
            lines.append(f"  Endpoint: {self.endpoint_path}")
        return "\n".join(lines).rstrip()


class _WithBody(ValidationException):
    """A validation error that keeps what was validated."""

    def __init__(self, errors: Sequence[Any], *, body: Any = None, endpoint_ctx: EndpointContext | None = None) -> None:
        super().__init__(errors, endpoint_ctx=endpoint_ctx)
        self.body = body


class RequestValidationError(_WithBody):
    """The client's request did not validate; answered with 422.

    Args:
        errors: As `ValidationException`.
        body: The body as received, parsed where it could be. Default is None.
        endpoint_ctx: As `ValidationException`.
    """


class WebSocketRequestValidationError(ValidationException):
    """The client's WebSocket handshake did not validate; the socket is closed with 1008."""


class ResponseValidationError(_WithBody):
    """The endpoint returned what its response model does not allow: a server error.

    Args:
        errors: As `ValidationException`.
        body: What the endpoint returned. Default is None.
        endpoint_ctx: As `ValidationException`.
    """


class StarletteDeprecationWarning(UserWarning):
    """Something of Starlette's interface will go away. A `UserWarning`, so that it is shown by default."""


class FastAPIDeprecationWarning(UserWarning):
    """Something of FastAPI's interface will go away. A `UserWarning`, so that it is shown by default."""


def __getattr__(name: str) -> Any:
    # The two error models are hardly ever used: made when first asked for, to keep the import light.
    titles = {"RequestErrorModel": "Request", "WebSocketErrorModel": "WebSocket"}
    if name not in titles:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pydantic import create_model

    globals()[name] = model = create_model(titles[name], __module__=__name__)
    return model
