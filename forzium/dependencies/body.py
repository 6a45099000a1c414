"""Values of body fields out of a received body, be it JSON or a form; and the one field that stands for a whole body.

Layer: `forzium.dependencies.forms` and `.extraction`. Reading and parsing the body is the core's part.

Source: FastAPI, `dependencies.utils.request_body_to_args` and `_get_body_field`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from copy import copy
from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, GetPydanticSchema

from forzium import params
from forzium._fields import (
    ModelField,
    Undefined,
    create_body_model,
    get_cached_model_fields,
    get_missing_field_error,
    is_bytes_or_nonable_bytes_annotation,
    is_bytes_sequence_annotation,
    lenient_issubclass,
    serialize_sequence_value,
    value_is_sequence,
)
from forzium.datastructures import FormData, StarletteUploadFile
from forzium.dependencies.extraction import source_of, validate_value
from forzium.dependencies.forms import (
    apply_form_body_schema,
    form_items,
    form_model_schema,
    form_models,
    is_form_model_supplied,
    is_nullable,
)
from forzium.utils import create_model_field


async def request_body_to_args(
    body_fields: list[ModelField],
    received_body: Any,
    embed_body_fields: bool,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the values of body fields by their names, and all errors.

    Args:
        body_fields: The fields, at least one.
        received_body: The parsed JSON document, a `FormData`, the bytes of something else, or None.
        embed_body_fields: Whether each field is a key of the body, even if there is only one field.
    """
    assert body_fields, "request_body_to_args() should be called with fields"
    form = received_body if isinstance(received_body, FormData) else None
    taken: dict[str, tuple[str, Any]] = {}
    document = received_body
    if form is not None:
        document = {}
        plain = [field for field in body_fields if not form_models(field)]
        if plain:
            async for alias, item, field in _form_values(plain, form):
                document[alias] = item
                if field is not None:
                    taken[field.name] = alias, item

    only = body_fields[0]
    if len(body_fields) == 1 and not (embed_body_fields or should_embed_body_fields(body_fields) or form_models(only)):
        value, errors = validate_value(only, document, {}, ("body",))
        return {only.name: value}, errors

    values: dict[str, Any] = {}
    all_errors: list[dict[str, Any]] = []
    for field in body_fields:
        aliases = [alias for alias, _ in source_of(field).aliases]
        loc: tuple[str, ...] = ("body", aliases[0])
        value = Undefined
        if form is not None:
            models = form_models(field)
            if models:
                value = await _form_model_value(field, models, form)
                loc = ("body",)
            elif field.name in taken:
                alias, value = taken[field.name]
                loc = ("body", alias)
        elif document is not Undefined and not isinstance(document, bytes):
            get = getattr(document, "get", None)
            if get is None:
                # A list, a number or nothing at all has no keys.
                all_errors.append(get_missing_field_error(loc))
                continue
            for alias in aliases:
                value = get(alias, Undefined)
                if value is not Undefined:
                    loc = ("body", alias)
                    break
        value, errors = validate_value(field, value, values, loc)
        if errors:
            all_errors.extend(errors)
        else:
            values[field.name] = value
    return values, all_errors


async def read_file_bytes(file: StarletteUploadFile) -> bytes:
    """Read a file from where it stands to its end, and go back to where it stood."""
    position = file.file.tell()
    try:
        return await file.read()
    finally:
        await file.seek(position)


async def _form_values(
    fields: Sequence[ModelField], form: FormData
) -> AsyncIterator[tuple[str, Any, ModelField | None]]:
    """Like `form_items`, but files that are declared as bytes have been read."""
    for alias, value, field in form_items(fields, form):
        if field is not None and isinstance(field.field_info, params.File):
            yield alias, await _file_value(field, value), field
        else:
            yield alias, value, field


async def _file_value(field: ModelField, value: Any) -> Any:
    annotation = field.field_info.annotation
    if is_bytes_or_nonable_bytes_annotation(annotation) and isinstance(value, StarletteUploadFile):
        return await read_file_bytes(value)
    if is_bytes_sequence_annotation(annotation) and value_is_sequence(value):
        items = [await read_file_bytes(item) if isinstance(item, StarletteUploadFile) else item for item in value]
        return serialize_sequence_value(field=field, value=items)
    return value


async def _form_model_value(field: ModelField, models: list[type[BaseModel]], form: FormData) -> Any:
    if is_nullable(field.field_info.annotation) and not any(is_form_model_supplied(model, form) for model in models):
        return Undefined
    # Members of a union pick their fields themselves, by the validators that the analysis has put on them.
    fields = get_cached_model_fields(models[0]) if len(models) == 1 else []
    return {alias: value async for alias, value, _ in _form_values(fields, form)}


