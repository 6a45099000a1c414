"""Parsers of form bodies, on the reader in Rust that the form parameters of a compiled route are read with, too.

Layer: above `forzium.datastructures`; imported by `Request.form` when the first form is read, and by the core for the
first multipart body.

Source: `starlette.formparsers`; RFC 7578 (multipart/form-data), WHATWG URL (application/x-www-form-urlencoded).
"""

import codecs
import tempfile
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from enum import Enum
from io import BytesIO
from tempfile import SpooledTemporaryFile
from typing import Any

from typing_extensions import deprecated

from forzium._forzium import FormReader
from forzium._threads import call_in_thread
from forzium.datastructures import FormData, Headers, StarletteUploadFile
from forzium.exceptions import StarletteDeprecationWarning

__all__ = ["FormMessage", "FormParser", "MultiPartException", "MultiPartParser", "MultipartPart"]

Writes = list[tuple[SpooledTemporaryFile[bytes], list[bytes | memoryview], bool]]
"""Files with the pieces to write to them, and whether they are complete then."""


class MultiPartException(Exception):
    """A form is malformed or over a limit.

    Args:
        message: What is wrong, for the client.
    """

    def __init__(self, message: str) -> None:
        self.message = message


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
        self.headers = headers
        self.stream = stream
        self.max_fields = max_fields
        self.max_part_size = max_part_size

    async def parse(self) -> FormData:
        """Read the body to its end.

        Raises:
            MultiPartException: A limit is exceeded. What lies beyond it is neither decoded nor kept.
        """
        reader = FormReader.urlencoded(max_fields=self.max_fields, max_part_size=self.max_part_size)
        async for chunk in self.stream:
            reader.feed(bytes(chunk))
        return FormData(reader.finish())


@dataclass
class MultipartPart:
    """A part of a multipart body: a file, or a field whose bytes are in `data`. Unused; Starlette has it."""

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
    """Bytes of a file that are kept in memory; a longer one is written to the disk. Default is 1 MiB; 0 is no limit."""
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
        self.headers = headers
        self.stream = stream
        self.max_files = max_files
        self.max_fields = max_fields
        self.max_part_size = max_part_size
        self.items: list[tuple[str, str | StarletteUploadFile]] = []

    async def parse(self) -> FormData:
        """Read the body to its end.

        Raises:
            MultiPartException: The body is malformed, ends before its last boundary, or a limit is exceeded.

        Cancellation: the temporary files are closed.
        """
        reader = FormReader.multipart(
            self.headers["Content-Type"],
            max_files=self.max_files,
            max_fields=self.max_fields,
            max_part_size=self.max_part_size,
            spool_max_size=self.spool_max_size,
        )
        try:
            async for chunk in self.stream:
                if (writes := reader.feed(bytes(chunk))) is not None:
                    await write_files(writes)
            self.items = reader.finish()
        finally:
            reader.close()  # the files that were not given
        return FormData(self.items)


def codec(charset: str) -> str:
    """Give the codec of a `charset` parameter, once for all parts; latin-1 stands for an unknown one."""
    try:
        return codecs.lookup(charset).name
    except LookupError:
        return "latin-1"


def spooled_file(content: bytes, max_size: int) -> SpooledTemporaryFile[bytes]:
    """Make a file of what is in memory so far, standing at its beginning."""
    file = SpooledTemporaryFile(max_size=max_size)  # noqa: SIM115 - it outlives this call
    if content:
        if type(file) is tempfile.SpooledTemporaryFile:
            file._file = BytesIO(content)  # which takes the bytes without a copy
        else:  # somebody has put another class in its place
            file.write(content)
            file.seek(0)
    return file


async def write_files(writes: Writes) -> None:
    """Write pieces to files on the disk, in a worker thread. What is complete stands at its beginning afterwards."""
    abandoned: list[Any] = []
    try:
        await call_in_thread(_write_files, writes, abandoned)
    except BaseException:
        abandoned.append(True)
        raise


def _write_files(writes: Writes, abandoned: list[Any]) -> None:
    try:
        for file, pieces, complete in writes:
            file.rollover()
            file.writelines(pieces)
            if complete:
                file.seek(0)
    finally:
        if abandoned:  # the files were closed while this thread was about to open one
            for file, _, _ in writes:
                file.close()


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
