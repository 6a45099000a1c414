"""The native core: the ASGI callables, and what they are compiled from.

Nothing here is for users of forzium but through the modules that re-export it (`forzium.json`, `forzium.applications`).
"""

from asyncio import AbstractEventLoop
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, MutableMapping
from collections.abc import Awaitable as _Awaitable
from contextvars import ContextVar
from threading import local
from typing import Any, Literal, Self, TypeVar, final

from anyio import CapacityLimiter
from typing_extensions import disjoint_base

from forzium.websockets import WebSocketState

__all__ = [
    "Around",
    "AsgiApp",
    "Authentication",
    "Awaitable",
    "BodyCounter",
    "BodyLimit",
    "CallNext",
    "Chain",
    "Coder",
    "Compress",
    "Cors",
    "Crew",
    "DisconnectWatch",
    "Dispatcher",
    "Exchange",
    "Exits",
    "FormReader",
    "Frames",
    "Handler",
    "HttpsRedirect",
    "Method",
    "Outlet",
    "Plan",
    "Routes",
    "Run",
    "Sender",
    "Sessions",
    "Socket",
    "Table",
    "TrustedHost",
    "add_task",
    "declared",
    "dumps",
    "first_header",
    "form_kind",
    "http_exception_init",
    "in_thread",
    "lane",
    "loads",
    "native",
    "owe_background",
    "parse_cookies",
    "parse_query",
    "place",
    "plain_url",
    "solve_values",
    "until_disconnect",
]

_F = TypeVar("_F", bound=Callable[..., Any])
_Scope = MutableMapping[str, Any]
_Receive = Callable[[], _Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], _Awaitable[None]]

@final
class Awaitable(Coroutine[Any, Any, Any]):
    """A piece of work under way, with the interface of a coroutine (PEP 492).

    It drives what it waits for itself and passes up what that yields: it runs under any event loop,
    and creates no task.
    """

    @property
    def cr_await(self) -> Any: ...
    @property
    def cr_frame(self) -> None: ...
    @property
    def cr_running(self) -> bool: ...
    @property
    def cr_suspended(self) -> bool: ...
    def __await__(self) -> Awaitable: ...
    def __iter__(self) -> Awaitable: ...
    def __next__(self) -> Any: ...
    def send(self, value: Any) -> Any: ...
    def throw(self, typ: Any, val: Any = None, tb: Any = None, /) -> Any: ...
    def close(self) -> None: ...

@final
class Exchange(Coroutine[Any, Any, Any]):
    """A call of a method of `WebSocket`, under way, with the interface of a coroutine (PEP 492)."""

    @property
    def cr_await(self) -> Any: ...
    @property
    def cr_frame(self) -> None: ...
    @property
    def cr_running(self) -> bool: ...
    @property
    def cr_suspended(self) -> bool: ...
    @property
    def __qualname__(self) -> str: ...
    def __await__(self) -> Exchange: ...
    def __iter__(self) -> Exchange: ...
    def __next__(self) -> Any: ...
    def send(self, value: Any) -> Any: ...
    def throw(self, typ: Any, val: Any = None, tb: Any = None, /) -> Any: ...
    def close(self) -> None: ...

@final
class Frames(AsyncGenerator[Any, Any]):
    """An iteration over what the client sends, with the interface of an asynchronous generator (PEP 525)."""

    @property
    def ag_running(self) -> bool: ...
    def __aiter__(self) -> Frames: ...
    def __anext__(self) -> Exchange: ...
    def asend(self, value: Any) -> Exchange: ...
    def athrow(self, typ: Any, val: Any = None, tb: Any = None, /) -> Exchange: ...
    def aclose(self) -> Exchange: ...

@final
class Method:
    """What stands in a class for a function, and looks like it.

    Made by `native`, `add_task` and `http_exception_init`.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def __get__(self, instance: Any, owner: Any = None, /) -> Any: ...

@disjoint_base
class Socket:
    """The base of `WebSocket`: the host's callables, and how far the client and the application have come."""

    _receive: _Receive
    _send: _Send
    client_state: WebSocketState
    application_state: WebSocketState
    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self: ...

class Around:
    """The base of `BaseHTTPMiddleware`: calling an instance lets its `dispatch_func` answer, around its `app`."""

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Around: ...
    def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> _Awaitable[None]: ...

