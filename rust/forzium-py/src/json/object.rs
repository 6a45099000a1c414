//! Making Python objects out of what the parser reads.

use std::cell::UnsafeCell;
use std::ffi::{c_long, c_void};
use std::ptr::{self, NonNull};

use pyo3::ffi;
use pyo3::prelude::*;

use super::keys::Entry;
use super::room;
use super::shapes::{self, Shape};
use super::turns::Turns;

/// Owned references to objects that have no container yet; dropped with it. Keys are kept apart from values.
pub(super) struct Values {
    keys: Vec<*mut ffi::PyObject>,
    values: Vec<*mut ffi::PyObject>,
}

/// Where the keys and values of an object begin.
#[derive(Clone, Copy)]
pub(super) struct Start {
    keys: usize,
    values: usize,
}

impl Values {
    pub(super) fn new() -> Self {
        Self { keys: Vec::with_capacity(64), values: Vec::with_capacity(64) }
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    #[inline(always)]
    pub(super) fn start(&self) -> Start {
        Start { keys: self.keys.len(), values: self.values.len() }
    }

    /// Takes over the reference to a value.
    #[inline(always)]
    pub(super) fn push(&mut self, object: NonNull<ffi::PyObject>) {
        self.values.push(object.as_ptr());
    }

    /// Takes over the reference to a key.
    #[inline(always)]
    pub(super) fn push_key(&mut self, object: NonNull<ffi::PyObject>) {
        self.keys.push(object.as_ptr());
    }

    /// A list of the values from `start` on; null with an exception set when memory ran out.
    ///
    /// # Safety
    /// The GIL is held, and `start <= self.len()`.
    #[inline]
    pub(super) unsafe fn list(&mut self, start: usize) -> *mut ffi::PyObject {
        let count = self.values.len() - start;
        let size = count * size_of::<*mut ffi::PyObject>();
        // SAFETY: the GIL is held (contract). `PyList_New` would write zeros where the items come, which takes longer than
        // the rest of it: so the new list is empty, and is given room as CPython gives it, by `PyMem_Malloc`, before
        // anybody else sees it. The references move from `self` into it: `set_len` forgets them here.
        unsafe {
            let list = ffi::PyList_New(0);
            if list.is_null() {
                return list;
            }
            let items = ffi::PyMem_Malloc(size).cast::<*mut ffi::PyObject>();
            if items.is_null() {
                ffi::Py_DECREF(list);
                return ffi::PyErr_NoMemory();
            }
            ptr::copy_nonoverlapping(self.values.as_ptr().add(start), items, count);
            self.values.set_len(start);
            let head = list.cast::<ffi::PyListObject>();
            (*head).ob_item = items;
            (*head).allocated = count as ffi::Py_ssize_t;
            (*head).ob_base.ob_size = count as ffi::Py_ssize_t;
            list
        }
    }

    /// Puts the first `count` keys of a shape where read keys are.
    ///
    /// # Safety
    /// The GIL is held, and it has as many.
    #[inline(never)]
    pub(super) unsafe fn push_first(&mut self, shape: &Shape, count: usize) {
        // SAFETY: as the contract says.
        self.keys.extend(unsafe { shape.first(count) });
    }

    /// A dict of this shape with the values from `start` on; null, perhaps with an exception set, when memory ran out.
    ///
    /// # Safety
    /// The GIL is held; since `start`, as many values were put here as the shape has keys, and `holds_containers` says
    /// whether a list or dict is among them.
    #[inline(always)]
    pub(super) unsafe fn shaped(&mut self, start: Start, shape: &Shape, holds_containers: bool) -> *mut ffi::PyObject {
        // SAFETY: the GIL is held (contract), and the references are ours. Where a dict was made, they are its, and
        // forgotten here.
        unsafe {
            let made = shape.dict(&self.values[start.values..], holds_containers);
            if !made.is_null() {
                self.values.set_len(start.values);
            }
            made
        }
    }

    /// A dict of the keys and values from `start` on; null with an exception set when memory ran out. `last` is the
    /// entry of the last key, `parent` that of the key whose value this is.
    ///
    /// # Safety
    /// The GIL is held; since `start`, as many keys (`str` objects) were put here as values; `holds_containers` as in
    /// [`Values::shaped`].
    pub(super) unsafe fn dict(
        &mut self,
        start: Start,
        entries: (*mut Entry, *mut Entry),
        holds_containers: bool,
        py: Python<'_>,
        turns: &mut Turns,
    ) -> *mut ffi::PyObject {
        let (last, parent) = entries;
        // SAFETY: the GIL is held (contract), and the references are ours.
        unsafe {
            if let Some(shape) = shapes::find(&self.keys[start.keys..], last, parent) {
                let made = self.shaped(start, &shape, holds_containers);
                if !made.is_null() {
                    for key in self.keys.drain(start.keys..) {
                        ffi::Py_DECREF(key);
                    }
                    return made;
                }
            }
            self.new_dict(start, last, py, turns)
        }
    }

    /// As [`Values::dict`], without a shape.
    ///
    /// # Safety
    /// As there.
    #[inline(never)]
    unsafe fn new_dict(
        &mut self,
        start: Start,
        last: *mut Entry,
        py: Python<'_>,
        turns: &mut Turns,
    ) -> *mut ffi::PyObject {
        let count = self.keys.len() - start.keys;
        // SAFETY: the GIL is held (contract), and the references are ours; each is given back where the dict took its
        // own, and null stands in its place. Hashing and comparing exact `str` objects runs no Python code; where others
        // have their turn, they do not know the dict.
        unsafe {
            let mut dict = if count > LARGE {
                // To be given much memory takes a while: others have their turn just before.
                turns.away(py, || ());
                room::dict(count, self.keys[start.keys])
            } else {
                ffi::PyDict_New()
            };
            if dict.is_null() {
                return dict;
            }
            for at in 0..count {
                if ffi::PyDict_SetItem(dict, self.keys[start.keys + at], self.values[start.values + at]) != 0 {
                    ffi::Py_DECREF(dict);
                    return ptr::null_mut();
                }
                if count > LARGE {
                    turns.tick(py);
                }
            }
            if ffi::PyDict_Size(dict) as usize == count {
                shapes::remember(&self.keys[start.keys..], last);
            }
            for at in 0..count {
                ffi::Py_DECREF(std::mem::replace(&mut self.keys[start.keys + at], ptr::null_mut()));
                ffi::Py_DECREF(std::mem::replace(&mut self.values[start.values + at], ptr::null_mut()));
                if count > LARGE {
                    turns.tick(py);
                }
            }
            self.keys.truncate(start.keys);
            self.values.truncate(start.values);
            if count > LARGE && ffi::PyDict_Size(dict) < count as ffi::Py_ssize_t / 2 {
                // Most keys came more than once.
                dict = room::cut(dict);
            }
            dict
        }
    }
}

/// Keys from which on a dict takes a while to be filled.
const LARGE: usize = 10_000;

impl Drop for Values {
    fn drop(&mut self) {
        for &object in self.keys.iter().chain(&self.values) {
            // SAFETY: `Values` lives only inside `loads`, which holds the GIL; each is null or a reference of `self`.
            unsafe { ffi::Py_XDECREF(object) };
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
            return short(text);
        }
        let object = ffi::PyUnicode_New(length as ffi::Py_ssize_t, 127);
        if !object.is_null() {
            let data = object.cast::<ffi::PyASCIIObject>().add(1).cast::<u8>();
            ptr::copy_nonoverlapping(text.as_ptr(), data, length);
        }
        object
    }
}

/// The `str` of one character or none, which CPython shares; null with an exception set when that failed.
///
/// # Safety
/// The GIL is held; `text` is ASCII, one byte at most.
#[inline(always)]
unsafe fn short(text: &[u8]) -> *mut ffi::PyObject {
    let place = text.first().map_or(NONE, |&byte| usize::from(byte)).min(NONE);
    // SAFETY: the GIL is held (contract), so nobody else touches the table, whose references are its own. Pointer and
    // length describe `text`.
    unsafe {
        let kept = SHORT.0.get().cast::<*mut ffi::PyObject>().add(place);
        if (*kept).is_null() {
            *kept = ffi::PyUnicode_FromStringAndSize(text.as_ptr().cast(), text.len() as ffi::Py_ssize_t);
        }
        ffi::Py_XNewRef(*kept)
    }
}

/// The place of the empty string, behind those of the ASCII characters.
const NONE: usize = 128;

/// Owned references to the strings of one character, and none; null until they were needed.
struct Short(UnsafeCell<[*mut ffi::PyObject; NONE + 1]>);

// SAFETY: the table is touched only by `short`, whose contract is to hold the GIL.
unsafe impl Sync for Short {}

static SHORT: Short = Short(UnsafeCell::new([ptr::null_mut(); NONE + 1]));

/// A new `str` of text that is not ASCII; null with an exception set when memory ran out.
///
/// # Safety
/// The GIL is held, and `text` is not ASCII.
pub(super) unsafe fn wide(text: &str, py: Python<'_>, turns: &mut Turns) -> *mut ffi::PyObject {
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
    // that was announced, which is the smallest size that holds all of them, as Python demands; nobody else has seen it,
    // so that it can be filled while others run.
    unsafe {
        let object = ffi::PyUnicode_New(count as ffi::Py_ssize_t, largest);
        if object.is_null() {
            return object;
        }
        let room = Room(ffi::PyUnicode_DATA(object));
        if text.len() > LONG {
            turns.away(py, move || room.fill(text, largest));
        } else {
            room.fill(text, largest);
        }
        object
    }
}

/// Bytes of text from which on others run while it is copied.
const LONG: usize = 1 << 20;

/// The characters of a new string.
struct Room(*mut c_void);

// SAFETY: nobody else knows the string whose characters these are.
unsafe impl Send for Room {}

impl Room {
    /// Writes the characters of `text`, each as wide as `largest` needs.
    ///
    /// # Safety
    /// There is room for all of them.
    unsafe fn fill(self, text: &str, largest: u32) {
        // SAFETY: there is room for each character (contract).
        unsafe {
            match largest {
                0xFF => each(self.0.cast::<u8>(), text, |character| character as u8),
                0xFFFF => each(self.0.cast::<u16>(), text, |character| character as u16),
                _ => each(self.0.cast::<u32>(), text, |character| character),
            }
        }
    }
}

/// Writes the characters of `text` one after the other.
///
/// # Safety
/// `to` has room for all of them.
#[inline(always)]
unsafe fn each<T>(to: *mut T, text: &str, narrow: impl Fn(u32) -> T) {
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
