"""The object that `app(scope, receive, send)` gives: it behaves like the coroutine of an ``async def`` application."""

from __future__ import annotations

import asyncio
import collections.abc
import inspect
import sys
import threading
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from forzium import Depends, FastAPI, Request

from .asgi import Host, Message, finish, get, http_scope, is_finished, pause


class Left(BaseException):
    """What a driver throws in; no `Exception`, as a cancellation is none."""


def waiting_app(log: list[Any] | None = None) -> FastAPI:
    """An application whose endpoint waits once, and notes what became of it."""
    app = FastAPI(openapi_url=None)
    log = [] if log is None else log

    @app.get("/")
    async def endpoint() -> Any:
        try:
            return {"got": await pause("endpoint")}
        except BaseException as error:
            log.append(type(error))
            raise
        finally:
            log.append("left")

    return app


def start(app: Any, **scope: Any) -> tuple[Any, Host]:
    host = Host()
    return host.call(app, http_scope(**scope)), host


# ---------------------------------------------------------------- what it is


def test_it_is_taken_for_a_coroutine() -> None:
    awaitable, _ = start(waiting_app())
    assert isinstance(awaitable, collections.abc.Awaitable)
    assert isinstance(awaitable, collections.abc.Coroutine)
    assert inspect.isawaitable(awaitable)
    assert asyncio.iscoroutine(awaitable)
    awaitable.close()


def test_it_says_how_far_it_is() -> None:
    awaitable, _ = start(waiting_app())
    awaitable.send(None)
    assert inspect.getcoroutinestate(awaitable) == inspect.CORO_SUSPENDED
    awaitable.close()
    assert inspect.getcoroutinestate(awaitable) == inspect.CORO_CLOSED


def test_servers_see_an_asgi_3_application() -> None:
    app = waiting_app()
    assert inspect.iscoroutinefunction(app.__call__)
    assert next(iter(inspect.signature(type(app)).parameters)) == "telemetry"


def test_nothing_happens_before_it_is_driven() -> None:
    log: list[Any] = []
    awaitable, host = start(waiting_app(log))
    del awaitable
    assert (log, host.sent) == ([], [])


# ---------------------------------------------------------------- driven by hand


def test_what_is_yielded_inside_comes_out_and_what_is_sent_goes_in() -> None:
    awaitable, host = start(waiting_app())
    assert awaitable.send(None) == "endpoint"
    with pytest.raises(StopIteration) as stop:
        awaitable.send(42)
    assert stop.value.value is None
    assert host.body == b'{"got":42}'


def test_iterating_over_await_drives_it_as_well() -> None:
    awaitable, host = start(waiting_app())
    assert list(awaitable.__await__()) == ["endpoint"]
    assert host.body == b'{"got":null}'


def test_what_is_thrown_arrives_where_it_waits_and_comes_out_again() -> None:
    log: list[Any] = []
    awaitable, host = start(waiting_app(log))
    awaitable.send(None)
    thrown = Left()
    with pytest.raises(Left) as caught:
        awaitable.throw(thrown)
    assert caught.value is thrown
    assert log == [Left, "left"]
    assert host.sent == []
    assert is_finished(awaitable)


def test_what_swallows_the_exception_goes_on() -> None:
    app = FastAPI()

    @app.get("/")
    async def endpoint() -> Any:
        try:
            await pause()
        except Left:
            return {"swallowed": await pause("again")}

    awaitable, host = start(app)
    awaitable.send(None)
    assert awaitable.throw(Left()) == "again"
    with pytest.raises(StopIteration):
        awaitable.send("x")
    assert host.body == b'{"swallowed":"x"}'


@pytest.mark.filterwarnings("ignore:the \\(type, exc, tb\\) signature")
def test_throw_takes_the_old_forms_of_an_exception_too() -> None:
    for arguments in ((Left,), (Left, None), (Left, Left("x")), (Left, "x", None)):
        awaitable, _ = start(waiting_app())
        awaitable.send(None)
        with pytest.raises(Left):
            awaitable.throw(*arguments)


