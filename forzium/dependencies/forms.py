"""Models that a whole form is: which fields are such, how their aliases are found, how they look in the document.

Layer: `forzium.dependencies.extraction`. The values of a body, be it a form or not, are `forzium.dependencies.body`.

Source: FastAPI, form models in `dependencies.utils`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import partial
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import AliasChoices, BaseModel, BeforeValidator, GetJsonSchemaHandler, Tag
from pydantic_core import CoreSchema

from forzium import params
from forzium._fields import ModelField, Undefined, get_cached_model_fields, is_union, lenient_issubclass
from forzium.datastructures import FormData
from forzium.dependencies.extraction import (
    extra_values,
    get_param_aliases,
    get_validation_alias,
    is_json_field,
    model_type,
    read_value,
    source_of,
)


def form_union_models(annotation: Any) -> list[type[BaseModel]]:
    """Return the models of a union of two or more models, with or without None; else nothing."""
    if not is_union(annotation):
        return []
    models: list[type[BaseModel]] = []
    for member in get_args(annotation):
        if member is type(None):
            continue
        model = get_args(member)[0] if get_origin(member) is Annotated else member
        if not lenient_issubclass(model, BaseModel):
            return []
        models.append(model)
    return models if len(models) > 1 else []


def form_models(field: ModelField) -> list[type[BaseModel]]:
    """Return the models that a form may be, if that is what the field declares; worked out once for each field."""
    models: list[type[BaseModel]] | None = field.__dict__.get("_form_models")
    if models is None:
        models = field.__dict__["_form_models"] = _form_models(field.field_info, is_json_field(field))
    return models


def _form_models(field_info: Any, is_json: bool) -> list[type[BaseModel]]:
    if not isinstance(field_info, params.Form) or field_info.embed or is_json:
        return []
    model = model_type(field_info.annotation)
    return form_union_models(field_info.annotation) if model is None else [model]


def is_nullable(annotation: Any) -> bool:
    """Tell whether None is among the members of the annotation."""
    return type(None) in get_args(annotation)


def add_form_union_validators(annotation: Any) -> Any:
    """Return the union with a validator on each model that picks the form's fields by the model's own aliases."""
    members: list[Any] = []
    for member in get_args(annotation):
        if member is type(None):
            members.append(member)
            continue
        model, *metadata = get_args(member) if get_origin(member) is Annotated else (member,)
        tags = [item for item in metadata if isinstance(item, Tag)]
        tag = tags[-1] if tags else Tag(model.__name__)
        members.append(Annotated[member, BeforeValidator(partial(_for_model, model=model)), tag])
    return Union[tuple(members)]  # noqa: UP007  (made of a tuple)


def _for_model(value: Any, *, model: type[BaseModel]) -> Any:
    if not isinstance(value, dict):
        return value
    pairs: list[tuple[str, Any]] = []
    absent: dict[str, Any] = {}
    for name, item in value.items():
        pairs.extend((name, single) for single in (item if isinstance(item, list) else [item]))
        if item is None or (isinstance(item, list) and not item):
            absent[name] = item
    found = {alias: item for alias, item, _ in form_items(get_cached_model_fields(model), FormData(pairs))}
    return {**found, **absent}


def form_items(fields: Sequence[ModelField], form: FormData) -> Iterator[tuple[str, Any, ModelField | None]]:
    """Return alias, value and field of what fields find in a form, then the extras, which have no field."""
    asked: set[str] = set()
    for field in fields:
        source = source_of(field)
        for alias, _ in source.aliases:
            asked.add(alias)
            value = read_value(source, form, alias)
            if value is not Undefined:
                yield alias, value, field
                break
    for name, value in extra_values(form, asked):
        yield name, value, None


def is_form_model_supplied(model: type[BaseModel], form: FormData) -> bool:
    """Tell whether a form has anything for a model: one of its names, or extras where it cares for extras."""
    names = {alias for member in get_cached_model_fields(model) for alias, _ in source_of(member).aliases}
    return not names.isdisjoint(form) or bool(model.model_config.get("extra") in ("allow", "forbid") and form)


def form_model_schema(model: type[BaseModel], core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
    """Return the JSON schema of a form's model, with the names that forms use, all of them where there are several."""
    schema = handler(core_schema)
    resolved = handler.resolve_ref_schema(schema)
    properties = resolved.get("properties", {})
    required = resolved.get("required", [])
    names_of: dict[str, list[str]] = {}
    for member in get_cached_model_fields(model):
        declared = member.field_info.validation_alias
        shown = declared.choices[0] if isinstance(declared, AliasChoices) else get_validation_alias(member)
        if not isinstance(shown, str) or shown not in properties:
            continue
        names = [alias for alias, _ in get_param_aliases(member)]
        if names[0] != shown or (len(names) > 1 and shown in required):
            names_of[shown] = names
    if not names_of:
        return schema
    result = deepcopy(resolved)
    result["properties"] = {names_of.get(name, [name])[0]: item for name, item in result["properties"].items()}
    result["required"] = []
    for name in required:
        names = names_of.get(name, [name])
        if len(names) == 1:
            result["required"].append(names[0])
        else:
            result.setdefault("allOf", []).append({"anyOf": [{"required": [name]} for name in names]})
    return result


def apply_form_body_schema(body_params: list[ModelField], schema: dict[str, Any]) -> None:
    """Rewrite the JSON schema of a form that consists of models and fields: all of them at one level.

    Args:
        body_params: The fields of the body; `schema` has the schema of the nth as property `field_n`.
        schema: The schema of the body, changed in place.
    """
    members = schema.pop("properties")
    schema.pop("required", None)
    properties: dict[str, Any] = {}
    required: list[str] = []
    conditions: list[dict[str, Any]] = []
    for index, field in enumerate(body_params):
        member = members[f"field_{index}"]
        models = form_models(field)
        if models:
            conditions += _model_conditions(field, models, member)
            continue
        name = get_param_aliases(field)[0][0]
        if name in properties:
            conditions.append({"properties": {name: member}})
        else:
            properties[name] = member
        if field.field_info.is_required() and name not in required:
            required.append(name)
    if properties:
        schema["properties"] = properties
    if required:
        schema["required"] = required
    schema["allOf"] = conditions


def _model_conditions(field: ModelField, models: list[type[BaseModel]], schema: Any) -> list[dict[str, Any]]:
    schema.pop("default", None)
    if not is_nullable(field.field_info.annotation):
        return [schema]
    schema["anyOf"] = [choice for choice in schema["anyOf"] if choice.get("type") != "null"]
    absent = _absence(models)
    if field.field_info.is_required():
        return [{"not": absent}, schema]
    return [{"anyOf": [absent, schema]}]


def _absence(models: list[type[BaseModel]]) -> dict[str, Any]:
    """Return the schema of a form that has nothing for these models."""
    if any(model.model_config.get("extra") in ("allow", "forbid") for model in models):
        return {"maxProperties": 0}
    members = [member for model in models for member in get_cached_model_fields(model)]
    names = {alias for member in members for alias, _ in source_of(member).aliases}
    return {"not": {"anyOf": [{"required": [name]} for name in sorted(names)]}} if names else {}
