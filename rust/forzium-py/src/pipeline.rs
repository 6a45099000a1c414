//! Protocols: the order of the stages, the same for requests, WebSockets and route handlers.
//!
//! `extract → solve → call → serialize`, read top to bottom. What goes before (routing) and after (sending, exception
//! handlers) is the business of `http` and `websocket`.

use std::future::Future;
use std::pin::Pin;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::awaitable::{Held, apart, wait};
use crate::call::Trip;
use crate::connection::{Connection, Exit};
use crate::extract::{self, BodyProblem, Extracted};
use crate::plan::{BodyKind, Calling, Node, Plan};
use crate::serialize::{self, Outgoing};
use crate::solve::{self, Progress};
use crate::{around, call, disconnect, imports, json};

/// Carries out the plan of a request: everything up to the response, which is not sent yet; none where the request is
/// not valid, and then the errors are in the vault.
///
/// Errors: what the user's code raises, and `ResponseValidationError`, `HTTPException` as FastAPI raises them.
pub async fn execute(connection: &Connection, plan: &Plan) -> PyResult<Option<Outgoing>> {
    read_body(connection, plan).await?;
    if plan.cancel_on_disconnect {
        disconnect::listen(connection, plan.injects_request)?;
    }
    let done = outgoing(connection, plan).await;
    if plan.cancel_on_disconnect {
        disconnect::rest(connection)?;
    }
    done
}

/// Everything between the body and the response.
async fn outgoing(connection: &Connection, plan: &Plan) -> PyResult<Option<Outgoing>> {
    let Some(Solved::Value(value)) = solve(connection, plan, true).await? else {
        return Ok(None);
    };
    if let Some(stream) = &plan.answer.stream {
        return apart(|| streamed(connection, plan, stream, value)).await.map(Some);
    }
    serialize::finish(connection, plan, value).await.map(Some)
}

/// The exception for a request that is not valid.
pub fn invalid(connection: &Connection, plan: &Plan) -> PyErr {
    let make = || {
        let py = connection.py();
        imports::request_invalid(py)?.call1((
            taken_errors(connection)?,
            connection.body()?,
            serialize::context(connection, plan)?,
        ))
    };
    make().map_or_else(|error| error, PyErr::from_value)
}

/// Carries out the plan of a WebSocket connection.
pub async fn converse(connection: &Connection, plan: &Plan) -> PyResult<()> {
    if solve(connection, plan, true).await?.is_some() {
        return Ok(());
    }
    let py = connection.py();
    let context = serialize::context(connection, plan)?;
    Err(PyErr::from_value(imports::websocket_invalid(py)?.call1((taken_errors(connection)?, context))?))
}

fn taken_errors(connection: &Connection) -> PyResult<Bound<'_, PyList>> {
    let errors = std::mem::take(&mut connection.vault.borrow_mut().errors);
    PyList::new(connection.py(), errors)
}

/// Solves the dependencies for somebody who calls the endpoint himself: the arguments by name, the errors, the
/// background tasks and the response handed out.
pub async fn values(connection: &Connection, plan: &Plan) -> PyResult<Py<PyAny>> {
    let values = match solve(connection, plan, false).await? {
        Some(Solved::Arguments(endpoint, arguments)) => {
            let values = PyDict::new(connection.py());
            for (name, value) in endpoint.names.bind(connection.py()).iter().zip(arguments) {
                values.set_item(name, value)?;
            }
            Some(values)
        }
        Some(Solved::Value(_)) | None => None,
    };
    let py = connection.py();
    let errors = taken_errors(connection)?;
    let vault = connection.vault.borrow();
    Ok((values, errors, vault.background.as_ref(), vault.response.as_ref()).into_pyobject(py)?.into_any().unbind())
}

/// How far a plan was carried out.
enum Solved<'c> {
    /// What the endpoint returned.
    Value(Py<PyAny>),
    /// The endpoint and what it is to be called with.
    Arguments(&'c Node, Vec<Bound<'c, PyAny>>),
}

