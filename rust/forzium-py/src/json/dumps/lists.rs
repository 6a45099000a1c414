//! Writing lists and tuples.

use pyo3::ffi;

use super::failed::Failed;
use super::float;
use super::output::{Cursor, Written};
use super::report::Wrong;
use super::{MAX_DEPTH, STRETCH, Writing};

/// Floats of a list that may be written by [`Writing::rows`], and how many lists it reads ahead.
const ROW: usize = 8;
const ROWS: usize = 16;

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
                // Numbers come in rows: these are written in loops of their own, up to the next stretch.
                let (next, written) = if ffi::Py_TYPE(item) == &raw mut ffi::PyFloat_Type {
                    self.floats(cursor, items(object).add(position as usize), stretch(object, position))?
                } else if begins_with_float(item) {
                    self.rows(cursor, items(object).add(position as usize), stretch(object, position))?
                } else {
                    (cursor, 0)
                };
                if written != 0 {
                    cursor = next;
                    position += written as ffi::Py_ssize_t;
                } else {
                    cursor = match self.value::<PLAIN>(next, item, depth + 1) {
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

    /// Writes short lists of nothing but finite floats, as coordinates are, up to the first item that is something else;
    /// returns how many.
    ///
    /// All floats are read before the first is written. To write one takes so long that the processor looks hardly further
    /// than the next; where the objects are not in its caches it would wait for each.
    ///
    /// # Safety
    /// `rows` are `count` live objects, and nobody else runs.
    #[inline(never)]
    unsafe fn rows(
        &mut self,
        mut cursor: Cursor,
        rows: *mut *mut ffi::PyObject,
        count: usize,
    ) -> Result<(Cursor, usize), Failed> {
        let mut values = [[0.0; ROW]; ROWS];
        let mut lengths = [0; ROWS];
        let mut read = 0;
        while read < count.min(ROWS) {
            // SAFETY: the row is alive (contract), and its place below their number.
            lengths[read] = unsafe { finite(*rows.add(read), &mut values[read]) };
            if lengths[read] == 0 {
                break;
            }
            read += 1;
        }
        for (row, length) in values.iter().zip(lengths).take(read) {
            // The room of a float has that of the comma behind it.
            cursor = self.output.reserve(cursor, 2 + length * float::ROOM)?;
            // SAFETY: there is room for the row, and its values are finite.
            unsafe {
                cursor.write(b'[');
                cursor = cursor.add(1);
                for &value in &row[..length] {
                    cursor = cursor.add(float::write(cursor.as_ptr(), value));
                    cursor.write(b',');
                    cursor = cursor.add(1);
                }
                cursor.sub(1).cast::<[u8; 2]>().write(*b"],");
                cursor = cursor.add(1);
            }
        }
        Ok((cursor, read))
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

/// How many items there are from `position` on to the end of its stretch or the list.
///
/// # Safety
/// `list` is a live list, longer than `position`.
#[inline(always)]
unsafe fn stretch(list: *mut ffi::PyObject, position: ffi::Py_ssize_t) -> usize {
    // SAFETY: as the contract says.
    let end = unsafe { ffi::PyList_GET_SIZE(list) };
    (end.min((position / STRETCH + 1) * STRETCH) - position) as usize
}

/// Whether this is a list whose first item is a float.
///
/// # Safety
/// `object` is alive.
#[inline(always)]
unsafe fn begins_with_float(object: *mut ffi::PyObject) -> bool {
    // SAFETY: `object` is alive (contract), and so is the item of a list that has one.
    unsafe {
        ffi::Py_TYPE(object) == &raw mut ffi::PyList_Type
            && ffi::PyList_GET_SIZE(object) > 0
            && ffi::Py_TYPE(ffi::PyList_GET_ITEM(object, 0)) == &raw mut ffi::PyFloat_Type
    }
}

/// Reads the items of a list of nothing but finite floats; returns how many. None if it is something else, or has more.
///
/// # Safety
/// `object` is alive, and nobody else runs.
#[inline(always)]
unsafe fn finite(object: *mut ffi::PyObject, values: &mut [f64; ROW]) -> usize {
    // SAFETY: `object` is alive (contract), and so are the items of a list; an index is below their number.
    unsafe {
        if ffi::Py_TYPE(object) != &raw mut ffi::PyList_Type {
            return 0;
        }
        let length = ffi::PyList_GET_SIZE(object) as usize;
        if length > ROW {
            return 0;
        }
        let items = items(object);
        for (at, value) in values.iter_mut().enumerate().take(length) {
            let item = *items.add(at);
            if ffi::Py_TYPE(item) != &raw mut ffi::PyFloat_Type {
                return 0;
            }
            *value = ffi::PyFloat_AS_DOUBLE(item);
            if !value.is_finite() {
                return 0;
            }
        }
        length
    }
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
