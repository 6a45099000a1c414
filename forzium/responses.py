"""Responses: what an endpoint may return, and what is sent for it.

Stands on ``datastructures``, ``concurrency`` and ``requests`` (for ``ClientDisconnect`` alone). Every response is itself
an ASGI application: ``await response(scope, receive, send)`` sends it and then runs its background task.

The core sends plain responses (the exact classes `Response`, `HTMLResponse`, `PlainTextResponse`, `JSONResponse` and
`RedirectResponse`) without calling them: it reads ``status_code``, ``raw_headers``, ``body`` and ``background``. These
are therefore plain instance attributes, and the rules of `Response.__call__` are the core's as well.

Not for: the text of headers (``_header_text``), the arithmetic of ranges (``_ranges``), turning what an endpoint
returned into content (the serialize stage), or streams from endpoints that ``yield`` (``_streams``).
"""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast
from urllib.parse import quote

import anyio
import anyio.to_thread
from typing_extensions import deprecated

from forzium import _header_text
from forzium._ranges import MalformedRangeHeader as MalformedRangeHeader
from forzium._ranges import Range, multipart_frame, parse_range_header
from forzium._ranges import RangeNotSatisfiable as RangeNotSatisfiable
from forzium._utils import create_collapsing_task_group
from forzium.concurrency import iterate_in_threadpool
from forzium.datastructures import URL, Headers, MutableHeaders
from forzium.exceptions import FastAPIDeprecationWarning
from forzium.requests import ClientDisconnect

try:
    from forzium.json import dumps as _dumps
except ImportError:  # the extension is not built yet

    def _dumps(obj: Any, /, *, default: Callable[[Any], Any] | None = None) -> bytes:
        import json

        text = json.dumps(obj, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=default)
        return text.encode()


if TYPE_CHECKING:
    from datetime import datetime

    from forzium.background import BackgroundTask
    from forzium.types import Message, Receive, Scope, Send

__all__ = [
    "EventSourceResponse",
    "FileResponse",
    "HTMLResponse",
    "JSONResponse",
    "ORJSONResponse",
    "PlainTextResponse",
    "RedirectResponse",
    "Response",
    "StreamingResponse",
    "UJSONResponse",
]

RawHeaders = list[tuple[bytes, bytes]]


