"""What an operation is, once its declaration has been read: the state of `APIRoute` and of an included one.

Stands on dependencies and utils. It matches no path and answers no request.

Source: FastAPI 0.165 `fastapi.routing.APIRoute`.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any

from forzium._body_limit import validate_max_body_size
from forzium._fields import lenient_issubclass
from forzium.datastructures import DefaultPlaceholder
from forzium.dependencies.body import model_beside_form
from forzium.dependencies.models import Dependant, is_async_gen_callable, is_gen_callable
from forzium.dependencies.utils import (
    get_body_field,
    get_dependant,
    get_flat_body_params,
    get_parameterless_sub_dependant,
    get_stream_item_type,
    get_typed_return_annotation,
    should_embed_body_fields,
)
from forzium.exceptions import FastAPIError
from forzium.responses import EventSourceResponse, Response
from forzium.routing.base import BaseRoute, PathTemplate, get_name
from forzium.routing.declaration import explained
from forzium.routing.options import RouteOptions
from forzium.types import IncEx
from forzium.utils import create_model_field, is_body_allowed_for_status_code

if TYPE_CHECKING:
    from forzium import params
    from forzium._fields import ModelField

__all__ = ["Operation", "dependant_with"]


def dependant_with(
    dependencies: Sequence[params.Depends], *, path: str, call: Callable[..., Any]
) -> tuple[Dependant, list[ModelField], bool]:
    """Read the parameters of `call`, and put dependencies whose values it does not take before its own.

    Returns:
        The dependant, the body parameters of all of it, and whether these are embedded under their names.
    """
    dependant = get_dependant(path=path, call=call, scope="function")
    # The last is looked at first: where two of them are wrong, FastAPI reports that one.
    for each in reversed(list(dependencies)):
        dependant.dependencies.insert(0, get_parameterless_sub_dependant(depends=each, path=path))
    body_params = get_flat_body_params(dependant)
    return dependant, body_params, should_embed_body_fields(body_params)


_KEPT_AS_GIVEN = (
    "summary",
    "response_description",
    "deprecated",
    "operation_id",
    "response_model_include",
    "response_model_exclude",
    "response_model_by_alias",
    "response_model_exclude_unset",
    "response_model_exclude_defaults",
    "response_model_exclude_none",
    "include_in_schema",
    "response_class",
    "dependency_overrides_provider",
    "callbacks",
    "openapi_extra",
    "generate_unique_id_function",
    "strict_content_type",
    "max_body_size",
    "cancel_on_disconnect",
    "background_always",
)


class Operation(PathTemplate):
    """A declared operation: its options, and what was read from its endpoint's signature.

    Attributes are FastAPI's; agents and OpenAPI tools read them.
    """

    path: str
    endpoint: Callable[..., Any]
    stream_item_type: Any | None
    response_model: Any
    summary: str | None
    response_description: str
    deprecated: bool | None
    operation_id: str | None
    response_model_include: IncEx | None
    response_model_exclude: IncEx | None
    response_model_by_alias: bool
    response_model_exclude_unset: bool
    response_model_exclude_defaults: bool
    response_model_exclude_none: bool
    include_in_schema: bool
    response_class: type[Response] | DefaultPlaceholder
    dependency_overrides_provider: Any | None
    callbacks: list[BaseRoute] | None
    openapi_extra: dict[str, Any] | None
    generate_unique_id_function: Callable[[Any], str] | DefaultPlaceholder
    strict_content_type: bool | DefaultPlaceholder
    max_body_size: int | None
    cancel_on_disconnect: bool | None
    background_always: bool | None
    tags: list[str | Enum]
    responses: dict[int | str, dict[str, Any]]
    name: str
    methods: set[str]
    unique_id: str
    status_code: int | None
    response_field: ModelField | None
    stream_item_field: ModelField | None
    dependencies: list[params.Depends]
    description: str
    response_fields: dict[int | str, ModelField]
    dependant: Dependant
    body_field: ModelField | None
    is_sse_stream: bool
    is_json_stream: bool
    _embed_body_fields: bool

    def _declare(
        self, path: str, endpoint: Callable[..., Any], options: RouteOptions, *, stream_item_type: Any = None
    ) -> None:
        """Read a whole declaration.

        Args:
            path: The full path template.
            endpoint: The function.
            options: All of them, as `completed` gives them.
            stream_item_type: Type of what a generator yields, where it is known already.

        Raises:
            AssertionError: The endpoint is not callable, or a response body is declared for a status without one.
            FastAPIError: A model is none that pydantic knows.
            ValueError: The body limit is no size.
        """
        try:
            validate_max_body_size(options["max_body_size"])
        except ValueError as error:
            raise ValueError(explained(str(error), "give a number of bytes", endpoint)) from None
        state = vars(self)  # plain attributes, set without a notice for each
        state.update({name: options[name] for name in _KEPT_AS_GIVEN})  # type: ignore[literal-required]
        state["path"] = path
        state["endpoint"] = endpoint
        state["stream_item_type"] = stream_item_type
        state["tags"] = options["tags"] or []
        state["responses"] = options["responses"] or {}
        name = options["name"]
        state["name"] = get_name(endpoint) if name is None else name
        self._set_path(path, endpoint)
        methods = options["methods"]
        state["methods"] = {"GET"} if methods is None else {method.upper() for method in methods}
        status_code = options["status_code"]
        state["status_code"] = int(status_code) if isinstance(status_code, IntEnum) else status_code
        state["dependencies"] = list(options["dependencies"] or [])
        description = options["description"] or inspect.cleandoc(endpoint.__doc__ or "")
        state["description"] = description.split("\f")[0].strip()
        make_unique_id: Any = options["generate_unique_id_function"]
        if isinstance(make_unique_id, DefaultPlaceholder):
            make_unique_id = make_unique_id.value
        state["unique_id"] = self.operation_id or make_unique_id(self)
        state["response_fields"] = self._additional_response_fields()
        if not callable(endpoint):
            raise AssertionError(
                explained("An endpoint must be a callable", f"for {path!r} give a function, not {endpoint!r}")
            )
        self._read_signature()
        self._read_response(options["response_model"])

    def _read_signature(self) -> None:
        """Learn parameters and dependencies."""
        state = vars(self)
        dependant, body_params, embed = dependant_with(self.dependencies, path=self.path_format, call=self.endpoint)
        state["dependant"] = dependant
        state["_embed_body_fields"] = embed
        if (field := model_beside_form(body_params)) is not None:
            advice = (
                f"a form cannot carry the model of {field.name!r}: declare its fields with Form() as well, take "
                f"{field.name!r} as Annotated[Json[...], Form()], or send everything as JSON"
            )
            raise FastAPIError(explained("A form and a JSON body cannot be combined", advice, self.endpoint))
        state["body_field"] = get_body_field(body_params=body_params, name=self.unique_id, embed_body_fields=embed)

    def _read_response(self, response_model: Any) -> None:
        """Learn what is answered: one value, JSON lines, events or raw pieces; and the model of each."""
        state = vars(self)
        response_class = self.response_class
        generates = is_async_gen_callable(self.dependant.call) or is_gen_callable(self.dependant.call)
        sends_json_lines = isinstance(response_class, DefaultPlaceholder)
        sends_events = lenient_issubclass(response_class, EventSourceResponse)
        state["is_sse_stream"] = generates and sends_events
        state["is_json_stream"] = generates and sends_json_lines
        if isinstance(response_model, DefaultPlaceholder):
            annotation = get_typed_return_annotation(self.endpoint)
            response_model = None
            if not lenient_issubclass(annotation, Response):
                item = get_stream_item_type(annotation) if generates else None
                if item is None:
                    response_model = annotation
                elif (sends_json_lines or sends_events) and not _is_event(item):
                    state["stream_item_type"] = item
        state["response_model"] = response_model
        state["response_field"] = None
        if response_model:
            self._refuse_body_without_one(self.status_code)
            state["response_field"] = self._field("Response_" + self.unique_id, response_model)
        state["stream_item_field"] = None
        if self.stream_item_type:
            state["stream_item_field"] = self._field("StreamItem_" + self.unique_id, self.stream_item_type)

    def _additional_response_fields(self) -> dict[int | str, ModelField]:
        fields: dict[int | str, ModelField] = {}
        for status_code, response in self.responses.items():
            if not isinstance(response, dict):
                raise AssertionError(
                    explained(
                        "An additional response must be a dict",
                        f'write responses={{{status_code!r}: {{"model": ...}}}}',
                        self.endpoint,
                    )
                )
            model = response.get("model")
            if model:
                self._refuse_body_without_one(status_code)
                fields[status_code] = self._field(f"Response_{status_code}_{self.unique_id}", model)
        return fields

    def _refuse_body_without_one(self, status_code: int | str | None) -> None:
        if not is_body_allowed_for_status_code(status_code):
            raise AssertionError(
                explained(
                    f"Status code {status_code} must not have a response body",
                    "declare response_model=None (or no return annotation), or another status",
                    self.endpoint,
                )
            )

    def _field(self, name: str, model: Any) -> ModelField:
        try:
            return create_model_field(name=name, type_=model, mode="serialization")
        except FastAPIError as error:
            advice = "declare response_model=None, or a type pydantic knows"
            raise type(error)(explained(str(error), advice, self.endpoint)) from None


def _is_event(item: Any) -> bool:
    """Whether a generator gives server-sent events as they are. The module is imported by whoever has one."""
    sse = sys.modules.get("forzium.sse")
    return sse is not None and lenient_issubclass(item, sse.ServerSentEvent)
