"""`background_always`: background tasks run whatever became of the response, once, after all of it."""

# No `from __future__ import annotations`: the annotations name locals of the tests.
import gc
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import pytest

import forzium
from forzium import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Request, Response
from forzium.middleware.base import BaseHTTPMiddleware
from forzium.responses import FileResponse, JSONResponse, StreamingResponse
from forzium.routing import APIRoute, Mount

from .asgi import Message, http_scope, pause

pytestmark = pytest.mark.anyio


class Client:
    """A host that notes what it is sent, and fails where it is told to."""

    def __init__(self, log: list[Any], fails_at: str = "") -> None:
        self.log = log
        self.fails_at = fails_at
        self.incoming: list[Message] = [{"type": "http.request"}]

    async def receive(self) -> Message:
        if not self.incoming:
            await anyio.sleep_forever()
        return self.incoming.pop()

    async def send(self, message: Message) -> None:
        if message["type"] == self.fails_at:
            raise ConnectionError("gone")
        if message["type"] == "http.response.start":
            self.log.append(message["status"])
        elif not message.get("more_body"):
            self.log.append("sent")

    async def ask(self, app: Any, path: str = "/") -> BaseException | None:
        """Make a request; what came out of the application."""
        try:
            await app(http_scope(path), self.receive, self.send)
        except Exception as error:
            return error
        return None


class Teapot(Exception):
    pass


async def tea(request: Request, error: Exception) -> Response:
    return JSONResponse("tea", 418)


class Unwritable:
    __slots__ = ()


def operations(log: list[Any], router: Any) -> None:
    """Add operations that end in all ways, each with a task of the endpoint's and one of a dependency's."""

    def note(name: str) -> None:
        log.append(name)

    async def noted(name: str) -> None:
        log.append(name)

    def before(tasks: BackgroundTasks) -> Iterator[None]:
        tasks.add_task(note, "dependency's task")
        yield
        log.append("left")

    def add(path: str, end: Callable[[], Any], **options: Any) -> None:
        async def endpoint(tasks: BackgroundTasks) -> Any:
            tasks.add_task(noted, "endpoint's task")
            return end()

        router.get(path, dependencies=[Depends(before)], **options)(endpoint)

    def refuse() -> None:
        raise HTTPException(404)

    def fail() -> None:
        raise LookupError("failed")

    def brew() -> None:
        raise Teapot

    async def chunks() -> AsyncIterator[bytes]:
        yield b"one"
        raise LookupError("failed")

    add("/answered", lambda: "answer")
    add("/response", lambda: Response("answer"))
    add("/refused", refuse)
    add("/handled", brew)
    add("/failed", fail)
    add("/invalid", lambda: "x", response_model=int)
    add("/unwritable", Unwritable)
    add("/stream", lambda: StreamingResponse(chunks()))
    add("/no file", lambda: FileResponse("/nowhere"))

    async def later(tasks: BackgroundTasks, query: int) -> None: ...

    router.get("/unprocessable", dependencies=[Depends(before)])(later)
    router.get("/dependency", dependencies=[Depends(before), Depends(refuse)])(later)


TASKS = ["dependency's task", "endpoint's task"]
ENDS: dict[str, list[Any]] = {
    "/answered": [200, "sent", *TASKS, "left"],
    "/response": [200, "sent", *TASKS, "left"],
    "/refused": [404, "sent", *TASKS],
    "/handled": [418, "sent", *TASKS],
    "/failed": [500, "sent", *TASKS],
    "/invalid": [500, "sent", *TASKS],
    "/unwritable": [500, "sent", *TASKS],
    "/stream": [200, *TASKS],
    "/no file": [500, "sent", *TASKS],
    "/unprocessable": [422, "sent", TASKS[0]],
    "/dependency": [404, "sent", TASKS[0]],
}


class Route(APIRoute):
    """A route class that wraps the handler, which so runs in Python."""

    def get_route_handler(self) -> Callable[..., Any]:
        answer = super().get_route_handler()

        async def around(request: Request) -> Response:
            response: Response = await answer(request)
            return response

        return around


