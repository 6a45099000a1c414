//! Stage: from what the endpoint returned to status, headers and body.
//!
//! Who writes the body is decided here and nowhere else: a response model is validated and written by pydantic, straight to
//! bytes, unless the value keeps within its outline; anything else by the project's JSON codec; a response class of the
//! user's own renders itself.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::awaitable::{Held, wait};
use crate::connection::Connection;
use crate::disconnect::in_thread;
use crate::json::Rules;
use crate::plan::{Answer, Plan};
use crate::{imports, interned, json, message};

/// What is to be sent.
pub enum Outgoing {
    /// Written here; the background tasks are in the connection's vault.
    Written { status: u16, headers: Py<PyList>, body: Py<PyBytes> },
    /// A `Response`, in the connection's vault.
    Response,
}

/// Statuses whose responses have no content (RFC 9110, sections 15.2, 15.3.5, 15.3.6, 15.4.5).
pub fn allows_body(status: u16) -> bool {
    status >= 200 && !matches!(status, 204 | 205 | 304)
}

/// Turns the endpoint's value into what is to be sent.
///
/// Errors: `ResponseValidationError` where the value does not fit the response model.
pub async fn finish(connection: &Connection, plan: &Plan, value: Py<PyAny>) -> PyResult<Outgoing> {
    let py = connection.py();
    let answer = &plan.answer;
    let value = value.into_bound(py);
    if !is_plain_data(&value) && value.is_instance(imports::response(py)?)? {
        if let Some(tasks) = connection.vault.borrow().background.as_ref()
            && value.getattr(interned::background(py))?.is_none()
        {
            value.setattr(interned::background(py), tasks)?;
        }
        connection.vault.borrow_mut().outgoing = Some(value.unbind());
        return Ok(Outgoing::Response);
    }
    let certain = match &answer.outline {
        Some(outline) => json::dumps_outlined(py, &value, outline)?,
        None => None,
    };
    if let Some(body) = certain {
        return written(connection, answer, body);
    }
    let value = match &answer.validate {
        Some(validate) => validated(connection, plan, validate, value).await?,
        None => value,
    };
    if let Some(class) = &answer.class {
        let content = answer.content.bind(py).call1((value,))?;
        let response = imports::serialize_general(py)?.call1((
            class,
            content,
            status(connection, answer)?,
            connection.vault.borrow().background.as_ref(),
            connection.vault.borrow().response.as_ref(),
        ))?;
        connection.vault.borrow_mut().outgoing = Some(response.unbind());
        return Ok(Outgoing::Response);
    }
    let body = match &answer.to_json {
        Some((to_json, options)) => to_json.bind(py).call((value,), Some(options.bind(py)))?.cast_into::<PyBytes>()?,
        None => write_json(&value)?,
    };
    written(connection, answer, body)
}

/// What is to be sent with a body that was written here.
fn written(connection: &Connection, answer: &Answer, body: Bound<'_, PyBytes>) -> PyResult<Outgoing> {
    let py = connection.py();
    let status = status(connection, answer)?.unwrap_or(200);
    let (headers, body) = if allows_body(status) {
        (message::content_headers(py, body.as_bytes().len(), message::json_content_type(py)?)?, body)
    } else {
        (bodiless_headers(py)?, PyBytes::new(py, b""))
    };
    if let Some(injected) = &connection.vault.borrow().response {
        let extra = injected.bind(py).getattr(interned::headers(py))?.getattr(interned::raw(py))?;
        message::check_headers(&extra)?;
        for header in extra.try_iter()? {
            let header = header?;
            // The length is that of the body, whatever was set.
            if !header.get_item(0)?.eq(message::content_length_name(py))? {
                headers.append(header)?;
            }
        }
    }
    Ok(Outgoing::Written { status, headers: headers.unbind(), body: body.unbind() })
}

/// Whether a value is of a class of Python's own that is returned all the time, and so no response for certain.
fn is_plain_data(value: &Bound<'_, PyAny>) -> bool {
    value.is_exact_instance_of::<PyDict>() || value.is_exact_instance_of::<PyList>() || value.is_none()
}

fn bodiless_headers(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    PyList::new(py, [message::json_content_type(py)?])
}

/// Writes any value as JSON, by FastAPI's `jsonable_encoder` and the project's codec.
///
/// A number that is not finite is written as `null`, as pydantic does, and a lone surrogate is escaped: a client that
/// sends one and gets it back must not cause a 500.
pub fn write_json<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let py = value.py();
    match json::dumps(py, value, Rules::Jsonable { encoder: imports::json_part(py)? }) {
        Ok(body) => Ok(body.into_bound(py)),
        Err(error) if error.is_instance_of::<PyValueError>(py) => {
            // As a value alone it would not have its traceback, before Python 3.12.
            Ok(imports::json_leniently(py)?.call1((value, error.into_value(py)))?.cast_into::<PyBytes>()?)
        }
        Err(error) => Err(error),
    }
}

/// The status: what was set on the injected response, else the route's.
fn status(connection: &Connection, answer: &Answer) -> PyResult<Option<u16>> {
    let py = connection.py();
    if let Some(injected) = &connection.vault.borrow().response {
        let set = injected.bind(py).getattr(interned::status_code(py))?;
        if set.is_truthy()? {
            return message::status(&set).map(Some);
        }
    }
    Ok(answer.status)
}

async fn validated<'c>(
    connection: &'c Connection,
    plan: &Plan,
    validate: &Py<PyAny>,
    mut value: Bound<'c, PyAny>,
) -> PyResult<Bound<'c, PyAny>> {
    let py = connection.py();
    let validate = validate.bind(py);
    let result = if plan.answer.threaded {
        let waiting = imports::validate_in_thread(py)?.call1((validate, &value))?;
        let kept = connection.keep(value);
        let result = in_thread(connection, wait(connection.channel(), waiting)).await.map(|value| value.into_bound(py));
        value = kept.get();
        result
    } else {
        let options = PyDict::new(py);
        options.set_item(interned::from_attributes(py), true)?;
        validate.call((&value,), Some(&options))
    };
    match result {
        Ok(value) => Ok(value),
        Err(error) if error.value(py).is_instance(imports::validation_error(py)?)? => {
            let invalid = imports::response_invalid(py)?.call1((error.value(py), value, context(connection, plan)?))?;
            Err(PyErr::from_value(invalid))
        }
        Err(error) => Err(error),
    }
}

/// Where the endpoint stands, for error messages.
pub fn context<'c>(connection: &'c Connection, plan: &Plan) -> PyResult<Bound<'c, PyAny>> {
    plan.context.bind(connection.py()).call1((connection.scope(),))
}
