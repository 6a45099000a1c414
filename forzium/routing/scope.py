"""The part of an ASGI scope that routing keeps for itself under `scope["fastapi"]`.

Stands on types alone. Agents (Sentry, Logfire, OpenTelemetry) read `effective_route_context` there, so the keys are
FastAPI's. It is not for values a user may want: those are `path_params`, `route` and `endpoint` in the scope itself.

Source: FastAPI 0.165 `fastapi.routing`.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from forzium.types import Scope

__all__ = [
    "EFFECTIVE_ROUTE_CONTEXT",
    "FORM_LIMITS",
    "FRONTEND_PATH",
    "FRONTEND_SPECIFICITY",
    "INCLUDED_ROUTER",
    "MISSING",
    "SCOPE_KEY",
    "apply_form_limits",
    "effective_route_context_var",
    "fastapi_scope",
    "inner",
    "resolve_form_limits",
    "restore",
    "route_selected",
    "update_scope",
]

SCOPE_KEY = "fastapi"
EFFECTIVE_ROUTE_CONTEXT = "effective_route_context"
FORM_LIMITS = "form_limits"
FRONTEND_PATH = "frontend_path"
FRONTEND_SPECIFICITY = "frontend_specificity"
INCLUDED_ROUTER = "included_router"

MISSING: Any = object()
"""What `restore` takes for "was not there"."""

effective_route_context_var: ContextVar[Any] = ContextVar("fastapi_effective_route_context", default=None)
"""The effective route a handler is being built for, while `APIRoute.get_route_handler` runs."""


def fastapi_scope(scope: Scope) -> dict[str, Any]:
    """The dict under `scope["fastapi"]`, made where it is missing."""
    own = scope.setdefault(SCOPE_KEY, {})
    assert isinstance(own, dict)
    return own


def inner(scope: Scope, key: str) -> Any:
    """A value of `scope["fastapi"]`, or `None`."""
    return scope.get(SCOPE_KEY, {}).get(key)


def restore(scope: Scope, key: str, previous: Any) -> None:
    """Put back what a key of `scope["fastapi"]` held before; `MISSING` takes the key away."""
    own = scope.get(SCOPE_KEY)
    if not isinstance(own, dict):
        return
    if previous is MISSING:
        own.pop(key, None)
    else:
        own[key] = previous


def update_scope(scope: Scope, child_scope: Scope) -> None:
    """Give `scope` what a match brought. `scope["fastapi"]` is merged, everything else replaced."""
    brought = child_scope.get(SCOPE_KEY, MISSING)
    if brought is MISSING:
        scope.update(child_scope)
        return
    if isinstance(brought, dict):
        fastapi_scope(scope).update(brought)
    scope.update({key: value for key, value in child_scope.items() if key != SCOPE_KEY})


def resolve_form_limits(own: dict[str, Any], limits: Any) -> Any:
    """The form limits in force: those of the routers above, then `limits` over them."""
    inherited = own.get(FORM_LIMITS, {})
    return {**inherited, **limits} if limits else inherited


def apply_form_limits(scope: Scope, limits: Any) -> None:
    """Let a router's form limits hold for what is below it in an HTTP request."""
    if limits and scope["type"] == "http":
        own = fastapi_scope(scope)
        own[FORM_LIMITS] = resolve_form_limits(own, limits)


def route_selected(scope: Scope, path: str | None, *, mount: bool = False) -> None:
    """Tell telemetry, where it watches this request, which path template was taken."""
    if scope.get("fastapi.telemetry") is not None:
        from forzium.telemetry import _api

        _api._route_selected(scope=scope, path=path, mount=mount)
