//! Walking a dict without a call for each of its items.
//!
//! `PyDict_Next` takes a fifth of the time in which a document of small objects is written. CPython 3.11 to 3.14 keep a
//! dict's items in an array that can be read directly. That is no public interface, so it is used only where it was
//! tried: [`is_direct`] compares both ways on dicts of every form once in a process, and where they disagree (another
//! interpreter, another build) `PyDict_Next` is called as everywhere.

use std::ptr;
use std::sync::atomic::{AtomicU8, Ordering};

use pyo3::ffi;

/// What a dict's `ma_keys` points to; the index table follows, then the entries.
#[repr(C)]
struct Keys {
    references: ffi::Py_ssize_t,
    log2_size: u8,
    log2_index_bytes: u8,
    kind: u8,
    version: u32,
    usable: ffi::Py_ssize_t,
    entries: ffi::Py_ssize_t,
}

/// `Keys::kind` of a table whose keys are any objects: entries of hash, key, value.
const GENERAL: u8 = 0;
/// `Keys::kind` of a table whose keys are all `str`: entries of key, value.
const UNICODE: u8 = 1;

#[repr(C)]
struct General {
    hash: ffi::Py_hash_t,
    key: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
}

/// An item of a dict whose keys are all `str`.
#[repr(C)]
pub(super) struct Unicode {
    pub(super) key: *mut ffi::PyObject,
    pub(super) value: *mut ffi::PyObject,
}

/// Not tried yet, read directly, or not.
static DIRECT: AtomicU8 = AtomicU8::new(UNTRIED);
const UNTRIED: u8 = 0;
const YES: u8 = 1;
const NO: u8 = 2;

/// A walk over the items of a dict, in order. It may be changed meanwhile: then the walk goes on over what it is now,
/// from the same place.
pub(super) struct Walk {
    dict: *mut ffi::PyObject,
    /// The position, as `PyDict_Next` counts.
    position: ffi::Py_ssize_t,
    direct: bool,
}

impl Walk {
    /// # Safety
    /// The GIL is held; `dict` is a dict that lives as long as the walk.
    #[inline(always)]
    pub(super) unsafe fn new(dict: *mut ffi::PyObject) -> Self {
        Self { dict, position: 0, direct: is_direct() }
    }

    #[inline(always)]
    pub(super) fn position(&self) -> ffi::Py_ssize_t {
        self.position
    }

    /// The next item: borrowed references, good until the dict can change.
    ///
    /// # Safety
    /// The GIL is held.
    #[inline(always)]
    pub(super) unsafe fn next(&mut self) -> Option<(*mut ffi::PyObject, *mut ffi::PyObject)> {
        // SAFETY: the dict is alive (contract of `new`) and, with the GIL held, nobody changes it during the call. That
        // `Keys` describes its table was tried out (`direct`); `entries` of them are initialised, an entry without a
        // value was deleted. The table is looked up anew each time, so none is read that was freed.
        unsafe {
            let dict = self.dict.cast::<ffi::PyDictObject>();
            if !self.direct || !(*dict).ma_values.is_null() {
                return self.next_by_call();
            }
            let keys = (*dict).ma_keys.cast::<Keys>();
            let first = keys.add(1).cast::<u8>().add(1 << (*keys).log2_index_bytes);
            while self.position < (*keys).entries {
                let at = self.position as usize;
                self.position += 1;
                let (key, value) = if (*keys).kind == UNICODE {
                    let entry = first.cast::<Unicode>().add(at);
                    ((*entry).key, (*entry).value)
                } else {
                    let entry = first.cast::<General>().add(at);
                    ((*entry).key, (*entry).value)
                };
                if !value.is_null() {
                    return Some((key, value));
                }
            }
            None
        }
    }

    /// # Safety
    /// The GIL is held.
    #[inline(never)]
    unsafe fn next_by_call(&mut self) -> Option<(*mut ffi::PyObject, *mut ffi::PyObject)> {
        let (mut key, mut value) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the dict is alive (contract of `new`); the position is checked against the dict as it is.
        let more = unsafe { ffi::PyDict_Next(self.dict, &raw mut self.position, &raw mut key, &raw mut value) };
        (more != 0).then_some((key, value))
    }
}

/// Whether items are read directly. The GIL is held.
#[inline(always)]
fn is_direct() -> bool {
    match DIRECT.load(Ordering::Relaxed) {
        UNTRIED => try_out(),
        known => known == YES,
    }
}

