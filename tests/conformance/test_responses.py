"""Every response class: what Starlette sends, message by message, forzium sends."""

import datetime as dt
import http.cookies
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.harness import describe, frameworks

Make = Callable[[ModuleType], Any]


def http_scope(**changes: Any) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": "/", "headers": [], "asgi": {"spec_version": "2.4"}, **changes}


def sent(make: Make, scope: dict[str, Any], backend: str) -> tuple[list[list[Any]], list[list[str]]]:
    """Messages, and what was raised, by each framework. The random boundary of byte ranges is made one."""
    lists: list[list[Any]] = []
    errors: list[list[str]] = []

    def one(responses: ModuleType) -> None:
        messages: list[Any] = []

        async def receive() -> dict[str, Any]:
            await anyio.sleep_forever()
            raise AssertionError

        async def send(message: dict[str, Any]) -> None:
            message = {**message}
            if "headers" in message:
                message["headers"] = [tuple(map(plain, header)) for header in message["headers"]]
            if "body" in message:
                message["body"] = plain(bytes(message["body"]))
            messages.append(message)

        async def main() -> None:
            with anyio.fail_after(10):
                await make(responses)({**scope, "headers": list(scope["headers"])}, receive, send)

        try:
            anyio.run(main, backend=backend)
        except Exception as error:
            # What Python says of a wrong type depends on the operation that met it first.
            errors.append(["TypeError"] if isinstance(error, TypeError) else describe(error)[:1])
        else:
            errors.append([])
        lists.append(messages)

    for framework in frameworks():
        one(framework.starlette.module("responses"))
    return lists, errors


def plain(text: bytes) -> bytes:
    return re.sub(rb"(boundary=|--)[0-9a-f]{26}", rb"\1BOUNDARY", text)


def assert_alike(make: Make, scope: dict[str, Any] | None = None, backend: str = "asyncio") -> list[Any]:
    (theirs, ours), (their_error, our_error) = sent(make, scope or http_scope(), backend)
    assert ours == theirs
    assert our_error == their_error
    return ours


async def chunks() -> Any:
    for chunk in ("text", b"bytes", memoryview(b"view"), "", "é"):
        yield chunk


PLAIN: dict[str, Make] = {
    "nothing": lambda r: r.Response(),
    "text": lambda r: r.Response("é", media_type="text/plain"),
    "bytes": lambda r: r.Response(b"\x00\xff", media_type="image/png"),
    "memoryview": lambda r: r.Response(memoryview(b"abcdef")),
    "strided memoryview": lambda r: r.Response(memoryview(b"abcdef")[::2]),
    "memoryview of words": lambda r: r.Response(memoryview(b"abcdefgh").cast("I")),
    "charset in the media type": lambda r: r.Response("x", media_type="text/html; Charset=latin-1"),
    "headers": lambda r: r.Response("x", headers={"X-One": "1", "Content-Type": "a/b", "x-two": "é"}),
    "length of nothing": lambda r: r.Response(headers={"Content-Length": "0"}),
    "empty headers": lambda r: r.PlainTextResponse("x", headers={}),
    "no content": lambda r: r.Response(status_code=204),
    "not modified": lambda r: r.Response(status_code=304, headers={"etag": '"1"', "content-length": "7"}),
    "early hints": lambda r: r.Response(status_code=103),
    "teapot": lambda r: r.PlainTextResponse("short and stout", 418),
    "status outside of the classes": lambda r: r.PlainTextResponse("x", 999),
    "html": lambda r: r.HTMLResponse("<p>"),
    "json": lambda r: r.JSONResponse({"a": [1, 2.5, None, True, "é\u2028</script>"], "b": {}}),
    "json null": lambda r: r.JSONResponse(None),
    "json media type": lambda r: r.JSONResponse([], 201, {"x": "y"}, "application/problem+json"),
    "json not finite": lambda r: r.JSONResponse({"a": [float("nan")]}).x,
    "redirect": lambda r: r.RedirectResponse("/näme with space?q=a&b=%20#f[1]", 302),
    "redirect with headers": lambda r: r.RedirectResponse("/a", headers={"Location": "/b", "x": "y"}),
    "redirect across lines": lambda r: r.RedirectResponse("/a\r\nset-cookie: x=y"),
    "text of another type": lambda r: r.Response(1),
    "status of another type": lambda r: r.Response(status_code="200"),
    "header beyond latin-1": lambda r: r.Response(headers={"x": "\u2028"}),
    "header of another type": lambda r: r.Response(headers={"x": 1}),
    "stream": lambda r: r.StreamingResponse(chunks(), media_type="text/plain"),
    "sync stream": lambda r: r.StreamingResponse(iter(["a", b"b"]), 201, {"content-length": "2"}),
    "stream of nothing": lambda r: r.StreamingResponse([]),
    "missing file": lambda r: r.FileResponse("/nowhere/at/all"),
    "directory as file": lambda r: r.FileResponse(os.getcwd()),
}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("name", PLAIN)
def test_a_response_is_sent_as_by_starlette(name: str, backend: str) -> None:
    if name == "json not finite":  # the message names the path to the value
        for framework in frameworks():
            with pytest.raises(ValueError, match="JSON compliant"):
                framework.responses.JSONResponse({"a": [float("nan")]})
        return
    assert_alike(PLAIN[name], backend=backend)
    assert_alike(PLAIN[name], http_scope(asgi={"spec_version": "2.3"}), backend=backend)
    assert_alike(PLAIN[name], {"type": "websocket", "path": "/", "headers": []}, backend=backend)


