"""`forzium.explain`: the plan of a route as a structure and as text, and that late changes are in it."""

from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import pytest
from protocol.asgi import get
from pydantic import BaseModel

import forzium
from forzium import APIRouter, Body, Cookie, Depends, FastAPI, Form, Header, Query, Request, UploadFile, WebSocket
from forzium.middleware.cors import CORSMiddleware
from forzium.middleware.gzip import GZipMiddleware
from forzium.responses import HTMLResponse, JSONResponse, PlainTextResponse
from forzium.routing import APIRoute, BaseRoute, Match
from forzium.testclient import TestClient


class Item(BaseModel):
    name: str


def connection() -> Iterator[int]:
    yield 1


async def session(token: Annotated[str, Header()] = "", connection: int = Depends(connection)) -> AsyncIterator[int]:
    yield connection


def user(session: Annotated[int, Depends(session)], cookie: Annotated[str | None, Cookie()] = None) -> str:
    return "user"


class Pages:
    def __init__(self, page: int = 1, of: Annotated[list[int], Query()] = []) -> None: ...


def shop() -> FastAPI:
    app = FastAPI(title="Shop", openapi_url=None)

    @app.get("/items/{item_id}", response_model=Item)
    async def read_item(
        item_id: int,
        user: Annotated[str, Depends(user)],
        again: Annotated[int, Depends(session)],
        pages: Annotated[Pages, Depends()],
    ) -> Any: ...

    @app.post("/items")
    def create_item(item: Item, count: Annotated[int, Body(gt=0)] = 1) -> Any: ...

    @app.get("/html", response_class=HTMLResponse)
    async def html() -> str:
        return ""

    return app


def stages(explanation: Any, kind: str) -> list[Any]:
    return [{k: v for k, v in stage.items() if k != "stage"} for stage in explanation.stages if stage["stage"] == kind]


# ---------------------------------------------------------------- native routes


def test_a_route_shows_what_is_converted_where_and_who_runs_in_which_order() -> None:
    found = forzium.explain(shop(), "get", "/items/7")
    assert found.native
    assert (found.method, found.path, found.outcome) == ("GET", "/items/7", "native")
    assert (found.route, found.endpoint) == ("/items/{item_id}", "shop.<locals>.read_item")
    assert found.path_params == {"item_id": "7"}
    assert [stage["stage"] for stage in found.stages] == [
        *("solve", "solve", "solve", "reuse", "solve", "call", "serialize", "send")
    ]
    assert stages(found, "solve") == [
        {
            "callable": "connection",
            "calling": "entered and left in a worker thread",
            "until": "the response is sent",
        },
        {
            "callable": "session",
            "calling": "entered and left in place",
            "until": "the response is sent",
            "parameters": {"token": "header by Rust (str)"},
        },
        {
            "callable": "user",
            "calling": "called in a worker thread",
            "parameters": {"cookie": "cookie by Rust (str)"},
        },
        {
            "callable": "Pages",
            "calling": "called in a worker thread",
            "parameters": {"page": "query by Rust (int)", "of": "query by pydantic"},
        },
    ]
    assert stages(found, "reuse") == [{"callable": "session"}]
    assert stages(found, "call") == [
        {
            "callable": "shop.<locals>.read_item",
            "calling": "awaited in place",
            "parameters": {"item_id": "path by Rust (int)"},
        }
    ]
    by = {"validated by": "outline, else pydantic", "written by": "forzium.json, else pydantic"}
    assert stages(found, "serialize") == [{**by, "outline": "Item(name: str)"}]


def test_the_text_has_a_line_for_each_stage() -> None:
    app = shop()
    app.add_middleware(Unknown)
    assert str(forzium.explain(app, "POST", "/items")).splitlines() == [
        "POST /items: native",
        "  route /items -> shop.<locals>.create_item",
        "  middleware Unknown: called as ASGI",
        "  body: read as: json",
        "  call: callable: shop.<locals>.create_item, calling: called in a worker thread, "
        "parameters: {'item': 'body by pydantic', 'count': 'body by pydantic'}",
        "  serialize: validated by: outline, else pydantic, written by: forzium.json, else pydantic, outline: any",
        "  send",
    ]


