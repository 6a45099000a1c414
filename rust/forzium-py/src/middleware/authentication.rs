//! Authentication: asks a backend of the user's who is calling, and puts the answer into the scope.
//!
//! Source: `forzium.middleware.authentication`, which says what the options are.

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;

use super::Reply;
use crate::awaitable::{Held, wait};
use crate::connection::Connection;
use crate::imports;

/// What an `AuthenticationMiddleware` does.
#[pyclass(module = "forzium._forzium", frozen)]
pub struct Authentication {
    /// Its `authenticate(conn)` is awaited and gives credentials and user, or None.
    backend: Py<PyAny>,
    /// `(scope, credentials and user) -> None`.
    admit: Py<PyAny>,
    /// `(conn, error) -> Response or a message`: for an `AuthenticationError`.
    refuse: Py<PyAny>,
}

/// Asks who is calling; the answer to one who is refused.
///
/// *When cancelled here*: the backend is.
pub async fn enter<'c>(link: &Py<Authentication>, connection: &'c Connection) -> PyResult<Option<Reply<'c>>> {
    let (py, options) = (connection.py(), link.get());
    let conn = imports::http_connection(py)?.call1((connection.scope(),))?;
    let kept = connection.keep(conn.clone());
    let asked = match options.backend.bind(py).call_method1(pyo3::intern!(py, "authenticate"), (conn,)) {
        Ok(waiting) => wait(connection.channel(), waiting).await,
        Err(error) => Err(error),
    };
    match asked {
        Ok(found) => {
            options.admit.bind(py).call1((connection.scope(), found))?;
            Ok(None)
        }
        Err(error) if error.is_instance(py, imports::authentication_error(py)?) => {
            // With its traceback, which it would not have as a value alone before Python 3.12.
            let answer = options.refuse.bind(py).call1((kept.get(), error.into_value(py)))?;
            Ok(Some(if connection.websocket { Reply::Message(answer) } else { Reply::Response(answer) }))
        }
        Err(error) => Err(error),
    }
}

#[pymethods]
impl Authentication {
    #[new]
    fn new(backend: Py<PyAny>, admit: Py<PyAny>, refuse: Py<PyAny>) -> Self {
        Self { backend, admit, refuse }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.backend)?;
        visit.call(&self.admit)?;
        visit.call(&self.refuse)
    }
}
