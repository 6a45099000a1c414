//! The threads of one event loop, the calls that wait for them, and the tokens they work by.

use std::cell::{RefCell, RefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::Instant;

use pyo3::PyTraverseError;
use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyWeakrefReference};

use super::future::Futures;
use super::job::Job;
use super::line::{Claim, Line};
use crate::awaitable::Shared;
use crate::{imports, interned};

/// The place of a thread: how to wake it.
pub struct Seat {
    pub thread: Thread,
    /// Whether it was woken to look for work. Set while the state of the crew is borrowed.
    pub called: AtomicBool,
}

/// What is shared by the threads and the event loop.
///
/// It is borrowed only while attached to the interpreter, and nothing of Python runs while it is borrowed.
#[derive(Default)]
pub struct State {
    /// None once the crew has been dismissed and its last thread has left.
    pub event_loop: Option<Py<PyAny>>,
    pub line: Line<Py<Job>>,
    /// Calls made and not reported.
    pub done: Vec<Py<Job>>,
    /// When the first of these was begun.
    pub first_done: Option<Instant>,
    /// How many threads are making a call by a token.
    pub running: usize,
    /// The tokens of the limiter that the crew holds; never fewer than `running`.
    pub tokens: Vec<Py<PyAny>>,
    /// How many of these the threads may use no more: others are waiting for them, or there are too many.
    pub given_up: usize,
    /// Whether others wait for tokens, so that each is given up as soon as its call is done.
    pub contended: bool,
    /// How many tokens are being waited for.
    pub awaited: usize,
    /// The threads that sleep, the one that has slept longest first.
    pub idle: Vec<Arc<Seat>>,
    pub threads: usize,
    /// How many threads are awake and without a call.
    pub searching: usize,
    pub futures: Futures,
    pub report_scheduled: bool,
    pub growth_scheduled: bool,
    /// Threads that find nothing to do leave.
    pub dismissed: bool,
}

impl State {
    /// Tokens that a thread may begin a call with.
    pub fn spare(&self) -> usize {
        (self.tokens.len() - self.given_up.min(self.tokens.len())).saturating_sub(self.running)
    }

    /// Whether there are no more tokens to be had, and none is left for a call to begin with.
    pub fn is_full(&self) -> bool {
        self.awaited > 0 && self.spare() == 0
    }

    /// Whether there is a call that may be made now.
    pub fn has_work(&self) -> bool {
        self.line.has_next(self.spare(), self.is_full())
    }

    /// How many more tokens would be of use: as many again as calls are running, at least two.
    ///
    /// Calls that are short are all made by the first thread, before others come to anything; those that block let the
    /// number of tokens double until it is enough.
    fn wanted(&self) -> usize {
        self.line.needing_tokens().min(self.running.max(2)).saturating_sub(self.spare())
    }
}

/// The worker threads of one event loop.
#[pyclass(module = "forzium._forzium", frozen, weakref)]
pub struct Crew {
    state: Shared<RefCell<State>>,
    pub limiter: Py<PyAny>,
    /// `(crew, token) -> None`: has a token waited for, and `granted` called with it.
    wait_for_token: Py<PyAny>,
    /// `(crew) -> None`: starts a thread that calls `work`.
    start_thread: Py<PyAny>,
    /// anyio's `threading.local`.
    pub threadlocals: Py<PyAny>,
    /// anyio's states of tasks, by weak reference.
    task_states: Py<PyDict>,
    /// The context variable that names the asynchronous library running, where there is one.
    pub library: Option<Py<PyAny>>,
}