@final
class CallNext:
    """What `dispatch` is given to run the rest of the chain with."""

    def __call__(self, request: Any) -> Run: ...

@final
class Run(Coroutine[Any, Any, Any]):
    """One run of the rest of the chain, and the awaitable of its response."""

    @property
    def only_chunk(self) -> Any: ...
    @property
    def apart(self) -> Any: ...
    @property
    def receiving(self) -> set[Any]: ...
    def __await__(self) -> Run: ...
    def __iter__(self) -> Run: ...
    def __next__(self) -> Any: ...
    def send(self, value: Any) -> Any: ...
    def throw(self, typ: Any, val: Any = None, tb: Any = None, /) -> Any: ...
    def close(self) -> None: ...

@disjoint_base
class AsgiApp:
    """The base of an application: calling an instance answers a connection, as ASGI 3.0 says.

    Raises (when called):
        TypeError: The scope is not a dict, or its `type` is none that ASGI 3.0 knows.
        KeyError: A key that ASGI requires is missing.
    """

    def __new__(cls, *_args: Any, **_kwargs: Any) -> AsgiApp: ...
    def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> Awaitable: ...
    def _unwatched(self, scope: _Scope, receive: _Receive, send: _Send) -> Awaitable: ...
    def _forget(self) -> None: ...

@final
class Dispatcher:
    """A router's ASGI callable: routing, and what follows it, without an application's exception handlers."""

    def __new__(cls, router: Any) -> Dispatcher: ...
    def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> Awaitable: ...
    @property
    def table(self) -> Table: ...

@final
class Routes:
    """An application's routes inside of its exception handlers.

    Args:
        router: Answers a lifespan.
        dispatcher: The router's.
        handlers: By exception class and by status, as the scope carries them.
        watched: The same as an ASGI application in Python, for requests that telemetry watches.
    """

    def __new__(
        cls, router: Any, dispatcher: Dispatcher, handlers: tuple[dict[Any, Any], dict[int, Any]], watched: Any
    ) -> Routes: ...

@final
class Chain:
    """Middleware around routes or an ASGI application, as an ASGI application.

    Args:
        links: What each middleware's `_link` is, the outermost first.
        end: `Routes`, or an ASGI application.

    Raises:
        TypeError: One of `links` is none.
    """

    def __new__(cls, links: Iterable[Any], end: Any) -> Chain: ...
    def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> _Awaitable[None]: ...
    @property
    def app(self) -> Any: ...

@final
class Cors:
    """The options of a `CORSMiddleware`.

    Args:
        middleware: The object that has them as attributes.
        decide: Asked `(origin=...)` whether an origin is allowed, instead of the options. None: the options say.
    """

    def __new__(cls, middleware: Any, decide: Any) -> Cors: ...
    def allows(self, origin: str) -> bool: ...
    def preflight(
        self, origin: str, method: str, headers: str | None, private_network: bool
    ) -> tuple[str, int, dict[str, str]]:
        """Answer a preflight request: text, status and headers."""
    def dressed(self, headers: Iterable[tuple[bytes, bytes]], origin: bytes | None) -> list[tuple[bytes, bytes]]:
        """Return the headers of a response to a request from `origin`, in a new list."""

@final
class Coder:
    """Writes one body in a content coding.

    Args:
        coding: `"gzip"`, `"br"` or `"zstd"`.
        level: Of the coding.

    Raises:
        ValueError: The coding is not known, or has no such level.
    """

    def __new__(cls, coding: str, level: int) -> Coder: ...
    def code(self, data: bytes, last: bool) -> bytes:
        """Return the coded form of a piece; with the last one the end of the coding."""

@final
class Compress:
    """The options of a middleware that compresses.

    Args:
        codings: Names and levels, the preferred first.
        weighs: Whether `Accept-Encoding` is weighed as RFC 9110 says; else the one coding is used where it is named.
        minimum_size: Bytes from which a body is coded.
        thread_minimum_size: Bytes in one piece from which a worker thread codes.
        exclude_content_types: Media types left alone, in lower case.

    Raises:
        ValueError: A coding is not known, or has no such level.
    """

    def __new__(
        cls,
        codings: Iterable[tuple[str, int]],
        *,
        weighs: bool,
        minimum_size: int,
        thread_minimum_size: int,
        exclude_content_types: Iterable[str],
    ) -> Compress: ...
    def outlet(self, send: _Send, apply: Callable[..., _Awaitable[bytes]], name: str) -> Outlet:
        """Return the `send` for one response whose pieces `apply(body, more_body=...)` codes."""

