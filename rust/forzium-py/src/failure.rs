//! Protocols: from an exception to a response, through the handlers that the user registered.
//!
//! Source: Starlette's `wrap_app_handling_exceptions`: by status for an `HTTPException`, else by class along the MRO;
//! an exception after the response has started cannot be answered any more.

use pyo3::exceptions::{PyException, PyRuntimeError, PyUnicodeDecodeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple, PyType};

use crate::awaitable::{Held, wait};
use crate::connection::Connection;
use crate::serialize::Outgoing;
use crate::{disconnect, imports, interned, message, send, serialize};

const UNPROCESSABLE: u16 = 422;

/// Answers an exception, or gives it back.
pub async fn handle(connection: &Connection, error: PyErr) -> PyResult<()> {
    let py = connection.py();
    if !error.is_instance_of::<PyException>(py) {
        return Err(error);
    }
    let Some(handler) = handler_of(connection, error.value(py).as_any())? else {
        return Err(error);
    };
    if connection.started.get() {
        let late = PyRuntimeError::new_err("Caught handled exception, but response already started.");
        late.set_cause(py, Some(error));
        return Err(late);
    }
    let exception = connection.keep_error(error);
    if !connection.websocket && handler.is(imports::http_exception_handler(py)?) {
        answer_http_exception(connection, exception.get()).await?;
    } else if !connection.websocket && handler.is(imports::validation_exception_handler(py)?) {
        answer_validation_error(connection, exception.get()).await?;
    } else {
        connection.channel().set_handling(Some(exception.get().unbind()));
        let response = called(connection, handler, exception.get()).await;
        connection.channel().set_handling(None);
        let response = response?.into_bound(py);
        if !response.is_none() {
            send::response(connection, response).await?;
        }
    }
    // An exception object that is raised again and again would collect the frames of every request.
    exception.get().setattr(pyo3::intern!(py, "__traceback__"), py.None())?;
    Ok(())
}

/// What becomes of an exception that cannot be answered, because the client has left: it goes on if it is an error.
///
/// One that a handler would have answered is none.
pub fn unanswered(connection: &Connection, error: PyErr) -> PyResult<PyErr> {
    let py = connection.py();
    if error.is_instance_of::<PyException>(py) && handler_of(connection, error.value(py).as_any())?.is_some() {
        return disconnect::client_disconnect(connection);
    }
    Ok(error)
}

async fn called(
    connection: &Connection,
    handler: Bound<'_, PyAny>,
    exception: Bound<'_, PyAny>,
) -> PyResult<Py<PyAny>> {
    let py = connection.py();
    let request = if connection.websocket { connection.websocket()? } else { connection.request()? };
    let waiting = if imports::is_async_callable(py)?.call1((&handler,))?.is_truthy()? {
        handler.call1((request, exception))?
    } else {
        imports::call_handler_in_thread(py)?.call1((&handler, request, exception))?
    };
    drop(handler);
    wait(connection.channel(), waiting).await
}

/// The handler registered for an exception.
fn handler_of<'c>(connection: &'c Connection, exception: &Bound<'c, PyAny>) -> PyResult<Option<Bound<'c, PyAny>>> {
    let py = connection.py();
    let Some(handlers) = connection.scope().get_item(interned::exception_handlers(py))? else {
        return Ok(None);
    };
    let (by_class, by_status) = handlers.extract::<(Bound<'_, PyDict>, Bound<'_, PyDict>)>()?;
    if !by_status.is_empty() && exception.is_instance(imports::http_exception(py)?)? {
        let status = exception.getattr(interned::status_code(py))?;
        if let Some(handler) = by_status.get_item(status)? {
            return Ok(Some(handler));
        }
    }
    let class: Bound<'_, PyType> = exception.get_type();
    for class in class.mro().iter() {
        if let Some(handler) = by_class.get_item(class)? {
            return Ok(Some(handler));
        }
    }
    Ok(None)
}

/// Whether an exception of just this class, with this status, is answered by the handler that the framework brings.
///
/// Then nobody can tell whether there was an exception at all, and it is not made.
fn is_answered_by(
    connection: &Connection,
    class: &Bound<'_, PyAny>,
    status: u16,
    handler: &Bound<'_, PyAny>,
) -> PyResult<bool> {
    let Some(handlers) = connection.scope().get_item(interned::exception_handlers(connection.py()))? else {
        return Ok(false);
    };
    let (by_class, by_status) = handlers.extract::<(Bound<'_, PyDict>, Bound<'_, PyDict>)>()?;
    if !by_status.is_empty() && by_status.contains(status)? {
        return Ok(false);
    }
    Ok(by_class.get_item(class)?.is_some_and(|found| found.is(handler)))
}