impl Crew {
    /// The state. See there what holds while it is borrowed.
    pub fn state(&self) -> RefMut<'_, State> {
        self.state.0.borrow_mut()
    }

    pub fn event_loop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let event_loop = self.state().event_loop.as_ref().map(|event_loop| event_loop.bind(py).clone());
        event_loop.ok_or_else(|| PyRuntimeError::new_err("Event loop is closed"))
    }

    /// Whether this serves an event loop and takes calls.
    pub fn serves(&self, event_loop: &Bound<'_, PyAny>) -> bool {
        let state = self.state();
        !state.dismissed && state.event_loop.as_ref().is_some_and(|own| own.is(event_loop))
    }

    /// anyio's cancel scope around the running task. None where there is none.
    pub fn scope<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let states = self.task_states.bind(py);
        if states.is_empty() {
            return Ok(None);
        }
        let task = imports::current_task(py)?.call1((self.event_loop(py)?,))?;
        if task.is_none() {
            return Ok(None);
        }
        let Some(state) = states.get_item(PyWeakrefReference::new(&task)?)? else { return Ok(None) };
        let scope = state.getattr(pyo3::intern!(py, "cancel_scope"))?;
        Ok((!scope.is_none()).then_some(scope))
    }

    /// Has a call made. In the event loop.
    ///
    /// Errors: `RuntimeError` where no thread can be started.
    pub fn submit(slf: &Bound<'_, Self>, job: Bound<'_, Job>) -> PyResult<()> {
        let claim = job.get().claim;
        let (tokens, wakes) = {
            let mut state = slf.get().state();
            state.line.push(claim, job.unbind());
            (claim != Claim::CleanUp && state.wanted() > 0, state.searching == 0)
        };
        if tokens {
            Self::take_tokens(slf)?;
        }
        match wakes {
            true => Self::wake(slf),
            false => Ok(()),
        }
    }

    /// Takes the tokens that are of use and to be had, and has one waited for where there are none.
    fn take_tokens(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, crew) = (slf.py(), slf.get());
        let limiter = crew.limiter.bind(py);
        while crew.state().wanted() > 0 {
            // Where tokens are waited for, those that become free go there.
            let queued = crew.state().awaited > 0;
            if queued || !limiter.getattr(interned::available_tokens(py))?.gt(0)? {
                break;
            }
            let token = imports::object(py)?.call0()?;
            match limiter.call_method1(pyo3::intern!(py, "acquire_on_behalf_of_nowait"), (&token,)) {
                Ok(_) => crew.state().tokens.push(token.unbind()),
                Err(error) if error.value(py).is_instance(imports::would_block(py)?)? => break,
                Err(error) => return Err(error),
            }
        }
        // Where the crew holds all tokens itself, one place in the line is enough to hear of more. Where others do, each
        // call gets its own.
        loop {
            {
                let mut state = crew.state();
                let places = if state.contended { state.line.needing_tokens() } else { 1 };
                if state.wanted() == 0 || state.awaited >= places {
                    return Ok(());
                }
                state.awaited += 1;
            }
            crew.wait_for_token.bind(py).call1((slf, imports::object(py)?.call0()?))?;
        }
    }

    /// Wakes a thread, or starts one, where there is work and none is awake to find it. In the event loop.
    fn wake(slf: &Bound<'_, Self>) -> PyResult<()> {
        let seat = {
            let mut state = slf.get().state();
            if state.searching > 0 || !state.has_work() {
                return Ok(());
            }
            state.searching += 1;
            let seat = state.idle.pop();
            match &seat {
                Some(seat) => seat.called.store(true, Ordering::Relaxed),
                None => state.threads += 1,
            }
            seat
        };
        if let Some(seat) = seat {
            seat.thread.unpark();
            return Ok(());
        }
        let started = slf.get().start_thread.bind(slf.py()).call1((slf,));
        let Err(error) = started else { return Ok(()) };
        let mut state = slf.get().state();
        state.searching -= 1;
        state.threads -= 1;
        if state.threads > 0 {
            // The others will get to it.
            return Ok(());
        }
        Err(error)
    }

    /// Gives tokens back to the limiter that are of no use, and sees whether others wait for the rest.
    fn settle(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, crew) = (slf.py(), slf.get());
        let limiter = crew.limiter.bind(py);
        let (released, holds) = {
            let mut state = crew.state();
            let surplus = state.tokens.len().saturating_sub(state.running + state.line.needing_tokens());
            let most = state.tokens.len() - state.running;
            let count = surplus.max(state.given_up).min(most);
            state.given_up = state.given_up.saturating_sub(count);
            let rest = state.tokens.len() - count;
            (state.tokens.split_off(rest), rest > 0)
        };
        for token in released {
            limiter.call_method1(pyo3::intern!(py, "release_on_behalf_of"), (token,))?;
        }
        let mut contended = false;
        if holds {
            let available = limiter.getattr(interned::available_tokens(py))?;
            if available.lt(0)? {
                contended = true;
            } else if available.le(0)? {
                let statistics = limiter.call_method0(pyo3::intern!(py, "statistics"))?;
                let waiting: usize = statistics.getattr(pyo3::intern!(py, "tasks_waiting"))?.extract()?;
                contended = waiting > crew.state().awaited;
            }
        }
        crew.state().contended = contended;
        Self::take_tokens(slf)?;
        Self::wake(slf)
    }

    /// Has one of its methods called in the event loop. Whether there is a loop to call it.
    pub fn call_soon(slf: &Bound<'_, Self>, method: &Bound<'_, PyString>) -> bool {
        let py = slf.py();
        let Ok(event_loop) = slf.get().event_loop(py) else { return false };
        let called = slf
            .getattr(method)
            .and_then(|method| event_loop.call_method1(interned::call_soon_threadsafe(py), (method,)).map(drop));
        match called {
            Ok(()) => true,
            Err(error) => {
                // The loop was closed; nobody waits any more.
                if !error.is_instance_of::<PyRuntimeError>(py) {
                    error.write_unraisable(py, Some(slf));
                }
                false
            }
        }
    }

    /// Forgets the event loop, once it has no use for the crew and all is reported.
    pub fn close(&self) {
        let mut state = self.state();
        if !state.dismissed || state.threads > 0 {
            return;
        }
        if !(state.line.is_empty() && state.done.is_empty()) {
            return;
        }
        let forgotten = (state.event_loop.take(), std::mem::take(&mut state.futures));
        drop(state);
        drop(forgotten);
    }
}

