//! Objects with the same keys in the same order, as the rows of a list have: made by copying, not by inserting.
//!
//! Putting a key into a dict means to look for it first, and to grow the table now and then; for small objects that is a
//! third of reading. So when the same keys come a second time, a dict with these keys is kept as a [`Shape`]; from then on
//! the dict is a copy of it, and the values are put into their places. And where an object of a shape was, one of the same
//! shape is expected the next time: then its keys are compared in place, one after the other, and not even collected.
//!
//! Up to [`MOST_SHARED`] keys the dict is one as an instance of a class has it: its copies share one table of keys, and
//! have an array of values each, which takes a third of the memory of a table. CPython makes a table out of that by itself
//! when keys are added later.
//!
//! The keys are those that [`super::keys`] remembers. At most [`PLACES`] shapes of at most [`MOST_KEYS`] keys are kept:
//! what a client sends can replace them, not add to them.

use std::cell::UnsafeCell;
use std::ptr;
use std::rc::Rc;

use pyo3::ffi;

use super::entries::{self, Family};
use super::keys::{self, Entry, Text};

/// Shapes kept at most; a power of two. One takes some 150 bytes for each key.
const PLACES: usize = 256;

/// Keys of the largest object that has a shape.
const MOST_KEYS: usize = 48;

/// Keys of the largest object whose dict shares them: CPython allows 30 in a class, less one for its first instance.
const MOST_SHARED: usize = 28;

/// Instances after which CPython leaves room for one key, not for thirty.
const INSTANCES: usize = 30;

/// Keys of the smallest.
const FEWEST_KEYS: usize = 1;

/// How often in a row other keys must ask for a place that is taken, until they get it.
const INSISTENCE: u32 = 16;

/// Keys in their order. It never changes, and lives only as long as the GIL is held by who drops it last.
pub(super) struct Shape {
    /// An owned reference to a dict that nobody else has. Where its keys are shared it has no values, though it says it
    /// has: nothing but `PyDict_Copy` may touch it. It is untracked then.
    dict: *mut ffi::PyObject,
    keys: Box<[Key]>,
    /// Whether its keys are shared with its copies.
    shared: bool,
}

/// A key of a shape.
pub(super) struct Key {
    pub(super) text: Text,
    /// Borrowed from the dict.
    object: *mut ffi::PyObject,
    /// Where the key was remembered: another may be there now, so what is guessed from it may be wrong.
    pub(super) entry: *mut Entry,
}

impl Drop for Shape {
    fn drop(&mut self) {
        // SAFETY: shapes are dropped by `loads` only, which holds the GIL; the reference is ours.
        unsafe { ffi::Py_DECREF(self.dict) };
    }
}

/// Where a shape is kept.
pub(super) struct Place {
    shape: Option<Rc<Shape>>,
    /// The mark of its keys.
    mark: u64,
    /// The mark of the keys that were not found here the last time.
    candidate: u64,
    /// How often in a row these were they.
    asked: u32,
}

struct Table(UnsafeCell<[Place; PLACES]>);

// SAFETY: the table is touched only by the functions of this module, whose contract is to hold the GIL; none of them
// keeps a reference into it across a call. A shape's count of owners is touched under the GIL as well.
unsafe impl Sync for Table {}

static TABLE: Table =
    Table(UnsafeCell::new([const { Place { shape: None, mark: 0, candidate: 0, asked: 0 } }; PLACES]));

/// What tells objects with other keys apart. (If it does not, the keys themselves do.)
fn mark(keys: &[*mut ffi::PyObject]) -> u64 {
    const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
    // Addresses of objects differ in the bits above the lowest four.
    let mixed = keys.iter().fold(0_u64, |mixed, key| mixed.rotate_left(7) ^ (key.addr() as u64 >> 4));
    (mixed ^ keys.len() as u64).wrapping_mul(MIX) | 1
}

fn place(mark: u64) -> *mut Place {
    // The shift leaves a place inside the table.
    TABLE.0.get().cast::<Place>().wrapping_add((mark >> (64 - PLACES.trailing_zeros())) as usize)
}

/// The shape of the object that was the value of `parent` the last time.
///
/// # Safety
/// The GIL is held.
#[inline(always)]
pub(super) unsafe fn expected(parent: *mut Entry) -> Option<Rc<Shape>> {
    // SAFETY: the GIL is held (contract), so nobody else touches the entry or the place.
    unsafe { at((*parent).held) }
}