def test_the_background_task_runs_after_the_last_message() -> None:
    for make in (
        lambda r, task: r.PlainTextResponse("x", background=task),
        lambda r, task: r.StreamingResponse(chunks(), background=task),
        lambda r, task: r.FileResponse(__file__, background=task),
    ):
        orders: list[list[str]] = []
        for framework in frameworks():
            order: list[str] = []

            async def send(message: dict[str, Any], order: list[str] = order) -> None:
                order.append(message["type"])

            task = framework.starlette.background.BackgroundTask(order.append, "task")
            anyio.run(make(framework.responses, task), http_scope(), None, send)
            orders.append(order)
        assert orders[0] == orders[1]
        assert orders[1][-1] == "task"


COOKIES: dict[str, dict[str, Any]] = {
    "plain": {"key": "a", "value": "b"},
    "quoted": {"key": "a", "value": 'b"; \\ é,='},
    "with space": {"key": "a", "value": "a b/c"},
    "empty": {"key": "a"},
    "all": {
        "key": "a!#$%&'*+-.^_`|~:",
        "value": "b",
        "max_age": 10,
        "expires": "Wed, 21 Oct 2026 07:28:00 GMT",
        "path": "/é",
        "domain": "example.org",
        "secure": True,
        "httponly": True,
        "samesite": "Strict",
    },
    "moment": {"key": "a", "expires": dt.datetime(2037, 1, 22, 12, 0, 0, 999_999, tzinfo=dt.UTC)},
    "naive moment": {"key": "a", "expires": dt.datetime(2037, 1, 22, 12, 0, 0)},
    "moment elsewhere": {"key": "a", "expires": dt.datetime(2037, 1, 22, tzinfo=dt.timezone(dt.timedelta(hours=1)))},
    "no path": {"key": "a", "path": None, "samesite": None},
    "empty attributes": {"key": "a", "path": "", "domain": "", "expires": ""},
    "odd types": {"key": "a", "value": 5, "max_age": "1", "secure": 1},
    "reserved": {"key": "Path"},
    "illegal": {"key": "a b"},
    "nameless": {"key": ""},
    "beyond latin-1": {"key": "a", "value": "\u2028"},
    "bad samesite": {"key": "a", "samesite": "maybe"},
    "partitioned": {"key": "a", "partitioned": True},
}


