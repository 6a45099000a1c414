"""Dependencies of WebSocket routes: every kind, both scopes, what is thrown in, and what becomes of the connection."""

import contextvars
import functools
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from conformance.harness import Framework, describe, frameworks

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
backends = pytest.mark.parametrize("backend", ["asyncio", "trio"])


def talk(app: Any, backend: str, path: str, *texts: str, leaves: bool = True) -> list[Any]:
    """All that a host sees of a connection on which a client says `texts`, and then leaves."""
    said = iter([{"type": "websocket.connect"}, *({"type": "websocket.receive", "text": text} for text in texts)])
    seen: list[Any] = []

    async def receive() -> Any:
        gone = {"type": "websocket.disconnect", "code": 1001, "reason": "bye"}
        if (message := next(said, gone if leaves else None)) is None:
            await anyio.sleep_forever()
        return message

    async def send(message: Any) -> None:
        if message.get("code") == 1008 and "Input should be" in str(message["reason"]):
            message = {**message, "reason": "invalid"}  # a text here, a list there: deliberate
        seen.append(message)

    async def serve() -> None:
        route, _, query = path.partition("?")
        scope = {
            "type": "websocket",
            "path": route,
            "headers": [(b"host", b"testserver"), (b"x-token", b"t"), (b"cookie", b"c=d")],
            "query_string": query.encode(),
            "subprotocols": [],
            "scheme": "ws",
            "server": ("testserver", 80),
            "client": ("127.0.0.1", 1),
        }
        with anyio.fail_after(10):
            try:
                await app(scope, receive, send)
            except TimeoutError:
                raise
            except Exception as error:
                seen.append(describe(error))

    anyio.run(serve, backend=backend)
    return seen


def same(build: Callable[[Framework, list[Any]], Any], backend: str, *calls: tuple[str, ...]) -> list[list[Any]]:
    """What is seen of each connection, and what was logged; equal on both."""
    outcomes = []
    for fw in frameworks():
        log: list[Any] = []
        app = build(fw, log)
        outcomes.append([])
        for path, *texts in calls:
            outcomes[-1].append([*talk(app, backend, path, *texts), *log])
            log.clear()
    for call, theirs, ours in zip(calls, *outcomes, strict=True):
        assert ours == theirs, call
    return outcomes[1]


@backends
def test_every_kind_gives_its_value(backend: str) -> None:
    def build(fw: Framework, log: list[Any]) -> Any:
        class Thing:
            def __init__(self, q: int = 1) -> None:
                self.q = q

            async def __call__(self, x_token: Annotated[str, fw.Header()], z: int = 5) -> Any:
                return [self.q, x_token, z]

        def plain(c: Annotated[str, fw.Cookie()]) -> str:
            return c

        async def sets(value: str = "set") -> None:
            variable.set(value)

        def sees(_: Any = fw.Depends(sets)) -> str:
            return variable.get()

        def yields(websocket: fw.WebSocket) -> Iterator[str]:
            log.append("in")
            yield websocket.url.path
            log.append("out")

        async def connection(connection: fw.module("requests").HTTPConnection) -> AsyncIterator[bool]:  # type: ignore
            log.append("in awaited")
            yield isinstance(connection, fw.WebSocket)
            await checkpoint()
            log.append("out awaited")

        async def scopes(scopes: fw.security.SecurityScopes) -> AsyncIterator[list[str]]:  # type: ignore[name-defined]
            yield list(scopes.scopes)

        def within(found: Any = fw.Security(scopes, scopes=["inner"])) -> Any:
            return found

        calls: list[int] = []

        def counted() -> int:
            calls.append(1)
            return len(calls)

        app = fw.FastAPI(dependencies=[fw.Depends(yields)])
        router = fw.APIRouter(dependencies=[fw.Depends(connection, scope="function")])

        @router.websocket("/kinds/{item}")
        async def endpoint(
            websocket: fw.WebSocket,
            item: int,
            made: Any = fw.Depends(Thing),
            called: Any = fw.Depends(Thing(7)),
            partial: Any = fw.Depends(functools.partial(plain)),
            seen: Any = fw.Depends(sees),
            path: Any = fw.Depends(yields),
            which: Any = fw.Depends(connection),
            read: Any = fw.Security(within, scopes=["read"]),
            write: Any = fw.Security(within, scopes=["write"]),
            one: Any = fw.Depends(counted),
            two: Any = fw.Depends(counted),
            three: Any = fw.Depends(counted, use_cache=False),
        ) -> None:
            log.append([item, made.q, called, partial, seen, path, which, read, write, one, two, three, variable.get()])
            await websocket.accept()

        app.include_router(router, prefix="/under")
        app.dependency_overrides[plain] = lambda o: f"instead {o}"
        return app

    queries = ["/under/kinds/1?o=2", "/under/kinds/x?q=y", "/under/kinds/3?o=2&q=4&z=6&value=v"]
    outcomes = same(build, backend, *((query,) for query in queries))
    assert [any(type(line) is list for line in outcome) for outcome in outcomes] == [True, False, True]


