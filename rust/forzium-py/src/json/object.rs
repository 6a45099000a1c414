//! Making Python objects out of what the parser reads.

use std::ffi::c_long;
use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;

use super::shapes;
use super::turns::Turns;

/// Owned references to objects that have no container yet; dropped with it.
pub(super) struct Values(Vec<*mut ffi::PyObject>);

impl Values {
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(64))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes over the reference to `object`.
    #[inline(always)]
    pub(super) fn push(&mut self, object: *mut ffi::PyObject) {
        self.0.push(object);
    }

    /// A list of the values from `start` on; null with an exception set when memory ran out.
    ///
    /// # Safety
    /// The GIL is held, and `start <= self.len()`.
    #[inline]
    pub(super) unsafe fn list(&mut self, start: usize) -> *mut ffi::PyObject {
        let count = self.0.len() - start;
        // SAFETY: the GIL is held (contract). The new list has room for `count` items, all null, so that nothing is
        // overwritten without being released; the references move from `self` into it: `set_len` forgets them here.
        // No Python code runs between making the list and filling it.
        unsafe {
            let list = ffi::PyList_New(count as ffi::Py_ssize_t);
            if !list.is_null() && count != 0 {
                let items = (*list.cast::<ffi::PyListObject>()).ob_item;
                ptr::copy_nonoverlapping(self.0.as_ptr().add(start), items, count);
                self.0.set_len(start);
            }
            list
        }
    }

    /// A dict of the (key, value) pairs from `start` on; null with an exception set when memory ran out.
    ///
    /// # Safety
    /// The GIL is held, `start <= self.len()`, the values from `start` on are pairs whose first is a `str` object.
    #[inline]
    pub(super) unsafe fn dict(&mut self, start: usize, py: Python<'_>, turns: &mut Turns) -> *mut ffi::PyObject {
        // SAFETY: the GIL is held (contract), and the values are owned pairs. Where `copy` made a dict, the references are
        // its, and forgotten here; else each stays ours until the dict took its own. Hashing and comparing exact `str`
        // objects runs no Python code.
        unsafe {
            let copied = shapes::copy(&self.0[start..]);
            if !copied.is_null() {
                self.0.set_len(start);
                return copied;
            }
            let dict = ffi::PyDict_New();
            if dict.is_null() {
                return dict;
            }
            for pair in self.0[start..].chunks_exact(2) {
                turns.tick(py);
                if ffi::PyDict_SetItem(dict, pair[0], pair[1]) != 0 {
                    ffi::Py_DECREF(dict);
                    return ptr::null_mut();
                }
            }
            let end = self.0.len();
            if ffi::PyDict_Size(dict) as usize * 2 == end - start {
                shapes::remember(&self.0[start..]);
            }
            for at in start..end {
                ffi::Py_DECREF(self.0[at]);
            }
            self.0.set_len(start);
            dict
        }
    }
}

impl Drop for Values {
    fn drop(&mut self) {
        for &object in &self.0 {
            // SAFETY: `Values` lives only inside `loads`, which holds the GIL; each reference is owned by `self`.
            unsafe { ffi::Py_DECREF(object) };
        }
    }
}

/// A new `str` of ASCII bytes; null with an exception set when memory ran out.
///
/// # Safety
/// The GIL is held, and `text` is ASCII.
#[inline(always)]
pub(super) unsafe fn ascii(text: &[u8]) -> *mut ffi::PyObject {
    let length = text.len();
    // SAFETY: the GIL is held (contract); pointer and length describe `text`. A compact ASCII string of `length`
    // characters has `length` bytes of room after its head, and a zero behind them that `PyUnicode_New` wrote.
    unsafe {
        if length < 2 {
            // The empty string and single characters are shared.
            return ffi::PyUnicode_FromStringAndSize(text.as_ptr().cast(), length as ffi::Py_ssize_t);
        }
        let object = ffi::PyUnicode_New(length as ffi::Py_ssize_t, 127);
        if !object.is_null() {
            let data = object.cast::<ffi::PyASCIIObject>().add(1).cast::<u8>();
            ptr::copy_nonoverlapping(text.as_ptr(), data, length);
        }
        object
    }
}

