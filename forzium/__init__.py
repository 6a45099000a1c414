"""FastAPI's API on a Rust ASGI core.

`from forzium import FastAPI` gives what `from fastapi import FastAPI` gives; the modules have FastAPI's names, and
Starlette's where FastAPI has none. Names are imported when first used, so that `import forzium` alone is cheap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forzium import status as status
    from forzium._compile.explain import explain as explain
    from forzium.applications import FastAPI as FastAPI
    from forzium.applications import ForziumApp as ForziumApp
    from forzium.background import BackgroundTasks as BackgroundTasks
    from forzium.datastructures import UploadFile as UploadFile
    from forzium.exceptions import HTTPException as HTTPException
    from forzium.exceptions import WebSocketException as WebSocketException
    from forzium.param_functions import Body as Body
    from forzium.param_functions import Cookie as Cookie
    from forzium.param_functions import Depends as Depends
    from forzium.param_functions import File as File
    from forzium.param_functions import Form as Form
    from forzium.param_functions import Header as Header
    from forzium.param_functions import Path as Path
    from forzium.param_functions import Query as Query
    from forzium.param_functions import Security as Security
    from forzium.requests import Request as Request
    from forzium.responses import Response as Response
    from forzium.routing import APIRouter as APIRouter
    from forzium.websockets import WebSocket as WebSocket
    from forzium.websockets import WebSocketDisconnect as WebSocketDisconnect

__version__ = "0.1.0"

_MODULE_OF = {
    "APIRouter": "routing",
    "BackgroundTasks": "background",
    "Body": "param_functions",
    "Cookie": "param_functions",
    "Depends": "param_functions",
    "FastAPI": "applications",
    "File": "param_functions",
    "Form": "param_functions",
    "ForziumApp": "applications",
    "HTTPException": "exceptions",
    "Header": "param_functions",
    "Path": "param_functions",
    "Query": "param_functions",
    "Request": "requests",
    "Response": "responses",
    "Security": "param_functions",
    "UploadFile": "datastructures",
    "WebSocket": "websockets",
    "WebSocketDisconnect": "websockets",
    "WebSocketException": "exceptions",
    "explain": "_compile.explain",
}

__all__ = [
    "APIRouter",
    "BackgroundTasks",
    "Body",
    "Cookie",
    "Depends",
    "FastAPI",
    "File",
    "Form",
    "ForziumApp",
    "HTTPException",
    "Header",
    "Path",
    "Query",
    "Request",
    "Response",
    "Security",
    "UploadFile",
    "WebSocket",
    "WebSocketDisconnect",
    "WebSocketException",
    "__version__",
    "explain",
    "status",
]


def __getattr__(name: str) -> Any:
    import importlib

    module = _MODULE_OF.get(name)
    if module is not None:
        value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{module}"), name)
        return value
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# `import fastapi` imports these, so that `fastapi.routing` works without an import of its own.
_SUBMODULES = frozenset(
    {
        "applications",
        "background",
        "concurrency",
        "datastructures",
        "dependencies",
        "encoders",
        "exception_handlers",
        "exceptions",
        "logger",
        "middleware",
        "openapi",
        "param_functions",
        "params",
        "requests",
        "responses",
        "routing",
        "security",
        "sse",
        "status",
        "telemetry",
        "types",
        "utils",
        "websockets",
    }
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBMODULES})
