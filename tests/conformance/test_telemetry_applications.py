"""Whole applications that are watched: the spans with their parents, metrics and logs of each request, compared."""

# No `from __future__ import annotations`: the annotations below name the builder's locals.
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import BaseModel

from conformance.harness import Framework, frameworks

pytest.importorskip("opentelemetry.sdk")

from conformance.test_telemetry import Recorder, neutral


class Item(BaseModel):
    name: str
    price: float = 1.5


def application(fw: Framework, telemetry: Any, **options: Any) -> Any:
    responses = fw.module("responses")

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        yield

    app = fw.FastAPI(telemetry=telemetry, lifespan=lifespan, **options)

    async def resource() -> AsyncIterator[str]:
        yield "resource"

    def plain(value: str = fw.Depends(resource)) -> Iterator[str]:
        yield value

    def limited(q: int = 1) -> int:
        return q

    @app.get("/async/{number}")
    async def in_place(number: int, value: str = fw.Depends(plain)) -> Any:
        return {"number": number, "value": value}

    @app.get("/sync/{number}")
    def in_thread(number: int, q: int = fw.Depends(limited)) -> Any:
        return {"number": number, "q": q}

    @app.post("/items", status_code=201)
    async def create(item: Item, tasks: fw.BackgroundTasks) -> Item:
        async def follow_up() -> None: ...

        tasks.add_task(follow_up)
        tasks.add_task(dict, a=1)
        return item

    @app.post("/form")
    async def form(name: str = fw.Form()) -> str:
        return name

    @app.get("/wrong", response_model=Item)
    async def wrong() -> Any:
        return {"price": "none"}

    @app.get("/teapot")
    async def teapot() -> None:
        raise fw.HTTPException(418)

    @app.get("/unavailable")
    async def unavailable() -> None:
        raise fw.HTTPException(503)

    @app.get("/broken")
    async def broken() -> None:
        raise LookupError("broken")

    @app.get("/broken-sync")
    def broken_sync() -> None:
        raise LookupError("broken")

    def failing() -> None:
        raise LookupError("dependency")

    @app.get("/broken-dependency", dependencies=[fw.Depends(failing)])
    async def broken_dependency() -> None: ...

    @app.get("/stream")
    async def stream() -> Any:
        async def parts() -> AsyncIterator[bytes]:
            yield b"one"
            yield b"two"

        return responses.StreamingResponse(parts())

    @app.get("/lines")
    async def lines() -> AsyncIterator[Item]:
        yield Item(name="one")
        yield Item(name="two")

    @app.get("/events", response_class=fw.module("sse").EventSourceResponse)
    async def events() -> AsyncIterator[Item]:
        yield Item(name="one")

    @app.get("/response")
    async def response() -> Any:
        return responses.PlainTextResponse("text")

    @app.websocket("/echo/{number}")
    async def echo(websocket: fw.WebSocket, number: int, value: str = fw.Depends(resource)) -> None:
        await websocket.accept()
        await websocket.send_json([number, value, await websocket.receive_text()])
        await websocket.close()

    @app.websocket("/broken-socket")
    async def broken_socket(websocket: fw.WebSocket) -> None:
        await websocket.accept()
        raise LookupError("broken")

    router = fw.APIRouter(prefix="/inner", dependencies=[fw.Depends(plain)])

    @router.get("/{name}")
    async def inner(name: str) -> str:
        return name

    class Route(fw.module("routing").APIRoute):  # type: ignore[misc]
        def get_route_handler(self) -> Callable[..., Any]:
            answer = super().get_route_handler()

            async def around(request: Any) -> Any:
                return await answer(request)

            return around

    custom = fw.APIRouter(route_class=Route)

    @custom.get("/custom")
    async def of_a_custom_class() -> str:
        return "custom"

    router.include_router(custom, prefix="/below")
    app.include_router(router, prefix="/outer")

    mounted = fw.FastAPI()

    @mounted.get("/leaf/{name}")
    async def leaf(name: str) -> str:
        return name

    app.mount("/mounted", mounted)

    async def raw(scope: Any, receive: Any, send: Any) -> None:
        await responses.PlainTextResponse("raw")(scope, receive, send)

    app.mount("/raw", raw)

    async def handle(request: Any, error: Exception) -> Any:
        return responses.PlainTextResponse("handled", status_code=409)

    app.add_exception_handler(KeyError, handle)

    @app.get("/handled")
    async def handled() -> None:
        raise KeyError

    return app


