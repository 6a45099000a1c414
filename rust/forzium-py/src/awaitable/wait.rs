//! Driving one Python awaitable from inside a machine.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::ptr;
use std::task::{Context, Poll};

use pyo3::exceptions::{PyGeneratorExit, PyStopIteration, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyNone;

use super::{Channel, Resume, panicked};
use crate::interned;

/// The token of the attached interpreter, inside a machine.
///
/// A machine is polled by [`super::Awaitable`] alone, and so always with the interpreter attached. The token and what
/// is borrowed with it lives as long as `_channel` is borrowed, which ends with the machine.
#[inline]
pub fn attached(_channel: &Channel) -> Python<'_> {
    // SAFETY:
    // - Only machines have a channel, and only `Awaitable::step` polls them, called by Python with the lock held.
    // - Between two polls the lock may be given up, but then nothing of the machine runs; when it runs again, it is
    //   attached again. Objects borrowed with this token stay alive, since a `Bound` owns its reference.
    unsafe { Python::assume_attached() }
}

/// Waits for a Python awaitable and gives its result.
///
/// *When cancelled here*: what the driver throws is thrown into the awaitable; what comes out of it is the result.
pub fn wait<'c>(channel: &'c Channel, awaitable: Bound<'c, PyAny>) -> Wait<'c> {
    Wait { channel, start: Some(awaitable) }
}

/// The future behind [`wait`].
pub struct Wait<'c> {
    channel: &'c Channel,
    /// What to wait for, until the first poll.
    start: Option<Bound<'c, PyAny>>,
}

impl Future for Wait<'_> {
    type Output = PyResult<Py<PyAny>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.start.take() {
            Some(awaitable) => begin(self.channel, awaitable),
            None => go_on(self.channel),
        }
    }
}

/// The first step of what is waited for: what [`wait`] does when it is first polled.
///
/// For machines written by hand; they are pending when this is, and then go on by [`go_on`].
pub fn begin(channel: &Channel, awaitable: Bound<'_, PyAny>) -> Poll<PyResult<Py<PyAny>>> {
    let py = attached(channel);
    let iterator = match iterator_of(awaitable) {
        Ok(iterator) => iterator,
        Err(error) => return Poll::Ready(Err(error)),
    };
    let handled = Handled::enter(channel, py);
    let result = sent(&iterator, &PyNone::get(py));
    drop(handled);
    match result {
        Ok(Driven::Returned(value)) => Poll::Ready(Ok(value)),
        Ok(Driven::Yielded(value)) => {
            channel.yielded.set(Some(value));
            // Kept from here on: what never waits does without.
            *channel.awaiting.borrow_mut() = Some(iterator.unbind());
            channel.idle.set(true);
            Poll::Pending
        }
        Err(error) => Poll::Ready(Err(error)),
    }
}

/// Another step of what is waited for, or its end, where it has gone on by itself.
pub fn go_on(channel: &Channel) -> Poll<PyResult<Py<PyAny>>> {
    let went_on = match (channel.outcome.take(), channel.resume.take()) {
        (Some(outcome), _) => outcome.map(Driven::Returned),
        (None, Some(resume)) => channel.go_on(attached(channel), resume),
        (None, None) => Err(PyGeneratorExit::new_err(())),
    };
    let end = match went_on {
        Ok(Driven::Yielded(value)) => {
            channel.yielded.set(Some(value));
            channel.idle.set(true);
            return Poll::Pending;
        }
        Ok(Driven::Returned(value)) => Ok(value),
        Err(error) => Err(error),
    };
    let done = channel.awaiting.borrow_mut().take();
    drop(done);
    Poll::Ready(end)
}

impl Channel {
    /// Resumes the iterator being driven.
    pub(super) fn go_on(&self, py: Python<'_>, resume: Resume) -> PyResult<Driven> {
        let iterator = self.awaiting.borrow().as_ref().map(|held| held.bind(py).clone());
        let Some(iterator) = iterator else {
            // The collector has cleared it: end as a closed coroutine does.
            return Err(PyGeneratorExit::new_err(()));
        };
        let _handled = Handled::enter(self, py);
        match resume {
            Resume::Send(value) => send_in(&iterator, value),
            Resume::Throw(error) => throw_in(&iterator, error),
        }
    }

    /// Lets the machine be polled at every step, since it looks at each.
    pub(super) fn watch_steps(&self) {
        self.idle.set(false);
    }
}

