//! What the methods of a coroutine (PEP 492) take and tell, the same for every class of this crate that is awaited.

use pyo3::exceptions::{PyBaseException, PyGeneratorExit, PyRuntimeError, PyStopIteration, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyTraceback, PyTuple, PyType};

use super::wait::Driven;

/// What a step came to, as `send` and `throw` tell it: what was yielded.
///
/// Errors: `StopIteration` with the result; what the step raised.
pub fn told(py: Python<'_>, driven: PyResult<Driven>) -> PyResult<Py<PyAny>> {
    match driven? {
        Driven::Yielded(value) => Ok(value),
        Driven::Returned(value) => Err(stop_iteration(py, value)),
    }
}

/// The same, as `__next__` tells it: an end without a result takes no exception.
pub fn told_next(py: Python<'_>, driven: PyResult<Driven>) -> PyResult<Option<Py<PyAny>>> {
    match driven {
        Ok(Driven::Returned(value)) if value.is_none(py) => Ok(None),
        driven => told(py, driven).map(Some),
    }
}

/// The same of a step in which `GeneratorExit` was thrown, as `close` tells it.
///
/// Errors: `RuntimeError` where it did not end; what it raised instead.
pub fn told_close(py: Python<'_>, driven: PyResult<Driven>) -> PyResult<()> {
    match driven {
        Ok(Driven::Yielded(_)) => Err(PyRuntimeError::new_err("coroutine ignored GeneratorExit")),
        Ok(Driven::Returned(_)) => Ok(()),
        Err(error) if error.is_instance_of::<PyGeneratorExit>(py) || error.is_instance_of::<PyStopIteration>(py) => {
            Ok(())
        }
        Err(error) => Err(error),
    }
}

fn stop_iteration(py: Python<'_>, value: Py<PyAny>) -> PyErr {
    if value.is_none(py) { PyStopIteration::new_err(()) } else { PyStopIteration::new_err((value,)) }
}

/// The exception that `throw` is to raise, of its old forms `(type, value, traceback)`, too.
///
/// Errors: `TypeError` where it is none, and then nothing is thrown.
pub fn thrown(typ: &Bound<'_, PyAny>, val: Option<Bound<'_, PyAny>>, tb: Option<Bound<'_, PyAny>>) -> PyResult<PyErr> {
    let error = raised(typ, val)?;
    if let Some(tb) = tb {
        if !tb.is_instance_of::<PyTraceback>() {
            return Err(PyTypeError::new_err("throw() third argument must be a traceback object"));
        }
        error.value(typ.py()).setattr("__traceback__", tb)?;
    }
    Ok(error)
}

fn raised(typ: &Bound<'_, PyAny>, val: Option<Bound<'_, PyAny>>) -> PyResult<PyErr> {
    if typ.is_instance_of::<PyBaseException>() {
        return match val {
            None => Ok(PyErr::from_value(typ.clone())),
            Some(_) => Err(PyTypeError::new_err("instance exception may not have a separate value")),
        };
    }
    let class = typ.cast::<PyType>().ok().filter(|class| class.is_subclass_of::<PyBaseException>().unwrap_or(false));
    let Some(class) = class else {
        return Err(PyTypeError::new_err(format!(
            "exceptions must be classes or instances deriving from BaseException, not {}",
            typ.get_type().name()?
        )));
    };
    let value = match val {
        None => class.call0()?,
        Some(value) if value.is_instance(class)? => value,
        Some(value) => match value.cast_into::<PyTuple>() {
            Ok(arguments) => class.call1(arguments)?,
            Err(error) => class.call1((error.into_inner(),))?,
        },
    };
    Ok(PyErr::from_value(value))
}
