//! Multipart bodies: the parts become texts and uploaded files while the body is read.
//!
//! The bytes of a file are copied once. A small one is held as references to the chunks it came in, and put together when
//! it is complete; a large one goes to a file on the disk, in a worker thread, from the chunks themselves.
//!
//! Source: `starlette.formparsers.MultiPartParser`.

use std::ops::Range;

use forzium_core::multipart::{Content, Invalid, Options, Parser, Sink};
use pyo3::exceptions::{PyLookupError, PyUnicodeDecodeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyMemoryView, PySlice, PyString};

use super::form::{Item, Limits, exceeded};
use crate::connection::latin1;
use crate::imports;

/// Bytes of a file that are held before a worker thread is asked to write them.
///
/// A trip to a thread costs as much as writing 100 KiB does; more than this adds nothing but memory.
const HELD_SIZE: usize = 1024 * 1024;
/// Bytes of a piece that is worth a reference to its chunk; smaller ones are copied together.
///
/// A reference costs some fifty bytes beside the content, and keeps the whole chunk.
const SHARED_SIZE: usize = 1024;

/// A multipart body while it is read.
pub struct Multipart {
    parser: Parser,
    parts: Parts,
}

struct Parts {
    charset: Charset,
    limits: Limits,
    /// Bytes of a file that are kept in memory; none: all of them.
    spool_size: Option<i64>,
    spool_given: Py<PyAny>,
    files: usize,
    fields: usize,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    part: Part,
    items: Vec<Item>,
    /// What a worker thread has to write: `(file, pieces, whether it is complete)`.
    writes: Vec<Py<PyAny>>,
    /// Files to close, should anything fail.
    opened: Vec<Py<PyAny>>,
}

enum Part {
    None,
    Field { name: Py<PyString>, data: Vec<u8> },
    File(File),
}

struct File {
    name: Py<PyString>,
    filename: Py<PyString>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    size: usize,
    held: Held,
    /// The file on the disk, once it is too large for memory.
    spooled: Option<Py<PyAny>>,
}

/// How names and texts are decoded.
enum Charset {
    Utf8,
    Named(Py<PyString>),
}

/// Pieces of a file, in order.
#[derive(Default)]
struct Held {
    pieces: Vec<Piece>,
    size: usize,
}

enum Piece {
    Shared(Py<PyBytes>, Range<usize>),
    Own(Vec<u8>),
}

/// Why the parser was stopped.
enum Stopped {
    Invalid,
    Raised(PyErr),
}

impl From<Invalid> for Stopped {
    fn from(_: Invalid) -> Self {
        Self::Invalid
    }
}

impl From<PyErr> for Stopped {
    fn from(error: PyErr) -> Self {
        Self::Raised(error)
    }
}

fn refused(py: Python<'_>, message: &str) -> PyErr {
    imports::multipart_exception(py)
        .and_then(|class| class.call1((message,)))
        .map_or_else(|error| error, PyErr::from_value)
}

fn invalid(py: Python<'_>) -> PyErr {
    refused(py, "Invalid multipart data.")
}

impl Multipart {
    /// Reads the boundary and the charset out of the media type.
    ///
    /// Errors: `MultiPartException` where there is no boundary, or it is too long.
    pub fn new(content_type: &[u8], limits: Limits, spool_given: Bound<'_, PyAny>) -> PyResult<Self> {
        let py = spool_given.py();
        let options = Options::parse(content_type);
        let charset = Charset::of(py, options.get(b"charset"))?;
        let boundary = options.get(b"boundary").ok_or_else(|| refused(py, "Missing boundary in multipart."))?;
        let spool_size = spool_given.extract::<f64>()?;
        Ok(Self {
            parser: Parser::new(boundary).map_err(|_| invalid(py))?,
            parts: Parts {
                charset,
                limits,
                spool_size: (spool_size != 0.0).then_some(spool_size as i64),
                spool_given: spool_given.unbind(),
                files: 0,
                fields: 0,
                headers: Vec::new(),
                part: Part::None,
                items: Vec::new(),
                writes: Vec::new(),
                opened: Vec::new(),
            },
        })
    }

