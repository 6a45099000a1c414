//! HTTPS redirects: sends clients that came by http or ws to https or wss.
//!
//! Source: `forzium.middleware.httpsredirect`, which makes the answer.

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::Reply;
use crate::connection::Connection;
use crate::interned;

/// What an `HTTPSRedirectMiddleware` does.
#[pyclass(module = "forzium._forzium", frozen)]
pub struct HttpsRedirect {
    /// `(scope) -> Response`.
    redirect: Py<PyAny>,
}

impl HttpsRedirect {
    pub fn enter<'c>(&self, connection: &'c Connection) -> PyResult<Option<Reply<'c>>> {
        let py = connection.py();
        // A scope without it is one of http or ws, says ASGI.
        if let Some(scheme) = connection.scope().get_item(interned::scheme(py))? {
            let scheme = scheme.cast::<PyString>().ok().map(|scheme| scheme.to_string_lossy());
            if !matches!(scheme.as_deref(), Some("http" | "ws")) {
                return Ok(None);
            }
        }
        self.redirect.bind(py).call1((connection.scope(),)).map(|answer| Some(Reply::Response(answer)))
    }
}

#[pymethods]
impl HttpsRedirect {
    #[new]
    fn new(redirect: Py<PyAny>) -> Self {
        Self { redirect }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.redirect)
    }
}
