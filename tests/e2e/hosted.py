"""The application that every host serves, built on either framework, and the requests that go through it."""

# No `from __future__ import annotations`: the annotations below name the builder's locals.
import importlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel


class Item(BaseModel):
    """A body."""

    name: str
    price: float = 1.5
    tags: list[str] = []


def build(framework: str) -> Any:
    """The application on ``fastapi`` or on ``forzium``."""
    fw = importlib.import_module(framework)
    responses = importlib.import_module(f"{framework}.responses")

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, str]]:
        yield {"from_lifespan": "yes"}

    def opened() -> Iterator[str]:
        yield "open"

    app = fw.FastAPI(lifespan=lifespan)

    @app.get("/")
    async def root() -> dict[str, str]:
        return {"hello": "world"}

    @app.get("/sync/{number}")
    def sync(number: int, q: str = "none", dependency: str = fw.Depends(opened)) -> dict[str, Any]:
        return {"number": number, "q": q, "dependency": dependency}

    @app.post("/items", status_code=201)
    async def create(item: Item) -> Item:
        return item

    @app.get("/state")
    async def state(request: fw.Request) -> dict[str, Any]:
        return {"lifespan": request.state.from_lifespan, "path": request.url.path, "agent": request.headers["x-agent"]}

    @app.get("/stream")
    async def stream() -> responses.StreamingResponse:
        async def numbers() -> AsyncIterator[str]:
            for number in range(100):
                yield f"{number}\n"

        return responses.StreamingResponse(numbers(), media_type="text/plain")

    @app.post("/size")
    async def size(request: fw.Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    @app.get("/cookies")
    async def cookies(response: fw.Response, seen: Annotated[str | None, fw.Cookie()] = None) -> dict[str, Any]:
        response.set_cookie("seen", "1")
        return {"seen": seen}

    @app.get("/teapot")
    async def teapot() -> None:
        raise fw.HTTPException(418, "short and stout", headers={"x-kind": "teapot"})

    @app.websocket("/echo/{number}")
    async def echo(websocket: fw.WebSocket, number: int, q: str = "none", dependency: str = fw.Depends(opened)) -> None:
        await websocket.accept(subprotocol="tea")
        async for text in websocket.iter_text():
            if text == "close":
                await websocket.close(3001, "as asked")
                return
            await websocket.send_json([number, q, dependency, text])

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("the endpoint is broken")

    return app


@dataclass(frozen=True)
class Call:
    """A request for httpx."""

    method: str
    url: str
    options: dict[str, Any] = field(default_factory=dict)


CALLS = (
    Call("GET", "/"),
    Call("HEAD", "/"),
    Call("GET", "/sync/7?q=%C3%BC+%2B"),
    Call("GET", "/sync/seven"),
    Call("POST", "/items", {"json": {"name": "tea", "tags": ["a", "é"]}}),
    Call("POST", "/items", {"json": {"price": "dear"}}),
    Call("POST", "/items", {"content": b'{"name"', "headers": {"content-type": "application/json"}}),
    Call("GET", "/state", {"headers": {"x-agent": "test"}}),
    Call("GET", "/stream"),
    Call("POST", "/size", {"content": b"x" * 300_000}),
    Call("GET", "/cookies", {"headers": {"cookie": "seen=0"}}),
    Call("GET", "/teapot"),
    Call("GET", "/missing"),
    Call("DELETE", "/items"),
    Call("GET", "/broken"),
    Call("GET", "/"),
)

# Written by the host, not by the application.
HOST_HEADERS = {"date", "server", "connection", "transfer-encoding", "keep-alive"}


def record(response: Any) -> tuple[int, list[tuple[str, str]], bytes]:
    """An answer without what the host adds; an error page's text is the host's too."""
    headers = [(n, v) for n, v in response.headers.multi_items() if n.lower() not in HOST_HEADERS]
    return response.status_code, sorted(headers), response.content
