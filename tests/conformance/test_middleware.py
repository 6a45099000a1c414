"""Every middleware around the same plain ASGI application: message by message what Starlette's does."""

import importlib
import io
import json
import sys
import warnings
import zlib
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import itsdangerous
import pytest

from conformance.harness import Framework, frameworks

Build = Callable[[Framework], Any]
BACKENDS = ("asyncio", "trio")
LONG = b"forzium " * 200


def scope_of(method: str = "GET", path: str = "/", headers: dict[str, str] | None = None, **changes: Any) -> Any:
    named = {"host": "testserver", **(headers or {})}
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in named.items() if value is not None],
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
        "extensions": {"websocket.http.response": {}},
        **changes,
    }


def run(app: Any, scope: Any, body: tuple[bytes, ...] = (b"",), backend: str = "asyncio") -> Any:
    """Messages sent (plain, in order) and what was raised."""
    sent: list[Any] = []
    raised: list[str] = []
    parts = [{"type": "http.request", "body": part, "more_body": True} for part in body]
    parts[-1]["more_body"] = False
    if scope["type"] == "websocket":
        parts = [{"type": "websocket.connect"}]

    async def receive() -> Any:
        while not parts:
            await anyio.sleep_forever()
        return parts.pop(0)

    async def send(message: Any) -> None:
        plain = dict(message)
        if "headers" in plain:
            plain["headers"] = [tuple(header) for header in plain["headers"]]
        sent.append(plain)

    async def main() -> None:
        with anyio.fail_after(10):
            try:
                await app({**scope, "headers": list(scope["headers"])}, receive, send)
            except Exception as error:
                raised.extend(what(error))

    anyio.run(main, backend=backend)
    return sent, raised


def what(error: BaseException) -> list[str]:
    """An exception and the members of a group, without causes: those tell how a framework works inside."""
    members = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return [f"{type(error).__name__}: {error}", *(line for member in members for line in what(member))]


def decoded(exchanged: Any) -> Any:
    """The same with gzip taken off, piece by piece; two compressors may write the same in other bytes."""
    sent, raised = exchanged
    start = next((message for message in sent if message["type"] == "http.response.start"), {})
    if (b"content-encoding", b"gzip") not in start.get("headers", ()):
        return exchanged
    decoder = zlib.decompressobj(16 + zlib.MAX_WBITS)
    whole = sum(len(message.get("body", b"")) for message in sent)
    plain = []
    for message in sent:
        changed = dict(message)
        if "headers" in message:
            # A length that is right is one that both have.
            right = [(b"content-length", b"%d" % whole)]
            changed["headers"] = [(n, b"right") if [(n, v)] == right else (n, v) for n, v in message["headers"]]
        if message["type"] == "http.response.body":
            changed["body"] = decoder.decompress(message.get("body", b""))
        plain.append(changed)
    return plain, [*raised, decoder.eof]


def alike(build: Build, *scopes: Any, body: tuple[bytes, ...] = (b"",)) -> Any:
    """Assert that both frameworks send the same; return what forzium sent to the last scope."""
    oracle, ours = (build(fw) for fw in frameworks())
    found: Any = None
    for backend in BACKENDS:
        for scope in scopes:
            expected = decoded(run(oracle, scope, body, backend))
            found = decoded(run(ours, scope, body, backend))
            assert found == expected, f"{scope['method']} {scope['headers']} on {backend}"
    return found


