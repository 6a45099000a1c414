"""Server-sent events: one event as a model, and its form on the wire.

Stands on pydantic and on ``responses`` (whose `EventSourceResponse` is exported here too).

Not for: running the generator that yields events, nor keep-alives between them; that is ``_streams``.

Source: ``fastapi.sse``; WHATWG HTML, 9.2 (server-sent events).
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, model_validator

from forzium.responses import EventSourceResponse
from forzium.responses.streaming import _PING_INTERVAL as _PING_INTERVAL

__all__ = ["KEEPALIVE_COMMENT", "EventSourceResponse", "ServerSentEvent", "format_sse_event"]

KEEPALIVE_COMMENT = b": ping\n\n"
"""What is sent while an endpoint has nothing to say, so that proxies do not close the connection."""

# The event as OpenAPI 3.2, 4.14.4, describes it; the document adds the schema of the data.
_SSE_EVENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "data": {"type": "string"},
        "event": {"type": "string"},
        "id": {"type": "string"},
        "retry": {"type": "integer", "minimum": 0},
    },
}


def _one_line(value: str | None, field: str) -> str | None:
    if value is not None and not {"\r", "\n"}.isdisjoint(value):
        raise ValueError(f"SSE '{field}' must be a single line")
    return value


def _valid_event(value: str | None) -> str | None:
    return _one_line(value, "event")


def _valid_id(value: str | None) -> str | None:
    if value is not None and "\0" in value:
        raise ValueError("SSE 'id' must not contain null characters")
    return _one_line(value, "id")


class ServerSentEvent(BaseModel):
    """One event, for endpoints that say more than its data.

    Yield it from an endpoint with ``response_class=EventSourceResponse``. Anything else that is yielded there is sent
    as the data of an event without name and id::

        yield ServerSentEvent(data={"n": 1}, event="count", id="1")

    Attributes:
        data: The payload, always written as JSON: text gets quotes. Excludes ``raw_data``. Default is none.
        raw_data: The payload as it is, without JSON. Excludes ``data``. Default is none.
        event: Name of the event, one line. Default is none, which a browser takes for "message".
        id: One line without NUL; the client sends it back as ``Last-Event-ID``. Default is none.
        retry: Milliseconds the client is to wait before it connects again, at least 0. Default is none.
        comment: Lines a client ignores. Default is none.

    Raises:
        pydantic.ValidationError: a value breaks one of these rules.
    """

    data: Any = None
    raw_data: str | None = None
    event: Annotated[str | None, AfterValidator(_valid_event)] = None
    id: Annotated[str | None, AfterValidator(_valid_id)] = None
    retry: Annotated[int | None, Field(ge=0)] = None
    comment: str | None = None

    @model_validator(mode="after")
    def _has_one_payload(self) -> ServerSentEvent:
        if self.data is not None and self.raw_data is not None:
            raise ValueError(
                "Cannot set both 'data' and 'raw_data' on the same ServerSentEvent. Use 'data' for JSON-serialized "
                "payloads or 'raw_data' for pre-formatted strings."
            )
        return self


def format_sse_event(
    *,
    data_str: str | None = None,
    event: str | None = None,
    id: str | None = None,
    retry: int | None = None,
    comment: str | None = None,
) -> bytes:
    """Write an event as it is sent, the empty line at its end included.

    Args:
        data_str: The payload, already text; each of its lines becomes a ``data`` line. Default is none.
        event: Name of the event. Default is none.
        id: Id of the event. Default is none.
        retry: Milliseconds before the client connects again. Default is none.
        comment: Text of comment lines. Default is none.
    """
    lines = [] if comment is None else [f": {line}" for line in _lines(comment)]
    if event is not None:
        lines.append(f"event: {event}")
    if data_str is not None:
        lines += [f"data: {line}" for line in _lines(data_str)]
    if id is not None:
        lines.append(f"id: {id}")
    if retry is not None:
        lines.append(f"retry: {retry}")
    return "\n".join([*lines, "", ""]).encode("utf-8")


def _lines(text: str) -> list[str]:
    """Split where a client would (CR LF, LF, CR; nowhere else), keeping empty lines at the end."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
