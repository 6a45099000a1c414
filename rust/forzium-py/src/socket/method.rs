//! What stands in the class `WebSocket` for a coroutine function or an asynchronous generator function: called, it gives
//! an [`Exchange`] or [`Frames`] and runs no Python code.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::Socket;
use super::exchange::Exchange;
use super::frames::Frames;
use super::what::What;
use crate::method::{Given, Method};

/// The functions that [`native`] knows, with the names of their parameters.
const METHODS: [(What, &[&str]); 13] = [
    (What::Receive, &[]),
    (What::Send, &["message"]),
    (What::Accept, &["subprotocol", "headers"]),
    (What::ReceiveText, &[]),
    (What::ReceiveBytes, &[]),
    (What::ReceiveJson, &["mode"]),
    (What::SendText, &["data"]),
    (What::SendBytes, &["data"]),
    (What::SendJson, &["data", "mode"]),
    (What::Close, &["code", "reason"]),
    (What::IterText, &[]),
    (What::IterBytes, &[]),
    (What::IterJson, &[]),
];

/// How many of the parameters have no default.
fn required(what: What) -> usize {
    usize::from(matches!(what, What::Send | What::SendText | What::SendBytes | What::SendJson))
}

/// Makes a method of `WebSocket` of the coroutine or generator function that declares it; its body is never run.
///
/// Raises `TypeError` for a name that is none of them.
#[pyfunction]
#[pyo3(signature = (function, /))]
pub fn native(function: Bound<'_, PyAny>) -> PyResult<Method> {
    let name: String = function.getattr("__name__")?.extract()?;
    match METHODS.iter().position(|(what, _)| what.name() == name) {
        Some(at) => Ok(Method::new(called, at as u8, function.unbind())),
        None => Err(PyTypeError::new_err(format!("expected a method of WebSocket, but found {name}"))),
    }
}

/// What an object found in a class does, if it is a method that was made here.
pub fn what_of(found: &Bound<'_, PyAny>) -> Option<What> {
    let method = found.cast_exact::<Method>().ok()?.get();
    let (what, _) = METHODS.get(usize::from(method.tag)).filter(|_| method.is(called, method.tag))?;
    Some(*what)
}

fn called<'py>(method: &Method, given: Given<'_, 'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = given.py;
    let Some((what, parameters)) = METHODS.get(usize::from(method.tag)) else { return Ok(None) };
    let Some(Arguments { socket, values: [first, second] }) = bound(*what, parameters, &given)? else {
        return Ok(None);
    };
    let (first, second) = (first.map(Bound::unbind), second.map(Bound::unbind));
    Ok(Some(match what.frame() {
        None => Exchange::begun(socket, *what, first, second, None)?.into_any(),
        Some(what) => Bound::new(py, Frames::new(socket.unbind(), what))?.into_any(),
    }))
}

/// The arguments of a call: the socket, then at most two.
struct Arguments<'py> {
    socket: Bound<'py, Socket>,
    values: [Option<Bound<'py, PyAny>>; 2],
}

/// Sorts out the arguments of a call; none where they do not fit.
fn bound<'py>(what: What, parameters: &[&str], given: &Given<'_, 'py>) -> PyResult<Option<Arguments<'py>>> {
    let Some((socket, positional)) = given.positional.split_first() else { return Ok(None) };
    if positional.len() > parameters.len() {
        return Ok(None);
    }
    let mut values = [None, None];
    for (value, object) in values.iter_mut().zip(positional) {
        *value = Some(object.clone());
    }
    for (name, object) in given.keywords() {
        let name = name.cast::<PyString>()?.to_str()?;
        let at = parameters.iter().position(|parameter| *parameter == name);
        match at.and_then(|at| values.get_mut(at)) {
            Some(value) if value.is_none() => *value = Some(object.clone()),
            _ => return Ok(None),
        }
    }
    if values.iter().take(required(what)).any(Option::is_none) {
        return Ok(None);
    }
    Ok(Some(Arguments { socket: socket.clone().cast_into()?, values }))
}
