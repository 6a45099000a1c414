//! Where JSON text is written: the `bytes` object that is sent, or the end of a vector.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sonic_rs::writer::WriteExt;

unsafe extern "C" {
    /// Public C API, not exported by pyo3. On failure the object is released, null stored and an exception set.
    fn _PyBytes_Resize(bytes: *mut *mut ffi::PyObject, size: ffi::Py_ssize_t) -> std::ffi::c_int;
}

/// Bytes a new `bytes` object starts with: most responses fit.
const FIRST_CAPACITY: usize = 1024;

enum Target<'v> {
    /// An object nobody else has seen, or null.
    Bytes(*mut ffi::PyObject),
    Vec(&'v mut Vec<u8>),
}

/// A growing buffer. Invariant: `len <= capacity`, and `data` has `capacity` bytes of which `len` are written.
pub(super) struct Output<'v> {
    data: *mut u8,
    len: usize,
    capacity: usize,
    target: Target<'v>,
}

impl<'v> Output<'v> {
    pub(super) fn bytes(py: Python<'_>) -> PyResult<Self> {
        // SAFETY: the GIL is held (`py`); with a null pointer the object's bytes are ours to write.
        let object = unsafe { ffi::PyBytes_FromStringAndSize(ptr::null(), FIRST_CAPACITY as ffi::Py_ssize_t) };
        if object.is_null() {
            return Err(PyErr::fetch(py));
        }
        // SAFETY: `object` is a live `bytes` object.
        let data = unsafe { ffi::PyBytes_AS_STRING(object) }.cast_mut().cast();
        Ok(Self { data, len: 0, capacity: FIRST_CAPACITY, target: Target::Bytes(object) })
    }

    pub(super) fn vec(vec: &'v mut Vec<u8>) -> Self {
        Self { data: vec.as_mut_ptr(), len: vec.len(), capacity: vec.capacity(), target: Target::Vec(vec) }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Forgets what was written after the first `len` bytes.
    pub(super) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Makes room for `additional` bytes.
    #[inline(always)]
    pub(super) fn reserve(&mut self, additional: usize) -> PyResult<()> {
        if self.capacity - self.len >= additional { Ok(()) } else { self.grow(additional) }
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, additional: usize) -> PyResult<()> {
        let no_memory = || PyErr::new::<pyo3::exceptions::PyMemoryError, _>(());
        let needed = self.len.checked_add(additional).ok_or_else(no_memory)?;
        let capacity = needed.max(self.capacity.saturating_mul(2)).min(isize::MAX as usize);
        match &mut self.target {
            Target::Bytes(object) => {
                // SAFETY: an `Output` on bytes is made and used under the GIL; the object is ours alone (one reference,
                // never handed out), as resizing demands.
                if unsafe { _PyBytes_Resize(object, capacity as ffi::Py_ssize_t) } != 0 {
                    self.capacity = 0;
                    self.len = 0;
                    // SAFETY: the GIL is held, see above.
                    return Err(PyErr::fetch(unsafe { Python::assume_attached() }));
                }
                // SAFETY: the resized object is a live `bytes` object.
                self.data = unsafe { ffi::PyBytes_AS_STRING(*object) }.cast_mut().cast();
                self.capacity = capacity;
            }
            Target::Vec(vec) => {
                // SAFETY: the first `self.len` bytes are written (invariant), and `len <= capacity`.
                unsafe { vec.set_len(self.len) };
                vec.try_reserve(capacity - self.len).map_err(|_| no_memory())?;
                self.data = vec.as_mut_ptr();
                self.capacity = vec.capacity();
            }
        }
        Ok(())
    }

    #[inline(always)]
    pub(super) fn push(&mut self, byte: u8) -> PyResult<()> {
        self.reserve(1)?;
        // SAFETY: `reserve` left room for one byte.
        unsafe { *self.data.add(self.len) = byte };
        self.len += 1;
        Ok(())
    }

    #[inline(always)]
    pub(super) fn extend(&mut self, bytes: &[u8]) -> PyResult<()> {
        self.reserve(bytes.len())?;
        // SAFETY: `reserve` left room for `bytes`, which cannot overlap a buffer that is borrowed mutably.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.data.add(self.len), bytes.len()) };
        self.len += bytes.len();
        Ok(())
    }

    /// The finished object, cut to what was written.
    pub(super) fn finish_bytes(&mut self, py: Python<'_>) -> PyResult<Py<PyBytes>> {
        let Target::Bytes(object) = &mut self.target else {
            return Err(PyErr::new::<pyo3::exceptions::PySystemError, _>("the text was written to a vector"));
        };
        // SAFETY: as in `grow`: the GIL is held and the object is ours alone; what is cut to was written.
        if unsafe { _PyBytes_Resize(object, self.len as ffi::Py_ssize_t) } != 0 {
            return Err(PyErr::fetch(py));
        }
        let finished = std::mem::replace(object, ptr::null_mut());
        // SAFETY: `finished` is an owned reference to a `bytes` object; it is no longer `self`'s.
        Ok(unsafe { Bound::from_owned_ptr(py, finished).cast_into_unchecked::<PyBytes>() }.unbind())
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
            // SAFETY: the reference is ours or null, and the GIL is held wherever an `Output` on bytes lives.
            unsafe { ffi::Py_XDECREF(object) };
        }
    }
}

impl io::Write for Output<'_> {
    #[inline(always)]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.extend(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    #[inline(always)]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.extend(bytes).map_err(io::Error::other)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl WriteExt for Output<'_> {
    #[inline(always)]
    fn reserve_with(&mut self, additional: usize) -> io::Result<&mut [MaybeUninit<u8>]> {
        self.reserve(additional).map_err(io::Error::other)?;
        // SAFETY: there is room for `additional` bytes after `len`; uninitialised bytes are what the type says.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.data.add(self.len).cast(), additional) })
    }

    #[inline(always)]
    unsafe fn flush_len(&mut self, additional: usize) -> io::Result<()> {
        self.len += additional;
        Ok(())
    }
}
