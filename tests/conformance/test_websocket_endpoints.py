"""WebSocket endpoints of an application: parameters, dependencies, errors and their order, as FastAPI has them."""

import traceback
from collections.abc import Callable
from typing import Annotated, Any

import anyio
import pytest

from conformance.harness import Framework, describe, frameworks

CONNECT = {"type": "websocket.connect"}
LEFT = {"type": "websocket.disconnect", "code": 1001, "reason": "away"}


def text(data: str) -> dict[str, Any]:
    return {"type": "websocket.receive", "text": data}


def scope_of(target: str, headers: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    path, _, query = target.partition("?")
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(b"host", b"testserver"), *((k.encode(), v.encode()) for k, v in (headers or {}).items())],
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
        "subprotocols": ["tea", "coffee"],
        "state": {},
        "extensions": {"websocket.http.response": {}},
        **more,
    }


def conversation(app: Any, scope: dict[str, Any], incoming: list[dict[str, Any]], breaks_at: int = -1) -> list[Any]:
    """The messages sent, and what was raised, with the function it came from."""
    lines: list[Any] = []
    messages = iter(incoming)

    async def receive() -> dict[str, Any]:
        await anyio.sleep(0)
        return dict(next(messages, LEFT))

    async def send(message: dict[str, Any]) -> None:
        if len(lines) == breaks_at:
            raise OSError("broken pipe")
        if message.get("code") == 1008 and not str(message["reason"]).startswith("Not"):
            message = {**message, "reason": "invalid"}  # FastAPI sends a list, which no close frame can hold
        lines.append(message)

    async def main() -> None:
        with anyio.fail_after(20):
            try:
                await app(dict(scope), receive, send)
            except Exception as error:
                frames = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
                lines.append((describe(error), [name for name in frames if name in FUNCTIONS][-1:]))

    anyio.run(main)
    return lines


# Where an error may come from: the endpoints and dependencies below.
FUNCTIONS = {"endpoint", "request_scoped", "early", "twice", "unaccepted", "after", "left", "deny", "before", "inside"}

Build = Callable[[Framework, Any, list[Any]], None]
CASES: dict[str, tuple[Build, list[Any]]] = {}


def case(*conversations: Any) -> Callable[[Build], Build]:
    def add(build: Build) -> Build:
        CASES[build.__name__] = (build, list(conversations))
        return build

    return add


@case(
    (scope_of("/i/7/x/y?q=a&q=b&n=3&flag=yes", {"x-token": "t", "cookie": "c=1"}), [CONNECT, text("hi")]),
    (scope_of("/i/7/x/y?q=a&n=3"), [CONNECT, text("hi")]),
    (scope_of("/i/seven/x/y?q=a&n=three&flag=perhaps"), [CONNECT]),
    (scope_of("/i/7/x/y"), [CONNECT]),
    (scope_of("/nowhere"), [CONNECT]),
)
def parameters(fw: Framework, app: Any, log: list[Any]) -> None:
    from pydantic import BaseModel

    class Filter(BaseModel):
        n: int
        flag: bool = False

    @app.websocket("/i/{number}/{rest:path}")
    async def endpoint(
        websocket: fw.WebSocket,
        number: Annotated[int, fw.Path(ge=1)],
        rest: str,
        filters: Annotated[Filter, fw.Query()],
        x_token: Annotated[str | None, fw.Header()] = None,
        c: Annotated[int, fw.Cookie()] = 5,
    ) -> None:
        log.append(
            (number, rest, filters.model_dump(), x_token, c, websocket.path_params, dict(websocket.query_params))
        )
        await websocket.accept("tea", [(b"x-kind", b"y")])
        await websocket.send_json([await websocket.receive_text(), str(websocket.url), websocket.scope["subprotocols"]])


