"""Starlette's two leaf routes: `Route` for HTTP, `WebSocketRoute` for WebSocket.

Stands on base and handler. FastAPI's operations, with their parameters and dependencies, are in api.

Source: Starlette 1.10 `starlette.routing`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from forzium import routing
from forzium._utils import get_route_path
from forzium.datastructures import URLPath
from forzium.exceptions import StarletteHTTPException
from forzium.responses import PlainTextResponse
from forzium.routing.base import Match, NoMatchFound, PathRoute, below, get_name, match_path, replace_params
from forzium.routing.declaration import declared, explained
from forzium.routing.handler import request_response, websocket_session
from forzium.types import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:
    from forzium.middleware import Middleware

__all__ = ["Route", "WebSocketRoute"]


def wrapped(app: ASGIApp, middleware: Iterable[Middleware] | None) -> ASGIApp:
    """Put middleware around an application, the first one outermost."""
    if middleware is not None:
        for cls, args, kwargs in reversed(list(middleware)):
            app = cls(app, *args, **kwargs)
    return app


def limited(app: ASGIApp, max_body_size: int | None) -> ASGIApp:
    """Put Starlette's limit of the request body, in bytes, around an application."""
    if max_body_size is None:
        return app
    from forzium.middleware.body_limit import RequestBodyLimitMiddleware

    return RequestBodyLimitMiddleware(app, max_body_size=max_body_size)


def rooted(path: str, endpoint: Any = None) -> str:
    """Give `path` back if it starts with a slash.

    Raises:
        AssertionError: It does not.
    """
    if not path.startswith("/"):
        raise AssertionError(explained("Routed paths must start with '/'", f"write {'/' + path!r}", endpoint))
    return path


def is_function(endpoint: Any) -> bool:
    """Whether an endpoint is called with a connection; anything else is an ASGI application already."""
    while isinstance(endpoint, functools.partial):
        endpoint = endpoint.func
    return inspect.isfunction(endpoint) or inspect.ismethod(endpoint)


async def refuse_method(methods: Iterable[str], scope: Scope, receive: Receive, send: Send) -> None:
    """Answer 405 with `Allow`: raised inside an application, so that its handler answers; sent where there is none."""
    headers = {"Allow": ", ".join(methods)}
    if "app" in scope:
        raise StarletteHTTPException(status_code=405, headers=headers)
    await PlainTextResponse("Method Not Allowed", status_code=405, headers=headers)(scope, receive, send)


class EndpointRoute(PathRoute):
    """A route at a path that ends in an endpoint, whose ASGI application is made when first asked for.

    `app` is that application. Assigning to it replaces it; the route is then opaque to the compiler
    (`app_is_own` is false).
    """

    path: str
    name: str
    endpoint: Callable[..., Any]
    _app: ASGIApp | None = None
    _app_is_own: bool = True

    def _build_app(self) -> ASGIApp:
        """Make the application that calls the endpoint."""
        raise NotImplementedError

    @property
    def app(self) -> ASGIApp:
        """The ASGI application behind this route."""
        if self._app is None:
            self._app = self._build_app()
        return self._app

    @app.setter
    def app(self, value: ASGIApp) -> None:
        self._app, self._app_is_own = value, False
        declared()

    @property
    def app_is_own(self) -> bool:
        """Whether `app` is what this class makes of the endpoint, so that a plan may stand for it."""
        return self._app_is_own

    def _match(self, scope: Scope) -> Scope | None:
        values = match_path(self.path_regex, self.param_convertors, get_route_path(scope))
        if values is None:
            return None
        return {"endpoint": self.endpoint, "path_params": below(scope, values)}

    def _url_path(self, name: str, path_params: dict[str, Any], protocol: Literal["http", "websocket"]) -> URLPath:
        if name != self.name or path_params.keys() != self.param_convertors.keys():
            raise NoMatchFound(name, path_params)
        path, _ = replace_params(self.path_format, self.param_convertors, path_params)
        return URLPath(path=path, protocol=protocol)