class Response:
    """A response whose body is known as a whole.

    Args:
        content: The body: text (encoded by ``charset``), bytes, a memoryview, or nothing. Default is nothing.
        status_code: A three-digit status. Default is 200.
        headers: Headers to send; ``content-length`` and ``content-type`` are added where they are missing.
        media_type: Value of ``content-type``; ``text/*`` gets the charset. Default is the class's ``media_type``.
        background: A task to run after the response was sent. Default is none.

    Raises:
        ValueError: a status outside 100 to 999; CR, LF or NUL in a header or the media type; a header name that is
            not a token.

    Source: Starlette's ``Response``; RFC 9110 for what is refused.
    """

    media_type: str | None = None
    charset: str = "utf-8"

    body: bytes | memoryview
    raw_headers: RawHeaders
    _headers: MutableHeaders

    def __init__(
        self,
        content: Any = None,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: BackgroundTask | None = None,
    ) -> None:
        self.status_code = status_code
        if media_type is not None:
            self.media_type = media_type
        self.background = background
        self.body = self.render(content)
        self.init_headers(headers)

    def render(self, content: Any) -> bytes | memoryview:
        """Turn the content into the bytes of the body. Subclasses override this."""
        if content is None:
            return b""
        if isinstance(content, bytes):
            return content
        if isinstance(content, memoryview):
            return content.cast("B") if content.c_contiguous else content.tobytes()
        return cast(bytes, content.encode(self.charset))

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Set ``raw_headers`` from the given headers, the body and the media type.

        The length written is always that of the body: a ``content-length`` given beside a body is replaced.
        """
        status_code = self.status_code
        _require_status(status_code)
        raw_headers: RawHeaders = []
        length_given = type_given = False
        body = getattr(self, "body", None)
        if headers:
            for name, value in headers.items():
                key = _header_text.header_name(name)
                if key == b"content-length":
                    length_given = True
                    if body:
                        value = str(len(body))
                elif key == b"content-type":
                    type_given = True
                raw_headers.append((key, _header_text.header_value(value)))
        if body is not None and not length_given and not (status_code < 200 or status_code in (204, 304)):
            raw_headers.append((b"content-length", b"%d" % len(body)))
        media_type = self.media_type
        if media_type is not None and not type_given:
            raw_headers.append(_header_text.content_type(media_type, self.charset))
        self.raw_headers = raw_headers

    @property
    def headers(self) -> MutableHeaders:
        """The headers, for reading and changing; a view of ``raw_headers``."""
        try:
            return self._headers
        except AttributeError:
            self._headers = MutableHeaders(raw=self.raw_headers)
            return self._headers

    def set_cookie(
        self,
        key: str,
        value: str = "",
        max_age: int | None = None,
        expires: datetime | str | int | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: Literal["lax", "strict", "none"] | None = "lax",
        partitioned: bool = False,
    ) -> None:
        """Add a ``Set-Cookie`` header.

        Args:
            key: Name of the cookie.
            value: Its value; quoted where it has to be. Default is "".
            max_age: Life time in seconds. Default is the session.
            expires: End of life: seconds from now, an aware UTC datetime, or an HTTP date. Default is the session.
            path: Path below which the cookie is sent. Default is "/".
            domain: Domain it is sent to. Default is the host that set it.
            secure: Send it over HTTPS only. Default is false.
            httponly: Hide it from scripts. Default is false.
            samesite: "lax", "strict", "none", or ``None`` to say nothing. Default is "lax".
            partitioned: Keep it per top-level site; needs Python 3.14. Default is false.

        Raises:
            http.cookies.CookieError: the name is not a cookie name.
            ValueError: an attribute would end early (control character or ``;``); ``partitioned`` before Python 3.14.
        """
        if samesite is not None:
            assert samesite.lower() in ("strict", "lax", "none"), "samesite must be either 'strict', 'lax' or 'none'"
        if partitioned:
            import sys

            if sys.version_info < (3, 14):
                raise ValueError("Partitioned cookies are only supported in Python 3.14 and above.")
        text = _header_text.cookie(
            key,
            value,
            domain=domain,
            expires=expires,
            httponly=httponly,
            max_age=max_age,
            partitioned=partitioned,
            path=path,
            samesite=samesite,
            secure=secure,
        )
        self.raw_headers.append((b"set-cookie", text))

    def delete_cookie(
        self,
        key: str,
        path: str = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: Literal["lax", "strict", "none"] | None = "lax",
        partitioned: bool = False,
    ) -> None:
        """Add a ``Set-Cookie`` header that makes the client forget the cookie; attributes as it was set with."""
        self.set_cookie(
            key,
            max_age=0,
            expires=0,
            path=path,
            domain=domain,
            secure=secure,
            httponly=httponly,
            samesite=samesite,
            partitioned=partitioned,
        )

    def _wrap_websocket_denial_send(self, send: Send) -> Send:
        async def send_denial(message: Message) -> None:
            kind = message["type"]
            if kind in ("http.response.start", "http.response.body"):
                message = {**message, "type": f"websocket.{kind}"}
            await send(message)

        return send_denial

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response, then run the background task.

        What is sent is framed as HTTP asks, whatever was done to the attributes since: no body with 1xx, 204 and 304, no
        length with 1xx and 204, and a declared length that is the body's (answers to HEAD may declare another).
        """
        if scope["type"] == "websocket":
            send = self._wrap_websocket_denial_send(send)
        headers, body = _framed(self, scope.get("method") == "HEAD")
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        if self.background is not None:
            await self.background()


def _require_status(status_code: int) -> None:
    if not 100 <= status_code <= 999:
        raise ValueError(f"expected a status code from 100 to 999, but found {status_code!r}")


def _has_no_content(status_code: int) -> bool:
    return status_code < 200 or status_code in (204, 304)


def _framed(response: Response, is_head: bool) -> tuple[RawHeaders, bytes | memoryview]:
    """Give headers and body as HTTP frames them. Source: RFC 9110, 6.4.1, 8.6, 15."""
    status_code, headers, body = response.status_code, response.raw_headers, response.body
    _require_status(status_code)
    if _has_no_content(status_code):
        return (headers if status_code == 304 else _with_length(headers, None)), b""
    length = b"%d" % len(body)
    declared = [value for name, value in headers if name == b"content-length"]
    if not declared or declared == [length] or is_head:
        return headers, body
    return _with_length(headers, length), body


