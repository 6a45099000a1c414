"""Streams while they are sent: who notices that the client has left, and what becomes of the source."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from conformance.harness import Framework, frameworks

from .asgi import Message, http_scope

Source = Callable[["Exchange"], AsyncIterator[Any]]


class Exchange:
    """One request for a stream, and a log of what happened."""

    def __init__(self, spec_version: str = "2.3") -> None:
        self.scope = http_scope(asgi={"version": "3.0", "spec_version": spec_version})
        self.log: list[Any] = []
        self.left = anyio.Event()
        self.fails_to_receive: Exception | None = None

    async def receive(self) -> Message:
        await self.left.wait()
        if self.fails_to_receive:
            raise self.fails_to_receive
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self.scope["asgi"]["spec_version"] != "2.3" and self.left.is_set():
            raise OSError("the client has left")
        self.log.append(message.get("body", message["type"]))

    async def run(self, fw: Framework, source: Source) -> list[Any]:
        app = fw.FastAPI(openapi_url=None)

        async def task() -> None:
            self.log.append("background")

        @app.get("/")
        async def endpoint() -> Any:
            tasks = fw.BackgroundTasks()
            tasks.add_task(task)
            return fw.responses.StreamingResponse(source(self), background=tasks)

        try:
            with anyio.fail_after(10):
                await app(self.scope, self.receive, self.send)
        except Exception as error:
            self.log.append(repr(error))
        return self.log


async def leaves_while_waiting(exchange: Exchange) -> AsyncIterator[bytes]:
    try:
        yield b"1"
        yield b"2"
        exchange.left.set()
        await anyio.sleep_forever()
    except anyio.get_cancelled_exc_class():
        exchange.log.append("cancelled")
        raise
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.lowlevel.checkpoint()
            exchange.log.append("cleaned up")


async def swallows_the_cancellation(exchange: Exchange) -> AsyncIterator[bytes]:
    yield b"1"
    exchange.left.set()
    try:
        await anyio.sleep_forever()
    except anyio.get_cancelled_exc_class():
        exchange.log.append("cancelled")
    await anyio.lowlevel.checkpoint()
    exchange.log.append("went on")
    yield b"2"


async def holds_scopes_across_chunks(exchange: Exchange) -> AsyncIterator[bytes]:
    with anyio.fail_after(10):
        yield b"1"
        with anyio.move_on_after(0.001):
            await anyio.sleep_forever()
        yield b"2"
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 0)
            yield b"3"
        await anyio.lowlevel.checkpoint()
    yield "é"


async def fails_at_once(exchange: Exchange) -> AsyncIterator[bytes]:
    yield b"1"
    raise LookupError("the source")


async def fails_after_waiting(exchange: Exchange) -> AsyncIterator[bytes]:
    await anyio.sleep(0)
    yield b"1"
    await anyio.sleep(0)
    raise LookupError("the source")


async def gives_what_is_no_chunk(exchange: Exchange) -> AsyncIterator[Any]:
    yield memoryview(b"1")
    yield 2


SOURCES = [
    leaves_while_waiting,
    swallows_the_cancellation,
    holds_scopes_across_chunks,
    fails_at_once,
    fails_after_waiting,
    gives_what_is_no_chunk,
]


@pytest.mark.anyio
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.__name__)
async def test_a_source_fares_as_with_fastapi(source: Source) -> None:
    oracle, ours = [await Exchange().run(fw, source) for fw in frameworks()]
    assert ours == oracle


@pytest.mark.anyio
async def test_what_receive_raises_ends_the_stream_as_with_fastapi() -> None:
    outcomes = []
    for fw in frameworks():
        exchange = Exchange()
        exchange.fails_to_receive = ZeroDivisionError("the host")
        outcomes.append(await exchange.run(fw, leaves_while_waiting))
    assert outcomes[1] == outcomes[0]


@pytest.mark.anyio
async def test_an_error_of_send_says_that_the_client_has_left_and_the_source_is_closed() -> None:
    async def source(exchange: Exchange) -> AsyncIterator[bytes]:
        try:
            yield b"1"
            exchange.left.set()
            yield b"2"
        finally:
            await anyio.lowlevel.checkpoint()
            exchange.log.append("closed")

    assert await Exchange("2.4").run(frameworks()[1], source) == ["http.response.start", b"1", "closed"]


@pytest.mark.anyio
async def test_nobody_listens_for_the_clients_leaving_while_nothing_waits() -> None:
    async def source(exchange: Exchange) -> AsyncIterator[bytes]:
        exchange.left.set()
        yield b"1"
        yield b"2"

    class Silent(Exchange):
        async def receive(self) -> Message:
            raise AssertionError("received")

    log = await Silent().run(frameworks()[1], source)
    assert log == ["http.response.start", b"1", b"2", b"", "background"]
