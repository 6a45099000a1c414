"""Applications of every kind, from the plainest to odd ones, on fastapi and on forzium."""

# No `from __future__ import annotations`: the annotations name locals of the builders.
import contextvars
import dataclasses
import datetime
import decimal
import enum
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, computed_field, field_validator

from conformance.harness import Framework, Request, compare


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Owner(BaseModel):
    name: str
    born: datetime.date | None = None


class Item(BaseModel):
    name: str = Field(min_length=2)
    price: decimal.Decimal = Field(gt=0)
    tags: set[str] = set()
    owner: Owner | None = None
    color: Color = Color.RED

    @field_validator("name")
    @classmethod
    def not_forbidden(cls, value: str) -> str:
        if value == "forbidden":
            raise ValueError("that name is forbidden")
        return value


class Shown(BaseModel):
    model_config = ConfigDict(from_attributes=True, populate_by_name=True)

    identity: int = Field(alias="id")
    name: str

    @computed_field
    def label(self) -> str:
        return f"{self.identity}:{self.name}"


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.5


def scalars(fw: Framework) -> Any:
    app = fw.FastAPI()

    @app.get("/{integer}/{number}/{flag}/{text}")
    async def path(integer: int, number: float, flag: bool, text: str):
        return [integer, number, flag, text]

    @app.get("/query")
    def query(
        q: str,
        n: int = 3,
        ratio: float | None = None,
        color: Color = Color.BLUE,
        when: datetime.datetime | None = None,
        ident: uuid.UUID | None = None,
        tags: Annotated[list[str], fw.Query()] = [],
        kind: Literal["a", "b"] = "a",
        limited: Annotated[int, fw.Query(ge=0, lt=10, alias="lim-ited")] = 5,
    ):
        return [q, n, ratio, color, when, ident, tags, kind, limited]

    @app.get("/header")
    async def header(
        x_token: Annotated[str, fw.Header()],
        many: Annotated[list[int] | None, fw.Header(alias="x-many")] = None,
        plain: Annotated[str | None, fw.Header(convert_underscores=False)] = None,
        session: Annotated[str | None, fw.Cookie()] = None,
    ):
        return [x_token, many, plain, session]

    return app


def test_scalars_are_read_and_refused_alike() -> None:
    numbers = [
        "1",
        "-7",
        "+3",
        "007",
        "1_000",
        " 4",
        "4.0",
        "4.5",
        "1e3",
        "",
        "x",
        "99999999999999999999",
        "%D9%A1",
    ]
    flags = ["true", "off", "1", "Yes", "maybe"]
    compare(
        scalars,
        *(Request(f"/{n}/1.5/true/x") for n in numbers),
        *(Request(f"/1/{n}/true/x") for n in numbers),
        *(Request(f"/1/2/{flag}/%C3%BC%20%2B") for flag in flags),
        *(Request(f"/query?q=a&n={n}") for n in numbers),
        Request("/query"),
        Request("/query?q=&n=&tags=a&tags=b&tags=&color=red&kind=b"),
        Request("/query?q=1&q=2&color=green&kind=c&when=2024-01-01T00:00:00Z&ident=no"),
        Request("/query?q=x&ident=12345678-1234-5678-1234-567812345678&when=1700000000&ratio=1e5"),
        Request("/query?q=%ff%fe&lim-ited=10"),
        Request("/query?q=a;b&n=1&lim-ited=9&unknown"),
        Request("/header"),
        Request("/header", headers=(("X-Token", "a"), ("x-many", "1"), ("x-many", "2"), ("cookie", "session=s; x=y"))),
        Request("/header", headers=(("x-token", "a"), ("x-many", "one"), ("plain", "p"), ("cookie", "session="))),
    )


def bodies(fw: Framework) -> Any:
    app = fw.FastAPI()

    @app.post("/item")
    async def item(item: Item):
        return item

    @app.post("/two")
    def two(item: Item, owner: Owner, note: Annotated[str, fw.Body()] = "none", q: int = 0):
        return {"item": item, "owner": owner, "note": note, "q": q}

    @app.post("/embedded")
    async def embedded(item: Annotated[Item, fw.Body(embed=True)]):
        return item

    @app.post("/any")
    async def anything(value: Annotated[Any, fw.Body()]):
        return value

    @app.post("/list")
    async def items(items: list[Item]):
        return items

    @app.post("/point")
    async def point(point: Point) -> Point:
        return point

    @app.put("/optional")
    async def optional(item: Item | None = None):
        return item

    return app


