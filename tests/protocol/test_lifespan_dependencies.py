"""`Depends(..., scope="lifespan")`: made once when the application has started, shared by all requests, left at its stop."""

# No `from __future__ import annotations`: the annotations name locals of the tests.
import functools
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Annotated, Any

import anyio
import pytest

import forzium
from forzium import APIRouter, Depends, FastAPI, HTTPException, Request, Security, WebSocket, params
from forzium.exceptions import FastAPIError
from forzium.routing import APIRoute, Mount, run_mounted_lifespans
from forzium.testclient import AsyncTestClient, TestClient
from protocol.asgi import Host, http_scope

pytestmark = pytest.mark.anyio


class Log(list[str]):
    """What happened, and dependencies that note what happens to them."""

    def asynchronous(self, name: str) -> Callable[[], AsyncIterator[str]]:
        async def dependency() -> AsyncIterator[str]:
            self.append(f"{name} made")
            try:
                yield name
            finally:
                self.append(f"{name} left")

        return dependency

    def synchronous(self, name: str) -> Callable[[], Iterator[str]]:
        def dependency() -> Iterator[str]:
            self.append(f"{name} made")
            try:
                yield name
            finally:
                self.append(f"{name} left")

        return dependency

    def lifespan(self, **state: Any) -> Any:
        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any] | None]:
            self.append("start")
            app.state.url = "sqlite://"
            try:
                yield state or None
            finally:
                self.append("stop")

        return lifespan


def taking(app: Any, path: str, dependency: Any) -> Any:
    """Add a route that answers what a dependency with the scope of the lifespan gives."""

    @app.get(path)
    async def endpoint(value: Annotated[Any, Depends(dependency, scope="lifespan")]) -> Any:
        return value

    return endpoint


# ---------------------------------------------------------------- when, how often, in which order


async def test_they_are_made_in_order_within_the_users_lifespan_and_left_in_reverse() -> None:
    log = Log()
    app = FastAPI(lifespan=log.lifespan())
    first, second = log.asynchronous("first"), log.synchronous("second")

    async def third(
        second: Annotated[str, Depends(second, scope="lifespan")], app: FastAPI, size: int = 3
    ) -> AsyncIterator[list[Any]]:
        log.append("third made")
        yield [second, app.state.url, size]
        log.append("third left")

    taking(app, "/first", first)
    taking(app, "/third", third)
    taking(app, "/again", second)
    for _ in range(2):  # each lifespan makes its own
        log.clear()
        async with AsyncTestClient(app) as client:
            assert log == ["start", "first made", "second made", "third made"]
            for _ in range(2):
                assert (await client.get("/third")).json() == ["second", "sqlite://", 3]
                assert (await client.get("/again")).json() == "second"
        assert log[4:] == ["third left", "second left", "first left", "stop"]


async def test_every_kind_of_callable_will_do() -> None:
    here = threading.get_ident()
    threads: list[bool] = []

    def plain() -> str:
        threads.append(threading.get_ident() == here)
        return "plain"

    async def coroutine() -> str:
        return "coroutine"

    @asynccontextmanager
    async def async_manager() -> AsyncIterator[str]:
        yield "async manager"

    @contextmanager
    def manager() -> Iterator[str]:
        threads.append(threading.get_ident() == here)
        yield "manager"
        threads.append(threading.get_ident() == here)

    class Model:
        def __init__(self, name: str = "class", *args: int, **kwargs: int) -> None:
            self.name = name

    class Instance:
        async def __call__(self) -> str:
            return "instance"

    def named(name: str, suffix: object = object) -> Iterator[str]:
        yield name

    app = FastAPI()

    @app.get("/")
    async def endpoint(
        plain: Annotated[str, Depends(plain, scope="lifespan")],
        coroutine: Annotated[str, Depends(coroutine, scope="lifespan")],
        async_manager: Annotated[str, Depends(async_manager, scope="lifespan")],
        manager: Annotated[str, Depends(manager, scope="lifespan")],
        model: Annotated[Model, Depends(scope="lifespan")],
        instance: Annotated[str, Depends(Instance(), scope="lifespan")],
        partial: Annotated[str, Depends(functools.partial(named, name="partial"), scope="lifespan")],
        secured: Annotated[str, params.Security(coroutine, scope="lifespan")],
    ) -> list[str]:
        return [plain, coroutine, async_manager, manager, model.name, instance, partial, secured]

    async with AsyncTestClient(app) as client:
        found = (await client.get("/")).json()
    assert found == ["plain", "coroutine", "async manager", "manager", "class", "instance", "partial", "coroutine"]
    assert threads == [False] * 3


