//! What the rest of the chain is given as `receive` and `send`.
//!
//! As long as the two are together nothing is waited for but what the client sends: a response in one piece is kept by
//! the run, and `send` hands control back with its last message. What cannot go on in turns goes apart here.

use std::cell::Cell;

use pyo3::PyTraverseError;
use pyo3::exceptions::{PyRuntimeError, PyStopIteration, PyTypeError};
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use super::run::{Part, Run};
use crate::awaitable::{Coroutine, Driven, Inner, Resume, Shared, thrown, told, told_next};
use crate::{imports, interned};

/// `send` of the rest of the chain.
#[pyclass(module = "forzium._forzium", frozen)]
pub struct RestSend {
    run: Py<Run>,
}

impl RestSend {
    pub fn of(run: Py<Run>) -> Self {
        Self { run }
    }
}

#[pymethods]
impl RestSend {
    fn __call__<'py>(&self, py: Python<'py>, message: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let run = self.run.bind(py);
        let held = &run.get().held.0;
        if !held.finished.get() && !run.get().is_apart() && held.start.borrow().is_none()
            // Nothing is decided by it where the body's length is known: that may be done at once.
            && let Ok(fields) = message.cast_exact::<PyDict>()
            && is_start(fields)?
            && let Some(length) = known_length(fields)?
        {
            held.length.set(length);
            *held.start.borrow_mut() = Some(fields.clone().unbind());
            return done(py);
        }
        let relay = Relay::new(self.run.clone_ref(py), Some(message.unbind()));
        Ok(Bound::new(py, relay)?.into_any())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.run)
    }
}

fn is_start(message: &Bound<'_, PyDict>) -> PyResult<bool> {
    let py = message.py();
    match message.get_item(interned::r#type(py))? {
        Some(kind) => kind.eq(interned::http_response_start(py)),
        None => Ok(false),
    }
}

/// The length of the body where it is known, which a start without a body need not tell. None: it is not known, and the
/// start has to be passed on at once, for the body may take long.
fn known_length(start: &Bound<'_, PyDict>) -> PyResult<Option<Option<usize>>> {
    let py = start.py();
    let status = start.get_item(interned::status(py))?.and_then(|status| status.extract::<u16>().ok());
    if matches!(status, Some(204 | 304)) {
        return Ok(Some(None));
    }
    let Some(headers) = start.get_item(interned::headers(py))? else { return Ok(None) };
    for header in headers.try_iter()? {
        let header = header?;
        let (name, value) = match header.cast_exact::<PyTuple>() {
            Ok(pair) if pair.len() == 2 => (pair.get_item(0)?, pair.get_item(1)?),
            _ => (header.get_item(0)?, header.get_item(1)?),
        };
        if name.cast::<PyBytes>().is_ok_and(|name| name.as_bytes().eq_ignore_ascii_case(b"content-length")) {
            let length =
                value.cast::<PyBytes>().ok().and_then(|value| str::from_utf8(value.as_bytes()).ok()?.parse().ok());
            return Ok(Some(length));
        }
    }
    Ok(None)
}

/// `receive` of the rest of the chain.
#[pyclass(module = "forzium._forzium", frozen)]
pub struct RestReceive {
    run: Py<Run>,
}

impl RestReceive {
    pub fn of(run: Py<Run>) -> Self {
        Self { run }
    }
}

#[pymethods]
impl RestReceive {
    fn __call__(&self, py: Python<'_>) -> Relay {
        Relay::new(self.run.clone_ref(py), None)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.run)
    }
}

/// An awaitable that gives nothing, at once.
#[pyclass(module = "forzium._forzium", frozen)]
pub struct Done;

#[pymethods]
impl Done {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self) -> Option<()> {
        None
    }

    fn send(&self, _value: Bound<'_, PyAny>) -> PyResult<()> {
        Err(PyStopIteration::new_err(()))
    }

    #[pyo3(signature = (typ, val=None, tb=None, /))]
    fn throw(
        &self,
        typ: Bound<'_, PyAny>,
        val: Option<Bound<'_, PyAny>>,
        tb: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        Err(thrown(&typ, val, tb)?)
    }

    fn close(&self) {}
}

