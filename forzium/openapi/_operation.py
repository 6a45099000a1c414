"""One route in the document: its operations, and the security schemes and definitions they need.

Layer: ``routing``, ``dependencies`` and the schemas that ``openapi._schemas`` made for all routes before. Not for
finding the routes nor for the document around them: that is ``openapi.utils``.
"""

from __future__ import annotations

import inspect
import warnings
from copy import deepcopy
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from forzium import routing
from forzium._fields import ModelField, get_cached_model_fields, get_schema_from_model_field, lenient_issubclass
from forzium.datastructures import DefaultPlaceholder, _Unset
from forzium.dependencies.models import cache_key, is_security_scheme, oauth_scopes, security_scheme
from forzium.dependencies.utils import get_param_aliases, get_param_model
from forzium.encoders import jsonable_encoder
from forzium.openapi.constants import METHODS_WITH_BODY, REF_PREFIX
from forzium.params import ParamTypes
from forzium.responses import JSONResponse
from forzium.utils import deep_dict_update, is_body_allowed_for_status_code

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from forzium._fields.schema import FieldMapping
    from forzium.dependencies.models import Dependant
    from forzium.responses import Response
    from forzium.security.base import SecurityBase
    from forzium.types import ModelNameMap

validation_error_definition: dict[str, Any] = {
    "title": "ValidationError",
    "type": "object",
    "properties": {
        "loc": {"title": "Location", "type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}},
        "msg": {"title": "Message", "type": "string"},
        "type": {"title": "Error Type", "type": "string"},
        "input": {"title": "Input"},
        "ctx": {"title": "Context", "type": "object"},
    },
    "required": ["loc", "msg", "type"],
}
"""One error in the body of a 422."""

validation_error_response_definition: dict[str, Any] = {
    "title": "HTTPValidationError",
    "type": "object",
    "properties": {"detail": {"title": "Detail", "type": "array", "items": {"$ref": REF_PREFIX + "ValidationError"}}},
}
"""The body of a 422."""

status_code_ranges: dict[str, str] = {
    "1XX": "Information",
    "2XX": "Success",
    "3XX": "Redirection",
    "4XX": "Client Error",
    "5XX": "Server Error",
    "DEFAULT": "Default Response",
}
"""Descriptions of responses that are declared for more than one status code."""

# An event of a stream: the fields of the event stream format, WHATWG HTML, section 9.2.
_EVENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "data": {"type": "string"},
        "event": {"type": "string"},
        "id": {"type": "string"},
        "retry": {"type": "integer", "minimum": 0},
    },
}

_STATUS_WITHOUT_A_DEFAULT = "200"


# --- What the dependencies of a route ask for

_PLACES = (ParamTypes.path, ParamTypes.query, ParamTypes.header, ParamTypes.cookie)


@dataclass(slots=True)
class Demands:
    """The parameters and security schemes of a route and all its dependencies."""

    parameters: dict[ParamTypes, list[ModelField]] = field(default_factory=lambda: {place: [] for place in _PLACES})
    schemes: list[tuple[SecurityBase, list[str]]] = field(default_factory=list)


def collect_demands(dependant: Dependant) -> Demands:
    """Walk the dependencies in the order they are solved in, each that would be solved once only once.

    Scopes reach down: a security scheme is shown with those of all dependants above it.
    """
    demands = Demands()
    place = demands.parameters
    seen: list[Any] = []  # keys may be unhashable
    scopes_cache: dict[Any, Any] = {}
    pending: list[tuple[Dependant, list[str]]] = [(dependant, [])]
    while pending:
        current, inherited = pending.pop()
        key = cache_key(current, uses_scopes_cache=scopes_cache)
        if key in seen:
            continue
        seen.append(key)
        place[ParamTypes.path].extend(current.path_params)
        place[ParamTypes.query].extend(current.query_params)
        place[ParamTypes.header].extend(current.header_params)
        place[ParamTypes.cookie].extend(current.cookie_params)
        scopes = list(dict.fromkeys([*inherited, *oauth_scopes(current)]))
        if current is not dependant and is_security_scheme(current):
            demands.schemes.append((security_scheme(current), scopes))
        pending.extend((child, scopes) for child in reversed(current.dependencies))
    return demands


