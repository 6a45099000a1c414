//! What `iter_text` and its like give: the interface of an asynchronous generator (PEP 525), without one.

use std::cell::Cell;

use pyo3::PyTraverseError;
use pyo3::exceptions::{PyRuntimeError, PyStopAsyncIteration, PyTypeError};
use pyo3::gc::PyVisit;
use pyo3::prelude::*;

use super::Socket;
use super::exchange::Exchange;
use super::what::What;
use crate::awaitable::{Driven, Shared, thrown};
use crate::imports;

/// How far an iteration has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Fresh,
    Between,
    Running,
    Over,
}

/// An iteration over what the client sends, until it leaves.
#[pyclass(module = "forzium._forzium", frozen, immutable_type, weakref)]
pub struct Frames {
    socket: Py<Socket>,
    what: What,
    stage: Shared<Cell<Stage>>,
}

impl Frames {
    pub fn new(socket: Py<Socket>, what: What) -> Self {
        Self { socket, what, stage: Shared(Cell::new(Stage::Fresh)) }
    }

    fn call<'py>(
        slf: &Bound<'py, Self>,
        what: What,
        first: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, Exchange>> {
        let socket = slf.get().socket.bind(slf.py()).clone();
        Exchange::begun(socket, what, first, None, Some(slf.clone()))
    }

    /// Begins a step.
    ///
    /// Errors: `RuntimeError` where another one is under way, `StopAsyncIteration` where there is none to come.
    pub fn enter(&self, what: What) -> PyResult<()> {
        match self.stage.0.get() {
            Stage::Running => {
                let name = if what == What::Leave { "aclose" } else { "anext" };
                Err(PyRuntimeError::new_err(format!("{name}(): asynchronous generator is already running")))
            }
            Stage::Over if what != What::Leave => Err(PyStopAsyncIteration::new_err(())),
            _ => {
                self.stage.0.set(Stage::Running);
                Ok(())
            }
        }
    }

    /// Ends a step. That the client has left ends the iteration, and so does any error.
    pub fn left(&self, py: Python<'_>, what: What, driven: PyResult<Driven>) -> PyResult<Driven> {
        let over = what == What::Leave || driven.is_err();
        self.stage.0.set(if over { Stage::Over } else { Stage::Between });
        match driven {
            Err(error) if error.value(py).is_instance(imports::websocket_disconnect(py)?)? => {
                Err(PyStopAsyncIteration::new_err(()))
            }
            driven => driven,
        }
    }
}

#[pymethods]
impl Frames {
    fn __aiter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __anext__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Exchange>> {
        Self::call(slf, slf.get().what, None)
    }

    /// Goes on, as `__anext__` does: nothing is made of the value.
    fn asend<'py>(slf: &Bound<'py, Self>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, Exchange>> {
        if !value.is_none() && slf.get().stage.0.get() == Stage::Fresh {
            return Err(PyTypeError::new_err("can't send non-None value to a just-started async generator"));
        }
        Self::call(slf, slf.get().what, None)
    }

    /// Ends the iteration by an exception, which is raised.
    #[pyo3(signature = (typ, val=None, tb=None, /))]
    fn athrow<'py>(
        slf: &Bound<'py, Self>,
        typ: Bound<'py, PyAny>,
        val: Option<Bound<'py, PyAny>>,
        tb: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, Exchange>> {
        let error = thrown(&typ, val, tb)?.into_value(slf.py()).into_bound(slf.py());
        Self::call(slf, What::Leave, Some(error.into_any()))
    }

    /// Ends the iteration.
    fn aclose<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Exchange>> {
        Self::call(slf, What::Leave, None)
    }

    /// Whether a step is under way.
    #[getter]
    fn ag_running(&self) -> bool {
        self.stage.0.get() == Stage::Running
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.socket)
    }
}
