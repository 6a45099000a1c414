"""The compiled table against Starlette's router: on random tables and paths the same route, parameters and answers.

The declarations are Starlette's own (`Route`, `Mount`, `Host`); FastAPI's, with included routers, are compared in
`test_route_tables`. One difference is on purpose: a line feed at the end of a path is part of it (`docs/compatibility.md`).
"""

from typing import Any

import starlette.applications
import starlette.responses
import starlette.routing
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from protocol.asgi import Host, finish, http_scope, websocket_scope

import forzium.applications
import forzium.responses
import forzium.routing
from forzium import APIRouter, FastAPI

CONVERTORS = ["", ":str", ":int", ":float", ":path", ":uuid"]
LITERALS = ["a", "b", "ab", "1", "A", "é", ".", "-", "{", "a.b", " "]
VALUES = [
    *("a", "b", "ab", "A", "é", ".", "..", "-", "{", "}", "a.b", "a-b", "x y", "\x00", "", "%2F", "\ud800", "a\nb"),
    *("1", "01", "-1", "+1", "1.5", "1.", ".5", "1e3", "١", "0" * 25, "9" * 25),
    "01234567-89ab-cdef-0123-456789abcdef",
    "0123456789abcdef0123456789abcdef",
    "01234567-89AB-CDEF-0123-456789ABCDEF",
]


@st.composite
def templates(draw: st.DrawFn) -> str:
    """A template of literals and parameters, several in a segment and one after another, path parameters anywhere."""
    count = draw(st.integers(1, 4))
    names = iter("uvwxyz")
    segments = []
    for _ in range(count):
        parts = draw(st.lists(st.sampled_from(LITERALS) | st.sampled_from(CONVERTORS).map("{:".__add__), max_size=2))
        if draw(st.booleans()):
            parts = parts[:1]
        segment = ""
        for part in parts:
            segment += "{%s%s}" % (next(names), part[2:]) if part.startswith("{:") and len(part) != 1 else part
        segments.append(segment)
    return "/" + "/".join(segments)


METHODS = st.sampled_from([None, None, ["GET"], ["POST"], ["GET", "POST"], ["PUT", "DELETE"], ["get"]])
ROUTES = st.tuples(st.just("route"), templates(), METHODS)
TABLES = st.lists(
    st.recursive(
        ROUTES | st.tuples(st.just("websocket"), templates(), st.none()),
        lambda inner: st.one_of(
            st.tuples(
                st.just("mount"),
                st.sampled_from(["", "/a", "/b", "/a/b", "/{m}", "/{m:int}"]),
                st.lists(inner, min_size=1, max_size=3),
            ),
            st.tuples(
                st.just("host"),
                st.sampled_from(["a.org", "{sub}.org", "b.org:80"]),
                st.lists(inner, min_size=1, max_size=2),
            ),
        ),
        max_leaves=5,
    ),
    min_size=1,
    max_size=7,
)
PATHS = st.lists(st.sampled_from(VALUES), max_size=5).map(lambda parts: "/" + "/".join(parts))


FITTING = {
    "": ["a", "b", "1", "a.b", "a-b"],
    ":str": ["a", "b", "1"],
    ":int": ["1", "01", "0" * 25],
    ":float": ["1", "1.5", "0.0"],
    ":path": ["", "a", "a/b", "/"],
    ":uuid": ["01234567-89ab-cdef-0123-456789abcdef"],
}


def fitting(draw: st.DrawFn, template: str) -> str:
    """A path that fits a template, more or less."""
    exactly = draw(st.booleans())
    path = ""
    for piece in template.replace("}", "{").split("{"):
        name, convertor = piece[:1], piece[1:]
        if name and name in "uvwxyzm" and convertor in CONVERTORS:
            path += draw(st.sampled_from(FITTING[convertor] if exactly else VALUES))
        else:
            path += piece
    return path if exactly else path + draw(st.sampled_from(["", "/", "x"]))


