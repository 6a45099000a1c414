//! Foundation: the client's leaving, for requests that asked to be cancelled by it.
//!
//! Somebody has to listen to `receive()` while an endpoint waits: a *watch*. It begins when the request first waits for
//! anything, is then the only one to call the host's `receive()`, and keeps what is no disconnect for those who ask for
//! messages. Under asyncio the watch is [`watch::DisconnectWatch`], which is no task; under trio, where nothing can be
//! driven from outside, it is a system task and a cancel scope, in `forzium._compile.disconnect`.
//!
//! Not here: what becomes of a request whose client has left (`http`).

mod watch;

use pyo3::intern;
use pyo3::prelude::*;

use crate::awaitable::{Held, wait};
use crate::connection::{Connection, Exit};
use crate::{imports, interned};

pub use watch::DisconnectWatch;

/// From here on the request is cancelled when the client leaves. Nothing is listened to until it first waits.
///
/// `reads` says whether messages may be asked for meanwhile.
pub fn listen(connection: &Connection, reads: bool) -> PyResult<()> {
    let py = connection.py();
    connection.on_wait.set(Some(begin));
    connection.on_end.set(Some(end));
    if connection.watch().is_some() {
        return Ok(());
    }
    if imports::modules(py)?.contains(intern!(py, "trio"))? {
        let watch = imports::trio_watch(py)?.call1((connection.receive(),))?;
        if !watch.is_none() {
            // A cancel scope has to stand outside of those that the request opens.
            connection.vault.borrow_mut().request_exits.insert(0, Exit::Shield(watch.clone().unbind()));
            return install(connection, watch);
        }
    }
    if reads || connection.existing_request().is_some() {
        install(connection, Bound::new(py, DisconnectWatch::new(connection.receive().clone()))?.into_any())?;
    }
    Ok(())
}

/// From here on the client's leaving is no reason any more. What the watch still hears is for those who ask.
pub fn rest(connection: &Connection) -> PyResult<()> {
    let py = connection.py();
    connection.on_wait.set(None);
    let Some(watch) = connection.watch() else { return Ok(()) };
    match watch.cast::<DisconnectWatch>() {
        Ok(own) => {
            own.get().rest(py)?;
            if own.get().left.0.get() {
                // Where the cancellation ends: outside of all that is cleaned up.
                connection.vault.borrow_mut().request_exits.insert(0, Exit::Shield(watch.clone().unbind()));
            }
        }
        Err(_) => drop(watch.call_method0(intern!(py, "rest"))?),
    }
    if has_left(connection)? {
        connection.left.set(true);
        if let Some(request) = connection.existing_request() {
            request.setattr(interned::is_disconnected(py), true)?;
        }
    }
    Ok(())
}

/// Waits for a worker thread. It cannot be interrupted, so the request is cancelled when it has ended.
///
/// *When cancelled here*: by the client's leaving not at all; otherwise as any wait.
pub async fn in_thread<T>(connection: &Connection, work: impl Future<Output = PyResult<T>>) -> PyResult<T> {
    occupy(connection, true)?;
    let done = work.await;
    occupy(connection, false)?;
    if done.is_ok() && has_left(connection)? {
        insist(connection)?;
        let checkpoint = imports::checkpoint(connection.py())?.call0()?;
        wait(connection.channel(), checkpoint).await?;
    }
    done
}

/// The exception for a request whose client has left.
pub fn client_disconnect(connection: &Connection) -> PyResult<PyErr> {
    Ok(PyErr::from_value(imports::client_disconnect(connection.py())?.call0()?))
}

/// Makes the watch the one from whom messages are had.
fn install(connection: &Connection, watch: Bound<'_, PyAny>) -> PyResult<()> {
    let py = connection.py();
    connection.set_watch(watch);
    if let Some(request) = connection.existing_request() {
        request.setattr(intern!(py, "_receive"), connection.receive())?;
    }
    Ok(())
}

/// The request waits for the first time.
fn begin(connection: &Connection) -> PyResult<()> {
    let py = connection.py();
    if connection.watch().is_none() {
        let watch = Bound::new(py, DisconnectWatch::new(connection.receive().clone()))?;
        install(connection, watch.into_any())?;
    }
    let Some(watch) = connection.watch() else { return Ok(()) };
    match watch.cast::<DisconnectWatch>() {
        Ok(watch) => DisconnectWatch::begin(watch, connection.occupied.get())?,
        Err(_) => drop(watch.call_method1(intern!(py, "begin"), (connection.occupied.get(),))?),
    }
    connection.on_wait.set(Some(go_on));
    Ok(())
}

/// The request waits again: if something kept it from being cancelled, it is cancelled now.
fn go_on(connection: &Connection) -> PyResult<()> {
    insist(connection)?;
    connection.on_wait.set(Some(go_on));
    Ok(())
}

/// The request has ended: nobody is to listen any more.
fn end(connection: &Connection) -> PyResult<()> {
    let Some(watch) = connection.watch() else { return Ok(()) };
    match watch.cast::<DisconnectWatch>() {
        Ok(watch) => DisconnectWatch::close(watch),
        Err(_) => watch.call_method0(interned::close(connection.py())).map(drop),
    }
}

/// Cancels the request if the client has left and that was not done yet.
fn insist(connection: &Connection) -> PyResult<()> {
    let Some(watch) = connection.watch() else { return Ok(()) };
    match watch.cast::<DisconnectWatch>() {
        Ok(watch) => watch.get().insist(connection.py()),
        Err(_) => watch.call_method0(intern!(connection.py(), "insist")).map(drop),
    }
}

/// The request is (or is no longer) in a worker thread.
fn occupy(connection: &Connection, occupied: bool) -> PyResult<()> {
    connection.occupied.set(occupied);
    let Some(watch) = connection.watch() else { return Ok(()) };
    match watch.cast::<DisconnectWatch>() {
        Ok(watch) => {
            watch.get().occupied.0.set(occupied);
            Ok(())
        }
        Err(_) => watch.setattr(intern!(connection.py(), "occupied"), occupied),
    }
}

fn has_left(connection: &Connection) -> PyResult<bool> {
    let Some(watch) = connection.watch() else { return Ok(false) };
    match watch.cast::<DisconnectWatch>() {
        Ok(watch) => Ok(watch.get().left.0.get()),
        Err(_) => watch.getattr(intern!(connection.py(), "left"))?.is_truthy(),
    }
}
