//! Objects with the same keys in the same order, as the rows of a list have: made by copying, not by inserting.
//!
//! Putting a key into a dict means to look for it first, and to grow the table now and then; for small objects that is a
//! third of reading. So when the same keys come a second time, a dict with these keys is kept as a pattern; from then on
//! the dict is a copy of it, and the values are put into their places.
//!
//! Up to [`MOST_SHARED`] keys the pattern is a dict as an instance of a class has it: its copies share one table of keys,
//! and have an array of values each, which takes a third of the memory of a table. CPython makes a table out of that by
//! itself when keys are added later.
//!
//! A pattern fits only if all keys are the very same objects, which those from [`super::keys`] are. At most [`PATTERNS`]
//! patterns of at most [`MOST_KEYS`] keys are kept: what a client sends can replace them, not add to them.

use std::cell::UnsafeCell;
use std::ptr;

use pyo3::ffi;

use super::entries::{self, Family};
use super::keys::Entry;

/// Patterns kept at most; a power of two. One takes some 300 bytes to 2 kB.
const PATTERNS: usize = 256;

/// Keys of the largest object that has a pattern.
const MOST_KEYS: usize = 48;

/// Keys of the largest object whose dict shares them: CPython allows 30 in a class, less one for its first instance.
const MOST_SHARED: usize = 28;

/// Instances after which CPython leaves room for one key more, not for thirty.
const INSTANCES: usize = 30;

/// Keys of the smallest.
const FEWEST_KEYS: usize = 1;

/// How often in a row other keys must ask for a place that is taken, until they get it.
const INSISTENCE: u32 = 16;

