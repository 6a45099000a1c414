"""Random tables of routes, included routers and mounts, and random requests: who answers, and what the scope holds."""

from typing import Any

from conformance.harness import Framework, Outcome, Request, exchange, frameworks
from hypothesis import assume, given
from hypothesis import strategies as st

SEGMENTS = st.sampled_from(
    ["a", "b", "{x}", "{y}", "{n:int}", "{f:float}", "{u:uuid}", "{p:path}", "a{x}", "{x}.{y}", "{x}-{n:int}", "A"]
)


@st.composite
def templates(draw: st.DrawFn) -> str:
    """A path template in which no parameter occurs twice."""
    segments: list[str] = []
    for segment in draw(st.lists(SEGMENTS, max_size=3)):
        names = [part.split("}")[0].split(":")[0] for part in segment.split("{")[1:]]
        if not any("{" + name in other for name in names for other in segments):
            segments.append(segment)
    return "/" + "/".join(segments) + ("/" if segments and draw(st.booleans()) else "")


METHODS = st.sampled_from([["GET"], ["POST"], ["GET", "POST"], ["PUT"]])
ROUTES = st.tuples(st.sampled_from(["api", "plain"]), templates(), METHODS)
TABLES = st.lists(
    st.recursive(
        ROUTES,
        lambda children: st.tuples(
            st.sampled_from(["include", "mount"]),
            st.sampled_from(["/a", "/b", "/a/b", "/v{v}", "/{v:int}"]),
            st.lists(children, max_size=3),
        ),
        max_leaves=5,
    ),
    max_size=6,
)
PATHS = st.lists(
    st.sampled_from(["a", "b", "A", "1", "-1", "2.5", "a.b", "a-1", "v1", "é", "a%2Fb", "x y", "", "0" * 30]),
    max_size=4,
).map(lambda parts: "/" + "/".join(parts))


def repeats(table: Any, names: list[str]) -> bool:
    """Whether a parameter occurs twice on the way to a route: FastAPI answers 500 then, forzium refuses to include."""
    for _, template, rest in table:
        own = names + [part.split("}")[0].split(":")[0] for part in template.split("{")[1:]]
        if len(set(own)) < len(own) or (rest and isinstance(rest[0], tuple) and repeats(rest, own)):
            return True
    return False


def fill(fw: Framework, router: Any, table: Any, path: str) -> None:
    """Declare a table on a router. Each route answers with where it stands and what the scope holds."""
    for number, (kind, template, rest) in enumerate(table):
        place = f"{path}{number}"
        if kind == "include":
            below = fw.APIRouter()
            fill(fw, below, rest, place + ".")
            router.include_router(below, prefix=template)
        elif kind == "mount":
            below = fw.APIRouter()
            fill(fw, below, rest, place + ".")
            router.mount(template, below)
        else:
            declare(fw, router, kind, template, rest, place)


def declare(fw: Framework, router: Any, kind: str, template: str, methods: list[str], place: str) -> None:
    async def endpoint(request: fw.Request) -> Any:
        scope = request.scope
        route = scope.get("route")
        return fw.responses.JSONResponse(
            {
                "place": place,
                "params": {name: repr(value) for name, value in scope["path_params"].items()},
                "root_path": scope["root_path"],
                "route": getattr(route, "path", None),
            }
        )

    if kind == "api":
        router.add_api_route(template, endpoint, methods=methods)
    else:
        router.add_route(template, endpoint, methods=methods)


def neutral(outcome: Outcome) -> Any:
    """An outcome in which the order of methods in `Allow`, a set's in Starlette, does not count."""
    headers = [(n, ", ".join(sorted(v.split(", "))) if n == "allow" else v) for n, v in outcome.headers]
    return outcome.status, headers, outcome.body, outcome.raised


@given(
    table=TABLES,
    requests=st.lists(
        st.tuples(
            PATHS, st.sampled_from(["GET", "HEAD", "POST", "PATCH"]), st.sampled_from(["", "", "/a", "/v1", "/a/"])
        ),
        min_size=1,
        max_size=6,
    ),
)
def test_the_same_route_answers_with_the_same_scope(table: Any, requests: list[tuple[str, str, str]]) -> None:
    assume(not repeats(table, []))
    oracle, ours = (build(fw, table) for fw in frameworks())
    for target, method, root_path in requests:
        request = Request(target.replace("é", "%C3%A9").replace(" ", "%20"), method, scope={"root_path": root_path})
        assert neutral(exchange(ours, request)) == neutral(exchange(oracle, request)), (method, target, root_path)


def build(fw: Framework, table: Any) -> Any:
    app = fw.FastAPI(openapi_url=None)
    fill(fw, app.router, table, "")
    return app
