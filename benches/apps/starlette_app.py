"""Starlette: conversions and validation written by hand, as one does there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from pydantic import TypeAdapter
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from apps.scenarios import BIG, CHUNKS, ROUTES, ROWS, Item

ITEMS = TypeAdapter(list[Item])


def app(path: str, endpoint: Any, method: str = "GET", middleware: list[Middleware] | None = None) -> Starlette:
    return Starlette(routes=[Route(path, endpoint, methods=[method])], middleware=middleware)


async def hello(request: Request) -> Response:
    return JSONResponse({"hello": "world"})


def hello_in_a_thread(request: Request) -> Response:
    return JSONResponse({"hello": "world"})


async def path_query(request: Request) -> Response:
    try:
        item_id, limit = int(request.path_params["item_id"]), int(request.query_params.get("limit", 20))
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
    return JSONResponse({"item_id": item_id, "q": request.query_params["q"], "limit": limit})


async def model(request: Request) -> Response:
    item = Item.model_validate_json(await request.body())
    return Response(item.model_dump_json(), media_type="application/json")


async def list_100(request: Request) -> Response:
    return Response(ITEMS.dump_json(ITEMS.validate_python(ROWS)), media_type="application/json")


async def form(request: Request) -> Response:
    async with request.form() as data:
        return JSONResponse({"name": data["name"], "amount": int(str(data["amount"]))})


async def upload(request: Request) -> Response:
    async with request.form() as data:
        file = data["file"]
        assert isinstance(file, UploadFile)
        return JSONResponse({"filename": file.filename, "size": file.size})


async def pass_on(request: Request, call_next: RequestResponseEndpoint) -> Response:
    return await call_next(request)


STACK = [
    Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1"]),
    Middleware(GZipMiddleware, minimum_size=1000),
    Middleware(CORSMiddleware, allow_origins=["http://localhost:3000"]),
]


async def json_out(request: Request) -> Response:
    return JSONResponse(BIG)


async def json_in(request: Request) -> Response:
    return JSONResponse({"rows": len(await request.json())})


async def stream(request: Request) -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in CHUNKS:
            yield chunk

    return StreamingResponse(chunks(), media_type="text/plain")


async def http_exception(request: Request) -> Response:
    raise HTTPException(418, "short and stout")


async def background(request: Request) -> Response:
    return JSONResponse({"hello": "world"}, background=BackgroundTask(work, "tea"))


async def work(name: str) -> None: ...


async def seen(request: Request) -> Response:
    return JSONResponse({"token": request.headers["x-token"], "q": request.query_params["q"], "url": str(request.url)})


async def by_id(request: Request) -> Response:
    return JSONResponse({"id": int(request.path_params["id"])})


def route_500() -> Starlette:
    return Starlette(routes=[Route(f"/route{number}/{{id}}", by_id) for number in range(ROUTES)])


BUILD: dict[str, Callable[[], Any]] = {
    "dict": lambda: app("/", hello),
    "path-query": lambda: app("/items/{item_id}", path_query),
    "model": lambda: app("/items", model, "POST"),
    "list-100": lambda: app("/items", list_100),
    "sync": lambda: app("/", hello_in_a_thread),
    "sync-64": lambda: app("/", hello_in_a_thread),
    "form": lambda: app("/", form, "POST"),
    "upload": lambda: app("/", upload, "POST"),
    "stream-100": lambda: app("/", stream),
    "http-exception": lambda: app("/", http_exception),
    "not-found": lambda: app("/", hello),
    "invalid": lambda: app("/items/{item_id}", path_query),
    "background": lambda: app("/", background),
    "request": lambda: app("/seen", seen),
    "middleware": lambda: app("/", hello, middleware=STACK),
    "http-middleware": lambda: app("/", hello, middleware=[Middleware(BaseHTTPMiddleware, dispatch=pass_on)] * 2),
    "json-out": lambda: app("/", json_out),
    "json-in": lambda: app("/", json_in, "POST"),
    "route-500": route_500,
}
