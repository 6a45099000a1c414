"""Dependencies that hold a resource for which threads wait cannot dead-lock the pool of threads.

Every request asks for one of a few connections, so that soon all threads wait for one; those that have a connection then
come to a thread all the same, one at a time. Were it otherwise, each of these tests would end at a deadline.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from anyio.lowlevel import checkpoint
from pydantic import BaseModel, ConfigDict

from forzium import APIRouter, BackgroundTasks, Depends, FastAPI, Request, WebSocket
from forzium.concurrency import run_in_threadpool
from forzium.responses import FileResponse, StreamingResponse
from forzium.routing import APIRoute

from .asgi import Host, http_scope, websocket_scope

pytestmark = pytest.mark.anyio
_DEADLINE = 15.0  # seconds; nothing here takes one


class Pool:
    """Connections of which there are only a few. Who wants one and finds none waits, in his thread."""

    def __init__(self, size: int = 2) -> None:
        self.connections = threading.Semaphore(size)
        self.lock = threading.Lock()
        self.waiting = 0
        self.was_crowded = False

    def take(self) -> None:
        if self.connections.acquire(blocking=False):
            return
        with self.lock:
            self.waiting += 1
        taken = self.connections.acquire(timeout=_DEADLINE)
        with self.lock:
            self.waiting -= 1
        assert taken, "dead-locked"

    def give_back(self) -> None:
        self.connections.release()

    def dependency(self) -> Iterator[int]:
        self.take()
        try:
            yield 1
        finally:
            self.give_back()

    async def awaited_dependency(self) -> AsyncIterator[int]:
        await run_in_threadpool(self.take)
        try:
            yield 1
        finally:
            await run_in_threadpool(self.give_back)

    async def crowded(self) -> None:
        """Wait until every thread that the limit allows waits for a connection, the first time."""
        while not self.was_crowded:
            self.was_crowded = self.waiting >= anyio.to_thread.current_default_thread_limiter().total_tokens
            await checkpoint()


@contextmanager
def limited_to(threads: int) -> Iterator[anyio.CapacityLimiter]:
    limiter = anyio.to_thread.current_default_thread_limiter()
    before, limiter.total_tokens = limiter.total_tokens, threads
    try:
        yield limiter
    finally:
        limiter.total_tokens = before


async def ask(app: Any, path: str = "/", *, websocket: bool = False) -> tuple[Any, bytes]:
    """The status and the body; of a WebSocket the type of the last message, and all texts."""
    if websocket:
        host = Host(incoming=[{"type": "websocket.connect"}])
        await app(websocket_scope(path), host.receive, host.send)
        return host.sent[-1]["type"], "".join(message.get("text", "") for message in host.sent).encode()
    host = Host()
    await app(http_scope(path), anyio.sleep_forever, host.send)  # a client that stays
    return host.status, host.body


async def ask_often(app: Any, times: int, *paths: str) -> set[tuple[Any, bytes]]:
    """Make many requests at once. The different answers."""
    answers: set[tuple[Any, bytes]] = set()

    async def one(path: str) -> None:
        answers.add(await ask(app, path))

    with anyio.fail_after(_DEADLINE):
        async with anyio.create_task_group() as group:
            for _ in range(times):
                for path in paths or ("/",):
                    group.start_soon(one, path)
    return answers


@pytest.mark.parametrize("threads", [1, 2, 40])
@pytest.mark.parametrize("awaited", [False, True], ids=["plain", "awaited"])
async def test_who_holds_what_all_threads_wait_for_is_served(threads: int, awaited: bool) -> None:
    app, pool = FastAPI(), Pool()

    @app.get("/")
    def endpoint(connection: int = Depends(pool.awaited_dependency if awaited else pool.dependency)) -> int:
        return connection

    with limited_to(threads) as limiter:
        assert await ask_often(app, threads + 10) == {(200, b"1")}
        assert limiter.borrowed_tokens == 0


@pytest.mark.parametrize("threads", [1, 2, 5])
async def test_routes_may_take_several_resources_each_its_own_way_through_the_same_order(threads: int) -> None:
    app = FastAPI()
    first, second, third = Pool(), Pool(1), Pool(2)

    def by_way_of(path: str, *pools: Pool) -> None:
        @app.get(path, dependencies=[Depends(pool.dependency) for pool in pools])
        def endpoint() -> int:
            return 1

    by_way_of("/1", first)
    by_way_of("/12", first, second)
    by_way_of("/123", first, second, third)
    by_way_of("/2", second)
    by_way_of("/23", second, third)
    by_way_of("/3", third)

    # What is taken in a call, for its duration: in the order, too.
    @app.get("/13", dependencies=[Depends(first.dependency)])
    def endpoint() -> int:
        third.take()
        third.give_back()
        return 1

    with limited_to(threads):
        answers = await ask_often(app, threads + 5, "/123", "/12", "/23", "/13", "/1", "/2", "/3")
    assert answers == {(200, b"1")}


class Row(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    number: int


class Stored:
    number = 1


def add_plain(app: FastAPI, connected: Any, path: Path) -> None:
    @app.get("/", dependencies=[connected])
    def endpoint() -> int:
        return 1


def add_plain_dependency(app: FastAPI, connected: Any, path: Path) -> None:
    def plain(_: Any = connected) -> int:
        return 1

    @app.get("/")
    async def endpoint(value: int = Depends(plain)) -> int:
        return value


def add_threadpool(app: FastAPI, connected: Any, path: Path) -> None:
    @app.get("/", dependencies=[connected])
    async def endpoint() -> int:
        return await run_in_threadpool(lambda: 1)


def add_threadpool_in_a_task(app: FastAPI, connected: Any, path: Path) -> None:
    @app.get("/", dependencies=[connected])
    async def endpoint() -> int:
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(run_in_threadpool, int)
        return 1


def add_threadpool_in_another_application(app: FastAPI, connected: Any, path: Path) -> None:
    inner = FastAPI()

    async def held() -> AsyncIterator[int]:
        yield 1

    @inner.get("/", dependencies=[Depends(held)])
    async def nothing() -> None: ...

    @app.get("/", dependencies=[connected])
    async def endpoint() -> int:
        await ask(inner)
        return await run_in_threadpool(lambda: 1)


def add_stream(app: FastAPI, connected: Any, path: Path) -> None:
    @app.get("/", dependencies=[connected])
    async def endpoint() -> StreamingResponse:
        return StreamingResponse(iter([b"", b"", b"1"]))


def add_streaming_endpoint(app: FastAPI, connected: Any, path: Path) -> None:
    @app.get("/", dependencies=[connected], response_class=StreamingResponse)
    def endpoint() -> Iterator[bytes]:
        yield b""
        yield b"1"


def add_file(app: FastAPI, connected: Any, path: Path) -> None:
    (path / "one").write_bytes(b"1")

    @app.get("/", dependencies=[connected])
    async def endpoint() -> FileResponse:
        return FileResponse(path / "one")


def add_background_task(app: FastAPI, connected: Any, path: Path) -> None:
    @app.get("/", dependencies=[connected])
    async def endpoint(tasks: BackgroundTasks) -> int:
        tasks.add_task(lambda: None)
        return 1


def add_validation(app: FastAPI, connected: Any, path: Path) -> None:
    @app.get("/", dependencies=[connected], response_model=Row)
    def endpoint() -> Stored:
        return Stored()


def add_clean_up(app: FastAPI, connected: Any, path: Path) -> None:
    def after(_: Any = connected) -> Iterator[None]:
        yield

    @app.get("/", dependencies=[Depends(after)])
    async def endpoint() -> int:
        return 1


def add_route_class(app: FastAPI, connected: Any, path: Path) -> None:
    class Own(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Any]:
            handler = super().get_route_handler()

            async def handle(request: Request) -> Any:
                return await handler(request)

            return handle

    router = APIRouter(route_class=Own)
    add_plain(router, connected, path)  # type: ignore[arg-type]
    app.include_router(router)


CONTINUATIONS = [value for name, value in list(globals().items()) if name.startswith("add_")]


@pytest.mark.parametrize("awaited", [False, True], ids=["plain", "awaited"])
@pytest.mark.parametrize("add", CONTINUATIONS)
async def test_whatever_a_holder_needs_a_thread_for(add: Any, awaited: bool, tmp_path: Path) -> None:
    app, pool = FastAPI(), Pool()

    async def crowd(_: Any = Depends(pool.awaited_dependency if awaited else pool.dependency)) -> None:
        await pool.crowded()

    add(app, Depends(crowd), tmp_path)
    with limited_to(3) as limiter:
        answers = await ask_often(app, 10)
        assert {(status, body.strip(b'{}"number:')) for status, body in answers} == {(200, b"1")}
        assert pool.was_crowded
        assert limiter.borrowed_tokens == 0


async def test_a_websocket_that_holds_something_comes_to_a_thread() -> None:
    app, pool = FastAPI(), Pool()

    @app.websocket("/", dependencies=[Depends(pool.dependency)])
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        await pool.crowded()
        for _ in range(20):
            await websocket.send_text(await run_in_threadpool(lambda: "."))
        await websocket.close()

    answers: list[Any] = []

    async def one() -> None:
        answers.append(await ask(app, websocket=True))

    with limited_to(2), anyio.fail_after(_DEADLINE):
        async with anyio.create_task_group() as group:
            for _ in range(6):
                group.start_soon(one)
    assert answers == [("websocket.close", b"." * 20)] * 6


@dataclass
class Counted:
    """How many threads are in a function at once, at most."""

    running: int = 0
    most: int = 0

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.go = threading.Event()

    def __call__(self) -> None:
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        assert self.go.wait(_DEADLINE)
        with self.lock:
            self.running -= 1


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(_DEADLINE):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in threads
            await checkpoint()


@pytest.mark.parametrize("holds", [False, True])
async def test_the_limit_is_exceeded_by_one_call_of_each_step_that_holds_something_and_by_no_other(holds: bool) -> None:
    app, work = FastAPI(), Counted()

    def nothing() -> Iterator[None]:
        yield

    async def nothing_held() -> None: ...

    for path in ("/a", "/b"):

        @app.get(path, dependencies=[Depends(nothing if holds else nothing_held)])
        def endpoint() -> int:
            work()
            return 1

    with limited_to(3):
        async with anyio.create_task_group() as group:
            for path in ["/a", "/b"] * 5:
                group.start_soon(ask, app, path)
            await until(lambda: work.running == (5 if holds else 3))
            for _ in range(100):
                await checkpoint()
            work.go.set()
    assert work.most == (5 if holds else 3)


async def test_who_is_cancelled_while_he_waits_leaves_the_way_to_the_others() -> None:
    app, pool, work = FastAPI(), Pool(3), Counted()
    ended = 0

    @app.get("/")
    async def endpoint(connection: int = Depends(pool.dependency)) -> None:
        await pool.crowded()
        await run_in_threadpool(work)

    async def one() -> None:
        nonlocal ended
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await ask(app)
        ended += 1

    scopes: list[anyio.CancelScope] = []
    with limited_to(2) as limiter:
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(one)
            # One of those that hold a connection is in its thread, two wait for it; two wait for a connection in theirs,
            # and three for a thread. Only the first is waited for.
            await until(lambda: pool.was_crowded and work.running == 1)
            for scope in scopes:
                scope.cancel()
            await until(lambda: ended >= 5 and pool.waiting == 0)
            work.go.set()
        assert ended == 8
        assert limiter.borrowed_tokens == 0
        assert await ask_often(app, 8) == {(200, b"null")}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_who_asyncio_cancels_while_he_waits_leaves_the_way_to_the_others(anyio_backend: str) -> None:
    app, pool = FastAPI(), Pool(1)

    @app.get("/")
    def endpoint(connection: int = Depends(pool.dependency)) -> int:
        return connection

    pool.take()
    with limited_to(2):
        tasks = [asyncio.ensure_future(ask(app)) for _ in range(6)]
        await until(lambda: pool.waiting == 2)
        for task in tasks[:4]:
            task.cancel()
        await asyncio.wait(tasks[:4])
        pool.give_back()
        with anyio.fail_after(_DEADLINE):
            assert await asyncio.gather(*tasks[4:]) == [(200, b"1")] * 2
    assert all(task.cancelled() for task in tasks[:4])


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_event_loops_may_share_what_their_threads_wait_for(anyio_backend: str) -> None:
    app, pool = FastAPI(), Pool()
    answers: list[set[tuple[Any, bytes]]] = []

    @app.get("/")
    def endpoint(connection: int = Depends(pool.dependency)) -> int:
        return connection

    async def serve() -> None:
        with limited_to(2):
            answers.append(await ask_often(app, 20))

    loops = [
        threading.Thread(target=anyio.run, args=(serve,), kwargs={"backend": name}) for name in ("asyncio", "trio")
    ]
    loops.append(threading.Thread(target=anyio.run, args=(serve,)))
    for loop in loops:
        loop.start()
    await anyio.to_thread.run_sync(lambda: [loop.join() for loop in loops])
    assert answers == [{(200, b"1")}] * 3
