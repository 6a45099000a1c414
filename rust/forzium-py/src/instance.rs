//! Foundation: objects of classes written in Python, made without running Python code.

use std::ptr;

use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

/// An object of a class that a `class` statement made, whose `__init__` has not been called.
pub fn of<'py>(class: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyAny>> {
    let (py, kind) = (class.py(), class.as_type_ptr());
    // SAFETY: the type is live, and its slot, where it has one, takes the type, a tuple and null or a dict; it returns a new
    // reference, or null with an exception set.
    unsafe {
        match (*kind).tp_new {
            Some(new) => Bound::from_owned_ptr_or_err(py, new(kind, PyTuple::empty(py).as_ptr(), ptr::null_mut())),
            None => class.call0(),
        }
    }
}
