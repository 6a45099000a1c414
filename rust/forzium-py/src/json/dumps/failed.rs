//! The error of the hot paths: a Python exception is set.
//!
//! A `PyErr` is several words long, so a function that returns one returns through memory. Inside this module an error
//! is a mark without size; the exception itself waits in the interpreter, as in C.

use pyo3::prelude::*;

/// A Python exception is set in this thread.
#[derive(Debug)]
pub(super) struct Failed;

impl Failed {
    /// Sets `error`.
    #[cold]
    pub(super) fn with(py: Python<'_>, error: PyErr) -> Self {
        error.restore(py);
        Self
    }

    /// Takes the exception out again.
    #[cold]
    pub(super) fn take(self, py: Python<'_>) -> PyErr {
        PyErr::fetch(py)
    }
}

/// Sets the exception of a `PyResult`.
pub(super) trait OrFailed<T> {
    fn or_failed(self, py: Python<'_>) -> Result<T, Failed>;
}

impl<T> OrFailed<T> for PyResult<T> {
    #[inline]
    fn or_failed(self, py: Python<'_>) -> Result<T, Failed> {
        self.map_err(|error| Failed::with(py, error))
    }
}