/// Passes an object up to the driver, as `yield` does, and waits to be resumed.
///
/// *When cancelled here*: what the driver throws is the result.
pub fn pass_up<'c>(channel: &'c Channel, object: Bound<'c, PyAny>) -> PassUp<'c> {
    PassUp { channel, object: Some(object) }
}

/// The future behind [`pass_up`].
pub struct PassUp<'c> {
    channel: &'c Channel,
    /// What to pass up, until the first poll.
    object: Option<Bound<'c, PyAny>>,
}

impl Future for PassUp<'_> {
    type Output = PyResult<()>;

    fn poll(mut self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(object) = self.object.take() {
            *self.channel.awaiting.borrow_mut() = Some(object.clone().unbind());
            self.channel.yielded.set(Some(object.unbind()));
            return Poll::Pending;
        }
        let passed_up = self.channel.awaiting.borrow_mut().take();
        drop(passed_up);
        match self.channel.resume.take() {
            Some(Resume::Throw(error)) => Poll::Ready(Err(error)),
            Some(Resume::Send(_)) => Poll::Ready(Ok(())),
            None => Poll::Ready(Err(PyGeneratorExit::new_err(()))),
        }
    }
}

/// Does `work`, calling `note` whenever it begins to wait and each time it goes on waiting.
///
/// Errors: one of `note` is thrown into the work, as one of the driver is.
pub async fn noted<T>(
    channel: &Channel,
    work: impl Future<Output = PyResult<T>>,
    mut note: impl FnMut() -> PyResult<()>,
) -> PyResult<T> {
    let mut work = pin!(work);
    poll_fn(move |context| {
        let polled = work.as_mut().poll(context);
        if polled.is_ready() {
            return polled;
        }
        channel.watch_steps();
        match note() {
            Ok(()) => polled,
            Err(error) => {
                drop(channel.yielded.take());
                channel.resume.set(Some(Resume::Throw(error)));
                work.as_mut().poll(context)
            }
        }
    })
    .await
}

/// The asynchronous iterator behind an asynchronous iterable, as `aiter` gives it.
pub fn steps_of<'py>(iterable: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: the function takes a live object and returns a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(iterable.py(), ffi::PyObject_GetAIter(iterable.as_ptr())) }
}

/// The awaitable of an asynchronous iterator's next step, as `__anext__` gives it.
pub fn next_step<'py>(iterator: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let object = iterator.as_ptr();
    // SAFETY:
    // - `object` is live, so its type and that type's slots are, too.
    // - The slot takes the object and returns a new reference, or null with an exception set.
    unsafe {
        let slots = (*ffi::Py_TYPE(object)).tp_as_async;
        if let Some(next) = slots.as_ref().and_then(|slots| slots.am_anext) {
            return Bound::from_owned_ptr_or_err(iterator.py(), next(object));
        }
    }
    iterator.call_method0(interned::anext(iterator.py()))
}

/// What resuming an iterator came to.
pub enum Driven {
    Yielded(Py<PyAny>),
    Returned(Py<PyAny>),
}

/// The iterator behind an awaitable (PEP 492): a coroutine is its own.
#[inline]
pub fn iterator_of(awaitable: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let object = awaitable.as_ptr();
    // SAFETY: the type check reads the type of a live object.
    if unsafe { ffi::PyCoro_CheckExact(object) } != 0 {
        return Ok(awaitable);
    }
    // SAFETY:
    // - `object` is live, so its type and that type's slots are, too.
    // - The slot takes the object and returns a new reference, or null with an exception set.
    unsafe {
        let slots = (*ffi::Py_TYPE(object)).tp_as_async;
        if let Some(get) = slots.as_ref().and_then(|slots| slots.am_await) {
            if ptr::fn_addr_eq(get, ffi::PyObject_SelfIter as ffi::unaryfunc) {
                return Ok(awaitable);
            }
            return Bound::from_owned_ptr_or_err(awaitable.py(), get(object));
        }
    }
    marked(awaitable)
}

/// A generator marked by `types.coroutine`, which is awaitable without a slot.
fn marked(awaitable: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: the type check reads the type of a live object.
    if unsafe { ffi::PyGen_CheckExact(awaitable.as_ptr()) } != 0 {
        const ITERABLE_COROUTINE: u32 = 0x100; // inspect.CO_ITERABLE_COROUTINE
        let flags: u32 = awaitable.getattr("gi_code")?.getattr("co_flags")?.extract()?;
        if flags & ITERABLE_COROUTINE != 0 {
            return Ok(awaitable);
        }
    }
    Err(PyTypeError::new_err(format!("object {} can't be used in 'await' expression", awaitable.get_type().name()?)))
}

