"""Values of fields out of what the request has received: path, query, headers, cookies.

Layer: `forzium.params`, `forzium._fields`, `forzium.datastructures`. This is the general way, which any declaration can
go; the compiled plan reads simple fields by itself and must come to the same values and errors. Bodies and forms are
`forzium.dependencies.body`.

Source: FastAPI, `dependencies.utils.request_params_to_args`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, get_args

from pydantic import AliasChoices, AliasPath, BaseModel, Json

from forzium import params
from forzium._fields import (
    ModelField,
    Undefined,
    field_annotation_is_sequence,
    get_cached_model_fields,
    get_missing_field_error,
    is_union,
    lenient_issubclass,
)
from forzium.datastructures import FormData, Headers, ImmutableMultiDict, QueryParams, StarletteUploadFile

# The name in pydantic's input, and the name in the request. They differ for headers.
AliasPair = tuple[str, str]


class FieldSource:
    """What decides where the value of a field is found, worked out once for each field.

    Attributes:
        aliases: The names it may have, the preferred one first.
        is_sequence: Whether all values of a name belong to it.
        is_json: Whether its value is a JSON document in a string.
        model: The model whose fields are the parameters, if it is one.
    """

    __slots__ = ("_members", "aliases", "is_json", "is_sequence", "model")

    def __init__(self, field: ModelField) -> None:
        self.aliases: list[AliasPair] = get_param_aliases(field)
        self.is_sequence = field_annotation_is_sequence(field.field_info.annotation)
        self.is_json = is_json_field(field)
        self.model = get_param_model(field)
        self._members: dict[bool, list[tuple[ModelField, FieldSource, list[AliasPair]]]] = {}

    def members(self, field: ModelField, in_headers: bool) -> list[tuple[ModelField, FieldSource, list[AliasPair]]]:
        """Return the fields of the model, each with the names it has in headers or elsewhere."""
        members = self._members.get(in_headers)
        if members is None:
            assert self.model is not None
            converts = getattr(field.field_info, "convert_underscores", True)
            members = self._members[in_headers] = [
                (
                    member,
                    source_of(member),
                    get_param_aliases(
                        member,
                        convert_underscores=in_headers and getattr(member.field_info, "convert_underscores", converts),
                    ),
                )
                for member in get_cached_model_fields(self.model)
            ]
        return members


def source_of(field: ModelField) -> FieldSource:
    """Return where the value of a field is found."""
    source: FieldSource | None = field.__dict__.get("_source")
    if source is None:
        source = field.__dict__["_source"] = FieldSource(field)
    return source


def model_type(annotation: Any) -> type[BaseModel] | None:
    """Return the model that an annotation is, alone or in a union with None only."""
    if is_union(annotation):
        members = get_args(annotation)
        if len(members) == 2 and type(None) in members:
            annotation = members[0] if members[1] is type(None) else members[1]
    return annotation if lenient_issubclass(annotation, BaseModel) else None


def is_json_field(field: ModelField) -> bool:
    """Tell whether the field is pydantic's `Json`: one string that holds a JSON document."""
    return any(type(item) is Json for item in field.field_info.metadata)


def get_param_model(field: ModelField) -> type[BaseModel] | None:
    """Return the model whose fields are parameters; it may be optional in the query, headers and cookies."""
    annotation: Any = field.field_info.annotation
    if isinstance(field.field_info, (params.Query, params.Header, params.Cookie)):
        annotation = model_type(annotation)
    if lenient_issubclass(annotation, BaseModel) and not is_json_field(field):
        return annotation
    return None


def get_validation_alias(field: ModelField) -> str:
    """Return the name of a field in the input, as pydantic reports it."""
    return getattr(field, "validation_alias", None) or field.alias


def get_param_aliases(field: ModelField, convert_underscores: bool = False) -> list[AliasPair]:
    """Return the names a field may have, the preferred one first, each with its name in the request.

    Args:
        field: The field.
        convert_underscores: Whether its Python name is read from a header with hyphens. Default is no.
    """
    preferred = get_validation_alias(field)
    declared = field.field_info.validation_alias
    in_request = preferred.replace("_", "-") if convert_underscores and preferred == field.name else preferred
    aliases = [(preferred, in_request)]
    if isinstance(field.field_info, params.Path) or isinstance(declared, AliasPath):
        return aliases
    if isinstance(declared, AliasChoices):
        choices = [choice for choice in declared.choices if isinstance(choice, str)]
        if len(choices) < len(declared.choices):
            return aliases
        aliases = [(choice, choice) for choice in choices]
    config = field.config or {}
    never_by_alias = config.get("validate_by_alias") is False
    if never_by_alias or config.get("validate_by_name", config.get("populate_by_name", False)):
        by_name = (field.name, field.name.replace("_", "-") if convert_underscores else field.name)
        if never_by_alias:
            return [by_name]
        if all(alias != field.name for alias, _ in aliases):
            aliases.append(by_name)
    return aliases


def is_empty_file(value: Any) -> bool:
    """Tell whether it is what a browser sends for a file input without a file."""
    return isinstance(value, StarletteUploadFile) and value.filename == "" and value.size == 0


