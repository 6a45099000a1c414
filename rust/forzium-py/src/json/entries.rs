//! The items of a dict where they lie in memory, without a call for each.
//!
//! `PyDict_Next` takes a fifth of the time in which a document of small objects is written. CPython 3.11 to 3.14 keep a
//! dict's items in an array that can be read directly; a dict that shares its keys with others (an instance's, and those
//! that [`super::shapes`] makes) has an array of values instead. That is no public interface, so it is used only where it
//! was tried: [`is_direct`] compares both ways on dicts of every form once in a process, and where they disagree (another
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
/// `Keys::kind` of a table that dicts share: entries as above, but the values are each dict's own.
const SHARED: u8 = 2;

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
        // value was deleted. The table is looked up anew each time, so none is read that was freed. A dict with values
        // of its own has `ma_used` of them, and as many places in their order.
        unsafe {
            let dict = self.dict.cast::<ffi::PyDictObject>();
            if !self.direct {
                return self.next_by_call();
            }
            let keys = (*dict).ma_keys.cast::<Keys>();
            let first = keys.add(1).cast::<u8>().add(1 << (*keys).log2_index_bytes);
            if !(*dict).ma_values.is_null() {
                if self.position >= (*dict).ma_used {
                    return None;
                }
                let at = self.position as usize;
                self.position += 1;
                let (values, order) = own_values(dict);
                let at = usize::from(if order_is_before() { *order.sub(at) } else { *order.add(at) });
                return Some(((*first.cast::<Unicode>().add(at)).key, *values.add(at)));
            }
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

/// Whether the order of a dict's own values stands before them (backwards), as up to 3.12, or behind them.
#[inline(always)]
fn order_is_before() -> bool {
    // SAFETY: a constant of the interpreter.
    unsafe { ffi::Py_Version < 0x030D_0000 }
}

/// Where a dict's own values begin, and the first byte of their order: which key's was put in first.
///
/// # Safety
/// The GIL is held; `dict` is a live dict with values of its own, in an interpreter from 3.11 to 3.14.
#[inline(always)]
unsafe fn own_values(dict: *mut ffi::PyDictObject) -> (*mut *mut ffi::PyObject, *const u8) {
    // SAFETY: up to 3.12 `ma_values` points to the values; before them stand, backwards, the size of that prefix, the
    // number of values and their order. Since 3.13 it points to a head of one word, whose first byte is the number of
    // places for values, after which comes the order.
    unsafe {
        let head = (*dict).ma_values.cast::<u8>();
        if order_is_before() {
            return (head.cast(), head.sub(3));
        }
        let values = head.add(size_of::<usize>()).cast::<*mut ffi::PyObject>();
        (values, values.add(usize::from(*head)).cast())
    }
}

/// The values of a dict that shares its keys and has `count` of them, those of the first keys of the table; `None` for
/// others.
///
/// # Safety
/// The GIL is held; `dict` is a live dict.
#[inline(always)]
pub(super) unsafe fn shared(dict: *mut ffi::PyObject, count: usize) -> Option<*mut *mut ffi::PyObject> {
    // SAFETY: the dict is alive (contract) and has values of its own; that they lie so was tried out.
    unsafe {
        let dict = dict.cast::<ffi::PyDictObject>();
        if !is_direct() || (*dict).ma_values.is_null() || (*dict).ma_used != count as ffi::Py_ssize_t {
            return None;
        }
        Some(own_values(dict).0)
    }
}

/// The values of a dict that shares its keys, where [`shared`] found a dict that it is a copy of.
///
/// # Safety
/// The GIL is held; `dict` is a live copy of such a dict.
#[inline(always)]
pub(super) unsafe fn own(dict: *mut ffi::PyObject) -> *mut *mut ffi::PyObject {
    // SAFETY: as the contract says.
    unsafe { own_values(dict.cast()).0 }
}

/// Whether items are read directly. The GIL is held.
#[inline(always)]
pub(super) fn is_direct() -> bool {
    match DIRECT.load(Ordering::Relaxed) {
        UNTRIED => try_out(),
        known => known == YES,
    }
}

/// The first `count` entries of a dict that has as many items, all keys `str`, none ever deleted; `None` for others. The
/// values of one that shares its keys are elsewhere, see [`shared`].
///
/// # Safety
/// The GIL is held; `dict` is a live dict. The items are good until it can change.
#[inline(always)]
pub(super) unsafe fn strings(dict: *mut ffi::PyObject, count: usize) -> Option<*mut Unicode> {
    // SAFETY: the dict is alive (contract); that `Keys` describes its table was tried out. The table of shared keys may
    // have more entries than this dict has values: none of its own was deleted, so its keys are the first.
    unsafe {
        let head = dict.cast::<ffi::PyDictObject>();
        if !is_direct() || (*head).ma_used != count as ffi::Py_ssize_t {
            return None;
        }
        let keys = (*head).ma_keys.cast::<Keys>();
        let fits = match (*keys).kind {
            UNICODE => (*keys).entries == count as ffi::Py_ssize_t,
            SHARED => (*keys).entries >= count as ffi::Py_ssize_t,
            _ => false,
        };
        fits.then(|| keys.add(1).cast::<u8>().add(1 << (*keys).log2_index_bytes).cast())
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
    // SAFETY: a constant of the interpreter.
    let known = unsafe { (0x030B_0000..0x030F_0000).contains(&ffi::Py_Version) };
    if cfg!(not(target_pointer_width = "64")) || !known {
        return false;
    }
    // SAFETY: the GIL is held (contract), and each dict is alive and released here. The head of a table is larger than
    // `Keys` in every version of CPython, and `looks_right` looks at nothing else before `Walk` reads entries.
    unsafe {
        let mut same = true;
        for kind in [GENERAL, UNICODE, SHARED] {
            for count in [1, 5, 6, 25, 300] {
                if kind == SHARED && count > 25 {
                    continue;
                }
                let dict = filled(kind, count);
                if dict.is_null() {
                    ffi::PyErr_Clear();
                    return false;
                }
                same = same && looks_right(dict, count, kind) && walks_alike(dict);
                ffi::Py_DECREF(dict);
            }
        }
        same
    }
}

/// A dict of `count` integers under keys that are all `str` (or none); the fourth was taken out. Null with an exception
/// set when that failed.
///
/// # Safety
/// The GIL is held.
unsafe fn filled(kind: u8, count: ffi::Py_ssize_t) -> *mut ffi::PyObject {
    // SAFETY: the GIL is held (contract); each object is checked before it is used, and released once.
    unsafe {
        let dict = if kind == SHARED { sharing(count) } else { ffi::PyDict_New() };
        if dict.is_null() {
            return dict;
        }
        let mut failed = false;
        for number in 0..count {
            // Those that share their keys were given all of them before: this dict has its own order.
            let number = if kind == SHARED { count - 1 - number } else { number };
            let value = ffi::PyLong_FromSsize_t(number);
            let key = if kind == GENERAL { ffi::Py_XNewRef(value) } else { ffi::PyObject_Str(value) };
            failed |= value.is_null() || key.is_null() || ffi::PyDict_SetItem(dict, key, value) != 0;
            if number == 3 && !failed {
                failed |= ffi::PyDict_DelItem(dict, key) != 0;
            }
            ffi::Py_XDECREF(key);
            ffi::Py_XDECREF(value);
        }
        if failed {
            ffi::Py_DECREF(dict);
            return ptr::null_mut();
        }
        dict
    }
}

/// An empty dict that shares a table of the keys "0", "1" ... Null with an exception set when that failed.
///
/// # Safety
/// The GIL is held.
unsafe fn sharing(count: ffi::Py_ssize_t) -> *mut ffi::PyObject {
    // SAFETY: the GIL is held (contract); each object is checked before it is used, and released once.
    unsafe {
        let family = Family::new();
        if family.0.is_null() {
            return ptr::null_mut();
        }
        let first = family.member();
        if first.is_null() {
            return first;
        }
        for number in 0..count {
            let value = ffi::PyLong_FromSsize_t(number);
            let key = if value.is_null() { ptr::null_mut() } else { ffi::PyObject_Str(value) };
            let failed = key.is_null() || ffi::PyDict_SetItem(first, key, value) != 0;
            ffi::Py_XDECREF(key);
            ffi::Py_XDECREF(value);
            if failed {
                ffi::Py_DECREF(first);
                return ptr::null_mut();
            }
        }
        let other = family.member();
        ffi::Py_DECREF(first);
        other
    }
}

/// A class, whose instances' dicts share their keys; or null with an exception set.
pub(super) struct Family(*mut ffi::PyObject);

impl Family {
    /// # Safety
    /// The GIL is held, now and until it is dropped.
    pub(super) unsafe fn new() -> Self {
        // SAFETY: the GIL is held (contract); `type("Row", (), {})` with the types that the format makes.
        unsafe {
            Self(ffi::PyObject_CallFunction((&raw mut ffi::PyType_Type).cast(), c"s(){}".as_ptr(), c"Row".as_ptr()))
        }
    }

    /// The empty dict of a new instance, which is gone already; null with an exception set when that failed.
    ///
    /// # Safety
    /// The GIL is held.
    pub(super) unsafe fn member(&self) -> *mut ffi::PyObject {
        if self.0.is_null() {
            return self.0;
        }
        // SAFETY: the GIL is held (contract); the class is alive, and the instance released once.
        unsafe {
            let instance = ffi::PyObject_CallNoArgs(self.0);
            if instance.is_null() {
                return instance;
            }
            let dict = ffi::PyObject_GenericGetDict(instance, ptr::null_mut());
            ffi::Py_DECREF(instance);
            dict
        }
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        // SAFETY: the GIL is held (contract of `new`); the reference is ours or null.
        unsafe { ffi::Py_XDECREF(self.0) };
    }
}

/// Whether the head of the table says what is known about the dict.
///
/// # Safety
/// The GIL is held; `dict` is a live dict as [`filled`] makes it.
unsafe fn looks_right(dict: *mut ffi::PyObject, count: ffi::Py_ssize_t, kind: u8) -> bool {
    // SAFETY: the dict is alive, and its table's head is at least as large as `Keys` (see `agrees`).
    unsafe {
        let dict = dict.cast::<ffi::PyDictObject>();
        let keys = (*dict).ma_keys.cast::<Keys>();
        let Keys { log2_size, log2_index_bytes, kind: found, usable, entries, .. } = keys.read();
        // A table of 2^n places has an index of one byte for each up to n = 7, of two up to n = 15.
        let index = if log2_size < 8 { log2_size } else { log2_size + 1 };
        (*dict).ma_values.is_null() == (kind != SHARED)
            && (*dict).ma_used == count - ffi::Py_ssize_t::from(count > 3)
            && (3..=10).contains(&log2_size)
            && log2_index_bytes == index
            && found == kind
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
