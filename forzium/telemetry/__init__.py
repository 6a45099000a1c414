"""OpenTelemetry: spans, metrics and logs of an application, as FastAPI has them.

Layer: on `datastructures`, `exceptions`; opentelemetry-api is an extra and is imported only when it is used.
Not for: choosing exporters; providers are the application's, or come from OpenTelemetry's own environment variables.

What stands where: `_api` what an application and the core call while a request runs, `_asgi` the request's span,
metrics and logs, `_runtime` the set-up from the environment, `_otel` all that is taken from opentelemetry.

For the core: `watches(app)` tells cheaply whether a request must go through `serve`, `lifespan_watches(app)` whether a
lifespan must. Where `_api.is_active` is False no request of this process is being watched, and none of `_operation`,
`_route_selected`, `_validation_failed` and `get_telemetry_data` has to be called.

Source: `fastapi.telemetry`.
"""

import os
import sys
from typing import TYPE_CHECKING, Any

from forzium.telemetry._api import TelemetryConfig, TelemetryData, get_telemetry_data

if TYPE_CHECKING:
    from forzium.types import ASGIApp, Receive, Scope, Send

__all__ = ["TelemetryConfig", "TelemetryData", "get_telemetry_data"]

_PROVIDERS = ("tracer_provider", "meter_provider", "logger_provider")
# With one of these set, asking for a global provider makes it.
_PROVIDER_VARIABLES = ("OTEL_PYTHON_TRACER_PROVIDER", "OTEL_PYTHON_METER_PROVIDER", "OTEL_PYTHON_LOGGER_PROVIDER")


def watches(app: Any) -> bool:
    """Tell whether anything listens to what `app` would record.

    Nobody can have made a global provider without opentelemetry; so while that is not imported the answer is cheap.
    """
    config = app._telemetry
    if (
        "opentelemetry" not in sys.modules
        and not any(config[name] is not None for name in _PROVIDERS)
        and not any(name in os.environ for name in _PROVIDER_VARIABLES)
    ):
        return False
    try:
        return bool(app._native_telemetry.enabled())
    except ModuleNotFoundError:  # a namespace package of this name, without the API
        return False


def lifespan_watches(app: Any) -> bool:
    """Tell whether a lifespan has anything to set up or to flush."""
    return bool(app._telemetry["auto_configure"]) or "forzium.telemetry._runtime" in sys.modules


async def serve(app: Any, inner: "ASGIApp", scope: "Scope", receive: "Receive", send: "Send") -> None:
    """Run `inner`, which is `app` without telemetry, watched.

    An application mounted in one that is watched is a part of that one's request.
    """
    if scope["type"] == "lifespan":
        from forzium.telemetry._runtime import lifespan

        await lifespan(config=app._telemetry, app=inner, scope=scope, receive=receive, send=send)
        return
    if scope["type"] not in ("http", "websocket") or "fastapi.telemetry" in scope or not watches(app):
        await inner(scope, receive, send)
        return
    from forzium._compile.application import middleware_stack
    from forzium.telemetry._asgi import _legacy_otel

    scope["app"] = app
    await app._native_telemetry(
        app=inner, scope=scope, receive=receive, send=send, legacy_otel=_legacy_otel(middleware_stack(app))
    )
