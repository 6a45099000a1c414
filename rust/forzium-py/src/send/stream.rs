//! Streams: a response whose body is produced while it is sent, driven in place.
//!
//! Chunk and message follow one another inside the request's own machine, so a chunk that is there costs no Python frame
//! but the source's and the host's. Where the host does not report by `send` that the client has left (before ASGI 2.4)
//! somebody has to listen to `receive` meanwhile. The cancel scope for that is entered first, so that every scope of the
//! source lies within it, but the listening is begun only once something really waits: until then nothing could be
//! interrupted.
//!
//! Source: `StreamingResponse` of `forzium.responses.streaming`, whose rules these are.

use std::cell::OnceCell;
use std::future::poll_fn;
use std::task::Poll;

use pyo3::exceptions::{PyBaseException, PyGeneratorExit, PyOSError, PyStopAsyncIteration};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyMemoryView, PyString, PyTuple};

use crate::awaitable::{Held, begin, go_on, is_asyncio, next_step, noted, steps_of, wait};
use crate::connection::{Connection, Kept};
use crate::disconnect::DisconnectWatch;
use crate::middleware::BodyCounter;
use crate::{imports, interned, message};

/// Whether a response is a stream whose class is known, nothing of it was replaced on the object, and its status has
/// content.
pub fn is_stream(response: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = response.py();
    let class = response.get_type();
    if !class.is(imports::streaming_response(py)?) && !class.is(imports::event_source_response(py)?) {
        return Ok(false);
    }
    if matches!(response.getattr(interned::status_code(py))?.extract::<u16>(), Ok(100..=199 | 204 | 304)) {
        return Ok(false);
    }
    let own = response.getattr(pyo3::intern!(py, "__dict__"))?.cast_into::<PyDict>()?;
    Ok(!own.contains(pyo3::intern!(py, "stream_response"))?
        && !own.contains(pyo3::intern!(py, "listen_for_disconnect"))?)
}

/// Whether listening may fail beside the stream, since a limit counts what is left of the body.
///
/// Then the two are tasks, of which the listening goes first, as in the response class: both may fail, and what leaves
/// the task group is a group of two.
pub fn is_overheard(connection: &Connection) -> PyResult<bool> {
    let receive = connection.receive();
    let Ok(counter) = receive.cast::<BodyCounter>() else { return Ok(false) };
    Ok(counter.get().may_refuse(is_bodiless(connection)?) && !send_reports_disconnects(connection)?)
}

/// Whether there is no body unless its length is announced: it is a GET, and not sent in chunks.
fn is_bodiless(connection: &Connection) -> PyResult<bool> {
    let method = connection.scope().get_item(pyo3::intern!(connection.py(), "method"))?;
    let method = method.and_then(|method| method.cast_into::<PyString>().ok());
    let is_get =
        method.as_ref().and_then(|method| method.to_str().ok()).is_some_and(|method| matches!(method, "GET" | "HEAD"));
    Ok(is_get && connection.header_bytes(b"transfer-encoding", |_| ())?.is_none())
}

/// Sends a stream.
///
/// Errors: what the source raises; `ClientDisconnect` where `send` raises `OSError`.
///
/// *When cancelled here*: the source is cancelled where it waits, and closed.
pub async fn stream(connection: &Connection, response: &Kept<'_>) -> PyResult<()> {
    let py = connection.py();
    if send_reports_disconnects(connection)? {
        return start_to_end(connection, response).await;
    }
    // Leaving it where nothing was waited for costs no turn of the event loop, as a task group of asyncio's does.
    if (!imports::modules(py)?.contains(pyo3::intern!(py, "trio"))? || is_asyncio(py)?)
        && let Ok(scope) = imports::asyncio_cancel_scope(py)
    {
        return beside_callbacks(connection, response, scope.call0()?).await;
    }
    beside_a_task(connection, response).await
}

