"""Included routers: what a router's routes are at the place where it was included.

A router that is included stays what it is; its routes are not copied. At each inclusion there is an `IncludedRouter`,
which gives for every route of the original one an effective form: full path, combined dependencies, inherited
options. It is made when first asked for, and again when the original router changed, so that routes added after the
inclusion are live.

Stands on api, mount and frontend. It is not for adding routes: that is apirouter's.

Source: FastAPI 0.165 `fastapi.routing`.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from forzium._body_limit import get_body_size_limit, wrap_app_with_body_limit
from forzium._utils import get_route_path
from forzium.datastructures import URLPath
from forzium.routing import api
from forzium.routing.api import APIRoute, APIWebSocketRoute
from forzium.routing.base import BaseRoute, Match, NoMatchFound, below, match_path, replace_params
from forzium.routing.context import RouterIncludeContext
from forzium.routing.frontend import FrontendRouteGroup, nothing
from forzium.routing.mount import Host, Mount
from forzium.routing.operation import Operation, dependant_with
from forzium.routing.options import DEFAULTS, RouteOptions, innermost
from forzium.routing.route import Route, WebSocketRoute
from forzium.routing.router import Router
from forzium.routing.scope import (
    EFFECTIVE_ROUTE_CONTEXT,
    INCLUDED_ROUTER,
    MISSING,
    apply_form_limits,
    effective_route_context_var,
    fastapi_scope,
    restore,
    route_selected,
    update_scope,
)
from forzium.types import ASGIApp, Receive, Scope, Send
from forzium.utils import get_value_or_default

if TYPE_CHECKING:
    from forzium.routing.apirouter import APIRouter

__all__ = [
    "EffectiveRoute",
    "EffectiveRouteContext",
    "IncludedRouter",
    "RouteContext",
    "iter_included_route_candidates",
    "iter_route_contexts",
]

_TAKEN_OVER = (
    "response_model",
    "status_code",
    "summary",
    "description",
    "response_description",
    "methods",
    "operation_id",
    "response_model_include",
    "response_model_exclude",
    "response_model_by_alias",
    "response_model_exclude_unset",
    "response_model_exclude_defaults",
    "response_model_exclude_none",
    "name",
    "openapi_extra",
)


def _no_operation() -> dict[str, Any]:
    """The attributes of an operation, for routes that are none: agents read them without asking what a route is."""
    return {
        **dict.fromkeys(Operation.__annotations__),
        **DEFAULTS[RouteOptions],
        "path": "",
        "path_format": "",
        "name": "",
        "description": "",
        "unique_id": "",
        "response_model": None,
        "tags": [],
        "dependencies": [],
        "responses": {},
        "response_fields": {},
        "param_convertors": {},
        "methods": set(),
        "is_sse_stream": False,
        "is_json_stream": False,
        "_embed_body_fields": False,
    }


class EffectiveRouteContext(Operation):
    """A route as it is at one inclusion of its router.

    For an `APIRoute` this is a whole operation of its own. For the routes of Starlette `starlette_route` is a route
    with the full path, and for a front end only the prefix and the dependencies count.

    Attributes:
        original_route: The route as it was declared on its router.
        starlette_route: What stands for it here, where it is not an `APIRoute`.
        frontend_prefix: What goes before the paths of a front end.
    """

    def __init__(
        self, original_route: BaseRoute, starlette_route: BaseRoute | None = None, frontend_prefix: str = ""
    ) -> None:
        self.original_route = original_route
        self.starlette_route = starlette_route
        self.frontend_prefix = frontend_prefix
        self._app: ASGIApp | None = None
        self._app_is_own = True
        if not isinstance(original_route, APIRoute):
            vars(self).update(_no_operation())

    @classmethod
    def from_api_route(cls, route: APIRoute, context: RouterIncludeContext) -> EffectiveRouteContext:
        """The operation that `route` is in `context`."""
        router = context.included_router
        options: dict[str, Any] = {name: getattr(route, name) for name in _TAKEN_OVER}
        options.update(
            tags=[*context.tags, *route.tags],
            dependencies=[*context.dependencies, *route.dependencies],
            responses={**context.responses, **route.responses},
            deprecated=route.deprecated or context.deprecated,
            include_in_schema=route.include_in_schema and context.include_in_schema,
            response_class=get_value_or_default(
                route.response_class, router.default_response_class, context.default_response_class
            ),
            dependency_overrides_provider=context.dependency_overrides_provider,
            callbacks=[*context.callbacks, *(route.callbacks or [])],
            generate_unique_id_function=get_value_or_default(
                route.generate_unique_id_function,
                router.generate_unique_id_function,
                context.generate_unique_id_function,
            ),
            strict_content_type=get_value_or_default(
                route.strict_content_type, router.strict_content_type, context.strict_content_type
            ),
            max_body_size=get_body_size_limit(route.max_body_size, context.max_body_size),
            cancel_on_disconnect=innermost(route.cancel_on_disconnect, context.cancel_on_disconnect),
            background_always=innermost(route.background_always, context.background_always),
        )
        effective = cls(route)
        effective._declare(
            context.path_for(route),
            route.endpoint,
            cast("RouteOptions", options),
            stream_item_type=route.stream_item_type,
        )
        if api.builds_own_app(route):
            effective._app = effective._build_app()
            effective._app_is_own = False
        return effective

    @classmethod
    def from_frontend(cls, group: FrontendRouteGroup, context: RouterIncludeContext) -> EffectiveRouteContext:
        """The front ends of a router in `context`."""
        effective = cls(group, frontend_prefix=context.prefix)
        effective.dependencies = [*context.dependencies, *group.dependencies]
        effective.dependency_overrides_provider = context.dependency_overrides_provider
        effective.dependant, _, effective._embed_body_fields = dependant_with(
            effective.dependencies, path="", call=nothing
        )
        return effective

    def _build_app(self) -> ASGIApp:
        from forzium import routing

        token = effective_route_context_var.set(self)
        try:
            handler = cast("APIRoute", self.original_route).get_route_handler()
        finally:
            effective_route_context_var.reset(token)
        return wrap_app_with_body_limit(routing.request_response(handler), self.max_body_size)

    @property
    def app(self) -> ASGIApp | None:
        """The ASGI application of this operation; `None` where the route itself is asked to handle."""
        if self._app is None and isinstance(self.original_route, APIRoute):
            self._app = self._build_app()
        return self._app

    @app.setter
    def app(self, value: ASGIApp | None) -> None:
        self._app, self._app_is_own = value, False

    @property
    def app_is_own(self) -> bool:
        """Whether `app` is what this package makes of the endpoint, so that a plan may stand for it."""
        return self._app_is_own

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Fit as the original route does, at the full path."""
        route = self.original_route
        if isinstance(route, FrontendRouteGroup):
            return route.matches_with_prefix(scope, self.frontend_prefix)
        if not isinstance(route, APIRoute):
            assert self.starlette_route is not None
            return self.starlette_route.matches(scope)
        if scope["type"] != "http":
            return Match.NONE, {}
        values = match_path(self.path_regex, self.param_convertors, get_route_path(scope))
        if values is None:
            return Match.NONE, {}
        child_scope = {"endpoint": self.endpoint, "path_params": below(scope, values)}
        return (Match.PARTIAL if self.methods and scope["method"] not in self.methods else Match.FULL), child_scope

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """The full path with its parameters filled in."""
        if not isinstance(self.original_route, APIRoute):
            assert self.starlette_route is not None
            return self.starlette_route.url_path_for(name, **path_params)
        if name != self.name or path_params.keys() != self.param_convertors.keys():
            raise NoMatchFound(name, path_params)
        path, _ = replace_params(self.path_format, self.param_convertors, path_params)
        return URLPath(path=path, protocol="http")

    def __repr__(self) -> str:
        shown = self.starlette_route or self.original_route
        return f"{type(self).__name__}(path={getattr(self, 'path', None)!r}, route={shown!r})"


