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
use std::ptr::{self, NonNull};

use pyo3::ffi;

use super::shapes::Place;

/// Keys remembered at most; a power of two. With [`LONGEST`] this bounds what stays in memory to some 500 kB.
const ENTRIES: usize = 2048;

/// Bytes of the longest key that is remembered. Longer ones repeat seldom.
pub(super) const LONGEST: usize = 62;

/// Bytes that are compared in one go.
const BLOCK: usize = 16;

/// A key as it stands in documents, with its closing quote and the colon behind.
#[derive(Clone)]
#[repr(C, align(16))]
pub(super) struct Text {
    bytes: [u8; LONGEST + 2],
    /// How long that is.
    length: usize,
    /// How many bytes a document must have left for it to be compared: whole blocks; more than there can be if there is
    /// no key.
    room: usize,
    /// Which bytes of the last block belong to it, one bit for each.
    mask: u32,
}

impl Text {
    const NONE: Self = Self { bytes: [0; LONGEST + 2], length: 0, room: usize::MAX, mask: 0 };

    /// The text of `key`, which has [`LONGEST`] bytes at most.
    fn of(key: &[u8]) -> Self {
        let mut bytes = [0; LONGEST + 2];
        bytes[..key.len()].copy_from_slice(key);
        bytes[key.len()..key.len() + 2].copy_from_slice(b"\":");
        let length = key.len() + 2;
        let room = length.next_multiple_of(BLOCK);
        Self { bytes, length, room, mask: ALL >> (room - length) }
    }

    /// How many bytes it takes in a document.
    #[inline(always)]
    pub(super) const fn len(&self) -> usize {
        self.length
    }

    /// Whether `document` begins with it (and whole blocks of bytes are left there).
    #[inline(always)]
    pub(super) fn begins(&self, document: &[u8]) -> bool {
        if document.len() < self.room {
            return false;
        }
        // SAFETY: reads of `document` stay within it: it has `room` bytes; a text that has no key asks for more than there
        // can be. `room` is at most the size of `bytes`.
        unsafe {
            let mut last = 0;
            while last + BLOCK < self.room {
                if equal(document.as_ptr().add(last), self.bytes.as_ptr().add(last)) != ALL {
                    return false;
                }
                last += BLOCK;
            }
            let same = equal(document.as_ptr().add(last), self.bytes.as_ptr().add(last));
            same & self.mask == self.mask
        }
    }

    /// Whether it is that of `key`.
    fn is(&self, key: &[u8]) -> bool {
        let bytes: &[u8] = &self.bytes;
        self.length == key.len() + 2 && &bytes[..key.len()] == key
    }
}

#[repr(C)]
pub(super) struct Entry {
    text: Text,
    /// An owned reference to an ASCII `str` of 1 to `LONGEST` characters without escapes, or null.
    object: *mut ffi::PyObject,
    /// The key that followed in the same object the last time.
    next: *mut Entry,
    /// The first key of the object that was this key's value the last time.
    child: *mut Entry,
    /// What objects were like that had this as their last key.
    pub(super) ended: *mut Place,
    /// What the object was like that was this key's value the last time.
    pub(super) held: *mut Place,
}

/// The entries, and one before them that never has a key: where a document begins.
struct Table(UnsafeCell<[Entry; ENTRIES + 1]>);

// SAFETY: the table is touched only by functions whose contract is to hold the GIL; none of them keeps a reference to an
// entry across a call that could release its key. Pointers to entries stay good: the table is never moved or freed.
unsafe impl Sync for Table {}

static TABLE: Table = Table(UnsafeCell::new(
    [const {
        Entry {
            text: Text::NONE,
            object: ptr::null_mut(),
            next: root(),
            child: root(),
            ended: ptr::null_mut(),
            held: ptr::null_mut(),
        }
    }; ENTRIES + 1],
));

/// Where a document begins: the entry before its first key, which has none itself.
#[inline(always)]
pub(super) const fn root() -> *mut Entry {
    TABLE.0.get().cast()
}

/// The place of a key in the table.
#[inline(always)]
const fn entry(place: usize) -> *mut Entry {
    // The mask keeps the place inside the table, and away from the root.
    root().wrapping_add((place & (ENTRIES - 1)) + 1)
}

/// Where the guess for the key after that of `entry` in the same object is kept.
#[inline(always)]
pub(super) const fn next_to(entry: *mut Entry) -> *mut *mut Entry {
    entry.wrapping_byte_add(std::mem::offset_of!(Entry, next)).cast()
}

/// Where the guess for the first key of the object under that of `entry` is kept.
#[inline(always)]
pub(super) const fn first_in(entry: *mut Entry) -> *mut *mut Entry {
    entry.wrapping_byte_add(std::mem::offset_of!(Entry, child)).cast()
}