@case(
    (scope_of("/"), [CONNECT, text("hi"), text("there")]),
    (scope_of("/?fail=in endpoint"), [CONNECT]),
    (scope_of("/?fail=before"), [CONNECT]),
    (scope_of("/?fail=after"), [CONNECT]),
    (scope_of("/?fail=swallow"), [CONNECT]),
    (scope_of("/?fail=close"), [CONNECT]),
    (scope_of("/?fail=http"), [CONNECT]),
)
def dependencies(fw: Framework, app: Any, log: list[Any]) -> None:
    async def request_scoped(websocket: fw.WebSocket, fail: str = ""):
        log.append("open request")
        if fail == "before":
            raise LookupError("before")
        try:
            yield "r"
        except LookupError as error:
            log.append(("request saw", str(error), websocket.application_state.name))
            if fail == "swallow":
                return
            raise
        finally:
            log.append(("close request", websocket.application_state.name))

    def function_scoped(outer: Annotated[str, fw.Depends(request_scoped)], connection: fw.requests.HTTPConnection):
        log.append(("open function", outer, connection.url.path))
        yield "f"
        log.append("close function")

    def cached(value: Annotated[str, fw.Depends(request_scoped)]) -> str:
        return value + "c"

    @app.websocket("/")
    async def endpoint(
        websocket: fw.WebSocket,
        f: Annotated[str, fw.Depends(function_scoped, scope="function")],
        c: Annotated[str, fw.Depends(cached)],
        fail: str = "",
    ) -> None:
        await websocket.accept()
        log.append((f, c))
        if fail in ("in endpoint", "swallow"):
            raise LookupError("in the endpoint")
        if fail == "close":
            raise fw.WebSocketException(4000, "closed")
        if fail == "http":
            raise fw.HTTPException(418, "teapot")
        async for data in websocket.iter_text():
            log.append(data)
        if fail == "after":
            raise LookupError("after")


@case(
    (scope_of("/basic", {"authorization": "Basic YTpi"}), [CONNECT]),
    (scope_of("/basic"), [CONNECT]),
    (scope_of("/key", {"x-key": "k"}), [CONNECT]),
    (scope_of("/key"), [CONNECT]),
    (scope_of("/bearer", {"authorization": "Bearer t"}), [CONNECT]),
    (scope_of("/bearer", {"authorization": "Basic t"}), [CONNECT]),
)
def security(fw: Framework, app: Any, log: list[Any]) -> None:
    schemes = {
        "basic": fw.security.HTTPBasic(),
        "key": fw.security.APIKeyHeader(name="x-key"),
        "bearer": fw.security.OAuth2PasswordBearer(tokenUrl="token"),
    }
    for name, scheme in schemes.items():

        @app.websocket(f"/{name}")
        async def endpoint(websocket: fw.WebSocket, found: Annotated[Any, fw.Depends(scheme)]) -> None:
            await websocket.accept()
            await websocket.send_text(repr(found))


@case(
    *(
        (scope_of(f"/{kind}"), [CONNECT, text("x")])
        for kind in ("early", "twice", "unaccepted", "after", "left", "none")
    ),
    (scope_of("/deny"), [CONNECT]),
    (scope_of("/deny", extensions={}), [CONNECT]),
    (scope_of("/deny", extensions=None), [CONNECT]),
    (scope_of("/stream"), [CONNECT]),
)
def wrong_orders(fw: Framework, app: Any, log: list[Any]) -> None:
    @app.websocket("/early")
    async def early(websocket: fw.WebSocket) -> None:
        await websocket.send_text("x")

    @app.websocket("/twice")
    async def twice(websocket: fw.WebSocket) -> None:
        await websocket.accept()
        await websocket.accept()

    @app.websocket("/unaccepted")
    async def unaccepted(websocket: fw.WebSocket) -> None:
        await websocket.receive_text()

    @app.websocket("/after")
    async def after(websocket: fw.WebSocket) -> None:
        await websocket.accept()
        await websocket.close(1011, "done")
        await websocket.send_text("x")

    @app.websocket("/left")
    async def left(websocket: fw.WebSocket) -> None:
        await websocket.accept()
        log.append(await websocket.receive_text())
        try:
            await websocket.receive_text()
        except fw.WebSocketDisconnect as error:
            log.append((error.code, error.reason, str(error)))
        await websocket.receive_text()

    @app.websocket("/none")
    async def none(websocket: fw.WebSocket) -> None:
        pass

    @app.websocket("/deny")
    async def deny(websocket: fw.WebSocket) -> None:
        if websocket.scope["extensions"] is None:
            await websocket.close()
        else:
            await websocket.send_denial_response(fw.responses.JSONResponse({"no": "tea"}, 418, {"x-kind": "denied"}))

    @app.websocket("/stream")
    async def stream(websocket: fw.WebSocket) -> None:
        await websocket.send_denial_response(fw.responses.StreamingResponse(iter([b"a", b"b"]), 403))


