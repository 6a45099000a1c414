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

/// Whether the first of the parameters has no default. The second always has one.
fn is_first_required(what: What) -> bool {
    matches!(what, What::Send | What::SendText | What::SendBytes | What::SendJson)
}

/// Makes a method of `WebSocket` of the coroutine or generator function that declares it; its body is never run.
///
/// Raises `TypeError` for a name that is none of them.
#[pyfunction]
#[pyo3(signature = (function, /))]
pub fn native(function: Bound<'_, PyAny>) -> PyResult<Method> {
    let name: String = function.getattr("__name__")?.extract()?;
    match METHODS.iter().position(|(what, _)| what.name() == name) {
        Some(at) => Ok(Method::new(called, at as u8, function.unbind()).without_attaching()),
        None => Err(PyTypeError::new_err(format!("expected a method of WebSocket, but found {name}"))),
    }
}

/// What an object found in a class does, if it is a method that was made here.
pub fn what_of(found: &Bound<'_, PyAny>) -> Option<What> {
    let method = found.cast_exact::<Method>().ok()?.get();
    let (what, _) = METHODS.get(usize::from(method.tag)).filter(|_| method.is(called, method.tag))?;
    Some(*what)
}

/// Begins a call; none where the arguments do not fit.
fn called<'py>(method: &Method, given: Given<'_, 'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Some((what, parameters)) = METHODS.get(usize::from(method.tag)) else { return Ok(None) };
    let Some((socket, positional)) = given.positional.split_first() else { return Ok(None) };
    let [mut first, mut second] = match positional {
        [] => [None, None],
        [first] => [Some(first), None],
        [first, second] => [Some(first), Some(second)],
        _ => return Ok(None),
    };
    if positional.len() > parameters.len() {
        return Ok(None);
    }
    if given.has_keywords() && !take_named(parameters, &given, [&mut first, &mut second])? {
        return Ok(None);
    }
    if first.is_none() && is_first_required(*what) {
        return Ok(None);
    }
    let socket = socket.cast::<Socket>()?.clone();
    match what.frame() {
        None => Ok(Some(Exchange::begun(socket, *what, first.cloned(), second.cloned(), None)?.into_any())),
        Some(what) => Ok(Some(Bound::new(given.py, Frames::new(socket.unbind(), what))?.into_any())),
    }
}

/// Puts arguments given by name into their places; whether they fit.
#[cold]
fn take_named<'a, 'py>(
    parameters: &[&str],
    given: &Given<'a, 'py>,
    mut places: [&mut Option<&'a Bound<'py, PyAny>>; 2],
) -> PyResult<bool> {
    for (name, value) in given.keywords() {
        let name = name.cast::<PyString>()?.to_str()?;
        let at = parameters.iter().position(|parameter| *parameter == name);
        match at.and_then(|at| places.get_mut(at)) {
            Some(place) if place.is_none() => **place = Some(value),
            _ => return Ok(false),
        }
    }
    Ok(true)
}
