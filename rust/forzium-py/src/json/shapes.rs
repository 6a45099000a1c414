//! Objects with the same keys in the same order, as the rows of a list have: made by copying, not by inserting.
//!
//! Putting a key into a dict means to look for it first, and to grow the table now and then; for small objects that is a
//! third of reading. So when the same keys come a second time, a dict with these keys (and `None` for each value) is kept
//! as a pattern; from then on the dict is a copy of it, and the values are put into their places.
//!
//! A pattern fits only if all keys are the very same objects, which those from [`super::keys`] are. At most [`PATTERNS`]
//! patterns of at most [`MOST_KEYS`] keys are kept: what a client sends can replace them, not add to them.

use std::cell::UnsafeCell;
use std::ptr;

use pyo3::ffi;

use super::entries;

/// Patterns kept at most; a power of two. One takes some 300 bytes to 2 kB.
const PATTERNS: usize = 256;

/// Keys of the largest object that has a pattern.
const MOST_KEYS: usize = 48;

/// Objects of fewer keys are as quickly made without.
const FEWEST_KEYS: usize = 2;

/// How often in a row other keys must ask for a place that is taken, until they get it.
const INSISTENCE: u32 = 16;

#[derive(Clone, Copy)]
struct Pattern {
    /// An owned reference to a dict that nobody else has, or null.
    dict: *mut ffi::PyObject,
    /// The mark of its keys.
    mark: u64,
    /// The mark of the keys that were not found here the last time.
    candidate: u64,
    /// How often in a row these were they.
    asked: u32,
}

struct Table(UnsafeCell<[Pattern; PATTERNS]>);

// SAFETY: the table is touched only by the functions of this module, whose contract is to hold the GIL; none of them
// keeps a reference into it across a call.
unsafe impl Sync for Table {}

const EMPTY: Pattern = Pattern { dict: ptr::null_mut(), mark: 0, candidate: 0, asked: 0 };

static TABLE: Table = Table(UnsafeCell::new([EMPTY; PATTERNS]));

/// What tells objects with other keys apart. (If it does not, the keys themselves do.)
#[inline(always)]
fn mark(pairs: &[*mut ffi::PyObject]) -> u64 {
    const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
    // Addresses of objects differ in the bits above the lowest four.
    let mixed = pairs.iter().step_by(2).fold(0_u64, |mixed, key| mixed.rotate_left(7) ^ (key.addr() as u64 >> 4));
    (mixed ^ pairs.len() as u64).wrapping_mul(MIX) | 1
}

#[inline(always)]
fn pattern(mark: u64) -> *mut Pattern {
    // The shift leaves a place inside the table.
    TABLE.0.get().cast::<Pattern>().wrapping_add((mark >> (64 - PATTERNS.trailing_zeros())) as usize)
}

/// A dict of these (key, value) pairs, if there is a pattern for their keys. The references to keys and values are taken
/// over, then; else null, without an exception.
///
/// # Safety
/// The GIL is held; `pairs` are owned references, keys and values in turn, the keys `str`, the values what JSON has.
#[inline]
pub(super) unsafe fn copy(pairs: &[*mut ffi::PyObject]) -> *mut ffi::PyObject {
    let count = pairs.len() / 2;
    if !(FEWEST_KEYS..=MOST_KEYS).contains(&count) {
        return ptr::null_mut();
    }
    let mark = mark(pairs);
    // SAFETY: the GIL is held (contract), so nobody else touches the table or the pattern. `pattern` is held while it is
    // copied: the copy may start a garbage collection, and that any code. The copy is untracked like its pattern, so
    // nobody else sees it before it is returned. It has the pattern's keys in the pattern's order: `count` items each.
    // Every reference goes from `pairs` to the dict (values) or is given back (keys, `None`).
    unsafe {
        let Pattern { mark: kept, dict: pattern, .. } = *pattern(mark);
        if kept != mark || pattern.is_null() {
            return ptr::null_mut();
        }
        let Some(items) = entries::strings(pattern, count) else { return ptr::null_mut() };
        if !(0..count).all(|at| (*items.add(at)).key == pairs[2 * at]) {
            return ptr::null_mut();
        }
        ffi::Py_INCREF(pattern);
        let dict = ffi::PyDict_Copy(pattern);
        ffi::Py_DECREF(pattern);
        if dict.is_null() {
            ffi::PyErr_Clear();
            return dict;
        }
        let Some(items) = entries::strings(dict, count) else {
            ffi::Py_DECREF(dict);
            return ptr::null_mut();
        };
        let mut holds_containers = false;
        for at in 0..count {
            let (key, value) = (pairs[2 * at], pairs[2 * at + 1]);
            let class = ffi::Py_TYPE(value);
            holds_containers |= class == &raw mut ffi::PyDict_Type || class == &raw mut ffi::PyList_Type;
            (*items.add(at)).value = value;
            ffi::Py_DECREF(ffi::Py_None());
            ffi::Py_DECREF(key);
        }
        // As `PyDict_SetItem` does: a dict of scalars is of no interest to the garbage collector.
        if holds_containers && ffi::PyObject_GC_IsTracked(dict) == 0 {
            ffi::PyObject_GC_Track(dict.cast());
        }
        dict
    }
}

/// Remembers the keys of these pairs: the second time as a pattern. Failing to is no error.
///
/// # Safety
/// As [`copy`], and the keys are all different.
pub(super) unsafe fn remember(pairs: &[*mut ffi::PyObject]) {
    if !(FEWEST_KEYS..=MOST_KEYS).contains(&(pairs.len() / 2)) {
        return;
    }
    let mark = mark(pairs);
    // SAFETY: the GIL is held (contract), so nobody else touches the table; it is not touched while the new pattern is
    // made, which may run any code. The old pattern is released after the new one stands in its place.
    unsafe {
        let place = pattern(mark);
        let asked = if (*place).candidate == mark { (*place).asked + 1 } else { 1 };
        (*place).candidate = mark;
        (*place).asked = asked;
        if asked < if (*place).dict.is_null() { 2 } else { INSISTENCE } {
            return;
        }
        let dict = ffi::PyDict_New();
        if dict.is_null() {
            ffi::PyErr_Clear();
            return;
        }
        for pair in pairs.chunks_exact(2) {
            if ffi::PyDict_SetItem(dict, pair[0], ffi::Py_None()) != 0 {
                ffi::PyErr_Clear();
                ffi::Py_DECREF(dict);
                return;
            }
        }
        let old = (*place).dict;
        *place = Pattern { dict, mark, ..EMPTY };
        ffi::Py_XDECREF(old);
    }
}
