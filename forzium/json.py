"""JSON: text to Python values and back, as exact as the standard library's ``json`` and written in Rust.

Stands on ``forzium._forzium`` and pydantic; nothing else of forzium is needed to use it. Not for pretty printing,
streams, or subclassing encoders and decoders: the standard library's ``json`` does that.

``loads(data)`` returns what ``json.loads(data)`` returns, for every input: ``bytes``, ``bytearray``, ``memoryview`` or
``str``. Errors are the standard library's own: ``JSONDecodeError`` with the same ``msg``, ``pos``, ``lineno`` and
``colno``; ``UnicodeDecodeError`` where the bytes are no text; ``RecursionError`` where the text is nested too deeply.

``dumps(obj, *, default=None)`` returns ``obj`` as ``bytes`` in UTF-8, without spaces. What JSON has a form for (``str
int float bool None dict list tuple``, subclasses and enums of these) is written as ``json.dumps(obj,
ensure_ascii=False, allow_nan=False, separators=(",", ":"))`` writes it; floats are spelled as pydantic spells them
(``1e-7``). Models and dataclasses go through pydantic's serializer, by alias. Every other object is given to
``default``, which returns one to write in its place or raises ``TypeError``; without ``default``, pydantic's
serializer writes what it knows (dates, UUIDs, decimals, sets, enums, paths ...). Errors name the path to the value:

- ``TypeError``: an object or key has no JSON form
- ``ValueError``: a float is not finite, or a container contains itself
- ``UnicodeEncodeError``: a string contains a lone surrogate
- ``RecursionError``: containers are nested too deeply
- ``RuntimeError``: another thread changed the size of a container meanwhile

Example:
    >>> dumps({"id": 1, "tags": ("a", "b")})
    b'{"id":1,"tags":["a","b"]}'
    >>> loads(b'{"price": 9.5, "count": 12345678901234567890}')
    {'price': 9.5, 'count': 12345678901234567890}

Source: RFC 8259, with the standard library's extensions to reading (``NaN``, ``Infinity``, lone surrogates).
"""

from __future__ import annotations

import dataclasses
from json import JSONDecodeError
from typing import Any

from forzium._forzium import dumps, loads

__all__ = ["JSONDecodeError", "dumps", "loads"]


def _by_pydantic(obj: Any, has_default: bool, /) -> Any:
    """Return the JSON text that pydantic's serializer writes for ``obj``, or ``NotImplemented``.

    This is the one place that decides who writes an object JSON has no form for. A caller's ``default`` comes before
    pydantic, except for models and dataclasses, which declare how they are written.
    """
    from pydantic_core import PydanticSerializationError, to_json

    if has_default and not (
        hasattr(type(obj), "__pydantic_serializer__") or (dataclasses.is_dataclass(obj) and not isinstance(obj, type))
    ):
        return NotImplemented
    try:
        return to_json(obj, by_alias=True, inf_nan_mode="null")
    except PydanticSerializationError as error:
        if "Unable to serialize unknown type" in str(error):
            return NotImplemented
        raise
