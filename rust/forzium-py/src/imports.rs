//! Foundation: the Python objects the core calls, imported once, on first use.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

type Import = PyOnceLock<Py<PyAny>>;

/// Imports an object. Apart from the functions that give it, which are many and in the way of every request.
#[cold]
#[inline(never)]
fn imported<'py>(py: Python<'py>, cell: &'static Import, module: &str, name: &str) -> PyResult<&'py Bound<'py, PyAny>> {
    cell.get_or_try_init(py, || Ok(py.import(module)?.getattr(name)?.unbind())).map(|object| object.bind(py))
}

macro_rules! imports {
    ($($function:ident = $module:literal, $name:literal),+ $(,)?) => {
        $(
            pub fn $function(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
                static CELL: Import = Import::new();
                match CELL.get(py) {
                    Some(object) => Ok(object.bind(py)),
                    None => imported(py, &CELL, $module, $name),
                }
            }
        )+
    };
}

imports! {
    compile_app = "forzium._compile", "compile_app",
    compile_router = "forzium._compile", "compile_router",
    redirect = "forzium._compile.runtime", "redirect",
    plain_text = "forzium._compile.runtime", "plain_text",
    call_handler_in_thread = "forzium._compile.runtime", "call_handler_in_thread",
    run_trip = "forzium._compile.runtime", "run_trip",
    enter_sync_generator = "forzium._compile.runtime", "enter_sync_generator",
    exit_sync_generator = "forzium._compile.runtime", "exit_sync_generator",
    throw_into = "forzium._compile.runtime", "throw_into",
    injected_response = "forzium._compile.runtime", "injected_response",
    owed_tasks = "forzium._compile.runtime", "owed_tasks",
    read_form = "forzium._compile.runtime", "read_form",
    read_request_body = "forzium._compile.runtime", "read_request_body",
    serialize_general = "forzium._compile.runtime", "serialize_general",
    validate_in_thread = "forzium._compile.runtime", "validate_in_thread",
    json_invalid = "forzium._compile.runtime", "json_invalid",
    body_unreadable = "forzium._compile.runtime", "body_unreadable",
    request_invalid = "forzium._compile.runtime", "request_invalid",
    websocket_invalid = "forzium._compile.runtime", "websocket_invalid",
    response_invalid = "forzium._compile.runtime", "response_invalid",
    swallowed = "forzium._compile.runtime", "swallowed",
    json_part = "forzium._compile.model_text", "json_part",
    resolve_form_limits = "forzium.routing.scope", "resolve_form_limits",
    form_data = "forzium.datastructures", "FormData",
    part_headers = "forzium.datastructures", "Headers",
    upload_file = "forzium.datastructures", "StarletteUploadFile",
    multipart_exception = "forzium.formparsers", "MultiPartException",
    multipart_parser = "forzium.formparsers", "MultiPartParser",
    codec = "forzium.formparsers", "codec",
    spooled_file = "forzium.formparsers", "spooled_file",
    write_files = "forzium.formparsers", "write_files",
    request = "forzium.requests", "Request",
    request_init = "forzium.requests", "_INIT",
    client_disconnect = "forzium.requests", "ClientDisconnect",
    websocket = "forzium.websockets", "WebSocket",
    websocket_state = "forzium.websockets", "WebSocketState",
    websocket_disconnect = "forzium.websockets", "WebSocketDisconnect",
    websocket_disconnected = "forzium.websockets", "WebSocketDisconnected",
    websocket_unexpected_data = "forzium.websockets", "_UnexpectedData",
    websocket_write_json = "forzium.websockets", "_write_json",
    checked_close = "forzium.websockets", "_checked_close",
    response = "forzium.responses", "Response",
    json_response = "forzium.responses", "JSONResponse",
    html_response = "forzium.responses", "HTMLResponse",
    plain_text_response = "forzium.responses", "PlainTextResponse",
    redirect_response = "forzium.responses", "RedirectResponse",
    streaming_response = "forzium.responses.streaming", "StreamingResponse",
    event_source_response = "forzium.responses.streaming", "EventSourceResponse",
    send_reports_disconnects = "forzium.responses.streaming", "send_reports_disconnects",
    watch_for_disconnect = "forzium.responses.streaming", "watch_for_disconnect",
    router_class = "forzium.routing.router", "Router",
    running_loop = "asyncio", "_get_running_loop",
    current_task = "asyncio", "current_task",
    task = "asyncio", "Task",
    enter_task = "asyncio.tasks", "_enter_task",
    leave_task = "asyncio.tasks", "_leave_task",
    cancelled_error = "asyncio", "CancelledError",
    receive_from = "forzium._compile.disconnect", "receive_from",
    trio_watch = "forzium._compile.disconnect", "trio_watch",
    asyncio_cancel_scope = "anyio._backends._asyncio", "CancelScope",
    create_task_group = "anyio", "create_task_group",
    exception_group = "builtins", "BaseExceptionGroup",
    background_task = "forzium.background", "BackgroundTask",
    background_tasks = "forzium.background", "BackgroundTasks",
    background_as_written = "forzium.background", "_as_written",
    security_scopes = "forzium.security.oauth2", "SecurityScopes",
    http_exception = "forzium.exceptions", "StarletteHTTPException",
    fastapi_http_exception = "forzium.exceptions", "HTTPException",
    http_exception_as_written = "forzium.exceptions", "_as_written",
    http_exception_handler = "forzium.exception_handlers", "http_exception_handler",
    request_validation_error = "forzium.exceptions", "RequestValidationError",
    validation_exception_handler = "forzium.exception_handlers", "request_validation_exception_handler",
    is_async_callable = "forzium._utils", "is_async_callable",
    validation_error = "pydantic_core", "ValidationError",
    modules = "sys", "modules",
    method_type = "types", "MethodType",
    resolve_name = "pkgutil", "resolve_name",
    middleware_stack = "forzium._compile.application", "middleware_stack",
    telemetry_watches = "forzium.telemetry", "watches",
    telemetry_watches_lifespan = "forzium.telemetry", "lifespan_watches",
    telemetry_serve = "forzium.telemetry", "serve",
    route_selected = "forzium.routing.scope", "route_selected",
    body_too_large = "forzium.middleware.body_limit", "_RequestBodyTooLarge",
    body_limit_response_sent = "forzium.middleware.body_limit", "_RequestBodyLimitResponseSent",
    body_limit_error = "forzium._body_limit", "get_body_limit_error",
    body_limit_answered = "forzium._body_limit", "answered",
    http_connection = "forzium.requests", "HTTPConnection",
    authentication_error = "forzium.authentication", "AuthenticationError",
    code_in_thread = "forzium.middleware.gzip", "code_in_thread",
    framed = "forzium.responses.base", "framed",
    json_leniently = "forzium._compile.runtime", "json_leniently",
    exit_stack = "contextlib", "AsyncExitStack",
    written_response = "forzium._compile.runtime", "written_response",
    push_exits = "forzium._compile.runtime", "push_exits",
    cancel_scope = "anyio", "CancelScope",
    cached_request = "forzium.middleware._rest_of_chain", "CachedRequest",
    streamed_response = "forzium.middleware._rest_of_chain", "StreamedResponse",
    apart = "forzium.middleware._apart", "Apart",
    companion = "forzium.middleware._apart", "Companion",
    receive_apart = "forzium.middleware._apart", "receive",
    response_discarded = "forzium.middleware._apart", "ResponseDiscarded",
    trio_guard = "forzium.middleware._apart", "Guard",
    end_of_stream = "anyio", "EndOfStream",
    checkpoint = "anyio.lowlevel", "checkpoint",
    shielded_checkpoint = "anyio.lowlevel", "cancel_shielded_checkpoint",
    checkpoint_if_cancelled = "anyio.lowlevel", "checkpoint_if_cancelled",
    would_block = "anyio", "WouldBlock",
    is_anyio_cancellation = "anyio._backends._asyncio", "is_anyio_cancellation",
    object = "builtins", "object",
    crew_of = "forzium._threads", "crew_of",
}
