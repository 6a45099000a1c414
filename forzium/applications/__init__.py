"""Applications: Starlette's `Starlette` (base), and `ForziumApp`, which is FastAPI's `FastAPI` (app).

Stands on everything but the test client. The functions that make the OpenAPI document and its pages are looked up on
this package when they are called, since people replace them here.

Source: FastAPI 0.165 `fastapi.applications`, Starlette 1.10 `starlette.applications`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forzium.applications.base import AppType, Starlette

from forzium.applications.app import FastAPI, ForziumApp  # isort: skip

if TYPE_CHECKING:
    from forzium.openapi.docs import get_redoc_html as get_redoc_html
    from forzium.openapi.docs import get_swagger_ui_html as get_swagger_ui_html
    from forzium.openapi.docs import get_swagger_ui_oauth2_redirect_html as get_swagger_ui_oauth2_redirect_html
    from forzium.openapi.utils import get_openapi as get_openapi

__all__ = ["AppType", "FastAPI", "ForziumApp", "Starlette"]

_ON_FIRST_USE = {
    "get_openapi": "forzium.openapi.utils",
    "get_redoc_html": "forzium.openapi.docs",
    "get_swagger_ui_html": "forzium.openapi.docs",
    "get_swagger_ui_oauth2_redirect_html": "forzium.openapi.docs",
}
"""Most applications need these late or never."""


def __getattr__(name: str) -> Any:
    module = _ON_FIRST_USE.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = globals()[name] = getattr(importlib.import_module(module), name)
    return value
