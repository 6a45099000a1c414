"""JSON: text to Python values and back, as exact as the standard library's ``json`` and written in Rust.

Stands on ``forzium._forzium`` and pydantic; nothing else of forzium is needed to use it. Not for pretty printing,
streams, or subclassing encoders and decoders: the standard library's ``json`` does that.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from json import JSONDecodeError
from typing import Any

from forzium import _forzium

__all__ = ["JSONDecodeError", "dumps", "loads"]


def loads(data: bytes | bytearray | memoryview | str, /) -> Any:
    """Return the value of a JSON text: what ``json.loads(data)`` returns, for every input.

    Args:
        data: The text, or its bytes in UTF-8 (UTF-16 and UTF-32 are recognised, too). ``bytearray`` and
            ``memoryview`` are copied first, so that other threads may write to them meanwhile.

    Raises:
        JSONDecodeError: The text is not JSON; ``msg``, ``pos``, ``lineno`` and ``colno`` are the standard library's.
        UnicodeDecodeError: The bytes are not text.
        RecursionError: The text is nested too deeply.

    Source: RFC 8259, with the standard library's extensions (``NaN``, ``Infinity``, lone surrogates).
    """
    return _forzium.loads(data)


def dumps(obj: Any, /, *, default: Callable[[Any], Any] | None = None) -> bytes:
    """Return ``obj`` as JSON text in UTF-8, without spaces.

    What JSON has a form for (``str int float bool None dict list tuple``, subclasses and enums of these) is written as
    ``json.dumps(obj, ensure_ascii=False, allow_nan=False, separators=(",", ":"))`` would; floats are spelled as
    pydantic spells them (``1e-7``). Models and dataclasses go through pydantic's serializer, by alias.

    Args:
        obj: The value to write.
        default: Called with each other object; returns one to write in its place, or raises ``TypeError``. Default is
            to let pydantic's serializer write what it knows: dates, UUIDs, decimals, sets, enums, paths ...

    Raises:
        TypeError: An object or key has no JSON form. Like the errors below, it names the path to the value.
        ValueError: A float is not finite, or a container contains itself.
        UnicodeEncodeError: A string contains a lone surrogate.
        RecursionError: The containers are nested too deeply.
        RuntimeError: Another thread changed the size of a container meanwhile.
    """
    if default is None:
        return _forzium.dumps(obj, None, _by_pydantic)
    return _forzium.dumps(obj, default, _declared_by_pydantic)


def _by_pydantic(obj: Any) -> Any:
    """Write anything that pydantic's serializer knows; the one place that decides so."""
    from pydantic_core import PydanticSerializationError, to_json

    try:
        return to_json(obj, by_alias=True, inf_nan_mode="null")
    except PydanticSerializationError as error:
        if "Unable to serialize unknown type" in str(error):
            return NotImplemented
        raise


def _declared_by_pydantic(obj: Any) -> Any:
    """Write models and dataclasses only: the caller has a hook for the rest."""
    if hasattr(type(obj), "__pydantic_serializer__") or (dataclasses.is_dataclass(obj) and not isinstance(obj, type)):
        return _by_pydantic(obj)
    return NotImplemented
