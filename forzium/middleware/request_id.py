"""`RequestIdMiddleware`: a name for each request, for logs and for those who report an error.

Layer: on `datastructures`.
Not for: following a request through several services, which is tracing (`FastAPI(telemetry=...)`).

The id is at hand as `request.state.request_id`, from `get_request_id()` anywhere below the middleware, worker threads
included, and on every log record that passes a `RequestIdFilter`.
"""

import logging
import os
import re
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING

from forzium.datastructures import MutableHeaders

if TYPE_CHECKING:
    from forzium.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["RequestIdFilter", "RequestIdMiddleware", "get_request_id", "new_request_id"]

SAFE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
"""What an id that comes with a request may look like: it goes into logs and into a header."""

_RESPONSE_STARTS = ("http.response.start", "websocket.accept", "websocket.http.response.start")

_request_id: ContextVar[str | None] = ContextVar("forzium_request_id", default=None)


def get_request_id() -> str | None:
    """Return the id of the request at hand; None outside of one."""
    return _request_id.get()


def new_request_id() -> str:
    """Return 128 random bits as 32 hexadecimal digits."""
    return os.urandom(16).hex()


class RequestIdMiddleware:
    """Gives each request and each WebSocket connection an id, and sends it back with the response.

    Args:
        app: The application to wrap.
        header: Name of the header, in both directions. Default is `"X-Request-ID"`.
        generator: Makes an id. Default is 32 random hexadecimal digits.
        trust_incoming: Take the id that comes with the request, if it is well-formed. Only behind a proxy that sets
            it: else clients choose what stands in the logs. Default is False.
        is_valid: Whether an id that comes with a request is well-formed. Default is 1 to 128 characters of letters,
            digits and `._:/+=-`.

    Raises:
        ValueError: The header's name is empty or not ASCII; or, per request, the generator gives what no header can
            carry.
    """

    def __init__(
        self,
        app: "ASGIApp",
        header: str = "X-Request-ID",
        generator: Callable[[], str] = new_request_id,
        trust_incoming: bool = False,
        is_valid: Callable[[str], bool] | None = None,
    ) -> None:
        if not header or not header.isascii():
            raise ValueError(f"expected the name of a header, but found {header!r}: write for instance 'X-Request-ID'")
        self.app = app
        self.header = header
        self.generator = generator
        self.trust_incoming = trust_incoming
        self.is_valid = _is_safe if is_valid is None else is_valid
        self._raw_header = header.lower().encode("ascii")

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        request_id = self._incoming(scope) or self.generator()
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: "Message") -> None:
            if message["type"] in _RESPONSE_STARTS:
                message.setdefault("headers", [])
                MutableHeaders(scope=message).setdefault(self.header, request_id)
            await send(message)

        token = _request_id.set(request_id)
        try:
            await self.app(scope, receive, send_with_id)
        finally:
            _request_id.reset(token)

    def _incoming(self, scope: "Scope") -> str | None:
        """Return the id that came with the request, if there is just one and it can be trusted."""
        if not self.trust_incoming:
            return None
        found = [value.decode("latin-1") for key, value in scope["headers"] if key == self._raw_header]
        return found[0] if len(found) == 1 and self.is_valid(found[0]) else None


def _is_safe(request_id: str) -> bool:
    return SAFE_ID.fullmatch(request_id) is not None


class RequestIdFilter(logging.Filter):
    """Puts the id on every log record that passes, as `record.request_id`; no record is held back.

    Args:
        name: As `logging.Filter`'s: the logger below which records pass. Default is all.
        default: What stands there outside of a request. Default is `"-"`.

    Example:
        >>> handler = logging.StreamHandler()
        >>> handler.addFilter(RequestIdFilter())
        >>> handler.setFormatter(logging.Formatter("%(request_id)s %(message)s"))
    """

    def __init__(self, name: str = "", default: str = "-") -> None:
        super().__init__(name)
        self.default = default

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = _request_id.get() or self.default
        return super().filter(record)
