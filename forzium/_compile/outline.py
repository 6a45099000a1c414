"""The outline of a response model: of what a value is made whose validation and whose JSON text are certain.

A value that keeps within the outline is written in Rust without pydantic: its text is the one that pydantic would write
after validating it. The first part that does not sends the whole value to pydantic, before anything has been sent and
before any code of the user's has run. So an outline only lists what is known: exact builtin types, a `dict` for a
model, instances of exactly the model's class. Where a core schema has a word that is not named here, there is none.

Not for: converting anything (`"1"` for an `int` is pydantic's), and errors, which are pydantic's as well.

Source: pydantic-core, `validators` and `serializers`.
"""

from __future__ import annotations

import datetime
import enum
import types
import uuid
from typing import Any

from pydantic import BaseModel
from pydantic_core import SchemaSerializer, SchemaValidator, to_json

from forzium._compile.core_schema import References
from forzium._compile.spec import Member, OutlineSpec, Part

_NOT_OURS = frozenset(("type", "ref", "metadata"))
"""What bears neither on validation nor on text in any core schema."""

# For each kind of core schema what else may stand in it: words that the outline takes account of or need not, and words
# by which values are changed or refused, so that only one which is not validated is certain.
_SCALARS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "any": (frozenset(), frozenset()),
    "none": (frozenset(), frozenset()),
    "bool": (frozenset(), frozenset(("strict",))),
    "int": (frozenset(), frozenset(("strict", "multiple_of", "le", "ge", "lt", "gt"))),
    # Numbers that are not finite are pydantic's in any case.
    "float": (frozenset(("allow_inf_nan",)), frozenset(("strict", "multiple_of", "le", "ge", "lt", "gt"))),
    "str": (
        frozenset(("regex_engine",)),
        frozenset(
            (
                *("strict", "pattern", "min_length", "max_length", "strip_whitespace", "to_lower", "to_upper"),
                *("coerce_numbers_to_str", "ascii_only"),
            )
        ),
    ),
    # The precision is that of text.
    "datetime": (
        frozenset(("microseconds_precision",)),
        frozenset(("strict", "le", "ge", "lt", "gt", "now_op", "tz_constraint", "now_utc_offset")),
    ),
    "date": (frozenset(), frozenset(("strict", "le", "ge", "lt", "gt", "now_op", "now_utc_offset"))),
}
_NULLABLE = frozenset(("schema",))
_DEFAULT = frozenset(("schema", "default", "default_factory", "default_factory_takes_data", "validate_default"))
_LIST = (frozenset(("items_schema",)), frozenset(("strict", "min_length", "max_length", "fail_fast")))
_DICT = (frozenset(("keys_schema", "values_schema")), frozenset(("strict", "min_length", "max_length", "fail_fast")))
_LITERAL = frozenset(("expected",))
_ENUM = frozenset(("cls", "members", "sub_type", "missing", "strict"))  # by the last two a value becomes a member
_UUID: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset(("strict", "version")))
_BEFORE_AND_AFTER = frozenset(("schema", "function"))
_MODEL = (
    frozenset(("cls", "schema", "config", "frozen", "generic_origin")),
    frozenset(("strict", "post_init", "custom_init")),
)
_FIELDS = (frozenset(("fields", "model_name", "from_attributes")), frozenset(("strict",)))
_FIELD = frozenset(("schema", "validation_alias", "serialization_alias", "frozen"))

# The same of a model's configuration. Not named, and so unknown: what changes the text (`ser_json_temporal`), and
# `revalidate_instances`. `serialize_by_alias` has no say where the serializer is told.
_CONFIG = (
    frozenset(
        (
            *("title", "from_attributes", "hide_input_in_errors", "validation_error_cause", "loc_by_alias"),
            *("validate_by_alias", "validate_by_name", "serialize_by_alias", "validate_assignment", "regex_engine"),
            *("allow_inf_nan", "ser_json_inf_nan", "ser_json_bytes", "val_json_bytes", "ser_json_timedelta"),
        )
    ),
    frozenset(
        (
            *("strict", "str_strip_whitespace", "str_to_lower", "str_to_upper", "str_min_length", "str_max_length"),
            *("coerce_numbers_to_str", "validate_default"),
        )
    ),
)

_FACTORIES = (list, dict, str, int, float, bool)
"""Factories of defaults that are the same every time, and no code of the user's."""


