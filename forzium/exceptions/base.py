"""The exceptions that error handlers are registered for: bases of FastAPI's own.

Layer: ground of `forzium.exceptions`, where they are called `StarletteHTTPException` and `StarletteWebSocketException`.
They have a module of their own because their names, as tracebacks and `repr` show them, are those of their subclasses.

Source: `starlette.exceptions`.
"""

from collections.abc import Mapping
from http import HTTPStatus

__all__ = ["HTTPException", "WebSocketException"]

_PHRASES: dict[int, str] = {status.value: status.phrase for status in HTTPStatus}


class HTTPException(Exception):
    """An HTTP answer given by raising.

    The base that error handlers are registered for: it also covers what the router raises (404, 405).

    Args:
        status_code: Status to answer with.
        detail: What went wrong. Default is the standard phrase of the status, or "" where there is none.
        headers: Headers to add to the answer. Default is none.

    Source: `starlette.exceptions.HTTPException`.
    """

    def __init__(self, status_code: int, detail: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        self.status_code = status_code
        self.detail = _PHRASES.get(status_code, "") if detail is None else detail
        self.headers = headers

    def __str__(self) -> str:
        return f"{self.status_code}: {self.detail}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}(status_code={self.status_code!r}, detail={self.detail!r})"


class WebSocketException(Exception):
    """A close of the WebSocket given by raising.

    Args:
        code: Close code (RFC 6455, 7.4).
        reason: Text for the peer. Default is "".

    Source: `starlette.exceptions.WebSocketException`.
    """

    def __init__(self, code: int, reason: str | None = None) -> None:
        self.code = code
        self.reason = reason or ""

    def __str__(self) -> str:
        return f"{self.code}: {self.reason}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}(code={self.code!r}, reason={self.reason!r})"
