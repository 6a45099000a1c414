"""The handlers an application has before it is given any: exceptions to FastAPI's error bodies.

Layer: above requests, responses, encoders.
Not for: finding the handler of an exception (`forzium.middleware.exceptions`).

Source: `fastapi.exception_handlers`.
"""

import math
from collections.abc import Mapping
from typing import Any

from forzium.encoders import jsonable_encoder
from forzium.exceptions import RequestValidationError, StarletteHTTPException, WebSocketRequestValidationError
from forzium.requests import Request
from forzium.responses import JSONResponse, Response
from forzium.status import WS_1008_POLICY_VIOLATION
from forzium.utils import is_body_allowed_for_status_code
from forzium.websockets import WebSocket

__all__ = [
    "http_exception_handler",
    "request_validation_exception_handler",
    "websocket_request_validation_exception_handler",
]

MAX_CLOSE_REASON = 123
"""Bytes of UTF-8 a close frame has for its reason (RFC 6455, 5.5: 125 bytes of payload, two of them the code)."""


async def http_exception_handler(request: Request, exc: StarletteHTTPException) -> Response:
    """Answer with the exception's status and headers, and `{"detail": ...}` where the status allows a body."""
    headers = getattr(exc, "headers", None)
    if not is_body_allowed_for_status_code(exc.status_code):
        return Response(status_code=exc.status_code, headers=headers)
    return _answer(exc.status_code, exc.detail, headers)


async def request_validation_exception_handler(request: Request, exc: RequestValidationError) -> JSONResponse:
    """Answer 422 with the list of refusals. What they repeat of a body that is no text is shown with U+FFFD."""
    return _answer(422, jsonable_encoder(exc.errors(), custom_encoder={bytes: _shown}))


def _shown(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _answer(status_code: int, detail: Any, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Answer with a detail. It may repeat what the client sent: NaN and infinities, which JSON has not, become null."""
    try:
        return JSONResponse({"detail": detail}, status_code=status_code, headers=headers)
    except ValueError as exc:
        try:
            finite = _finite(detail)
        except RecursionError:  # a cycle
            raise exc
        return JSONResponse({"detail": finite}, status_code=status_code, headers=headers)


async def websocket_request_validation_exception_handler(
    websocket: WebSocket, exc: WebSocketRequestValidationError
) -> None:
    """Close with 1008; the reason names the refusals, as far as they fit into a close frame."""
    reason = "; ".join(map(_in_short, exc.errors())).encode("utf-8", "replace")
    await websocket.close(code=WS_1008_POLICY_VIOLATION, reason=reason[:MAX_CLOSE_REASON].decode("utf-8", "ignore"))


def _in_short(error: Any) -> str:
    if not isinstance(error, dict):
        return str(error)
    place = ".".join(map(str, error.get("loc", ())))
    return f"{place}: {error.get('msg', '')}"


def _finite(value: Any) -> Any:
    """Copy a JSON value with null for each float that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {_finite(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
