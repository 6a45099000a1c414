//! Where JSON text is written: the `bytes` object that is sent, or the end of a vector.

use std::mem::MaybeUninit;
use std::ptr;

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
const FIRST_CAPACITY: usize = 4 * SMALL;

/// Bytes that [`Output::reserve`] keeps free beyond what it was asked for, so that text can be copied in blocks.
pub(super) const SLACK: usize = 32;

/// Room on the stack.
pub(super) type Small = [MaybeUninit<u8>; SMALL];

enum Target<'v> {
    /// Still on the stack.
    Small,
    /// An object nobody else has seen, or null.
    Bytes(*mut ffi::PyObject),
    Vec(&'v mut Vec<u8>),
}

/// A growing buffer. Invariant: `data` has `capacity` bytes of room, of which the first `len <= capacity` are written.
pub(super) struct Output<'v> {
    data: *mut u8,
    len: usize,
    capacity: usize,
    target: Target<'v>,
}

impl<'v> Output<'v> {
    /// An output that becomes a `bytes` object, and begins in `small`.
    pub(super) fn bytes(small: &'v mut Small) -> Self {
        Self { data: small.as_mut_ptr().cast(), len: 0, capacity: SMALL, target: Target::Small }
    }

    pub(super) fn vec(vec: &'v mut Vec<u8>) -> Self {
        Self { data: vec.as_mut_ptr(), len: vec.len(), capacity: vec.capacity(), target: Target::Vec(vec) }
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Forgets what was written after the first `len` bytes.
    pub(super) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Makes room for `additional` bytes and [`SLACK`] more.
    #[inline(always)]
    pub(super) fn reserve(&mut self, additional: usize) -> Result<(), Failed> {
        // No overflow: `additional` is the size of something in memory, at most `isize::MAX`.
        if self.capacity - self.len >= additional + SLACK { Ok(()) } else { self.grow(additional + SLACK) }
    }

    /// The place where the next byte goes; valid until the next call that writes or reserves.
    #[inline(always)]
    pub(super) fn cursor(&mut self) -> *mut u8 {
        // SAFETY: `len <= capacity` (invariant).
        unsafe { self.data.add(self.len) }
    }

    /// Takes `count` bytes after the cursor as written.
    ///
    /// # Safety
    /// They were written, within what `reserve` made room for.
    #[inline(always)]
    pub(super) unsafe fn advance(&mut self, count: usize) {
        self.len += count;
        debug_assert!(self.len <= self.capacity);
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, additional: usize) -> Result<(), Failed> {
        // SAFETY: an `Output` is made, used and dropped under the GIL: it lives inside `dumps`.
        let py = unsafe { Python::assume_attached() };
        let no_memory = || Failed::with(py, PyErr::new::<pyo3::exceptions::PyMemoryError, _>(()));
        let needed = self.len.checked_add(additional).ok_or_else(no_memory)?;
        let capacity = needed.max(self.capacity.saturating_mul(2)).min(isize::MAX as usize - 64);
        if capacity < needed {
            return Err(no_memory());
        }
        match &mut self.target {
            Target::Small => {
                let capacity = capacity.max(FIRST_CAPACITY);
                // SAFETY: the GIL is held; the bytes of an object made from a null pointer are ours to write; `len`
                // bytes of the stack's room are written, fewer than `capacity`.
                unsafe {
                    let object = ffi::PyBytes_FromStringAndSize(ptr::null(), capacity as ffi::Py_ssize_t);
                    if object.is_null() {
                        return Err(Failed);
                    }
                    let data = ffi::PyBytes_AS_STRING(object).cast_mut().cast();
                    ptr::copy_nonoverlapping(self.data, data, self.len);
                    self.data = data;
                    self.capacity = capacity;
                    self.target = Target::Bytes(object);
                }
            }
            Target::Bytes(object) => {
                // SAFETY: the GIL is held; the object is ours alone (one reference, never handed out, never hashed), as
                // resizing demands.
                if unsafe { _PyBytes_Resize(object, capacity as ffi::Py_ssize_t) } != 0 {
                    self.capacity = 0;
                    self.len = 0;
                    return Err(Failed);
                }
                // SAFETY: the resized object is a live `bytes` object.
                self.data = unsafe { ffi::PyBytes_AS_STRING(*object) }.cast_mut().cast();
                self.capacity = capacity;
            }
            Target::Vec(vec) => {
                // SAFETY: the first `self.len` bytes are written, and `len <= capacity` (invariant).
                unsafe { vec.set_len(self.len) };
                vec.try_reserve(capacity - self.len).map_err(|_| no_memory())?;
                self.data = vec.as_mut_ptr();
                self.capacity = vec.capacity();
            }
        }
        Ok(())
    }

    #[inline(always)]
    pub(super) fn push(&mut self, byte: u8) -> Result<(), Failed> {
        self.reserve(1)?;
        // SAFETY: `reserve` made room for one byte, which is then written.
        unsafe {
            *self.cursor() = byte;
            self.advance(1);
        }
        Ok(())
    }

    /// Writes a constant of a few bytes.
    #[inline(always)]
    pub(super) fn constant<const N: usize>(&mut self, bytes: &[u8; N]) -> Result<(), Failed> {
        self.reserve(N)?;
        // SAFETY: `reserve` made room for `N` bytes, which are then written.
        unsafe {
            self.cursor().cast::<[u8; N]>().write(*bytes);
            self.advance(N);
        }
        Ok(())
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) -> Result<(), Failed> {
        self.reserve(bytes.len())?;
        // SAFETY: `reserve` made room for `bytes`; they cannot overlap a buffer that is borrowed mutably.
        unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr(), self.cursor(), bytes.len());
            self.advance(bytes.len());
        }
        Ok(())
    }

    /// Ends a container: its closing bracket takes the place of the comma after its last item.
    #[inline(always)]
    pub(super) fn close(&mut self, bracket: u8) -> Result<(), Failed> {
        self.reserve(2)?;
        // SAFETY: `len >= 1`, because the opening bracket was written; `reserve` made room for two bytes more.
        unsafe {
            let last = self.data.add(self.len - 1);
            let at = if *last == b',' { last } else { last.add(1) };
            *at = bracket;
            *at.add(1) = b',';
            self.len = at.offset_from(self.data) as usize + 2;
        }
        Ok(())
    }

    /// Whether the last byte is `byte`; then it is taken back.
    pub(super) fn take_back(&mut self, byte: u8) {
        // SAFETY: the byte before `len` is written (invariant).
        if self.len > 0 && unsafe { *self.data.add(self.len - 1) } == byte {
            self.len -= 1;
        }
    }

    /// The finished object, cut to what was written.
    pub(super) fn finish_bytes<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let object = match &mut self.target {
            Target::Bytes(object) => object,
            Target::Small => {
                // SAFETY: `len` bytes are written (invariant).
                return Ok(PyBytes::new(py, unsafe { std::slice::from_raw_parts(self.data, self.len) }));
            }
            Target::Vec(_) => {
                return Err(PyErr::new::<pyo3::exceptions::PySystemError, _>("the text was written to a vector"));
            }
        };
        // SAFETY: as in `grow`: the GIL is held and the object is ours alone; what it is cut to was written.
        if unsafe { _PyBytes_Resize(object, self.len as ffi::Py_ssize_t) } != 0 {
            return Err(PyErr::fetch(py));
        }
        let finished = std::mem::replace(object, ptr::null_mut());
        // SAFETY: `finished` is an owned reference to a `bytes` object; it is no longer `self`'s.
        Ok(unsafe { Bound::from_owned_ptr(py, finished).cast_into_unchecked::<PyBytes>() })
    }

    /// Gives the vector its new length.
    pub(super) fn finish_vec(&mut self) {
        let len = self.len;
        if let Target::Vec(vec) = &mut self.target {
            // SAFETY: the first `len` bytes are written, and `len <= capacity` (invariant).
            unsafe { vec.set_len(len) };
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
