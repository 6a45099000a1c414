//! Stage: to the host: the messages of a response, and the knowledge whether it has started.

mod stream;

use std::cell::Cell;
use std::rc::Rc;

use pyo3::PyTraverseError;
use pyo3::exceptions::PyException;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple, PyType};

use crate::awaitable::{Held, Shared, apart, wait};
use crate::connection::{Connection, Kept};
use crate::middleware::{self, Outlet, Reply};
use crate::{imports, interned, message, providers, tasks};

/// `send` as handed to responses that are called as ASGI applications: notes when the response starts.
#[pyclass(module = "forzium._forzium", frozen)]
pub struct Sender {
    send: Py<PyAny>,
    started: Shared<Rc<Cell<bool>>>,
}

#[pymethods]
impl Sender {
    fn __call__<'py>(&self, py: Python<'py>, message: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if !self.started.0.get()
            && let Ok(fields) = message.cast::<PyDict>()
            && let Some(kind) = fields.get_item(interned::r#type(py))?
            && kind.eq(interned::http_response_start(py))?
        {
            self.started.0.set(true);
        }
        self.send.bind(py).call1((message,))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.send)
    }
}

/// The `send` to give away.
pub fn sender(connection: &Connection) -> PyResult<Bound<'_, Sender>> {
    let py = connection.py();
    Bound::new(py, Sender { send: connection.send().clone().unbind(), started: Shared(connection.started.shared()) })
}

/// Sends a response whose body is known.
///
/// *When cancelled here*: the host decides what becomes of a message half taken; `started` says how far it came.
pub async fn written(
    connection: &Connection,
    status: u16,
    headers: &Bound<'_, PyAny>,
    body: &Bound<'_, PyAny>,
) -> PyResult<()> {
    match Outlet::of(connection) {
        None => both(connection, status, headers, body).await,
        Some(outlet) => {
            connection.started.set();
            let (headers, body) = middleware::whole(connection, outlet, status, headers, body).await?;
            outlet.leaves();
            both(connection, status, &headers, &body).await
        }
    }
}

/// Gives the host the two messages of a response.
async fn both(
    connection: &Connection,
    status: u16,
    headers: &Bound<'_, PyAny>,
    body: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let py = connection.py();
    let start = connection.host_send().call1((message::response_start(py, status, headers)?,))?;
    connection.started.set();
    drop(wait(connection.channel(), start).await?.into_bound(py));
    let rest = connection.host_send().call1((message::response_body(py, body)?,))?;
    drop(wait(connection.channel(), rest).await?.into_bound(py));
    Ok(())
}

/// Sends a `Response` object, its background task included.
pub async fn response(connection: &Connection, response: Bound<'_, PyAny>) -> PyResult<()> {
    let py = connection.py();
    if connection.websocket || !is_plain(&response)? {
        return apart(|| called_or_streamed(connection, response)).await;
    }
    let (status, headers, body) = parts(connection, &response)?;
    let tasks = response.getattr(interned::background(py))?;
    drop(response);
    let tasks = (!tasks.is_none()).then(|| connection.keep(tasks));
    written(connection, status, &headers, &body).await?;
    match tasks {
        Some(tasks) => background(connection, tasks.get()).await,
        None => Ok(()),
    }
}

/// Status, headers and body of a response of a class that is known.
fn parts<'c>(
    connection: &'c Connection,
    response: &Bound<'c, PyAny>,
) -> PyResult<(u16, Bound<'c, PyAny>, Bound<'c, PyAny>)> {
    let py = connection.py();
    let status = message::status(&response.getattr(interned::status_code(py))?)?;
    let headers = response.getattr(interned::raw_headers(py))?;
    let body = response.getattr(interned::body(py))?;
    let framing = message::check_headers(&headers)?;
    let mut digits = itoa::Buffer::new();
    let length = digits.format(body.len()?).as_bytes();
    if matches!(status, 100..=199 | 204 | 304)
        || framing.repeated
        || framing.length.is_some_and(|found| found != length)
    {
        // What was declared does not fit what is there: the response class says what is sent.
        let (headers, body) = imports::framed(py)?.call1((response, is_head(connection)?))?.extract()?;
        return Ok((status, headers, body));
    }
    Ok((status, headers, body))
}

/// Sends a response that is iterated, or that is called as an ASGI application.
async fn called_or_streamed(connection: &Connection, response: Bound<'_, PyAny>) -> PyResult<()> {
    let py = connection.py();
    if !connection.websocket && stream::is_stream(&response)? && !stream::is_overheard(connection)? {
        let response = connection.keep(response);
        stream::stream(connection, &response).await?;
        let tasks = response.get().getattr(interned::background(py))?;
        drop(response);
        return if tasks.is_none() { Ok(()) } else { background(connection, tasks).await };
    }
    let waiting = response.call1((connection.scope(), connection.receive(), sender(connection)?))?;
    drop(response);
    wait(connection.channel(), waiting).await?;
    Ok(())
}

