//! Foundation: calling with keyword arguments whose names are known beforehand.

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// Calls with keyword arguments given in the order of their names.
pub fn invoke<'py>(
    call: &Bound<'py, PyAny>,
    arguments: &[Bound<'py, PyAny>],
    names: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    if arguments.is_empty() {
        return call.call0();
    }
    if arguments.len() != names.len() {
        return Err(PyRuntimeError::new_err("forzium: a callable has as many arguments as names; please report this"));
    }
    // SAFETY:
    // - `Bound` is a transparent wrapper of a non-null object pointer, so the slice is an array of live objects, borrowed
    //   for the length of the call.
    // - All are keyword arguments: none is positional, and there is one for each name in the tuple, as checked above.
    unsafe {
        let result = ffi::PyObject_Vectorcall(call.as_ptr(), arguments.as_ptr().cast(), 0, names.as_ptr());
        Bound::from_owned_ptr_or_err(call.py(), result)
    }
}