EffectiveRoute: TypeAlias = EffectiveRouteContext
"""What a candidate of an `IncludedRouter` is, where it is not an `IncludedRouter` itself."""


@dataclass(frozen=True)
class RouteContext:
    """A route with what it effectively is, as `iter_route_contexts` gives it.

    Every attribute of the effective route can be read from it.
    """

    route: BaseRoute
    _route_context: EffectiveRouteContext | None = field(default=None, repr=False)

    @property
    def original_route(self) -> BaseRoute:
        """The route as it was declared on its router."""
        return self.route if self._route_context is None else self._route_context.original_route

    @property
    def _effective_route(self) -> BaseRoute | EffectiveRouteContext:
        context = self._route_context
        if context is None:
            return self.route
        return context if context.starlette_route is None else context.starlette_route

    @property
    def path(self) -> str | None:
        """The full path template."""
        return getattr(self._effective_route, "path", None)

    @property
    def path_format(self) -> str | None:
        """The full path without convertors."""
        return getattr(self._effective_route, "path_format", None)

    @property
    def name(self) -> str | None:
        """The name for `url_path_for`."""
        return getattr(self._effective_route, "name", None)

    @property
    def methods(self) -> set[str] | None:
        """The methods it takes."""
        return getattr(self._effective_route, "methods", None)

    @property
    def endpoint(self) -> Callable[..., Any] | None:
        """The endpoint."""
        return getattr(self._effective_route, "endpoint", None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._effective_route, name)


