"""Models inside of data that an endpoint returned: whether pydantic may write them, straight to JSON text.

FastAPI turns such a model into a dict and writes that. pydantic's own text is the same, but where a name or a key comes
twice: a dict keeps the last, text has both. So it is asked of a model's core schema whether that can happen.

Not for: data with a response model, which pydantic writes for FastAPI, too.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError

from forzium._compile.core_schema import References

# What pydantic writes and FastAPI does not: members that `jsonable_encoder` leaves out, numbers that JSON has not. Text
# that reads like them takes the other way for nothing.
_NOT_AS_ENCODED = (b'"_sa', b"NaN", b"Infinity")

_LEAVES = frozenset(
    (
        *("none", "bool", "int", "float", "decimal", "str", "bytes", "enum", "literal"),
        *("date", "time", "datetime", "timedelta", "uuid", "url", "multi-host-url"),
    )
)
_WRAPPERS = frozenset(("default", "nullable", "list", "set", "frozenset", "function-before", "function-after"))

# For each class the serializer that was looked at, and what was found.
_known: WeakKeyDictionary[type[BaseModel], tuple[Any, bool]] = WeakKeyDictionary()


def json_part(value: Any) -> Any:
    """Encode an object that JSON has no form for, inside of data that an endpoint returned.

    Returns:
        JSON text as `bytes`, where pydantic writes a model as `jsonable_encoder` and JSON would; else what
        `jsonable_encoder` makes of it.

    Raises:
        TypeError: An encoder of the user's gives `bytes`, which JSON has no form for.
    """
    cls = type(value)
    if issubclass(cls, BaseModel) and cls.model_dump is BaseModel.model_dump and _has_unique_names(cls):
        try:
            text = cls.__pydantic_serializer__.to_json(value, by_alias=True)
        except PydanticSerializationError:
            pass  # of which the encoder has its own opinion, or the same error
        else:
            if not any(map(text.__contains__, _NOT_AS_ENCODED)):
                return text
    from forzium.encoders import jsonable_encoder

    encoded = jsonable_encoder(value)
    if isinstance(encoded, bytes):
        raise TypeError("Object of type bytes is not JSON serializable")
    return encoded


def _has_unique_names(cls: type[BaseModel]) -> bool:
    """Whether no object in a model's text can have a name twice, as far as its schema tells."""
    serializer = cls.__pydantic_serializer__
    known = _known.get(cls)
    if known is None or known[0] is not serializer:
        known = _known[cls] = (serializer, _Schemas().unique(cls.__pydantic_core_schema__))
    return known[1]


class _Schemas:
    """One walk through a core schema, whose definitions may lead back to it."""

    def __init__(self) -> None:
        self.references = References()
        self.seen: set[str] = set()

    def unique(self, schema: Any) -> bool:
        schema = self.references.opened(schema)
        if "serialization" in schema:
            return False  # a function of the user's may give anything
        kind = schema["type"]
        if kind in _LEAVES:
            return True
        if kind in _WRAPPERS:
            return self.unique(schema.get("schema") or schema.get("items_schema") or {"type": "any"})
        match kind:
            case "definition-ref":
                ref = schema["schema_ref"]
                if ref in self.seen:
                    return True
                self.seen.add(ref)
                target = self.references.get(ref)
                return target is not None and self.unique(target)
            case "tuple":
                return all(map(self.unique, schema["items_schema"]))
            case "dict":
                keys = schema.get("keys_schema", {"type": "any"})
                return keys["type"] == "str" and self.unique(schema.get("values_schema", {"type": "any"}))
            case "union":
                return all(self.unique(each[0] if isinstance(each, tuple) else each) for each in schema["choices"])
            case "tagged-union":
                return all(map(self.unique, schema["choices"].values()))
            case "model":
                extra = schema.get("config", {}).get("extra_fields_behavior")
                return extra != "allow" and self.unique(schema["schema"])
            case "model-fields":
                return schema.get("extra_behavior") != "allow" and self.fields(schema)
        return False

    def fields(self, schema: Any) -> bool:
        names: list[str] = []
        for name, field in schema["fields"].items():
            names.append(field.get("serialization_alias", name))
            if not self.unique(field["schema"]):
                return False
        for computed in schema.get("computed_fields") or ():
            names.append(computed.get("alias", computed["property_name"]))
            if not self.unique(computed["return_schema"]):
                return False
        return len(set(names)) == len(names)
