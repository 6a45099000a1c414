"""Runs a source text and requests on one framework, and says all that is to be seen.

Stands on nothing, so that it can be a part of a script: a failing case prints this file, the source text and the
requests. The source text may say ``ROOT`` for the framework's name.
"""

import functools
import re
import sys
import types
import warnings
from dataclasses import dataclass, field
from typing import Any

import anyio

PRELUDE = """\
import contextlib
import datetime
import decimal
import enum
import functools
import ipaddress
import pathlib
import re
import uuid
from collections import OrderedDict, deque
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, List, Literal, NamedTuple, NewType, Optional, TypeVar, Union

import anyio
from pydantic import (
    UUID4, AfterValidator, AliasChoices, AliasPath, AnyUrl, AwareDatetime, Base64Bytes, BaseModel, BeforeValidator,
    ByteSize, ConfigDict, Discriminator, Field, IPvAnyAddress, Json, PlainSerializer, PlainValidator, PositiveInt,
    RootModel, SecretStr, Strict, StrictInt, StrictStr, StringConstraints, Tag, WrapValidator, computed_field,
    field_serializer, field_validator, model_serializer, model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic_core import PydanticCustomError
from typing_extensions import NotRequired, TypeAliasType, TypedDict

from ROOT import (
    APIRouter, BackgroundTasks, Body, Cookie, Depends, FastAPI, File, Form, Header, HTTPException, Path, Query, Request,
    Response, Security, UploadFile, WebSocket,
)
from ROOT.encoders import jsonable_encoder
from ROOT.exceptions import RequestValidationError, ResponseValidationError, StarletteHTTPException
from ROOT.requests import HTTPConnection
from ROOT.routing import APIRoute
from ROOT.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from ROOT.sse import EventSourceResponse
from ROOT.security import (
    APIKeyCookie, APIKeyHeader, APIKeyQuery, HTTPBasic, HTTPBearer, HTTPDigest, OAuth2, OAuth2AuthorizationCodeBearer,
    OAuth2PasswordBearer, OAuth2PasswordRequestForm, OAuth2PasswordRequestFormStrict, OpenIdConnect, SecurityScopes,
)

LOG: list[str] = []
FAIL: dict[str, str] = {}
VAR = ContextVar("VAR", default="unset")


class CustomError(Exception):
    pass


class Subclassed(CustomError):
    pass


class Plain(JSONResponse):
    media_type = "application/x-plain"


class Noting(APIRoute):
    def get_route_handler(self) -> Any:
        handler = super().get_route_handler()

        async def handle(request: Any) -> Any:
            LOG.append("route begins")
            response = await handler(request)
            LOG.append(f"route ends {response.status_code}")
            return response

        return handle


class OwnRequest(Request):
    async def body(self) -> bytes:
        LOG.append("own body")
        return await super().body()


class Rereading(APIRoute):
    def get_route_handler(self) -> Any:
        handler = super().get_route_handler()

        async def handle(request: Any) -> Any:
            return await handler(OwnRequest(request.scope, request.receive))

        return handle


ERRORS = {
    "http": lambda: HTTPException(418, {"at": [1]}, {"x-error": "1"}),
    "plain http": lambda: HTTPException(404),
    "empty http": lambda: HTTPException(204),
    "starlette": lambda: StarletteHTTPException(409, "starlette"),
    "custom": lambda: CustomError("custom"),
    "subclassed": lambda: Subclassed("subclassed"),
    "value": lambda: ValueError("bad"),
    "key": lambda: KeyError("k"),
    "invalid": lambda: RequestValidationError([{"type": "t", "loc": ("a",), "msg": "m", "input": None}]),
    "group": lambda: ExceptionGroup("g", [ValueError("in group")]),
    "stop": lambda: StopIteration("stop"),
    "async stop": lambda: StopAsyncIteration("stop"),
    "runtime": lambda: RuntimeError("run"),
    "group of http": lambda: ExceptionGroup("g", [HTTPException(418), ExceptionGroup("inner", [CustomError("c")])]),
    "oserror": lambda: OSError(5, "disk"),
    "timeout": lambda: TimeoutError("late"),
    "caused": lambda: caused(),
    "odd text": lambda: HTTPException(400, detail={"é": [None, 1.5]}, headers={"WWW-Authenticate": "é"}),
    "response": lambda: ResponseValidationError([{"type": "t", "loc": ("r",), "msg": "m", "input": 1}]),
}


def caused() -> Exception:
    error = CustomError("caused")
    error.__cause__ = KeyError("cause")
    return error


def at(point: str) -> None:
    LOG.append(point)
    if point in FAIL:
        raise ERRORS[FAIL[point]]()


def note(what: str, **values: Any) -> None:
    LOG.append(f"{what} got {show(values)}")


def later(name: str, key: int) -> None:
    at(f"task {name}")


async def later_async(name: str, key: int) -> None:
    await anyio.sleep(0)
    at(f"task {name}")


def own_tasks() -> BackgroundTasks:
    tasks = BackgroundTasks()
    tasks.add_task(later, "own", key=2)
    return tasks


def wrapped(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        LOG.append("wrapper")
        return function(*args, **kwargs)

    return wrapper


def wrapped_async(function: Any) -> Any:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        LOG.append("async wrapper")
        return function(*args, **kwargs)

    return wrapper


def served(q: str = "q", extra: Any = None, other: str = "o") -> Any:
    note("served", q=q, extra=extra, other=other)
    return q


def served_gen(q: str = "q", other: str = "o") -> Any:
    note("served gen", q=q, other=other)
    try:
        yield q
    finally:
        LOG.append("served gen ends")


def chunks(name: str) -> Any:
    yield "first"
    at(f"{name} chunk")
    yield b"second " + VAR.get().encode()


async def chunks_async(name: str) -> Any:
    try:
        yield b"first"
        await anyio.sleep(0)
        at(f"{name} chunk")
        yield "second " + VAR.get()
    finally:
        LOG.append("chunks end")


class Served:
    def __init__(self, q: str = "q", *, other: str = "o") -> None:
        self.q = q
        note("Served", q=q, other=other)

    def __repr__(self) -> str:
        return f"Served({self.q})"

    @classmethod
    async def of(cls, q: str = "of") -> Any:
        return cls(q)

    @staticmethod
    def static(q: str = "static") -> Any:
        return q

    async def again(self, limit: int = 3, other: str = "o") -> Any:
        note("again", limit=limit, other=other)
        return limit

    async def stream(self, limit: int = 3) -> Any:
        try:
            yield limit
        finally:
            await anyio.sleep(0)
            LOG.append("stream ends")


class Held:
    pass
"""


