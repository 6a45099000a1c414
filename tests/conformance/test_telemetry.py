"""What FastAPI's telemetry records around and inside a request, forzium's records: spans, metrics and logs compared."""

import asyncio
import importlib
import re
from typing import Any

import pytest

from conformance.harness import Framework, frameworks

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import baggage, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

DEFAULTS = {
    "tracing": True,
    "metrics": True,
    "logs": True,
    "operation_spans": True,
    "auto_configure": False,
    "exclude": None,
    "tracer_provider": None,
    "meter_provider": None,
    "logger_provider": None,
}


class Recorder:
    def __init__(self, **config: Any) -> None:
        self.spans = InMemorySpanExporter()
        self.records = InMemoryLogRecordExporter()
        self.reader = InMemoryMetricReader()
        tracer = TracerProvider(shutdown_on_exit=False)
        tracer.add_span_processor(SimpleSpanProcessor(self.spans))
        logger = LoggerProvider(shutdown_on_exit=False)
        logger.add_log_record_processor(SimpleLogRecordProcessor(self.records))
        self.config = {
            **DEFAULTS,
            "tracer_provider": tracer,
            "meter_provider": MeterProvider(metric_readers=[self.reader], shutdown_on_exit=False),
            "logger_provider": logger,
            **config,
        }

    def told(self) -> Any:
        spans = [
            (s.name, s.kind, dict(s.attributes or {}), s.status.status_code, s.parent is not None, len(s.events))
            for s in self.spans.get_finished_spans()
        ]
        logs = [
            (r.event_name, r.severity_text, r.body, {k: v for k, v in (r.attributes or {}).items() if "trace" not in k})
            for r in (each.log_record for each in self.records.get_finished_logs())
        ]
        data = self.reader.get_metrics_data()
        metrics = [
            (m.name, m.unit, m.description, dict(p.attributes), getattr(p, "count", None), getattr(p, "value", None))
            for resource in (data.resource_metrics if data else [])
            for scope in resource.scope_metrics
            for m in scope.metrics
            for p in m.data.data_points
        ]
        return neutral((spans, sorted(map(repr, metrics)), logs))


def neutral(value: Any) -> str:
    return re.sub(r"\b(fastapi|starlette|forzium)\.(exceptions|websockets)\.", "", repr(value))


def module(fw: Framework, name: str) -> Any:
    return importlib.import_module(f"{fw.name}.telemetry.{name}")


def scope_of(**changes: Any) -> dict[str, Any]:
    headers = changes.pop("headers", [(b"host", b"a.example:81")])
    plain = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": "/x",
        "http_version": "1.1",
        "query_string": b"",
    }
    return {**plain, "headers": headers, "server": ("s", 80), **changes}


def watched(fw: Framework, app: Any, scope: dict[str, Any], sent: list[Any], **config: Any) -> Any:
    recorder = Recorder(**config)
    raised = None

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        await app(fw, scope, receive, send)

    async def main() -> None:
        outer = module(fw, "_asgi").ExceptionTelemetryMiddleware(wrapped)
        await module(fw, "_asgi").NativeTelemetry(recorder.config)(app=outer, scope=scope, receive=receive, send=send)

    try:
        asyncio.run(main())
    except BaseException as error:
        raised = type(error).__name__
    assert "fastapi.telemetry" not in scope
    assert trace.get_current_span().get_span_context().is_valid is False
    return recorder.told(), raised


def alike(app: Any, config: Any = None, **changes: Any) -> Any:
    found = []
    for fw in frameworks():
        sent: list[Any] = []
        found.append((*watched(fw, app, scope_of(**changes), sent, **(config or {})), sent))
    assert found[1] == found[0]
    return found[1]


async def answer(fw: Framework, scope: Any, receive: Any, send: Any, status: int = 200, **start: Any) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [], **start})
    await send({"type": "http.response.body", "body": b"x"})


@pytest.mark.parametrize("status", [200, 404, 500, 503])
def test_statuses(status: int) -> None:
    async def app(fw: Framework, scope: Any, receive: Any, send: Any) -> None:
        await answer(fw, scope, receive, send, status)

    alike(app)


@pytest.mark.parametrize("host", ["a.example", "a.example:81", "[::1]:8", "a b", "u@h", "h/p", "h:x", "", None])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_address_asked_for(host: str | None, scheme: str) -> None:
    alike(answer, headers=[] if host is None else [(b"host", host.encode())], scheme=scheme)


