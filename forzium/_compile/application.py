"""An application: its middleware, its exception handlers, and whether Rust carries out all of it.

Stands on `applications`' attributes and `table`.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forzium._forzium import Dispatcher
    from forzium.applications import Starlette
    from forzium.types import ASGIApp

Compiled = tuple[
    "ASGIApp | None", Any, "Dispatcher", tuple[dict[Any, Any], dict[int, Any]], Any, str | None, bool | None
]


def compile_app(app: Starlette) -> Compiled:
    """Say how an application answers.

    Returns:
        The ASGI application to call instead of the native path (None: there is nothing around the router but what is
        native), the router, its dispatcher, the exception handlers by class and by status, what answers an exception
        that none of them does, the root path to set, and whether telemetry was told anything (None: the application
        has none).
    """
    from forzium.middleware.errors import ServerErrorMiddleware
    from forzium.middleware.exceptions import build_handlers

    state = vars(app)
    state["_serving"] = True
    stack = app.middleware_stack
    if stack is None and not is_native(app):
        stack = middleware_stack(app)
    answers = state.get("_answers")
    if answers is None:
        # As in Starlette, a handler that is added after the first request is one of the next stack of middleware.
        last, others = app._sorted_handlers()
        errors = ServerErrorMiddleware(app.router, handler=last, debug=app.debug)
        answers = state["_answers"] = build_handlers(others, app.debug), errors
    handlers, errors = answers
    return (
        stack,
        app.router,
        app.router._dispatcher,
        handlers,
        errors,
        getattr(app, "root_path", None) or None,
        _told_telemetry(app),
    )


def middleware_stack(app: Starlette) -> ASGIApp:
    """The whole of an application as one ASGI application, built when first asked for."""
    stack = app.middleware_stack
    if stack is None:
        stack = vars(app)["middleware_stack"] = app.build_middleware_stack()
    return stack


def is_native(app: Starlette) -> bool:
    """Whether nothing stands around the router but exception handlers, and the router is the package's own."""
    from forzium.applications import FastAPI, Starlette
    from forzium.routing import APIRouter, Router

    router = app.router
    build = getattr(app.build_middleware_stack, "__func__", None)
    return (
        not app.user_middleware
        and app.max_body_size is None
        and build in (_BUILDERS or _remember(FastAPI, Starlette))
        and type(router).__call__ is Router.__call__
        and type(router).app in (Router.app, APIRouter.app)
        and type(router).lifespan is Router.lifespan
        and getattr(router.middleware_stack, "__self__", None) is router
        and getattr(router.middleware_stack, "__func__", None) is type(router).app
    )


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