class Route(EndpointRoute):
    """An HTTP endpoint at a path.

    Args:
        path: A template that starts with a slash, such as `/users/{user_id:int}`.
        endpoint: A function `request -> Response`, sync or async; or an ASGI application such as an `HTTPEndpoint`.
        methods: Methods it takes. Default is `["GET"]` for a function, all of them otherwise; `GET` brings `HEAD`.
        name: Name for `url_path_for`. Default is the endpoint's.
        include_in_schema: Whether a schema generator lists it. Default is true.
        middleware: Middleware around this route alone.
        max_body_size: Limit of the request body in bytes. Default is no limit.

    Raises:
        AssertionError: The path does not start with a slash, or names an unknown convertor.
        ValueError: A parameter name occurs twice.
    """

    methods: set[str] | None

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        methods: Collection[str] | None = None,
        name: str | None = None,
        include_in_schema: bool = True,
        middleware: Sequence[Middleware] | None = None,
        max_body_size: int | None = None,
    ) -> None:
        self.path = rooted(path, endpoint)
        self.endpoint = endpoint
        self.name = get_name(endpoint) if name is None else name
        self.include_in_schema = include_in_schema
        if methods is None and is_function(endpoint):
            methods = ["GET"]
        self.methods = None if methods is None else {method.upper() for method in methods}
        if self.methods and "GET" in self.methods:
            self.methods.add("HEAD")
        self._set_path(path, endpoint)
        if middleware is not None or max_body_size is not None or routing.request_response is not request_response:
            self.app = limited(wrapped(self._build_app(), middleware), max_body_size)

    def _build_app(self) -> ASGIApp:
        return routing.request_response(self.endpoint) if is_function(self.endpoint) else self.endpoint

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Fit an HTTP scope whose path matches: wholly, or partially where the method is not taken."""
        child_scope = self._match(scope) if scope["type"] == "http" else None
        if child_scope is None:
            return Match.NONE, {}
        return (Match.PARTIAL if self.methods and scope["method"] not in self.methods else Match.FULL), child_scope

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """The path with its parameters filled in."""
        return self._url_path(name, path_params, "http")

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application behind the route, or answer 405."""
        if self.methods and scope["method"] not in self.methods:
            await refuse_method(self.methods, scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Route)
            and self.path == other.path
            and self.endpoint == other.endpoint
            and self.methods == other.methods
        )

    def __repr__(self) -> str:
        methods = sorted(self.methods or [])
        return f"{type(self).__name__}(path={self.path!r}, name={self.name!r}, methods={methods!r})"


class WebSocketRoute(EndpointRoute):
    """A WebSocket endpoint at a path.

    Args:
        path: A template that starts with a slash.
        endpoint: A coroutine function `websocket -> None`, or an ASGI application such as a `WebSocketEndpoint`.
        name: Name for `url_path_for`. Default is the endpoint's.
        middleware: Middleware around this route alone.

    Raises:
        AssertionError: The path does not start with a slash, or names an unknown convertor.
        ValueError: A parameter name occurs twice.
    """

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        name: str | None = None,
        middleware: Sequence[Middleware] | None = None,
    ) -> None:
        self.path = rooted(path, endpoint)
        self.endpoint = endpoint
        self.name = get_name(endpoint) if name is None else name
        self._set_path(path, endpoint)
        if middleware is not None or routing.websocket_session is not websocket_session:
            self.app = wrapped(self._build_app(), middleware)

    def _build_app(self) -> ASGIApp:
        return routing.websocket_session(self.endpoint) if is_function(self.endpoint) else self.endpoint

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Fit a WebSocket scope whose path matches."""
        child_scope = self._match(scope) if scope["type"] == "websocket" else None
        return (Match.NONE, {}) if child_scope is None else (Match.FULL, child_scope)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """The path with its parameters filled in."""
        return self._url_path(name, path_params, "websocket")

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application behind the route."""
        await self.app(scope, receive, send)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WebSocketRoute) and self.path == other.path and self.endpoint == other.endpoint

    def __repr__(self) -> str:
        return f"{type(self).__name__}(path={self.path!r}, name={self.name!r})"
