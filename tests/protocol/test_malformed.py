"""A host that breaks the protocol gets an exception that names what is wrong; a client never ends anything."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from forzium import Cookie, Depends, FastAPI, Header, Query, Request, WebSocket
from forzium.responses import PlainTextResponse

from .asgi import Host, finish, get, http_scope, websocket_scope


class Item(BaseModel):
    name: str


def application() -> FastAPI:
    """An application that looks at every part of a request."""
    app = FastAPI()

    def dependency(request: Request) -> Any:
        return [str(request.url), dict(request.headers), dict(request.query_params), request.cookies, request.client]

    async def everything(
        request: Request,
        q: int = 0,
        many: list[str] = Query([]),
        x_header: str = Header(""),
        headers: list[str] = Header([]),
        cookie: str = Cookie(""),
    ) -> Any:
        return [q, many, x_header, headers, cookie, request.method, dependency(request)]

    app.get("/")(everything)
    app.get("/items/{n}")(everything)
    app.get("/number/{n:int}")(everything)
    app.get("/rest/{rest:path}/end")(everything)
    app.get("/{a}.{b}")(everything)

    @app.post("/")
    async def body(item: Item) -> Item:
        return item

    @app.post("/raw")
    async def raw(request: Request) -> Any:
        return len(await request.body())

    @app.post("/form")
    async def form(request: Request) -> Any:
        return list((await request.form()).keys())

    async def plain(request: Request) -> Any:
        return PlainTextResponse(str(request.url))

    app.add_route("/plain", plain)
    app.mount("/mount", PlainTextResponse("mounted"))

    @app.websocket("/{n}")
    async def talk(websocket: WebSocket, n: str, value: Any = Depends(lambda: 1)) -> None:
        await websocket.accept()
        await websocket.receive_text()
        await websocket.close()

    return app


APP = application()


def outcome(scope: Any, messages: list[Any] | None = None) -> tuple[int | None, Exception | None]:
    """The status and what came out; anything but an `Exception` fails the test, a panic above all."""
    host = Host([{"type": "http.request"}] if messages is None else messages)
    try:
        finish(APP(scope, host.receive, host.send))
    except Exception as error:
        assert "please report" not in str(error)
        return host.status, error
    return host.status, None


# ---------------------------------------------------------------- keys


@pytest.mark.parametrize(
    ("scope", "error"),
    [
        (None, TypeError("ASGI scope: expected a dict, but found NoneType")),
        ([], TypeError("ASGI scope: expected a dict, but found list")),
        ({}, KeyError("ASGI scope: the key 'type' is missing")),
        (
            {"type": "rsgi"},
            TypeError("ASGI scope: expected 'type' to be 'http', 'websocket' or 'lifespan', but found 'rsgi'"),
        ),
        (
            {"type": 5},
            TypeError("ASGI scope: expected 'type' to be 'http', 'websocket' or 'lifespan', but found 5"),
        ),
    ],
    ids=["none", "list", "no type", "another type", "a number"],
)
def test_what_is_no_scope_is_refused_by_name(scope: Any, error: Exception) -> None:
    _, found = outcome(scope)
    assert (type(found), str(found)) == (type(error), str(error))


@pytest.mark.parametrize("key", ["path", "method", "headers"])
def test_a_missing_key_is_named(key: str) -> None:
    _, error = outcome(http_scope(**{key: ...}))
    assert type(error) is KeyError
    assert str(error) == repr(f"ASGI scope: the key '{key}' is missing")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("path", 5),
        ("path", b"/"),
        ("method", None),
        ("method", b"GET"),
        ("root_path", b""),
        ("query_string", "q=1"),
        ("headers", [("host", "x")]),
        ("headers", [5]),
        ("headers", [(b"host",)]),
        ("headers", 5),
    ],
    ids=repr,
)
def test_a_value_of_the_wrong_type_is_named_with_its_key(key: str, value: Any) -> None:
    status, error = outcome(http_scope(**{key: value}))
    assert type(error) is TypeError
    assert f"'{key}'" in str(error)
    assert status in (None, 500)


@pytest.mark.parametrize("key", ["root_path", "client", "server", "raw_path", "scheme", "asgi"])
def test_what_the_specification_lets_a_host_leave_out_is_not_needed(key: str) -> None:
    assert outcome(http_scope(**{key: ...})) == (200, None)


@pytest.mark.parametrize(
    ("message", "named"),
    [
        (None, "a dict from receive()"),
        ({}, "'type'"),
        ({"type": "http.response"}, "'http.response'"),
        ({"type": None}, "None"),
        ({"type": "http.request", "body": "text"}, "'body'"),
        ({"type": "http.request", "body": None}, "'body'"),
        ({"type": "http.request", "body": 5}, "'body'"),
    ],
    ids=repr,
)
def test_a_malformed_message_is_an_error_of_the_host(message: Any, named: str) -> None:
    host = Host([message])
    with pytest.raises((TypeError, KeyError)) as caught:
        finish(host.call(APP, http_scope("/", "POST", headers=[(b"content-type", b"application/json")])))
    assert named in str(caught.value)
    assert host.status in (None, 500)


def test_any_buffer_will_do_for_a_body() -> None:
    for body in (bytearray(b'{"name": "x"}'), memoryview(b'{"name": "x"}')):
        scope = http_scope("/", "POST", headers=[(b"content-type", b"application/json")])
        assert outcome(scope, [{"type": "http.request", "body": body}]) == (200, None)


# ---------------------------------------------------------------- odd, but a client's doing


@pytest.mark.parametrize(
    "path",
    [
        "/items/\udcff",
        "/\ud800",
        "\ud800",
        "",
        "items",
        "//",
        "/items/\x00",
        "/items/é",
        "/" * 5_000,
        "/items/" + "x" * 100_000,
    ],
    ids=ascii,
)
@pytest.mark.parametrize("root_path", ["", "/root", "/items", "\udcff", "/"])
def test_every_path_is_answered(path: str, root_path: str) -> None:
    status, error = outcome(http_scope(path, root_path=root_path, query_string=b"q=1"))
    assert (status in (200, 307, 404), error) == (True, None)


@pytest.mark.parametrize(
    "path", ["/number/" + "9" * 5_000, "/number/-1", "/number/" + "0" * 30, "/number/١"], ids=lambda path: path[:12]
)
def test_every_number_is_answered(path: str) -> None:
    status, error = outcome(http_scope(path))
    assert (status in (200, 404), error) == (True, None)


@pytest.mark.parametrize(
    "headers",
    [
        [(b"\xff", b"\xff")],
        [(b"", b"")],
        [(b"x-header", b"\xe9\x00\n")],
        [(b"cookie", b'cookie=\xff; \x00; ===; cookie="a\\101"')],
        [(b"cookie", b"\\" * 60_000)],
        [(b"host", b"[::1")],
        [(b"host", b"a b:c")],
        [(b"host", b"\xff")],
        [(b"x-header", b"a")] * 10_000,
        ((b"x-header", b"a"),),
        iter([(b"x-header", b"a")]),
        [[b"x-header", b"a"]],
    ],
    ids=lambda headers: repr(headers)[:30],
)
def test_every_header_is_answered(headers: Any) -> None:
    status, error = outcome(http_scope(headers=headers))
    assert (status, error) == (200, None)


@pytest.mark.parametrize(
    "query", [b"q=%", b"q=%ff&q=%zz", b"\xff=\xff", b"&&==&", b"many=" * 10_000, b"q=1" + b"0" * 9_000]
)
def test_every_query_is_answered(query: bytes) -> None:
    status, error = outcome(http_scope(query_string=query))
    assert (status in (200, 422), error) == (True, None)


def test_a_method_that_nobody_knows_is_answered() -> None:
    for method in ("", "get", "\ud800", "BREW", "x" * 10_000):
        status, error = outcome(http_scope(method=method))
        assert (status, error) == (405, None)


# ---------------------------------------------------------------- anything at all

# What servers let through as a field name (RFC 9110, section 5.1), in lower case as ASGI wants it.
NAMES = st.text("abcxyz0129-_!#$%&'*+.^`|~", min_size=1, max_size=8).map(str.encode)
TEXT = st.text(st.characters(), max_size=8) | st.sampled_from(
    ["/", "/items/1", "/rest//end", "/a.b", "http", "GET", "POST", ""]
)
BYTES = st.binary(max_size=8)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | BYTES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(TEXT | BYTES, inner, max_size=2)
    ),
    max_leaves=6,
)
KEYS = st.sampled_from(
    [
        *("type", "path", "method", "headers", "query_string", "root_path", "scheme", "client", "server", "raw_path"),
        *("path_params", "app", "router", "state", "endpoint", "route", "fastapi", "extensions", "app_root_path"),
        *("exception_handlers", "starlette.exception_handlers", "fastapi_inner_astack", "session", "user"),
    ]
)
MESSAGES = st.lists(
    ANYTHING
    | st.fixed_dictionaries(
        {"type": st.sampled_from(["http.request", "http.disconnect", "websocket.connect", "websocket.receive", "x"])},
        optional={"body": ANYTHING, "more_body": ANYTHING, "text": ANYTHING, "bytes": ANYTHING, "code": ANYTHING},
    ),
    max_size=3,
)


@settings(max_examples=400)
@given(
    websocket=st.booleans(),
    path=st.sampled_from(
        ["/", "/items/1", "/number/1", "/raw", "/form", "/plain", "/mount/", "/a.b", "/nowhere/at/all"]
    ),
    method=st.sampled_from(["GET", "POST", "HEAD"]),
    odd=st.dictionaries(KEYS, ANYTHING | st.just(...), max_size=3),
    messages=MESSAGES,
)
@example(websocket=False, path="/", method="GET", odd={"path_params": 5}, messages=[])
@example(websocket=False, path="/items/1", method="GET", odd={"fastapi": 5}, messages=[])
@example(websocket=False, path="/", method="GET", odd={"path": "/\ud800", "root_path": "/\ud800"}, messages=[])
def test_no_scope_and_no_message_do_worse_than_an_exception(
    websocket: bool, path: str, method: str, odd: dict[str, Any], messages: list[Any]
) -> None:
    scope = (websocket_scope if websocket else http_scope)(path)
    if not websocket:
        scope["method"] = method
    scope.update(odd)
    outcome({key: value for key, value in scope.items() if value is not ...}, messages)


@given(
    path=TEXT.map(lambda text: "/" + text),
    root_path=st.sampled_from(["", "/", "/items"]),
    query=BYTES,
    headers=st.lists(
        st.tuples(st.sampled_from([b"host", b"cookie", b"x-header", b"headers"]) | NAMES, BYTES), max_size=4
    ),
    body=BYTES | st.sampled_from([b"{}", b'{"name": "\\ud800"}', b"[" * 2_000, b'{"name": NaN}', b"1e999999"]),
    method=st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "X"]),
)
def test_nothing_a_client_sends_is_an_error_of_the_application(
    path: str, root_path: str, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes, method: str
) -> None:
    scope = http_scope(path, method, root_path=root_path, query_string=query, headers=headers)
    status, error = outcome(scope, [{"type": "http.request", "body": body}])
    assert error is None
    assert status is not None
    assert status < 500


def test_the_application_still_answers_after_all_that() -> None:
    assert get(APP, "/items/1", query_string=b"q=1").status == 200
