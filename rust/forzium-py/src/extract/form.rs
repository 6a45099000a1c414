//! Forms: read while the body arrives, under their limits, and taken to pieces for the callables that want them.
//!
//! Urlencoded bodies are decoded here, multipart ones in `multipart`. The values are found as in the query string: a text
//! is converted in Rust only where the result is certain to be pydantic's own.
//!
//! Source: `starlette.formparsers`; FastAPI, `dependencies.utils.request_body_to_args`.

use std::cell::RefCell;

use forzium_core::multipart::Options;
use forzium_core::urlencoded::{self, Exceeded};
use pyo3::PyTraverseError;
use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

use super::multipart::Multipart;
use super::{BodyProblem, Extracted, Raw, finish};
use crate::awaitable::{Held, Shared, wait};
use crate::connection::{Connection, Form};
use crate::message::{Received, received};
use crate::plan::{FormField, FormModel, FormSource, Plan, Reads};
use crate::{imports, interned};

/// A field of a form: its name, and a text or an `UploadFile`.
pub type Item = (Py<PyString>, Py<PyAny>);

/// Files and, apart from them, fields that a form may hold.
///
/// Each costs an object of some hundred bytes, a file a spooled file as well; the number is Starlette's.
const MAX_ITEMS: f64 = 1000.0;
/// Bytes of a field that is no file: 1 MiB, as Starlette has it. Fields, unlike files, stay in memory.
const MAX_PART_SIZE: f64 = 1024.0 * 1024.0;

/// How many of something there may be.
pub struct Limit {
    number: f64,
    /// As it was given, for the message.
    given: Option<Py<PyAny>>,
}

/// Limits of a form.
pub struct Limits {
    pub files: Limit,
    pub fields: Limit,
    /// Bytes of a field that is no file.
    pub part_size: f64,
}

impl Limit {
    fn read(given: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self { number: given.extract()?, given: Some(given.clone().unbind()) })
    }

    pub fn allows(&self, count: usize) -> bool {
        // Nothing is greater than NaN, as in Python.
        (count as f64).partial_cmp(&self.number) != Some(std::cmp::Ordering::Greater)
    }
}

impl Limits {
    fn new(
        files: Option<&Bound<'_, PyAny>>,
        fields: Option<&Bound<'_, PyAny>>,
        part_size: Option<f64>,
    ) -> PyResult<Self> {
        let limit = |given: Option<&Bound<'_, PyAny>>| match given {
            Some(given) => Limit::read(given),
            None => Ok(Limit { number: MAX_ITEMS, given: None }),
        };
        Ok(Self { files: limit(files)?, fields: limit(fields)?, part_size: part_size.unwrap_or(MAX_PART_SIZE) })
    }

    /// Those of a route, over those of the routers around it.
    fn of(connection: &Connection, plan: &Plan) -> PyResult<Self> {
        let py = connection.py();
        let own = match connection.scope().get_item(interned::fastapi(py))? {
            Some(own) => own.cast_into::<PyDict>()?,
            None if plan.has_form_limits => PyDict::new(py),
            None => return Self::new(None, None, None),
        };
        let limits = imports::resolve_form_limits(py)?.call1((own, &plan.form_limits))?.cast_into::<PyDict>()?;
        let get = |key| limits.get_item(key);
        let part_size = get("max_part_size")?.map(|size| size.extract()).transpose()?;
        Self::new(get("max_files")?.as_ref(), get("max_fields")?.as_ref(), part_size)
    }
}

/// The exception for too many of something.
pub fn exceeded(py: Python<'_>, what: &str, limit: &Limit) -> PyErr {
    let number = match &limit.given {
        Some(given) => given.bind(py).str().map(|text| text.to_string()),
        None => Ok(limit.number.to_string()),
    };
    number
        .and_then(|number| {
            let message = format!("Too many {what}. Maximum number of {what} is {number}.");
            imports::multipart_exception(py)?.call1((message,))
        })
        .map_or_else(|error| error, PyErr::from_value)
}

/// A form while its body is read.
enum Reader {
    Urlencoded { reader: urlencoded::Reader, limits: Limits, items: Vec<Item> },
    Multipart(Box<Multipart>),
}