async def test_all_that_serves_for_the_application_shares_the_value() -> None:
    made: list[object] = []

    class Engine:
        def __init__(self) -> None:
            made.append(self)

    Shared = Annotated[Engine, Depends(scope="lifespan")]  # noqa: N806

    def session(engine: Shared) -> Iterator[int]:
        yield made.index(engine)

    async def current(engine: Shared, session: Annotated[int, Depends(session)]) -> int:
        assert made.index(engine) == session
        return session

    declared = [Depends(Engine, scope="lifespan")]
    app, router, inner = FastAPI(dependencies=declared), APIRouter(dependencies=declared), APIRouter()

    @app.get("/function")
    async def function(current: Annotated[int, Depends(current, scope="function")]) -> int:
        return current

    @inner.get("/sync")
    def sync(engine: Shared, current: Annotated[int, Depends(current)]) -> list[int]:
        return [made.index(engine), current]

    @inner.websocket("/socket")
    async def socket(websocket: WebSocket, engine: Shared) -> None:
        await websocket.accept()
        await websocket.send_json(made.index(engine))
        await websocket.close()

    router.include_router(inner, prefix="/inner")
    app.include_router(router, prefix="/router")
    mounted = APIRouter()
    taking(mounted, "/length", lambda: len(made))
    mounted.get("/")(sync)
    app.routes.append(Mount("/mounted", app=mounted))
    async with AsyncTestClient(app) as client:
        assert len(made) == 1
        assert (await client.get("/function")).json() == 0
        assert (await client.get("/router/inner/sync")).json() == [0, 0]
        assert (await client.get("/mounted/")).json() == [0, 0]
        assert (await client.get("/mounted/length")).json() == 1
        async with client.websocket_connect("/router/inner/socket") as connection:
            assert await connection.receive_json() == 0
        assert len(made) == 1


async def test_a_front_end_has_them_too(tmp_path: Any) -> None:
    (tmp_path / "index.html").write_text("<p>tea</p>")
    log = Log()
    app = FastAPI(dependencies=[Depends(log.asynchronous("engine"), scope="lifespan")])
    app.frontend("/", directory=tmp_path)
    async with AsyncTestClient(app) as client:
        assert log == ["engine made"]
        assert (await client.get("/")).text == "<p>tea</p>"
    assert log == ["engine made", "engine left"]


async def test_entry_and_exit_are_in_one_task_and_see_the_context_of_the_lifespan() -> None:
    variable: ContextVar[str] = ContextVar("variable", default="unset")
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        variable.set("by the lifespan")
        yield

    def workers(name: str) -> Any:
        async def dependency() -> AsyncIterator[str]:
            # Leaving a task group in another task is an error.
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.sleep_forever)
                seen.append(f"{name}: {variable.get()}")
                yield name
                tasks.cancel_scope.cancel()

        return dependency

    app = FastAPI(lifespan=lifespan)
    taking(app, "/", workers("first"))
    variable.set("by the test")
    async with AsyncTestClient(app) as client:
        taking(app, "/late", workers("second"))
        assert [(await client.get(path)).json() for path in ("/", "/late")] == ["first", "second"]
    assert seen == ["first: by the lifespan", "second: by the lifespan"]