def test_json_bodies_are_read_and_refused_alike() -> None:
    good = {"name": "tea", "price": "2.50", "tags": ["a"], "owner": {"name": "ann", "born": "2000-01-02"}}
    compare(
        bodies,
        Request("/item", "POST", json=good),
        Request("/item", "POST", json={"name": "forbidden", "price": 1}),
        Request("/item", "POST", json={"name": "t", "price": -1, "tags": "a", "owner": 3, "color": "green"}),
        Request("/item", "POST", json=[]),
        Request("/item", "POST"),
        Request("/item", "POST", body=b""),
        Request("/item", "POST", body=b"{", headers=(("content-type", "application/json"),)),
        Request("/item", "POST", body=b'{"name": "tea", "price": 1,}', headers=(("content-type", "application/json"),)),
        Request("/item", "POST", body=b'{"name": "tea", "price": 1}', headers=(("content-type", "text/plain"),)),
        Request("/item", "POST", body=b'{"name": "tea", "price": 1}'),
        Request("/item", "POST", json=good, headers=(("content-type", "application/vnd.api+json"),)),
        Request(
            "/item",
            "POST",
            chunks=(b'{"name": "tea"', b"", b', "price": 1}'),
            headers=(("content-type", "application/json"),),
        ),
        Request("/item", "POST", body=b'{"name": "\xff", "price": 1}', headers=(("content-type", "application/json"),)),
        Request("/two?q=3", "POST", json={"item": good, "owner": {"name": "bob"}}),
        Request("/two?q=x", "POST", json={"item": {}, "note": 3}),
        Request("/two", "POST", json=None),
        Request("/embedded", "POST", json={"item": good}),
        Request("/embedded", "POST", json=good),
        *(Request("/any", "POST", json=value) for value in (0, "", False, {"a": [1, None]}, 1e100, "é")),
        Request("/any", "POST", body=b"null", headers=(("content-type", "application/json"),)),
        Request("/list", "POST", json=[good, {"name": "x"}]),
        Request("/list", "POST", json=[]),
        Request("/point", "POST", json={"x": 1}),
        Request("/point", "POST", json={"x": "one"}),
        Request("/optional", "PUT"),
        Request("/optional", "PUT", json=good),
        Request("/optional", "PUT", body=b"null", headers=(("content-type", "application/json"),)),
    )


def answers(fw: Framework) -> Any:
    app = fw.FastAPI()
    responses = fw.responses

    @app.get("/model", response_model=Shown)
    async def model():
        return {"id": 1, "name": "tea", "secret": "x"}

    @app.get("/attributes")
    def attributes() -> Shown:
        return type("Row", (), {"id": 2, "identity": 2, "name": "cup"})()

    @app.get("/list", response_model=list[Shown], response_model_by_alias=False)
    async def many():
        return [{"id": n, "name": "n"} for n in range(3)]

    @app.get("/excluded", response_model=Item, response_model_exclude_unset=True, response_model_exclude={"price"})
    async def excluded():
        return Item(name="tea", price=decimal.Decimal(1))

    @app.get("/wrong")
    async def wrong() -> Shown:
        return {"id": "x"}  # type: ignore[return-value]

    @app.get("/none", status_code=204)
    async def none() -> None:
        return None

    @app.get("/values")
    async def values():
        return {
            "d": decimal.Decimal("1.10"),
            "t": datetime.timedelta(seconds=90),
            "u": uuid.UUID(int=7),
            "s": {1},
        }

    @app.get("/plain", response_class=responses.PlainTextResponse)
    async def plain():
        return "tea"

    @app.get("/redirect")
    async def redirect():
        return responses.RedirectResponse("/a path?q=ü")

    @app.get("/changed", status_code=202)
    async def changed(response: fw.Response):
        response.status_code = 201
        response.headers["x-own"] = "1"
        response.set_cookie("a", "b", httponly=True)
        return {"changed": True}

    @app.get("/stream")
    async def stream():
        async def rows() -> AsyncIterator[str]:
            for n in range(3):
                yield f"{n}\n"

        return responses.StreamingResponse(rows(), headers={"x-own": "1"})

    @app.get("/raw")
    def raw():
        return responses.Response(b"\x00\xff", media_type="application/octet-stream", status_code=203)

    @app.api_route("/both", methods=["GET", "HEAD"])
    async def both():
        return {"a": 1}

    return app


def test_answers_are_written_alike() -> None:
    paths = [
        "model",
        "attributes",
        "list",
        "excluded",
        "wrong",
        "none",
        "values",
        "plain",
        "redirect",
        "changed",
        "stream",
        "raw",
        "both",
        "missing",
    ]
    compare(
        answers,
        *(Request(f"/{path}") for path in paths),
        *(Request(f"/{path}", "HEAD") for path in ("both", "model", "stream")),
        *(Request("/model", method) for method in ("POST", "OPTIONS", "BREW")),
        Request("/openapi.json"),
        Request("/openapi.json", scope={"root_path": "/api"}),
    )


