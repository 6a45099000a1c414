"""Who makes a request: users, their scopes, and endpoints that require some.

Stands on ``requests``, ``responses`` and ``websockets``. ``middleware.authentication`` asks an `AuthenticationBackend`
and puts its answer where `request.user` and `request.auth` find it.

Not for: ``forzium.security``, FastAPI's security schemes as dependencies, which is another mechanism.

Source: ``starlette.authentication``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec

from forzium._utils import is_async_callable
from forzium.exceptions import StarletteHTTPException
from forzium.requests import HTTPConnection, Request
from forzium.websockets import WebSocket

if TYPE_CHECKING:
    from forzium.responses import Response

__all__ = [
    "AuthCredentials",
    "AuthenticationBackend",
    "AuthenticationError",
    "BaseUser",
    "SimpleUser",
    "UnauthenticatedUser",
    "has_required_scope",
    "requires",
]

P = ParamSpec("P")


def has_required_scope(conn: HTTPConnection, scopes: Sequence[str]) -> bool:
    """Whether the connection was granted all of these scopes."""
    return all(scope in conn.auth.scopes for scope in scopes)


def requires(
    scopes: str | Sequence[str], status_code: int = 403, redirect: str | None = None
) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
    """Let only those into an endpoint who were granted scopes; a WebSocket is closed otherwise.

    Args:
        scopes: The scope, or all the scopes, needed.
        status_code: What others are answered with. Default is 403.
        redirect: Name of a route to send others to instead, with the URL they wanted as ``next``. Default is none.

    Raises:
        Exception: (on decorating) the endpoint has no parameter called ``request`` or ``websocket``.
    """
    needed = [scopes] if isinstance(scopes, str) else list(scopes)

    def decorator(func: Callable[P, Any]) -> Callable[P, Any]:
        position, name = _connection_parameter(func)

        def connection(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            found = kwargs.get(name, args[position] if position < len(args) else None)
            kind = WebSocket if name == "websocket" else Request
            assert isinstance(found, kind), (
                f"Parameter with name '{name}' is required to be of type '{kind.__name__}' not '{type(found).__name__}'"
            )
            return found

        if name == "websocket":

            @functools.wraps(func)
            async def websocket_wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
                websocket = connection(args, kwargs)
                if has_required_scope(websocket, needed):
                    await func(*args, **kwargs)
                else:
                    await websocket.close()

            return websocket_wrapper

        if is_async_callable(func):

            @functools.wraps(func)
            async def async_wrapper(*args: P.args, **kwargs: P.kwargs) -> Any:
                request = connection(args, kwargs)
                if has_required_scope(request, needed):
                    return await func(*args, **kwargs)
                return _refuse(request, status_code, redirect)

            return async_wrapper

        @functools.wraps(func)
        def sync_wrapper(*args: P.args, **kwargs: P.kwargs) -> Any:
            request = connection(args, kwargs)
            if has_required_scope(request, needed):
                return func(*args, **kwargs)
            return _refuse(request, status_code, redirect)

        return sync_wrapper

    return decorator


def _connection_parameter(func: Callable[..., Any]) -> tuple[int, str]:
    import inspect

    for position, name in enumerate(inspect.signature(func).parameters):
        if name in ("request", "websocket"):
            return position, name
    raise Exception(f'No "request" or "websocket" argument on function "{func}"')


def _refuse(request: Request, status_code: int, redirect: str | None) -> Response:
    if redirect is None:
        raise StarletteHTTPException(status_code=status_code)
    from urllib.parse import urlencode

    from forzium.responses import RedirectResponse

    wanted = urlencode({"next": str(request.url)})
    return RedirectResponse(url=f"{request.url_for(redirect)}?{wanted}", status_code=303)


class AuthenticationError(Exception):
    """Raised by a backend that cannot accept what the client sent."""


class AuthenticationBackend:
    """Finds out who makes a request. Subclasses override `authenticate`."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        """Give the credentials and the user, or ``None`` for a client that named nobody.

        Raises:
            AuthenticationError: the client cannot be accepted.
        """
        raise NotImplementedError


class AuthCredentials:
    """What a client may do. ``scopes`` is a list of its own."""

    def __init__(self, scopes: Sequence[str] | None = None) -> None:
        self.scopes = [] if scopes is None else list(scopes)


class BaseUser:
    """What every user answers. Subclasses override all of it."""

    @property
    def is_authenticated(self) -> bool:
        """Whether it is known who this is."""
        raise NotImplementedError

    @property
    def display_name(self) -> str:
        """A name to show."""
        raise NotImplementedError

    @property
    def identity(self) -> str:
        """What identifies this user."""
        raise NotImplementedError


class SimpleUser(BaseUser):
    """A user known by name."""

    def __init__(self, username: str) -> None:
        self.username = username

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def display_name(self) -> str:
        return self.username

    @property
    def identity(self) -> str:
        return self.username


class UnauthenticatedUser(BaseUser):
    """Whoever named nobody."""

    @property
    def is_authenticated(self) -> bool:
        return False

    @property
    def display_name(self) -> str:
        return ""

    @property
    def identity(self) -> str:
        return ""
