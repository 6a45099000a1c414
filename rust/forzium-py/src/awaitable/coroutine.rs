//! What the methods of a coroutine (PEP 492) take and tell, the same for every class of this crate that is awaited.

use std::ffi::c_ulong;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use pyo3::exceptions::{PyBaseException, PyGeneratorExit, PyRuntimeError, PyStopIteration, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::type_object::PyTypeInfo;
use pyo3::types::{PyTraceback, PyTuple, PyType};

use super::panicked;
use super::wait::Driven;

/// A class whose instances are awaited, each being its own iterator.
///
/// No other class may be derived from it: see [`give_am_send`].
pub trait Coroutine: PyTypeInfo {
    /// Resumes with a value, as `coroutine.send` does; none is `None`.
    fn resume(slf: &Bound<'_, Self>, value: Option<Py<PyAny>>) -> PyResult<Driven>;

    /// `PyAsyncMethods.am_send`.
    ///
    /// # Safety
    /// It is called with the interpreter's lock held. `object` is an instance; it and `value`, unless that is null, are
    /// live for the call, and `result` is a place to write one pointer to.
    unsafe extern "C" fn am_send(
        object: *mut ffi::PyObject,
        value: *mut ffi::PyObject,
        result: *mut *mut ffi::PyObject,
    ) -> ffi::PySendResult {
        Python::attach(|py| {
            // SAFETY: the caller sees to it.
            let (object, value) = unsafe {
                let object = Bound::from_borrowed_ptr(py, object);
                (object.cast_into_unchecked::<Self>(), Bound::from_borrowed_ptr_or_opt(py, value))
            };
            let value = value.filter(|value| !value.is_none()).map(Bound::unbind);
            let driven = catch_unwind(AssertUnwindSafe(|| Self::resume(&object, value)));
            let (kind, given) = sent(py, driven.unwrap_or_else(|panic| Err(panicked(&*panic))));
            // SAFETY: the caller sees to it.
            unsafe { *result = given };
            kind
        })
    }
}

/// What a step came to, as `PyIter_Send` tells it: what it gives is owned, or null with an exception set.
pub type Sent = (ffi::PySendResult, *mut ffi::PyObject);

/// What a step came to, as `am_send` tells it.
pub fn sent(py: Python<'_>, driven: PyResult<Driven>) -> Sent {
    match driven {
        Ok(Driven::Returned(value)) => (ffi::PySendResult::PYGEN_RETURN, value.into_ptr()),
        Ok(Driven::Yielded(value)) => (ffi::PySendResult::PYGEN_NEXT, value.into_ptr()),
        Err(error) => {
            error.restore(py);
            (ffi::PySendResult::PYGEN_ERROR, ptr::null_mut())
        }
    }
}

/// Lets instances be resumed without the exception that says that an iterator has ended, which `__next__` and `send`
/// need. Called once for a class, when the module is made.
pub fn give_am_send<T: Coroutine>(py: Python<'_>) {
    const HAVE_AM_SEND: c_ulong = 1 << 21; // Py_TPFLAGS_HAVE_AM_SEND
    let class = T::type_object_raw(py);
    // SAFETY:
    // - It is a type of this module, complete, not shared with anybody yet and changed with the lock held. It cannot be
    //   subclassed, so that no other type has copied its slots.
    // - A type made from a specification has room for `PyAsyncMethods`, which `__await__` made CPython fill in.
    // - `PyObject_SelfIter` gives what `__await__` gives.
    unsafe {
        if let Some(slots) = (*class).tp_as_async.as_mut() {
            slots.am_send = Some(T::am_send);
            slots.am_await = Some(ffi::PyObject_SelfIter);
            (*class).tp_flags |= HAVE_AM_SEND;
        }
    }
}

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
