"""From an endpoint to an ASGI application, and the seams on the way that agents patch.

Stands on requests, websockets, concurrency and the compiled core (`forzium._compile`), which runs what is built here.
It knows no route. `run_endpoint_function`, `serialize_response`, `get_request_handler` and `get_websocket_app` are
looked up on `forzium.routing` when they are called, so that a patched one is honoured.

Source: FastAPI 0.165 `fastapi.routing`.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from forzium._exception_handler import wrap_app_handling_exceptions
from forzium._utils import is_async_callable
from forzium.concurrency import run_in_threadpool
from forzium.datastructures import Default, DefaultPlaceholder
from forzium.exceptions import EndpointContext, FastAPIError, ResponseValidationError
from forzium.requests import ClientDisconnect, Request
from forzium.responses import JSONResponse, Response
from forzium.types import ASGIApp, IncEx, Receive, Scope, Send
from forzium.websockets import WebSocket

if TYPE_CHECKING:
    from forzium._fields import ModelField
    from forzium._form_limits import FormLimits
    from forzium.dependencies.models import Dependant

__all__ = [
    "get_request_handler",
    "get_websocket_app",
    "request_response",
    "run_endpoint_function",
    "serialize_response",
    "websocket_session",
]

OUTER_STACK = "fastapi_middleware_astack"
"""Scope key of the exit stack that closes last, when an exception was answered already: it holds the form's files."""

REQUEST_STACK = "fastapi_inner_astack"
"""Scope key of the exit stack that closes after the response was sent."""

FUNCTION_STACK = "fastapi_function_astack"
"""Scope key of the exit stack that closes before the response is sent."""

_RESPONSE_NOT_AWAITED = (
    "Response not awaited. There's a high chance that the application code is raising an exception and a dependency "
    "with yield has a block with a bare except, or a block with except Exception, and is not raising the exception "
    "again. Read more about it in the docs: "
    "https://fastapi.tiangolo.com/tutorial/dependencies/dependencies-with-yield/"
    "#dependencies-with-yield-and-except"
)


def request_response(func: Callable[[Request], Awaitable[Response] | Response]) -> ASGIApp:
    """Make an ASGI application of a function `request -> Response`; a plain `def` runs in a worker thread.

    Handled exceptions become responses. Two exit stacks are put into the scope for dependencies with `yield`: one
    closes before the response is sent, the other after.
    """
    call: Callable[[Request], Awaitable[Response]]
    if is_async_callable(func):
        call = func
    else:
        call = functools.partial(run_in_threadpool, func)  # type: ignore[call-arg, assignment]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            sent = False
            async with AsyncExitStack() as after_response:
                scope[REQUEST_STACK] = after_response
                async with AsyncExitStack() as before_response:
                    scope[FUNCTION_STACK] = before_response
                    response = await call(request)
                await response(scope, receive, send)
                sent = True
            if not sent and request._is_disconnected:
                raise ClientDisconnect
            if not sent:
                # A dependency swallowed the exception that ended the block above.
                raise FastAPIError(_RESPONSE_NOT_AWAITED)

        handled = wrap_app_handling_exceptions(answer, request)
        if OUTER_STACK in scope:
            await handled(scope, receive, send)
            return
        async with AsyncExitStack() as outer:
            scope[OUTER_STACK] = outer
            await handled(scope, receive, send)

    return app


