//! One call that a worker thread makes.

use std::cell::{RefCell, RefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::PyTraverseError;
use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::ffi;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use smallvec::{SmallVec, smallvec};

use super::crew::Crew;
use super::future;
use super::line::Claim;
use crate::awaitable::{Entered, Shared, copy, copy_current, panicked};
use crate::interned;
use crate::keywords::invoke;

/// What is called.
pub enum Work {
    /// Plain functions, one after the other, each in a copy of the caller's context. One that fails is the last.
    Steps(Vec<Step>),
    /// `func(*args)`.
    Function { func: Py<PyAny>, args: Py<PyTuple> },
}

/// The values of the steps.
pub type Values = SmallVec<[Py<PyAny>; 2]>;

pub struct Step {
    pub call: Py<PyAny>,
    /// The names of the keyword arguments.
    pub names: Py<PyTuple>,
    pub arguments: Vec<Py<PyAny>>,
    /// Which arguments are the values of earlier steps: the place of the argument, the place of the step.
    pub fills: Vec<(usize, usize)>,
}

impl Work {
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Function { func, args } => {
                visit.call(func)?;
                visit.call(args)
            }
            Self::Steps(steps) => steps.iter().try_for_each(|step| {
                visit.call(&step.call)?;
                step.arguments.iter().try_for_each(|argument| visit.call(argument))
            }),
        }
    }

    /// Calls, in this thread. Gives the value of each step.
    fn make<'py>(self, context: &Bound<'py, PyAny>, library: Option<&Bound<'py, PyAny>>) -> PyResult<Values> {
        let py = context.py();
        let steps = match self {
            Self::Function { func, args } => {
                let _inside = inside(context.clone(), library)?;
                return Ok(smallvec![func.bind(py).call1(args.bind(py))?.unbind()]);
            }
            Self::Steps(steps) => steps,
        };
        let alone = steps.len() == 1;
        let mut values = Values::with_capacity(steps.len());
        for Step { call, names, arguments, fills } in steps {
            let mut arguments: Vec<_> = arguments.into_iter().map(|argument| argument.into_bound(py)).collect();
            for (at, earlier) in fills {
                if let (Some(argument), Some(value)) = (arguments.get_mut(at), values.get(earlier)) {
                    argument.clone_from(value.bind(py));
                }
            }
            // As if each had gone alone: what one sets in its context, the next does not see.
            let own = if alone { context.clone() } else { copy(context)? };
            let _inside = inside(own, library)?;
            values.push(invoke(call.bind(py), &arguments, names.bind(py))?.unbind());
        }
        Ok(values)
    }
}

/// Enters a context in which no asynchronous library runs any more: `library` is the variable that says which does.
fn inside<'py>(context: Bound<'py, PyAny>, library: Option<&Bound<'py, PyAny>>) -> PyResult<Entered<'py>> {
    let py = context.py();
    let entered = Entered::enter(context)?;
    let Some(library) = library else { return Ok(entered) };
    let mut value = std::ptr::null_mut();
    // SAFETY:
    // - `library` is live, and the functions check that it is a context variable; `value` is a place to write one pointer
    //   to, which gets a new reference or null.
    // - The second call takes a live variable and value and returns a new reference, dropped at once.
    unsafe {
        if ffi::PyContextVar_Get(library.as_ptr(), std::ptr::null_mut(), &mut value) < 0 {
            return Err(PyErr::fetch(py));
        }
        let value = Bound::from_owned_ptr_or_opt(py, value);
        if value.is_some_and(|value| !value.is_none()) {
            Bound::from_owned_ptr_or_err(py, ffi::PyContextVar_Set(library.as_ptr(), ffi::Py_None()))?;
        }
    }
    Ok(entered)
}

/// What a call came to.
enum Outcome {
    Values(Values),
    Raised(Py<PyAny>),
}

/// One call on its way through a crew.
#[pyclass(module = "forzium._forzium", frozen)]
pub struct Job {
    pub claim: Claim,
    /// Nobody waits for it any more: if it has not begun it need not.
    abandoned: AtomicBool,
    crew: Py<Crew>,
    state: Shared<RefCell<State>>,
}

#[derive(Default)]
struct State {
    work: Option<Work>,
    context: Option<Py<PyAny>>,
    /// anyio's cancel scope around the caller, for `anyio.from_thread.check_cancelled`.
    scope: Option<Py<PyAny>>,
    /// The scope by which the wait is shielded from anyio's cancellation.
    shield: Option<Py<PyAny>>,
    /// What the caller waits for.
    future: Option<Py<PyAny>>,
    outcome: Option<Outcome>,
}

impl Job {
    /// A call to be made in a copy of the current context.
    pub fn new(crew: &Bound<'_, Crew>, work: Work, claim: Claim) -> PyResult<Self> {
        let py = crew.py();
        let context = copy_current(py)?.unbind();
        let state = State { work: Some(work), context: Some(context), ..State::default() };
        Ok(Self {
            claim,
            abandoned: AtomicBool::new(false),
            crew: crew.clone().unbind(),
            state: Shared(RefCell::new(state)),
        })
    }