/// A new `str` of text that is not ASCII; null with an exception set when memory ran out.
///
/// # Safety
/// The GIL is held, and `text` is not ASCII.
pub(super) unsafe fn wide(text: &str) -> *mut ffi::PyObject {
    let highest = text.bytes().max().unwrap_or(0);
    let count = text.chars().count();
    if count < 2 {
        // Single characters up to 0xFF are shared.
        // SAFETY: the GIL is held (contract); pointer and length describe `text`.
        return unsafe { ffi::PyUnicode_FromStringAndSize(text.as_ptr().cast(), text.len() as ffi::Py_ssize_t) };
    }
    // The first bytes of characters: up to 0xC3 below U+0100, up to 0xEF below U+10000.
    let largest = match highest {
        0..=0xC3 => 0xFF,
        0xC4..=0xEF => 0xFFFF,
        _ => 0x10_FFFF,
    };
    // SAFETY: the GIL is held (contract). A new string has room for `count` characters of 1, 2 or 4 bytes, by the largest
    // that was announced, which is the smallest size that holds all of them, as Python demands; nobody else has seen it.
    unsafe {
        let object = ffi::PyUnicode_New(count as ffi::Py_ssize_t, largest);
        if object.is_null() {
            return object;
        }
        let data = ffi::PyUnicode_DATA(object);
        match largest {
            0xFF => fill(data.cast::<u8>(), text, |character| character as u8),
            0xFFFF => fill(data.cast::<u16>(), text, |character| character as u16),
            _ => fill(data.cast::<u32>(), text, |character| character),
        }
        object
    }
}

/// Writes the characters of `text` one after the other.
///
/// # Safety
/// `to` has room for all of them.
#[inline(always)]
unsafe fn fill<T>(to: *mut T, text: &str, narrow: impl Fn(u32) -> T) {
    for (index, character) in text.chars().enumerate() {
        // SAFETY: there is room for each character (contract).
        unsafe { to.add(index).write(narrow(u32::from(character))) };
    }
}

/// # Safety
/// The GIL is held.
#[inline(always)]
pub(super) unsafe fn unsigned(value: u64) -> *mut ffi::PyObject {
    // SAFETY: the GIL is held (contract).
    unsafe {
        match c_long::try_from(value) {
            Ok(value) => ffi::PyLong_FromLong(value),
            Err(_) => ffi::PyLong_FromUnsignedLongLong(value),
        }
    }
}

/// # Safety
/// The GIL is held.
#[inline(always)]
pub(super) unsafe fn signed(value: i64) -> *mut ffi::PyObject {
    // SAFETY: the GIL is held (contract).
    unsafe { ffi::PyLong_FromLongLong(value) }
}

/// # Safety
/// The GIL is held.
#[inline(always)]
pub(super) unsafe fn float(value: f64) -> *mut ffi::PyObject {
    // SAFETY: the GIL is held (contract).
    unsafe { ffi::PyFloat_FromDouble(value) }
}

/// The object that Python makes of a number whose text is `text`: an integer of any size, or a float.
/// Null with an exception set when Python refuses it.
///
/// # Safety
/// The GIL is held.
#[cold]
pub(super) unsafe fn number(text: &str) -> *mut ffi::PyObject {
    let whole = !text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
    // SAFETY: the GIL is held (contract); `object` is a fresh `str` or null, and released once.
    unsafe {
        let object = ascii(text.as_bytes());
        if object.is_null() {
            return object;
        }
        let value = if whole {
            ffi::PyObject_CallOneArg((&raw mut ffi::PyLong_Type).cast(), object)
        } else {
            ffi::PyFloat_FromString(object)
        };
        ffi::Py_DECREF(object);
        value
    }
}
