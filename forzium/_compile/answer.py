"""What becomes of the endpoint's result: which of pydantic, the JSON codec and a response class writes the body.

Stands on `_fields`, `encoders` and `responses`.

Source: FastAPI 0.165 `routing.get_request_handler` and `serialize_response`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from forzium._compile.outline import outline_of
from forzium._compile.spec import AnswerSpec
from forzium._fields import lenient_issubclass
from forzium.datastructures import DefaultPlaceholder
from forzium.dependencies.callables import is_async_gen_callable, is_coroutine_callable, is_gen_callable
from forzium.encoders import jsonable_encoder
from forzium.responses import EventSourceResponse, JSONResponse

if TYPE_CHECKING:
    from forzium._compile.plans import Operation


def answer_spec(operation: Operation) -> AnswerSpec:
    """Describe the answer of an HTTP operation."""
    declared = operation.response_class
    by_default = isinstance(declared, DefaultPlaceholder)
    response_class = declared.value if by_default else declared
    field = operation.response_field
    spec = AnswerSpec(
        status=operation.status_code,
        response_class=response_class,
        content=jsonable_encoder,
        stream=_stream(operation, response_class),
    )
    if field is None:
        if response_class is JSONResponse:
            spec.response_class = None
        return spec
    options = _options(operation)
    spec.validate, to_json = field.functions
    spec.threaded = not is_coroutine_callable(operation.dependant.call)
    if by_default:
        spec.response_class = None
        spec.to_json = (to_json, options)
        if options == {"by_alias": True}:
            spec.outline = outline_of(field._type_adapter)
    else:
        spec.content = functools.partial(field.serialize, **options)
    return spec


def no_answer() -> AnswerSpec:
    """Describe the answer of a WebSocket operation: there is none."""
    return AnswerSpec(status=None, response_class=None, content=jsonable_encoder)


def _options(operation: Operation) -> dict[str, Any]:
    """The serializer's options that are not its defaults."""
    options: dict[str, Any] = {"by_alias": operation.response_model_by_alias}
    for name in ("include", "exclude"):
        value = getattr(operation, f"response_model_{name}")
        if value is not None:
            options[name] = value
    for name in ("exclude_unset", "exclude_defaults", "exclude_none"):
        if getattr(operation, f"response_model_{name}"):
            options[name] = True
    return options


def _stream(operation: Operation, response_class: type[Any]) -> Callable[..., Any] | None:
    """For an endpoint whose result is sent while it is iterated: the function that makes the response of it."""
    call = operation.dependant.call
    is_async = is_async_gen_callable(call)
    kind: Literal["sse", "jsonl", "raw"] = "raw"
    if lenient_issubclass(response_class, EventSourceResponse):
        kind = "sse"  # also of what a plain function returns
    elif not is_async and not is_gen_callable(call):
        return None
    elif operation.is_json_stream:
        kind = "jsonl"
    from forzium._streams import stream_response

    return functools.partial(
        stream_response,
        kind=kind,
        is_async=is_async,
        item_field=operation.stream_item_field,
        item_options=_options(operation),
        response_class=response_class,
        status_code=operation.status_code,
    )