#[pymethods]
impl Crew {
    #[new]
    #[pyo3(signature = (event_loop, limiter, *, start_thread, wait_for_token, threadlocals, task_states, library))]
    fn new(
        event_loop: Py<PyAny>,
        limiter: Py<PyAny>,
        start_thread: Py<PyAny>,
        wait_for_token: Py<PyAny>,
        threadlocals: Py<PyAny>,
        task_states: Py<PyDict>,
        library: Option<Py<PyAny>>,
    ) -> Self {
        let state = Shared(RefCell::new(State { event_loop: Some(event_loop), ..State::default() }));
        Self { state, limiter, wait_for_token, start_thread, threadlocals, task_states, library }
    }

    /// Makes calls, in a thread of its own, until there is none for some time.
    fn work(slf: &Bound<'_, Self>) {
        super::worker::work(slf);
    }

    /// Whether it takes no calls any more.
    #[getter]
    fn dismissed(&self) -> bool {
        self.state().dismissed
    }

    /// Lets the threads end as soon as they have nothing to do: their event loop does.
    #[pyo3(signature = (*_args))]
    fn dismiss(&self, _args: &Bound<'_, PyAny>) {
        let (idle, abandoned) = {
            let mut state = self.state();
            state.dismissed = true;
            let abandoned = state.line.take_unneeded(|job| job.get().is_abandoned());
            (std::mem::take(&mut state.idle), abandoned)
        };
        drop(abandoned);
        for seat in idle {
            seat.thread.unpark();
        }
        self.close();
    }

    /// Forgets threads that are not there: the process was forked.
    fn abandon(&self) {
        let before = std::mem::take(&mut *self.state());
        self.state().dismissed = true;
        drop(before);
    }

    /// Hands out what the calls came to, in the event loop.
    fn report(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, crew) = (slf.py(), slf.get());
        let done = {
            let mut state = crew.state();
            // A call done after this schedules another report.
            state.report_scheduled = false;
            state.first_done = None;
            std::mem::take(&mut state.done)
        };
        let settled = Self::settle(slf);
        let mut jobs = done.into_iter();
        while let Some(job) = jobs.next() {
            if let Err(error) = job.bind(py).get().report(py, crew) {
                // The event loop is about to end, and may be run again.
                let schedule = {
                    let mut state = crew.state();
                    state.done.splice(0..0, jobs);
                    !std::mem::replace(&mut state.report_scheduled, true)
                };
                if schedule {
                    Self::call_soon(slf, interned::report(py));
                }
                return Err(error);
            }
        }
        crew.close();
        settled
    }

    /// Takes more tokens and wakes more threads, in the event loop.
    fn grow(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().state().growth_scheduled = false;
        Self::take_tokens(slf)?;
        Self::wake(slf)
    }

    /// Takes a token that was waited for; none: the wait was given up.
    fn granted(slf: &Bound<'_, Self>, token: Option<Py<PyAny>>) -> PyResult<()> {
        {
            let mut state = slf.get().state();
            state.awaited = state.awaited.saturating_sub(1);
            state.tokens.extend(token);
        }
        Self::settle(slf)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        for object in [&self.limiter, &self.wait_for_token, &self.start_thread, &self.threadlocals] {
            visit.call(object)?;
        }
        visit.call(&self.task_states)?;
        visit.call(&self.library)?;
        // One that is borrowed at this moment is in use by running code: what it holds is reachable from there.
        let Ok(state) = self.state.0.try_borrow() else { return Ok(()) };
        visit.call(&state.event_loop)?;
        state.futures.traverse(&visit)?;
        state.tokens.iter().try_for_each(|token| visit.call(token))?;
        state.line.iter().chain(&state.done).try_for_each(|job| visit.call(job))
    }
}
