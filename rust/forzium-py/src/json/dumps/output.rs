//! Where JSON text is written: the `bytes` object that is sent, or the end of a vector.
//!
//! The place where the next byte goes is not kept here but handed from function to function ([`Cursor`]): it changes with
//! every value, and a number that is written to memory and read back each time is the longest chain of waits in the loop.

use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::failed::Failed;

unsafe extern "C" {
    /// Public C API, not exported by pyo3. On failure the object is released, null stored and an exception set.
    fn _PyBytes_Resize(bytes: *mut *mut ffi::PyObject, size: ffi::Py_ssize_t) -> std::ffi::c_int;
}

/// Bytes of text that are gathered on the stack. Most responses fit, and then the `bytes` object is made in its final
/// size: cutting a larger one costs more than copying so little.
pub(super) const SMALL: usize = 1024;

/// Bytes a `bytes` object has at least when the text outgrows the stack.
const FIRST_CAPACITY: usize = 16 * SMALL;

/// How many times larger a full buffer becomes, at least.
const GROWTH: usize = 2;

/// How long the last text was that outgrew [`FIRST_CAPACITY`]. The next such text is given as much room at once (and an
/// eighth more), which saves copying it time and again while it grows.
static LAST: AtomicUsize = AtomicUsize::new(0);

/// Bytes of the longest text that is remembered so.
const LONGEST_REMEMBERED: usize = 64 << 20;

/// A text that leaves less than one part in so many of its room unused is not moved into a smaller one.
const WASTE: usize = 8;

/// Bytes that [`Output::reserve`] keeps free beyond what it was asked for: text is copied in blocks, and a few constant
/// bytes need no question.
pub(super) const SLACK: usize = 32;

/// Room on the stack.
pub(super) type Small = [MaybeUninit<u8>; SMALL];

/// The place where the next byte goes, inside the buffer of the one `Output` there is in a call; everything before it is
/// written. A cursor is used once: what writes takes it and returns the next.
pub(super) type Cursor = NonNull<u8>;

/// The place after what was written, or an exception.
pub(super) type Written = Result<Cursor, Failed>;

enum Target<'v> {
    /// Still on the stack.
    Small,
    /// An object nobody else has seen, or null.
    Bytes(*mut ffi::PyObject),
    Vec(&'v mut Vec<u8>),
}

/// A growing buffer. Invariant: from `start` to `end` there is room to write.
pub(super) struct Output<'v> {
    start: *mut u8,
    end: *mut u8,
    target: Target<'v>,
}

impl<'v> Output<'v> {
    /// An output that becomes a `bytes` object, and begins in `small`.
    pub(super) fn bytes(small: &'v mut Small) -> (Self, Cursor) {
        let room = small.as_mut_ptr_range();
        let output = Self { start: room.start.cast(), end: room.end.cast(), target: Target::Small };
        let cursor = output.at(0);
        (output, cursor)
    }

    /// An output that goes on where `vec` ends.
    pub(super) fn vec(vec: &'v mut Vec<u8>) -> (Self, Cursor) {
        let written = vec.len();
        let room = vec.spare_capacity_mut().len();
        let start = vec.as_mut_ptr();
        // SAFETY: a vector has room for its length and its spare capacity.
        let end = unsafe { start.add(written + room) };
        let output = Self { start, end, target: Target::Vec(vec) };
        let cursor = output.at(written);
        (output, cursor)
    }

    /// The place after the first `count` bytes, which are written.
    pub(super) fn at(&self, count: usize) -> Cursor {
        // SAFETY: pointers to a stack array, a vector's or an object's bytes are not null.
        unsafe { NonNull::new_unchecked(self.start.wrapping_add(count)) }
    }

    /// How many bytes stand before `cursor`.
    #[inline(always)]
    pub(super) fn count(&self, cursor: Cursor) -> usize {
        cursor.as_ptr().addr() - self.start.addr()
    }

    /// The cursor after the first `count` bytes: what stands behind is forgotten.
    pub(super) fn back_to(&self, count: usize, cursor: Cursor) -> Cursor {
        self.at(count.min(self.count(cursor)))
    }

