"""What one parameter of a signature is: a dependency, something injected by its type, or a field of the request.

Layer: `forzium.params`, `forzium._fields`, and the classes that are injected. Whole signatures and the tree of
dependencies are `forzium.dependencies.graph`.

Source: FastAPI, `dependencies.utils.analyze_param`; the messages begin with FastAPI's words.
"""

from __future__ import annotations

import dataclasses
import inspect
from copy import copy
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, NoReturn, get_args, get_origin

from pydantic import AliasChoices
from pydantic.fields import FieldInfo
from typing_inspection.typing_objects import is_typealiastype

from forzium import params
from forzium._fields import (
    ModelField,
    Undefined,
    copy_field_info,
    field_annotation_is_scalar,
    field_annotation_is_scalar_sequence,
    is_uploadfile_or_nonable_uploadfile_annotation,
    is_uploadfile_sequence_annotation,
    lenient_issubclass,
)
from forzium._forzium import AsgiApp
from forzium.background import BackgroundTasks
from forzium.dependencies.extraction import model_type
from forzium.dependencies.forms import add_form_union_validators, form_union_models
from forzium.dependencies.models import Dependant
from forzium.dependencies.multipart import ensure_multipart_is_installed
from forzium.exceptions import DependencyScopeError
from forzium.requests import HTTPConnection, Request
from forzium.responses import Response
from forzium.security.oauth2 import SecurityScopes
from forzium.utils import create_model_field
from forzium.websockets import WebSocket

_EMPTY = inspect.Signature.empty

# In this order: a `Request` is an `HTTPConnection` too.
_INJECTED: tuple[tuple[type[Any], str], ...] = (
    (Request, "request_param_name"),
    (WebSocket, "websocket_param_name"),
    (HTTPConnection, "http_connection_param_name"),
    (Response, "response_param_name"),
    (BackgroundTasks, "background_tasks_param_name"),
    (SecurityScopes, "security_scopes_param_name"),
)
_INJECTED_TYPES = tuple(cls for cls, _ in _INJECTED)

_PARAMETER_LISTS = {
    params.ParamTypes.path: "path_params",
    params.ParamTypes.query: "query_params",
    params.ParamTypes.header: "header_params",
    params.ParamTypes.cookie: "cookie_params",
}


@dataclass
class ParamDetails:
    """What a parameter is: with `depends` a dependency, with `field` a value of the request, with neither injected."""

    type_annotation: Any
    depends: params.Depends | None
    field: ModelField | None


def _refuse(message: str, instead: str) -> NoReturn:
    raise AssertionError(f"{message}\n  {instead}")


def analyze_param(*, param_name: str, annotation: Any, value: Any, path_param_names: set[str]) -> ParamDetails:
    """Tell what a parameter is.

    Args:
        param_name: Its name.
        annotation: Its evaluated annotation, or `inspect.Signature.empty`.
        value: Its default, or `inspect.Signature.empty`.
        path_param_names: The names in the path of the route.

    Raises:
        AssertionError: The declaration contradicts itself, or what it asks for cannot come from where it says.
        FastAPIError: pydantic cannot validate the annotation.
        RuntimeError: It is a form, and no parser of forms is installed.
    """
    in_path = param_name in path_param_names
    if is_typealiastype(annotation):
        annotation = annotation.__value__
    annotation = Any if annotation is _EMPTY else annotation
    type_annotation = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation

    field_info, depends = _declared_in_annotation(param_name, annotation, value, in_path)
    if isinstance(value, params.Depends):
        if depends is not None:
            _refuse_two_dependencies(param_name)
        if field_info is not None:
            _refuse(
                "Cannot specify a FastAPI annotation in `Annotated` and `Depends` as a default value together for "
                f"{param_name!r}",
                "A parameter is either a dependency or a value of the request: keep one of the two.",
            )
        depends = value
    elif isinstance(value, FieldInfo):
        if field_info is not None:
            _refuse(
                f"Cannot specify FastAPI annotations in `Annotated` and default value together for {param_name!r}",
                "Keep the one in `Annotated`, and write the plain default value behind `=`.",
            )
        field_info = value
        field_info.annotation = type_annotation

    if depends is not None:
        if depends.dependency is None:
            depends = dataclasses.replace(depends, dependency=type_annotation)
    elif lenient_issubclass(type_annotation, _INJECTED_TYPES):
        if field_info is not None:
            _refuse(
                f"Cannot specify FastAPI annotation for type {type_annotation!r}",
                f"`{type_annotation.__name__}` is injected by its type: drop "
                f"`{type(field_info).__name__}` from {param_name!r}.",
            )
    elif field_info is None:
        field_info = _inferred(annotation, type_annotation, value, in_path)

    field = None
    if field_info is not None:
        field = _make_field(param_name, annotation, field_info, path_param_names)
    return ParamDetails(type_annotation=type_annotation, depends=depends, field=field)


