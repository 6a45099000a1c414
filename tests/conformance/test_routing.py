"""Routes, routers and inclusions on both frameworks: what matches, what the scope gets, what is described.

Line feeds at the end of a path are left out: there forzium differs on purpose (`docs/compatibility.md`).
"""

from typing import Any

import anyio
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conformance.harness import Framework, Request, compare, describe, frameworks

TEMPLATES = [
    "/",
    "/items",
    "/items/",
    "/items/{item_id}",
    "/items/{item_id:int}/parts/{part:float}",
    "/files/{path:path}",
    "/{a}-{b}.{c:int}",
    "/users/{user:uuid}",
    "/a.b+c/{x}",
    "/{x:path}/end",
    "/literal {brace}",
    "",
    "{host}.example.org:8000",
    "[::1]",
    "[::1]:80",
    "{p:path}",
]
PATHS = st.one_of(
    st.sampled_from(
        [
            "/items/5/parts/2.5",
            "/items/007/parts/1",
            "/x-y.3",
            "/users/123e4567-e89b-12d3-a456-426614174000",
            "api.example.org",
            "API.EXAMPLE.ORG",
            "[::1]",
        ]
    ),
    st.text(alphabet="/abix-.:{}+ 0159é%", max_size=12).map("/".__add__),
)


@given(template=st.sampled_from(TEMPLATES), path=PATHS)
@example("/items/{item_id}", "/items/5")
def test_compiled_templates_match_and_convert_alike(template: str, path: str) -> None:
    def read(fw: Framework) -> Any:
        regex, path_format, convertors = fw.starlette.routing.compile_path(template)
        found = regex.match(path)
        values = None if found is None else {n: convertors[n].convert(v) for n, v in found.groupdict().items()}
        return regex.pattern, regex.flags, path_format, list(convertors), values

    oracle, ours = frameworks()
    assert read(ours) == read(oracle)


def table(fw: Framework) -> list[Any]:
    """Routes of every class, some of them overlapping."""
    r = fw.starlette.routing

    async def endpoint(request: Any) -> Any:
        raise NotImplementedError

    async def raw(scope: Any, receive: Any, send: Any) -> None:
        raise NotImplementedError

    return [
        r.Route("/", endpoint, name="home"),
        r.Route("/items/{item_id:int}", endpoint, methods=["get", "PUT"], name="item"),
        r.Route("/items/{item_id}", endpoint, methods=["DELETE"]),
        r.WebSocketRoute("/items/{item_id}", endpoint, name="socket"),
        r.Mount("/sub", app=raw, name="raw"),
        r.Mount(
            "/users/{user}",
            name="users",
            routes=[
                r.Route("/{page}", endpoint, name="page"),
                r.Mount("/deep", routes=[r.Route("/x", endpoint, name="x")]),
            ],
        ),
        r.Mount("", routes=[r.Route("/last", endpoint, name="last")]),
        r.Host("{tenant}.example.org", r.Router([r.Route("/t/{x}", endpoint, name="of")]), name="tenant"),
        r.Host("api.example.org:443", raw),
    ]


def neutral(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: neutral(each) for key, each in value.items() if key != "endpoint"}
    return value


@given(
    path=st.one_of(
        st.sampled_from(
            ["/items/1", "/items/x", "/sub", "/sub/", "/sub/a/b", "/users/ann/1", "/users/ann/deep/x", "/root"]
        ),
        st.text(alphabet="/abisu ", max_size=8).map("/".__add__),
    ),
    method=st.sampled_from(["GET", "HEAD", "PUT", "DELETE", "PURGE"]),
    kind=st.sampled_from(["http", "websocket"]),
    root_path=st.sampled_from(["", "/root", "/sub", "/items"]),
    host=st.sampled_from([None, "a.example.org", "A.Example.org:80", "api.example.org", "bad host", ""]),
)
def test_routes_of_every_class_match_alike(path: str, method: str, kind: str, root_path: str, host: str | None) -> None:
    def matched(fw: Framework) -> Any:
        scope = {
            "type": kind,
            "path": path,
            "root_path": root_path,
            "path_params": {"outer": 1},
            "headers": [] if host is None else [(b"host", host.encode())],
            **({"method": method} if kind == "http" else {}),
        }
        return [(match.name, neutral(child)) for match, child in (route.matches(dict(scope)) for route in table(fw))]

    oracle, ours = frameworks()
    assert matched(ours) == matched(oracle)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("home", {}),
        ("home", {"x": 1}),
        ("item", {"item_id": 3}),
        ("item", {"item_id": -3}),
        ("item", {}),
        ("socket", {"item_id": "a"}),
        ("socket", {"item_id": "a/b"}),
        ("raw", {"path": "/a/b"}),
        ("raw", {}),
        ("users", {"user": "ann", "path": "x"}),
        ("users:page", {"user": "ann", "page": 2}),
        ("users:page", {"user": "ann", "page": 2, "path": "x"}),
        ("users:x", {"user": "ann"}),
        ("users:nothing", {"user": "ann"}),
        ("last", {}),
        ("tenant", {"tenant": "a", "path": "/p"}),
        ("tenant:of", {"tenant": "a", "x": 5}),
        ("unknown", {"a": 1, "b": 2}),
    ],
)
def test_paths_are_made_alike(name: str, parameters: dict[str, Any]) -> None:
    def made(fw: Framework) -> Any:
        router = fw.starlette.routing.Router(table(fw))
        try:
            url = router.url_path_for(name, **parameters)
        except Exception as error:
            return describe(error)
        return str(url), url.protocol, url.host, str(url.make_absolute_url("https://example.org/root"))

    oracle, ours = frameworks()
    assert made(ours) == made(oracle)


