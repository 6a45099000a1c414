"""The options of an operation, said once: their names, types, meaning and defaults.

`APIRoute`, the router's and the application's `get`, `post`, `api_route`, `add_api_route` and their like all take
them. Each of these methods is annotated with one of the typed dicts here, which a type checker expands, and is given
by `signed` the signature that `inspect.signature` shows: FastAPI's, name by name and default by default.

Stands on datastructures, responses and utils. Nothing here knows a route.

Source: FastAPI 0.165 `fastapi.routing`, `fastapi.applications`.
"""

# No `from __future__ import annotations`: the annotations of the typed dicts are those of the signatures.
import inspect
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, cast

from forzium._form_limits import FormLimits
from forzium.datastructures import Default, DefaultPlaceholder
from forzium.params import Depends
from forzium.responses import JSONResponse, Response
from forzium.routing.base import BaseRoute
from forzium.types import IncEx
from forzium.utils import generate_unique_id

if TYPE_CHECKING:
    from forzium.routing.api import APIRoute

__all__ = [
    "AddAPIRouteOptions",
    "AppAPIRouteOptions",
    "IncludeOptions",
    "OperationOptions",
    "RouteOptions",
    "RouterAPIRouteOptions",
    "completed",
    "innermost",
    "signed",
]

_F = TypeVar("_F", bound=Callable[..., Any])
_Options = TypeVar("_Options")


class _CommonOptions(TypedDict, total=False):
    response_model: Any
    """What the answer is validated against and filtered by. Default is the endpoint's return annotation."""
    status_code: int | None
    """Status of the answer. Default is 200."""
    tags: list[str | Enum] | None
    """Tags in the OpenAPI document, after those of the router."""
    dependencies: Sequence[Depends] | None
    """Dependencies whose values the endpoint does not take, after those of the router."""
    summary: str | None
    """Summary in the OpenAPI document. Default is made from the name."""
    description: str | None
    """Description in the OpenAPI document, in Markdown. Default is the endpoint's docstring up to a form feed."""
    response_description: str
    """Description of the default response in the OpenAPI document."""
    responses: dict[int | str, dict[str, Any]] | None
    """More responses for the OpenAPI document, by status; a `model` in one is turned into its schema."""
    deprecated: bool | None
    """Whether the OpenAPI document marks it as deprecated."""
    operation_id: str | None
    """Operation id in the OpenAPI document. Default is what `generate_unique_id_function` gives."""
    response_model_include: IncEx | None
    """Fields of the response model to send. Default is all."""
    response_model_exclude: IncEx | None
    """Fields of the response model not to send."""
    response_model_by_alias: bool
    """Whether fields are sent under their aliases."""
    response_model_exclude_unset: bool
    """Whether fields that were not set are left out."""
    response_model_exclude_defaults: bool
    """Whether fields equal to their default are left out."""
    response_model_exclude_none: bool
    """Whether fields that are `None` are left out."""
    include_in_schema: bool
    """Whether the OpenAPI document shows it."""
    response_class: type[Response]
    """Class of the answer. Default is the router's, else JSON."""
    name: str | None
    """Name for `url_path_for`. Default is the endpoint's."""
    openapi_extra: dict[str, Any] | None
    """Merged into the operation in the OpenAPI document."""
    generate_unique_id_function: Callable[["APIRoute"], str]
    """Makes the operation id from the route."""
    max_body_size: int | None
    """Limit of the request body in bytes. Default is the router's, else none."""
    form_limits: FormLimits | None
    """Limits of a form's fields, files and part size. Default is the router's, else those of `Request.form`."""
    cancel_on_disconnect: bool | None
    """Whether the endpoint is cancelled when the client leaves. Default is the router's, else false. Forzium's own."""
    background_always: bool | None
    """Whether background tasks run in any case, also after a failure. Default is the router's, else false. Forzium's
    own."""


class OperationOptions(_CommonOptions, total=False):
    """Options of `get`, `post`, `put` and their like."""

    callbacks: list[BaseRoute] | None
    """Operations the client is called back on, for the OpenAPI document."""


class AppAPIRouteOptions(_CommonOptions, total=False):
    """Options of the application's `api_route` and `add_api_route`, which take no callbacks."""

    methods: list[str] | None
    """Methods it takes. Default is GET."""


class RouterAPIRouteOptions(OperationOptions, total=False):
    """Options of the router's `api_route`."""

    methods: list[str] | set[str] | None
    """Methods it takes. Default is GET."""


