//! What a task waits for while a worker thread makes its call: a future of asyncio's that need not end.
//!
//! A future that ends has the event loop call back each task that waits for it, by a handle a task. Many calls are
//! reported at once from a callback that runs anyway: a task that waits alone is taken off its future there, and goes on
//! before the next. Its future has not ended, and the next call is waited for by it.
//!
//! Whoever else may wait for it, and in whatever way, sees it end as every future does.

use pyo3::PyTraverseError;
use pyo3::ffi;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCFunction, PyList, PyTuple};

use super::crew::Crew;
use crate::awaitable::Entered;
use crate::{imports, interned};

/// How many futures are kept: as many calls as wait at a time without a new one for each. One takes some 200 bytes.
const MOST_SPARE: usize = 128;

/// The futures of an event loop that calls can be waited for by.
#[derive(Default)]
pub struct Futures {
    /// Pending, and known to nobody else.
    spare: Vec<Py<PyAny>>,
    /// One that has ended, which tasks are woken by.
    ended: Option<Py<PyAny>>,
}

impl Futures {
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.ended)?;
        self.spare.iter().try_for_each(|future| visit.call(future))
    }
}

/// A future that is pending.
pub fn pending<'py>(py: Python<'py>, crew: &Crew) -> PyResult<Bound<'py, PyAny>> {
    let spare = crew.state().futures.spare.pop();
    match spare {
        Some(spare) => Ok(spare.into_bound(py)),
        None => made(py, crew),
    }
}

fn made<'py>(py: Python<'py>, crew: &Crew) -> PyResult<Bound<'py, PyAny>> {
    crew.event_loop(py)?.call_method0(interned::create_future(py))
}

/// Marks a future as awaited, which a task asks of what is yielded to it.
pub fn block(future: &Bound<'_, PyAny>) -> PyResult<()> {
    future.setattr(interned::asyncio_future_blocking(future.py()), true)
}

/// Lets those who wait for a future go on: a task before this returns. In a callback of the event loop.
///
/// Errors: what ends the event loop.
pub fn release(crew: &Crew, future: Bound<'_, PyAny>) -> PyResult<()> {
    let py = future.py();
    let Some(Waiting { task, wake, context }) = only_task(&future)? else { return end(&future) };
    let ended = ended(py, crew)?;
    future.call_method1(interned::remove_done_callback(py), (&wake,))?;
    forget(&future, task)?;
    let woken = {
        let _entered = Entered::enter(context)?;
        wake.call1((ended,)).map(drop)
    };
    // SAFETY: reads the count of references to a live object.
    let known_here_alone = unsafe { ffi::Py_REFCNT(future.as_ptr()) } == 1;
    if !known_here_alone {
        end(&future)?;
    } else if !is_done(&future)? {
        let mut state = crew.state();
        if state.event_loop.is_some() && state.futures.spare.len() < MOST_SPARE {
            state.futures.spare.push(future.unbind());
        }
    }
    woken
}

/// Ends a future as every future ends, unless it has.
fn end(future: &Bound<'_, PyAny>) -> PyResult<()> {
    if is_done(future)? {
        return Ok(());
    }
    let py = future.py();
    future.call_method1(interned::set_result(py), (py.None(),)).map(drop)
}

fn is_done(future: &Bound<'_, PyAny>) -> PyResult<bool> {
    future.call_method0(interned::done(future.py()))?.is_truthy()
}

/// A task that waits for a future.
struct Waiting<'py> {
    task: Bound<'py, PyAny>,
    /// What lets it go on, called with a future that has ended, and in which context.
    wake: Bound<'py, PyAny>,
    context: Bound<'py, PyAny>,
}

/// The one task that waits for a future. None: it is not exactly one, or not a task.
fn only_task<'py>(future: &Bound<'py, PyAny>) -> PyResult<Option<Waiting<'py>>> {
    let py = future.py();
    // Part of no interface, but the same in every version of asyncio.
    let Some(callbacks) = future.getattr_opt(interned::callbacks(py))? else { return Ok(None) };
    let Ok(callbacks) = callbacks.cast_into_exact::<PyList>() else { return Ok(None) };
    if callbacks.len() != 1 {
        return Ok(None);
    }
    let Ok(pair) = callbacks.get_item(0)?.cast_into_exact::<PyTuple>() else { return Ok(None) };
    let (wake, context) = pair.extract::<(Bound<'py, PyAny>, Bound<'py, PyAny>)>()?;
    let Some(task) = wake.cast::<PyCFunction>().ok().and_then(bound_to) else { return Ok(None) };
    let is_task = task.is_instance(imports::task(py)?)?;
    Ok(is_task.then_some(Waiting { task, wake, context }))
}

/// Has a future forget the task that it names as waiting for it: Python 3.14 notes that, and looks at the future that a
/// task is woken by to take it back.
fn forget(future: &Bound<'_, PyAny>, task: Bound<'_, PyAny>) -> PyResult<()> {
    static DISCARD: PyOnceLock<Option<Py<PyAny>>> = PyOnceLock::new();
    let py = future.py();
    let discard = DISCARD.get_or_try_init(py, || {
        let discard = py.import("asyncio")?.getattr_opt("future_discard_from_awaited_by")?;
        Ok::<_, PyErr>(discard.map(Bound::unbind))
    })?;
    match discard {
        Some(discard) => discard.bind(py).call1((future, task)).map(drop),
        None => Ok(()),
    }
}

/// What a built-in method is bound to.
fn bound_to<'py>(method: &Bound<'py, PyCFunction>) -> Option<Bound<'py, PyAny>> {
    // SAFETY: takes a live function implemented in C, as its type says, and returns a borrowed reference or null; the
    // method keeps the object alive until the reference is taken.
    unsafe { Bound::from_borrowed_ptr_or_opt(method.py(), ffi::PyCFunction_GetSelf(method.as_ptr())) }
}

/// A future that has ended with None.
fn ended<'py>(py: Python<'py>, crew: &Crew) -> PyResult<Bound<'py, PyAny>> {
    let known = crew.state().futures.ended.as_ref().map(|ended| ended.bind(py).clone());
    if let Some(ended) = known {
        return Ok(ended);
    }
    let ended = made(py, crew)?;
    end(&ended)?;
    crew.state().futures.ended = Some(ended.clone().unbind());
    Ok(ended)
}
