"""`GZipMiddleware`: compresses responses for clients that take gzip.

Layer: on `datastructures`. zlib is imported with the first response that is compressed.
Not for: event streams, media and archives: their types are left alone, as are parts of a file and what has a
`Content-Encoding` already.

Source: `starlette.middleware.gzip`; RFC 9110, 8.4 (content codings) and 12.5.3 (`Accept-Encoding`). `q=0` is honoured
here, where Starlette overlooks it.
"""

from typing import TYPE_CHECKING, Any, NoReturn

import anyio.lowlevel
import anyio.to_thread

from forzium.datastructures import Headers, MutableHeaders

if TYPE_CHECKING:
    import zlib

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

_GZIP_NAMES = frozenset(("gzip", "x-gzip"))
_limiter: anyio.lowlevel.RunVar[anyio.CapacityLimiter] = anyio.lowlevel.RunVar("forzium_gzip_limiter")


class GZipMiddleware:
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
        self.exclude_content_types = _media_types(exclude_content_types)

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        responder: IdentityResponder
        if _accepts_gzip(Headers(scope=scope).getlist("accept-encoding")):
            responder = GZipResponder(
                self.app,
                self.minimum_size,
                self.compresslevel,
                thread_minimum_size=self.thread_minimum_size,
                exclude_content_types=self.exclude_content_types,
            )
        else:
            responder = IdentityResponder(self.app, self.minimum_size, exclude_content_types=self.exclude_content_types)
        await responder(scope, receive, send)


class IdentityResponder:
    """Sends one response as it is, but says where it would differ for a client that takes another coding.

    Base of what compresses: a subclass names its `content_encoding` and overrides `apply_compression`.
    """

    content_encoding: str

    def __init__(
        self,
        app: "ASGIApp",
        minimum_size: int,
        *,
        exclude_content_types: tuple[str, ...] = DEFAULT_EXCLUDED_CONTENT_TYPES,
    ) -> None:
        self.app = app
        self.minimum_size = minimum_size
        self.exclude_content_types = _media_types(exclude_content_types)
        self.send: Send = unattached_send
        # The start waits here until the first piece of the body has shown what its headers must say.
        self.initial_message: Message = {}
        self.started = False
        self.content_encoding_set = False
        self.content_type_is_excluded = False
        self.partial_response = False

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        self.send = send
        await self.app(scope, receive, self.send_with_compression)

    @property
    def _untouched(self) -> bool:
        return self.content_encoding_set or self.partial_response or self.content_type_is_excluded

    async def send_with_compression(self, message: "Message") -> None:
        """Send a message of the application, changed where the coding asks for it."""
        kind = message["type"]
        if kind == "http.response.start":
            message.setdefault("headers", [])
            self._inspect(message)
            self.initial_message = message
            if self._untouched:
                await self.send(message)
        elif kind == "http.response.body" and not self._untouched:
            await self._send_body(message)
        else:
            if kind == "http.response.pathsend" and not self._untouched:
                # The server reads the file itself: nothing here to compress.
                await self.send(self.initial_message)
            await self.send(message)

    def _inspect(self, start: "Message") -> None:
        headers = Headers(raw=start["headers"])
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        names = {media_type, media_type.partition("/")[0] + "/*"}
        if media_type.startswith("application/grpc+"):
            names.add("application/grpc")
        self.content_encoding_set = "content-encoding" in headers
        self.partial_response = start["status"] == 206
        self.content_type_is_excluded = not names.isdisjoint(self.exclude_content_types)

    async def _send_body(self, message: "Message") -> None:
        body = message.get("body", b"")
        more_body = message.get("more_body", False)
        if self.started:
            message["body"] = await self.apply_compression(body, more_body=more_body)
        else:
            self.started = True
            if more_body or len(body) >= self.minimum_size:
                coded = await self.apply_compression(body, more_body=more_body)
                is_changed = coded != body
                self._describe(coded, is_changed=is_changed, is_whole=not more_body)
                if is_changed:
                    message["body"] = coded
            await self.send(self.initial_message)
        await self.send(message)

    def _describe(self, body: bytes, *, is_changed: bool, is_whole: bool) -> None:
        headers = MutableHeaders(raw=self.initial_message["headers"])
        headers.add_vary_header("Accept-Encoding")
        if not is_changed:
            return
        headers["Content-Encoding"] = self.content_encoding
        if is_whole and not self.initial_message.get("trailers", False):
            headers["Content-Length"] = str(len(body))
        else:
            del headers["Content-Length"]

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
        self._compressor: Any = None

    @property
    def compressor(self) -> "zlib._Compress":
        """The state of the compression, made with the first piece: 256 KiB that small responses do without."""
        if self._compressor is None:
            import zlib

            self._compressor = zlib.compressobj(self.compresslevel, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
        return self._compressor  # type: ignore[no-any-return]

    async def apply_compression(self, body: bytes, *, more_body: bool) -> bytes:
        """Return the piece compressed, by a worker thread if it is large."""
        if len(body) < self.thread_minimum_size:
            return self._compress(body, more_body)
        try:
            limiter = _limiter.get()
        except LookupError:
            limiter = anyio.CapacityLimiter(COMPRESSION_THREADS)
            _limiter.set(limiter)
        return await anyio.to_thread.run_sync(self._compress, body, more_body, limiter=limiter)

    def _compress(self, body: bytes, more_body: bool) -> bytes:
        import zlib

        compressor = self.compressor
        return compressor.compress(body) + compressor.flush(zlib.Z_SYNC_FLUSH if more_body else zlib.Z_FINISH)


def _accepts_gzip(accept_encoding: list[str]) -> bool:
    """Tell whether gzip is named with a weight other than 0."""
    elements = ",".join(accept_encoding).lower().split(",")
    codings = (element.partition(";") for element in elements)
    return any(name.strip() in _GZIP_NAMES and not _is_refused(parameters) for name, _, parameters in codings)


def _is_refused(parameters: str) -> bool:
    name, _, weight = parameters.partition("=")
    try:
        return name.strip() == "q" and float(weight) == 0
    except ValueError:
        return False


def _media_types(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.partition(";")[0].strip().lower() for name in names)


async def unattached_send(message: "Message") -> NoReturn:
    """Stand for `send` until there is one.

    Raises:
        RuntimeError: Always.
    """
    raise RuntimeError("send awaitable not set")
