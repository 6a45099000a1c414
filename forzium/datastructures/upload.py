"""Uploaded files, as forms hold them.

Layer: `forzium.datastructures`, on `headers`. Outside it is called `StarletteUploadFile`; the module is its own because
`repr` shows the name it shares with its subclass.
Not for: parsing multipart bodies (`forzium.formparsers`), nor what endpoints annotate (`upload_param`).

Source: `starlette.datastructures.UploadFile`.
"""

from typing import BinaryIO

from forzium._threads import call_in_thread
from forzium.datastructures.headers import Headers

__all__ = ["UploadFile"]


class UploadFile:
    """A file of a form. Its methods may be awaited in an endpoint; `file` is the plain file, for `def` endpoints.

    What is held in memory is read and written at once; what lies on the disk, in a worker thread.

    Args:
        file: A binary file.
        size: Bytes written so far. Default is unknown.
        filename: Name the client gave. Default is none.
        headers: Headers of the part. Default is none.

    Source: `starlette.datastructures.UploadFile`.
    """

    def __init__(
        self,
        file: BinaryIO,
        *,
        size: int | None = None,
        filename: str | None = None,
        headers: Headers | None = None,
    ) -> None:
        self.filename = filename
        self.file = file
        self.size = size
        self.headers = headers or Headers()
        # A spooled file moves to the disk beyond this many bytes; 0 is never, as there.
        self._max_mem_size = getattr(file, "_max_size", 0)

    @property
    def content_type(self) -> str | None:
        """Media type the client gave, None where absent."""
        media_type: str | None = self.headers.get("content-type")
        return media_type

    @property
    def _in_memory(self) -> bool:
        return not getattr(self.file, "_rolled", True)

    def _will_roll(self, size_to_add: int) -> bool:
        if not self._in_memory:
            return True
        return bool(self._max_mem_size) and self.file.tell() + size_to_add > self._max_mem_size

    async def write(self, data: bytes) -> None:
        """Write bytes at the current position; a known `size` grows by them."""
        if self.size is not None:
            self.size += len(data)
        if self._will_roll(len(data)):
            await call_in_thread(self.file.write, data)
        else:
            self.file.write(data)

    async def read(self, size: int = -1) -> bytes:
        """Read `size` bytes from the current position. Default is all that are left."""
        if self._in_memory:
            return self.file.read(size)
        return await call_in_thread(self.file.read, size)

    async def seek(self, offset: int) -> None:
        """Go to `offset` bytes from the start."""
        if self._in_memory:
            self.file.seek(offset)
        else:
            await call_in_thread(self.file.seek, offset)

    async def close(self) -> None:
        """Close the file."""
        if self._in_memory:
            self.file.close()
        else:
            await call_in_thread(self.file.close)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(filename={self.filename!r}, size={self.size!r}, headers={self.headers!r})"