@case(
    *(
        (scope_of(f"/{where}/{kind}"), [CONNECT, text("x")])
        for where in ("before", "in")
        for kind in ("key", "value", "http", "socket", "group", "base", "invalid")
    )
)
def exception_handlers(fw: Framework, app: Any, log: list[Any]) -> None:
    class Special(KeyError):
        pass

    def raised(kind: str) -> Exception:
        return {
            "key": Special("special"),
            "value": ValueError("value"),
            "http": fw.HTTPException(418, "teapot", {"x-kind": "tea"}),
            "socket": fw.WebSocketException(4001, "socket"),
            "group": ExceptionGroup("group", [ValueError("one"), LookupError("two")]),
            "base": ArithmeticError("base"),
            "invalid": fw.exceptions.WebSocketRequestValidationError([{"loc": ("x",), "msg": "no", "type": "t"}]),
        }[kind]

    @app.exception_handler(LookupError)
    async def lookup(websocket: Any, error: Exception) -> None:
        log.append((type(websocket).__name__, type(error).__name__, websocket.application_state.name))
        await websocket.close(4002, "lookup")

    @app.exception_handler(ValueError)
    def value(websocket: Any, error: Exception) -> None:
        log.append((type(websocket).__name__, str(error)))

    @app.exception_handler(418)
    async def teapot(connection: Any, error: Exception) -> None:
        log.append("a handler by status")

    @app.websocket("/before/{kind}")
    async def before(websocket: fw.WebSocket, kind: str) -> None:
        raise raised(kind)

    @app.websocket("/in/{kind}")
    async def inside(websocket: fw.WebSocket, kind: str) -> None:
        await websocket.accept()
        await websocket.receive_text()
        raise raised(kind)


@case(
    (scope_of("/sub/ok/7"), [CONNECT, text("x")]),
    (scope_of("/sub/ok/seven"), [CONNECT]),
    (scope_of("/sub/key/7"), [CONNECT]),
    (scope_of("/sub/value/7"), [CONNECT]),
    (scope_of("/sub/nowhere"), [CONNECT]),
    (scope_of("/api/v1/ok/7"), [CONNECT, text("x")]),
    (scope_of("/api/v1/key/7"), [CONNECT]),
    (scope_of("/late"), [CONNECT]),
)
def mounted_and_included(fw: Framework, app: Any, log: list[Any]) -> None:
    async def dependency(websocket: fw.WebSocket) -> None:
        log.append(("router", websocket.scope["root_path"]))

    router = fw.APIRouter(prefix="/v1", dependencies=[fw.Depends(dependency)])
    sub = fw.FastAPI()
    for place in (router, sub):

        @place.websocket("/{kind}/{number}", name="socket")
        async def endpoint(websocket: fw.WebSocket, kind: str, number: int) -> None:
            if kind == "key":
                raise KeyError("key")
            if kind == "value":
                raise ValueError("value")
            await websocket.accept()
            url = websocket.url_for("socket", kind="a", number=2)
            await websocket.send_text(f"{await websocket.receive_text()} {url} {websocket.app is app}")

    @sub.exception_handler(KeyError)
    async def inner(websocket: Any, error: Exception) -> None:
        log.append("inner")
        await websocket.close(4003)

    @app.exception_handler(Exception)
    async def outer(websocket: Any, error: Exception) -> None:
        log.append("outer")

    @app.exception_handler(ValueError)
    async def outer_value(websocket: Any, error: Exception) -> None:
        log.append("outer value")
        await websocket.close(4004)

    app.include_router(router, prefix="/api")
    app.mount("/sub", sub)

    @router.websocket_route("/plain")
    async def plain(websocket: Any) -> None: ...

    @app.websocket_route("/late")
    async def late(websocket: Any) -> None:
        await websocket.accept()
        await websocket.close()


@case(
    (scope_of("/"), [CONNECT]),
    (scope_of("/?n=5"), [CONNECT]),
    (scope_of("/?n=5"), [CONNECT], 0),
    (scope_of("/?n=5"), [CONNECT], 2),
)
def a_connection_that_breaks(fw: Framework, app: Any, log: list[Any]) -> None:
    @app.websocket("/")
    async def endpoint(websocket: fw.WebSocket, n: int = 2) -> None:
        try:
            await websocket.accept()
            for number in range(n):
                await websocket.send_bytes(b"%d" % number)
        except fw.WebSocketDisconnect as error:
            log.append((error.code, error.reason, str(error)))
        log.append(websocket.application_state.name)
        await websocket.send_text("after")


@pytest.mark.parametrize("name", CASES)
def test_an_endpoint_goes_as_with_fastapi(name: str) -> None:
    build, conversations = CASES[name]
    results = []
    for fw in frameworks():
        log: list[Any] = []
        app = fw.FastAPI()
        build(fw, app, log)
        results.append([])
        for scope, incoming, *breaks_at in conversations:
            results[-1].append((conversation(app, scope, incoming, *breaks_at), list(log)))
            log.clear()
    for (scope, *_), theirs, ours in zip(conversations, *results, strict=True):
        assert ours == theirs, scope["path"] + "?" + scope["query_string"].decode()