/// The items of a dict that has `count` of them, all keys `str`, none ever deleted; `None` for others.
///
/// # Safety
/// The GIL is held; `dict` is a live dict. The items are good until it can change.
#[inline(always)]
pub(super) unsafe fn strings(dict: *mut ffi::PyObject, count: usize) -> Option<*mut Unicode> {
    // SAFETY: the dict is alive (contract); that `Keys` describes its table was tried out.
    unsafe {
        let head = dict.cast::<ffi::PyDictObject>();
        if !is_direct() || !(*head).ma_values.is_null() || (*head).ma_used != count as ffi::Py_ssize_t {
            return None;
        }
        let keys = (*head).ma_keys.cast::<Keys>();
        if (*keys).kind != UNICODE || (*keys).entries != count as ffi::Py_ssize_t {
            return None;
        }
        Some(keys.add(1).cast::<u8>().add(1 << (*keys).log2_index_bytes).cast())
    }
}

/// Compares both ways once.
#[cold]
fn try_out() -> bool {
    // SAFETY: only called from `is_direct`, under the GIL.
    let agrees = unsafe { agrees() };
    DIRECT.store(if agrees { YES } else { NO }, Ordering::Relaxed);
    agrees
}

/// Whether the entries are found where `PyDict_Next` finds them.
///
/// # Safety
/// The GIL is held.
unsafe fn agrees() -> bool {
    if cfg!(not(target_pointer_width = "64")) {
        return false;
    }
    // SAFETY: the GIL is held (contract). Objects made here are released here, and a failure to make one (which sets an
    // exception, taken back) only means `false`. The head of a table is larger than `Keys` in every version of CPython,
    // and `looks_right` looks at nothing else before `Walk` reads entries.
    unsafe {
        let mut same = true;
        for strings in [true, false] {
            for count in [1, 5, 6, 300] {
                let dict = ffi::PyDict_New();
                if dict.is_null() {
                    ffi::PyErr_Clear();
                    return false;
                }
                for number in 0..count {
                    let value = ffi::PyLong_FromLong(number);
                    let key = if strings { ffi::PyObject_Str(value) } else { ffi::Py_XNewRef(value) };
                    if value.is_null() || key.is_null() || ffi::PyDict_SetItem(dict, key, value) != 0 {
                        ffi::PyErr_Clear();
                        same = false;
                    }
                    if number == 3 && ffi::PyDict_DelItem(dict, key) != 0 {
                        ffi::PyErr_Clear();
                        same = false;
                    }
                    ffi::Py_XDECREF(key);
                    ffi::Py_XDECREF(value);
                }
                same = same && looks_right(dict, count as ffi::Py_ssize_t, strings) && walks_alike(dict);
                ffi::Py_DECREF(dict);
            }
        }
        same
    }
}

/// Whether the head of the table says what is known about the dict.
///
/// # Safety
/// The GIL is held; `dict` is a live dict that `count` keys were put into, all `str` or none.
unsafe fn looks_right(dict: *mut ffi::PyObject, count: ffi::Py_ssize_t, strings: bool) -> bool {
    // SAFETY: the dict is alive, and its table's head is at least as large as `Keys` (see `agrees`).
    unsafe {
        let dict = dict.cast::<ffi::PyDictObject>();
        let keys = (*dict).ma_keys.cast::<Keys>();
        let Keys { log2_size, log2_index_bytes, kind, usable, entries, .. } = keys.read();
        // A table of 2^n places has an index of one byte for each up to n = 7, of two up to n = 15.
        let index = if log2_size < 8 { log2_size } else { log2_size + 1 };
        (*dict).ma_values.is_null()
            && (3..=10).contains(&log2_size)
            && log2_index_bytes == index
            && kind == if strings { UNICODE } else { GENERAL }
            && (entries == count || entries == count - 1)
            && usable >= 0
            && usable + entries <= 1 << log2_size
    }
}

/// Whether a direct walk gives what `PyDict_Next` gives.
///
/// # Safety
/// The GIL is held; `dict` is a live dict that looks right.
unsafe fn walks_alike(dict: *mut ffi::PyObject) -> bool {
    // SAFETY: the dict is alive and not changed here.
    unsafe {
        let mut direct = Walk { dict, position: 0, direct: true };
        let mut called = Walk { dict, position: 0, direct: false };
        loop {
            let items = (direct.next(), called.next());
            if items.0 != items.1 || direct.position != called.position && items.1.is_some() {
                return false;
            }
            if items.1.is_none() {
                return true;
            }
        }
    }
}
