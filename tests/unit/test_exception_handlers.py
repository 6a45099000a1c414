"""The built-in exception handlers, where they answer what FastAPI's cannot: see ``docs/compatibility.md``."""

import json
from typing import Any, cast

import pytest

from forzium.exception_handlers import (
    http_exception_handler,
    request_validation_exception_handler,
    websocket_request_validation_exception_handler,
)
from forzium.exceptions import RequestValidationError, StarletteHTTPException, WebSocketRequestValidationError
from forzium.requests import Request
from forzium.websockets import WebSocket

REQUEST = Request({"type": "http"})


@pytest.mark.anyio
async def test_errors_repeat_what_json_has_not_as_null_and_what_utf8_has_not_as_escapes() -> None:
    error = {"type": "x", "loc": ["body", "\ud800"], "input": [float("nan"), float("-inf"), 1.5, {"\udfff": "a\ud83d"}]}
    shown = {"detail": [{**error, "input": [None, None, 1.5, {"\udfff": "a\ud83d"}]}]}
    refused = await request_validation_exception_handler(REQUEST, RequestValidationError([error]))
    raised = await http_exception_handler(REQUEST, StarletteHTTPException(400, cast(Any, [error]), {"x-a": "b"}))
    assert (refused.status_code, raised.status_code, raised.headers["x-a"]) == (422, 400, "b")
    assert json.loads(refused.body) == json.loads(raised.body) == shown
    assert refused.body.isascii()


@pytest.mark.anyio
async def test_a_detail_that_contains_itself_is_still_an_error() -> None:
    detail: list[Any] = []
    detail.append(detail)
    with pytest.raises((ValueError, RecursionError)):
        await http_exception_handler(REQUEST, StarletteHTTPException(400, cast(Any, detail)))


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