class Copying:
    """Middleware that gives the application a scope of its own."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(dict(scope), receive, send)


async def passing(request: Request, call_next: Any) -> Response:
    response: Response = await call_next(request)
    return response


@pytest.mark.parametrize(
    "where",
    [
        *("core", "route class", "body limit", "http middleware", "ASGI middleware", "mount", "telemetry", "agent"),
        *("router alone", "router alone, route class"),
    ],
)
async def test_they_run_after_every_end_on_every_way_to_an_endpoint(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[Any] = []
    app, router = FastAPI(background_always=True), APIRouter()
    prefix, alone = "", where.startswith("router alone")
    if where == "telemetry":
        trace = pytest.importorskip("opentelemetry.sdk.trace")
        provider = trace.TracerProvider(shutdown_on_exit=False)
        app = FastAPI(background_always=True, telemetry={"tracer_provider": provider})
    if where == "body limit":
        router.max_body_size = 100
    if where.endswith("route class"):
        router.route_class = Route
    if where == "http middleware":
        app.middleware("http")(passing)
    if where == "ASGI middleware":
        app.add_middleware(Copying)
    if where == "agent":
        from forzium import routing

        solve = routing.solve_dependencies

        async def watched(**arguments: Any) -> Any:
            return await solve(**arguments)

        monkeypatch.setattr(routing, "solve_dependencies", watched)
    app.exception_handler(Teapot)(tea)
    served: Any = app
    if alone:
        router.background_always = True
        served = router
    operations(log, router)
    if not alone:
        app.include_router(router)
    if where == "mount":
        served, prefix = FastAPI(), "/m"
        served.add_middleware(BaseHTTPMiddleware, dispatch=passing)
        served.routes.append(Mount("/m", app))
    for path, expected in ENDS.items():
        log.clear()
        await Client(log).ask(served, prefix + path)
        if "left" in expected or (path == "/stream" and where != "core"):
            assert [each for each in log if each != "sent"] == [each for each in expected if each != "sent"]
        elif alone:
            assert [each for each in log if each in TASKS] == [each for each in expected if each in TASKS]
        else:  # dependencies are left before
            assert [each for each in log if each != "left"] == expected


@pytest.mark.parametrize("point", ["http.response.start", "http.response.body"])
@pytest.mark.parametrize("path", ["/answered", "/response", "/stream", "/no file", "/refused", "/failed"])
@pytest.mark.parametrize("route_class", [APIRoute, Route])
async def test_they_run_where_nothing_can_be_sent(route_class: type[APIRoute], path: str, point: str) -> None:
    log: list[Any] = []
    app = FastAPI(background_always=True)
    app.router.route_class = route_class
    operations(log, app)
    error = await Client(log, fails_at=point).ask(app, path)
    assert [each for each in log if each in TASKS] == TASKS
    assert log[-2:] == TASKS
    # A stream whose client cannot be reached any more is no error of the application.
    assert (error is None) is (path == "/stream")


async def test_without_the_option_none_runs_after_a_failure() -> None:
    log: list[Any] = []
    app = FastAPI()
    FastAPI(background_always=True)  # another one has it
    operations(log, app)
    for path, expected in ENDS.items():
        log.clear()
        await Client(log).ask(app, path)
        assert [each for each in log if each in TASKS] == (TASKS if "left" in expected else [])


async def test_a_task_that_fails_is_the_last_and_its_error_keeps_that_of_the_endpoint() -> None:
    log: list[Any] = []
    app = FastAPI(background_always=True)

    def broken() -> None:
        log.append("broken")
        raise ArithmeticError("in the task")

    @app.get("/{fails}")
    async def endpoint(fails: bool, tasks: BackgroundTasks) -> None:
        tasks.add_task(broken)
        tasks.add_task(log.append, "never")
        if fails:
            raise LookupError("in the endpoint")

    error = await Client(log).ask(app, "/true")
    assert log == [500, "sent", "broken"]
    assert isinstance(error, ArithmeticError)
    assert isinstance(error.__context__, LookupError)
    log.clear()
    error = await Client(log).ask(app, "/false")
    assert log == [200, "sent", "broken"]
    assert isinstance(error, ArithmeticError)


async def test_the_error_of_the_endpoint_goes_to_the_server_after_them() -> None:
    log: list[Any] = []
    app = FastAPI(background_always=True)
    operations(log, app)
    error = await Client(log).ask(app, "/failed")
    assert isinstance(error, LookupError)
    assert log[-1] == TASKS[1]


async def test_a_request_that_the_host_cancels_runs_none() -> None:
    log: list[Any] = []
    app, reached = FastAPI(background_always=True), anyio.Event()

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(log.append, "never")
        reached.set()
        await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Client(log).ask, app)
        await reached.wait()
        tasks.cancel_scope.cancel()
    assert log == []


async def test_a_client_that_leaves_takes_none_away() -> None:
    log: list[Any] = []
    app, reached = FastAPI(background_always=True, cancel_on_disconnect=True), anyio.Event()
    messages: list[Message] = [{"type": "http.request"}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await reached.wait()
        return {"type": "http.disconnect"}

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(log.append, "task")
        reached.set()
        await anyio.sleep_forever()

    await app(http_scope(), receive, Client(log).send)
    assert log == ["task"]


async def test_those_that_a_response_of_its_own_would_displace_run_too() -> None:
    log: list[Any] = []
    app = FastAPI(background_always=True)

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> Response:
        tasks.add_task(log.append, "added")
        own = forzium.BackgroundTasks()
        own.add_task(log.append, "own")
        return Response(background=own)

    assert await Client(log).ask(app) is None
    assert log == [200, "sent", "own", "added"]


def test_nothing_of_an_abandoned_request_is_kept() -> None:
    class Held:
        pass

    app, kept = FastAPI(background_always=True), []

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks, request: Request) -> None:
        held = Held()
        kept.append(weakref.ref(held))

        async def task() -> None:
            assert held
            await pause()

        tasks.add_task(task)
        raise LookupError

    awaitable = app(http_scope(), None, Client([]).send)
    awaitable.send(None)
    assert kept[0]() is not None
    awaitable.close()
    del awaitable
    gc.collect()
    assert kept[0]() is None


@pytest.mark.parametrize(
    ("application", "router", "include", "route", "runs"),
    [
        (None, None, None, None, False),
        (True, None, None, None, True),
        (False, None, True, None, True),
        (False, True, None, None, True),
        (True, True, None, False, False),
        (False, False, False, True, True),
    ],
)
async def test_the_route_wins_over_the_router_and_the_router_over_the_application(
    application: bool | None, router: bool | None, include: bool | None, route: bool | None, runs: bool
) -> None:
    log: list[Any] = []
    app, inner, outer = FastAPI(background_always=application), APIRouter(background_always=router), APIRouter()

    @inner.get("/", background_always=route)
    async def endpoint(tasks: BackgroundTasks) -> None:
        tasks.add_task(log.append, "task")
        raise HTTPException(404)

    outer.include_router(inner, prefix="/inner", background_always=include)
    app.include_router(outer, prefix="/outer")
    call = next(stage for stage in forzium.explain(app, "GET", "/outer/inner/").stages if stage["stage"] == "call")
    assert ("background tasks" in call) is runs
    await Client(log).ask(app, "/outer/inner/")
    assert log == [404, "sent", *(["task"] if runs else [])]
