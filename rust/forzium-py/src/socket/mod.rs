//! What Python calls: a WebSocket's `receive` and `send` and what is built on them.
//!
//! [`Socket`] is the base of `forzium.websockets.WebSocket`: the host's two callables and how far each side has come.
//! What stands in that class for a coroutine function gives, when it is called, an [`Exchange`], which is awaited,
//! or [`Frames`], which are iterated over.
//! The loop of a WebSocket endpoint is a handful of Python steps a message, so that each coroutine it would otherwise
//! make counts: here one object is made, and it drives the host's awaitable itself.
//!
//! Not here: routing, dependencies and clean-up of a WebSocket endpoint (`websocket`), nor the classes of exceptions and
//! states, which are Python's (`forzium.websockets`).
//!
//! Source: Starlette's `websockets`; ASGI WebSocket specification 2.5.

mod exchange;
mod frames;
mod method;
mod state;
mod what;

use std::cell::{Cell, RefCell};

use pyo3::PyTraverseError;
use pyo3::exceptions::PyAttributeError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::awaitable::{self, Shared};

pub use exchange::Exchange;
pub use frames::Frames;
pub use method::native;
use state::State;
use what::Seen;

/// Fills in the slots of the types that `#[pyclass]` has no word for. Called once, when the module is made.
pub fn set_up(py: Python<'_>) {
    awaitable::give_am_send::<Exchange>(py);
}

/// The base of a WebSocket: the host's callables, and the two states.
#[pyclass(module = "forzium._forzium", subclass, dict, weakref, frozen)]
pub struct Socket {
    receive: Shared<RefCell<Option<Py<PyAny>>>>,
    send: Shared<RefCell<Option<Py<PyAny>>>>,
    /// What the client did.
    client: Shared<Cell<State>>,
    /// What the application did.
    application: Shared<Cell<State>>,
    /// Which of the methods are replaced, as far as it was looked at.
    seen: Shared<Cell<Seen>>,
    /// A call that has ended, to be used again.
    spare: Shared<Cell<Option<Py<Exchange>>>>,
}

impl Socket {
    fn held<'py>(py: Python<'py>, cell: &RefCell<Option<Py<PyAny>>>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        match cell.borrow().as_ref() {
            Some(object) => Ok(object.bind(py).clone()),
            None => Err(PyAttributeError::new_err(format!("'WebSocket' object has no attribute '{name}'"))),
        }
    }

    /// The host's `receive`, if it is set.
    #[inline]
    fn receive_at_hand<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        Some(self.receive.0.try_borrow().ok()?.as_ref()?.bind(py).clone())
    }

    /// The host's `send`, if it is set.
    #[inline]
    fn send_at_hand<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        Some(self.send.0.try_borrow().ok()?.as_ref()?.bind(py).clone())
    }
}

#[pymethods]
impl Socket {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self {
            receive: Shared(RefCell::new(None)),
            send: Shared(RefCell::new(None)),
            client: Shared(Cell::new(State::Connecting)),
            application: Shared(Cell::new(State::Connecting)),
            seen: Shared(Cell::default()),
            spare: Shared(Cell::new(None)),
        }
    }

    /// The host's `receive`.
    #[getter(_receive)]
    fn host_receive<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Self::held(py, &self.receive.0, "_receive")
    }

    #[setter(_receive)]
    fn set_host_receive(&self, value: Py<PyAny>) {
        let before = self.receive.0.replace(Some(value));
        drop(before);
    }

    /// The host's `send`.
    #[getter(_send)]
    fn host_send<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Self::held(py, &self.send.0, "_send")
    }

    #[setter(_send)]
    fn set_host_send(&self, value: Py<PyAny>) {
        let before = self.send.0.replace(Some(value));
        drop(before);
    }

    /// How far the client has come.
    #[getter]
    fn client_state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.client.0.get().member(py)
    }

    #[setter]
    fn set_client_state(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.client.0.set(State::of(value)?);
        Ok(())
    }

    /// How far the application has come.
    #[getter]
    fn application_state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.application.0.get().member(py)
    }

    #[setter]
    fn set_application_state(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.application.0.set(State::of(value)?);
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        for cell in [&self.receive.0, &self.send.0] {
            if let Ok(held) = cell.try_borrow() {
                visit.call(&*held)?;
            }
        }
        Ok(())
    }

    fn __clear__(&self) {
        for cell in [&self.receive.0, &self.send.0] {
            let held = cell.try_borrow_mut().ok().and_then(|mut held| held.take());
            drop(held);
        }
    }
}
