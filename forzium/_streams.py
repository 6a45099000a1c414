"""Endpoints that ``yield``: from what they yield to a streaming response.

Stands on ``responses``, ``sse``, ``encoders`` and ``dependencies.models``. How the core uses it:

At compile time, once a route::

    plan = stream_plan(
        endpoint,                       # dependant.call
        response_class=...,             # the class itself, not a DefaultPlaceholder
        is_json_stream=...,             # as get_request_handler is told
        status_code=...,
        stream_item_field=...,          # ModelField | None
        response_model_include=..., ... # the route's six response_model_* options
    )                                   # None: the endpoint is not a stream, call it and serialize what it returns

In a request, instead of calling the endpoint and serializing, on the event loop (never in a worker thread)::

    response = await plan.respond(
        endpoint(**values),             # not awaited, not iterated
        solved_response=...,            # the injected Response: status and headers
        background=...,                 # the solved background tasks, or None
        endpoint_ctx=...,               # for ResponseValidationError
        stack=...,                      # request.scope["fastapi_inner_astack"]
    )

``respond`` suspends for event streams only if the stack does; the other kinds never suspend. What the generator raises
comes out while the response is sent, and for event streams, in a group, when ``stack`` is unwound.

Not for: responses that an endpoint returns itself, nor finding out the type of the items (``dependencies.utils``).

Source: FastAPI's ``routing.get_request_handler``.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

import anyio
import anyio.lowlevel

from forzium import sse
from forzium._fields import lenient_issubclass
from forzium.concurrency import iterate_in_threadpool
from forzium.dependencies.models import is_async_gen_callable, is_coroutine_callable, is_gen_callable
from forzium.encoders import jsonable_encoder
from forzium.exceptions import EndpointContext, ResponseValidationError
from forzium.responses import EventSourceResponse, Response, StreamingResponse

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream

    from forzium._fields import ModelField
    from forzium.background import BackgroundTask
    from forzium.types import IncEx

    Received = MemoryObjectReceiveStream[bytes | anyio.Event]

Kind = Literal["sse", "jsonl", "raw"]
Write = Callable[[Any], bytes]

# Items written ahead of the client, beside the one on its way: enough to overlap, little enough to bound memory.
_AHEAD = 1


class StreamPlan:
    """What is known of a streaming route before its first request; made by `stream_plan`."""

    __slots__ = ("endpoint", "field", "is_async", "kind", "options", "response_class", "status_code")

    def __init__(
        self,
        endpoint: Callable[..., Any],
        kind: Kind,
        response_class: type[Response],
        status_code: int | None,
        field: ModelField | None,
        options: dict[str, Any],
    ) -> None:
        self.endpoint = endpoint
        self.kind = kind
        self.is_async = is_async_gen_callable(endpoint)
        self.response_class = response_class
        self.status_code = status_code
        self.field = field
        self.options = options

    async def respond(
        self,
        produced: Any,
        *,
        solved_response: Response,
        background: BackgroundTask | None,
        endpoint_ctx: EndpointContext | None,
        stack: AsyncExitStack,
    ) -> Response:
        """Give the response of one request; see the module's docstring."""
        if isinstance(produced, Response):  # a plain `def` endpoint of an event stream that made its own
            if produced.background is None:
                produced.background = background
            return produced

        arguments: dict[str, Any] = {"background": background}
        status_code = solved_response.status_code or self.status_code
        if status_code is not None:
            arguments["status_code"] = status_code

        response: Response
        if self.kind == "raw":
            content = _with_checkpoints(produced) if self.is_async else produced
            response = self.response_class(content=content, **arguments)
        elif self.kind == "jsonl":
            write = _line_writer(self._item_writer(endpoint_ctx))
            lines = _async_lines(produced, write) if self.is_async else _lines(produced, write)
            response = StreamingResponse(lines, media_type="application/jsonl", **arguments)
        else:
            items = produced if self.is_async else iterate_in_threadpool(produced)
            events = _events(aiter(items), _event_writer(self._item_writer(endpoint_ctx)))
            received = await stack.enter_async_context(events)
            stack.push_async_callback(received.aclose)
            body = _kept_alive(received, _ping_interval())
            response = StreamingResponse(body, media_type="text/event-stream", **arguments)
            response.headers["Cache-Control"] = "no-cache"
            response.headers["X-Accel-Buffering"] = "no"  # nginx would hold events back
        response.headers.raw.extend(solved_response.headers.raw)
        return response

    def _item_writer(self, endpoint_ctx: EndpointContext | None) -> Write:
        """Give the function that checks an item and writes it as JSON; it may run in a worker thread."""
        field, options = self.field, self.options
        if field is None:
            return _untyped_json

        def write(item: Any) -> bytes:
            value, errors = field.validate(item, {}, loc=("response",))
            if errors:
                raise ResponseValidationError(errors=errors, body=item, endpoint_ctx=endpoint_ctx or EndpointContext())
            return field.serialize_json(value, **options)

        return write


