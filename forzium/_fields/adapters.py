"""Building pydantic's `TypeAdapter` for a field: once for equal fields, and not before it is needed.

Layer: pydantic only. A `TypeAdapter` costs some hundred microseconds and kilobytes; an application with a thousand
routes declares the same `int` and `str | None` over and over. Two fields may share an adapter only if pydantic would
build the same schema for both, down to titles and defaults, so `pending_adapter` answers for few and certain kinds of
annotation; every other field gets an adapter of its own, at once, so that an annotation which pydantic
refuses is refused where it was declared.
"""

from __future__ import annotations

import collections.abc
import datetime
import decimal
import enum
import pathlib
import types
import uuid
import warnings
from math import isfinite
from typing import Annotated, Any, Union, cast, get_args, get_origin
from weakref import WeakValueDictionary

import annotated_types
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

try:
    from pydantic.warnings import UnsupportedFieldAttributeWarning
except ImportError:  # pydantic < 2.12 knows no such warning
    UnsupportedFieldAttributeWarning = None  # type: ignore[assignment, misc]

Key = tuple[Any, ...]

# The attributes of a field description that are handed to pydantic's `Field`.
FIELD_ATTRIBUTES = (
    "default",
    "default_factory",
    "alias",
    "alias_priority",
    "validation_alias",
    "serialization_alias",
    "title",
    "field_title_generator",
    "description",
    "examples",
    "exclude",
    "exclude_if",
    "discriminator",
    "deprecated",
    "json_schema_extra",
    "frozen",
    "validate_default",
    "repr",
    "init",
    "init_var",
    "kw_only",
)

_SIMPLE_TYPES = frozenset(
    (
        str,
        int,
        float,
        bool,
        bytes,
        type(None),
        decimal.Decimal,
        datetime.date,
        datetime.datetime,
        datetime.time,
        datetime.timedelta,
        uuid.UUID,
        pathlib.Path,
        dict,
        list,
        set,
        frozenset,
        tuple,
    )
)
_GENERIC_ORIGINS = frozenset((Union, types.UnionType, list, dict, set, frozenset, tuple, collections.abc.Sequence))
_PLAIN_DEFAULTS = frozenset((str, int, float, bool, bytes, type(None)))
_BOUNDS = {annotated_types.Gt: "gt", annotated_types.Ge: "ge", annotated_types.Lt: "lt", annotated_types.Le: "le"}
_LENGTHS = {annotated_types.MinLen: "min_length", annotated_types.MaxLen: "max_length"}
_LONGEST = 2**31 - 1

# Values are held by the fields that use them, and go with the last of these.
_shared: WeakValueDictionary[Key, TypeAdapter[Any]] = WeakValueDictionary()


def field_attributes(field_info: FieldInfo) -> dict[str, Any]:
    """Return the attributes of a field description that pydantic's `Field` takes, without those that are undefined."""
    found = {name: getattr(field_info, name, PydanticUndefined) for name in FIELD_ATTRIBUTES}
    return {name: value for name, value in found.items() if value is not PydanticUndefined}


def build_adapter(annotation: Any, metadata: list[Any], attributes: dict[str, Any], config: ConfigDict | None) -> Any:
    """Build the `TypeAdapter` of one field.

    Raises:
        PydanticSchemaGenerationError: pydantic cannot validate the annotation.
        Exception: Whatever else pydantic says about a declaration it refuses.
    """
    with warnings.catch_warnings():
        if UnsupportedFieldAttributeWarning is not None:
            # Aliases and the like mean nothing to pydantic here; they do to us.
            warnings.simplefilter("ignore", category=UnsupportedFieldAttributeWarning)
        annotated = (annotation, *metadata, Field(**attributes))
        return TypeAdapter(cast(Any, Annotated[annotated]), config=config)


