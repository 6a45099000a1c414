"""`WSGIMiddleware`: a WSGI application mounted in an ASGI one; deprecated, as Starlette's is, in favour of a2wsgi.

Layer: on `_utils`, `exceptions`.
Not for: large uploads: the body is read into memory before the application is called.

Importing this module warns.

Source: `starlette.middleware.wsgi`; PEP 3333.
"""

import io
import math
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import anyio
import anyio.from_thread
import anyio.to_thread

from forzium._utils import create_collapsing_task_group
from forzium.exceptions import StarletteDeprecationWarning

if TYPE_CHECKING:
    from forzium.types import Message, Receive, Scope, Send

__all__ = ["WSGIMiddleware", "WSGIResponder", "build_environ"]

# The text is Starlette's: people's warning filters name it.
warnings.warn(
    "starlette.middleware.wsgi is deprecated and will be removed in a future release. "
    "Please refer to https://github.com/abersheeran/a2wsgi as a replacement.",
    StarletteDeprecationWarning,
    stacklevel=2,
)

_UNPREFIXED = {"content-length": "CONTENT_LENGTH", "content-type": "CONTENT_TYPE"}


def _native(text: str) -> str:
    """Return `text` as WSGI wants it: its UTF-8 bytes, each as one character (PEP 3333, "Unicode Issues")."""
    return text.encode("utf-8").decode("latin-1")


def build_environ(scope: "Scope", body: bytes) -> dict[str, Any]:
    """Return the WSGI environment for an ASGI scope and the whole body of its request."""
    script_name = _native(scope.get("root_path", ""))
    path_info = _native(scope["path"])
    if path_info == script_name or path_info.startswith(script_name.rstrip("/") + "/"):
        path_info = path_info[len(script_name) :]
    # A server behind a Unix socket has no name and port, but WSGI wants them.
    server = scope.get("server") or ("localhost", 80)
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": script_name,
        "PATH_INFO": path_info,
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": server[0],
        "SERVER_PORT": server[1],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stdout,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    if scope.get("client"):
        environ["REMOTE_ADDR"] = scope["client"][0]
    for raw_name, raw_value in scope.get("headers", []):
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        key = _UNPREFIXED.get(name) or "HTTP_" + name.upper().replace("-", "_")
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


class WSGIMiddleware:
    """An ASGI application that calls a WSGI one, in a worker thread.

    Args:
        app: The WSGI application.
    """

    def __init__(self, app: Callable[..., Any]) -> None:
        self.app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        assert scope["type"] == "http"
        await WSGIResponder(self.app, scope)(receive, send)


class WSGIResponder:
    """One call of the WSGI application: what it gives in its thread is sent by the event loop."""

    def __init__(self, app: Callable[..., Any], scope: "Scope") -> None:
        self.app = app
        self.scope = scope
        self.stream_send, self.stream_receive = anyio.create_memory_object_stream["Message"](math.inf)
        self.response_started = False
        self.exc_info: Any = None

    async def __call__(self, receive: "Receive", send: "Send") -> None:
        parts: list[bytes] = []
        more_body = True
        while more_body:
            message = await receive()
            parts.append(message.get("body", b""))
            more_body = message.get("more_body", False)
        environ = build_environ(self.scope, b"".join(parts))
        async with create_collapsing_task_group() as tasks:
            tasks.start_soon(self.sender, send)
            async with self.stream_send:
                await anyio.to_thread.run_sync(self.wsgi, environ, self.start_response)
        if self.exc_info is not None:
            raise self.exc_info[0].with_traceback(self.exc_info[1], self.exc_info[2])

    async def sender(self, send: "Send") -> None:
        """Send what the application's thread has queued, until it has ended."""
        async with self.stream_receive:
            async for message in self.stream_receive:
                await send(message)

    def _queue(self, message: "Message") -> None:
        anyio.from_thread.run(self.stream_send.send, message)

    def _write(self, chunk: bytes) -> None:
        self._queue({"type": "http.response.body", "body": chunk, "more_body": True})

    def start_response(
        self, status: str, response_headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        """Start the response, as the application calls it; its error, if it gives one, is raised after the response."""
        self.exc_info = exc_info
        if not self.response_started:
            self.response_started = True
            headers = [
                (name.strip().encode("ascii").lower(), value.strip().encode("ascii"))
                for name, value in response_headers
            ]
            code = int(status.partition(" ")[0])
            self._queue({"type": "http.response.start", "status": code, "headers": headers})
        return self._write

    def wsgi(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> None:
        """Call the application and queue its body; in the worker thread."""
        chunks: Iterable[bytes] = self.app(environ, start_response)
        try:
            for chunk in chunks:
                self._write(chunk)
        finally:
            # Files and generators are closed even where the client is gone (PEP 3333, "Specification Details").
            close = getattr(chunks, "close", None)
            if close is not None:
                close()
        self._queue({"type": "http.response.body", "body": b""})
