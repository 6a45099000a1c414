"""Small public helpers of FastAPI: response fields, path parameter names, operation ids, merging of documents.

Layer: `forzium._fields`. Not a place for helpers of our own.
"""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any, Literal

from pydantic import PydanticSchemaGenerationError
from pydantic.fields import FieldInfo

from forzium._fields import ModelField, Undefined, annotation_is_pydantic_v1
from forzium.datastructures import DefaultPlaceholder, DefaultType
from forzium.exceptions import FastAPIDeprecationWarning, FastAPIError, PydanticV1NotSupportedError

if TYPE_CHECKING:
    from forzium.routing import APIRoute

_STATUS_RANGES = frozenset(("default", "1XX", "2XX", "3XX", "4XX", "5XX"))
_BODILESS_STATUS_CODES = frozenset((204, 205, 304))
_PATH_PARAMETER = re.compile("{(.*?)}")


def is_body_allowed_for_status_code(status_code: int | str | None) -> bool:
    """Tell whether a response with this status (or range, as in OpenAPI) may have a body.

    Raises:
        ValueError: The status is neither a number nor a range.

    Source: RFC 9110, sections 6.4.1 and 15.
    """
    if status_code is None or status_code in _STATUS_RANGES:
        return True
    code = int(status_code)
    return code >= 200 and code not in _BODILESS_STATUS_CODES


def get_path_param_names(path: str) -> set[str]:
    """Return what stands in the braces of a path."""
    return set(_PATH_PARAMETER.findall(path))


def create_model_field(
    name: str,
    type_: Any,
    default: Any | None = Undefined,
    field_info: FieldInfo | None = None,
    alias: str | None = None,
    mode: Literal["validation", "serialization"] = "validation",
) -> ModelField:
    """Make a field of a parameter, body or response.

    Args:
        name: The name in Python.
        type_: The annotation, used for `field_info` if there is none, and in messages.
        default: The default, where there is no `field_info`.
        field_info: The declaration.
        alias: The alias, where there is no `field_info`.
        mode: `"serialization"` for responses.

    Raises:
        PydanticV1NotSupportedError: The annotation has a model of `pydantic.v1`.
        FastAPIError: pydantic cannot validate the annotation.

    Source: FastAPI, `utils.create_model_field`.
    """
    if annotation_is_pydantic_v1(type_):
        raise PydanticV1NotSupportedError(
            f"pydantic.v1 models are no longer supported by FastAPI. Please update the response model {type_!r}."
        )
    info = field_info or FieldInfo(annotation=type_, default=default, alias=alias)
    try:
        return ModelField(mode=mode, name=name, field_info=info)
    except PydanticSchemaGenerationError:
        raise FastAPIError(
            f"Invalid args for response field! Hint: check that {type_} is a valid Pydantic field type. If you are "
            "using a return type annotation that is not a valid Pydantic field (e.g. Union[Response, dict, None]) you "
            "can disable generating the response model from the type annotation with the path operation decorator "
            "parameter response_model=None. Read more: https://fastapi.tiangolo.com/tutorial/response-model/"
        ) from None


def _operation_id(name: str, path: str, method: str) -> str:
    return re.sub(r"\W", "_", f"{name}{path}") + f"_{method.lower()}"


def generate_operation_id_for_path(*, name: str, path: str, method: str) -> str:
    """Return an operation id. Deprecated by FastAPI; `generate_unique_id` is what makes them."""
    warnings.warn(
        "fastapi.utils.generate_operation_id_for_path() was deprecated, it is not used internally, "
        "and will be removed soon",
        category=FastAPIDeprecationWarning,
        stacklevel=2,
    )
    return _operation_id(name, path, method)


def generate_unique_id(route: APIRoute) -> str:
    """Return the operation id of a route: its name, path and first method.

    Raises:
        AssertionError: The route has no methods.
    """
    methods = list(route.methods or ())
    assert methods
    return _operation_id(route.name, route.path_format, methods[0])


def deep_dict_update(main_dict: dict[Any, Any], update_dict: dict[Any, Any]) -> None:
    """Merge `update_dict` into `main_dict`: dictionaries key by key, lists one after the other, the rest replaced."""
    for key, value in update_dict.items():
        present = main_dict.get(key)
        if isinstance(present, dict) and isinstance(value, dict):
            deep_dict_update(present, value)
        elif isinstance(present, list) and isinstance(value, list):
            main_dict[key] = present + value
        else:
            main_dict[key] = value


def get_value_or_default(
    first_item: DefaultPlaceholder | DefaultType,
    *extra_items: DefaultPlaceholder | DefaultType,
) -> DefaultPlaceholder | DefaultType:
    """Return the first item that was set by somebody, else the first one; the most specific comes first."""
    return next(
        (item for item in (first_item, *extra_items) if not isinstance(item, DefaultPlaceholder)),
        first_item,
    )
