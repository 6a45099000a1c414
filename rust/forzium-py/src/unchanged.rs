//! Foundation: whether a class is still as this package wrote it, or somebody has put something of their own in.
//!
//! Attributes are looked at only when something about the class has changed, which CPython notes in the class itself.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::prelude::*;
use pyo3::types::PyType;

/// What is known of one class.
pub struct Unchanged {
    /// The version of the class that was looked at last, and in the lowest bit what was found; 0: none was.
    seen: AtomicU64,
}

impl Unchanged {
    pub const fn new() -> Self {
        Self { seen: AtomicU64::new(0) }
    }

    /// Whether `class`, always the same, is as it was written: what `look` says, which is asked again after a change.
    ///
    /// Only attributes of the class and of those that it is derived from are to be looked at.
    #[inline]
    pub fn holds(&self, class: &Bound<'_, PyType>, look: impl FnOnce() -> PyResult<bool>) -> PyResult<bool> {
        let version = version(class);
        let seen = self.seen.load(Ordering::Relaxed);
        if version != 0 && seen >> 1 == u64::from(version) {
            return Ok(seen & 1 == 1);
        }
        let unchanged = look()?;
        // It is the version from before that was looked at, if any: looking may give the class another one.
        self.seen.store(u64::from(version) << 1 | u64::from(unchanged), Ordering::Relaxed);
        Ok(unchanged)
    }
}

/// A number that no other state of the class has had; 0 where it has none at the moment.
///
/// A class loses its number when an attribute is set or deleted, its own or one of a class that it is derived from, and
/// gets a new one when an attribute is looked up: CPython's own caches go by it.
#[inline]
pub fn version(class: &Bound<'_, PyType>) -> u32 {
    // SAFETY: the class is alive, and the lock, under which alone the field is written, is held.
    unsafe { (*class.as_type_ptr()).tp_version_tag }
}