def _with_length(headers: RawHeaders, length: bytes | None) -> RawHeaders:
    """Give the headers with this ``content-length`` in place of any other, or with none."""
    kept = [header for header in headers if header[0] != b"content-length"]
    if length is not None:
        kept.append((b"content-length", length))
    return kept


class HTMLResponse(Response):
    """A `Response` of HTML."""

    media_type = "text/html"


class PlainTextResponse(Response):
    """A `Response` of plain text."""

    media_type = "text/plain"


class JSONResponse(Response):
    """A `Response` whose content is written as compact JSON.

    Raises:
        ValueError: a float that is not finite, or a cycle.
        TypeError: a value JSON has no form for.
    """

    media_type = "application/json"

    def __init__(
        self,
        content: Any,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: BackgroundTask | None = None,
    ) -> None:
        super().__init__(content, status_code, headers, media_type, background)

    def render(self, content: Any) -> bytes:
        """Write the content as JSON, in UTF-8 and without spaces; lone surrogates are escaped."""
        try:
            return _dumps(content, default=_has_no_json_form)
        except UnicodeEncodeError:
            # UTF-8 has no form for a lone surrogate that a client may have sent as \ud800; JSON's escapes do.
            import json

            return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


def _has_no_json_form(obj: Any) -> Any:
    raise TypeError(f"Object of type {type(obj).__name__} is not JSON serializable")


class RedirectResponse(Response):
    """Sends the client to another URL, which is percent-encoded where it has to be. Default status is 307."""

    def __init__(
        self,
        url: str | URL,
        status_code: int = 307,
        headers: Mapping[str, str] | None = None,
        background: BackgroundTask | None = None,
    ) -> None:
        super().__init__(content=b"", status_code=status_code, headers=headers, background=background)
        self.headers["location"] = quote(str(url), safe=":/%#?=@[]!$&'()*+,;")


Content = str | bytes | memoryview
SyncContentStream = Iterable[Content]
AsyncContentStream = AsyncIterable[Content]
ContentStream = AsyncContentStream | SyncContentStream


class StreamingResponse(Response):
    """A response whose body is produced while it is sent.

    Args:
        content: An async iterable, or a plain one (iterated in worker threads), of text or bytes.
        status_code: A three-digit status. Default is 200.
        headers: Headers to send. Default is none.
        media_type: Value of ``content-type``. Default is the class's.
        background: A task to run after the response was sent. Default is none.

    Each chunk is one message, and the next chunk is asked for when it was sent: a slow client slows the iterable down.
    When sending fails or is cancelled, an async generator is closed at once.

    Raises:
        ClientDisconnect: (on sending) the server reports by ``OSError`` that the client has left (ASGI 2.4 or later).
    """

    body_iterator: AsyncContentStream

    def __init__(
        self,
        content: ContentStream,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: BackgroundTask | None = None,
    ) -> None:
        self.body_iterator = content if isinstance(content, AsyncIterable) else iterate_in_threadpool(content)
        self.status_code = status_code
        self.media_type = self.media_type if media_type is None else media_type
        self.background = background
        self.init_headers(headers)

    async def listen_for_disconnect(self, receive: Receive) -> None:
        """Return when the client has left."""
        while (await receive())["type"] != "http.disconnect":
            pass

    async def stream_response(self, send: Send) -> None:
        """Send start, chunks and end. Safe to cancel at every chunk."""
        _require_status(self.status_code)
        headers, charset, iterator = self.raw_headers, self.charset, self.body_iterator
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        try:
            async for chunk in iterator:
                body = chunk if isinstance(chunk, bytes | memoryview) else chunk.encode(charset)
                await send({"type": "http.response.body", "body": body, "more_body": True})
        except BaseException:
            if (close := getattr(iterator, "aclose", None)) is not None:
                await close()
            raise
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self.stream_response(self._wrap_websocket_denial_send(send))
        elif _send_reports_disconnects(scope):
            try:
                await self.stream_response(send)
            except OSError:
                raise ClientDisconnect
        else:
            async with create_collapsing_task_group() as task_group:

                async def finish_with(step: Callable[[], Awaitable[None]]) -> None:
                    await step()
                    task_group.cancel_scope.cancel()

                task_group.start_soon(finish_with, partial(self.stream_response, send))
                await finish_with(partial(self.listen_for_disconnect, receive))
        if self.background is not None:
            await self.background()


