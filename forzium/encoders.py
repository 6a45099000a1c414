"""`jsonable_encoder`: any Python object as objects that JSON has.

Layer: `forzium._fields` and pydantic. It makes no text: that is `forzium.json`. Responses with a `response_model` do
not come through here, pydantic serializes them.

Source: FastAPI, `encoders`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import importlib
import sys
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from pathlib import Path, PurePath
from re import Pattern
from types import GeneratorType
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic_core import PydanticUndefinedType, Url

from forzium._fields import is_pydantic_v1_model_instance
from forzium.exceptions import PydanticV1NotSupportedError

if TYPE_CHECKING:
    from forzium.types import IncEx

    # Made by `__getattr__`. Adding to `ENCODERS_BY_TYPE` teaches the encoder a class.
    ENCODERS_BY_TYPE: dict[type[Any], Callable[[Any], Any]]
    encoders_by_class_tuples: dict[Callable[[Any], Any], tuple[Any, ...]]

Encoder = Callable[[Any], Any]

# Python refuses to write longer integers as text, and JSON readers to read them.
_MOST_DIGITS = 4300


def isoformat(o: datetime.date | datetime.time) -> str:
    """Return a date, time or both as ISO 8601 has it."""
    return o.isoformat()


def decimal_encoder(dec_value: Decimal) -> int | float | str:
    """Return a decimal as a number: an integer if it has no digits behind the point, else a float.

    `Decimal("1e999999999")` is a short text and an integer of 415 MB; what has more than 4,300 digits stays a text.
    """
    exponent = dec_value.as_tuple().exponent
    if isinstance(exponent, int) and exponent >= 0:
        return int(dec_value) if dec_value.adjusted() < _MOST_DIGITS else str(dec_value)
    return float("nan") if dec_value.is_nan() else float(dec_value)


_by_type: dict[type[Any], Encoder] = {
    bytes: lambda o: o.decode(),
    IPv4Address: str,
    IPv4Interface: str,
    IPv4Network: str,
    IPv6Address: str,
    IPv6Interface: str,
    IPv6Network: str,
    Path: str,
    SecretBytes: str,
    SecretStr: str,
    UUID: str,
    Url: str,
    datetime.date: isoformat,
    datetime.datetime: isoformat,
    datetime.time: isoformat,
    datetime.timedelta: lambda td: td.total_seconds(),
    Decimal: decimal_encoder,
    Enum: lambda o: o.value,
    frozenset: list,
    deque: list,
    GeneratorType: list,
    Pattern: lambda o: o.pattern,
    set: list,
}

# Slow to import (`pydantic.networks` reads the metadata of installed packages) or not installed at all. An object can
# only be of these classes once somebody else has imported the module.
_LATE = {
    "pydantic.networks": ("NameEmail", "AnyUrl"),
    "pydantic.color": ("Color",),
    "pydantic_extra_types.color": ("Color",),
}
_awaited = set(_LATE)


def generate_encoders_by_class_tuples(type_encoder_map: dict[Any, Encoder]) -> dict[Encoder, tuple[Any, ...]]:
    """Return for each encoder the classes it encodes, as `isinstance` takes them."""
    classes: dict[Encoder, tuple[Any, ...]] = {}
    for cls, encoder in type_encoder_map.items():
        classes[encoder] = (*classes.get(encoder, ()), cls)
    return classes


_by_classes = generate_encoders_by_class_tuples(_by_type)


def _take_up(name: str) -> None:
    """Add the classes of a late module, now that it is imported."""
    _awaited.discard(name)
    for attribute in _LATE[name]:
        cls = getattr(sys.modules[name], attribute)
        _by_type.setdefault(cls, str)
        _by_classes[str] += (cls,)


def __getattr__(name: str) -> Any:
    if name not in ("ENCODERS_BY_TYPE", "encoders_by_class_tuples"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    for module in tuple(_awaited):
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
            _take_up(module)
    return _by_type if name == "ENCODERS_BY_TYPE" else _by_classes


_UNCHANGED = frozenset((str, int, float, bool, type(None)))
_SEQUENCES = (list, set, frozenset, GeneratorType, tuple, deque)


class _Options(NamedTuple):
    """What stays the same on the way down, while `include` and `exclude` do not."""

    by_alias: bool
    exclude_unset: bool
    exclude_defaults: bool
    exclude_none: bool
    custom_encoder: dict[Any, Encoder]
    sqlalchemy_safe: bool


def jsonable_encoder(
    obj: Any,
    include: IncEx | None = None,
    exclude: IncEx | None = None,
    by_alias: bool = True,
    exclude_unset: bool = False,
    exclude_defaults: bool = False,
    exclude_none: bool = False,
    custom_encoder: dict[Any, Callable[[Any], Any]] | None = None,
    sqlalchemy_safe: bool = True,
) -> Any:
    """Return an object as dictionaries, lists, strings, numbers, booleans and None.

    Args:
        obj: The object.
        include: Keys to keep, of a model, dataclass or dictionary, or of the items of a list. Default is all.
        exclude: Keys to drop, of the same. Default is none.
        by_alias: Whether models use the aliases of their fields. Default is yes.
        exclude_unset: Whether models leave out fields that nobody has set. Default is no.
        exclude_defaults: Whether models leave out fields that equal their defaults. Default is no.
        exclude_none: Whether keys with None are left out, on every level. Default is no.
        custom_encoder: Functions by class, asked before everything else; not inside of models. Default is none.
        sqlalchemy_safe: Whether keys that begin with `_sa`, SQLAlchemy's own, are left out. Default is yes.

    Raises:
        ValueError: The object is neither of a known class nor a mapping, and has no attributes.
        PydanticV1NotSupportedError: It is a model of `pydantic.v1`.
    """
    if type(obj) in _UNCHANGED and not custom_encoder:
        return obj
    options = _Options(by_alias, exclude_unset, exclude_defaults, exclude_none, custom_encoder or {}, sqlalchemy_safe)
    return _encode(obj, include, exclude, options)


def _encode(obj: Any, include: Any, exclude: Any, options: _Options) -> Any:
    if options.custom_encoder:
        custom = _custom_encoder(type(obj), obj, options.custom_encoder)
        if custom is not None:
            return custom(obj)
    elif type(obj) in _UNCHANGED:
        return obj
    if include is not None and not isinstance(include, (set, dict)):
        include = set(include)
    if exclude is not None and not isinstance(exclude, (set, dict)):
        exclude = set(exclude)
    if isinstance(obj, BaseModel):
        return _encode_model(obj, include, exclude, options)
    if dataclasses.is_dataclass(obj):
        assert not isinstance(obj, type)
        return _encode(dataclasses.asdict(obj), include, exclude, options)
    if isinstance(obj, Enum):
        return obj.value
    if isinstance(obj, PurePath):
        return str(obj)
    if isinstance(obj, (str, int, float)):
        return obj
    if obj is None or isinstance(obj, PydanticUndefinedType):
        return None
    if isinstance(obj, dict):
        return _encode_dict(obj, include, exclude, options)
    if isinstance(obj, _SEQUENCES):
        return [_encode(item, include, exclude, options) for item in obj]
    encoder = _by_type.get(type(obj)) or _encoder_by_base(obj)
    if encoder is not None:
        return encoder(obj)
    if is_pydantic_v1_model_instance(obj):
        raise PydanticV1NotSupportedError(
            f"pydantic.v1 models are no longer supported by FastAPI. Please update the model {obj!r}."
        )
    return _encode(_as_dict(obj), include, exclude, options)


def _custom_encoder(cls: type[Any], obj: Any, encoders: dict[Any, Encoder]) -> Encoder | None:
    if cls in encoders:
        return encoders[cls]
    return next((encoder for base, encoder in encoders.items() if isinstance(obj, base)), None)


def _encoder_by_base(obj: Any) -> Encoder | None:
    for name in tuple(_awaited):
        if name in sys.modules:
            _take_up(name)
    return next((encoder for encoder, classes in _by_classes.items() if isinstance(obj, classes)), None)


def _encode_model(obj: BaseModel, include: Any, exclude: Any, options: _Options) -> Any:
    dumped = obj.model_dump(
        mode="json",
        include=include,
        exclude=exclude,
        by_alias=options.by_alias,
        exclude_unset=options.exclude_unset,
        exclude_none=options.exclude_none,
        exclude_defaults=options.exclude_defaults,
    )
    # pydantic has encoded the values; keys with None or of SQLAlchemy may still be among them.
    return _encode(dumped, None, None, options._replace(by_alias=True, exclude_unset=False, custom_encoder={}))


def _encode_dict(obj: dict[Any, Any], include: Any, exclude: Any, options: _Options) -> dict[Any, Any]:
    encoded: dict[Any, Any] = {}
    for key, value in obj.items():
        if (
            (value is None and options.exclude_none)
            or (include is not None and key not in include)
            or (exclude is not None and key in exclude)
            or (options.sqlalchemy_safe and isinstance(key, str) and key.startswith("_sa"))
        ):
            continue
        encoded_key = _encode(key, None, None, options)
        encoded[encoded_key] = _encode(value, None, None, options)
    return encoded


def _as_dict(obj: Any) -> dict[str, Any]:
    """Return the items of a mapping, or the attributes of an object."""
    try:
        return dict(obj)
    except Exception as not_a_mapping:
        try:
            attributes: dict[str, Any] = vars(obj)
        except Exception as no_attributes:
            raise ValueError([not_a_mapping, no_attributes]) from no_attributes
        return attributes