/// Sends what middleware answers itself.
pub async fn reply(connection: &Connection, reply: Reply<'_>) -> PyResult<()> {
    match reply {
        Reply::Written { status, headers, body } => written(connection, status, headers.as_any(), body.as_any()).await,
        Reply::Response(answer) => response(connection, answer).await,
        Reply::Message(message) => {
            wait(connection.channel(), connection.send().call1((message,))?).await?;
            Ok(())
        }
    }
}

/// Runs background tasks.
///
/// Those that FastAPI's `BackgroundTasks` holds are called one after the other, as `BackgroundTasks.__call__` does.
/// *When cancelled here*: the task that runs is, and none of the others is begun.
pub async fn background(connection: &Connection, tasks: Bound<'_, PyAny>) -> PyResult<()> {
    let Some(row) = row_of(&tasks)? else {
        let waiting = tasks.call0()?;
        drop(tasks);
        return wait(connection.channel(), waiting).await.map(drop);
    };
    drop(tasks);
    // Kept in the place of the tasks, which were taken from there.
    let before = connection.vault.borrow_mut().background.replace(row.into_any().unbind());
    drop(before);
    // A task may add others.
    for at in 0.. {
        let Some(task) = task_of(connection, at) else { break };
        let waiting = called(&task)?;
        drop(task);
        drop(wait(connection.channel(), waiting).await?);
    }
    let row = connection.vault.borrow_mut().background.take();
    drop(row);
    Ok(())
}

/// Runs the background tasks that are owed and that nobody has begun, after a request that came to this.
///
/// What one raises is raised in the place of what the request did, as in a `finally`.
/// *When cancelled here*: as `background`. A request that was cancelled itself runs none.
pub async fn owed(connection: &Connection, came_to: PyResult<()>) -> PyResult<()> {
    let py = connection.py();
    let owed = connection.keep(tasks::end_account(connection.scope())?);
    if came_to.as_ref().is_err_and(|error| !error.is_instance_of::<PyException>(py)) {
        return came_to;
    }
    let failure = came_to.err().map(|error| connection.keep_error(error));
    connection.channel().set_handling(failure.as_ref().map(|failure| failure.get().unbind()));
    let done = called_in_turn(connection, &owed).await;
    connection.channel().set_handling(None);
    done?;
    failure.map_or(Ok(()), |failure| Err(PyErr::from_value(failure.get())))
}

async fn called_in_turn(connection: &Connection, owed: &Kept<'_>) -> PyResult<()> {
    for at in 0..owed.get().len()? {
        let waiting = owed.get().get_item(at)?.call0()?;
        drop(wait(connection.channel(), waiting).await?);
    }
    Ok(())
}

/// A task of the row that is carried out.
fn task_of(connection: &Connection, at: usize) -> Option<Bound<'_, PyAny>> {
    let vault = connection.vault.borrow();
    let row = vault.background.as_ref()?.bind(connection.py()).cast::<PyList>().ok()?;
    // An `IndexError` would cost as much as a task.
    if at < row.len() { row.get_item(at).ok() } else { None }
}

/// The tasks of a `BackgroundTasks`, where they can be called one after the other here: it is of just that class, nobody
/// replaced what calls them, and no telemetry wants to see them.
fn row_of<'py>(tasks: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyList>>> {
    let py = tasks.py();
    if !tasks::is_tasks(tasks)? || !tasks::are_as_written(py)? || providers::telemetry_is_active(py)? {
        return Ok(None);
    }
    let row = tasks.getattr(pyo3::intern!(py, "tasks"))?;
    Ok(row.cast_into_exact::<PyList>().ok())
}

/// Calls one background task: a coroutine function without the detour through `BackgroundTask.__call__`.
fn called<'py>(task: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = task.py();
    // Read of any task, as by telemetry in `BackgroundTasks.__call__`: what has none is no task.
    let func = task.getattr(pyo3::intern!(py, "func"))?;
    if task.get_type().is(imports::background_task(py)?)
        && task.getattr(pyo3::intern!(py, "is_async"))?.is_truthy()?
        && let Ok(arguments) = task.getattr(pyo3::intern!(py, "args"))?.cast_into_exact::<PyTuple>()
        && let Ok(options) = task.getattr(pyo3::intern!(py, "kwargs"))?.cast_into_exact::<PyDict>()
    {
        return func.call(arguments, Some(&options).filter(|given| !given.is_empty()));
    }
    task.call0()
}

/// Whether a response is of a class that is known to send just status, headers and body.
fn is_plain(response: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = response.py();
    let class: Bound<'_, PyType> = response.get_type();
    for known in [
        imports::json_response(py)?,
        imports::response(py)?,
        imports::html_response(py)?,
        imports::plain_text_response(py)?,
        imports::redirect_response(py)?,
    ] {
        if class.is(known) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_head(connection: &Connection) -> PyResult<bool> {
    let method = connection.scope().get_item(interned::method(connection.py()))?;
    method.map_or(Ok(false), |method| method.eq("HEAD"))
}
