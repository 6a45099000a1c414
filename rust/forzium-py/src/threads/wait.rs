//! Waiting for a worker thread, from inside a machine.

use std::cell::RefCell;
use std::rc::Rc;

use pyo3::PyTraverseError;
use pyo3::exceptions::PyGeneratorExit;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::crew::Crew;
use super::future;
use super::hold::lane;
use super::job::{Job, Values, Work};
use super::line::Claim;
use crate::awaitable::{Awaitable, Channel, Held, apart, attached, pass_up, wait};
use crate::imports;

thread_local! {
    /// The crew found last, of the event loop that runs in this thread.
    static CREW: RefCell<Option<Py<Crew>>> = const { RefCell::new(None) };
}

/// The crew of the running event loop. None where that is not asyncio's.
pub fn crew_of_this_loop(py: Python<'_>) -> PyResult<Option<Bound<'_, Crew>>> {
    let event_loop = imports::running_loop(py)?.call0()?;
    if event_loop.is_none() {
        return Ok(None);
    }
    let known = CREW.with_borrow(|crew| crew.as_ref().map(|crew| crew.bind(py).clone()));
    if let Some(crew) = known
        && crew.get().serves(&event_loop)
    {
        return Ok(Some(crew));
    }
    let found = imports::crew_of(py)?.call1((event_loop,))?;
    if found.is_none() {
        return Ok(None);
    }
    let crew = found.cast_into::<Crew>()?;
    let before = CREW.with_borrow_mut(|known| known.replace(crew.clone().unbind()));
    drop(before);
    Ok(Some(crew))
}

/// Has a call made and waits until it was. `job` gives it, from where the garbage collector sees it.
///
/// *When cancelled here*: by anyio, waits until the call was made; its result is dropped. By asyncio itself, raises at
/// once; the thread is left to finish. A call that has not begun is not made, unless it needs no token.
pub async fn outcome<'c, J>(channel: &'c Channel, job: J) -> PyResult<Values>
where
    J: Fn() -> PyResult<Bound<'c, Job>> + 'c,
{
    let py = attached(channel);
    let scope = {
        let job = job()?;
        job.get().crew(py).get().scope(py)?
    };
    if let Some(scope) = scope {
        return apart(|| shielded(channel, scope, job)).await;
    }
    submit(&job()?)?;
    until_done(channel, &job).await.inspect_err(|_| drop(job().map(|job| job.get().abandon())))?;
    job()?.get().outcome(py)
}

/// The same inside a cancel scope of anyio's. Once the call has begun, the wait is shielded from its cancellation.
async fn shielded<'c>(
    channel: &'c Channel,
    scope: Bound<'c, PyAny>,
    job: impl Fn() -> PyResult<Bound<'c, Job>>,
) -> PyResult<Values> {
    let py = attached(channel);
    let claim = {
        let job = job()?;
        job.get().set_scope(scope.unbind());
        job.get().claim
    };
    if claim != Claim::CleanUp {
        wait(channel, imports::checkpoint_if_cancelled(py)?.call0()?).await?;
    } else {
        enter_shield(&job()?)?;
    }
    let mut ended = submit(&job()?);
    if ended.is_ok() {
        ended = until_done(channel, &job).await;
    }
    if let Err(error) = &ended
        && !job()?.get().is_abandoned()
        && !job()?.get().is_shielded()
        && imports::is_anyio_cancellation(py)?.call1((error.value(py),))?.is_truthy()?
    {
        enter_shield(&job()?)?;
        renew_future(&job()?)?;
        ended = until_done(channel, &job).await;
    }
    if ended.is_err() {
        job()?.get().abandon();
    }
    let job = job()?;
    if let Some(shield) = job.get().take_shield() {
        let about = ended.as_ref().err().map(|error| (error.get_type(py), error.value(py), error.traceback(py)));
        let exit = pyo3::intern!(py, "__exit__");
        match about {
            Some(about) => shield.bind(py).call_method1(exit, about)?,
            None => shield.bind(py).call_method1(exit, (py.None(), py.None(), py.None()))?,
        };
    }
    ended?;
    job.get().outcome(py)
}

fn enter_shield(job: &Bound<'_, Job>) -> PyResult<()> {
    let py = job.py();
    let options = PyDict::new(py);
    options.set_item(pyo3::intern!(py, "shield"), true)?;
    let shield = imports::cancel_scope(py)?.call((), Some(&options))?;
    shield.call_method0(pyo3::intern!(py, "__enter__"))?;
    job.get().set_shield(shield.unbind());
    Ok(())
}

fn submit(job: &Bound<'_, Job>) -> PyResult<()> {
    renew_future(job)?;
    Crew::submit(job.get().crew(job.py()), job.clone()).inspect_err(|_| job.get().abandon())
}

/// Gives the call something to be waited for by.
fn renew_future(job: &Bound<'_, Job>) -> PyResult<()> {
    let py = job.py();
    let future = future::pending(py, job.get().crew(py).get())?;
    let before = job.get().set_future(future.unbind());
    drop(before);
    Ok(())
}

/// Waits until the call was made. What is thrown in gives up a call that has not begun.
async fn until_done<'c>(channel: &'c Channel, job: &impl Fn() -> PyResult<Bound<'c, Job>>) -> PyResult<()> {
    let py = attached(channel);
    while !job()?.get().is_done() {
        let Some(future) = job()?.get().future(py) else { break };
        future::block(&future)?;
        if let Err(error) = pass_up(channel, future).await {
            job()?.get().give_up();
            return Err(error);
        }
    }
    Ok(())
}

/// A call on its own, not of a request.
struct Errand {
    channel: Channel,
    job: RefCell<Option<Py<Job>>>,
}

impl Held for Errand {
    fn channel(&self) -> &Channel {
        &self.channel
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.job.try_borrow() {
            Ok(job) => visit.call(&*job),
            Err(_) => Ok(()),
        }
    }

    fn clear(&self) {
        self.channel.clear();
        let job = self.job.try_borrow_mut().ok().and_then(|mut job| job.take());
        drop(job);
    }
}

/// An awaitable for a call in a worker thread. None where the running event loop is not asyncio's.
///
/// `limited`: whether it waits for a token of anyio's default thread limiter.
#[pyfunction]
#[pyo3(signature = (func, args, /, *, limited=true))]
pub fn in_thread(py: Python<'_>, func: Py<PyAny>, args: Py<PyTuple>, limited: bool) -> PyResult<Option<Awaitable>> {
    let Some(crew) = crew_of_this_loop(py)? else { return Ok(None) };
    let claim = match limited {
        true => lane(py)?.map_or(Claim::Ordinary, Claim::Holding),
        false => Claim::CleanUp,
    };
    let job = Bound::new(py, Job::new(&crew, Work::Function { func, args }, claim)?)?;
    let errand = Rc::new(Errand { channel: Channel::default(), job: RefCell::new(Some(job.unbind())) });
    let machine = Rc::clone(&errand);
    Ok(Some(Awaitable::new(
        errand,
        Box::pin(async move {
            let py = attached(&machine.channel);
            let mut values = outcome(&machine.channel, || {
                let job = machine.job.borrow();
                job.as_ref().map(|job| job.bind(py).clone()).ok_or_else(|| PyGeneratorExit::new_err(()))
            })
            .await?;
            Ok(values.pop().unwrap_or_else(|| py.None()))
        }),
    )))
}
