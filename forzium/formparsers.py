"""Parsers of form bodies: urlencoded ones on the parser of query strings, multipart ones on `python-multipart`.

Layer: above `forzium.datastructures`; imported by `Request.form` when the first form is read.
Not for: the form parameters of a compiled route, which are parsed before Python sees them.

Source: `starlette.formparsers`; RFC 7578 (multipart/form-data), WHATWG URL (application/x-www-form-urlencoded).
"""

import codecs
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from enum import Enum
from tempfile import SpooledTemporaryFile
from typing import Any, NamedTuple, cast

from typing_extensions import deprecated

from forzium._forzium import parse_query
from forzium.datastructures import FormData, Headers, StarletteUploadFile
from forzium.exceptions import StarletteDeprecationWarning

__all__ = ["FormMessage", "FormParser", "MultiPartException", "MultiPartParser", "MultipartPart", "media_type"]


class MultiPartException(Exception):
    """A form is malformed or over a limit.

    Args:
        message: What is wrong, for the client.
    """

    def __init__(self, message: str) -> None:
        self.message = message


class _Library(NamedTuple):
    """What is used of `python-multipart`."""

    multipart_parser: Callable[..., Any]
    parse_options_header: Callable[[str | bytes | None], tuple[bytes, dict[bytes, bytes]]]
    error: type[Exception]


_library: _Library | None = None


def _load() -> _Library:
    """Import `python-multipart`, under its name or the one it had before 0.0.13.

    Raises:
        AssertionError: It is not installed.
    """
    global _library
    if _library is None:
        from importlib import import_module

        for name in ("python_multipart", "multipart"):
            try:
                module, errors = import_module(f"{name}.multipart"), import_module(f"{name}.exceptions")
            except ModuleNotFoundError:
                continue
            _library = _Library(module.MultipartParser, module.parse_options_header, errors.FormParserError)
            break
    assert _library is not None, "The `python-multipart` library must be installed to use form parsing."
    return _library


def media_type(content_type: str | None) -> bytes:
    """Give the media type of a `Content-Type` header in lower case, without parameters; b"" where there is none.

    Raises:
        AssertionError: `python-multipart` is not installed.
    """
    return _load().parse_options_header(content_type)[0]


def _kilobytes(size: float) -> str:
    return f"{int(size / 1024)}KB"


def _too_many(what: str, limit: float) -> MultiPartException:
    return MultiPartException(f"Too many {what}. Maximum number of {what} is {limit}.")


class FormParser:
    """Parser of `application/x-www-form-urlencoded`.

    Args:
        headers: Headers of the request.
        stream: The body. It is left open where parsing fails.
        max_fields: Fields allowed. Default is 1000.
        max_part_size: Bytes allowed in the name and the value of one field, before they are decoded. Default is 1 MiB.

    Source: `starlette.formparsers.FormParser`.
    """

    def __init__(
        self,
        headers: Headers,
        stream: AsyncGenerator[bytes, None],
        *,
        max_fields: int | float = 1000,
        max_part_size: int = 1024 * 1024,
    ) -> None:
        _load()  # forms need the library, even those that are parsed without it
        self.headers = headers
        self.stream = stream
        self.max_fields = max_fields
        self.max_part_size = max_part_size
        self._items: list[tuple[str, str | StarletteUploadFile]] = []
        self._current_fields = 0
        # The beginning of a field whose end has not arrived, and its size without the equals sign.
        self._field_value = bytearray()
        self._current_field_size = 0

    async def parse(self) -> FormData:
        """Read the body to its end.

        Raises:
            MultiPartException: A limit is exceeded. What lies beyond it is neither decoded nor kept.
        """
        async for chunk in self.stream:
            complete, ampersand, rest = chunk.rpartition(b"&")
            if ampersand:
                self._take(bytes(self._field_value) + complete)
                self._field_value.clear()
                self._current_field_size = 0
            self._begin(rest)
        self._take(bytes(self._field_value))
        return FormData(self._items)

    def _begin(self, piece: bytes) -> None:
        """Keep a piece of a field for later."""
        first_equals = self._current_field_size == len(self._field_value) and b"=" in piece
        self._current_field_size += len(piece) - first_equals
        self._limit_size(self._current_field_size)
        self._field_value += piece

    def _take(self, fields: bytes) -> None:
        """Decode complete fields, with ampersands between them. Empty ones do not count."""
        if len(fields) <= self.max_part_size and self._current_fields + fields.count(b"&") < self.max_fields:
            found = parse_query(fields)  # whatever the fields are, they are within the limits
            self._items += found
            self._current_fields += len(found)
            return
        start = 0
        while start < len(fields):
            end = fields.find(b"&", start)
            end = len(fields) if end < 0 else end
            if end > start:
                self._limit_size(end - start - (fields.find(b"=", start, end) >= 0))
                self._current_fields += 1
                if self._current_fields > self.max_fields:
                    raise _too_many("fields", self.max_fields)
                self._items += parse_query(fields[start:end])
            start = end + 1

    def _limit_size(self, size: int) -> None:
        if size > self.max_part_size:
            raise MultiPartException(f"Field exceeded maximum size of {_kilobytes(self.max_part_size)}.")