class LastingParam(NamedTuple):
    """What a parameter of something made for the lifespan is: a dependency, the application, or left to its default."""

    depends: params.Depends | None = None
    is_application: bool = False


def analyze_lasting_param(*, param_name: str, annotation: Any, value: Any) -> LastingParam:
    """Tell what a parameter of a dependency with the scope `"lifespan"` is.

    Args:
        param_name: Its name.
        annotation: Its evaluated annotation, or `inspect.Signature.empty`.
        value: Its default, or `inspect.Signature.empty`.

    Raises:
        AssertionError: The declaration contradicts itself.
        DependencyScopeError: It could only come from a request, or depends on what is made for one.
    """
    if is_typealiastype(annotation):
        annotation = annotation.__value__
    type_annotation = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    field_info, depends = _declared_in_annotation(param_name, annotation, value, False)
    if isinstance(value, params.Depends):
        if depends is not None:
            _refuse_two_dependencies(param_name)
        depends = value
    if depends is not None:
        if depends.dependency is None:
            depends = dataclasses.replace(depends, dependency=type_annotation)
        if depends.scope != "lifespan":
            name = getattr(depends.dependency, "__name__", "...")
            raise DependencyScopeError(
                'A dependency with a scope of "lifespan" cannot depend on what is made for a request: '
                f'{param_name!r}\n  Write `Depends({name}, scope="lifespan")` for it.'
            )
        return LastingParam(depends)
    if lenient_issubclass(type_annotation, AsgiApp):
        return LastingParam(is_application=True)
    of_a_request = field_info is not None or isinstance(value, params.Param | params.Body)
    if value is _EMPTY or of_a_request or lenient_issubclass(type_annotation, _INJECTED_TYPES):
        raise DependencyScopeError(
            f'A dependency with a scope of "lifespan" cannot take anything from a request: {param_name!r}\n'
            "  Take it in a dependency without that scope, which may depend on this one; or give it a plain default."
        )
    return LastingParam()


def _refuse_two_dependencies(param_name: str) -> NoReturn:
    _refuse(
        f"Cannot specify `Depends` in `Annotated` and default value together for {param_name!r}",
        "Keep the one in `Annotated`, and drop the default.",
    )


def _declared_in_annotation(
    param_name: str, annotation: Any, value: Any, in_path: bool
) -> tuple[FieldInfo | None, params.Depends | None]:
    """Return what the metadata of `Annotated` declares. Of several declarations the last counts."""
    if get_origin(annotation) is not Annotated:
        return None, None
    declared = None
    for item in get_args(annotation)[1:]:
        if isinstance(item, (params.Param, params.Body, params.Depends)):
            declared = item
    if declared is None or isinstance(declared, params.Depends):
        return None, declared
    field_info = copy_field_info(field_info=declared, annotation=annotation)
    if field_info.default is not Undefined:
        # No second line: FastAPI's sentence already says what to write.
        raise AssertionError(
            f"`{type(field_info).__name__}` default value cannot be set in `Annotated` for {param_name!r}. "
            "Set the default value with `=` instead."
        )
    if value is _EMPTY:
        field_info.default = Undefined
    elif in_path:
        _refuse("Path parameters cannot have default values", f"Drop `= {value!r}` from {param_name!r}.")
    else:
        field_info.default = value
    return field_info, None


