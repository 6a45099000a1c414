//! Reading: bytes to Python objects, without a tree in between.
//!
//! A recursive descent, not deeper than [`MAX_DEPTH`], that finds its way through the document and makes the objects;
//! sonic-rs converts what is no simple number, resolves escapes and checks UTF-8. Whatever either of them refuses, and
//! deeper nesting, is given to the standard library, which decides: it returns the value or raises the error that Python
//! programmers know.
//!
//! How far the document was read is handed from function to function ([`At`]): each step waits for the one before, and a
//! number that is written to memory and read back makes that wait longest.

use std::ptr::NonNull;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use pyo3::{ffi, intern};
use sonic_rs::parser::Parser;
use sonic_rs::reader::{self, Reader};
use sonic_rs::{JsonNumberTrait, Number};

use super::keys::{self, Entry};
use super::number::{self, Simple};
use super::object::{self, Values};
use super::scan::{self, At, Document, End};
use super::shapes::{self, Shape};
use super::turns::Turns;

/// Containers within each other that are read here. Where Python gives up depends on the depth of the caller's stack
/// (1,000 frames by default), so everything deeper is Python's to decide. Each takes some 200 bytes of the native stack.
const MAX_DEPTH: usize = 256;

/// Digits (and sign, point, exponent) of a number that sonic-rs converts. Its exponent saturates, and Python limits
/// the digits of an integer: longer ones are Python's.
const MAX_NUMBER: usize = 400;

/// The value that `json.loads(data)` gives.
///
/// # Errors
/// `json.JSONDecodeError`, `UnicodeDecodeError` or `RecursionError`, as the standard library raises them.
pub fn loads<'py>(data: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyAny>> {
    read_or_ask(Document::of_bytes(data), data.as_any())
}

/// As [`loads`], for text.
///
/// # Errors
/// As [`loads`].
pub(super) fn loads_text<'py>(data: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
    // A lone surrogate has no UTF-8 form: the standard library takes it as it is.
    match Document::of_text(data) {
        Some(document) => read_or_ask(document, data.as_any()),
        None => ask_python(data.as_any()),
    }
}

fn read_or_ask<'py>(document: Document<'_>, object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    match read(object.py(), document)? {
        Some(value) => Ok(value),
        None => ask_python(object),
    }
}

/// What the standard library answers.
#[cold]
pub(super) fn ask_python<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    py.import(intern!(py, "json"))?.getattr(intern!(py, "loads"))?.call1((object,))
}

/// The value, or `None` if Python has to decide.
fn read<'py>(py: Python<'py>, document: Document<'_>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let bytes = reader::Read::from(document.bytes());
    if bytes.check_utf8_final().is_err() {
        return Ok(None);
    }
    let mut reading = Reading {
        py,
        document,
        sonic: Parser::new(bytes),
        values: Values::new(),
        scratch: Vec::new(),
        turns: Turns::reading(),
        depth: 0,
        containers: 0,
    };
    match reading.document() {
        // SAFETY: `document` returns an owned reference to a live object; the GIL is held (`py`).
        Some(value) => Ok(Some(unsafe { Bound::from_owned_ptr(py, value.as_ptr()) })),
        None => PyErr::take(py).map_or(Ok(None), Err),
    }
}

/// A new reference, or `None`: refused, with a Python exception set if Python failed, without one if it has to decide.
type Made = Option<NonNull<ffi::PyObject>>;

/// As [`Made`], and the place behind what was read.
type Read = Option<(NonNull<ffi::PyObject>, At)>;

#[inline(always)]
fn made(object: *mut ffi::PyObject, at: At) -> Read {
    NonNull::new(object).map(|object| (object, at))
}

struct Reading<'py, 'de> {
    py: Python<'py>,
    /// Valid UTF-8. Every [`At`] in this file is a place in it, and not inside a character.
    document: Document<'de>,
    /// sonic-rs's parser on the same document; it is sent to where it is needed.
    sonic: Parser<reader::Read<'de>>,
    values: Values,
    scratch: Vec<u8>,
    turns: Turns,
    /// Containers that are open.
    depth: usize,
    /// Containers that were begun.
    containers: usize,
}