fn done(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static DONE: pyo3::sync::PyOnceLock<Py<Done>> = pyo3::sync::PyOnceLock::new();
    Ok(DONE.get_or_try_init(py, || Py::new(py, Done))?.bind(py).clone().into_any())
}

/// What an relay of a message stands at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Fresh,
    /// Control was handed to `dispatch`; the message is with it.
    HandedOver,
    /// The same, and the message goes through the stream after that.
    Parted,
    /// Something is being waited for.
    Waiting,
    /// A message of the client's is.
    Receiving,
    Ended,
}

/// One message between the rest of the chain and what is above it: the awaitable of `receive()` and of `send(message)`.
#[pyclass(module = "forzium._forzium", frozen)]
pub struct Relay {
    run: Py<Run>,
    /// None: it is for receiving.
    message: Option<Py<PyAny>>,
    at: Shared<Cell<At>>,
    inner: Inner,
}

impl Relay {
    fn new(run: Py<Run>, message: Option<Py<PyAny>>) -> Self {
        Self { run, message, at: Shared(Cell::new(At::Fresh)), inner: Inner::default() }
    }

    fn step(&self, py: Python<'_>, resume: Resume) -> PyResult<Driven> {
        match (self.at.0.get(), resume) {
            (At::Fresh, Resume::Send(None)) => {
                // Whatever goes wrong here ends it.
                self.at.0.set(At::Ended);
                match &self.message {
                    Some(message) => self.send_on(message.bind(py)),
                    None => self.receive_on(py),
                }
            }
            (At::Fresh, Resume::Send(Some(_))) => {
                Err(PyTypeError::new_err("can't send non-None value to a just-started coroutine"))
            }
            (At::HandedOver, Resume::Send(_)) => self.end(py.None()),
            (At::Parted, Resume::Send(_)) => match (&self.message, self.run.bind(py).get().apart(py)) {
                (Some(message), Some(apart)) => self.wait(apart.call_method1(interned::send(py), (message,))?),
                _ => self.end(py.None()),
            },
            (At::Waiting | At::Receiving, resume) => match self.inner.resume(py, resume) {
                Ok(stepped) => self.waited(py, stepped),
                Err(_) => Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine")),
            },
            (At::Ended, Resume::Send(_)) => Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine")),
            (_, Resume::Throw(error)) => {
                self.at.0.set(At::Ended);
                Err(error)
            }
        }
    }

    fn end(&self, value: Py<PyAny>) -> PyResult<Driven> {
        self.at.0.set(At::Ended);
        Ok(Driven::Returned(value))
    }

    fn wait(&self, awaitable: Bound<'_, PyAny>) -> PyResult<Driven> {
        let py = awaitable.py();
        self.at.0.set(At::Waiting);
        let stepped = self.inner.begin(awaitable);
        self.waited(py, stepped)
    }

    fn waited(&self, py: Python<'_>, stepped: PyResult<Driven>) -> PyResult<Driven> {
        let value = match stepped {
            Ok(Driven::Yielded(value)) => return Ok(Driven::Yielded(value)),
            Ok(Driven::Returned(value)) => value,
            Err(error) => {
                self.at.0.set(At::Ended);
                return Err(error);
            }
        };
        if self.at.0.get() != At::Receiving {
            return self.end(value);
        }
        self.at.0.set(At::Ended);
        match self.received(value.bind(py))? {
            Some(message) => self.end(message.into_any().unbind()),
            // A piece of nothing, and more is to come.
            None => self.receive_directly(&self.run.bind(py).get().turn(py)?.get().request.bind(py).clone()),
        }
    }

