//! Where code runs: in which task, and within which cancel scope opened there.
//!
//! anyio and trio have no question for the innermost scope, so that their own record of it is read. Where one of them
//! has changed inside, a place cannot be told, and everything does without.

use std::ptr;

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyWeakrefReference};

use super::drive::is_driven;
use crate::imports;

/// A task and the innermost cancel scope opened in it.
pub struct Place {
    task: Py<PyAny>,
    /// None: there is no scope. Scopes are compared by identity.
    scope: Option<Py<PyAny>>,
    pub is_trio: bool,
}

impl Place {
    /// The place of the code that asks; none where it cannot be told.
    pub fn here(py: Python<'_>) -> PyResult<Option<Self>> {
        if let Some(task) = asyncio_task(py)? {
            let Some(states) = anyio_states(py)? else { return Ok(None) };
            let state = match states.is_empty() {
                true => None,
                false => states.get_item(PyWeakrefReference::new(&task)?)?,
            };
            let scope = match state {
                None => None,
                Some(state) => match state.getattr_opt(pyo3::intern!(py, "cancel_scope"))? {
                    None => return Ok(None),
                    Some(scope) => (!scope.is_none()).then(|| scope.unbind()),
                },
            };
            return Ok(Some(Self { task: task.unbind(), scope, is_trio: false }));
        }
        let Some(task) = trio_task(py)? else { return Ok(None) };
        let scope = task.getattr_opt(pyo3::intern!(py, "_cancel_status"))?;
        Ok(scope.map(|scope| Self { task: task.unbind(), scope: Some(scope.unbind()), is_trio: true }))
    }

    /// Whether the code that asks is at this place.
    pub fn is_here(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(Self::here(py)?.is_some_and(|here| {
            here.task.is(&self.task)
                && match (&here.scope, &self.scope) {
                    (Some(here), Some(there)) => here.is(there),
                    (None, None) => true,
                    _ => false,
                }
        }))
    }

    /// Whether the code that asks runs in this task, whatever scopes are open.
    pub fn is_task_here(&self, py: Python<'_>) -> PyResult<bool> {
        let task = if self.is_trio { trio_task(py)? } else { asyncio_task(py)? };
        Ok(task.is_some_and(|task| task.is(&self.task)))
    }

    pub fn task<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.task.bind(py)
    }

    /// Task and scope, for tests and tools.
    pub fn into_pair(self, py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
        (self.task, self.scope).into_pyobject(py)
    }

    pub fn traverse(&self, visit: &pyo3::gc::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        visit.call(&self.task)?;
        visit.call(&self.scope)
    }
}

/// Whether it is certain that no cancel scope is open around the code that asks, and none will be while it runs.
///
/// So it is where a server runs a request in a task of asyncio's. What goes on in a coroutine that is driven may be moved
/// into another task, which has a scope.
pub fn is_outermost(py: Python<'_>) -> PyResult<bool> {
    if is_driven() {
        return Ok(false);
    }
    Ok(Place::here(py)?.is_some_and(|place| place.scope.is_none() && !place.is_trio))
}

/// Whether the code that asks runs in a task of asyncio's.
pub fn is_asyncio(py: Python<'_>) -> PyResult<bool> {
    Ok(asyncio_task(py)?.is_some())
}

/// How asyncio is asked for its current task.
struct Asyncio {
    running_loop: Py<PyAny>,
    current_task: Py<PyAny>,
    /// The table that answers; none in versions of Python that keep it elsewhere.
    current_tasks: Option<Py<PyDict>>,
}

