"""One application, built on fastapi and on forzium, and everything a client or a host can see of it, compared.

fastapi is the oracle: no expected value is typed in. A test writes a *builder*, a function that takes a `Framework` and
returns an application, and the requests to make::

    from conformance.harness import Framework, Request, compare

    def build(fw: Framework):
        app = fw.FastAPI()

        @app.get("/items/{item_id}")
        def read(item_id: int, q: fw.Annotated[str | None, fw.Query(max_length=3)] = None):
            return {"item_id": item_id, "q": q}

        return app

    def test_typed_parameters_are_converted_alike():
        compare(build, Request("/items/1?q=a"), Request("/items/x?q=abcd"))

Do not put ``from __future__ import annotations`` into a file of builders: annotations name the builder's locals.

Not for: behaviour that differs on purpose (``docs/compatibility.md``; such tests stand in ``tests/unit``).
"""

import functools
import importlib
import json
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Annotated, Any
from urllib.parse import unquote_to_bytes

import anyio

# Names whose home differs: Starlette's own base classes have a name of their own in the merged package.
_RENAMED = {
    ("datastructures", "UploadFile"): "StarletteUploadFile",
    ("exceptions", "HTTPException"): "StarletteHTTPException",
    ("exceptions", "WebSocketException"): "StarletteWebSocketException",
}
# A request that is still running after this long hangs; generous, for machines under load. Seconds.
_DEADLINE = 20.0


class _Namespace:
    """A module's names, with Starlette's renamed where both frameworks share a module."""

    def __init__(self, module: ModuleType, rename: dict[str, str]) -> None:
        self._module = module
        self._rename = rename

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, self._rename.get(name, name))


class Framework:
    """Either framework under one set of names: ``fw.FastAPI``, ``fw.security.HTTPBasic``, ``fw.starlette.routing.Mount``.

    An attribute is looked for in the package itself, then among its modules. `starlette` gives Starlette's modules:
    forzium carries those under its own name.
    """

    Annotated = Annotated

    def __init__(self, name: str) -> None:
        self.name = name
        self.package = importlib.import_module(name)

    def __getattr__(self, name: str) -> Any:
        try:
            return getattr(self.package, name)
        except AttributeError:
            return importlib.import_module(f"{self.name}.{name}")

    def module(self, name: str) -> Any:
        """The framework's module of that dotted name, such as ``middleware.cors``."""
        return importlib.import_module(f"{self.name}.{name}")

    @property
    def starlette(self) -> "_Starlette":
        """Starlette's modules, or forzium's of the same names."""
        return _Starlette(self.name)

    def __repr__(self) -> str:
        return self.name


class _Starlette:
    def __init__(self, framework: str) -> None:
        self._framework = framework

    def __getattr__(self, name: str) -> Any:
        return self.module(name)

    def module(self, name: str) -> Any:
        if self._framework != "forzium":
            return importlib.import_module(f"starlette.{name}")
        rename = {old: new for (module, old), new in _RENAMED.items() if module == name}
        return _Namespace(importlib.import_module(f"forzium.{name}"), rename)


@functools.cache
def frameworks() -> tuple[Framework, Framework]:
    """The oracle first, then forzium."""
    return Framework("fastapi"), Framework("forzium")


@dataclass(frozen=True)
class Request:
    """One HTTP request as a host would hand it over.

    `target` is the path with its query, percent-encoded as on the wire. `json` and `body` exclude each other; `chunks`
    hands a body over in several messages. `scope` overrides entries of the ASGI scope.
    """

    target: str
    method: str = "GET"
    headers: tuple[tuple[str | bytes, str | bytes], ...] = ()
    json: Any = None
    body: bytes | None = None
    chunks: tuple[bytes, ...] = ()
    scope: dict[str, Any] = field(default_factory=dict)

    def messages(self) -> Iterator[dict[str, Any]]:
        """The ``http.request`` messages that carry the body."""
        parts = self.chunks or (self._body(),)
        for index, part in enumerate(parts):
            yield {"type": "http.request", "body": part, "more_body": index + 1 < len(parts)}

    def _body(self) -> bytes:
        if self.body is not None:
            return self.body
        return b"" if self.json is None else json.dumps(self.json).encode()

    def asgi_scope(self) -> dict[str, Any]:
        """The scope, with the headers that an HTTP client always sends."""
        raw_path, _, query = self.target.partition("?")
        headers = [(_bytes(name).lower(), _bytes(value)) for name, value in self.headers]
        names = {name for name, _ in headers}
        if b"host" not in names:
            headers.insert(0, (b"host", b"testserver"))
        if self.json is not None and b"content-type" not in names:
            headers.append((b"content-type", b"application/json"))
        if b"content-length" not in names and (self.json is not None or self.body is not None):
            headers.append((b"content-length", b"%d" % len(self._body())))
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "path": unquote_to_bytes(raw_path).decode("utf-8", "surrogateescape"),
            "raw_path": raw_path.encode("ascii"),
            "root_path": "",
            "query_string": query.encode("ascii"),
            "headers": headers,
            "client": ("127.0.0.1", 50000),
            "server": ("testserver", 80),
            "state": {},
            **self.scope,
        }


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1")