/// Resumes the iterator with a value, `None` unless given.
pub fn send_in(iterator: &Bound<'_, PyAny>, value: Option<Py<PyAny>>) -> PyResult<Driven> {
    let py = iterator.py();
    match value {
        None => sent(iterator, &PyNone::get(py)),
        Some(value) => sent(iterator, value.bind(py)),
    }
}

fn sent(iterator: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<Driven> {
    let py = iterator.py();
    let mut result = ptr::null_mut();
    // SAFETY:
    // - `iterator` and `value` are live for the call; `result` is a place to write one pointer to.
    // - What is written there is a new reference, unless an exception is set.
    unsafe {
        match ffi::PyIter_Send(iterator.as_ptr(), value.as_ptr(), &mut result) {
            ffi::PySendResult::PYGEN_RETURN => Ok(Driven::Returned(Bound::from_owned_ptr_or_err(py, result)?.unbind())),
            ffi::PySendResult::PYGEN_NEXT => Ok(Driven::Yielded(Bound::from_owned_ptr_or_err(py, result)?.unbind())),
            ffi::PySendResult::PYGEN_ERROR => Err(PyErr::fetch(py)),
        }
    }
}

/// Resumes the iterator by raising an exception in it.
pub fn throw_in(iterator: &Bound<'_, PyAny>, error: PyErr) -> PyResult<Driven> {
    let py = iterator.py();
    if error.is_instance_of::<PyGeneratorExit>(py) {
        // As `await` does: close what is being waited for, then go on with the exit.
        if let Some(close) = iterator.getattr_opt(interned::close(py))? {
            close.call0()?;
        }
        return Err(error);
    }
    let Some(throw) = iterator.getattr_opt(interned::throw(py))? else {
        return Err(error);
    };
    match throw.call1((error.into_value(py),)) {
        Ok(value) => Ok(Driven::Yielded(value.unbind())),
        Err(stop) if stop.is_instance_of::<PyStopIteration>(py) => {
            Ok(Driven::Returned(stop.value(py).getattr("value")?.unbind()))
        }
        Err(error) => Err(error),
    }
}

/// Shows an exception as being handled while Python code runs, and takes it back.
struct Handled<'py> {
    before: Option<(Python<'py>, *mut ffi::PyObject)>,
}

impl<'py> Handled<'py> {
    fn enter(channel: &'py Channel, py: Python<'py>) -> Self {
        let handling = channel.handling.borrow();
        let Some(exception) = handling.as_ref() else {
            return Self { before: None };
        };
        // SAFETY:
        // - The first call returns a new reference or null; it is given back to the interpreter when dropped.
        // - The second takes a live exception object and keeps a reference of its own.
        let before = unsafe {
            let before = ffi::PyErr_GetHandledException();
            ffi::PyErr_SetHandledException(exception.as_ptr());
            before
        };
        Self { before: Some((py, before)) }
    }
}

impl Drop for Handled<'_> {
    fn drop(&mut self) {
        if let Some((_py, before)) = self.before.take() {
            // SAFETY: `before` is null or the reference that `enter` got and still owns, given up here.
            unsafe {
                ffi::PyErr_SetHandledException(before);
                ffi::Py_XDECREF(before);
            }
        }
    }
}

/// Puts work that is seldom to do apart, so that the machine around it, and its place on the stack, stay small.
#[inline(never)]
pub fn apart<'c, F, T>(work: impl FnOnce() -> F) -> Pin<Box<dyn Future<Output = T> + 'c>>
where
    F: Future<Output = T> + 'c,
{
    Box::pin(work())
}

/// Turns a panic inside `future` into an exception, so that it is answered and logged like any other.
pub fn guard<F: Future<Output = PyResult<T>>, T>(future: F) -> impl Future<Output = PyResult<T>> {
    Guard { future }
}

struct Guard<F> {
    future: F,
}

impl<F: Future<Output = PyResult<T>>, T> Future for Guard<F> {
    type Output = PyResult<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: a projection to the only field, which is moved neither here nor by anything else.
        let future = unsafe { self.map_unchecked_mut(|guard| &mut guard.future) };
        catch_unwind(AssertUnwindSafe(|| future.poll(context)))
            .unwrap_or_else(|panic: Box<dyn Any + Send>| Poll::Ready(Err(panicked(&*panic))))
    }
}
