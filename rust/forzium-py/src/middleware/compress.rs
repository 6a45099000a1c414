//! Compression: bodies of responses in a content coding that the client takes.
//!
//! One response after the other, by three rules. What is coded already, part of a file, or of an excluded media type (an
//! event stream, an image) is left alone. A body that is known and short is sent as it is. All others are coded piece by
//! piece as they are sent, and say that they differ by `Accept-Encoding` even where this client takes no coding.
//!
//! Source: `forzium.middleware.gzip` and `forzium.middleware.compress`, which say what the options are; RFC 9110,
//! sections 8.4 (content codings) and 12.5.3 (`Accept-Encoding`).

use std::cell::RefCell;

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::coding::{Coder, Coding, declared};
use super::headers::{Headers, line, vary_accept_encoding};
use super::outlet::{self, Changed, Passing};
use super::{Layer, Outlet};
use crate::connection::Connection;
use crate::{imports, interned};

/// The options of a `GZipMiddleware` or a `CompressMiddleware`.
#[pyclass(module = "forzium._forzium", frozen)]
pub struct Compress {
    /// With their levels; the first one is taken where a client likes several equally.
    codings: Vec<(Coding, i32)>,
    /// Whether `Accept-Encoding` is weighed as RFC 9110 says. Otherwise the one coding is taken wherever it is named.
    weighs: bool,
    /// Bytes from which a body is coded.
    minimum_size: i64,
    /// Bytes in one piece from which a worker thread codes.
    thread_minimum_size: i64,
    /// Media types left alone, in lower case; `audio/*` is a whole family.
    excluded: Vec<Vec<u8>>,
}

/// What codes the pieces of a response.
enum Means {
    /// The client takes none.
    Nothing,
    Own(Py<Coder>),
    /// `apply_compression` of a responder in Python, and the name of its coding.
    Python(Py<PyAny>, Py<PyBytes>),
}

/// The body of one response.
pub struct Body {
    link: Py<Compress>,
    state: RefCell<State>,
    means: Means,
}

/// How far the response has come, message by message.
#[derive(Default)]
struct State {
    /// The start, until the first piece of the body has shown what its headers must say.
    held: Option<Py<PyDict>>,
    untouched: bool,
    started: bool,
    /// The piece being coded in the place of which the coded form comes: whether it was the first, and the last.
    pending: Option<(bool, bool)>,
}

/// Leaves word of what the client takes.
pub fn enter(link: &Py<Compress>, connection: &Connection) -> PyResult<()> {
    let py = connection.py();
    if connection.websocket {
        return Ok(());
    }
    let options = link.get();
    let mut accepted = Vec::new();
    connection.each_header(b"accept-encoding", |value| {
        if !accepted.is_empty() {
            accepted.push(b',');
        }
        accepted.extend(value.iter().map(u8::to_ascii_lowercase));
    })?;
    let means = match options.chosen(&accepted) {
        None => Means::Nothing,
        Some((coding, level)) => Means::Own(Py::new(py, Coder::new(coding, level))?),
    };
    let body = Body { link: link.clone_ref(py), state: RefCell::default(), means };
    Outlet::push(connection, Layer::Body(body))
}

impl Compress {
    /// The coding for a client.
    fn chosen(&self, accepted: &[u8]) -> Option<(Coding, i32)> {
        if accepted.is_empty() {
            return None;
        }
        if !self.weighs {
            let takes = |coding| elements(accepted).any(|(name, weight)| Coding::named(name) == coding && weight > 0);
            return self.codings.first().copied().filter(|(coding, _)| takes(Some(*coding)));
        }
        let weight_of = |is: &dyn Fn(&[u8]) -> bool| {
            elements(accepted).filter(|(name, _)| is(name)).map(|(_, weight)| weight).max()
        };
        let any = weight_of(&|name| name == b"*");
        // Without a word about it, sending the body as it is is always right, and never preferred to what is named.
        let identity = weight_of(&|name| name == b"identity").unwrap_or(0);
        let mut best: Option<((Coding, i32), u16)> = None;
        for (coding, level) in &self.codings {
            let weight = weight_of(&|name| Coding::named(name) == Some(*coding)).or(any).unwrap_or(0);
            if weight > 0 && weight >= identity && best.is_none_or(|(_, before)| weight > before) {
                best = Some(((*coding, *level), weight));
            }
        }
        best.map(|(found, _)| found)
    }