def test_routes_show_and_compare_themselves_alike() -> None:
    def shown(fw: Framework) -> Any:
        routes, same = table(fw), table(fw)
        return [repr(route).split(", app=")[0] for route in routes], [a == b for a, b in zip(routes, same, strict=True)]

    oracle, ours = frameworks()
    assert shown(ours)[0] == shown(oracle)[0]
    assert shown(ours)[1] == shown(oracle)[1]


# ---------------------------------------------------------------- inclusion


def included(fw: Framework) -> Any:
    def one(x: int = 0) -> int:
        return x

    def two() -> None: ...

    app = fw.FastAPI(dependencies=[fw.Depends(two)])
    inner = fw.APIRouter(prefix="/inner", tags=["inner"], deprecated=True, responses={418: {"description": "tea"}})
    middle = fw.APIRouter(prefix="/{tenant}", tags=["middle"], dependencies=[fw.Depends(one)])

    @inner.get("/items/{item_id}", tags=["own"], status_code=202, summary="An item")
    def read(tenant: str, item_id: int) -> dict[str, Any]:
        """Read.\f Not shown."""
        return {"tenant": tenant, "item": item_id}

    @inner.post(
        "/items/{item_id}", name="write", include_in_schema=False, response_class=fw.responses.PlainTextResponse
    )
    def write(item_id: str) -> str:
        return item_id

    @inner.websocket("/socket", name="socket")
    async def socket(websocket: fw.WebSocket) -> None: ...

    @inner.route("/plain")
    async def plain(request: Any) -> Any:
        return fw.responses.PlainTextResponse("plain")

    inner.mount("/mounted", fw.starlette.routing.Router([]), name="mounted")
    middle.include_router(inner, prefix="/again", tags=["again"])
    app.include_router(middle, prefix="/v1", generate_unique_id_function=lambda route: f"v1-{route.name}")
    app.include_router(inner, include_in_schema=False)

    @inner.get("/late")
    def late() -> str:
        return "late"

    return app


def test_effective_routes_have_the_same_attributes() -> None:
    names = (
        *("path", "path_format", "name", "methods", "tags", "status_code", "summary", "description", "deprecated"),
        *("include_in_schema", "unique_id", "operation_id", "response_model", "is_json_stream", "max_body_size"),
    )

    def read(fw: Framework) -> Any:
        found = []
        for context in fw.routing.iter_route_contexts(included(fw).routes):
            values = {name: getattr(context, name, "none") for name in names}
            dependant = getattr(context, "dependant", None)
            if dependant is not None:
                values["path_params"] = [field.alias for field in dependant.path_params]
                values["dependencies"] = [sub.call.__name__ for sub in dependant.dependencies]
            values["class"] = type(context.original_route).__name__
            found.append(values)
        return found

    oracle, ours = frameworks()
    assert read(ours) == read(oracle)


def test_included_routers_answer_alike() -> None:
    paths = [
        *("/v1/a/again/inner/items/5?x=2", "/inner/items/5", "/v1/a/again/inner/items/z", "/v1/a/again/inner/late"),
        *("/v1/a/again/inner/plain", "/inner/plain", "/inner/plain/", "/v1/a/again/inner/mounted/x", "/inner/nothing"),
    ]
    compare(
        included,
        *(Request(path) for path in paths),
        Request("/v1/a/again/inner/items/5", method="POST"),
        Request("/v1/a/again/inner/items/5", method="PUT"),
        Request("/inner/plain", method="HEAD"),
        Request("/inner/items/5", scope={"root_path": "/inner"}),
    )


def overridden(fw: Framework) -> Any:
    """Everything that people override, each leaving a trace."""
    app = fw.FastAPI()
    trace: list[str] = []

    class Route(fw.routing.APIRoute):
        def matches(self, scope: Any) -> Any:
            trace.append("matches")
            return super().matches(scope)

        async def handle(self, scope: Any, receive: Any, send: Any) -> None:
            trace.append("handle")
            await super().handle(scope, receive, send)

        def get_route_handler(self) -> Any:
            original = super().get_route_handler()

            async def handler(request: Any) -> Any:
                response = await original(request)
                response.headers["x-trace"] = ",".join(trace)
                trace.clear()
                return response

            return handler

    class Router(fw.APIRouter):
        def matches(self, scope: Any) -> Any:
            trace.append("router.matches")
            return super().matches(scope)

        async def handle(self, scope: Any, receive: Any, send: Any) -> None:
            trace.append("router.handle")
            await super().handle(scope, receive, send)

    router = Router(route_class=Route)

    @router.get("/items/{item_id}")
    def read(item_id: int, request: fw.Request) -> dict[str, Any]:
        scope = request.scope
        context = scope["fastapi"].get("effective_route_context")
        return {
            "id": item_id,
            "route": scope["route"].path,
            "effective": None if context is None else context.path,
            "params": scope["path_params"],
            "endpoint": scope["endpoint"].__name__,
            "fastapi": sorted(scope["fastapi"]),
        }

    app.include_router(router, prefix="/a")
    app.include_router(router, prefix="/b/{more}")
    app.router.route_class = Route
    app.get("/direct/{item_id}")(read)
    return app