pub(super) struct Pattern {
    /// An owned reference to a dict that nobody else has, or null. Where its keys are shared it has no values, though it
    /// says it has: nothing but `PyDict_Copy` may touch it.
    dict: *mut ffi::PyObject,
    /// Its keys, in order; borrowed from it.
    keys: [*mut ffi::PyObject; MOST_KEYS],
    count: usize,
    /// Whether its keys are shared with its copies.
    shared: bool,
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

static TABLE: Table = Table(UnsafeCell::new(
    [const {
        Pattern {
            dict: ptr::null_mut(),
            keys: [ptr::null_mut(); MOST_KEYS],
            count: 0,
            shared: false,
            mark: 0,
            candidate: 0,
            asked: 0,
        }
    }; PATTERNS],
));

/// What tells objects with other keys apart. (If it does not, the keys themselves do.)
fn mark(keys: &[*mut ffi::PyObject]) -> u64 {
    const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
    // Addresses of objects differ in the bits above the lowest four.
    let mixed = keys.iter().fold(0_u64, |mixed, key| mixed.rotate_left(7) ^ (key.addr() as u64 >> 4));
    (mixed ^ keys.len() as u64).wrapping_mul(MIX) | 1
}

fn pattern(mark: u64) -> *mut Pattern {
    // The shift leaves a place inside the table.
    TABLE.0.get().cast::<Pattern>().wrapping_add((mark >> (64 - PATTERNS.trailing_zeros())) as usize)
}

/// A dict of these keys and values, if there is a pattern for the keys. The references are taken over, then; else null,
/// without an exception. `last` is the entry of the last key.
///
/// # Safety
/// The GIL is held; the references are owned, as many values as keys, the keys `str`, the values what JSON has, and
/// `holds_containers` says whether a list or dict is among them.
#[inline(always)]
pub(super) unsafe fn copy(
    keys: &[*mut ffi::PyObject],
    values: &[*mut ffi::PyObject],
    last: *mut Entry,
    holds_containers: bool,
) -> *mut ffi::PyObject {
    // SAFETY: the GIL is held (contract), so nobody else touches the entry or the pattern. `dict` is held while it is
    // copied: the copy may start a garbage collection, and that any code. The copy is untracked like its pattern, so
    // nobody else sees it before it is returned. It has the pattern's keys in the pattern's order, and nothing (or what
    // is released here) in the places of its values. Every reference goes into the dict (values) or is given back (keys,
    // which the pattern holds as well, so that none dies).
    unsafe {
        let pattern = (*last).pattern;
        if pattern.is_null() || (*pattern).count != keys.len() || !same(&raw const (*pattern).keys, keys) {
            return ptr::null_mut();
        }
        let (dict, shared) = ((*pattern).dict, (*pattern).shared);
        ffi::Py_INCREF(dict);
        let copy = ffi::PyDict_Copy(dict);
        ffi::Py_DECREF(dict);
        if copy.is_null() {
            ffi::PyErr_Clear();
            return copy;
        }
        if shared {
            ptr::copy_nonoverlapping(values.as_ptr(), entries::own(copy), values.len());
        } else if let Some(items) = entries::strings(copy, values.len()) {
            for (at, &value) in values.iter().enumerate() {
                ffi::Py_DECREF((*items.add(at)).value);
                (*items.add(at)).value = value;
            }
        } else {
            ffi::Py_DECREF(copy);
            return ptr::null_mut();
        }
        for &key in keys {
            ffi::Py_DECREF(key);
        }
        // As `PyDict_SetItem` does: a dict of scalars is of no interest to the garbage collector.
        if holds_containers && ffi::PyObject_GC_IsTracked(copy) == 0 {
            ffi::PyObject_GC_Track(copy.cast());
        }
        copy
    }
}

/// Whether a pattern's first keys are these, the very same objects.
///
/// # Safety
/// The pattern's keys can be read, and are as many at least.
#[inline(always)]
unsafe fn same(pattern: *const [*mut ffi::PyObject; MOST_KEYS], keys: &[*mut ffi::PyObject]) -> bool {
    let pattern = pattern.cast::<*mut ffi::PyObject>();
    // SAFETY: as the contract says.
    keys.iter().enumerate().all(|(at, &key)| unsafe { *pattern.add(at) } == key)
}

/// Remembers these keys, all different: the second time as a pattern. Failing to is no error.
///
/// # Safety
/// As [`copy`].
pub(super) unsafe fn remember(keys: &[*mut ffi::PyObject], last: *mut Entry) {
    if !(FEWEST_KEYS..=MOST_KEYS).contains(&keys.len()) {
        return;
    }
    let mark = mark(keys);
    // SAFETY: the GIL is held (contract), so nobody else touches the tables; they are not touched while the new pattern
    // is made, which may run any code. The old pattern is released after the new one stands in its place.
    unsafe {
        let place = pattern(mark);
        if (*place).mark == mark {
            // Objects with other keys ended with the same one meanwhile.
            (*last).pattern = place;
            return;
        }
        let asked = if (*place).candidate == mark { (*place).asked + 1 } else { 1 };
        (*place).candidate = mark;
        (*place).asked = asked;
        if asked < if (*place).dict.is_null() { 2 } else { INSISTENCE } {
            return;
        }
        let shared = keys.len() <= MOST_SHARED;
        let mut made = if shared { sharing(keys) } else { ptr::null_mut() };
        let shared = !made.is_null();
        if !shared {
            ffi::PyErr_Clear();
            made = ffi::PyDict_New();
            if made.is_null() || !numbered(made, keys) || entries::strings(made, keys.len()).is_none() {
                ffi::PyErr_Clear();
                ffi::Py_XDECREF(made);
                return;
            }
        }
        let old = std::mem::replace(&mut (*place).dict, made);
        (&mut (*place).keys)[..keys.len()].copy_from_slice(keys);
        (*place).count = keys.len();
        (*place).shared = shared;
        (*place).mark = mark;
        (*place).asked = 0;
        (*last).pattern = place;
        ffi::Py_XDECREF(old);
    }
}

/// Puts these keys into a dict, each with its number as value; false with an exception set when that failed.
///
/// # Safety
/// The GIL is held, `dict` is a live dict, and the keys are `str`.
unsafe fn numbered(dict: *mut ffi::PyObject, keys: &[*mut ffi::PyObject]) -> bool {
    keys.iter().enumerate().all(|(at, &key)| {
        // SAFETY: the GIL is held, and the objects are alive (contract); `number` is released once.
        unsafe {
            let number = ffi::PyLong_FromSize_t(at);
            let failed = number.is_null() || ffi::PyDict_SetItem(dict, key, number) != 0;
            ffi::Py_XDECREF(number);
            !failed
        }
    })
}

/// A dict that shares these keys with its copies, has no room for values it does not have, and no values; null, perhaps
/// with an exception set, where there is no such thing.
///
/// # Safety
/// As [`copy`].
unsafe fn sharing(keys: &[*mut ffi::PyObject]) -> *mut ffi::PyObject {
    // SAFETY: the GIL is held (contract); every dict is checked before it is used, and released once. Where the keys and
    // the values lie is known to `entries`, which tried it; that both are those expected is looked at before the values
    // are taken out. A dict that is not tracked is not seen by anybody.
    unsafe {
        let family = Family::new();
        // The first one's keys are everyone's; then the room that is left for others shrinks with each instance.
        let first = family.member();
        if first.is_null() || !numbered(first, keys) {
            ffi::Py_XDECREF(first);
            return ptr::null_mut();
        }
        for _ in 0..INSTANCES {
            ffi::Py_XDECREF(family.member());
        }
        let last = family.member();
        ffi::Py_DECREF(first);
        if last.is_null() || !numbered(last, keys) {
            ffi::Py_XDECREF(last);
            return ptr::null_mut();
        }
        let dict = ffi::PyDict_Copy(last);
        ffi::Py_DECREF(last);
        if dict.is_null() {
            return dict;
        }
        let places = match (entries::strings(dict, keys.len()), entries::shared(dict, keys.len())) {
            (Some(items), Some(values))
                if keys.iter().enumerate().all(|(at, &key)| {
                    (*items.add(at)).key == key && ffi::PyLong_AsSsize_t(*values.add(at)) == at as ffi::Py_ssize_t
                }) =>
            {
                values
            }
            _ => {
                ffi::Py_DECREF(dict);
                return ptr::null_mut();
            }
        };
        if ffi::PyObject_GC_IsTracked(dict) != 0 {
            ffi::PyObject_GC_UnTrack(dict.cast());
        }
        for at in 0..keys.len() {
            ffi::Py_DECREF(places.add(at).replace(ptr::null_mut()));
        }
        dict
    }
}