def should_embed_body_fields(fields: Sequence[ModelField]) -> bool:
    """Tell whether each field is a key of the body, instead of the only field being the body."""
    if not fields:
        return False
    if len({field.name for field in fields}) > 1:
        return True
    # One name, perhaps declared by several dependencies: they are taken for one and the same value.
    first = fields[0]
    field_info: Any = first.field_info
    is_form_model = bool(form_models(first))
    if is_form_model and any(
        not form_models(other) or other.field_info.annotation is not field_info.annotation for other in fields[1:]
    ):
        return True
    if getattr(field_info, "embed", None):
        return True
    return (
        isinstance(field_info, params.Form)
        and not is_form_model
        and not lenient_issubclass(field_info.annotation, BaseModel)
    )


def get_body_field(*, body_params: list[ModelField], name: str, embed_body_fields: bool) -> ModelField | None:
    """Return the one field that stands for a whole body: its model in the OpenAPI document, and its media type.

    Args:
        body_params: The body fields of an endpoint and its dependencies.
        name: The operation's name, which the model of several fields gets behind `Body_`.
        embed_body_fields: Whether each field is a key of the body.

    Returns:
        None if there is no body.
    """
    if not body_params:
        return None
    first = body_params[0]
    if not embed_body_fields and not any(
        form_models(field) and is_nullable(field.field_info.annotation) for field in body_params
    ):
        return first
    model_name = "Body_" + name
    if any(form_models(field) for field in body_params):
        config: ConfigDict = {"json_schema_extra": partial(apply_form_body_schema, body_params)}
        members = [_numbered(index, field) for index, field in enumerate(body_params)]
        model = create_body_model(fields=members, model_name=model_name, config=config)
    else:
        model = create_body_model(fields=body_params, model_name=model_name)
    if not embed_body_fields:
        field_info = copy(first.field_info)
        field_info.annotation = model
        field_info.metadata = []
        field_info.discriminator = None
        return ModelField(name=first.name, field_info=field_info)
    return create_model_field(
        name="body", type_=model, alias="body", field_info=_whole_body(body_params, annotation=model, alias="body")
    )


def model_beside_form(body_params: list[ModelField]) -> ModelField | None:
    """Return a required body field that a form can never fill: a model, where other fields make the body a form.

    A form gives it a text, and no plain model takes one. Models with validators of their own may: they are let through.
    """
    if not any(isinstance(field.field_info, params.Form) for field in body_params):
        return None
    for field in body_params:
        info = field.field_info
        if (
            not isinstance(info, params.Form)
            and info.is_required()
            and not info.metadata
            and _is_plain(info.annotation)
        ):
            return field
    return None


def _is_plain(annotation: Any) -> bool:
    """Tell whether an annotation is a model that takes nothing but its fields."""
    if not lenient_issubclass(annotation, BaseModel):
        return False
    schema: Any = getattr(annotation, "__pydantic_core_schema__", None)
    if isinstance(schema, dict) and schema.get("type") == "definitions":
        schema = schema["schema"]
    return (
        isinstance(schema, dict)
        and schema.get("type") == "model"
        and not schema.get("root_model")
        and schema["schema"].get("type") == "model-fields"
    )


def _numbered(index: int, field: ModelField) -> ModelField:
    """Return a copy of a body field under a name of its own; a form's model shows the schema of forms."""
    name = f"field_{index}"
    field_info = copy(field.field_info)
    models = form_models(field)
    if len(models) == 1:
        model: Any = models[0]
        shown: Any = Annotated[model, GetPydanticSchema(get_pydantic_json_schema=partial(form_model_schema, model))]
        field_info.annotation = shown if field_info.annotation is model else shown | None
    field_info.alias = field_info.validation_alias = field_info.serialization_alias = name
    field_info.title = field_info.title or field.name.replace("_", " ").title()
    return ModelField(name=name, field_info=field_info)


def _whole_body(body_params: list[ModelField], **options: Any) -> params.Body:
    """Return the declaration of a body that has these fields as its keys."""
    if not any(field.field_info.is_required() for field in body_params):
        options["default"] = None
    kinds: list[Any] = [field.field_info for field in body_params]
    if any(isinstance(kind, params.File) for kind in kinds):
        return params.File(**options)
    declaration = params.Form if any(isinstance(kind, params.Form) for kind in kinds) else params.Body
    media_types = [kind.media_type for kind in kinds if isinstance(kind, declaration)]
    if declaration is params.Form and "multipart/form-data" in media_types:
        options["media_type"] = "multipart/form-data"
    elif len(set(media_types)) == 1:
        options["media_type"] = media_types[0]
    return declaration(**options)
