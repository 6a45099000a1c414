"""Fields: declared values with their pydantic adapters, and the questions about annotations that place them.

Layer: pydantic, `forzium.datastructures`, `forzium.types`. `forzium.params`, `forzium.dependencies` and
`forzium.openapi` stand on it. What makes JSON schemas (`forzium._fields.schema`) is imported on first use.
"""

from typing import TYPE_CHECKING, Any

from pydantic import PydanticSchemaGenerationError, PydanticUndefinedAnnotation
from pydantic_core import Url
from pydantic_core.core_schema import with_info_plain_validator_function

from forzium._fields.annotations import (
    PYDANTIC_VERSION_MINOR_TUPLE,
    annotation_is_pydantic_v1,
    field_annotation_is_complex,
    field_annotation_is_scalar,
    field_annotation_is_scalar_sequence,
    field_annotation_is_sequence,
    is_bytes_or_nonable_bytes_annotation,
    is_bytes_sequence_annotation,
    is_pydantic_v1_model_class,
    is_pydantic_v1_model_instance,
    is_union,
    is_uploadfile_or_nonable_uploadfile_annotation,
    is_uploadfile_sequence_annotation,
    lenient_issubclass,
    sequence_annotation_to_type,
    sequence_types,
    value_is_sequence,
)
from forzium._fields.field import (
    ModelField,
    RequiredParam,
    Undefined,
    copy_field_info,
    evaluate_forwardref,
    get_missing_field_error,
    is_scalar_field,
    serialize_sequence_value,
)
from forzium._fields.models import (
    create_body_model,
    get_cached_model_fields,
    get_flat_models_from_annotation,
    get_flat_models_from_field,
    get_flat_models_from_fields,
    get_flat_models_from_model,
    get_model_fields,
    get_model_name_map,
    normalize_name,
)

if TYPE_CHECKING:
    from forzium._fields.schema import GenerateJsonSchema, get_definitions, get_schema_from_model_field

_IN_SCHEMA = ("GenerateJsonSchema", "get_definitions", "get_schema_from_model_field")

__all__ = [
    "PYDANTIC_VERSION_MINOR_TUPLE",
    "GenerateJsonSchema",
    "ModelField",
    "PydanticSchemaGenerationError",
    "PydanticUndefinedAnnotation",
    "RequiredParam",
    "Undefined",
    "Url",
    "annotation_is_pydantic_v1",
    "copy_field_info",
    "create_body_model",
    "evaluate_forwardref",
    "field_annotation_is_complex",
    "field_annotation_is_scalar",
    "field_annotation_is_scalar_sequence",
    "field_annotation_is_sequence",
    "get_cached_model_fields",
    "get_definitions",
    "get_flat_models_from_annotation",
    "get_flat_models_from_field",
    "get_flat_models_from_fields",
    "get_flat_models_from_model",
    "get_missing_field_error",
    "get_model_fields",
    "get_model_name_map",
    "get_schema_from_model_field",
    "is_bytes_or_nonable_bytes_annotation",
    "is_bytes_sequence_annotation",
    "is_pydantic_v1_model_class",
    "is_pydantic_v1_model_instance",
    "is_scalar_field",
    "is_union",
    "is_uploadfile_or_nonable_uploadfile_annotation",
    "is_uploadfile_sequence_annotation",
    "lenient_issubclass",
    "normalize_name",
    "sequence_annotation_to_type",
    "sequence_types",
    "serialize_sequence_value",
    "value_is_sequence",
    "with_info_plain_validator_function",
]


def __getattr__(name: str) -> Any:
    if name in _IN_SCHEMA:
        from forzium._fields import schema

        return getattr(schema, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