def test_overridden_routes_and_routers_are_asked_alike() -> None:
    compare(
        overridden,
        *(Request(path) for path in ("/a/items/1", "/b/x/items/2", "/direct/3", "/a/items/x", "/none")),
        Request("/a/items/1", method="POST"),
        openapi=False,
    )


def test_a_websocket_that_nothing_matches_is_closed_alike() -> None:
    def sent(fw: Framework, wrapped: bool) -> Any:
        app = included(fw)
        target = app if wrapped else app.router
        messages: list[Any] = []

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            messages.append(message)

        scope = {"type": "websocket", "path": "/nowhere", "query_string": b"", "headers": [], "subprotocols": []}
        anyio.run(target, scope, receive, send)
        return messages

    oracle, ours = frameworks()
    for wrapped in (True, False):
        assert sent(ours, wrapped) == sent(oracle, wrapped)


@pytest.mark.parametrize("failing", [None, "startup", "shutdown"])
@pytest.mark.parametrize("style", ["events", "lifespan", "generator", "async generator"])
def test_lifespans_run_and_fail_alike(style: str, failing: str | None) -> None:
    def run(fw: Framework) -> Any:
        steps: list[str] = []

        def step(name: str) -> None:
            steps.append(name)
            if name == failing:
                raise RuntimeError(name)

        def lifespan(prefix: str) -> Any:
            import contextlib

            @contextlib.asynccontextmanager
            async def managed(app: Any) -> Any:
                step(prefix + "startup")
                yield {"from": prefix, prefix: 1}
                step(prefix + "shutdown")

            async def generator(app: Any) -> Any:
                step(prefix + "startup")
                yield {"from": prefix}
                step(prefix + "shutdown")

            def plain(app: Any) -> Any:
                step(prefix + "startup")
                yield
                step(prefix + "shutdown")

            return {"lifespan": managed, "async generator": generator, "generator": plain}[style]

        if style == "events":
            app = fw.FastAPI(on_startup=[lambda: step("startup")], on_shutdown=[lambda: step("shutdown")])
            router = fw.APIRouter(on_startup=[lambda: step("inner startup")])
        else:
            app = fw.FastAPI(lifespan=lifespan(""))
            router = fw.APIRouter(lifespan=lifespan("inner "))
        app.include_router(router)
        incoming = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
        scope: dict[str, Any] = {"type": "lifespan", "state": {}}
        messages: list[Any] = []

        async def receive() -> Any:
            return incoming.pop(0)

        async def send(message: Any) -> None:
            messages.append((message["type"], message.get("message", "").splitlines()[-1:]))

        raised: list[str] = []
        try:
            anyio.run(app, scope, receive, send)
        except RuntimeError as error:
            raised = describe(error)
        return steps, messages, scope["state"], raised

    oracle, ours = frameworks()
    assert run(ours) == run(oracle)


def test_a_route_handler_gives_responses_of_the_same_classes() -> None:
    def build(fw: Framework) -> Any:
        class Route(fw.routing.APIRoute):  # type: ignore[name-defined,misc]
            def get_route_handler(self) -> Any:
                original = super().get_route_handler()

                async def handler(request: Any) -> Any:
                    response = await original(request)
                    facts = [type(response).__name__, response.status_code, response.media_type, response.body]
                    response.headers["x-facts"] = f"{facts} {response.raw_headers} {response.charset}"
                    return response

                return handler

        router = fw.APIRouter(route_class=Route)
        json = {"response_class": fw.responses.JSONResponse}
        router.get("/untyped")(lambda: {"a": 1})
        router.get("/untyped-json", **json)(lambda: {"a": 1})
        router.get("/typed", response_model=dict[str, int], status_code=201)(lambda: {"a": 1})
        router.get("/typed-json", response_model=dict[str, int], **json)(lambda: {"a": 1})
        router.get("/text", response_class=fw.responses.PlainTextResponse)(lambda: "a")
        router.get("/none", status_code=204)(lambda: None)

        @router.get("/injected")
        async def injected(response: fw.Response, tasks: fw.BackgroundTasks) -> Any:  # type: ignore[name-defined]
            response.headers["x-own"] = "1"
            tasks.add_task(int)
            return [1]

        app = fw.FastAPI()
        app.include_router(router)
        return app

    paths = ("/untyped", "/untyped-json", "/typed", "/typed-json", "/text", "/none", "/injected")
    compare(build, *map(Request, paths), openapi=False)
