//! Stage: the values of dependencies: who waits for whom, whose errors count again, what is cleaned up and when.
//!
//! Source: FastAPI's `solve_dependencies`, and `contextlib` for what an exit does with an exception.

use pyo3::exceptions::{PyRuntimeError, PyStopAsyncIteration};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::awaitable::{Held, apart, is_outermost, wait};
use crate::connection::{Connection, Exit, Kept, Lifetime, Shield};
use crate::plan::{Node, Plan, Visit};
use crate::{imports, interned};

/// How far the visits of a plan have come.
#[derive(Default)]
pub struct Progress {
    done: Vec<Done>,
}

/// A visit that is done.
struct Done {
    /// How many errors there were before its own.
    before: usize,
    /// The errors of what it needs and its own: where they start and end.
    errors: (usize, usize),
    solved: bool,
}

impl Progress {
    /// Makes room for the values of a plan.
    pub fn new(connection: &Connection, plan: &Plan) -> Self {
        // The endpoint comes last: nobody waits for its value.
        let dependencies = plan.visits.len() - 1;
        if dependencies > 0 {
            connection.vault.borrow_mut().values.resize_with(plan.slots, || None);
        }
        Self { done: Vec::with_capacity(dependencies) }
    }

    /// How many errors there are.
    pub fn errors(connection: &Connection) -> usize {
        connection.vault.borrow().errors.len()
    }

    /// Whether all that a node needs has its value.
    pub fn ready(&self, node: &Node) -> bool {
        node.needs.iter().all(|need| self.done.get(*need).is_some_and(|done| done.solved))
    }

    fn finish(&mut self, connection: &Connection, visit: &Visit, before: usize, solved: bool) {
        // What a visit needs comes right before it, so its errors begin where those of the first of these do.
        let start = self.done.get(visit.first).map_or(before, |first| first.before);
        self.done.push(Done { before, errors: (start, Self::errors(connection)), solved });
    }

    /// Records that a visit came to nothing; its own errors are those since `before`.
    pub fn invalid(&mut self, connection: &Connection, visit: &Visit, before: usize) {
        self.finish(connection, visit, before, false);
    }

    /// Records the value of a visit.
    pub fn solved(&mut self, connection: &Connection, visit: &Visit, value: Py<PyAny>) {
        let earlier = match connection.vault.borrow_mut().values.get_mut(visit.slot) {
            Some(slot) => slot.replace(value),
            None => None,
        };
        drop(earlier);
        self.finish(connection, visit, Self::errors(connection), true);
    }

    /// Records that the value of a visit is on its way.
    pub fn promised(&mut self, connection: &Connection, visit: &Visit) {
        self.finish(connection, visit, Self::errors(connection), true);
    }

    /// Records that a visit takes over an earlier one: its value stands in the slot already, its errors count again.
    pub fn taken_over(&mut self, connection: &Connection, visit: &Visit, earlier: usize) {
        let before = Self::errors(connection);
        let Some(Done { before: own, errors: (start, end), solved }) = self.done.get(earlier) else {
            return;
        };
        let (start, end, solved) = (if visit.reuse_own { *own } else { *start }, *end, *solved);
        if start < end {
            let py = connection.py();
            let mut vault = connection.vault.borrow_mut();
            let again: Vec<Py<PyAny>> = vault.errors[start..end].iter().map(|error| error.clone_ref(py)).collect();
            vault.errors.extend(again);
        }
        self.finish(connection, visit, before, solved);
    }
}

/// The value of what the lifespan of the application has made; none where it is not there.
pub fn lasting(connection: &Connection, node: &Node) -> PyResult<Option<Py<PyAny>>> {
    let py = connection.py();
    let Some(key) = &node.key else { return Ok(None) };
    let Some(app) = connection.scope().get_item(interned::app(py))? else { return Ok(None) };
    let Some(values) = app.getattr_opt(interned::lasting(py))? else { return Ok(None) };
    let Ok(values) = values.cast::<PyDict>() else { return Ok(None) };
    Ok(values.get_item(key)?.map(Bound::unbind))
}

/// Runs the clean-up of one lifetime, the last entered first, and gives the exception that is left.
///
/// Exceptions are thrown into what is cleaned up, which may swallow or replace them.
///
/// *When cancelled here*: async generators are shielded from the cancellation of an enclosing scope until they are
/// done; what is thrown in reaches the one being cleaned up, and the others follow.
pub async fn unwind(connection: &Connection, lifetime: Lifetime, failure: Option<PyErr>) -> Option<PyErr> {
    let mut failure = failure.map(|error| connection.keep_error(error));
    loop {
        let exit = {
            let mut vault = connection.vault.borrow_mut();
            match lifetime {
                Lifetime::Function => vault.function_exits.pop(),
                Lifetime::Request => vault.request_exits.pop(),
            }
        };
        let Some(exit) = exit else { break };
        let holds = exit.holds();
        let left = leave(connection, exit, failure.as_ref()).await;
        if holds && let Some(hold) = &connection.vault.borrow().hold {
            hold.get().leave();
        }
        match left {
            Ok(true) => failure = None,
            Ok(false) => {}
            Err(error) => failure = Some(connection.keep_error(error)),
        }
    }
    failure.map(|failure| PyErr::from_value(failure.get()))
}

