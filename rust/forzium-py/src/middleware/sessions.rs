//! Sessions: a dict in the scope, read from a cookie and written back with the response if it was changed.
//!
//! Source: `forzium.middleware.sessions`, which reads and signs the cookie, and only where there is one.

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::headers::{Headers, vary_cookie};
use super::{Layer, Outlet};
use crate::connection::Connection;

/// What a `SessionMiddleware` does.
#[pyclass(module = "forzium._forzium", frozen)]
pub struct Sessions {
    /// The name of the cookie.
    cookie: String,
    /// `() -> session`, an empty one.
    new: Py<PyAny>,
    /// `(cookie) -> session or None`.
    read: Py<PyAny>,
    /// `(session, whether the request brought it) -> value of Set-Cookie, or None`.
    write: Py<PyAny>,
}

/// The session of one request: it is looked for in the scope again when the response starts.
pub struct Session {
    link: Py<Sessions>,
    scope: Py<PyDict>,
    was_kept: bool,
}

/// Puts the session into the scope.
pub fn enter(link: &Py<Sessions>, connection: &Connection) -> PyResult<()> {
    let (py, options) = (connection.py(), link.get());
    let kept = match connection.cookie(&options.cookie)? {
        Some(cookie) => options.read.bind(py).call1((cookie,))?.extract::<Option<Bound<'_, PyAny>>>()?,
        None => None,
    };
    let was_kept = kept.is_some();
    let session = kept.map_or_else(|| options.new.bind(py).call0(), Ok)?;
    connection.scope().set_item(pyo3::intern!(py, "session"), session)?;
    if connection.websocket {
        return Ok(());
    }
    let scope = connection.scope().clone().unbind();
    Outlet::push(connection, Layer::Session(Session { link: link.clone_ref(py), scope, was_kept }))
}

impl Session {
    /// Writes the session back, if it was changed.
    pub fn dress(&self, headers: &Headers<'_>) -> PyResult<()> {
        let py = headers.list().py();
        let session = self.scope.bind(py).as_any().get_item(pyo3::intern!(py, "session"))?;
        if session.getattr(pyo3::intern!(py, "accessed"))?.is_truthy()? {
            headers.vary(vary_cookie(py)?)?;
        }
        if session.getattr(pyo3::intern!(py, "modified"))?.is_truthy()? {
            let written = self.link.get().write.bind(py).call1((session, self.was_kept))?;
            if let Ok(value) = written.cast::<PyBytes>() {
                headers.append(b"set-cookie", value)?;
            }
        }
        Ok(())
    }

    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.link)?;
        visit.call(&self.scope)
    }
}

#[pymethods]
impl Sessions {
    #[new]
    fn new_(cookie: String, new: Py<PyAny>, read: Py<PyAny>, write: Py<PyAny>) -> Self {
        Self { cookie, new, read, write }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.new)?;
        visit.call(&self.read)?;
        visit.call(&self.write)
    }
}
