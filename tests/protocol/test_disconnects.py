"""`cancel_on_disconnect`: a client that leaves ends the endpoint, clean-up runs, nothing is sent, and no error is raised."""

import gc
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from pydantic import BaseModel

import forzium
from forzium import APIRouter, BackgroundTasks, Depends, FastAPI, Request, Response
from forzium.middleware.base import BaseHTTPMiddleware
from forzium.responses import StreamingResponse
from forzium.routing import APIRoute

from .asgi import Message, http_scope

pytestmark = pytest.mark.anyio


class Client:
    """Sends a request and leaves when told to."""

    def __init__(self, *parts: bytes) -> None:
        self.incoming: list[Message] = [
            {"type": "http.request", "body": part, "more_body": at + 1 < len(parts)} for at, part in enumerate(parts)
        ] or [{"type": "http.request"}]
        self.left = anyio.Event()
        self.sent: list[Message] = []
        self.asked = 0

    async def receive(self) -> Message:
        self.asked += 1
        if self.incoming:
            return self.incoming.pop(0)
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def ask(self, app: Any, path: str = "/", method: str = "GET") -> None:
        headers = [(b"host", b"testserver"), (b"content-type", b"application/json")]
        await app(http_scope(path, method, headers=headers), self.receive, self.send)

    async def ask_and_leave(self, app: Any, reached: anyio.Event, path: str = "/", method: str = "GET") -> None:
        """Leave as soon as `reached` is set, and come back when the application has ended."""
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.ask, app, path, method)
                await reached.wait()
                self.left.set()


class Point:
    """A place where an endpoint waits, and what came of it."""

    def __init__(self) -> None:
        self.reached = anyio.Event()
        self.log: list[str] = []

    async def wait(self, name: str = "endpoint") -> None:
        self.reached.set()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            self.log.append(f"{name} cancelled")
            raise

    async def resource(self) -> AsyncIterator[str]:
        try:
            yield "resource"
        except anyio.get_cancelled_exc_class():
            self.log.append("resource told")
            raise
        finally:
            await anyio.sleep(0)
            self.log.append("resource left")

    def plain_resource(self) -> Iterator[str]:
        try:
            yield "plain"
        finally:
            self.log.append("plain left")


async def test_the_endpoint_is_cancelled_clean_up_runs_and_nothing_is_sent() -> None:
    app, point, client = FastAPI(cancel_on_disconnect=True), Point(), Client()

    @app.get("/", dependencies=[Depends(point.plain_resource)])
    async def endpoint(tasks: BackgroundTasks, resource: str = Depends(point.resource)) -> str:
        tasks.add_task(point.log.append, "background")
        await point.wait()
        return resource

    await client.ask_and_leave(app, point.reached)
    assert point.log == ["endpoint cancelled", "resource told", "resource left", "plain left"]
    assert client.sent == []


async def test_a_client_that_stays_gets_its_answer() -> None:
    app, client = FastAPI(cancel_on_disconnect=True), Client()

    @app.get("/")
    async def endpoint() -> str:
        await anyio.sleep(0)
        return "answer"

    await client.ask(app)
    assert [message["type"] for message in client.sent] == ["http.response.start", "http.response.body"]
    assert client.sent[1]["body"] == b'"answer"'


async def test_nothing_is_asked_of_the_host_before_something_waits() -> None:
    app, client = FastAPI(cancel_on_disconnect=True), Client()

    @app.get("/")
    async def endpoint() -> str:
        return "at once"

    await client.ask(app)
    assert client.asked == 0
    assert client.sent[0]["status"] == 200


