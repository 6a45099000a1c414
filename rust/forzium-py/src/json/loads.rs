//! Reading: bytes to Python objects, without a tree in between.
//!
//! One loop with a stack of its own, so that no depth of nesting can exhaust the native stack. It finds its way through
//! the document and makes the objects; sonic-rs converts numbers, resolves escapes and checks UTF-8. Whatever either of
//! them refuses, and nesting beyond [`MAX_DEPTH`], is given to the standard library, which decides: it returns the value
//! or raises the error that Python programmers know.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::{ffi, intern};
use sonic_rs::parser::Parser;
use sonic_rs::reader::{Read, Reader};
use sonic_rs::{JsonNumberTrait, Number};

use super::keys::{self, After, Place};
use super::object::{self, Values};
use super::scan::{self, End};
use super::turns::Turns;

/// Containers within each other that are read here. Where Python gives up depends on the depth of the caller's stack
/// (1,000 frames by default), so everything deeper is Python's to decide.
const MAX_DEPTH: usize = 256;

/// Digits (and sign, point, exponent) of a number that sonic-rs converts. Its exponent saturates, and Python limits
/// the digits of an integer: longer ones are Python's.
const MAX_NUMBER: usize = 400;

/// Digits of an integer that is read without sonic-rs: they fit into 63 bits.
const MOST_DIGITS: usize = 18;

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
pub(super) fn loads_or_ask<'py>(
    py: Python<'py>,
    data: &[u8],
    object: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
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
    /// Not for us: Python decides.
    Syntax,
    /// A Python exception is set.
    Raised,
}

impl From<sonic_rs::Error> for Refused {
    fn from(_: sonic_rs::Error) -> Self {
        Self::Syntax
    }
}

type Made = Result<*mut ffi::PyObject, Refused>;

#[inline(always)]
fn made(object: *mut ffi::PyObject) -> Made {
    if object.is_null() { Err(Refused::Raised) } else { Ok(object) }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Nothing,
    List,
    Dict,
}

/// A container that is open.
#[derive(Clone, Copy)]
struct Open {
    inside: Inside,
    /// How many values there were before its own.
    start: usize,
    /// The key that was read last in it, or (a list) that it stands under.
    key: Place,
}

fn parse<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Option<Bound<'py, PyAny>>> {
    let read = Read::from(data);
    if read.check_utf8_final().is_err() {
        return Ok(None);
    }
    let mut reading = Reading {
        py,
        data,
        at: 0,
        sonic: Parser::new(read),
        values: Values::new(),
        scratch: Vec::new(),
        turns: Turns::reading(),
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
    /// The document: valid UTF-8.
    data: &'de [u8],
    /// How many bytes of it were read; never inside a character.
    at: usize,
    /// sonic-rs's parser on the same document; it is sent to where it is needed.
    sonic: Parser<Read<'de>>,
    values: Values,
    scratch: Vec<u8>,
    turns: Turns,
}