# ---------------------------------------------------------------- asked for after the start


async def test_what_is_first_asked_for_late_is_made_once_and_left_first() -> None:
    log = Log()
    app = FastAPI(lifespan=log.lifespan())
    taking(app, "/", log.asynchronous("early"))
    waits = anyio.Event()

    async def slow(early: Annotated[str, Depends(log.synchronous("needed"), scope="lifespan")]) -> AsyncIterator[str]:
        log.append("slow made")
        await waits.wait()
        yield "slow"
        log.append("slow left")

    async with AsyncTestClient(app) as client:
        taking(app, "/late", slow)
        answers: list[Any] = []

        async def ask() -> None:
            answers.append((await client.get("/late")).json())

        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            with anyio.move_on_after(0):
                await ask()  # one who leaves takes nothing from the others
            waits.set()
        await ask()
        assert answers == ["slow"] * 101
    assert log == [
        *("start", "early made", "needed made", "slow made"),
        *("slow left", "needed left", "early left", "stop"),
    ]


async def test_what_fails_late_fails_for_those_who_wait_and_is_tried_again() -> None:
    app = FastAPI()
    tries: list[int] = []

    async def flaky() -> int:
        tries.append(len(tries))
        await anyio.lowlevel.checkpoint()
        if len(tries) == 1:
            raise HTTPException(503, "not yet")
        return len(tries)

    async with AsyncTestClient(app) as client:
        taking(app, "/", flaky)
        found: list[int] = []

        async def ask() -> None:
            found.append((await client.get("/")).status_code)

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(ask)
        assert found == [503] * 3
        assert (await client.get("/")).json() == 2
        assert (await client.get("/")).json() == 2


async def test_who_is_turned_away_before_asks_for_nothing() -> None:
    log = Log()
    app = FastAPI()

    def refuse() -> None:
        raise HTTPException(401)

    async with AsyncTestClient(app) as client:

        @app.get("/")
        def endpoint(
            one: Annotated[None, Depends(refuse)],
            two: Annotated[str, Depends(log.synchronous("engine"), scope="lifespan")],
        ) -> None: ...

        assert (await client.get("/")).status_code == 401
        assert log == []


async def test_a_late_one_that_fails_to_leave_fails_the_stop() -> None:
    log = Log()
    app = FastAPI(lifespan=log.lifespan())
    taking(app, "/", log.asynchronous("early"))

    def late() -> Iterator[None]:
        yield
        raise LookupError("late")

    async def serve() -> None:
        async with AsyncTestClient(app) as client:
            taking(app, "/late", late)
            await client.get("/late")

    with pytest.raises(LookupError, match="late"):
        await serve()
    assert log == ["start", "early made", "early left", "stop"]


# ---------------------------------------------------------------- overrides


async def test_an_override_is_what_is_made_for_as_long_as_it_is_set() -> None:
    log = Log()
    real = log.asynchronous("real")

    async def engine(real: Annotated[str, Depends(real, scope="lifespan")]) -> AsyncIterator[str]:
        log.append(f"engine on {real} made")
        yield f"engine on {real}"

    app = FastAPI()
    taking(app, "/", engine)
    app.dependency_overrides[real] = log.asynchronous("fake")
    async with AsyncTestClient(app) as client:
        assert (await client.get("/")).json() == "engine on fake"
        app.dependency_overrides.clear()
        assert (await client.get("/")).json() == "engine on real"
        app.dependency_overrides[engine] = lambda: "no engine"
        assert (await client.get("/")).json() == "no engine"
        app.dependency_overrides = {real: lambda: "other"}
        assert (await client.get("/")).json() == "engine on other"
        app.dependency_overrides.clear()
        assert (await client.get("/")).json() == "engine on real"
    made = [line for line in log if "made" in line]
    assert made == ["fake made", "engine on fake made", "real made", "engine on real made", "engine on other made"]


