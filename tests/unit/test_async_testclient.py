"""The asynchronous test client: the application runs in the event loop of the test."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from forzium import BackgroundTasks, FastAPI, Request, WebSocket, WebSocketDisconnect, WebSocketException
from forzium.responses import PlainTextResponse, StreamingResponse
from forzium.testclient import AsyncTestClient, TestClient, WebSocketDenialResponse

pytestmark = pytest.mark.anyio
caller: contextvars.ContextVar[str] = contextvars.ContextVar("caller", default="nobody")


def application(log: list[Any]) -> FastAPI:
    """An application that notes what happens to it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        log.append("start")
        yield {"made in": anyio.get_current_task().id}
        log.append("stop")

    app = FastAPI(lifespan=lifespan)

    @app.get("/")
    async def root(request: Request, background: BackgroundTasks) -> Any:
        background.add_task(log.append, "background")
        return {"agent": request.headers["user-agent"], "cookies": request.cookies, "caller": caller.get()}

    @app.post("/body")
    async def body(request: Request) -> list[str]:
        return [chunk.decode() async for chunk in request.stream()]

    @app.get("/endless")
    async def endless() -> StreamingResponse:
        async def chunks() -> AsyncIterator[bytes]:
            try:
                for number in range(1_000_000):
                    log.append(number)
                    yield b"%d\n" % number
            finally:
                log.append("left")

        return StreamingResponse(chunks())

    @app.get("/broken")
    async def broken() -> None:
        raise LookupError("in the endpoint")

    @app.websocket("/echo")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept("tea", [(b"x-kind", b"echo")])
        try:
            async for text in websocket.iter_text():
                await websocket.send_json({"text": text, "caller": caller.get()})
        finally:
            await anyio.sleep(0)
            log.append("closed")

    @app.websocket("/refused")
    async def refused(websocket: WebSocket) -> None:
        raise WebSocketException(4001, "not today")

    @app.websocket("/denied")
    async def denied(websocket: WebSocket) -> None:
        await websocket.send_denial_response(PlainTextResponse("no tea", 418))

    @app.websocket("/sends")
    async def sends(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.send_text("x")
        except WebSocketDisconnect as left:
            log.append(left.code)

    @app.websocket("/fails")
    async def fails(websocket: WebSocket) -> None:
        await websocket.accept()
        raise LookupError("in the endpoint")

    return app


async def test_it_answers_as_the_synchronous_client_does() -> None:
    log: list[Any] = []
    app = application(log)
    with TestClient(app, cookies={"a": "b"}) as synchronous:
        wanted = [synchronous.get("/"), synchronous.get("/nowhere"), synchronous.post("/body", content=b"x" * 9)]
    async with AsyncTestClient(app, cookies={"a": "b"}) as client:
        found = [await client.get("/"), await client.get("/nowhere"), await client.post("/body", content=b"x" * 9)]
    assert log == ["start", "background", "stop"] * 2
    for their, our in zip(wanted, found, strict=True):
        assert (our.status_code, our.headers, our.content) == (their.status_code, their.headers, their.content)


async def test_the_application_shares_loop_and_context_with_the_test() -> None:
    seen: list[Any] = []
    asked, event = anyio.Event(), anyio.Event()
    app = FastAPI()

    @app.get("/")
    async def root() -> str:
        seen.append(caller.get())
        asked.set()
        await event.wait()
        return "done"

    caller.set("the test")
    async with AsyncTestClient(app) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(client.get, "/")
        await asked.wait()
        event.set()
    assert seen == ["the test"]


@pytest.mark.filterwarnings("ignore:Async generator 'httpx2:ResourceWarning")  # trio, of httpx's own
async def test_a_chunk_is_there_before_the_next_one_is_made() -> None:
    log: list[Any] = []
    client = AsyncTestClient(application(log))
    async with client.stream("GET", "/endless") as response:
        lines = response.aiter_lines()
        assert [await anext(lines) for _ in range(3)] == ["0", "1", "2"]
        assert log[-1] <= 3
    assert log[-1] == "left"


async def test_a_body_is_read_while_it_is_written() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in ("a", "b", "c"):
            yield piece.encode()

    response = await AsyncTestClient(application([])).post("/body", content=pieces())
    assert [piece for piece in response.json() if piece] == ["a", "b", "c"]


async def test_an_error_of_the_application_is_raised_or_shown() -> None:
    app = application([])
    with pytest.raises(LookupError, match="in the endpoint"):
        await AsyncTestClient(app).get("/broken")
    response = await AsyncTestClient(app, raise_server_exceptions=False).get("/broken")
    assert (response.status_code, response.text) == (500, "Internal Server Error")


async def test_a_test_that_gives_up_cancels_the_application() -> None:
    left = anyio.Event()
    app = FastAPI()

    @app.get("/")
    async def root() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            left.set()

    client = AsyncTestClient(app)
    with anyio.move_on_after(0.01) as scope:
        await client.get("/")
    assert scope.cancelled_caught
    await left.wait()


async def test_a_websocket_is_spoken_with() -> None:
    log: list[Any] = []
    caller.set("the test")
    async with AsyncTestClient(application(log)) as client:
        async with client.websocket_connect("/echo", ["coffee", "tea"]) as socket:
            assert (socket.accepted_subprotocol, socket.extra_headers) == ("tea", [(b"x-kind", b"echo")])
            assert socket.scope["subprotocols"] == ["coffee", "tea"]
            await socket.send_text("one")
            assert await socket.receive_json() == {"text": "one", "caller": "the test"}
        assert log == ["start", "closed"]
        async with client.websocket_connect("/sends") as socket:
            assert await socket.receive_text() == "x"
        assert log[-1] == 1006


async def test_what_becomes_of_a_websocket_that_is_not_accepted_or_breaks() -> None:
    client = AsyncTestClient(application([]))
    with pytest.raises(WebSocketDisconnect) as refused:
        async with client.websocket_connect("/refused"):
            pass
    assert (refused.value.code, refused.value.reason) == (4001, "not today")
    with pytest.raises(WebSocketDenialResponse) as denied:
        async with client.websocket_connect("/denied"):
            pass
    assert (denied.value.status_code, denied.value.text) == (418, "no tea")
    with pytest.raises(LookupError, match="in the endpoint"):
        async with client.websocket_connect("/fails") as socket:
            await socket.receive_text()


@pytest.mark.parametrize("when", ["start-up", "shutdown"])
async def test_a_lifespan_that_fails_is_raised(when: str) -> None:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if when == "start-up":
            raise LookupError(when)
        yield
        raise LookupError(when)

    entered = []
    with pytest.raises(LookupError, match=when):
        async with AsyncTestClient(FastAPI(lifespan=lifespan)):
            entered.append(when)
    assert entered == ([] if when == "start-up" else [when])


def test_it_may_be_entered_and_left_in_different_tasks() -> None:
    log: list[Any] = []

    async def run() -> None:
        client = AsyncTestClient(application(log))
        await asyncio.create_task(client.__aenter__())
        assert (await asyncio.create_task(client.get("/"))).status_code == 200
        await asyncio.create_task(client.__aexit__())

    asyncio.run(run())
    assert log == ["start", "background", "stop"]