def websocket_session(func: Callable[[WebSocket], Awaitable[None]]) -> ASGIApp:
    """Make an ASGI application of a coroutine function `websocket -> None`, with exit stacks as `request_response`."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive=receive, send=send)

        async def converse(scope: Scope, receive: Receive, send: Send) -> None:
            async with AsyncExitStack() as request_stack:
                scope[REQUEST_STACK] = request_stack
                async with AsyncExitStack() as function_stack:
                    scope[FUNCTION_STACK] = function_stack
                    await func(websocket)

        await wrap_app_handling_exceptions(converse, websocket)(scope, receive, send)

    return app


def get_request_handler(
    dependant: Dependant,
    body_field: ModelField | None = None,
    status_code: int | None = None,
    response_class: type[Response] | DefaultPlaceholder = Default(JSONResponse),
    response_field: ModelField | None = None,
    response_model_include: IncEx | None = None,
    response_model_exclude: IncEx | None = None,
    response_model_by_alias: bool = True,
    response_model_exclude_unset: bool = False,
    response_model_exclude_defaults: bool = False,
    response_model_exclude_none: bool = False,
    dependency_overrides_provider: Any | None = None,
    embed_body_fields: bool = False,
    strict_content_type: bool | DefaultPlaceholder = Default(True),
    stream_item_field: ModelField | None = None,
    is_json_stream: bool = False,
    form_limits: FormLimits | None = None,
    *,
    cancel_on_disconnect: bool | None = None,
    background_always: bool | None = None,
) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    """Make the function `request -> Response` of an operation; it reads, validates, solves, calls and serializes."""
    assert dependant.call is not None, "dependant.call must be a function"
    from forzium import _compile

    native = _compile.request_handler(
        dependant=dependant,
        body_field=body_field,
        status_code=status_code,
        response_class=response_class,
        response_field=response_field,
        response_model_include=response_model_include,
        response_model_exclude=response_model_exclude,
        response_model_by_alias=response_model_by_alias,
        response_model_exclude_unset=response_model_exclude_unset,
        response_model_exclude_defaults=response_model_exclude_defaults,
        response_model_exclude_none=response_model_exclude_none,
        dependency_overrides_provider=dependency_overrides_provider,
        embed_body_fields=embed_body_fields,
        strict_content_type=strict_content_type,
        stream_item_field=stream_item_field,
        is_json_stream=is_json_stream,
        form_limits=form_limits,
        cancel_on_disconnect=cancel_on_disconnect,
        background_always=background_always,
    )

    async def app(request: Request) -> Response:  # a coroutine function, for those who ask
        response: Response = await native(request)
        return response

    return app


def get_websocket_app(
    dependant: Dependant,
    dependency_overrides_provider: Any | None = None,
    embed_body_fields: bool = False,
) -> Callable[[WebSocket], Coroutine[Any, Any, Any]]:
    """Make the function `websocket -> None` of a WebSocket operation; it solves its dependencies, then calls it."""
    from forzium import _compile

    native = _compile.websocket_handler(
        dependant=dependant,
        dependency_overrides_provider=dependency_overrides_provider,
        embed_body_fields=embed_body_fields,
    )

    async def app(websocket: WebSocket) -> Any:
        return await native(websocket)

    return app


async def run_endpoint_function(*, dependant: Dependant, values: dict[str, Any], is_coroutine: bool) -> Any:
    """Call an operation's endpoint with its solved values; a plain `def` in a worker thread."""
    assert dependant.call is not None, "dependant.call must be a function"
    from forzium.telemetry import _api as telemetry

    if not is_coroutine:
        return await run_in_threadpool(telemetry._run_sync_endpoint, function=dependant.call, arguments=values)
    with telemetry._operation(name="endpoint", function=dependant.call):
        return await dependant.call(**values)


async def serialize_response(
    *,
    field: ModelField | None = None,
    response_content: Any,
    include: IncEx | None = None,
    exclude: IncEx | None = None,
    by_alias: bool = True,
    exclude_unset: bool = False,
    exclude_defaults: bool = False,
    exclude_none: bool = False,
    is_coroutine: bool = True,
    endpoint_ctx: EndpointContext | None = None,
    dump_json: bool = False,
) -> Any:
    """Validate what an endpoint returned against its response model and give it in JSON terms.

    Returns:
        JSON as bytes with `dump_json` and a field, else a value that JSON can express.

    Raises:
        ResponseValidationError: The value is not what the response model says.
    """
    if field is None:
        from forzium.encoders import jsonable_encoder

        return jsonable_encoder(response_content)
    if is_coroutine:
        value, errors = field.validate(response_content, {}, loc=("response",))
    else:
        value, errors = await run_in_threadpool(field.validate, response_content, {}, loc=("response",))
    if errors:
        raise ResponseValidationError(
            errors=errors, body=response_content, endpoint_ctx=endpoint_ctx or EndpointContext()
        )
    serialize = field.serialize_json if dump_json else field.serialize
    return serialize(
        value,
        include=include,
        exclude=exclude,
        by_alias=by_alias,
        exclude_unset=exclude_unset,
        exclude_defaults=exclude_defaults,
        exclude_none=exclude_none,
    )
