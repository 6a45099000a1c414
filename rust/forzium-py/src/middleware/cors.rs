//! CORS: answers preflight requests, adds the headers of the protocol to all other responses.
//!
//! Source: `forzium.middleware.cors`, which says what the options are; the Fetch standard, "CORS protocol".

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use super::headers::{Headers, line, vary_origin};
use super::{Layer, Outlet, Reply};
use crate::connection::Connection;
use crate::{interned, message};

const ALLOW_ORIGIN: &str = "Access-Control-Allow-Origin";
const ALLOW_HEADERS: &str = "Access-Control-Allow-Headers";
const ALLOW_PRIVATE_NETWORK: &str = "Access-Control-Allow-Private-Network";

/// The options of a `CORSMiddleware`.
#[pyclass(module = "forzium._forzium", frozen)]
pub struct Cors {
    /// A container, asked at every request: it may be a list that grows.
    origins: Py<PyAny>,
    methods: Py<PyAny>,
    /// In lower case.
    headers: Py<PyAny>,
    any_origin: bool,
    any_header: bool,
    credentials: bool,
    private_network: bool,
    regex: Option<Py<PyAny>>,
    /// Asked instead of `origins` and `regex`: a method that a subclass has overridden.
    decide: Option<Py<PyAny>>,
    /// Lines added to every response to another origin.
    simple: Vec<Py<PyTuple>>,
    /// What every answer to a preflight request has, by name.
    preflight: Py<PyDict>,
    explicit: bool,
}

/// The origin that a request came from.
pub struct Origin {
    link: Py<Cors>,
    origin: Option<Py<PyBytes>>,
}

impl Origin {
    pub fn dress(&self, headers: &Headers<'_>) -> PyResult<()> {
        let py = headers.list().py();
        self.link.get().dress(headers, self.origin.as_ref().map(|origin| origin.bind(py)))
    }

    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.link)
    }
}

/// Answers a preflight request; for any other leaves word of its origin.
pub fn enter<'c>(link: &Py<Cors>, connection: &'c Connection) -> PyResult<Option<Reply<'c>>> {
    let py = connection.py();
    if connection.websocket {
        return Ok(None);
    }
    let origin = connection.header_bytes(b"origin", |origin| PyBytes::new(py, origin))?;
    if origin.is_some()
        && connection.required(interned::method(py))?.eq(pyo3::intern!(py, "OPTIONS"))?
        && connection.header_bytes(b"access-control-request-method", |_| ())?.is_some()
    {
        let (text, status, named) = link.get().answer(
            py,
            connection.header(b"origin")?,
            connection.header(b"access-control-request-method")?,
            connection.header(b"access-control-request-headers")?,
            connection.header_bytes(b"access-control-request-private-network", |_| ())?.is_some(),
        )?;
        return plain_text(py, status, &text, &named).map(Some);
    }
    Outlet::push(connection, Layer::Cors(Origin { link: link.clone_ref(py), origin: origin.map(Bound::unbind) }))?;
    Ok(None)
}

/// A plain text answer with headers of its own, as `PlainTextResponse` writes it.
fn plain_text<'py>(py: Python<'py>, status: u16, text: &str, named: &Bound<'py, PyDict>) -> PyResult<Reply<'py>> {
    let headers = PyList::empty(py);
    for (name, value) in named.iter() {
        let name = name.cast_into::<PyString>()?.to_cow()?.to_ascii_lowercase();
        let value = value.call_method1(pyo3::intern!(py, "encode"), (pyo3::intern!(py, "latin-1"),))?;
        headers.append((PyBytes::new(py, name.as_bytes()), value))?;
    }
    headers.append(message::content_length(py, text.len())?)?;
    headers.append(message::plain_text_content_type(py)?)?;
    message::check_headers(headers.as_any())?;
    Ok(Reply::Written { status, headers, body: PyBytes::new(py, text.as_bytes()) })
}

impl Cors {
    fn allows_origin(&self, origin: &Bound<'_, PyString>) -> PyResult<bool> {
        let py = origin.py();
        if let Some(decide) = &self.decide {
            let options = PyDict::new(py);
            options.set_item(pyo3::intern!(py, "origin"), origin)?;
            return decide.bind(py).call((), Some(&options))?.is_truthy();
        }
        if self.any_origin || self.origins.bind(py).contains(origin)? {
            return Ok(true);
        }
        match &self.regex {
            Some(regex) => {
                regex.bind(py).call_method1(pyo3::intern!(py, "fullmatch"), (origin,)).map(|found| !found.is_none())
            }
            None => Ok(false),
        }
    }

    /// Adds the headers of the protocol to those of a response.
    fn dress(&self, headers: &Headers<'_>, origin: Option<&Bound<'_, PyBytes>>) -> PyResult<()> {
        let py = headers.list().py();
        let Some(origin) = origin else {
            return headers.vary(vary_origin(py)?);
        };
        for line in &self.simple {
            headers.set(line.bind(py))?;
        }
        let named = match self.any_origin {
            true => self.credentials,
            false => self.allows_origin(&latin1(origin))?,
        };
        if named {
            headers.set(&line(py, b"access-control-allow-origin", origin.as_bytes())?)?;
        }
        headers.vary(vary_origin(py)?)
    }

