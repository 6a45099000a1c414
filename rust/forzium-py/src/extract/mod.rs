//! Stage: from the request to the arguments of one callable, or to validation errors.
//!
//! A scalar is converted here only where the result is certain to be pydantic's own; everything else, and every
//! failure, goes to the pydantic validator, so that values and errors are pydantic's to the letter.

mod body;
mod convert;
mod form;
mod form_fields;
mod multipart;

use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyDict, PyList, PyTuple};

pub use body::{BodyProblem, body_inputs, is_json, read as read_body};
pub use form::{FormKind, FormReader, read as read_form};

use crate::connection::Connection;
use crate::plan::{Convert, Field, Input, Node, Plan, Source};
use crate::{imports, interned, tasks};

/// The value a request gives for a field.
enum Raw<'c> {
    Missing,
    Value(Bound<'c, PyAny>),
}

/// What extraction of one callable came to.
pub enum Extracted {
    Complete,
    /// Errors were added to the connection's.
    Invalid,
}

/// Reads every input of a node but its body and appends the values to `arguments`, in the order of the names.
pub fn inputs<'c>(
    connection: &'c Connection,
    node: &Node,
    arguments: &mut Vec<Bound<'c, PyAny>>,
) -> PyResult<Extracted> {
    let py = connection.py();
    let mut outcome = Extracted::Complete;
    for input in &node.inputs {
        let value = match input {
            Input::Slot(slot) => {
                let vault = connection.vault.borrow();
                match vault.values.get(*slot) {
                    Some(Some(value)) => value.bind(py).clone(),
                    // The dependency failed: the callable will not be called, only its own parameters are looked at.
                    _ => py.None().into_bound(py),
                }
            }
            Input::Field(field) => match field_value(connection, field)? {
                Some(value) => value,
                None => {
                    outcome = Extracted::Invalid;
                    continue;
                }
            },
            Input::Request => connection.request()?,
            Input::WebSocket => connection.websocket()?,
            Input::Response => injected_response(connection)?,
            Input::Background => background(connection)?,
            Input::Scopes(scopes) => imports::security_scopes(py)?.call1((scopes.bind(py),))?,
        };
        arguments.push(value);
    }
    Ok(outcome)
}

fn injected_response(connection: &Connection) -> PyResult<Bound<'_, PyAny>> {
    let py = connection.py();
    if let Some(response) = &connection.vault.borrow().response {
        return Ok(response.bind(py).clone());
    }
    let response = imports::injected_response(py)?.call0()?;
    connection.vault.borrow_mut().response = Some(response.clone().unbind());
    Ok(response)
}

fn background(connection: &Connection) -> PyResult<Bound<'_, PyAny>> {
    let py = connection.py();
    if let Some(tasks) = &connection.vault.borrow().background {
        return Ok(tasks.bind(py).clone());
    }
    let tasks = if connection.plan.held::<Plan>(py)?.background_always {
        imports::owed_tasks(py)?.call1((connection.scope(),))?
    } else {
        tasks::none_yet(py)?
    };
    connection.vault.borrow_mut().background = Some(tasks.clone().unbind());
    Ok(tasks)
}

/// The value of a parameter; none where errors were added.
fn field_value<'c>(connection: &'c Connection, field: &Field) -> PyResult<Option<Bound<'c, PyAny>>> {
    if let Convert::General(general) = &field.convert {
        return general_value(connection, general);
    }
    let (raw, alias) = raw_value(connection, field)?;
    finish(connection, field, raw, alias)
}

/// Validates a raw value found under an alias, or takes the default.
fn finish<'c>(
    connection: &'c Connection,
    field: &Field,
    raw: Raw<'c>,
    alias: usize,
) -> PyResult<Option<Bound<'c, PyAny>>> {
    let py = connection.py();
    let value = match raw {
        Raw::Value(value) => value,
        Raw::Missing => {
            if field.required {
                missing(connection, field, alias)?;
                return Ok(None);
            }
            if let Some(default) = &field.default {
                return Ok(Some(default.bind(py).clone()));
            }
            let value = match &field.make_default {
                Some(make) => make.bind(py).call0()?,
                None => py.None().into_bound(py),
            };
            if !field.validate_default {
                return Ok(Some(value));
            }
            value
        }
    };
    if let Some(converted) = convert::natively(&field.convert, &value)? {
        return Ok(Some(converted));
    }
    validated(connection, field, &value, alias)
}

