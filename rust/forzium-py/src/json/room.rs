//! Dicts with room for many items beforehand.
//!
//! CPython enlarges the table of a dict in one step, in which it looks at each key for its hash: with 700,000 of them no
//! other thread runs for 14 to 30 ms. Nothing that the C API offers makes a dict with so much room; but before `PyDict_Merge`
//! takes items from another dict, it makes room for as many as that one says it has.

use pyo3::ffi;

use super::entries;

/// A dict with room for `count` items, which may have a first one already: `key` with any value. Null with an exception
/// set when memory ran out.
///
/// # Safety
/// The GIL is held; `key` is a live `str`.
pub(super) unsafe fn dict(count: usize, key: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: the GIL is held (contract), and each object is checked before it is used. `one` is nobody else's, and says
    // what it holds again before anything else can look at it: hashing and comparing exact `str` objects runs no Python
    // code. Its items are found by its table, which is as it was; that `ma_used` is no more than their number was tried
    // out (`is_direct`). Where there is no such room, or it is not made, the dict is a good one all the same.
    unsafe {
        let dict = ffi::PyDict_New();
        if dict.is_null() || !entries::is_direct() {
            return dict;
        }
        let one = ffi::PyDict_New();
        if !one.is_null() && ffi::PyDict_SetItem(one, key, ffi::Py_None()) == 0 {
            let says = &raw mut (*one.cast::<ffi::PyDictObject>()).ma_used;
            says.write(count as ffi::Py_ssize_t);
            ffi::PyDict_Merge(dict, one, 1);
            says.write(1);
        }
        ffi::Py_XDECREF(one);
        ffi::PyErr_Clear();
        dict
    }
}

/// A dict of the same items that has no more room than they need; null with an exception set when memory ran out.
///
/// # Safety
/// The GIL is held; `dict` is a dict of less than half the items that it was given room for, and its reference is taken.
pub(super) unsafe fn cut(dict: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: the GIL is held (contract); each reference is given back once.
    unsafe {
        let mut copy = ffi::PyDict_New();
        if !copy.is_null() && ffi::PyDict_Merge(copy, dict, 1) != 0 {
            ffi::Py_DECREF(copy);
            copy = std::ptr::null_mut();
        }
        ffi::Py_DECREF(dict);
        copy
    }
}