impl Reading<'_, '_> {
    fn document(&mut self) -> Made {
        let mut parents: Vec<Open> = Vec::new();
        let mut open = Open { inside: Inside::Nothing, start: 0, key: keys::ROOT };
        let mut token = self.token();
        'value: loop {
            let mut value = match token {
                b'"' => self.string()?,
                b'-' | b'0'..=b'9' => self.number(token)?,
                b'{' => match self.token() {
                    // SAFETY: the GIL is held by `self.py`.
                    b'}' => made(unsafe { ffi::PyDict_New() })?,
                    b'"' => {
                        if parents.len() >= MAX_DEPTH {
                            return Err(Refused::Syntax);
                        }
                        parents.push(open);
                        let key = self.key(After::Parent(open.key))?;
                        open = Open { inside: Inside::Dict, start: self.values.len() - 1, key };
                        token = self.token();
                        continue 'value;
                    }
                    _ => return Err(Refused::Syntax),
                },
                b'[' => match self.token() {
                    // SAFETY: the GIL is held by `self.py`.
                    b']' => made(unsafe { ffi::PyList_New(0) })?,
                    first => {
                        if parents.len() >= MAX_DEPTH {
                            return Err(Refused::Syntax);
                        }
                        parents.push(open);
                        open = Open { inside: Inside::List, start: self.values.len(), key: open.key };
                        token = first;
                        continue 'value;
                    }
                },
                // SAFETY: the GIL is held by `self.py`.
                b't' => self.literal(b"rue", unsafe { ffi::Py_True() })?,
                // SAFETY: the GIL is held by `self.py`.
                b'f' => self.literal(b"alse", unsafe { ffi::Py_False() })?,
                // SAFETY: the GIL is held by `self.py`.
                b'n' => self.literal(b"ull", unsafe { ffi::Py_None() })?,
                _ => return Err(Refused::Syntax),
            };
            loop {
                self.turns.tick(self.py);
                match open.inside {
                    Inside::List => {
                        self.values.push(value);
                        match self.token() {
                            b',' => {
                                token = self.token();
                                continue 'value;
                            }
                            // SAFETY: the GIL is held by `self.py`; `start` was the length when the list was opened,
                            // and values below an open container are never taken.
                            b']' => value = made(unsafe { self.values.list(open.start) })?,
                            _ => return Err(Refused::Syntax),
                        }
                    }
                    Inside::Dict => {
                        self.values.push(value);
                        match self.token() {
                            b',' => {
                                if self.token() != b'"' {
                                    return Err(Refused::Syntax);
                                }
                                open.key = self.key(After::Key(open.key))?;
                                token = self.token();
                                continue 'value;
                            }
                            // SAFETY: as above; since `start`, a key and a value were pushed in turn.
                            b'}' => value = made(unsafe { self.values.dict(open.start, self.py, &mut self.turns) })?,
                            _ => return Err(Refused::Syntax),
                        }
                    }
                    Inside::Nothing => {
                        self.at += scan::spaces(&self.data[self.at..]);
                        if self.at == self.data.len() {
                            return Ok(value);
                        }
                        // SAFETY: the GIL is held by `self.py`, and the reference is ours.
                        unsafe { ffi::Py_DECREF(value) };
                        return Err(Refused::Syntax);
                    }
                }
                // A container was closed.
                match parents.pop() {
                    Some(parent) => open = parent,
                    None => return Err(Refused::Syntax),
                }
            }
        }
    }

    /// Eats white space and the byte after it; 0 at the end, which begins nothing.
    #[inline(always)]
    fn token(&mut self) -> u8 {
        let Some(&byte) = self.data.get(self.at) else { return 0 };
        self.at += 1;
        if byte > b' ' { byte } else { self.token_after(byte) }
    }

    #[inline]
    fn token_after(&mut self, byte: u8) -> u8 {
        if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
            return 0;
        }
        if let Some(&byte) = self.data.get(self.at)
            && byte > b' '
        {
            self.at += 1;
            return byte;
        }
        self.at += scan::spaces(&self.data[self.at..]);
        let Some(&byte) = self.data.get(self.at) else { return 0 };
        self.at += 1;
        byte
    }

    /// Reads the rest of a literal.
    #[inline(always)]
    fn literal(&mut self, rest: &[u8], object: *mut ffi::PyObject) -> Made {
        if !self.data[self.at..].starts_with(rest) {
            return Err(Refused::Syntax);
        }
        self.at += rest.len();
        // SAFETY: the GIL is held by `self.py`; the constants live as long as the interpreter.
        Ok(unsafe { ffi::Py_NewRef(object) })
    }

    /// Reads a key and the colon after it, and puts the key with the values; its opening quote is eaten already.
    #[inline(always)]
    fn key(&mut self, after: After) -> Result<Place, Refused> {
        let text = &self.data[self.at..];
        // SAFETY: the GIL is held by `self.py`.
        let place = if let Some((key, length, place)) = unsafe { keys::guess(text, after) } {
            self.values.push(key);
            self.at += length + 1;
            place
        } else {
            self.new_key(after)?
        };
        if self.token() == b':' { Ok(place) } else { Err(Refused::Syntax) }
    }

    fn new_key(&mut self, after: After) -> Result<Place, Refused> {
        let text = &self.data[self.at..];
        if let End::Ascii(length @ 1..=keys::LONGEST) = scan::string_end(text) {
            // SAFETY: the GIL is held by `self.py`; the bytes are ASCII, without escapes, and as many as allowed.
            let (key, place) = unsafe { keys::find(&text[..length], after) };
            self.values.push(made(key)?);
            self.at += length + 1;
            return Ok(place);
        }
        let key = self.string()?;
        self.values.push(key);
        Ok(keys::ROOT)
    }

    /// Reads a string whose opening quote is eaten already.
    #[inline(always)]
    fn string(&mut self) -> Made {
        let text = &self.data[self.at..];
        match scan::string_end(text) {
            End::Ascii(length) => {
                self.at += length + 1;
                // SAFETY: the GIL is held by `self.py`; the bytes are ASCII.
                made(unsafe { object::ascii(&text[..length]) })
            }
            End::Wide(length) => {
                self.at += length + 1;
                // SAFETY: the GIL is held by `self.py`; the document is valid UTF-8, and a quote and the start of a
                // string are never inside a character.
                made(unsafe { object::wide(std::str::from_utf8_unchecked(&text[..length])) })
            }
            End::Other => self.escaped(),
        }
    }

    /// A string with escapes (or without an end).
    #[inline(never)]
    fn escaped(&mut self) -> Made {
        self.sonic.read.set_index(self.at);
        let text = self.sonic.parse_str(&mut self.scratch)?;
        // SAFETY: the GIL is held by `self.py`.
        let object = unsafe { if text.is_ascii() { object::ascii(text.as_bytes()) } else { object::wide(&text) } };
        self.at = self.sonic.offset();
        made(object)
    }

    #[inline(always)]
    fn number(&mut self, first: u8) -> Made {
        let start = self.at - 1;
        // Most integers have a few digits; what is not plainly one of them is sonic-rs's.
        let mut end = self.at;
        let mut value = i64::from(first.wrapping_sub(b'0'));
        if first != b'-' && first != b'0' {
            while end - start < MOST_DIGITS
                && let Some(digit @ 0..=9) = self.data.get(end).map(|byte| byte.wrapping_sub(b'0'))
            {
                value = value * 10 + i64::from(digit);
                end += 1;
            }
            if !matches!(self.data.get(end), Some(b'0'..=b'9' | b'.' | b'e' | b'E')) {
                self.at = end;
                // SAFETY: the GIL is held by `self.py`.
                return made(unsafe { object::signed(value) });
            }
        }
        self.sonic.read.set_index(self.at);
        let Ok(parsed) = self.sonic.parse_number(first) else {
            return self.odd_number(start, first);
        };
        self.at = self.sonic.offset();
        let number = Number::from(parsed);
        if let Some(value) = number.as_u64() {
            // SAFETY: the GIL is held by `self.py`.
            return made(unsafe { object::unsigned(value) });
        }
        if let Some(value) = number.as_i64() {
            // SAFETY: the GIL is held by `self.py`.
            return made(unsafe { object::signed(value) });
        }
        let text = &self.data[start..self.at];
        if text.len() > MAX_NUMBER || !text.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
            // A whole number beyond 64 bits, or `-0`, which Python reads as the integer 0.
            return self.odd_number(start, first);
        }
        let Some(value) = number.as_f64() else { return Err(Refused::Syntax) };
        // sonic-rs forgets the sign of zero.
        let value = if first == b'-' { -value.abs() } else { value };
        // SAFETY: the GIL is held by `self.py`.
        made(unsafe { object::float(value) })
    }

    /// A number that Python converts: beyond 64 bits, beyond the range of floats, very long.
    #[cold]
    fn odd_number(&mut self, start: usize, first: u8) -> Made {
        self.sonic.read.set_index(start + 1);
        let text = self.sonic.skip_number(first)?;
        self.at = self.sonic.offset();
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