    fn leaves_alone(&self, status: u16, headers: &Headers<'_>) -> PyResult<bool> {
        const PARTIAL_CONTENT: u16 = 206;
        if status == PARTIAL_CONTENT || headers.get(b"content-encoding")?.is_some() {
            return Ok(true);
        }
        let Some(media_type) = headers.get(b"content-type")? else { return Ok(false) };
        let media_type = media_type.as_bytes();
        let end = memchr::memchr(b';', media_type).unwrap_or(media_type.len());
        let media_type = media_type[..end].trim_ascii().to_ascii_lowercase();
        let is_grpc = media_type.starts_with(b"application/grpc+");
        Ok(self.excluded.iter().any(|excluded| {
            *excluded == media_type
                || (is_grpc && excluded == b"application/grpc")
                || excluded
                    .strip_suffix(b"/*")
                    .is_some_and(|family| media_type.split(|byte| *byte == b'/').next() == Some(family))
        }))
    }

    fn is_short(&self, length: usize) -> bool {
        i64::try_from(length).is_ok_and(|length| length < self.minimum_size)
    }

    fn is_for_threads(&self, length: usize) -> bool {
        i64::try_from(length).is_ok_and(|length| length >= self.thread_minimum_size)
    }
}

/// The codings of an `Accept-Encoding` in lower case, with their weights in thousandths.
fn elements(accepted: &[u8]) -> impl Iterator<Item = (&[u8], u16)> {
    accepted.split(|byte| *byte == b',').filter_map(|element| {
        let mut parts = element.split(|byte| *byte == b';');
        let name = parts.next()?.trim_ascii();
        let weight = parts.next().and_then(|parameter| {
            let at = memchr::memchr(b'=', parameter)?;
            (parameter[..at].trim_ascii() == b"q").then(|| weight(parameter[at + 1..].trim_ascii()))?
        });
        (!name.is_empty()).then(|| (name, weight.unwrap_or(1000)))
    })
}

/// A weight in thousandths; none for what is not one.
fn weight(text: &[u8]) -> Option<u16> {
    let weight: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    // A weight above 0, however small, is no refusal.
    (0.0..=1.0).contains(&weight).then(|| if weight > 0.0 { ((weight * 1000.0) as u16).max(1) } else { 0 })
}