@final
class Outlet:
    """`send` as what is enclosed by middleware gets it: changes messages, then sends them."""

    def __call__(self, message: MutableMapping[str, Any]) -> _Awaitable[None]: ...

@final
class BodyLimit:
    """What a `RequestBodyLimitMiddleware` does.

    Args:
        max_body_size: In bytes.
        ungroups: Whether a group of nothing but the limit's own exceptions counts as one of them.
    """

    def __new__(cls, max_body_size: int, *, ungroups: bool) -> BodyLimit: ...

@final
class BodyCounter:
    """Counts the bytes of one request's body, in the place of `receive`; limits further inside set `max_body_size`."""

    max_body_size: int
    @property
    def total_size(self) -> int: ...
    def __call__(self, *_: Any, **__: Any) -> Awaitable:
        """Return the next message; takes no arguments."""

@final
class HttpsRedirect:
    """What an `HTTPSRedirectMiddleware` does.

    Args:
        redirect: `(scope) -> Response`, for a scope whose scheme is not secure.
    """

    def __new__(cls, redirect: Callable[[Any], Any]) -> HttpsRedirect: ...

@final
class Sessions:
    """What a `SessionMiddleware` does.

    Args:
        cookie: Its name.
        new: Makes an empty session.
        read: Gives the session that a cookie holds, or None.
        write: `(session, whether the request brought it)`, for one that was changed: the value of `Set-Cookie` or None.
    """

    def __new__(
        cls,
        cookie: str,
        new: Callable[[], Any],
        read: Callable[[str], Any],
        write: Callable[[Any, bool], bytes | None],
    ) -> Sessions: ...

@final
class Authentication:
    """What an `AuthenticationMiddleware` does.

    Args:
        backend: Its `authenticate(conn)` is awaited: who is calling, or None.
        admit: `(scope, what authenticate gave)`.
        refuse: `(conn, AuthenticationError)`: the response; for a WebSocket the message that closes it.
    """

    def __new__(
        cls,
        backend: Any,
        admit: Callable[[Any, Any], None],
        refuse: Callable[[Any, Any], Any],
    ) -> Authentication: ...

@final
class TrustedHost:
    """The options of a `TrustedHostMiddleware`.

    Args:
        middleware: The object that has them as attributes.
        parse: Gives the host that a header names, in lower case, for what is not plainly a name.
        refuse: `(scope, host or None) -> Response`.
    """

    def __new__(
        cls, middleware: Any, parse: Callable[[str | None], str | None], refuse: Callable[[Any, str | None], Any]
    ) -> TrustedHost: ...

@final
class Table:
    """The routes of a router, in order, made of `EntrySpec`s.

    Args:
        entries: The routes.
        redirect_slashes: Whether a path is tried with its last slash added or taken away.
        default: The ASGI application for what no route answers. None: 404.
        low_priority: `(scope, receive, send) -> bool`, awaited before the default.
        marks_route: Whether `scope["route"]` is set for opaque routes, too.
        form_limits: Puts the router's form limits into the scope. None: it has none.
    """

    def __new__(
        cls,
        entries: Iterable[Any],
        *,
        redirect_slashes: bool,
        default: Any,
        low_priority: Any,
        marks_route: bool,
        form_limits: Any,
    ) -> Table: ...
    def find(self, scope: _Scope) -> tuple[int, bool, dict[str, Any]] | None: ...
    def entry(self, index: int) -> tuple[Any, Any, Any, bool]: ...
    def entry_plan(self, index: int) -> Plan: ...

@final
class Plan:
    """A compiled operation, made of a `PlanSpec`.

    Raises:
        ValueError: The description contradicts itself.
    """

    def __new__(cls, spec: Any) -> Plan: ...
    @property
    def spec(self) -> Any: ...

