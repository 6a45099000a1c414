//! Small readers of request text for the Python classes: headers, query strings, cookies, the URL of a scope.

use forzium_core::{cookie, urlencoded};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use crate::connection::latin1;
use crate::extract::FormKind as Kind;
use crate::interned;

/// The pairs of a query string, in order, blank values kept; and of each name the last value.
///
/// Source: `urllib.parse.parse_qsl(query.decode("latin-1"), keep_blank_values=True)`.
#[pyfunction]
#[pyo3(signature = (query, /))]
pub fn parse_query<'py>(py: Python<'py>, query: &[u8]) -> PyResult<(Bound<'py, PyList>, Bound<'py, PyDict>)> {
    let (pairs, last) = (PyList::empty(py), PyDict::new(py));
    for (name, value) in urlencoded::pairs(query) {
        let (name, value) = (PyString::new(py, &name), PyString::new(py, &value));
        last.set_item(&name, &value)?;
        pairs.append((name, value))?;
    }
    Ok((pairs, last))
}

/// The first value of a header among the lines of an ASGI message; none where there is no such line.
///
/// What is not made of tuples, bytes and ASCII is compared and decoded by Python's own operations.
#[pyfunction]
#[pyo3(signature = (lines, key, /))]
pub fn first_header<'py>(lines: &Bound<'py, PyAny>, key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = lines.py();
    let known = key.cast_exact::<PyString>().ok().and_then(|key| key.to_str().ok()).filter(|key| key.is_ascii());
    let (Some(name), Ok(list)) = (known, lines.cast_exact::<PyList>()) else {
        return any_first_header(lines, key);
    };
    for line in list.iter() {
        let Some((found, value)) = pair_of_bytes(&line) else { return any_first_header(lines, key) };
        if is_name(found.as_bytes(), name.as_bytes()) {
            return Ok(Some(latin1(py, value.as_bytes()).into_any()));
        }
    }
    Ok(None)
}

/// The same by Python's operations on whatever it is.
fn any_first_header<'py>(lines: &Bound<'py, PyAny>, key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = lines.py();
    let encoding = pyo3::intern!(py, "latin-1");
    let name = key.call_method0(pyo3::intern!(py, "lower"))?.call_method1(pyo3::intern!(py, "encode"), (encoding,))?;
    for line in lines.try_iter()? {
        let parts = line?.try_iter()?.collect::<PyResult<Vec<_>>>()?;
        let [found, value] = parts.as_slice() else {
            return Err(PyValueError::new_err(format!("a header has two parts, but found {}", parts.len())));
        };
        if found.eq(&name)? {
            return value.call_method1(pyo3::intern!(py, "decode"), (encoding,)).map(Some);
        }
    }
    Ok(None)
}

/// The two parts of a line, where they are what ASGI asks for.
fn pair_of_bytes<'a, 'py>(
    line: &'a Bound<'py, PyAny>,
) -> Option<(Borrowed<'a, 'py, PyBytes>, Borrowed<'a, 'py, PyBytes>)> {
    let pair = line.cast_exact::<PyTuple>().ok().filter(|pair| pair.len() == 2)?;
    let (first, second) = (pair.get_borrowed_item(0).ok()?, pair.get_borrowed_item(1).ok()?);
    Some((first.cast_exact::<PyBytes>().ok()?, second.cast_exact::<PyBytes>().ok()?))
}

/// Whether a line's name is this key in lower case.
fn is_name(line: &[u8], key: &[u8]) -> bool {
    line.len() == key.len() && line.iter().zip(key).all(|(found, wanted)| *found == wanted.to_ascii_lowercase())
}

/// The URL of a scope in which everything can stand as it is, and the host is one beyond doubt; none for any other.
#[pyfunction]
#[pyo3(signature = (scope, /))]
pub fn plain_url<'py>(scope: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyString>>> {
    let py = scope.py();
    let Ok(scope) = scope.cast_exact::<PyDict>() else { return Ok(None) };
    let scheme = scope.get_item(interned::scheme(py))?;
    let scheme = scheme.as_ref().map_or(Some("http"), text);
    let path = scope.get_item(interned::path(py))?;
    let query = scope.get_item(interned::query_string(py))?;
    let query =
        query.as_ref().map_or(Some(&b""[..]), |query| query.cast_exact::<PyBytes>().ok().map(|query| query.as_bytes()));
    let headers = scope.get_item(interned::headers(py))?;
    let (Some(scheme @ ("http" | "https" | "ws" | "wss")), Some(path), Some(query), Some(headers)) =
        (scheme, path.as_ref().and_then(text), query.and_then(|query| std::str::from_utf8(query).ok()), headers)
    else {
        return Ok(None);
    };
    if !path.starts_with('/') || path.bytes().any(|byte| matches!(byte, b'?' | b'#' | b'\\')) {
        return Ok(None);
    }
    let Ok(headers) = headers.cast_exact::<PyList>() else { return Ok(None) };
    for line in headers.iter() {
        let Some((name, value)) = pair_of_bytes(&line) else { return Ok(None) };
        if name.as_bytes() != b"host" {
            continue;
        }
        let Some(host) = plain_host(value.as_bytes()) else { return Ok(None) };
        let mut url = String::with_capacity(scheme.len() + host.len() + path.len() + query.len() + 4);
        url.extend([scheme, "://", host, path]);
        if !query.is_empty() {
            url.extend(["?", query]);
        }
        return Ok(Some(PyString::new(py, &url)));
    }
    Ok(None)
}

fn text<'a>(object: &'a Bound<'_, PyAny>) -> Option<&'a str> {
    object.cast_exact::<PyString>().ok().and_then(|text| text.to_str().ok())
}

/// A host as nearly all requests have them, which is its own authority, with a port that is surely in range.
fn plain_host(host: &[u8]) -> Option<&str> {
    let host = std::str::from_utf8(host).ok()?;
    let (name, port) = host.split_once(':').unwrap_or((host, "0"));
    let is_plain = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-')
        && matches!(port.len(), 1..=4)
        && port.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then_some(host)
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