class _UnknownError(Exception):
    """There is something of which it is not known what pydantic makes of it."""


def outline_of(adapter: Any) -> OutlineSpec | None:
    """Find the outline of what a `TypeAdapter` validates and writes, the serializer's options left at their defaults.

    Args:
        adapter: The `TypeAdapter`; by alias is the one option that is not pydantic's default.

    Returns:
        The outline; None where pydantic has to be asked for every value.
    """
    try:
        schema = adapter.core_schema
        for built, expected in ((adapter.validator, SchemaValidator), (adapter.serializer, SchemaSerializer)):
            if _made_of(built, expected) is not schema or built.__reduce__()[1][1]:
                return None  # of another schema, or with a configuration around it
        parts = _Parts()
        return OutlineSpec(parts.parts, parts.place(schema))
    except _UnknownError:
        return None


def _made_of(built: Any, expected: type) -> Any:
    """The schema that an object of pydantic's own was made of; a plugin, or a program, may put another in its place."""
    if type(built) is not expected:
        raise _UnknownError
    return built.__reduce__()[1][0]


class _Parts:
    """One walk through a core schema."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self._references = References()
        self._of_words: dict[str, int] = {}
        self._of_references: dict[str, int] = {}

    def place(self, schema: Any) -> int:
        """The place of the part that a schema describes."""
        schema = self._references.opened(schema)
        kind: str = schema["type"]
        if kind in _SCALARS:
            return self._given_if(_among(schema, *_SCALARS[kind]), self._word(kind))
        match kind:
            case "definition-ref":
                _among(schema, frozenset(("schema_ref",)))
                return self._referred(schema["schema_ref"])
            case "nullable":
                _among(schema, _NULLABLE)
                return self._add("nullable", self.place(schema["schema"]))
            case "default":
                # A default is that of a field, and stands with it.
                _among(schema, _DEFAULT)
                return self.place(schema["schema"])
            case "list":
                validated = _among(schema, *_LIST)
                return self._given_if(validated, self._add("list", self._place_or_any(schema.get("items_schema"))))
            case "dict":
                validated = _among(schema, *_DICT)
                if self._place_or_any(schema.get("keys_schema")) not in (self._word("str"), self._word("any")):
                    raise _UnknownError
                return self._given_if(validated, self._add("dict", self._place_or_any(schema.get("values_schema"))))
            case "literal":
                _among(schema, _LITERAL)
                if any(type(value) is not str for value in schema["expected"]):
                    raise _UnknownError
                return self._add("literal", frozenset(schema["expected"]))
            case "enum":
                _among(schema, _ENUM)
                return self._add("one", schema["cls"], _texts(schema))
            case "uuid":
                return self._given_if(_among(schema, *_UUID), self._add("uuid", uuid.UUID))
            case "function-before" | "function-after":
                _among(schema, _BEFORE_AND_AFTER)
                return self._add("given", self.place(schema["schema"]))
            case "model":
                return self._model(schema)
        raise _UnknownError

    def _add(self, *part: Any) -> int:
        self.parts.append(part)
        return len(self.parts) - 1

    def _word(self, word: str) -> int:
        if word not in self._of_words:
            self._of_words[word] = self._add(word)
        return self._of_words[word]

    def _place_or_any(self, schema: Any) -> int:
        return self._word("any") if schema is None else self.place(schema)

    def _given_if(self, validated: bool, place: int) -> int:
        return self._add("given", place) if validated else place

    def _referred(self, ref: str) -> int:
        place = self._of_references.get(ref)
        if place is None:
            target = self._references.get(ref)
            if target is None or target["type"] != "model":
                raise _UnknownError
            # The place is taken before what stands there is known: that may lead back to it.
            place = self._of_references[ref] = self._add()
            self._model(target, place)
        return place

    def _model(self, schema: Any, place: int | None = None) -> int:
        cls = schema["cls"]
        validated = _among(schema, *_MODEL, false=("root_model", "custom_init"))
        config = schema.get("config") or {}
        validated |= _among(config, *_CONFIG, others=("extra_fields_behavior",))
        validated |= _is_refused(config.get("extra_fields_behavior"))
        validated |= _is_made_by_the_user(cls)
        fields = self._references.opened(schema["schema"])
        if fields["type"] != "model-fields":
            raise _UnknownError
        validated |= _among(fields, *_FIELDS, others=("extra_behavior",), false=("computed_fields",))
        validated |= _is_refused(fields.get("extra_behavior"))
        by_alias = config.get("validate_by_alias", True)
        by_name = config.get("validate_by_name", False)
        if place is None:
            place = self._add()
        members: list[Member] = []
        for name, field in fields["fields"].items():
            _among(field, _FIELD)
            alias = field.get("validation_alias", name)
            keys = (alias,) * by_alias + (name,) * (by_name and alias != name)
            if alias == name:
                keys = (name,)
            if not keys or type(alias) is not str:
                keys, validated = (name,), True
            text = to_json(field.get("serialization_alias", name)) + b":"
            members.append((keys, name, text, self.place(field["schema"]), _default(field["schema"])))
        self.parts[place] = ("model", cls, not validated, members)
        return place


def _among(
    schema: Any,
    known: frozenset[str],
    validating: frozenset[str] = frozenset(),
    others: tuple[str, ...] = (),
    false: tuple[str, ...] = (),
) -> bool:
    """Hold the words of a schema to those that are known; `false` are known as long as they say nothing.

    Returns:
        Whether any says that values are changed or refused.
    """
    rest = schema.keys() - _NOT_OURS - known - set(others) - {word for word in false if not schema.get(word)}
    if not rest <= validating:
        raise _UnknownError
    return any(schema[word] is not None and schema[word] is not False for word in rest)


def _is_refused(extra: str | None) -> bool:
    """Whether keys that no field has are an error. Where they are kept, they are written, too: not known here."""
    if extra not in (None, "ignore", "forbid"):
        raise _UnknownError
    return extra == "forbid"


def _is_made_by_the_user(cls: Any) -> bool:
    """Whether to make an instance of a model, or to forget it, may run code of the user's.

    Raises:
        _UnknownError: Even to look at an instance may, or the class has come by another validator or serializer.
    """
    if type(cls) is not type(BaseModel) or not _has_own_attributes(cls):
        raise _UnknownError
    for each in cls.__mro__:
        if type(vars(each).get("__dict__")) not in (types.NoneType, types.GetSetDescriptorType):
            raise _UnknownError
    own = vars(cls)
    schema = own.get("__pydantic_core_schema__")
    if _made_of(own.get("__pydantic_validator__"), SchemaValidator) is not schema:
        raise _UnknownError
    if _made_of(own.get("__pydantic_serializer__"), SchemaSerializer) is not schema:
        raise _UnknownError
    return cls.__new__ is not object.__new__ or hasattr(cls, "__del__")


def _has_own_attributes(cls: type) -> bool:
    """Whether to read an attribute of an instance runs no code of the user's, but for a property."""
    return type(cls.__getattribute__) is types.WrapperDescriptorType