@final
class FormReader:
    """A form while its body is read, for the parsers of `forzium.formparsers`."""

    @staticmethod
    def urlencoded(*, max_fields: float, max_part_size: float) -> FormReader:
        """Make a reader of `application/x-www-form-urlencoded`."""
    @staticmethod
    def multipart(
        content_type: str, *, max_files: float, max_fields: float, max_part_size: float, spool_max_size: float
    ) -> FormReader:
        """Make a reader of `multipart/form-data` with the boundary and charset of this media type.

        Raises:
            MultiPartException: There is no boundary, or it is too long.
        """
    def feed(self, chunk: bytes) -> list[Any] | None:
        """Take the next chunk; give what `formparsers.write_files` has to write before the next one, if anything.

        Raises:
            MultiPartException: The body is malformed or exceeds a limit.
        """
    def finish(self) -> list[tuple[str, Any]]:
        """Give the fields: names with texts or `UploadFile`s, which are the caller's to close from here on.

        Raises:
            MultiPartException: The body has broken off, or exceeds a limit.
        """
    def close(self) -> None:
        """Close the files, unless the fields were given."""

@final
class Handler:
    """A plan as a function `request -> Response` (or `websocket -> None`), for route classes that wrap it.

    Args:
        compile: `(overrides or None) -> Plan`.
        provider: Who has the `dependency_overrides`; may be None.
        websocket: Whether it is for WebSockets. Default is no.
    """

    def __new__(cls, compile: Callable[[Any], Plan], provider: Any, *, websocket: bool = False) -> Handler: ...
    def __call__(self, request: Any) -> Awaitable: ...

@final
class Exits:
    """Clean-up of dependencies, for an `AsyncExitStack`."""

    def leave(self, exception: BaseException | None) -> Awaitable: ...

@final
class Sender:
    """The `send` that is handed to responses: notes when the response starts."""

    def __call__(self, message: MutableMapping[str, Any]) -> _Awaitable[None]: ...

@final
class DisconnectWatch:
    """Listens to a host's `receive` for one request under asyncio, without a task of its own.

    To code inside `receive` it stands for a task. It begins when the request first waits.

    Args:
        receive: The host's.
    """

    def __new__(cls, receive: Callable[[], _Awaitable[MutableMapping[str, Any]]]) -> DisconnectWatch: ...
    @property
    def left(self) -> bool:
        """Whether the client has left."""

    @property
    def _fut_waiter(self) -> Any:
        """The future it waits for, if any."""

    @property
    def _must_cancel(self) -> bool:
        """Whether `receive` is to end when it goes on the next time."""

    def __call__(self, future: Any, /) -> None: ...
    def __exit__(self, kind: Any, error: Any, traceback: Any, /) -> bool:
        """Whether an exception is the cancellation that only the client's leaving was a reason for."""

    def receive(self) -> _Awaitable[MutableMapping[str, Any]]:
        """The `receive` of those who ask for messages."""

    def take(self) -> MutableMapping[str, Any] | None:
        """The next message that has come, `None` if there is none yet. Raises what `receive` raised, once."""

    def coming(self) -> Any:
        """A future that is done as soon as something has come."""

    def close(self) -> None:
        """End the listening. Who asks for a message later has it asked for anew."""

    def cancel(self, msg: Any = None) -> bool:
        """End the listening, as `asyncio.Task.cancel` does a task."""

    def cancelling(self) -> int:
        """How often it was to be cancelled and nobody took it back."""

    def uncancel(self) -> int:
        """Take one cancellation back."""

    def done(self) -> bool:
        """Whether `receive` has ended."""

    def get_coro(self) -> Any:
        """The coroutine of `receive`, if it goes on."""

    def get_name(self) -> str:
        """A name for tools."""

    def get_loop(self) -> Any:
        """The event loop it belongs to."""

def until_disconnect(request: Any, watch: Any, awaitable: _Awaitable[Any]) -> Awaitable:
    """Wait for `awaitable` on behalf of a request that Python code made, and cancel it when the client leaves."""

def declared() -> None:
    """Say that a declaration has changed: what was compiled is looked at again."""

def solve_values(
    plan: Plan, request: Any, body: tuple[Any] | None, background: Any, response: Any, *, websocket: bool
) -> Awaitable:
    """Solve the dependencies of a plan without calling its endpoint.

    Gives `(values or None, errors, background tasks, response)`.
    """

