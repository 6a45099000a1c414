"""Applications with several middlewares: built-in ones, ASGI classes and `BaseHTTPMiddleware` in any order.

What the core carries out itself and what it calls must stand in the declared order, on either side of each other.
"""

import random
import zlib
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from conformance.harness import Framework, frameworks
from conformance.test_middleware import decoded, run, scope_of

BACKENDS = ("asyncio", "trio")
LONG = "forzium " * 200
Make = Callable[[Framework], tuple[Any, dict[str, Any]]]


class Tagging:
    """A plain ASGI class: names itself in the response, in the order of the messages."""

    def __init__(self, app: Any, name: str) -> None:
        self.app = app
        self.name = name.encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope.setdefault("seen", []).append(self.name.decode())

        async def tagged(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"x-tag", self.name), (b"vary", b"X-Tag")]}
            await send(message)

        await self.app(scope, receive, tagged)


class Catching:
    """Answers what comes out of the application below, and lets everything else pass."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self.app(scope, receive, send)
        except ZeroDivisionError:
            headers = [(b"content-length", b"6")]
            await send({"type": "http.response.start", "status": 599, "headers": headers})
            await send({"type": "http.response.body", "body": b"caught"})


def builtin(module: str, name: str, **options: Any) -> Make:
    return lambda fw: (getattr(fw.starlette.module(f"middleware.{module}"), name), options)


def subclassed(fw: Framework) -> tuple[Any, dict[str, Any]]:
    class Selective(fw.starlette.module("middleware.cors").CORSMiddleware):  # type: ignore[misc]
        def is_allowed_origin(self, origin: str) -> bool:
            return origin.endswith("b.example")

    return Selective, {"allow_headers": ["X-Other"]}


def timing(fw: Framework) -> tuple[Any, dict[str, Any]]:
    async def dispatch(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["x-dispatch"] = str(len(request.headers))
        return response

    return fw.starlette.module("middleware.base").BaseHTTPMiddleware, {"dispatch": dispatch}


def authenticating(fw: Framework) -> tuple[Any, dict[str, Any]]:
    authentication = fw.starlette.authentication

    class Backend(authentication.AuthenticationBackend):  # type: ignore[misc]
        async def authenticate(self, conn: Any) -> Any:
            await anyio.lowlevel.checkpoint()
            name = conn.headers.get("authorization")
            if name == "nobody":
                raise authentication.AuthenticationError("who?")
            return name and (authentication.AuthCredentials(["in"]), authentication.SimpleUser(name))

    return fw.starlette.module("middleware.authentication").AuthenticationMiddleware, {"backend": Backend()}


KINDS: dict[str, Make] = {
    "cors": builtin("cors", "CORSMiddleware", allow_origins=["https://a.example"], expose_headers=["X-Tag"]),
    "cors-any": builtin("cors", "CORSMiddleware", allow_origins=["*"], allow_credentials=True),
    "cors-own": subclassed,
    "gzip": builtin("gzip", "GZipMiddleware", minimum_size=100, compresslevel=5),
    "gzip-thread": builtin("gzip", "GZipMiddleware", thread_minimum_size=500),
    "hosts": builtin("trustedhost", "TrustedHostMiddleware", allowed_hosts=["testserver", "www.b.example"]),
    "https": builtin("httpsredirect", "HTTPSRedirectMiddleware"),
    "sessions": builtin("sessions", "SessionMiddleware", secret_key="secret", max_age=None),
    "limit": builtin("body_limit", "RequestBodyLimitMiddleware", max_body_size=20),
    "authentication": authenticating,
    "dispatch": timing,
    "tag": lambda fw: (Tagging, {"name": "one"}),
    "tag-again": lambda fw: (Tagging, {"name": "two"}),
    "catch": lambda fw: (Catching, {}),
}


def application(kinds: list[str], **options: Any) -> Callable[[Framework], Any]:
    def build(fw: Framework) -> Any:
        responses = fw.responses

        class Unheard(Exception):
            pass

        app = fw.FastAPI(**options)

        @app.exception_handler(Unheard)
        async def unheard(request: fw.Request, error: Unheard):
            return responses.JSONResponse({"unheard": str(error)}, status_code=418)

        @app.get("/dict")
        async def as_dict(request: fw.Request):
            return {
                "text": LONG,
                "seen": request.scope.get("seen"),
                "user": getattr(request.scope.get("auth"), "scopes", None),
            }

        @app.head("/dict")
        def head() -> str:
            return LONG

        @app.get("/short")
        def short():
            return responses.PlainTextResponse("short", headers={"vary": "Accept"})

        @app.get("/stream")
        async def stream():
            async def pieces():
                for _ in range(3):
                    await anyio.lowlevel.checkpoint()
                    yield LONG
                yield "end"

            return responses.StreamingResponse(pieces(), media_type="text/plain")

        @app.get("/events")
        async def events():
            return responses.StreamingResponse(iter(["data: 1\n\n"] * 50), media_type="text/event-stream")

        @app.get("/session")
        async def session(request: fw.Request):
            if "session" in request.scope:
                request.session["count"] = request.session.get("count", 0) + 1
                return dict(request.session)
            return {}

        @app.post("/body")
        async def body(data: dict[str, Any]):
            return data

        @app.get("/fails/{how}")
        async def fails(how: str):
            if how == "http":
                raise fw.HTTPException(409, LONG)
            if how == "unheard":
                raise Unheard("x")
            if how == "late":

                async def pieces():
                    yield LONG
                    raise Unheard("late")

                return responses.StreamingResponse(pieces())
            raise ZeroDivisionError(how)

        inner = fw.FastAPI()

        @inner.get("/")
        async def root():
            return LONG

        @inner.get("/fails")
        async def inner_fails():
            raise ZeroDivisionError("inside")

        app.mount("/inner", inner)

        @app.websocket("/ws")
        async def ws(websocket: fw.WebSocket):
            await websocket.accept()
            await websocket.send_json(websocket.scope.get("seen"))
            await websocket.close()

        for kind in reversed(kinds):
            cls, given = KINDS[kind](fw)
            app.add_middleware(cls, **given)
        return app

    return build


COOKIE = "session=eyJjb3VudCI6IDN9.aSBq3g.forged"
REQUESTS: list[tuple[Any, tuple[bytes, ...]]] = [
    (scope_of(path="/dict", headers={"origin": "https://a.example", "accept-encoding": "gzip"}), (b"",)),
    (scope_of(path="/dict", headers={"origin": "https://b.example", "authorization": "me"}), (b"",)),
    (scope_of("HEAD", "/dict", {"accept-encoding": "gzip"}), (b"",)),
    (scope_of(path="/dict", headers={"host": "b.example", "origin": "https://a.example"}), (b"",)),
    (scope_of(path="/dict", headers={"host": "elsewhere", "accept-encoding": "gzip"}), (b"",)),
    (scope_of(path="/dict", headers={"authorization": "nobody", "origin": "https://a.example"}), (b"",)),
    (scope_of(path="/dict", scheme="https", headers={"accept-encoding": "gzip"}), (b"",)),
    (scope_of(path="/short", scheme="https", headers={"accept-encoding": "gzip"}), (b"",)),
    (scope_of(path="/stream", scheme="https", headers={"accept-encoding": "gzip"}), (b"",)),
    (scope_of(path="/stream", scheme="https", headers={"origin": "https://a.example"}), (b"",)),
    (scope_of(path="/events", scheme="https", headers={"accept-encoding": "gzip"}), (b"",)),
    (scope_of(path="/session", scheme="https", headers={"cookie": COOKIE}), (b"",)),
    (scope_of("POST", "/body", {"content-type": "application/json"}, scheme="https"), (b'{"a"', b": 1}")),
    (scope_of("POST", "/body", {"content-type": "application/json"}, scheme="https"), (b'{"a": "', b"b" * 40, b'"}')),
    (
        scope_of("POST", "/body", {"content-type": "application/json", "content-length": "99"}, scheme="https"),
        (b'{"a": "', b"b" * 90, b'"}'),
    ),
    *(
        (scope_of(path=f"/fails/{how}", scheme="https", headers={"origin": "https://a.example"}), (b"",))
        for how in ("http", "unheard", "late", "zero")
    ),
    (scope_of(path="/fails/zero", scheme="https", headers={"accept-encoding": "gzip"}), (b"",)),
    (scope_of(path="/inner/", scheme="https", headers={"accept-encoding": "gzip"}), (b"",)),
    (scope_of(path="/inner/fails", scheme="https", headers={"origin": "https://a.example"}), (b"",)),
    (scope_of(path="/nowhere", scheme="https", headers={"accept-encoding": "gzip"}), (b"",)),
    (
        scope_of("OPTIONS", "/dict", {"origin": "https://a.example", "access-control-request-method": "GET"}),
        (b"",),
    ),
    (scope_of("OPTIONS", "/dict", {"origin": "https://a.example"}, scheme="https"), (b"",)),
    (scope_of(path="/ws", type="websocket", scheme="wss"), ()),
    (scope_of(path="/ws", type="websocket", scheme="ws"), ()),
    (scope_of(path="/ws", type="websocket", scheme="wss", headers={"host": "elsewhere"}), ()),
    (scope_of(path="/ws", type="websocket", scheme="wss", headers={"authorization": "nobody"}), ()),
    (scope_of(path="/nows", type="websocket", scheme="wss"), ()),
]


def differing_time(exchanged: Any) -> Any:
    """Without the signature of a session cookie, which tells the second it was made in."""
    sent, raised = exchanged
    for message in sent:
        message["headers"] = [
            (n, v.partition(b".")[0] if n == b"set-cookie" else v) for n, v in message.get("headers", ())
        ]
    return sent, raised


def compare(build: Callable[[Framework], Any]) -> None:
    oracle, ours = (build(fw) for fw in frameworks())
    for backend in BACKENDS:
        for scope, body in REQUESTS:
            expected, found = (
                differing_time(decoded(run(app, {**scope, "seen": []}, body or (b"",), backend)))
                for app in (oracle, ours)
            )
            assert found == expected, f"{scope['type']} {scope['method']} {scope['path']} {scope['headers']} {backend}"


@pytest.mark.parametrize("kind", KINDS)
def test_one_middleware(kind: str) -> None:
    compare(application([kind]))


@pytest.mark.parametrize("seed", range(24))
def test_any_order_of_several(seed: int) -> None:
    chance = random.Random(seed)
    kinds = chance.sample(list(KINDS), chance.randint(2, 6))
    compare(application(kinds))


def test_the_limit_of_an_application_stands_outside_of_its_middleware() -> None:
    compare(application(["cors", "tag", "gzip"], max_body_size=30))


@pytest.mark.parametrize("route", [None, 5, 20])
@pytest.mark.parametrize("router", [None, 5, 20])
@pytest.mark.parametrize("outer", [None, 10])
def test_the_innermost_limit_of_a_body_decides(outer: int | None, router: int | None, route: int | None) -> None:
    def build(fw: Framework) -> Any:
        app = fw.FastAPI(max_body_size=outer)
        inner = fw.APIRouter()

        @inner.post("/json", max_body_size=route)
        async def as_json(data: fw.Annotated[list[int], fw.Body()]):
            return data

        @inner.post("/unread", max_body_size=route)
        def unread():
            return "unread"

        @inner.post("/grouped", max_body_size=route)
        async def grouped(request: fw.Request):
            async with anyio.create_task_group() as group:
                group.start_soon(request.body)
            return "read"

        @inner.post("/twice", max_body_size=route)
        async def twice(request: fw.Request):
            try:
                await request.body()
            except Exception:
                return "caught"

        app.include_router(inner, max_body_size=router)
        app.add_middleware(Tagging, "one")
        assert fw.name == "fastapi" or fw.module("_compile.explain").explain(app, "POST", "/json").native
        return app

    oracle, ours = (build(fw) for fw in frameworks())
    bodies = [(b"[1]",), (b"[1, 2, ", b"3]"), (b"[1, 2, 3, ", b"4, 5, 6, 7, ", b"8]")]
    for path in ("/json", "/unread", "/grouped", "/twice"):
        for body in bodies:
            for length in (None, "1", str(sum(map(len, body))), "x"):
                headers = {"content-type": "application/json", "content-length": length}
                scope = scope_of("POST", path, headers)
                for backend in BACKENDS:
                    expected, found = (run(app, scope, body, backend) for app in (oracle, ours))
                    assert found == expected, f"{path} {body} {length} on {backend}"


def test_a_gzipped_stream_can_be_read_while_it_is_sent() -> None:
    sent, _ = run(
        application(["gzip", "tag"])(frameworks()[1]), scope_of(path="/stream", headers={"accept-encoding": "gzip"})
    )
    decoder = zlib.decompressobj(16 + zlib.MAX_WBITS)
    pieces = [decoder.decompress(message["body"]).decode() for message in sent if "body" in message]
    assert pieces == [LONG, LONG, LONG, "end", ""]
