//! Reading: sonic-rs's parser drives, Python objects are made on the way.
//!
//! One loop with a stack of its own, so that no depth of nesting can exhaust the native stack. Whatever sonic-rs
//! refuses, and nesting beyond [`MAX_DEPTH`], is given to the standard library, which decides: it returns the value or
//! raises the error that Python programmers know.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::{ffi, intern};
use sonic_rs::parser::Parser;
use sonic_rs::reader::{Read, Reader};
use sonic_rs::{JsonNumberTrait, Number};

use super::object::{self, Values};
use super::turns::Turns;

/// Containers within each other that are read here. Where Python gives up depends on the depth of the caller's stack
/// (1,000 frames by default), so everything deeper is Python's to decide.
const MAX_DEPTH: usize = 256;

/// Digits (and sign, point, exponent) of a number that sonic-rs converts. Its exponent saturates, and Python limits
/// the digits of an integer: longer ones are Python's.
const MAX_NUMBER: usize = 400;

/// The value that `json.loads(data)` gives.
///
/// # Errors
/// `json.JSONDecodeError`, `UnicodeDecodeError` or `RecursionError`, as the standard library raises them.
pub fn loads(py: Python<'_>, data: &[u8]) -> PyResult<Py<PyAny>> {
    match parse(py, data)? {
        Some(value) => Ok(value.unbind()),
        None => Ok(ask_python(py, PyBytes::new(py, data).as_any())?.unbind()),
    }
}

/// As [`loads`], for an object whose text or bytes `data` is.
pub(super) fn loads_or_ask<'py>(py: Python<'py>, data: &[u8], object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    match parse(py, data)? {
        Some(value) => Ok(value),
        None => ask_python(py, object),
    }
}

/// What the standard library answers.
#[cold]
pub(super) fn ask_python<'py>(py: Python<'py>, object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    py.import(intern!(py, "json"))?.getattr(intern!(py, "loads"))?.call1((object,))
}

enum Refused {
    /// sonic-rs does not take it: Python decides.
    Syntax,
    /// A Python exception is set.
    Raised,
}

impl From<sonic_rs::Error> for Refused {
    fn from(_: sonic_rs::Error) -> Self {
        Self::Syntax
    }
}

#[derive(Clone, Copy)]
struct Frame {
    start: usize,
    is_dict: bool,
}

fn parse<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Option<Bound<'py, PyAny>>> {
    let mut reading = Reading {
        py,
        parser: Parser::new(Read::from(data)),
        values: Values::new(),
        scratch: Vec::new(),
        turns: Turns::new(),
    };
    match reading.document() {
        // SAFETY: `document` returns an owned reference to a live object; the GIL is held (`py`).
        Ok(value) => Ok(Some(unsafe { Bound::from_owned_ptr(py, value) })),
        Err(Refused::Syntax) => Ok(None),
        Err(Refused::Raised) => Err(PyErr::fetch(py)),
    }
}

struct Reading<'py, 'de> {
    py: Python<'py>,
    parser: Parser<Read<'de>>,
    values: Values,
    scratch: Vec<u8>,
    turns: Turns,
}

#[inline(always)]
fn made(object: *mut ffi::PyObject) -> Result<*mut ffi::PyObject, Refused> {
    if object.is_null() { Err(Refused::Raised) } else { Ok(object) }
}