def _inferred(annotation: Any, type_annotation: Any, value: Any, in_path: bool) -> FieldInfo:
    """Return the declaration of a parameter that has none: path, file, body or query, by name and type."""
    default = Undefined if value is _EMPTY else value
    field_info: FieldInfo
    if in_path:
        field_info = params.Path(annotation=annotation)
    elif is_uploadfile_or_nonable_uploadfile_annotation(type_annotation) or is_uploadfile_sequence_annotation(
        type_annotation
    ):
        field_info = params.File(annotation=annotation, default=default)
    elif field_annotation_is_scalar(type_annotation):
        field_info = params.Query(annotation=annotation, default=default)
    else:
        field_info = params.Body(annotation=annotation, default=default)
    if get_origin(annotation) is Annotated:
        # Constraints may stand in pydantic's own `Field()`.
        default = field_info.default
        field_info = copy_field_info(field_info=field_info, annotation=annotation)
        field_info.default = default
        if in_path:
            field_info.default_factory = None
    return field_info


def _make_field(param_name: str, annotation: Any, field_info: FieldInfo, path_param_names: set[str]) -> ModelField:
    in_path = param_name in path_param_names
    if in_path:
        if not isinstance(field_info, params.Path):
            _refuse(
                f"Cannot use `{type(field_info).__name__}` for path param {param_name!r}",
                f"Use `Path()`, or rename the parameter: {param_name!r} stands in the path.",
            )
    elif isinstance(field_info, params.Param) and getattr(field_info, "in_", None) is None:
        field_info.in_ = params.ParamTypes.query
    if isinstance(field_info, params.Form):
        ensure_multipart_is_installed()
        if form_union_models(field_info.annotation):
            field_info.annotation = add_form_union_validators(field_info.annotation)
    if isinstance(field_info, params.Path):
        field_info = _with_alias_in_path(field_info, path_param_names)
    alias = field_info.alias
    if not alias:
        converts = getattr(field_info, "convert_underscores", False)
        alias = param_name.replace("_", "-") if converts else param_name
    field_info.alias = alias
    field = create_model_field(
        name=param_name, type_=annotation, default=field_info.default, alias=alias, field_info=field_info
    )
    type_annotation = field_info.annotation
    if in_path:
        if not field_annotation_is_scalar(type_annotation):
            _refuse(
                "Path params must be of one of the supported types",
                f"{param_name!r} stands in the path, so its type must fit one string.",
            )
    elif isinstance(field_info, params.Query) and not (
        field_annotation_is_scalar(type_annotation)
        or field_annotation_is_scalar_sequence(type_annotation)
        or model_type(type_annotation) is not None
    ):
        _refuse(
            f"Query parameter {param_name!r} must be one of the supported types",
            "Supported are types that fit one string, sequences of these, and one pydantic model; use `Body()` to "
            "take anything else from the body.",
        )
    return field


def _with_alias_in_path(field_info: FieldInfo, path_param_names: set[str]) -> FieldInfo:
    """Return the declaration with the one of its alternative aliases that stands in the path."""
    aliases = field_info.validation_alias
    if isinstance(aliases, AliasChoices) and all(isinstance(choice, str) for choice in aliases.choices):
        for choice in aliases.choices:
            if choice in path_param_names and isinstance(choice, str):
                field_info = copy(field_info)
                field_info.validation_alias = choice
                break
    return field_info


def add_non_field_param_to_dependency(*, param_name: str, type_annotation: Any, dependant: Dependant) -> bool | None:
    """Note the name of a parameter that is injected by its type.

    Returns:
        True if it is one, else None.
    """
    for cls, attribute in _INJECTED:
        if lenient_issubclass(type_annotation, cls):
            setattr(dependant, attribute, param_name)
            return True
    return None


def add_param_to_fields(*, field: ModelField, dependant: Dependant) -> None:
    """Put a field into the list of the place it comes from.

    Raises:
        AssertionError: It comes from the body, or from nowhere.
    """
    name = _PARAMETER_LISTS.get(getattr(field.field_info, "in_", None))  # type: ignore[arg-type]
    if name is None:
        raise AssertionError(f"non-body parameters must be in path, query, header or cookie: {field.name}")
    getattr(dependant, name).append(field)