/// Solves the dependencies in order and, if it `calls`, the endpoint, which comes last; none where there are validation
/// errors.
///
/// Plain functions that follow one another share a trip to a worker thread.
async fn solve<'c>(connection: &'c Connection, plan: &'c Plan, calls: bool) -> PyResult<Option<Solved<'c>>> {
    let mut progress = Progress::new(connection, plan);
    let mut trip = Trip::default();
    let last = plan.visits.len() - 1;
    for (at, visit) in plan.visits.iter().enumerate() {
        let Some(node) = plan.nodes.get(visit.node) else { continue };
        if let Some(earlier) = visit.reuse {
            progress.taken_over(connection, visit, earlier);
            continue;
        }
        if node.calling == Calling::Lasting
            && let Some(value) = solve::lasting(connection, node)?
        {
            progress.solved(connection, visit, value);
            continue;
        }
        let joins = Trip::takes(node) && (calls || at < last);
        if !joins && !trip.is_empty() {
            apart(|| std::mem::take(&mut trip).run(connection)).await?;
        }
        let before = Progress::errors(connection);
        let mut arguments = Vec::with_capacity(node.inputs.len() + usize::from(node.body.is_some()));
        let mut complete = progress.ready(node);
        if let Some(raised) =
            taken(extract::inputs(connection, node, &mut arguments), connection, &mut trip, &mut complete)
        {
            return Err(raised.await);
        }
        let own = extract::body_inputs(connection, node, &mut arguments);
        if let Some(raised) = taken(own.await, connection, &mut trip, &mut complete) {
            return Err(raised.await);
        }
        if at == last && Progress::errors(connection) > 0 {
            if !trip.is_empty() {
                // Dependencies run whatever the others' errors: what one of them raises comes before those.
                apart(|| trip.run(connection)).await?;
            }
            return Ok(None);
        }
        if at == last && !calls {
            return Ok(Some(Solved::Arguments(node, arguments)));
        }
        if at < last && !complete {
            progress.invalid(connection, visit, before);
            continue;
        }
        if joins {
            trip.add(node, visit.slot, arguments);
            if at == last {
                return apart(|| trip.run(connection)).await.map(|value| Some(Solved::Value(value)));
            }
            progress.promised(connection, visit);
            continue;
        }
        if node.calling == Calling::AsyncGenerator {
            solve::enter_shield(connection)?;
        }
        let value = call::run(connection, node, arguments).await?;
        if at == last {
            return Ok(Some(Solved::Value(value)));
        }
        progress.solved(connection, visit, value);
    }
    Ok(None)
}

/// Takes note of whether a callable has all its inputs; where a validator has raised an exception, how to come to it.
///
/// Plain dependencies that come before run first, and what one of them raises counts.
fn taken<'c>(
    extracted: PyResult<Extracted>,
    connection: &'c Connection,
    trip: &mut Trip<'c>,
    complete: &mut bool,
) -> Option<Pin<Box<dyn Future<Output = PyErr> + 'c>>> {
    let error = match extracted {
        Ok(extracted) => {
            *complete &= matches!(extracted, Extracted::Complete);
            return None;
        }
        Err(error) => error,
    };
    let trip = std::mem::take(trip);
    Some(apart(|| async move {
        if trip.is_empty() {
            return error;
        }
        let error = connection.keep_error(error);
        match trip.run(connection).await {
            Ok(_) => PyErr::from_value(error.get()),
            Err(earlier) => earlier,
        }
    }))
}

