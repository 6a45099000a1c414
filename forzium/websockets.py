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
from typing import TYPE_CHECKING, Any, cast

from forzium.exceptions import StarletteWebSocketException
from forzium.json import loads
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
_NO_STATUS_RECEIVED = 1005
_ABNORMAL_CLOSURE = 1006

_write_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


class WebSocketState(enum.Enum):
    """How far one side of a connection has come."""

    CONNECTING = 0
    CONNECTED = 1
    DISCONNECTED = 2
    RESPONSE = 3


_CONNECTING = WebSocketState.CONNECTING
_CONNECTED = WebSocketState.CONNECTED
_DISCONNECTED = WebSocketState.DISCONNECTED
_RESPONSE = WebSocketState.RESPONSE


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


class WebSocket(HTTPConnection[StateT]):
    """A WebSocket connection.

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
        self.client_state = _CONNECTING
        self.application_state = _CONNECTING

    async def receive(self) -> Message:
        """Receive one ASGI message.

        Raises:
            RuntimeError: the server sent a message that does not belong here.
            WebSocketDisconnected: the client's disconnect was received before.
        """
        state = self.client_state
        if state is _CONNECTED:
            message = await self._receive()
            kind = message["type"]
            if kind != "websocket.receive":
                if kind != "websocket.disconnect":
                    expected = 'Expected ASGI message "websocket.receive" or "websocket.disconnect"'
                    raise RuntimeError(f"{expected}, but got {kind!r}")
                self.client_state = _DISCONNECTED
            return message
        if state is _CONNECTING:
            message = await self._receive()
            kind = message["type"]
            if kind != "websocket.connect":
                raise RuntimeError(f'Expected ASGI message "websocket.connect", but got {kind!r}')
            self.client_state = _CONNECTED
            return message
        raise WebSocketDisconnected('Cannot call "receive" once a disconnect message has been received.')

    async def send(self, message: Message) -> None:
        """Send one ASGI message.

        Raises:
            RuntimeError: the message does not belong here.
            ValueError: a close code that must not be sent, or a reason that is no text.
            WebSocketDisconnect: the client has left.
            WebSocketDisconnected: the application has closed the connection before.
        """
        state = self.application_state
        kind = message["type"]
        if state is _CONNECTED:
            if kind == "websocket.close":
                message = _checked_close(message)
                self.application_state = _DISCONNECTED
            elif kind != "websocket.send":
                raise RuntimeError(f'Expected ASGI message "websocket.send" or "websocket.close", but got {kind!r}')
            try:
                await self._send(message)
            except OSError:
                self.application_state = _DISCONNECTED
                raise WebSocketDisconnect(code=_ABNORMAL_CLOSURE)
        elif state is _CONNECTING:
            if kind == "websocket.accept":
                self.application_state = _CONNECTED
            elif kind == "websocket.close":
                message = _checked_close(message)
                self.application_state = _DISCONNECTED
            elif kind == "websocket.http.response.start":
                self.application_state = _RESPONSE
            else:
                expected = '"websocket.accept", "websocket.close" or "websocket.http.response.start"'
                raise RuntimeError(f"Expected ASGI message {expected}, but got {kind!r}")
            await self._send(message)
        elif state is _RESPONSE:
            if kind != "websocket.http.response.body":
                raise RuntimeError(f'Expected ASGI message "websocket.http.response.body", but got {kind!r}')
            if not message.get("more_body", False):
                self.application_state = _DISCONNECTED
            await self._send(message)
        else:
            raise WebSocketDisconnected('Cannot call "send" once a close message has been sent.')

    async def accept(
        self, subprotocol: str | None = None, headers: Iterable[tuple[bytes, bytes]] | None = None
    ) -> None:
        """Accept the connection.

        Args:
            subprotocol: One of those the client offered. Default is none.
            headers: Headers of the answer to the handshake. Default is none.
        """
        if self.client_state is _CONNECTING:
            await self.receive()
        await self.send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": headers or []})

    def _raise_on_disconnect(self, message: Message) -> None:
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", _NO_STATUS_RECEIVED), message.get("reason"))

    def _require_accepted(self) -> None:
        if self.application_state is not _CONNECTED:
            raise WebSocketDisconnected('WebSocket is not connected. Need to call "accept" first.')

    def _data(self, message: Message, key: str) -> Any:
        self._raise_on_disconnect(message)
        data = message.get(key)
        if data is None:
            raise _UnexpectedData("text" if key == "text" else "binary")
        return data

    async def receive_text(self) -> str:
        """Receive text.

        Raises:
            WebSocketDisconnect: the client has left.
            WebSocketDisconnected: the connection was not accepted.
            StarletteWebSocketException: (code 1003) the client sent bytes.
        """
        self._require_accepted()
        return cast(str, self._data(await self.receive(), "text"))

    async def receive_bytes(self) -> bytes:
        """Receive bytes; raises as `receive_text` does."""
        self._require_accepted()
        return cast(bytes, self._data(await self.receive(), "bytes"))

    async def receive_json(self, mode: str = "text") -> Any:
        """Receive a JSON value, as text or (``mode="binary"``) as bytes; raises as `receive_text` does.

        Raises:
            RuntimeError: another mode.
            json.JSONDecodeError: the client sent no JSON.
        """
        if mode not in ("text", "binary"):
            raise RuntimeError('The "mode" argument should be "text" or "binary".')
        self._require_accepted()
        if mode == "text":
            return loads(self._data(await self.receive(), "text"))
        return loads(self._data(await self.receive(), "bytes").decode("utf-8"))

    async def iter_text(self) -> AsyncIterator[str]:
        """Iterate over texts until the client leaves."""
        try:
            while True:
                yield await self.receive_text()
        except WebSocketDisconnect:
            pass

    async def iter_bytes(self) -> AsyncIterator[bytes]:
        """Iterate over byte strings until the client leaves."""
        try:
            while True:
                yield await self.receive_bytes()
        except WebSocketDisconnect:
            pass

    async def iter_json(self) -> AsyncIterator[Any]:
        """Iterate over JSON values (sent as text) until the client leaves."""
        try:
            while True:
                yield await self.receive_json()
        except WebSocketDisconnect:
            pass

    async def send_text(self, data: str) -> None:
        """Send text."""
        await self.send({"type": "websocket.send", "text": data})

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes."""
        await self.send({"type": "websocket.send", "bytes": data})

    async def send_json(self, data: Any, mode: str = "text") -> None:
        """Send a JSON value, as text or (``mode="binary"``) as bytes.

        Raises:
            RuntimeError: another mode.
        """
        if mode not in ("text", "binary"):
            raise RuntimeError('The "mode" argument should be "text" or "binary".')
        text = _write_json(data)
        if mode == "text":
            await self.send({"type": "websocket.send", "text": text})
        else:
            await self.send({"type": "websocket.send", "bytes": text.encode("utf-8")})

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Close the connection; before it is accepted this rejects it with status 403.

        Args:
            code: A code that RFC 6455 lets an endpoint send: 1000 to 1003, 1007 to 1014, 3000 to 4999. Default is 1000.
            reason: Why; cut to 123 bytes of UTF-8. Default is "".

        Raises:
            ValueError: another code.
            TypeError: a reason that is no text.
        """
        await self.send({"type": "websocket.close", "code": code, "reason": reason or ""})

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