class PendingAdapter:
    """All that decides the adapter of a field which pydantic is certain to accept, taken when the field was made.

    The field description itself may change later: one `Query()` can be the default of two parameters.
    """

    __slots__ = ("annotation", "attributes", "key", "metadata")

    def __init__(self, key: Key, field_info: FieldInfo) -> None:
        self.key = key
        self.annotation: Any = field_info.annotation
        self.metadata = field_info.metadata
        found = {name: getattr(field_info, name) for name in ("default", "title", "description", "deprecated")}
        self.attributes = {name: value for name, value in found.items() if value is not None or name == "default"}
        if self.attributes["default"] is PydanticUndefined:
            del self.attributes["default"]

    def build(self) -> TypeAdapter[Any]:
        """Return the adapter of all fields with this key, built by the first one that asks."""
        adapter = _shared.get(self.key)
        if adapter is None:
            adapter = build_adapter(self.annotation, self.metadata, self.attributes, None)
            _shared[self.key] = adapter
        return adapter


def pending_adapter(field_info: FieldInfo) -> PendingAdapter | None:
    """Return the adapter of a field as one that can wait and be shared, or None where that is not certain."""
    key = _key(field_info)
    return None if key is None else PendingAdapter(key, field_info)


def may_be_hooked(field_info: FieldInfo) -> bool:
    """Whether building the adapter of a field may run code of the program: the hooks of its classes and metadata."""
    annotation = field_info.annotation
    if _shape(annotation) is None:
        return True
    return bool(field_info.metadata) and _constraints(annotation, field_info.metadata) is None


def _key(field_info: FieldInfo) -> Key | None:
    default = field_info.default
    if (
        field_info.examples is not None
        or field_info.json_schema_extra is not None
        or field_info.discriminator is not None
        or field_info.default_factory is not None
        or not isinstance(field_info.validation_alias, (str, type(None)))
        or not (default is PydanticUndefined or type(default) in _PLAIN_DEFAULTS)
    ):
        return None
    deprecated = field_info.deprecated
    if not (deprecated is None or isinstance(deprecated, (str, bool))):
        return None
    annotation: Any = field_info.annotation
    shape = _shape(annotation)
    if shape is None:
        return None
    constraints = _constraints(annotation, field_info.metadata) if field_info.metadata else ()
    if constraints is None:
        return None
    # `1 == 1.0 == True`, and `0.0 == -0.0`: the type and the representation tell them apart.
    return (
        shape,
        constraints,
        type(default),
        repr(default),
        field_info.title,
        field_info.description,
        type(deprecated),
        deprecated,
    )


def _shape(annotation: Any) -> Any:
    """Describe an annotation by its classes and the order of its arguments, or return None for kinds not known here.

    Equality of annotations will not do: `Union[int, str] == Union[str, int]`, but pydantic tries them in order.
    """
    if isinstance(annotation, type) and get_origin(annotation) is None:
        if annotation in _SIMPLE_TYPES:
            return annotation
        if issubclass(annotation, BaseModel):
            # A model that pydantic could build as a class it can build again; one that waits for a name may fail.
            return annotation if annotation.__pydantic_complete__ else None
        if issubclass(annotation, enum.Enum) and not hasattr(annotation, "__get_pydantic_core_schema__"):
            return annotation if len(annotation) else None
        return None
    if annotation is None:
        return type(None)
    if annotation is Any:
        return "Any"
    origin = get_origin(annotation)
    if origin not in _GENERIC_ORIGINS:
        return None
    shape: list[Any] = [origin, type(annotation)]
    for argument in get_args(annotation):
        inner = "..." if argument is ... and origin is tuple else _shape(argument)
        if inner is None:
            return None
        shape.append(inner)
    return tuple(shape)


def _constraints(annotation: Any, metadata: list[Any]) -> Key | None:
    """Describe constraints that are certain to fit the annotation, or return None."""
    if get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        if len(members) != 1:
            return None
        annotation = members[0]
    found: list[Any] = []
    for constraint in metadata:
        kind = type(constraint)
        if kind in _BOUNDS:
            bound = getattr(constraint, _BOUNDS[kind])
            fits = (annotation is int or annotation is float) and type(bound) is int
            fits = fits or (annotation is float and type(bound) is float and isfinite(bound))
        elif kind in _LENGTHS:
            bound = getattr(constraint, _LENGTHS[kind])
            fits = annotation is str and type(bound) is int and 0 <= bound <= _LONGEST
        else:
            return None
        if not fits:
            return None
        found.append((kind, type(bound), repr(bound)))
    return tuple(found)
