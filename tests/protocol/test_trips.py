"""Plain functions that follow one another share a trip to a worker thread, and nobody can tell but by the clock."""

from __future__ import annotations

import contextvars
import gc
import threading
import weakref
from typing import Any

import anyio.to_thread
import pytest

from forzium import Depends, FastAPI, HTTPException, Query, Request
from protocol.asgi import Host, http_scope

pytestmark = pytest.mark.anyio
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="outside")


async def exchange(app: Any, path: str) -> tuple[int, bytes]:
    """The status and the body that the application answers."""
    host = Host()
    await app(http_scope(path), host.receive, host.send)
    start, *rest = host.sent
    return start["status"], b"".join(message.get("body", b"") for message in rest)


async def test_consecutive_plain_steps_run_in_one_thread_in_order() -> None:
    app = FastAPI()
    steps: list[tuple[str, int]] = []

    def note(name: str) -> str:
        steps.append((name, threading.get_ident()))
        return name

    def first() -> str:
        return note("first")

    def second(value: str = Depends(first)) -> str:
        return note(f"{value} second")

    @app.get("/")
    def endpoint(value: str = Depends(second), again: str = Depends(first)) -> list[str]:
        return [note(f"{value} endpoint"), again]

    status, body = await exchange(app, "/")
    assert (status, body) == (200, b'["first second endpoint","first"]')
    assert [name for name, _ in steps] == ["first", "first second", "first second endpoint"]
    assert len({ident for _, ident in steps}) == 1
    assert steps[0][1] != threading.get_ident()


async def test_an_awaited_step_between_plain_ones_sees_what_came_before() -> None:
    app = FastAPI()

    def plain() -> list[str]:
        return ["plain"]

    async def awaited(value: list[str] = Depends(plain)) -> list[str]:
        return [*value, "awaited"]

    @app.get("/")
    def endpoint(value: list[str] = Depends(awaited), before: list[str] = Depends(plain)) -> list[str]:
        return [*value, *before]

    assert await exchange(app, "/") == (200, b'["plain","awaited","plain"]')


async def test_what_a_plain_dependency_raises_comes_before_validation_errors() -> None:
    app = FastAPI()
    called: list[str] = []

    def refuses() -> None:
        called.append("refuses")
        raise HTTPException(401, "who are you")

    def never() -> None:
        called.append("never")

    @app.get("/", dependencies=[Depends(refuses), Depends(never)])
    def endpoint(number: int = Query()) -> None:
        called.append("endpoint")

    assert await exchange(app, "/") == (401, b'{"detail":"who are you"}')
    assert called == ["refuses"]


async def test_plain_dependencies_run_although_others_have_validation_errors() -> None:
    app = FastAPI()
    called: list[str] = []

    def runs() -> None:
        called.append("runs")

    @app.get("/", dependencies=[Depends(runs)])
    def endpoint(number: int = Query()) -> None:
        called.append("endpoint")

    status, _ = await exchange(app, "/")
    assert (status, called) == (422, ["runs"])


async def test_each_step_has_a_context_of_its_own_as_if_it_had_gone_alone() -> None:
    app = FastAPI()

    async def sets() -> None:
        variable.set("by an awaited dependency")

    def changes(_: Any = Depends(sets)) -> str:
        before = variable.get()
        variable.set("by a plain dependency")
        return before

    @app.get("/")
    def endpoint(seen: str = Depends(changes)) -> list[str]:
        return [seen, variable.get()]

    assert await exchange(app, "/") == (200, b'["by an awaited dependency","by an awaited dependency"]')


async def test_the_thread_limit_of_anyio_is_honoured() -> None:
    app = FastAPI()
    lock = threading.Lock()
    running = most = 0

    @app.get("/")
    def endpoint() -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.01)
        with lock:
            running -= 1
        return 1

    limiter = anyio.to_thread.current_default_thread_limiter()
    before, limiter.total_tokens = limiter.total_tokens, 2
    try:
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(exchange, app, "/")
    finally:
        limiter.total_tokens = before
    assert most == 2


async def test_a_plain_endpoint_reaches_the_event_loop_through_anyio() -> None:
    import anyio.from_thread

    app = FastAPI()

    async def answer() -> str:
        return "from the loop"

    @app.get("/")
    def endpoint() -> str:
        anyio.from_thread.check_cancelled()
        return anyio.from_thread.run(answer)

    assert await exchange(app, "/") == (200, b'"from the loop"')


async def test_nothing_of_a_request_survives_it_where_many_are_in_flight() -> None:
    app = FastAPI()

    class Thing:
        pass

    things: list[weakref.ref[Thing]] = []

    def makes() -> Thing:
        thing = Thing()
        things.append(weakref.ref(thing))
        return thing

    @app.get("/")
    def endpoint(request: Request, thing: Thing = Depends(makes)) -> int:
        things.append(weakref.ref(request))
        if len(things) % 3 == 0:
            raise HTTPException(418)
        return 1

    gc.collect()
    gc.disable()
    try:
        async with anyio.create_task_group() as group:
            for _ in range(64):
                group.start_soon(exchange, app, "/")
        await exchange(app, "/")
        # A thread has reported the result before it forgets the call: let it go on.
        await anyio.to_thread.run_sync(int)
        # What an exception's traceback leads to is for the collector.
        gc.collect()
        assert (len(things), [thing for thing in things if thing() is not None]) == (130, [])
    finally:
        gc.enable()
