"""Starlette's application: a router inside of middleware and exception handlers.

Stands on routing and middleware. What happens when a server calls an application is written in Rust: `AsgiApp`, the
base class here, is the ASGI callable. It reads the declarations collected here.

Source: Starlette 1.10 `starlette.applications`.
"""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from forzium._forzium import AsgiApp, declared
from forzium.datastructures import State, URLPath
from forzium.middleware import Middleware
from forzium.responses import Response
from forzium.routing.base import BaseRoute
from forzium.routing.declaration import explained
from forzium.routing.router import Router
from forzium.types import ASGIApp, ExceptionHandler, Lifespan, Receive, Scope, Send

if TYPE_CHECKING:
    from forzium.middleware import _MiddlewareFactory
    from forzium.requests import Request

__all__ = ["AppType", "Starlette", "stacked"]

AppType = TypeVar("AppType", bound="Starlette")
_P = ParamSpec("_P")

_COMPILED = frozenset(
    {
        "build_middleware_stack",
        "debug",
        "exception_handlers",
        "max_body_size",
        "middleware_stack",
        "root_path",
        "router",
        "user_middleware",
    }
)
"""Attributes whose assignment is a declaration."""


async def _asgi3(self: AsgiApp, scope: Scope, receive: Receive, send: Send) -> None:
    await self(scope, receive, send)


class Starlette(AsgiApp):
    """An application: a router inside of middleware and exception handlers.

    Args:
        debug: Whether an error is answered with its traceback. Default is false.
        routes: Its routes.
        middleware: Middleware around every request, the first one outermost.
        exception_handlers: Handlers `(connection, exception) -> response` by status or exception class.
        lifespan: A context manager factory, called with the application around serving.
        max_body_size: Limit of a request body in bytes. Default is no limit.
    """

    debug: bool
    state: State
    router: Router
    max_body_size: int | None
    exception_handlers: dict[Any, Any]
    user_middleware: list[Middleware]
    middleware_stack: ASGIApp | None

    # What the core takes the values of dependencies with the scope "lifespan" from, while one lifespan runs.
    _lasting: dict[Any, Any] | None = None

    def __init__(
        self: AppType,
        debug: bool = False,
        routes: Sequence[BaseRoute] | None = None,
        middleware: Sequence[Middleware] | None = None,
        exception_handlers: Mapping[Any, ExceptionHandler] | None = None,
        lifespan: Lifespan[AppType] | None = None,
        *,
        max_body_size: int | None = None,
    ) -> None:
        self._mark_asgi()
        self.debug = debug
        self.state = State()
        self.router = Router(routes, lifespan=lifespan)
        self.max_body_size = max_body_size
        self.exception_handlers = {} if exception_handlers is None else dict(exception_handlers)
        self.user_middleware = [] if middleware is None else list(middleware)
        self.middleware_stack = None

    def _mark_asgi(self) -> None:
        """Let servers see an ASGI 3 application: they ask whether `app.__call__` is a coroutine function."""
        self.__dict__["__call__"] = types.MethodType(_asgi3, self)

    def __setattr__(self, name: str, value: Any) -> None:
        # An agent puts a function in the place of the method, perhaps after the first request.
        if name in _COMPILED and (name in self.__dict__ or name == "build_middleware_stack"):
            if name == "middleware_stack":
                self.__dict__.pop("_built", None)
            declared()
        object.__setattr__(self, name, value)

    def _sorted_handlers(self) -> tuple[Any, dict[Any, Any]]:
        """The handler of what nothing else handles, and all others by status or class."""
        others = {key: value for key, value in self.exception_handlers.items() if key not in (500, Exception)}
        last = [value for key, value in self.exception_handlers.items() if key in (500, Exception)]
        return (last[-1] if last else None), others

    def build_middleware_stack(self) -> ASGIApp:
        """Put the middleware around the router, as one ASGI application.

        Agents replace this method; it is called where it or the middleware is not forzium's own.
        """
        from forzium.middleware.body_limit import RequestBodyLimitMiddleware
        from forzium.middleware.errors import ServerErrorMiddleware
        from forzium.middleware.exceptions import ExceptionMiddleware

        last, others = self._sorted_handlers()
        stack = [Middleware(ServerErrorMiddleware, handler=last, debug=self.debug)]
        if self.max_body_size is not None:
            stack.append(Middleware(RequestBodyLimitMiddleware, max_body_size=self.max_body_size))
        stack += self.user_middleware
        stack.append(Middleware(ExceptionMiddleware, handlers=others, debug=self.debug))
        return stacked(self.router, stack)

    @property
    def routes(self) -> list[BaseRoute]:
        """The router's routes."""
        return self.router.routes

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """The path of the route called `name`.

        Raises:
            NoMatchFound: No route of that name takes exactly these parameters.
        """
        return self.router.url_path_for(name, **path_params)

    def mount(self, path: str, app: ASGIApp, name: str | None = None) -> None:
        """Serve another ASGI application below a path."""
        self.router.mount(path, app=app, name=name)

    def host(self, host: str, app: ASGIApp, name: str | None = None) -> None:
        """Serve another ASGI application for a host."""
        self.router.host(host, app=app, name=name)

    def add_middleware(self, middleware_class: _MiddlewareFactory[_P], *args: _P.args, **kwargs: _P.kwargs) -> None:
        """Put middleware around what there is.

        Raises:
            RuntimeError: The application serves already.
        """
        if self.middleware_stack is not None or self.__dict__.get("_serving"):
            raise RuntimeError(
                explained(
                    "Cannot add middleware after an application has started",
                    "add it where the application is made, before its first request",
                )
            )
        self.user_middleware.insert(0, Middleware(middleware_class, *args, **kwargs))
        declared()

    def add_exception_handler(self, exc_class_or_status_code: int | type[Exception], handler: ExceptionHandler) -> None:
        """Let `handler` answer a status or an exception class."""
        self.exception_handlers[exc_class_or_status_code] = handler
        declared()

    def add_route(
        self,
        path: str,
        route: Callable[[Request], Awaitable[Response] | Response],
        methods: list[str] | None = None,
        name: str | None = None,
        include_in_schema: bool = True,
    ) -> None:
        """Add a function `request -> Response`, or an ASGI application, as a `Route`."""
        self.router.add_route(path, route, methods=methods, name=name, include_in_schema=include_in_schema)


def stacked(app: ASGIApp, stack: Sequence[Middleware]) -> ASGIApp:
    """Put middleware around an application, the first one outermost."""
    for cls, args, kwargs in reversed(stack):
        app = cls(app, *args, **kwargs)
    return app
