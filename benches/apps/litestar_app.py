"""Litestar, with its own spelling of each scenario."""

# No `from __future__ import annotations`: Litestar reads the annotations.
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Annotated, Any

from litestar import Litestar, Request, Response, get, post
from litestar.background_tasks import BackgroundTask
from litestar.di import Provide
from litestar.enums import RequestEncodingType
from litestar.exceptions import HTTPException, ValidationException
from litestar.params import Body, Parameter
from litestar.response import Stream

from apps.scenarios import BIG, CHUNKS, ROUTES, ROWS, Item


def app(*handlers: Any, **options: Any) -> Litestar:
    return Litestar(list(handlers), openapi_config=None, **options)


@get("/")
async def hello() -> dict[str, str]:
    return {"hello": "world"}


@get("/", sync_to_thread=True)
def hello_in_a_thread() -> dict[str, str]:
    return {"hello": "world"}


@get("/items/{item_id:str}")
async def path_query(item_id: int, q: str, limit: int = 20) -> dict[str, Any]:
    return {"item_id": item_id, "q": q, "limit": limit}


@get("/items/{item_id:int}")
async def path_query_typed(item_id: int, q: str, limit: int = 20) -> dict[str, Any]:
    return {"item_id": item_id, "q": q, "limit": limit}


@post("/items", status_code=200)
async def model(data: Item) -> Item:
    return data


@get("/items")
async def list_100() -> list[Item]:
    return [Item(**row) for row in ROWS]


async def connection() -> AsyncGenerator[str, None]:
    yield "open"


async def transaction(connection: str) -> AsyncGenerator[str, None]:
    yield "begun"


async def token(x_token: Annotated[str, Parameter(header="X-Token")]) -> str:
    return x_token


async def session(cookie: Annotated[str, Parameter(cookie="session")]) -> str:
    return cookie


async def user(token: str, session: str) -> str:
    return "ann"


@get(
    "/",
    dependencies={
        "connection": Provide(connection),
        "transaction": Provide(transaction),
        "token": Provide(token),
        "session": Provide(session),
        "user": Provide(user),
    },
)
async def dependencies(connection: str, transaction: str, token: str, session: str, user: str) -> dict[str, Any]:
    return {"token": token, "session": session, "user": user, "connection": connection, "transaction": transaction}


def one() -> int:
    return 1


def two() -> int:
    return 2


@get(
    "/",
    sync_to_thread=True,
    dependencies={"one": Provide(one, sync_to_thread=True), "two": Provide(two, sync_to_thread=True)},
)
def sync_dependencies(one: int, two: int) -> dict[str, int]:
    return {"one": one, "two": two}


@post("/", status_code=200)
async def form(data: Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]) -> dict[str, Any]:
    return {"name": data["name"], "amount": int(data["amount"])}


@get("/")
async def json_out() -> list[dict[str, Any]]:
    return BIG


@post("/", status_code=200)
async def json_in(data: list[dict[str, Any]]) -> dict[str, int]:
    return {"rows": len(data)}


@get("/", media_type="text/plain")
async def stream() -> Stream:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in CHUNKS:
            yield chunk

    return Stream(chunks())


@get("/")
async def http_exception() -> None:
    raise HTTPException("short and stout", status_code=418)


async def work(name: str) -> None: ...


@get("/")
async def background() -> Response[dict[str, str]]:
    return Response({"hello": "world"}, background=BackgroundTask(work, "tea"))


@get("/seen")
async def seen(request: Request) -> dict[str, str]:
    return {"token": request.headers["x-token"], "q": request.query_params["q"], "url": str(request.url)}


def unprocessable(request: Request, error: ValidationException) -> Response[Any]:
    return Response({"detail": error.detail, "extra": error.extra}, status_code=422)


def route_500() -> Litestar:
    async def by_id(id: int) -> dict[str, int]:
        return {"id": id}

    return app(*(get(f"/route{number}/{{id:int}}", name=f"route{number}")(by_id) for number in range(ROUTES)))


BUILD: dict[str, Callable[[], Any]] = {
    "dict": lambda: app(hello),
    "path-query": lambda: app(path_query_typed),
    "model": lambda: app(model),
    "list-100": lambda: app(list_100),
    "dependencies": lambda: app(dependencies),
    "sync": lambda: app(hello_in_a_thread),
    "sync-64": lambda: app(hello_in_a_thread),
    "sync-dependencies": lambda: app(sync_dependencies),
    "sync-dependencies-64": lambda: app(sync_dependencies),
    "form": lambda: app(form),
    "stream-100": lambda: app(stream),
    "http-exception": lambda: app(http_exception),
    "not-found": lambda: app(hello),
    "invalid": lambda: app(path_query, exception_handlers={ValidationException: unprocessable}),
    "background": lambda: app(background),
    "request": lambda: app(seen),
    "json-out": lambda: app(json_out),
    "json-in": lambda: app(json_in),
    "route-500": route_500,
}