@pytest.mark.parametrize("name", COOKIES)
def test_a_cookie_is_written_as_by_starlette(name: str) -> None:
    def make(responses: ModuleType) -> Any:
        response = responses.Response()
        response.set_cookie(**COOKIES[name])
        response.delete_cookie("gone", path="/x", domain="y", secure=True, httponly=True, samesite="none")
        field, gone = response.raw_headers[-1]
        by_the_clock = rb"(?<=expires=)\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"
        response.raw_headers[-1] = (field, re.sub(by_the_clock, b"NOW", gone))
        return response

    messages = assert_alike(make)
    refused = {
        "naive moment",
        "moment elsewhere",
        "reserved",
        "illegal",
        "nameless",
        "beyond latin-1",
        "bad samesite",
    } | ({"partitioned"} if sys.version_info < (3, 14) else set())
    assert bool(messages) is (name not in refused)
    assert not messages or b"; expires=NOW; " in messages[0]["headers"][-1][1]


# Newer versions of Python refuse control characters in cookies; tests/unit says what forzium makes of them on all.
printable = st.text(st.characters(exclude_categories=["Cc", "Cs"]))


@given(printable, printable)
def test_any_cookie_is_written_as_by_starlette(key: str, value: str) -> None:
    written: list[Any] = []
    for framework in frameworks():
        response = framework.responses.Response()
        try:
            response.set_cookie(key, value)
        except (http.cookies.CookieError, UnicodeEncodeError) as error:
            written.append((type(error), str(error)))
        else:
            written.append(response.raw_headers)
    assert written[0][0] is written[1][0] or written[0] == written[1]


@given(st.floats(0, 4e9))
def test_a_date_is_written_as_by_starlette(moment: float) -> None:
    from email.utils import formatdate

    from forzium.responses.header_text import http_date

    assert http_date(moment) == formatdate(moment, usegmt=True)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "näme.txt"
    path.write_bytes(bytes(range(256)) * 10)
    os.utime(path, (1_700_000_000.5, 1_700_000_000.5))
    return path


FILES: dict[str, dict[str, Any]] = {
    "plain": {},
    "named": {"filename": "a.txt"},
    "named in any script": {"filename": 'höher/"x" ;.tar.gz'},
    "inline": {"filename": "a b.txt", "content_disposition_type": "inline"},
    "own headers": {"headers": {"ETag": '"mine"', "Accept-Ranges": "none", "Content-Disposition": "inline"}},
    "own type": {"media_type": "text/x; charset=utf-8"},
    "not found page": {"status_code": 404},
}
RANGES = [
    None,
    "bytes=0-99",
    "bytes=-1",
    "bytes=2559-",
    "bytes=2560-",
    "bytes=0-99999",
    "bytes=5-2",
    "bytes=0-0,10-20",
    "bytes=10-20, 0-0 ,15-30,31-32",
    "bytes=-5,0-1",
    "bytes=x-1",
    "items=0-1",
    "nonsense",
    "bytes=" + ",".join(f"{n}-{n}" for n in range(101)),
]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_file_is_sent_as_by_starlette(file: Path, name: str, method: str) -> None:
    for number, wanted in enumerate(RANGES):
        headers = [] if wanted is None else [(b"range", wanted.encode())]
        stat_result = file.stat() if number % 2 else None
        scope = http_scope(method=method, headers=headers, asgi={"spec_version": "2.4" if number % 3 else "2.3"})
        options = {"stat_result": stat_result, **FILES[name]}
        assert_alike(lambda r, options=options: r.FileResponse(file, **options), scope)


@pytest.mark.parametrize("chunk_size", [1, 100, 256, 2559, 2560, 2561])
def test_a_file_is_cut_into_the_same_chunks(file: Path, chunk_size: int) -> None:
    def make(responses: ModuleType) -> Any:
        response = responses.FileResponse(file)
        response.chunk_size = chunk_size
        return response

    for headers in ([], [(b"range", b"bytes=10-2000")], [(b"range", b"bytes=10-20,300-2000")]):
        assert_alike(make, http_scope(headers=headers), "trio")