/// Whether `send` raises `OSError` once the client has left (ASGI HTTP specification, 2.4).
fn send_reports_disconnects(connection: &Connection) -> PyResult<bool> {
    let (py, scope) = (connection.py(), connection.scope());
    let asgi = scope.get_item(pyo3::intern!(py, "asgi"))?.and_then(|asgi| asgi.cast_into::<PyDict>().ok());
    let version = asgi.map(|asgi| asgi.get_item(pyo3::intern!(py, "spec_version"))).transpose()?.flatten();
    let version = version.and_then(|version| version.cast_into::<PyString>().ok());
    match version.as_ref().and_then(|version| version.to_str().ok()) {
        Some("2.0" | "2.1" | "2.2" | "2.3") => Ok(false),
        Some("2.4" | "2.5") => Ok(true),
        _ => imports::send_reports_disconnects(py)?.call1((scope,))?.is_truthy(),
    }
}

/// Sends a stream in a cancel scope of anyio's, and listens by the callbacks of what `receive` waits for.
async fn beside_callbacks(connection: &Connection, response: &Kept<'_>, scope: Bound<'_, PyAny>) -> PyResult<()> {
    let py = connection.py();
    scope.call_method0(pyo3::intern!(py, "__enter__"))?;
    let scope = connection.keep(scope);
    let watch: OnceCell<Kept<'_>> = OnceCell::new();
    let sent = noted(connection.channel(), start_to_end(connection, response), || {
        if watch.get().is_some() {
            return Ok(());
        }
        let own = Bound::new(py, DisconnectWatch::of_scope(connection.receive().clone(), scope.get()))?;
        watch.get_or_init(|| connection.keep(own.clone().into_any()));
        DisconnectWatch::begin(&own, false)
    });
    let failure = sent.await.err().map(|failure| connection.keep_error(failure));
    let heard = match watch.get() {
        Some(watch) => {
            let watch = watch.get().cast_into::<DisconnectWatch>()?;
            let error = watch.get().take_error(py);
            DisconnectWatch::stop(&watch)?;
            error
        }
        None => None,
    };
    if failure.as_ref().is_some_and(|failure| failure.get().is_instance_of::<PyGeneratorExit>()) {
        // Thrown away, maybe by somebody else than the task the scope belongs to.
        return failure.map_or(Ok(()), |failure| Err(PyErr::from_value(failure.get())));
    }
    let leaving = scope.get().call_method1(pyo3::intern!(py, "__exit__"), about(py, failure.as_ref())?)?;
    match (failure, heard) {
        (Some(failure), _) if !leaving.is_truthy()? => Err(PyErr::from_value(failure.get())),
        // Cancelled with what it asked, as behind a middleware that has answered by itself: nobody hears, and nothing failed.
        (_, Some(error)) if error.is_instance(py, imports::cancelled_error(py)?) => Ok(()),
        (_, Some(error)) => Err(error),
        _ => Ok(()),
    }
}

/// The same in a task group, of which one task listens.
async fn beside_a_task(connection: &Connection, response: &Kept<'_>) -> PyResult<()> {
    let py = connection.py();
    let group = imports::create_task_group(py)?.call0()?;
    let entering = group.call_method0(pyo3::intern!(py, "__aenter__"))?;
    let watch = Watch { connection, group: connection.keep(group), scope: OnceCell::new() };
    wait(connection.channel(), entering).await?;
    let sent = noted(connection.channel(), start_to_end(connection, response), || watch.begin()).await;
    let failure = sent.err().map(|failure| connection.keep_error(failure));
    watch.end()?;
    if failure.as_ref().is_some_and(|failure| failure.get().is_instance_of::<PyGeneratorExit>()) {
        // Thrown away: nothing may be awaited any more.
        return failure.map_or(Ok(()), |failure| Err(PyErr::from_value(failure.get())));
    }
    let leaving = watch.group.get().call_method1(pyo3::intern!(py, "__aexit__"), about(py, failure.as_ref())?)?;
    match (wait(connection.channel(), leaving).await, failure) {
        (Ok(swallowed), Some(failure)) if !swallowed.is_truthy(py)? => Err(PyErr::from_value(failure.get())),
        (Ok(_), _) => Ok(()),
        (Err(error), _) => Err(collapsed(py, error)?),
    }
}

