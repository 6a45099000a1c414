//! Writing lists and tuples.

use pyo3::ffi;

use super::failed::Failed;
use super::float;
use super::output::{Cursor, Written};
use super::report::Wrong;
use super::{MAX_DEPTH, STRETCH, Writing};

/// Items of a list that may be written by [`Writing::row`].
const ROW: usize = 8;

impl<'py> Writing<'_, '_, 'py> {
    /// Writes a list.
    ///
    /// # Safety
    /// `object` is a live list.
    #[inline(never)]
    pub(super) unsafe fn list<const PLAIN: bool>(
        &mut self,
        mut cursor: Cursor,
        object: *mut ffi::PyObject,
        depth: usize,
    ) -> Written {
        if depth >= MAX_DEPTH {
            // SAFETY: `object` is alive (contract).
            return unsafe { self.deeper::<PLAIN>(cursor, object) };
        }
        // SAFETY: `object` is held for the call. An index is used only after it was compared with the size the list has
        // now, with nothing run in between; `item` is in the list when it is given to `value`.
        unsafe {
            self.enter(depth, object);
            let length = ffi::PyList_GET_SIZE(object);
            cursor = self.output.constant(cursor, b"[")?;
            let mut position = 0;
            while position < ffi::PyList_GET_SIZE(object) {
                let item = ffi::PyList_GET_ITEM(object, position);
                if position + 1 < ffi::PyList_GET_SIZE(object) {
                    prefetch(ffi::PyList_GET_ITEM(object, position + 1));
                }
                if ffi::Py_TYPE(item) == &raw mut ffi::PyFloat_Type {
                    // Numbers come in rows: these are written in a loop of their own, up to the next stretch.
                    let end = ((position / STRETCH + 1) * STRETCH).min(ffi::PyList_GET_SIZE(object));
                    let items = items(object).add(position as usize);
                    let written;
                    (cursor, written) = self.floats(cursor, items, (end - position) as usize)?;
                    position += written as ffi::Py_ssize_t;
                    if written == 0 {
                        let failed = self.wrong(Wrong::NotFinite(ffi::PyFloat_AS_DOUBLE(item)));
                        return Err(self.at_index(position, failed));
                    }
                } else if let Some(end) = self.row(cursor, item) {
                    cursor = end;
                    position += 1;
                } else {
                    cursor = match self.value::<PLAIN>(cursor, item, depth + 1) {
                        Ok(cursor) => cursor,
                        Err(failed) => return Err(self.at_index(position, failed)),
                    };
                    position += 1;
                }
                if position % STRETCH == 0 && self.spend(depth + 1, STRETCH) && ffi::PyList_GET_SIZE(object) != length {
                    break;
                }
            }
            self.spend(depth + 1, 1 + position % STRETCH);
            if position != length || ffi::PyList_GET_SIZE(object) != length {
                return Err(self.wrong(Wrong::Changed("list")));
            }
            self.leave(depth);
            self.output.close(cursor, b']', length != 0)
        }
    }

    /// Writes a short list of nothing but finite floats, as coordinates are; `None` if it is something else, or there is no
    /// room at once.
    ///
    /// # Safety
    /// `object` is alive, and nobody else runs.
    #[inline(always)]
    unsafe fn row(&mut self, cursor: Cursor, object: *mut ffi::PyObject) -> Option<Cursor> {
        // SAFETY: `object` is alive (contract).
        if unsafe { ffi::Py_TYPE(object) } != &raw mut ffi::PyList_Type {
            return None;
        }
        // SAFETY: it is a list, whose items are alive as long as nobody else runs.
        let items = unsafe { std::slice::from_raw_parts(items(object), ffi::PyList_GET_SIZE(object) as usize) };
        if items.is_empty() || items.len() > ROW || !self.output.has(cursor, 2 + ROW * float::ROOM) {
            return None;
        }
        // SAFETY: the items are alive (contract). There is room for `ROW` floats, each with a byte behind it, and two
        // bytes more; a value that is written is finite.
        unsafe {
            cursor.write(b'[');
            let mut end = cursor.add(1);
            for &item in items {
                if ffi::Py_TYPE(item) != &raw mut ffi::PyFloat_Type {
                    return None;
                }
                let value = ffi::PyFloat_AS_DOUBLE(item);
                if !value.is_finite() {
                    return None;
                }
                end = end.add(float::write(end.as_ptr(), value));
                end.write(b',');
                end = end.add(1);
            }
            end.sub(1).cast::<[u8; 2]>().write(*b"],");
            Some(end.add(1))
        }
    }

    /// Writes the items up to the first that is no finite float; returns how many.
    ///
    /// # Safety
    /// `items` are `count` live objects, and nobody else runs.
    #[inline(never)]
    pub(super) unsafe fn floats(
        &mut self,
        mut cursor: Cursor,
        items: *mut *mut ffi::PyObject,
        count: usize,
    ) -> Result<(Cursor, usize), Failed> {
        // SAFETY: the items are alive (contract), an index is below their number; `reserve` makes room for the digits and
        // the comma, and the value is finite.
        unsafe {
            let mut at = 0;
            while at < count {
                let item = *items.add(at);
                if ffi::Py_TYPE(item) != &raw mut ffi::PyFloat_Type {
                    break;
                }
                let value = ffi::PyFloat_AS_DOUBLE(item);
                if !value.is_finite() {
                    break;
                }
                at += 1;
                cursor = self.output.reserve(cursor, float::ROOM)?;
                cursor = cursor.add(float::write(cursor.as_ptr(), value));
                cursor.write(b',');
                cursor = cursor.add(1);
            }
            Ok((cursor, at))
        }
    }

    /// Writes a tuple.
    ///
    /// # Safety
    /// `object` is a live tuple.
    #[inline(never)]
    pub(super) unsafe fn tuple<const PLAIN: bool>(
        &mut self,
        mut cursor: Cursor,
        object: *mut ffi::PyObject,
        depth: usize,
    ) -> Written {
        if depth >= MAX_DEPTH {
            // SAFETY: `object` is alive (contract).
            return unsafe { self.deeper::<PLAIN>(cursor, object) };
        }
        // SAFETY: `object` is held for the call, and a tuple does not change.
        unsafe {
            self.enter(depth, object);
            let length = ffi::PyTuple_GET_SIZE(object);
            cursor = self.output.constant(cursor, b"[")?;
            for position in 0..length {
                let item = ffi::PyTuple_GET_ITEM(object, position);
                cursor = match self.value::<PLAIN>(cursor, item, depth + 1) {
                    Ok(cursor) => cursor,
                    Err(failed) => return Err(self.at_index(position, failed)),
                };
                if position % STRETCH == STRETCH - 1 {
                    self.spend(depth + 1, STRETCH);
                }
            }
            self.spend(depth + 1, 1 + length % STRETCH);
            self.leave(depth);
            self.output.close(cursor, b']', length != 0)
        }
    }
}

/// Where the items of a list are.
///
/// # Safety
/// `list` is a live list.
#[inline(always)]
unsafe fn items(list: *mut ffi::PyObject) -> *mut *mut ffi::PyObject {
    // SAFETY: as the contract says. An empty list may have none: then a pointer that is not null stands for them.
    let items = unsafe { (*list.cast::<ffi::PyListObject>()).ob_item };
    if items.is_null() { std::ptr::dangling_mut() } else { items }
}

/// Asks for an object that is needed soon.
#[inline(always)]
fn prefetch(object: *mut ffi::PyObject) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is a hint: it reads nothing and cannot fault; SSE, which has it, is part of x86-64.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(object.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = object;
}