def test_a_form_is_read_by_rust_and_its_plain_fields_are_converted_there() -> None:
    app = FastAPI(openapi_url=None)

    @app.post("/form")
    async def form(
        name: Annotated[str, Form()], amount: Annotated[int, Form(le=9)], tags: Annotated[list[str], Form()] = []
    ) -> None: ...

    @app.post("/upload")
    async def upload(picture: UploadFile, item: Annotated[Item, Form()]) -> None: ...

    found = forzium.explain(app, "POST", "/form")
    assert found.native
    assert stages(found, "body") == [{"read as": "form"}]
    assert stages(found, "call")[0]["parameters"] == {
        "name": "form by Rust (str)",
        "amount": "form by Rust (int)",
        "tags": "form by pydantic",
    }
    found = forzium.explain(app, "POST", "/upload")
    assert found.native
    assert stages(found, "call")[0]["parameters"] == {"picture": "form by pydantic", "item": "form by pydantic"}


class Unknown:
    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


def test_a_response_class_and_a_stream_say_who_writes() -> None:
    app = shop()

    @app.get("/lines")
    async def lines() -> AsyncIterator[Item]:
        yield Item(name="x")

    assert stages(forzium.explain(app, "GET", "/html"), "serialize") == [{"written by": "HTMLResponse"}]
    found = forzium.explain(app, "GET", "/lines")
    assert [stage["stage"] for stage in found.stages] == ["call", "stream", "send"]
    assert found.stages[0]["calling"] == "iterated while the response is sent"


def test_what_answers_with_an_error_says_so() -> None:
    app = shop()
    assert forzium.explain(app, "DELETE", "/items/1").outcome == "method not allowed"
    assert forzium.explain(app, "DELETE", "/items/1").route == "/items/{item_id}"
    missing = forzium.explain(app, "GET", "/nowhere")
    assert (missing.outcome, missing.route, missing.stages, missing.native) == ("not found", None, [], False)
    assert str(missing) == "GET /nowhere: not found"


def test_a_websocket_is_asked_for_by_that_name() -> None:
    app = FastAPI()

    @app.websocket("/talk/{room}")
    async def talk(websocket: WebSocket, room: int) -> None: ...

    found = forzium.explain(app, "WEBSOCKET", "/talk/1")
    assert (found.outcome, found.endpoint) == ("native", talk.__qualname__)
    assert stages(found, "call")[0]["parameters"] == {"room": "path by Rust (int)"}
    assert forzium.explain(app, "GET", "/talk/1").outcome == "not found"


def test_an_included_route_shows_its_whole_path_and_every_routers_dependencies() -> None:
    def of_app() -> None: ...
    async def of_outer() -> None: ...
    async def of_inclusion() -> None: ...
    async def of_inner() -> None: ...

    app = FastAPI(dependencies=[Depends(of_app)])
    outer = APIRouter(prefix="/outer", dependencies=[Depends(of_outer)])
    inner = APIRouter(dependencies=[Depends(of_inner)])
    inner.get("/{x}")(lambda x: x)
    outer.include_router(inner, prefix="/in", dependencies=[Depends(of_inclusion)])
    app.include_router(outer)
    found = forzium.explain(app, "GET", "/outer/in/1")
    assert (found.outcome, found.route) == ("native", "/outer/in/{x}")
    order = [stage["callable"].rsplit(".")[-1] for stage in stages(found, "solve")]
    assert order == ["of_app", "of_outer", "of_inclusion", "of_inner"]


def test_explaining_calls_nothing_and_what_is_no_application_is_refused() -> None:
    app = FastAPI()

    def explode() -> Any:
        raise AssertionError("explain must not call this")

    app.get("/", dependencies=[Depends(explode)])(explode)
    assert forzium.explain(app, "GET", "/").native
    with pytest.raises(TypeError, match="expected a forzium application, but found APIRouter: give the FastAPI"):
        forzium.explain(app.router, "GET", "/")


# ---------------------------------------------------------------- opaque routes


class OwnHandler(APIRoute):
    def get_route_handler(self) -> Any:
        handle = super().get_route_handler()

        async def own(request: Request) -> Any:
            return await handle(request)

        return own


