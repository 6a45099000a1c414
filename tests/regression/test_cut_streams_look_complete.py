"""A stream behind an http middleware whose task was cancelled ended with an empty chunk, as if it were whole."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from conformance.harness import Framework, frameworks


async def messages_until_cut(fw: Framework, middlewares: int, spec_version: str) -> list[Any]:
    """What is sent of a response whose task is cancelled after its first chunk."""
    app = fw.FastAPI()
    for _ in range(middlewares):

        @app.middleware("http")
        async def pass_on(request: Any, call_next: Any) -> Any:
            return await call_next(request)

    waiting = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"first"
        waiting.set()
        await asyncio.Event().wait()

    @app.get("/")
    async def stream() -> Any:
        return fw.responses.StreamingResponse(chunks())

    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append((message["type"], message.get("body"), message.get("more_body")))

    scope = {"type": "http", "asgi": {"version": "3.0", "spec_version": spec_version}, "http_version": "1.1"}
    scope |= {"method": "GET", "path": "/", "raw_path": b"/", "query_string": b"", "headers": [], "root_path": ""}
    request = asyncio.ensure_future(app(scope, receive, send))
    await waiting.wait()
    for _ in range(3):
        await asyncio.sleep(0)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    return sent


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
@pytest.mark.parametrize("middlewares", [0, 1, 2])
def test_no_end_is_sent_of_a_stream_that_is_cut(middlewares: int, spec_version: str) -> None:
    theirs, ours = (asyncio.run(messages_until_cut(fw, middlewares, spec_version)) for fw in frameworks())
    assert ours == theirs
    assert ours == [("http.response.start", None, None), ("http.response.body", b"first", True)]
