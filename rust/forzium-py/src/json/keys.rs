//! Keys that were read before: one `str` object for each, remembered across calls.
//!
//! JSON objects repeat their keys, and a request's keys are those of the request before. A table of [`ENTRIES`] keys
//! holds the `str` objects (with their hashes). Each entry also remembers which key came next the last time, and which
//! came first in the object that was its value: so a key is mostly recognised by comparing it in place with one guess,
//! before its end was even looked for.
//!
//! What a client can do with this: push other keys out of the table. It cannot make it grow, and since a key is only
//! taken when all its bytes are equal, it cannot confuse one with another.

use std::cell::UnsafeCell;
use std::ptr;

use pyo3::ffi;

/// Keys remembered at most; a power of two. With [`LONGEST`] this bounds what stays in memory to some 250 kB.
const ENTRIES: usize = 2048;

/// Bytes of the longest key that is remembered. Longer ones repeat seldom.
pub(super) const LONGEST: usize = 64;

/// The place of a key in the table.
pub(super) type Place = u16;

/// Where a document begins: the place before its first key. No key is ever put there.
pub(super) const ROOT: Place = 0;

#[derive(Clone, Copy)]
struct Entry {
    /// An owned reference to an ASCII `str` of 1 to `LONGEST` characters without escapes, or null.
    object: *mut ffi::PyObject,
    length: u32,
    /// The key that followed in the same object the last time.
    next: Place,
    /// The first key of the object that was this key's value the last time.
    child: Place,
}

struct Table(UnsafeCell<[Entry; ENTRIES]>);

// SAFETY: the table is touched only by the functions of this module, whose contract is to hold the GIL; none of them
// keeps a reference to an entry across a call that could release it.
unsafe impl Sync for Table {}

static TABLE: Table =
    Table(UnsafeCell::new([Entry { object: ptr::null_mut(), length: 0, next: ROOT, child: ROOT }; ENTRIES]));

/// Which guess a key is compared with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// The key before it in the same object.
    Key(Place),
    /// The key whose value is the object it is the first key of.
    Parent(Place),
}

#[inline(always)]
fn entry(place: Place) -> *mut Entry {
    // The mask keeps the place inside the table.
    TABLE.0.get().cast::<Entry>().wrapping_add(place as usize & (ENTRIES - 1))
}

#[inline(always)]
unsafe fn characters(object: *mut ffi::PyObject) -> *const u8 {
    // SAFETY: `object` is a compact ASCII string (contract): its characters follow its head.
    unsafe { object.cast::<ffi::PyASCIIObject>().add(1).cast() }
}

/// The key that came `after` the last time, if `text` begins with it and its closing quote: a new reference, its length
/// and place.
///
/// # Safety
/// The GIL is held.
#[inline(always)]
pub(super) unsafe fn guess(text: &[u8], after: After) -> Option<(*mut ffi::PyObject, usize, Place)> {
    // SAFETY: the GIL is held (contract), so nobody else touches the table; every entry's object is null or alive and
    // has `length` characters. Reads of `text` stay within it: `length + 1` bytes were checked to be there.
    unsafe {
        let place = match after {
            After::Key(before) => (*entry(before)).next,
            After::Parent(above) => (*entry(above)).child,
        };
        let Entry { object, length, .. } = *entry(place);
        let length = length as usize;
        if object.is_null() || text.len() <= length || *text.get_unchecked(length) != b'"' {
            return None;
        }
        if !equal(text.as_ptr(), characters(object), length) {
            return None;
        }
        Some((ffi::Py_NewRef(object), length, place))
    }
}

/// Whether `length` bytes are the same; without a call for the short ones.
///
/// # Safety
/// Both pointers have `length` bytes to read.
#[inline(always)]
unsafe fn equal(a: *const u8, b: *const u8, length: usize) -> bool {
    // SAFETY: each read of 8 or 4 bytes begins at 0 or ends at `length`, and is done only if `length` is at least that.
    unsafe {
        let eight = |at: usize| a.add(at).cast::<u64>().read_unaligned() ^ b.add(at).cast::<u64>().read_unaligned();
        let four = |at: usize| a.add(at).cast::<u32>().read_unaligned() ^ b.add(at).cast::<u32>().read_unaligned();
        match length {
            8..=16 => (eight(0) | eight(length - 8)) == 0,
            4..=7 => (four(0) | four(length - 4)) == 0,
            0..=3 => (0..length).all(|at| *a.add(at) == *b.add(at)),
            _ => std::slice::from_raw_parts(a, length) == std::slice::from_raw_parts(b, length),
        }
    }
}

/// A mix of the key's bytes; a collision costs a new `str`, nothing else.
#[inline(always)]
fn slot(key: &[u8]) -> Place {
    const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
    let length = key.len();
    let (head, tail) = if length >= 8 {
        let mut head = [0; 8];
        let mut tail = [0; 8];
        head.copy_from_slice(&key[..8]);
        tail.copy_from_slice(&key[length - 8..]);
        (u64::from_le_bytes(head), u64::from_le_bytes(tail))
    } else {
        let mut bytes = [0; 8];
        for (to, from) in bytes.iter_mut().zip(key) {
            *to = *from;
        }
        (u64::from_le_bytes(bytes), 0)
    };
    let middle = if length > 16 { u64::from(key[length / 2]) << 7 | u64::from(key[length / 2 - 3]) << 23 } else { 0 };
    let mixed = (head ^ tail.rotate_left(29) ^ middle ^ (length as u64) << 56).wrapping_mul(MIX);
    let place = (mixed >> (64 - ENTRIES.trailing_zeros())) as Place;
    if place == ROOT { 1 } else { place }
}

/// The `str` of an ASCII key of 1 to [`LONGEST`] bytes, from the table or put there: a new reference (null with an
/// exception set when memory ran out) and its place, which is what will be guessed `after` the same key again.
///
/// # Safety
/// The GIL is held; `key` is ASCII, unescaped in the document, and has 1 to [`LONGEST`] bytes.
#[inline]
pub(super) unsafe fn find(key: &[u8], after: After) -> (*mut ffi::PyObject, Place) {
    let first = slot(key);
    // Each key has two places, so that two keys that meet do not push each other out by turns.
    let second = if first ^ 1 == ROOT { first } else { first ^ 1 };
    // SAFETY: the GIL is held (contract), so nobody else touches the table. A replaced entry's string is released after
    // the new one was stored; releasing an exact `str` runs no Python code. `key` has the length of its entry where
    // the bytes are compared.
    unsafe {
        let holds = |place: Place| {
            let Entry { object, length, .. } = *entry(place);
            !object.is_null() && length as usize == key.len() && equal(key.as_ptr(), characters(object), key.len())
        };
        let known = if holds(first) {
            Some(first)
        } else if holds(second) {
            Some(second)
        } else {
            None
        };
        let place = known.unwrap_or(if (*entry(first)).object.is_null() { first } else { second });
        match after {
            After::Key(before) => (*entry(before)).next = place,
            After::Parent(above) => (*entry(above)).child = place,
        }
        let found = entry(place);
        let object = (*found).object;
        if known.is_some() {
            return (ffi::Py_NewRef(object), place);
        }
        let fresh = super::object::ascii(key);
        if !fresh.is_null() {
            // Computes the hash now, and keeps it in the string.
            ffi::PyObject_Hash(fresh);
            (*found).object = ffi::Py_NewRef(fresh);
            (*found).length = key.len() as u32;
            ffi::Py_XDECREF(object);
        }
        (fresh, place)
    }
}
