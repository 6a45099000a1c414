"""FastAPI's private module of this name, which programs written for FastAPI import all the same.

Layer: `forzium._fields`, whose names it repeats. Not for forzium's own modules: they import `forzium._fields`.
"""

from typing import Any

from forzium import _fields


def __getattr__(name: str) -> Any:
    return getattr(_fields, name)
