//! The fields of a form that Rust has read, taken for the callables that want them.
//!
//! A text is converted as in the query string: in Rust only where the result is certain to be pydantic's own.
//!
//! Source: FastAPI, `dependencies.utils.request_body_to_args`.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

use super::{Extracted, Raw, finish};
use crate::connection::Connection;
use crate::plan::{FormField, FormModel, FormSource, Reads};

/// Reads the parameters of a form for one callable and appends their values to `arguments`.
///
/// Returns none where that is for the general Python function: there is no form that was read here, or files have to be
/// read from the disk.
pub fn form_inputs<'c>(
    connection: &'c Connection,
    fields: &[FormField],
    arguments: &mut Vec<Bound<'c, PyAny>>,
) -> PyResult<Option<Extracted>> {
    let Some(form) = Fields::of(connection)? else {
        return Ok(None);
    };
    if fields.iter().any(FormField::reads_files) && form.has_files_on_disk()? {
        return Ok(None);
    }
    let mut outcome = Extracted::Complete;
    for FormField { field, source, model } in fields {
        let (raw, alias) = match model {
            Some(model) => (model_value(&form, model)?, 0),
            None => match form.find(source)? {
                Some((value, alias)) => (Raw::Value(value), alias),
                None => (Raw::Missing, 0),
            },
        };
        match finish(connection, field, raw, alias)? {
            Some(value) => arguments.push(value),
            None => outcome = Extracted::Invalid,
        }
    }
    Ok(Some(outcome))
}

/// A form by the names of its fields.
struct Fields<'py> {
    items: Vec<(Bound<'py, PyString>, Bound<'py, PyAny>)>,
    /// The last value of each name.
    last: Bound<'py, PyDict>,
}

impl<'py> Fields<'py> {
    fn of(connection: &'py Connection) -> PyResult<Option<Self>> {
        let py = connection.py();
        let items: Vec<_> = match &connection.vault.borrow().form {
            None => return Ok(None),
            Some(form) => {
                form.items.iter().map(|(name, value)| (name.bind(py).clone(), value.bind(py).clone())).collect()
            }
        };
        let last = PyDict::new(py);
        for (name, value) in &items {
            last.set_item(name, value)?;
        }
        Ok(Some(Self { items, last }))
    }

    fn has_files_on_disk(&self) -> PyResult<bool> {
        for (name, value) in &self.items {
            if !is_text(value) && !value.getattr(pyo3::intern!(name.py(), "_in_memory"))?.is_truthy()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The value of a field, and under which of its names it came. An empty text and an empty file input are none.
    fn find(&self, source: &FormSource) -> PyResult<Option<(Bound<'py, PyAny>, usize)>> {
        for (index, name) in source.names.iter().enumerate() {
            let Some(last) = self.last.get_item(name)? else { continue };
            let value = if source.sequence {
                let values = PyList::empty(last.py());
                for (found, value) in &self.items {
                    if found.as_any().eq(name)? && !is_empty_file(value)? {
                        values.append(value)?;
                    }
                }
                if values.is_empty() {
                    continue;
                }
                values.into_any()
            } else {
                let nothing = match last.cast_exact::<PyString>() {
                    Ok(text) => text.len()? == 0,
                    Err(_) => is_empty_file(&last)?,
                };
                if nothing {
                    continue;
                }
                last
            };
            return Ok(Some((content_of(source, value)?, index)));
        }
        Ok(None)
    }
}

pub fn is_text(value: &Bound<'_, PyAny>) -> bool {
    value.is_exact_instance_of::<PyString>()
}

/// Whether it is what a browser sends for a file input without a file.
fn is_empty_file(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = value.py();
    Ok(!is_text(value)
        && value.getattr(pyo3::intern!(py, "filename"))?.eq("")?
        && value.getattr(pyo3::intern!(py, "size"))?.eq(0)?)
}

/// The value, or the bytes of its files where those are declared.
fn content_of<'py>(source: &FormSource, value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    match &source.reads {
        Reads::Nothing => Ok(value),
        Reads::File => bytes_of(value),
        Reads::Files(collect) => {
            let Ok(values) = value.cast::<PyList>() else {
                return Ok(value);
            };
            let contents = values.iter().map(bytes_of).collect::<PyResult<Vec<_>>>()?;
            collect.bind(value.py()).call1((PyList::new(value.py(), contents)?,))
        }
    }
}

/// The bytes of a file in memory, which then stands where it stood; a text is left as it is.
fn bytes_of(value: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    if is_text(&value) {
        return Ok(value);
    }
    let py = value.py();
    let file = value.getattr(pyo3::intern!(py, "file"))?;
    let position = file.call_method0(pyo3::intern!(py, "tell"))?;
    let content = file.call_method0(pyo3::intern!(py, "read"));
    file.call_method1(pyo3::intern!(py, "seek"), (position,))?;
    content
}

/// What a form has for a model: a dict by the names of its fields, with all that is none of them.
fn model_value<'py>(form: &Fields<'py>, model: &FormModel) -> PyResult<Raw<'py>> {
    let py = form.last.py();
    if model.optional && (form.items.is_empty() || !model.extras_count) {
        let mut names = model.members.iter().flat_map(|member| &member.names);
        if !names.any(|name| form.last.contains(name).unwrap_or(false)) {
            return Ok(Raw::Missing);
        }
    }
    let collected = PyDict::new(py);
    let asked = PyDict::new(py);
    for member in &model.members {
        let value = form.find(member)?;
        // Names after the one that was found stay free for others.
        let tried = value.as_ref().map_or(member.names.len(), |(_, index)| index + 1);
        for name in &member.names[..tried] {
            asked.set_item(name, py.None())?;
        }
        if let Some((value, index)) = value
            && let Some(name) = member.names.get(index)
        {
            collected.set_item(name, value)?;
        }
    }
    let extras = PyDict::new(py);
    for (name, value) in &form.items {
        if asked.contains(name)? {
            continue;
        }
        match extras.get_item(name)? {
            Some(values) => values.cast_into::<PyList>()?.append(value)?,
            None => extras.set_item(name, PyList::new(py, [value])?)?,
        }
    }
    for (name, values) in extras.iter() {
        let values = values.cast_into::<PyList>()?;
        match values.len() {
            1 => collected.set_item(name, values.get_item(0)?)?,
            _ => collected.set_item(name, values)?,
        }
    }
    Ok(Raw::Value(collected.into_any()))
}
