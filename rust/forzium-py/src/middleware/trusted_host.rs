//! Trusted hosts: refuses requests whose Host header names another site.
//!
//! Source: `forzium.middleware.trustedhost`, which says what the options are.

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::Reply;
use crate::connection::Connection;

/// The options of a `TrustedHostMiddleware`.
#[pyclass(module = "forzium._forzium", frozen)]
pub struct TrustedHost {
    any: bool,
    /// In lower case; those with a `*` in front allow what ends alike.
    patterns: Vec<String>,
    /// `(header or None) -> host in lower case, or None`: for what is not plainly a name and a port.
    parse: Py<PyAny>,
    /// `(scope, host or None) -> Response`.
    refuse: Py<PyAny>,
}

impl TrustedHost {
    pub fn enter<'c>(&self, connection: &'c Connection) -> PyResult<Option<Reply<'c>>> {
        if self.any {
            return Ok(None);
        }
        let py = connection.py();
        if let Some(true) =
            connection.header_bytes(b"host", |host| plain(host).is_some_and(|host| self.allows(host)))?
        {
            return Ok(None);
        }
        let host: Option<String> = self.parse.bind(py).call1((connection.header(b"host")?,))?.extract()?;
        if host.as_deref().is_some_and(|host| self.allows(host)) {
            return Ok(None);
        }
        self.refuse.bind(py).call1((connection.scope(), host)).map(|answer| Some(Reply::Response(answer)))
    }

    fn allows(&self, host: &str) -> bool {
        self.patterns.iter().any(|pattern| match pattern.strip_prefix('*') {
            Some(end) => host.ends_with(end),
            None => host == pattern,
        })
    }
}

/// The name in a header that is a name in lower case and perhaps a port, and surely nothing else.
fn plain(header: &[u8]) -> Option<&str> {
    let is_plain = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-');
    let end = header.iter().position(|byte| !is_plain(byte)).unwrap_or(header.len());
    let (name, rest) = header.split_at(end);
    let port = match rest.split_first() {
        None => &[][..],
        Some((b':', port)) if !port.is_empty() => port,
        Some(_) => return None,
    };
    (!name.is_empty() && port.iter().all(u8::is_ascii_digit)).then(|| std::str::from_utf8(name).ok()).flatten()
}

#[pymethods]
impl TrustedHost {
    /// Made of a `TrustedHostMiddleware`, whose attributes are the options.
    #[new]
    fn new(middleware: &Bound<'_, PyAny>, parse: Py<PyAny>, refuse: Py<PyAny>) -> PyResult<Self> {
        let patterns = middleware.getattr("allowed_hosts")?.try_iter()?;
        Ok(Self {
            any: middleware.getattr("allow_any")?.is_truthy()?,
            patterns: patterns
                .map(|pattern| Ok(pattern?.cast_into::<PyString>()?.to_string_lossy().into_owned()))
                .collect::<PyResult<_>>()?,
            parse,
            refuse,
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.parse)?;
        visit.call(&self.refuse)
    }
}
