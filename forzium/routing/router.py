"""Starlette's `Router`: an ordered list of routes, its default, and its lifespan.

Stands on base, mount, route and lifespan. Which route answers is decided by `forzium._forzium.Dispatcher`, in Rust;
routes that must be asked in Python are asked there through their `matches` and `handle`. FastAPI's router is in
apirouter.

Source: Starlette 1.10 `starlette.routing`; ASGI lifespan protocol 2.0.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from forzium import _forzium
from forzium.datastructures import URLPath
from forzium.exceptions import StarletteHTTPException
from forzium.responses import PlainTextResponse, Response
from forzium.routing.base import BaseRoute, NoMatchFound, RouteList, first_url
from forzium.routing.declaration import declared
from forzium.routing.lifespan import EventLifespan, uniform
from forzium.routing.mount import Host, Mount
from forzium.routing.route import Route, WebSocketRoute, limited, wrapped
from forzium.types import ASGIApp, Lifespan, Receive, Scope, Send
from forzium.websockets import WebSocketClose

if TYPE_CHECKING:
    from forzium.middleware import Middleware
    from forzium.requests import Request
    from forzium.websockets import WebSocket

__all__ = ["Router"]


class Router:
    """Routes in the order in which they were registered; the first one that fits wholly answers.

    Args:
        routes: The first routes.
        redirect_slashes: Whether a path that fits only with (or without) a slash at its end is redirected. Default
            is true.
        default: What answers where nothing fits. Default is `not_found`.
        lifespan: A context manager factory, called with the application around serving.
        middleware: Middleware around the router.
        max_body_size: Limit of the request body in bytes. Default is no limit.
    """

    _routes: RouteList

    def __init__(
        self,
        routes: Sequence[BaseRoute] | None = None,
        redirect_slashes: bool = True,
        default: ASGIApp | None = None,
        lifespan: Lifespan[Any] | None = None,
        *,
        middleware: Sequence[Middleware] | None = None,
        max_body_size: int | None = None,
    ) -> None:
        self.routes = [] if routes is None else list(routes)
        self.redirect_slashes = redirect_slashes
        self.default: ASGIApp = self.not_found if default is None else default
        self.lifespan_context: Lifespan[Any] = EventLifespan(self) if lifespan is None else uniform(lifespan, warn=True)
        self.middleware_stack: ASGIApp = limited(wrapped(self.app, middleware), max_body_size)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__ and name[0] != "_":
            declared()
        object.__setattr__(self, name, value)

    @property
    def routes(self) -> list[BaseRoute]:
        """The routes, in order of registration. Changing this list, or assigning another, takes effect at once."""
        return self._routes

    @routes.setter
    def routes(self, routes: Iterable[BaseRoute]) -> None:
        known = "_routes" in self.__dict__
        self._routes = RouteList(routes, self._routes_changed)
        if known:
            self._routes_changed()

    def _routes_changed(self) -> None:
        """Called after every change of `routes`."""
        declared()

    async def _startup(self) -> None:
        """Called when serving begins, where no lifespan was given."""

    async def _shutdown(self) -> None:
        """Called when serving ends, where no lifespan was given."""

    async def not_found(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what no route fits: close a WebSocket, raise 404 inside an application, send it outside of one."""
        if scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
            return
        if "app" in scope:
            raise StarletteHTTPException(status_code=404)
        await PlainTextResponse("Not Found", status_code=404)(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """The path of the first route that answers to `name` and takes exactly these parameters.

        Raises:
            NoMatchFound: There is none.
        """
        url = first_url(self.routes, name, path_params)
        if url is None:
            raise NoMatchFound(name, path_params)
        return url

    async def lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Speak the ASGI lifespan protocol around `lifespan_context`.

        A failure is reported as `lifespan.startup.failed` or `lifespan.shutdown.failed` with its traceback, then
        raised.

        Raises:
            RuntimeError: The lifespan gives a state, but the server offers no place for it.
        """
        from forzium.routing.lasting import lasting_values

        started = False
        await receive()
        try:
            unstarted: BaseException | None = None
            async with self.lifespan_context(scope.get("app")) as state:
                try:
                    if state is not None:
                        if "state" not in scope:
                            raise RuntimeError('The server does not support "state" in the lifespan scope.')
                        scope["state"].update(state)
                    async with lasting_values(scope.get("app"), self):
                        await send({"type": "lifespan.startup.complete"})
                        started = True
                        await receive()
                except BaseException as error:
                    unstarted = None if started else error
                    raise
            if unstarted is not None:
                raise unstarted  # `lifespan_context` has swallowed it, but nothing can be served
        except BaseException:
            import traceback

            stage = "shutdown" if started else "startup"
            await send({"type": f"lifespan.{stage}.failed", "message": traceback.format_exc()})
            raise
        await send({"type": "lifespan.shutdown.complete"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve as an ASGI application: middleware, then `app`."""
        await self.middleware_stack(scope, receive, send)

    def app(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Find the route that answers and call it."""
        return self._dispatcher(scope, receive, send)

    @property
    def _dispatcher(self) -> _forzium.Dispatcher:
        """The route table of this router, in Rust."""
        own: _forzium.Dispatcher | None = self.__dict__.get("_own_dispatcher")
        if own is None:
            own = self.__dict__["_own_dispatcher"] = _forzium.Dispatcher(self)
        return own

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Router) and self.routes == other.routes

    def mount(self, path: str, app: ASGIApp, name: str | None = None) -> None:
        """Add a `Mount`."""
        self.routes.append(Mount(path, app=app, name=name))

    def host(self, host: str, app: ASGIApp, name: str | None = None) -> None:
        """Add a `Host`."""
        self.routes.append(Host(host, app=app, name=name))

    def add_route(
        self,
        path: str,
        endpoint: Callable[[Request], Awaitable[Response] | Response],
        methods: Collection[str] | None = None,
        name: str | None = None,
        include_in_schema: bool = True,
    ) -> None:
        """Add a `Route`."""
        self.routes.append(
            Route(path, endpoint=endpoint, methods=methods, name=name, include_in_schema=include_in_schema)
        )

    def add_websocket_route(
        self, path: str, endpoint: Callable[[WebSocket], Awaitable[None]], name: str | None = None
    ) -> None:
        """Add a `WebSocketRoute`."""
        self.routes.append(WebSocketRoute(path, endpoint=endpoint, name=name))