def dependencies(fw: Framework) -> Any:
    log: list[str] = []
    seen: contextvars.ContextVar[str] = contextvars.ContextVar("seen", default="nothing")
    app = fw.FastAPI(dependencies=[fw.Depends(lambda: log.append("application"))])

    def opened(name: str) -> Any:
        def dependency() -> Iterator[str]:
            log.append(f"{name} opened")
            try:
                yield name
            except Exception as error:
                log.append(f"{name} saw {type(error).__name__}")
                raise
            finally:
                log.append(f"{name} closed")

        return dependency

    first = opened("first")

    async def second(first: Annotated[str, fw.Depends(first)]) -> AsyncIterator[str]:
        log.append("second opened")
        seen.set("second")
        yield f"second on {first}"
        log.append("second closed")

    class Paging:
        def __init__(self, page: int = 1, size: Annotated[int, fw.Query(le=50)] = 10) -> None:
            self.page, self.size = page, size

    Together = Annotated[str, fw.Depends(second)]
    Early = Annotated[str, fw.Depends(opened("early"), scope="function")]

    @app.get("/fine")
    def fine(a: Together, b: Annotated[str, fw.Depends(first)], paging: Annotated[Paging, fw.Depends()], early: Early):
        log.append("endpoint")
        return [a, b, paging.page, paging.size, early, seen.get()]

    @app.get("/raises")
    async def raises(a: Together, early: Early):
        raise fw.HTTPException(409, {"a": a}, headers={"x-own": "1"})

    @app.get("/breaks")
    async def breaks(a: Together):
        raise ZeroDivisionError("zero")

    @app.get("/uncached")
    async def uncached(
        a: Annotated[str, fw.Depends(first)], b: Annotated[str, fw.Depends(first, use_cache=False)], page: int
    ):
        return [a, b]

    @app.get("/background")
    async def background(a: Together, tasks: fw.BackgroundTasks):
        tasks.add_task(log.append, "task")
        return {}

    @app.get("/log")
    async def read_log():
        lines = list(log)
        log.clear()
        return lines

    return app


def test_dependencies_run_and_are_left_in_the_same_order() -> None:
    paths = [
        "/fine",
        "/fine?page=2&size=51",
        "/fine?page=two",
        "/raises",
        "/breaks",
        "/uncached?page=1",
        "/uncached",
        "/background",
    ]
    compare(dependencies, *(request for path in paths for request in (Request(path), Request("/log"))))


def errors(fw: Framework) -> Any:
    app = fw.FastAPI()

    class TooStrong(Exception):
        pass

    class MuchTooStrong(TooStrong):
        pass

    @app.exception_handler(TooStrong)
    async def too_strong(request: fw.Request, error: TooStrong):
        return fw.responses.JSONResponse({"handled": type(error).__name__, "path": request.url.path}, 418)

    @app.exception_handler(404)
    def not_found(request: fw.Request, error: Exception):
        return fw.responses.PlainTextResponse(f"nothing at {request.url.path}", 404)

    @app.get("/strong")
    async def strong():
        raise MuchTooStrong

    @app.get("/chained")
    def chained():
        try:
            raise KeyError("cause")
        except KeyError as error:
            raise RuntimeError("effect") from error

    @app.get("/group")
    async def group():
        raise ExceptionGroup("several", [ValueError("a"), TooStrong()])

    @app.get("/started")
    async def started():
        async def rows() -> AsyncIterator[bytes]:
            yield b"some"
            raise OSError("in the middle")

        return fw.responses.StreamingResponse(rows())

    @app.get("/status/{status}")
    async def status(status: int):
        raise fw.HTTPException(status)

    return app


def test_exceptions_are_answered_and_raised_alike() -> None:
    paths = ["strong", "chained", "group", "started", "status/404", "status/204", "status/400", "nowhere"]
    compare(errors, *(Request(f"/{path}") for path in paths))


def routed(fw: Framework) -> Any:
    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        yield

    app = fw.FastAPI(title="Routed", root_path="/proxy", lifespan=lifespan)
    router = fw.APIRouter(prefix="/things", tags=["things"], responses={404: {"description": "gone"}})

    @router.get("/first")
    async def first():
        return "the literal"

    @router.get("/{name}")
    async def named(name: str):
        return f"named {name}"

    @router.get("/{name}/parts/{rest:path}")
    async def parts(name: str, rest: str):
        return [name, rest]

    @router.get("/{number:int}-{other}.txt")
    async def several(number: int, other: str):
        return [number, other]

    @router.get("/slash/")
    async def slash(request: fw.Request):
        return [str(request.url), str(request.url_for("named", name="x")), request.scope["root_path"]]

    app.include_router(router)
    app.include_router(router, prefix="/v2", deprecated=True)

    inner = fw.FastAPI()

    @inner.get("/hello")
    async def hello(request: fw.Request):
        return [request.scope["root_path"], request.url.path]

    app.mount("/inner", inner)
    return app