impl Body {
    /// Changes a response that is known as a whole.
    pub fn whole<'py>(
        &self,
        py: Python<'py>,
        status: u16,
        headers: &Headers<'py>,
        body: &Bound<'py, PyAny>,
    ) -> PyResult<Changed<'py>> {
        let options = self.link.get();
        let length = body.len()?;
        if options.is_short(length) || options.leaves_alone(status, headers)? {
            return Ok(Changed::Nothing);
        }
        headers.vary(vary_accept_encoding(py)?)?;
        self.coded(py, body, true)
    }

    /// Says in the headers of a whole response what its coded body is.
    pub fn describe_whole(&self, headers: &Headers<'_>, coded: &Bound<'_, PyAny>) -> PyResult<()> {
        self.describe(headers, Some(coded.len()?))
    }

    fn describe(&self, headers: &Headers<'_>, length: Option<usize>) -> PyResult<()> {
        let py = headers.list().py();
        match &self.means {
            Means::Nothing => return Ok(()),
            Means::Own(coder) => headers.set(&line(py, b"content-encoding", coder.get().name())?)?,
            Means::Python(_, name) => headers.set(&line(py, b"content-encoding", name.as_bytes(py))?)?,
        }
        match length {
            Some(length) => {
                let mut digits = itoa::Buffer::new();
                headers.set(&line(py, b"content-length", digits.format(length).as_bytes())?)
            }
            None => headers.remove(b"content-length"),
        }
    }

    /// The coded form of a piece, or what to wait for to have it.
    fn coded<'py>(&self, py: Python<'py>, body: &Bound<'py, PyAny>, last: bool) -> PyResult<Changed<'py>> {
        match &self.means {
            Means::Nothing => Ok(Changed::Nothing),
            Means::Own(coder) => {
                let body = match body.cast::<PyBytes>() {
                    Ok(body) => body.clone(),
                    Err(_) => py.get_type::<PyBytes>().call1((body,))?.cast_into::<PyBytes>()?,
                };
                if self.link.get().is_for_threads(body.as_bytes().len()) {
                    let code = coder.bind(py).getattr(pyo3::intern!(py, "code"))?;
                    return imports::code_in_thread(py)?.call1((code, body, last)).map(Changed::Coding);
                }
                let written = coder.get().write(body.as_bytes(), last)?;
                Ok(Changed::Body(PyBytes::new(py, &written).into_any()))
            }
            Means::Python(apply, _) => {
                let options = PyDict::new(py);
                options.set_item(interned::more_body(py), !last)?;
                apply.bind(py).call((body,), Some(&options)).map(Changed::Coding)
            }
        }
    }

    /// Changes a message of a response.
    pub fn message<'py>(&self, message: &Bound<'py, PyDict>) -> PyResult<Passing<'py>> {
        let py = message.py();
        if let Some(headers) = outlet::start(message)? {
            let status = message.get_item(interned::status(py))?;
            let status = status.and_then(|status| status.extract::<u16>().ok()).unwrap_or_default();
            let untouched = self.link.get().leaves_alone(status, &headers)?;
            let mut state = self.state.borrow_mut();
            state.untouched = untouched;
            if untouched {
                return Ok(Passing::On);
            }
            state.held = Some(message.clone().unbind());
            return Ok(Passing::Kept);
        }
        let kind = message.get_item(interned::r#type(py))?;
        let is = |name: &Bound<'_, _>| kind.as_ref().map_or(Ok(false), |kind| kind.eq(name));
        if self.state.borrow().untouched {
            return Ok(Passing::On);
        }
        if !is(interned::http_response_body(py))? {
            // The server reads a file itself: nothing here to code.
            let held = if is(pyo3::intern!(py, "http.response.pathsend"))? { self.held(py) } else { None };
            return Ok(held.map_or(Passing::On, Passing::After));
        }
        let more = message.get_item(interned::more_body(py))?.map_or(Ok(false), |more| more.is_truthy())?;
        let body = match message.get_item(interned::body(py))? {
            Some(body) => body,
            None => PyBytes::new(py, b"").into_any(),
        };
        let first = !std::mem::replace(&mut self.state.borrow_mut().started, true);
        if first && !more && self.link.get().is_short(body.len()?) {
            return Ok(self.held(py).map_or(Passing::On, Passing::After));
        }
        if first && let Some(held) = self.state.borrow().held.as_ref() {
            outlet::headers_of(held.bind(py))?.vary(vary_accept_encoding(py)?)?;
        }
        match self.coded(py, &body, !more)? {
            Changed::Nothing => Ok(self.held(py).map_or(Passing::On, Passing::After)),
            Changed::Body(coded) => {
                self.state.borrow_mut().pending = Some((first, !more));
                self.finish(message, &coded)
            }
            Changed::Coding(waiting) => {
                self.state.borrow_mut().pending = Some((first, !more));
                Ok(Passing::Coding(waiting))
            }
        }
    }

    /// Puts the coded form of a piece into its message.
    pub fn finish<'py>(&self, message: &Bound<'py, PyDict>, coded: &Bound<'py, PyAny>) -> PyResult<Passing<'py>> {
        let py = message.py();
        let (first, last) = self.state.borrow_mut().pending.take().unwrap_or_default();
        let is_changed = match &self.means {
            Means::Python(..) => !message.get_item(interned::body(py))?.map_or(Ok(false), |before| before.eq(coded))?,
            // A first piece that is empty may stay so; the others will be coded all the same.
            _ => true,
        };
        message.set_item(interned::body(py), coded)?;
        let Some(held) = self.held(py) else { return Ok(Passing::On) };
        if first && is_changed {
            let trailers = held.get_item(pyo3::intern!(py, "trailers"))?;
            let trailers = trailers.map_or(Ok(false), |trailers| trailers.is_truthy())?;
            let length = if last && !trailers { Some(coded.len()?) } else { None };
            self.describe(&outlet::headers_of(&held)?, length)?;
        }
        Ok(Passing::After(held))
    }

    fn held<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyDict>> {
        self.state.borrow_mut().held.take().map(|held| held.into_bound(py))
    }

    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.link)?;
        if let Means::Python(apply, _) = &self.means {
            visit.call(apply)?;
        }
        if let Ok(state) = self.state.try_borrow() {
            visit.call(&state.held)?;
        }
        Ok(())
    }
}

