"""Whether a plan may stand for a route, or Python must be asked.

FastAPI lets people override nearly everything: a route's `matches` and `handle`, a router's, the functions on
`forzium.routing`; agents replace methods on the classes themselves. The compiler asks here, when it reads the
declarations, and calls whatever is not as this package made it.

Stands on all of routing. Nothing here runs during a request.
"""

from __future__ import annotations

from typing import Any

from forzium import routing
from forzium.dependencies.utils import solve_dependencies
from forzium.routing import handler
from forzium.routing.api import APIRoute, APIWebSocketRoute
from forzium.routing.apirouter import APIRouter
from forzium.routing.base import PathTemplate
from forzium.routing.frontend import FrontendRoute, FrontendRouteGroup
from forzium.routing.include import EffectiveRouteContext, IncludedRouter
from forzium.routing.mount import Host, Mount
from forzium.routing.route import Route, WebSocketRoute
from forzium.routing.router import Router

__all__ = ["is_native", "patched_seams"]

_SEAMS: dict[str, Any] = {
    "get_request_handler": handler.get_request_handler,
    "get_websocket_app": handler.get_websocket_app,
    "request_response": handler.request_response,
    "run_endpoint_function": handler.run_endpoint_function,
    "serialize_response": handler.serialize_response,
    "solve_dependencies": solve_dependencies,
    "websocket_session": handler.websocket_session,
}
"""The functions agents replace on `forzium.routing`, as they were."""

_ROUTE = ("matches", "handle", "__call__")
_METHODS: dict[type, tuple[str, ...]] = {
    APIRoute: (*_ROUTE, "get_route_handler", "app"),
    APIWebSocketRoute: (*_ROUTE, "app"),
    APIRouter: ("matches", "handle", "__call__", "app", "lifespan", "not_found"),
    EffectiveRouteContext: ("matches", "app"),
    FrontendRoute: (*_ROUTE, "matches_with_path"),
    FrontendRouteGroup: (*_ROUTE, "matches_with_prefix"),
    Host: _ROUTE,
    IncludedRouter: (*_ROUTE, "handle_selected", "select", "effective_candidates"),
    Mount: _ROUTE,
    Route: (*_ROUTE, "app"),
    Router: ("__call__", "app", "lifespan", "not_found"),
    WebSocketRoute: (*_ROUTE, "app"),
}
_OWN = {cls: {name: getattr(cls, name) for name in names} for cls, names in _METHODS.items()}


def is_native(declared_object: Any) -> bool:
    """Whether a route, an effective route or a router is matched and called as its declaration says.

    False means: ask its own `matches`, and call its own `handle` (for a router, `__call__`). For an included router
    the original router is looked at too, and for an effective route the route it stands for.
    """
    cls, state = type(declared_object), vars(declared_object)
    own = next((methods for base in cls.__mro__ if (methods := _OWN.get(base)) is not None), None)
    if own is None or any(getattr(cls, name) is not method or name in state for name, method in own.items()):
        return False
    if isinstance(declared_object, IncludedRouter):
        return is_native(declared_object.original_router)
    if isinstance(declared_object, EffectiveRouteContext):
        stand_in = declared_object.starlette_route
        return declared_object.app_is_own and is_native(stand_in or declared_object.original_route)
    if isinstance(declared_object, PathTemplate) and not declared_object.compiled_path:
        return False
    return bool(getattr(declared_object, "app_is_own", True))


def patched_seams() -> frozenset[str]:
    """The names on `forzium.routing` that hold something else than they were made with."""
    return frozenset(name for name, function in _SEAMS.items() if getattr(routing, name) is not function)
