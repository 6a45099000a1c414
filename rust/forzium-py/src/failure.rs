//! Protocols: from an exception to a response, through the handlers that the user registered.
//!
//! Source: Starlette's `wrap_app_handling_exceptions`: by status for an `HTTPException`, else by class along the MRO;
//! an exception after the response has started cannot be answered any more.

use pyo3::exceptions::{PyBaseException, PyException, PyRuntimeError, PyUnicodeDecodeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple, PyType};
use pyo3::{ffi, intern};

use crate::awaitable::{Held, apart, wait};
use crate::connection::Connection;
use crate::exceptions::Reader;
use crate::serialize::Outgoing;
use crate::{disconnect, imports, interned, json, message, send, serialize};

const NOT_FOUND: u16 = 404;
const UNPROCESSABLE: u16 = 422;

/// What is answered to an exception.
pub enum Answer<'c> {
    Written(Written<'c>),
    /// What a handler returns.
    Handler(Bound<'c, PyAny>, PyErr),
}

/// Finds what is answered to an exception.
///
/// Errors: the exception, where nobody has an answer; `ClientDisconnect` where there is nobody to have it any more;
/// `RuntimeError` where another answer has begun.
pub fn answer_to(connection: &Connection, error: PyErr) -> PyResult<Answer<'_>> {
    let py = connection.py();
    if !error.is_instance_of::<PyException>(py) {
        return Err(error);
    }
    let Some(handler) = handler_of(connection, error.value(py).as_any())? else {
        return Err(error);
    };
    if connection.left.get() {
        return Err(disconnect::client_disconnect(connection)?);
    }
    if connection.started.get() {
        let late = PyRuntimeError::new_err("Caught handled exception, but response already started.");
        late.set_cause(py, Some(error));
        return Err(late);
    }
    let Some(written) = known_answer(connection, &handler, error.value(py).as_any())? else {
        return Ok(Answer::Handler(handler, error));
    };
    forget_frames(error.value(py));
    Ok(Answer::Written(written))
}

impl Answer<'_> {
    /// Sends it.
    pub async fn send(self, connection: &Connection) -> PyResult<()> {
        match self {
            Self::Written(written) => written.send(connection).await,
            Self::Handler(handler, error) => apart(|| let_answer(connection, handler, error)).await,
        }
    }
}

/// Answers an exception with what its handler returns.
async fn let_answer(connection: &Connection, handler: Bound<'_, PyAny>, error: PyErr) -> PyResult<()> {
    let py = connection.py();
    let exception = connection.keep_error(error);
    connection.channel().set_handling(Some(exception.get().unbind()));
    let response = called(connection, handler, exception.get()).await;
    connection.channel().set_handling(None);
    let response = response?.into_bound(py);
    if !response.is_none() {
        send::response(connection, response).await?;
    }
    forget_frames(exception.get().cast::<PyBaseException>()?);
    Ok(())
}

/// Takes the traceback from an exception that is answered: an object that is raised again and again would collect the
/// frames of every request.
fn forget_frames(exception: &Bound<'_, PyBaseException>) {
    // SAFETY: the object is a live exception, and None is what a traceback may be set to.
    unsafe { ffi::PyException_SetTraceback(exception.as_ptr(), ffi::Py_None()) };
}

/// What the handlers that the framework brings would answer; none where somebody else's is to, or where it takes the
/// response class.
fn known_answer<'c>(
    connection: &'c Connection,
    handler: &Bound<'c, PyAny>,
    exception: &Bound<'c, PyAny>,
) -> PyResult<Option<Written<'c>>> {
    let py = connection.py();
    if connection.websocket {
        return Ok(None);
    }
    if handler.is(imports::http_exception_handler(py)?) {
        let said = Reader::new(exception)?;
        let status = said.read(interned::status_code(py))?.extract::<u16>()?;
        // Headers of the user's may replace ours.
        let extra = said.read(interned::headers(py))?;
        if !extra.is_none() || !serialize::allows_body(status) {
            return Ok(None);
        }
        return detailed(py, status, &said.read(interned::detail(py))?).map(Some);
    }
    if handler.is(imports::validation_exception_handler(py)?) {
        return unless_bytes(py, detailed(py, UNPROCESSABLE, &exception.call_method0(interned::errors(py))?));
    }
    Ok(None)
}

