//! Small readers of request text for the Python classes: query strings and cookies.

use forzium_core::{cookie, urlencoded};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::extract::FormKind as Kind;

/// The pairs of a query string or an urlencoded form, in order, blank values kept.
///
/// Source: `urllib.parse.parse_qsl(query.decode("latin-1"), keep_blank_values=True)`.
#[pyfunction]
#[pyo3(signature = (query, /))]
pub fn parse_query<'py>(py: Python<'py>, query: &[u8]) -> PyResult<Bound<'py, PyList>> {
    let pairs = PyList::empty(py);
    for (name, value) in urlencoded::pairs(query) {
        pairs.append((name.as_ref(), value.as_ref()))?;
    }
    Ok(pairs)
}

/// Which form a media type says a body is: `"urlencoded"`, `"multipart"` or none.
#[pyfunction]
#[pyo3(signature = (content_type, /))]
pub fn form_kind(content_type: &str) -> Option<&'static str> {
    match Kind::of(content_type.as_bytes()) {
        Kind::None => None,
        Kind::Urlencoded => Some("urlencoded"),
        Kind::Multipart(_) => Some("multipart"),
    }
}

/// The cookies of a `Cookie` header; where a name comes twice the later one counts.
///
/// Source: RFC 6265, section 5.4, as leniently as browsers.
#[pyfunction]
#[pyo3(signature = (header, /))]
pub fn parse_cookies<'py>(py: Python<'py>, header: &str) -> PyResult<Bound<'py, PyDict>> {
    let cookies = PyDict::new(py);
    for (name, value) in cookie::pairs(header) {
        cookies.set_item(name, value.as_ref())?;
    }
    Ok(cookies)
}
