"""Falcon's ASGI application: resources with responders; no dependencies, no validation of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import falcon
import falcon.asgi
from falcon.asgi import Request, Response
from pydantic import TypeAdapter

from apps.scenarios import BIG, CHUNKS, ROUTES, ROWS, Item

ITEMS = TypeAdapter(list[Item])


def app(path: str, resource: Any) -> falcon.asgi.App[Request, Response]:
    application: falcon.asgi.App[Request, Response] = falcon.asgi.App()
    application.add_route(path, resource)
    return application


class Hello:
    async def on_get(self, req: Request, resp: Response) -> None:
        resp.media = {"hello": "world"}


class HelloInAThread:
    async def on_get(self, req: Request, resp: Response) -> None:
        resp.media = await falcon.sync_to_async(self.answer)

    def answer(self) -> dict[str, str]:
        return {"hello": "world"}


class PathQuery:
    async def on_get(self, req: Request, resp: Response, item_id: int) -> None:
        resp.media = {"item_id": item_id, "q": req.get_param("q"), "limit": req.get_param_as_int("limit", default=20)}


class Unprocessable:
    async def on_get(self, req: Request, resp: Response, item_id: str) -> None:
        try:
            number, limit = int(item_id), int(req.get_param("limit") or 20)
        except ValueError as error:
            raise falcon.HTTPUnprocessableEntity(description=str(error)) from None
        resp.media = {"item_id": number, "limit": limit}


class Model:
    async def on_post(self, req: Request, resp: Response) -> None:
        resp.text = Item.model_validate_json(await req.stream.read()).model_dump_json()


class List100:
    async def on_get(self, req: Request, resp: Response) -> None:
        resp.data = ITEMS.dump_json(ITEMS.validate_python(ROWS))


class Form:
    async def on_post(self, req: Request, resp: Response) -> None:
        data = await req.get_media()
        resp.media = {"name": data["name"], "amount": int(data["amount"])}


class JsonOut:
    async def on_get(self, req: Request, resp: Response) -> None:
        resp.media = BIG


class JsonIn:
    async def on_post(self, req: Request, resp: Response) -> None:
        resp.media = {"rows": len(await req.get_media())}


class Stream:
    async def on_get(self, req: Request, resp: Response) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            for chunk in CHUNKS:
                yield chunk

        resp.content_type = "text/plain"
        resp.stream = chunks()


class Teapot:
    async def on_get(self, req: Request, resp: Response) -> None:
        raise falcon.HTTPError(418, description="short and stout")


class Background:
    async def on_get(self, req: Request, resp: Response) -> None:
        resp.media = {"hello": "world"}
        resp.schedule(self.work)

    async def work(self) -> None: ...


class Seen:
    async def on_get(self, req: Request, resp: Response) -> None:
        resp.media = {"token": req.get_header("x-token"), "q": req.get_param("q"), "url": req.url}


class ById:
    async def on_get(self, req: Request, resp: Response, id: int) -> None:
        resp.media = {"id": id}


def route_500() -> Any:
    application: falcon.asgi.App[Request, Response] = falcon.asgi.App()
    for number in range(ROUTES):
        application.add_route(f"/route{number}/{{id:int}}", ById())
    return application


BUILD: dict[str, Callable[[], Any]] = {
    "dict": lambda: app("/", Hello()),
    "path-query": lambda: app("/items/{item_id:int}", PathQuery()),
    "model": lambda: app("/items", Model()),
    "list-100": lambda: app("/items", List100()),
    "sync": lambda: app("/", HelloInAThread()),
    "sync-64": lambda: app("/", HelloInAThread()),
    "form": lambda: app("/", Form()),
    "stream-100": lambda: app("/", Stream()),
    "http-exception": lambda: app("/", Teapot()),
    "not-found": lambda: app("/", Hello()),
    "invalid": lambda: app("/items/{item_id}", Unprocessable()),
    "background": lambda: app("/", Background()),
    "request": lambda: app("/seen", Seen()),
    "json-out": lambda: app("/", JsonOut()),
    "json-in": lambda: app("/", JsonIn()),
    "route-500": route_500,
}
