"""Testing with coroutines: the application runs in the event loop of the test."""

import pytest

from forzium import FastAPI, WebSocket

pytest_plugins = ["forzium.pytest_plugin"]


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()

    @app.get("/")
    async def root() -> str:
        return "tea"

    @app.websocket("/echo")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)

    return app


def test_in_a_thread_of_its_own(client) -> None:
    assert client.get("/").json() == "tea"


@pytest.mark.anyio
async def test_in_this_loop(async_client) -> None:
    assert (await async_client.get("/")).json() == "tea"
    async with async_client.websocket_connect("/echo") as socket:
        await socket.send_text("hello")
        assert await socket.receive_text() == "hello"
