"""FastAPI's `APIRouter`: operations, their shared options, and routers included into one another.

Stands on router, api, include and frontend. Which route answers is decided in Rust, as for `Router`.

Source: FastAPI 0.165 `fastapi.routing.APIRouter`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, Unpack

from typing_extensions import deprecated

from forzium._body_limit import get_body_size_limit, validate_max_body_size, wrap_app_with_body_limit
from forzium._form_limits import FormLimits, validate_form_limits
from forzium._forzium import owe_background
from forzium._utils import is_async_callable
from forzium.datastructures import Default
from forzium.exceptions import FastAPIError
from forzium.responses import JSONResponse, Response
from forzium.routing.api import APIRoute, APIWebSocketRoute
from forzium.routing.base import BaseRoute, Match, PathRoute, parse_path
from forzium.routing.context import RouterIncludeContext
from forzium.routing.declaration import declared, explained
from forzium.routing.frontend import FrontendRouteGroup, checks_directory, joined, normalized
from forzium.routing.include import EffectiveRoute, IncludedRouter, asked, routes_with_context
from forzium.routing.lifespan import EventLifespan, merged, uniform
from forzium.routing.options import (
    AddAPIRouteOptions,
    IncludeOptions,
    OperationOptions,
    RouterAPIRouteOptions,
    completed,
    innermost,
    signed,
)
from forzium.routing.router import Router
from forzium.routing.scope import FRONTEND_SPECIFICITY, INCLUDED_ROUTER, SCOPE_KEY, inner
from forzium.types import ASGIApp, DecoratedCallable, Lifespan, Receive, Scope, Send
from forzium.utils import generate_unique_id, get_value_or_default

if TYPE_CHECKING:
    from forzium import params
    from forzium.requests import Request
    from forzium.routing.frontend import Directory, Fallback
    from forzium.websockets import WebSocket

__all__ = ["APIRouter"]

ON_EVENT_DEPRECATED = """
        on_event is deprecated, use lifespan event handlers instead.

        Read more about it in the
        [FastAPI docs for Lifespan Events](https://fastapi.tiangolo.com/advanced/events/).
        """


class APIRouter(Router):
    """A group of operations that share a prefix, tags, dependencies and other options.

    Args:
        prefix: Path before those of its operations: empty, or starting with a slash and not ending in one.
        tags: Tags of all its operations in the OpenAPI document.
        dependencies: Dependencies of all its operations.
        default_response_class: Class of an answer that is not a `Response`. Default is JSON.
        responses: More responses of all its operations for the OpenAPI document.
        callbacks: OpenAPI callbacks of all its operations.
        routes: The first routes, of any class.
        redirect_slashes: Whether a path that fits only with (or without) a slash at its end is redirected.
        default: What answers where nothing fits. Default is 404.
        dependency_overrides_provider: What has the `dependency_overrides`: the application.
        route_class: Class of its operations. Default is `APIRoute`.
        on_startup: Called when serving begins, in order. A `lifespan` replaces them.
        on_shutdown: Called when serving ends, in order.
        lifespan: A context manager factory, called with the application around serving.
        deprecated: Whether the OpenAPI document marks all its operations as deprecated.
        include_in_schema: Whether the OpenAPI document shows its operations.
        generate_unique_id_function: Makes operation ids from routes.
        strict_content_type: Whether a JSON body needs a JSON content type. Default is true.
        max_body_size: Limit of a request body in bytes. Default is no limit.
        form_limits: Limits of a form's fields, files and part size.
        cancel_on_disconnect: Whether an endpoint is cancelled when the client leaves. Default is false. Forzium's own.
        background_always: Whether background tasks run whatever becomes of the response. Default is false. Forzium's
            own.

    Raises:
        AssertionError: The prefix does not start with a slash, or ends in one.
        ValueError: The body limit is no size.
    """

    _routes_version: int = 0

    def __init__(
        self,
        *,
        prefix: str = "",
        tags: list[str | Enum] | None = None,
        dependencies: Sequence[params.Depends] | None = None,
        default_response_class: type[Response] = Default(JSONResponse),
        responses: dict[int | str, dict[str, Any]] | None = None,
        callbacks: list[BaseRoute] | None = None,
        routes: list[BaseRoute] | None = None,
        redirect_slashes: bool = True,
        default: ASGIApp | None = None,
        dependency_overrides_provider: Any | None = None,
        route_class: type[APIRoute] = APIRoute,
        on_startup: Sequence[Callable[[], Any]] | None = None,
        on_shutdown: Sequence[Callable[[], Any]] | None = None,
        lifespan: Lifespan[Any] | None = None,
        deprecated: bool | None = None,
        include_in_schema: bool = True,
        generate_unique_id_function: Callable[[APIRoute], str] = Default(generate_unique_id),
        strict_content_type: bool = Default(True),
        max_body_size: int | None = None,
        form_limits: FormLimits | None = None,
        cancel_on_disconnect: bool | None = None,
        background_always: bool | None = None,
    ) -> None:
        validate_max_body_size(max_body_size)
        super().__init__(
            routes=routes,
            redirect_slashes=redirect_slashes,
            default=default,
            lifespan=EventLifespan(self) if lifespan is None else uniform(lifespan, warn=False),
        )
        if max_body_size is not None:
            self.middleware_stack = wrap_app_with_body_limit(self.app, max_body_size)
        check_prefix(prefix)
        self.on_startup: list[Callable[[], Any]] = [] if on_startup is None else list(on_startup)
        self.on_shutdown: list[Callable[[], Any]] = [] if on_shutdown is None else list(on_shutdown)
        self.prefix = prefix
        self.tags: list[str | Enum] = tags or []
        self.dependencies = list(dependencies or [])
        self.deprecated = deprecated
        self.include_in_schema = include_in_schema
        self.responses = responses or {}
        self.callbacks = callbacks or []
        self.dependency_overrides_provider = dependency_overrides_provider
        self.route_class = route_class
        self.default_response_class = default_response_class
        self.generate_unique_id_function = generate_unique_id_function
        self.form_limits = validate_form_limits(form_limits)
        self.strict_content_type = strict_content_type
        self.max_body_size = max_body_size
        self.cancel_on_disconnect = cancel_on_disconnect
        self.background_always = background_always
        if background_always:
            owe_background()
        self._low_priority_routes: list[BaseRoute] = []
        self._frontend_routes: FrontendRouteGroup | None = None

    # What has changed, and what is included

    def _routes_changed(self) -> None:
        self._routes_version += 1
        declared()

    _mark_routes_changed = _routes_changed

    def _included(self) -> Iterator[APIRouter]:
        """The routers included here, and below them, each of them once, and never this one again."""
        seen = {id(self)}
        waiting = [self]
        while waiting:
            for route in waiting.pop().routes:
                if isinstance(route, IncludedRouter) and id(route.original_router) not in seen:
                    seen.add(id(route.original_router))
                    waiting.append(route.original_router)
                    yield route.original_router

    def _get_routes_version(self) -> int:
        """A number that grows with every change of this router or of one included below."""
        return self._routes_version + sum(router._routes_version for router in self._included())

    # Which route answers. The order of all of them is walked in Rust; this is what it asks of Python.

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Say how far the inclusion that is being asked fits; override it to look at the scope before."""
        included = inner(scope, INCLUDED_ROUTER)
        if isinstance(included, IncludedRouter) and included.original_router is self:
            match, child_scope, _, _ = included.select(scope)
            return match, child_scope
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer at the inclusion that was chosen, or else as an application; override it to come before and after."""
        included = inner(scope, INCLUDED_ROUTER)
        if isinstance(included, IncludedRouter) and included.original_router is self:
            await included.handle_selected(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def low_priority_routes(self) -> Iterator[BaseRoute | EffectiveRoute]:
        """The front ends of this router and of those included below."""
        yield from self._low_priority_routes
        for route in self.routes:
            if isinstance(route, IncludedRouter):
                yield from route.effective_low_priority_routes()

    def match_low_priority(self, scope: Scope) -> tuple[Match, Scope, BaseRoute | None, EffectiveRoute | None]:
        """Find the front end that answers what no route did: the one that names most of the path.

        Returns:
            As `IncludedRouter.select`.
        """
        best: tuple[Match, Scope, BaseRoute | None, EffectiveRoute | None] = Match.NONE, {}, None, None
        for candidate in self.low_priority_routes():
            match, child_scope, route = asked(candidate, scope)
            if match.value > best[0].value or (
                match is best[0] is not Match.NONE and _names_more(child_scope, best[1])
            ):
                best = match, child_scope, route, None if isinstance(candidate, BaseRoute) else candidate
        return best

    # Adding routes

    def add_route(
        self,
        path: str,
        endpoint: Callable[[Request], Awaitable[Response] | Response],
        methods: Collection[str] | None = None,
        name: str | None = None,
        include_in_schema: bool = True,
    ) -> None:
        """Add a `Route`, at `path` as it stands: the prefix is for operations."""
        super().add_route(path, endpoint, methods=methods, name=name, include_in_schema=include_in_schema)

    def add_websocket_route(
        self, path: str, endpoint: Callable[[WebSocket], Awaitable[None]], name: str | None = None
    ) -> None:
        """Add a `WebSocketRoute`, at `path` as it stands."""
        super().add_websocket_route(path, endpoint, name=name)

    def frontend(
        self,
        path: str,
        *,
        directory: Directory,
        fallback: Fallback = "auto",
        check_dir: bool | Literal["auto"] = "auto",
    ) -> None:
        """Serve a built front end at the paths below `path` that no route takes.

        Args:
            path: Where it is served; `/` for all of them.
            directory: Its files.
            fallback: What answers a page without a file; see `FrontendRoute`.
            check_dir: Whether the directory must exist; `auto` is true except in development.

        Raises:
            AssertionError: The path or the fallback is none.
            RuntimeError: The directory or the fallback file does not exist.
        """
        checked = checks_directory(directory, check_dir)
        path = normalized(path)
        if self._frontend_routes is None:
            self._frontend_routes = FrontendRouteGroup(
                dependencies=self.dependencies, dependency_overrides_provider=self.dependency_overrides_provider
            )
            self._low_priority_routes.append(self._frontend_routes)
        self._frontend_routes.add_frontend_route(
            joined(self.prefix, path), directory=directory, fallback=fallback, check_dir=checked
        )
        self._routes_changed()

    def route(
        self,
        path: str,
        methods: Collection[str] | None = None,
        name: str | None = None,
        include_in_schema: bool = True,
    ) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Declare a function `request -> Response` as a `Route`."""

        def decorator(func: DecoratedCallable) -> DecoratedCallable:
            self.add_route(path, func, methods=methods, name=name, include_in_schema=include_in_schema)
            return func

        return decorator

    @signed(AddAPIRouteOptions)
    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Unpack[AddAPIRouteOptions]) -> None:
        """Add an operation: a route of this router's `route_class` with this router's options added.

        Raises:
            AssertionError, FastAPIError, ValueError: As `APIRoute`.
        """
        given: dict[str, Any] = {**completed(AddAPIRouteOptions, options, "APIRouter.add_api_route")}
        route_class = given.pop("route_class_override") or self.route_class
        for name in ("cancel_on_disconnect", "background_always"):
            given[name] = innermost(given[name], getattr(self, name))
        if given["background_always"]:
            owe_background()
        for name in ("form_limits", "cancel_on_disconnect", "background_always"):
            if given[name] is None:
                del given[name]  # a `route_class` written for another FastAPI may not take it
        given.update(
            tags=[*self.tags, *(given["tags"] or [])],
            dependencies=[*self.dependencies, *(given["dependencies"] or [])],
            responses={**self.responses, **(given["responses"] or {})},
            deprecated=given["deprecated"] or self.deprecated,
            include_in_schema=given["include_in_schema"] and self.include_in_schema,
            response_class=get_value_or_default(given["response_class"], self.default_response_class),
            callbacks=[*self.callbacks, *(given["callbacks"] or [])],
            generate_unique_id_function=get_value_or_default(
                given["generate_unique_id_function"], self.generate_unique_id_function
            ),
            strict_content_type=get_value_or_default(given["strict_content_type"], self.strict_content_type),
            max_body_size=get_body_size_limit(given["max_body_size"], self.max_body_size),
            dependency_overrides_provider=self.dependency_overrides_provider,
        )
        self.routes.append(route_class(self.prefix + path, endpoint=endpoint, **given))

    @signed(RouterAPIRouteOptions)
    def api_route(
        self, path: str, **options: Unpack[RouterAPIRouteOptions]
    ) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Declare a function as an operation; see `add_api_route`."""
        given = completed(RouterAPIRouteOptions, options, "APIRouter.api_route")

        def decorator(func: DecoratedCallable) -> DecoratedCallable:
            self.add_api_route(path, func, **given)
            return func

        return decorator

    def add_api_websocket_route(
        self,
        path: str,
        endpoint: Callable[..., Any],
        name: str | None = None,
        *,
        dependencies: Sequence[params.Depends] | None = None,
    ) -> None:
        """Add an `APIWebSocketRoute`."""
        route = APIWebSocketRoute(
            self.prefix + path,
            endpoint=endpoint,
            name=name,
            dependencies=[*self.dependencies, *(dependencies or [])],
            dependency_overrides_provider=self.dependency_overrides_provider,
        )
        self.routes.append(route)

    def websocket(
        self, path: str, name: str | None = None, *, dependencies: Sequence[params.Depends] | None = None
    ) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Declare a coroutine function as a WebSocket endpoint."""

        def decorator(func: DecoratedCallable) -> DecoratedCallable:
            self.add_api_websocket_route(path, func, name=name, dependencies=dependencies)
            return func

        return decorator

    def websocket_route(self, path: str, name: str | None = None) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Declare a coroutine function `websocket -> None` as a `WebSocketRoute`."""

        def decorator(func: DecoratedCallable) -> DecoratedCallable:
            self.add_websocket_route(path, func, name=name)
            return func

        return decorator

    @signed(IncludeOptions)
    def include_router(self, router: APIRouter, **options: Unpack[IncludeOptions]) -> None:
        """Include another router's routes, live: what is added to it later counts too.

        Its lifespan and its startup and shutdown handlers run with this router's.

        Raises:
            AssertionError: The routers include each other, or the prefix does not start with a slash or ends in one.
            FastAPIError: A path and the prefix are both empty.
            ValueError: The body limit is no size.
        """
        given = completed(IncludeOptions, options, "APIRouter.include_router")
        if self is router:
            raise AssertionError(
                explained(
                    "Cannot include the same APIRouter instance into itself. Did you mean to include a different "
                    "router?",
                    "give another router",
                )
            )
        if any(below is self for below in router._included()):
            raise AssertionError(
                explained(
                    "Cannot include an APIRouter instance that already includes this router. Did you mean to include a "
                    "different router?",
                    "include in one direction only",
                )
            )
        if given["prefix"]:
            check_prefix(given["prefix"])
        else:
            refuse_empty_paths(router)
        context = RouterIncludeContext.for_include(self, router, given)
        if context.background_always:
            owe_background()
        if "{" in context.prefix:
            refuse_repeated_parameters(context.prefix, router)
        self.routes.append(IncludedRouter(router, context))
        for handler in router.on_startup:
            self.add_event_handler("startup", handler)
        for handler in router.on_shutdown:
            self.add_event_handler("shutdown", handler)
        self.lifespan_context = merged(self.lifespan_context, router.lifespan_context)

    # One method for each HTTP method

    def _operation(
        self, method: str, path: str, options: OperationOptions
    ) -> Callable[[DecoratedCallable], DecoratedCallable]:
        given = completed(OperationOptions, options, f"APIRouter.{method.lower()}")
        return self.api_route(path=path, methods=[method], **given)

    @signed(OperationOptions)
    def get(self, path: str, **options: Unpack[OperationOptions]) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Declare a function as a GET operation; see `api_route`."""
        return self._operation("GET", path, options)

    @signed(OperationOptions)
    def put(self, path: str, **options: Unpack[OperationOptions]) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Declare a function as a PUT operation; see `api_route`."""
        return self._operation("PUT", path, options)

    @signed(OperationOptions)
    def post(self, path: str, **options: Unpack[OperationOptions]) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Declare a function as a POST operation; see `api_route`."""
        return self._operation("POST", path, options)

    @signed(OperationOptions)
    def delete(
        self, path: str, **options: Unpack[OperationOptions]
    ) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Declare a function as a DELETE operation; see `api_route`."""
        return self._operation("DELETE", path, options)

    @signed(OperationOptions)
    def options(
        self, path: str, **options: Unpack[OperationOptions]
    ) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Declare a function as an OPTIONS operation; see `api_route`."""
        return self._operation("OPTIONS", path, options)

    @signed(OperationOptions)
    def head(self, path: str, **options: Unpack[OperationOptions]) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Declare a function as a HEAD operation; see `api_route`."""
        return self._operation("HEAD", path, options)

    @signed(OperationOptions)
    def patch(self, path: str, **options: Unpack[OperationOptions]) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Declare a function as a PATCH operation; see `api_route`."""
        return self._operation("PATCH", path, options)

    @signed(OperationOptions)
    def trace(self, path: str, **options: Unpack[OperationOptions]) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Declare a function as a TRACE operation; see `api_route`."""
        return self._operation("TRACE", path, options)

    # Lifespan

    async def _startup(self) -> None:
        await _run(self.on_startup)

    async def _shutdown(self) -> None:
        await _run(self.on_shutdown)

    def add_event_handler(self, event_type: str, func: Callable[[], Any]) -> None:
        """Call a function, sync or async, when serving begins (`startup`) or ends (`shutdown`).

        Raises:
            AssertionError: The event is neither.
        """
        if event_type not in ("startup", "shutdown"):
            raise AssertionError(
                explained("", f"there is no event {event_type!r}; write 'startup' or 'shutdown'", func).lstrip()
            )
        (self.on_startup if event_type == "startup" else self.on_shutdown).append(func)

    @deprecated(ON_EVENT_DEPRECATED)
    def on_event(self, event_type: str) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Declare a function as a startup or shutdown handler; see `add_event_handler`."""

        def decorator(func: DecoratedCallable) -> DecoratedCallable:
            self.add_event_handler(event_type, func)
            return func

        return decorator


