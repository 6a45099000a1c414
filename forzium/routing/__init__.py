"""Routing: FastAPI's `fastapi.routing` and Starlette's `starlette.routing` in one package.

Stands on dependencies, requests and responses; applications stand on it. Read it in this order: base (matching, path
templates), route, mount, router, then operation, api, context, include, frontend, apirouter. handler has the functions
that agents patch: `solve_dependencies`, `run_endpoint_function`, `serialize_response`, `get_request_handler`,
`get_websocket_app`, `request_response` and `websocket_session` are looked up on this package when they are called.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from forzium.convertors import CONVERTOR_TYPES, Convertor
from forzium.datastructures import URL, Headers, URLPath
from forzium.dependencies.utils import solve_dependencies
from forzium.responses.streaming import _PING_INTERVAL as _PING_INTERVAL
from forzium.routing.api import APIRoute, APIWebSocketRoute
from forzium.routing.apirouter import APIRouter
from forzium.routing.base import (
    PARAM_FORMAT_REGEX,
    PARAM_REGEX,
    BaseRoute,
    Match,
    NoMatchFound,
    RouteList,
    compile_path,
    get_name,
    replace_params,
)
from forzium.routing.context import RouterIncludeContext
from forzium.routing.declaration import declared
from forzium.routing.frontend import FrontendRoute, FrontendRouteGroup
from forzium.routing.handler import (
    get_request_handler,
    get_websocket_app,
    request_response,
    run_endpoint_function,
    serialize_response,
    websocket_session,
)
from forzium.routing.include import (
    EffectiveRoute,
    EffectiveRouteContext,
    IncludedRouter,
    RouteContext,
    iter_included_route_candidates,
    iter_route_contexts,
)
from forzium.routing.mount import Host, Mount
from forzium.routing.mounted import run_mounted_lifespans
from forzium.routing.route import Route, WebSocketRoute
from forzium.routing.router import Router
from forzium.routing.scope import effective_route_context_var, restore

__all__ = [
    "CONVERTOR_TYPES",
    "PARAM_FORMAT_REGEX",
    "PARAM_REGEX",
    "URL",
    "APIRoute",
    "APIRouter",
    "APIWebSocketRoute",
    "BaseRoute",
    "Convertor",
    "EffectiveRoute",
    "EffectiveRouteContext",
    "FrontendRoute",
    "FrontendRouteGroup",
    "Headers",
    "Host",
    "IncludedRouter",
    "Match",
    "Mount",
    "NoMatchFound",
    "Route",
    "RouteContext",
    "RouteList",
    "Router",
    "RouterIncludeContext",
    "URLPath",
    "WebSocketRoute",
    "compile_path",
    "get_name",
    "get_request_handler",
    "get_websocket_app",
    "iter_included_route_candidates",
    "iter_route_contexts",
    "replace_params",
    "request_response",
    "run_endpoint_function",
    "run_mounted_lifespans",
    "serialize_response",
    "solve_dependencies",
    "websocket_session",
]

_SEAMS = frozenset(
    {
        "_PING_INTERVAL",
        "get_request_handler",
        "get_websocket_app",
        "request_response",
        "run_endpoint_function",
        "serialize_response",
        "solve_dependencies",
        "websocket_session",
    }
)


class _Patchable(ModuleType):
    """This module. Replacing a function that agents replace here counts as a changed declaration."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in _SEAMS:
            declared()


sys.modules[__name__].__class__ = _Patchable

# FastAPI's private names of these, which agents and its own tests import.
_IncludedRouter = IncludedRouter
_EffectiveRouteContext = EffectiveRouteContext
_effective_route_context_var = effective_route_context_var
_iter_included_route_candidates = iter_included_route_candidates
_restore_fastapi_scope_key = restore
