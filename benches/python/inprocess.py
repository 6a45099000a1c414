"""Requests made by calling an ASGI application, without a socket.

A request is a scope as uvicorn makes it, a `receive` that gives the body once and then waits like a client that stays
for the answer, and a `send` that drops the message. All that is made before the clock starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from apps.scenarios import Scenario

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Prepared = tuple[dict[str, Any], Receive, Send]


def scope_of(scenario: Scenario) -> dict[str, Any]:
    """The scope that uvicorn would hand over."""
    path, _, query = scenario.target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000),
        "scheme": "http",
        "root_path": "",
        "headers": scenario.all_headers(),
        "state": {},
        "method": scenario.method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
    }


def _host(body: bytes) -> tuple[Receive, Send]:
    """A `receive` and a `send` that drops the message; the client goes away once the whole answer is sent."""
    given = False
    done: asyncio.Future[None] | None = None
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal given, done
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        if not sent:
            done = asyncio.get_running_loop().create_future()
            await done
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        nonlocal sent
        if message["type"] == "http.response.body" and not message.get("more_body"):
            sent = True
            if done is not None and not done.done():
                done.set_result(None)

    return receive, send


async def _drop(message: Any) -> None:
    pass


def prepare(scenario: Scenario, count: int) -> list[Prepared]:
    """`count` requests, ready to be made. Only a streaming answer needs a host that notices its end."""
    scope = scope_of(scenario)
    prepared = []
    for _ in range(count):
        receive, send = _host(scenario.body)
        own = {**scope, "headers": list(scope["headers"]), "state": {}}
        prepared.append((own, receive, send if scenario.streams else _drop))
    return prepared


async def timed(app: Any, scenario: Scenario, count: int) -> float:
    """Make `count` requests, `scenario.in_flight` at a time: microseconds a request."""
    prepared = prepare(scenario, count)
    width = scenario.in_flight
    # What waits to be asked is no part of a request: the collector leaves it alone, and nothing of a request that is
    # over is kept, as in a server.
    gc.collect()
    gc.freeze()
    try:
        if width > 1:
            return await _timed_together(app, prepared, width)
        start = time.perf_counter_ns()
        while prepared:
            await app(*prepared.pop())
        return (time.perf_counter_ns() - start) / count / 1_000
    finally:
        gc.unfreeze()


async def _timed_together(app: Any, prepared: list[Prepared], width: int) -> float:
    count = len(prepared)

    async def one(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        await app(scope, receive, send)

    start = time.perf_counter_ns()
    while prepared:
        batch = [one(*prepared.pop()) for _ in range(min(width, len(prepared)))]
        await asyncio.gather(*batch)
    return (time.perf_counter_ns() - start) / count / 1_000


async def answer(app: Any, scenario: Scenario) -> tuple[int, bytes]:
    """Make one request and read the answer."""
    status, body = 0, b""

    async def record(message: dict[str, Any]) -> None:
        nonlocal status, body
        if message["type"] == "http.response.start":
            status = message["status"]
        elif message["type"] == "http.response.body":
            body += message.get("body", b"")
        await send(message)

    [(scope, receive, send)] = prepare(scenario, 1)
    await app(scope, receive, record)
    return status, body


@contextlib.asynccontextmanager
async def started(app: Any) -> AsyncIterator[Any]:
    """The application between its start-up and its shutdown. One without a lifespan is given as it is."""
    inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    outbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def live() -> None:
        with contextlib.suppress(Exception):  # ASGI: an application may refuse the lifespan protocol by raising
            await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, inbox.get, outbox.put)

    task = asyncio.create_task(live())
    inbox.put_nowait({"type": "lifespan.startup"})
    reply = asyncio.create_task(outbox.get())
    await asyncio.wait({task, reply}, return_when=asyncio.FIRST_COMPLETED)
    reply.cancel()
    try:
        yield app
    finally:
        inbox.put_nowait({"type": "lifespan.shutdown"})
        await asyncio.wait({task}, timeout=5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