@st.composite
def requests(draw: st.DrawFn) -> tuple[list[Any], list[tuple[str, str, str, str]]]:
    """A table, and requests `(path, method, root_path, host)` of which many meet it."""
    table = draw(TABLES)
    found = []
    for _ in range(draw(st.integers(1, 5))):
        path = draw(PATHS)
        if table and draw(st.integers(0, 4)):
            path, entries = "", table
            while entries:
                kind, template, inner = draw(st.sampled_from(entries))
                path += "" if kind == "host" else fitting(draw, template)
                entries = inner if kind in ("mount", "host") else []
        method = draw(st.sampled_from(["GET", "GET", "GET", "HEAD", "POST", "PATCH", "get", "WEBSOCKET"]))
        root_path = draw(st.sampled_from([""] * 6 + ["/a", "/a/b", "/", "/b/"]))
        if draw(st.booleans()):
            path = root_path + path
        found.append((path, method, root_path, draw(st.sampled_from(["a.org", "a.org", "x.org", "b.org:80"]))))
    return table, found


def unlike(path: str) -> bool:
    """Whether a path is one of those that forzium answers in another way on purpose."""
    return path.endswith("\n") or "\ud800" in path


# ---------------------------------------------------------------- whole answers


def build(routing: Any, responses: Any, table: list[Any], place: str = "") -> list[Any]:
    """Declare a table with the classes of a framework. Every route answers with where it stands and what it got."""
    routes = []
    for number, (kind, template, inner) in enumerate(table):
        here = f"{place}{number}"
        if kind == "mount":
            routes.append(routing.Mount(template, routes=build(routing, responses, inner, here + ".")))
        elif kind == "host":
            app = routing.Router(routes=build(routing, responses, inner, here + "."))
            routes.append(routing.Host(template, app=app))
        elif kind == "websocket":

            async def talk(websocket: Any, here: str = here) -> None:
                await websocket.accept()
                await websocket.send_text(here + repr(websocket.path_params))
                await websocket.close()

            routes.append(routing.WebSocketRoute(template, talk))
        else:

            async def endpoint(request: Any, here: str = here) -> Any:
                scope = request.scope
                shown = [scope["path_params"], scope.get("root_path"), scope["path"], scope.get("app_root_path")]
                return responses.PlainTextResponse(here + ascii(shown))

            routes.append(routing.Route(template, endpoint, methods=inner))
    return routes


def answers(app: Any, path: str, method: str, root_path: str, host: str) -> Any:
    """What a host is sent, and what is raised. The order of methods in `Allow` is a set's in Starlette."""
    host_header = [(b"host", host.encode())]
    if method == "WEBSOCKET":
        scope = websocket_scope(path, root_path=root_path, headers=host_header)
        channels = Host([{"type": "websocket.connect"}])
    else:
        scope = http_scope(path, method, root_path=root_path, headers=host_header)
        channels = Host()
    raised = None
    try:
        finish(channels.call(app, scope))
    except Exception as error:
        raised = f"{type(error).__name__}: {error}"
    for message in channels.sent:
        if "headers" in message:
            message["headers"] = [
                (name, sorted(value.split(b", ")) if name == b"allow" else value) for name, value in message["headers"]
            ]
    return channels.sent, raised


@settings(max_examples=250)
@given(case=requests(), application=st.booleans(), redirect_slashes=st.booleans())
def test_routers_answer_as_starlettes(case: Any, application: bool, redirect_slashes: bool) -> None:
    table, asked = case
    assume(application or not any(kind == "host" for kind, _, _ in table))
    theirs = starlette.routing.Router(build(starlette.routing, starlette.responses, table), redirect_slashes)
    ours = forzium.routing.Router(build(forzium.routing, forzium.responses, table), redirect_slashes)
    oracle: Any = theirs
    found: Any = ours
    if application:
        oracle, found = starlette.applications.Starlette(), forzium.applications.Starlette()
        oracle.router, found.router = theirs, ours
    for request in asked:
        if not unlike(request[0]):
            assert answers(found, *request) == answers(oracle, *request), request