def test_close_ends_it_with_generator_exit() -> None:
    log: list[Any] = []
    awaitable, host = start(waiting_app(log))
    awaitable.send(None)
    assert awaitable.close() is None
    assert log == [GeneratorExit, "left"]
    assert host.sent == []
    assert is_finished(awaitable)
    awaitable.close()  # twice is fine


def test_close_complains_where_it_is_not_heard() -> None:
    app = FastAPI()

    @app.get("/")
    async def endpoint() -> Any:
        try:
            await pause()
        except GeneratorExit:
            await pause("not yet")

    awaitable, _ = start(app)
    awaitable.send(None)
    with pytest.raises(RuntimeError, match="coroutine ignored GeneratorExit"):
        awaitable.close()


def test_errors_of_use_are_those_of_a_coroutine() -> None:
    async def coroutine(scope: Any, receive: Any, send: Any) -> None:
        await pause()

    def errors(app: Any) -> Iterator[tuple[type[BaseException], str]]:
        def error_of(work: Any, *args: Any) -> tuple[type[BaseException], str]:
            with pytest.raises((RuntimeError, TypeError, ValueError, Left, StopIteration)) as caught:
                work(*args)
            return caught.type, str(caught.value)

        started, _ = start(app)
        yield error_of(started.send, 1)  # nothing may be sent into what has not begun
        started.send(None)
        yield error_of(started.send, None)
        yield error_of(started.send, None)
        yield error_of(started.throw, Left())
        fresh, _ = start(app)
        yield error_of(fresh.throw, Left("first"))
        yield error_of(fresh.send, None)
        closed, _ = start(app)
        closed.close()
        yield error_of(closed.send, None)
        yield error_of(closed.throw, TypeError("x"))
        yield error_of(finish, closed)
        wrong, _ = start(app)
        wrong.send(None)
        yield error_of(wrong.throw, 5)
        yield error_of(wrong.throw, int)

    assert list(errors(waiting_app())) == list(errors(coroutine))


def test_it_cannot_be_driven_from_inside_itself() -> None:
    app = FastAPI()
    seen: list[Any] = []

    @app.get("/")
    async def endpoint() -> None:
        for drive in (lambda: awaitable.send(None), lambda: awaitable.throw(Left()), awaitable.close):
            with pytest.raises(ValueError, match="coroutine already executing"):
                drive()
        seen.append(awaitable.cr_running)

    awaitable, host = start(app)
    finish(awaitable)
    assert (seen, host.status, awaitable.cr_running) == ([True], 200, False)


def test_tools_see_what_it_waits_for() -> None:
    app = waiting_app()
    awaitable, _ = start(app)
    assert awaitable.cr_await is None
    awaitable.send(None)
    assert awaitable.cr_await.__qualname__.endswith("waiting_app.<locals>.endpoint")
    awaitable.close()
    assert awaitable.cr_await is None


# ---------------------------------------------------------------- calls within calls


def test_one_application_answers_many_requests_at_once_in_any_order() -> None:
    app = FastAPI()

    async def dependency(n: int) -> int:
        await pause()
        return n * 10

    @app.get("/{n}")
    async def endpoint(n: int, ten: int = Depends(dependency)) -> Any:
        return {"n": n, "ten": ten, "sent": await pause()}

    requests = [start(app, path=f"/{n}") for n in range(20)]
    for awaitable, _ in requests:
        awaitable.send(None)
    for awaitable, _ in reversed(requests):
        awaitable.send(None)
    for n, (awaitable, host) in enumerate(requests):
        with pytest.raises(StopIteration):
            awaitable.send(n * 100)
        assert host.body == b'{"n":%d,"ten":%d,"sent":%d}' % (n, n * 10, n * 100)


