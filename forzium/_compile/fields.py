"""One parameter: how Rust may read it, and when it must not.

Stands on `_fields` and `dependencies.extraction`. Rust converts a scalar only where the result is certain to be
pydantic's own; this module decides that by looking at the core schema, and says "validate" in case of doubt.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

from forzium import params
from forzium._compile.spec import Conversion, FieldSpec, FormFieldSpec, FormModelSpec, FormSourceSpec, Shape, Source
from forzium._fields import (
    ModelField,
    field_annotation_is_sequence,
    get_cached_model_fields,
    is_bytes_or_nonable_bytes_annotation,
    is_bytes_sequence_annotation,
    serialize_sequence_value,
)
from forzium.dependencies.extraction import get_param_aliases, get_param_model, is_json_field, request_params_to_args
from forzium.dependencies.forms import form_models, is_nullable

_MAPPINGS: dict[Source, str] = {
    "path": "path_params",
    "query": "query_params",
    "header": "headers",
    "cookie": "cookies",
}

_UNCHANGING = (str, int, float, bool, bytes, complex, type(None), enum.Enum)
"""Types whose values need no copy when they are a default."""

_HARMLESS = {"type", "metadata", "ref", "serialization"}
"""Keys of a core schema that do not bear on validation."""


def param_spec(field: ModelField, source: Source) -> FieldSpec:
    """Describe a path, query, header or cookie parameter."""
    spec = _spec(field, source, [(alias, (source, alias)) for _, alias in get_param_aliases(field)])
    annotation = field.field_info.annotation
    spec.sequence = field_annotation_is_sequence(annotation)
    if get_param_model(field) is not None or (spec.sequence and is_json_field(field)):
        spec.convert, spec.general = "general", _general(field, source)
    elif spec.sequence:
        spec.convert = "validate"
    return spec


def body_spec(field: ModelField, *, whole: bool, alone: bool) -> FieldSpec:
    """Describe a parameter of a JSON body: all of it, or one of its keys.

    `alone` says that nothing else is made of this body, so that what was read can itself be the argument.
    """
    aliases = [alias for alias, _ in get_param_aliases(field)]
    if whole:
        spec = _spec(field, "body", [(aliases[0], ("body",))])
    else:
        spec = _spec(field, "body", [(alias, ("body", alias)) for alias in aliases])
    # JSON tells numbers and strings apart: only the validator knows what is meant.
    spec.convert, spec.low, spec.high = "validate", None, None
    if alone and not field.config:
        spec.shape = _shape(_value_schema(field._type_adapter.core_schema))
        if spec.shape is not None:
            spec.convert = "json"
    return spec


def form_specs(fields: Sequence[ModelField]) -> list[FormFieldSpec] | None:
    """Describe the parameters of a form; None where only the general function knows, as for a union of models."""
    if any(len(form_models(field)) > 1 for field in fields):
        return None
    return [_form_spec(field) for field in fields]


def _form_spec(field: ModelField) -> FormFieldSpec:
    source = _form_source(field)
    models = form_models(field)
    if models:
        spec = _spec(field, "body", [(source.names[0], ("body",))])
        spec.convert, spec.low, spec.high = "validate", None, None
        model = FormModelSpec(
            members=[_form_source(member) for member in get_cached_model_fields(models[0])],
            optional=is_nullable(field.field_info.annotation),
            extras_count=models[0].model_config.get("extra") in ("allow", "forbid"),
        )
        return FormFieldSpec(spec, source, model)
    spec = _spec(field, "body", [(name, ("body", name)) for name in source.names])
    if source.sequence:
        spec.convert = "validate"
    return FormFieldSpec(spec, source)


def _form_source(field: ModelField) -> FormSourceSpec:
    names = [alias for alias, _ in get_param_aliases(field)]
    annotation = field.field_info.annotation
    spec = FormSourceSpec(names, sequence=field_annotation_is_sequence(annotation) and not is_json_field(field))
    if isinstance(field.field_info, params.File):
        if is_bytes_or_nonable_bytes_annotation(annotation):
            spec.reads = "file"
        elif is_bytes_sequence_annotation(annotation):
            spec.reads = "files"
            spec.collect = lambda items: serialize_sequence_value(field=field, value=items)
    return spec


def _shape(schema: dict[str, Any]) -> Shape | None:
    """What a value must be made of to pass as it is; None where only the validator can say."""
    kind = schema.get("type")
    constraints = schema.keys() - _HARMLESS - {"type"}
    match kind:
        case "any" | "str" | "int" | "float" | "bool" if not constraints:
            return (kind,)
        case "list" if constraints <= {"items_schema"}:
            inner = _shape(schema.get("items_schema", {"type": "any"}))
        case "dict" if constraints <= {"keys_schema", "values_schema"}:
            if _shape(schema.get("keys_schema", {"type": "any"})) not in (("str",), ("any",)):
                return None
            inner = _shape(schema.get("values_schema", {"type": "any"}))
        case _:
            return None
    return None if inner is None else (kind, *inner)


def _spec(field: ModelField, source: Source, aliases: list[tuple[str, tuple[str, ...]]]) -> FieldSpec:
    info = field.field_info
    convert, low, high = _conversion(field)
    spec = FieldSpec(
        name=field.name,
        source=source,
        aliases=aliases,
        convert=convert,
        low=low,
        high=high,
        validate=field.functions[0],
        required=info.is_required(),
        validate_default=bool(info.validate_default),
    )
    if not spec.required:
        if info.default_factory is None and isinstance(info.default, _UNCHANGING):
            spec.plain_default, spec.default = not spec.validate_default, info.default
        if not spec.plain_default:
            spec.make_default = lambda: deepcopy(field.default)
    return spec


def _general(field: ModelField, source: Source) -> Callable[[Any], tuple[Any, list[Any]]]:
    mapping = _MAPPINGS[source]

    def extract(request: Any) -> tuple[Any, list[Any]]:
        values, errors = request_params_to_args([field], getattr(request, mapping))
        return values.get(field.name), errors

    return extract


def _conversion(field: ModelField) -> tuple[Conversion, int | None, int | None]:
    """How a single value may be converted, and the bounds of an integer."""
    if field.config:
        return "validate", None, None
    schema = _value_schema(field._type_adapter.core_schema)
    kind = schema.get("type")
    constraints = {key: value for key, value in schema.items() if key not in _HARMLESS}
    match kind:
        case "str" | "float" | "bool" if not constraints:
            return kind, None, None
        case "int" if constraints.keys() <= {"ge", "gt", "le", "lt"}:
            if all(type(bound) is int and abs(bound) < 2**62 for bound in constraints.values()):
                lows = [constraints["ge"]] if "ge" in constraints else []
                lows += [constraints["gt"] + 1] if "gt" in constraints else []
                highs = [constraints["le"]] if "le" in constraints else []
                highs += [constraints["lt"] - 1] if "lt" in constraints else []
                return "int", max(lows, default=None), min(highs, default=None)
    return "validate", None, None


def _value_schema(schema: Any) -> dict[str, Any]:
    """The schema that a given value, which is never None, is validated by."""
    while isinstance(schema, dict) and schema.get("type") in ("default", "nullable"):
        wrapper, schema = schema, schema.get("schema")
        if wrapper["type"] == "nullable" and wrapper.get("strict"):
            return {}
    return schema if isinstance(schema, dict) else {}
