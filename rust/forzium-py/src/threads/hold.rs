//! What a request holds between its calls, and the lane it has for that.
//!
//! A dependency that stands at its `yield` may hold what others wait for, in threads: a connection of a small pool. Should
//! such waiting take all tokens of the limiter, the holder has to come to a thread all the same, or nobody would go on.
//!
//! A *lane* is a step of a route: of the calls that requests make there while they hold something, one at a time may
//! be made without a token. Why that is enough: suppose that nothing moves. Of the resources that running calls wait
//! for, take the one that is acquired last, in the order in which the application acquires them (where it has no such
//! order, no number of threads would help). Its holder waits neither for a resource, which would be a later one, nor
//! for anything outside of threads, so it waits for a thread; then its lane is taken, by a call that is where the
//! holder wants to be, and that waits for what is acquired there: a later one again.
//!
//! So the threads beyond the limit are as many as an application has such steps, whatever the number of requests; and
//! a call of a request that holds nothing never has one.
//!
//! Not here: the calls that wait (`line`); what a dependency is (the stages).

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// The step of a route: where it stands in memory, and how many calls a request has made there while it held something.
pub type Lane = (usize, u32);

/// From here on steps share a lane: whoever goes on and on, say through the rows of an answer, does the same every time.
const LAST_STEP: u32 = 7;

/// What one request holds.
#[pyclass(module = "forzium._forzium", frozen)]
pub struct Hold {
    /// What the request goes by, its plan: the same for all that take the same steps.
    place: usize,
    /// How many of its dependencies stand at their `yield`.
    held: AtomicUsize,
    steps: AtomicU32,
    /// That of the request which this one is made by.
    outer: Option<Py<Self>>,
}

impl Hold {
    /// Makes one for a request whose first dependency has come to its `yield`. It is found from the current context until all is given back.
    pub fn begin(py: Python<'_>, place: usize) -> PyResult<Py<Self>> {
        let outer = Self::here(py)?.map(Bound::unbind);
        let own = Self { place, held: AtomicUsize::new(1), steps: AtomicU32::new(0), outer };
        let hold = Py::new(py, own)?;
        // SAFETY: the first is a context variable, both are live; the function returns a new reference, dropped at once,
        // or null with an exception set.
        unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyContextVar_Set(variable(py)?.as_ptr(), hold.as_ptr()))? };
        Ok(hold)
    }

    /// What is held where this is called, in a task of a request or one that it made.
    pub fn here(py: Python<'_>) -> PyResult<Option<Bound<'_, Self>>> {
        let mut found = std::ptr::null_mut();
        // SAFETY: the first is a live context variable; `found` is a place to write one pointer to, which gets a new
        // reference or null.
        let found = unsafe {
            if ffi::PyContextVar_Get(variable(py)?.as_ptr(), std::ptr::null_mut(), &mut found) < 0 {
                return Err(PyErr::fetch(py));
            }
            Bound::from_owned_ptr_or_opt(py, found)
        };
        let mut hold = found.map(|found| found.cast_into::<Self>()).transpose()?;
        while let Some(over) = hold.take_if(|hold| hold.get().held.load(Ordering::Relaxed) == 0) {
            hold = over.get().outer.as_ref().map(|outer| outer.bind(py).clone());
        }
        Ok(hold)
    }

    /// Another dependency has come to its `yield`.
    pub fn enter(&self) {
        self.held.fetch_add(1, Ordering::Relaxed);
    }

    /// A dependency has been left.
    pub fn leave(&self) {
        self.held.fetch_sub(1, Ordering::Relaxed);
    }

    /// The lane of the next call; none where nothing is held.
    pub fn lane(&self) -> Option<Lane> {
        if self.held.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let step = self.steps.load(Ordering::Relaxed);
        self.steps.store((step + 1).min(LAST_STEP), Ordering::Relaxed);
        Some((self.place, step))
    }
}

/// The context variable by which calls find what their request holds.
fn variable(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static VARIABLE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let variable = VARIABLE.get_or_try_init(py, || {
        // SAFETY: the name is a C string, and there is no default; the function returns a new reference, or null with
        // an exception set.
        unsafe {
            let made = ffi::PyContextVar_New(c"forzium_hold".as_ptr(), std::ptr::null_mut());
            Bound::from_owned_ptr_or_err(py, made).map(Bound::unbind)
        }
    });
    variable.map(|variable| variable.bind(py))
}

/// The lane of a call that is about to be made: of what the request holds that this is called by. None: it holds nothing.
#[pyfunction]
pub fn lane(py: Python<'_>) -> PyResult<Option<Lane>> {
    Ok(Hold::here(py)?.and_then(|hold| hold.get().lane()))
}
