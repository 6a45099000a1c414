//! The request body: read, told apart by its media type, and taken to pieces for the callables that want it.

use forzium_core::media_type;
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use super::form_fields::form_inputs;
use super::{Extracted, Raw, add_errors, finish, missing};
use crate::awaitable::{Held, apart, wait};
use crate::connection::Connection;
use crate::message::{Received, received};
use crate::plan::{BodyInput, Node};

/// Why a body could not be read.
pub enum BodyProblem {
    /// The client left before it was complete.
    Disconnected,
    /// The host sent what is no message of the protocol; the exception says which key is wrong.
    Malformed(PyErr),
}

/// Reads the whole body.
///
/// The bytes of a body that comes in one message are the host's own object: nothing is copied.
///
/// *When cancelled here*: what was read is dropped.
pub async fn read(connection: &Connection) -> PyResult<Result<Bound<'_, PyBytes>, BodyProblem>> {
    let py = connection.py();
    let mut pieces: Vec<Bound<'_, PyBytes>> = Vec::new();
    loop {
        let message = wait(connection.channel(), connection.receive().call0()?).await?;
        let message = match received(message.bind(py)) {
            Ok(message) => message,
            Err(error) => return Ok(Err(BodyProblem::Malformed(error))),
        };
        match message {
            Received::Disconnect => return Ok(Err(BodyProblem::Disconnected)),
            Received::Body(body, true) => pieces.extend(body),
            Received::Body(body, false) => {
                pieces.extend(body);
                break;
            }
        }
    }
    if pieces.len() == 1
        && let Some(only) = pieces.pop()
    {
        return Ok(Ok(only));
    }
    let length = pieces.iter().map(|piece| piece.as_bytes().len()).sum();
    let whole = PyBytes::new_with(py, length, |buffer| {
        let mut rest = buffer;
        for piece in &pieces {
            let (here, after) = rest.split_at_mut(piece.as_bytes().len());
            here.copy_from_slice(piece.as_bytes());
            rest = after;
        }
        Ok(())
    })?;
    Ok(Ok(whole))
}

/// Whether the body is to be read as JSON: by its media type, or, where that is not strict, without one.
pub fn is_json(connection: &Connection, strict: bool) -> PyResult<bool> {
    Ok(match connection.header_bytes(b"content-type", |value| (value.is_empty(), media_type::is_json(value)))? {
        None | Some((true, _)) => !strict,
        Some((false, json)) => json,
    })
}

/// Reads the body parameters of a node and appends their values to `arguments`.
pub async fn body_inputs<'c>(
    connection: &'c Connection,
    node: &Node,
    arguments: &mut Vec<Bound<'c, PyAny>>,
) -> PyResult<Extracted> {
    let py = connection.py();
    let Some(input) = &node.body else {
        return Ok(Extracted::Complete);
    };
    if let BodyInput::Form(fields, general) = input {
        return match form_inputs(connection, fields, arguments)? {
            Some(extracted) => Ok(extracted),
            None => apart(|| general_inputs(connection, node, general, arguments)).await,
        };
    }
    if let BodyInput::General(general) = input {
        return apart(|| general_inputs(connection, node, general, arguments)).await;
    }
    let body = connection.body()?;
    match input {
        BodyInput::Whole(field) => {
            let raw = body.map_or(Raw::Missing, Raw::Value);
            match finish(connection, field, raw, 0)? {
                Some(value) => arguments.push(value),
                None => return Ok(Extracted::Invalid),
            }
        }
        BodyInput::Keys(fields) => {
            let mut outcome = Extracted::Complete;
            for field in fields {
                let mut found = (Raw::Missing, 0);
                match &body {
                    None => {}
                    Some(body) if body.is_instance_of::<PyBytes>() => {}
                    Some(body) => match body.cast::<PyDict>() {
                        Ok(body) => {
                            for (index, alias) in field.aliases.iter().enumerate() {
                                if let Some(value) = body.get_item(alias.key.bind(py))? {
                                    found = (Raw::Value(value), index);
                                    break;
                                }
                            }
                        }
                        Err(_) => {
                            // Not an object: nothing in it has a name.
                            missing(connection, field, 0)?;
                            outcome = Extracted::Invalid;
                            continue;
                        }
                    },
                }
                match finish(connection, field, found.0, found.1)? {
                    Some(value) => arguments.push(value),
                    None => outcome = Extracted::Invalid,
                }
            }
            return Ok(outcome);
        }
        BodyInput::Form(..) | BodyInput::General(_) => {}
    }
    Ok(Extracted::Complete)
}

/// Asks the general Python function, which may have to wait for files.
async fn general_inputs<'c>(
    connection: &'c Connection,
    node: &Node,
    general: &Py<PyAny>,
    arguments: &mut Vec<Bound<'c, PyAny>>,
) -> PyResult<Extracted> {
    let py = connection.py();
    let waiting = general.bind(py).call1((connection.body()?,))?;
    let kept = connection.keep(PyList::new(py, arguments.drain(..))?.into_any());
    let found = wait(connection.channel(), waiting).await?;
    for argument in kept.get().try_iter()? {
        arguments.push(argument?);
    }
    let (values, errors) = found.bind(py).extract::<(Bound<'_, PyDict>, Bound<'_, PyAny>)>()?;
    if errors.is_truthy()? {
        add_errors(connection, &errors)?;
        return Ok(Extracted::Invalid);
    }
    let own = node.names.bind(py);
    for name in own.iter().skip(node.inputs.len()) {
        match values.get_item(&name)? {
            Some(value) => arguments.push(value),
            None => return Err(PyKeyError::new_err(name.unbind())),
        }
    }
    Ok(Extracted::Complete)
}