/// None where an answer could not be written because it would repeat bytes of the client's that are no text.
fn unless_bytes<'py>(py: Python<'py>, answer: PyResult<Written<'py>>) -> PyResult<Option<Written<'py>>> {
    match answer {
        Ok(written) => Ok(Some(written)),
        Err(error) if error.is_instance_of::<PyUnicodeDecodeError>(py) => Ok(None),
        Err(error) => Err(error),
    }
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

/// An answer, written.
pub struct Written<'c> {
    status: u16,
    headers: Bound<'c, PyList>,
    body: Bound<'c, PyBytes>,
}

impl Written<'_> {
    /// Sends it.
    pub async fn send(self, connection: &Connection) -> PyResult<()> {
        send::written(connection, self.status, &self.headers, &self.body).await
    }
}

impl From<Written<'_>> for Outgoing {
    fn from(Written { status, headers, body }: Written<'_>) -> Self {
        Self::Written { status, headers: headers.unbind(), body: body.unbind() }
    }
}

/// `{"detail": ...}`, with a status.
fn detailed<'py>(py: Python<'py>, status: u16, detail: &Bound<'py, PyAny>) -> PyResult<Written<'py>> {
    let text = detail.cast_exact::<PyString>().ok();
    let body = match text.map(|text| json::dumps_text_in(py, b"{\"detail\":", text, b'}')).transpose()?.flatten() {
        Some(body) => body,
        None => {
            let content = PyDict::new(py);
            content.set_item(interned::detail(py), detail)?;
            serialize::write_json(content.as_any())?
        }
    };
    let headers = message::content_headers(py, body.as_bytes().len(), message::json_content_type(py)?)?;
    Ok(Written { status, headers, body })
}

/// The answer to a request that is not valid, by its errors in the vault; none where that takes an exception.
pub fn unprocessable(connection: &Connection) -> PyResult<Option<Outgoing>> {
    let py = connection.py();
    let (class, handler) = (imports::request_validation_error(py)?, imports::validation_exception_handler(py)?);
    if !is_answered_by(connection, class, UNPROCESSABLE, handler)? {
        return Ok(None);
    }
    let errors = PyList::new(py, &connection.vault.borrow().errors)?;
    let Some(written) = unless_bytes(py, detailed(py, UNPROCESSABLE, errors.as_any()))? else { return Ok(None) };
    // Tasks that dependencies added belong to an answer that will not be.
    let tasks = connection.vault.borrow_mut().background.take();
    drop(tasks);
    Ok(Some(written.into()))
}

/// Answers a path that nothing is found at: plainly outside an application; a WebSocket is closed.
///
/// Errors: `HTTPException` inside an application, for its handlers, or the middleware on the way to them.
pub async fn not_found(connection: &Connection) -> PyResult<()> {
    const NORMAL_CLOSURE: u16 = 1000; // RFC 6455, section 7.4.1; Starlette's code for an unknown path
    let py = connection.py();
    if connection.websocket {
        let message = message::websocket_close(py, NORMAL_CLOSURE, "")?;
        wait(connection.channel(), connection.send().call1((message,))?).await?;
        return Ok(());
    }
    if connection.scope().contains(interned::app(py))? {
        return Err(PyErr::from_value(imports::http_exception(py)?.call1((NOT_FOUND,))?));
    }
    let response = imports::plain_text(py)?.call1((PyString::new(py, "Not Found"), NOT_FOUND))?;
    send::response(connection, response).await
}

/// What an application answers to a path that nothing is found at; none outside an application, and where handlers of the
/// user's may want to see it.
///
/// Only the list of headers is anew each time: middleware may change it.
pub fn known_not_found(connection: &Connection) -> PyResult<Option<Written<'_>>> {
    static BODY: PyOnceLock<Py<PyBytes>> = PyOnceLock::new();
    let py = connection.py();
    let (class, handler) = (imports::http_exception(py)?, imports::http_exception_handler(py)?);
    if connection.websocket
        || !connection.scope().contains(interned::app(py))?
        || !is_answered_by(connection, class, NOT_FOUND, handler)?
    {
        return Ok(None);
    }
    let make = || detailed(py, NOT_FOUND, intern!(py, "Not Found").as_any()).map(|written| written.body.unbind());
    let body = BODY.get_or_try_init(py, make)?.bind(py).clone();
    let headers = message::content_headers(py, body.as_bytes().len(), message::json_content_type(py)?)?;
    Ok(Some(Written { status: NOT_FOUND, headers, body }))
}

/// `(exception_handlers, status_handlers)` as the scope carries them.
pub fn set_handlers(connection: &Connection, handlers: &Bound<'_, PyTuple>) -> PyResult<()> {
    connection.scope().set_item(interned::exception_handlers(connection.py()), handlers)
}
