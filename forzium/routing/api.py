"""FastAPI's routes: `APIRoute`, an operation over HTTP, and `APIWebSocketRoute`.

Stands on operation and route. How an operation answers is built by `get_route_handler`, which subclasses override.

Source: FastAPI 0.165 `fastapi.routing`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from forzium import routing
from forzium._body_limit import wrap_app_with_body_limit
from forzium._form_limits import validate_form_limits
from forzium.requests import Request
from forzium.responses import Response
from forzium.routing.base import Match, get_name
from forzium.routing.handler import get_request_handler, get_websocket_app, request_response, websocket_session
from forzium.routing.operation import Operation, dependant_with
from forzium.routing.options import RouteOptions, completed, signed
from forzium.routing.route import Route, WebSocketRoute, refuse_method
from forzium.routing.scope import EFFECTIVE_ROUTE_CONTEXT, effective_route_context_var, inner
from forzium.types import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:
    from forzium import params

__all__ = ["APIRoute", "APIWebSocketRoute"]


class APIRoute(Operation, Route):  # type: ignore[misc]  # its methods are never None
    """An operation: an endpoint whose parameters, body, dependencies and response model are read from its signature.

    Args:
        path: The path template.
        endpoint: A function, sync or async, or a generator function.
        options: See `RouteOptions`.

    Raises:
        AssertionError: A convertor is unknown, the endpoint is not callable, a status cannot have the declared body,
            or parameters contradict each other.
        FastAPIError: A parameter or response has a type pydantic does not know.
        ValueError: A path parameter occurs twice, or the body limit is no size.
    """

    @signed(RouteOptions)
    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Unpack[RouteOptions]) -> None:
        given = completed(RouteOptions, options, "APIRoute.__init__")
        self.form_limits = validate_form_limits(given["form_limits"])
        self._declare(path, endpoint, given)
        if builds_own_app(self):
            self._app = self._build_app()
            self._app_is_own = False

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Make the function that answers a request; override it to come before and after.

        For a route of an included router it is called once for each inclusion, and answers for that one.
        """
        context = effective_route_context_var.get()
        operation: Operation = self if context is None or context.original_route is not self else context
        return routing.get_request_handler(
            dependant=operation.dependant,
            body_field=operation.body_field,
            status_code=operation.status_code,
            response_class=operation.response_class,
            response_field=operation.response_field,
            response_model_include=operation.response_model_include,
            response_model_exclude=operation.response_model_exclude,
            response_model_by_alias=operation.response_model_by_alias,
            response_model_exclude_unset=operation.response_model_exclude_unset,
            response_model_exclude_defaults=operation.response_model_exclude_defaults,
            response_model_exclude_none=operation.response_model_exclude_none,
            dependency_overrides_provider=operation.dependency_overrides_provider,
            embed_body_fields=operation._embed_body_fields,
            strict_content_type=operation.strict_content_type,
            form_limits=self.form_limits,
            stream_item_field=operation.stream_item_field,
            is_json_stream=operation.is_json_stream,
            **({"cancel_on_disconnect": True} if operation.cancel_on_disconnect else {}),
            **({"background_always": True} if operation.background_always else {}),
        )

    def _build_app(self) -> ASGIApp:
        return wrap_app_with_body_limit(routing.request_response(self.get_route_handler()), self.max_body_size)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Fit as `Route` does, at the path of the inclusion that is being asked."""
        context = inner(scope, EFFECTIVE_ROUTE_CONTEXT)
        if context is not None and context.original_route is self:
            match, child_scope = context.matches(scope)
        else:
            match, child_scope = super().matches(scope)
        if match is not Match.NONE:
            child_scope["route"] = self
        return match, child_scope

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application of this route, or of the inclusion that was chosen; or answer 405."""
        context = inner(scope, EFFECTIVE_ROUTE_CONTEXT)
        if context is None or context.original_route is not self:
            await super().handle(scope, receive, send)
        elif context.methods and scope["method"] not in context.methods:
            await refuse_method(context.methods, scope, receive, send)
        else:
            await context.app(scope, receive, send)


_GET_ROUTE_HANDLER = APIRoute.get_route_handler


def builds_own_app(route: APIRoute) -> bool:
    """Whether what a route answers with is built by something other than this package.

    It is then built when the route is declared, once, and never by a plan: the class or an agent replaced
    `get_route_handler`, or an agent replaced a function it calls.
    """
    return (
        getattr(route.get_route_handler, "__func__", None) is not _GET_ROUTE_HANDLER
        or routing.get_request_handler is not get_request_handler
        or routing.request_response is not request_response
    )


class APIWebSocketRoute(WebSocketRoute):
    """A WebSocket endpoint whose parameters and dependencies are read from its signature.

    Args:
        path: The path template.
        endpoint: A coroutine function.
        name: Name for `url_path_for`. Default is the endpoint's.
        dependencies: Dependencies whose values the endpoint does not take.
        dependency_overrides_provider: What has the `dependency_overrides`: the application.
    """

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        name: str | None = None,
        dependencies: Sequence[params.Depends] | None = None,
        dependency_overrides_provider: Any | None = None,
    ) -> None:
        self.path = path
        self.endpoint = endpoint
        self.name = get_name(endpoint) if name is None else name
        self.dependencies = list(dependencies or [])
        self.dependency_overrides_provider = dependency_overrides_provider
        self._set_path(path, endpoint)
        self.dependant, _, self._embed_body_fields = dependant_with(
            self.dependencies, path=self.path_format, call=endpoint
        )
        if routing.get_websocket_app is not get_websocket_app or routing.websocket_session is not websocket_session:
            self.app = self._build_app()

    def _build_app(self) -> ASGIApp:
        return routing.websocket_session(
            routing.get_websocket_app(
                dependant=self.dependant,
                dependency_overrides_provider=self.dependency_overrides_provider,
                embed_body_fields=self._embed_body_fields,
            )
        )

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Fit as `WebSocketRoute` does, and name itself in the scope."""
        match, child_scope = super().matches(scope)
        if match is not Match.NONE:
            child_scope["route"] = self
        return match, child_scope