    /// Hands a message to `dispatch`, at once or when it asks for it.
    fn send_on(&self, message: &Bound<'_, PyAny>) -> PyResult<Driven> {
        let py = message.py();
        let run = self.run.bind(py);
        let held = &run.get().held.0;
        if held.finished.get() {
            // Whoever sends in a loop must not keep others from telling it to stop.
            return self.wait(imports::checkpoint(py)?.call0()?);
        }
        if let Some(apart) = run.get().apart(py) {
            return self.wait(apart.call_method1(interned::send(py), (message,))?);
        }
        let kind = message.get_item(interned::r#type(py))?;
        if kind.eq(pyo3::intern!(py, "http.response.debug"))? {
            *held.info.borrow_mut() = Some(message.get_item(pyo3::intern!(py, "info"))?.unbind());
            return self.end(py.None());
        }
        let turn = run.get().turn(py)?;
        if kind.eq(pyo3::intern!(py, "http.response.early_hint"))? {
            return self.wait(turn.get().send.bind(py).call1((message,))?);
        }
        let Some(place) = turn.get().place() else {
            return Err(PyRuntimeError::new_err("forzium: a run without a place is apart; please report this"));
        };
        let is_start = held.start.borrow().is_none();
        let here = place.is_task_here(py)?;
        if is_start {
            if !kind.eq(interned::http_response_start(py))? {
                return Err(pyo3::exceptions::PyAssertionError::new_err(format!(
                    "expected 'http.response.start' first, but found {}",
                    kind.repr()?
                )));
            }
            let start = match message.cast::<PyDict>() {
                Ok(start) => start.clone(),
                // Any mapping is a message.
                Err(_) => py.get_type::<PyDict>().call1((message,))?.cast_into::<PyDict>()?,
            };
            let known = if here { known_length(&start)? } else { None };
            *held.start.borrow_mut() = Some(start.unbind());
            if let Some(length) = known {
                held.length.set(length);
                return self.end(py.None());
            }
        } else if here {
            match Part::read(&kind, message)? {
                Part::Last(mut chunk) => {
                    let almost = held.almost.borrow_mut().take();
                    if let Some(almost) = almost {
                        let nothing = chunk.cast::<PyBytes>().is_ok_and(|chunk| chunk.as_bytes().is_empty());
                        let before = almost.bind(py).get_item(interned::body(py))?;
                        if nothing {
                            chunk = before;
                        } else {
                            *held.almost.borrow_mut() = Some(almost);
                        }
                    }
                    if held.almost.borrow().is_none() {
                        *held.only_chunk.borrow_mut() = Some(chunk.unbind());
                        return self.hand_over(py, At::HandedOver);
                    }
                }
                // Everything is there, and most probably nothing but a last message of no bytes follows at once. If
                // something has to be waited for, it is passed on before that.
                Part::More(Some(body))
                    if held.almost.borrow().is_none()
                        && held.length.get().is_some_and(|length| length > 0)
                        && body
                            .cast::<PyBytes>()
                            .is_ok_and(|body| Some(body.as_bytes().len()) == held.length.get()) =>
                {
                    *held.almost.borrow_mut() = Some(message.clone().unbind());
                    return self.end(py.None());
                }
                Part::More(_) | Part::Other => {}
            }
        }
        let apart = run.get().part(py)?;
        if here && place.is_here(py)? {
            // This run goes on from here in a task of its own.
            return self.hand_over(py, if is_start { At::HandedOver } else { At::Parted });
        }
        super::move_dispatch(&turn, run)?;
        if is_start { self.end(py.None()) } else { self.wait(apart.call_method1(interned::send(py), (message,))?) }
    }

    fn hand_over(&self, py: Python<'_>, then: At) -> PyResult<Driven> {
        self.at.0.set(then);
        Ok(Driven::Yielded(self.run.clone_ref(py).into_any()))
    }

    /// Gives what the client sends, or a disconnect as soon as the response is out.
    fn receive_on(&self, py: Python<'_>) -> PyResult<Driven> {
        let run = self.run.bind(py);
        if run.get().held.0.finished.get() {
            return self.end(disconnect(py)?.into_any().unbind());
        }
        let turn = run.get().turn(py)?;
        let request = turn.get().request.bind(py);
        if !run.get().is_apart()
            && is_untouched(request)?
            && turn.get().place().map_or(Ok(false), |at| at.is_here(py))?
        {
            return self.receive_directly(request);
        }
        self.wait(imports::receive_apart(py)?.call1((run, request))?)
    }

    /// The same where nobody can end the response meanwhile and nothing of the body has been read: what
    /// `CachedRequest.wrapped_receive` does, without its generator.
    fn receive_directly(&self, request: &Bound<'_, PyAny>) -> PyResult<Driven> {
        let py = request.py();
        let receiving = request.getattr(pyo3::intern!(py, "_receive"))?.call0()?;
        self.at.0.set(At::Receiving);
        let stepped = self.inner.begin(receiving);
        self.waited(py, stepped)
    }

    /// What the rest gets for a message; none for a piece of nothing.
    fn received<'py>(&self, message: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let py = message.py();
        let turn = self.run.bind(py).get().turn(py)?;
        let request = turn.get().request.bind(py);
        let kind = message.get_item(interned::r#type(py))?;
        if kind.eq(interned::http_disconnect(py))? {
            request.setattr(pyo3::intern!(py, "_is_disconnected"), true)?;
            request.setattr(pyo3::intern!(py, "_passed_disconnect"), true)?;
            return disconnect(py).map(Some);
        }
        if !kind.eq(interned::http_request(py))? {
            return Err(PyRuntimeError::new_err(format!(
                "Expected ASGI message 'http.request' or 'http.disconnect', but got {} from receive().",
                kind.repr()?
            )));
        }
        let get = pyo3::intern!(py, "get");
        let more = message.call_method1(get, (interned::more_body(py), false))?.is_truthy()?;
        let piece = message.call_method1(get, (interned::body(py), PyBytes::new(py, b"")))?;
        if !more {
            request.setattr(pyo3::intern!(py, "_stream_consumed"), true)?;
            request.setattr(pyo3::intern!(py, "_passed_body"), true)?;
        } else if !piece.is_truthy()? {
            return Ok(None);
        }
        let passed = PyDict::new(py);
        passed.set_item(interned::r#type(py), interned::http_request(py))?;
        passed.set_item(interned::body(py), piece)?;
        passed.set_item(interned::more_body(py), more)?;
        Ok(Some(passed))
    }
}

fn disconnect(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let message = PyDict::new(py);
    message.set_item(interned::r#type(py), interned::http_disconnect(py))?;
    Ok(message)
}

/// Whether nothing of a request's body has been read, and nobody has replaced how that is done.
fn is_untouched(request: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = request.py();
    let own = request.getattr(pyo3::intern!(py, "__dict__"))?.cast_into::<PyDict>()?;
    for name in [
        pyo3::intern!(py, "_body"),
        pyo3::intern!(py, "_stream_consumed"),
        pyo3::intern!(py, "_is_disconnected"),
        pyo3::intern!(py, "_passed_disconnect"),
        pyo3::intern!(py, "_passed_body"),
        pyo3::intern!(py, "stream"),
        pyo3::intern!(py, "wrapped_receive"),
    ] {
        if own.contains(name)? {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Coroutine for Relay {
    fn resume(slf: &Bound<'_, Self>, value: Option<Py<PyAny>>) -> PyResult<Driven> {
        slf.get().step(slf.py(), Resume::Send(value))
    }
}

#[pymethods]
impl Relay {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(slf: &Bound<'_, Self>) -> PyResult<Option<Py<PyAny>>> {
        told_next(slf.py(), Self::resume(slf, None))
    }

    fn send(slf: &Bound<'_, Self>, value: Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        told(slf.py(), Self::resume(slf, (!value.is_none()).then(|| value.unbind())))
    }

    #[pyo3(signature = (typ, val=None, tb=None, /))]
    fn throw(
        &self,
        py: Python<'_>,
        typ: Bound<'_, PyAny>,
        val: Option<Bound<'_, PyAny>>,
        tb: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        told(py, self.step(py, Resume::Throw(thrown(&typ, val, tb)?)))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.at.0.set(At::Ended);
        self.inner.close(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.run)?;
        visit.call(&self.message)?;
        self.inner.traverse(&visit)
    }

    fn __clear__(&self) {
        self.inner.clear();
    }
}