CALLS = {
    "async": ("GET", "/async/1?q=2", {}),
    "async, invalid": ("GET", "/async/one", {}),
    "sync": ("GET", "/sync/1?q=2", {}),
    "sync, invalid": ("GET", "/sync/1?q=two", {}),
    "body": ("POST", "/items", {"json": {"name": "tea"}}),
    "body, invalid": ("POST", "/items", {"json": {"price": 1}}),
    "body, no JSON": ("POST", "/items", {"content": b"{", "headers": {"content-type": "application/json"}}),
    "form": ("POST", "/form", {"data": {"name": "tea"}}),
    "wrong response": ("GET", "/wrong", {}),
    "HTTPException": ("GET", "/teapot", {}),
    "HTTPException 503": ("GET", "/unavailable", {}),
    "handled": ("GET", "/handled", {}),
    "error": ("GET", "/broken", {}),
    "error in a thread": ("GET", "/broken-sync", {}),
    "error of a dependency": ("GET", "/broken-dependency", {}),
    "stream": ("GET", "/stream", {}),
    "lines": ("GET", "/lines", {}),
    "events": ("GET", "/events", {}),
    "response": ("GET", "/response", {}),
    "not found": ("GET", "/nowhere", {}),
    "method not allowed": ("PUT", "/items", {}),
    "HEAD": ("HEAD", "/async/1", {}),
    "slash": ("GET", "/teapot/", {"follow_redirects": False}),
    "document": ("GET", "/openapi.json", {}),
    "included": ("GET", "/outer/inner/a", {}),
    "custom class": ("GET", "/outer/inner/below/custom", {}),
    "mounted": ("GET", "/mounted/leaf/a", {}),
    "mounted, not found": ("GET", "/mounted/nowhere", {}),
    "raw mount": ("GET", "/raw/anything", {}),
    "traced from outside": (
        "GET",
        "/async/1",
        {"headers": {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}},
    ),
}


class Tree(Recorder):
    """Also says which span is whose child."""

    def told(self) -> Any:
        finished = self.spans.get_finished_spans()
        names = {span.context.span_id: span.name for span in finished if span.context}
        parents = sorted(
            (span.name, "" if span.parent is None else names.get(span.parent.span_id, "outside")) for span in finished
        )
        events = sorted(
            (span.name, event.name, sorted(k for k in event.attributes or {} if "stacktrace" not in k))
            for span in finished
            for event in span.events
        )
        return neutral((parents, events)), super().told()


def told(fw: Framework, use: Callable[[Any], None], options: Any, **config: Any) -> Any:
    recorder = Tree(**config)
    app = application(fw, recorder.config, **options)
    with fw.module("testclient").TestClient(app, raise_server_exceptions=False) as client:
        use(client)
    return recorder.told()


def alike(use: Callable[[Any], None], options: Any = None, **config: Any) -> Any:
    found = [told(fw, use, options or {}, **config) for fw in frameworks()]
    assert found[1] == found[0]
    return found[1]


def request(name: str) -> Callable[[Any], None]:
    method, url, options = CALLS[name]

    def use(client: Any) -> None:
        client.request(method, url, **options)

    return use


@pytest.mark.parametrize("name", CALLS)
def test_a_request_is_told_alike(name: str) -> None:
    tree, _ = alike(request(name))
    assert tree != "([], [])"


@pytest.mark.parametrize(
    "config",
    [
        {"operation_spans": False},
        {"tracing": False},
        {"metrics": False},
        {"logs": False},
        {"exclude": lambda scope: True},
    ],
    ids=lambda config: next(iter(config)),
)
def test_what_is_switched_off_is_left_out_alike(config: Any) -> None:
    for name in ("async", "body, invalid", "error", "mounted"):
        alike(request(name), **config)


def test_middleware_stands_inside_of_what_is_told() -> None:
    def options(fw: Framework) -> Any:
        middleware = fw.starlette.module("middleware")

        async def passing(request: Any, call_next: Any) -> Any:
            return await call_next(request)

        return {
            "middleware": [
                middleware.Middleware(fw.starlette.module("middleware.base").BaseHTTPMiddleware, dispatch=passing),
                middleware.Middleware(fw.starlette.module("middleware.gzip").GZipMiddleware, minimum_size=1),
                middleware.Middleware(fw.starlette.module("middleware.cors").CORSMiddleware, allow_origins=["*"]),
            ]
        }

    for name in ("async", "error", "stream", "not found"):
        found = [told(fw, request(name), options(fw)) for fw in frameworks()]
        assert found[1] == found[0], name


@pytest.mark.parametrize("path", ["/echo/7", "/echo/seven", "/broken-socket", "/nowhere"])
def test_a_websocket_is_told_alike(path: str) -> None:
    def use(client: Any) -> None:
        try:
            with client.websocket_connect(path) as socket:
                socket.send_text("text")
                socket.receive_json()
        except Exception:
            pass  # what was refused or broken; what is told about it is compared

    alike(use)