/// None where it was not imported: under trio there is no need for it.
fn asyncio(py: Python<'_>) -> PyResult<Option<&Asyncio>> {
    static ASYNCIO: PyOnceLock<Asyncio> = PyOnceLock::new();
    if let Some(found) = ASYNCIO.get(py) {
        return Ok(Some(found));
    }
    let modules = imports::modules(py)?.cast::<PyDict>()?;
    let Some(asyncio) = modules.get_item("asyncio")? else { return Ok(None) };
    let Some(running_loop) = asyncio.getattr_opt("_get_running_loop")? else { return Ok(None) };
    let Some(current_task) = asyncio.getattr_opt("current_task")? else { return Ok(None) };
    let running = running_loop.call0()?;
    if running.is_none() {
        return Ok(None);
    }
    // The table is not part of asyncio's interface: it is believed where it names the very task that asyncio does.
    let tasks = asyncio.getattr("tasks")?.getattr_opt("_current_tasks")?.and_then(|tasks| tasks.cast_into().ok());
    let tasks = tasks.map(|tasks: Bound<'_, PyDict>| tasks.get_item(&running).map(|task| (tasks, task))).transpose()?;
    let task = current_task.call1((running,))?;
    let current_tasks = match tasks {
        Some((tasks, Some(known))) if known.is(&task) => Some(tasks.unbind()),
        _ => None,
    };
    let found = Asyncio { running_loop: running_loop.unbind(), current_task: current_task.unbind(), current_tasks };
    Ok(Some(ASYNCIO.get_or_init(py, || found)))
}

/// asyncio's current task; none under another loop.
fn asyncio_task(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    let Some(asyncio) = asyncio(py)? else { return Ok(None) };
    let Some(running) = asyncio_loop(py)? else { return Ok(None) };
    if let Some(tasks) = &asyncio.current_tasks
        && let Some(task) = entry_of(tasks.bind(py), &running)?
    {
        return Ok(Some(task));
    }
    let task = asyncio.current_task.bind(py).call1((running,))?;
    Ok((!task.is_none()).then_some(task))
}

/// asyncio's event loop that runs here; none under another loop.
pub fn asyncio_loop(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    let Some(asyncio) = asyncio(py)? else { return Ok(None) };
    let running = asyncio.running_loop.bind(py).call0()?;
    Ok((!running.is_none()).then_some(running))
}

/// asyncio's table of the current task of each loop, where this version of Python has one.
pub(super) fn current_tasks(py: Python<'_>) -> PyResult<Option<&Bound<'_, PyDict>>> {
    Ok(asyncio(py)?.and_then(|asyncio| asyncio.current_tasks.as_ref()).map(|tasks| tasks.bind(py)))
}

/// What the table has for an event loop. As a rule there is one loop, and so nothing to look for.
pub(super) fn entry_of<'py>(
    tasks: &Bound<'py, PyDict>,
    event_loop: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let (mut key, mut value, mut position) = (ptr::null_mut(), ptr::null_mut(), 0);
    // SAFETY: the table is live, and so are its first key and value, borrowed from it, while nothing else runs.
    unsafe {
        if ffi::PyDict_Next(tasks.as_ptr(), &mut position, &mut key, &mut value) != 0 && key == event_loop.as_ptr() {
            return Ok(Some(Bound::from_borrowed_ptr(tasks.py(), value)));
        }
    }
    tasks.get_item(event_loop)
}

/// What anyio knows of the scopes of asyncio's tasks: from weak references to tasks to states.
fn anyio_states(py: Python<'_>) -> PyResult<Option<&Bound<'_, PyDict>>> {
    static STATES: PyOnceLock<Option<Py<PyDict>>> = PyOnceLock::new();
    let states = STATES.get_or_try_init(py, || {
        let states = py.import("anyio._backends._asyncio")?.getattr_opt("_task_states")?;
        let states = states.map(|states| states.getattr_opt("data")).transpose()?.flatten();
        Ok::<_, PyErr>(states.and_then(|states| states.cast_into::<PyDict>().ok()).map(Bound::unbind))
    })?;
    Ok(states.as_ref().map(|states| states.bind(py)))
}

/// trio's current task; none under another loop.
fn trio_task(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    static CURRENT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let current = match CURRENT.get(py) {
        Some(current) => current,
        None => {
            let modules = imports::modules(py)?.cast::<PyDict>()?;
            let Some(lowlevel) = modules.get_item("trio.lowlevel")? else { return Ok(None) };
            let current = lowlevel.getattr("current_task")?;
            CURRENT.get_or_init(py, || current.unbind())
        }
    };
    match current.bind(py).call0() {
        Ok(task) => Ok(Some(task)),
        Err(error) if error.is_instance_of::<PyRuntimeError>(py) => Ok(None),
        Err(error) => Err(error),
    }
}
