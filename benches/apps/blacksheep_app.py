"""BlackSheep. It has no dependencies with `yield`, no worker threads for endpoints and no background tasks."""

# No `from __future__ import annotations`: BlackSheep reads the annotations.
from collections.abc import AsyncIterator, Callable
from typing import Any

from blacksheep import Application, FromForm, FromJSON, Request, Response, StreamedContent, json
from blacksheep.exceptions import BadRequest, HTTPException
from blacksheep.server.routing import Router
from pydantic import BaseModel, TypeAdapter

from apps.scenarios import BIG, CHUNKS, ROUTES, ROWS, Item

ITEMS = TypeAdapter(list[Item])


class Form(BaseModel):
    name: str
    amount: int


def app(method: str, path: str, endpoint: Any) -> Application:
    router = Router()
    router.add(method, path, endpoint)
    return Application(router=router)


async def hello() -> Response:
    return json({"hello": "world"})


async def path_query(item_id: int, q: str, limit: int = 20) -> Response:
    return json({"item_id": item_id, "q": q, "limit": limit})


async def model(data: FromJSON[Item]) -> Response:
    return json(data.value.model_dump(mode="json"))


async def list_100() -> Response:
    return json(ITEMS.dump_python(ITEMS.validate_python(ROWS), mode="json"))


async def form(data: FromForm[Form]) -> Response:
    return json({"name": data.value.name, "amount": data.value.amount})


async def json_out() -> Response:
    return json(BIG)


async def json_in(request: Request) -> Response:
    return json({"rows": len(await request.json())})


async def stream() -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in CHUNKS:
            yield chunk

    return Response(200, content=StreamedContent(b"text/plain", chunks))


async def http_exception() -> Response:
    raise HTTPException(418, "short and stout")


async def seen(request: Request) -> Response:
    token = request.headers.get_first(b"x-token")
    assert token is not None
    url = f"{request.scheme}://{request.host}{request.url.value.decode()}"
    return json({"token": token.decode(), "q": request.query["q"][0], "url": url})


def invalid() -> Application:
    application = app("GET", "/items/{item_id}", path_query)

    async def unprocessable(self: Any, request: Request, error: BadRequest) -> Response:
        return json({"detail": str(error)}, 422)

    application.exceptions_handlers[BadRequest] = unprocessable
    application.exceptions_handlers[400] = unprocessable
    return application


def route_500() -> Application:
    router = Router()
    for number in range(ROUTES):

        async def by_id(id: int) -> Response:
            return json({"id": id})

        router.add("GET", f"/route{number}/{{id}}", by_id)
    return Application(router=router)


BUILD: dict[str, Callable[[], Any]] = {
    "dict": lambda: app("GET", "/", hello),
    "path-query": lambda: app("GET", "/items/{item_id}", path_query),
    "model": lambda: app("POST", "/items", model),
    "list-100": lambda: app("GET", "/items", list_100),
    "form": lambda: app("POST", "/", form),
    "stream-100": lambda: app("GET", "/", stream),
    "http-exception": lambda: app("GET", "/", http_exception),
    "not-found": lambda: app("GET", "/", hello),
    "invalid": invalid,
    "request": lambda: app("GET", "/seen", seen),
    "json-out": lambda: app("GET", "/", json_out),
    "json-in": lambda: app("POST", "/", json_in),
    "route-500": route_500,
}
