"""Files as responses: as a whole or in ranges, unchanged or not at all.

Stands on ``base``, ``streaming``, ``ranges`` and ``header_text`` beside it.

Not for: finding the file a path names, or answering 304; that is ``staticfiles``.
"""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote

import anyio

from forzium._threads import call_in_thread
from forzium._utils import create_collapsing_task_group
from forzium.datastructures import Headers, MutableHeaders
from forzium.responses import header_text
from forzium.responses.base import PlainTextResponse, Response, has_no_content, require_status, with_length
from forzium.responses.ranges import (
    MalformedRangeHeader,
    Range,
    RangeNotSatisfiable,
    multipart_frame,
    parse_range_header,
)
from forzium.responses.streaming import raising_client_disconnect, send_reports_disconnects

if TYPE_CHECKING:
    from forzium.background import BackgroundTask
    from forzium.types import Receive, Scope, Send


def _open_binary(path: str | os.PathLike[str]) -> BinaryIO:
    return open(path, "rb")


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

    chunk_size = 64 * 1024  # bytes read at a time: few trips to a thread, little memory a client
    max_ranges = 100  # a header asking for more gets the whole file

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
        self.headers.setdefault("last-modified", header_text.http_date(stat_result.st_mtime))
        self.headers.setdefault("etag", f'"{md5(version.encode(), usedforsecurity=False).hexdigest()}"')

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        require_status(self.status_code)
        is_http = scope["type"] == "http"
        if scope["type"] == "websocket":
            send = self._wrap_websocket_denial_send(send)
        is_bodiless = has_no_content(self.status_code)
        header_only = is_bodiless or (is_http and scope["method"].upper() == "HEAD")
        reports_disconnects = is_http and send_reports_disconnects(scope)
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

        path_send = (
            is_http and not ranges and not is_bodiless and "http.response.pathsend" in (scope.get("extensions") or {})
        )
        send = raising_client_disconnect(send)
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
            stat_result = await call_in_thread(os.stat, self.path)
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
    async def _open_file(self) -> AsyncIterator[BinaryIO]:
        # Both trips to a thread are finished even when the transfer is cancelled meanwhile: no file is left open.
        with anyio.CancelScope(shield=True):
            file: BinaryIO = await call_in_thread(_open_binary, self.path)
        try:
            yield file
        finally:
            with anyio.CancelScope(shield=True):
                await call_in_thread(file.close)

    async def _send_whole(self, send: Send, size: int, header_only: bool, path_send: bool) -> None:
        declared = [value for name, value in self.raw_headers if name == b"content-length"]
        length = b"%d" % size
        headers = self.raw_headers if not declared or declared == [length] else with_length(self.raw_headers, length)
        if has_no_content(self.status_code) and self.status_code != 304:
            headers = with_length(headers, None)
        start = {"type": "http.response.start", "status": self.status_code, "headers": headers}
        if header_only:
            await send(start)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        if path_send:
            await send(start)
            await send({"type": "http.response.pathsend", "path": _absolute(self.path)})
            return
        async with self._open_file() as file:
            await send(start)
            remaining, more_body = size, True
            while more_body:
                # Without an announced length (the user removed it) the file is read to its end.
                wanted = min(self.chunk_size, remaining) if declared else self.chunk_size
                chunk = await call_in_thread(file.read, wanted)
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

    async def _read(self, file: BinaryIO, start: int, end: int) -> AsyncIterator[tuple[bytes, bool]]:
        """Give the bytes from start to end in chunks, and with each whether another follows."""
        await call_in_thread(file.seek, start)
        while start < end:
            chunk = await call_in_thread(file.read, min(self.chunk_size, end - start))
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


def _absolute(path: str | os.PathLike[str]) -> str:
    text = str(path)
    return text if os.path.isabs(text) else os.path.abspath(text)


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
