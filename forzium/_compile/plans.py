"""From an operation to its plan.

Stands on `nodes` and `answer`. An operation is anything with FastAPI's attributes of a route: an `APIRoute`, an
included route's effective context, or the arguments of `get_request_handler`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from forzium import params
from forzium._compile.answer import answer_spec, no_answer
from forzium._compile.nodes import Nodes, Overrides
from forzium._compile.spec import PlanSpec
from forzium._forzium import Handler, Plan
from forzium.datastructures import Default, DefaultPlaceholder
from forzium.exceptions import EndpointContext
from forzium.responses import JSONResponse

if TYPE_CHECKING:
    from forzium._fields import ModelField
    from forzium.dependencies.models import Dependant


@dataclass(slots=True, kw_only=True)
class Operation:
    """What a plan is compiled from; the names are those of `get_request_handler`."""

    dependant: Dependant
    body_field: ModelField | None = None
    status_code: int | None = None
    response_class: Any = field(default_factory=lambda: Default(JSONResponse))
    response_field: ModelField | None = None
    response_model_include: Any = None
    response_model_exclude: Any = None
    response_model_by_alias: bool = True
    response_model_exclude_unset: bool = False
    response_model_exclude_defaults: bool = False
    response_model_exclude_none: bool = False
    dependency_overrides_provider: Any = None
    embed_body_fields: bool = False
    strict_content_type: Any = field(default_factory=lambda: Default(True))
    stream_item_field: ModelField | None = None
    is_json_stream: bool = False
    form_limits: Mapping[str, Any] | None = None
    cancel_on_disconnect: bool | None = None
    background_always: bool | None = None
    websocket: bool = False


def operation_of(route: Any, form_limits: Mapping[str, Any] | None = None) -> Operation:
    """Take the operation out of a route or an effective route context."""
    return Operation(
        dependant=route.dependant,
        body_field=route.body_field,
        status_code=route.status_code,
        response_class=route.response_class,
        response_field=route.response_field,
        response_model_include=route.response_model_include,
        response_model_exclude=route.response_model_exclude,
        response_model_by_alias=route.response_model_by_alias,
        response_model_exclude_unset=route.response_model_exclude_unset,
        response_model_exclude_defaults=route.response_model_exclude_defaults,
        response_model_exclude_none=route.response_model_exclude_none,
        dependency_overrides_provider=route.dependency_overrides_provider,
        embed_body_fields=route._embed_body_fields,
        strict_content_type=route.strict_content_type,
        stream_item_field=route.stream_item_field,
        is_json_stream=route.is_json_stream,
        form_limits=form_limits,
        cancel_on_disconnect=route.cancel_on_disconnect,
        background_always=route.background_always,
    )


def websocket_operation(dependant: Dependant, provider: Any, embed_body_fields: bool) -> Operation:
    """Make the operation of a WebSocket route."""
    return Operation(
        dependant=dependant,
        dependency_overrides_provider=provider,
        embed_body_fields=embed_body_fields,
        websocket=True,
    )


def compiler(make: Callable[[], Operation]) -> Callable[[Overrides | None], Plan]:
    """Give the function that compiles an operation: `(overrides or None) -> Plan`.

    The plan for the overrides seen last is kept: a test sets them once and asks often.
    """
    last: tuple[list[tuple[Any, Any]], Plan] | None = None

    def compile_with(overrides: Overrides | None) -> Plan:
        nonlocal last
        if not overrides:
            return compile_operation(make(), {})
        now = list(overrides.items())
        if (
            last is None
            or len(last[0]) != len(now)
            or any(a is not c or b is not d for (a, b), (c, d) in zip(last[0], now, strict=True))
        ):
            last = now, compile_operation(make(), dict(overrides))
        return last[1]

    return compile_with


def compile_operation(operation: Operation, overrides: Overrides) -> Plan:
    """Compile an operation with these overrides of its dependencies."""
    return Plan(plan_spec(operation, overrides))


def plan_spec(operation: Operation, overrides: Overrides) -> PlanSpec:
    """Describe the plan of an operation."""
    nodes = Nodes(overrides=overrides, embed=operation.embed_body_fields, websocket=operation.websocket)
    nodes.add_endpoint(operation.dependant)
    body_field = operation.body_field
    strict = operation.strict_content_type
    return PlanSpec(
        nodes=nodes.nodes,
        visits=nodes.visits,
        slots=nodes.slots,
        body="none" if body_field is None else "form" if isinstance(body_field.field_info, params.Form) else "json",
        strict_content_type=bool(strict.value if isinstance(strict, DefaultPlaceholder) else strict),
        form_limits=dict(operation.form_limits or {}),
        answer=no_answer() if operation.websocket else answer_spec(operation),
        context=place(operation.dependant, websocket=operation.websocket),
        cancel_on_disconnect=bool(operation.cancel_on_disconnect),
        background_always=bool(operation.background_always),
    )


def place(dependant: Dependant, *, websocket: bool) -> Callable[[Any], EndpointContext]:
    """Give the function that says where an operation stands: file, line, function, and the path as it was called."""
    known: EndpointContext | None = None

    def context(scope: Any) -> EndpointContext:
        nonlocal known
        if known is None:
            known = _source(dependant.call)
        here = EndpointContext(**known)
        if dependant.path:
            verb = "WS" if websocket else scope["method"]
            here["path"] = f"{verb} {scope.get('root_path', '').rstrip('/')}{dependant.path}"
        return here

    return context


def _source(call: Any) -> EndpointContext:
    place = EndpointContext()
    try:
        file = inspect.getsourcefile(call)
        line = inspect.getsourcelines(call)[1]
    except (OSError, TypeError):
        return place
    if file is not None:
        place["file"] = file
    place["line"] = line
    name = getattr(call, "__name__", None)
    if name is not None:
        place["function"] = name
    return place


def request_handler(**options: Any) -> Callable[[Any], Coroutine[Any, Any, Any]]:
    """Make the function `request -> Response` of an operation; the arguments are those of `get_request_handler`."""
    operation = Operation(**options)
    native = Handler(compiler(lambda: operation), operation.dependency_overrides_provider)

    async def handle(request: Any) -> Any:
        if not _is_watched(request.scope):
            return await native(request)
        from forzium._compile import seams

        context = place(operation.dependant, websocket=False)
        return await seams.handler(operation, context, answer_spec(operation).stream)(request)

    return handle


def websocket_handler(
    *, dependant: Dependant, dependency_overrides_provider: Any, embed_body_fields: bool
) -> Callable[[Any], Coroutine[Any, Any, None]]:
    """Make the function `websocket -> None` of a WebSocket operation."""
    operation = websocket_operation(dependant, dependency_overrides_provider, embed_body_fields)
    native = Handler(compiler(lambda: operation), dependency_overrides_provider, websocket=True)

    async def handle(websocket: Any) -> None:
        if not _is_watched(websocket.scope):
            await native(websocket)
            return
        from forzium._compile import seams

        await seams.websocket_handler(operation, place(dependant, websocket=True))(websocket)

    return handle


def _is_watched(scope: Any) -> bool:
    """Whether telemetry watches a connection, or an agent replaced a function that must be called."""
    if "fastapi.telemetry" in scope:
        return True
    from forzium.routing.native import patched_seams

    return not patched_seams() <= {"get_request_handler", "get_websocket_app", "request_response", "websocket_session"}