#[pymethods]
impl Compress {
    /// `codings`: names and levels, the preferred first.
    #[new]
    #[pyo3(signature = (codings, *, weighs, minimum_size, thread_minimum_size, exclude_content_types))]
    fn new(
        codings: Vec<(String, i32)>,
        weighs: bool,
        minimum_size: i64,
        thread_minimum_size: i64,
        exclude_content_types: Vec<String>,
    ) -> PyResult<Self> {
        Ok(Self {
            codings: codings.iter().map(|(name, level)| declared(name, *level)).collect::<PyResult<_>>()?,
            weighs,
            minimum_size,
            thread_minimum_size,
            excluded: exclude_content_types.into_iter().map(String::into_bytes).collect(),
        })
    }

    /// `send` for one response, whose pieces `apply` codes: `await apply(body, more_body=...)`.
    fn outlet(slf: &Bound<'_, Self>, send: Py<PyAny>, apply: Py<PyAny>, name: &str) -> PyResult<Outlet> {
        let py = slf.py();
        let name = PyBytes::new(py, name.as_bytes()).unbind();
        let body = Body { link: slf.clone().unbind(), state: RefCell::default(), means: Means::Python(apply, name) };
        Ok(Outlet::over(send, vec![Layer::Body(body)]))
    }
}

#[cfg(test)]
mod tests {
    use super::{Coding, Compress, elements};

    fn chosen(weighs: bool, codings: &[Coding], accepted: &str) -> Option<Coding> {
        let codings = codings.iter().map(|coding| (*coding, 1)).collect();
        let link = Compress { codings, weighs, minimum_size: 0, thread_minimum_size: 0, excluded: Vec::new() };
        link.chosen(accepted.as_bytes()).map(|(coding, _)| coding)
    }

    #[test]
    fn weights_are_read_in_thousandths() {
        let read: Vec<_> = elements(b"gzip;q=0.5, br ; q=1.0,*;q=0, zstd;q=0.0001, x;level=3, y;q=2, ,").collect();
        let expected: Vec<(&[u8], u16)> =
            vec![(b"gzip", 500), (b"br", 1000), (b"*", 0), (b"zstd", 1), (b"x", 1000), (b"y", 1000)];
        assert_eq!(read, expected);
    }

    #[test]
    fn the_coding_that_the_client_likes_best_is_taken() {
        use Coding::{Brotli, Gzip, Zstd};
        let all = [Zstd, Brotli, Gzip];
        for (accepted, expected) in [
            ("", None),
            ("gzip, br, zstd", Some(Zstd)),
            ("gzip, br", Some(Brotli)),
            ("gzip;q=1, br;q=0.9", Some(Gzip)),
            ("gzip;q=0, br;q=0", None),
            ("*", Some(Zstd)),
            ("*;q=0.5, gzip", Some(Gzip)),
            ("zstd;q=0, *", Some(Brotli)),
            ("identity", None),
            ("identity, gzip;q=0.5", None),
            ("identity;q=0.2, gzip;q=0.5", Some(Gzip)),
            ("deflate", None),
            ("x-gzip", Some(Gzip)),
        ] {
            assert_eq!(chosen(true, &all, accepted), expected, "{accepted}");
        }
        assert_eq!(chosen(false, &[Gzip], "gzip;q=0.1, identity"), Some(Gzip));
        assert_eq!(chosen(false, &[Gzip], "*"), None);
        assert_eq!(chosen(false, &[Gzip], "gzip;q=0"), None);
    }
}
