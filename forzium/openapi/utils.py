"""The document of an application, built from its routes.

Layer: ``routing``; `openapi._operation` writes one route, `openapi._schemas` the schemas of all. Imported when a
document is first asked for. Not for serving it: that is ``applications``.

A document passes through the models of ``openapi.models`` piece by piece: what is validated and written is let go
before the next piece, and the whole of it is never held as models.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from forzium import routing
from forzium._fields import ModelField, get_flat_models_from_fields, get_model_name_map
from forzium.dependencies.utils import get_flat_params
from forzium.exceptions import FastAPIDeprecationWarning
from forzium.openapi._operation import (
    PathBuilder,
    generate_operation_summary,
    get_openapi_operation_metadata,
    get_openapi_operation_request_body,
    status_code_ranges,
    validation_error_definition,
    validation_error_response_definition,
)
from forzium.openapi._schemas import get_definitions
from forzium.openapi.models import OpenAPI, PathItem, Reference, Schema
from forzium.utils import generate_operation_id_for_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forzium._fields.schema import FieldMapping
    from forzium.routing import BaseRoute
    from forzium.types import ModelNameMap

__all__ = [
    "generate_operation_id",
    "generate_operation_summary",
    "get_fields_from_routes",
    "get_openapi",
    "get_openapi_operation_metadata",
    "get_openapi_operation_request_body",
    "get_openapi_path",
    "status_code_ranges",
    "validation_error_definition",
    "validation_error_response_definition",
]


def generate_operation_id(*, route: Any, method: str) -> str:
    """The id of an operation as FastAPI once made it. Deprecated: nothing uses it."""
    warnings.warn(
        message="fastapi.openapi.utils.generate_operation_id() was deprecated, "
        "it is not used internally, and will be removed soon",
        category=FastAPIDeprecationWarning,
        stacklevel=2,
    )
    if route.operation_id:
        return str(route.operation_id)
    return generate_operation_id_for_path(name=route.name, path=route.path_format, method=method)


def get_openapi_path(
    *,
    route: Any,
    operation_ids: set[str],
    model_name_map: ModelNameMap,
    field_mapping: FieldMapping,
    separate_input_output_schemas: bool = True,
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The path item of one route, the security schemes it names and the definitions it adds.

    Args:
        route: An `APIRoute` or a `RouteContext` of one.
        operation_ids: The ids used so far; the route's are added.
        model_name_map: The first part of what `get_definitions` was called with.
        field_mapping: The first result of `get_definitions`.
        separate_input_output_schemas: Whether a model may have one schema for input and one for output.
    """
    builder = PathBuilder(operation_ids, model_name_map, field_mapping, separate_input_output_schemas)
    return builder.build(route)


def _api_routes(routes: Sequence[Any]) -> Iterator[Any]:
    """The path operations among routes, those of included routers as they take effect there."""
    for context in routing.iter_route_contexts(routes):
        if isinstance(context.original_route, routing.APIRoute):
            yield context


def get_fields_from_routes(routes: Sequence[BaseRoute | routing.RouteContext]) -> list[ModelField]:
    """All fields of routes that stand in the document: bodies, responses, parameters, and those of callbacks."""
    callbacks: list[ModelField] = []
    bodies: list[ModelField] = []
    responses: list[ModelField] = []
    parameters: list[ModelField] = []
    for route in _api_routes(routes):
        if not route.include_in_schema:
            continue
        if route.body_field:
            assert isinstance(route.body_field, ModelField), "A request body must be a Pydantic Field"
            bodies.append(route.body_field)
        responses.extend(filter(None, (route.response_field, *route.response_fields.values(), route.stream_item_field)))
        if route.callbacks:
            callbacks.extend(get_fields_from_routes(route.callbacks))
        parameters.extend(get_flat_params(route.dependant))
    return callbacks + bodies + responses + parameters


# --- Validated and encoded pieces


@cache
def _path_item() -> TypeAdapter[Any]:
    return TypeAdapter(PathItem | Any)


@cache
def _webhook() -> TypeAdapter[Any]:
    return TypeAdapter(PathItem | Reference)


@cache
def _schema() -> TypeAdapter[Any]:
    return TypeAdapter(Schema | Reference)


def _encode_members(members: dict[str, Any], adapter: TypeAdapter[Any]) -> None:
    """Replace each value by what the document says, in place; drop keys that `jsonable_encoder` drops.

    Raises:
        ValidationError: A value is not what the adapter takes.
    """
    for name in list(members):
        model = adapter.validate_python(members[name])
        members[name] = _prune(adapter.dump_python(model, mode="json", by_alias=True, exclude_none=True))
        if members[name] is None or name.startswith("_sa"):
            del members[name]


def _prune(value: Any) -> Any:
    """Drop, in place and at all levels, dict members that are None or named like SQLAlchemy's own.

    The models leave out their own empty fields; dicts inside them, as in examples, are as somebody wrote them.

    Source: FastAPI, ``jsonable_encoder`` with ``exclude_none``.
    """
    pending = [value]
    while pending:
        current = pending.pop()
        if isinstance(current, dict):
            unwanted = [key for key, item in current.items() if item is None or key.startswith("_sa")]
            for key in unwanted:
                del current[key]
            pending.extend(item for item in current.values() if isinstance(item, (dict, list)))
        elif isinstance(current, list):
            pending.extend(item for item in current if isinstance(item, (dict, list)))
    return value