def _texts(schema: Any) -> list[tuple[enum.Enum, bytes]]:
    """The members of an enumeration with their JSON texts, where `value` is what `enum` makes it."""
    cls = schema["cls"]
    words = {"str": (str,), "int": (int,), None: (str, int, bool, types.NoneType)}.get(schema.get("sub_type"), ())
    values = [member.value for member in schema["members"]] if _has_own_attributes(cls) else []
    if not values or any("value" in vars(each) for each in cls.__mro__ if each is not enum.Enum):
        raise _UnknownError
    if any(type(value) not in words for value in values):
        raise _UnknownError
    return [(member, to_json(value)) for member, value in zip(schema["members"], values, strict=True)]


def _default(schema: Any) -> tuple[()] | tuple[Any]:
    """The default of a field: what is there when the value is missing, without being validated."""
    if schema["type"] != "default" or schema.get("validate_default"):
        return ()
    factory = schema.get("default_factory")
    if factory is not None:
        same = not schema.get("default_factory_takes_data") and any(factory is each for each in _FACTORIES)
        return (factory(),) if same else ()
    return (schema["default"],) if "default" in schema and _is_plain(schema["default"]) else ()


def _is_plain(value: Any) -> bool:
    """Whether a value is made of nothing but builtin types, so that pydantic's copy of it is its like."""
    kind = type(value)
    if kind is list:
        return all(map(_is_plain, value))
    if kind is dict:
        return all(map(_is_plain, value)) and all(map(_is_plain, value.values()))
    plain = (types.NoneType, bool, int, float, str, datetime.date, datetime.datetime, uuid.UUID)
    return kind in plain or isinstance(value, enum.Enum)
