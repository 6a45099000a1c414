"""`GZipMiddleware`: compresses responses for clients that take gzip.

Layer: on nothing of the package; the rules, and gzip itself, are the core's
(`rust/forzium-py/src/middleware/compress.rs`, `coding.rs`).
Not for: event streams, media and archives: their types are left alone, as are parts of a file and what has a
`Content-Encoding` already. Nor for `br` and `zstd`: those are `CompressMiddleware`'s (`middleware.compress`).

Source: `starlette.middleware.gzip`; RFC 9110, 8.4 (content codings) and 12.5.3 (`Accept-Encoding`). `q=0` is honoured
here, where Starlette overlooks it.
"""

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn

import anyio.lowlevel
import anyio.to_thread

from forzium._forzium import Coder, Compress, Outlet
from forzium.middleware._own import Linked, native

if TYPE_CHECKING:
    from forzium.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["DEFAULT_EXCLUDED_CONTENT_TYPES", "GZipMiddleware", "GZipResponder", "IdentityResponder"]

DEFAULT_EXCLUDED_CONTENT_TYPES = (
    "application/grpc",
    "application/gzip",
    "application/x-gzip",
    "application/zip",
    "audio/*",
    "font/woff",
    "font/woff2",
    "image/avif",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/webp",
    "text/event-stream",
    "video/*",
)
"""Media types that are not compressed: compressed by nature, or read while they are written."""

THREAD_MINIMUM_SIZE = 128 * 1024
"""Bytes in one piece from which a worker thread compresses: at level 9 more would hold the event loop for some ms."""
COMPRESSION_THREADS = 40
"""Threads an event loop compresses in at once; apart from those that endpoints run in, so that neither waits for the
other."""

_DEFAULT_LEVEL = 6
"""What zlib means by the level -1."""

_limiter: anyio.lowlevel.RunVar[anyio.CapacityLimiter] = anyio.lowlevel.RunVar("forzium_gzip_limiter")


@native
class GZipMiddleware(Linked):
    """Compresses response bodies with gzip, as they are sent.

    Args:
        app: The application to wrap.
        minimum_size: Bytes under which a body is sent as it is. Default is 500.
        compresslevel: From 1 (fast) to 9 (small). Default is 9.
        thread_minimum_size: Bytes in one piece from which a worker thread compresses. Default is 128 KiB.
        exclude_content_types: Media types left alone; `audio/*` names a whole family. Default is
            `DEFAULT_EXCLUDED_CONTENT_TYPES`.
    """

    def __init__(
        self,
        app: "ASGIApp",
        minimum_size: int = 500,
        compresslevel: int = 9,
        thread_minimum_size: int = THREAD_MINIMUM_SIZE,
        *,
        exclude_content_types: tuple[str, ...] = DEFAULT_EXCLUDED_CONTENT_TYPES,
    ) -> None:
        self.app = app
        self.minimum_size = minimum_size
        self.compresslevel = compresslevel
        self.thread_minimum_size = thread_minimum_size
        self.exclude_content_types = media_types(exclude_content_types)

    @cached_property
    def _link(self) -> Compress:
        return Compress(
            [("gzip", _level(self.compresslevel))],
            weighs=False,
            minimum_size=self.minimum_size,
            thread_minimum_size=self.thread_minimum_size,
            exclude_content_types=self.exclude_content_types,
        )


class IdentityResponder:
    """Sends one response as it is, but says where it would differ for a client that takes another coding.

    Base of what compresses: a subclass names its `content_encoding` and overrides `apply_compression`.
    """

    content_encoding: str = "identity"

    def __init__(
        self,
        app: "ASGIApp",
        minimum_size: int,
        *,
        exclude_content_types: tuple[str, ...] = DEFAULT_EXCLUDED_CONTENT_TYPES,
    ) -> None:
        self.app = app
        self.minimum_size = minimum_size
        self.exclude_content_types = media_types(exclude_content_types)
        self.send: Send = unattached_send

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        self.send = send
        await self.app(scope, receive, self.send_with_compression)

    async def send_with_compression(self, message: "Message") -> None:
        """Send a message of the application, changed where the coding asks for it."""
        await self._outlet(message)

    @cached_property
    def _outlet(self) -> Outlet:
        rules = Compress(
            (),
            weighs=False,
            minimum_size=self.minimum_size,
            thread_minimum_size=0,
            exclude_content_types=self.exclude_content_types,
        )
        return rules.outlet(self.send, self.apply_compression, self.content_encoding)

    async def apply_compression(self, body: bytes, *, more_body: bool) -> bytes:
        """Return the coded form of a piece of the body; the end of the coding too, where it is the last piece."""
        return body


class GZipResponder(IdentityResponder):
    """Sends one response compressed with gzip. Each piece can be decoded when it arrives."""

    content_encoding = "gzip"

    def __init__(
        self,
        app: "ASGIApp",
        minimum_size: int,
        compresslevel: int = 9,
        *,
        thread_minimum_size: int = THREAD_MINIMUM_SIZE,
        exclude_content_types: tuple[str, ...] = DEFAULT_EXCLUDED_CONTENT_TYPES,
    ) -> None:
        super().__init__(app, minimum_size, exclude_content_types=exclude_content_types)
        self.compresslevel = compresslevel
        self.thread_minimum_size = thread_minimum_size

    @cached_property
    def _coder(self) -> Coder:
        return Coder("gzip", _level(self.compresslevel))

    async def apply_compression(self, body: bytes, *, more_body: bool) -> bytes:
        """Return the piece compressed, by a worker thread if it is large."""
        if len(body) < self.thread_minimum_size:
            return self._coder.code(bytes(body), not more_body)
        return await code_in_thread(self._coder.code, bytes(body), not more_body)


async def code_in_thread(code: Callable[[bytes, bool], bytes], body: bytes, last: bool) -> bytes:
    """Code a piece of a body in a worker thread: at the highest level a large one would hold the event loop."""
    try:
        limiter = _limiter.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(COMPRESSION_THREADS)
        _limiter.set(limiter)
    return await anyio.to_thread.run_sync(code, body, last, limiter=limiter)


def _level(compresslevel: int) -> int:
    return _DEFAULT_LEVEL if compresslevel == -1 else compresslevel


def media_types(names: Iterable[str]) -> tuple[str, ...]:
    """Return media types as they are compared: in lower case, without parameters."""
    return tuple(name.partition(";")[0].strip().lower() for name in names)


async def unattached_send(message: "Message") -> NoReturn:
    """Stand for `send` until there is one.

    Raises:
        RuntimeError: Always.
    """
    raise RuntimeError("send awaitable not set")
