"""Exporters as the environment asks for them, added when an application starts and flushed when it ends.

Layer: on `_otel`, `logger`; opentelemetry's SDK and OTLP exporter are imported where the environment names an endpoint.
Not for: providers the application brings; those only get an exporter added, and are never shut down.

Source: `fastapi.telemetry`; OpenTelemetry's environment variables `OTEL_EXPORTER_OTLP_*`.
"""

import atexit
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from forzium.exceptions import FastAPIError
from forzium.logger import logger
from forzium.telemetry._api import TelemetryConfig

if TYPE_CHECKING:
    from forzium.types import ASGIApp, Message, Receive, Scope, Send

_GIVE_IT_UP = "pass telemetry={'auto_configure': False} to FastAPI()."

_lock = threading.RLock()
_owned: list[Any] = []
"""What was made here and has to be flushed and shut down here: providers, or parts added to others' providers."""
_configured: list[tuple[str, Any]] = []
"""Signals and providers that have their exporter."""


def _flush() -> None:
    for each in tuple(_owned):
        _tidy(each.force_flush)


def _shutdown() -> None:
    with _lock:
        owned = tuple(_owned)
        _owned.clear()
    for each in owned:
        _tidy(each.shutdown)


def _tidy(work: Callable[[], Any]) -> None:
    try:
        work()
    except Exception:
        logger.exception("FastAPI telemetry cleanup failed")


atexit.register(_shutdown)


def _variable(signal: str, name: str, default: str = "") -> str:
    """Return a variable of the OTLP exporter, that of the signal before the one for all."""
    return (
        os.environ.get(f"OTEL_EXPORTER_OTLP_{signal}_{name}") or os.environ.get(f"OTEL_EXPORTER_OTLP_{name}") or default
    )


def _export_endpoint(signal: str) -> str | None:
    """Return where a signal (TRACES, METRICS, LOGS) is to be sent; None for nowhere.

    Raises:
        FastAPIError: The environment asks for an exporter, a protocol or an address that is not supported.
    """
    exporter = (os.environ.get(f"OTEL_{signal}_EXPORTER") or "otlp").strip().lower()
    endpoint = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    if not endpoint:
        base = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
        endpoint = f"{base.removesuffix('/')}/v1/{signal.lower()}" if base else None
    if endpoint is None or exporter == "none":
        return None
    if exporter != "otlp":
        raise FastAPIError(
            f"FastAPI automatic telemetry supports OTEL_{signal}_EXPORTER=otlp or none. "
            f"Configure other exporters explicitly and {_GIVE_IT_UP}"
        )
    if _variable(signal, "PROTOCOL", "http/protobuf") != "http/protobuf":
        raise FastAPIError(
            "FastAPI automatic telemetry requires the OTLP http/protobuf protocol. "
            f"Configure other transports explicitly and {_GIVE_IT_UP}"
        )
    parsed = urlsplit(endpoint)
    if parsed.scheme not in ("http", "https") or not parsed.hostname:
        raise FastAPIError(f"Invalid OTLP {signal.lower()} endpoint. Use an absolute HTTP or HTTPS URL.")
    return endpoint


def _registering(provider: Any) -> Any:
    """Return the provider that takes an exporter: older Logfire wraps the SDK's for metrics without saying so."""
    cls = type(provider)
    if (cls.__module__, cls.__name__) == ("logfire._internal.metrics", "ProxyMeterProvider") and not hasattr(
        provider, "add_metric_reader"
    ):
        return provider.provider
    return provider


