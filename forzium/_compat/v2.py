"""FastAPI's private module `_compat.v2`; see the package."""

from typing import Any

from forzium import _fields


def __getattr__(name: str) -> Any:
    return getattr(_fields, name)
