//! Writing strings, numbers and keys.

use std::ffi::c_int;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyString};

use super::super::integer;
use super::escape::Text;
use super::failed::OrFailed;
use super::output::{Cursor, Written};
use super::report::Wrong;
use super::{Writing, escape, float};

/// Bytes of a string from which on it is written in pieces, and of a piece.
const LONG: usize = 1 << 18;

/// Characters of a string that is certain to be written in one piece.
pub(super) const SHORT: ffi::Py_ssize_t = (LONG / 4) as ffi::Py_ssize_t;

impl<'py> Writing<'_, '_, 'py> {
    /// # Safety
    /// `object` is a live `str`.
    #[inline(always)]
    pub(super) unsafe fn string(
        &mut self,
        cursor: Cursor,
        object: *mut ffi::PyObject,
        after: u8,
        depth: usize,
    ) -> Written {
        // SAFETY: `object` is a live `str` (contract); its characters or its UTF-8 form live as long as it does, nobody
        // else runs before they are copied, and both are valid UTF-8.
        unsafe {
            let text = if is_compact_ascii(object) {
                let data = object.cast::<ffi::PyASCIIObject>().add(1).cast::<u8>();
                // The head of the object is longer than a block. (The lengths of keys are those of the row before: there
                // asking is quicker.)
                Text::new(data, ffi::PyUnicode_GET_LENGTH(object) as usize, after != b':')
            } else {
                let mut length: ffi::Py_ssize_t = 0;
                let data = ffi::PyUnicode_AsUTF8AndSize(object, &raw mut length).cast::<u8>();
                if data.is_null() {
                    return self.surrogate(cursor, PyErr::fetch(self.py), after);
                }
                Text::new(data, length as usize, false)
            };
            if text.len() > LONG {
                return self.long_string(
                    cursor,
                    &Bound::from_borrowed_ptr(self.py, object),
                    text.bytes(),
                    after,
                    depth,
                );
            }
            escape::quoted(&mut self.output, cursor, text, after)
        }
    }

    /// A string that has no UTF-8 form.
    #[cold]
    pub(super) fn surrogate(&mut self, cursor: Cursor, error: PyErr, after: u8) -> Written {
        if self.takes_surrogates {
            return self.output.constant(cursor, &[b'"', b'"', after]);
        }
        Err(self.wrong(Wrong::Surrogate(error)))
    }

    /// Writes a string in pieces, between which others may run. `text` is that of the object, which is held meanwhile.
    #[cold]
    #[inline(never)]
    fn long_string(
        &mut self,
        mut cursor: Cursor,
        _object: &Bound<'py, PyAny>,
        text: &[u8],
        after: u8,
        depth: usize,
    ) -> Written {
        cursor = self.output.constant(cursor, b"\"")?;
        for piece in text.chunks(LONG) {
            cursor = escape::piece(&mut self.output, cursor, piece)?;
            self.turn(depth);
        }
        self.output.constant(cursor, &[b'"', after])
    }

    #[inline(always)]
    pub(super) fn literal(&mut self, cursor: Cursor, literal: Literal) -> Written {
        let cursor = self.output.reserve(cursor, 8)?;
        let (text, length) = LITERALS[literal.0];
        // SAFETY: `reserve` made room for 8 bytes, of which `length` count.
        unsafe {
            cursor.cast::<[u8; 8]>().write(text);
            Ok(cursor.add(length))
        }
    }

