"""Where a middleware does better than Starlette's, and what the debug page shows; both lists stand in the docs."""

import gzip
import warnings
import zlib
from typing import Any

import anyio
import brotli
import pytest
import zstandard

from forzium.middleware.compress import CompressMiddleware
from forzium.middleware.errors import ServerErrorMiddleware
from forzium.middleware.exceptions import ExceptionMiddleware, build_handlers
from forzium.middleware.gzip import GZipMiddleware
from forzium.middleware.httpsredirect import HTTPSRedirectMiddleware
from forzium.middleware.sessions import SessionMiddleware

LONG = b"forzium " * 200


def call(app: Any, *, path: str = "/", body: bytes = b"", without: str = "", **headers: str) -> list[Any]:
    """Messages sent for one request, whose scope may lack an entry; what is raised is swallowed."""
    sent: list[Any] = []
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "query_string": b"",
        "server": ("testserver", 80),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }

    scope.pop(without, None)

    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    async def main() -> None:
        try:
            await app(scope, receive, send)
        except Exception:
            pass

    anyio.run(main)
    return sent


async def long_text(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.debug", "info": {"template": "x"}})
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": LONG})


@pytest.mark.parametrize(
    ("accept_encoding", "compressed"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip;q=0.1", True),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000, identity", False),
        ("not-gzip", False),
        ("*", False),
        ("gzip;q=x", True),
    ],
)
def test_gzip_minds_the_weight_of_the_coding(accept_encoding: str, compressed: bool) -> None:
    _, start, body = call(GZipMiddleware(long_text), accept_encoding=accept_encoding)
    assert (dict(start["headers"]).get(b"content-encoding") == b"gzip") is compressed
    assert (gzip.decompress(body["body"]) if compressed else body["body"]) == LONG


DECODERS: dict[bytes, Any] = {
    b"gzip": lambda: zlib.decompressobj(16 + zlib.MAX_WBITS).decompress,
    b"br": lambda: brotli.Decompressor().process,
    b"zstd": lambda: zstandard.ZstdDecompressor().decompressobj().decompress,
}


@pytest.mark.parametrize(
    ("accept_encoding", "coding"),
    [
        ("gzip, deflate, br, zstd", b"zstd"),
        ("gzip, br;q=0.9, zstd;q=0.8", b"gzip"),
        ("zstd;q=0, *", b"br"),
        ("gzip;q=0.5, identity", None),
        ("*;q=0", None),
        ("deflate", None),
    ],
)
@pytest.mark.parametrize("sizes", [(5000,), (400_000,), (0, 600, 1, 0, 300_000)], ids=str)
def test_compression_takes_what_the_client_likes_best(
    accept_encoding: str, coding: bytes | None, sizes: tuple[int, ...]
) -> None:
    pieces = [(b"forzium %d " % size * size)[:size] for size in sizes]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        length = [(b"content-length", b"%d" % sum(sizes))]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        for place, piece in enumerate(pieces):
            await send({"type": "http.response.body", "body": piece, "more_body": place + 1 < len(pieces)})

    start, *bodies = call(CompressMiddleware(app), accept_encoding=accept_encoding)
    headers = dict(start["headers"])
    assert headers[b"vary"] == b"Accept-Encoding"
    assert headers.get(b"content-encoding") == coding
    if coding is None:
        assert [body["body"] for body in bodies] == pieces
        return
    length = None if len(sizes) > 1 else b"%d" % len(bodies[0]["body"])
    assert headers.get(b"content-length") == length
    decode = DECODERS[coding]()
    # Each piece can be read when it arrives, and the last one is the end.
    assert [decode(body["body"]) for body in bodies] == pieces


def test_compression_keeps_event_streams_as_they_are() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": LONG, "more_body": True})

    assert [message["type"] for message in call(CompressMiddleware(app), accept_encoding="br")] == [
        "http.response.start",
        "http.response.body",
    ]
    assert call(CompressMiddleware(app), accept_encoding="br")[1]["body"] == LONG