ENDINGS = ("passes on", "swallows", "replaces", "refuses", "closes")
FAILURES = ("nothing", "before accept", "value", "http", "websocket", "leaves", "group", "invalid")


def _dependency(fw: Framework, log: list[Any], name: str, ending: str, *, awaited: bool) -> Callable[..., Any]:
    def caught(error: BaseException) -> None:
        log.append(f"{name} caught {type(error).__name__}")
        if ending == "replaces":
            raise KeyError(name) from None
        if ending != "swallows":
            raise error

    def left() -> None:
        log.append(f"{name} left")
        if ending == "refuses":
            raise fw.HTTPException(418, name)
        if ending == "closes":
            raise fw.WebSocketException(4321, name)

    async def asynchronous() -> AsyncIterator[str]:
        try:
            yield name
        except Exception as error:
            await checkpoint()
            caught(error)
        finally:
            await checkpoint()
            left()

    def plain() -> Iterator[str]:
        try:
            yield name
        except Exception as error:
            caught(error)
        finally:
            left()

    return asynchronous if awaited else plain


@backends
@pytest.mark.parametrize("handlers", [False, True], ids=["default", "handled"])
@pytest.mark.parametrize("awaited", [False, True], ids=["plain", "awaited"])
@pytest.mark.parametrize("scope", ["function", "request"])
def test_every_way_to_end_meets_every_way_to_fail(scope: str, awaited: bool, handlers: bool, backend: str) -> None:
    cases = list(itertools.product(ENDINGS, FAILURES))

    def build(fw: Framework, log: list[Any]) -> Any:
        app = fw.FastAPI()

        def add(path: str, ending: str, failure: str) -> None:
            outer = _dependency(fw, log, "outer", "passes on", awaited=not awaited)
            inner = _dependency(fw, log, "inner", ending, awaited=awaited)

            @app.websocket(path)
            async def endpoint(
                websocket: fw.WebSocket,
                number: int = 1,
                one: Any = fw.Depends(outer, scope="request"),
                two: Any = fw.Depends(inner, scope=scope),
            ) -> None:
                if failure == "before accept":
                    raise fw.HTTPException(403)
                await websocket.accept()
                log.append(await websocket.receive_text())
                if failure == "leaves":
                    await websocket.receive_text()
                errors = {
                    "value": ValueError("value"),
                    "http": fw.HTTPException(409),
                    "websocket": fw.WebSocketException(3000, "no"),
                    "group": ExceptionGroup("group", [ValueError("one"), fw.WebSocketException(3001)]),
                }
                if failure in errors:
                    raise errors[failure]
                await websocket.close()

        for number, (ending, failure) in enumerate(cases):
            add(f"/{number}", ending, failure)

        if handlers:

            @app.exception_handler(KeyError)
            async def replaced(websocket: fw.WebSocket, error: KeyError) -> None:
                log.append(f"handled {error}")
                await websocket.close(4000)

            @app.exception_handler(fw.WebSocketException)
            async def closed(websocket: fw.WebSocket, error: Any) -> None:
                log.append(f"handled {error.code}")
                await websocket.close(error.code, error.reason)

            @app.exception_handler(418)
            def refused(websocket: fw.WebSocket, error: Any) -> None:
                log.append(f"handled {error.status_code}")

        return app

    calls = [(f"/{number}" + "?number=x" * (case[1] == "invalid"), "hello") for number, case in enumerate(cases)]
    outcomes = same(build, backend, *calls)
    # Dependencies were entered, and left in the reverse order, whatever happened.
    for outcome in outcomes:
        assert [line for line in outcome if str(line).endswith(" left")] == ["inner left", "outer left"]


