//! Stage: calling what the user wrote: coroutine functions in place, plain functions in worker threads, generators up to
//! their `yield`.

use pyo3::exceptions::{PyRuntimeError, PyStopAsyncIteration};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use smallvec::SmallVec;

use crate::awaitable::{Held, apart, wait};
use crate::connection::{Connection, Exit, Kept, Lifetime};
use crate::disconnect;
use crate::keywords::invoke;
use crate::plan::{Calling, Input, Node};
use crate::threads::{self, Claim, Hold, Job, Values, Work};
use crate::{imports, interned};

/// Calls a dependency or an endpoint and gives its value.
///
/// *When cancelled here*: what is thrown reaches the user's code; a worker thread is left to finish.
pub async fn run<'c>(
    connection: &'c Connection,
    node: &'c Node,
    arguments: Vec<Bound<'c, PyAny>>,
) -> PyResult<Py<PyAny>> {
    if let Some(limit) = &node.limit {
        return apart(|| limited(connection, node, arguments, limit)).await;
    }
    unlimited(connection, node, arguments).await
}

async fn unlimited<'c>(
    connection: &'c Connection,
    node: &'c Node,
    arguments: Vec<Bound<'c, PyAny>>,
) -> PyResult<Py<PyAny>> {
    let py = connection.py();
    let (call, names) = (node.call.bind(py), node.names.bind(py));
    match node.calling {
        Calling::Async => {
            let waiting = invoke(call, &arguments, names)?;
            drop(arguments);
            wait(connection.channel(), waiting).await
        }
        Calling::Sync => {
            let mut values = apart(|| in_thread(connection, vec![step(py, node, arguments, Vec::new())])).await?;
            Ok(values.pop().unwrap_or_else(|| py.None()))
        }
        Calling::Stream => invoke(call, &arguments, names).map(Bound::unbind),
        Calling::Lasting => {
            let waiting = call.call1((connection.scope(),))?;
            apart(|| wait(connection.channel(), waiting)).await
        }
        Calling::AsyncGenerator | Calling::Generator => {
            let generator = invoke(call, &arguments, names)?;
            drop(arguments);
            apart(|| entered(connection, node, generator)).await
        }
    }
}

/// Runs a generator up to its `yield` and gives what it yields.
async fn entered<'c>(connection: &'c Connection, node: &'c Node, generator: Bound<'c, PyAny>) -> PyResult<Py<PyAny>> {
    let py = connection.py();
    match node.calling {
        Calling::AsyncGenerator => {
            let waiting = generator.call_method0(interned::anext(py))?;
            let generator = connection.keep(generator);
            match wait(connection.channel(), waiting).await {
                Ok(value) => {
                    keep(connection, node.lifetime, Exit::AsyncGenerator(generator.get().unbind()))?;
                    Ok(value)
                }
                Err(stop) if stop.is_instance_of::<PyStopAsyncIteration>(py) => {
                    Err(PyRuntimeError::new_err("generator didn't yield"))
                }
                Err(error) => Err(error),
            }
        }
        _ => {
            let waiting = imports::enter_sync_generator(py)?.call1((&generator,))?;
            let generator = connection.keep(generator);
            let value = disconnect::in_thread(connection, wait(connection.channel(), waiting)).await?;
            keep(connection, node.lifetime, Exit::Generator(generator.get().unbind()))?;
            Ok(value)
        }
    }
}

/// Calls of plain functions that follow one another, made in one trip to a worker thread.
///
/// Each is made in a copy of the caller's context, as if it had gone alone; one that fails is the last.
#[derive(Default)]
pub struct Trip<'c> {
    steps: Vec<Step<'c>>,
}

struct Step<'c> {
    node: &'c Node,
    /// Where its value is kept.
    slot: usize,
    arguments: Vec<Bound<'c, PyAny>>,
    /// Which arguments are the values of earlier steps.
    fills: Vec<(usize, usize)>,
}

impl<'c> Trip<'c> {
    /// Whether a callable can take part: a plain function that no semaphore holds back.
    pub fn takes(node: &Node) -> bool {
        node.calling == Calling::Sync && node.limit.is_none()
    }

    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Adds a call. Arguments that are values of calls not made yet are filled in on the way.
    pub fn add(&mut self, node: &'c Node, slot: usize, arguments: Vec<Bound<'c, PyAny>>) {
        let mut fills = Vec::new();
        for (at, input) in node.inputs.iter().enumerate() {
            if let Input::Slot(needed) = input
                && let Some(step) = self.steps.iter().position(|step| step.slot == *needed)
            {
                fills.push((at, step));
            }
        }
        self.steps.reserve_exact(1);
        self.steps.push(Step { node, slot, arguments, fills });
    }

