//! The step of a call that carries text or bytes, as long as nothing about it is out of the ordinary.
//!
//! A message that was waited for finds the processor busy with other code, the event loop's: what a step costs goes by how
//! much code it touches, more than by what it does. So what nearly every message goes through stands here once more, in
//! one short function, and whatever else there is goes the way of [`Exchange::resume`], to the same effect.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use pyo3::Borrowed;
use pyo3::ffi::{self, PySendResult};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{Exchange, Phase, Work, data_message};
use crate::awaitable::{Coroutine, Driven, Sent, iterator_of, panicked, sent};
use crate::interned;
use crate::socket::state::{State, is};
use crate::socket::what::What;

/// `PyAsyncMethods.am_send`.
///
/// # Safety
/// As [`Coroutine::am_send`] asks for.
pub unsafe fn am_send(
    object: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
    result: *mut *mut ffi::PyObject,
) -> PySendResult {
    // No `Python::attach`: it looks up the thread's own state, at either end. Without it a reference that is dropped with
    // no token in hand is put off to another time, so that each is dropped with one here.
    // SAFETY: the caller sees to it; the token does not outlive the call.
    let slf = unsafe { Borrowed::from_ptr(Python::assume_attached(), object).cast_unchecked::<Exchange>() };
    let came = catch_unwind(AssertUnwindSafe(|| step(&slf, value)));
    let (kind, given) = came.unwrap_or_else(|panic| sent(slf.py(), Err(panicked(&*panic))));
    // SAFETY: the caller sees to it.
    unsafe { *result = given };
    kind
}

#[inline]
fn step(slf: &Bound<'_, Exchange>, value: *mut ffi::PyObject) -> Sent {
    let py = slf.py();
    let Ok(mut work) = slf.get().work.0.try_borrow_mut() else { return begin_otherwise(slf, value) };
    let iterator = match work.held.awaiting.take() {
        Some(awaiting) => awaiting.into_bound(py),
        None => match work.begin_quickly(py, value) {
            Began::Waits(iterator) => iterator,
            Began::Failed => {
                drop(work);
                return failed(slf);
            }
            Began::Not => {
                drop(work);
                return begin_otherwise(slf, value);
            }
        },
    };
    let mut given = ptr::null_mut();
    // SAFETY: both are live for the call, and `given` is a place to write one pointer to.
    let kind = unsafe { ffi::PyIter_Send(iterator.as_ptr(), value, &mut given) };
    if matches!(kind, PySendResult::PYGEN_NEXT) {
        work.held.awaiting = Some(iterator.unbind());
        return (kind, given);
    }
    if matches!(kind, PySendResult::PYGEN_RETURN) {
        // SAFETY: an owned reference, since the iterator has returned.
        let came = unsafe { Bound::from_owned_ptr(py, given) };
        if let Some(answer) = work.answer(&came) {
            drop((iterator, came));
            Exchange::end(slf, work);
            return (kind, answer.into_ptr());
        }
        given = came.into_ptr();
    }
    drop(work);
    go_on_otherwise(slf, iterator, given)
}

/// How a call has begun.
enum Began<'py> {
    /// It waits for this.
    Waits(Bound<'py, PyAny>),
    /// The host raised the exception that is set.
    Failed,
    /// Not at all.
    Not,
}

impl Work {
    #[inline]
    fn begin_quickly<'py>(&mut self, py: Python<'py>, value: *mut ffi::PyObject) -> Began<'py> {
        let (Phase::Fresh, Some(socket), None) = (self.phase, &self.held.socket, &self.held.frames) else {
            return Began::Not;
        };
        let socket = socket.bind(py);
        let state = socket.get();
        // SAFETY: gives a pointer that is only compared.
        if value != unsafe { ffi::Py_None() } || state.application.0.get() != State::Connected {
            return Began::Not;
        }
        let called = match self.what {
            What::ReceiveText | What::ReceiveBytes => {
                if state.client.0.get() != State::Connected || !What::Receive.is_native(socket) {
                    return Began::Not;
                }
                let Some(host) = state.receive_at_hand(py) else { return Began::Not };
                self.phase = Phase::Receiving(State::Connected);
                // SAFETY: the object is live; a new reference comes back, or null with an exception set.
                unsafe { Bound::from_owned_ptr_or_opt(py, ffi::compat::PyObject_CallNoArgs(host.as_ptr())) }
            }
            What::SendText | What::SendBytes => {
                let (Some(data), true) = (&self.held.first, What::Send.is_native(socket)) else { return Began::Not };
                let Some(host) = state.send_at_hand(py) else { return Began::Not };
                let is_text = self.what == What::SendText;
                let name = if is_text { pyo3::intern!(py, "text") } else { pyo3::intern!(py, "bytes") };
                let Ok(message) = data_message(py, name, data.bind(py)) else { return Began::Not };
                self.phase = Phase::Sending(State::Connected);
                // SAFETY: the objects are live; a new reference comes back, or null with an exception set.
                unsafe { Bound::from_owned_ptr_or_opt(py, ffi::PyObject_CallOneArg(host.as_ptr(), message.as_ptr())) }
            }
            _ => return Began::Not,
        };
        match called.map(iterator_of) {
            Some(Ok(iterator)) => Began::Waits(iterator),
            Some(Err(error)) => {
                error.restore(py);
                Began::Failed
            }
            None => Began::Failed,
        }
    }

    /// What the call gives, now that what was waited for is there.
    #[inline]
    fn answer<'py>(&self, came: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
        let py = came.py();
        if self.held.frames.is_some() {
            return None;
        }
        let name = match (self.phase, self.what) {
            (Phase::Sending(_), _) => return Some(py.None().into_bound(py)),
            (Phase::Receiving(State::Connected), What::ReceiveText) => pyo3::intern!(py, "text"),
            (Phase::Receiving(State::Connected), What::ReceiveBytes) => pyo3::intern!(py, "bytes"),
            _ => return None,
        };
        let message = came.cast_exact::<PyDict>().ok()?;
        let kind = message.get_item(interned::r#type(py)).ok()??;
        if !is(&kind, "websocket.receive").unwrap_or(false) {
            return None;
        }
        message.get_item(name).ok()?.filter(|data| !data.is_none())
    }
}

#[cold]
fn begin_otherwise(slf: &Bound<'_, Exchange>, value: *mut ffi::PyObject) -> Sent {
    let py = slf.py();
    Python::attach(|_| {
        // SAFETY: null or live, as `am_send` was given it.
        let value = unsafe { Bound::from_borrowed_ptr_or_opt(py, value) };
        sent(py, Exchange::resume(slf, value.filter(|value| !value.is_none()).map(Bound::unbind)))
    })
}

/// Ends a call for which the host has raised the exception that is set.
#[cold]
fn failed(slf: &Bound<'_, Exchange>) -> Sent {
    let py = slf.py();
    Python::attach(|_| sent(py, Exchange::step(slf, |work| Err(work.failed(py, PyErr::fetch(py))))))
}

/// Goes on with what an iterator has returned, or, where that is null, with the exception that is set.
#[cold]
fn go_on_otherwise(slf: &Bound<'_, Exchange>, iterator: Bound<'_, PyAny>, given: *mut ffi::PyObject) -> Sent {
    let py = slf.py();
    Python::attach(|_| {
        // SAFETY: owned, as the caller was given it.
        let came = unsafe { Bound::from_owned_ptr_or_err(py, given) };
        sent(py, Exchange::step(slf, |work| work.go_on(iterator, came.map(|came| Driven::Returned(came.unbind())))))
    })
}
