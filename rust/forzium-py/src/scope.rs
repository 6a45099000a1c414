//! Stage: the ASGI scope, read and checked (ASGI specification 3.0, HTTP and WebSocket scopes).

use pyo3::exceptions::{PyKeyError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::connection::Connection;
use crate::interned;

/// What a host wants of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Http,
    WebSocket,
    Lifespan,
}

/// Takes the scope for what it must be.
///
/// Errors: `TypeError` where it is not a dict.
pub fn dict<'a, 'py>(scope: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, PyDict>> {
    scope.cast::<PyDict>().map_err(|_| {
        PyTypeError::new_err(format!(
            "ASGI scope: expected a dict, but found {}",
            scope.get_type().name().map_or_else(|_| "another type".to_owned(), |name| name.to_string())
        ))
    })
}

/// The protocol of a scope.
///
/// Errors: `KeyError` where `type` is missing, `TypeError` where it is none that ASGI 3.0 knows.
pub fn kind(scope: &Bound<'_, PyDict>) -> PyResult<Kind> {
    let py = scope.py();
    let Some(kind) = scope.get_item(interned::r#type(py))? else {
        return Err(PyKeyError::new_err("ASGI scope: the key 'type' is missing"));
    };
    if kind.is(interned::http(py)) {
        return Ok(Kind::Http);
    }
    let text = kind.cast::<PyString>().ok().map(|text| text.to_cow()).transpose()?;
    match text.as_deref() {
        Some("http") => Ok(Kind::Http),
        Some("websocket") => Ok(Kind::WebSocket),
        Some("lifespan") => Ok(Kind::Lifespan),
        _ => Err(PyTypeError::new_err(format!(
            "ASGI scope: expected 'type' to be 'http', 'websocket' or 'lifespan', but found {}",
            kind.repr()?
        ))),
    }
}

fn text<'c>(connection: &'c Connection, key: &Bound<'c, PyString>) -> PyResult<Bound<'c, PyString>> {
    connection.required(key)?.cast_into::<PyString>().map_err(|error| {
        PyTypeError::new_err(format!("ASGI scope: expected '{key}' to be a string, but found {:?}", error.into_inner()))
    })
}

/// The request method.
pub fn method(connection: &Connection) -> PyResult<Bound<'_, PyString>> {
    text(connection, interned::method(connection.py()))
}

/// The whole path and where the part starts that routes see: behind `root_path`, if the path is below it.
pub fn route_path(connection: &Connection) -> PyResult<(Bound<'_, PyString>, usize)> {
    let py = connection.py();
    let path = text(connection, interned::path(py))?;
    let Some(root) = connection.scope().get_item(interned::root_path(py))? else {
        return Ok((path, 0));
    };
    let root = root.cast::<PyString>().map_err(|_| {
        PyTypeError::new_err("ASGI scope: expected 'root_path' to be a string, but found something else")
    })?;
    if root.is_empty()? {
        return Ok((path, 0));
    }
    let start = match (path.to_cow(), root.to_cow()) {
        (Ok(path), Ok(root)) => match path.strip_prefix(root.as_ref()) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => root.len(),
            _ => 0,
        },
        // Lone surrogates: no route has such a path.
        _ => 0,
    };
    Ok((path, start))
}
