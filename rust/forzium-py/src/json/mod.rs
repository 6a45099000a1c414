//! JSON: bytes to Python objects and back.
//!
//! Foundation layer: nothing here knows a request. [`loads`] is held to `json.loads` and [`dumps`] to
//! `json.dumps(obj, ensure_ascii=False, allow_nan=False, separators=(",", ":"))`, errors included; what a *response* is
//! made of (models, dataclasses, dates) is decided by the caller through [`Rules`], never here.
//!
//! Not for: streaming, pretty printing, validation.

mod dumps;
mod loads;
mod object;
mod output;
mod turns;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyByteArray, PyBytes, PyMemoryView, PyString};

pub use dumps::{Rules, dumps, dumps_into};
pub use loads::loads;

/// `forzium._forzium.loads(data, /)`: the value that `json.loads` gives for `data`.
#[pyfunction]
#[pyo3(name = "loads", signature = (data, /))]
pub fn loads_py<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = data.py();
    if let Ok(bytes) = data.cast_exact::<PyBytes>() {
        return loads::loads_or_ask(py, bytes.as_bytes(), data);
    }
    if let Ok(text) = data.cast::<PyString>() {
        // A lone surrogate has no UTF-8 form: the standard library takes it as it is.
        return match text.to_str() {
            Ok(utf8) => loads::loads_or_ask(py, utf8.as_bytes(), data),
            Err(_) => loads::ask_python(py, data),
        };
    }
    if data.is_instance_of::<PyBytes>() || data.is_instance_of::<PyByteArray>() || data.is_instance_of::<PyMemoryView>() {
        // Somebody else may write to the buffer while this thread lets others run: read a copy.
        // SAFETY: the GIL is held (`py`), `data` is alive; the call returns a new object or null with an exception set.
        let copy = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyBytes_FromObject(data.as_ptr()))? };
        let copy = copy.cast_into::<PyBytes>()?;
        return loads::loads_or_ask(py, copy.as_bytes(), copy.as_any());
    }
    loads::ask_python(py, data)
}

/// `forzium._forzium.dumps(obj, /, default=None, foreign=None)`: `obj` as the JSON text that is sent.
///
/// `foreign(obj)` is asked first for what JSON has no form for and returns its JSON text as `bytes` or
/// `NotImplemented`; `default(obj)` is `json.dumps`'s hook.
#[pyfunction]
#[pyo3(name = "dumps", signature = (obj, /, default=None, foreign=None))]
pub fn dumps_py(
    obj: &Bound<'_, PyAny>,
    default: Option<&Bound<'_, PyAny>>,
    foreign: Option<&Bound<'_, PyAny>>,
) -> PyResult<Py<PyBytes>> {
    dumps::dumps(obj.py(), obj, Rules::Plain { default, foreign })
}