/// Reads the body into the connection's vault, parsed if it is JSON.
async fn read_body(connection: &Connection, plan: &Plan) -> PyResult<()> {
    let py = connection.py();
    let strict = match plan.body {
        BodyKind::None => return Ok(()),
        BodyKind::Json { strict } => strict,
        BodyKind::Form => return apart(|| read_form(connection, plan)).await,
    };
    if let Some(request) = connection.existing_request() {
        // Somebody made the request object: it may read the body in a way of its own.
        let context = serialize::context(connection, plan)?;
        let waiting = imports::read_request_body(py)?.call1((request, strict, context))?;
        let body = wait(connection.channel(), waiting).await?;
        connection.vault.borrow_mut().body =
            body.bind(py).extract::<(bool, Py<PyAny>)>().map(|(found, body)| found.then_some(body))?;
        return Ok(());
    }
    let body = match extract::read_body(connection).await {
        Ok(Ok(body)) => body,
        Ok(Err(BodyProblem::Disconnected)) => {
            return Err(unreadable(connection, PyErr::from_value(imports::client_disconnect(py)?.call0()?))?);
        }
        // Not the client's doing: an answer of 400 would blame it.
        Ok(Err(BodyProblem::Malformed(error))) => return Err(error),
        Err(error) => return Err(unreadable(connection, error)?),
    };
    connection.set_raw_body(body.clone());
    if body.as_bytes().is_empty() {
        return Ok(());
    }
    let value =
        if extract::is_json(connection, strict)? { parsed(connection, plan, &body)? } else { body.into_any().unbind() };
    connection.vault.borrow_mut().body = Some(value);
    Ok(())
}

/// Reads the body as a form.
async fn read_form(connection: &Connection, plan: &Plan) -> PyResult<()> {
    let py = connection.py();
    if let Some(request) = connection.existing_request() {
        // As in `read_body`.
        let waiting = imports::read_form(py)?.call1((request, plan.form_limits.bind(py)))?;
        let form = wait(connection.channel(), waiting).await?;
        let mut vault = connection.vault.borrow_mut();
        vault.closing = Some(form.clone_ref(py));
        vault.body = Some(form);
        return Ok(());
    }
    match extract::read_form(connection, plan).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(BodyProblem::Disconnected)) => {
            Err(unreadable(connection, PyErr::from_value(imports::client_disconnect(py)?.call0()?))?)
        }
        Ok(Err(BodyProblem::Malformed(error))) => Err(error),
        Err(error) => Err(unreadable(connection, error)?),
    }
}

fn parsed(connection: &Connection, plan: &Plan, body: &Bound<'_, PyBytes>) -> PyResult<Py<PyAny>> {
    let py = connection.py();
    match json::loads(body) {
        Ok(value) => Ok(value.unbind()),
        Err(error) => {
            let context = serialize::context(connection, plan)?;
            Err(PyErr::from_value(imports::json_invalid(py)?.call1((connection.scope(), error.value(py), context))?))
        }
    }
}

/// The exception for a body that could not be read: a limit's own, else FastAPI's 400.
fn unreadable(connection: &Connection, error: PyErr) -> PyResult<PyErr> {
    let py = connection.py();
    if !error.is_instance_of::<pyo3::exceptions::PyException>(py) {
        return Ok(error);
    }
    Ok(PyErr::from_value(imports::body_unreadable(py)?.call1((connection.scope(), error.into_value(py)))?))
}

/// Makes the response of an endpoint whose result is iterated while it is sent.
async fn streamed(
    connection: &Connection,
    plan: &Plan,
    stream: &Py<PyAny>,
    generator: Py<PyAny>,
) -> PyResult<Outgoing> {
    let py = connection.py();
    let options = PyDict::new(py);
    let stack = imports::exit_stack(py)?.call0()?;
    connection.vault.borrow_mut().request_exits.push(Exit::Stack(stack.clone().unbind()));
    {
        let vault = connection.vault.borrow();
        options.set_item("generator", generator)?;
        options.set_item("request_stack", stack)?;
        options.set_item("injected", vault.response.as_ref())?;
        options.set_item("background", vault.background.as_ref())?;
        options.set_item("enclosed", around::takes_response(connection))?;
        options.set_item("endpoint_ctx", serialize::context(connection, plan)?)?;
    }
    let waiting = stream.bind(py).call((), Some(&options))?;
    drop(options);
    let response = wait(connection.channel(), waiting).await?;
    connection.vault.borrow_mut().outgoing = Some(response);
    Ok(Outgoing::Response)
}
