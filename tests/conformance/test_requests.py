"""Requests against Starlette's: every property, every way to read a body."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from types import ModuleType, SimpleNamespace
from typing import Any

import anyio
import pytest
import starlette.requests as theirs
from anyio.lowlevel import checkpoint
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.datastructures import UploadFile as TheirUploadFile

import forzium.requests as ours
from forzium.datastructures import StarletteUploadFile, URLPath

SCOPE: dict[str, Any] = {
    "type": "http",
    "method": "POST",
    "scheme": "https",
    "path": "/root/sub/a",
    "root_path": "/root/sub",
    "app_root_path": "/root",
    "query_string": b"q=1&q=2&e=",
    "headers": [
        (b"host", b"example.org:8443"),
        (b"cookie", b"a=b; c"),
        (b"cookie", b'a="\\073"; d=e=f'),
        (b"x", b"\xe9"),
    ],
    "server": ("127.0.0.1", 80),
    "client": ["10.0.0.1", 1234],
    "path_params": {"id": 1},
}
VARIATIONS: list[dict[str, Any]] = [
    {},
    {"client": None, "app_root_path": "/root/", "server": None},
    {"headers": ((b"host", b"bad host"),), "query_string": b""},
    {"headers": [], "server": None, "root_path": "//evil", "app_root_path": "//evil"},
    {"scheme": "http", "server": ("::1", 80), "headers": []},
    {"type": "websocket", "scheme": "wss"},
    {"type": "lifespan"},
    {"session": {"a": 1}, "auth": "auth", "user": "user", "app": "app", "state": {"s": 1}},
    {"router": SimpleNamespace(url_path_for=lambda name, **params: URLPath(f"/{name}/{params}", "http"))},
]
PROPERTIES = [
    "url",
    "base_url",
    "headers",
    "query_params",
    "path_params",
    "cookies",
    "client",
    "session",
    "auth",
    "user",
    "state",
    "app",
    "method",
    "receive",
]


def outcome(make: Callable[[], Any]) -> Any:
    try:
        return repr(make())
    except Exception as exc:
        return type(exc).__name__, str(exc)


@pytest.mark.parametrize("change", VARIATIONS)
@pytest.mark.parametrize("kind", ["HTTPConnection", "Request"])
def test_every_property_is_the_same(kind: str, change: dict[str, Any]) -> None:
    def use(m: ModuleType) -> Any:
        scope = {**SCOPE, **change}
        if isinstance(problem := outcome(lambda: getattr(m, kind)(scope)), tuple):
            return problem
        conn = getattr(m, kind)(scope)
        before = [hasattr(conn, name) for name in ("_body", "_json", "_url", "_headers")]
        seen = {
            name: outcome(lambda name=name: dict(conn.state) if name == "state" else getattr(conn, name))
            for name in PROPERTIES
            if name != "receive"
        }
        seen |= {"again": outcome(lambda: conn.headers is conn.headers and conn.url is conn.url)}
        seen |= {"url_for": outcome(lambda: conn.url_for("name", a=1)), "scope": sorted(scope)}
        mapping = [
            len(conn),
            sorted(conn),
            conn["type"],
            conn == conn,
            conn == {**scope},
            "type" in conn,
            hash(conn) > 0,
        ]
        return before, seen, mapping

    assert use(ours) == use(theirs)


@given(st.one_of(st.text(';="\\ ab07\t,é', max_size=24), st.text(max_size=12)))
@example('a="\\073\\"\\\\x"; b="\\303"; c="\\4"; d="\\\n"')
@example('a=";b="x')
def test_cookies_are_read_alike(header: str) -> None:
    assert ours.cookie_parser(header) == theirs.cookie_parser(header)


Message = dict[str, Any]
BODIES: list[list[Message]] = [
    [{}],
    [{"body": b'{"a": [1, 2.5, null]}'}],
    [{"body": b'{"a"', "more_body": True}, {"body": b"", "more_body": True}, {"body": b": 1}"}],
    [{"body": b"NaN"}],
    [{"body": b"{"}],
    [{"body": b"\xff"}],
    [{"body": '"é"'.encode("utf-16")}],
    [{"body": b"a=1&b=%20&a=2", "more_body": False}],
    [{"body": b"x", "more_body": True}, {"type": "http.disconnect"}],
    [{"type": "http.disconnect"}],
]


def receiving(messages: list[Message]) -> Callable[[], Any]:
    rest = iter([{"type": "http.request", **message} for message in messages])

    async def receive() -> Message:
        await checkpoint()
        return next(rest, {"type": "http.disconnect"})

    return receive


async def read_stream(request: Any) -> list[bytes]:
    async with aclosing(request.stream()) as stream:
        return [piece async for piece in stream]


async def read_form(request: Any) -> Any:
    return repr((await request.form()).multi_items())


READERS: dict[str, Callable[[Any], Any]] = {
    "body": lambda r: r.body(),
    "json": lambda r: r.json(),
    "stream": read_stream,
    "form": read_form,
    "disconnected": lambda r: r.is_disconnected(),
    "close": lambda r: r.close(),
}
ORDERS = [
    *(["body", "body", "json", "stream", "form", "close"], ["json", "json", "body"], ["stream", "body"]),
    *(["stream", "stream"], ["form", "form", "close", "body"], ["disconnected", "body", "disconnected"]),
    ["body", "disconnected", "disconnected"],
]


@pytest.mark.anyio
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
@pytest.mark.parametrize("messages", BODIES, ids=range(len(BODIES)))
async def test_bodies_are_read_alike(messages: list[Message], order: list[str]) -> None:
    async def use(m: ModuleType) -> Any:
        scope = {"type": "http", "headers": [(b"content-type", b"application/x-www-form-urlencoded; charset=x")]}
        request = m.Request(scope, receiving(messages))
        seen: list[Any] = []
        for step in order:
            try:
                seen.append(repr(await READERS[step](request)))
            except Exception as exc:
                seen.append((type(exc).__name__, str(exc)))
        return seen, request._is_disconnected, request._stream_consumed, hasattr(request, "_body")

    assert await use(ours) == await use(theirs)


@pytest.mark.anyio
async def test_a_body_is_read_through_an_overridden_stream() -> None:
    async def upper(self: Any) -> AsyncIterator[bytes]:
        yield b"MINE"

    async def use(m: ModuleType) -> Any:
        of_class = type("Mine", (m.Request,), {"stream": upper})({"type": "http"}, receiving([{"body": b"theirs"}]))
        of_object = m.Request({"type": "http"}, receiving([{"body": b"theirs"}]))
        of_object.stream = lambda: upper(of_object)
        return await of_class.body(), await of_object.body()

    assert await use(ours) == await use(theirs)


@pytest.mark.anyio
async def test_a_request_without_channels_says_so_alike() -> None:
    async def use(m: ModuleType) -> Any:
        scope = {
            "type": "http",
            "headers": [],
            "extensions": {"http.response.push": {}, "http.response.early_hint": {}},
        }
        seen = []
        for call in (
            lambda r: r.body(),
            lambda r: r.send_push_promise("/x"),
            lambda r: r.send_early_hints("</a>", "</b>"),
        ):
            with pytest.raises(RuntimeError) as caught:
                await call(m.Request(scope))
            seen.append(str(caught.value))
        return seen

    assert await use(ours) == await use(theirs)


@pytest.mark.anyio
async def test_push_and_early_hints_send_the_same_messages() -> None:
    async def use(m: ModuleType, extensions: dict[str, Any]) -> Any:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append({key: sorted(value) if key == "headers" else value for key, value in message.items()})

        headers = [(b"accept", b"a"), (b"accept", b"b"), (b"user-agent", b"u"), (b"x", b"y")]
        request = m.Request({"type": "http", "headers": headers, "extensions": extensions}, send=send)
        await request.send_push_promise("/style.css")
        await request.send_early_hints("</a>; rel=preload", "</b>")
        return sent

    for extensions in ({}, {"http.response.push": {}, "http.response.early_hint": {}}):
        assert await use(ours, extensions) == await use(theirs, extensions)


def part(headers: str, content: bytes) -> bytes:
    return b"--BND\r\n" + headers.encode("latin-1") + b"\r\n\r\n" + content + b"\r\n"


DISPOSITION = "Content-Disposition: form-data; name="
END = b"--BND--\r\n"
MULTIPART: dict[str, bytes] = {
    "fields": part(f'{DISPOSITION}"a"', b"1") + part(f"{DISPOSITION}a", "é".encode()) + END,
    "not utf-8": part(f'{DISPOSITION}"a"', b"\xe9") + END,
    "file": part(f'{DISPOSITION}"f"; filename="n.txt"\r\nContent-Type: text/x\r\nX-Y: z', b"data") + END,
    "file without a name": part(f'{DISPOSITION}"f"; filename=""', b"") + END,
    "preamble": b"\r\n" + part(f'{DISPOSITION}"a"', b"1") + END + b"epilogue",
    "no name": part("Content-Disposition: form-data", b"1") + END,
    "no disposition": part("X: y", b"1") + END,
    "empty": b"",
    "only the end": END,
    "bad boundary": b"--OTHER\r\n\r\nx",
    "bad header": part("bad\x00header: x", b"1") + END,
    "many headers": part("\r\n".join(f"X-{i}: y" for i in range(20)), b"") + END,
    "three of each": b"".join(
        part(f'{DISPOSITION}"{n}"' + ('; filename="f"' if n % 2 else ""), b"x" * n) for n in range(6)
    )
    + END,
}
CONTENT_TYPES = ["multipart/form-data; boundary=BND", "Multipart/Form-Data; boundary=BND; charset=latin-1"]
OTHER_TYPES = ["multipart/form-data", "multipart/form-data; boundary=BND; charset=nonsense", "text/plain", None]
LIMITS: list[dict[str, Any]] = [
    {},
    {"max_files": 1},
    {"max_fields": 1},
    {"max_part_size": 3},
    {"max_fields": float("inf")},
]


async def parsed(m: ModuleType, content_type: str | None, chunks: list[bytes], limits: Any, inside: bool = True) -> Any:
    headers = [] if content_type is None else [(b"content-type", content_type.encode("latin-1"))]
    scope = {"type": "http", "headers": headers} | ({"app": None} if inside else {})
    request = m.Request(scope, receiving([{"body": chunk, "more_body": True} for chunk in chunks] + [{}]))
    try:
        async with request.form(**limits) as form:
            seen: list[Any] = []
            for key, value in form.multi_items():
                if isinstance(value, StarletteUploadFile | TheirUploadFile):
                    content = (await value.read(), value.size, value.filename, value.content_type)
                    seen.append((key, repr(value), content, value.file.closed))
                else:
                    seen.append((key, value))
        return seen, [v.file.closed for v in form.values() if isinstance(v, StarletteUploadFile | TheirUploadFile)]
    except Exception as exc:
        return type(exc).__name__, str(exc), getattr(exc, "message", None), getattr(exc, "detail", None)


def cut(body: bytes, size: int) -> list[bytes]:
    return [body[i : i + size] for i in range(0, len(body), size)]


@pytest.mark.anyio
@pytest.mark.parametrize("name", MULTIPART)
async def test_multipart_forms_are_parsed_alike(name: str) -> None:
    body = MULTIPART[name]
    for content_type in CONTENT_TYPES + OTHER_TYPES:
        for chunks in ([body], cut(body, 7)):
            for limits in LIMITS if content_type == CONTENT_TYPES[0] else LIMITS[:1]:
                mine = await parsed(ours, content_type, chunks, limits)
                assert mine == await parsed(theirs, content_type, chunks, limits)
    assert await parsed(ours, "multipart/form-data", [body], {}, False) == await parsed(
        theirs, "multipart/form-data", [body], {}, False
    )


@pytest.mark.anyio
@pytest.mark.parametrize("body", [b"", b"a=1&b=%C3%A9+x&&=&c", b"a" * 5, b"a=%zz&b=\xe9", b"&".join([b"x=1"] * 4)])
async def test_urlencoded_forms_are_parsed_alike(body: bytes) -> None:
    for chunks in ([body], cut(body, 2)):
        for limits in LIMITS:
            mine = await parsed(ours, "application/x-www-form-urlencoded", chunks, limits)
            assert mine == await parsed(theirs, "application/x-www-form-urlencoded", chunks, limits)


@given(
    st.binary(max_size=24) | st.lists(st.sampled_from([b"a", b"&", b"=", b"+", b"%C3", b"\xe9", b"xyz"])).map(b"".join),
    st.integers(1, 9),
    st.sampled_from(
        [{}, {"max_fields": 2}, {"max_part_size": 3}, {"max_fields": 1, "max_part_size": 2}, {"max_fields": 0}]
    ),
)
def test_any_urlencoded_form_is_parsed_and_limited_alike(body: bytes, size: int, limits: dict[str, int]) -> None:
    async def use(m: ModuleType) -> Any:
        return await parsed(m, "application/x-www-form-urlencoded", cut(body, size), limits)

    assert anyio.run(use, ours) == anyio.run(use, theirs)


@pytest.mark.anyio
async def test_a_stream_read_by_two_gives_each_the_next_piece() -> None:
    async def use(m: ModuleType) -> Any:
        request = m.Request({"type": "http"}, receiving([{"body": b"1", "more_body": True}, {"body": b"2"}]))
        first: AsyncIterator[bytes] = request.stream()
        second: AsyncIterator[bytes] = request.stream()
        seen = [await anext(first), await anext(second), await anext(first)]
        await first.aclose()  # type: ignore[attr-defined]
        await second.aclose()  # type: ignore[attr-defined]
        return seen

    assert await use(ours) == await use(theirs)