    /// The state. Nothing of Python runs while it is borrowed, and it is borrowed only while attached to the interpreter.
    fn state(&self) -> RefMut<'_, State> {
        self.state.0.borrow_mut()
    }

    pub fn crew<'py>(&self, py: Python<'py>) -> &Bound<'py, Crew> {
        self.crew.bind(py)
    }

    pub fn set_scope(&self, scope: Py<PyAny>) {
        self.state().scope = Some(scope);
    }

    pub fn set_shield(&self, shield: Py<PyAny>) {
        self.state().shield = Some(shield);
    }

    pub fn take_shield(&self) -> Option<Py<PyAny>> {
        self.state().shield.take()
    }

    /// Gives it something to be waited for by; what it had before.
    pub fn set_future(&self, future: Py<PyAny>) -> Option<Py<PyAny>> {
        self.state().future.replace(future)
    }

    pub fn future<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state().future.as_ref().map(|future| future.bind(py).clone())
    }

    /// Gives up a call that has not begun. Clean-up is done all the same.
    pub fn give_up(&self) {
        if self.claim == Claim::CleanUp {
            return;
        }
        let unmade = {
            let mut state = self.state();
            (state.work.take(), state.context.take())
        };
        if unmade.0.is_some() {
            self.abandoned.store(true, Ordering::Relaxed);
        }
        drop(unmade);
    }

    /// Notes that nobody waits any more.
    pub fn abandon(&self) {
        self.give_up();
        self.abandoned.store(true, Ordering::Relaxed);
    }

    pub fn is_shielded(&self) -> bool {
        self.state().shield.is_some()
    }

    pub fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }

    pub fn is_done(&self) -> bool {
        self.state().outcome.is_some()
    }

    /// Makes the call, in a worker thread, unless nobody waits for it any more.
    pub fn make(&self, py: Python<'_>, threadlocals: &Bound<'_, PyAny>, library: Option<&Bound<'_, PyAny>>) {
        let (work, context, scope) = {
            let mut state = self.state();
            (state.work.take(), state.context.take(), state.scope.take())
        };
        let (Some(work), Some(context)) = (work, context) else { return };
        let context = context.into_bound(py);
        let current = interned::current_cancel_scope(py);
        let scoped = scope.is_some();
        let made = match scope.map_or(Ok(()), |scope| threadlocals.setattr(current, scope)) {
            Err(error) => Err(error),
            Ok(()) => catch_unwind(AssertUnwindSafe(|| work.make(&context, library)))
                .unwrap_or_else(|panic| Err(panicked(&*panic))),
        };
        if scoped && let Err(error) = threadlocals.setattr(current, py.None()) {
            error.write_unraisable(py, None);
        }
        let outcome = match made {
            Ok(values) => Outcome::Values(values),
            Err(error) => Outcome::Raised(error.into_value(py).into_any()),
        };
        self.state().outcome = Some(outcome);
    }

    /// Lets the caller go on, in a callback of the event loop.
    ///
    /// Errors: what ends the event loop.
    pub fn report(&self, py: Python<'_>, crew: &Crew) -> PyResult<()> {
        let future = self.state().future.take();
        future.map_or(Ok(()), |future| future::release(crew, future.into_bound(py)))
    }

    /// The values of the steps, once it is done.
    pub fn outcome(&self, py: Python<'_>) -> PyResult<Values> {
        let outcome = self.state().outcome.take();
        match outcome {
            Some(Outcome::Values(values)) => Ok(values),
            Some(Outcome::Raised(error)) => Err(raised(error.into_bound(py))),
            None => Err(PyRuntimeError::new_err("forzium: the result of a call was lost; please report this")),
        }
    }
}

/// What the caller sees of an exception in the thread: no coroutine may raise `StopIteration`.
///
/// As where it is raised, an exception that is being handled there becomes its context.
fn raised(error: Bound<'_, PyAny>) -> PyErr {
    let py = error.py();
    let shown = if error.is_instance_of::<PyStopIteration>() {
        let instead = PyRuntimeError::new_err("coroutine raised StopIteration");
        instead.set_cause(py, Some(PyErr::from_value(error)));
        instead.into_value(py).into_bound(py).into_any()
    } else {
        error
    };
    // SAFETY: both are live objects, an exception and its type; the function keeps references of its own.
    unsafe { ffi::PyErr_SetObject(shown.get_type().as_ptr(), shown.as_ptr()) };
    PyErr::fetch(py)
}

#[pymethods]
impl Job {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.crew)?;
        // One that is borrowed at this moment is in use by running code: what it holds is reachable from there.
        let Ok(state) = self.state.0.try_borrow() else { return Ok(()) };
        visit.call(&state.future)?;
        for object in [&state.context, &state.scope, &state.shield] {
            visit.call(object)?;
        }
        match &state.outcome {
            Some(Outcome::Values(values)) => values.iter().try_for_each(|value| visit.call(value))?,
            Some(Outcome::Raised(error)) => visit.call(error)?,
            None => {}
        }
        state.work.as_ref().map_or(Ok(()), |work| work.traverse(&visit))
    }

    fn __clear__(&self) {
        let state = self.state.0.try_borrow_mut().ok().map(|mut state| std::mem::take(&mut *state));
        // Dropped here, after the cell is free again: a destructor may run Python code.
        drop(state);
    }
}