def show(value: Any) -> Any:
    """A value with the types of everything in it, in ASCII."""
    kind = type(value).__name__
    if kind == "ValidatorIterator":  # pydantic's, of an `Iterable`: it shows hash tables
        return kind
    if hasattr(value, "filename") and hasattr(value, "file"):
        content = value.file.read()
        value.file.seek(0)
        return [kind, value.filename, value.content_type, value.size, value.headers.raw, content[:80]]
    if hasattr(type(value), "model_fields"):
        return [kind, show(dict(value.__dict__)), sorted(value.model_fields_set), show(value.model_extra)]
    if isinstance(value, dict):
        return [kind, *((ascii(key), show(item)) for key, item in value.items())]
    if isinstance(value, (set, frozenset)):
        return [kind, *sorted(ascii(show(item)) for item in value)]
    if isinstance(value, (list, tuple)) or kind == "deque":
        return [kind, *(show(item) for item in value)]
    return f"{kind} {neutral(ascii(value))}"


def neutral(text: str) -> str:
    """A text without the framework's name, without addresses, and without hash tables of pydantic's."""
    text = re.sub(r"( at )?\b0x[0-9a-f]{7,}", "", text)
    text = re.sub(r"ValidatorIterator\(index=.*\)", "ValidatorIterator", text)
    return re.sub(r"\b(fastapi|starlette|forzium)(\.\w+)*\b", "framework", text)


def describe(error: BaseException, *around: BaseException) -> list[str]:
    """An exception as lines: its class, its text, its cause, and a group's members, of a trio nursery's in no order.

    Starlette's middleware may make a cause of what the exception is a member of itself.
    """
    if error in around:
        return ["as above"]
    lines = [neutral(f"{type(error).__name__}: {error}").encode("ascii", "backslashreplace").decode()]
    if isinstance(error, BaseExceptionGroup):
        members = [["  " + line for line in describe(each, error, *around)] for each in error.exceptions]
        for member in sorted(members) if "Trio" in error.message else members:
            lines += member
    if error.__cause__ is not None:
        lines += ["from " + line for line in describe(error.__cause__, error, *around)]
    return lines


def _undated(value: bytes) -> bytes:
    return re.sub(rb"expires=[^;]* GMT", b"expires=then", value)