def place() -> tuple[Any, Any] | None:
    """Tell the current task and the innermost cancel scope opened in it. None: that cannot be told."""

def form_kind(content_type: str, /) -> Literal["urlencoded", "multipart"] | None:
    """Say which form a media type says a body is."""

def in_thread(func: Callable[..., Any], args: tuple[Any, ...], /, *, limited: bool = True) -> Awaitable | None:
    """Have `func(*args)` called in a worker thread. None where the running event loop is not asyncio's.

    Args:
        func: What to call.
        args: Its arguments.
        limited: Whether it takes a token of anyio's default thread limiter. Default is True.
    """

def lane() -> tuple[int, int] | None:
    """Tell by which lane the next call may be made without a token, and count it. None: the request holds nothing.

    Returns:
        What the request goes by, and how many calls it has made while it held something.
    """

@final
class Crew:
    """The worker threads of one asyncio event loop.

    Args:
        event_loop: The event loop.
        limiter: anyio's default thread limiter.
        start_thread: `(crew) -> None`: starts a thread that calls `work`.
        wait_for_token: `(crew, token) -> None`: has a token of the limiter waited for; then `granted` is called.
        threadlocals: The `threading.local` by which `anyio.from_thread` knows a worker thread.
        task_states: What anyio knows of each task, by weak reference.
        library: The context variable that names the running asynchronous library, if there is one.
    """

    def __new__(
        cls,
        event_loop: AbstractEventLoop,
        limiter: CapacityLimiter,
        *,
        start_thread: Callable[[Crew], None],
        wait_for_token: Callable[[Crew, object], None],
        threadlocals: local,
        task_states: dict[Any, Any],
        library: ContextVar[str | None] | None,
    ) -> Crew: ...
    @property
    def dismissed(self) -> bool:
        """Whether it takes no calls any more."""

    def work(self) -> None:
        """Make calls, in a thread of its own, until there is none for some time."""

    def dismiss(self, *_args: Any) -> None:
        """Let the threads end as soon as they have nothing to do."""

    def abandon(self) -> None:
        """Forget threads that are not there, in a forked process."""

    def report(self) -> None:
        """Hand out what the calls came to, in the event loop."""

    def grow(self) -> None:
        """Take more tokens and wake more threads, in the event loop."""

    def granted(self, token: object | None) -> None:
        """Take a token that was waited for; None: the wait was given up."""

def parse_query(query: bytes, /) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Read the pairs of a query string, in order, blank values kept; and of each name the last value.

    Source: `urllib.parse.parse_qsl(query.decode("latin-1"), keep_blank_values=True)`.
    """

def first_header(lines: Iterable[tuple[bytes, bytes]], key: str, /) -> str | None:
    """Find the first value of a header among the lines of an ASGI message. The names are lower case, `key` need not be.

    Raises:
        UnicodeEncodeError: `key` is outside latin-1.
    """

def plain_url(scope: _Scope, /) -> str | None:
    """Build the URL of a scope in which everything can stand as it is, and the host is one beyond doubt.

    None for any other scope.
    """

def parse_cookies(header: str, /) -> dict[str, str]:
    """Read the cookies of a `Cookie` header; where a name comes twice the later one counts.

    Source: RFC 6265, section 5.4, as leniently as browsers.
    """

def loads(data: bytes | bytearray | memoryview | str, /) -> Any:
    """Return the value that `json.loads` returns. See `forzium.json`."""

def native(function: _F, /) -> _F:
    """Make a method of `WebSocket` of the coroutine or generator function that declares it; its body is never run.

    Raises:
        TypeError: A name that is none of them.
    """

def add_task(function: _F, /) -> _F:
    """Make the method `add_task` of `BackgroundTasks` of the function that declares it.

    That is called where the classes are not as they were written, or the arguments do not fit.
    """

def owe_background() -> None:
    """Say that an operation has `background_always`: from now on every request has a place for the tasks it owes."""

def http_exception_init(function: _F, /) -> _F:
    """Make the method `__init__` of `HTTPException` of the function that declares it.

    That is called where the class is not as it was written, for another class, or without a detail.
    """

def dumps(obj: Any, /, *, default: Callable[[Any], Any] | None = None) -> bytes:
    """Return `obj` as JSON text in UTF-8, without spaces. See `forzium.json`."""
