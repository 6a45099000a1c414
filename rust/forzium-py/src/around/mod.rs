//! Protocols: middleware written as "take the request, call the rest, return a response".
//!
//! `dispatch` and the rest of the chain go on in turns, in one task: each is a coroutine that is resumed here, in a context
//! of its own, and what it waits for is passed up to the event loop untouched. `call_next` lets the rest go on until it
//! has sent its response, `dispatch` goes on until that is out, and the rest goes on to its end. An answer in one piece
//! (nearly all are) costs no task and no turn of the loop.
//!
//! Two coroutines of one task share its stack of cancel scopes, and only one of them can wait at a time. So they part
//! (`forzium.middleware._apart`):
//!
//! - when `call_next` is called under a cancel scope that `dispatch` has opened, or in another task: the rest gets a task;
//! - when the rest starts to stream: it gets a task, if it holds no cancel scope;
//! - when the rest streams out of a cancel scope or a task group of its own, which it cannot leave: `dispatch` gets one.
//!
//! Not here: middleware that sees ASGI messages, which is a plain application around another one.
//!
//! Source: `starlette.middleware.base`. There context variables flow in only, and there is always a second task.

mod messages;
mod run;

use std::rc::Rc;

use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use crate::awaitable::{self, Awaitable, Came, Drivable, Held, Place, Resume, drive, give_am_send, in_context, wait};
use crate::connection::{Connection, Kept};
use crate::{imports, interned, message, send};
use messages::{Relay, RestSend};
use run::{Dispatching, close, is_exit, is_plain};

pub use run::{CallNext, Run};

/// The base of `BaseHTTPMiddleware`: what an instance does when it is called.
///
/// Reads `app` and `dispatch_func` of the instance at every request, since both may be replaced.
#[pyclass(module = "forzium._forzium", subclass, dict, weakref, frozen)]
pub struct Around;

#[pymethods]
impl Around {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self
    }

    fn __call__<'py>(
        slf: &Bound<'py, Self>,
        scope: Bound<'py, PyAny>,
        receive: Bound<'py, PyAny>,
        send: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if !scope.get_item(interned::r#type(py))?.eq(interned::http(py))? {
            return slf.getattr(interned::app(py))?.call1((scope, receive, send));
        }
        let request = run::cached_request(&scope, receive, &send)?;
        let scope = scope.cast_into::<PyDict>()?;
        let turn = CallNext::new(
            slf.clone().into_any().unbind(),
            scope.clone().unbind(),
            request.clone().unbind(),
            send.clone().unbind(),
        );
        let receive = request.getattr(pyo3::intern!(py, "wrapped_receive"))?;
        let connection = Rc::new(Connection::new(scope, receive, send, false));
        connection.origin.set(Bound::new(py, turn)?.into_any());
        let machine = Rc::clone(&connection);
        let awaitable = Awaitable::new(
            connection,
            Box::pin(async move {
                let py = machine.py();
                let turn = machine.origin.object(py)?.cast::<CallNext>()?;
                let result = through(&machine, turn).await;
                leave_guard(turn)?;
                for run in turn.get().runs(py) {
                    run.get().close_rest(py)?;
                    if let Some(apart) = run.get().apart(py) {
                        apart.call_method0(interned::close(py))?;
                    }
                    run.get().clear();
                }
                turn.get().clear();
                result.map(|()| py.None())
            }),
        );
        Ok(Bound::new(py, awaitable)?.into_any())
    }
}

/// Fills in the slots that `#[pyclass]` has no word for. Called once, when the module is made.
pub fn set_up(py: Python<'_>) {
    give_am_send::<Run>(py);
    give_am_send::<Relay>(py);
}

/// A run that its driver keeps where the collector sees it.
struct Going<'c>(Kept<'c>);

impl<'c> Going<'c> {
    fn new(connection: &'c Connection, run: Bound<'c, Run>) -> Self {
        Self(connection.keep(run.into_any()))
    }

    fn run(&self) -> Option<Bound<'c, Run>> {
        self.0.get().cast_into::<Run>().ok()
    }
}

