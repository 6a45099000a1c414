"""Which middleware classes the core carries out itself: those of this package, as long as nobody has changed them.

Layer: on nothing. Used by the middleware modules beside it and by the compiler.
Not for: what they do; that is in `rust/forzium-py/src/middleware/`, one file a kind.

Agents replace methods on the classes (Sentry wraps `__call__`), and users make subclasses. Either is called as what it
is, a class in Python.
"""

from typing import Any, Final, TypeVar

__all__ = ["is_own", "native"]

_T = TypeVar("_T", bound=type[Any])
_AS_MADE: Final[dict[type[Any], dict[str, Any]]] = {}


def native(cls: _T) -> _T:
    """Note that the core carries out `cls`, and how the class was made."""
    _AS_MADE[cls] = dict(vars(cls))
    return cls


def is_own(cls: Any) -> bool:
    """Tell whether `cls` is one of the classes noted, unchanged."""
    try:
        made = _AS_MADE.get(cls)
    except TypeError:  # a factory that cannot be hashed
        return False
    if made is None:
        return False
    now = vars(cls)
    return all(now.get(name) is value for name, value in made.items()) and all(
        name in made or name.startswith("__annot") for name in now
    )