/// # Safety
/// The GIL is held; `place` is one, or null.
#[inline(always)]
unsafe fn at(place: *mut Place) -> Option<Rc<Shape>> {
    // SAFETY: the GIL is held (contract); the reference ends here.
    unsafe { if place.is_null() { None } else { (*place).shape.clone() } }
}

/// The shape that has just these keys, if objects with the same last one had it; it is expected under `parent` from now
/// on. `last` is the entry of the last key.
///
/// # Safety
/// The GIL is held.
pub(super) unsafe fn find(keys: &[*mut ffi::PyObject], last: *mut Entry, parent: *mut Entry) -> Option<Rc<Shape>> {
    // SAFETY: the GIL is held (contract), so nobody else touches the entries or the place.
    unsafe {
        let shape = at((*last).ended)?;
        if shape.keys.len() != keys.len() || shape.keys.iter().zip(keys).any(|(own, &key)| own.object != key) {
            return None;
        }
        (*parent).held = (*last).ended;
        Some(shape)
    }
}

impl Shape {
    #[inline(always)]
    pub(super) fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The first `count` keys, each a new reference.
    ///
    /// # Safety
    /// The GIL is held, and there are as many.
    pub(super) unsafe fn first(&self, count: usize) -> impl Iterator<Item = *mut ffi::PyObject> {
        // SAFETY: the GIL is held (contract), and the dict holds its keys.
        self.keys[..count].iter().map(|key| unsafe { ffi::Py_NewRef(key.object) })
    }

    /// A dict of these keys and as many values. The references are taken over; not if it could not be made: null, without
    /// an exception.
    ///
    /// # Safety
    /// The GIL is held; the references are owned, as many as there are keys, the values what JSON has, and
    /// `holds_containers` says whether a list or dict is among them. The shape is held during the call.
    #[inline(always)]
    pub(super) unsafe fn dict(&self, values: &[*mut ffi::PyObject], holds_containers: bool) -> *mut ffi::PyObject {
        // SAFETY: the GIL is held (contract), and the shape: the copy may start a garbage collection, and that any code.
        // The copy is untracked like the dict, so nobody else sees it before it is returned. It has the keys in their
        // order, and nothing (or what is released here) in the places of its values. Every reference goes into the dict.
        unsafe {
            let copy = ffi::PyDict_Copy(self.dict);
            if copy.is_null() {
                ffi::PyErr_Clear();
                return copy;
            }
            if self.shared {
                ptr::copy_nonoverlapping(values.as_ptr(), entries::own(copy), values.len());
            } else if let Some(items) = entries::strings(copy, values.len()) {
                for (at, &value) in values.iter().enumerate() {
                    ffi::Py_DECREF((*items.add(at)).value);
                    (*items.add(at)).value = value;
                }
            } else {
                ffi::Py_DECREF(copy);
                return ptr::null_mut();
            }
            // As `PyDict_SetItem` does: a dict of scalars is of no interest to the garbage collector.
            if holds_containers && ffi::PyObject_GC_IsTracked(copy) == 0 {
                ffi::PyObject_GC_Track(copy.cast());
            }
            copy
        }
    }

    /// A shape of these keys; `None` where there can be none.
    ///
    /// # Safety
    /// The GIL is held; the keys are `str`, all different.
    unsafe fn new(keys: &[*mut ffi::PyObject]) -> Option<Self> {
        // SAFETY: the GIL is held (contract); every dict is checked before it is used, and goes into the shape or is
        // released.
        unsafe {
            let known = |&object| keys::known(object).map(|(entry, text)| Key { text, object, entry });
            let known = keys.iter().map(known).collect::<Option<_>>()?;
            let mut dict = if keys.len() <= MOST_SHARED { sharing(keys) } else { ptr::null_mut() };
            let shared = !dict.is_null();
            if !shared {
                ffi::PyErr_Clear();
                dict = ffi::PyDict_New();
                if dict.is_null() || !numbered(dict, keys) || entries::strings(dict, keys.len()).is_none() {
                    ffi::PyErr_Clear();
                    ffi::Py_XDECREF(dict);
                    return None;
                }
            }
            Some(Self { dict, keys: known, shared })
        }
    }
}

