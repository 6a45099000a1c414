"""An application: its middleware, its exception handlers, and whether Rust carries out all of it.

Stands on `applications`' attributes and `table`.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forzium._forzium import Chain
    from forzium.applications import Starlette
    from forzium.middleware import Middleware
    from forzium.middleware.errors import ServerErrorMiddleware
    from forzium.routing import Router
    from forzium.types import ASGIApp

Compiled = tuple["ASGIApp | None", "Chain", "ServerErrorMiddleware", str | None, bool | None]


def compile_app(app: Starlette) -> Compiled:
    """Say how an application answers.

    Returns:
        The ASGI application to call instead of all that follows (None: nobody has put one there), the middleware around
        the routes, what answers an exception that no handler does, the root path to set, and whether telemetry was
        told anything (None: the application has none).
    """
    vars(app)["_serving"] = True
    stack = app.middleware_stack
    if stack is None and not is_native(app):
        stack = vars(app)["middleware_stack"] = app.build_middleware_stack()
    errors, chain = _built(app)
    return stack, chain, errors, getattr(app, "root_path", None) or None, _told_telemetry(app)


def middleware_stack(app: Starlette) -> ASGIApp:
    """The whole of an application as one ASGI application in Python, which telemetry watches from within."""
    if app.middleware_stack is not None:
        return app.middleware_stack
    from forzium.middleware.errors import ServerErrorMiddleware
    from forzium.telemetry._asgi import ExceptionTelemetryMiddleware

    errors, chain = _built(app)
    return ServerErrorMiddleware(ExceptionTelemetryMiddleware(chain), handler=errors.handler, debug=errors.debug)


def _built(app: Starlette) -> tuple[ServerErrorMiddleware, Chain]:
    """The middleware of an application: the outermost, and the rest with the routes. Made once, as in Starlette."""
    from forzium._forzium import Routes
    from forzium.middleware.asyncexitstack import AsyncExitStackMiddleware
    from forzium.middleware.errors import ServerErrorMiddleware
    from forzium.middleware.exceptions import ExceptionMiddleware, build_handlers

    built: tuple[Any, ServerErrorMiddleware, Chain] | None = vars(app).get("_built")
    if built is not None and built[0] is app.router:
        return built[1:]
    router = app.router
    last, others = app._sorted_handlers()
    # As in Starlette, a handler that is added after the first request is one of the next stack of middleware.
    watched = ExceptionMiddleware(AsyncExitStackMiddleware(router), handlers=others, debug=app.debug)
    routes = Routes(router, router._dispatcher, build_handlers(others, app.debug), watched)
    chain = chained([*_limit(app), *app.user_middleware], routes)
    errors = ServerErrorMiddleware(chain, handler=last, debug=app.debug)
    vars(app)["_built"] = router, errors, chain
    return errors, chain


def _limit(app: Starlette) -> list[Middleware]:
    """The limit of the body of a request, which stands outside of the user's middleware."""
    if app.max_body_size is None:
        return []
    from forzium._body_limit import _Limit
    from forzium.applications import FastAPI
    from forzium.middleware import Middleware
    from forzium.middleware.body_limit import RequestBodyLimitMiddleware

    kind = _Limit if isinstance(app, FastAPI) else RequestBodyLimitMiddleware
    return [Middleware(kind, max_body_size=app.max_body_size)]


def chained(middleware: Sequence[Middleware], inside: Any) -> Chain:
    """Put middleware around routes or an ASGI application, the first one outermost.

    What is the package's own and unchanged becomes a link; everything else is called as the ASGI application it is.
    """
    from forzium._forzium import Chain, Routes
    from forzium.middleware._own import is_own

    links: list[Any] = []
    for cls, args, kwargs in reversed(middleware):
        if is_own(cls):
            # The application it wraps is the chain's business: a link has none.
            links.insert(0, cls(None, *args, **kwargs)._link)
        else:
            inside = cls(Chain(links, inside) if links or isinstance(inside, Routes) else inside, *args, **kwargs)
            links = []
    return Chain(links, inside)


def is_native(app: Starlette) -> bool:
    """Whether the package's own functions stand around the router, and the router is the package's own."""
    from forzium.applications import FastAPI, Starlette
    from forzium.routing import APIRouter, Router

    router = app.router
    build = getattr(app.build_middleware_stack, "__func__", None)
    return (
        build in (_BUILDERS or _remember(FastAPI, Starlette))
        and type(router).__call__ is Router.__call__
        and type(router).app in (Router.app, APIRouter.app)
        and type(router).lifespan is Router.lifespan
        and _leads_to(router, router.middleware_stack, app.max_body_size)
    )


def _leads_to(router: Router, stack: Any, limit: int | None) -> bool:
    """Whether there is nothing between a router's two methods but perhaps the application's own limit again."""
    from forzium._body_limit import _Limit
    from forzium.middleware._own import is_own

    if limit is not None and type(stack) is _Limit and is_own(_Limit) and stack.max_body_size == limit:
        stack = stack.app
    return getattr(stack, "__self__", None) is router and getattr(stack, "__func__", None) is type(router).app


_BUILDERS: list[Any] = []


def _remember(*classes: type[Any]) -> list[Any]:
    """Note the package's own functions before an agent replaces them."""
    _BUILDERS.extend(vars(each)["build_middleware_stack"] for each in classes if "build_middleware_stack" in vars(each))
    return _BUILDERS


def _told_telemetry(app: Any) -> bool | None:
    """Whether telemetry was told to listen, by the application or by the environment. None: there is none."""
    config = getattr(app, "_telemetry", None)
    if config is None:
        return None
    from forzium.telemetry import _PROVIDER_VARIABLES, _PROVIDERS

    return (
        bool(config["auto_configure"])
        or any(config[name] is not None for name in _PROVIDERS)
        or any(name in os.environ for name in _PROVIDER_VARIABLES)
        or any(_is_replaced(module, name) for module, name in _GLOBAL_PROVIDERS)
    )


_GLOBAL_PROVIDERS = (
    ("opentelemetry.trace", "get_tracer_provider"),
    ("opentelemetry.metrics", "get_meter_provider"),
    ("opentelemetry._logs", "get_logger_provider"),
)


def _is_replaced(module: str, name: str) -> bool:
    """Whether somebody put a function of their own in the place of OpenTelemetry's: the core cannot see its answer."""
    function = getattr(sys.modules.get(module), name, None)
    return function is not None and not str(function.__module__).startswith("opentelemetry.")
