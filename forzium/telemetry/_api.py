"""What an application configures and reads, and what the core calls while a request is being watched.

Layer: on `exceptions` alone, and without opentelemetry until something is watched.
Not for: the request's own span; that is `_asgi`.

The core calls, for a request that is being watched:

- `_route_selected(scope=, path=, mount=)` when a route is taken, with its template;
- `_operation(name=, function=)` around "dependencies", "endpoint", "serialization" and each "background_task";
- `_run_sync_endpoint(function=, arguments=)` in the worker thread, in place of calling a plain `def` endpoint;
- `_validation_failed(error)` before a validation error is raised;
- `get_telemetry_data()` to note request, body, values and errors.

Source: `fastapi.telemetry`.
"""

import sys
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from opentelemetry._logs import Logger, LoggerProvider
    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, Tracer, TracerProvider

    from forzium.exceptions import RequestValidationError, WebSocketRequestValidationError
    from forzium.requests import Request
    from forzium.websockets import WebSocket

is_active = False
"""Whether any request of this process has been watched; while False, nothing in this module does anything."""


class TelemetryConfig(TypedDict, total=False):
    """Settings of `FastAPI(telemetry={...})`; what is left out keeps its default.

    Providers that exist are used as they are and never shut down.

    Attributes:
        tracer_provider, meter_provider, logger_provider: In place of the global ones.
        tracing: A span for each HTTP request and WebSocket connection. Default is True.
        metrics: Duration and number of HTTP requests. Default is True.
        logs: A record of each validation failure and unhandled exception, with its traceback. Default is True.
        operation_spans: Spans of dependencies, endpoint, serialization and background tasks. Default is True.
        auto_configure: Add OTLP exporters as the environment says. Default is False, unless
            `FASTAPI_OTEL_AUTO_CONFIGURE=true` is set.
        exclude: Called with the ASGI scope; True leaves that request alone. Default is None.
    """

    tracer_provider: "TracerProvider | None"
    meter_provider: "MeterProvider | None"
    logger_provider: "LoggerProvider | None"
    tracing: bool
    metrics: bool
    logs: bool
    operation_spans: bool
    auto_configure: bool
    exclude: Callable[[MutableMapping[str, Any]], bool] | None


@dataclass(kw_only=True)
class TelemetryData:
    """What is known of the current request, for processors that run while it does. To be read only.

    Attributes:
        request: From the moment its handler starts.
        websocket: Likewise.
        body: As it was read, before validation.
        values: The endpoint's arguments, once dependencies are solved.
        errors: Of validation, the values that were given among them.
    """

    request: "Request | None" = None
    websocket: "WebSocket | None" = None
    body: Any = None
    values: dict[str, Any] | None = None
    errors: Sequence[Any] | None = None


@dataclass(kw_only=True)
class _RequestTelemetry:
    """One watched request: where its spans, records and route go."""

    span: "Span | None"
    span_method: str
    tracer: "Tracer | None" = None
    logger: "Logger | None" = None
    route: str | None = None
    status_code: int | None = None
    data: TelemetryData | None = field(default_factory=TelemetryData)
    mount_prefix: str = ""
    exceptions: list[BaseException] = field(default_factory=list, repr=False)

    @property
    def route_attributes(self) -> dict[str, Any]:
        return {} if self.route is None else {"http.route": self.route}


_NO_OPERATION = nullcontext()


def _get_request_telemetry(context: "Context | None" = None) -> _RequestTelemetry | None:
    otel = sys.modules.get("forzium.telemetry._otel")
    if otel is None:
        return None
    found = otel.context.get_value(otel.REQUEST_KEY, context)
    return found if isinstance(found, _RequestTelemetry) else None


def get_telemetry_data(context: "Context | None" = None) -> TelemetryData | None:
    """Return what is known of the request that an OpenTelemetry context belongs to.

    None after the request has ended, also for a context that somebody kept. Nothing of it is exported by itself.

    Args:
        context: The `context` of a log record, say. Default is the current one.
    """
    found = _get_request_telemetry(context)
    return None if found is None else found.data


