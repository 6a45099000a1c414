//! Foundation: the awaitable that a server, a test client or another application drives.
//!
//! The work of a request is an ordinary Rust `async` block: the compiler turns it into the resumable state machine, one
//! state a point at which it can wait. This module is the executor of that machine, and it is nothing but Python's own
//! protocol: `send` resumes what the machine waits for, and polls the machine once that has ended; what the innermost
//! Python awaitable yields is passed up without being looked at, and `throw` and `close` go down to whatever is being
//! driven. No task, no loop, no waker: it runs under asyncio, uvloop and trio alike and costs no round trip through an
//! event loop when nothing has to wait.
//!
//! What a machine must keep across a wait lives in its [`Held`] state rather than in the block's own variables, so
//! that Python's garbage collector can see it.
//!
//! Not here: what is awaited, and what it means (the stages and protocols).

mod context;
mod coroutine;
mod drive;
mod pass_on;
mod place;
mod shared;
mod stead;
mod wait;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use pyo3::PyTraverseError;
use pyo3::exceptions::{PyGeneratorExit, PyRecursionError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;

pub use context::{Entered, adopt, copy, copy_current, in_context};
pub use coroutine::{Coroutine, Sent, give_am_send, sent, thrown, told, told_close, told_next};
pub use drive::{Came, Drivable, Inner, drive};
pub use pass_on::set_up;
pub use place::{Place, asyncio_loop, is_asyncio, is_outermost};
pub use shared::Shared;
pub use stead::Stead;
pub use wait::{
    Driven, apart, attached, begin, go_on, guard, iterator_of, next_step, noted, pass_up, send_in, steps_of, throw_in,
    wait,
};

/// What the driver of an awaitable put in.
pub enum Resume {
    Send(Option<Py<PyAny>>),
    Throw(PyErr),
}

/// The connection between a machine and its driver.
#[derive(Default)]
pub struct Channel {
    resume: Cell<Option<Resume>>,
    yielded: Cell<Option<Py<PyAny>>>,
    /// The Python iterator being driven.
    awaiting: RefCell<Option<Py<PyAny>>>,
    /// Whether the machine does nothing but wait for that: then it is not polled before that has ended.
    idle: Cell<bool>,
    /// How that has ended, for the machine.
    outcome: Cell<Option<PyResult<Py<PyAny>>>>,
    /// The exception being handled while Python code runs, as `sys.exc_info()` shows it.
    handling: RefCell<Option<Py<PyAny>>>,
}

impl Channel {
    /// Makes `exception` the one that Python code run from here sees as being handled, until it is taken back.
    pub fn set_handling(&self, exception: Option<Py<PyAny>>) {
        *self.handling.borrow_mut() = exception;
    }

    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        // A cell borrowed at this moment is in use by running code: what it holds is reachable from there.
        for cell in [&self.awaiting, &self.handling] {
            if let Ok(held) = cell.try_borrow() {
                visit.call(&*held)?;
            }
        }
        Ok(())
    }

    pub fn clear(&self) {
        for cell in [&self.awaiting, &self.handling] {
            let held = cell.try_borrow_mut().ok().and_then(|mut held| held.take());
            drop(held);
        }
    }
}

/// The Python objects a machine keeps across waits.
pub trait Held {
    fn channel(&self) -> &Channel;
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError>;
    fn clear(&self);

    /// Whether there is somebody to tell that the machine waits.
    fn is_watched(&self) -> bool {
        false
    }

    /// The machine has come to a point at which it waits.
    ///
    /// Errors: are thrown into the machine there.
    fn waits(&self) -> PyResult<()> {
        Ok(())
    }
}

/// The state machine of one piece of work.
pub type Machine = Pin<Box<dyn Future<Output = PyResult<Py<PyAny>>>>>;

/// An awaitable with the interface of a coroutine (PEP 492), so that event loops take it for one.
#[pyclass(module = "forzium._forzium", weakref, frozen)]
pub struct Awaitable {
    machine: Shared<RefCell<Option<Machine>>>,
    held: Shared<Rc<dyn Held>>,
    begun: Shared<Cell<bool>>,
}

impl Awaitable {
    /// An awaitable over `machine`, whose Python objects `held` keeps.
    pub fn new(held: Rc<dyn Held>, machine: Machine) -> Self {
        Self { machine: Shared(RefCell::new(Some(machine))), held: Shared(held), begun: Shared(Cell::new(false)) }
    }

    /// Runs the machine until it waits or ends.
    fn step(&self, resume: Resume) -> PyResult<Driven> {
        let Ok(mut machine) = self.machine.0.try_borrow_mut() else {
            return Err(PyValueError::new_err("coroutine already executing"));
        };
        if machine.is_none() {
            return Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine"));
        }
        if self.begun.0.get() {
            if let Some(value) = self.pass_down(resume) {
                return Ok(Driven::Yielded(value));
            }
        } else {
            match resume {
                Resume::Send(None) if Depth::is_left() => self.begun.0.set(true),
                Resume::Send(None) => {
                    self.end(&mut machine);
                    return Err(PyRecursionError::new_err("maximum recursion depth exceeded in an application"));
                }
                Resume::Send(Some(_)) => {
                    return Err(PyTypeError::new_err("can't send non-None value to a just-started coroutine"));
                }
                Resume::Throw(error) => {
                    self.end(&mut machine);
                    return Err(error);
                }
            }
        }
        self.poll(&mut machine)
    }

