"""Endpoints that yield, where forzium takes more care than FastAPI."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest

from forzium import FastAPI
from forzium._streams import Kind, stream_response
from forzium.requests import ClientDisconnect
from forzium.responses import EventSourceResponse, StreamingResponse
from forzium.testclient import TestClient

KINDS: list[Kind] = ["sse", "jsonl", "raw"]
SCOPE = {"type": "http", "method": "GET", "headers": [], "asgi": {"spec_version": "2.4"}}


async def serve(kind: Kind, generator: Any, send: Callable[[Any], Any], *, is_async: bool = True) -> None:
    """Make and send the response, in a request's stack."""
    with anyio.fail_after(10):
        async with AsyncExitStack() as stack:
            response = await stream_response(
                kind=kind,
                generator=generator,
                is_async=is_async,
                item_field=None,
                item_options={},
                response_class=StreamingResponse,
                status_code=None,
                injected=None,
                background=None,
                endpoint_ctx=None,
                request_stack=stack,
            )
            await response(dict(SCOPE), anyio.sleep_forever, send)  # type: ignore[arg-type]


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.anyio
async def test_events_before_an_error_are_delivered_and_the_stream_stays_open_ended(is_async: bool) -> None:
    def sync_endpoint() -> Any:
        yield from (1, 2, 3)
        raise LookupError("after three")

    async def endpoint() -> Any:
        for item in (1, 2, 3):
            yield item
        raise LookupError("after three")

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(ExceptionGroup) as caught:
        await serve("sse", endpoint() if is_async else sync_endpoint(), send, is_async=is_async)
    assert caught.group_contains(LookupError, match="after three")
    assert [message["body"] for message in sent[1:]] == [b"data: 1\n\n", b"data: 2\n\n", b"data: 3\n\n"]
    assert all(message["more_body"] for message in sent[1:])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.anyio
async def test_the_generator_is_closed_when_the_client_leaves(kind: Kind) -> None:
    closed = []

    async def endpoint() -> Any:
        try:
            while True:
                yield "x"
        finally:
            closed.append(True)

    sent = []

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) == 4:
            raise OSError("the client has left")

    with pytest.raises(ClientDisconnect):
        await serve(kind, endpoint(), send)
    assert closed == [True]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.anyio
async def test_a_slow_client_slows_the_generator_down(kind: Kind) -> None:
    made = delivered = ahead = 0

    async def endpoint() -> Any:
        nonlocal made
        while made < 50:
            made += 1
            yield "x"

    async def send(message: Any) -> None:
        nonlocal delivered, ahead
        await anyio.wait_all_tasks_blocked()  # the generator gets all the time it wants
        ahead = max(ahead, made - delivered)
        delivered += message["type"] == "http.response.body"

    await serve(kind, endpoint(), send)
    assert made == 50
    assert ahead <= 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.anyio
async def test_a_generator_that_never_waits_can_be_cancelled(kind: Kind) -> None:
    async def endpoint() -> Any:
        while True:
            yield "x"

    async def send(message: Any) -> None:
        pass

    with anyio.move_on_after(0.02) as scope:
        await serve(kind, endpoint(), send)
    assert scope.cancelled_caught


async def numbers() -> Any:
    yield 1
    yield 2


@pytest.mark.parametrize(
    ("returned", "body"),
    [
        (lambda: [1, 2], "data: 1\n\ndata: 2\n\n"),
        (numbers, "data: 1\n\ndata: 2\n\n"),
        (lambda: EventSourceResponse(["data: by hand\n\n"]), "data: by hand\n\n"),
    ],
)
def test_whatever_can_be_iterated_becomes_events_and_a_response_stays(returned: Callable[[], Any], body: str) -> None:
    """FastAPI iterates the coroutine of an `async def`, an asynchronous iterable and a response, and so breaks off."""
    app = FastAPI()

    @app.get("/async", response_class=EventSourceResponse)
    async def answer() -> Any:
        return returned()

    @app.get("/sync", response_class=EventSourceResponse)
    def sync_answer() -> Any:
        return returned()

    client = TestClient(app)
    for path in ("/async", "/sync"):
        response = client.get(path)
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.text == body
