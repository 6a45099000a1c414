"""Responses: what an endpoint may return, and what is sent for it.

Stands on ``datastructures``, ``concurrency`` and ``requests``. Every response is itself an ASGI application:
``await response(scope, receive, send)`` sends it and then runs its background task.

Not for: streams from endpoints that ``yield`` (``forzium._streams``) and the events in them (``forzium.sse``).

Source: ``starlette.responses`` and ``fastapi.responses``, whose names are all here.
"""

from typing import Any

from forzium.responses.alternative import ORJSONResponse, UJSONResponse, codec
from forzium.responses.base import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from forzium.responses.file import FileResponse
from forzium.responses.ranges import MalformedRangeHeader, RangeNotSatisfiable
from forzium.responses.streaming import (
    AsyncContentStream,
    Content,
    ContentStream,
    EventSourceResponse,
    StreamingResponse,
    SyncContentStream,
)

__all__ = [
    "AsyncContentStream",
    "Content",
    "ContentStream",
    "EventSourceResponse",
    "FileResponse",
    "HTMLResponse",
    "JSONResponse",
    "MalformedRangeHeader",
    "ORJSONResponse",
    "PlainTextResponse",
    "RangeNotSatisfiable",
    "RedirectResponse",
    "Response",
    "StreamingResponse",
    "SyncContentStream",
    "UJSONResponse",
]


def __getattr__(name: str) -> Any:
    if name in ("orjson", "ujson"):
        return codec(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