class AddAPIRouteOptions(RouterAPIRouteOptions, total=False):
    """Options of the router's `add_api_route`."""

    route_class_override: "type[APIRoute] | None"
    """Class of the route. Default is the router's `route_class`."""
    strict_content_type: bool | DefaultPlaceholder
    """Whether a JSON body needs a JSON content type. Default is the router's, else true."""


class RouteOptions(RouterAPIRouteOptions, total=False):
    """Options of `APIRoute` itself."""

    dependency_overrides_provider: Any | None
    """What has the `dependency_overrides`: the application."""
    strict_content_type: bool | DefaultPlaceholder
    """Whether a JSON body needs a JSON content type. Default is true."""


class IncludeOptions(TypedDict, total=False):
    """Options of `include_router`. They add to, or stand in for, what the included router says itself."""

    prefix: str
    """Path before all its paths: empty, or starting with a slash and not ending in one."""
    tags: list[str | Enum] | None
    dependencies: Sequence[Depends] | None
    default_response_class: type[Response]
    responses: dict[int | str, dict[str, Any]] | None
    callbacks: list[BaseRoute] | None
    deprecated: bool | None
    include_in_schema: bool
    generate_unique_id_function: Callable[["APIRoute"], str]
    max_body_size: int | None
    form_limits: FormLimits | None
    cancel_on_disconnect: bool | None
    background_always: bool | None


_JSON = Default(JSONResponse)
_UNIQUE_ID = Default(generate_unique_id)

_COMMON: _CommonOptions = {
    "response_model": Default(None),
    "status_code": None,
    "tags": None,
    "dependencies": None,
    "summary": None,
    "description": None,
    "response_description": "Successful Response",
    "responses": None,
    "deprecated": None,
    "operation_id": None,
    "response_model_include": None,
    "response_model_exclude": None,
    "response_model_by_alias": True,
    "response_model_exclude_unset": False,
    "response_model_exclude_defaults": False,
    "response_model_exclude_none": False,
    "include_in_schema": True,
    "response_class": _JSON,
    "name": None,
    "openapi_extra": None,
    "generate_unique_id_function": _UNIQUE_ID,
    "max_body_size": None,
    "form_limits": None,
    "cancel_on_disconnect": None,
    "background_always": None,
}
_OPERATION: dict[str, Any] = {**_COMMON, "callbacks": None}

DEFAULTS: dict[type, dict[str, Any]] = {
    OperationOptions: _OPERATION,
    AppAPIRouteOptions: {**_COMMON, "methods": None},
    RouterAPIRouteOptions: {**_OPERATION, "methods": None},
    AddAPIRouteOptions: {
        **_OPERATION,
        "methods": None,
        "route_class_override": None,
        "strict_content_type": Default(True),
    },
    RouteOptions: {
        **_OPERATION,
        "methods": None,
        "dependency_overrides_provider": None,
        "strict_content_type": Default(True),
    },
    IncludeOptions: {
        "prefix": "",
        "tags": None,
        "dependencies": None,
        "default_response_class": _JSON,
        "responses": None,
        "callbacks": None,
        "deprecated": None,
        "include_in_schema": True,
        "generate_unique_id_function": _UNIQUE_ID,
        "max_body_size": None,
        "form_limits": None,
        "cancel_on_disconnect": None,
        "background_always": None,
    },
}
"""Every option's default, by the typed dict that names it."""


def completed(kind: type[_Options], options: Mapping[str, Any], method: str) -> _Options:
    """All options of a kind: those given, and the defaults of the others.

    Raises:
        TypeError: An option is given that `method` does not take.
    """
    defaults = DEFAULTS[kind]
    whole = {**defaults, **options}
    if len(whole) != len(defaults):
        unknown = next(name for name in options if name not in defaults)
        raise TypeError(f"{method}() got an unexpected keyword argument {unknown!r}")
    return cast("_Options", whole)


def innermost(*choices: bool | None) -> bool | None:
    """The first choice that was made, the innermost being given first."""
    return next((choice for choice in choices if choice is not None), None)


def signed(kind: type) -> Callable[[_F], _F]:
    """Give a method that takes `**options` of a kind the signature that names each of them."""

    def sign(method: _F) -> _F:
        own = [p for p in inspect.signature(method).parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        method.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [*own, *_parameters(kind)], __validate_parameters__=False
        )
        return method

    return sign


def _parameters(kind: type) -> list[inspect.Parameter]:
    known = _PARAMETERS.get(kind)
    if known is None:
        known = _PARAMETERS[kind] = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind.__annotations__[name]
            )
            for name, default in DEFAULTS[kind].items()
        ]
    return known


_PARAMETERS: dict[type, list[inspect.Parameter]] = {}