@dataclass
class MultipartPart:
    """A part of a multipart body while it is read: a file, or a field whose bytes are in `data`."""

    content_disposition: bytes | None = None
    field_name: str = ""
    data: bytearray = field(default_factory=bytearray)
    file: StarletteUploadFile | None = None
    item_headers: list[tuple[bytes, bytes]] = field(default_factory=list)


class MultiPartParser:
    """Parser of `multipart/form-data`. Files go to temporary files, which are closed where parsing fails.

    Args:
        headers: Headers of the request.
        stream: The body. It is left open where parsing fails.
        max_files: Files allowed. Default is 1000.
        max_fields: Other fields allowed. Default is 1000.
        max_part_size: Bytes allowed in a field that is no file. Default is 1 MiB.

    Source: `starlette.formparsers.MultiPartParser`.
    """

    spool_max_size = 1024 * 1024
    """Bytes of a file that are kept in memory; a longer one moves to the disk. Default is 1 MiB."""
    max_part_size = 1024 * 1024
    """Bytes allowed in a field that is no file. Default is 1 MiB."""

    def __init__(
        self,
        headers: Headers,
        stream: AsyncGenerator[bytes, None],
        *,
        max_files: int | float = 1000,
        max_fields: int | float = 1000,
        max_part_size: int = 1024 * 1024,
    ) -> None:
        self._lib = _load()
        self.headers = headers
        self.stream = stream
        self.max_files = max_files
        self.max_fields = max_fields
        self.max_part_size = max_part_size
        self.items: list[tuple[str, str | StarletteUploadFile]] = []
        self._charset = "utf-8"
        self._files = 0
        self._fields = 0
        self._part = MultipartPart()
        self._header_name = bytearray()
        self._header_value = bytearray()
        # The callbacks cannot wait, so what they have for a file is noted here and written after each chunk.
        self._to_write: list[tuple[StarletteUploadFile, bytes]] = []
        self._to_rewind: list[StarletteUploadFile] = []
        self._opened: list[SpooledTemporaryFile[bytes]] = []

    def on_part_begin(self) -> None:
        """Begin a part."""
        self._part = MultipartPart()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """Take a piece of the content."""
        piece = data[start:end]
        if self._part.file is not None:
            self._to_write.append((self._part.file, piece))
            return
        if len(self._part.data) + len(piece) > self.max_part_size:
            raise MultiPartException(f"Part exceeded maximum size of {_kilobytes(self.max_part_size)}.")
        self._part.data += piece

    def on_part_end(self) -> None:
        """Keep the part. A file is kept before its last piece is written, which `parse` sees to."""
        file = self._part.file
        if file is not None:
            self._to_rewind.append(file)
        self.items.append((self._part.field_name, self._decode(self._part.data) if file is None else file))

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        """Take a piece of a header's name."""
        self._header_name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        """Take a piece of a header's value."""
        self._header_value += data[start:end]

    def on_header_end(self) -> None:
        """Keep the header."""
        name, value = bytes(self._header_name).lower(), bytes(self._header_value)
        if name == b"content-disposition":
            self._part.content_disposition = value
        self._part.item_headers.append((name, value))
        self._header_name.clear()
        self._header_value.clear()

    def on_headers_finished(self) -> None:
        """Tell a file from a field, and count it."""
        options = self._lib.parse_options_header(self._part.content_disposition)[1]
        if b"name" not in options:
            raise MultiPartException('The Content-Disposition header field "name" must be provided.')
        self._part.field_name = self._decode(options[b"name"])
        if b"filename" not in options:
            self._fields += 1
            if self._fields > self.max_fields:
                raise _too_many("fields", self.max_fields)
            return
        self._files += 1
        if self._files > self.max_files:
            raise _too_many("files", self.max_files)
        filename = self._decode(options[b"filename"])
        file = SpooledTemporaryFile(max_size=self.spool_max_size)  # noqa: SIM115 - it outlives this call
        self._opened.append(file)
        self._part.file = StarletteUploadFile(
            file=cast(Any, file), size=0, filename=filename, headers=Headers(raw=self._part.item_headers)
        )

    def on_end(self) -> None:
        """Note that the last boundary was read; nothing has to be done."""

    def _decode(self, raw: bytes | bytearray) -> str:
        try:
            return raw.decode(self._charset)
        except (UnicodeDecodeError, LookupError):
            return raw.decode("latin-1")

    async def parse(self) -> FormData:
        """Read the body to its end.

        Raises:
            MultiPartException: The body is malformed, ends before its last boundary, or a limit is exceeded.

        Cancellation: the temporary files are closed.
        """
        options = self._lib.parse_options_header(self.headers["Content-Type"])[1]
        self._charset = _codec(options.get(b"charset", b"utf-8"))
        if b"boundary" not in options:
            raise MultiPartException("Missing boundary in multipart.")
        try:
            await self._read(options[b"boundary"])
        except BaseException as exc:
            for file in self._opened:
                file.close()
            if isinstance(exc, self._lib.error):
                raise MultiPartException("Invalid multipart data.") from exc
            raise
        return FormData(self.items)

    async def _read(self, boundary: bytes) -> None:
        ended = False

        def end() -> None:
            nonlocal ended
            ended = True
            self.on_end()

        events = ("part_begin", "part_data", "part_end", "header_field", "header_value", "header_end")
        callbacks = {f"on_{event}": getattr(self, f"on_{event}") for event in (*events, "headers_finished")}
        parser = self._lib.multipart_parser(boundary, {**callbacks, "on_end": end})
        received = False
        async for chunk in self.stream:
            received = received or bool(chunk.strip(b"\r\n"))
            parser.write(chunk)
            for file, piece in self._to_write:
                await file.write(piece)
            for file in self._to_rewind:
                await file.seek(0)
            self._to_write.clear()
            self._to_rewind.clear()
        parser.finalize()
        if received and not ended:
            raise MultiPartException("Invalid multipart data.")


def _codec(charset: str | bytes) -> str:
    """Give the codec of a `charset` parameter, once for all parts; latin-1 stands for an unknown one."""
    try:
        return codecs.lookup(charset if isinstance(charset, str) else charset.decode("latin-1")).name
    except LookupError:
        return "latin-1"


@deprecated(
    "`FormMessage` is deprecated and will be removed in a future version.",
    category=StarletteDeprecationWarning,
    stacklevel=2,
)
class FormMessage(Enum):
    """Events of a form parser. Deprecated, unused."""

    FIELD_START = 1
    FIELD_NAME = 2
    FIELD_DATA = 3
    FIELD_END = 4
    END = 5
