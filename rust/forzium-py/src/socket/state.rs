//! How far one side of a WebSocket has come, and which messages that lets through.

use pyo3::exceptions::{PyKeyError, PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::{imports, interned};

/// `forzium.websockets.WebSocketState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Connecting,
    Connected,
    Disconnected,
    Response,
}

impl State {
    /// The state as Python's enumeration names it.
    pub fn member(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        imports::websocket_state(py)?.call1((self as u8,))
    }

    /// The state that a member of Python's enumeration stands for.
    ///
    /// Errors: `TypeError` for anything else.
    pub fn of(member: &Bound<'_, PyAny>) -> PyResult<Self> {
        let known = [Self::Connecting, Self::Connected, Self::Disconnected, Self::Response];
        if member.is_instance(imports::websocket_state(member.py())?)? {
            let value: usize = member.getattr("value")?.extract()?;
            if let Some(state) = known.get(value) {
                return Ok(*state);
            }
        }
        Err(PyTypeError::new_err(format!("expected a WebSocketState, but found {}", member.get_type().name()?)))
    }
}

/// A field that every message must have, as `message[name]` gives it.
#[inline]
pub fn required<'py>(message: &Bound<'py, PyAny>, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
    match message.cast_exact::<PyDict>() {
        Ok(fields) => fields.get_item(name)?.ok_or_else(|| PyKeyError::new_err(name.clone().unbind())),
        Err(_) => message.get_item(name),
    }
}

/// A field that a message may have, as `message.get(name)` gives it; a null counts as none.
#[inline]
pub fn optional<'py>(message: &Bound<'py, PyAny>, name: &Bound<'py, PyString>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let value = match message.cast_exact::<PyDict>() {
        Ok(fields) => fields.get_item(name)?,
        Err(_) => Some(message.call_method1(pyo3::intern!(message.py(), "get"), (name,))?),
    };
    Ok(value.filter(|value| !value.is_none()))
}

/// Whether a message's type is that text.
#[inline]
pub fn is(kind: &Bound<'_, PyAny>, text: &str) -> PyResult<bool> {
    match kind.cast_exact::<PyString>() {
        Ok(kind) => Ok(kind.to_str().is_ok_and(|kind| kind == text)),
        Err(_) => kind.eq(text),
    }
}

fn unexpected(expected: &str, kind: &Bound<'_, PyAny>) -> PyErr {
    match kind.repr() {
        Ok(kind) => PyRuntimeError::new_err(format!("Expected ASGI message {expected}, but got {kind}")),
        Err(error) => error,
    }
}

/// What the client's state becomes with a message that was received in `state`.
///
/// Errors: `RuntimeError` for a message that does not belong there.
#[inline]
pub fn after_receiving(state: State, message: &Bound<'_, PyAny>) -> PyResult<State> {
    let kind = required(message, interned::r#type(message.py()))?;
    if state == State::Connecting {
        if is(&kind, "websocket.connect")? {
            return Ok(State::Connected);
        }
        return Err(unexpected("\"websocket.connect\"", &kind));
    }
    if is(&kind, "websocket.receive")? {
        Ok(State::Connected)
    } else if is(&kind, "websocket.disconnect")? {
        Ok(State::Disconnected)
    } else {
        Err(unexpected("\"websocket.receive\" or \"websocket.disconnect\"", &kind))
    }
}

/// What the application's state becomes with a message that is to be sent in `state`; whether it closes.
///
/// Errors: `RuntimeError` for a message that does not belong there, `WebSocketDisconnected` where none does.
pub fn after_sending(state: State, message: &Bound<'_, PyAny>) -> PyResult<(State, bool)> {
    let py = message.py();
    if state == State::Disconnected {
        return Err(disconnected(py, "Cannot call \"send\" once a close message has been sent."));
    }
    let kind = required(message, interned::r#type(py))?;
    let closes = is(&kind, "websocket.close")?;
    match state {
        State::Connected if closes => Ok((State::Disconnected, true)),
        State::Connected if is(&kind, "websocket.send")? => Ok((State::Connected, false)),
        State::Connected => Err(unexpected("\"websocket.send\" or \"websocket.close\"", &kind)),
        State::Connecting if closes => Ok((State::Disconnected, true)),
        State::Connecting if is(&kind, "websocket.accept")? => Ok((State::Connected, false)),
        State::Connecting if is(&kind, "websocket.http.response.start")? => Ok((State::Response, false)),
        State::Connecting => {
            Err(unexpected("\"websocket.accept\", \"websocket.close\" or \"websocket.http.response.start\"", &kind))
        }
        _ if is(&kind, "websocket.http.response.body")? => {
            let more = match optional(message, interned::more_body(py))? {
                Some(more) => more.is_truthy()?,
                None => false,
            };
            Ok((if more { State::Response } else { State::Disconnected }, false))
        }
        _ => Err(unexpected("\"websocket.http.response.body\"", &kind)),
    }
}

/// `WebSocketDisconnected`, for a call that comes too late or too early.
pub fn disconnected(py: Python<'_>, text: &str) -> PyErr {
    imports::websocket_disconnected(py)
        .and_then(|class| class.call1((text,)))
        .map_or_else(|error| error, PyErr::from_value)
}
