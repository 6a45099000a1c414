"""The WebSocket where RFC 6455 asks for more than Starlette does."""

from typing import Any

import anyio
import pytest

from forzium.exceptions import StarletteWebSocketException
from forzium.websockets import WebSocket, WebSocketClose, WebSocketDisconnect


class Connection:
    def __init__(self, *received: dict[str, Any]) -> None:
        self.received = iter([{"type": "websocket.connect"}, *received])
        self.sent: list[Any] = []
        self.websocket = WebSocket({"type": "websocket", "headers": []}, self.receive, self.send)

    async def receive(self) -> Any:
        return next(self.received)

    async def send(self, message: Any) -> None:
        self.sent.append(message)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, None])
@pytest.mark.anyio
async def test_a_code_that_no_close_frame_may_hold_is_refused(code: Any) -> None:
    connection = Connection()
    await connection.websocket.accept()
    with pytest.raises(ValueError, match=f"but found {code}"):
        await connection.websocket.close(code)
    with pytest.raises(ValueError, match=f"but found {code}"):
        await connection.websocket.send({"type": "websocket.close", "code": code})
    with pytest.raises(ValueError, match=f"but found {code}"):
        await WebSocketClose(code)({}, connection.receive, connection.send)
    await connection.websocket.close(1011)  # the connection can still be closed as it should be
    assert [message["type"] for message in connection.sent] == ["websocket.accept", "websocket.close"]


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1014, 3000, 4999])
@pytest.mark.anyio
async def test_a_code_that_a_close_frame_may_hold_is_sent(code: int) -> None:
    connection = Connection()
    await connection.websocket.close(code, "why")
    assert connection.sent == [{"type": "websocket.close", "code": code, "reason": "why"}]


@pytest.mark.parametrize("reason", ["x" * 124, "é" * 62, "x" + "é" * 200, "😀" * 31, "\ud800" * 124])
@pytest.mark.anyio
async def test_a_reason_longer_than_a_control_frame_is_cut_between_characters(reason: str) -> None:
    connection = Connection()
    await connection.websocket.close(1008, reason)
    sent = connection.sent[0]["reason"]
    assert 120 <= len(sent.encode()) <= 123
    assert reason.startswith(sent) or sent == "?" * 123


@pytest.mark.parametrize("reason", ["x" * 123, "é" * 61, ""])
def test_a_reason_that_fits_is_sent_whole(reason: str) -> None:
    connection = Connection()
    anyio.run(connection.websocket.close, 1000, reason)
    assert connection.sent[0]["reason"] == reason


def test_a_reason_that_is_no_text_is_refused() -> None:
    with pytest.raises(TypeError, match="as text, but found list"):
        anyio.run(Connection().websocket.close, 1000, [{"type": "missing"}])


@pytest.mark.parametrize("other", [{"bytes": b"x"}, {"bytes": b"x", "text": None}])
@pytest.mark.anyio
async def test_data_of_the_other_kind_closes_as_unsupported_unless_caught(other: dict[str, Any]) -> None:
    for method in ("receive_text", "receive_json"):
        connection = Connection({"type": "websocket.receive", **other})
        await connection.websocket.accept()
        with pytest.raises(StarletteWebSocketException) as caught:
            await getattr(connection.websocket, method)()
        assert caught.value.code == 1003
        assert isinstance(caught.value, KeyError)  # what Starlette raises, and programs catch


@pytest.mark.anyio
async def test_a_disconnect_without_a_code_means_that_none_was_received() -> None:
    connection = Connection({"type": "websocket.disconnect"})
    await connection.websocket.accept()
    with pytest.raises(WebSocketDisconnect) as caught:
        await connection.websocket.receive_text()
    assert (caught.value.code, caught.value.reason) == (1005, "")


def test_a_reason_that_no_text_frame_can_hold_is_still_sent() -> None:
    connection = Connection()
    anyio.run(connection.websocket.close, 1000, "a\udcffb")
    assert connection.sent[0]["reason"] == "a?b"