@pytest.mark.parametrize(
    ("application", "router", "include", "route", "cancels"),
    [
        (None, None, None, None, False),
        (True, None, None, None, True),
        (None, True, None, None, True),
        (None, None, True, None, True),
        (None, None, None, True, True),
        (True, False, None, None, False),
        (True, None, False, None, False),
        (False, True, None, None, True),
        (True, True, None, False, False),
        (False, False, False, True, True),
    ],
)
def test_the_route_wins_over_the_router_and_the_router_over_the_application(
    application: bool | None, router: bool | None, include: bool | None, route: bool | None, cancels: bool
) -> None:
    app, inner, outer = FastAPI(cancel_on_disconnect=application), APIRouter(cancel_on_disconnect=router), APIRouter()

    @inner.get("/", cancel_on_disconnect=route)
    async def endpoint() -> None: ...

    outer.include_router(inner, prefix="/inner", cancel_on_disconnect=include)
    app.include_router(outer, prefix="/outer")
    stages = forzium.explain(app, "GET", "/outer/inner/").stages
    call = next(stage for stage in stages if stage["stage"] == "call")
    assert ("cancelled" in call) is cancels


@pytest.mark.parametrize(
    "where", ["route class", "body limit", "http middleware", "ASGI middleware", "mount", "telemetry"]
)
async def test_every_way_to_an_endpoint_cancels_it(where: str, recwarn: pytest.WarningsRecorder) -> None:
    app, point, client = FastAPI(), Point(), Client()
    router = APIRouter(cancel_on_disconnect=True)

    class Route(APIRoute):
        def get_route_handler(self) -> Callable[..., Any]:
            answer = super().get_route_handler()

            async def around(request: Request) -> Response:
                response: Response = await answer(request)
                return response

            return around

    if where == "route class":
        router.route_class = Route
    if where == "body limit":
        router.max_body_size = 100
    if where == "http middleware":

        @app.middleware("http")
        async def middleware(request: Request, call_next: Any) -> Response:
            response: Response = await call_next(request)
            return response

    if where == "ASGI middleware":

        class Listening:
            def __init__(self, app: Any) -> None:
                self.app = app

            async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
                async def receive_in_a_scope() -> Message:
                    with anyio.move_on_after(10):
                        async with anyio.create_task_group():
                            message: Message = await receive()
                    return message

                await self.app(scope, receive_in_a_scope, send)

        app.add_middleware(Listening)
    if where == "telemetry":
        trace = pytest.importorskip("opentelemetry.sdk.trace")
        app = FastAPI(telemetry={"tracer_provider": trace.TracerProvider(shutdown_on_exit=False)})

    @router.get("/", dependencies=[Depends(point.plain_resource)])
    async def endpoint(resource: str = Depends(point.resource)) -> str:
        with anyio.move_on_after(20):  # whose scope must not be mixed up with the one above
            await point.wait()
        return resource

    app.include_router(router, prefix="/x")
    served: Any = app
    if where == "mount":
        served = FastAPI()
        served.mount("/m", app)
        served.add_middleware(BaseHTTPMiddleware, dispatch=passing)
    await client.ask_and_leave(served, point.reached, "/m/x/" if where == "mount" else "/x/")
    assert point.log == ["endpoint cancelled", "resource told", "resource left", "plain left"]
    assert client.sent == []
    assert recwarn.list == []


async def passing(request: Request, call_next: Any) -> Response:
    response: Response = await call_next(request)
    return response


@pytest.mark.parametrize("threaded", [False, True])
async def test_an_exception_that_would_have_been_answered_is_no_error(threaded: bool) -> None:
    app, point, client = FastAPI(cancel_on_disconnect=True), Point(), Client()
    in_thread = anyio.Event()

    @app.get("/False")
    async def in_place() -> None:
        try:
            in_thread.set()
            await point.wait()
        finally:
            raise forzium.HTTPException(499)

    @app.get("/True")
    def plain() -> None:
        anyio.from_thread.run_sync(in_thread.set)
        anyio.from_thread.run(client.left.wait)
        anyio.from_thread.run(anyio.sleep, 0.01)
        raise forzium.HTTPException(499)

    await client.ask_and_leave(app, in_thread, f"/{threaded}")
    assert client.sent == []


async def test_a_dependency_that_waits_is_cancelled() -> None:
    app, point, client = FastAPI(cancel_on_disconnect=True), Point(), Client()

    async def dependency(resource: str = Depends(point.resource)) -> None:
        await point.wait("dependency")

    @app.get("/", dependencies=[Depends(dependency)])
    async def endpoint() -> None:
        point.log.append("endpoint called")

    await client.ask_and_leave(app, point.reached)
    assert point.log == ["dependency cancelled", "resource told", "resource left"]
    assert client.sent == []


