"""The WebSocket: every order of calls is answered, accepted or refused as by Starlette."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.harness import Framework, describe, frameworks

RECEIVED: list[dict[str, Any]] = [
    {"type": "websocket.connect"},
    {"type": "websocket.receive", "text": '{"a":[1,"é"]}'},
    {"type": "websocket.receive", "bytes": b'{"a":1}'},
    {"type": "websocket.receive", "text": "no json"},
    {"type": "websocket.receive", "text": "x", "bytes": None},
    {"type": "websocket.disconnect", "code": 1001, "reason": "going"},
    {"type": "websocket.disconnect", "code": 1005},
    {"type": "http.request"},
]
SENT: list[dict[str, Any]] = [
    {"type": "websocket.accept"},
    {"type": "websocket.send", "text": "x"},
    {"type": "websocket.close"},
    {"type": "websocket.close", "code": 4000, "reason": "x"},
    {"type": "websocket.http.response.start", "status": 404, "headers": []},
    {"type": "websocket.http.response.body", "body": b"x", "more_body": True},
    {"type": "websocket.http.response.body", "body": b"x"},
    {"type": "http.response.start"},
]


async def _first(iterator: Any) -> Any:
    return [item async for item in iterator]


Step = Callable[[Any, Framework], Awaitable[Any]]
STEPS: dict[str, Step] = {
    "accept": lambda ws, fw: ws.accept(),
    "accept with": lambda ws, fw: ws.accept("soap", [(b"x", b"y")]),
    "receive": lambda ws, fw: ws.receive(),
    "receive_text": lambda ws, fw: ws.receive_text(),
    "receive_bytes": lambda ws, fw: ws.receive_bytes(),
    "receive_json": lambda ws, fw: ws.receive_json(),
    "receive_json binary": lambda ws, fw: ws.receive_json("binary"),
    "receive_json nonsense": lambda ws, fw: ws.receive_json("nonsense"),
    "iter_text": lambda ws, fw: _first(ws.iter_text()),
    "iter_bytes": lambda ws, fw: _first(ws.iter_bytes()),
    "iter_json": lambda ws, fw: _first(ws.iter_json()),
    "send_text": lambda ws, fw: ws.send_text("é"),
    "send_bytes": lambda ws, fw: ws.send_bytes(b"x"),
    "send_json": lambda ws, fw: ws.send_json({"a": [1, None, float("inf"), "é"]}),
    "send_json binary": lambda ws, fw: ws.send_json("é", mode="binary"),
    "send_json nonsense": lambda ws, fw: ws.send_json("é", mode="nonsense"),
    "close": lambda ws, fw: ws.close(),
    "close with": lambda ws, fw: ws.close(1011, "broken"),
    "deny": lambda ws, fw: ws.send_denial_response(fw.responses.PlainTextResponse("no", 403)),
    **{
        f"send {number}": (lambda ws, fw, message=message: ws.send(dict(message)))
        for number, message in enumerate(SENT)
    },
}


def transcript(
    fw: Framework, received: list[dict[str, Any]], steps: list[str], breaks_at: int, denial: bool
) -> list[Any]:
    """What each step gave or raised, the messages sent, and the states between."""
    lines: list[Any] = []
    incoming = iter(received)

    async def receive() -> dict[str, Any]:
        return dict(next(incoming, {"type": "websocket.disconnect", "code": 1006}))

    async def send(message: dict[str, Any]) -> None:
        if len([line for line in lines if line[0] == "sent"]) == breaks_at:
            raise OSError("the client has left")
        lines.append(("sent", message))

    async def main() -> None:
        extensions = {"websocket.http.response": {}} if denial else {}
        ws = fw.WebSocket({"type": "websocket", "headers": [], "extensions": extensions}, receive, send)
        for step in steps:
            try:
                lines.append(("gave", await STEPS[step](ws, fw)))
            except Exception as error:
                codes = [getattr(error, "code", None), getattr(error, "reason", None)]
                data_missing = isinstance(error, KeyError | TypeError | AttributeError)
                lines.append(("no such data",) if data_missing else ("raised", describe(error)[:1], codes))
            lines.append(("states", ws.client_state.name, ws.application_state.name))

    anyio.run(main)
    return lines


@given(
    st.lists(st.sampled_from(RECEIVED[1:]), max_size=4),
    st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=6),
    st.sampled_from([99, 99, 0, 1, 2]),
    st.booleans(),
    st.sampled_from([True, True, True, False]),
)
def test_any_order_of_calls_goes_as_with_starlette(
    received: list[dict[str, Any]], steps: list[str], breaks_at: int, denial: bool, orderly: bool
) -> None:
    if orderly:
        received, steps = [RECEIVED[0], *received], ["accept", *steps]
    # Starlette takes a null for data where a server names both kinds; forzium says that the data is missing.
    if any("bytes" in message and message["bytes"] is None for message in received):
        received = [{k: v for k, v in message.items() if v is not None} for message in received]
    theirs, ours = (transcript(fw, received, steps, breaks_at, denial) for fw in frameworks())
    assert ours == theirs


@pytest.mark.parametrize("encoding", [None, "text", "bytes", "json", "other"])
@pytest.mark.parametrize("message", RECEIVED[1:5], ids=["json", "binary json", "no json", "both"])
def test_an_endpoint_class_goes_as_with_starlette(encoding: Any, message: dict[str, Any]) -> None:
    def run(fw: Framework) -> list[Any]:
        lines: list[Any] = []

        class Endpoint(fw.starlette.endpoints.WebSocketEndpoint):  # type: ignore[name-defined,misc]
            async def on_receive(self, websocket: Any, data: Any) -> None:
                lines.append(data)
                if data == "x":
                    raise LookupError("in the endpoint")

            async def on_disconnect(self, websocket: Any, close_code: int) -> None:
                lines.append(close_code)

        Endpoint.encoding = encoding
        incoming = iter([RECEIVED[0], message, RECEIVED[5]])

        async def receive() -> Any:
            return next(incoming)

        async def send(sent: Any) -> None:
            lines.append(sent)

        async def main() -> None:
            try:
                await Endpoint({"type": "websocket", "headers": []}, receive, send)
            except Exception as error:
                lines.append(describe(error)[:1])

        anyio.run(main)
        return lines

    theirs, ours = map(run, frameworks())
    assert ours == theirs