def _members(parent: ModelField) -> list[ModelField]:
    """The parameters a declared one stands for: the fields of its model, else itself."""
    model = get_param_model(parent)
    return [parent] if model is None else get_cached_model_fields(model)


# --- Pieces of an operation that FastAPI offers as functions


def generate_operation_summary(*, route: Any, method: str) -> str:
    """The summary of an operation: the one declared, else the route's name in words."""
    return str(route.summary or route.name.replace("_", " ").title())


def get_openapi_operation_metadata(*, route: Any, method: str, operation_ids: set[str]) -> dict[str, Any]:
    """What describes an operation to people, and its id.

    Args:
        route: The route.
        method: Its method.
        operation_ids: The ids used so far; the operation's is added. An id used twice is warned about.
    """
    operation_id = route.operation_id or route.unique_id
    if operation_id in operation_ids:
        endpoint = route.endpoint
        name = getattr(endpoint, "__name__", "<unnamed_endpoint>")
        message = f"Duplicate Operation ID {operation_id} for function {name}"
        if file_name := getattr(endpoint, "__globals__", {}).get("__file__"):
            message += f" at {file_name}"
        warnings.warn(message, stacklevel=1)
    operation_ids.add(operation_id)
    declared = {
        "tags": route.tags,
        "summary": generate_operation_summary(route=route, method=method),
        "description": route.description,
        "operationId": operation_id,
        "deprecated": route.deprecated,
    }
    required = {"summary", "operationId"}
    return {name: value for name, value in declared.items() if value or name in required}


def _examples(target: dict[str, Any], openapi_examples: Any, example: Any) -> None:
    """Add what is declared by `openapi_examples`, else by `example`."""
    if openapi_examples:
        target["examples"] = jsonable_encoder(openapi_examples)
    elif example is not _Unset:
        target["example"] = jsonable_encoder(example)


def get_openapi_operation_request_body(
    *,
    body_field: ModelField | None,
    model_name_map: ModelNameMap,
    field_mapping: FieldMapping,
    separate_input_output_schemas: bool = True,
) -> dict[str, Any] | None:
    """The request body of an operation, None without a body field."""
    if body_field is None:
        return None
    info: Any = body_field.field_info
    content: dict[str, Any] = {
        "schema": get_schema_from_model_field(
            field=body_field,
            model_name_map=model_name_map,
            field_mapping=field_mapping,
            separate_input_output_schemas=separate_input_output_schemas,
        )
    }
    _examples(content, info.openapi_examples, info.example)
    body: dict[str, Any] = {"required": True} if info.is_required() else {}
    body["content"] = {info.media_type: content}
    return body


# --- A route


def _response_class(route: Any) -> type[Response]:
    declared = route.response_class
    cls: type[Response] | None = declared.value if isinstance(declared, DefaultPlaceholder) else declared
    assert cls, "A response class is needed to generate OpenAPI"
    return cls


def _description_of_status(status_code: int | str) -> str | None:
    if described := status_code_ranges.get(str(status_code).upper()):
        return described
    try:
        return HTTPStatus(int(status_code)).phrase
    except ValueError:
        return None