def read_value(source: FieldSource, received: Mapping[str, Any], alias: str) -> Any:
    """Return what has been received under a name, or `Undefined`. Empty form fields and empty lists are undefined."""
    in_form = isinstance(received, FormData)
    value: Any
    if source.is_sequence and not source.is_json and isinstance(received, (ImmutableMultiDict, Headers)):
        value = received.getlist(alias)
        if in_form:
            value = [item for item in value if not is_empty_file(item)]
    else:
        value = received.get(alias, None)
    if value is None or (in_form and (value == "" or is_empty_file(value))):
        return Undefined
    # What has no length is a file where a `Json` list was declared; pydantic will say so.
    if source.is_sequence and hasattr(value, "__len__") and len(value) == 0:
        return Undefined
    return value


def received_value(field: ModelField, values: Mapping[str, Any], alias: str) -> Any:
    """Return what `read_value` does, for a field that is asked once: for programs that read a form by themselves."""
    return read_value(source_of(field), values, alias)


def extra_values(received: Mapping[str, Any], processed: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Return what no field has asked for: a name with one value, or with the list of its values."""
    processed = set(processed)
    if isinstance(received, ImmutableMultiDict):
        items: Iterable[tuple[str, Any]] = received.multi_items()
    elif isinstance(received, Headers):
        items = received.items()
    else:
        yield from ((name, received.get(name)) for name in received if name not in processed)
        return
    grouped: dict[str, list[Any]] = {}
    for name, value in items:
        if name not in processed:
            grouped.setdefault(name, []).append(value)
    for name, values in grouped.items():
        yield name, values[0] if len(values) == 1 else values


def missing_field_error(loc: tuple[int | str, ...]) -> dict[str, Any]:
    """Return the error of a required value that is not there."""
    return get_missing_field_error(loc)


def validate_value(
    field: ModelField, value: Any, values: dict[str, Any], loc: tuple[str, ...]
) -> tuple[Any, list[Any]]:
    """Validate what has been received for a field, or take its default.

    Returns:
        The value and no errors, or None and the errors.
    """
    if value is Undefined:
        if field.field_info.is_required():
            return None, [get_missing_field_error(loc)]
        value = deepcopy(field.default)
        if not field.field_info.validate_default:
            return value, []
    return field.validate(value, values, loc=loc)


def request_params_to_args(
    fields: Sequence[ModelField],
    received_params: Mapping[str, Any] | QueryParams | Headers,
) -> tuple[dict[str, Any], list[Any]]:
    """Return the values of path, query, header or cookie parameters by the names of their fields, and all errors.

    Args:
        fields: Fields with declarations of `forzium.params`, all of one place.
        received_params: What has been received there.
    """
    values: dict[str, Any] = {}
    errors: list[Any] = []
    for field in fields:
        source = source_of(field)
        if source.model is not None:
            value, found = _model_value(field, source, source.model, received_params)
        else:
            alias = _alias_present(source.aliases, received_params)[1]
            loc = (_place(field), alias)
            value, found = validate_value(field, read_value(source, received_params, alias), values, loc)
        if found:
            errors.extend(found)
        else:
            values[field.name] = value
    return values, errors


def _place(field: ModelField) -> str:
    field_info: Any = field.field_info
    assert isinstance(field_info, params.Param), "Params must be subclasses of Param"
    place: str = field_info.in_.value
    return place


def _alias_present(aliases: list[AliasPair], received: Mapping[str, Any]) -> AliasPair:
    return next((pair for pair in aliases if pair[1] in received), aliases[0])


def _model_value(
    field: ModelField, source: FieldSource, model: type[BaseModel], received: Mapping[str, Any]
) -> tuple[Any, list[Any]]:
    """Validate a model whose fields are parameters. What none of them took is pydantic's to ignore, allow or forbid."""
    in_headers = isinstance(received, Headers)
    collected: dict[str, Any] = {}
    processed: set[str] = set()
    own_names: set[str] = set()
    renamed: dict[str, str] = {}
    for member, member_source, aliases in source.members(field, in_headers):
        own_names.update(name.lower() if in_headers else name for _, name in aliases)
        alias, name = _alias_present(aliases, received)
        value = read_value(member_source, received, name)
        if value is not Undefined:
            collected[alias] = value
        if in_headers:
            processed.add(name.lower())
            processed.update(alias.lower() for alias, name in aliases if alias != name)
            if alias != name:
                renamed[member.name] = name
        else:
            processed.add(name)
    collected.update(extra_values(received, processed))

    value = collected
    if field.field_info.annotation is not model:
        # An optional model is there if anything of it is; an extra counts only where the model cares for extras.
        extras_count = collected and model.model_config.get("extra") in ("allow", "forbid")
        if not extras_count and own_names.isdisjoint(received):
            value = Undefined
    result, errors = validate_value(field, value, {}, (_place(field),))
    if renamed and model.model_config.get("loc_by_alias", True):
        for error in errors:
            loc = error["loc"]
            if len(loc) > 1 and loc[1] in renamed:
                error["loc"] = (loc[0], renamed[loc[1]], *loc[2:])
    return result, errors
