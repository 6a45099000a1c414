"""Around one request: its span, its metrics, and a record of the exception nobody handled.

Layer: on `_api`, `_otel`. opentelemetry is imported with the first `NativeTelemetry` that is asked anything, not with
this module: `ExceptionTelemetryMiddleware` is part of every middleware stack.
Not for: what happens inside the request (`_api`).

Source: `fastapi.telemetry`; OpenTelemetry's semantic conventions for HTTP.
"""

import os
from collections.abc import Callable
from contextlib import nullcontext
from time import perf_counter, time_ns
from typing import TYPE_CHECKING, Any

from forzium.telemetry import _api
from forzium.telemetry._api import (
    TelemetryConfig,
    _exception_type,
    _normal_websocket_disconnect,
    _RequestTelemetry,
)

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram, UpDownCounter
    from opentelemetry.trace import Tracer

    from forzium.types import ASGIApp, Message, Receive, Scope, Send

_SCOPE_KEY = "fastapi.telemetry"
# Name and schema under which dashboards look for FastAPI's telemetry.
_INSTRUMENTATION = "fastapi"
_SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"
_HTTP_METHODS = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"),
)
_DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""In seconds; the advice of the semantic conventions for `http.server.request.duration`."""
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
# Signatures and credentials of pre-signed URLs (semantic conventions, `url.query`).
_SECRET_QUERY_KEYS = frozenset(
    ("X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token", "sig", "X-Goog-Signature"),
)


def _version() -> str:
    import forzium

    return str(forzium.__version__)


def _legacy_otel(stack: Any) -> bool:
    """Tell whether a built middleware stack holds OpenTelemetry's own ASGI instrumentation, which then goes first."""
    seen: list[Any] = []
    while stack is not None and not any(stack is each for each in seen):
        cls = type(stack)
        if cls.__name__ == "OpenTelemetryMiddleware" and cls.__module__ == "opentelemetry.instrumentation.asgi":
            return True
        seen.append(stack)
        stack = getattr(stack, "app", None)
    return False


def _exception(*, scope: "Scope", exc: BaseException) -> None:
    """Note an exception nobody handled, once, and write a record of it."""
    is_websocket = scope["type"] == "websocket"
    watched = scope.get(_SCOPE_KEY)
    if not isinstance(watched, _RequestTelemetry) or (is_websocket and _normal_websocket_disconnect(exc)):
        return
    if any(noted is exc for noted in watched.exceptions):
        return
    watched.exceptions.append(exc)
    if watched.logger is None or not isinstance(exc, Exception):
        return
    from forzium.telemetry import _otel

    what = "WebSocket connection" if is_websocket else "request"
    watched.logger.emit(
        exception=exc,
        event_name="fastapi.websocket.exception" if is_websocket else "http.server.request.exception",
        timestamp=time_ns(),
        severity_number=_otel.SeverityNumber.ERROR,
        severity_text="ERROR",
        body=f"Unhandled exception in FastAPI {what}",
        attributes=watched.route_attributes or None,
    )


class ExceptionTelemetryMiddleware:
    """Sees exceptions before an error handler has answered them, while the request's span is still open.

    Args:
        app: The application to wrap.
    """

    def __init__(self, app: "ASGIApp") -> None:
        self.app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        try:
            await self.app(scope, receive, send)
        except Exception as exc:
            _exception(scope=scope, exc=exc)
            raise


def _server_attributes(scope: "Scope") -> dict[str, Any]:
    """Return address and port the client asked for; none where its Host header makes no sense."""
    from urllib.parse import urlsplit

    from forzium.datastructures import Headers

    authority = Headers(scope=scope).get("host")
    address: str | None
    port: int | None
    if authority is None:
        address, port = scope.get("server") or (None, None)
    else:
        try:
            url = urlsplit(f"//{authority}")
            address, port = url.hostname, url.port
        except ValueError:
            return {}
        if url.username is not None or url.path or url.query or url.fragment:
            return {}
        if port is None:
            port = _DEFAULT_PORTS.get(scope.get("scheme", "http"))
    if address is None:
        return {}
    found: dict[str, Any] = {"server.address": address}
    if port is not None:
        found["server.port"] = port
    return found


def _query_without_secrets(query_string: bytes) -> str:
    from urllib.parse import parse_qsl, urlencode

    pairs = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)
    return urlencode([(key, "REDACTED" if key in _SECRET_QUERY_KEYS else value) for key, value in pairs])