def _validation_failed(exc: "RequestValidationError | WebSocketRequestValidationError") -> None:
    """Note the errors of a request that did not pass validation, and write a record of how many there are."""
    watched = _get_request_telemetry()
    if watched is None:
        return
    errors = exc.errors()
    if watched.data is not None:
        from forzium.exceptions import RequestValidationError

        watched.data.errors = errors
        if isinstance(exc, RequestValidationError):
            watched.data.body = exc.body
    if watched.logger is None:
        return
    from time import time_ns

    from forzium.telemetry import _otel

    watched.logger.emit(
        event_name="fastapi.validation.failed",
        timestamp=time_ns(),
        severity_number=_otel.SeverityNumber.WARN,
        severity_text="WARN",
        body="Request validation failed",
        attributes={"fastapi.validation.error_count": len(errors), **watched.route_attributes},
    )


def _exception_type(exc: BaseException) -> str:
    cls = type(exc)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _normal_websocket_disconnect(exc: BaseException) -> bool:
    from forzium.websockets import WebSocketDisconnect

    return isinstance(exc, WebSocketDisconnect) and exc.code in (1000, 1001)


def _operation(*, name: str, function: Callable[..., Any] | None = None) -> AbstractContextManager[None]:
    """Return the span `fastapi.{name}` to enter; nothing to speak of where nobody watches."""
    watched = _get_request_telemetry() if is_active else None
    if watched is None or watched.tracer is None:
        return _NO_OPERATION
    return _traced(watched.tracer, name, function)


def _is_answer(exc: Exception) -> bool:
    """Tell whether an exception is a way to answer, not a failure."""
    from forzium.exceptions import (
        RequestValidationError,
        StarletteHTTPException,
        StarletteWebSocketException,
        WebSocketRequestValidationError,
    )

    answers = (
        StarletteHTTPException,
        StarletteWebSocketException,
        RequestValidationError,
        WebSocketRequestValidationError,
    )
    return isinstance(exc, answers) or _normal_websocket_disconnect(exc)


@contextmanager
def _traced(tracer: "Tracer", name: str, function: Callable[..., Any] | None) -> Iterator[None]:
    from forzium.telemetry import _otel

    attributes = {}
    if function is not None:
        # An instance that is called has no name of its own.
        named = function if hasattr(function, "__qualname__") else type(function)
        module = getattr(function, "__module__", type(function).__module__)
        attributes["code.function.name"] = f"{module}.{named.__qualname__}"
    with tracer.start_as_current_span(
        f"fastapi.{name}", attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield
        except Exception as exc:
            # After the response nothing is an answer any more.
            if name == "background_task" or not _is_answer(exc):
                span.set_attribute("error.type", _exception_type(exc))
                span.set_status(_otel.StatusCode.ERROR)
            raise


def _run_sync_endpoint(*, function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """Call a plain `def` endpoint in its span; called in the worker thread, so that the span is the thread's."""
    with _operation(name="endpoint", function=function):
        return function(**arguments)


def _route_selected(*, scope: MutableMapping[str, Any], path: str | None, mount: bool = False) -> None:
    """Name the request's span after the template of the route that was taken, below what it is mounted at."""
    watched = scope.get("fastapi.telemetry")
    if path is None or not isinstance(watched, _RequestTelemetry):
        return
    if mount:
        # A mount's template ends in what the application below it will name better.
        watched.mount_prefix += path.removesuffix("/{path}")
        watched.route = watched.mount_prefix + "/{path}"
    else:
        watched.route = watched.mount_prefix + path
    if watched.span is not None:
        watched.span.set_attribute("http.route", watched.route)
        watched.span.update_name(f"{watched.span_method} {watched.route}")
