//! Body limits: a request body above a size is answered with 413 and read no further.
//!
//! The counter of a request stands in the place of `receive`, and in the scope, where limits further inside find it: the
//! innermost limit decides, and one counter counts. A declared length above the limit is refused as soon as the body is
//! read or a response starts.
//!
//! Source: `forzium.middleware.body_limit`, which says what the options are; 413 is RFC 9110, section 15.5.14.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use pyo3::PyTraverseError;
use pyo3::exceptions::{PyBaseException, PyException};
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use super::{Layer, Outlet, Reply};
use crate::awaitable::{Awaitable, Channel, Held, Shared, attached, wait};
use crate::connection::{Connection, Kept};
use crate::{imports, interned, message};

const CONTENT_TOO_LARGE: u16 = 413;
const TEXT: &[u8] = b"Content Too Large";

/// What a `RequestBodyLimitMiddleware` does.
#[pyclass(module = "forzium._forzium", frozen)]
pub struct BodyLimit {
    /// In bytes.
    max_body_size: i64,
    /// Whether a group of nothing but the limit's own exceptions counts as one of them.
    ungroups: bool,
}

/// Counts the bytes of one request's body.
#[pyclass(module = "forzium._forzium", frozen)]
pub struct BodyCounter {
    receive: Py<PyAny>,
    /// What `Content-Length` says.
    declared: Option<i64>,
    max_body_size: Shared<Cell<i64>>,
    total_size: Shared<Cell<i64>>,
    /// Whether a response has started.
    started: Shared<Cell<bool>>,
    /// Whether one was started in vain: the answer is 413.
    refuses: Shared<Cell<bool>>,
}

/// How a limit stands around the rest of a request.
pub enum Limited<'c> {
    /// A counter further outside counts.
    Inner,
    /// It has a counter of its own; this many layers stand outside of it.
    Outermost(Kept<'c>, usize),
}

impl BodyLimit {
    /// Puts the limit into force; what `leave` needs to know.
    ///
    /// Errors: the limit's own exception, where more than that has been read already.
    pub fn enter<'c>(&self, connection: &'c Connection) -> PyResult<(Limited<'c>, Option<Bound<'c, PyAny>>)> {
        let (py, scope) = (connection.py(), connection.scope());
        let before = scope.get_item(interned::max_body_size(py))?;
        scope.set_item(interned::max_body_size(py), self.max_body_size)?;
        if let Some(counter) = scope.get_item(interned::body_limit_responder(py))?
            && !counter.is_none()
        {
            counter.setattr(pyo3::intern!(py, "max_body_size"), self.max_body_size)?;
            if counter.getattr(pyo3::intern!(py, "total_size"))?.gt(self.max_body_size)? {
                return Err(too_large(py)?);
            }
            return Ok((Limited::Inner, before));
        }
        let declared = connection.header_bytes(b"content-length", declared_length)?;
        let counter = BodyCounter {
            receive: connection.receive().clone().unbind(),
            declared: declared.flatten(),
            max_body_size: Shared(Cell::new(self.max_body_size)),
            total_size: Shared(Cell::new(0)),
            started: Shared(Cell::new(false)),
            refuses: Shared(Cell::new(false)),
        };
        let counter = Bound::new(py, counter)?;
        connection.set_intake(counter.clone().into_any());
        scope.set_item(interned::body_limit_responder(py), &counter)?;
        let outside = Outlet::of(connection).map_or(0, Outlet::depth);
        Outlet::push(connection, Layer::Limit(counter.clone().unbind()))?;
        Ok((Limited::Outermost(connection.keep(counter.into_any()), outside), before))
    }

    /// What is left to do when the rest of the request has ended so: to answer 413, before anything else, and to pass an
    /// exception on.
    ///
    /// A response that was started in vain counts as one: whatever else has become of the exception that ended it, 413 is
    /// the answer.
    pub fn leave<'c>(
        &self,
        connection: &'c Connection,
        limited: Limited<'c>,
        before: Option<Bound<'c, PyAny>>,
        result: PyResult<()>,
    ) -> PyResult<(Option<Reply<'c>>, PyResult<()>)> {
        let (py, scope) = (connection.py(), connection.scope());
        let result = match result {
            Err(error) if self.ungroups => Err(ungrouped(py, error)?),
            result => result,
        };
        let Limited::Outermost(counter, outside) = limited else { return Ok((None, result)) };
        // What follows comes from this place, passes what stands outside of it, and hears the host itself.
        connection.end_intake();
        if let Some(outlet) = Outlet::of(connection) {
            outlet.cut(outside);
        }
        scope.del_item(interned::body_limit_responder(py)).ok();
        match before {
            Some(before) => scope.set_item(interned::max_body_size(py), before)?,
            None => {
                scope.del_item(interned::max_body_size(py)).ok();
            }
        }
        let counter = counter.get().cast_into::<BodyCounter>()?;
        let counter = counter.get();
        let refused = counter.refuses.0.get();
        match result {
            Err(error) if error.is_instance(py, imports::body_limit_response_sent(py)?) => {
                Ok((Some(refusal(py)?), Ok(())))
            }
            Err(error) if !counter.started.0.get() && error.is_instance(py, imports::body_too_large(py)?) => {
                Ok((Some(refusal(py)?), Ok(())))
            }
            // Where it is no error, but an order to end, nothing can be sent any more.
            Err(error) if refused && error.is_instance_of::<PyException>(py) => Ok((Some(refusal(py)?), Err(error))),
            Ok(()) if refused => Ok((Some(refusal(py)?), Ok(()))),
            result => Ok((None, result)),
        }
    }
}