def stream_plan(
    endpoint: Callable[..., Any],
    *,
    response_class: type[Response],
    is_json_stream: bool = False,
    status_code: int | None = None,
    stream_item_field: ModelField | None = None,
    response_model_include: IncEx | None = None,
    response_model_exclude: IncEx | None = None,
    response_model_by_alias: bool = True,
    response_model_exclude_unset: bool = False,
    response_model_exclude_defaults: bool = False,
    response_model_exclude_none: bool = False,
) -> StreamPlan | None:
    """Plan a streaming route; ``None`` where the endpoint does not stream.

    A coroutine function streams nothing, also with ``response_class=EventSourceResponse``: there it has to return the
    response itself (FastAPI fails to iterate the coroutine).
    """
    kind: Kind
    if lenient_issubclass(response_class, EventSourceResponse):
        if is_coroutine_callable(endpoint):
            return None
        kind = "sse"
    elif is_json_stream:
        kind = "jsonl"
    elif is_async_gen_callable(endpoint) or is_gen_callable(endpoint):
        kind = "raw"
    else:
        return None
    options = {
        "include": response_model_include,
        "exclude": response_model_exclude,
        "by_alias": response_model_by_alias,
        "exclude_unset": response_model_exclude_unset,
        "exclude_defaults": response_model_exclude_defaults,
        "exclude_none": response_model_exclude_none,
    }
    return StreamPlan(endpoint, kind, response_class, status_code, stream_item_field, options)


def _untyped_json(item: Any) -> bytes:
    return json.dumps(_finite(jsonable_encoder(item))).encode("utf-8")


def _finite(data: Any) -> Any:
    """Put null where JSON has no number. Keys stay as they are."""
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_finite(value) for value in data]
    return data


def _line_writer(write: Write) -> Write:
    return lambda item: write(item) + b"\n"


def _event_writer(write: Write) -> Write:
    """Give the function that writes an item as an event; an event the endpoint made itself is not validated."""

    def write_event(item: Any) -> bytes:
        if not isinstance(item, sse.ServerSentEvent):
            return sse.format_sse_event(data_str=write(item).decode("utf-8"))
        text = item.raw_data
        if text is None and item.data is not None:
            if hasattr(item.data, "model_dump_json"):
                text = item.data.model_dump_json()
            else:
                text = _untyped_json(item.data).decode("utf-8")
        return sse.format_sse_event(data_str=text, event=item.event, id=item.id, retry=item.retry, comment=item.comment)

    return write_event


# A generator that never waits would never let a cancellation in, so every item is followed by a checkpoint. When the
# client leaves, the response closes the outer generator, and that one the endpoint's.


async def _with_checkpoints(items: AsyncIterator[Any]) -> AsyncIterator[Any]:
    try:
        async for item in items:
            yield item
            await anyio.lowlevel.checkpoint()
    finally:
        await _close(items)


async def _async_lines(items: AsyncIterator[Any], write: Write) -> AsyncIterator[bytes]:
    try:
        async for item in items:
            yield write(item)
            await anyio.lowlevel.checkpoint()
    finally:
        await _close(items)


def _lines(items: Iterable[Any], write: Write) -> Iterator[bytes]:
    return map(write, items)


async def _close(items: AsyncIterator[Any]) -> None:
    if (close := getattr(items, "aclose", None)) is not None:
        await close()


@asynccontextmanager
async def _events(items: AsyncIterator[Any], write: Write) -> AsyncIterator[Received]:
    """Run the generator in a task of its own, so that no time-out ever interrupts it; give what it produces.

    Entered on the request's stack: the task ends with the request, by structure and not by finalizing generators
    (PEP 789). Leaving cancels it. An error of the generator cancels the request, but only once everything before it
    was taken: it is announced by an event behind the last item, and whoever takes that sets it.
    """
    sending, receiving = anyio.create_memory_object_stream["bytes | anyio.Event"](_AHEAD)

    async def produce() -> None:
        async with sending:
            try:
                async for item in items:
                    await sending.send(write(item))
            except Exception as error:
                taken = anyio.Event()
                try:
                    await sending.send(taken)
                    await taken.wait()
                except anyio.BrokenResourceError:
                    pass  # nobody listens any more
                finally:
                    raise error
            finally:
                await _close(items)

    async with anyio.create_task_group() as task_group:
        task_group.start_soon(produce)
        yield receiving
        task_group.cancel_scope.cancel()


async def _kept_alive(received: Received, interval: float) -> AsyncIterator[bytes]:
    """Give the events, and a comment whenever none came for ``interval`` seconds."""
    while True:
        item: bytes | anyio.Event = sse.KEEPALIVE_COMMENT
        with anyio.move_on_after(interval):
            try:
                item = await received.receive()
            except anyio.EndOfStream:
                return
        if isinstance(item, bytes):
            yield item
            await anyio.lowlevel.checkpoint()
        else:
            item.set()
            await anyio.sleep_forever()  # until the error arrives: the response must not seem complete


def _ping_interval() -> float:
    """Seconds between keep-alives: ``forzium.routing._PING_INTERVAL``, which programs set for their tests."""
    interval: float = getattr(sys.modules.get("forzium.routing"), "_PING_INTERVAL", sse._PING_INTERVAL)
    return interval
