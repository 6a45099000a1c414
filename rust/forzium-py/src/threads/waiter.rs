//! What a task waits for while a worker thread makes its call: a future that costs little.
//!
//! `asyncio.Task` takes whatever has the interface of a future. An `asyncio.Future` schedules a callback of the event loop
//! for each task that it wakes; many calls are reported at once from a callback that runs anyway, and this one lets the
//! tasks go on from there.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::awaitable::Entered;
use crate::imports;

/// A future without a result, with as much of the interface as `asyncio.Task` uses.
#[pyclass(module = "forzium._forzium", frozen, weakref)]
pub struct Waiter {
    event_loop: Py<PyAny>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Set while it is passed up to a task: it is awaited, not merely yielded.
    blocking: bool,
    /// Who is told, and in which context.
    callbacks: Vec<(Py<PyAny>, Option<Py<PyAny>>)>,
    end: Option<End>,
}

enum End {
    Done,
    Cancelled(Option<Py<PyAny>>),
}

impl Waiter {
    pub fn new(event_loop: Py<PyAny>) -> Self {
        Self { event_loop, state: Mutex::new(State { blocking: true, ..State::default() }) }
    }

    /// The state. Nothing of Python runs while it is locked.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes it ready to be passed up, again.
    pub fn block(&self) {
        self.state().blocking = true;
    }

    /// Ends it, and lets those who wait go on before this returns. In a callback of the event loop.
    ///
    /// Errors: what a callback raises; of `asyncio.Task`, what ends the event loop.
    pub fn release(slf: &Bound<'_, Self>) -> PyResult<()> {
        let callbacks = {
            let mut state = slf.get().state();
            if state.end.is_some() {
                return Ok(());
            }
            state.end = Some(End::Done);
            std::mem::take(&mut state.callbacks)
        };
        let mut ended = Ok(());
        for (callback, context) in callbacks {
            let called = match context {
                Some(context) => call_inside(context.bind(slf.py()), callback.bind(slf.py()), slf),
                None => callback.call1(slf.py(), (slf,)).map(drop),
            };
            ended = ended.and(called);
        }
        ended
    }

    fn schedule(slf: &Bound<'_, Self>, callback: &Py<PyAny>, context: Option<&Py<PyAny>>) -> PyResult<()> {
        let py = slf.py();
        let options = PyDict::new(py);
        if let Some(context) = context {
            options.set_item(pyo3::intern!(py, "context"), context)?;
        }
        let call_soon = pyo3::intern!(py, "call_soon");
        slf.get().event_loop.bind(py).call_method(call_soon, (callback, slf), Some(&options)).map(drop)
    }
}

/// `context.run(callback, waiter)`.
fn call_inside(context: &Bound<'_, PyAny>, callback: &Bound<'_, PyAny>, waiter: &Bound<'_, Waiter>) -> PyResult<()> {
    let _entered = Entered::enter(context.clone())?;
    callback.call1((waiter,)).map(drop)
}

#[pymethods]
impl Waiter {
    #[getter(_asyncio_future_blocking)]
    fn blocking(&self) -> bool {
        self.state().blocking
    }

    #[setter(_asyncio_future_blocking)]
    fn set_blocking(&self, value: bool) {
        self.state().blocking = value;
    }

    fn get_loop(&self, py: Python<'_>) -> Py<PyAny> {
        self.event_loop.clone_ref(py)
    }

    /// Has a function called with this future when it ends.
    #[pyo3(signature = (callback, /, *, context=None))]
    fn add_done_callback(slf: &Bound<'_, Self>, callback: Py<PyAny>, context: Option<Py<PyAny>>) -> PyResult<()> {
        {
            let mut state = slf.get().state();
            if state.end.is_none() {
                state.callbacks.push((callback, context));
                return Ok(());
            }
        }
        Self::schedule(slf, &callback, context.as_ref())
    }

    /// Takes a function back; how often it was there.
    fn remove_done_callback(&self, py: Python<'_>, callback: &Bound<'_, PyAny>) -> PyResult<usize> {
        let callbacks = std::mem::take(&mut self.state().callbacks);
        let before = callbacks.len();
        let mut kept = Vec::with_capacity(before);
        for (known, context) in callbacks {
            if !known.bind(py).eq(callback)? {
                kept.push((known, context));
            }
        }
        let removed = before - kept.len();
        self.state().callbacks.splice(0..0, kept);
        Ok(removed)
    }

    /// Gives the wait up. False: it has ended.
    #[pyo3(signature = (msg=None))]
    fn cancel(slf: &Bound<'_, Self>, msg: Option<Py<PyAny>>) -> PyResult<bool> {
        let callbacks = {
            let mut state = slf.get().state();
            if state.end.is_some() {
                return Ok(false);
            }
            state.end = Some(End::Cancelled(msg));
            std::mem::take(&mut state.callbacks)
        };
        for (callback, context) in callbacks {
            Self::schedule(slf, &callback, context.as_ref())?;
        }
        Ok(true)
    }

    fn cancelled(&self) -> bool {
        matches!(self.state().end, Some(End::Cancelled(_)))
    }

    fn done(&self) -> bool {
        self.state().end.is_some()
    }

    /// None.
    ///
    /// Raises:
    ///     asyncio.CancelledError: It was cancelled.
    ///     asyncio.InvalidStateError: It has not ended.
    fn result(&self, py: Python<'_>) -> PyResult<()> {
        let message = match &self.state().end {
            Some(End::Done) => return Ok(()),
            Some(End::Cancelled(message)) => message.as_ref().map(|message| message.clone_ref(py)),
            None => return Err(PyErr::from_value(imports::invalid_state(py)?.call1(("Result is not set.",))?)),
        };
        let cancelled = imports::cancelled_error(py)?;
        Err(PyErr::from_value(match message {
            Some(message) => cancelled.call1((message,))?,
            None => cancelled.call0()?,
        }))
    }

    /// None, as it has no result either.
    ///
    /// Raises:
    ///     As `result`.
    fn exception(&self, py: Python<'_>) -> PyResult<()> {
        self.result(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.event_loop)?;
        // One that is locked at this moment is in use by running code: what it holds is reachable from there.
        let Ok(state) = self.state.try_lock() else { return Ok(()) };
        for (callback, context) in &state.callbacks {
            visit.call(callback)?;
            visit.call(context)?;
        }
        match &state.end {
            Some(End::Cancelled(message)) => visit.call(message),
            Some(End::Done) | None => Ok(()),
        }
    }

    fn __clear__(&self) {
        let callbacks = self.state.try_lock().ok().map(|mut state| std::mem::take(&mut state.callbacks));
        // Dropped here, after the lock is free again: a destructor may run Python code.
        drop(callbacks);
    }
}
