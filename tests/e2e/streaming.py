"""An application of endless streams that counts what it has produced. Uvicorn imports it: ``streaming:app``."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator

import anyio

from forzium import FastAPI
from forzium.responses import EventSourceResponse, StreamingResponse

CHUNK = 64 * 1024
app = FastAPI()
produced: dict[str, int] = {}
closed: set[str] = set()


def _sync(name: str, size: int) -> Iterator[str]:
    produced[name] = 0
    try:
        while True:
            produced[name] += 1
            yield "x" * size
    finally:
        closed.add(name)


async def _async(name: str, size: int) -> AsyncIterator[str]:
    produced[name] = 0
    try:
        while True:
            produced[name] += 1
            yield "x" * size
    finally:
        closed.add(name)


@app.get("/sync-lines")
def sync_lines() -> Iterator[str]:
    yield from _sync("sync-lines", CHUNK)


@app.get("/async-lines")
async def async_lines() -> AsyncIterator[str]:
    async for text in _async("async-lines", CHUNK):
        yield text


@app.get("/events", response_class=EventSourceResponse)
async def events() -> AsyncIterator[str]:
    async for text in _async("events", CHUNK):
        yield text


@app.get("/raw", response_class=StreamingResponse)
async def raw() -> AsyncIterator[str]:
    async for text in _async("raw", CHUNK):
        yield text


@app.get("/returned")
async def returned() -> StreamingResponse:
    return StreamingResponse(_sync("returned", CHUNK))


@app.get("/produced/{name}")
async def read_produced(name: str) -> int:
    """How many chunks there are, once there have been no more for a while."""
    last = -1
    deadline = time.monotonic() + 30
    while produced.get(name, -1) != last or last < 1:
        assert time.monotonic() < deadline
        last = produced.get(name, -1)
        await anyio.sleep(0.2)
    return last


@app.get("/closed/{name}")
def wait_until_closed(name: str) -> bool:
    """Whether the generator has ended, soon."""
    deadline = time.monotonic() + 30
    while name not in closed and time.monotonic() < deadline:
        time.sleep(0.02)
    return name in closed