class OwnMatches(APIRoute):
    def matches(self, scope: Any) -> Any:
        return super().matches(scope)


class OwnHandle(APIRoute):
    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        await super().handle(scope, receive, send)


class OwnKind(BaseRoute):
    def matches(self, scope: Any) -> Any:
        return (Match.FULL if scope["path"] == "/" else Match.NONE), {"endpoint": self}

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("own")(scope, receive, send)


class Renamed(APIRoute):
    """Overrides nothing that matters to a plan."""

    def __repr__(self) -> str:
        return "renamed"


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [(APIRoute, "native"), (Renamed, "native"), (OwnHandler, "opaque"), (OwnMatches, "opaque"), (OwnHandle, "opaque")],
)
@pytest.mark.parametrize("included", [False, True])
def test_a_route_class_is_native_unless_it_overrides_how_it_answers(kind: Any, outcome: str, included: bool) -> None:
    app = FastAPI()
    router = APIRouter(route_class=kind) if included else app.router
    router.route_class = kind

    @router.get("/{x}")
    async def endpoint(x: int) -> int:
        return x

    if included:
        app.include_router(router)
    found = forzium.explain(app, "GET", "/1")
    assert (found.outcome, found.route, found.endpoint) == (outcome, "/{x}", endpoint.__qualname__)
    assert bool(found.stages) == (outcome == "native")
    assert get(app, "/1").body == b"1"


def test_other_asgi_applications_and_route_classes_are_opaque() -> None:
    app = FastAPI(openapi_url=None)
    app.mount("/mount", PlainTextResponse("mounted"))
    app.add_route("/plain", lambda request: PlainTextResponse("plain"))
    app.router.routes.append(OwnKind())
    for path in ("/mount/x", "/plain", "/"):
        found = forzium.explain(app, "GET", path)
        assert (found.outcome, found.native, found.stages) == ("opaque", False, []), path
    assert "/plain: opaque" in str(forzium.explain(app, "GET", "/plain"))


def test_a_replaced_method_of_one_route_makes_it_opaque() -> None:
    app = FastAPI()
    app.get("/")(lambda: 1)
    route = app.routes[-1]
    assert isinstance(route, APIRoute)
    assert forzium.explain(app, "GET", "/").native
    route.handle = PlainTextResponse("replaced").__call__  # type: ignore[method-assign]
    forzium.explain(app, "GET", "/")
    app.get("/other")(lambda: 1)  # a declaration: what was compiled is looked at again
    assert forzium.explain(app, "GET", "/").outcome == "opaque"
    assert get(app).body == b"replaced"


# ---------------------------------------------------------------- late changes


def test_routes_that_come_and_go_are_in_the_plan_at_once() -> None:
    app = FastAPI(openapi_url=None)
    assert get(app, "/late").status == 404

    @app.get("/late")
    async def late() -> int:
        return 1

    assert forzium.explain(app, "GET", "/late").native
    assert get(app, "/late").body == b"1"
    router = APIRouter()
    app.include_router(router, prefix="/in")
    assert get(app, "/in/later").status == 404

    @router.get("/later")
    async def later() -> int:
        return 2

    assert forzium.explain(app, "GET", "/in/later").route == "/in/later"
    assert get(app, "/in/later").body == b"2"
    app.router.routes.pop(0)
    assert forzium.explain(app, "GET", "/late").outcome == "not found"
    assert get(app, "/late").status == 404
    assert get(app, "/in/later").body == b"2"


def test_overrides_that_are_set_and_cleared_are_in_the_plan_at_once() -> None:
    app = FastAPI()

    async def original() -> str:
        return "original"

    async def inner(q: int = 1) -> int:
        return q

    async def override(inner: int = Depends(inner)) -> str:
        return f"override {inner}"

    @app.get("/")
    async def endpoint(value: str = Depends(original)) -> str:
        return value

    def seen() -> tuple[list[str], bytes]:
        found = forzium.explain(app, "GET", "/")
        return [stage["callable"].rsplit(".")[-1] for stage in stages(found, "solve")], get(app).body

    before = (["original"], b'"original"')
    assert seen() == before
    app.dependency_overrides[original] = override
    assert seen() == (["inner", "override"], b'"override 1"')
    app.dependency_overrides[inner] = original  # what an override depends on can be overridden, too
    assert seen() == (["original", "override"], b'"override original"')
    app.dependency_overrides.clear()
    assert seen() == before
    app.dependency_overrides = {original: override}
    assert seen() == (["inner", "override"], b'"override 1"')
    app.dependency_overrides = {}
    assert seen() == before