    /// Polls the machine until it waits or ends.
    fn poll(&self, machine: &mut Option<Machine>) -> PyResult<Driven> {
        let channel = self.held.0.channel();
        let Some(running) = machine.as_mut() else {
            return Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine"));
        };
        let mut context = Context::from_waker(Waker::noop());
        let _deeper = Depth::enter();
        let result = loop {
            match catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(&mut context))) {
                Ok(Poll::Pending) => {
                    if let Err(error) = self.held.0.waits() {
                        drop(channel.yielded.take());
                        channel.idle.set(false);
                        channel.resume.set(Some(Resume::Throw(error)));
                        continue;
                    }
                    return channel.yielded.take().map(Driven::Yielded).ok_or_else(|| {
                        PyRuntimeError::new_err("forzium waited for nothing: this is a defect, please report it")
                    });
                }
                Ok(Poll::Ready(result)) => break result,
                Err(panic) => break Err(panicked(&*panic)),
            }
        };
        self.end(machine);
        result.map(Driven::Returned)
    }

    /// Resumes what the machine waits for past the machine, whose turn it is when that has ended.
    ///
    /// Gives what is to be passed up; none where the machine is to be polled.
    fn pass_down(&self, resume: Resume) -> Option<Py<PyAny>> {
        let channel = self.held.0.channel();
        let Resume::Send(value) = resume else {
            channel.idle.set(false);
            channel.resume.set(Some(resume));
            return None;
        };
        if !channel.idle.replace(false) {
            channel.resume.set(Some(Resume::Send(value)));
            return None;
        }
        let gone_on = catch_unwind(AssertUnwindSafe(|| channel.go_on(attached(channel), Resume::Send(value))));
        let outcome = match gone_on.unwrap_or_else(|panic| Err(panicked(&*panic))) {
            Ok(Driven::Yielded(value)) => match self.held.0.waits() {
                Ok(()) => {
                    channel.idle.set(true);
                    return Some(value);
                }
                Err(error) => {
                    channel.resume.set(Some(Resume::Throw(error)));
                    return None;
                }
            },
            Ok(Driven::Returned(value)) => Ok(value),
            Err(error) => Err(error),
        };
        channel.outcome.set(Some(outcome));
        None
    }

    /// Drops a machine that has ended, and what it held. Either may run Python code, which finds it ended.
    fn end(&self, machine: &mut Option<Machine>) {
        drop(machine.take());
        self.held.0.clear();
    }
}

thread_local! {
    /// How many machines are being polled in this thread, each by something that another one has called.
    static DEPTH: Cell<c_int> = const { Cell::new(0) };
}

/// One of the machines that are being polled.
///
/// Python counts its own frames only. A request takes several kilobytes of the stack beside its one frame, the endpoint's,
/// and is counted as the frames it would have in Python.
struct Depth;

impl Depth {
    const FRAMES: c_int = 4;

    /// Whether another one may be begun.
    fn is_left() -> bool {
        // SAFETY: reads a number, with the lock held.
        DEPTH.get() < unsafe { ffi::Py_GetRecursionLimit() } / Self::FRAMES
    }

    fn enter() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Self
    }
}

impl Drop for Depth {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

/// The exception that stands for a panic. It reaches the user as an error to report, never as a dead worker.
pub fn panicked(panic: &(dyn Any + Send)) -> PyErr {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    PyRuntimeError::new_err(format!("internal error in forzium, please report it: {text}"))
}

#[pymethods]
impl Awaitable {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        told_next(py, self.step(Resume::Send(None)))
    }

    /// Resumes with a value, as `coroutine.send` does.
    fn send(&self, py: Python<'_>, value: Py<PyAny>) -> PyResult<Py<PyAny>> {
        told(py, self.step(Resume::Send((!value.is_none(py)).then_some(value))))
    }

    /// Resumes by raising an exception at the point of waiting, as `coroutine.throw` does.
    #[pyo3(signature = (typ, val=None, tb=None, /))]
    fn throw(
        &self,
        py: Python<'_>,
        typ: Bound<'_, PyAny>,
        val: Option<Bound<'_, PyAny>>,
        tb: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        told(py, self.step(Resume::Throw(thrown(&typ, val, tb)?)))
    }

    /// Ends the work by raising `GeneratorExit` at the point of waiting, as `coroutine.close` does.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let live = match self.machine.0.try_borrow_mut() {
            Err(_) => return Err(PyValueError::new_err("coroutine already executing")),
            Ok(machine) => machine.is_some(),
        };
        if !live {
            return Ok(());
        }
        told_close(py, self.step(Resume::Throw(PyGeneratorExit::new_err(()))))
    }

    /// The awaitable that is being waited for, for tools that show where a task stands.
    #[getter]
    fn cr_await(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.held.0.channel().awaiting.try_borrow().ok().and_then(|held| held.as_ref().map(|held| held.clone_ref(py)))
    }

    /// Whether it is being driven at this moment.
    #[getter]
    fn cr_running(&self) -> bool {
        self.machine.0.try_borrow().is_err()
    }

    /// Whether it has begun and waits.
    #[getter]
    fn cr_suspended(&self) -> bool {
        self.begun.0.get() && self.machine.0.try_borrow().is_ok_and(|machine| machine.is_some())
    }

    /// None: there is no frame.
    #[getter]
    fn cr_frame(&self) -> Option<Py<PyAny>> {
        None
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.held.0.channel().traverse(&visit)?;
        self.held.0.traverse(&visit)
    }

    fn __clear__(&self) {
        if let Ok(mut machine) = self.machine.0.try_borrow_mut() {
            self.end(&mut machine);
        }
    }
}
