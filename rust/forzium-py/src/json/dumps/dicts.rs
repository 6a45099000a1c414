//! Writing dicts, and mappings that are like them.

use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use super::super::entries::Walk;
use super::failed::{Failed, OrFailed};
use super::output::{Cursor, Written};
use super::report::Wrong;
use super::scalars::SHORT;
use super::{MAX_DEPTH, STRETCH, Writing};

type Pair<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

impl<'py> Writing<'_, '_, 'py> {
    /// Writes a dict.
    ///
    /// # Safety
    /// `object` is a live dict.
    #[inline(never)]
    pub(super) unsafe fn dict<const PLAIN: bool>(
        &mut self,
        mut cursor: Cursor,
        object: *mut ffi::PyObject,
        depth: usize,
    ) -> Written {
        if depth >= MAX_DEPTH {
            // SAFETY: `object` is alive (contract).
            return unsafe { self.deeper::<PLAIN>(cursor, object) };
        }
        let begin = self.output.count(cursor);
        // SAFETY: `object` is held for the call. The walk goes over the dict as it is now, so one changed meanwhile is at
        // worst walked wrongly; that is noticed. Key and value are in the dict when they are used; where others may run in
        // between (a key that is no exact `str`, or a long one), both are held.
        unsafe {
            self.enter(depth, object);
            let length = (*object.cast::<ffi::PyDictObject>()).ma_used;
            let mut some = PLAIN && length != 0;
            cursor = self.output.constant(cursor, b"{")?;
            let mut walk = Walk::new(object);
            while let Some((key, value)) = walk.next() {
                let written = if ffi::Py_TYPE(key) == &raw mut ffi::PyUnicode_Type {
                    if !PLAIN {
                        if is_sqlalchemy_state(key) {
                            continue;
                        }
                        some = true;
                    }
                    if ffi::PyUnicode_GET_LENGTH(key) <= SHORT {
                        match self.string(cursor, key, b':', depth + 1) {
                            Ok(cursor) => self.value::<PLAIN>(cursor, value, depth + 1),
                            Err(failed) => Err(failed),
                        }
                    } else {
                        let key = Bound::from_borrowed_ptr(self.py, key);
                        self.entry::<PLAIN>(cursor, &key, &Bound::from_borrowed_ptr(self.py, value), depth)
                    }
                } else if PLAIN || ffi::PyLong_CheckExact(key) != 0 {
                    some = true;
                    let key = Bound::from_borrowed_ptr(self.py, key);
                    self.entry::<PLAIN>(cursor, &key, &Bound::from_borrowed_ptr(self.py, value), depth)
                } else {
                    // A key that is not for us: what was written is forgotten, the encoder decides.
                    let cursor = self.output.back_to(begin, cursor);
                    return self.other::<false>(cursor, object, depth);
                };
                cursor = match written {
                    Ok(cursor) => cursor,
                    Err(failed) => return Err(self.at_entry(object, depth, walk.position(), failed)),
                };
                if walk.position() % STRETCH == 0 {
                    self.spend(depth + 1, STRETCH);
                }
                if (*object.cast::<ffi::PyDictObject>()).ma_used != length {
                    return Err(self.wrong(Wrong::Changed("dictionary")));
                }
            }
            self.spend(depth + 1, 1 + walk.position() % STRETCH);
            self.leave(depth);
            self.output.close(cursor, b'}', some)
        }
    }

    /// Writes an entry whose key may be anything.
    #[cold]
    #[inline(never)]
    pub(super) fn entry<const PLAIN: bool>(
        &mut self,
        cursor: Cursor,
        key: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
        depth: usize,
    ) -> Written {
        let cursor = self.key(cursor, key, depth + 1)?;
        // SAFETY: the value is held by the reference.
        unsafe { self.value::<PLAIN>(cursor, value.as_ptr(), depth + 1) }
    }

    /// Writes the items of a mapping that is not exactly a dict.
    #[cold]
    pub(super) fn items<const PLAIN: bool>(
        &mut self,
        mut cursor: Cursor,
        object: &Bound<'py, PyAny>,
        depth: usize,
    ) -> Written {
        let py = self.py;
        if depth >= MAX_DEPTH {
            // SAFETY: `object` is held by the reference.
            return unsafe { self.deeper::<PLAIN>(cursor, object.as_ptr()) };
        }
        self.enter(depth, object.as_ptr());
        self.hold(depth + 1);
        // SAFETY: as above; the call returns a new list, or null with an exception set.
        let items = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyMapping_Items(object.as_ptr())) }.or_failed(py)?;
        let items = items.cast_into::<PyList>().map_err(PyErr::from).or_failed(py)?;
        cursor = self.output.constant(cursor, b"{")?;
        let mut some = false;
        for pair in items.iter() {
            // A key's `repr` or a hook may have run: the items are ours, and so are key and value now.
            let Ok((key, value)) =
                pair.cast_into::<PyTuple>().map_err(PyErr::from).and_then(|pair| pair.extract::<Pair<'_>>())
            else {
                return Err(Failed::with(py, PyValueError::new_err("items must return 2-tuples")));
            };
            cursor = match self.entry::<PLAIN>(cursor, &key, &value, depth) {
                Ok(cursor) => cursor,
                Err(failed) => return Err(self.at_key(Some(&key), failed)),
            };
            self.spend(depth + 1, 1);
            some = true;
        }
        self.leave(depth);
        self.output.close(cursor, b'}', some)
    }
}

/// Whether a key begins with `_sa`, as SQLAlchemy's state does.
///
/// # Safety
/// `key` is a live `str`.
#[inline(always)]
unsafe fn is_sqlalchemy_state(key: *mut ffi::PyObject) -> bool {
    // SAFETY: `key` is a live `str` (contract); its data holds `length` characters of the kind it names. A `str` of a
    // wider kind may begin so, too.
    unsafe {
        if ffi::PyUnicode_GET_LENGTH(key) < 3 {
            return false;
        }
        if ffi::PyUnicode_KIND(key) == ffi::PyUnicode_1BYTE_KIND {
            return ffi::PyUnicode_DATA(key).cast::<[u8; 3]>().read() == *b"_sa";
        }
        [0, 1, 2].map(|index| ffi::PyUnicode_ReadChar(key, index)) == b"_sa".map(u32::from)
    }
}