/// Runs the pydantic validator.
fn validated<'c>(
    connection: &'c Connection,
    field: &Field,
    value: &Bound<'c, PyAny>,
    alias: usize,
) -> PyResult<Option<Bound<'c, PyAny>>> {
    let py = connection.py();
    match from_attributes(field.validate.bind(py), value) {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.value(py).is_instance(imports::validation_error(py)?)? => {
            if let Some(alias) = field.aliases.get(alias) {
                let errors = located(error.value(py).as_any(), alias.loc.bind(py))?;
                connection.vault.borrow_mut().errors.extend(errors);
            }
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// `validate(value, from_attributes=True)`.
pub fn from_attributes<'py>(validate: &Bound<'py, PyAny>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = validate.py();
    let options = {
        static CELL: pyo3::sync::PyOnceLock<Py<PyDict>> = pyo3::sync::PyOnceLock::new();
        CELL.get_or_try_init(py, || {
            let options = PyDict::new(py);
            options.set_item(interned::from_attributes(py), true)?;
            PyResult::Ok(options.unbind())
        })?
        .bind(py)
    };
    validate.call((value,), Some(options))
}

/// The errors of a `pydantic.ValidationError`, with `loc` put before their own location.
fn located(error: &Bound<'_, PyAny>, loc: &Bound<'_, PyTuple>) -> PyResult<Vec<Py<PyAny>>> {
    let py = error.py();
    let options = [("include_url", false)].into_py_dict(py)?;
    let errors = error.call_method(interned::errors(py), (), Some(&options))?;
    let mut found = Vec::new();
    for error in errors.try_iter()? {
        let error = error?.cast_into::<PyDict>()?;
        let name = pyo3::intern!(py, "loc");
        let whole = match error.get_item(name)? {
            Some(own) => loc.as_sequence().concat(own.cast_into::<PyTuple>()?.as_sequence())?.into_any(),
            None => loc.clone().into_any(),
        };
        error.set_item(name, whole)?;
        found.push(error.into_any().unbind());
    }
    Ok(found)
}

fn add_errors(connection: &Connection, errors: &Bound<'_, PyAny>) -> PyResult<()> {
    let mut found = Vec::new();
    for error in errors.try_iter()? {
        found.push(error?.unbind());
    }
    connection.vault.borrow_mut().errors.extend(found);
    Ok(())
}

/// Adds FastAPI's error for a required value that is not there.
fn missing(connection: &Connection, field: &Field, alias: usize) -> PyResult<()> {
    let py = connection.py();
    let error = PyDict::new(py);
    error.set_item(interned::r#type(py), pyo3::intern!(py, "missing"))?;
    error.set_item(pyo3::intern!(py, "loc"), field.aliases.get(alias).map(|alias| alias.loc.bind(py)))?;
    error.set_item(pyo3::intern!(py, "msg"), pyo3::intern!(py, "Field required"))?;
    error.set_item(pyo3::intern!(py, "input"), py.None())?;
    connection.vault.borrow_mut().errors.push(error.into_any().unbind());
    Ok(())
}

/// What the request has for a field, and under which of its names.
fn raw_value<'c>(connection: &'c Connection, field: &Field) -> PyResult<(Raw<'c>, usize)> {
    for (index, alias) in field.aliases.iter().enumerate() {
        if field.sequence && matches!(field.source, Source::Query | Source::Header) {
            let values: Option<Bound<'_, PyList>> = match (&field.source, &alias.header) {
                (Source::Query, _) => Some(connection.query_params(&alias.text)?),
                (_, Some(name)) => Some(connection.headers_all(name)?),
                (_, None) => None,
            };
            if let Some(values) = values
                && !values.is_empty()
            {
                return Ok((Raw::Value(values.into_any()), index));
            }
            continue;
        }
        let py = connection.py();
        let value = match field.source {
            Source::Path => connection.path_param(alias.key.bind(py))?,
            Source::Query => connection.query_param(&alias.text)?.map(Bound::into_any),
            Source::Header => match &alias.header {
                Some(name) => connection.header(name)?.map(Bound::into_any),
                None => None,
            },
            Source::Cookie => connection.cookie(&alias.text)?.map(Bound::into_any),
            Source::Body => None,
        };
        let Some(value) = value else { continue };
        // A sequence that comes as one empty value is as good as missing.
        if value.is_none() || (field.sequence && value.len().is_ok_and(|length| length == 0)) {
            continue;
        }
        return Ok((Raw::Value(value), index));
    }
    Ok((Raw::Missing, 0))
}

/// Asks the general Python function, which takes Starlette's mappings.
fn general_value<'c>(connection: &'c Connection, general: &Py<PyAny>) -> PyResult<Option<Bound<'c, PyAny>>> {
    let py = connection.py();
    let request = match connection.existing_request() {
        Some(request) => request,
        None if connection.websocket => connection.websocket()?,
        None => connection.request()?,
    };
    let (value, errors) = general.bind(py).call1((request,))?.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
    if errors.is_truthy()? {
        add_errors(connection, &errors)?;
        return Ok(None);
    }
    Ok(Some(value))
}
