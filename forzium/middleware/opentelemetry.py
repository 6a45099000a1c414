"""`OpenTelemetryMiddleware`: a server span for each HTTP request.

Layer: on `routing`; opentelemetry-api (extra `telemetry`) is imported with this module.
Not for: `FastAPI(telemetry=...)`, which has metrics, logs and spans of operations too (`forzium.telemetry`).

Source: `starlette.middleware.opentelemetry` (experimental there, and so here); OpenTelemetry's semantic conventions for
HTTP server spans. Tracer and scope key keep Starlette's names, which dashboards and agents ask for.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

try:
    from opentelemetry import metrics, propagate, trace
    from opentelemetry.trace import SpanKind, Status, StatusCode
except ImportError:
    raise ImportError("The `opentelemetry-api` package is required to use `OpenTelemetryMiddleware`.") from None

from forzium.datastructures import URL
from forzium.routing import Mount

if TYPE_CHECKING:
    from forzium.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["OpenTelemetryMiddleware"]

_ACTIVE_KEY = "starlette.opentelemetry"


class OpenTelemetryMiddleware:
    """Traces HTTP requests; within one that is traced already it does nothing.

    Args:
        app: The application to wrap.
        excluded_urls: Regular expressions searched for in the URL, as a sequence or separated by commas; what matches
            is not traced. Default is none.
        tracer_provider: Default is the global one.
        meter_provider: Not used yet, as in Starlette. Default is the global one.
    """

    def __init__(
        self,
        app: "ASGIApp",
        *,
        excluded_urls: str | Sequence[str] = (),
        tracer_provider: "trace.TracerProvider | None" = None,
        meter_provider: "metrics.MeterProvider | None" = None,
    ) -> None:
        if isinstance(excluded_urls, str):
            excluded_urls = [pattern.strip() for pattern in excluded_urls.split(",")] if excluded_urls else []
        self.app = app
        self._excluded_urls = tuple(map(re.compile, excluded_urls))
        self._tracer_provider = tracer_provider or trace.get_tracer_provider()
        self._meter_provider = meter_provider

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http" or scope.get(_ACTIVE_KEY):
            await self.app(scope, receive, send)
            return
        scope[_ACTIVE_KEY] = True
        try:
            url = None if isinstance(self._tracer_provider, trace.NoOpTracerProvider) else URL(scope=scope)
            if url is None or any(pattern.search(str(url)) for pattern in self._excluded_urls):
                await self.app(scope, receive, send)
            else:
                await self._traced(scope, receive, send, url)
        finally:
            del scope[_ACTIVE_KEY]

    async def _traced(self, scope: "Scope", receive: "Receive", send: "Send", url: URL) -> None:
        from forzium import __version__

        headers = _headers(scope)
        method = scope.get("method", "").upper()
        with self._tracer_provider.get_tracer("starlette", __version__).start_as_current_span(
            method,
            context=propagate.extract(headers),
            kind=SpanKind.SERVER,
            attributes=_attributes(scope, url, method, headers.get("user-agent")),
        ) as span:

            async def noting_status(message: "Message") -> None:
                if message["type"] == "http.response.start":
                    status = message["status"]
                    span.set_attribute("http.response.status_code", status)
                    if status >= 500:
                        span.set_attribute("error.type", str(status))
                        span.set_status(Status(StatusCode.ERROR))
                await send(message)

            try:
                await self.app(scope, receive, noting_status)
            except Exception as exc:
                span.set_attribute("error.type", type(exc).__qualname__)
                raise
            finally:
                route = _route_path(scope)
                if route is not None:
                    span.update_name(f"{method} {route}")
                    span.set_attribute("http.route", route)


def _headers(scope: "Scope") -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope.get("headers", []):
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _attributes(scope: "Scope", url: URL, method: str, user_agent: list[str] | None) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "http.request.method": method,
        "url.path": scope.get("path", ""),
        "url.scheme": scope.get("scheme", "http"),
    }
    if scope.get("method", "") != method:
        attributes["http.request.method_original"] = scope["method"]
    if url.query:
        attributes["url.query"] = url.query
    if url.hostname is not None:
        attributes["server.address"] = url.hostname
        server = scope.get("server")
        port = url.port if url.port is not None or server is None else server[1]
        if port is not None:
            attributes["server.port"] = port
    if scope.get("http_version"):
        attributes["network.protocol.version"] = scope["http_version"]
    if scope.get("client") is not None:
        attributes["client.address"] = scope["client"][0]
    if user_agent:
        attributes["user_agent.original"] = user_agent[0]
    return attributes


def _route_path(scope: "Scope") -> str | None:
    """Return the path the matched route was declared with, below the prefixes it is mounted at."""
    route = scope.get("route")
    if isinstance(route, Mount):
        return scope.get("root_path") or "/"
    path = getattr(route, "path_format", None)
    if not isinstance(path, str):
        return None
    return scope.get("root_path", "").rstrip("/") + path or "/"