@dataclass(frozen=True)
class Outcome:
    """All that a host sees of one request: the answer, or how much of it, and what was raised."""

    status: int | None
    headers: tuple[tuple[str, str], ...]
    body: bytes
    raised: tuple[str, ...]

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def exchange(app: Any, request: Request, *, backend: str = "asyncio") -> Outcome:
    """Make one request in process, on the event loop named.

    Raises:
        TimeoutError: The application does not finish.
    """
    sent: list[dict[str, Any]] = []
    raised: list[str] = []

    async def serve() -> None:
        incoming = request.messages()
        finished = anyio.Event()

        async def receive() -> dict[str, Any]:
            for message in incoming:
                return message
            await finished.wait()  # the client stays: a disconnect comes only after the answer
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(dict(message))
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                finished.set()

        with anyio.fail_after(_DEADLINE):
            try:
                await app(request.asgi_scope(), receive, send)
            except TimeoutError:
                raise
            except Exception as error:
                raised.extend(describe(error))

    anyio.run(serve, backend=backend)
    start = next((message for message in sent if message["type"] == "http.response.start"), None)
    body = b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")
    headers = () if start is None else tuple((n.decode("latin-1"), v.decode("latin-1")) for n, v in start["headers"])
    return Outcome(None if start is None else start["status"], headers, body, tuple(raised))


def describe(error: BaseException, *around: BaseException) -> list[str]:
    """An exception as lines without the framework's name: its class, its text, its cause, and a group's members.

    A member's cause may be the group itself; `around` is what encloses the exception.
    """
    if error in around:
        return ["as above"]
    lines = [_neutral(f"{type(error).__name__}: {error}")]
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            lines += ["  " + line for line in describe(member, error, *around)]
    if error.__cause__ is not None:
        lines += ["from " + line for line in describe(error.__cause__, error, *around)]
    return lines


def _neutral(text: str) -> str:
    text = re.sub(r" at 0x[0-9a-f]+", "", text)
    text = re.sub(r'File "[^"]*", line \d+', "File", text)
    text = re.sub(r"\b(fastapi|starlette|forzium)\b", "framework", text)
    return re.sub(r"\b(FastAPI|ForziumApp)\b", "FastAPI", text)


def outcome_of(work: Callable[[], Any]) -> tuple[Any, tuple[str, ...], tuple[str, ...]]:
    """Call `work`: what it returned (None if it raised), the exception, and the warnings, comparable."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value, raised = None, ()
        try:
            value = work()
        except Exception as error:
            raised = tuple(describe(error))
    return value, raised, tuple(_neutral(f"{w.category.__name__}: {w.message}") for w in caught)


def compare(
    build: Callable[[Framework], Any],
    *requests: Request,
    openapi: bool = True,
    backends: tuple[str, ...] = ("asyncio", "trio"),
    ignore_headers: frozenset[str] = frozenset(),
) -> list[Outcome]:
    """Build on both frameworks, make every request on both, and assert that nothing differs.

    Compared are errors and warnings of the declaration, the OpenAPI document, and of every request on every backend:
    status, all headers with their order, body, and what was raised to the host.

    Args:
        build: Takes a `Framework`, returns an ASGI application.
        requests: Made in this order, each application seeing all of them.
        openapi: Whether to compare ``app.openapi()`` too.
        backends: The event loops.
        ignore_headers: Header names, in lower case, whose values may differ (dates).

    Returns:
        The outcomes (equal on both), so that a test may also say what the case was about.
    """
    (oracle, *expected), (ours, *found) = (outcome_of(functools.partial(build, fw)) for fw in frameworks())
    assert found == expected, "declaring the application"
    if oracle is None:
        return []
    if openapi:
        documents = [outcome_of(app.openapi) for app in (oracle, ours)]
        assert documents[1] == documents[0], "the OpenAPI document"
        assert json.dumps(documents[1][0]) == json.dumps(documents[0][0]), "the order of the OpenAPI document's keys"
    outcomes: list[Outcome] = []
    for backend in backends:
        for request in requests:
            pair = [_without(exchange(app, request, backend=backend), ignore_headers) for app in (oracle, ours)]
            assert pair[1] == pair[0], f"{request.method} {request.target} on {backend}"
            outcomes.append(pair[1])
    return outcomes


def _without(outcome: Outcome, names: frozenset[str]) -> Outcome:
    headers = tuple((n, "" if n.lower() in names else v) for n, v in outcome.headers)
    return Outcome(outcome.status, headers, outcome.body, outcome.raised)