    /// Takes the next chunk. Returns what a worker thread has to write before the next one, if anything.
    ///
    /// Errors: `MultiPartException` where the body is malformed or exceeds a limit.
    pub fn feed<'py>(&mut self, chunk: &Bound<'py, PyBytes>) -> PyResult<Option<Bound<'py, PyList>>> {
        let py = chunk.py();
        match self.parser.feed(chunk.as_bytes(), &mut Feeding { parts: &mut self.parts, chunk }) {
            Ok(()) if self.parts.writes.is_empty() => Ok(None),
            Ok(()) => PyList::new(py, self.parts.writes.drain(..)).map(Some),
            Err(Stopped::Invalid) => Err(invalid(py)),
            Err(Stopped::Raised(error)) => Err(error),
        }
    }

    /// Gives the fields. The files are the caller's to close from here on.
    ///
    /// Errors: `MultiPartException` where the body ends before its last boundary.
    pub fn finish(&mut self, py: Python<'_>) -> PyResult<Vec<Item>> {
        if !self.parser.may_end() {
            return Err(invalid(py));
        }
        self.parts.opened.clear();
        Ok(std::mem::take(&mut self.parts.items))
    }

    /// What the collector has to know of.
    pub fn objects(&self) -> impl Iterator<Item = &Py<PyAny>> {
        self.parts.items.iter().map(|(_, value)| value).chain(&self.parts.writes).chain(&self.parts.opened)
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        if self.opened.is_empty() {
            return;
        }
        Python::attach(|py| {
            for file in self.opened.drain(..) {
                if let Err(error) = file.bind(py).call_method0(crate::interned::close(py)) {
                    error.write_unraisable(py, Some(file.bind(py)));
                }
            }
        });
    }
}

/// The parts, with the chunk that is being parsed.
struct Feeding<'a, 'py> {
    parts: &'a mut Parts,
    chunk: &'a Bound<'py, PyBytes>,
}

impl Sink for Feeding<'_, '_> {
    type Error = Stopped;

    fn header(&mut self, name: &[u8], value: &[u8]) -> Result<(), Stopped> {
        self.parts.headers.push((name.to_ascii_lowercase(), value.to_vec()));
        Ok(())
    }

    fn headers_end(&mut self) -> Result<(), Stopped> {
        Ok(self.parts.begin(self.chunk.py())?)
    }

    fn content(&mut self, content: Content<'_>) -> Result<(), Stopped> {
        let py = self.chunk.py();
        let size = match &content {
            Content::Chunk(range) => range.len(),
            Content::Held(bytes) => bytes.len(),
        };
        match &mut self.parts.part {
            Part::None => {}
            Part::Field { data, .. } => {
                if (data.len() + size) as f64 > self.parts.limits.part_size {
                    let kilobytes = (self.parts.limits.part_size / 1024.0) as i64;
                    return Err(refused(py, &format!("Part exceeded maximum size of {kilobytes}KB.")).into());
                }
                data.extend_from_slice(match content {
                    Content::Chunk(range) => &self.chunk.as_bytes()[range],
                    Content::Held(bytes) => bytes,
                });
            }
            Part::File(file) => {
                file.size += size;
                match content {
                    Content::Chunk(range) => file.held.push(self.chunk, range),
                    Content::Held(bytes) => file.held.push_bytes(bytes),
                }
                if file.spooled.is_none() && self.parts.spool_size.is_some_and(|limit| file.size as i64 > limit) {
                    let spooled = imports::spooled_file(py)?.call1((PyBytes::new(py, b""), &self.parts.spool_given))?;
                    self.parts.opened.push(spooled.clone().unbind());
                    file.spooled = Some(spooled.unbind());
                }
                if let Some(spooled) = &file.spooled
                    && file.held.size >= HELD_SIZE
                {
                    let pieces = std::mem::take(&mut file.held).buffers(py)?;
                    self.parts.writes.push((spooled, pieces, false).into_pyobject(py)?.into_any().unbind());
                }
            }
        }
        Ok(())
    }

    fn part_end(&mut self) -> Result<(), Stopped> {
        Ok(self.parts.end(self.chunk.py())?)
    }
}

impl Parts {
    /// Tells a file from a field, and counts it.
    fn begin(&mut self, py: Python<'_>) -> PyResult<()> {
        let headers = std::mem::take(&mut self.headers);
        let disposition = headers.iter().rev().find(|(name, _)| name == b"content-disposition");
        let options = disposition.map(|(_, value)| Options::parse(value)).unwrap_or_default();
        let Some(name) = options.get(b"name") else {
            return Err(refused(py, "The Content-Disposition header field \"name\" must be provided."));
        };
        let name = self.charset.decode(py, name)?.unbind();
        let Some(filename) = options.get(b"filename") else {
            self.fields += 1;
            self.part = Part::Field { name, data: Vec::new() };
            return match self.limits.fields.allows(self.fields) {
                true => Ok(()),
                false => Err(exceeded(py, "fields", &self.limits.fields)),
            };
        };
        self.files += 1;
        if !self.limits.files.allows(self.files) {
            return Err(exceeded(py, "files", &self.limits.files));
        }
        let filename = self.charset.decode(py, filename)?.unbind();
        self.part = Part::File(File { name, filename, headers, size: 0, held: Held::default(), spooled: None });
        Ok(())
    }