class NativeTelemetry:
    """The instrumentation of one application.

    Args:
        config: All settings, defaults filled in.
    """

    def __init__(self, config: TelemetryConfig) -> None:
        self.config = config
        known = os.environ.get("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "")
        self._known_methods = frozenset(filter(None, map(str.strip, known.split(",")))) or _HTTP_METHODS
        # The instruments of the provider they were last made for: the global one may be set late.
        self._tracers: tuple[Any, Tracer] | None = None
        self._meters: tuple[Any, Histogram, UpDownCounter] | None = None

    def _providers(self) -> tuple[Any, Any, Any]:
        """Return the providers in use for traces, metrics and logs; None for what is off or not set up."""
        from forzium.telemetry import _otel

        config = self.config

        def usable(is_on: bool, own: Any, get_global: Callable[[], Any]) -> Any:
            if not is_on:
                return None
            if own is not None:
                return own
            provider = get_global()
            return None if _otel.is_unconfigured(provider) else provider

        return (
            usable(config["tracing"], config["tracer_provider"], _otel.trace.get_tracer_provider),
            usable(config["metrics"], config["meter_provider"], _otel.metrics.get_meter_provider),
            usable(config["logs"], config["logger_provider"], _otel.logs.get_logger_provider),
        )

    def enabled(self) -> bool:
        """Tell whether there is any provider to record with."""
        return any(provider is not None for provider in self._providers())

    def _tracer(self, provider: Any) -> "Tracer":
        if self._tracers is None or self._tracers[0] is not provider:
            self._tracers = (provider, provider.get_tracer(_INSTRUMENTATION, _version(), schema_url=_SCHEMA_URL))
        return self._tracers[1]

    def _instruments(self, provider: Any) -> "tuple[Histogram, UpDownCounter]":
        if self._meters is None or self._meters[0] is not provider:
            meter = provider.get_meter(_INSTRUMENTATION, _version(), schema_url=_SCHEMA_URL)
            duration = meter.create_histogram(
                "http.server.request.duration",
                unit="s",
                description="Duration of HTTP server requests.",
                explicit_bucket_boundaries_advisory=_DURATION_BUCKETS,
            )
            active = meter.create_up_down_counter(
                "http.server.active_requests", unit="{request}", description="Number of active HTTP server requests."
            )
            self._meters = (provider, duration, active)
        return self._meters[1:]

    async def __call__(
        self, *, app: "ASGIApp", scope: "Scope", receive: "Receive", send: "Send", legacy_otel: bool = False
    ) -> None:
        """Run `app` for one request or connection, watched; `legacy_otel` says that others watch it already."""
        from forzium.telemetry import _otel

        exclude = self.config["exclude"]
        if exclude is not None and exclude(scope):
            await self._unwatched(app, scope, receive, send)
            return
        tracer_provider, meter_provider, logger_provider = (None, None, None) if legacy_otel else self._providers()
        if scope["type"] == "websocket" or isinstance(meter_provider, _otel.NoOpMeterProvider):
            meter_provider = None
        if isinstance(tracer_provider, _otel.NoOpTracerProvider):
            tracer_provider = None
        if isinstance(logger_provider, _otel.NoOpLoggerProvider):
            logger_provider = None
        if tracer_provider is meter_provider is logger_provider is None:
            await app(scope, receive, send)
            return
        _api.is_active = True
        # The span's parent comes from the request's headers, and so does the baggage the application sees.
        parent = None
        if tracer_provider is not None:
            from forzium.datastructures import Headers

            parent = _otel.context.attach(_otel.propagate.extract(Headers(scope=scope), getter=_otel.HEADERS_GETTER))
        try:
            watch = _Watch(self, scope, tracer_provider, meter_provider, logger_provider)
            await watch.run(app, receive, send)
        finally:
            if parent is not None:
                _otel.context.detach(parent)

    async def _unwatched(self, app: "ASGIApp", scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Run `app` so that neither an application mounted in it nor one that called it in process watches it."""
        from forzium.telemetry import _otel

        scope[_SCOPE_KEY] = None
        token = _otel.context.attach(_otel.context.set_value(_otel.REQUEST_KEY, None))
        try:
            await app(scope, receive, send)
        finally:
            _otel.context.detach(token)
            scope.pop(_SCOPE_KEY, None)


class _Watch:
    """One request or connection being watched, from its start to the moment its response is complete."""

    def __init__(
        self,
        telemetry: NativeTelemetry,
        scope: "Scope",
        tracer_provider: Any,
        meter_provider: Any,
        logger_provider: Any,
    ) -> None:
        from forzium.telemetry import _otel

        self.scope = scope
        self.is_websocket = scope["type"] == "websocket"
        self.is_finished = False
        self.has_trailers = False
        self.is_disconnected = False
        asked = scope.get("method", "")
        method = asked if asked in telemetry._known_methods else "_OTHER"
        span_method = "WS" if self.is_websocket else "HTTP" if method == "_OTHER" else method
        self.active_attributes: dict[str, Any] = {
            "url.scheme": scope.get("scheme", "ws" if self.is_websocket else "http")
        }
        if self.is_websocket:
            self.active_attributes["network.protocol.name"] = "websocket"
        else:
            self.active_attributes["http.request.method"] = method
        self.attributes = dict(self.active_attributes)
        if not self.is_websocket and scope.get("http_version"):
            self.attributes["network.protocol.version"] = scope["http_version"]
        self.duration: Histogram | None = None
        self.active: UpDownCounter | None = None
        if meter_provider is not None:
            self.duration, self.active = telemetry._instruments(meter_provider)
            self.active.add(1, self.active_attributes)
        self.started = perf_counter()
        tracer = span = None
        if tracer_provider is not None:
            tracer = telemetry._tracer(tracer_provider)
            attributes = {**self.attributes, **_server_attributes(scope)}
            if not self.is_websocket:
                attributes["url.path"] = scope["path"]
                if scope.get("query_string"):
                    attributes["url.query"] = _query_without_secrets(scope["query_string"])
                if asked != method:
                    attributes["http.request.method_original"] = asked
            span = tracer.start_span(span_method, kind=_otel.SpanKind.SERVER, attributes=attributes)
        self.watched = _RequestTelemetry(
            span=span,
            span_method=span_method,
            tracer=tracer if telemetry.config["operation_spans"] else None,
            logger=None
            if logger_provider is None
            else _otel.logs.get_logger(
                _INSTRUMENTATION, _version(), telemetry.config["logger_provider"], schema_url=_SCHEMA_URL
            ),
            mount_prefix=scope.get("app_root_path", scope.get("root_path", "")).rstrip("/"),
        )

    async def run(self, app: "ASGIApp", receive: "Receive", send: "Send") -> None:
        from forzium.telemetry import _otel

        watched, scope = self.watched, self.scope
        scope[_SCOPE_KEY] = watched
        token = _otel.context.attach(_otel.context.set_value(_otel.REQUEST_KEY, watched))
        current = (
            nullcontext()
            if watched.span is None
            else _otel.trace.use_span(
                watched.span, end_on_exit=False, record_exception=False, set_status_on_exception=False
            )
        )
        if not self.is_websocket:
            receive, send = self._noting_disconnect(receive), self._noting_end(send)
        try:
            with current:
                try:
                    await app(scope, receive, send)
                except BaseException as exc:
                    _exception(scope=scope, exc=exc)
                    self.finish(None if self.is_websocket and _normal_websocket_disconnect(exc) else exc)
                    raise
                finally:
                    self._finish_incomplete()
        finally:
            # Whoever kept the context finds nothing of the request there.
            watched.data = None
            watched.exceptions.clear()
            _otel.context.detach(token)
            scope.pop(_SCOPE_KEY, None)

    def _noting_disconnect(self, receive: "Receive") -> "Receive":
        async def noting_disconnect() -> "Message":
            message = await receive()
            if message["type"] == "http.disconnect":
                self.is_disconnected = True
            return message

        return noting_disconnect

    def _noting_end(self, send: "Send") -> "Send":
        async def noting_end(message: "Message") -> None:
            kind = message["type"]
            if kind == "http.response.start":
                self.watched.status_code = message["status"]
                self.has_trailers = message.get("trailers", False)
            await send(message)
            if kind == "http.response.body":
                is_end = not message.get("more_body", False) and not self.has_trailers
            elif kind == "http.response.trailers":
                is_end = not message.get("more_trailers", False)
            else:
                is_end = kind == "http.response.pathsend"
            if is_end:
                self.finish()

        return noting_end

    def _finish_incomplete(self) -> None:
        if self.is_finished:
            return
        if self.is_websocket:
            self.finish()
        elif self.is_disconnected:
            self.finish(ConnectionError("Client disconnected"))
        else:
            self.finish(RuntimeError("Incomplete ASGI response"))

    def finish(self, error: BaseException | None = None) -> None:
        """Record the request as it stands; only the first call does."""
        if self.is_finished:
            return
        self.is_finished = True
        watched, attributes = self.watched, self.attributes
        status = watched.status_code
        attributes.update(watched.route_attributes)
        if status is not None:
            attributes["http.response.status_code"] = status
        has_failed = error is not None or (not self.is_websocket and (status is None or status >= 500))
        if has_failed:
            cause = error or (watched.exceptions[-1] if watched.exceptions else None)
            attributes["error.type"] = str(status or "incomplete_response") if cause is None else _exception_type(cause)
        if watched.span is not None:
            watched.span.set_attributes(attributes)
            if has_failed:
                from forzium.telemetry import _otel

                watched.span.set_status(_otel.StatusCode.ERROR)
        # The span is still the current one here, so that an exemplar can name it.
        if self.duration is not None:
            self.duration.record(max(0, perf_counter() - self.started), attributes)
        if self.active is not None:
            self.active.add(-1, self.active_attributes)
        if watched.span is not None:
            watched.span.end()