    /// # Safety
    /// `object` is a live `int`.
    #[inline(always)]
    pub(super) unsafe fn integer(&mut self, cursor: Cursor, object: *mut ffi::PyObject, after: u8) -> Written {
        // SAFETY: `object` is a live `int` (contract).
        let value = match unsafe { integer::small(object) } {
            Some(value) => value,
            None => {
                let mut overflow: c_int = 0;
                // SAFETY: as above.
                let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(object, &raw mut overflow) };
                if overflow != 0 {
                    // SAFETY: as above.
                    return unsafe { self.big_integer(cursor, object, after) };
                }
                value
            }
        };
        let cursor = self.output.reserve(cursor, integer::LONGEST + 1)?;
        // SAFETY: `reserve` made room for the digits and the byte after them.
        unsafe {
            let cursor = cursor.add(integer::write(cursor.as_ptr(), value));
            cursor.write(after);
            Ok(cursor.add(1))
        }
    }

    /// Any integer, as `int.__repr__` writes it, whatever a subclass thinks of that.
    ///
    /// # Safety
    /// `object` is a live `int`.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn big_integer(&mut self, cursor: Cursor, object: *mut ffi::PyObject, after: u8) -> Written {
        // SAFETY: `object` is a live `int` (contract); the call returns a new `str`, or null with an exception set.
        let text = unsafe { Bound::from_owned_ptr_or_err(self.py, ffi::PyNumber_ToBase(object, 10)) };
        let text = text.and_then(|text| Ok(text.cast_into::<PyString>()?)).or_failed(self.py)?;
        let cursor = self.output.extend(cursor, text.to_str().or_failed(self.py)?.as_bytes())?;
        self.output.constant(cursor, &[after])
    }

    #[inline(always)]
    pub(super) fn float(&mut self, cursor: Cursor, value: f64, after: u8) -> Written {
        if !value.is_finite() {
            return Err(self.wrong(Wrong::NotFinite(value)));
        }
        let cursor = self.output.reserve(cursor, float::ROOM)?;
        // SAFETY: `reserve` made room for the digits and the byte after them; `value` is finite.
        unsafe {
            let cursor = cursor.add(float::write(cursor.as_ptr(), value));
            cursor.write(after);
            Ok(cursor.add(1))
        }
    }

    /// Writes a key that is no exact `str`, and the colon after it.
    #[cold]
    #[inline(never)]
    pub(super) fn key(&mut self, cursor: Cursor, key: &Bound<'py, PyAny>, depth: usize) -> Written {
        let raw = key.as_ptr();
        // SAFETY: `key` is held by the reference; the branches are guarded by the matching type checks.
        unsafe {
            if ffi::PyUnicode_Check(raw) != 0 {
                return self.string(cursor, raw, b':', depth);
            }
            let cursor = self.output.constant(cursor, b"\"")?;
            let cursor = if ffi::PyFloat_Check(raw) != 0 {
                self.float_key(cursor, ffi::PyFloat_AS_DOUBLE(raw))?
            } else if raw == ffi::Py_True() {
                self.output.constant(cursor, b"true\"")?
            } else if raw == ffi::Py_False() {
                self.output.constant(cursor, b"false\"")?
            } else if raw == ffi::Py_None() {
                self.output.constant(cursor, b"null\"")?
            } else if ffi::PyLong_Check(raw) != 0 {
                self.integer(cursor, raw, b'"')?
            } else {
                let name = key.get_type().name().or_failed(self.py)?.to_string_lossy().into_owned();
                return Err(self.wrong(Wrong::Key(name)));
            };
            self.output.constant(cursor, b":")
        }
    }

    /// A float as a key, and the quote after it. A key is a string, so its spelling is its value: it is Python's.
    pub(super) fn float_key(&mut self, cursor: Cursor, value: f64) -> Written {
        if !value.is_finite() {
            return Err(self.wrong(Wrong::NotFinite(value)));
        }
        let text = PyFloat::new(self.py, value).repr().or_failed(self.py)?;
        let cursor = self.output.extend(cursor, text.to_str().or_failed(self.py)?.as_bytes())?;
        self.output.constant(cursor, b"\"")
    }
}

/// `None`, `True` or `False`: its place in [`LITERALS`].
#[derive(Clone, Copy)]
pub(super) struct Literal(usize);

/// What each is written as, and how long that is.
static LITERALS: [([u8; 8], usize); 3] = [(*b"null,   ", 5), (*b"true,   ", 5), (*b"false,  ", 6)];

impl Literal {
    /// Which one it is is not asked by branches: where flags stand beside flags these are hard to predict.
    #[inline(always)]
    pub(super) fn of(object: *mut ffi::PyObject) -> Option<Self> {
        // SAFETY: the addresses of objects that live as long as the interpreter.
        let (none, yes, no) =
            unsafe { (object == ffi::Py_None(), object == ffi::Py_True(), object == ffi::Py_False()) };
        (none | yes | no).then_some(Self(usize::from(yes) + 2 * usize::from(no)))
    }
}

/// Whether the characters of a `str` lie behind its head and are its UTF-8 form.
///
/// # Safety
/// `object` is a live `str`.
#[cfg(not(Py_3_14))]
#[inline(always)]
unsafe fn is_compact_ascii(object: *mut ffi::PyObject) -> bool {
    // SAFETY: `object` is a live `str` (contract).
    unsafe { ffi::PyUnicode_IS_COMPACT_ASCII(object) != 0 }
}

/// Since 3.14 the bits that tell are not offered any more; asking for the UTF-8 form gives the same bytes.
///
/// # Safety
/// None: nothing is read.
#[cfg(Py_3_14)]
#[inline(always)]
unsafe fn is_compact_ascii(_object: *mut ffi::PyObject) -> bool {
    false
}
