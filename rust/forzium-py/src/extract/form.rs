//! Forms, read while the body arrives and under their limits: urlencoded ones here, multipart ones in `multipart`.
//!
//! Not here: what becomes of the fields (`form_fields`).
//!
//! Source: `starlette.formparsers`.

use std::cell::RefCell;

use forzium_core::multipart::Options;
use forzium_core::urlencoded::{self, Exceeded};
use pyo3::PyTraverseError;
use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

use super::BodyProblem;
use super::form_fields::is_text;
use super::multipart::Multipart;
use crate::awaitable::{Held, Shared, wait};
use crate::connection::{Connection, Form};
use crate::message::{Received, received};
use crate::plan::Plan;
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
