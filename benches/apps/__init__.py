"""The same small applications on every framework, one per scenario, each with its scenario's route only.

A module here offers ``BUILD``: scenario name → a function that returns the ASGI application, written the way that
framework's documentation writes it. A scenario that a framework does not offer (dependencies in Starlette, worker
threads in BlackSheep) is absent and shown as "-" in the tables.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

# Column order of the tables. "bare" is a hand-written ASGI function that sends a constant: the floor.
FRAMEWORKS = ("bare", "forzium", "fastapi", "starlette", "litestar", "blacksheep", "falcon")


def builders(framework: str) -> dict[str, Callable[[], Any]]:
    """Scenario name → application builder of one framework.

    Raises:
        ImportError: The framework is not installed.
    """
    if framework in ("forzium", "fastapi"):
        importlib.import_module(framework)
        return importlib.import_module("apps.fastapi_api").builders(framework)  # type: ignore[no-any-return]
    return importlib.import_module(f"apps.{framework}_app").BUILD  # type: ignore[no-any-return]
