//! Writing what is not exactly one of the frequent builtin types: subclasses, and objects that hooks know.

use pyo3::exceptions::{PyRecursionError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyNotImplemented, PyString};
use pyo3::{ffi, intern};

use super::failed::{Failed, OrFailed};
use super::output::{Cursor, Written};
use super::report::Wrong;
use super::{MAX_DEPTH, Rules, Writing};

impl<'py> Writing<'_, '_, 'py> {
    /// A container deeper than the native stack is used for: the standard library writes it, or says what is wrong with
    /// it (a cycle, too deep).
    ///
    /// # Safety
    /// `object` is alive.
    #[cold]
    pub(super) unsafe fn deeper<const PLAIN: bool>(&mut self, cursor: Cursor, object: *mut ffi::PyObject) -> Written {
        let py = self.py;
        self.hold(MAX_DEPTH);
        if !PLAIN {
            return Err(self.too_deep());
        }
        let default = match self.rules {
            Rules::Plain { default, .. } | Rules::Pydantic { default } => default,
            Rules::Jsonable { .. } => None,
        };
        // SAFETY: `object` is alive (contract).
        let object = unsafe { Bound::from_borrowed_ptr(py, object) };
        let text = by_python(&object, default).or_failed(py)?;
        let text = text.cast_into::<PyString>().map_err(PyErr::from).or_failed(py)?;
        let text = match text.to_str() {
            Ok(text) => text,
            Err(error) => return self.surrogate(cursor, error, b','),
        };
        self.text(cursor, text.as_bytes())
    }

    /// Writes what is JSON text already.
    fn text(&mut self, cursor: Cursor, text: &[u8]) -> Written {
        let cursor = self.output.extend(cursor, text)?;
        self.output.constant(cursor, b",")
    }

    #[cold]
    pub(super) fn too_deep(&self) -> Failed {
        let message = "maximum recursion depth exceeded while encoding a JSON object";
        Failed::with(self.py, PyRecursionError::new_err(message))
    }

    /// Everything that is not exactly one of the frequent builtin types.
    ///
    /// # Safety
    /// `object` is alive.
    #[inline(never)]
    pub(super) unsafe fn other<const PLAIN: bool>(
        &mut self,
        cursor: Cursor,
        object: *mut ffi::PyObject,
        depth: usize,
    ) -> Written {
        // SAFETY: `object` is alive (contract), and held from here on; every branch is guarded by the matching type
        // check, and a list made here is held until it is written.
        unsafe {
            if ffi::PyTuple_CheckExact(object) != 0 {
                return self.tuple::<PLAIN>(cursor, object, depth);
            }
            let raw = object;
            let object = &Bound::from_borrowed_ptr(self.py, object);
            self.hold(depth);
            if let (Rules::Jsonable { encoder }, false) = (self.rules, PLAIN) {
                let encoded = encoder.call1((object,)).or_failed(self.py)?;
                if let Ok(text) = encoded.cast::<PyBytes>() {
                    return self.text(cursor, text.as_bytes());
                }
                return self.replaced(cursor, object, &encoded, depth);
            }
            if ffi::PyUnicode_Check(raw) != 0 {
                self.string(cursor, raw, b',', depth)
            } else if ffi::PyLong_Check(raw) != 0 {
                self.big_integer(cursor, raw, b',')
            } else if ffi::PyFloat_Check(raw) != 0 {
                self.float(cursor, ffi::PyFloat_AS_DOUBLE(raw), b',')
            } else if ffi::PyList_Check(raw) != 0 || ffi::PyTuple_Check(raw) != 0 {
                // The subclass may iterate as it likes.
                let list = Bound::from_owned_ptr_or_err(self.py, ffi::PySequence_List(raw)).or_failed(self.py)?;
                // `list` outlives the call, and with it what is entered at `depth`.
                self.list::<PLAIN>(cursor, list.as_ptr(), depth)
            } else if ffi::PyDict_Check(raw) != 0 {
                self.items::<PLAIN>(cursor, object, depth)
            } else {
                self.foreign(cursor, object, depth)
            }
        }
    }

    /// An object JSON has no form for.
    #[cold]
    pub(super) fn foreign(&mut self, cursor: Cursor, object: &Bound<'py, PyAny>, depth: usize) -> Written {
        let py = self.py;
        let (default, text) = match self.rules {
            Rules::Plain { default, foreign } => {
                (default, foreign.map(|foreign| foreign.call1((object,))).transpose().or_failed(py)?)
            }
            Rules::Pydantic { default } => (default, Some(by_pydantic(object, default.is_some()).or_failed(py)?)),
            Rules::Jsonable { .. } => (None, None),
        };
        if let Some(text) = text {
            if let Ok(text) = text.cast::<PyBytes>() {
                return self.text(cursor, text.as_bytes());
            }
            if !text.is_instance_of::<PyNotImplemented>() {
                return Err(Failed::with(py, PyTypeError::new_err("expected the serializer to return bytes")));
            }
        }
        if let Some(default) = default {
            let instead = default.call1((object,)).or_failed(py)?;
            return self.replaced(cursor, object, &instead, depth);
        }
        let name = object.get_type().name().or_failed(py)?.to_string_lossy().into_owned();
        Err(self.wrong(Wrong::Value(name)))
    }

    /// Writes `instead` in the place of `object`, which is remembered, so that hooks going in circles come to an end.
    #[cold]
    pub(super) fn replaced(
        &mut self,
        cursor: Cursor,
        object: &Bound<'py, PyAny>,
        instead: &Bound<'py, PyAny>,
        depth: usize,
    ) -> Written {
        if self.replaced.contains(&object.as_ptr()) {
            return Err(self.wrong(Wrong::Circular));
        }
        if depth >= MAX_DEPTH {
            return Err(self.too_deep());
        }
        self.enter(depth, object.as_ptr());
        self.replaced.push(object.as_ptr());
        // SAFETY: `instead` is held by its reference.
        let written = unsafe { self.value::<true>(cursor, instead.as_ptr(), depth + 1) };
        self.replaced.pop();
        self.leave(depth);
        written
    }
}

/// What the standard library writes.
#[cold]
fn by_python<'py>(object: &Bound<'py, PyAny>, default: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let options = PyDict::new(py);
    options.set_item(intern!(py, "ensure_ascii"), false)?;
    options.set_item(intern!(py, "allow_nan"), false)?;
    options.set_item(intern!(py, "separators"), (",", ":"))?;
    options.set_item(intern!(py, "default"), default)?;
    py.import(intern!(py, "json"))?.getattr(intern!(py, "dumps"))?.call((object,), Some(&options))
}

/// What `forzium.json` says to an object: JSON text as `bytes`, or `NotImplemented`.
#[cold]
fn by_pydantic<'py>(object: &Bound<'py, PyAny>, has_default: bool) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    py.import(intern!(py, "forzium.json"))?.getattr(intern!(py, "_by_pydantic"))?.call1((object, has_default))
}