def test_a_handler_that_is_replaced_after_the_first_request_is_treated_as_by_fastapi() -> None:
    import fastapi

    def answers(package: Any) -> list[Any]:
        app = package.FastAPI()

        async def first(request: Any, error: Any) -> Any:
            return package.responses.JSONResponse("first")

        async def second(request: Any, error: Any) -> Any:
            return package.responses.JSONResponse("second")

        @app.get("/")
        async def endpoint() -> None:
            raise LookupError

        @app.get("/http")
        async def http() -> None:
            raise package.HTTPException(418)

        bodies = []

        def ask() -> None:
            for path in ("/", "/http"):
                try:
                    bodies.append(get(app, path).body)
                except LookupError:
                    bodies.append(b"raised")

        app.add_exception_handler(LookupError, first)
        ask()
        app.add_exception_handler(LookupError, second)
        app.add_exception_handler(418, second)
        ask()
        app.exception_handlers[LookupError] = second
        app.get("/late")(lambda: 1)
        ask()
        app.middleware_stack = None
        ask()
        return bodies

    assert answers(forzium) == answers(fastapi)


def test_middleware_is_native_until_somebody_changes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(GZipMiddleware): ...

    app = FastAPI()
    for cls in (CORSMiddleware, GZipMiddleware, Own):
        app.add_middleware(cls)
    app.middleware("http")(lambda request, call_next: call_next(request))

    def native() -> list[tuple[str, bool]]:
        return [(each["class"], each["native"]) for each in forzium.explain(app, "GET", "/docs").middleware]

    names = ["BaseHTTPMiddleware", "Own", "GZipMiddleware", "CORSMiddleware"]
    assert [name for name, _ in native()] == names
    assert native()[1:] == [("Own", False), ("GZipMiddleware", True), ("CORSMiddleware", True)]
    assert "\n  middleware CORSMiddleware: native\n" in str(forzium.explain(app, "GET", "/docs")) + "\n"

    called: list[str] = []
    plain = CORSMiddleware.__call__

    async def watched(self: Any, scope: Any, receive: Any, send: Any) -> None:
        called.append(scope.get("path", ""))
        await plain(self, scope, receive, send)

    monkeypatch.setattr(CORSMiddleware, "__call__", watched)
    assert native()[3] == ("CORSMiddleware", False)
    with TestClient(app) as client:
        assert client.get("/openapi.json").headers["vary"] == "Origin"
    assert called[-1:] == ["/openapi.json"]
    monkeypatch.undo()
    app.middleware_stack = app.router
    assert not any(is_native for _, is_native in native())


def test_a_late_route_that_is_wrong_is_an_error_where_it_stands() -> None:
    app = FastAPI()
    assert get(app).status == 404
    with pytest.raises(ValueError, match="Duplicated param name x at path"):
        app.get("/{x}/{x}")(lambda x: x)
    assert get(app).status == 404


def test_names_that_agents_read_are_the_same_natively_and_not() -> None:
    seen: list[Any] = []

    def ask(kind: type[APIRoute]) -> None:
        app = FastAPI()
        app.router.route_class = kind

        @app.get("/{x}")
        async def endpoint(request: Request, x: int) -> Any:
            scope = request.scope
            seen.append(sorted(key for key in scope if not key.startswith(("fastapi_", "starlette."))))
            assert (scope["route"].path, scope["endpoint"], scope["path_params"]) == ("/{x}", endpoint, {"x": "1"})
            assert (scope["app"], scope["router"]) == (app, app.router)
            return JSONResponse(None)

        assert get(app, "/1").status == 200

    ask(APIRoute)
    ask(OwnHandle)
    assert seen[0] == seen[1]