# ---------------------------------------------------------------- the native table


def native(table: list[Any]) -> Any:
    """The compiled table of an application with a native route for each of `(template, methods)`."""
    app = FastAPI(openapi_url=None)

    async def endpoint() -> None: ...

    for template, methods in table:
        app.router.add_api_route(template, endpoint, methods=methods or ["GET"])
    return app.router._dispatcher.table


def first_match(routes: list[Any], scope: dict[str, Any]) -> tuple[int, bool, dict[str, Any]] | None:
    """Which route Starlette's router takes, whether its method fits, and the path parameters."""
    partial = None
    for index, route in enumerate(routes):
        match, child = route.matches(scope)
        if match is starlette.routing.Match.FULL:
            return index, True, child["path_params"]
        if match is starlette.routing.Match.PARTIAL and partial is None:
            partial = index, False, child["path_params"]
    return partial


async def _nothing(request: Any) -> None: ...


NATIVE = st.lists(st.tuples(templates(), METHODS.filter(lambda methods: methods != ["get"])), min_size=1, max_size=10)


@settings(max_examples=250)
@given(table=NATIVE, data=st.data())
@example(table=[("/{x:path}/a", ["GET"]), ("/{x}/a", ["GET"]), ("/b/a", ["POST"])], data=None)
@example(table=[("/{u}{v}", None), ("/{u:int}{v:path}", None), ("/{u:path}/{v:path}", None)], data=None)
def test_the_table_finds_the_route_that_starlette_would(table: list[Any], data: Any) -> None:
    compiled = native(table)
    routes = []
    for template, methods in table:
        routes.append(route := starlette.routing.Route(template, _nothing, methods=methods or ["GET"]))
        route.methods = set(methods or ["GET"])  # FastAPI adds no HEAD
    for number in range(8):
        if data is None:
            path, method = ["/b/a", "/b", "/1a", "/a/b/a", "//a", "/", "/1/", "/ab/"][number], "GET"
        else:
            template, _ = data.draw(st.sampled_from(table))
            path = data.draw(st.composite(fitting)(template) | PATHS)
            method = data.draw(st.sampled_from(["GET", "POST", "HEAD", "DELETE", "get"]))
        if unlike(path):
            continue
        scope = http_scope(path, method)
        found = compiled.find(scope)
        assert found == first_match(routes, scope), (path, method)
        if found is not None:
            _, context, _, opaque = compiled.entry(found[0])
            assert (context, opaque) == (None, False)


@given(
    table=NATIVE,
    prefixes=st.lists(st.sampled_from(["", "/a", "/{p}", "/{q:int}/b"]), max_size=3, unique=True),
    path=PATHS,
)
def test_included_routes_stand_in_the_table_under_their_prefixes(table: Any, prefixes: list[str], path: str) -> None:
    assume(not unlike(path))
    router = APIRouter()

    async def endpoint() -> None: ...

    for template, methods in table:
        router.add_api_route(template, endpoint, methods=methods or ["GET"])
    for prefix in reversed(prefixes):
        outer = APIRouter()
        outer.include_router(router, prefix=prefix)
        router = outer
    app = FastAPI(openapi_url=None)
    app.include_router(router)
    flat = native([("".join(prefixes) + template, methods) for template, methods in table])
    scope = http_scope(path)
    assert app.router._dispatcher.table.find(scope) == flat.find(scope)


def test_a_line_feed_at_the_end_is_part_of_the_path() -> None:
    compiled = native([("/a", None), ("/b/{x}", None), ("/{x:int}", None), ("/c/{x:path}", None)])
    paths = ["/a\n", "/b/\n", "/b/x\n", "/1\n", "/c/\n"]
    assert [compiled.find(http_scope(path)) for path in paths] == [
        None,
        (1, True, {"x": "\n"}),
        (1, True, {"x": "x\n"}),
        None,
        None,  # `.` is no line feed, in a path parameter neither
    ]
