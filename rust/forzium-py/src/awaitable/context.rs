//! Context variables: work that has a context of its own, and taking over what it set there.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Wake, Poll};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::Channel;

/// A copy of the current context.
pub fn copy_current(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: returns a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyContext_CopyCurrent()) }
}

/// A copy of a context.
pub fn copy<'py>(context: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: the function checks that the live object is a context, and returns a new reference, or null with an
    // exception set.
    unsafe { Bound::from_owned_ptr_or_err(context.py(), ffi::PyContext_Copy(context.as_ptr())) }
}

/// A context that is the current one for as long as this lives.
pub struct Entered<'py>(Bound<'py, PyAny>);

impl<'py> Entered<'py> {
    /// Errors: `RuntimeError` where it is entered already.
    pub fn enter(context: Bound<'py, PyAny>) -> PyResult<Self> {
        // SAFETY: the function checks that the live object is a context; it returns -1 with an exception set.
        match unsafe { ffi::PyContext_Enter(context.as_ptr()) } {
            0 => Ok(Self(context)),
            _ => Err(PyErr::fetch(context.py())),
        }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        // SAFETY: the context is live and was entered; it returns -1 with an exception set.
        if unsafe { ffi::PyContext_Exit(self.0.as_ptr()) } != 0 {
            PyErr::fetch(self.0.py()).write_unraisable(self.0.py(), Some(&self.0));
        }
    }
}

/// Runs a future with `context` as the current one, whenever it runs.
pub fn in_context<'c, F: Future>(channel: &'c Channel, context: &'c Bound<'c, PyAny>, future: F) -> InContext<'c, F> {
    InContext { channel, context, future }
}

/// The future behind [`in_context`].
pub struct InContext<'c, F> {
    channel: &'c Channel,
    context: &'c Bound<'c, PyAny>,
    future: F,
}

impl<T, F: Future<Output = PyResult<T>>> Future for InContext<'_, F> {
    type Output = PyResult<T>;

    fn poll(self: Pin<&mut Self>, wake: &mut Wake<'_>) -> Poll<Self::Output> {
        let _entered = match Entered::enter(self.context.clone()) {
            Ok(entered) => entered,
            Err(error) => return Poll::Ready(Err(error)),
        };
        let channel = self.channel;
        // SAFETY: a projection to a field that is moved neither here nor by anything else.
        let future = unsafe { self.map_unchecked_mut(|this| &mut this.future) };
        let polled = future.poll(wake);
        channel.watch_steps();
        polled
    }
}

/// Sets in the current context what differs between two states of another one.
///
/// What was set again to the very same object does not differ. Two states that share most of what they hold give it in
/// the same order, so that looking things up is the exception.
pub fn adopt(before: &Bound<'_, PyAny>, after: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = before.py();
    if after.len()? == 0 {
        return Ok(());
    }
    let items = pyo3::intern!(py, "items");
    let mut earlier = Some(before.call_method0(items)?.try_iter()?);
    for item in after.call_method0(items)?.try_iter()? {
        let item = item?.cast_into::<PyTuple>()?;
        let (variable, value) = (item.get_borrowed_item(0)?, item.get_borrowed_item(1)?);
        let mut same = None;
        if let Some(states) = &mut earlier {
            let pair = states.next().transpose()?.map(|pair| pair.cast_into::<PyTuple>()).transpose()?;
            match pair {
                Some(pair) if pair.get_borrowed_item(0)?.is(variable) => {
                    same = Some(pair.get_borrowed_item(1)?.is(value));
                }
                _ => earlier = None,
            }
        }
        let same = match same {
            Some(same) => same,
            // A context is not a value that anybody could have set for "there is none".
            None => before.call_method1(pyo3::intern!(py, "get"), (variable, before))?.is(value),
        };
        if !same {
            // SAFETY: both are live objects; the function checks that the first is a variable and returns a new
            // reference, or null with an exception set.
            unsafe {
                Bound::from_owned_ptr_or_err(py, ffi::PyContextVar_Set(variable.as_ptr(), value.as_ptr()))?;
            }
        }
    }
    Ok(())
}