impl Reader {
    fn urlencoded(limits: Limits) -> Self {
        let reader =
            urlencoded::Reader::new(urlencoded::Limits { fields: limits.fields.number, field_size: limits.part_size });
        Self::Urlencoded { reader, limits, items: Vec::new() }
    }

    /// Takes the next chunk. Returns what a worker thread has to write before the next one, if anything.
    ///
    /// Errors: `MultiPartException` where the body is malformed or exceeds a limit.
    fn feed<'py>(&mut self, chunk: &Bound<'py, PyBytes>) -> PyResult<Option<Bound<'py, PyList>>> {
        let py = chunk.py();
        match self {
            Self::Multipart(multipart) => multipart.feed(chunk),
            Self::Urlencoded { reader, limits, items } => {
                let fed = reader.feed(chunk.as_bytes(), &mut |name, value| keep(py, items, name, value));
                fed.map_err(|problem| too_large(py, problem, limits))?;
                Ok(None)
            }
        }
    }

    /// Takes a body that comes in one chunk.
    ///
    /// Errors: as `feed`.
    fn whole<'py>(&mut self, body: &Bound<'py, PyBytes>) -> PyResult<Option<Bound<'py, PyList>>> {
        let py = body.py();
        match self {
            Self::Multipart(multipart) => multipart.feed(body),
            Self::Urlencoded { reader, limits, items } => {
                let fed = reader.whole(body.as_bytes(), &mut |name, value| keep(py, items, name, value));
                fed.map_err(|problem| too_large(py, problem, limits))?;
                Ok(None)
            }
        }
    }

    /// Gives the fields, the body being complete. The files are the caller's to close.
    ///
    /// Errors: as `feed`, and where the body has broken off.
    fn finish(&mut self, py: Python<'_>) -> PyResult<Vec<Item>> {
        match self {
            Self::Multipart(multipart) => multipart.finish(py),
            Self::Urlencoded { reader, limits, items } => {
                let ended = reader.end(&mut |name, value| keep(py, items, name, value));
                ended.map_err(|problem| too_large(py, problem, limits))?;
                Ok(std::mem::take(items))
            }
        }
    }
}

fn keep(py: Python<'_>, items: &mut Vec<Item>, name: &str, value: &str) {
    items.push((PyString::new(py, name).unbind(), PyString::new(py, value).into_any().unbind()));
}

fn too_large(py: Python<'_>, problem: Exceeded, limits: &Limits) -> PyErr {
    match problem {
        Exceeded::Fields => exceeded(py, "fields", &limits.fields),
        Exceeded::FieldSize => {
            let message = format!("Field exceeded maximum size of {}KB.", (limits.part_size / 1024.0) as i64);
            imports::multipart_exception(py)
                .and_then(|class| class.call1((message,)))
                .map_or_else(|error| error, PyErr::from_value)
        }
    }
}

/// Which form a media type says the body is.
pub enum FormKind {
    None,
    Urlencoded,
    /// With the media type, for its options.
    Multipart(Vec<u8>),
}

impl FormKind {
    pub fn of(content_type: &[u8]) -> Self {
        if content_type == b"application/x-www-form-urlencoded" {
            return Self::Urlencoded;
        }
        match Options::parse(content_type).value.as_slice() {
            b"application/x-www-form-urlencoded" => Self::Urlencoded,
            b"multipart/form-data" => Self::Multipart(content_type.to_vec()),
            _ => Self::None,
        }
    }
}

