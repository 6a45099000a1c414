//! Foundation: ASGI messages, written to and read from the host (ASGI HTTP specification 2.5).

use pyo3::exceptions::{PyKeyError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyList, PyMemoryView, PyTuple};

use crate::interned;

/// A message that is a copy of this one, with some values replaced: cheaper than a dict that is filled.
type Pattern = PyOnceLock<Py<PyDict>>;

/// `http.response.start`. `headers`: a list of pairs of bytes.
pub fn response_start<'py>(py: Python<'py>, status: u16, headers: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    const STATUSES: usize = 600;
    static START: [Pattern; STATUSES] = [const { Pattern::new() }; STATUSES];
    let make = || {
        let message = PyDict::new(py);
        message.set_item(interned::r#type(py), interned::http_response_start(py))?;
        message.set_item(interned::status(py), status)?;
        message.set_item(interned::headers(py), py.None())?;
        PyResult::Ok(message)
    };
    let message = match START.get(usize::from(status)) {
        Some(pattern) => pattern.get_or_try_init(py, || make().map(Bound::unbind))?.bind(py).copy()?,
        None => make()?,
    };
    message.set_item(interned::headers(py), headers)?;
    Ok(message)
}

/// `http.response.body`, the only or the last one.
pub fn response_body<'py>(py: Python<'py>, body: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    static BODY: Pattern = Pattern::new();
    let pattern = BODY.get_or_try_init(py, || {
        let message = PyDict::new(py);
        message.set_item(interned::r#type(py), interned::http_response_body(py))?;
        message.set_item(interned::body(py), py.None())?;
        PyResult::Ok(message.unbind())
    })?;
    let message = pattern.bind(py).copy()?;
    message.set_item(interned::body(py), body)?;
    Ok(message)
}

/// `http.response.body`, one of several.
pub fn response_part<'py>(py: Python<'py>, body: &Bound<'py, PyAny>, more: bool) -> PyResult<Bound<'py, PyDict>> {
    static PART: Pattern = Pattern::new();
    let pattern = PART.get_or_try_init(py, || {
        let message = response_body(py, py.None().bind(py))?;
        message.set_item(interned::more_body(py), true)?;
        PyResult::Ok(message.unbind())
    })?;
    let message = pattern.bind(py).copy()?;
    message.set_item(interned::body(py), body)?;
    if !more {
        message.set_item(interned::more_body(py), false)?;
    }
    Ok(message)
}

/// `websocket.close`.
pub fn websocket_close<'py>(py: Python<'py>, code: u16, reason: &str) -> PyResult<Bound<'py, PyDict>> {
    let message = PyDict::new(py);
    message.set_item(interned::r#type(py), pyo3::intern!(py, "websocket.close"))?;
    message.set_item(pyo3::intern!(py, "code"), code)?;
    message.set_item(pyo3::intern!(py, "reason"), reason)?;
    Ok(message)
}

/// The two headers of a body of known length, as ASGI wants them.
pub fn content_headers<'py>(
    py: Python<'py>,
    length: usize,
    content_type: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyList>> {
    PyList::new(py, [&content_length(py, length)?, content_type])
}