/// Listens for the client's leaving, once there is something to be interrupted.
struct Watch<'c> {
    connection: &'c Connection,
    group: Kept<'c>,
    /// By which the listening ends.
    scope: OnceCell<Kept<'c>>,
}

impl Watch<'_> {
    fn begin(&self) -> PyResult<()> {
        if self.scope.get().is_none() {
            let watch = imports::watch_for_disconnect(self.connection.py())?;
            let scope = watch.call1((self.group.get(), self.connection.receive()))?;
            self.scope.get_or_init(|| self.connection.keep(scope));
        }
        Ok(())
    }

    fn end(&self) -> PyResult<()> {
        if let Some(scope) = self.scope.get() {
            scope.get().call_method0(pyo3::intern!(self.connection.py(), "cancel"))?;
        }
        Ok(())
    }
}

async fn start_to_end(connection: &Connection, response: &Kept<'_>) -> PyResult<()> {
    let py = connection.py();
    let (start, source) = {
        let response = response.get();
        let status = message::status(&response.getattr(interned::status_code(py))?)?;
        let start = message::response_start(py, status, &response.getattr(interned::raw_headers(py))?)?;
        (start, connection.keep(response.getattr(pyo3::intern!(py, "body_iterator"))?))
    };
    connection.started.set();
    give(connection, start).await?;
    match chunks(connection, response, &source).await {
        Err(error) if !error.is_instance_of::<PyGeneratorExit>(py) => {
            return Err(abandon(connection, &source, error).await);
        }
        poured => poured?,
    }
    give(connection, message::response_part(py, PyBytes::new(py, b"").as_any(), false)?).await
}

/// What a stream waits for.
#[derive(Clone, Copy)]
enum Waits {
    ForChunk,
    /// For the host, to which a chunk was given.
    ForHost,
}

/// Sends what the source gives, one message a chunk: the next is asked for when the last was taken.
///
/// Written by hand: a chunk that is there costs no future, neither for its own sake nor for the host's.
async fn chunks(connection: &Connection, response: &Kept<'_>, source: &Kept<'_>) -> PyResult<()> {
    let (py, channel) = (connection.py(), connection.channel());
    let steps = connection.keep(steps_of(&source.get())?);
    let charset = OnceCell::new();
    let mut waits = None;
    poll_fn(move |_| {
        let steps = steps.get();
        let ask = || next_step(&steps).map_or_else(|error| Poll::Ready(Err(error)), |step| begin(channel, step));
        let (mut at, mut polled) = match waits {
            None => (Waits::ForChunk, ask()),
            Some(at) => (at, go_on(channel)),
        };
        loop {
            let Poll::Ready(result) = polled else {
                waits = Some(at);
                return Poll::Pending;
            };
            (at, polled) = match (at, result) {
                (Waits::ForChunk, Ok(chunk)) => {
                    let part = || message::response_part(py, &as_bytes(connection, chunk, response, &charset)?, true);
                    let sending = match part() {
                        Ok(part) => connection.send().call1((part,)).map_err(|error| left(py, error)),
                        Err(error) => Err(error),
                    };
                    match sending {
                        Ok(sending) => (Waits::ForHost, begin(channel, sending)),
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                }
                (Waits::ForChunk, Err(stop)) if stop.is_instance_of::<PyStopAsyncIteration>(py) => {
                    return Poll::Ready(Ok(()));
                }
                (Waits::ForChunk, Err(error)) => return Poll::Ready(Err(error)),
                (Waits::ForHost, Ok(_)) => (Waits::ForChunk, ask()),
                (Waits::ForHost, Err(error)) => return Poll::Ready(Err(left(py, error))),
            };
        }
    })
    .await
}

/// The bytes of a chunk. `charset` is the response's, once it was asked for.
#[inline]
fn as_bytes<'c>(
    connection: &'c Connection,
    chunk: Py<PyAny>,
    response: &Kept<'c>,
    charset: &OnceCell<Kept<'c>>,
) -> PyResult<Bound<'c, PyAny>> {
    let chunk = chunk.into_bound(connection.py());
    if chunk.is_instance_of::<PyBytes>() || chunk.is_instance_of::<PyMemoryView>() {
        return Ok(chunk);
    }
    if charset.get().is_none() {
        let found = response.get().getattr(pyo3::intern!(chunk.py(), "charset"))?;
        charset.get_or_init(|| connection.keep(found));
    }
    encoded(chunk, charset.get().map_or_else(|| response.get(), Kept::get))
}

