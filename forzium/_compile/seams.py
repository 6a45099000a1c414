"""Operations that are watched: by telemetry, or by an agent that put functions of its own in the place of FastAPI's.

Agents (Logfire among them) replace `solve_dependencies`, `run_endpoint_function` or `serialize_response` on
`forzium.routing` and expect to be called; telemetry makes a span of each. As long as that is so, an operation goes this
way: the same steps as the plan's, but each through the function that stands on `forzium.routing` at that moment. It is
slower.

Stands on routing, `runtime` and `disconnect`.

Source: FastAPI 0.165 `routing.get_request_handler`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from forzium import params, routing
from forzium._compile import runtime
from forzium._compile.disconnect import cancelled_on_disconnect
from forzium._fields import Undefined
from forzium.datastructures import DefaultPlaceholder
from forzium.dependencies.callables import is_async_gen_callable, is_coroutine_callable, is_gen_callable
from forzium.exceptions import RequestValidationError, WebSocketRequestValidationError
from forzium.responses import Response
from forzium.telemetry import _api as telemetry

if TYPE_CHECKING:
    from forzium._compile.plans import Operation


def handler(
    operation: Operation, context: Callable[[Any], Any], stream: Any
) -> Callable[[Any], Coroutine[Any, Any, Any]]:
    """Make the function `request -> Response` that goes through the functions on `forzium.routing`.

    Args:
        operation: What is called.
        context: `(scope) -> EndpointContext`.
        stream: Makes the response of what is iterated while it is sent. None: the endpoint's result is not.
    """
    declared = operation.response_class
    by_default = isinstance(declared, DefaultPlaceholder)
    response_class = declared.value if by_default else declared
    as_bytes = operation.response_field is not None and by_default
    awaited = is_coroutine_callable(operation.dependant.call)
    generates = is_gen_callable(operation.dependant.call) or is_async_gen_callable(operation.dependant.call)

    async def handle(request: Any) -> Response:
        where = context(request.scope)
        watching = telemetry.get_telemetry_data()
        if watching is not None:
            watching.request = request
        body = await _read_body(operation, request, where)
        if watching is not None:
            watching.body = None if body is Undefined else body
        if operation.cancel_on_disconnect:
            stack = request.scope["fastapi_inner_astack"]
            answered: Response = await cancelled_on_disconnect(request, stack, respond(request, body, where, watching))
            return answered
        return await respond(request, body, where, watching)

    async def respond(request: Any, body: Any, where: Any, watching: Any) -> Response:
        call = operation.dependant.call
        assert call is not None
        stack = request.scope["fastapi_inner_astack"]
        owed = runtime.owed_tasks(request.scope) if operation.background_always else None
        solved = await _solved(operation, request, body, stack, watching, owed)
        if solved.errors:
            invalid = RequestValidationError(
                solved.errors, body=None if body is Undefined else body, endpoint_ctx=where
            )
            telemetry._validation_failed(invalid)
            raise invalid
        if stream is not None:
            if generates:
                generator = call(**solved.values)
            else:
                generator = await routing.run_endpoint_function(
                    dependant=operation.dependant, values=solved.values, is_coroutine=awaited
                )
            made: Response = await stream(
                generator=generator,
                request_stack=stack,
                injected=solved.response,
                background=solved.background_tasks,
                endpoint_ctx=where,
            )
            return made
        result = await routing.run_endpoint_function(
            dependant=operation.dependant, values=solved.values, is_coroutine=awaited
        )
        if isinstance(result, Response):
            if result.background is None:
                result.background = solved.background_tasks
            return result
        with telemetry._operation(name="serialization", function=call):
            content = await routing.serialize_response(
                field=operation.response_field,
                response_content=result,
                include=operation.response_model_include,
                exclude=operation.response_model_exclude,
                by_alias=operation.response_model_by_alias,
                exclude_unset=operation.response_model_exclude_unset,
                exclude_defaults=operation.response_model_exclude_defaults,
                exclude_none=operation.response_model_exclude_none,
                is_coroutine=awaited,
                endpoint_ctx=where,
                dump_json=as_bytes,
            )
        return runtime.serialize_general(
            _Written if as_bytes else response_class,
            content,
            solved.response.status_code or operation.status_code,
            solved.background_tasks,
            solved.response,
        )

    return handle


def websocket_handler(
    operation: Operation, context: Callable[[Any], Any]
) -> Callable[[Any], Coroutine[Any, Any, None]]:
    """Make the function `websocket -> None` that goes through the functions on `forzium.routing`."""

    async def handle(websocket: Any) -> None:
        call = operation.dependant.call
        assert call is not None
        watching = telemetry.get_telemetry_data()
        if watching is not None:
            watching.websocket = websocket
        where = context(websocket.scope)
        stack = websocket.scope["fastapi_inner_astack"]
        solved = await _solved(operation, websocket, Undefined, stack, watching)
        if solved.errors:
            invalid = WebSocketRequestValidationError(solved.errors, endpoint_ctx=where)
            telemetry._validation_failed(invalid)
            raise invalid
        with telemetry._operation(name="endpoint", function=call):
            await call(**solved.values)

    return handle


async def _solved(operation: Operation, connection: Any, body: Any, stack: Any, watching: Any, owed: Any = None) -> Any:
    with telemetry._operation(name="dependencies", function=operation.dependant.call):
        solved = await routing.solve_dependencies(
            request=connection,
            dependant=operation.dependant,
            body=body,
            **({} if owed is None else {"background_tasks": owed}),
            dependency_overrides_provider=operation.dependency_overrides_provider,
            async_exit_stack=stack,
            embed_body_fields=operation.embed_body_fields,
        )
        if watching is not None:
            watching.values = solved.values
            watching.errors = solved.errors
    return solved


class _Written(Response):
    """JSON that pydantic has written already."""

    media_type = "application/json"


async def _read_body(operation: Operation, request: Any, where: Any) -> Any:
    try:
        return await _body(operation, request, where)
    except RequestValidationError as invalid:
        telemetry._validation_failed(invalid)
        raise


async def _body(operation: Operation, request: Any, where: Any) -> Any:
    field = operation.body_field
    if field is None:
        return Undefined
    if isinstance(field.field_info, params.Form):
        form = await runtime.read_form(request, dict(operation.form_limits or {}))
        request.scope["fastapi_middleware_astack"].push_async_callback(form.close)
        return form
    strict = operation.strict_content_type
    found, body = await runtime.read_request_body(
        request, bool(strict.value if isinstance(strict, DefaultPlaceholder) else strict), where
    )
    return body if found else Undefined