    /// The answer to a preflight request: text, status and headers; what is not allowed is told.
    fn answer<'py>(
        &self,
        py: Python<'py>,
        origin: Option<Bound<'py, PyString>>,
        method: Option<Bound<'py, PyString>>,
        asked: Option<Bound<'py, PyString>>,
        private_network: bool,
    ) -> PyResult<(String, u16, Bound<'py, PyDict>)> {
        const OK: u16 = 200;
        const BAD_REQUEST: u16 = 400;
        let answer = self.preflight.bind(py).copy()?;
        let mut refused: Vec<&str> = Vec::new();
        let origin = origin.unwrap_or_else(|| PyString::new(py, ""));
        if !self.allows_origin(&origin)? {
            refused.push("origin");
        } else if self.explicit {
            answer.set_item(ALLOW_ORIGIN, origin)?;
        }
        if !self.methods.bind(py).contains(method)? {
            refused.push("method");
        }
        if let Some(asked) = asked {
            if self.any_header {
                answer.set_item(ALLOW_HEADERS, asked)?;
            } else if !self.allows_headers(&asked)? {
                refused.push("headers");
            }
        }
        if private_network {
            if self.private_network {
                answer.set_item(ALLOW_PRIVATE_NETWORK, "true")?;
            } else {
                refused.push("private-network");
            }
        }
        Ok(match refused.is_empty() {
            true => ("OK".to_owned(), OK, answer),
            false => (format!("Disallowed CORS {}", refused.join(", ")), BAD_REQUEST, answer),
        })
    }

    fn allows_headers(&self, asked: &Bound<'_, PyString>) -> PyResult<bool> {
        let py = asked.py();
        let lower = asked.call_method0(pyo3::intern!(py, "lower"))?;
        for name in lower.call_method1(pyo3::intern!(py, "split"), (",",))?.try_iter()? {
            if !self.headers.bind(py).contains(name?.call_method0(pyo3::intern!(py, "strip"))?)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn latin1<'py>(bytes: &Bound<'py, PyBytes>) -> Bound<'py, PyString> {
    let bytes_ = bytes.as_bytes();
    match std::str::from_utf8(bytes_) {
        Ok(text) if text.is_ascii() => PyString::new(bytes.py(), text),
        _ => PyString::new(bytes.py(), &bytes_.iter().copied().map(char::from).collect::<String>()),
    }
}

#[pymethods]
impl Cors {
    /// Made of a `CORSMiddleware`, whose attributes are the options.
    #[new]
    #[pyo3(signature = (middleware, decide))]
    fn new(middleware: &Bound<'_, PyAny>, decide: Option<Py<PyAny>>) -> PyResult<Self> {
        let py = middleware.py();
        let given = |name: &str| middleware.getattr(name);
        let mut simple = Vec::new();
        for (name, value) in given("simple_headers")?.cast_into::<PyDict>()?.iter() {
            let name = name.extract::<String>()?.to_ascii_lowercase();
            let value = value.call_method1("encode", ("latin-1",))?.cast_into::<PyBytes>()?;
            simple.push(line(py, name.as_bytes(), value.as_bytes())?.unbind());
        }
        Ok(Self {
            origins: given("allow_origins")?.unbind(),
            methods: given("allow_methods")?.unbind(),
            headers: given("allow_headers")?.unbind(),
            any_origin: given("allow_all_origins")?.is_truthy()?,
            any_header: given("allow_all_headers")?.is_truthy()?,
            credentials: given("allow_credentials")?.is_truthy()?,
            private_network: given("allow_private_network")?.is_truthy()?,
            regex: given("allow_origin_regex")?.extract()?,
            decide,
            simple,
            preflight: given("preflight_headers")?.cast_into::<PyDict>()?.unbind(),
            explicit: given("preflight_explicit_allow_origin")?.is_truthy()?,
        })
    }

    /// Whether answers may be read from an origin.
    fn allows(&self, origin: &Bound<'_, PyString>) -> PyResult<bool> {
        self.allows_origin(origin)
    }

    /// The `(text, status, headers)` that answer a preflight request.
    fn preflight<'py>(
        &self,
        py: Python<'py>,
        origin: Bound<'py, PyString>,
        method: Bound<'py, PyString>,
        headers: Option<Bound<'py, PyString>>,
        private_network: bool,
    ) -> PyResult<(String, u16, Bound<'py, PyDict>)> {
        self.answer(py, Some(origin), Some(method), headers, private_network)
    }

    /// The headers of a response to a request from `origin`, in a new list.
    fn dressed<'py>(
        &self,
        headers: &Bound<'py, PyAny>,
        origin: Option<Bound<'py, PyBytes>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let headers = Headers::copy(headers)?;
        self.dress(&headers, origin.as_ref())?;
        Ok(headers.into_list())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        for object in [&self.origins, &self.methods, &self.headers] {
            visit.call(object)?;
        }
        visit.call(&self.regex)?;
        visit.call(&self.decide)?;
        visit.call(&self.preflight)
    }
}