def test_paths_lead_to_the_same_routes() -> None:
    paths = [
        "/things/first", "/things/second", "/things/a%2Fb", "/things/", "/things", "/things/x/parts/a/b/c", "/things/x/parts/",
        "/things/12-a.b.txt", "/things/x-a.txt", "/things/slash", "/things/slash/", "/v2/things/first", "/v2/things/9-z.txt",
        "/inner/hello", "/inner", "/inner/", "/inner/none", "/proxy/things/first", "/proxy/inner/hello", "//things/first",
        "/things/%0A", "/THINGS/first", "/things/%F0%9F%8D%B5",
    ]  # fmt: skip
    compare(
        routed,
        *(Request(path) for path in paths),
        Request("/things/first", "POST"),
        Request("/things/first?a=b", "HEAD"),
    )


def wrapped(fw: Framework) -> Any:
    app = fw.FastAPI()
    app.add_middleware(fw.module("middleware.gzip").GZipMiddleware, minimum_size=50)
    app.add_middleware(fw.module("middleware.cors").CORSMiddleware, allow_origins=["http://a.example"])

    @app.middleware("http")
    async def stamp(request: fw.Request, call_next: Any):
        response = await call_next(request)
        response.headers["x-stamp"] = request.url.path
        return response

    @app.get("/{size}")
    async def text(size: int):
        return "x" * size

    return app


def test_middleware_wraps_alike() -> None:
    origin, zipped = ("origin", "http://a.example"), ("accept-encoding", "gzip")
    compare(
        wrapped,
        Request("/10", headers=(origin,)),
        Request("/100", headers=(origin, zipped)),
        Request("/10", headers=(zipped,)),
        Request("/x"),
        Request("/10", "OPTIONS", headers=(origin, ("access-control-request-method", "GET"))),
        Request("/10", "OPTIONS", headers=(("origin", "http://b.example"), ("access-control-request-method", "PUT"))),
    )


def secured(fw: Framework) -> Any:
    app = fw.FastAPI()
    security = fw.security
    bearer = security.OAuth2PasswordBearer(tokenUrl="token", scopes={"read": "look"})

    async def user(scopes: security.SecurityScopes, token: Annotated[str, fw.Depends(bearer)]):
        return {"token": token, "scopes": scopes.scopes}

    @app.get("/oauth2")
    async def oauth2(user: Annotated[dict, fw.Security(user, scopes=["read"])]):
        return user

    @app.get("/basic")
    def basic(given: Annotated[Any, fw.Depends(security.HTTPBasic(realm="tea"))]):
        return given

    @app.get("/key")
    async def key(given: Annotated[str | None, fw.Depends(security.APIKeyHeader(name="x-key", auto_error=False))]):
        return given

    @app.post("/token")
    async def token(form: Annotated[security.OAuth2PasswordRequestForm, fw.Depends()]):
        return [form.username, form.password, form.scopes]

    return app


def test_credentials_are_asked_for_and_read_alike() -> None:
    form = (("content-type", "application/x-www-form-urlencoded"),)
    headers = ["Bearer abc", "bearer  abc", "Basic YTpi", "Basic !!", "Basic YQ==", "Bearer", "", "Digest x"]
    compare(
        secured,
        *(Request(path, headers=(("authorization", value),)) for path in ("/oauth2", "/basic") for value in headers),
        Request("/oauth2"),
        Request("/basic"),
        Request("/key"),
        Request("/key", headers=(("x-key", "k"),)),
        Request("/token", "POST", headers=form, body=b"username=a&password=b%20c&scope=x+y&grant_type=password"),
        Request("/token", "POST", headers=form, body=b"username=a"),
    )


@pytest.mark.parametrize("kind", ["duplicate", "convertor", "non-callable", "get with form"])
def test_a_wrong_declaration_fails_on_both(kind: str) -> None:
    from conformance.harness import frameworks, outcome_of

    def build(fw: Framework) -> Any:
        app = fw.FastAPI()
        if kind == "duplicate":
            app.get("/{a}/{a}")(lambda a: a)
        elif kind == "convertor":
            app.get("/{a:nothing}")(lambda a: a)
        elif kind == "non-callable":

            @app.get("/")
            def endpoint(a: Annotated[int, fw.Depends(3)]): ...

        else:

            @app.get("/{x}")
            def wrong(x: Annotated[int, fw.Query()]): ...

        return app

    raised = [outcome_of(lambda fw=fw: build(fw))[1] for fw in frameworks()]  # type: ignore[misc]
    assert all(raised), raised
