"""Requests and forms where they do better than Starlette's: see ``docs/compatibility.md``."""

import sys
from collections.abc import Callable
from typing import Any

import pytest

from forzium import formparsers
from forzium.datastructures import URL, Headers
from forzium.exceptions import StarletteHTTPException
from forzium.formparsers import MultiPartException, MultiPartParser
from forzium.requests import Request, cookie_parser

SCOPE: dict[str, Any] = {"type": "http", "path": "/a", "headers": [(b"host", b"h")], "query_string": b""}


def test_a_query_string_that_is_no_utf8_is_shown_percent_encoded() -> None:
    url = URL(scope={**SCOPE, "query_string": b"a=\xff&b=%20\xc3\xa9"})
    assert str(url) == "http://h/a?a=%FF&b=%20%C3%A9"
    assert url.query == "a=%FF&b=%20%C3%A9"


def test_a_scheme_without_a_default_port_shows_the_port() -> None:
    scope = {**SCOPE, "headers": [], "server": ("h", 80), "scheme": "https+unix"}
    assert str(URL(scope=scope)) == "https+unix://h:80/a"


def test_a_quoted_cookie_full_of_backslashes_is_read_in_linear_time() -> None:
    assert cookie_parser('a="' + "\\\\" * 100_000 + '"') == {"a": "\\" * 100_000}


def receiving(*messages: dict[str, Any]) -> Callable[[], Any]:
    rest = list(messages)

    async def receive() -> dict[str, Any]:
        return rest.pop(0)

    return receive


@pytest.mark.anyio
async def test_a_message_that_is_no_part_of_a_body_is_an_error_and_not_an_endless_loop() -> None:
    request = Request(SCOPE, receiving({"type": "websocket.receive"}))
    with pytest.raises(RuntimeError, match=r"Expected ASGI message 'http.request' .* got 'websocket.receive'"):
        await request.body()


PART = b'--BND\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\ndata'
LARGE = bytes(MultiPartParser.spool_max_size + 1)
TRUNCATED = [
    (PART, 0),
    (PART + LARGE, 1),
    (PART + b"\r\n--BND\r\n", 1),
    (PART + b"\r\n--BND-", 0),
    (b"--BND\r\nContent-", 0),
    (b"--BN", 0),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("body", "files"), TRUNCATED)
async def test_a_multipart_body_that_breaks_off_is_refused_and_its_files_are_closed(
    body: bytes, files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    original = formparsers.SpooledTemporaryFile

    def opening(*args: Any, **kwargs: Any) -> Any:
        opened.append(original(*args, **kwargs))
        return opened[-1]

    monkeypatch.setattr(formparsers, "SpooledTemporaryFile", opening)
    scope = {**SCOPE, "headers": [(b"content-type", b"multipart/form-data; boundary=BND")], "app": None}
    with pytest.raises(StarletteHTTPException) as caught:
        await Request(scope, receiving({"type": "http.request", "body": body})).form()
    assert (caught.value.status_code, caught.value.detail) == (400, "Invalid multipart data.")
    assert [file.closed for file in opened] == [True] * files


@pytest.mark.anyio
async def test_every_cut_of_a_multipart_body_is_refused() -> None:
    whole = PART + b"\r\n--BND--"

    async def parse(body: bytes) -> Any:
        async def stream() -> Any:
            yield body

        source = stream()
        try:
            return await MultiPartParser(Headers({"content-type": "multipart/form-data; boundary=BND"}), source).parse()
        finally:
            await source.aclose()

    form = await parse(whole)
    assert [await file.read() for file in form.values()] == [b"data"]  # type: ignore[union-attr]
    await form.close()
    for end in range(1, len(whole)):
        with pytest.raises(MultiPartException):
            await parse(whole[:end])


@pytest.mark.anyio
async def test_forms_need_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("python_multipart", "multipart"):
        monkeypatch.setitem(sys.modules, name, None)
    body = PART + b"\r\n--BND--"
    scope = {**SCOPE, "headers": [(b"content-type", b"multipart/form-data; boundary=BND")]}
    async with Request(scope, receiving({"type": "http.request", "body": body})).form() as form:
        assert [(name, file.filename, await file.read()) for name, file in form.items()] == [("f", "x", b"data")]  # type: ignore[union-attr]


@pytest.mark.anyio
async def test_early_hints_that_would_break_the_header_lines_are_refused() -> None:
    request = Request({**SCOPE, "extensions": {"http.response.early_hint": {}}})
    with pytest.raises(ValueError, match="without CR, LF and NUL"):
        await request.send_early_hints("</a>", "</b>\r\nSet-Cookie: a=b")