def check_prefix(prefix: str) -> None:
    """Refuse a prefix that would not join to a path.

    Raises:
        AssertionError: It does not start with a slash, or ends in one.
    """
    if prefix and not prefix.startswith("/"):
        raise AssertionError(explained("A path prefix must start with '/'", f"write {'/' + prefix!r}"))
    if prefix.endswith("/"):
        raise AssertionError(
            explained(
                "A path prefix must not end with '/', as the routes will start with '/'",
                f"write {prefix.rstrip('/')!r}",
            )
        )


def refuse_empty_paths(router: APIRouter) -> None:
    """Refuse a router to be included without a prefix if one of its routes has no path either.

    Raises:
        FastAPIError: One has none.
    """
    for route, context in routes_with_context(router.routes):
        effective: Any = route if context is None else (context.starlette_route or context)
        if getattr(effective, "path", None) == "":
            name = getattr(effective, "name", "unknown")
            raise FastAPIError(
                explained(
                    f"Prefix and path cannot be both empty (path operation: {name})",
                    "give the operation a path, or include its router with a prefix",
                    getattr(effective, "endpoint", None),
                )
            )


def refuse_repeated_parameters(prefix: str, router: APIRouter) -> None:
    """Refuse a prefix with a parameter that a path below it has too. FastAPI finds out at the first request.

    Raises:
        ValueError: It has one.
    """
    for route in router.routes:
        if isinstance(route, IncludedRouter):
            refuse_repeated_parameters(prefix + route.include_context.prefix, route.original_router)
        elif isinstance(route, PathRoute):
            parse_path(prefix + (route.compiled_path or route.path), getattr(route, "endpoint", None))


def _names_more(child_scope: Scope, other: Scope) -> bool:
    """Whether the one of two matched front ends names more of the path than the other."""
    mine, theirs = (each.get(SCOPE_KEY, {}).get(FRONTEND_SPECIFICITY) for each in (child_scope, other))
    return isinstance(mine, int) and isinstance(theirs, int) and mine > theirs


async def _run(handlers: Sequence[Callable[[], Any]]) -> None:
    for handler in handlers:
        if is_async_callable(handler):
            await handler()
        else:
            handler()
