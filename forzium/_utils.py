"""Small things several modules need: callables, host headers, route paths, task groups.

Layer: ground, beside `forzium.types`.
Not for: anything that knows a request, a response or a route.

Source: `starlette._utils`, whose names are all here.
"""

import functools
import inspect
import operator
import re
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, overload

from typing_extensions import TypeIs

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from forzium.types import Scope

__all__ = [
    "AwaitableCallable",
    "AwaitableOrContextManager",
    "AwaitableOrContextManagerWrapper",
    "ParsedHost",
    "SupportsAsyncClose",
    "create_collapsing_task_group",
    "get_route_path",
    "is_async_callable",
    "parse_host_header",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
AwaitableCallable = Callable[..., Awaitable[T]]


def _is_coroutine_function(obj: Any) -> bool:
    if inspect.iscoroutinefunction(obj):
        return True
    if sys.version_info >= (3, 12):
        return False
    # Before 3.12 a function was marked as a coroutine function with a token of asyncio's (mocks, asgiref). Whoever set
    # the mark has imported asyncio, so there is no need to.
    token = getattr(sys.modules.get("asyncio.coroutines"), "_is_coroutine", None)
    return token is not None and getattr(obj, "_is_coroutine", None) is token


@overload
def is_async_callable(obj: AwaitableCallable[T]) -> TypeIs[AwaitableCallable[T]]: ...


@overload
def is_async_callable(obj: Any) -> TypeIs[AwaitableCallable[Any]]: ...


def is_async_callable(obj: Any) -> Any:
    """Say whether calling `obj` gives a coroutine: `async def`, an object with an async `__call__`, a partial of such.

    Source: `starlette._utils.is_async_callable`.
    """
    while isinstance(obj, functools.partial):
        obj = obj.func
    if type(obj) is FunctionType and obj.__code__.co_flags & inspect.CO_COROUTINE:
        return True  # by far the commonest, and asked for every background task
    return _is_coroutine_function(obj) or (callable(obj) and _is_coroutine_function(obj.__call__))


def as_written(*classes: type, methods: Iterable[str], fields: Iterable[str]) -> Callable[[], bool]:
    """Remember classes as they are now: gives a function that tells whether nobody has put anything else in since.

    Args:
        *classes: One, and those it is derived from.
        methods: Names of attributes, which must be what they were.
        fields: Names of attributes of instances, which a class must not have.
    """

    def found() -> list[Any]:
        return [getattr(of, name) for of in classes for name in methods]

    written = found()

    def holds() -> bool:
        if any(hasattr(of, name) for of in classes for name in fields):
            return False
        return all(map(operator.is_, found(), written))

    return holds


class AwaitableOrContextManager(Awaitable[T_co], AbstractAsyncContextManager[T_co], Protocol[T_co]):
    """What may be awaited for its value, or entered for the value and left to close it."""


class SupportsAsyncClose(Protocol):
    """What has an asynchronous `close`."""

    async def close(self) -> None: ...


_Closable = TypeVar("_Closable", bound=SupportsAsyncClose)


class AwaitableOrContextManagerWrapper(Generic[_Closable]):
    """Make an awaitable usable as `await x` and as `async with x as value`, closing the value at the end of the latter.

    Source: `starlette._utils.AwaitableOrContextManagerWrapper`.
    """

    __slots__ = ("aw", "entered")

    def __init__(self, aw: Awaitable[_Closable]) -> None:
        self.aw = aw

    def __await__(self) -> Generator[Any, None, _Closable]:
        return self.aw.__await__()

    async def __aenter__(self) -> _Closable:
        self.entered = await self.aw
        return self.entered

    async def __aexit__(self, *args: Any) -> bool | None:
        await self.entered.close()
        return None


@asynccontextmanager
async def create_collapsing_task_group() -> AsyncGenerator["TaskGroup", None]:
    """Open an anyio task group which raises a single error as itself, not as a group of one.

    The error keeps the cause it had; where it had none, the context it was raised in is shown as its cause.

    Source: `starlette._utils.create_collapsing_task_group`.
    """
    import anyio

    try:
        async with anyio.create_task_group() as task_group:
            yield task_group
    except BaseExceptionGroup as group:
        if len(group.exceptions) > 1:
            raise
        only = group.exceptions[0]
        cause = only.__cause__
        if cause is None and not only.__suppress_context__:
            cause = only.__context__
        raise only from cause


# A registered name, an IPv4 address, or an IP literal in brackets (RFC 3986, 3.2.2), then perhaps a port. Everything
# that could move the border between host and path ("/", "?", "#", "\", "@", spaces) does not match.
_HOST = re.compile(
    r"""
    (?P<host>
        [a-z0-9._~%!$&'()*+,;=-]+
      | \[ (?: (?P<ipv6> [a-f0-9]* : [a-f0-9.:]+ ) | (?-i:v) [a-f0-9]+ \. [a-z0-9._~!$&'()*+,;=:-]+ ) \]
    )
    (?: : (?P<port> [0-9]+ ) )?
    """,
    re.IGNORECASE | re.VERBOSE,
)
MAX_PORT = 65535
"""The highest TCP port, 16 bits (RFC 9293, 3.1)."""


@dataclass(frozen=True, slots=True)
class ParsedHost:
    """A `Host` header in parts: `host` (an IP literal keeps its brackets) and `port` (digits, None where absent)."""

    host: str
    port: str | None

    @property
    def authority(self) -> str:
        """`host:port`, or only the host where there is no port."""
        return self.host if self.port is None else f"{self.host}:{self.port}"

    @property
    def is_valid_port(self) -> bool:
        """Whether the port is absent or fits 16 bits; leading zeros do not count."""
        if self.port is None:
            return True
        digits = self.port.lstrip("0")
        return len(digits) <= len(str(MAX_PORT)) and int(digits or "0") <= MAX_PORT


def parse_host_header(host_header: str | None) -> ParsedHost | None:
    """Take a `Host` header apart.

    Gives None for a header that is absent, or that is no host by RFC 3986.

    Source: RFC 9110, 7.2; RFC 3986, 3.2; `starlette._utils.parse_host_header`.
    """
    if host_header is None:
        return None
    found = _HOST.fullmatch(host_header)
    if found is None:
        return None
    host, ipv6, port = found.group("host", "ipv6", "port")
    if ipv6 is not None:
        from ipaddress import AddressValueError, IPv6Address

        try:
            IPv6Address(ipv6)
        except AddressValueError:
            return None
    return ParsedHost(host, port)


def get_route_path(scope: "Scope") -> str:
    """Give the part of the path that routes are matched against: the path without the `root_path` before it.

    A path that does not lie under `root_path` is given whole; one that equals it gives "".

    Source: ASGI (`root_path`); `starlette._utils.get_route_path`.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if not root or not path.startswith(root):
        return path
    rest = path[len(root) :]
    return rest if not rest or rest[0] == "/" else path