impl Drivable for Going<'_> {
    fn at_hand<'py>(&self, py: Python<'py>) -> Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        self.run()?.get().at_hand(py)
    }

    fn is_mark(&self, yielded: &Bound<'_, PyAny>) -> bool {
        yielded.is(self.0.get())
    }

    fn waits(&self, py: Python<'_>) -> PyResult<()> {
        match self.run() {
            Some(run) if run.get().held.0.almost.borrow().is_some() => {
                // What was kept because it was to be over at once is not: `dispatch` goes on without it.
                run.get().part(py)?;
                move_dispatch(&run.get().turn(py)?, &run)
            }
            _ => Ok(()),
        }
    }
}

/// Whether a middleware of this kind takes the response of a connection.
pub fn takes_response(connection: &Connection) -> bool {
    connection.send().is_instance_of::<RestSend>()
}

/// The current task and its innermost cancel scope, for tests: None where that cannot be told.
#[pyfunction]
pub fn place(py: Python<'_>) -> PyResult<Option<Bound<'_, PyTuple>>> {
    Place::here(py)?.map(|place| place.into_pair(py)).transpose()
}

/// Everything there is to do for one request.
async fn through(connection: &Connection, turn: &Bound<'_, CallNext>) -> PyResult<()> {
    let py = connection.py();
    begin(turn)?;
    let before = connection.keep(awaitable::copy_current(py)?);
    let state = &turn.get().state.0;
    let context = awaitable::copy(&before.get())?.unbind();
    let _ = state.context.set(context);
    conduct(connection, turn, true).await?;
    let moved = state.elsewhere.borrow().as_ref().map(|held| held.clone_ref(py));
    if let Some(companion) = moved {
        leave_guard(turn)?;
        join_dispatch(connection, turn, companion).await?;
    }
    let runs = turn.get().runs(py);
    for run in &runs {
        run.get().finish(py)?;
    }
    let runs: Vec<_> = runs.into_iter().map(|run| Going::new(connection, run)).collect();
    for run in &runs {
        to_its_end(connection, turn, run).await?;
    }
    if let Some(context) = state.context.get() {
        awaitable::adopt(&before.get(), context.bind(py))?;
    }
    // An error of the rest that `dispatch` has not seen comes before the cancellation of `dispatch` only.
    let mut error = state.error.borrow_mut().take();
    for run in runs.iter().filter_map(Going::run) {
        run.get().adopt_variables(py)?;
        let unseen = run.get().held.0.error.borrow_mut().take();
        if let Some(unseen) = unseen
            && error.as_ref().is_none_or(|error| !is_plain(error.bind(py)) && is_plain(unseen.bind(py)))
        {
            error = Some(unseen);
        }
    }
    match error {
        Some(error) => Err(PyErr::from_value(error.into_bound(py).into_any())),
        None => Ok(()),
    }
}

/// Notes where `dispatch` begins. On trio nothing but a cancel scope can tell the task to stop, and so there is one.
fn begin(turn: &Bound<'_, CallNext>) -> PyResult<()> {
    let py = turn.py();
    let mut place = Place::here(py)?;
    if place.as_ref().is_some_and(|place| place.is_trio) {
        let guard = imports::trio_guard(py)?.call0()?;
        *turn.get().state.0.guard.borrow_mut() = Some(guard.unbind());
        place = Place::here(py)?;
    }
    let _ = turn.get().place.0.set(place);
    Ok(())
}

fn leave_guard(turn: &Bound<'_, CallNext>) -> PyResult<()> {
    let guard = turn.get().state.0.guard.borrow_mut().take();
    match guard {
        Some(guard) => guard.call_method0(turn.py(), interned::leave(turn.py())).map(drop),
        None => Ok(()),
    }
}

/// Lets `dispatch` go on until its response is out, or it goes on elsewhere; and the rest, whenever it waits for that.
///
/// Errors: `GeneratorExit` where all is thrown away. What `dispatch` raises is kept in its state.
async fn conduct(connection: &Connection, turn: &Bound<'_, CallNext>, begins: bool) -> PyResult<()> {
    let py = connection.py();
    let state = &turn.get().state.0;
    let driven = Dispatching(turn);
    if begins {
        let made = {
            let context = state.context.get().map(|context| context.bind(py).clone());
            let _entered = context.map(awaitable::Entered::enter).transpose()?;
            let function = turn.get().middleware.bind(py).getattr(pyo3::intern!(py, "dispatch_func"))?;
            function.call1((&turn.get().request, turn)).and_then(awaitable::iterator_of)
        };
        match made {
            Ok(coroutine) => *state.dispatch.borrow_mut() = Some(coroutine.unbind()),
            Err(error) => {
                *state.error.borrow_mut() = Some(error.into_value(py));
                return Ok(());
            }
        }
    }
    let result = loop {
        match drive(connection.channel(), &driven, Resume::Send(None)).await {
            Came::Ended(result) => break result,
            Came::Marked => {}
        }
        let Some(run) = turn.get().newest(py) else { continue };
        let run = Going::new(connection, run);
        if let Err(exit) = go_on(connection, &run, Resume::Send(None)).await {
            let dispatch = state.dispatch.borrow_mut().take();
            if let Some(dispatch) = dispatch {
                close(dispatch.bind(py))?;
            }
            return Err(exit);
        }
        if begins && state.elsewhere.borrow().is_some() {
            return Ok(());
        }
        if let Some(run) = run.run()
            && run.get().is_apart()
            && !run.get().held.0.ended.get()
        {
            give_task(turn, &run)?;
        }
    };
    let ended = state.dispatch.borrow_mut().take();
    drop(ended);
    let sent = match result {
        Ok(response) => {
            state.sending.set(true);
            match state.context.get() {
                Some(context) => {
                    in_context(connection.channel(), context.bind(py), deliver(connection, response)).await
                }
                None => Ok(()),
            }
        }
        Err(error) => Err(error),
    };
    match sent {
        Err(error) if is_exit(&error, py) => Err(error),
        Err(error) => {
            *state.error.borrow_mut() = Some(error.into_value(py));
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Lets the rest go on until it hands over control, or has ended. What it raises is kept in its state.
///
/// Errors: `GeneratorExit` where all is thrown away.
async fn go_on(connection: &Connection, run: &Going<'_>, resume: Resume) -> PyResult<()> {
    let py = connection.py();
    if run.run().is_none_or(|run| run.get().held.0.ended.get()) {
        return Ok(());
    }
    match drive(connection.channel(), run, resume).await {
        Came::Marked => Ok(()),
        Came::Ended(Err(error)) if is_exit(&error, py) => Err(error),
        Came::Ended(result) => {
            if let Some(run) = run.run() {
                run.get().end(py, result);
            }
            Ok(())
        }
    }
}

/// Waits for the end of `dispatch` in its task, now that the run which stayed here has ended.
async fn join_dispatch(connection: &Connection, turn: &Bound<'_, CallNext>, companion: Py<PyAny>) -> PyResult<()> {
    let py = connection.py();
    let companion = connection.keep(companion.into_bound(py));
    if let Some(run) = turn.get().stayed(py) {
        let error = &run.get().held.0.error;
        let interrupted = companion.get().getattr(pyo3::intern!(py, "has_interrupted"))?.is_truthy()?;
        if interrupted {
            let cancelled = error.borrow_mut().take();
            drop(cancelled);
        } else if error.borrow().as_ref().is_some_and(|error| !is_plain(error.bind(py))) {
            if let Some(apart) = run.get().apart(py) {
                apart.call_method0(pyo3::intern!(py, "break_off"))?;
            }
            companion.get().call_method0(interned::cancel(py))?;
        }
    }
    let joining = companion.get().call_method0(interned::join(py))?;
    wait(connection.channel(), joining).await.map(drop)
}

/// Lets a run go on to its end, after `dispatch`.
async fn to_its_end(connection: &Connection, turn: &Bound<'_, CallNext>, going: &Going<'_>) -> PyResult<()> {
    let py = connection.py();
    let Some(run) = going.run() else { return Ok(()) };
    let failure = turn.get().state.0.error.borrow().as_ref().map(|error| error.clone_ref(py));
    let held = &run.get().held.0;
    let companion = held.companion.borrow().as_ref().map(|held| held.bind(py).clone());
    if let Some(companion) = companion {
        if failure.is_some() {
            companion.call_method0(interned::cancel(py))?;
        }
        let companion = connection.keep(companion);
        let run = connection.keep(run.into_any());
        let joining = companion.get().call_method0(interned::join(py))?;
        wait(connection.channel(), joining).await?;
        let was_cancelled = companion.get().getattr(pyo3::intern!(py, "is_cancelled"))?.is_truthy()?;
        if was_cancelled && let Ok(run) = run.get().cast::<Run>() {
            forget(run, |error| !is_plain(error));
        }
        return Ok(());
    }
    if held.ended.get() {
        return Ok(());
    }
    match failure {
        None => {
            let scope = connection.scope();
            let nothing = scope.get_item(interned::nothing_follows(py))?;
            let follows = nothing.map_or(Ok(true), |nothing| nothing.is_truthy().map(|nothing| !nothing))?;
            drop(run);
            if follows {
                // Others first: what comes now, a background task for one, nobody waits for.
                wait(connection.channel(), imports::shielded_checkpoint(py)?.call0()?).await?;
            }
            go_on(connection, going, Resume::Send(None)).await
        }
        Some(failure) if is_plain(failure.bind(py)) => {
            drop(run);
            let discarded = imports::response_discarded(py)?.call0()?;
            go_on(connection, going, Resume::Throw(PyErr::from_value(discarded))).await?;
            let kind = imports::response_discarded(py)?;
            if let Some(run) = going.run() {
                forget(&run, |error| error.get_type().is(kind));
            }
            Ok(())
        }
        Some(failure) => {
            drop(run);
            let failure = PyErr::from_value(failure.into_bound(py).into_any());
            go_on(connection, going, Resume::Throw(failure)).await
        }
    }
}

/// Drops the error of a run if it is one of those.
fn forget(run: &Bound<'_, Run>, which: impl Fn(&Bound<'_, PyBaseException>) -> bool) {
    let error = &run.get().held.0.error;
    let found = error.borrow().as_ref().is_some_and(|error| which(error.bind(run.py())));
    if found {
        let dropped = error.borrow_mut().take();
        drop(dropped);
    }
}

/// Gives a run that cannot go on in turns a task of its own.
pub fn give_task(turn: &Bound<'_, CallNext>, run: &Bound<'_, Run>) -> PyResult<()> {
    let py = run.py();
    let connection = beside(turn);
    connection.table.set(run.clone().into_any());
    let machine = Rc::clone(&connection);
    let steps = Awaitable::new(
        connection,
        Box::pin(async move {
            let py = machine.py();
            let run = Going::new(&machine, machine.table.object(py)?.cast::<Run>()?.clone());
            go_on(&machine, &run, Resume::Send(None)).await?;
            Ok(py.None())
        }),
    );
    let companion = imports::companion(py)?.call1((steps,))?;
    *run.get().held.0.companion.borrow_mut() = Some(companion.unbind());
    Ok(())
}

/// Lets `dispatch` go on in a task of its own: the rest stays in this one.
fn move_dispatch(turn: &Bound<'_, CallNext>, run: &Bound<'_, Run>) -> PyResult<()> {
    let py = turn.py();
    let state = &turn.get().state.0;
    *state.stayed.borrow_mut() = Some(run.clone().unbind());
    let connection = beside(turn);
    let machine = Rc::clone(&connection);
    let steps = Awaitable::new(
        connection,
        Box::pin(async move {
            let py = machine.py();
            let turn = machine.origin.object(py)?.cast::<CallNext>()?;
            conduct(&machine, turn, false).await?;
            let runs = turn.get().runs(py);
            for run in &runs {
                run.get().finish(py)?;
            }
            let state = &turn.get().state.0;
            // The run in the first task answers a request that nobody answers any more.
            let interrupts = state.error.borrow().is_some()
                && turn.get().stayed(py).is_some_and(|run| !run.get().held.0.ended.get());
            Ok(interrupts.into_pyobject(py)?.to_owned().into_any().unbind())
        }),
    );
    let guard = state.guard.borrow().as_ref().map(|guard| guard.clone_ref(py));
    let task = turn.get().place().map(|place| place.task(py));
    let companion = imports::companion(py)?.call1((steps, guard, task))?;
    *state.elsewhere.borrow_mut() = Some(companion.unbind());
    Ok(())
}

/// A connection for what goes on in another task.
fn beside(turn: &Bound<'_, CallNext>) -> Rc<Connection> {
    let py = turn.py();
    let this = turn.get();
    let receive = this.request.bind(py).getattr(pyo3::intern!(py, "wrapped_receive"));
    let receive = receive.unwrap_or_else(|_| py.None().into_bound(py));
    let connection = Connection::new(this.scope.bind(py).clone(), receive, this.send.bind(py).clone(), false);
    connection.origin.set(turn.clone().into_any());
    Rc::new(connection)
}

/// Sends the response of `dispatch`.
async fn deliver(connection: &Connection, response: Py<PyAny>) -> PyResult<()> {
    let py = connection.py();
    let response = response.into_bound(py);
    let Some(run) = untouched(&response)? else {
        return send::response(connection, response).await;
    };
    let chunk = run.get().held.0.only_chunk.borrow().as_ref().map(|chunk| chunk.bind(py).clone());
    let Some(chunk) = chunk.and_then(|chunk| chunk.cast_into::<PyBytes>().ok()) else {
        drop(run);
        return called(connection, response).await;
    };
    drop(run);
    let info = response.getattr(pyo3::intern!(py, "info"))?;
    let start = PyDict::new(py);
    start.set_item(interned::r#type(py), interned::http_response_start(py))?;
    start.set_item(interned::status(py), response.getattr(interned::status_code(py))?)?;
    start.set_item(interned::headers(py), response.getattr(interned::raw_headers(py))?)?;
    let tasks = response.getattr(interned::background(py))?;
    drop(response);
    let (chunk, tasks) = (connection.keep(chunk.into_any()), connection.keep(tasks));
    if !info.is_none() {
        let start = connection.keep(start.into_any());
        let debug = PyDict::new(py);
        debug.set_item(interned::r#type(py), pyo3::intern!(py, "http.response.debug"))?;
        debug.set_item(pyo3::intern!(py, "info"), info)?;
        wait(connection.channel(), connection.send().call1((debug,))?).await?;
        wait(connection.channel(), connection.send().call1((start.get(),))?).await?;
    } else {
        drop(info);
        wait(connection.channel(), connection.send().call1((start,))?).await?;
    }
    let mut body = chunk.get();
    // To another middleware of this kind in one piece, as it came.
    if body.is_truthy()? && !takes_response(connection) {
        let part = message::response_part(py, &body, true)?;
        wait(connection.channel(), connection.send().call1((part,))?).await?;
        body = PyBytes::new(py, b"").into_any();
    }
    let last = message::response_part(py, &body, false)?;
    drop(body);
    wait(connection.channel(), connection.send().call1((last,))?).await?;
    let tasks = tasks.get();
    if tasks.is_truthy()? {
        wait(connection.channel(), tasks.call0()?).await?;
    }
    Ok(())
}

/// The run whose response this is, if nobody has looked at the body and it is known.
fn untouched<'py>(response: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, Run>>> {
    let py = response.py();
    if !response.get_type().is(imports::streamed_response(py)?) {
        return Ok(None);
    }
    if !response.getattr(pyo3::intern!(py, "_iterator"))?.is_none() {
        return Ok(None);
    }
    Ok(response.getattr(pyo3::intern!(py, "_run"))?.cast_into::<Run>().ok())
}

async fn called(connection: &Connection, response: Bound<'_, PyAny>) -> PyResult<()> {
    let waiting = response.call1((connection.scope(), connection.receive(), connection.send()))?;
    drop(response);
    wait(connection.channel(), waiting).await.map(drop)
}