/// Reads the body as a form into the connection's vault. A body of another media type is an empty form, and not read.
///
/// Errors: `MultiPartException` where it is malformed or exceeds a limit.
///
/// *When cancelled here*: what was read is dropped, and its files are closed.
pub async fn read(connection: &Connection, plan: &Plan) -> PyResult<Result<(), BodyProblem>> {
    let py = connection.py();
    let kind = connection.header_bytes(b"content-type", FormKind::of)?.unwrap_or(FormKind::None);
    let mut reader = match kind {
        FormKind::None => {
            connection.vault.borrow_mut().form = Some(Form::default());
            return Ok(Ok(()));
        }
        FormKind::Urlencoded => Reader::urlencoded(Limits::of(connection, plan)?),
        FormKind::Multipart(content_type) => {
            let spool_size = imports::multipart_parser(py)?.getattr(pyo3::intern!(py, "spool_max_size"))?;
            Reader::Multipart(Box::new(Multipart::new(&content_type, Limits::of(connection, plan)?, spool_size)?))
        }
    };
    let mut first = true;
    loop {
        // Nothing that the reader holds leads back to the request: the collector need not see it.
        let message = wait(connection.channel(), connection.receive().call0()?).await?;
        let (chunk, more) = match received(message.bind(py)) {
            Ok(Received::Body(chunk, more)) => (chunk, more),
            Ok(Received::Disconnect) => return Ok(Err(BodyProblem::Disconnected)),
            Err(error) => return Ok(Err(BodyProblem::Malformed(error))),
        };
        if let Some(chunk) = chunk {
            let writes = if first && !more { reader.whole(&chunk)? } else { reader.feed(&chunk)? };
            if let Some(writes) = writes {
                wait(connection.channel(), imports::write_files(py)?.call1((writes,))?).await?;
            }
        }
        if !more {
            break;
        }
        first = false;
    }
    let items = reader.finish(py)?;
    let has_files = items.iter().any(|(_, value)| !is_text(value.bind(py)));
    connection.vault.borrow_mut().form = Some(Form { items, consumed: true });
    if has_files {
        let closing = connection.body()?.map(Bound::unbind);
        connection.vault.borrow_mut().closing = closing;
    }
    Ok(Ok(()))
}