@dataclass
class Step:
    """One request, and what is done before it.

    Attributes:
        method: The method, or ``WEBSOCKET``.
        path: The path, decoded, as servers give it.
        query: The query string.
        headers: Names and values.
        chunks: The body, in messages.
        leaves: Whether the client goes away after these, the body being incomplete.
        fail: Which error to raise at which point.
        change: A statement to execute before.
        scope: What the host says otherwise, in place of the scope's usual entries; None takes one away.
        waits: Whether the host's `receive` and `send` wait a turn each.
    """

    method: str
    path: str
    query: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=lambda: [b""])
    fail: dict[str, str] = field(default_factory=dict)
    change: str = ""
    leaves: bool = False
    scope: dict[str, Any] = field(default_factory=dict)
    waits: bool = False


@dataclass
class Outcome:
    """What a host and the user's own code see of one request."""

    status: int | None
    headers: list[tuple[bytes, bytes]]
    body: bytes
    raised: list[str]
    log: list[str]


@dataclass
class Run:
    """What one framework makes of a case."""

    declared: list[str]
    outcomes: list[Outcome]
    openapi: Any = None


@functools.lru_cache(maxsize=4)
def _code(source: str, root: str) -> types.CodeType:
    return compile(re.sub(r"\bROOT\b", root, source), "<application>", "exec", dont_inherit=True)


def load(source: str, root: str) -> types.ModuleType:
    """Execute a source text with the framework of that name."""
    module = types.ModuleType("application")
    # Annotations are looked up in the module of that name, also after the definition.
    sys.modules["application"] = module
    module.__dict__.update(show=show, describe=describe)
    exec(_code(source, root), module.__dict__)
    return module


async def exchange(module: types.ModuleType, step: Step) -> Outcome:
    """Make one request."""
    module.LOG.clear()
    module.FAIL.clear()
    module.FAIL.update(step.fail)
    if step.change:
        try:
            exec(step.change, module.__dict__)
        except Exception as error:
            module.LOG.append(f"cannot change: {type(error).__name__}")
    sent: list[dict[str, Any]] = []
    raised: list[str] = []
    is_socket = step.method == "WEBSOCKET"
    incoming: list[dict[str, Any]] = [
        {"type": "http.request", "body": chunk, "more_body": step.leaves or index + 1 < len(step.chunks)}
        for index, chunk in enumerate(step.chunks)
    ]
    if is_socket:
        incoming = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "hello"}]
    finished = anyio.Event()

    async def receive() -> dict[str, Any]:
        if step.waits:
            await anyio.sleep(0)
        if incoming:
            return incoming.pop(0)
        if is_socket:
            return {"type": "websocket.disconnect", "code": 1005, "reason": ""}
        if not step.leaves:
            await finished.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if step.waits:
            await anyio.sleep(0)
        sent.append(dict(message))
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            finished.set()

    scope: dict[str, Any] = {
        "type": "websocket" if is_socket else "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": step.method,
        "scheme": "ws" if is_socket else "http",
        "path": step.path,
        "raw_path": step.path.encode("utf-8", "surrogateescape"),
        "root_path": "",
        "query_string": step.query,
        "headers": list(step.headers),
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
        "state": {},
    }
    if is_socket:
        del scope["method"]
        scope["subprotocols"] = []
    scope = {name: value for name, value in (scope | step.scope).items() if value is not None}
    with anyio.move_on_after(20) as deadline:
        try:
            await module.app(scope, receive, send)
        except Exception as error:
            raised = describe(error)
    if deadline.cancelled_caught:
        raised = ["it hangs"]
    if is_socket:
        return Outcome(None, [], repr(sent).encode(), raised, list(module.LOG))
    start = next((message for message in sent if message["type"] == "http.response.start"), None)
    body = b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")
    status, headers = (
        (None, [])
        if start is None
        else (start["status"], [(name, _undated(value)) for name, value in start["headers"]])
    )
    return Outcome(status, headers, body, raised, list(module.LOG))


def run(root: str, source: str, steps: list[Step], backend: str = "asyncio", openapi: bool = False) -> Run:
    """Run a case on one framework."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # Of earlier cases, which read forms and did not close them, or made coroutines in a thread.
        warnings.simplefilter("ignore", ResourceWarning)
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        try:
            module = load(source, root)
        except Exception as error:
            return Run(describe(error), [])
    result = Run([neutral(f"{each.category.__name__}: {each.message}") for each in caught], [])

    async def serve() -> None:
        async def one(step: Step) -> None:
            result.outcomes.append(await exchange(module, step))

        for step in steps:
            async with anyio.create_task_group() as tasks:  # a task for each request, as servers have
                tasks.start_soon(one, step)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        anyio.run(serve, backend=backend)
        if openapi:
            try:
                result.openapi = module.app.openapi()
            except Exception as error:
                result.openapi = describe(error)
    return result
