//! Foundation: FastAPI's `HTTPException`, made and read without running Python code and without looking for what its class
//! has not, as long as nobody has put anything of their own into it.
//!
//! Not here: what becomes of one (protocol `failure`).

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyType};

use crate::method::{Given, Method};
use crate::unchanged::Unchanged;
use crate::{imports, interned};

/// The attributes of an object of just the class `HTTPException`, where they are all that it has to say; else none.
fn attributes<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyDict>>> {
    static CLASS: Unchanged = Unchanged::new();
    let py = object.py();
    let class = imports::fastapi_http_exception(py)?.cast::<PyType>()?;
    if !object.get_type().is(class)
        || !CLASS.holds(class, || imports::http_exception_as_written(py)?.call0()?.is_truthy())?
    {
        return Ok(None);
    }
    // SAFETY: the object is live, and an exception, which has a `__dict__` where its type says; the function returns a new
    // reference, or null with an exception set.
    let attributes = unsafe {
        Bound::from_owned_ptr_or_err(py, ffi::PyObject_GenericGetDict(object.as_ptr(), std::ptr::null_mut()))?
    };
    Ok(attributes.cast_into_exact::<PyDict>().ok())
}

/// Reads an attribute of an `HTTPException` of any class.
pub struct Reader<'a, 'py> {
    exception: &'a Bound<'py, PyAny>,
    attributes: Option<Bound<'py, PyDict>>,
}

impl<'a, 'py> Reader<'a, 'py> {
    pub fn new(exception: &'a Bound<'py, PyAny>) -> PyResult<Self> {
        Ok(Self { exception, attributes: attributes(exception)? })
    }

    pub fn read(&self, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        if let Some(attributes) = &self.attributes
            && let Some(value) = attributes.get_item(name)?
        {
            return Ok(value);
        }
        self.exception.getattr(name)
    }
}

/// Makes the `__init__` of `HTTPException` of the function that declares it.
#[pyfunction]
#[pyo3(signature = (function, /))]
pub fn http_exception_init(function: Py<PyAny>) -> Method {
    Method::new(init, 0, function)
}

/// `exception.__init__(status_code, detail, headers=None)`; without a detail the function finds the phrase.
fn init<'py>(_method: &Method, given: Given<'_, 'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = given.py;
    let Some((exception, positional)) = given.positional.split_first() else { return Ok(None) };
    let names = [interned::status_code(py), interned::detail(py), interned::headers(py)];
    let mut values = [None; 3];
    if positional.len() > values.len() {
        return Ok(None);
    }
    for (value, object) in values.iter_mut().zip(positional) {
        *value = Some(object);
    }
    for (name, object) in given.keywords() {
        // Names in calls are interned.
        let at = names.iter().position(|known| known.is(&name));
        match at.and_then(|at| values.get_mut(at)) {
            Some(value) if value.is_none() => *value = Some(object),
            _ => return Ok(None),
        }
    }
    let [Some(status), Some(detail), headers] = values else { return Ok(None) };
    if detail.is_none() {
        return Ok(None);
    }
    let Some(attributes) = attributes(exception)? else { return Ok(None) };
    let none = py.None().into_bound(py);
    for (name, value) in names.into_iter().zip([status, detail, headers.unwrap_or(&none)]) {
        attributes.set_item(name, value)?;
    }
    Ok(Some(none))
}