def _send_reports_disconnects(scope: Scope) -> bool:
    """Whether ``send`` raises ``OSError`` once the client has left. Source: ASGI HTTP spec, 2.4."""
    return _at_least_2_4(scope.get("asgi", {}).get("spec_version", "2.0"))


@lru_cache(maxsize=16)
def _at_least_2_4(spec_version: str) -> bool:
    return tuple(map(int, spec_version.split("."))) >= (2, 4)


class EventSourceResponse(StreamingResponse):
    """Marks an endpoint that yields as a source of server-sent events (``response_class=EventSourceResponse``).

    Works with every method. Returned from an endpoint by hand it is a `StreamingResponse` of ``text/event-stream``, to be
    fed with events already written (`forzium.sse.format_sse_event`).
    """

    media_type = "text/event-stream"


class FileResponse(Response):
    """A file, sent in chunks from a worker thread, as a whole or in the ranges the client asks for.

    Args:
        path: Where the file is.
        status_code: A three-digit status. Ranges are served for 200 alone. Default is 200.
        headers: Headers to send. Default is none.
        media_type: Value of ``content-type``. Default is guessed from ``filename`` or ``path``.
        background: A task to run after the response was sent. Default is none.
        filename: Name the client is to save it as; adds ``content-disposition``. Default is none.
        stat_result: The file's ``os.stat_result`` if known. Default is to ask when sending.
        content_disposition_type: "attachment" or "inline". Default is "attachment".

    Exactly the bytes announced are sent: a file that grows is cut there, a file that shrinks ends the response with an
    error, so that the client notices. Where the server offers ``http.response.pathsend``, it sends the file.

    Raises:
        RuntimeError: (on sending) the path is missing or no regular file, or the file became shorter.
        ClientDisconnect: (on sending) the server reports by ``OSError`` that the client has left.

    Source: Starlette's ``FileResponse``; RFC 9110, 13 and 14.
    """

    chunk_size: ClassVar[int] = 64 * 1024  # bytes read at a time: few trips to a thread, little memory a client
    max_ranges: ClassVar[int] = 100  # a header asking for more gets the whole file

    def __init__(
        self,
        path: str | os.PathLike[str],
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: BackgroundTask | None = None,
        filename: str | None = None,
        stat_result: os.stat_result | None = None,
        content_disposition_type: str = "attachment",
    ) -> None:
        self.path = path
        self.status_code = status_code
        self.filename = filename
        self.media_type = _guessed_type(filename or path) if media_type is None else media_type
        self.background = background
        self.init_headers(headers)
        self.headers.setdefault("accept-ranges", "bytes")
        if filename is not None:
            quoted = quote(filename, errors="replace")
            parameter = f'filename="{filename}"' if quoted == filename else f"filename*=utf-8''{quoted}"
            self.headers.setdefault("content-disposition", f"{content_disposition_type}; {parameter}")
        self.stat_result = stat_result
        if stat_result is not None:
            self.set_stat_headers(stat_result)

    def set_stat_headers(self, stat_result: os.stat_result) -> None:
        """Add ``content-length``, ``last-modified`` and ``etag`` where they are missing."""
        from hashlib import md5

        version = f"{stat_result.st_mtime}-{stat_result.st_size}"
        self.headers.setdefault("content-length", str(stat_result.st_size))
        self.headers.setdefault("last-modified", _header_text.http_date(stat_result.st_mtime))
        self.headers.setdefault("etag", f'"{md5(version.encode(), usedforsecurity=False).hexdigest()}"')

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _require_status(self.status_code)
        is_http = scope["type"] == "http"
        if scope["type"] == "websocket":
            send = self._wrap_websocket_denial_send(send)
        header_only = is_http and scope["method"].upper() == "HEAD"
        reports_disconnects = _send_reports_disconnects(scope)
        stat_result = await self._stat()
        size = stat_result.st_size

        try:
            ranges = self._requested_ranges(scope, size)
        except MalformedRangeHeader as error:
            await PlainTextResponse(error.content, status_code=400)(scope, receive, send)
            return
        except RangeNotSatisfiable as error:
            refusal = PlainTextResponse(status_code=416, headers={"Content-Range": f"bytes */{error.max_size}"})
            await refusal(scope, receive, send)
            return

        path_send = is_http and not ranges and "http.response.pathsend" in (scope.get("extensions") or {})
        if reports_disconnects:
            send = _raising_client_disconnect(send)
        if not ranges:
            send_file = partial(self._send_whole, send, size, header_only, path_send)
        elif len(ranges) == 1:
            send_file = partial(self._send_range, send, ranges[0], size, header_only)
        else:
            send_file = partial(self._send_ranges, send, ranges, size, header_only)

        if not is_http or header_only or path_send or reports_disconnects:
            await send_file()
        else:
            await _until_disconnect(send_file, receive)
        if self.background is not None:
            await self.background()

    async def _stat(self) -> os.stat_result:
        if self.stat_result is not None:
            return self.stat_result
        try:
            stat_result = await anyio.to_thread.run_sync(os.stat, self.path)
        except FileNotFoundError:
            raise RuntimeError(f"File at path {self.path} does not exist.")
        self.set_stat_headers(stat_result)
        if not stat.S_ISREG(stat_result.st_mode):
            raise RuntimeError(f"File at path {self.path} is not a file.")
        return stat_result

    def _requested_ranges(self, scope: Scope, size: int) -> list[Range]:
        """Give the ranges to send; none means the whole file."""
        request_headers = Headers(scope=scope)
        wanted = request_headers.get("range")
        if wanted is None or self.status_code != 200:
            return []
        if scope["type"] == "http" and scope["method"].upper() not in ("GET", "HEAD"):
            return []
        validator = request_headers.get("if-range")
        if validator is not None and not self._is_current(validator):
            return []
        return parse_range_header(wanted, size, self.max_ranges)

    def _is_current(self, validator: str) -> bool:
        """Whether an ``If-Range`` names this version of the file; weak tags never do. Source: RFC 9110, 13.1.5."""
        if validator.startswith("W/"):
            return False
        return validator in (self.headers["last-modified"], self.headers["etag"])

    @asynccontextmanager
    async def _open_file(self) -> AsyncIterator[anyio.AsyncFile[bytes]]:
        # Both trips to a thread are finished even when the transfer is cancelled meanwhile: no file is left open.
        with anyio.CancelScope(shield=True):
            file = await anyio.open_file(self.path, mode="rb")
        try:
            yield file
        finally:
            with anyio.CancelScope(shield=True):
                await file.aclose()

    async def _send_whole(self, send: Send, size: int, header_only: bool, path_send: bool) -> None:
        declared = [value for name, value in self.raw_headers if name == b"content-length"]
        length = b"%d" % size
        headers = self.raw_headers if not declared or declared == [length] else _with_length(self.raw_headers, length)
        start = {"type": "http.response.start", "status": self.status_code, "headers": headers}
        if header_only:
            await send(start)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        if path_send:
            await send(start)
            path = str(self.path)
            await send(
                {"type": "http.response.pathsend", "path": path if os.path.isabs(path) else os.path.abspath(path)}
            )
            return
        async with self._open_file() as file:
            await send(start)
            remaining, more_body = size, True
            while more_body:
                # Without an announced length (the user removed it) the file is read to its end.
                chunk = await file.read(min(self.chunk_size, remaining) if declared else self.chunk_size)
                remaining -= len(chunk)
                more_body = len(chunk) == self.chunk_size
                if declared and not more_body and remaining > 0:
                    raise self._became_shorter()
                await send({"type": "http.response.body", "body": chunk, "more_body": more_body})

    async def _send_range(self, send: Send, part: Range, size: int, header_only: bool) -> None:
        start, end = part
        headers = MutableHeaders(raw=list(self.raw_headers))
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
        headers["content-length"] = str(end - start)
        response_start = {"type": "http.response.start", "status": 206, "headers": headers.raw}
        if header_only:
            await send(response_start)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        async with self._open_file() as file:
            await send(response_start)
            async for chunk, more_body in self._read(file, start, end):
                await send({"type": "http.response.body", "body": chunk, "more_body": more_body})

    async def _send_ranges(self, send: Send, ranges: Sequence[Range], size: int, header_only: bool) -> None:
        from secrets import token_hex

        boundary = token_hex(13)  # 104 bits: not to be met in any file
        length, part_header = self.generate_multipart(ranges, boundary, size, self.headers["content-type"])
        headers = MutableHeaders(raw=list(self.raw_headers))
        headers["content-type"] = f"multipart/byteranges; boundary={boundary}"
        headers["content-length"] = str(length)
        response_start = {"type": "http.response.start", "status": 206, "headers": headers.raw}
        if header_only:
            await send(response_start)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        async with self._open_file() as file:
            await send(response_start)
            for start, end in ranges:
                await send({"type": "http.response.body", "body": part_header(start, end), "more_body": True})
                async for chunk, _ in self._read(file, start, end):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await send({"type": "http.response.body", "body": b"\r\n", "more_body": True})
            closing = f"--{boundary}--".encode("latin-1")
            await send({"type": "http.response.body", "body": closing, "more_body": False})

    async def _read(self, file: anyio.AsyncFile[bytes], start: int, end: int) -> AsyncIterator[tuple[bytes, bool]]:
        """Give the bytes from start to end in chunks, and with each whether another follows."""
        await file.seek(start)
        while start < end:
            chunk = await file.read(min(self.chunk_size, end - start))
            if not chunk:
                raise self._became_shorter()
            start += len(chunk)
            yield chunk, start < end

    def _became_shorter(self) -> RuntimeError:
        return RuntimeError(f"File at path {self.path} is shorter than expected.")

    def generate_multipart(
        self, ranges: Sequence[tuple[int, int]], boundary: str, max_size: int, content_type: str
    ) -> tuple[int, Callable[[int, int], bytes]]:
        """Give the length of the body of several ranges, and the function that writes the header of a part."""
        return multipart_frame(ranges, boundary, max_size, content_type)