@pytest.mark.parametrize("query", [b"a=1&b=", b"sig=1&SIG=2&X-Amz-Signature=x", b"a=%20%C3%BC+b", b"\xff=1"])
def test_queries_without_their_secrets(query: bytes) -> None:
    alike(answer, query_string=query)


@pytest.mark.parametrize("method", ["GET", "QUERY", "get", "PURGE"])
def test_methods(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    alike(answer, method=method)
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", " PURGE, GET,")
    alike(answer, method=method)


@pytest.mark.parametrize("kind", ["nothing", "disconnect", "cancel", "trailers", "pathsend", "fail", "fail late"])
def test_ends_of_a_request(kind: str) -> None:
    async def app(fw: Framework, scope: Any, receive: Any, send: Any) -> None:
        if kind == "disconnect":
            await receive()
        elif kind == "cancel":
            raise asyncio.CancelledError
        elif kind == "trailers":
            await answer(fw, scope, receive, send, trailers=True)
            await send({"type": "http.response.trailers", "headers": []})
        elif kind == "pathsend":
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.pathsend", "path": "/x"})
        elif kind.startswith("fail"):
            if kind == "fail late":
                await answer(fw, scope, receive, send)
            raise LookupError("x")

    alike(app)


@pytest.mark.parametrize("code", [1000, 1001, 1006, None])
def test_websockets(code: int | None) -> None:
    async def app(fw: Framework, scope: Any, receive: Any, send: Any) -> None:
        if code is not None:
            raise fw.starlette.websockets.WebSocketDisconnect(code)

    alike(app, type="websocket", scheme="ws")


def test_routes_mounts_operations_and_validation() -> None:
    async def app(fw: Framework, scope: Any, receive: Any, send: Any) -> None:
        api = module(fw, "_api")
        api._route_selected(scope=scope, path="/sub/{path}", mount=True)
        api._route_selected(scope=scope, path="/items/{id}")
        data = importlib.import_module(f"{fw.name}.telemetry").get_telemetry_data()
        error = fw.exceptions.RequestValidationError([{"type": "missing"}], body={"a": 1})
        api._validation_failed(error)
        assert (data.body, data.errors) == ({"a": 1}, [{"type": "missing"}])
        with api._operation(name="dependencies", function=Recorder.told):
            pass
        for name, exc in [
            ("endpoint", ValueError()),
            ("endpoint", fw.HTTPException(404)),
            ("background_task", fw.HTTPException(404)),
            ("serialization", fw.starlette.websockets.WebSocketDisconnect(1000)),
            ("endpoint", fw.starlette.websockets.WebSocketDisconnect(1006)),
            ("endpoint", error),
        ]:
            with pytest.raises(type(exc)), api._operation(name=name, function=Recorder()):
                raise exc
        assert api._run_sync_endpoint(function=dict, arguments={"a": 1}) == {"a": 1}
        await answer(fw, scope, receive, send)

    alike(app, root_path="/root/")
    alike(app, config={"operation_spans": False})
    alike(app, config={"tracing": False})
    alike(app, config={"metrics": False, "logs": False})


def test_exclusion_and_parents() -> None:
    async def app(fw: Framework, scope: Any, receive: Any, send: Any) -> None:
        assert "fastapi.telemetry" in scope
        await send({"type": "http.response.start", "status": 200 if baggage.get_baggage("k") == "v" else 500})
        await send({"type": "http.response.body", "body": repr(baggage.get_all()).encode()})

    parent = [(b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]
    alike(app, headers=[*parent, (b"baggage", b"k=v"), (b"baggage", b"l=w")])
    alike(app, config={"exclude": lambda scope: True})


def test_nothing_is_imported_while_nobody_listens() -> None:
    import subprocess
    import sys

    code = """
import sys
from forzium import FastAPI
from forzium.telemetry import watches, lifespan_watches
from forzium.middleware.base import BaseHTTPMiddleware
app = FastAPI()
app.build_middleware_stack()
assert not watches(app) and not lifespan_watches(app)
assert not any(name.startswith("opentelemetry") for name in sys.modules)
import opentelemetry.trace
assert not watches(app)
from opentelemetry.sdk.trace import TracerProvider
opentelemetry.trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))
assert watches(app)
"""
    subprocess.run([sys.executable, "-P", "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
