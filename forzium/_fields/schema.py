"""JSON schemas of fields for the OpenAPI document, made by pydantic.

Layer: `forzium._fields.models`; imported only when a document is made, for pydantic's generator is slow to import. The
document around the schemas is `forzium.openapi`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema as PydanticGenerateJsonSchema
from pydantic.json_schema import JsonSchemaMode, JsonSchemaValue
from pydantic_core import CoreSchema
from pydantic_core.core_schema import BytesSchema

from forzium._fields.annotations import lenient_issubclass
from forzium._fields.field import ModelField
from forzium._fields.models import get_flat_models_from_fields
from forzium.openapi.constants import REF_TEMPLATE
from forzium.types import ModelNameMap

FieldMapping = dict[tuple[ModelField, Literal["validation", "serialization"]], JsonSchemaValue]


class GenerateJsonSchema(PydanticGenerateJsonSchema):
    """pydantic's generator, but bytes are the content of a file.

    Source: JSON Schema 2020-12, `contentMediaType` and `contentEncoding`; FastAPI, `_compat.GenerateJsonSchema`.
    """

    def bytes_schema(self, schema: BytesSchema) -> JsonSchemaValue:
        """Return the schema of a string with binary content."""
        result: JsonSchemaValue = {"type": "string", "contentMediaType": "application/octet-stream"}
        config = self._config
        encoding = config.ser_json_bytes if self.mode == "serialization" else config.val_json_bytes
        if encoding == "base64":
            result["contentEncoding"] = "base64"
        self.update_with_validations(result, cast(CoreSchema, schema), self.ValidationsMapping.bytes)
        return result


def get_schema_from_model_field(
    *,
    field: ModelField,
    model_name_map: ModelNameMap,
    field_mapping: FieldMapping,
    separate_input_output_schemas: bool = True,
    field_alias: str | None = None,
) -> dict[str, Any]:
    """Return the schema of one field out of those that `get_definitions` made, with a title unless it is a reference.

    Args:
        field: The field.
        model_name_map: Not used; part of FastAPI's signature.
        field_mapping: The first result of `get_definitions`.
        separate_input_output_schemas: Whether a model may show one schema for input and one for output.
        field_alias: What the title is made from. Default is the field's alias in its direction.
    """
    mode = field.mode
    if not separate_input_output_schemas and not _has_computed_fields(field):
        mode = "validation"
    schema = field_mapping[field, mode].copy()
    if "$ref" not in schema:
        if field_alias is None:
            directed = field.validation_alias if field.mode == "validation" else field.serialization_alias
            field_alias = directed or field.alias
        schema["title"] = field.field_info.title or field_alias.title().replace("_", " ")
    return schema


def get_definitions(
    *,
    fields: Sequence[ModelField],
    model_name_map: ModelNameMap,
    separate_input_output_schemas: bool = True,
) -> tuple[FieldMapping, dict[str, dict[str, Any]]]:
    """Generate the schemas of fields and of all models they reach.

    Returns:
        The schema of each field and mode, and the definitions by name, that is the OpenAPI document's components.
    """
    inputs: list[tuple[ModelField, JsonSchemaMode, CoreSchema]] = []

    def add(field: ModelField) -> None:
        mode = field.mode if separate_input_output_schemas or _has_computed_fields(field) else "validation"
        inputs.append((field, mode, field._type_adapter.core_schema))

    for field in fields:
        add(field)
    given = {field.field_info.annotation for field in fields}
    modes: tuple[Literal["validation"], Literal["serialization"]] = ("validation", "serialization")
    for mode in modes:
        reached = get_flat_models_from_fields([field for field in fields if field.mode == mode], known_models=set())
        for model in reached:
            if model not in given:
                add(ModelField(field_info=FieldInfo(annotation=model), name=model.__name__, mode=mode))
    mapping, definitions = GenerateJsonSchema(ref_template=REF_TEMPLATE).generate_definitions(inputs=inputs)
    for definition in definitions.values():
        if "description" in definition:
            # What follows a form feed in a docstring is not for the document.
            definition["description"] = definition["description"].split("\f")[0]
    return mapping, {str(name): definition for name, definition in definitions.items()}


def _has_computed_fields(field: ModelField) -> bool:
    schema: Any = field._type_adapter.core_schema
    if schema.get("schema", {}).get("computed_fields", []):
        return True
    seen: set[type[BaseModel]] = set()
    pending: list[Any] = [field.field_info.annotation]
    while pending:
        current = pending.pop()
        if not lenient_issubclass(current, BaseModel):
            pending.extend(get_args(current))
        elif current not in seen:
            seen.add(current)
            if current.model_computed_fields:
                return True
            pending.extend(member.annotation for member in current.model_fields.values())
    return False
