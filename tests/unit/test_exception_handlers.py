"""The built-in exception handlers, where they answer what FastAPI's cannot: see ``docs/compatibility.md``."""

import json
from typing import Any, cast

import pytest

from forzium.exception_handlers import (
    request_validation_exception_handler,
    websocket_request_validation_exception_handler,
)
from forzium.exceptions import RequestValidationError, WebSocketRequestValidationError
from forzium.requests import Request
from forzium.websockets import WebSocket

REQUEST = Request({"type": "http"})


@pytest.mark.anyio
async def test_a_422_repeats_what_json_cannot_say_as_null_and_replacement_characters() -> None:
    error = {"type": "x", "loc": ["body", "\ud800"], "input": [float("nan"), float("-inf"), 1.5, {"\udfff": "a\ud83d"}]}
    response = await request_validation_exception_handler(REQUEST, RequestValidationError([error]))
    assert response.status_code == 422
    assert json.loads(response.body) == {
        "detail": [{"type": "x", "loc": ["body", "\ufffd"], "input": [None, None, 1.5, {"\ufffd": "a\ufffd"}]}]
    }


@pytest.mark.anyio
async def test_a_refused_websocket_is_closed_with_a_reason_that_fits_its_frame() -> None:
    closed: list[Any] = []

    class Socket:
        async def close(self, code: int, reason: str) -> None:
            closed.append((code, reason))

    async def close(errors: list[Any]) -> Any:
        error = WebSocketRequestValidationError(errors)
        await websocket_request_validation_exception_handler(cast(WebSocket, Socket()), error)
        return closed.pop()

    missing = {"type": "missing", "loc": ("query", "a"), "msg": "Field required", "input": None}
    assert await close([missing]) == (1008, "query.a: Field required")
    reason = (await close([missing, {**missing, "loc": ("query", "é" * 200)}]))[1]
    assert reason.startswith("query.a: Field required; query.éé")
    assert 122 <= len(reason.encode()) <= 123
    assert (await close([{**missing, "loc": ("\ud800",)}]))[1] == "?: Field required"