    /// Makes room for `additional` bytes after `cursor`, and [`SLACK`] more.
    #[inline(always)]
    pub(super) fn reserve(&mut self, cursor: Cursor, additional: usize) -> Written {
        let room = self.end.addr() - cursor.as_ptr().addr();
        // No overflow: `additional` is the size of something in memory, at most `isize::MAX`.
        if room >= additional + SLACK { Ok(cursor) } else { self.grow(cursor, additional + SLACK) }
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, cursor: Cursor, additional: usize) -> Written {
        // SAFETY: an `Output` is made, used and dropped under the GIL: it lives inside `dumps`.
        let py = unsafe { Python::assume_attached() };
        let no_memory = || Failed::with(py, PyErr::new::<pyo3::exceptions::PyMemoryError, _>(()));
        let count = self.count(cursor);
        let capacity = self.end.addr() - self.start.addr();
        let needed = count.checked_add(additional).ok_or_else(no_memory)?;
        let capacity = needed.max(capacity.saturating_mul(GROWTH)).min(isize::MAX as usize - 64);
        if capacity < needed {
            return Err(no_memory());
        }
        match &mut self.target {
            Target::Small => {
                let capacity = capacity.max(FIRST_CAPACITY);
                // SAFETY: the GIL is held; the bytes of an object made from a null pointer are ours to write; `count`
                // bytes of the stack's room are written, fewer than `capacity`.
                unsafe {
                    let object = ffi::PyBytes_FromStringAndSize(ptr::null(), capacity as ffi::Py_ssize_t);
                    if object.is_null() {
                        return Err(Failed);
                    }
                    let data = ffi::PyBytes_AS_STRING(object).cast_mut().cast();
                    ptr::copy_nonoverlapping(self.start, data, count);
                    self.start = data;
                    self.end = data.add(capacity);
                    self.target = Target::Bytes(object);
                }
            }
            Target::Bytes(object) => {
                let last = LAST.load(Ordering::Relaxed);
                let capacity = capacity.max(last + last / WASTE);
                // SAFETY: the GIL is held; the object is ours alone (one reference, never handed out, never hashed), as
                // resizing demands. After a failure `drop` finds null, and the error ends the writing.
                unsafe {
                    if _PyBytes_Resize(object, capacity as ffi::Py_ssize_t) != 0 {
                        return Err(Failed);
                    }
                    self.start = ffi::PyBytes_AS_STRING(*object).cast_mut().cast();
                    self.end = self.start.add(capacity);
                }
            }
            Target::Vec(vec) => {
                // SAFETY: everything before the cursor is written, and within the vector's room.
                unsafe { vec.set_len(count) };
                vec.try_reserve(capacity - count).map_err(|_| no_memory())?;
                self.start = vec.as_mut_ptr();
                // SAFETY: a vector has room for its capacity.
                self.end = unsafe { self.start.add(vec.capacity()) };
            }
        }
        Ok(self.at(count))
    }

    /// Writes a few constant bytes.
    #[inline(always)]
    pub(super) fn constant<const N: usize>(&mut self, cursor: Cursor, bytes: &[u8; N]) -> Written {
        let cursor = self.reserve(cursor, N)?;
        // SAFETY: `reserve` made room for `N` bytes, which are then written.
        unsafe {
            cursor.cast::<[u8; N]>().write(*bytes);
            Ok(cursor.add(N))
        }
    }

    pub(super) fn extend(&mut self, cursor: Cursor, bytes: &[u8]) -> Written {
        let cursor = self.reserve(cursor, bytes.len())?;
        // SAFETY: `reserve` made room for `bytes`; they cannot overlap a buffer that nobody else refers to.
        unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr(), cursor.as_ptr(), bytes.len());
            Ok(cursor.add(bytes.len()))
        }
    }

    /// Ends a container; if it has `some` items, its bracket takes the place of the comma after the last.
    #[inline(always)]
    pub(super) fn close(&mut self, cursor: Cursor, bracket: u8, some: bool) -> Written {
        let cursor = self.reserve(cursor, 2)?;
        // SAFETY: before the cursor stand the opening bracket and, after `some` items, a comma; `reserve` made room for
        // two bytes more.
        unsafe {
            let cursor = if some { cursor.sub(1) } else { cursor };
            debug_assert!(!some || cursor.read() == b',');
            cursor.cast::<[u8; 2]>().write([bracket, b',']);
            Ok(cursor.add(2))
        }
    }

    /// Takes the comma before the cursor back.
    pub(super) fn without_comma(&self, cursor: Cursor) -> Cursor {
        let count = self.count(cursor);
        // SAFETY: the byte is before the cursor.
        if count > 0 && unsafe { cursor.sub(1).read() } == b',' { self.at(count - 1) } else { cursor }
    }

    /// The finished object, cut to what was written.
    pub(super) fn finish_bytes<'py>(&mut self, py: Python<'py>, cursor: Cursor) -> PyResult<Bound<'py, PyBytes>> {
        let count = self.count(cursor);
        let object = match &mut self.target {
            Target::Bytes(object) => object,
            Target::Small | Target::Vec(_) => {
                // SAFETY: everything before the cursor is written.
                return Ok(PyBytes::new(py, unsafe { std::slice::from_raw_parts(self.start, count) }));
            }
        };
        if count > FIRST_CAPACITY {
            LAST.store(count.min(LONGEST_REMEMBERED), Ordering::Relaxed);
        }
        let unused = self.end.addr() - self.start.addr() - count;
        // SAFETY: as in `grow`: the GIL is held and the object is ours alone; what it is cut to was written. Its size is
        // what Python goes by, and the zero behind the text; that its memory is larger concerns the allocator alone.
        unsafe {
            if unused > count / WASTE {
                if _PyBytes_Resize(object, count as ffi::Py_ssize_t) != 0 {
                    return Err(PyErr::fetch(py));
                }
            } else {
                (*object.cast::<ffi::PyVarObject>()).ob_size = count as ffi::Py_ssize_t;
                self.start.add(count).write(0);
            }
        }
        let finished = std::mem::replace(object, ptr::null_mut());
        // SAFETY: `finished` is an owned reference to a `bytes` object; it is no longer `self`'s.
        Ok(unsafe { Bound::from_owned_ptr(py, finished).cast_into_unchecked::<PyBytes>() })
    }

    /// Gives the vector its new length.
    pub(super) fn finish_vec(&mut self, cursor: Cursor) {
        let count = self.count(cursor);
        if let Target::Vec(vec) = &mut self.target {
            // SAFETY: everything before the cursor is written, and within the vector's room.
            unsafe { vec.set_len(count) };
        }
    }
}

impl Drop for Output<'_> {
    fn drop(&mut self) {
        if let Target::Bytes(object) = self.target {
            // SAFETY: the reference is ours or null, and the GIL is held wherever an `Output` lives.
            unsafe { ffi::Py_XDECREF(object) };
        }
    }
}