    /// Keeps a part that is complete.
    fn end(&mut self, py: Python<'_>) -> PyResult<()> {
        let item = match std::mem::replace(&mut self.part, Part::None) {
            Part::None => return Ok(()),
            Part::Field { name, data } => (name, self.charset.decode(py, &data)?.into_any().unbind()),
            Part::File(file) => {
                let spooled = match file.spooled {
                    Some(spooled) => {
                        let pieces = file.held.buffers(py)?;
                        self.writes.push((&spooled, pieces, true).into_pyobject(py)?.into_any().unbind());
                        spooled.into_bound(py)
                    }
                    None => {
                        let content = file.held.joined(py)?;
                        let spooled = imports::spooled_file(py)?.call1((content, &self.spool_given))?;
                        self.opened.push(spooled.clone().unbind());
                        spooled
                    }
                };
                let raw = PyList::empty(py);
                for (name, value) in &file.headers {
                    raw.append((PyBytes::new(py, name), PyBytes::new(py, value)))?;
                }
                let options = PyDict::new(py);
                options.set_item(pyo3::intern!(py, "size"), file.size)?;
                options.set_item(pyo3::intern!(py, "filename"), file.filename)?;
                let headers = imports::part_headers(py)?.call1((py.None(), raw))?;
                options.set_item(pyo3::intern!(py, "headers"), headers)?;
                (file.name, imports::upload_file(py)?.call((spooled,), Some(&options))?.unbind())
            }
        };
        self.items.push(item);
        Ok(())
    }
}

impl Charset {
    /// Errors: `ValueError` where the name cannot be that of a charset at all.
    fn of(py: Python<'_>, name: Option<&[u8]>) -> PyResult<Self> {
        let Some(name) = name else {
            return Ok(Self::Utf8);
        };
        let codec = imports::codec(py)?.call1((latin1(py, name),))?.cast_into::<PyString>()?;
        Ok(if codec.to_cow()? == "utf-8" { Self::Utf8 } else { Self::Named(codec.unbind()) })
    }

    /// Text in this charset, or, where it is none, in latin-1.
    fn decode<'py>(&self, py: Python<'py>, raw: &[u8]) -> PyResult<Bound<'py, PyString>> {
        match self {
            Self::Utf8 => Ok(std::str::from_utf8(raw).map_or_else(|_| latin1(py, raw), |text| PyString::new(py, text))),
            Self::Named(codec) => match PyBytes::new(py, raw).call_method1(pyo3::intern!(py, "decode"), (codec,)) {
                Ok(text) => Ok(text.cast_into()?),
                Err(error)
                    if error.is_instance_of::<PyUnicodeDecodeError>(py)
                        || error.is_instance_of::<PyLookupError>(py) =>
                {
                    Ok(latin1(py, raw))
                }
                Err(error) => Err(error),
            },
        }
    }
}

impl Held {
    fn push(&mut self, chunk: &Bound<'_, PyBytes>, range: Range<usize>) {
        if range.len() < SHARED_SIZE {
            self.push_bytes(&chunk.as_bytes()[range]);
            return;
        }
        self.size += range.len();
        self.pieces.push(Piece::Shared(chunk.clone().unbind(), range));
    }

    fn push_bytes(&mut self, bytes: &[u8]) {
        self.size += bytes.len();
        match self.pieces.last_mut() {
            Some(Piece::Own(own)) => own.extend_from_slice(bytes),
            _ => self.pieces.push(Piece::Own(bytes.to_vec())),
        }
    }

    /// All bytes in one object: the one copy that is made of them.
    fn joined<'py>(self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        PyBytes::new_with(py, self.size, |buffer| {
            let mut rest = buffer;
            for piece in &self.pieces {
                let bytes = match piece {
                    Piece::Shared(chunk, range) => &chunk.as_bytes(py)[range.clone()],
                    Piece::Own(own) => own,
                };
                let (here, after) = rest.split_at_mut(bytes.len());
                here.copy_from_slice(bytes);
                rest = after;
            }
            Ok(())
        })
    }

    /// The pieces as objects that a file can write.
    fn buffers<'py>(self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let buffers = PyList::empty(py);
        for piece in self.pieces {
            match piece {
                Piece::Shared(chunk, range) => {
                    let whole = PyMemoryView::from(chunk.bind(py).as_any())?;
                    buffers.append(whole.get_item(PySlice::new(py, range.start as isize, range.end as isize, 1))?)?;
                }
                Piece::Own(own) => buffers.append(PyBytes::new(py, &own))?,
            }
        }
        Ok(buffers)
    }
}
