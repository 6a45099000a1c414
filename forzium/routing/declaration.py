"""Where a declaration was written, for the errors a user makes while declaring.

Stands on the standard library alone; every file of this package may use it. It is not for errors at request time:
nothing here runs once an application serves.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

from forzium._forzium import declared

__all__ = ["declared", "explained", "whereabouts"]

_PACKAGE = __name__.partition(".")[0]


def _calling_line() -> str:
    """`file:line` of the innermost frame outside this package, which is where the user wrote the declaration."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        module = frame.f_globals.get("__name__", "")
        if module != _PACKAGE and not module.startswith(_PACKAGE + "."):
            break
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def whereabouts(declared_object: Any = None) -> str:
    """Name an endpoint (or any callable) and the file and line of its definition.

    Without an object, or for one that has no Python code, it is the line that made the declaration.
    """
    target = declared_object
    while isinstance(target, functools.partial):
        target = target.func
    target = getattr(target, "__wrapped__", target)
    code = getattr(getattr(target, "__func__", target), "__code__", None)
    name = getattr(target, "__name__", None)
    line = _calling_line() if code is None else f"{code.co_filename}:{code.co_firstlineno}"
    return f"in {name}, {line}" if name else f"at {line}"


def explained(problem: str, advice: str, declared_object: Any = None) -> str:
    """The text of a declaration error: the problem first, then where it was made and what to write instead."""
    return f"{problem}\n  {whereabouts(declared_object)}: {advice}"