def test_an_endpoint_may_call_its_own_application() -> None:
    app = FastAPI()

    @app.get("/{depth}")
    async def endpoint(depth: int, request: Request) -> Any:
        if depth == 0:
            return []
        host = Host()
        await app(http_scope(f"/{depth - 1}"), host.receive, host.send)
        assert host.status == 200
        await pause()
        return [host.body.decode()]

    assert get(app, "/3").body == rb'["[\"[\\\"[]\\\"]\"]"]'


def test_deep_nesting_ends_in_an_error_not_in_a_crash() -> None:
    app = FastAPI()

    @app.get("/")
    async def endpoint(request: Request) -> Any:
        await app(http_scope(), request.receive, request._send)

    def call_it() -> None:
        with pytest.raises(RecursionError):
            get(app)
        ended.append(True)

    # With half the stack that the main thread usually has.
    ended: list[bool] = []
    before = threading.stack_size(4 * 1024 * 1024)
    try:
        thread = threading.Thread(target=call_it)
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    assert ended


def test_a_request_may_be_driven_by_several_threads_in_turn() -> None:
    awaitable, host = start(waiting_app())
    first = threading.Thread(target=awaitable.send, args=(None,))
    first.start()
    first.join()
    ended: list[bool] = []

    def finish_it() -> None:
        with pytest.raises(StopIteration):
            awaitable.send("there")
        ended.append(True)

    second = threading.Thread(target=finish_it)
    second.start()
    second.join()
    assert ended
    assert host.body == b'{"got":"there"}'


# ---------------------------------------------------------------- event loops


@pytest.mark.anyio
async def test_every_event_loop_drives_it() -> None:
    app = FastAPI()

    @app.get("/")
    async def endpoint() -> Any:
        await anyio.sleep(0)
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 0)
        return await anyio.to_thread.run_sync(lambda: "thread")

    host = Host()
    await app(http_scope(), host.receive, host.send)
    assert host.body == b'"thread"'


@pytest.mark.anyio
async def test_task_groups_start_it_like_any_coroutine_function() -> None:
    app = FastAPI()
    at_once = anyio.Event()
    waiting: set[int] = set()

    @app.get("/{n}")
    async def endpoint(n: int) -> Any:
        waiting.add(n)
        if len(waiting) == 10:
            at_once.set()
        await at_once.wait()
        return n

    hosts = [Host() for _ in range(10)]
    async with anyio.create_task_group() as group:
        for n, host in enumerate(hosts):
            group.start_soon(app, http_scope(f"/{n}"), host.receive, host.send)
    assert [host.body for host in hosts] == [b"%d" % n for n in range(10)]


def test_asyncio_makes_a_task_of_it() -> None:
    app = FastAPI()

    @app.get("/")
    async def endpoint() -> Any:
        await asyncio.sleep(0)
        return asyncio.current_task() is task  # type: ignore[has-type]

    async def main() -> Host:
        nonlocal task
        host = Host()
        task = asyncio.create_task(app(http_scope(), host.receive, host.send))
        assert "task" in repr(task).lower()
        task.get_stack()
        await task
        return host

    task: Any = None
    assert asyncio.run(main()).body == b"true"


def test_asyncio_runs_it_directly() -> None:
    host = Host()
    app = FastAPI()

    @app.get("/")
    async def endpoint() -> Any:
        await asyncio.sleep(0)
        return 1

    if sys.version_info < (3, 12):
        asyncio.run(app(http_scope(), host.receive, host.send))
    else:
        with asyncio.Runner() as runner:
            runner.run(app(http_scope(), host.receive, host.send))
    assert host.body == b"1"


def test_what_is_no_awaitable_is_named() -> None:
    app = waiting_app()

    def send(message: Message) -> int:
        return 5

    async def receive() -> Message:
        return {"type": "http.request"}

    awaitable = app(http_scope("/nowhere"), receive, send)
    with pytest.raises(TypeError, match=r"object int can't be used in 'await' expression"):
        finish(awaitable)
