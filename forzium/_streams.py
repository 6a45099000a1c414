"""Endpoints that ``yield``: from what they yield to a streaming response.

Stands on ``responses``, ``sse`` and ``encoders``. The core calls `stream_response` in place of serializing what the
endpoint returned: on the event loop, with the generator that calling it gave, or, for server-sent events, with
whatever it returned.

Not for: finding out the type of the items (``dependencies.utils``).

Source: FastAPI's ``routing.get_request_handler``.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

import anyio
import anyio.lowlevel

from forzium import sse
from forzium.concurrency import iterate_in_threadpool
from forzium.encoders import jsonable_encoder
from forzium.exceptions import EndpointContext, ResponseValidationError
from forzium.requests import ClientDisconnect
from forzium.responses import Response, StreamingResponse

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream

    from forzium._fields import ModelField
    from forzium.background import BackgroundTask

    Received = MemoryObjectReceiveStream[bytes | anyio.Event]

Kind = Literal["sse", "jsonl", "raw"]
Write = Callable[[Any], bytes]

# Items written ahead of the client, beside the one on its way: enough to overlap, little enough to bound memory.
_AHEAD = 1


async def stream_response(
    *,
    kind: Kind,
    generator: Any,
    is_async: bool,
    item_field: ModelField | None,
    item_options: Mapping[str, Any],
    response_class: type[Response],
    status_code: int | None,
    injected: Response | None,
    background: BackgroundTask | None,
    endpoint_ctx: EndpointContext | None,
    request_stack: AsyncExitStack,
    enclosed: bool = False,
) -> Response:
    """Make the response of an endpoint that yields.

    Args:
        kind: "sse": server-sent events; "jsonl": JSON lines; "raw": chunks, for ``response_class``.
        generator: The generator that calling the endpoint gave, not iterated yet. For "sse" also what an endpoint that
            does not yield returned: an iterable, asynchronous or not, or a response, which stays as it is.
        is_async: Whether the endpoint is an async generator. Iterables are iterated in worker threads.
        item_field: Checks and writes each item. None: ``jsonable_encoder`` and JSON with spaces.
        item_options: ``include``, ``exclude``, ``by_alias``, ``exclude_*`` for ``item_field.serialize_json``.
        response_class: Used by "raw" alone.
        status_code: The declared status. None: the injected response's, else that of the response class.
        injected: The response that dependencies and the endpoint were given: its status wins, its headers are added.
        background: Tasks to run after the response was sent.
        endpoint_ctx: For the `ResponseValidationError` of an item that does not fit.
        request_stack: Unwound after the response was sent; the task that runs the generator for "sse" ends there.
        enclosed: Whether an http middleware takes the response. Then for "sse" an error that an async generator raises
            at once comes before the response.

    Suspends for "sse" alone, as far as entering the stack does, and to let the generator of one that is enclosed begin.
    What the generator raises comes out while the response is sent; for "sse", in a group, when ``request_stack`` is
    unwound.
    """
    if isinstance(generator, Response):
        if generator.background is None:
            generator.background = background
        return generator
    arguments: dict[str, Any] = {"background": background}
    status = (injected.status_code if injected is not None else None) or status_code
    if status is not None:
        arguments["status_code"] = status

    response: Response
    if kind == "raw":
        content = _with_checkpoints(generator) if is_async else generator
        response = response_class(content=content, **arguments)
    else:
        write = _item_writer(item_field, item_options, endpoint_ctx)
        if kind == "jsonl":
            lines = _async_lines(generator, write) if is_async else _lines(generator, write)
            response = StreamingResponse(lines, media_type="application/jsonl", **arguments)
        else:
            is_async = is_async or isinstance(generator, AsyncIterable)
            items = aiter(generator) if is_async else iterate_in_threadpool(generator)
            enclosed = enclosed and is_async  # what a thread does is not done at once
            produced = _Produced(announced=not enclosed)
            received = await request_stack.enter_async_context(_events(items, _event_writer(write), produced))
            request_stack.push_async_callback(received.aclose)
            if enclosed:
                await produced.begun()
            body = _kept_alive(received, _ping_interval())
            response = StreamingResponse(body, media_type="text/event-stream", **arguments)
            response.headers["Cache-Control"] = "no-cache"
            response.headers["X-Accel-Buffering"] = "no"  # nginx would hold events back
    if injected is not None:
        response.raw_headers.extend(injected.raw_headers)
    return response


def _item_writer(field: ModelField | None, options: Mapping[str, Any], endpoint_ctx: EndpointContext | None) -> Write:
    """Give the function that checks an item and writes it as JSON; it may run in a worker thread."""
    if field is None:
        return _untyped_json

    def write(item: Any) -> bytes:
        value, errors = field.validate(item, {}, loc=("response",))
        if errors:
            raise ResponseValidationError(errors=errors, body=item, endpoint_ctx=endpoint_ctx or EndpointContext())
        return field.serialize_json(value, **options)

    return write


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
            yield write(item) + b"\n"
            await anyio.lowlevel.checkpoint()
    finally:
        await _close(items)


def _lines(items: Iterable[Any], write: Write) -> Iterator[bytes]:
    for item in items:  # asked for the first one, and not before, what cannot be iterated is an error of the stream
        yield write(item) + b"\n"


async def _close(items: AsyncIterator[Any]) -> None:
    if (close := getattr(items, "aclose", None)) is not None:
        await close()


class _Produced:
    """How far the task of a generator is.

    Args:
        announced: Whether the response is on its way, so that an error has to wait for the events before it.
    """

    def __init__(self, *, announced: bool) -> None:
        self.announced = announced
        self.entered = False
        self.failed = False

    async def begun(self) -> None:
        """Wait until the generator has gone as far as it does at once; for ever if that is an error, which cancels."""
        while not self.entered:
            await anyio.lowlevel.checkpoint()
        if self.failed:
            await anyio.sleep_forever()
        self.announced = True


@asynccontextmanager
async def _events(items: AsyncIterator[Any], write: Write, produced: _Produced) -> AsyncIterator[Received]:
    """Run the generator in a task of its own, so that no time-out ever interrupts it; give what it produces.

    Entered on the request's stack: the task ends with the request, by structure and not by finalizing generators
    (PEP 789). Leaving cancels it. An error of the generator cancels the request, but only once everything before it
    was taken: it is announced by an event behind the last item, and whoever takes that sets it.
    """
    sending, receiving = anyio.create_memory_object_stream["bytes | anyio.Event"](_AHEAD)

    async def produce() -> None:
        produced.entered = True
        async with sending:
            try:
                async for item in items:
                    text = write(item)
                    try:
                        await sending.send(text)
                    except anyio.BrokenResourceError:
                        return  # nobody listens any more
            except Exception as error:
                if not produced.announced and not sending.statistics().current_buffer_used:
                    produced.failed = True
                    raise
                taken = anyio.Event()
                try:
                    await sending.send(taken)
                    await taken.wait()
                except anyio.BrokenResourceError:
                    pass  # as above
                finally:
                    raise error
            finally:
                await _close(items)

    left: ClientDisconnect | None = None
    async with anyio.create_task_group() as task_group:
        task_group.start_soon(produce)
        try:
            yield receiving
        except ClientDisconnect as error:
            left = error  # said once the task has ended, and not as a group: hosts tell it from errors by its class
        task_group.cancel_scope.cancel()
    if left is not None:
        raise left


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
