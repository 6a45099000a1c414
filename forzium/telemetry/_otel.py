"""All that the package takes from opentelemetry-api, imported together when telemetry is first used.

Layer: ground of `forzium.telemetry`; nothing else imports opentelemetry, but for `middleware.opentelemetry`.
Not for: the SDK, which `_runtime` imports where the environment asks for exporters.
"""

from typing import Any

from opentelemetry import _logs as logs
from opentelemetry import context, metrics, propagate, trace
from opentelemetry._logs import NoOpLoggerProvider, SeverityNumber
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import NoOpTracerProvider, SpanKind, StatusCode

__all__ = [
    "HEADERS_GETTER",
    "REQUEST_KEY",
    "NoOpLoggerProvider",
    "NoOpMeterProvider",
    "NoOpTracerProvider",
    "SeverityNumber",
    "SpanKind",
    "StatusCode",
    "context",
    "is_unconfigured",
    "logs",
    "metrics",
    "propagate",
    "trace",
]

REQUEST_KEY: str = context.create_key("fastapi.request")
"""Where OpenTelemetry's context holds the request's `_RequestTelemetry`."""

# What stands for a global provider until there is one. The API has no question for that, so the classes are named;
# neither the SDK's providers nor those of others are among them.
_PLACEHOLDERS = frozenset(
    (
        ("opentelemetry.trace", "ProxyTracerProvider"),
        ("opentelemetry.metrics._internal", "_ProxyMeterProvider"),
        ("opentelemetry._logs._internal", "ProxyLoggerProvider"),
    )
)


def is_unconfigured(provider: Any) -> bool:
    """Tell whether a global provider only stands for one that nobody has set."""
    cls = type(provider)
    return (cls.__module__, cls.__name__) in _PLACEHOLDERS


class _HeadersGetter(Getter[Any]):
    """Reads the headers of a request for a propagator."""

    def get(self, carrier: Any, key: str) -> list[str] | None:
        values: list[str] = carrier.getlist(key)
        if len(values) > 1 and key.lower() == "baggage":
            # Its propagator looks at one value only; several headers mean the same as one list (RFC 9110, 5.3).
            return [",".join(values)]
        return values or None

    def keys(self, carrier: Any) -> list[str]:
        return list(carrier.keys())


HEADERS_GETTER = _HeadersGetter()