class IncludedRouter(BaseRoute):
    """An inclusion: a router, and what the including one adds to it.

    Attributes:
        original_router: The router, as it was written. Its `matches` and `handle` are asked, so that a subclass can
            override them.
        include_context: Prefix, dependencies and options of this inclusion and those around it.
    """

    def __init__(self, original_router: APIRouter, include_context: RouterIncludeContext) -> None:
        self.original_router = original_router
        self.include_context = include_context
        self._effective_routes_lock = threading.Lock()
        self._effective_candidates: list[EffectiveRoute | IncludedRouter] = []
        self._effective_candidates_version: int | None = None
        self._effective_low_priority_routes: list[EffectiveRoute] = []
        self._effective_low_priority_routes_version: int | None = None

    def effective_candidates(self) -> list[EffectiveRoute | IncludedRouter]:
        """The effective routes in order, with an `IncludedRouter` for each router included below."""
        version = self.original_router._get_routes_version()
        if version != self._effective_candidates_version:
            with self._effective_routes_lock:
                version = self.original_router._get_routes_version()
                if version != self._effective_candidates_version:
                    self._effective_candidates = list(self._make_candidates())
                    self._effective_candidates_version = version
        return self._effective_candidates

    def _make_candidates(self) -> Iterator[EffectiveRoute | IncludedRouter]:
        for route in self.original_router.routes:
            if isinstance(route, IncludedRouter):
                yield self._nested(route)
            elif (effective := self._make_effective(route)) is not None:
                yield effective

    def effective_low_priority_routes(self) -> list[EffectiveRoute]:
        """The effective front ends, of this router and of those below, which come after every other route."""
        version = self.original_router._get_routes_version()
        if version != self._effective_low_priority_routes_version:
            with self._effective_routes_lock:
                version = self.original_router._get_routes_version()
                if version != self._effective_low_priority_routes_version:
                    self._effective_low_priority_routes = list(self._make_low_priority_routes())
                    self._effective_low_priority_routes_version = version
        return self._effective_low_priority_routes

    def _make_low_priority_routes(self) -> Iterator[EffectiveRoute]:
        for route in self.original_router._low_priority_routes:
            effective = self._make_effective(route)
            if effective is None:
                continue
            if not isinstance(route, APIRoute):
                handler = (effective.starlette_route or route).handle
                effective.app = wrap_app_with_body_limit(handler, self.include_context.max_body_size)
            yield effective
        for route in self.original_router.routes:
            if isinstance(route, IncludedRouter):
                yield from self._nested(route).effective_low_priority_routes()

    def _nested(self, route: IncludedRouter) -> IncludedRouter:
        return IncludedRouter(route.original_router, self.include_context.combine(route.include_context))

    def _make_effective(self, route: BaseRoute) -> EffectiveRoute | None:
        """What a route is at this inclusion; `None` for a class that cannot be given a prefix."""
        context = self.include_context
        if isinstance(route, APIRoute):
            return EffectiveRouteContext.from_api_route(route, context)
        if isinstance(route, FrontendRouteGroup):
            return EffectiveRouteContext.from_frontend(route, context)
        here: BaseRoute
        if isinstance(route, Route):
            here = Route(
                context.path_for(route),
                endpoint=route.endpoint,
                methods=list(route.methods or []),
                name=route.name,
                include_in_schema=route.include_in_schema,
            )
        elif isinstance(route, APIWebSocketRoute):
            here = APIWebSocketRoute(
                context.path_for(route),
                endpoint=route.endpoint,
                name=route.name,
                dependencies=[*context.dependencies, *route.dependencies],
                dependency_overrides_provider=context.dependency_overrides_provider,
            )
        elif isinstance(route, WebSocketRoute):
            here = WebSocketRoute(context.path_for(route), route.endpoint, name=route.name)
        elif isinstance(route, Mount):
            here = copy.copy(route)
            vars(here)["path"] = path = context.path_for(route).rstrip("/")
            here._set_path(path + "/{path:path}")
        elif isinstance(route, Host):
            app = Router(routes=[Mount(context.prefix, app=route.app)]) if context.prefix else route.app
            here = Host(route.host, app=app, name=route.name)
        else:
            return None
        return EffectiveRouteContext(route, here)

    def select(self, scope: Scope) -> tuple[Match, Scope, BaseRoute | None, EffectiveRoute | None]:
        """Find the candidate that answers.

        Returns:
            How far it fits, what the scope gets, the route to call, and its effective context (`None` for a router
            included below).
        """
        partial: tuple[Match, Scope, BaseRoute | None, EffectiveRoute | None] | None = None
        for candidate in self.effective_candidates():
            match, child_scope, route = asked(candidate, scope)
            if match is Match.NONE:
                continue
            context = None if isinstance(candidate, IncludedRouter) else candidate
            if match is Match.FULL:
                return match, child_scope, route, context
            if partial is None:
                partial = match, child_scope, route, context
        return partial or (Match.NONE, {}, None, None)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Ask the original router's `matches`, which looks at this inclusion."""
        own = fastapi_scope(scope)
        previous = own.get(INCLUDED_ROUTER, MISSING)
        own[INCLUDED_ROUTER] = self
        try:
            match, _ = self.original_router.matches(scope)
        finally:
            restore(scope, INCLUDED_ROUTER, previous)
        return match, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the original router's `handle` answer, at this inclusion."""
        apply_form_limits(scope, self.include_context.form_limits)
        fastapi_scope(scope)[INCLUDED_ROUTER] = self
        await self.original_router.handle(scope, receive, send)

    async def handle_selected(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find the candidate that answers, and let it."""
        _, child_scope, route, context = self.select(scope)
        limit = self.include_context.max_body_size
        if route is None:
            await wrap_app_with_body_limit(self.original_router.default, limit)(scope, receive, send)
            return
        update_scope(scope, child_scope)
        if isinstance(route, IncludedRouter):
            await route.handle(scope, receive, send)
            return
        if context is not None:
            shown = context.starlette_route if context.starlette_route is not None else context
            route_selected(scope, getattr(shown, "path_format", ""), mount=isinstance(route, Mount))
            fastapi_scope(scope)[EFFECTIVE_ROUTE_CONTEXT] = context
            if isinstance(route, APIRoute):
                scope["route"] = route
                await route.handle(scope, receive, send)
                return
        await wrap_app_with_body_limit(route.handle, limit)(scope, receive, send)

    _handle_selected = handle_selected

    def effective_route_contexts(self) -> Iterator[EffectiveRoute]:
        """All effective routes, those of routers included below in their place."""
        for candidate in self.effective_candidates():
            if isinstance(candidate, IncludedRouter):
                yield from candidate.effective_route_contexts()
            else:
                yield candidate

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """The full path of the first effective route that answers to `name`."""
        for effective in self.effective_route_contexts():
            try:
                return effective.url_path_for(name, **path_params)
            except NoMatchFound:
                pass
        raise NoMatchFound(name, path_params)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(original_router={self.original_router!r}, prefix={self.include_context.prefix!r})"
        )


def asked(candidate: BaseRoute | EffectiveRoute, scope: Scope) -> tuple[Match, Scope, BaseRoute]:
    """Ask a candidate whether it fits.

    An `APIRoute` is asked itself, since a subclass may override `matches`; the scope tells it meanwhile which
    inclusion is meant.

    Returns:
        How far it fits, what the scope gets, and the route to call.
    """
    if isinstance(candidate, BaseRoute):
        match, child_scope = candidate.matches(scope)
        return match, child_scope, candidate
    route = candidate.original_route
    if not isinstance(route, APIRoute):
        match, child_scope = candidate.matches(scope)
        return match, child_scope, candidate.starlette_route or route
    own = fastapi_scope(scope)
    previous = own.get(EFFECTIVE_ROUTE_CONTEXT, MISSING)
    own[EFFECTIVE_ROUTE_CONTEXT] = candidate
    try:
        match, child_scope = route.matches(scope)
    finally:
        restore(scope, EFFECTIVE_ROUTE_CONTEXT, previous)
    return match, child_scope, route


def routes_with_context(routes: Sequence[BaseRoute]) -> Iterator[tuple[BaseRoute, EffectiveRoute | None]]:
    """All routes, those of included routers as they were written and with their effective context."""
    for route in routes:
        if isinstance(route, IncludedRouter):
            for effective in route.effective_route_contexts():
                yield effective.original_route, effective
        else:
            yield route, None


def iter_included_route_candidates(routes: Sequence[BaseRoute]) -> Iterator[BaseRoute]:
    """All routes, those of included routers as what stands for them there, where that is a route."""
    for route, effective in routes_with_context(routes):
        stand_in = None if effective is None else effective.starlette_route
        yield route if stand_in is None else stand_in


def iter_route_contexts(routes: Sequence[BaseRoute | RouteContext]) -> Iterator[RouteContext]:
    """Walk over routes and those of included routers, each with what it effectively is there.

    Args:
        routes: For instance `app.routes`. A `RouteContext` among them is given as it is.
    """
    for route in routes:
        if isinstance(route, RouteContext):
            yield route
        else:
            for original, effective in routes_with_context([route]):
                yield RouteContext(original, effective)