/// The key that `link` guesses, if `text` begins with it, its closing quote and a colon: a new reference, how many bytes
/// these take, and its entry.
///
/// # Safety
/// The GIL is held; `link` is from `next_to` or `first_in`.
#[inline(always)]
pub(super) unsafe fn guess(text: &[u8], link: *mut *mut Entry) -> Option<(NonNull<ffi::PyObject>, usize, *mut Entry)> {
    // SAFETY: the GIL is held (contract), so nobody else touches the table, in which all links lead. An entry whose text
    // was compared has an object.
    unsafe {
        let found = *link;
        if !(*found).text.begins(text) {
            return None;
        }
        ffi::Py_INCREF((*found).object);
        Some((NonNull::new_unchecked((*found).object), (*found).text.length, found))
    }
}

/// All bytes of a block.
const ALL: u32 = 0xFFFF;

/// Which bytes of two blocks are the same.
///
/// # Safety
/// Both pointers have a block to read.
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
#[inline(always)]
unsafe fn equal(a: *const u8, b: *const u8) -> u32 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8};
    // SAFETY: a block is 16 bytes (contract); SSE2 is enabled for this target (cfg).
    unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128(a.cast()), _mm_loadu_si128(b.cast()))) as u32 }
}

/// Which bytes of two blocks are the same.
///
/// # Safety
/// Both pointers have a block to read.
#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
#[inline(always)]
unsafe fn equal(a: *const u8, b: *const u8) -> u32 {
    // SAFETY: as the contract says.
    unsafe { (0..BLOCK).fold(0, |bits, at| bits | u32::from(*a.add(at) == *b.add(at)) << at) }
}

/// A mix of the key's bytes; a collision costs a new `str`, nothing else.
#[inline(always)]
fn slot(key: &[u8]) -> usize {
    const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
    let length = key.len();
    let (head, tail) = match (key.first_chunk(), key.last_chunk()) {
        (Some(&head), Some(&tail)) => (u64::from_le_bytes(head), u64::from_le_bytes(tail)),
        _ => {
            let mut bytes = [0; 8];
            bytes[..length].copy_from_slice(key);
            (u64::from_le_bytes(bytes), 0)
        }
    };
    let middle = if length > 16 { u64::from(key[length / 2]) << 7 | u64::from(key[length / 2 - 3]) << 23 } else { 0 };
    let mixed = (head ^ tail.rotate_left(29) ^ middle ^ (length as u64) << 56).wrapping_mul(MIX);
    (mixed >> (64 - ENTRIES.trailing_zeros())) as usize
}

/// The `str` of an ASCII key of 1 to [`LONGEST`] bytes, from the table or put there: a new reference (null with an
/// exception set when memory ran out) and its entry, to which `link` leads from now on.
///
/// # Safety
/// The GIL is held; `link` is from `next_to` or `first_in`; `key` is ASCII, unescaped in the document, and has 1 to
/// [`LONGEST`] bytes.
#[inline]
pub(super) unsafe fn find(key: &[u8], link: *mut *mut Entry) -> (*mut ffi::PyObject, *mut Entry) {
    let place = slot(key);
    // Each key has two places, so that two keys that meet do not push each other out by turns.
    let (first, second) = (entry(place), entry(place ^ 1));
    // SAFETY: the GIL is held (contract), so nobody else touches the table. A replaced entry's string is released after
    // the new one was stored; releasing an exact `str` runs no Python code.
    unsafe {
        let known = if (*first).text.is(key) {
            Some(first)
        } else if (*second).text.is(key) {
            Some(second)
        } else {
            None
        };
        let found = known.unwrap_or(if (*first).object.is_null() { first } else { second });
        *link = found;
        if known.is_some() {
            return (ffi::Py_NewRef((*found).object), found);
        }
        let fresh = super::object::ascii(key);
        if !fresh.is_null() {
            // Computes the hash now, and keeps it in the string.
            ffi::PyObject_Hash(fresh);
            let old = (*found).object;
            (*found).object = ffi::Py_NewRef(fresh);
            (*found).text = Text::of(key);
            ffi::Py_XDECREF(old);
        }
        (fresh, found)
    }
}

/// The entry that holds this very key, with its text; `None` if it was pushed out of the table, or never there.
///
/// # Safety
/// The GIL is held; `key` is a live `str`.
pub(super) unsafe fn known(key: *mut ffi::PyObject) -> Option<(*mut Entry, Text)> {
    let mut length: ffi::Py_ssize_t = 0;
    // SAFETY: the GIL is held (contract), so nobody else touches the table. The UTF-8 form lives as long as the key.
    unsafe {
        let text = ffi::PyUnicode_AsUTF8AndSize(key, &raw mut length).cast::<u8>();
        if text.is_null() {
            ffi::PyErr_Clear();
            return None;
        }
        let place = slot(std::slice::from_raw_parts(text, length as usize));
        let found = [entry(place), entry(place ^ 1)].into_iter().find(|&entry| (*entry).object == key)?;
        Some((found, (*found).text.clone()))
    }
}