def plain_app(
    *bodies: bytes, status: int = 200, headers: tuple[tuple[bytes, bytes], ...] = (), **start: Any
) -> Callable[..., Any]:
    """An application without a framework that sends these pieces."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": list(headers), **start})
        for place, piece in enumerate(bodies):
            await send({"type": "http.response.body", "body": piece, "more_body": place + 1 < len(bodies)})

    return app


async def lifespan_only(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "lifespan.startup.complete"})


# --- CORS

ORIGINS: list[dict[str, Any]] = [
    {"allow_origins": ["*"]},
    {"allow_origins": ["*"], "allow_credentials": True, "allow_headers": ["*"], "allow_methods": ["*"]},
    {"allow_origins": ["https://a.example"], "allow_headers": ["X-Token"], "expose_headers": ["X-One", "X-Two"]},
    {"allow_origin_regex": r"https://.*\.example", "allow_private_network": True, "max_age": 5},
    {"allow_origins": [], "allow_credentials": True},
]


@pytest.mark.parametrize("options", ORIGINS)
def test_cors_answers_and_preflights(options: dict[str, Any]) -> None:
    vary = ((b"vary", b"Accept"), (b"vary", b"Accept-Encoding"))

    def build(fw: Framework) -> Any:
        return fw.starlette.module("middleware.cors").CORSMiddleware(plain_app(b"x", headers=vary), **options)

    origins = ["https://a.example", "https://b.example", "null", None]
    asked: list[dict[str, Any]] = [{}, {"cookie": "a=b"}]
    for method in ("GET", "QUERY", "PURGE"):
        for names in (None, "x-token", "X-Token, content-type", "X-Other", ""):
            for private in (None, "true"):
                asked.append(
                    {
                        "access-control-request-method": method,
                        "access-control-request-headers": names,
                        "access-control-request-private-network": private,
                    }
                )
    alike(
        build,
        *(
            scope_of(method, headers={"origin": origin, **headers})
            for origin in origins
            for headers in asked
            for method in ("GET", "OPTIONS")
        ),
    )


# --- gzip

ENCODINGS = [None, "gzip", "deflate, gzip;q=0.5", "identity", "br, x-gzip", "*", "", "gzip;q=1.0;x=y"]


@pytest.mark.parametrize(
    "app",
    [
        plain_app(LONG, headers=((b"content-length", b"1600"), (b"content-type", b"text/plain"))),
        plain_app(b"short", headers=((b"content-length", b"5"),)),
        plain_app(LONG, b"", LONG, b"", headers=((b"vary", b"Accept"),)),
        plain_app(b"", LONG * 100),
        plain_app(LONG * 200),
        plain_app(LONG, headers=((b"content-encoding", b"br"),)),
        plain_app(LONG, LONG, status=206),
        plain_app(LONG, headers=((b"content-type", b"Text/Event-Stream; charset=utf-8"),)),
        plain_app(LONG, headers=((b"content-type", b"image/png"),)),
        plain_app(LONG, headers=((b"content-type", b"application/grpc+proto"),)),
        plain_app(LONG, headers=((b"content-type", b"video/anything"),)),
        plain_app(LONG, headers=((b"content-length", b"1600"),), trailers=True),
        plain_app(b"", status=204),
    ],
)
def test_gzip_compresses_what_and_how(app: Any) -> None:
    def build(fw: Framework) -> Any:
        return fw.starlette.module("middleware.gzip").GZipMiddleware(app, compresslevel=6)

    alike(build, *(scope_of(headers={"accept-encoding": value}) for value in ENCODINGS))


def test_gzip_leaves_files_that_the_server_reads_alone() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.early_hint", "links": []})
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.pathsend", "path": "/x"})
        await send({"type": "http.response.trailers", "headers": []})

    def build(fw: Framework) -> Any:
        return fw.starlette.module("middleware.gzip").GZipMiddleware(app, minimum_size=0)

    alike(build, scope_of(headers={"accept-encoding": "gzip"}), scope_of())


# --- hosts, https

HOSTS = [
    "a.example",
    "A.Example:8000",
    "x.a.example",
    "www.b.example",
    "b.example",
    "[::1]",
    "[::1]:80",
    "a b",
    "",
    None,
]


def test_trusted_hosts() -> None:
    def build(fw: Framework) -> Any:
        return fw.starlette.module("middleware.trustedhost").TrustedHostMiddleware(
            plain_app(b"x"), allowed_hosts=["a.example", "*.a.example", "www.b.example", "[::1]"]
        )

    alike(
        build,
        *(scope_of(headers={"host": host}, type=kind, path="/p") for host in HOSTS for kind in ("http", "websocket")),
    )


@pytest.mark.parametrize("pattern", ["*", "*.x", "a*", "*x", "**.x", "*.x.*", "*."])
def test_trusted_host_patterns_are_checked(pattern: str) -> None:
    errors = []
    for fw in frameworks():
        try:
            fw.starlette.module("middleware.trustedhost").TrustedHostMiddleware(plain_app(), allowed_hosts=[pattern])
        except AssertionError as error:
            errors.append(str(error))
        else:
            errors.append("")
    assert errors[0] == errors[1]


def test_https_redirects() -> None:
    def build(fw: Framework) -> Any:
        return fw.starlette.module("middleware.httpsredirect").HTTPSRedirectMiddleware(plain_app(b"x"))

    alike(
        build,
        *(
            scope_of(headers={"host": host}, path="/a b", query_string=b"q=1", scheme=scheme, type=kind)
            for host in ["a.example", "a.example:80", "a.example:443", "a.example:8000", "[::1]", "a b", None]
            for kind, scheme in [("http", "http"), ("http", "https"), ("websocket", "ws"), ("websocket", "wss")]
        ),
    )


# --- sessions


def test_sessions_are_kept_cleared_and_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        session, step = scope["session"], scope["path"]
        if step == "/set":
            session["a"] = {"b": [1, "ü"]}
        elif step == "/clear":
            session.clear()
        elif step == "/seen":
            session.mark_accessed()
        body = json.dumps(session).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"vary", b"Accept")]})
        await send({"type": "http.response.body", "body": body})

    signer = itsdangerous.TimestampSigner("secret")
    now = signer.get_timestamp()
    monkeypatch.setattr(itsdangerous.TimestampSigner, "get_timestamp", lambda self: now)  # it is part of what is signed
    kept = signer.sign(b"eyJhIjogMX0=").decode()
    options: list[dict[str, Any]] = [
        {},
        {"max_age": None, "path": "/p", "same_site": "strict", "https_only": True, "domain": "a.example"},
        {"session_cookie": "s", "partitioned": True, "max_age": -1},
    ]
    for chosen in options:

        def build(fw: Framework, chosen: Any = chosen) -> Any:
            return fw.starlette.module("middleware.sessions").SessionMiddleware(app, secret_key="secret", **chosen)

        alike(
            build,
            *(
                scope_of(path=path, headers={"cookie": cookie})
                for path in ["/", "/set", "/clear", "/seen"]
                for cookie in [None, f"session={kept}; s={kept}", f"session={kept}x", "session="]
            ),
        )


@pytest.mark.parametrize(
    "change",
    [
        "s['a'] = 2",
        "del s['a']",
        "s.clear()",
        "s.pop('a')",
        "s.pop('zz', None)",
        "s.popitem()",
        "s.setdefault('a', 1)",
        "s.setdefault('b', 1)",
        "s.update(b=2)",
        "s.update({'c': 1})",
        "s.__ior__({'c': 1})",
        "s.get('a')",
        "s.pop('zz')",
    ],
)
def test_session_changes_are_noticed(change: str) -> None:
    seen = []
    for fw in frameworks():
        s = fw.starlette.module("middleware.sessions").Session({"a": 1})
        try:
            exec(change, {"s": s})
        except KeyError:
            pass
        seen.append((dict(s), s.accessed, s.modified))
    assert seen[0] == seen[1]


# --- errors and exceptions


def failing(error: Callable[[Framework], BaseException], *, after_start: bool = False) -> Callable[[Framework], Any]:
    def make(fw: Framework) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if after_start:
                await send({"type": "http.response.start", "status": 200, "headers": []})
            raise error(fw)

        return app

    return make


ERRORS: list[Callable[[Framework], BaseException]] = [
    lambda fw: fw.starlette.exceptions.HTTPException(404),
    lambda fw: fw.starlette.exceptions.HTTPException(204, headers={"x": "y"}),
    lambda fw: fw.starlette.exceptions.HTTPException(401, "no", {"WWW-Authenticate": "Basic"}),
    lambda fw: fw.starlette.exceptions.HTTPException(418),
    lambda fw: KeyError("x"),
    lambda fw: LookupError("x"),
    lambda fw: RuntimeError("nobody's"),
    lambda fw: fw.starlette.exceptions.WebSocketException(1008, "why"),
    lambda fw: ExceptionGroup("g", [KeyError("in a group")]),
]


@pytest.mark.parametrize("after_start", [False, True])
@pytest.mark.parametrize("error", ERRORS)
def test_exceptions_find_their_handlers(error: Any, after_start: bool) -> None:
    def build(fw: Framework) -> Any:
        responses = fw.starlette.responses

        def by_class(request: Any, exc: Exception) -> Any:
            return responses.PlainTextResponse(f"class {exc!r}", 422)

        async def by_status(request: Any, exc: Exception) -> Any:
            return responses.PlainTextResponse(f"status {exc}", 418)

        inner = fw.starlette.module("middleware.exceptions").ExceptionMiddleware(
            failing(error, after_start=after_start)(fw), handlers={LookupError: by_class, 418: by_status}
        )
        return fw.starlette.module("middleware.errors").ServerErrorMiddleware(inner)

    alike(build, scope_of(), scope_of(type="websocket"))


@pytest.mark.parametrize("after_start", [False, True])
@pytest.mark.parametrize("is_async", [False, True])
def test_a_handler_for_everything_answers_and_the_error_is_raised_again(is_async: bool, after_start: bool) -> None:
    calls: list[str] = []

    def build(fw: Framework) -> Any:
        def answer(request: Any, exc: Exception) -> Any:
            calls.append(fw.name)
            return fw.starlette.responses.JSONResponse({"error": str(exc)}, 500)

        async def answer_async(request: Any, exc: Exception) -> Any:
            return answer(request, exc)

        return fw.starlette.module("middleware.errors").ServerErrorMiddleware(
            failing(lambda fw: ValueError("x"), after_start=after_start)(fw),
            handler=answer_async if is_async else answer,
        )

    alike(build, scope_of())
    assert calls.count("fastapi") == calls.count("forzium") == 2


# --- http middleware


def base_http(fw: Framework, app: Any, dispatch: Any = None) -> Any:
    async def tagging(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["x-tag"] = request.url.path
        return response

    return fw.starlette.module("middleware.base").BaseHTTPMiddleware(app, dispatch or tagging)


async def pathsend(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.pathsend", "path": "/x"})


async def debug_then_echo(scope: Any, receive: Any, send: Any) -> None:
    message = await receive()
    await send({"type": "http.response.debug", "info": {"a": 1}})
    await send({"type": "http.response.early_hint", "links": []})
    await send({"type": "http.response.start", "status": 201, "headers": [(b"a", b"b")]})
    await send({"type": "http.response.body", "body": message["body"], "more_body": message["more_body"]})
    while message["more_body"]:
        message = await receive()
        await send({"type": "http.response.body", "body": message["body"], "more_body": message["more_body"]})


async def silent(scope: Any, receive: Any, send: Any) -> None:
    return


async def from_child_tasks(scope: Any, receive: Any, send: Any) -> None:
    async with anyio.create_task_group() as tasks:

        async def stream() -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for number in range(3):
                await anyio.lowlevel.checkpoint()
                await send({"type": "http.response.body", "body": b"%d" % number, "more_body": True})
            await send({"type": "http.response.body"})
            tasks.cancel_scope.cancel()

        tasks.start_soon(stream)
        while (await receive())["type"] != "http.disconnect":
            pass


async def under_a_deadline(scope: Any, receive: Any, send: Any) -> None:
    with anyio.fail_after(5):
        await plain_app(b"a", b"", b"b")(scope, receive, send)


CHAINS = [
    plain_app(b"x"),
    plain_app(b"a", b"", b"b", headers=((b"x-tag", b"old"),)),
    plain_app(b""),
    plain_app(b"", status=204),
    plain_app(b"x", headers=((b"Content-Length", b"1"),)),
    plain_app(b"a", b"b", headers=((b"content-length", b"2"),)),
    pathsend,
    debug_then_echo,
    silent,
    from_child_tasks,
    under_a_deadline,
]


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("app", CHAINS)
def test_http_middleware_passes_messages_on(app: Any, depth: int) -> None:
    def build(fw: Framework) -> Any:
        wrapped = app
        for _ in range(depth):
            wrapped = base_http(fw, wrapped)
        return wrapped

    alike(build, scope_of(path="/p"), body=(b"one", b"two", b""))


@pytest.mark.parametrize("error", ERRORS[-3:])
@pytest.mark.parametrize("after_start", [False, True])
def test_http_middleware_raises_what_the_rest_raised(error: Any, after_start: bool) -> None:
    alike(lambda fw: base_http(fw, base_http(fw, failing(error, after_start=after_start)(fw))), scope_of())


def dispatches(fw: Framework) -> dict[str, Any]:
    responses = fw.starlette.responses

    async def reads_body(request: Any, call_next: Any) -> Any:
        body = await request.body()
        response = await call_next(request)
        response.headers["x-len"] = str(len(body))
        return response

    async def reads_stream(request: Any, call_next: Any) -> Any:
        async for _ in request.stream():
            pass
        return await call_next(request)

    async def discards(request: Any, call_next: Any) -> Any:
        await call_next(request)
        return responses.PlainTextResponse("mine")

    async def answers(request: Any, call_next: Any) -> Any:
        return responses.JSONResponse({"a": 1})

    async def rewrites(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        body = b"".join([chunk async for chunk in response.body_iterator])
        return responses.Response(body[::-1], response.status_code)

    async def wraps(request: Any, call_next: Any) -> Any:
        response = await call_next(request)

        async def shouting() -> Any:
            async for chunk in response.body_iterator:
                yield chunk.upper()

        return responses.StreamingResponse(shouting())

    async def fails_first(request: Any, call_next: Any) -> Any:
        raise LookupError("before")

    async def fails_after(request: Any, call_next: Any) -> Any:
        await call_next(request)
        raise LookupError("after")

    async def has_a_deadline(request: Any, call_next: Any) -> Any:
        with anyio.fail_after(5):
            return await call_next(request)

    async def from_a_child_task(request: Any, call_next: Any) -> Any:
        found: list[Any] = []

        async def call() -> None:
            found.append(await call_next(request))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
        return found[0]

    return {function.__name__: function for function in list(locals().values()) if callable(function)}


@pytest.mark.parametrize("app", CHAINS)
@pytest.mark.parametrize("name", sorted(dispatches(frameworks()[0])))
def test_whatever_dispatch_does_is_done_alike(app: Any, name: str) -> None:
    if name == "wraps" and app is debug_then_echo:
        pytest.skip("two readers of one request body: it depends on who comes first")
    alike(lambda fw: base_http(fw, app, dispatches(fw)[name]), scope_of(), body=(b"one", b"two", b""))


# --- body limits


@pytest.mark.parametrize("declared", [None, "4", "400", "x"])
@pytest.mark.parametrize("outer", [None, 3, 100])
def test_body_limits(outer: int | None, declared: str | None) -> None:
    def build(fw: Framework) -> Any:
        limit = fw.starlette.module("middleware.body_limit").RequestBodyLimitMiddleware

        async def reader(scope: Any, receive: Any, send: Any) -> None:
            size = 0
            if scope["path"] == "/late":
                await send({"type": "http.response.start", "status": 200, "headers": []})
            more = scope["path"] != "/lazy"
            while more:
                message = await receive()
                size += len(message["body"])
                more = message["more_body"]
            if scope["path"] != "/late":
                await send({"type": "http.response.start", "status": 200, "headers": []})
            text = f"{size} {scope['starlette.max_body_size']}"
            await send({"type": "http.response.body", "body": text.encode()})

        app = limit(reader, 8)
        return app if outer is None else limit(app, outer)

    for body in [(b"1234",), (b"1234", b"5678"), (b"1234", b"56789")]:
        alike(build, *(scope_of("POST", p, {"content-length": declared}) for p in ["/", "/late", "/lazy"]), body=body)


# --- authentication


def test_authentication() -> None:
    def build(fw: Framework) -> Any:
        auth = fw.starlette.authentication

        class Backend(auth.AuthenticationBackend):  # type: ignore[misc,name-defined]
            async def authenticate(self, conn: Any) -> Any:
                given = conn.headers.get("authorization")
                if given is None:
                    return None
                if given == "bad":
                    raise auth.AuthenticationError("bad credentials")
                return auth.AuthCredentials(["authenticated"]), auth.SimpleUser(given)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            text = f"{scope['auth'].scopes} {scope['user'].is_authenticated} {scope['user'].display_name}"
            await fw.starlette.responses.PlainTextResponse(text)(scope, receive, send)

        return fw.starlette.module("middleware.authentication").AuthenticationMiddleware(app, backend=Backend())

    given = [None, "bad", "me"]
    alike(build, *(scope_of(headers={"authorization": a}, type=t) for a in given for t in ("http", "websocket")))


# --- WSGI


def wsgi_module(fw: Framework) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(
            "forzium.middleware.wsgi" if fw.name == "forzium" else "starlette.middleware.wsgi"
        )


def hello(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [("Content-Type ", "text/plain"), ("X-Q", environ["QUERY_STRING"])])
    yield environ["wsgi.input"].read()
    yield b"!"


def apologises(environ: Any, start_response: Any) -> Any:
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        start_response("500 Internal Server Error", [], sys.exc_info())
    return [b"sorry"]


def breaks(environ: Any, start_response: Any) -> Any:
    raise RuntimeError("broken")


@pytest.mark.parametrize("app", [hello, apologises, breaks])
def test_wsgi_applications(app: Any) -> None:
    alike(lambda fw: wsgi_module(fw).WSGIMiddleware(app), scope_of("POST", query_string=b"a=1"), body=(b"a", b"b"))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"root_path": "/sub", "path": "/sub/ü/x"},
        {"root_path": "/sub", "path": "/other"},
        {"root_path": "/", "path": "/other"},
        {"server": None, "client": None},
        {"headers": [(b"content-type", b"a/b"), (b"content-length", b"3"), (b"x-a", b"1"), (b"x-a", b"2")]},
    ],
)
def test_wsgi_environment(changes: Any) -> None:
    found = []
    for fw in frameworks():
        environ = wsgi_module(fw).build_environ({**scope_of(), **changes}, b"body")
        assert isinstance(environ["wsgi.input"], io.BytesIO)
        found.append({**environ, "wsgi.input": environ["wsgi.input"].read()})
    assert found[0] == found[1]


# --- all


@pytest.mark.parametrize(
    ("module", "name", "options"),
    [
        ("cors", "CORSMiddleware", {}),
        ("gzip", "GZipMiddleware", {}),
        ("sessions", "SessionMiddleware", {"secret_key": "x"}),
        ("trustedhost", "TrustedHostMiddleware", {"allowed_hosts": ["a.example"]}),
        ("httpsredirect", "HTTPSRedirectMiddleware", {}),
        ("authentication", "AuthenticationMiddleware", {"backend": None}),
        ("body_limit", "RequestBodyLimitMiddleware", {"max_body_size": 1}),
        ("errors", "ServerErrorMiddleware", {}),
        ("exceptions", "ExceptionMiddleware", {}),
        ("base", "BaseHTTPMiddleware", {}),
    ],
)
def test_lifespan_passes_through_and_signatures_agree(module: str, name: str, options: Any) -> None:
    import inspect

    signatures = []
    for fw in frameworks():
        cls = getattr(fw.starlette.module(f"middleware.{module}"), name)
        signatures.append([(p.name, p.kind, p.default) for p in inspect.signature(cls).parameters.values()])
        sent: list[Any] = []

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        anyio.run(cls(lifespan_only, **options), {"type": "lifespan"}, None, send)
        assert sent == [{"type": "lifespan.startup.complete"}]
    assert signatures[0] == signatures[1]


def test_middleware_shows_and_unpacks_itself() -> None:
    shown = []
    for fw in frameworks():
        line = fw.starlette.module("middleware").Middleware(plain_app, 1, "b", status=3)
        shown.append((repr(line), list(line), line.args, line.kwargs))
    assert shown[0] == shown[1]