@backends
def test_a_dependency_may_use_the_socket_and_end_the_connection(backend: str) -> None:
    def build(fw: Framework, log: list[Any]) -> Any:
        app = fw.FastAPI()

        async def accepted(websocket: fw.WebSocket) -> AsyncIterator[fw.WebSocket]:
            await websocket.accept("soap")
            try:
                yield websocket
            finally:
                log.append(websocket.client_state.name)
                await websocket.send_text("clean-up")
                await websocket.close(4004)

        async def token(websocket: Any = fw.Depends(accepted, scope="function")) -> str:
            if (text := await websocket.receive_text()) != "secret":
                raise fw.WebSocketException(fw.status.WS_1008_POLICY_VIOLATION, text)
            return text

        @app.websocket("/")
        async def endpoint(websocket: fw.WebSocket, token: str = fw.Depends(token)) -> None:
            async for text in websocket.iter_text():
                await websocket.send_text(f"{token} {text}")

        return app

    same(build, backend, ("/", "secret", "a", "b"), ("/", "wrong"), ("/",))


@backends
def test_what_fails_to_be_entered_is_not_left_and_what_came_before_it_is(backend: str) -> None:
    def build(fw: Framework, log: list[Any]) -> Any:
        app = fw.FastAPI()

        def add(path: str, call: Any) -> None:
            depends = [
                fw.Depends(_dependency(fw, log, "first", "passes on", awaited=True)),
                fw.Depends(_dependency(fw, log, "second", "passes on", awaited=False), scope="function"),
                fw.Depends(call),
            ]

            @app.websocket(path, dependencies=depends)
            async def endpoint(websocket: fw.WebSocket) -> None:
                log.append("endpoint")

        async def raises() -> AsyncIterator[None]:
            raise fw.WebSocketException(4001)
            yield

        def raises_plainly() -> Iterator[None]:
            raise LookupError("plain")
            yield

        def yields_not_at_all() -> Iterator[None]:
            yield from ()

        def yields_twice() -> Iterator[None]:
            yield
            yield

        async def denied() -> None:
            raise fw.HTTPException(401, headers={"www-authenticate": "Bearer"})

        add("/raises", raises)
        add("/plainly", raises_plainly)
        add("/none", yields_not_at_all)
        add("/twice", yields_twice)
        add("/denied", denied)
        add("/security", fw.security.HTTPBearer())
        add("/key", fw.security.APIKeyQuery(name="key"))
        return app

    paths = "/raises", "/plainly", "/none", "/twice", "/denied", "/security", "/key", "/key?key=k"
    same(build, backend, *((path,) for path in paths))


@backends
@pytest.mark.parametrize("point", ["dependency", "endpoint", "clean-up"])
def test_clean_up_is_shielded_from_a_cancellation_from_outside(point: str, backend: str) -> None:
    async def act(fw: Framework) -> list[Any]:
        app, log, reached = fw.FastAPI(), [], anyio.Event()

        async def here(at: str) -> None:
            if at == point:
                reached.set()
                await (anyio.sleep_forever() if at != "clean-up" else checkpoint())

        async def first() -> AsyncIterator[None]:
            try:
                yield
            finally:
                await here("clean-up")
                for _ in range(5):
                    await checkpoint()
                log.append("first left")

        def second(_: Any = fw.Depends(first)) -> Iterator[None]:
            try:
                yield
            except BaseException as error:
                log.append(type(error).__name__)
                raise
            finally:
                log.append("second left")

        async def third(_: Any = fw.Depends(second)) -> None:
            await here("dependency")

        @app.websocket("/", dependencies=[fw.Depends(third)])
        async def endpoint(websocket: fw.WebSocket) -> None:
            await websocket.accept()
            await here("endpoint")

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            log.append(message["type"])

        async with anyio.create_task_group() as group:

            async def cancel() -> None:
                await reached.wait()
                scope.cancel()

            group.start_soon(cancel)
            with anyio.CancelScope() as scope:
                await app({"type": "websocket", "path": "/", "headers": [], "query_string": b""}, receive, send)
                log.append("not cancelled")
        return log

    theirs, ours = (anyio.run(act, fw, backend=backend) for fw in frameworks())
    assert ours == theirs
    assert ours[-1] in ("first left", "not cancelled")
