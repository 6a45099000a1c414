"""A host reduced to what the ASGI specification says: scopes, the two channels, and driving an awaitable by hand.

Not for: comparing with fastapi (`tests/conformance/harness.py`), real servers (`tests/e2e/`).
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Awaitable, Callable, Generator, Iterable
from dataclasses import dataclass, field
from typing import Any

Message = dict[str, Any]


def http_scope(path: Any = "/", method: Any = "GET", **overrides: Any) -> dict[str, Any]:
    """The scope of a request; a value of ``...`` leaves its key out."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass") if isinstance(path, str) else b"",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"testserver")],
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
        **overrides,
    }
    return {key: value for key, value in scope.items() if value is not ...}


def websocket_scope(path: str = "/", **overrides: Any) -> dict[str, Any]:
    """The scope of a WebSocket handshake."""
    scope = http_scope(path, scheme="ws", subprotocols=[], **{"type": "websocket", **overrides})
    del scope["method"]
    return scope


@types.coroutine
def pause(tag: Any = None) -> Generator[Any, Any, Any]:
    """Wait: gives `tag` to whoever drives by hand, and returns what is sent in."""
    return (yield tag)


@dataclass
class Host:
    """The two channels of one connection: what the client sends, and what it was sent.

    `pauses` names the message types at which `send` waits, and ``"receive"`` if `receive` does.
    """

    incoming: Iterable[Message] = field(default_factory=lambda: [{"type": "http.request"}])
    pauses: tuple[str, ...] = ()
    sent: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._incoming = iter(self.incoming)

    async def receive(self) -> Message:
        """The next message; a client that has said all it had to say has left."""
        if "receive" in self.pauses:
            await pause("receive")
        return next(self._incoming, {"type": "http.disconnect"})

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        if message["type"] in self.pauses:
            await pause(message["type"])

    @property
    def status(self) -> int | None:
        return next((message["status"] for message in self.sent if message["type"] == "http.response.start"), None)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent if message["type"] == "http.response.body")

    def call(self, app: Callable[..., Awaitable[Any]], scope: dict[str, Any]) -> Any:
        """The awaitable of one connection."""
        return app(scope, self.receive, self.send)


def finish(awaitable: Any) -> Any:
    """Drive an awaitable that has nothing to wait for, or waits only by `pause`, to its end."""
    try:
        while True:
            awaitable.send(None)
    except StopIteration as stop:
        return stop.value


def get(app: Any, path: str = "/", **overrides: Any) -> Host:
    """Make one request whose endpoint never leaves the thread."""
    host = Host()
    finish(host.call(app, http_scope(path, **overrides)))
    return host


def is_finished(awaitable: Any) -> bool:
    """Whether an awaitable refuses to be driven again, with a coroutine's own error."""
    try:
        awaitable.send(None)
    except RuntimeError as error:
        return str(error) == "cannot reuse already awaited coroutine"
    return False


def coroutine_names() -> list[str]:
    """What every coroutine can do, as the interpreter shows it."""

    async def nothing() -> None: ...

    coroutine = nothing()
    coroutine.close()
    assert inspect.iscoroutine(coroutine)
    return [name for name in dir(coroutine) if not name.startswith("_")]
