"""The routes of a router, in order, as the Rust table takes them.

Stands on routing and `plans`. A route is *native* where nothing of it was overridden or replaced: Rust matches it and
carries out its plan. Any other is *opaque*: it is asked through `matches` and called through `handle`, as Starlette
does. Included routers are laid out flat, each route with its effective context.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from forzium._body_limit import wrap_app_with_body_limit
from forzium._compile.plans import compiler, operation_of, websocket_operation
from forzium._compile.spec import EntrySpec
from forzium._forzium import BodyLimit, Table
from forzium.convertors import (
    Convertor,
    FloatConvertor,
    IntegerConvertor,
    PathConvertor,
    StringConvertor,
    UUIDConvertor,
)
from forzium.routing import (
    APIRoute,
    APIRouter,
    APIWebSocketRoute,
    BaseRoute,
    Match,
    Mount,
    Route,
    Router,
    WebSocketRoute,
)
from forzium.routing.base import PARAM_REGEX
from forzium.routing.include import EffectiveRouteContext, IncludedRouter, asked
from forzium.routing.native import is_native, patched_seams
from forzium.routing.scope import (
    EFFECTIVE_ROUTE_CONTEXT,
    apply_form_limits,
    fastapi_scope,
    route_selected,
    update_scope,
)
from forzium.types import Receive, Scope, Send

_BUILT_IN: dict[type[Convertor[Any]], str] = {
    StringConvertor: "str",
    PathConvertor: "path",
    IntegerConvertor: "int",
    FloatConvertor: "float",
    UUIDConvertor: "uuid",
}


def compile_router(router: Router, before: Table | None) -> Table:
    """Compile the table of a router, or give back the one of before if none of its routes changed."""
    state = _state(router)
    known = router.__dict__.get("_compiled_state")
    if before is not None and known == state:
        return before
    table = Table(
        list(_entries(router)),
        redirect_slashes=router.redirect_slashes,
        default=None if _is_own(router.default, router, "not_found") else router.default,
        low_priority=_low_priority(router),
        marks_route=not isinstance(router, APIRouter),
        form_limits=_form_limits(router),
    )
    router.__dict__["_compiled_state"] = state
    return table


def _form_limits(router: Router) -> Any:
    """The function that puts a router's form limits into a scope. None where it has none."""
    limits = getattr(router, "form_limits", None)
    return functools.partial(apply_form_limits, limits=limits) if limits else None


def _state(router: Router) -> tuple[Any, ...]:
    """What a table depends on: two equal states have equal tables."""
    routers = [router, *(router._included() if isinstance(router, APIRouter) else ())]
    routes = [route for each in routers for route in each.routes]
    return (
        router.redirect_slashes,
        router.default,
        [id(route) for route in routes],
        [getattr(route, "_compiled_path", None) for route in routes],
        [getattr(route, "_app_is_own", None) for route in routes],
        [getattr(each, "_routes_version", 0) for each in routers],
        patched_seams(),
        [is_native(route) for route in routes],
    )


def _is_own(callback: Any, owner: Any, name: str) -> bool:
    """Whether a callback is the method that the package itself put there."""
    function = getattr(callback, "__func__", None)
    return getattr(callback, "__self__", None) is owner and function in (
        getattr(Router, name, None),
        getattr(APIRouter, name, None),
    )


def _entries(router: Router) -> Iterator[EntrySpec]:
    for route in router.routes:
        if isinstance(route, IncludedRouter):
            yield from _included(route, {})
        else:
            yield _route_entry(route)


def _route_entry(route: BaseRoute) -> EntrySpec:
    """The entry of a route that stands on the router itself."""
    if isinstance(route, APIWebSocketRoute) and _is_planned(route):
        return _websocket_entry(route)
    if isinstance(route, APIRoute) and _is_planned(route):
        return _operation_entry(route, route, None, route.form_limits)
    return _opaque_entry(route, route)


def _included(included: IncludedRouter, form_limits: Mapping[str, Any]) -> Iterator[EntrySpec]:
    """The entries of an included router, flat; one opaque entry if the router answers in a way of its own.

    What is wrong with what the router was included with shows when its routes are made, and so when it is asked, as in
    FastAPI: routes that are registered before it answer.
    """
    try:
        candidates = included.effective_candidates() if is_native(included) else None
    except Exception:
        candidates = None
    if candidates is None:
        yield EntrySpec(route=included, endpoint=None, pieces=None)
        return
    context = included.include_context
    limits = {**form_limits, **context.form_limits}
    for candidate in candidates:
        if isinstance(candidate, IncludedRouter):
            yield from _included(candidate, limits)
            continue
        route = candidate.original_route
        stand_in = candidate.starlette_route
        if isinstance(route, APIRoute) and _is_planned(candidate):
            yield _operation_entry(route, candidate, candidate, {**limits, **route.form_limits})
        elif isinstance(stand_in, APIWebSocketRoute) and _is_planned(stand_in) and is_native(route):
            yield _websocket_entry(stand_in, candidate)
        else:
            shown: Any = route if stand_in is None else stand_in
            if isinstance(route, APIRoute):
                shown = candidate
            yield _opaque_entry(OpaqueCandidate(candidate, included, limits), shown, asks=route)


