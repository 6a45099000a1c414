"""The WebSocket: an accepted or not yet accepted connection, and the order in which its messages may go.

Stands on ``requests`` (the connection) and ``exceptions``. One object serves one connection; it keeps two states, what
the client did and what the application did, and refuses what the other side would not understand.

Not for: routing, parameters or dependencies of WebSocket endpoints (``routing``, ``dependencies``), nor classes of
endpoints (``endpoints``).

Source: Starlette's ``websockets``; ASGI WebSocket spec; RFC 6455.
"""

from __future__ import annotations

import enum
import json
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any

from forzium._forzium import Socket, native
from forzium.exceptions import StarletteWebSocketException
from forzium.requests import HTTPConnection, StateT

if TYPE_CHECKING:
    from forzium.responses import Response
    from forzium.types import Message, Receive, Scope, Send

__all__ = ["WebSocket", "WebSocketClose", "WebSocketDisconnect", "WebSocketDisconnected", "WebSocketState"]

# Codes an endpoint may put into a close frame: those of RFC 6455, 7.4.1 and of the IANA registry that are not reserved
# for saying that no frame, or no code, came (1004, 1005, 1006, 1015).
_REGISTERED_CLOSE_CODES = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014))
_FREE_CLOSE_CODES = range(3000, 5000)
MAX_CLOSE_REASON = 123
"""Bytes of a close reason: a control frame holds 125, the code takes two of them (RFC 6455, 5.5)."""

_UNSUPPORTED_DATA = 1003

_write_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


class WebSocketState(enum.Enum):
    """How far one side of a connection has come."""

    CONNECTING = 0
    CONNECTED = 1
    DISCONNECTED = 2
    RESPONSE = 3


class WebSocketDisconnect(Exception):
    """The client has closed the connection, or it broke.

    Args:
        code: The close code. Default is 1000.
        reason: Why, in the client's words. Default is "".
    """

    def __init__(self, code: int = 1000, reason: str | None = None) -> None:
        self.code = code
        self.reason = reason or ""


class WebSocketDisconnected(RuntimeError):
    """A connection was used that is closed, or not accepted yet."""


class _UnexpectedData(StarletteWebSocketException, KeyError):
    """Text came where bytes were asked for, or the other way; closes with 1003 unless it is caught."""

    def __init__(self, expected: str) -> None:
        super().__init__(code=_UNSUPPORTED_DATA, reason=f"Expected {expected} data")


class WebSocket(Socket, HTTPConnection[StateT]):
    """A WebSocket connection.

    The methods that wait for a message or send one are declared here and carried out by the core; what they give is
    awaited, and may be made a task of, as a coroutine. `receive` and `send` may be overridden: the other methods go
    through them.

    Args:
        scope: An ASGI scope of type ``websocket``.
        receive: The server's ``receive``.
        send: The server's ``send``.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope)
        assert scope["type"] == "websocket"
        self._receive = receive
        self._send = send

    @native
    async def receive(self) -> Message:
        """Receive one ASGI message.

        Raises:
            RuntimeError: the server sent a message that does not belong here.
            WebSocketDisconnected: the client's disconnect was received before.
        """
        raise NotImplementedError

    @native
    async def send(self, message: Message) -> None:
        """Send one ASGI message.

        Raises:
            RuntimeError: the message does not belong here.
            ValueError: a close code that must not be sent, or a reason that is no text.
            WebSocketDisconnect: the client has left.
            WebSocketDisconnected: the application has closed the connection before.
        """
        raise NotImplementedError

    @native
    async def accept(
        self, subprotocol: str | None = None, headers: Iterable[tuple[bytes, bytes]] | None = None
    ) -> None:
        """Accept the connection.

        Args:
            subprotocol: One of those the client offered. Default is none.
            headers: Headers of the answer to the handshake. Default is none.
        """
        raise NotImplementedError

    @native
    async def receive_text(self) -> str:
        """Receive text.

        Raises:
            WebSocketDisconnect: the client has left.
            WebSocketDisconnected: the connection was not accepted.
            StarletteWebSocketException: (code 1003) the client sent bytes.
        """
        raise NotImplementedError

    @native
    async def receive_bytes(self) -> bytes:
        """Receive bytes; raises as `receive_text` does."""
        raise NotImplementedError

    @native
    async def receive_json(self, mode: str = "text") -> Any:
        """Receive a JSON value, as text or (``mode="binary"``) as bytes; raises as `receive_text` does.

        Raises:
            RuntimeError: another mode.
            json.JSONDecodeError: the client sent no JSON.
        """
        raise NotImplementedError

    @native
    async def iter_text(self) -> AsyncIterator[str]:
        """Iterate over texts until the client leaves."""
        yield await self.receive_text()

    @native
    async def iter_bytes(self) -> AsyncIterator[bytes]:
        """Iterate over byte strings until the client leaves."""
        yield await self.receive_bytes()

    @native
    async def iter_json(self) -> AsyncIterator[Any]:
        """Iterate over JSON values (sent as text) until the client leaves."""
        yield await self.receive_json()

    @native
    async def send_text(self, data: str) -> None:
        """Send text."""
        raise NotImplementedError

    @native
    async def send_bytes(self, data: bytes) -> None:
        """Send bytes."""
        raise NotImplementedError

    @native
    async def send_json(self, data: Any, mode: str = "text") -> None:
        """Send a JSON value, as text or (``mode="binary"``) as bytes.

        Raises:
            RuntimeError: another mode.
        """
        raise NotImplementedError

    @native
    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Close the connection; before it is accepted this rejects it with status 403.

        Args:
            code: A code that RFC 6455 lets an endpoint send: 1000 to 1003, 1007 to 1014, 3000 to 4999. Default is 1000.
            reason: Why; cut to 123 bytes of UTF-8. Default is "".

        Raises:
            ValueError: another code.
            TypeError: a reason that is no text.
        """
        raise NotImplementedError

    async def send_denial_response(self, response: Response) -> None:
        """Answer the handshake with a response instead of accepting it.

        Raises:
            RuntimeError: the server lacks the ``websocket.http.response`` extension.
        """
        if "websocket.http.response" not in (self.scope.get("extensions") or {}):
            raise RuntimeError("The server doesn't support the Websocket Denial Response extension.")
        await response(self.scope, self.receive, self.send)


class WebSocketClose:
    """An ASGI application that closes the connection; arguments as those of `WebSocket.close`."""

    def __init__(self, code: int = 1000, reason: str | None = None) -> None:
        self.code = code
        self.reason = reason or ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(_checked_close({"type": "websocket.close", "code": self.code, "reason": self.reason}))


def _checked_close(message: Message) -> Message:
    """Give the message as it may be sent. Source: RFC 6455, 5.5.1, 7.4."""
    code, reason = message.get("code", 1000), message.get("reason") or ""
    if code not in _REGISTERED_CLOSE_CODES and code not in _FREE_CLOSE_CODES:
        allowed = "1000 to 1003, 1007 to 1014, or 3000 to 4999"
        raise ValueError(f"expected a WebSocket close code an endpoint may send ({allowed}), but found {code!r}")
    if not isinstance(reason, str):
        raise TypeError(f"expected the reason of a WebSocket close as text, but found {type(reason).__name__}")
    if len(reason) > MAX_CLOSE_REASON or not reason.isascii():
        # What UTF-8 has no form for becomes "?"; a character that does not fit is left out as a whole.
        fitting = reason.encode("utf-8", "replace")[:MAX_CLOSE_REASON].decode("utf-8", "ignore")
        return {**message, "reason": fitting}
    return message