@pytest.mark.parametrize(
    "options", [{"codings": ["deflate"]}, {"codings": ["gzip"], "levels": {"gzip": 10}}, {"levels": {"lz4": 1}}]
)
def test_a_coding_that_is_not_known_is_an_error_of_the_declaration(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        CompressMiddleware(long_text, **options)


def test_gzip_passes_other_messages_on() -> None:
    assert call(GZipMiddleware(long_text), accept_encoding="gzip")[0]["type"] == "http.response.debug"


def test_an_ipv6_address_keeps_its_brackets_in_a_redirect() -> None:
    (start, _) = call(HTTPSRedirectMiddleware(long_text), host="[::1]:80")
    assert dict(start["headers"])[b"location"] == b"https://[::1]/"


def test_a_request_without_a_scheme_came_by_http_and_is_redirected() -> None:
    (start, _) = call(HTTPSRedirectMiddleware(long_text), without="scheme", host="h")
    assert dict(start["headers"])[b"location"] == b"https://h/"


@pytest.mark.parametrize("payload", [b"not base64!", b"bm90IGpzb24=", b"WzEsIDJd", b"NQ==", b"/w=="])
def test_a_cookie_signed_for_something_else_is_no_session(payload: bytes) -> None:
    import itsdangerous

    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(dict(scope["session"]))

    cookie = itsdangerous.TimestampSigner("key").sign(payload).decode()
    call(SessionMiddleware(app, "key"), cookie=f"session={cookie}")
    assert seen == [{}]


def test_a_wsgi_iterable_is_closed_and_may_be_written_to() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from forzium.middleware.wsgi import WSGIMiddleware
    closed: list[bool] = []

    class Chunks:
        def __iter__(self) -> Any:
            yield b"b"
            raise LookupError

        def close(self) -> None:
            closed.append(True)

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200", [])(b"a")
        return Chunks()

    start, *bodies = call(WSGIMiddleware(app))
    assert (start["status"], [each["body"] for each in bodies], closed) == (200, [b"a", b"b"], [True])


def failing_with(error: Exception) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        secret_name = "<script>"  # noqa: F841
        raise error

    return app


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize("accept", ["text/html", "*/*"])
@pytest.mark.parametrize(
    "error", [ValueError("<b>&"), ValueError("\ud800"), Unprintable(), ExceptionGroup("g", [ValueError("x")])]
)
def test_the_debug_page_shows_any_error_and_escapes_everything(error: Exception, accept: str) -> None:
    start, body = call(ServerErrorMiddleware(failing_with(error), debug=True), accept=accept)
    text = body["body"].decode()
    assert start["status"] == 500
    assert type(error).__name__ in text
    assert "failing_with" in text or "in app" in text
    if accept == "text/html":
        assert "<script>" not in text
        assert "<b>&<" not in text
        assert "test_middleware.py" in text


def test_respond_does_all_of_the_error_path_but_raising() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    middleware = ServerErrorMiddleware(failing_with(ValueError()))
    scope = {"type": "http", "headers": []}
    anyio.run(middleware.respond, scope, None, send, ValueError(), True)
    assert sent == []
    anyio.run(middleware.respond, scope, None, send, ValueError(), False)
    assert sent[1]["body"] == b"Internal Server Error"


def test_handlers_are_sorted_by_class_and_status_upon_the_defaults() -> None:
    def handler(request: Any, exc: Exception) -> Any: ...

    by_class, by_status = build_handlers({KeyError: handler, 404: handler})
    own = ExceptionMiddleware(long_text, handlers={KeyError: handler, 404: handler})
    assert by_status == own._status_handlers == {404: handler}
    assert list(by_class) == list(own._exception_handlers)
    assert by_class[KeyError] is handler
    with pytest.raises(AssertionError):
        build_handlers({str: handler})  # type: ignore[dict-item]
