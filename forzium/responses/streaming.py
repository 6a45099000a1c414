"""Responses whose body is produced while it is sent: streams, and the marker of server-sent events.

Stands on ``base`` beside it, on ``concurrency``, and on ``requests`` for ``ClientDisconnect`` alone.

Not for: endpoints that ``yield``; ``forzium._streams`` makes these responses for them.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from functools import lru_cache, partial
from types import AsyncGeneratorType
from typing import TYPE_CHECKING

from anyio import CancelScope

from forzium._utils import create_collapsing_task_group
from forzium.concurrency import iterate_in_threadpool
from forzium.requests import ClientDisconnect
from forzium.responses.base import Response, has_no_content, require_status, with_length

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from forzium.background import BackgroundTask
    from forzium.types import Message, Receive, Scope, Send

Content = str | bytes | memoryview
SyncContentStream = Iterable[Content]
AsyncContentStream = AsyncIterable[Content]
ContentStream = AsyncContentStream | SyncContentStream

_PING_INTERVAL: float = 15.0  # seconds of silence before a keep-alive, as WHATWG HTML, 9.2.7, recommends
_BYTES = (bytes, memoryview)


class StreamingResponse(Response):
    """A response whose body is produced while it is sent.

    Args:
        content: An async iterable, or a plain one (iterated in worker threads), of text or bytes.
        status_code: A three-digit status. Default is 200.
        headers: Headers to send. Default is none.
        media_type: Value of ``content-type``. Default is the class's.
        background: A task to run after the response was sent. Default is none.

    Each chunk is one message, and the next chunk is asked for when it was sent: a slow client slows the iterable down.
    When sending fails or is cancelled, an async generator is closed at once. With a status that has no content (1xx,
    204, 304) it is closed without being asked for any.

    Raises:
        ClientDisconnect: (on sending) the server reports by ``OSError`` that the client has left.
    """

    body_iterator: AsyncContentStream

    def __init__(
        self,
        content: ContentStream,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: BackgroundTask | None = None,
    ) -> None:
        is_async = type(content) is AsyncGeneratorType or isinstance(content, AsyncIterable)
        self.body_iterator = content if is_async else iterate_in_threadpool(content)  # type: ignore[assignment, arg-type]
        self.status_code = status_code
        self.media_type = self.media_type if media_type is None else media_type
        self.background = background
        self.init_headers(headers)

    async def listen_for_disconnect(self, receive: Receive) -> None:
        """Return when the client has left."""
        while (await receive())["type"] != "http.disconnect":
            pass

    async def stream_response(self, send: Send) -> None:
        """Send start, chunks and end. Safe to cancel at every chunk.

        Raises:
            ClientDisconnect: ``send`` raised ``OSError``; one that the iterable raises stays what it is.
        """
        require_status(self.status_code)
        if has_no_content(self.status_code):
            await self._send_without_content(send)
            return
        headers, charset, iterator = self.raw_headers, self.charset, self.body_iterator
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        except OSError:
            raise ClientDisconnect
        try:
            async for chunk in iterator:
                body = chunk if isinstance(chunk, _BYTES) else chunk.encode(charset)
                try:
                    await send({"type": "http.response.body", "body": body, "more_body": True})
                except OSError:
                    raise ClientDisconnect
        except GeneratorExit:
            raise  # this coroutine is being thrown away: nothing may be awaited any more
        except BaseException:
            if (close := getattr(iterator, "aclose", None)) is not None:
                await close()
            raise
        try:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except OSError:
            raise ClientDisconnect

    async def _send_without_content(self, send: Send) -> None:
        headers = self.raw_headers if self.status_code == 304 else with_length(self.raw_headers, None)
        if (close := getattr(self.body_iterator, "aclose", None)) is not None:
            await close()
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except OSError:
            raise ClientDisconnect

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if type(self).stream_response is not StreamingResponse.stream_response:
            send = raising_client_disconnect(send)
        if scope["type"] == "websocket":
            await self.stream_response(self._wrap_websocket_denial_send(send))
        elif send_reports_disconnects(scope):
            await self.stream_response(send)
        else:
            async with create_collapsing_task_group() as task_group:

                async def finish_with(step: Callable[[], Awaitable[None]]) -> None:
                    await step()
                    task_group.cancel_scope.cancel()

                task_group.start_soon(finish_with, partial(self.stream_response, send))
                await finish_with(partial(self.listen_for_disconnect, receive))
        if self.background is not None:
            await self.background()


def send_reports_disconnects(scope: Scope) -> bool:
    """Whether ``send`` raises ``OSError`` once the client has left. Source: ASGI HTTP spec, 2.4."""
    return _at_least_2_4(scope.get("asgi", {}).get("spec_version", "2.0"))


def watch_for_disconnect(task_group: TaskGroup, receive: Receive) -> CancelScope:
    """Begin to listen, in a task of the group, for the client's leaving, which cancels the group.

    For the core, which drives the stream itself.

    Returns:
        The scope of the task: cancelling it ends the listening.
    """
    scope = CancelScope()

    async def listen() -> None:
        with scope:
            while (await receive())["type"] != "http.disconnect":
                pass
            task_group.cancel_scope.cancel()

    task_group.start_soon(listen)
    return scope


def raising_client_disconnect(send: Send) -> Send:
    """Tell a client that left from an error of the content's source: both may be ``OSError`` otherwise."""

    async def guarded(message: Message) -> None:
        try:
            await send(message)
        except OSError:
            raise ClientDisconnect

    return guarded


@lru_cache(maxsize=16)
def _at_least_2_4(spec_version: str) -> bool:
    return tuple(map(int, spec_version.split("."))) >= (2, 4)


class EventSourceResponse(StreamingResponse):
    """Marks an endpoint that yields as a source of server-sent events (``response_class=EventSourceResponse``).

    Works with every method. Returned from an endpoint by hand it is a `StreamingResponse` of ``text/event-stream``, to
    be fed with events already written (`forzium.sse.format_sse_event`).
    """

    media_type = "text/event-stream"
