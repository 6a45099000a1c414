"""Operations while an agent has put functions of its own in the place of FastAPI's.

Agents (Logfire among them) replace `solve_dependencies`, `run_endpoint_function` or `serialize_response` on
`forzium.routing` and expect to be called. As long as one of these is replaced, an operation goes this way: the same
steps as the plan's, but each through the function that stands on `forzium.routing` at that moment. It is slower.

Stands on routing and `runtime`.

Source: FastAPI 0.165 `routing.get_request_handler`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from forzium import params, routing
from forzium._compile import runtime
from forzium._fields import Undefined
from forzium.datastructures import DefaultPlaceholder
from forzium.dependencies.callables import is_coroutine_callable
from forzium.responses import Response

if TYPE_CHECKING:
    from forzium._compile.plans import Operation

CALLED = frozenset({"run_endpoint_function", "serialize_response", "solve_dependencies"})
"""The functions a plan stands for, which have to be called where they are replaced."""


def handler(
    operation: Operation, context: Callable[[Any], Any], stream: Any
) -> Callable[[Any], Coroutine[Any, Any, Any]]:
    """Make the function `request -> Response` that goes through the functions on `forzium.routing`.

    Args:
        operation: What is called.
        context: `(scope) -> EndpointContext`.
        stream: Makes the response of a generator. None: the endpoint is none.
    """
    declared = operation.response_class
    by_default = isinstance(declared, DefaultPlaceholder)
    response_class = declared.value if by_default else declared
    as_bytes = operation.response_field is not None and by_default
    awaited = is_coroutine_callable(operation.dependant.call)

    async def handle(request: Any) -> Response:
        where = context(request.scope)
        body = await _read_body(operation, request, where)
        stack = request.scope["fastapi_inner_astack"]
        solved = await routing.solve_dependencies(
            request=request,
            dependant=operation.dependant,
            body=body,
            dependency_overrides_provider=operation.dependency_overrides_provider,
            async_exit_stack=stack,
            embed_body_fields=operation.embed_body_fields,
        )
        if solved.errors:
            raise runtime.request_invalid(solved.errors, None if body is Undefined else body, where)
        if stream is not None:
            assert operation.dependant.call is not None
            made: Response = await stream(
                generator=operation.dependant.call(**solved.values),
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
        status = solved.response.status_code or operation.status_code
        if not as_bytes:
            return runtime.serialize_general(response_class, content, status, solved.background_tasks, solved.response)
        return runtime.serialize_general(_Written, content, status, solved.background_tasks, solved.response)

    return handle


class _Written(Response):
    """JSON that pydantic has written already."""

    media_type = "application/json"


async def _read_body(operation: Operation, request: Any, where: Any) -> Any:
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