/// Cleans up one thing; whether it swallowed the exception.
async fn leave(connection: &Connection, exit: Exit, failure: Option<&Kept<'_>>) -> PyResult<bool> {
    let py = connection.py();
    let waiting = match exit {
        Exit::AsyncGenerator(generator) => return leave_async(connection, generator, failure).await,
        Exit::Shield(scope) => return leave_shield(scope.bind(py), failure),
        Exit::Release(semaphore) => {
            semaphore.bind(py).call_method0(pyo3::intern!(py, "release"))?;
            return Ok(false);
        }
        Exit::Generator(generator) => imports::exit_sync_generator(py)?.call1((generator, failure.map(Kept::get)))?,
        Exit::Stack(stack) => stack.bind(py).call_method1(pyo3::intern!(py, "__aexit__"), about(py, failure)?)?,
    };
    wait(connection.channel(), waiting).await?.is_truthy(py)
}

/// Ends one async generator; whether it swallowed the exception.
async fn leave_async(connection: &Connection, generator: Py<PyAny>, failure: Option<&Kept<'_>>) -> PyResult<bool> {
    let py = connection.py();
    let waiting = match failure {
        None => generator.bind(py).call_method0(interned::anext(py))?,
        Some(failure) => imports::throw_into(py)?.call1((&generator, failure.get()))?,
    };
    let generator = connection.keep(generator.into_bound(py));
    set_shield(connection, true)?;
    let outcome = wait(connection.channel(), waiting).await;
    set_shield(connection, false)?;
    let swallowed = match (outcome, failure) {
        (Ok(swallowed), Some(_)) => swallowed.is_truthy(py)?,
        (Ok(_), None) => {
            let closing = generator.get().call_method0(pyo3::intern!(py, "aclose"))?;
            apart(|| wait(connection.channel(), closing)).await?;
            return Err(PyRuntimeError::new_err("generator didn't stop"));
        }
        (Err(stop), None) if stop.is_instance_of::<PyStopAsyncIteration>(py) => false,
        (Err(error), _) => return Err(error),
    };
    // The cancellation that it was shielded from takes effect, unless another exception is on its way.
    let shielded = connection.vault.borrow().shield.scope().is_some();
    if shielded && (swallowed || failure.is_none()) {
        apart(|| wait_if_cancelled(connection)).await?;
    }
    Ok(swallowed)
}

async fn wait_if_cancelled(connection: &Connection) -> PyResult<()> {
    let checkpoint = imports::checkpoint_if_cancelled(connection.py())?.call0()?;
    wait(connection.channel(), checkpoint).await.map(drop)
}

fn set_shield(connection: &Connection, shield: bool) -> PyResult<()> {
    let py = connection.py();
    let scope = connection.vault.borrow().shield.scope().map(|scope| scope.bind(py).clone());
    match scope {
        Some(scope) => scope.setattr(pyo3::intern!(py, "shield"), shield),
        None => Ok(()),
    }
}

/// Enters the cancel scope by which the clean-up of async generators is shielded, once a request.
///
/// It has to stand outside of whatever scopes a generator enters before its `yield`, so it comes first. Where there is
/// no scope that it could shield from, as under a server on asyncio, it is left out.
pub fn enter_shield(connection: &Connection) -> PyResult<()> {
    if !matches!(connection.vault.borrow().shield, Shield::Undecided) {
        return Ok(());
    }
    let py = connection.py();
    if is_outermost(py)? {
        connection.vault.borrow_mut().shield = Shield::Needless;
        return Ok(());
    }
    let scope = imports::cancel_scope(py)?.call0()?;
    scope.call_method0(pyo3::intern!(py, "__enter__"))?;
    let mut vault = connection.vault.borrow_mut();
    vault.request_exits.push(Exit::Shield(scope.clone().unbind()));
    vault.shield = Shield::Scope(scope.unbind());
    Ok(())
}

/// Leaves the cancel scope; whether it swallowed the exception.
fn leave_shield(scope: &Bound<'_, PyAny>, failure: Option<&Kept<'_>>) -> PyResult<bool> {
    let py = scope.py();
    scope.call_method1(pyo3::intern!(py, "__exit__"), about(py, failure)?)?.is_truthy()
}

/// The arguments of `__exit__`.
fn about(py: Python<'_>, failure: Option<&Kept<'_>>) -> PyResult<(Py<PyAny>, Py<PyAny>, Py<PyAny>)> {
    let Some(failure) = failure else {
        return Ok((py.None(), py.None(), py.None()));
    };
    let value = failure.get();
    let traceback = value.getattr(pyo3::intern!(py, "__traceback__"))?;
    Ok((value.get_type().into_any().unbind(), value.unbind(), traceback.unbind()))
}