def _guessed_type(path: str | os.PathLike[str]) -> str:
    from mimetypes import guess_type

    return guess_type(path)[0] or "application/octet-stream"


def _raising_client_disconnect(send: Send) -> Send:
    """Tell a client that left from a file that cannot be read: both are ``OSError`` otherwise."""

    async def guarded(message: Message) -> None:
        try:
            await send(message)
        except OSError:
            raise ClientDisconnect

    return guarded


async def _until_disconnect(send_file: Callable[[], Awaitable[None]], receive: Receive) -> None:
    """Send in a task of its own and stop as soon as the client leaves, for servers that do not tell by ``send``."""
    async with create_collapsing_task_group() as task_group:

        async def run() -> None:
            await send_file()
            task_group.cancel_scope.cancel()

        task_group.start_soon(run)
        while (await receive())["type"] != "http.disconnect":
            pass
        task_group.cancel_scope.cancel()


_DEPRECATED = (
    "{} is deprecated, FastAPI now serializes data directly to JSON bytes via Pydantic when a return type or response "
    "model is set, which is faster and doesn't need a custom response class. Read more in the FastAPI docs: "
    "https://fastapi.tiangolo.com/advanced/custom-response/#orjson-or-response-model and "
    "https://fastapi.tiangolo.com/tutorial/response-model/"
)


