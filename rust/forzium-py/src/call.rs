//! Stage: calling what the user wrote: coroutine functions in place, plain functions in worker threads, generators up to
//! their `yield`.

use pyo3::exceptions::{PyRuntimeError, PyStopAsyncIteration};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::awaitable::{Held, apart, wait};
use crate::connection::{Connection, Exit, Lifetime};
use crate::disconnect::in_thread;
use crate::plan::{Calling, Input, Node};
use crate::{imports, interned};

/// Calls with keyword arguments given in the order of their names.
pub fn invoke<'py>(
    call: &Bound<'py, PyAny>,
    arguments: &[Bound<'py, PyAny>],
    names: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    if arguments.is_empty() {
        return call.call0();
    }
    if arguments.len() != names.len() {
        return Err(PyRuntimeError::new_err("forzium: a callable has as many arguments as names; please report this"));
    }
    // SAFETY:
    // - `Bound` is a transparent wrapper of a non-null object pointer, so the slice is an array of live objects, borrowed
    //   for the length of the call.
    // - All are keyword arguments: none is positional, and there is one for each name in the tuple, as checked above.
    unsafe {
        let result = ffi::PyObject_Vectorcall(call.as_ptr(), arguments.as_ptr().cast(), 0, names.as_ptr());
        Bound::from_owned_ptr_or_err(call.py(), result)
    }
}

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
            let waiting = imports::run_in_thread(py)?.call1((call, names, PyList::new(py, arguments)?))?;
            in_thread(connection, waiting).await
        }
        Calling::Stream => invoke(call, &arguments, names).map(Bound::unbind),
        Calling::AsyncGenerator => {
            let generator = invoke(call, &arguments, names)?;
            drop(arguments);
            let waiting = generator.call_method0(interned::anext(py))?;
            let generator = connection.keep(generator);
            match wait(connection.channel(), waiting).await {
                Ok(value) => {
                    keep(connection, node.lifetime, Exit::AsyncGenerator(generator.get().unbind()));
                    Ok(value)
                }
                Err(stop) if stop.is_instance_of::<PyStopAsyncIteration>(py) => {
                    Err(PyRuntimeError::new_err("generator didn't yield"))
                }
                Err(error) => Err(error),
            }
        }
        Calling::Generator => {
            let generator = invoke(call, &arguments, names)?;
            drop(arguments);
            let waiting = imports::enter_sync_generator(py)?.call1((&generator,))?;
            let generator = connection.keep(generator);
            let value = in_thread(connection, waiting).await?;
            keep(connection, node.lifetime, Exit::Generator(generator.get().unbind()));
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
        self.steps.push(Step { node, slot, arguments, fills });
    }

    /// Makes the calls and puts their values into their slots. Gives the value of the last one.
    ///
    /// *When cancelled here*: the thread is left to finish.
    pub async fn run(self, connection: &'c Connection) -> PyResult<Py<PyAny>> {
        let py = connection.py();
        let steps = PyList::empty(py);
        let slots: Vec<usize> = self.steps.iter().map(|step| step.slot).collect();
        for step in self.steps {
            let (call, names) = (step.node.call.bind(py), step.node.names.bind(py));
            steps.append((call, names, PyList::new(py, step.arguments)?, step.fills))?;
        }
        let results = in_thread(connection, imports::run_trip(py)?.call1((steps,))?).await?;
        let results = results.into_bound(py).cast_into::<PyList>()?;
        let mut last = py.None();
        for (slot, value) in slots.into_iter().zip(results.iter()) {
            last = value.clone().unbind();
            if let Some(kept) = connection.vault.borrow_mut().values.get_mut(slot) {
                *kept = Some(value.unbind());
            }
        }
        Ok(last)
    }
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
        keep(connection, node.lifetime, Exit::Release(semaphore.get().unbind()));
        return unlimited(connection, node, arguments).await;
    }
    let result = unlimited(connection, node, arguments).await;
    semaphore.get().call_method0(pyo3::intern!(py, "release"))?;
    result
}

fn keep(connection: &Connection, lifetime: Lifetime, exit: Exit) {
    let mut vault = connection.vault.borrow_mut();
    match lifetime {
        Lifetime::Function => vault.function_exits.push(exit),
        Lifetime::Request => vault.request_exits.push(exit),
    }
}
