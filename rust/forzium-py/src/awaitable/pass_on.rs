//! Resuming what an awaitable waits for, while it does nothing but wait: the step that each wait-up of a connection takes.
//!
//! It finds the processor busy with other code, the event loop's, and so costs by how much code it touches: this is one
//! short function, and what else there is to a step goes the way of `__next__`, to the same effect.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use pyo3::Borrowed;
use pyo3::exceptions::PyStopIteration;
use pyo3::ffi::{self, PySendResult};
use pyo3::prelude::*;

use super::coroutine::{Coroutine, Sent, give_am_send, sent};
use super::wait::Driven;
use super::{Awaitable, Resume, panicked};

impl Coroutine for Awaitable {
    fn resume(slf: &Bound<'_, Self>, value: Option<Py<PyAny>>) -> PyResult<Driven> {
        slf.get().step(Resume::Send(value))
    }

    unsafe extern "C" fn am_send(
        object: *mut ffi::PyObject,
        value: *mut ffi::PyObject,
        result: *mut *mut ffi::PyObject,
    ) -> PySendResult {
        // No `Python::attach`, which looks up the thread's own state at either end: what is dropped here is dropped with a
        // token in hand.
        // SAFETY: the caller sees to it; the token does not outlive the call.
        let slf = unsafe { Borrowed::from_ptr(Python::assume_attached(), object).cast_unchecked::<Self>() };
        let passed_on = catch_unwind(AssertUnwindSafe(|| slf.get().pass_on(slf.py(), value)));
        let (kind, given) = match passed_on {
            Ok(Some(sent)) => sent,
            Ok(None) => next(&slf, value),
            Err(panic) => {
                slf.get().held.0.channel().outcome.set(Some(Err(panicked(&*panic))));
                next(&slf, value)
            }
        };
        // SAFETY: the caller sees to it.
        unsafe { *result = given };
        kind
    }
}

/// Fills in the slots of the type that `#[pyclass]` has no word for. Called once, when the module is made.
pub fn set_up(py: Python<'_>) {
    give_am_send::<Awaitable>(py);
}

impl Awaitable {
    /// Resumes what the machine waits for. None where it is the machine's turn, or was all along, and where somebody is to be
    /// told of each wait.
    #[inline]
    fn pass_on(&self, py: Python<'_>, value: *mut ffi::PyObject) -> Option<Sent> {
        let machine = self.machine.0.try_borrow_mut().ok()?;
        let channel = self.held.0.channel();
        if !channel.idle.get()
            || machine.is_none()
            || channel.handling.try_borrow().ok()?.is_some()
            || self.held.0.is_watched()
        {
            return None;
        }
        let iterator = channel.awaiting.try_borrow().ok()?.as_ref()?.bind(py).clone();
        channel.idle.set(false);
        let mut given = ptr::null_mut();
        // SAFETY: both are live for the call, and `given` is a place to write one pointer to.
        let kind = unsafe { ffi::PyIter_Send(iterator.as_ptr(), value, &mut given) };
        drop(iterator);
        if matches!(kind, PySendResult::PYGEN_NEXT) {
            channel.idle.set(true);
            return Some((kind, given));
        }
        // SAFETY: owned, or null with an exception set.
        let outcome = unsafe { Bound::from_owned_ptr_or_err(py, given) }.map(Bound::unbind);
        channel.outcome.set(Some(outcome));
        None
    }
}

/// A step of the machine's.
#[cold]
fn next(slf: &Bound<'_, Awaitable>, value: *mut ffi::PyObject) -> Sent {
    let py = slf.py();
    // SAFETY: gives a pointer that is only compared.
    if value != unsafe { ffi::Py_None() } {
        return Python::attach(|py| {
            // SAFETY: null or live, as `am_send` was given it.
            let value = unsafe { Bound::from_borrowed_ptr_or_opt(py, value) };
            sent(py, Awaitable::resume(slf, value.map(Bound::unbind)))
        });
    }
    // As somebody else would call it: `Python::attach` takes longer than what `#[pymethods]` knows to do instead.
    // SAFETY: the type of a live object is live; `__next__` fills this slot, which takes the object and gives a new
    // reference, or null.
    let given = unsafe { (*ffi::Py_TYPE(slf.as_ptr())).tp_iternext.map(|next| next(slf.as_ptr())) };
    match given {
        Some(given) if !given.is_null() => (PySendResult::PYGEN_NEXT, given),
        _ => match PyErr::take(py) {
            None => (PySendResult::PYGEN_RETURN, py.None().into_ptr()),
            Some(stop) if stop.is_instance_of::<PyStopIteration>(py) => {
                let value = stop.value(py).getattr("value").map(|value| Driven::Returned(value.unbind()));
                sent(py, value)
            }
            Some(error) => sent(py, Err(error)),
        },
    }
}
