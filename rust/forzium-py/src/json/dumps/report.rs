//! What `dumps` says when it cannot write a value: Python's types of errors, with the path to the value.

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyUnicodeEncodeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::Writing;
use super::failed::Failed;

/// Bytes after which a path is cut: nesting can be deep, and a message is for reading.
const LONGEST_PATH: usize = 1000;

/// What is wrong with a value. The message is made when the path to it is known: on the way up, each container adds the
/// step that led to it.
pub(super) enum Wrong {
    NotFinite(f64),
    /// Python's own error.
    Surrogate(PyErr),
    /// The name of a type that JSON has no form for.
    Value(String),
    /// The name of a type that a key cannot have.
    Key(String),
    /// A list or dictionary that another thread changed.
    Changed(&'static str),
    Circular,
}

/// A message in the making.
pub(super) struct Report {
    pub(super) wrong: Wrong,
    /// The steps from the value outwards.
    pub(super) steps: Vec<String>,
}

impl Report {
    /// The exception this is about.
    #[cold]
    pub(super) fn into_error(self, py: Python<'_>) -> PyErr {
        let Self { wrong, steps } = self;
        let mut path = String::from("$");
        for step in steps.iter().rev() {
            if path.len() > LONGEST_PATH {
                path.push('…');
                break;
            }
            path.push_str(step);
        }
        match wrong {
            Wrong::NotFinite(value) => {
                let name = match (value.is_nan(), value > 0.0) {
                    (true, _) => "nan",
                    (false, true) => "inf",
                    (false, false) => "-inf",
                };
                PyValueError::new_err(format!("Out of range float values are not JSON compliant: {name} (at {path})"))
            }
            Wrong::Value(name) => {
                PyTypeError::new_err(format!("Object of type {name} is not JSON serializable (at {path})"))
            }
            Wrong::Key(name) => {
                PyTypeError::new_err(format!("keys must be str, int, float, bool or None, not {name} (in {path})"))
            }
            Wrong::Changed(what) => {
                PyRuntimeError::new_err(format!("{what} changed size during iteration (at {path})"))
            }
            Wrong::Circular => PyValueError::new_err(format!("Circular reference detected (at {path})")),
            Wrong::Surrogate(error) => {
                let value = error.value(py);
                if value.is_instance_of::<PyUnicodeEncodeError>()
                    && let Ok(reason) = value.getattr("reason")
                {
                    // The error stays good without its path.
                    let _ = value.setattr("reason", format!("{reason} (at {path})"));
                }
                error
            }
        }
    }
}

impl<'py> Writing<'_, '_, 'py> {
    /// Begins a report.
    #[cold]
    #[inline(never)]
    pub(super) fn wrong(&mut self, wrong: Wrong) -> Failed {
        self.report = Some(Report { wrong, steps: Vec::new() });
        Failed
    }

    #[cold]
    #[inline(never)]
    pub(super) fn at_index(&mut self, index: ffi::Py_ssize_t, failed: Failed) -> Failed {
        if let Some(report) = &mut self.report {
            report.steps.push(format!("[{index}]"));
        }
        failed
    }

    /// # Safety
    /// `dict` is a live dict, entered at `depth`.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn at_entry(
        &mut self,
        dict: *mut ffi::PyObject,
        depth: usize,
        wanted: ffi::Py_ssize_t,
        failed: Failed,
    ) -> Failed {
        if self.report.is_none() {
            return failed;
        }
        self.hold(depth + 1);
        let (mut position, mut key, mut value) = (0, std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: the dict is alive (contract); a reference is taken to the borrowed key before anything else can run.
        let key = unsafe {
            loop {
                if ffi::PyDict_Next(dict, &raw mut position, &raw mut key, &raw mut value) == 0 {
                    break None;
                }
                if position >= wanted {
                    break Some(Bound::from_borrowed_ptr(self.py, key));
                }
            }
        };
        self.at_key(key.as_ref(), failed)
    }

    #[cold]
    #[inline(never)]
    pub(super) fn at_key(&mut self, key: Option<&Bound<'py, PyAny>>, failed: Failed) -> Failed {
        if let Some(report) = &mut self.report {
            // A key that cannot be one is named by its type; the path is that of its dict.
            if !(report.steps.is_empty() && matches!(report.wrong, Wrong::Key(_))) {
                report.steps.push(key.map_or_else(|| String::from("[?]"), step));
            } else {
                report.steps.push(String::new());
            }
        }
        failed
    }

    /// Turns a report into the exception it is about.
    #[cold]
    pub(super) fn explained(&mut self, failed: Failed) -> Failed {
        match self.report.take() {
            Some(report) => Failed::with(self.py, report.into_error(self.py)),
            None => failed,
        }
    }
}

/// A key as a step of a path: `.name` or `['any other']`.
fn step(key: &Bound<'_, PyAny>) -> String {
    if let Ok(text) = key.cast_exact::<PyString>() {
        let text = text.to_string_lossy();
        let plain = text.chars().all(|c| c.is_alphanumeric() || c == '_');
        if plain && !text.is_empty() && text.len() <= 64 {
            return format!(".{text}");
        }
    }
    let shown = key.repr().map_or_else(|_| String::from("?"), |repr| repr.to_string_lossy().into_owned());
    format!("[{}]", shown.chars().take(64).collect::<String>())
}