def _is_planned(effective: Any) -> bool:
    """Whether a plan stands for a route: nothing of it was overridden or replaced."""
    return is_native(effective) and not patched_seams()


def _operation_entry(
    route: APIRoute, effective: Any, context: EffectiveRouteContext | None, form_limits: Mapping[str, Any]
) -> EntrySpec:
    return EntrySpec(
        route=route,
        endpoint=effective.endpoint,
        pieces=_pieces(effective),
        regex=effective.path_regex if not effective.compiled_path or _is_irregular(effective) else None,
        methods=sorted(effective.methods) if effective.methods else None,
        context=context,
        opaque=False,
        compile=compiler(lambda: operation_of(effective, form_limits)),
        provider=effective.dependency_overrides_provider,
        limit=None if effective.max_body_size is None else BodyLimit(effective.max_body_size, ungroups=True),
    )


def _websocket_entry(route: APIWebSocketRoute, context: EffectiveRouteContext | None = None) -> EntrySpec:
    provider = route.dependency_overrides_provider
    return EntrySpec(
        route=route,
        endpoint=route.endpoint,
        pieces=_pieces(route),
        regex=route.path_regex,
        websocket=True,
        context=context,
        opaque=False,
        compile=compiler(lambda: websocket_operation(route.dependant, provider, route._embed_body_fields)),
        provider=provider,
    )


def _opaque_entry(route: Any, shown: Any, asks: Any = None) -> EntrySpec:
    """An entry that is asked and called as plain ASGI; its path only sorts out what cannot match."""
    asked_route = shown if asks is None else asks
    matches = type(asked_route).matches
    known = matches in (
        Route.matches,
        WebSocketRoute.matches,
        Mount.matches,
        APIRoute.matches,
        APIWebSocketRoute.matches,
    )
    return EntrySpec(
        route=route,
        endpoint=getattr(shown, "endpoint", None),
        pieces=_pieces(shown) if known and "matches" not in vars(asked_route) else None,
        is_mount=isinstance(shown, Mount),
    )


def _pieces(route: Any) -> list[tuple[str, str | None, Any]] | None:
    """The literals and parameters of a path; None where only the expression knows."""
    path: str = route.compiled_path
    if not path:
        return None
    pieces: list[tuple[str, str | None, Any]] = []
    end = 0
    for found in PARAM_REGEX.finditer(path):
        if found.start() > end:
            pieces.append((path[end : found.start()], None, None))
        name = found[1]
        convertor = route.param_convertors[name]
        pieces.append((name, _BUILT_IN.get(type(convertor), "custom"), convertor.convert))
        end = found.end()
    if end < len(path):
        pieces.append((path[end:], None, None))
    return pieces


def _is_irregular(route: Any) -> bool:
    """Whether Rust may need the expression. Saying so too often only costs compiling it."""
    if any(type(convertor) not in _BUILT_IN for convertor in route.param_convertors.values()):
        return True
    segments = route.compiled_path.split("/")
    return any("{" in segment and PARAM_REGEX.fullmatch(segment) is None for segment in segments) or any(
        ":path}" in segment for segment in segments[:-1]
    )


class OpaqueCandidate:
    """A route of an included router that is asked and called in Python.

    Args:
        candidate: Its effective context.
        included: The inclusion it belongs to.
        form_limits: The limits of the routers around it.
    """

    def __init__(
        self, candidate: EffectiveRouteContext, included: IncludedRouter, form_limits: Mapping[str, Any]
    ) -> None:
        self._candidate = candidate
        self._included = included
        self._form_limits = form_limits
        self.path = getattr(candidate.starlette_route or candidate, "path", "")

    @property
    def path_format(self) -> str:
        """The full path template."""
        shown: Any = self._candidate if self._candidate.starlette_route is None else self._candidate.starlette_route
        return getattr(shown, "path_format", "")

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Ask the route, at this inclusion."""
        match, child_scope, _ = asked(self._candidate, scope)
        return match, child_scope

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the route, at this inclusion."""
        candidate = self._candidate
        apply_form_limits(scope, self._form_limits)
        route = candidate.starlette_route or candidate.original_route
        fastapi_scope(scope)[EFFECTIVE_ROUTE_CONTEXT] = candidate
        if isinstance(route, APIRoute):
            scope["route"] = route
            await route.handle(scope, receive, send)
            return
        await wrap_app_with_body_limit(route.handle, self._included.include_context.max_body_size)(scope, receive, send)


def _low_priority(router: Router) -> Any:
    """The function that lets front ends answer: `(scope, receive, send) -> bool`. None where there are none."""
    if not isinstance(router, APIRouter) or next(router.low_priority_routes(), None) is None:
        return None

    async def answer(scope: Scope, receive: Receive, send: Send) -> bool:
        match, child_scope, route, context = router.match_low_priority(scope)
        if match is Match.NONE or route is None:
            return False
        update_scope(scope, child_scope)
        route_selected(scope, getattr(context or route, "path_format", None))
        if context is None:
            await route.handle(scope, receive, send)
            return True
        fastapi_scope(scope)[EFFECTIVE_ROUTE_CONTEXT] = context
        if isinstance(context.original_route, APIRoute):
            scope["route"] = context.original_route
            await context.original_route.handle(scope, receive, send)
        elif context.app is not None:
            await context.app(scope, receive, send)
        return True

    return answer