/// Reads the parameters of a form for one callable and appends their values to `arguments`.
///
/// Returns none where that is for the general Python function: there is no form that was read here, or files have to be
/// read from the disk.
pub fn form_inputs<'c>(
    connection: &'c Connection,
    fields: &[FormField],
    arguments: &mut Vec<Bound<'c, PyAny>>,
) -> PyResult<Option<Extracted>> {
    let py = connection.py();
    let form: Vec<(Bound<'c, PyString>, Bound<'c, PyAny>)> = match &connection.vault.borrow().form {
        None => return Ok(None),
        Some(form) => form.items.iter().map(|(name, value)| (name.bind(py).clone(), value.bind(py).clone())).collect(),
    };
    if fields.iter().any(FormField::reads_files) {
        for (_, value) in &form {
            if !is_text(value) && !value.getattr(pyo3::intern!(py, "_in_memory"))?.is_truthy()? {
                return Ok(None);
            }
        }
    }
    let mut outcome = Extracted::Complete;
    for FormField { field, source, model } in fields {
        let (raw, alias) = match model {
            Some(model) => (model_value(&form, model, py)?, 0),
            None => match found(&form, source)? {
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

type Items<'py> = [(Bound<'py, PyString>, Bound<'py, PyAny>)];

fn is_text(value: &Bound<'_, PyAny>) -> bool {
    value.is_exact_instance_of::<PyString>()
}

/// Whether it is what a browser sends for a file input without a file.
fn is_empty_file(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = value.py();
    Ok(!is_text(value)
        && value.getattr(pyo3::intern!(py, "filename"))?.eq("")?
        && value.getattr(pyo3::intern!(py, "size"))?.eq(0)?)
}

/// The value of a field, and under which of its names it came. An empty text and an empty file input are none.
fn found<'py>(form: &Items<'py>, source: &FormSource) -> PyResult<Option<(Bound<'py, PyAny>, usize)>> {
    for (index, name) in source.names.iter().enumerate() {
        let py = match form.first() {
            Some((name, _)) => name.py(),
            None => return Ok(None),
        };
        let name = name.bind(py);
        if source.sequence {
            let values = PyList::empty(py);
            for (found, value) in form {
                if same(found, name)? && !is_empty_file(value)? {
                    values.append(value)?;
                }
            }
            if !values.is_empty() {
                return Ok(Some((content_of(source, values.into_any())?, index)));
            }
            continue;
        }
        for (found, value) in form.iter().rev() {
            if same(found, name)? {
                let nothing = match value.cast_exact::<PyString>() {
                    Ok(text) => text.len()? == 0,
                    Err(_) => is_empty_file(value)?,
                };
                if !nothing {
                    return Ok(Some((content_of(source, value.clone())?, index)));
                }
                break;
            }
        }
    }
    Ok(None)
}

fn same(one: &Bound<'_, PyString>, other: &Bound<'_, PyString>) -> PyResult<bool> {
    if one.is(other) { Ok(true) } else { one.as_any().eq(other) }
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
fn model_value<'py>(form: &Items<'py>, model: &FormModel, py: Python<'py>) -> PyResult<Raw<'py>> {
    if model.optional && (form.is_empty() || !model.extras_count) {
        let own = |name: &Bound<'_, PyString>| {
            model.members.iter().flat_map(|member| &member.names).any(|own| same(name, own.bind(py)).unwrap_or(false))
        };
        if !form.iter().any(|(name, _)| own(name)) {
            return Ok(Raw::Missing);
        }
    }
    let collected = PyDict::new(py);
    let asked = PyDict::new(py);
    for member in &model.members {
        let value = found(form, member)?;
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
    for (name, value) in form {
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

/// Reads a form that Python code feeds: what is under `forzium.formparsers`.
#[pyclass(module = "forzium._forzium", frozen)]
pub struct FormReader {
    reader: Shared<RefCell<Option<Reader>>>,
}

impl FormReader {
    fn new(reader: Reader) -> Self {
        Self { reader: Shared(RefCell::new(Some(reader))) }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Reader) -> PyResult<T>) -> PyResult<T> {
        let Ok(mut reader) = self.reader.0.try_borrow_mut() else {
            return Err(PyRuntimeError::new_err("form reader: it is being fed already"));
        };
        let Some(open) = reader.as_mut() else {
            return Err(PyRuntimeError::new_err("form reader: it is closed"));
        };
        work(open)
    }
}

#[pymethods]
impl FormReader {
    /// A reader of `application/x-www-form-urlencoded`.
    #[staticmethod]
    #[pyo3(signature = (*, max_fields, max_part_size))]
    fn urlencoded(max_fields: &Bound<'_, PyAny>, max_part_size: f64) -> PyResult<Self> {
        Ok(Self::new(Reader::urlencoded(Limits::new(None, Some(max_fields), Some(max_part_size))?)))
    }

    /// A reader of `multipart/form-data` with the boundary and charset of this media type.
    #[staticmethod]
    #[pyo3(signature = (content_type, *, max_files, max_fields, max_part_size, spool_max_size))]
    fn multipart(
        content_type: &str,
        max_files: &Bound<'_, PyAny>,
        max_fields: &Bound<'_, PyAny>,
        max_part_size: f64,
        spool_max_size: Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let limits = Limits::new(Some(max_files), Some(max_fields), Some(max_part_size))?;
        let content_type: Vec<u8> = content_type.chars().map(|char| u8::try_from(char).unwrap_or(b'?')).collect();
        Ok(Self::new(Reader::Multipart(Box::new(Multipart::new(&content_type, limits, spool_max_size)?))))
    }

    /// Takes the next chunk. Returns what `write_files` has to write before the next one, if anything.
    fn feed<'py>(&self, chunk: &Bound<'py, PyBytes>) -> PyResult<Option<Bound<'py, PyList>>> {
        self.with(|reader| reader.feed(chunk))
    }

    /// Gives the fields: pairs of names with texts or `UploadFile`s.
    fn finish(&self, py: Python<'_>) -> PyResult<Vec<Item>> {
        self.with(|reader| reader.finish(py))
    }

    /// Closes the files, unless the fields were given.
    fn close(&self) {
        let reader = self.reader.0.try_borrow_mut().ok().and_then(|mut reader| reader.take());
        drop(reader);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Ok(reader) = self.reader.0.try_borrow()
            && let Some(Reader::Multipart(multipart)) = reader.as_ref()
        {
            for object in multipart.objects() {
                visit.call(object)?;
            }
        }
        Ok(())
    }
}
