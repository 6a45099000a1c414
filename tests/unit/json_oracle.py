"""What the standard library's json answers, in a form that can be compared."""

from __future__ import annotations

import json
from typing import Any


def outcome(read: Any, text: Any) -> tuple[Any, ...]:
    """What reading gives: the value, or everything that tells errors apart."""
    try:
        return ("value", read(text))
    except json.JSONDecodeError as error:
        return (type(error), error.msg, error.doc, error.pos, error.lineno, error.colno)
    except (ValueError, RecursionError, TypeError) as error:
        return (type(error), str(error))


def identical(one: Any, other: Any) -> bool:
    """Equal in value, type, order of keys, and sign of zero."""
    if type(one) is not type(other):
        return False
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(identical, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(identical(one[key], other[key]) for key in one)
    if isinstance(one, float):
        return repr(one) == repr(other)
    return bool(one == other)


def standard(obj: Any, **options: Any) -> bytes:
    return json.dumps(obj, ensure_ascii=False, allow_nan=False, separators=(",", ":"), **options).encode()