@deprecated(_DEPRECATED.format("UJSONResponse"), category=FastAPIDeprecationWarning, stacklevel=2)
class UJSONResponse(JSONResponse):
    """A `JSONResponse` written by ujson, which has to be installed.

    Deprecated: a return type or a response model is written without an extra class, and faster.
    """

    def render(self, content: Any) -> bytes:
        """Write the content as JSON with ujson."""
        ujson = _codec("ujson")
        assert ujson is not None, "ujson must be installed to use UJSONResponse"
        return cast(bytes, ujson.dumps(content, ensure_ascii=False).encode("utf-8"))


@deprecated(_DEPRECATED.format("ORJSONResponse"), category=FastAPIDeprecationWarning, stacklevel=2)
class ORJSONResponse(JSONResponse):
    """A `JSONResponse` written by orjson, which has to be installed.

    Deprecated: a return type or a response model is written without an extra class, and faster.
    """

    def render(self, content: Any) -> bytes:
        """Write the content as JSON with orjson."""
        orjson = _codec("orjson")
        assert orjson is not None, "orjson must be installed to use ORJSONResponse"
        return cast(bytes, orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY))


def _codec(name: str) -> Any:
    """Give the optional module, or ``None``; it is imported when first asked for and is then a global here."""
    if name not in globals():
        from importlib import import_module

        try:
            globals()[name] = import_module(name)
        except ModuleNotFoundError:
            globals()[name] = None
    return globals()[name]


def __getattr__(name: str) -> Any:
    if name in ("orjson", "ujson"):
        return _codec(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