def _encode(document: dict[str, Any]) -> dict[str, Any]:
    """Validate and write a whole document.

    Raises:
        ValidationError: The document is not OpenAPI; places are those in the whole document.
    """
    parts = [(document["paths"], _path_item())]
    if "webhooks" in document:
        parts.append((document["webhooks"], _webhook()))
    if "schemas" in document.get("components", {}):
        parts.append((document["components"]["schemas"], _schema()))
    try:
        for members, adapter in parts:
            _encode_members(members, adapter)
    except ValidationError:
        # What is written already stays valid, so this names what is not, from the root of the document.
        return _dump(document)
    # What is written is set aside while the models write the rest, in their order.
    outer = document | {"paths": {}}
    if "webhooks" in document:
        outer["webhooks"] = {}
    if "schemas" in document.get("components", {}):
        outer["components"] = document["components"] | {"schemas": {}}
    written = _dump(outer)
    written["paths"] = document["paths"]
    if "webhooks" in document:
        written["webhooks"] = document["webhooks"]
    if "schemas" in document.get("components", {}):
        written["components"]["schemas"] = document["components"]["schemas"]
    return written


def _dump(document: dict[str, Any]) -> dict[str, Any]:
    written: dict[str, Any] = _prune(OpenAPI(**document).model_dump(mode="json", by_alias=True, exclude_none=True))
    return written


# --- The document


def _describe(
    routes: Sequence[Any], webhooks: Sequence[Any], separate_input_output_schemas: bool
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The path items of routes and of webhooks, and the components they refer to; none of it validated yet."""
    fields = get_fields_from_routes([*routes, *webhooks])
    model_name_map = get_model_name_map(get_flat_models_from_fields(fields, known_models=set()))
    field_mapping, definitions = get_definitions(
        fields=fields, model_name_map=model_name_map, separate_input_output_schemas=separate_input_output_schemas
    )
    builder = PathBuilder(set(), model_name_map, field_mapping, separate_input_output_schemas)
    security_schemes: dict[str, Any] = {}

    def path_items(routes: Sequence[Any]) -> dict[str, Any]:
        items: dict[str, Any] = {}
        for route in _api_routes(routes):
            item, schemes, more_definitions = builder.build(route)
            if item:
                items.setdefault(route.path_format, {}).update(item)
            security_schemes.update(schemes)
            definitions.update(more_definitions)
        return items

    paths, webhook_paths = path_items(routes), path_items(webhooks)
    components: dict[str, Any] = {
        "schemas": {name: definitions[name] for name in sorted(definitions)},
        "securitySchemes": security_schemes,
    }
    return paths, webhook_paths, {name: members for name, members in components.items() if members}


def get_openapi(
    *,
    title: str,
    version: str,
    openapi_version: str = "3.1.0",
    summary: str | None = None,
    description: str | None = None,
    routes: Sequence[BaseRoute | routing.RouteContext],
    webhooks: Sequence[BaseRoute | routing.RouteContext] | None = None,
    tags: list[dict[str, Any]] | None = None,
    servers: list[dict[str, str | Any]] | None = None,
    terms_of_service: str | None = None,
    contact: dict[str, str | Any] | None = None,
    license_info: dict[str, str | Any] | None = None,
    separate_input_output_schemas: bool = True,
    external_docs: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The OpenAPI document of routes, as JSON data.

    Args:
        title: Title of the API. version: Version of the API. openapi_version: Version of OpenAPI the document
        declares. Default is ``"3.1.0"``. summary: Short text about the API. description: Long text about the API,
        Markdown. routes: The routes; those that are no path operations are passed over. webhooks: Path operations
        that the API calls, rather than offers. tags: Tag Objects. servers: Server Objects. terms_of_service: URL of
        the terms of service. contact: Contact Object. license_info: License Object. separate_input_output_schemas:
        Whether a model may have one schema for input and one for output. Default is true. external_docs: External
        Documentation Object.

    Raises:
        ValidationError: Something declared is not what OpenAPI takes in its place.

    Source: FastAPI, ``fastapi.openapi.utils.get_openapi``; OpenAPI 3.1.0.
    """
    webhooks = webhooks or []
    paths, webhook_paths, components = _describe(routes, webhooks, separate_input_output_schemas)
    info = {
        "summary": summary,
        "description": description,
        "termsOfService": terms_of_service,
        "contact": contact,
        "license": license_info,
    }
    optional = {
        "servers": servers,
        "components": components,
        "webhooks": webhook_paths,
        "tags": tags,
        "externalDocs": external_docs,
    }
    document = {
        "openapi": openapi_version,
        "info": {"title": title, "version": version, **{name: value for name, value in info.items() if value}},
        "paths": paths,
        **{name: value for name, value in optional.items() if value},
    }
    return _encode(document)
