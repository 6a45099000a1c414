//! Foundation: FastAPI's `BackgroundTasks` as they are made and filled: both without running Python code, as long as
//! nobody has put a function of their own in the place of one of the package's. And the account that a request keeps of
//! those that are to run in any case (`background_always`), whatever becomes of the response.
//!
//! Not here: carrying tasks out (stage `send`).

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFunction, PyList, PyString, PyTuple, PyType};

use crate::method::{Given, Method};
use crate::unchanged::Unchanged;
use crate::{imports, instance, interned};

/// `forzium.BackgroundTasks`.
fn class(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    Ok(imports::background_tasks(py)?.cast::<PyType>()?)
}

/// Whether `BackgroundTasks` and `BackgroundTask` do what they were written to do.
pub fn are_as_written(py: Python<'_>) -> PyResult<bool> {
    static TASKS: Unchanged = Unchanged::new();
    // The former is derived from the latter.
    TASKS.holds(class(py)?, || imports::background_as_written(py)?.call0()?.is_truthy())
}

/// Whether an object is a `BackgroundTasks`, of no class derived from it.
pub fn is_tasks(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(object.get_type().is(class(object.py())?))
}

/// `BackgroundTasks()`.
pub fn none_yet(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let class = class(py)?;
    if !are_as_written(py)? {
        return class.call0();
    }
    let tasks = instance::of(class)?;
    tasks.setattr(pyo3::intern!(py, "tasks"), PyList::empty(py))?;
    Ok(tasks)
}

/// Whether an operation of this process has `background_always`.
static OWED: AtomicBool = AtomicBool::new(false);

/// Notes that one has.
#[pyfunction]
pub fn owe_background() {
    OWED.store(true, Ordering::Relaxed);
}

/// Gives a request a place for the tasks that it owes, if there may be any and no application around has done so already:
/// the outermost sees to them. Whether it has.
pub fn keep_account(scope: &Bound<'_, PyDict>) -> PyResult<bool> {
    if !OWED.load(Ordering::Relaxed) {
        return Ok(false);
    }
    begin_account(scope)
}

/// The same for what is known to owe them.
pub fn begin_account(scope: &Bound<'_, PyDict>) -> PyResult<bool> {
    let py = scope.py();
    let owed = interned::owed_tasks(py);
    if scope.contains(owed)? {
        return Ok(false);
    }
    scope.set_item(owed, PyList::empty(py))?;
    Ok(true)
}

/// Ends the account: all that is owed.
pub fn end_account<'py>(scope: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyAny>> {
    let owed = scope.as_any().get_item(interned::owed_tasks(scope.py()))?;
    scope.del_item(interned::owed_tasks(scope.py()))?;
    Ok(owed)
}

/// Makes the method of `BackgroundTasks` of the function that declares it.
#[pyfunction]
#[pyo3(signature = (function, /))]
pub fn add_task(function: Py<PyAny>) -> Method {
    Method::new(added, 0, function)
}

/// `tasks.add_task(func, *args, **kwargs)`.
fn added<'py>(_method: &Method, given: Given<'_, 'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = given.py;
    let [tasks, func, arguments @ ..] = given.positional else { return Ok(None) };
    if !is_tasks(tasks)? || !are_as_written(py)? {
        return Ok(None);
    }
    let options = PyDict::new(py);
    for (name, value) in given.keywords() {
        if let Ok("self" | "func") = name.cast::<PyString>()?.to_str() {
            return Ok(None); // given twice
        }
        options.set_item(name, value)?;
    }
    let row = tasks.getattr(pyo3::intern!(py, "tasks"))?;
    let task = instance::of(imports::background_task(py)?.cast::<PyType>()?)?;
    task.setattr(pyo3::intern!(py, "func"), func)?;
    task.setattr(pyo3::intern!(py, "args"), PyTuple::new(py, arguments)?)?;
    task.setattr(pyo3::intern!(py, "kwargs"), options)?;
    task.setattr(pyo3::intern!(py, "is_async"), is_async(func)?)?;
    match row.cast_exact::<PyList>() {
        Ok(row) => row.append(task)?,
        Err(_) => row.call_method1(pyo3::intern!(py, "append"), (task,)).map(drop)?,
    }
    Ok(Some(py.None().into_bound(py)))
}

/// What `is_async_callable` says: of a function, as its code does.
fn is_async<'py>(func: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    const COROUTINE: u32 = 0x80; // inspect.CO_COROUTINE
    let py = func.py();
    if func.is_exact_instance_of::<PyFunction>() {
        // SAFETY: it is a function, as was just found; the code of one is borrowed from it.
        let code = unsafe { Bound::from_borrowed_ptr(py, ffi::PyFunction_GetCode(func.as_ptr())) };
        if code.getattr(pyo3::intern!(py, "co_flags"))?.extract::<u32>()? & COROUTINE != 0 {
            return Ok(PyBool::new(py, true).to_owned().into_any());
        }
    }
    imports::is_async_callable(py)?.call1((func,))
}