@pytest.mark.parametrize("validator", ["etag", "last-modified", "weak", "other"])
def test_if_range_is_honoured_as_by_starlette(file: Path, validator: str) -> None:
    def make(responses: ModuleType) -> Any:
        return responses.FileResponse(file, stat_result=file.stat())

    known = dict(make(frameworks()[0].responses).headers)
    value = {"weak": "W/" + known["etag"], "other": '"other"'}.get(validator) or known[validator]
    assert_alike(make, http_scope(headers=[(b"range", b"bytes=0-1"), (b"if-range", value.encode())]))


def test_a_file_is_left_to_a_server_that_offers_to_send_it(file: Path) -> None:
    scope = http_scope(extensions={"http.response.pathsend": {}})
    (messages) = assert_alike(lambda r: r.FileResponse(file), scope)
    assert messages[-1] == {"type": "http.response.pathsend", "path": str(file)}
    assert_alike(lambda r: r.FileResponse(file), {**scope, "headers": [(b"range", b"bytes=0-1")]})
    assert_alike(lambda r: r.FileResponse(file), {**scope, "method": "HEAD"})


@given(
    st.one_of(
        st.from_regex(r"\Abytes=([0-9]{0,3}-[0-9]{0,3},? ?){1,4}\Z"),
        st.text("bytes=,- 0159x_+٣", max_size=16),
    ),
    st.sampled_from([0, 1, 10, 500]),
)
def test_any_range_is_understood_as_by_starlette(header: str, size: int) -> None:
    from starlette import responses as starlette

    from forzium.responses import MalformedRangeHeader, RangeNotSatisfiable
    from forzium.responses.ranges import parse_range_header

    def outcome(work: Callable[[], Any], malformed: Any, unsatisfiable: Any) -> Any:
        try:
            return work()
        except malformed as error:
            return error.content
        except unsatisfiable as error:
            return error.max_size

    ours = outcome(lambda: parse_range_header(header, size, 100), MalformedRangeHeader, RangeNotSatisfiable)
    theirs = outcome(
        lambda: starlette.FileResponse._parse_range_header(header, size),
        starlette.MalformedRangeHeader,
        starlette.RangeNotSatisfiable,
    )
    assert ours == theirs


def test_the_frame_of_several_ranges_is_measured_as_by_starlette() -> None:
    frames = []
    for framework in frameworks():
        response = framework.responses.FileResponse(__file__)
        length, header = response.generate_multipart([(0, 1), (10, 200)], "x" * 26, 12345, "text/é")
        frames.append((length, header(10, 200)))
    assert frames[0] == frames[1]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Starlette leaves the generator open
@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_stream_ends_when_the_client_leaves(spec_version: str, backend: str) -> None:
    async def endless() -> Any:
        while True:
            yield b"x"
            await anyio.lowlevel.checkpoint()

    for framework in frameworks():

        async def main(responses: Any = framework.responses) -> list[str]:
            seen = 0
            left = anyio.Event()

            async def receive() -> dict[str, Any]:
                await left.wait()
                return {"type": "http.disconnect"}

            async def send(message: dict[str, Any]) -> None:
                nonlocal seen
                seen += 1
                if seen == 5:
                    left.set()
                if seen > 5 and spec_version == "2.4":
                    raise OSError("gone")

            try:
                with anyio.fail_after(10):
                    scope = http_scope(asgi={"spec_version": spec_version})
                    await responses.StreamingResponse(endless())(scope, receive, send)
            except Exception as error:
                return [type(error).__name__]
            return []

        assert anyio.run(main, backend=backend) == (["ClientDisconnect"] if spec_version == "2.4" else [])


@pytest.mark.parametrize("name", ["ORJSONResponse", "UJSONResponse"])
def test_the_alternative_json_responses_warn_and_write_alike(name: str) -> None:
    pytest.importorskip(name.removesuffix("JSONResponse").lower() + "json")
    seen = []
    for framework in frameworks():
        with pytest.warns(UserWarning, match="is deprecated") as caught:
            response = getattr(framework.responses, name)({"é": [1, 2.5]}, 201)
        (warning,) = caught
        seen.append((type(warning.message).__name__, str(warning.message), response.body, response.raw_headers))
    assert seen[0] == seen[1]