    /// Makes the calls and puts their values into their slots. Gives the value of the last one.
    ///
    /// *When cancelled here*: the thread is left to finish.
    pub async fn run(self, connection: &'c Connection) -> PyResult<Py<PyAny>> {
        let py = connection.py();
        let slots: SmallVec<[usize; 2]> = self.steps.iter().map(|step| step.slot).collect();
        let steps = self.steps.into_iter().map(|Step { node, arguments, fills, .. }| step(py, node, arguments, fills));
        let values = in_thread(connection, steps.collect()).await?;
        let last = values.last().map_or_else(|| py.None(), |last| last.clone_ref(py));
        let mut vault = connection.vault.borrow_mut();
        for (slot, value) in slots.into_iter().zip(values) {
            if let Some(kept) = vault.values.get_mut(slot) {
                *kept = Some(value);
            }
        }
        Ok(last)
    }
}

/// A call of a plain function, on its way to a worker thread.
fn step<'py>(
    py: Python<'py>,
    node: &Node,
    arguments: Vec<Bound<'py, PyAny>>,
    fills: Vec<(usize, usize)>,
) -> threads::Step {
    threads::Step {
        call: node.call.clone_ref(py),
        names: node.names.clone_ref(py),
        arguments: arguments.into_iter().map(Bound::unbind).collect(),
        fills,
    }
}

/// Makes calls in one trip to a worker thread. Gives their values.
async fn in_thread(connection: &Connection, steps: Vec<threads::Step>) -> PyResult<Values> {
    match job(connection, steps)? {
        Ok(job) => {
            let outcome = threads::outcome(connection.channel(), || Ok(job.get().cast_into::<Job>()?));
            disconnect::in_thread(connection, outcome).await
        }
        Err(steps) => apart(|| in_thread_of_anyio(connection, steps)).await,
    }
}

/// The same where the event loop has no crew.
async fn in_thread_of_anyio(connection: &Connection, steps: Vec<threads::Step>) -> PyResult<Values> {
    let py = connection.py();
    let list = PyList::empty(py);
    for threads::Step { call, names, arguments, fills } in steps {
        list.append((call, names, PyList::new(py, arguments)?, fills))?;
    }
    let waiting = imports::run_trip(py)?.call1((list,))?;
    disconnect::in_thread(connection, wait(connection.channel(), waiting))
        .await?
        .extract::<Vec<_>>(py)
        .map(Values::from_vec)
}

/// The calls as a job for the crew of the event loop; the calls again where there is none.
fn job(connection: &Connection, steps: Vec<threads::Step>) -> PyResult<Result<Kept<'_>, Vec<threads::Step>>> {
    let py = connection.py();
    let Some(crew) = threads::crew_of_this_loop(py)? else { return Ok(Err(steps)) };
    let lane = connection.vault.borrow().hold.as_ref().and_then(|hold| hold.get().lane());
    let claim = lane.map_or(Claim::Ordinary, Claim::Holding);
    let job = Bound::new(py, Job::new(&crew, Work::Steps(steps), claim)?)?;
    Ok(Ok(connection.keep(job.into_any())))
}

/// The same under `Depends(max_concurrency=...)`: no more at once than the semaphore lets through.
async fn limited<'c>(
    connection: &'c Connection,
    node: &'c Node,
    arguments: Vec<Bound<'c, PyAny>>,
    limit: &Py<PyAny>,
) -> PyResult<Py<PyAny>> {
    let py = connection.py();
    let semaphore = limit.bind(py).call_method0(pyo3::intern!(py, "get_semaphore"))?;
    let waiting = semaphore.call_method0(pyo3::intern!(py, "acquire"))?;
    let semaphore = connection.keep(semaphore);
    let kept = connection.keep(PyTuple::new(py, arguments)?.into_any());
    wait(connection.channel(), waiting).await?;
    let arguments = kept.get().try_iter()?.collect::<PyResult<Vec<_>>>()?;
    drop(kept);
    let held_while_used = matches!(node.calling, Calling::Generator | Calling::AsyncGenerator);
    if held_while_used {
        keep(connection, node.lifetime, Exit::Release(semaphore.get().unbind()))?;
    }
    let result = unlimited(connection, node, arguments).await;
    if held_while_used {
        if result.is_ok() {
            return result;
        }
        // What could not be entered has not to be left.
        take_back(connection, node.lifetime);
    }
    semaphore.get().call_method0(pyo3::intern!(py, "release"))?;
    result
}

/// Sees that something is undone when its time has come.
fn keep(connection: &Connection, lifetime: Lifetime, exit: Exit) -> PyResult<()> {
    let py = connection.py();
    if exit.holds() {
        let goes_on = connection.vault.borrow().hold.as_ref().map(|hold| hold.get().enter()).is_some();
        if !goes_on {
            let hold = Hold::begin(py, connection.plan.object(py)?.as_ptr() as usize)?;
            connection.vault.borrow_mut().hold = Some(hold);
        }
    }
    let mut vault = connection.vault.borrow_mut();
    match lifetime {
        Lifetime::Function => vault.function_exits.push(exit),
        Lifetime::Request => vault.request_exits.push(exit),
    }
    Ok(())
}

/// Forgets what was kept last: it is undone already.
fn take_back(connection: &Connection, lifetime: Lifetime) {
    let mut vault = connection.vault.borrow_mut();
    let forgotten = match lifetime {
        Lifetime::Function => vault.function_exits.pop(),
        Lifetime::Request => vault.request_exits.pop(),
    };
    drop(vault);
    drop(forgotten);
}
