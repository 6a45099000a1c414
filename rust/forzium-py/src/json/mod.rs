//! JSON: bytes to Python objects and back.
//!
//! Foundation layer: nothing here knows a request. [`loads`] is held to `json.loads` and [`dumps`] to
//! `json.dumps(obj, ensure_ascii=False, allow_nan=False, separators=(",", ":"))`, errors included; what a *response* is
//! made of (models, dataclasses, dates) is decided by the caller through [`Rules`], never here.
//!
//! Not for: streaming, pretty printing, validation.

mod dumps;
mod entries;
mod integer;
mod keys;
mod loads;
mod number;
mod object;
mod outline;
mod room;
mod scan;
mod shapes;
mod turns;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyByteArray, PyBytes, PyMemoryView, PyString};

pub use dumps::{Rules, dumps, dumps_into, dumps_outlined, dumps_text_in};
pub use loads::loads;
pub use outline::Outline;

/// Return the value of a JSON text: what `json.loads(data)` returns. See `forzium.json`.
#[pyfunction]
#[pyo3(name = "loads", signature = (data, /))]
pub fn loads_py<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = data.py();
    if let Ok(bytes) = data.cast_exact::<PyBytes>() {
        return loads(bytes);
    }
    if let Ok(text) = data.cast::<PyString>() {
        return loads::loads_text(text);
    }
    if data.is_instance_of::<PyBytes>() || data.is_instance_of::<PyByteArray>() || data.is_instance_of::<PyMemoryView>()
    {
        // Somebody else may write to the buffer while this thread lets others run: read a copy.
        // SAFETY: the GIL is held (`py`), `data` is alive; the call returns a new object or null with an exception set.
        let copy = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyBytes_FromObject(data.as_ptr()))? };
        return loads(&copy.cast_into::<PyBytes>()?);
    }
    loads::ask_python(data)
}

/// Return `obj` as JSON text in UTF-8, without spaces. See `forzium.json`.
#[pyfunction]
#[pyo3(name = "dumps", signature = (obj, /, *, default=None))]
pub fn dumps_py<'py>(obj: &Bound<'py, PyAny>, default: Option<&Bound<'py, PyAny>>) -> PyResult<Py<PyBytes>> {
    dumps(obj.py(), obj, Rules::Pydantic { default })
}