/// The exception of a limit, by itself where there was a group of nothing else.
fn ungrouped(py: Python<'_>, error: PyErr) -> PyResult<PyErr> {
    if !error.is_instance(py, imports::exception_group(py)?) {
        return Ok(error);
    }
    let own = imports::body_limit_error(py)?.call1((error.value(py),))?;
    if own.is_none() {
        return Ok(error);
    }
    let own = PyErr::from_value(own);
    own.set_cause(py, Some(error));
    Ok(own)
}

/// A length as Python's `int` reads it in a header: `+1_000` is one, too. More than fits is the most there can be.
fn declared_length(value: &[u8]) -> Option<i64> {
    // What Python takes for spaces in a text of latin-1.
    let is_space = |letter: &u8| matches!(letter, b' ' | b'\t'..=b'\r' | 0x85 | 0xa0);
    let first = value.iter().position(|letter| !is_space(letter))?;
    let last = value.iter().rposition(|letter| !is_space(letter))?;
    let (sign, digits) = match value.get(first..=last)? {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] | digits => (1, digits),
    };
    let mut groups = digits.split(|letter| *letter == b'_');
    if groups.clone().any(|group| group.is_empty() || !group.iter().all(u8::is_ascii_digit)) {
        return None;
    }
    let step = |length: i64, digit: &u8| length.saturating_mul(10).saturating_add(sign * i64::from(digit - b'0'));
    Some(groups.by_ref().flatten().fold(0, step))
}

fn too_large(py: Python<'_>) -> PyResult<PyErr> {
    Ok(PyErr::from_value(imports::body_too_large(py)?.call0()?.cast_into::<PyBaseException>()?.into_any()))
}

fn refusal(py: Python<'_>) -> PyResult<Reply<'_>> {
    let headers: Bound<'_, PyList> = message::content_headers(py, TEXT.len(), message::plain_text_content_type(py)?)?;
    Ok(Reply::Written { status: CONTENT_TOO_LARGE, headers, body: PyBytes::new(py, TEXT) })
}

impl BodyCounter {
    fn is_declared_too_large(&self) -> bool {
        self.declared.is_some_and(|declared| declared > self.max_body_size.0.get())
    }

    /// Whether asking for the rest of the body may fail: more than is allowed is announced, or nothing is and there may be
    /// some.
    pub fn may_refuse(&self, bodiless: bool) -> bool {
        if self.declared.is_some() { self.is_declared_too_large() } else { !bodiless }
    }

    /// Takes note that a response starts.
    ///
    /// Errors: an exception that unwinds the application, where the request declared too large a body.
    pub(super) fn starts(&self, py: Python<'_>) -> PyResult<()> {
        self.started.0.set(true);
        if self.is_declared_too_large() {
            self.refuses.0.set(true);
            return Err(PyErr::from_value(imports::body_limit_response_sent(py)?.call0()?));
        }
        Ok(())
    }

    fn count(&self, message: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = message.py();
        let Ok(fields) = message.cast::<PyDict>() else { return Ok(()) };
        let kind = fields.get_item(interned::r#type(py))?;
        if !kind.map_or(Ok(false), |kind| kind.eq(interned::http_request(py)))? {
            return Ok(());
        }
        if let Some(body) = fields.get_item(interned::body(py))? {
            let total = self.total_size.0.get().saturating_add(i64::try_from(body.len()?).unwrap_or(i64::MAX));
            self.total_size.0.set(total);
            if total > self.max_body_size.0.get() {
                return Err(too_large(py)?);
            }
        }
        Ok(())
    }
}

/// A message being received.
struct Receiving {
    channel: Channel,
    counter: Py<BodyCounter>,
    waiting: RefCell<Option<Py<PyAny>>>,
}

impl Held for Receiving {
    fn channel(&self) -> &Channel {
        &self.channel
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.counter)?;
        match self.waiting.try_borrow() {
            Ok(waiting) => visit.call(&*waiting),
            Err(_) => Ok(()),
        }
    }

    fn clear(&self) {
        self.channel.clear();
        let waiting = self.waiting.try_borrow_mut().ok().and_then(|mut waiting| waiting.take());
        drop(waiting);
    }
}

#[pymethods]
impl BodyLimit {
    #[new]
    #[pyo3(signature = (max_body_size, *, ungroups))]
    fn new(max_body_size: i64, ungroups: bool) -> Self {
        Self { max_body_size, ungroups }
    }
}

#[pymethods]
impl BodyCounter {
    /// `receive`, counting.
    fn __call__(slf: &Bound<'_, Self>) -> PyResult<Awaitable> {
        let (py, counter) = (slf.py(), slf.get());
        if counter.is_declared_too_large() {
            return Err(too_large(py)?);
        }
        let receiving = Rc::new(Receiving {
            channel: Channel::default(),
            counter: slf.clone().unbind(),
            waiting: RefCell::new(Some(counter.receive.bind(py).call0()?.unbind())),
        });
        let machine = Rc::clone(&receiving);
        Ok(Awaitable::new(
            receiving,
            Box::pin(async move {
                let py = attached(&machine.channel);
                let waiting = machine.waiting.borrow_mut().take();
                let waiting = waiting.unwrap_or_else(|| py.None()).into_bound(py);
                let message = wait(&machine.channel, waiting).await?;
                machine.counter.get().count(message.bind(py))?;
                Ok(message)
            }),
        ))
    }

    #[getter]
    fn max_body_size(&self) -> i64 {
        self.max_body_size.0.get()
    }

    #[setter]
    fn set_max_body_size(&self, value: i64) {
        self.max_body_size.0.set(value);
    }

    #[getter]
    fn total_size(&self) -> i64 {
        self.total_size.0.get()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.receive)
    }
}