/// The `content-length` header. Headers are immutable, so that of a short body is made only once.
pub fn content_length(py: Python<'_>, length: usize) -> PyResult<Bound<'_, PyTuple>> {
    const SHORT: usize = 512;
    static KNOWN: [PyOnceLock<Py<PyTuple>>; SHORT] = [const { PyOnceLock::new() }; SHORT];
    let make = || {
        let mut digits = itoa::Buffer::new();
        PyTuple::new(py, [content_length_name(py), &PyBytes::new(py, digits.format(length).as_bytes())])
    };
    match KNOWN.get(length) {
        Some(known) => Ok(known.get_or_try_init(py, || make().map(Bound::unbind))?.bind(py).clone()),
        None => make(),
    }
}

macro_rules! bytes {
    ($($function:ident = $text:literal),+ $(,)?) => {
        $(
            pub fn $function(py: Python<'_>) -> &Bound<'_, PyBytes> {
                static CELL: PyOnceLock<Py<PyBytes>> = PyOnceLock::new();
                CELL.get_or_init(py, || PyBytes::new(py, $text).unbind()).bind(py)
            }
        )+
    };
}

bytes! {
    content_length_name = b"content-length",
    content_type_name = b"content-type",
}

macro_rules! content_types {
    ($($function:ident = $text:literal),+ $(,)?) => {
        $(
            /// The `content-type` header of this media type.
            pub fn $function(py: Python<'_>) -> PyResult<&Bound<'_, PyTuple>> {
                static CELL: PyOnceLock<Py<PyTuple>> = PyOnceLock::new();
                let make = || PyTuple::new(py, [content_type_name(py), &PyBytes::new(py, $text)]).map(Bound::unbind);
                CELL.get_or_try_init(py, make).map(|pair| pair.bind(py))
            }
        )+
    };
}

content_types! {
    json_content_type = b"application/json",
    plain_text_content_type = b"text/plain; charset=utf-8",
}

/// What the host handed over for a request body.
pub enum Received<'py> {
    /// A piece of the body; whether more follows.
    Body(Option<Bound<'py, PyBytes>>, bool),
    /// The client has left.
    Disconnect,
}

/// Reads a message received on an HTTP connection.
///
/// Errors: `TypeError` or `KeyError` naming the key that is wrong, where the host breaks the protocol.
pub fn received<'py>(message: &Bound<'py, PyAny>) -> PyResult<Received<'py>> {
    let py = message.py();
    let Ok(message) = message.cast::<PyDict>() else {
        return Err(PyTypeError::new_err(format!(
            "ASGI message: expected a dict from receive(), but found {}",
            message.get_type().name()?
        )));
    };
    let Some(kind) = message.get_item(interned::r#type(py))? else {
        return Err(PyKeyError::new_err("ASGI message: the key 'type' is missing"));
    };
    if !kind.eq(interned::http_request(py))? {
        if kind.eq(interned::http_disconnect(py))? {
            return Ok(Received::Disconnect);
        }
        return Err(PyTypeError::new_err(format!(
            "ASGI message: expected the 'type' 'http.request' or 'http.disconnect', but found {}",
            kind.repr()?
        )));
    }
    let more = match message.get_item(interned::more_body(py))? {
        Some(more) => more.is_truthy()?,
        None => false,
    };
    let body = match message.get_item(interned::body(py))? {
        None => None,
        Some(body) => Some(match body.cast_into::<PyBytes>() {
            Ok(body) => body,
            Err(error) => {
                let body = error.into_inner();
                if !body.is_instance_of::<PyByteArray>() && !body.is_instance_of::<PyMemoryView>() {
                    return Err(PyTypeError::new_err(format!(
                        "ASGI message: expected 'body' to be bytes, but found {}",
                        body.get_type().name()?
                    )));
                }
                // Other buffers are taken over as bytes.
                py.get_type::<PyBytes>().call1((body,))?.cast_into::<PyBytes>()?
            }
        }),
    };
    Ok(Received::Body(body, more))
}

/// What the headers of a response say about its framing.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Framing {
    /// The value of `content-length`, if it is declared, and once.
    pub length: Option<Vec<u8>>,
    /// Whether `content-length` is declared more than once.
    pub repeated: bool,
}

/// Checks headers before they are handed to the host.
///
/// Errors: `ValueError` where a name or value holds CR, LF or NUL, which would break the framing of the response
/// (RFC 9110, section 5.5). What is not a pair of bytes is left to the host to refuse.
pub fn check_headers(headers: &Bound<'_, PyAny>) -> PyResult<Framing> {
    let mut framing = Framing::default();
    for header in headers.try_iter()? {
        let header = header?;
        let (Ok(name), Ok(value)) = (header.get_item(0), header.get_item(1)) else { continue };
        let (Ok(name), Ok(value)) = (name.cast::<PyBytes>(), value.cast::<PyBytes>()) else { continue };
        let (name, value) = (name.as_bytes(), value.as_bytes());
        if breaks_lines(name) || breaks_lines(value) {
            return Err(PyValueError::new_err(format!(
                "expected a response header without CR, LF and NUL, but found {header:?}"
            )));
        }
        if name == b"content-length" {
            framing.repeated = framing.length.replace(value.to_vec()).is_some();
        }
    }
    Ok(framing)
}

fn breaks_lines(text: &[u8]) -> bool {
    memchr::memchr3(b'\r', b'\n', 0, text).is_some()
}

/// The status of a response, if it is one.
///
/// Errors: `ValueError` for what is not a three-digit number (RFC 9110, section 15).
pub fn status(value: &Bound<'_, PyAny>) -> PyResult<u16> {
    match value.extract::<u16>() {
        Ok(status @ 100..=999) => Ok(status),
        _ => Err(PyValueError::new_err(format!("expected a status code from 100 to 999, but found {value:?}"))),
    }
}