class PathBuilder:
    """Writes the path items of routes.

    Args:
        operation_ids: The ids used so far; those of the routes are added.
        model_name_map: As in `get_schema_from_model_field`.
        field_mapping: The schemas of all fields of all routes.
        separate_input_output_schemas: Whether a model may have one schema for input and one for output.
    """

    def __init__(
        self,
        operation_ids: set[str],
        model_name_map: ModelNameMap,
        field_mapping: FieldMapping,
        separate_input_output_schemas: bool,
    ) -> None:
        self._operation_ids = operation_ids
        self._schemas: dict[str, Any] = {
            "model_name_map": model_name_map,
            "field_mapping": field_mapping,
            "separate_input_output_schemas": separate_input_output_schemas,
        }
        self._default_status: dict[type[Response], str] = {}
        self._scheme_definitions: dict[int, tuple[SecurityBase, Any]] = {}

    def build(self, route: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """Write the path item of a route.

        Returns:
            The path item (empty for a route that is not in the document), the security schemes it names, and the
            definitions it refers to beside those of its fields.
        """
        assert route.methods is not None, "Methods must be a list"
        response_class = _response_class(route)
        if not route.include_in_schema:
            return {}, {}, {}
        demands = collect_demands(route.dependant)
        schemes, requirements = self._security(demands)
        parameters = self.parameters(demands)
        takes_input = bool(route.body_field) or any(
            _members(parent) for parents in demands.parameters.values() for parent in parents
        )
        path: dict[str, Any] = {}
        definitions: dict[str, Any] = {}
        for method in route.methods:
            operation = get_openapi_operation_metadata(route=route, method=method, operation_ids=self._operation_ids)
            if requirements:
                operation["security"] = requirements
            if parameters:
                operation["parameters"] = parameters
            if method in METHODS_WITH_BODY and (
                body := get_openapi_operation_request_body(body_field=route.body_field, **self._schemas)
            ):
                operation["requestBody"] = body
            if route.callbacks:
                operation["callbacks"] = self._callbacks(route.callbacks)
            operation["responses"] = responses = self._responses(route, response_class)
            if takes_input and responses.keys().isdisjoint(("422", "4XX", "default")):
                responses["422"] = {
                    "description": "Validation Error",
                    "content": {"application/json": {"schema": {"$ref": REF_PREFIX + "HTTPValidationError"}}},
                }
                definitions["ValidationError"] = validation_error_definition
                definitions["HTTPValidationError"] = validation_error_response_definition
            if route.openapi_extra:
                # Parts of an operation belong to others, too, and the declared extras change them in place.
                operation = _copy_containers(operation)
                deep_dict_update(operation, route.openapi_extra)
            path[method.lower()] = operation
        return path, schemes, definitions

    def _schema(self, of: ModelField, alias: str | None = None) -> dict[str, Any]:
        return get_schema_from_model_field(field=of, field_alias=alias, **self._schemas)

    def _security(self, demands: Demands) -> tuple[dict[str, Any], list[dict[str, list[str]]]]:
        definitions: dict[str, Any] = {}
        required: dict[str, list[str]] = {}
        for scheme, scopes in demands.schemes:
            name = scheme.scheme_name
            definitions[name] = self._scheme_definition(scheme)
            known = required.setdefault(name, [])
            known.extend(scope for scope in scopes if scope not in known)
        return definitions, [{name: scopes} for name, scopes in required.items()]

    def _scheme_definition(self, scheme: SecurityBase) -> Any:
        """One scheme guards many routes, and is written once."""
        if id(scheme) not in self._scheme_definitions:
            definition = jsonable_encoder(scheme.model, by_alias=True, exclude_none=True)
            self._scheme_definitions[id(scheme)] = scheme, definition
        return self._scheme_definitions[id(scheme)][1]

    def parameters(self, demands: Demands) -> list[dict[str, Any]]:
        """All parameters; of those with one name in one place the last, but a required one before an optional one."""
        written = [
            parameter
            for place, parents in demands.parameters.items()
            for parent in parents
            if getattr(parent.field_info, "include_in_schema", True)
            for parameter in self._parameters_of(place, parent)
        ]
        by_name = {(parameter["in"], parameter["name"]): parameter for parameter in written}
        by_name |= {(parameter["in"], parameter["name"]): parameter for parameter in written if parameter["required"]}
        return list(by_name.values())

    def _parameters_of(self, place: ParamTypes, parent: ModelField) -> Iterator[dict[str, Any]]:
        declared = parent.field_info
        model = get_param_model(parent)
        may_be_absent = model is not None and declared.annotation is not model and not declared.is_required()
        for member in _members(parent):
            info: Any = member.field_info
            inherited = getattr(declared, "convert_underscores", True)
            convert = place is ParamTypes.header and getattr(info, "convert_underscores", inherited)
            alias, name = get_param_aliases(member, convert_underscores=convert)[0]
            parameter: dict[str, Any] = {
                "name": name,
                "in": place.value,
                "required": info.is_required() and not may_be_absent,
                "schema": self._schema(member, alias),
            }
            if info.description:
                parameter["description"] = info.description
            # A field of a model has neither; None is not written.
            _examples(parameter, getattr(info, "openapi_examples", None), getattr(info, "example", None))
            if getattr(info, "deprecated", None):
                parameter["deprecated"] = True
            yield parameter

    def _callbacks(self, callbacks: Iterable[Any]) -> dict[str, Any]:
        return {
            callback.name: {callback.path: self.build(callback)[0]}
            for callback in callbacks
            if isinstance(callback, routing.APIRoute)
        }

    # --- Responses

    def _responses(self, route: Any, response_class: type[Response]) -> dict[str, Any]:
        main: dict[str, Any] = {"description": route.response_description}
        responses = {self._status(route, response_class): main}
        if is_body_allowed_for_status_code(route.status_code):
            content = self._content(route, response_class)
            if content:
                main["content"] = content
        for status_code, declared in (route.responses or {}).items():
            self._add_declared(responses, route, response_class, status_code, declared)
        return responses

    def _status(self, route: Any, response_class: type[Response]) -> str:
        if route.status_code is not None:
            return str(route.status_code)
        status = self._default_status.get(response_class)
        if status is None:
            parameter = inspect.signature(response_class.__init__).parameters.get("status_code")
            default = parameter.default if parameter is not None else None
            status = str(default) if isinstance(default, int) else _STATUS_WITHOUT_A_DEFAULT
            self._default_status[response_class] = status
        return status

    def _content(self, route: Any, response_class: type[Response]) -> dict[str, Any]:
        item: ModelField | None = route.stream_item_field
        if route.is_json_stream:
            return {"application/jsonl": {"itemSchema": self._schema(item) if item else {}}}
        if route.is_sse_stream:
            event = deepcopy(_EVENT_SCHEMA)
            if item:
                event["required"] = ["data"]
                event["properties"]["data"] |= {
                    "contentMediaType": "application/json",
                    "contentSchema": self._schema(item),
                }
            return {"text/event-stream": {"itemSchema": event}}
        if not response_class.media_type:
            return {}
        schema: dict[str, Any] = {"type": "string"}
        if lenient_issubclass(response_class, JSONResponse):
            schema = self._schema(route.response_field) if route.response_field else {}
        return {response_class.media_type: {"schema": schema}}

    def _add_declared(
        self,
        responses: dict[str, Any],
        route: Any,
        response_class: type[Response],
        status_code: int | str,
        declared: dict[str, Any],
    ) -> None:
        """Lay a response declared by ``responses=`` over what is there for its status code."""
        assert isinstance(declared, dict), "An additional response must be a dict"
        response = deepcopy(declared)
        response.pop("model", None)
        key = str(status_code).upper()
        target = responses.setdefault("default" if key == "DEFAULT" else key, {})
        model_field: ModelField | None = route.response_fields.get(status_code)
        if model_field:
            media_type = response_class.media_type or "application/json"
            content = response.setdefault("content", {}).setdefault(media_type, {})
            deep_dict_update(content.setdefault("schema", {}), self._schema(model_field))
        description = (
            response.get("description")
            or target.get("description")
            or _description_of_status(status_code)
            or "Additional Response"
        )
        deep_dict_update(target, response)
        target["description"] = description


def _copy_containers(value: Any) -> Any:
    """A copy of dicts and lists all the way down; what they hold stays the same."""
    if isinstance(value, dict):
        return {key: _copy_containers(item) for key, item in value.items()}
    return [_copy_containers(item) for item in value] if isinstance(value, list) else value


def operation_parameters(
    *,
    dependency_data: Demands,
    model_name_map: ModelNameMap,
    field_mapping: FieldMapping,
    separate_input_output_schemas: bool = True,
) -> list[dict[str, Any]]:
    """The parameters of an operation, for programs that write them without a route; see `PathBuilder`."""
    return PathBuilder(set(), model_name_map, field_mapping, separate_input_output_schemas).parameters(dependency_data)
