//! Driving a coroutine step by step, in a context of its own, by somebody it can hand control to.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pyo3::PyTraverseError;
use pyo3::exceptions::{PyGeneratorExit, PyRuntimeError};
use pyo3::gc::PyVisit;
use pyo3::prelude::*;

use super::context::Entered;
use super::wait::{Driven, iterator_of, send_in, throw_in};
use super::{Channel, Resume, Shared, attached};
use crate::interned;

/// What a driven coroutine came to.
pub enum Came {
    /// It yielded the mark of its driver: control is handed over.
    Marked,
    Ended(PyResult<Py<PyAny>>),
}

/// A coroutine with a context of its own, and the mark by which it hands control to its driver.
pub trait Drivable {
    /// The iterator behind the coroutine, and the context; none where the collector has cleared it.
    fn at_hand<'py>(&self, py: Python<'py>) -> Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)>;
    fn is_mark(&self, yielded: &Bound<'_, PyAny>) -> bool;
    /// Called when it has to wait for something.
    fn waits(&self, _py: Python<'_>) -> PyResult<()> {
        Ok(())
    }
}

/// Resumes a coroutine and goes on until it ends or hands control over; what else it yields is passed up.
///
/// *When cancelled here*: what the driver throws is thrown into the coroutine; what comes out of it is the result.
pub fn drive<'c, D: Drivable>(channel: &'c Channel, driven: &'c D, resume: Resume) -> Drive<'c, D> {
    Drive { channel, driven, resume: Some(resume) }
}

/// The future behind [`drive`].
pub struct Drive<'c, D> {
    channel: &'c Channel,
    driven: &'c D,
    /// What to resume with, until the first poll.
    resume: Option<Resume>,
}

impl<D> Unpin for Drive<'_, D> {}

impl<D: Drivable> Future for Drive<'_, D> {
    type Output = Came;

    fn poll(mut self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Self::Output> {
        let (channel, driven) = (self.channel, self.driven);
        let py = attached(channel);
        let begins = self.resume.is_some();
        let resume = self.resume.take().or_else(|| channel.resume.take());
        let (Some((iterator, context)), Some(resume)) = (driven.at_hand(py), resume) else {
            // The collector has cleared it: end as a closed coroutine does.
            return Poll::Ready(Came::Ended(Err(PyGeneratorExit::new_err(()))));
        };
        let entered = match Entered::enter(context) {
            Ok(entered) => entered,
            Err(error) => return Poll::Ready(Came::Ended(Err(error))),
        };
        let stepped = stepped(&iterator, resume);
        drop(entered);
        let came = match stepped {
            Ok(Driven::Yielded(value)) if driven.is_mark(value.bind(py)) => Came::Marked,
            Ok(Driven::Yielded(value)) => {
                if let Err(error) = driven.waits(py) {
                    error.write_unraisable(py, Some(&iterator));
                }
                channel.yielded.set(Some(value));
                if begins {
                    *channel.awaiting.borrow_mut() = Some(iterator.unbind());
                }
                return Poll::Pending;
            }
            Ok(Driven::Returned(value)) => Came::Ended(Ok(value)),
            Err(error) => Came::Ended(Err(error)),
        };
        let done = channel.awaiting.borrow_mut().take();
        drop(done);
        Poll::Ready(came)
    }
}

thread_local! {
    /// How many coroutines are being driven, one inside the other.
    static DRIVEN: Cell<usize> = const { Cell::new(0) };
}

/// Whether the code that asks runs in a coroutine that somebody drives, who may let it go on in another task.
pub fn is_driven() -> bool {
    DRIVEN.get() > 0
}

/// Resumes a driven coroutine.
fn stepped(iterator: &Bound<'_, PyAny>, resume: Resume) -> PyResult<Driven> {
    let _counted = Counted::enter();
    resumed(iterator, resume)
}

/// One more coroutine is being driven for as long as this lives.
struct Counted;

impl Counted {
    fn enter() -> Self {
        DRIVEN.set(DRIVEN.get() + 1);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        DRIVEN.set(DRIVEN.get() - 1);
    }
}

fn resumed(iterator: &Bound<'_, PyAny>, resume: Resume) -> PyResult<Driven> {
    match resume {
        Resume::Send(value) => send_in(iterator, value),
        Resume::Throw(error) => throw_in(iterator, error),
    }
}

/// What an awaitable written by hand waits for at the moment.
#[derive(Default)]
pub struct Inner(Shared<RefCell<Option<Py<PyAny>>>>);

impl Inner {
    /// Begins to wait for an awaitable.
    pub fn begin(&self, awaitable: Bound<'_, PyAny>) -> PyResult<Driven> {
        self.check()?;
        let iterator = iterator_of(awaitable)?;
        *self.0.0.borrow_mut() = Some(iterator.clone().unbind());
        self.go_on(&iterator, Resume::Send(None))
    }

    /// Resumes what is being waited for; none where nothing is.
    pub fn resume(&self, py: Python<'_>, resume: Resume) -> Result<PyResult<Driven>, Resume> {
        let iterator = self.0.0.borrow().as_ref().map(|iterator| iterator.bind(py).clone());
        match iterator {
            Some(iterator) => Ok(self.go_on(&iterator, resume)),
            None => Err(resume),
        }
    }

    fn go_on(&self, iterator: &Bound<'_, PyAny>, resume: Resume) -> PyResult<Driven> {
        let stepped = resumed(iterator, resume);
        if !matches!(stepped, Ok(Driven::Yielded(_))) {
            self.clear();
        }
        stepped
    }

    fn check(&self) -> PyResult<()> {
        match self.0.0.borrow().is_some() {
            true => Err(PyRuntimeError::new_err("coroutine is being awaited already")),
            false => Ok(()),
        }
    }

    /// Closes what is being waited for.
    pub fn close(&self, py: Python<'_>) -> PyResult<()> {
        let iterator = self.0.0.borrow_mut().take();
        match iterator.map(|iterator| iterator.into_bound(py).getattr_opt(interned::close(py))).transpose()?.flatten() {
            Some(close) => close.call0().map(drop),
            None => Ok(()),
        }
    }

    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.0.0.try_borrow() {
            Ok(held) => visit.call(&*held),
            Err(_) => Ok(()),
        }
    }

    pub fn clear(&self) {
        let held = self.0.0.try_borrow_mut().ok().and_then(|mut held| held.take());
        drop(held);
    }
}