async def test_a_worker_thread_is_waited_for_and_what_comes_after_it_is_left_out() -> None:
    app, point, client = FastAPI(cancel_on_disconnect=True), Point(), Client()
    in_thread = anyio.Event()

    def dependency(resource: str = Depends(point.resource)) -> None:
        anyio.from_thread.run_sync(in_thread.set)
        anyio.from_thread.run(client.left.wait)
        anyio.from_thread.run(anyio.sleep, 0.01)
        point.log.append("thread ended")

    @app.get("/", dependencies=[Depends(dependency)])
    async def endpoint() -> None:
        point.log.append("endpoint called")

    await client.ask_and_leave(app, in_thread)
    assert point.log == ["thread ended", "resource told", "resource left"]
    assert client.sent == []


async def test_a_response_made_in_spite_of_it_is_dropped() -> None:
    app, point, client = FastAPI(cancel_on_disconnect=True), Point(), Client()

    @app.get("/")
    async def endpoint(resource: str = Depends(point.resource)) -> str:
        try:
            await point.wait()
        except anyio.get_cancelled_exc_class():
            point.log.append("swallowed")
        return "for nobody"

    await client.ask_and_leave(app, point.reached)
    assert point.log == ["endpoint cancelled", "swallowed", "resource left"]
    assert client.sent == []


async def test_an_error_of_the_clean_up_is_raised_and_not_answered() -> None:
    app, point, client = FastAPI(cancel_on_disconnect=True), Point(), Client()

    async def broken() -> AsyncIterator[None]:
        try:
            yield
        finally:
            raise LookupError("clean-up")

    @app.get("/", dependencies=[Depends(broken)])
    async def endpoint() -> None:
        await point.wait()

    with pytest.raises(BaseExceptionGroup) as caught:
        await client.ask_and_leave(app, point.reached)
    assert [str(error) for error in caught.value.exceptions] == ["clean-up"]
    assert client.sent == []


async def test_a_cancellation_from_outside_stays_one() -> None:
    app, point, client = FastAPI(cancel_on_disconnect=True), Point(), Client()

    @app.get("/")
    async def endpoint() -> None:
        await point.wait()

    async def ask() -> None:
        try:
            await client.ask(app)
        except anyio.get_cancelled_exc_class():
            point.log.append("outside told")
            raise

    for leaves in (False, True):
        point.reached = anyio.Event()
        client.incoming.append({"type": "http.request"})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await point.reached.wait()
            tasks.cancel_scope.cancel()
            if leaves:
                client.left.set()
    assert point.log.count("endpoint cancelled") == 2
    assert client.sent == []


async def test_a_request_that_was_cancelled_leaves_its_task_usable() -> None:
    app, point, client = FastAPI(cancel_on_disconnect=True), Point(), Client()

    @app.get("/")
    async def endpoint() -> None:
        await point.wait()

    async def ask() -> None:
        await client.ask(app)
        with anyio.move_on_after(0) as scope:
            await anyio.sleep_forever()
        assert scope.cancelled_caught
        await anyio.sleep(0)
        point.log.append("went on")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await point.reached.wait()
        client.left.set()
    assert point.log == ["endpoint cancelled", "went on"]


@pytest.mark.parametrize("how", ["body", "stream", "is_disconnected"])
async def test_who_asks_for_messages_gets_those_that_came_meanwhile(how: str) -> None:
    app, client = FastAPI(cancel_on_disconnect=True), Client(b"one ", b"two ", b"three")
    seen: list[Any] = []

    @app.post("/")
    async def endpoint(request: Request) -> int:
        await anyio.sleep(0.01)  # the watch reads ahead
        if how == "body":
            seen.append(await request.body())
        elif how == "stream":
            seen.append(b"".join([part async for part in request.stream()]))
        else:
            seen.append(await request.body())
            assert not await request.is_disconnected()
            assert not await request.is_disconnected()
        return 1

    with anyio.fail_after(5):
        await client.ask(app, "/", "POST")
    assert seen == [b"one two three"]
    assert client.sent[0]["status"] == 200