impl<'de> Reading<'_, 'de> {
    fn document(&mut self) -> Made {
        let (byte, at) = self.token(self.document.start());
        let (value, at) = self.value(byte, at, keys::root())?;
        let rest = self.rest(at);
        if scan::spaces(rest) == rest.len() {
            return Some(value);
        }
        // SAFETY: the GIL is held by `self.py`, and the reference is ours.
        unsafe { ffi::Py_DECREF(value.as_ptr()) };
        None
    }

    /// The document from `at` on.
    #[inline(always)]
    fn rest(&self, at: At) -> &'de [u8] {
        // SAFETY: nothing is read behind the zero at the document's end, so no place lies behind that.
        unsafe { self.document.from(at) }
    }

    /// The first byte from `at` on that is no white space, and the place behind it. A zero is at the end or no JSON: it
    /// must not be passed.
    #[inline(always)]
    fn token(&self, at: At) -> (u8, At) {
        // SAFETY: nothing reads on behind a zero, so `at` is at the zero at the document's end at most.
        let byte = unsafe { at.read() };
        if byte > b' ' { (byte, at.behind(1)) } else { self.token_after_space(byte, at) }
    }

    #[inline(never)]
    fn token_after_space(&self, byte: u8, at: At) -> (u8, At) {
        if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
            return (0, at);
        }
        // SAFETY: there is a byte at `at`, so behind it is the next, or the zero at the end.
        let next = unsafe { at.behind(1).read() };
        if next > b' ' {
            return (next, at.behind(2));
        }
        let at = at.behind(scan::spaces(self.rest(at)));
        // SAFETY: behind the spaces is the next byte, or the zero at the end, which is not passed.
        let byte = unsafe { at.read() };
        (byte, at.behind(usize::from(byte != 0)))
    }

    /// Reads the value that begins with `byte`, which stands before `at`; its object is read as those of `key` are.
    #[inline(always)]
    fn value(&mut self, byte: u8, at: At, key: *mut Entry) -> Read {
        match byte {
            b'"' => self.string(at),
            b'-' | b'0'..=b'9' => self.number(at.before(1)),
            b'{' => self.dict(at, key),
            b'[' => self.list(at, key),
            // SAFETY: the GIL is held by `self.py`.
            b't' => self.literal(at, b"rue", unsafe { ffi::Py_True() }),
            // SAFETY: the GIL is held by `self.py`.
            b'f' => self.literal(at, b"alse", unsafe { ffi::Py_False() }),
            // SAFETY: the GIL is held by `self.py`.
            b'n' => self.literal(at, b"ull", unsafe { ffi::Py_None() }),
            _ => None,
        }
    }

    #[inline(never)]
    fn list(&mut self, at: At, key: *mut Entry) -> Read {
        self.containers += 1;
        let (mut byte, mut at) = self.token(at);
        if byte == b']' {
            // SAFETY: the GIL is held by `self.py`.
            return made(unsafe { ffi::PyList_New(0) }, at);
        }
        self.deeper()?;
        let start = self.values.len();
        loop {
            let value;
            (value, at) = self.value(byte, at, key)?;
            self.values.push(value);
            self.turns.tick(self.py);
            (byte, at) = self.token(at);
            match byte {
                b',' => (byte, at) = self.token(at),
                b']' => break,
                _ => return None,
            }
        }
        self.depth -= 1;
        // SAFETY: the GIL is held by `self.py`; `start` was the number of values when the list was opened, and values
        // below an open container are never taken.
        made(unsafe { self.values.list(start) }, at)
    }

    #[inline(never)]
    fn dict(&mut self, at: At, parent: *mut Entry) -> Read {
        self.containers += 1;
        let before = self.containers;
        let (mut byte, mut at) = self.token(at);
        if byte == b'}' {
            // SAFETY: the GIL is held by `self.py`.
            return made(unsafe { ffi::PyDict_New() }, at);
        }
        self.deeper()?;
        let start = self.values.start();
        // SAFETY: the GIL is held by `self.py`.
        let shape = unsafe { shapes::expected(parent) };
        // While the keys are those that are expected, they are not collected.
        let mut guess = shape.as_deref();
        let mut expected = guess.map_or(&[][..], Shape::keys).iter();
        let mut key;
        let mut link = keys::first_in(parent);
        loop {
            if byte != b'"' {
                return None;
            }
            if let Some(next) = expected.as_slice().first()
                && next.text.begins(self.rest(at))
            {
                expected.next();
                (key, at) = (next.entry, at.behind(next.text.len()));
            } else {
                if let Some(shape) = guess.take() {
                    // SAFETY: the GIL is held by `self.py`; so many of the keys came.
                    unsafe { self.values.push_first(shape, shape.keys().len() - expected.len()) };
                    expected = [].iter();
                }
                (key, at) = self.key(at, link)?;
            }
            (byte, at) = self.token(at);
            let value;
            (value, at) = self.value(byte, at, key)?;
            self.values.push(value);
            self.turns.tick(self.py);
            (byte, at) = self.token(at);
            match byte {
                b',' => (byte, at) = self.token(at),
                b'}' => break,
                _ => return None,
            }
            link = keys::next_to(key);
        }
        self.depth -= 1;
        let holds_containers = self.containers != before;
        // SAFETY: the GIL is held by `self.py`; `start` was the number of keys and values when the dict was opened, and
        // those below an open container are never taken. Since then a value was put there for each key, and each key, or
        // the keys are as many of the guess.
        unsafe {
            if let Some(shape) = guess {
                if expected.len() == 0 {
                    let dict = self.values.shaped(start, shape, holds_containers);
                    if !dict.is_null() {
                        return made(dict, at);
                    }
                }
                self.values.push_first(shape, shape.keys().len() - expected.len());
            }
            made(self.values.dict(start, (key, parent), holds_containers, self.py, &mut self.turns), at)
        }
    }

    /// A container is opened.
    #[inline(always)]
    fn deeper(&mut self) -> Option<()> {
        self.depth += 1;
        (self.depth <= MAX_DEPTH).then_some(())
    }

    /// Reads the rest of a literal.
    #[inline(always)]
    fn literal<const N: usize>(&self, at: At, rest: &[u8; N], object: *mut ffi::PyObject) -> Read {
        if self.rest(at).first_chunk() != Some(rest) {
            return None;
        }
        // SAFETY: the GIL is held by `self.py`; the constants live as long as the interpreter.
        made(unsafe { ffi::Py_NewRef(object) }, at.behind(N))
    }

    /// Reads a key and the colon behind it, and puts the key with the others; its opening quote is read already.
    #[inline(always)]
    fn key(&mut self, at: At, link: *mut *mut Entry) -> Option<(*mut Entry, At)> {
        // SAFETY: the GIL is held by `self.py`; `link` is in the table of keys.
        if let Some((object, length, entry)) = unsafe { keys::guess(self.rest(at), link) } {
            self.values.push_key(object);
            return Some((entry, at.behind(length)));
        }
        self.new_key(at, link)
    }

    #[inline(never)]
    fn new_key(&mut self, at: At, link: *mut *mut Entry) -> Option<(*mut Entry, At)> {
        let text = self.rest(at);
        let (entry, at) = if let End::Ascii(length @ 1..=keys::LONGEST) = scan::string_end(text) {
            // SAFETY: the GIL is held by `self.py`; `link` is in the table of keys; the bytes are ASCII, without
            // escapes, and as many as allowed.
            let (object, entry) = unsafe { keys::find(&text[..length], link) };
            self.values.push_key(NonNull::new(object)?);
            (entry, at.behind(length + 1))
        } else {
            let (object, at) = self.string(at)?;
            self.values.push_key(object);
            (keys::root(), at)
        };
        let (colon, at) = self.token(at);
        (colon == b':').then_some((entry, at))
    }

    /// Reads a string whose opening quote is read already.
    #[inline(always)]
    fn string(&mut self, at: At) -> Read {
        let text = self.rest(at);
        match scan::string_end(text) {
            // SAFETY: the GIL is held by `self.py`; the bytes are ASCII.
            End::Ascii(length) => made(unsafe { object::ascii(&text[..length]) }, at.behind(length + 1)),
            End::Wide(length) => {
                // SAFETY: the GIL is held by `self.py`; the document is valid UTF-8, and a quote and the start of a
                // string are never inside a character.
                let text = unsafe { std::str::from_utf8_unchecked(&text[..length]) };
                // SAFETY: the GIL is held by `self.py`.
                let object = unsafe { object::wide(text, self.py, &mut self.turns) };
                made(object, at.behind(length + 1))
            }
            End::Other => self.escaped(at),
        }
    }

    /// A string with escapes (or without an end).
    #[inline(never)]
    fn escaped(&mut self, at: At) -> Read {
        self.sonic.read.set_index(self.document.index(at));
        let long = scan::is_long(self.rest(at));
        let (sonic, scratch) = (&mut self.sonic, &mut self.scratch);
        let text = if long {
            self.turns.away(self.py, || sonic.parse_str(scratch)).ok()?
        } else {
            sonic.parse_str(scratch).ok()?
        };
        // SAFETY: the GIL is held by `self.py`.
        let object = unsafe {
            if text.is_ascii() { object::ascii(text.as_bytes()) } else { object::wide(&text, self.py, &mut self.turns) }
        };
        made(object, self.document.start().behind(self.sonic.offset()))
    }

    #[inline(always)]
    fn number(&mut self, at: At) -> Read {
        // SAFETY: the document is alive, and a zero stands behind it.
        match unsafe { number::simple(at, self.document.end()) } {
            // SAFETY: the GIL is held by `self.py`.
            Some((Simple::Integer(value), at)) => made(unsafe { object::signed(value) }, at),
            // SAFETY: the GIL is held by `self.py`.
            Some((Simple::Float(value), at)) => made(unsafe { object::float(value) }, at),
            None => self.any_number(at),
        }
    }

    #[inline(never)]
    fn any_number(&mut self, at: At) -> Read {
        let start = self.document.index(at);
        let first = self.document.bytes()[start];
        self.sonic.read.set_index(start + 1);
        let Ok(parsed) = self.sonic.parse_number(first) else {
            return self.odd_number(start, first);
        };
        let end = self.sonic.offset();
        let behind = self.document.start().behind(end);
        let number = Number::from(parsed);
        if let Some(value) = number.as_u64() {
            // SAFETY: the GIL is held by `self.py`.
            return made(unsafe { object::unsigned(value) }, behind);
        }
        if let Some(value) = number.as_i64() {
            // SAFETY: the GIL is held by `self.py`.
            return made(unsafe { object::signed(value) }, behind);
        }
        let text = &self.document.bytes()[start..end];
        if text.len() > MAX_NUMBER || !text.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
            // A whole number beyond 64 bits, or `-0`, which Python reads as the integer 0.
            return self.odd_number(start, first);
        }
        let value = number.as_f64()?;
        // sonic-rs forgets the sign of zero.
        let value = if first == b'-' { -value.abs() } else { value };
        // SAFETY: the GIL is held by `self.py`.
        made(unsafe { object::float(value) }, behind)
    }

    /// A number that Python converts: beyond 64 bits, beyond the range of floats, very long.
    #[cold]
    fn odd_number(&mut self, start: usize, first: u8) -> Read {
        self.sonic.read.set_index(start + 1);
        let text = self.sonic.skip_number(first).ok()?;
        // SAFETY: the GIL is held by `self.py`.
        let value = unsafe { object::number(text) };
        if value.is_null() {
            // Python's own words for it (too many digits) come from the standard library.
            drop(PyErr::take(self.py));
        }
        made(value, self.document.start().behind(self.sonic.offset()))
    }
}
