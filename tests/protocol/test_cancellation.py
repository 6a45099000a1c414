"""A cancelled request ends wherever it waits: what waits hears of it, clean-up runs, nothing is answered."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from conformance.harness import Framework, frameworks
from pydantic import BaseModel

from forzium import Depends, FastAPI

from .asgi import Message, http_scope, websocket_scope

POINTS = [
    "endpoint",
    "dependency",
    "before yield",
    "body",
    "form",
    "start",
    "rest",
    "stream",
    "background",
    "handler",
    "middleware",
    "mount",
    "websocket",
]


class Item(BaseModel):
    name: str


class Waiting:
    """Says when the request has come to the point asked for, and waits there."""

    def __init__(self, at: str, *, behind_middleware: bool = False) -> None:
        self.at = at
        self.behind_middleware = behind_middleware
        self.log: list[str] = []
        self.reached = anyio.Event()
        self.asked = False

    async def here(self, point: str) -> None:
        if point != self.at:
            return
        self.reached.set()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            self.log.append(f"cancelled: {point}")
            raise

    def app(self, fw: Framework) -> Any:
        """An application that comes by every point at which a request can wait."""

        @asynccontextmanager
        async def lifespan(app: Any) -> AsyncIterator[None]:
            yield

        app = fw.FastAPI(openapi_url=None, lifespan=lifespan)

        async def first() -> AsyncIterator[int]:
            await self.here("before yield")
            try:
                yield 1
            finally:
                await anyio.lowlevel.checkpoint()  # would end here if it were not shielded
                self.log.append("first left")

        async def second(value: int = fw.Depends(first)) -> AsyncIterator[int]:
            await self.here("dependency")
            try:
                yield value
            finally:
                await anyio.sleep(0)
                self.log.append("second left")

        def plain(value: int = fw.Depends(second)) -> Iterator[int]:
            try:
                yield value
            finally:
                self.log.append("plain left")

        @app.post("/", dependencies=[fw.Depends(plain)])
        async def endpoint(item: Item, tasks: fw.BackgroundTasks) -> Any:
            tasks.add_task(self.here, "background")
            await self.here("endpoint")
            if self.at == "handler":
                raise LookupError
            return item

        @app.post("/form", dependencies=[fw.Depends(plain)])
        async def form(request: fw.Request) -> Any:
            await request.form()

        @app.post("/stream", dependencies=[fw.Depends(plain)])
        async def stream() -> Any:
            async def chunks() -> AsyncIterator[bytes]:
                yield b"x"
                await self.here("stream")

            return fw.responses.StreamingResponse(chunks())

        @app.websocket("/", dependencies=[fw.Depends(plain)])
        async def talk(websocket: fw.WebSocket) -> None:
            await self.here("websocket")

        @app.exception_handler(LookupError)
        async def handler(request: Any, error: Any) -> Any:
            await self.here("handler")

        if self.at == "middleware":

            @app.middleware("http")
            async def middleware(request: Any, call_next: Callable[[Any], Any]) -> Any:
                response = await call_next(request)
                await self.here("middleware")
                return response

        if self.behind_middleware:

            @app.middleware("http")
            async def passes_on(request: Any, call_next: Callable[[Any], Any]) -> Any:
                return await call_next(request)

        async def mounted(scope: Any, receive: Any, send: Any) -> None:
            await self.here("mount")

        app.mount("/mount", mounted)
        return app

    async def receive(self) -> Message:
        await self.here("body")
        await self.here("form")
        if self.asked:
            await anyio.sleep_forever()  # the client stays
        self.asked = True
        return {"type": "http.request", "body": b'{"name": "x"}'}

    async def send(self, message: Message) -> None:
        self.log.append(message["type"])
        await self.here({"http.response.start": "start", "http.response.body": "rest"}.get(message["type"], ""))

    def scope(self) -> dict[str, Any]:
        if self.at == "websocket":
            return websocket_scope()
        path = {"form": "/form", "stream": "/stream", "mount": "/mount/"}.get(self.at, "/")
        kind = b"application/x-www-form-urlencoded" if self.at == "form" else b"application/json"
        return http_scope(path, "POST", headers=[(b"content-type", kind)])


async def cancelled_at(point: str, fw: Framework) -> list[str]:
    """Cancel a request when it waits at `point`; what happened, in order."""
    waiting = Waiting(point)
    app = waiting.app(fw)
    async with anyio.create_task_group() as group:
        group.start_soon(app, waiting.scope(), waiting.receive, waiting.send)
        with anyio.fail_after(10):
            await waiting.reached.wait()
        group.cancel_scope.cancel()
    return waiting.log


@pytest.mark.anyio
@pytest.mark.parametrize("point", POINTS)
async def test_cancellation_reaches_every_point_of_waiting_and_everything_is_cleaned_up(point: str) -> None:
    oracle, ours = frameworks()
    log = await cancelled_at(point, ours)
    assert f"cancelled: {point}" in log
    assert log == await cancelled_at(point, oracle)


async def task_cancelled_at(point: str, fw: Framework, *, behind_middleware: bool = False) -> list[str]:
    """Cancel the task of a request, which no cancel scope encloses, as a server does."""
    waiting = Waiting(point, behind_middleware=behind_middleware)
    app = waiting.app(fw)
    # A server of this version says by `send` when the client has left: a stream is sent without a cancel scope.
    scope = {**waiting.scope(), "asgi": {"version": "3.0", "spec_version": "2.4"}}
    task = asyncio.create_task(app(scope, waiting.receive, waiting.send))
    await asyncio.wait_for(waiting.reached.wait(), 10)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return waiting.log


@pytest.mark.parametrize("point", POINTS)
def test_a_request_whose_task_is_cancelled_is_cleaned_up(point: str) -> None:
    oracle, ours = frameworks()
    log = asyncio.run(task_cancelled_at(point, ours))
    assert f"cancelled: {point}" in log
    assert log == asyncio.run(task_cancelled_at(point, oracle))


def test_a_stream_that_has_moved_to_a_task_of_its_own_is_cleaned_up() -> None:
    for fw in frameworks():
        log = asyncio.run(task_cancelled_at("stream", fw, behind_middleware=True))
        assert [entry for entry in log if entry.endswith("left")] == ["plain left", "second left", "first left"]


async def failed_beside(fw: Framework, *, enclosed: bool) -> list[str]:
    """Let a task fail in a group that one dependency has opened around the clean-up of another; what happened."""
    app = fw.FastAPI(openapi_url=None)
    log: list[str] = []

    async def group() -> AsyncIterator[Any]:
        async with anyio.create_task_group() as group:
            yield group

    async def inside(group: Any = fw.Depends(group)) -> AsyncIterator[Any]:
        try:
            yield group
        finally:
            log.append("begins to leave")
            await anyio.lowlevel.checkpoint()  # ends here: only what encloses all dependencies is kept off
            log.append("left")

    async def fails() -> None:
        raise LookupError

    @app.get("/")
    async def endpoint(group: Any = fw.Depends(inside)) -> None:
        group.start_soon(fails)
        await anyio.sleep_forever()

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        log.append(message["type"])

    with anyio.CancelScope() if enclosed else contextlib.nullcontext():
        try:
            await app(http_scope(), receive, send)
        except BaseExceptionGroup as failure:
            log.append(repr(failure))
    return log


@pytest.mark.parametrize("enclosed", [False, True])
def test_what_a_dependency_cancels_is_cancelled_while_it_is_cleaned_up(enclosed: bool) -> None:
    oracle, ours = [asyncio.run(failed_beside(fw, enclosed=enclosed)) for fw in frameworks()]
    assert "begins to leave" in ours
    assert ours == oracle


@pytest.mark.anyio
async def test_a_deadline_ends_a_request_and_the_next_one_is_answered() -> None:
    app = FastAPI()
    left: list[str] = []

    async def dependency() -> AsyncIterator[None]:
        try:
            yield
        finally:
            await anyio.sleep(0)
            left.append("left")

    @app.get("/{wait}", dependencies=[Depends(dependency)])
    async def endpoint(wait: bool) -> bool:
        if wait:
            await anyio.sleep_forever()
        return wait

    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    with anyio.move_on_after(0.01) as deadline:
        await app(http_scope("/true"), receive, send)
    assert (deadline.cancelled_caught, sent, left) == (True, [], ["left"])
    await app(http_scope("/false"), receive, send)
    assert ([message["type"] for message in sent], left) == (
        ["http.response.start", "http.response.body"],
        ["left"] * 2,
    )


@pytest.mark.anyio
async def test_a_cancelled_sync_endpoint_holds_its_thread_until_it_ends() -> None:
    import threading

    app = FastAPI()
    begun, go_on, ended = anyio.Event(), threading.Event(), threading.Event()

    @app.get("/")
    def endpoint() -> None:
        anyio.from_thread.run_sync(begun.set)
        go_on.wait(10)
        ended.set()

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        await anyio.lowlevel.checkpoint()
        raise AssertionError("a cancelled request must not be answered")

    limiter = anyio.to_thread.current_default_thread_limiter()
    async with anyio.create_task_group() as group:
        group.start_soon(app, http_scope(), receive, send)
        await begun.wait()
        assert limiter.borrowed_tokens == 1
        group.cancel_scope.cancel()
        go_on.set()
    assert ended.wait(10)


@pytest.mark.anyio
async def test_cleanup_that_raises_replaces_the_exception_and_the_rest_is_cleaned_up() -> None:
    app = FastAPI()
    log: list[str] = []

    async def outer() -> AsyncIterator[None]:
        try:
            yield
        except BaseException as error:
            log.append(f"outer: {type(error).__name__} from {type(error.__context__).__name__}")
            raise

    async def inner(_: None = Depends(outer)) -> AsyncIterator[None]:
        try:
            yield
        finally:
            raise ZeroDivisionError

    @app.get("/", dependencies=[Depends(inner)])
    async def endpoint() -> None:
        raise LookupError

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        log.append(message["type"])

    with pytest.raises(ZeroDivisionError):
        await app(http_scope(), receive, send)
    assert log == ["outer: ZeroDivisionError from LookupError", "http.response.start", "http.response.body"]