fn encoded<'py>(chunk: Bound<'py, PyAny>, charset: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if let Ok(text) = chunk.cast_exact::<PyString>()
        && charset.eq(pyo3::intern!(chunk.py(), "utf-8"))?
        && let Ok(text) = text.to_str()
    {
        return Ok(PyBytes::new(chunk.py(), text.as_bytes()).into_any());
    }
    chunk.call_method1(pyo3::intern!(chunk.py(), "encode"), (charset,))
}

/// Sends one message.
///
/// Errors: `ClientDisconnect` where the host says by `OSError` that the client has left.
async fn give(connection: &Connection, message: Bound<'_, PyDict>) -> PyResult<()> {
    match connection.send().call1((message,)) {
        Ok(sending) => wait(connection.channel(), sending).await.map(drop),
        Err(error) => Err(error),
    }
    .map_err(|error| left(connection.py(), error))
}

/// What an error of the host's `send` means.
#[cold]
fn left(py: Python<'_>, error: PyErr) -> PyErr {
    if !error.is_instance_of::<PyOSError>(py) {
        return error;
    }
    let left = || {
        let left = imports::client_disconnect(py)?.call0()?;
        left.setattr(pyo3::intern!(py, "__context__"), error.into_value(py))?;
        Ok(left)
    };
    left().map_or_else(|error| error, PyErr::from_value)
}

/// Closes the source that an exception has ended; the exception that is left.
async fn abandon(connection: &Connection, source: &Kept<'_>, error: PyErr) -> PyErr {
    let py = connection.py();
    let error = connection.keep_error(error);
    let closing = match source.get().getattr_opt(pyo3::intern!(py, "aclose")) {
        Ok(None) => return PyErr::from_value(error.get()),
        Ok(Some(close)) => close.call0(),
        Err(error) => Err(error),
    };
    connection.channel().set_handling(Some(error.get().unbind()));
    let closed = match closing {
        Ok(closing) => wait(connection.channel(), closing).await.map(drop),
        Err(error) => Err(error),
    };
    connection.channel().set_handling(None);
    closed.err().unwrap_or_else(|| PyErr::from_value(error.get()))
}

/// The arguments of `__aexit__`.
fn about<'py>(py: Python<'py>, failure: Option<&Kept<'py>>) -> PyResult<Bound<'py, PyTuple>> {
    let Some(failure) = failure else {
        return (py.None(), py.None(), py.None()).into_pyobject(py);
    };
    let value = failure.get();
    let traceback = value.getattr(pyo3::intern!(py, "__traceback__"))?;
    (value.get_type(), value, traceback).into_pyobject(py)
}

/// A single error as itself, and not as the group of one that a task group makes of it.
fn collapsed(py: Python<'_>, error: PyErr) -> PyResult<PyErr> {
    if !error.is_instance(py, imports::exception_group(py)?) {
        return Ok(error);
    }
    let only = error.value(py).getattr(pyo3::intern!(py, "exceptions"))?;
    match only.extract::<(Bound<'_, PyBaseException>,)>() {
        Ok((only,)) => Ok(PyErr::from_value(only.into_any())),
        Err(_) => Ok(error),
    }
}
