//! Foundation: every Python string the request path looks up or compares, interned once. Nothing else.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;

type Name = PyOnceLock<Py<PyString>>;

/// Makes a name. Apart from the functions that give it, which are many and in the way of every request.
#[cold]
#[inline(never)]
fn made<'py>(py: Python<'py>, name: &'static Name, text: &str) -> &'py Bound<'py, PyString> {
    name.get_or_init(py, || PyString::intern(py, text).unbind()).bind(py)
}

macro_rules! names {
    ($($function:ident = $text:literal),+ $(,)?) => {
        $(
            #[inline]
            pub fn $function(py: Python<'_>) -> &Bound<'_, PyString> {
                static NAME: Name = Name::new();
                match NAME.get(py) {
                    Some(name) => name.bind(py),
                    None => made(py, &NAME, $text),
                }
            }
        )+

        /// Makes them all, when the module is imported. A process that is forked while a thread makes one for the first
        /// time has it half made for ever, and waits for a thread that is not there.
        pub fn make(py: Python<'_>) {
            $($function(py);)+
        }
    };
}

names! {
    app = "app",
    asyncio_future_blocking = "_asyncio_future_blocking",
    available_tokens = "available_tokens",
    background = "background",
    body = "body",
    body_limit_responder = "starlette._body_limit_responder",
    call_soon_threadsafe = "call_soon_threadsafe",
    callbacks = "_callbacks",
    cancel = "cancel",
    close = "close",
    create_future = "create_future",
    current_cancel_scope = "current_cancel_scope",
    detail = "detail",
    done = "done",
    effective_route_context = "effective_route_context",
    endpoint = "endpoint",
    errors = "errors",
    exception_handlers = "starlette.exception_handlers",
    fastapi = "fastapi",
    form = "_form",
    from_attributes = "from_attributes",
    grow = "grow",
    handle = "handle",
    headers = "headers",
    http = "http",
    http_disconnect = "http.disconnect",
    http_request = "http.request",
    http_response_body = "http.response.body",
    http_response_pathsend = "http.response.pathsend",
    http_response_start = "http.response.start",
    is_disconnected = "_is_disconnected",
    join = "join",
    lasting = "_lasting",
    leave = "leave",
    lifespan = "lifespan",
    matches = "matches",
    max_body_size = "starlette.max_body_size",
    method = "method",
    more_body = "more_body",
    nothing_follows = "forzium.nothing_follows",
    opentelemetry = "opentelemetry",
    owed_tasks = "forzium.owed_tasks",
    path = "path",
    path_params = "path_params",
    query_string = "query_string",
    raw = "raw",
    raw_headers = "raw_headers",
    remove_done_callback = "remove_done_callback",
    report = "report",
    root_path = "root_path",
    route = "route",
    router = "router",
    scheme = "scheme",
    send = "send",
    set_result = "set_result",
    status = "status",
    status_code = "status_code",
    stream_consumed = "_stream_consumed",
    telemetry = "fastapi.telemetry",
    throw = "throw",
    r#type = "type",
    validated_body = "_body",
    anext = "__anext__",
}