impl Reading<'_, '_> {
    fn document(&mut self) -> Result<*mut ffi::PyObject, Refused> {
        let mut frames: Vec<Frame> = Vec::new();
        'value: loop {
            let mut value = match self.parser.skip_space().ok_or(Refused::Syntax)? {
                b'"' => self.string()?,
                first @ (b'-' | b'0'..=b'9') => self.number(first)?,
                b'{' => match self.parser.skip_space() {
                    // SAFETY: the GIL is held by `self.py`; nothing was pushed yet.
                    Some(b'}') => made(unsafe { ffi::PyDict_New() })?,
                    Some(b'"') => {
                        if frames.len() >= MAX_DEPTH {
                            return Err(Refused::Syntax);
                        }
                        frames.push(Frame { start: self.values.len(), is_dict: true });
                        self.key()?;
                        continue 'value;
                    }
                    _ => return Err(Refused::Syntax),
                },
                b'[' => match self.parser.skip_space_peek() {
                    Some(b']') => {
                        self.parser.read.eat(1);
                        // SAFETY: the GIL is held by `self.py`.
                        made(unsafe { ffi::PyList_New(0) })?
                    }
                    _ => {
                        if frames.len() >= MAX_DEPTH {
                            return Err(Refused::Syntax);
                        }
                        frames.push(Frame { start: self.values.len(), is_dict: false });
                        continue 'value;
                    }
                },
                // SAFETY: the GIL is held by `self.py`.
                b't' => unsafe {
                    self.parser.parse_literal("rue")?;
                    object::constant(ffi::Py_True())
                },
                // SAFETY: the GIL is held by `self.py`.
                b'f' => unsafe {
                    self.parser.parse_literal("alse")?;
                    object::constant(ffi::Py_False())
                },
                // SAFETY: the GIL is held by `self.py`.
                b'n' => unsafe {
                    self.parser.parse_literal("ull")?;
                    object::constant(ffi::Py_None())
                },
                _ => return Err(Refused::Syntax),
            };
            loop {
                self.values.push(value);
                self.turns.tick(self.py, 1);
                let Some(&frame) = frames.last() else {
                    if self.parser.skip_space().is_some() || self.parser.read.check_utf8_final().is_err() {
                        return Err(Refused::Syntax);
                    }
                    return self.values.pop().ok_or(Refused::Syntax);
                };
                match (self.parser.skip_space(), frame.is_dict) {
                    (Some(b','), false) => continue 'value,
                    (Some(b','), true) => {
                        if self.parser.skip_space() != Some(b'"') {
                            return Err(Refused::Syntax);
                        }
                        self.key()?;
                        continue 'value;
                    }
                    // SAFETY: the GIL is held by `self.py`; `start` was the length when the frame was pushed, and
                    // values below an open frame are never popped.
                    (Some(b']'), false) => value = made(unsafe { self.values.list(frame.start) })?,
                    // SAFETY: as above; since `start`, `key` and a value were pushed in turn.
                    (Some(b'}'), true) => value = made(unsafe { self.values.dict(frame.start) })?,
                    _ => return Err(Refused::Syntax),
                }
                frames.pop();
            }
        }
    }

    /// Reads a key and the colon after it; its opening quote is eaten already.
    #[inline(always)]
    fn key(&mut self) -> Result<(), Refused> {
        let key = self.string()?;
        self.values.push(key);
        if self.parser.skip_space() == Some(b':') { Ok(()) } else { Err(Refused::Syntax) }
    }

    #[inline(always)]
    fn string(&mut self) -> Result<*mut ffi::PyObject, Refused> {
        let text = self.parser.parse_str(&mut self.scratch)?;
        // SAFETY: the GIL is held by `self.py`.
        made(unsafe { object::string(&text) })
    }

    #[inline(always)]
    fn number(&mut self, first: u8) -> Result<*mut ffi::PyObject, Refused> {
        let start = self.parser.offset() - 1;
        let Ok(parsed) = self.parser.parse_number(first) else {
            return self.odd_number(start, first);
        };
        let number = Number::from(parsed);
        if let Some(value) = number.as_u64() {
            // SAFETY: the GIL is held by `self.py`.
            return made(unsafe { object::unsigned(value) });
        }
        if let Some(value) = number.as_i64() {
            // SAFETY: the GIL is held by `self.py`.
            return made(unsafe { object::signed(value) });
        }
        let text = self.parser.read.slice_unchecked(start, self.parser.offset());
        if text.len() > MAX_NUMBER || !text.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
            // A whole number beyond 64 bits, or `-0`, which Python reads as the integer 0.
            return self.odd_number(start, first);
        }
        let Some(value) = number.as_f64() else { return Err(Refused::Syntax) };
        // SAFETY: the GIL is held by `self.py`.
        made(unsafe { object::float(value) })
    }

    /// A number that Python converts: beyond 64 bits, beyond the range of floats, very long.
    #[cold]
    fn odd_number(&mut self, start: usize, first: u8) -> Result<*mut ffi::PyObject, Refused> {
        self.parser.read.set_index(start + 1);
        let text = self.parser.skip_number(first)?;
        // SAFETY: the GIL is held by `self.py`.
        let value = unsafe { object::number(text) };
        if value.is_null() {
            // Python's own words for it (too many digits) come from the standard library.
            drop(PyErr::take(self.py));
            return Err(Refused::Syntax);
        }
        Ok(value)
    }
}