async def test_what_is_overridden_from_the_start_is_not_made() -> None:
    log = Log()
    engine = log.asynchronous("real")

    def by_request() -> str:
        raise AssertionError("overridden as well")

    app = FastAPI()
    taking(app, "/", engine)
    app.get("/request", dependencies=[Depends(by_request)])(lambda: None)

    def instead(other: Annotated[str, Depends(log.asynchronous("other"), scope="lifespan")]) -> None: ...

    app.dependency_overrides = {engine: log.asynchronous("fake"), by_request: instead}
    async with AsyncTestClient(app) as client:
        assert log == ["fake made", "other made"]
        assert (await client.get("/")).json() == "fake"


# ---------------------------------------------------------------- starting and stopping


class Channel:
    """A server's end of the lifespan protocol."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def receive(self) -> Any:
        return {"type": "lifespan.shutdown" if self.sent else "lifespan.startup"}

    async def send(self, message: Any) -> None:
        self.sent.append(message["type"])


@pytest.mark.parametrize("swallowed", [False, True])
async def test_a_failing_one_fails_the_start_and_what_was_made_is_left(swallowed: bool) -> None:
    log, channel = Log(), Channel()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        except LookupError as error:
            log.append(f"lifespan got {error}")
            if not swallowed:
                raise

    def broken() -> None:
        raise LookupError("broken")

    app = FastAPI(lifespan=lifespan)
    taking(app, "/first", log.synchronous("first"))
    taking(app, "/broken", broken)
    taking(app, "/last", log.synchronous("last"))
    with pytest.raises(LookupError):
        await app({"type": "lifespan", "app": app, "state": {}}, channel.receive, channel.send)
    assert channel.sent == ["lifespan.startup.failed"]
    assert log == ["first made", "first left", "lifespan got broken"]


async def test_a_failing_exit_fails_the_stop_and_the_others_are_left() -> None:
    log, channel = Log(), Channel()

    async def broken() -> AsyncIterator[None]:
        yield
        raise LookupError("broken")

    app = FastAPI(lifespan=log.lifespan())
    taking(app, "/first", log.synchronous("first"))
    taking(app, "/broken", broken)
    with pytest.raises(LookupError):
        await app({"type": "lifespan", "app": app}, channel.receive, channel.send)
    assert channel.sent == ["lifespan.startup.complete", "lifespan.shutdown.failed"]
    assert log == ["start", "first made", "first left", "stop"]


async def test_without_a_lifespan_the_error_says_what_to_do() -> None:
    def engine() -> None: ...

    app = FastAPI()
    taking(app, "/", engine)
    async with AsyncTestClient(app):
        pass
    place = f"`{engine.__qualname__}`, file {__file__!r}, line {engine.__code__.co_firstlineno}"
    for serving in (app, app.router):  # never, no more; and the router alone has no application
        host = Host()
        with pytest.raises(FastAPIError, match="does not run") as caught:
            await host.call(serving, http_scope("/"))
        assert "with TestClient(app) as client" in str(caught.value)
        assert place in str(caught.value)


async def test_a_mounted_application_has_its_own_where_its_lifespan_runs() -> None:
    log = Log()
    engine = log.asynchronous("engine")
    app, inner = FastAPI(), FastAPI()
    taking(app, "/", engine)
    taking(inner, "/", engine)
    app.mount("/inner", inner)
    async with AsyncTestClient(app) as client:
        assert (await client.get("/")).json() == "engine"
        with pytest.raises(FastAPIError, match="run_mounted_lifespans"):
            await client.get("/inner/")
    run_mounted_lifespans(app)
    log.clear()
    async with AsyncTestClient(app) as client:
        assert (await client.get("/inner/")).json() == (await client.get("/")).json() == "engine"
    assert log == ["engine made"] * 2 + ["engine left"] * 2


def test_two_lifespans_at_once_keep_their_values_apart() -> None:
    def loop_of() -> Iterator[list[int]]:
        yield [len(made)]

    made: list[int] = []

    def numbered() -> Iterator[int]:
        made.append(len(made))
        yield made[-1]

    app = FastAPI()
    taking(app, "/", numbered)
    with TestClient(app) as one:
        with TestClient(app) as two:
            assert [client.get("/").json() for client in (one, two, one)] == [0, 1, 0]
            with pytest.raises(FastAPIError, match="another event loop"):
                TestClient(app).get("/")
        # One whose requests come from another event loop gets what is there.
        assert [client.get("/").json() for client in (one, TestClient(app))] == [0, 0]
        taking(app, "/late", loop_of)
        with pytest.raises(FastAPIError, match="another event loop"):
            TestClient(app).get("/late")
        assert one.get("/late").json() == [2]


async def test_nothing_is_kept_when_the_lifespan_is_over() -> None:
    class Engine:
        pass

    app = FastAPI()

    @app.get("/")
    async def endpoint(engine: Annotated[Engine, Depends(scope="lifespan")]) -> None:
        nonlocal kept
        kept = weakref.ref(engine)

    kept: Any = None
    async with AsyncTestClient(app) as client:
        await client.get("/")
        assert kept() is not None
    gc.collect()
    assert kept() is None


# ---------------------------------------------------------------- declared, shown, replaced


@pytest.mark.parametrize(
    "declare",
    [
        lambda: Depends(len, scope="lifespan", use_cache=False),
        lambda: Depends(len, scope="lifespan", max_concurrency=1),
        lambda: params.Security(len, scope="lifespan", scopes=["read"]),
    ],
)
def test_what_belongs_to_a_request_cannot_be_combined_with_it(declare: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match='cannot be combined with scope="lifespan"'):
        declare()


def test_the_document_does_not_show_it_and_the_explanation_does() -> None:
    def engine(size: int = 3) -> int:
        return size

    app, plain = FastAPI(), FastAPI()
    taking(app, "/", engine)
    taking(app, "/again", engine)

    @plain.get("/")
    async def endpoint() -> Any: ...

    plain.get("/again")(endpoint)
    assert app.openapi() == plain.openapi()
    assert forzium.explain(app, "GET", "/").stages[0] == {
        "stage": "solve",
        "callable": engine.__qualname__,
        "calling": "made once in the lifespan of the application",
    }


async def test_functions_that_agents_replace_get_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    from forzium import routing

    solve, solved = routing.solve_dependencies, []

    async def watched(**arguments: Any) -> Any:
        found = await solve(**arguments)
        solved.append(found.values)
        return found

    class Wrapped(APIRoute):
        def get_route_handler(self) -> Any:
            handle = super().get_route_handler()

            async def wrapped(request: Request) -> Any:
                return await handle(request)

            return wrapped

    app, router = FastAPI(), APIRouter(route_class=Wrapped)
    engine = Log().asynchronous("engine")
    taking(router, "/wrapped", engine)
    taking(app, "/", engine)
    app.include_router(router)
    async with AsyncTestClient(app) as client:
        assert (await client.get("/wrapped")).json() == "engine"
        monkeypatch.setattr(routing, "solve_dependencies", watched)
        assert (await client.get("/")).json() == "engine"
    assert solved == [{"value": "engine"}]


async def test_the_same_function_without_the_scope_is_a_dependency_of_the_request() -> None:
    calls: list[int] = []

    def count() -> int:
        calls.append(len(calls))
        return calls[-1]

    app = FastAPI()

    @app.get("/")
    async def endpoint(
        lasting: Annotated[int, Depends(count, scope="lifespan")], own: Annotated[int, Security(count)]
    ) -> list[int]:
        return [lasting, own]

    async with AsyncTestClient(app) as client:
        assert [(await client.get("/")).json() for _ in range(2)] == [[0, 1], [0, 2]]