/// `{"detail": ...}`, with a status.
fn detailed(py: Python<'_>, status: u16, detail: &Bound<'_, PyAny>) -> PyResult<Outgoing> {
    let content = PyDict::new(py);
    content.set_item(interned::detail(py), detail)?;
    let body = serialize::write_json(content.as_any())?;
    let headers = message::content_headers(py, body.as_bytes().len(), message::json_content_type(py)?)?;
    Ok(Outgoing::Written { status, headers: headers.unbind(), body: body.unbind() })
}

async fn send_written(connection: &Connection, outgoing: Outgoing) -> PyResult<()> {
    let py = connection.py();
    match outgoing {
        Outgoing::Written { status, headers, body } => {
            send::written(connection, status, headers.bind(py), body.bind(py)).await
        }
        Outgoing::Response => Ok(()),
    }
}

/// What `http_exception_handler` answers, without the detour through a `JSONResponse`.
async fn answer_http_exception(connection: &Connection, exception: Bound<'_, PyAny>) -> PyResult<()> {
    let py = connection.py();
    let status = exception.getattr(interned::status_code(py))?.extract::<u16>()?;
    let extra = exception.getattr(interned::headers(py))?;
    if !extra.is_none() || !serialize::allows_body(status) {
        // Headers of the user's may replace ours: the response class knows how.
        let request = connection.request()?;
        let waiting = imports::http_exception_handler(py)?.call1((request, exception))?;
        drop(extra);
        let response = wait(connection.channel(), waiting).await?;
        return send::response(connection, response.into_bound(py)).await;
    }
    let outgoing = detailed(py, status, &exception.getattr(interned::detail(py))?)?;
    drop(exception);
    send_written(connection, outgoing).await
}

/// What `request_validation_exception_handler` answers to an exception.
async fn answer_validation_error(connection: &Connection, exception: Bound<'_, PyAny>) -> PyResult<()> {
    let py = connection.py();
    let outgoing = match detailed(py, UNPROCESSABLE, &exception.call_method0(interned::errors(py))?) {
        Ok(outgoing) => outgoing,
        Err(error) if error.is_instance_of::<PyUnicodeDecodeError>(py) => {
            // It repeats bytes of the client's that are no text.
            let waiting = imports::validation_exception_handler(py)?.call1((connection.request()?, exception))?;
            let response = wait(connection.channel(), waiting).await?;
            return send::response(connection, response.into_bound(py)).await;
        }
        Err(error) => return Err(error),
    };
    drop(exception);
    send_written(connection, outgoing).await
}

/// The answer to a request that is not valid, by its errors in the vault; none where that takes an exception.
pub fn unprocessable(connection: &Connection) -> PyResult<Option<Outgoing>> {
    let py = connection.py();
    let (class, handler) = (imports::request_validation_error(py)?, imports::validation_exception_handler(py)?);
    if !is_answered_by(connection, class, UNPROCESSABLE, handler)? {
        return Ok(None);
    }
    let errors = PyList::new(py, &connection.vault.borrow().errors)?;
    match detailed(py, UNPROCESSABLE, errors.as_any()) {
        Ok(outgoing) => {
            // Tasks that dependencies added belong to an answer that will not be.
            let tasks = connection.vault.borrow_mut().background.take();
            drop(tasks);
            Ok(Some(outgoing))
        }
        Err(error) if error.is_instance_of::<PyUnicodeDecodeError>(py) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Answers a path that nothing is found at: with the application's 404, plainly outside an application; a WebSocket is
/// closed.
///
/// Errors: `HTTPException` where handlers of the user's may want it.
pub async fn not_found(connection: &Connection) -> PyResult<()> {
    const NOT_FOUND: u16 = 404;
    const NORMAL_CLOSURE: u16 = 1000; // RFC 6455, section 7.4.1; Starlette's code for an unknown path
    let py = connection.py();
    if connection.websocket {
        let message = message::websocket_close(py, NORMAL_CLOSURE, "")?;
        wait(connection.channel(), connection.send().call1((message,))?).await?;
        return Ok(());
    }
    if connection.scope().contains(interned::app(py))? {
        let (class, handler) = (imports::http_exception(py)?, imports::http_exception_handler(py)?);
        if is_answered_by(connection, class, NOT_FOUND, handler)? {
            return send_written(connection, detailed(py, NOT_FOUND, intern!(py, "Not Found").as_any())?).await;
        }
        return Err(PyErr::from_value(class.call1((NOT_FOUND,))?));
    }
    let response = imports::plain_text(py)?.call1((PyString::new(py, "Not Found"), NOT_FOUND))?;
    send::response(connection, response).await
}

/// `(exception_handlers, status_handlers)` as the scope carries them.
pub fn set_handlers(connection: &Connection, handlers: &Bound<'_, PyTuple>) -> PyResult<()> {
    connection.scope().set_item(interned::exception_handlers(connection.py()), handlers)
}