async def test_a_body_is_not_read_ahead_without_a_bound() -> None:
    app = FastAPI(cancel_on_disconnect=True)
    part = bytes(16 * 1024)
    client = Client(*[part] * 100)
    read: list[int] = []

    @app.post("/")
    async def endpoint(request: Request) -> int:
        await anyio.sleep(0.01)
        read.append(client.asked)
        return len(await request.body())

    with anyio.fail_after(5):
        await client.ask(app, "/", "POST")
    assert read[0] < 6
    assert client.sent[1]["body"] == b"%d" % (100 * len(part))


async def test_a_declared_body_is_read_first_and_then_listened_behind() -> None:
    app, point, client = FastAPI(cancel_on_disconnect=True), Point(), Client(b'{"a"', b":1}")

    class Item(BaseModel):
        a: int

    @app.post("/")
    async def endpoint(item: Item) -> None:
        point.log.append(f"a={item.a}")
        await point.wait()

    await client.ask_and_leave(app, point.reached, method="POST")
    assert point.log == ["a=1", "endpoint cancelled"]


async def test_a_stream_after_a_wait_still_hears_of_the_disconnect() -> None:
    app, point, client = FastAPI(cancel_on_disconnect=True), Point(), Client()

    @app.get("/")
    async def endpoint() -> StreamingResponse:
        await anyio.sleep(0.01)

        async def body() -> AsyncIterator[bytes]:
            yield b"first"
            await point.wait("stream")

        return StreamingResponse(body())

    await client.ask_and_leave(app, point.reached)
    assert point.log == ["stream cancelled"]
    assert client.sent[1]["body"] == b"first"


async def test_background_tasks_are_not_cancelled() -> None:
    app, point, client = FastAPI(cancel_on_disconnect=True), Point(), Client()

    async def task() -> None:
        point.reached.set()
        await client.left.wait()
        await anyio.sleep(0.01)
        point.log.append("task ended")

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        await anyio.sleep(0)
        tasks.add_task(task)

    await client.ask_and_leave(app, point.reached)
    assert point.log == ["task ended"]


async def test_an_error_of_receive_is_for_those_who_ask() -> None:
    app, client = FastAPI(cancel_on_disconnect=True), Client()

    async def receive() -> Message:
        raise LookupError("no messages here")

    @app.get("/")
    async def endpoint(request: Request, asks: bool = False) -> str:
        await anyio.sleep(0.01)
        if asks:
            with pytest.raises(LookupError):
                await request.body()
        return "answered"

    for query in (b"", b"asks=1"):
        await app(http_scope("/", query_string=query), receive, client.send)
    assert [message["status"] for message in client.sent if "status" in message] == [200, 200]


@pytest.mark.parametrize("leaves", [False, True])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_nothing_of_a_request_survives_it(leaves: bool, anyio_backend: str) -> None:
    class Value:
        pass

    alive: list[weakref.ref[Value]] = []
    app, point, client = FastAPI(cancel_on_disconnect=True), Point(), Client()

    async def dependency(request: Request) -> Value:
        value = Value()
        alive.append(weakref.ref(value))
        return value

    @app.get("/")
    async def endpoint(value: Value = Depends(dependency)) -> None:
        point.reached.set()
        await anyio.sleep(10 if leaves else 0.01)

    gc.collect()
    gc.disable()
    try:
        if leaves:
            await client.ask_and_leave(app, point.reached)
        else:
            await client.ask(app)
            assert not vars(client.left._event)["_waiters"]  # type: ignore[attr-defined]
        await anyio.sleep(0.01)
        assert [each() for each in alive] == [None]
        assert not [each for each in gc.get_objects() if type(each).__name__ == "DisconnectWatch"]
    finally:
        gc.enable()


async def test_an_abandoned_request_stops_listening() -> None:
    app, client = FastAPI(cancel_on_disconnect=True), Client()

    @app.get("/")
    async def endpoint() -> None:
        await anyio.sleep_forever()

    with anyio.move_on_after(0.05):
        await client.ask(app)
    assert client.asked == 2
    client.left.set()
    await anyio.sleep(0.01)
    assert (client.asked, client.sent) == (2, [])
