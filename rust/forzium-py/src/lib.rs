//! `forzium._forzium`: the ASGI callable. This file is the list of modules and nothing else.
//!
//! Layers, from the ground up; a module uses only what stands above it in this list (a test holds the order).

// 1. Foundations.
mod awaitable;
mod connection;
mod disconnect;
mod exceptions;
mod imports;
mod instance;
mod interned;
pub mod json;
mod keywords;
mod message;
mod method;
mod plan;
mod providers;
mod tasks;
mod threads;
mod unchanged;
// 2. Middleware: what it makes of a request and of a response.
mod middleware;
// 3. Stages: none knows another.
mod call;
mod extract;
mod route;
mod scope;
mod send;
mod serialize;
mod solve;
// 4. Protocols: they know the order of the stages.
mod around;
mod failure;
mod http;
mod pipeline;
mod websocket;
// 5. What Python calls.
mod app;
mod chain;
mod router;
mod socket;
mod text;

use pyo3::prelude::*;

/// The native core of forzium.
#[pymodule(gil_used = true)]
mod _forzium {
    #[pymodule_export]
    use super::app::{AsgiApp, Exits, Handler, solve_values, until_disconnect};
    #[pymodule_export]
    use super::around::{Around, CallNext, Run, place};
    #[pymodule_export]
    use super::awaitable::Awaitable;
    #[pymodule_export]
    use super::chain::{Chain, Routes};
    #[pymodule_export]
    use super::disconnect::DisconnectWatch;
    #[pymodule_export]
    use super::exceptions::http_exception_init;
    #[pymodule_export]
    use super::extract::FormReader;
    #[pymodule_export]
    use super::json::{dumps_py, loads_py};
    #[pymodule_export]
    use super::method::Method;
    #[pymodule_export]
    use super::middleware::{
        Authentication, BodyCounter, BodyLimit, Coder, Compress, Cors, HttpsRedirect, Outlet, Sessions, TrustedHost,
    };
    #[pymodule_export]
    use super::plan::Plan;
    #[pymodule_export]
    use super::route::Table;
    #[pymodule_export]
    use super::router::{Dispatcher, declared};
    #[pymodule_export]
    use super::send::Sender;
    #[pymodule_export]
    use super::socket::{Exchange, Frames, Socket, native};
    #[pymodule_export]
    use super::tasks::{add_task, owe_background};
    #[pymodule_export]
    use super::text::{first_header, form_kind, parse_cookies, parse_query, plain_url};
    #[pymodule_export]
    use super::threads::{Crew, in_thread, lane};

    #[pymodule_init]
    fn init(module: &super::Bound<'_, super::PyModule>) -> super::PyResult<()> {
        let py = super::Bound::py(module);
        super::interned::make(py);
        super::awaitable::set_up(py);
        super::around::set_up(py);
        super::socket::set_up(py);
        super::method::set_up(py)
    }
}
