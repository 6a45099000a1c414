"""fastapi and forzium: one source for both, only the package differs."""

# No `from __future__ import annotations`: the annotations name locals of the builders.
import functools
import importlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

from apps.scenarios import BIG, CHUNKS, ROUTES, ROWS, Item


def small_dict(fw: Any) -> Any:
    app = fw.FastAPI()

    @app.get("/")
    async def endpoint():
        return {"hello": "world"}

    return app


def path_query(fw: Any) -> Any:
    app = fw.FastAPI()

    @app.get("/items/{item_id}")
    async def endpoint(item_id: int, q: str, limit: int = 20):
        return {"item_id": item_id, "q": q, "limit": limit}

    return app


def model(fw: Any) -> Any:
    app = fw.FastAPI()

    @app.post("/items")
    async def endpoint(item: Item) -> Item:
        return item

    return app


def list_100(fw: Any) -> Any:
    app = fw.FastAPI()

    @app.get("/items", response_model=list[Item])
    async def endpoint():
        return ROWS

    return app


def dependencies(fw: Any) -> Any:
    app = fw.FastAPI()

    async def connection() -> AsyncIterator[str]:
        yield "open"

    async def transaction(connection: Annotated[str, fw.Depends(connection)]) -> AsyncIterator[str]:
        yield "begun"

    async def token(x_token: Annotated[str, fw.Header()]) -> str:
        return x_token

    async def session(session: Annotated[str, fw.Cookie()]) -> str:
        return session

    async def user(token: Annotated[str, fw.Depends(token)], session: Annotated[str, fw.Depends(session)]) -> str:
        return "ann"

    @app.get("/")
    async def endpoint(
        connection: Annotated[str, fw.Depends(connection)],
        transaction: Annotated[str, fw.Depends(transaction)],
        token: Annotated[str, fw.Depends(token)],
        session: Annotated[str, fw.Depends(session)],
        user: Annotated[str, fw.Depends(user)],
    ):
        return {
            "token": token,
            "session": session,
            "user": user,
            "connection": connection,
            "transaction": transaction,
        }

    return app


def sync(fw: Any) -> Any:
    app = fw.FastAPI()

    @app.get("/")
    def endpoint():
        return {"hello": "world"}

    return app


def sync_dependencies(fw: Any) -> Any:
    app = fw.FastAPI()

    def one() -> int:
        return 1

    def two() -> int:
        return 2

    @app.get("/")
    def endpoint(one: Annotated[int, fw.Depends(one)], two: Annotated[int, fw.Depends(two)]):
        return {"one": one, "two": two}

    return app


def form(fw: Any) -> Any:
    app = fw.FastAPI()

    @app.post("/")
    async def endpoint(name: Annotated[str, fw.Form()], amount: Annotated[int, fw.Form()]):
        return {"name": name, "amount": amount}

    return app


def upload(fw: Any) -> Any:
    app = fw.FastAPI()

    @app.post("/")
    async def endpoint(file: fw.UploadFile):
        return {"filename": file.filename, "size": file.size}

    return app


def middleware(fw: Any) -> Any:
    app = fw.FastAPI()
    for module, name, options in (
        ("cors", "CORSMiddleware", {"allow_origins": ["http://localhost:3000"]}),
        ("gzip", "GZipMiddleware", {"minimum_size": 1000}),
        ("trustedhost", "TrustedHostMiddleware", {"allowed_hosts": ["127.0.0.1"]}),
    ):
        app.add_middleware(getattr(importlib.import_module(f"{fw.__name__}.middleware.{module}"), name), **options)

    @app.get("/")
    async def endpoint():
        return {"hello": "world"}

    return app


def http_middleware(fw: Any) -> Any:
    app = fw.FastAPI()

    @app.middleware("http")
    async def first(request, call_next):
        return await call_next(request)

    @app.middleware("http")
    async def second(request, call_next):
        return await call_next(request)

    @app.get("/")
    async def endpoint():
        return {"hello": "world"}

    return app


def json_out(fw: Any) -> Any:
    app = fw.FastAPI()

    @app.get("/")
    async def endpoint():
        return BIG

    return app


def json_in(fw: Any) -> Any:
    app = fw.FastAPI()

    @app.post("/")
    async def endpoint(rows: list[dict[str, Any]]):
        return {"rows": len(rows)}

    return app


def stream(fw: Any) -> Any:
    responses = importlib.import_module(f"{fw.__name__}.responses")
    app = fw.FastAPI()

    @app.get("/")
    async def endpoint():
        async def chunks() -> AsyncIterator[bytes]:
            for chunk in CHUNKS:
                yield chunk

        return responses.StreamingResponse(chunks(), media_type="text/plain")

    return app


def http_exception(fw: Any) -> Any:
    app = fw.FastAPI()

    @app.get("/")
    async def endpoint():
        raise fw.HTTPException(418, "short and stout")

    return app


def background(fw: Any) -> Any:
    app = fw.FastAPI()

    async def work(name: str) -> None: ...

    @app.get("/")
    async def endpoint(tasks: fw.BackgroundTasks):
        tasks.add_task(work, "tea")
        return {"hello": "world"}

    return app


def request(fw: Any) -> Any:
    app = fw.FastAPI()

    @app.get("/seen")
    async def endpoint(request: fw.Request):
        return {"token": request.headers["x-token"], "q": request.query_params["q"], "url": str(request.url)}

    return app


def route_500(fw: Any) -> Any:
    app = fw.FastAPI()

    def endpoints() -> Iterator[Callable[..., Any]]:
        for _ in range(ROUTES):

            async def endpoint(id: int):
                return {"id": id}

            yield endpoint

    for number, endpoint in enumerate(endpoints()):
        app.get(f"/route{number}/{{id}}")(endpoint)
    return app


_BUILD: dict[str, Callable[[Any], Any]] = {
    "dict": small_dict,
    "path-query": path_query,
    "model": model,
    "list-100": list_100,
    "dependencies": dependencies,
    "sync": sync,
    "sync-64": sync,
    "sync-dependencies": sync_dependencies,
    "sync-dependencies-64": sync_dependencies,
    "form": form,
    "upload": upload,
    "stream-100": stream,
    "http-exception": http_exception,
    "not-found": small_dict,
    "invalid": path_query,
    "background": background,
    "request": request,
    "middleware": middleware,
    "http-middleware": http_middleware,
    "json-out": json_out,
    "json-in": json_in,
    "route-500": route_500,
}


def builders(framework: str) -> dict[str, Callable[[], Any]]:
    """The builders, bound to ``fastapi`` or ``forzium``."""
    package = importlib.import_module(framework)
    return {name: functools.partial(build, package) for name, build in _BUILD.items()}
