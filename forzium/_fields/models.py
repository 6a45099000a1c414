"""Fields of pydantic models, and the models and enums that a set of fields reaches.

Layer: `forzium._fields.field`. The JSON schemas of these models are `forzium._fields.schema`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import is_dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, create_model
from pydantic.fields import FieldInfo

from forzium._fields.adapters import may_be_hooked
from forzium._fields.annotations import lenient_issubclass
from forzium._fields.field import ModelField

TypeModelOrEnum = type[BaseModel] | type[Enum]
TypeModelSet = set[TypeModelOrEnum]


def get_model_fields(model: type[BaseModel]) -> list[ModelField]:
    """Return the fields of a model, each with the model's configuration where pydantic allows one."""
    # pydantic has accepted the fields of a complete model, so their own adapters can wait, mostly forever.
    make = ModelField.unchecked if model.__pydantic_complete__ else ModelField
    return [
        make(field_info=field_info, name=name, config=_member_config(model, field_info))
        for name, field_info in model.model_fields.items()
    ]


def _member_config(model: type[BaseModel], field_info: FieldInfo) -> ConfigDict | None:
    # Models and dataclasses bring a configuration of their own, and pydantic refuses a second one.
    annotation = field_info.annotation
    if lenient_issubclass(annotation, (BaseModel, dict)) or is_dataclass(annotation):
        return None
    return model.model_config


@lru_cache
def get_cached_model_fields(model: type[BaseModel]) -> list[ModelField]:
    """Return the fields of a model, made once."""
    return get_model_fields(model)


def create_body_model(
    *, fields: Sequence[ModelField], model_name: str, config: ConfigDict | None = None
) -> type[BaseModel]:
    """Make the model of a body that holds several fields."""
    members: dict[str, Any] = {field.name: (field.field_info.annotation, field.field_info) for field in fields}
    model: type[BaseModel] = create_model(model_name, __config__=config, **members)
    return model


def normalize_name(name: str) -> str:
    """Replace what may not stand in the name of an OpenAPI component."""
    return re.sub(r"[^a-zA-Z0-9.\-_]", "_", name)


def get_model_name_map(unique_models: TypeModelSet) -> dict[TypeModelOrEnum, str]:
    """Map models to their names in the OpenAPI document. Of models with one name the last is in the map."""
    by_name = {normalize_name(model.__name__): model for model in unique_models}
    return {model: name for name, model in by_name.items()}


def get_flat_models_from_model(model: type[BaseModel], known_models: TypeModelSet | None = None) -> TypeModelSet:
    """Add what the fields of a model reach to `known_models`, and return it."""
    known_models = known_models or set()
    return get_flat_models_from_fields(get_model_fields(model), known_models=known_models)


def get_flat_models_from_annotation(annotation: Any, known_models: TypeModelSet) -> TypeModelSet:
    """Add the models and enums among the arguments of an annotation to `known_models`, and return it."""
    if get_origin(annotation) is not None:
        for argument in get_args(annotation):
            _reach(argument, known_models)
    return known_models


def get_flat_models_from_field(field: ModelField, known_models: TypeModelSet) -> TypeModelSet:
    """Add the models and enums that a field reaches to `known_models`, and return it."""
    _reach(field.field_info.annotation, known_models)
    return known_models


def get_flat_models_from_fields(fields: Sequence[ModelField], known_models: TypeModelSet) -> TypeModelSet:
    """Add the models and enums that fields reach to `known_models`, and return it."""
    for field in fields:
        _reach(field.field_info.annotation, known_models)
    return known_models


def _reach(annotation: Any, known_models: TypeModelSet) -> None:
    # A list of what is still to look at, not recursion: models nest as deep as people like.
    pending = [annotation]
    while pending:
        current = pending.pop()
        if lenient_issubclass(current, BaseModel):
            if current not in known_models:
                known_models.add(current)
                for name, member in current.model_fields.items():
                    pending.append(member.annotation)
                    if may_be_hooked(member):
                        # Whatever a program has hooked into the schema of a member is asked for every document.
                        ModelField(field_info=member, name=name, config=_member_config(current, member))
        elif lenient_issubclass(current, Enum):
            known_models.add(current)
        elif get_origin(current) is not None:
            pending.extend(get_args(current))