@dataclass(frozen=True)
class _Signal:
    """How the SDK's names differ between traces, metrics and logs."""

    name: str
    noun: str
    get_provider: Callable[[], Any]
    set_provider: Callable[[Any], None]
    make_part: Callable[[str], Any]
    make_provider: Callable[[Any], Any]
    register: str

    def configure(self, own_provider: Any, endpoint: str) -> None:
        """Export to `endpoint` from the application's provider, or the global one, which is made if there is none."""
        from forzium.telemetry import _otel

        provider = _registering(self.get_provider() if own_provider is None else own_provider)
        if any(name == self.name and known is provider for name, known in _configured):
            return
        if own_provider is None and _otel.is_unconfigured(provider):
            made = self.make_provider(self.make_part(endpoint))
            self.set_provider(made)
            provider = self.get_provider()
            if provider is made:
                self._remember(made, made)
                return
            # Somebody else was faster; what they have set gets the exporter.
            made.shutdown()
            provider = _registering(provider)
        register = getattr(provider, self.register, None)
        if not callable(register):
            raise FastAPIError(
                f"The configured OpenTelemetry {self.noun} provider does not support adding an OTLP exporter. "
                f"Configure environment export through that provider and {_GIVE_IT_UP}"
            )
        part = self.make_part(endpoint)
        try:
            register(part)
        except Exception:
            part.shutdown()
            raise
        self._remember(provider, part)

    def _remember(self, provider: Any, owned: Any) -> None:
        _configured.append((self.name, provider))
        _owned.append(owned)


def _signals() -> dict[str, _Signal]:
    """Return how each signal is set up.

    Raises:
        FastAPIError: The SDK or the exporter is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as exc:
        raise FastAPIError(
            "Automatic OpenTelemetry export requires fastapi[opentelemetry] or fastapi[standard]. "
            f"Install the extra, configure providers yourself, or {_GIVE_IT_UP}"
        ) from exc
    from forzium.telemetry import _otel

    def tracer_provider(processor: Any) -> Any:
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(processor)
        return provider

    def logger_provider(processor: Any) -> Any:
        provider = LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(processor)
        return provider

    return {
        "TRACES": _Signal(
            "TRACES",
            "tracer",
            _otel.trace.get_tracer_provider,
            _otel.trace.set_tracer_provider,
            lambda endpoint: BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)),
            tracer_provider,
            "add_span_processor",
        ),
        "METRICS": _Signal(
            "METRICS",
            "meter",
            _otel.metrics.get_meter_provider,
            _otel.metrics.set_meter_provider,
            lambda endpoint: PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=endpoint)),
            lambda reader: MeterProvider(metric_readers=[reader], shutdown_on_exit=False),
            "add_metric_reader",
        ),
        "LOGS": _Signal(
            "LOGS",
            "logger",
            _otel.logs.get_logger_provider,
            _otel.logs.set_logger_provider,
            lambda endpoint: BatchLogRecordProcessor(OTLPLogExporter(endpoint=endpoint)),
            logger_provider,
            "add_log_record_processor",
        ),
    }


def _configure_from_environment(config: TelemetryConfig) -> None:
    """Add an OTLP exporter for each signal that is on and has an endpoint; once for each provider.

    Raises:
        FastAPIError: What the environment asks for cannot be done.
    """
    if not config["auto_configure"] or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return
    with _lock:
        wanted = [
            (name, provider, endpoint)
            for name, is_on, provider in (
                ("TRACES", config["tracing"], config["tracer_provider"]),
                ("METRICS", config["metrics"], config["meter_provider"]),
                ("LOGS", config["logs"], config["logger_provider"]),
            )
            if is_on and (endpoint := _export_endpoint(name)) is not None
        ]
        if not wanted:
            return
        signals = _signals()
        for name, provider, endpoint in wanted:
            signals[name].configure(provider, endpoint)


async def lifespan(
    *, config: TelemetryConfig, app: "ASGIApp", scope: "Scope", receive: "Receive", send: "Send"
) -> None:
    """Run the lifespan of `app`: exporters are added before it starts, and flushed when it has ended.

    What cannot be set up is a warning: an application starts without its telemetry too.
    """

    async def configuring(_: Any = None) -> "Message":
        message = await receive()
        if message["type"] == "lifespan.startup":
            try:
                _configure_from_environment(config)
            except Exception as exc:
                logger.warning("FastAPI automatic telemetry configuration failed: %s", exc)
        return message

    async def flushing(message: "Message") -> None:
        is_end = message["type"].startswith("lifespan.shutdown.") or message["type"] == "lifespan.startup.failed"
        if is_end and _owned:
            from anyio.to_thread import run_sync

            await run_sync(_flush)
        await send(message)

    await app(scope, configuring, flushing)