/// Remembers these keys, all different: the second time as a shape. Failing to is no error.
///
/// # Safety
/// The GIL is held; the keys are `str`; `last` is the entry of the last one.
pub(super) unsafe fn remember(keys: &[*mut ffi::PyObject], last: *mut Entry) {
    if !(FEWEST_KEYS..=MOST_KEYS).contains(&keys.len()) {
        return;
    }
    let mark = mark(keys);
    // SAFETY: the GIL is held (contract), so nobody else touches the tables; they are not touched while the new shape is
    // made, which may run any code. The old shape is released after the new one stands in its place.
    unsafe {
        let place = place(mark);
        if (*place).mark == mark {
            // Objects with other keys ended with the same one meanwhile.
            (*last).ended = place;
            return;
        }
        let asked = if (*place).candidate == mark { (*place).asked + 1 } else { 1 };
        (*place).candidate = mark;
        (*place).asked = asked;
        if asked < if (*place).shape.is_none() { 2 } else { INSISTENCE } {
            return;
        }
        let Some(shape) = Shape::new(keys) else { return };
        let old = (*place).shape.replace(Rc::new(shape));
        (*place).mark = mark;
        (*place).asked = 0;
        (*last).ended = place;
        drop(old);
    }
}

/// Puts these keys into a dict, each with its number as value; false with an exception set when that failed.
///
/// # Safety
/// The GIL is held, `dict` is a live dict, and the keys are `str`.
unsafe fn numbered(dict: *mut ffi::PyObject, keys: &[*mut ffi::PyObject]) -> bool {
    keys.iter().enumerate().all(|(at, &key)| {
        // SAFETY: the GIL is held, and the objects are alive (contract); `number` is released once.
        unsafe {
            let number = ffi::PyLong_FromSize_t(at);
            let failed = number.is_null() || ffi::PyDict_SetItem(dict, key, number) != 0;
            ffi::Py_XDECREF(number);
            !failed
        }
    })
}

/// A dict that shares these keys with its copies, has no room for values it does not have, and no values; null, perhaps
/// with an exception set, where there is no such thing.
///
/// # Safety
/// As [`copy`].
unsafe fn sharing(keys: &[*mut ffi::PyObject]) -> *mut ffi::PyObject {
    // SAFETY: the GIL is held (contract); every dict is checked before it is used, and released once. Where the keys and
    // the values lie is known to `entries`, which tried it; that both are those expected is looked at before the values
    // are taken out. A dict that is not tracked is not seen by anybody.
    unsafe {
        let family = Family::new();
        // The first one's keys are everyone's. The room that is left for others shrinks to one with each instance, and the
        // last key takes that.
        let first = family.member();
        if first.is_null() || !numbered(first, &keys[..keys.len() - 1]) {
            ffi::Py_XDECREF(first);
            return ptr::null_mut();
        }
        for _ in 0..INSTANCES {
            ffi::Py_XDECREF(family.member());
        }
        if !numbered(first, keys) {
            ffi::Py_DECREF(first);
            return ptr::null_mut();
        }
        let last = family.member();
        ffi::Py_DECREF(first);
        if last.is_null() || !numbered(last, keys) {
            ffi::Py_XDECREF(last);
            return ptr::null_mut();
        }
        let dict = ffi::PyDict_Copy(last);
        ffi::Py_DECREF(last);
        if dict.is_null() {
            return dict;
        }
        let places = match (entries::strings(dict, keys.len()), entries::shared(dict, keys.len())) {
            (Some(items), Some(values))
                if keys.iter().enumerate().all(|(at, &key)| {
                    (*items.add(at)).key == key && ffi::PyLong_AsSsize_t(*values.add(at)) == at as ffi::Py_ssize_t
                }) =>
            {
                values
            }
            _ => {
                ffi::Py_DECREF(dict);
                return ptr::null_mut();
            }
        };
        if ffi::PyObject_GC_IsTracked(dict) != 0 {
            ffi::PyObject_GC_UnTrack(dict.cast());
        }
        for at in 0..keys.len() {
            ffi::Py_DECREF(places.add(at).replace(ptr::null_mut()));
        }
        dict
    }
}
