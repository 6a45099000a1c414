//! Forms: [`multipart`], [`urlencoded`] and [`options`] take bytes, and panic where forzium-core and python-multipart,
//! which the embedded Python must have, differ.
//!
//! The first bytes of the input say where the rest is cut into chunks.

use std::sync::OnceLock;

use forzium_core::multipart::{Content, Invalid, Options, Parser, Sink};
use forzium_core::urlencoded;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

/// The judge: what Starlette makes of python-multipart's events.
const JUDGE: &std::ffi::CStr = c"
import logging
from urllib.parse import unquote_plus
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, QuerystringParser, parse_options_header

logging.disable()

def multipart(boundary, chunks):
    parts, name, value = [], bytearray(), bytearray()
    ended = False

    def begin():
        parts.append([[], bytearray(), False])

    def header():
        parts[-1][0].append((bytes(name), bytes(value)))
        name.clear()
        value.clear()

    def part_end():
        parts[-1][2] = True

    def end():
        nonlocal ended
        ended = True

    try:
        parser = MultipartParser(boundary, {
            'on_part_begin': begin,
            'on_part_data': lambda data, start, end: parts[-1][1].extend(data[start:end]),
            'on_part_end': part_end,
            'on_header_field': lambda data, start, end: name.extend(data[start:end]),
            'on_header_value': lambda data, start, end: value.extend(data[start:end]),
            'on_header_end': header,
            'on_end': end,
        })
        for chunk in chunks:
            parser.write(chunk)
    except FormParserError:
        return None
    begun = any(chunk.strip(b'\\r\\n') for chunk in chunks)
    return [(headers, bytes(content)) for headers, content, whole in parts if whole], ended or not begun

def urlencoded(chunks, most, size):
    fields, name, value = [], bytearray(), bytearray()

    def take(what, data, start, end):
        what.extend(data[start:end])
        if len(name) + len(value) > size:
            raise OverflowError('size')

    def end():
        if len(fields) == most:
            raise OverflowError('fields')
        fields.append(tuple(unquote_plus(each.decode('latin-1')) for each in (name, value)))

    def start():
        name.clear()
        value.clear()

    parser = QuerystringParser({
        'on_field_start': start,
        'on_field_name': lambda *piece: take(name, *piece),
        'on_field_data': lambda *piece: take(value, *piece),
        'on_field_end': end,
    })
    try:
        for chunk in chunks:
            parser.write(chunk)
        parser.finalize()
    except OverflowError as error:
        return str(error)
    return fields

def options(header):
    value, options = parse_options_header(header.decode('latin-1'))
    return [value, *(options.get(name) for name in (b'name', b'filename', b'charset', b'boundary'))]

def judge(what, mine, *arguments):
    theirs = globals()[what](*arguments)
    assert mine == theirs, (what, arguments, mine, theirs)
";

fn agree<'py>(py: Python<'py>, what: &str, mine: impl IntoPyObject<'py>, arguments: Vec<Bound<'py, PyAny>>) {
    static JUDGED: OnceLock<Py<PyAny>> = OnceLock::new();
    let judge = JUDGED.get_or_init(|| {
        let module = PyModule::from_code(py, JUDGE, c"judge_forms.py", c"judge_forms");
        let module = module.expect("python-multipart is installed: PYTHONPATH may say where");
        module.getattr("judge").expect("the judge has the function").unbind()
    });
    let mine = mine.into_bound_py_any(py).expect("what was found can be shown to Python");
    let name = what.into_bound_py_any(py).expect("a text is a string");
    let arguments = pyo3::types::PyTuple::new(py, [vec![name, mine], arguments].concat()).expect("a tuple");
    if let Err(error) = judge.bind(py).call1(arguments) {
        error.print(py);
        panic!("forzium and python-multipart differ");
    }
}

/// Cuts the input into chunks: the first byte says how many cuts there are, the next ones where.
fn chunks(input: &[u8]) -> Vec<&[u8]> {
    let count = usize::from(input.first().copied().unwrap_or(0) % 5);
    let (places, body) = input.get(1..).unwrap_or_default().split_at_checked(count).unwrap_or_default();
    let mut places: Vec<usize> = places.iter().map(|place| usize::from(*place).min(body.len())).collect();
    places.extend([0, body.len()]);
    places.sort_unstable();
    places.windows(2).map(|ends| &body[ends[0]..ends[1]]).collect()
}

fn listed<'py>(py: Python<'py>, chunks: &[&[u8]]) -> Bound<'py, PyAny> {
    PyList::new(py, chunks.iter().map(|chunk| PyBytes::new(py, chunk))).expect("a list of bytes").into_any()
}

type Headers = Vec<(Vec<u8>, Vec<u8>)>;

#[derive(Default)]
struct Parts<'a> {
    chunk: &'a [u8],
    headers: Headers,
    content: Vec<u8>,
    found: Vec<(Headers, Vec<u8>)>,
}

impl Sink for Parts<'_> {
    type Error = Invalid;

    fn header(&mut self, name: &[u8], value: &[u8]) -> Result<(), Invalid> {
        self.headers.push((name.to_vec(), value.to_vec()));
        Ok(())
    }

    fn headers_end(&mut self) -> Result<(), Invalid> {
        Ok(())
    }

    fn content(&mut self, content: Content<'_>) -> Result<(), Invalid> {
        self.content.extend_from_slice(match content {
            Content::Chunk(range) => &self.chunk[range],
            Content::Held(bytes) => bytes,
        });
        Ok(())
    }

    fn part_end(&mut self) -> Result<(), Invalid> {
        self.found.push((std::mem::take(&mut self.headers), std::mem::take(&mut self.content)));
        Ok(())
    }
}

fn parsed(boundary: &[u8], chunks: &[&[u8]]) -> Result<(Vec<(Headers, Vec<u8>)>, bool), Invalid> {
    let mut parser = Parser::new(boundary)?;
    let mut parts = Parts::default();
    for chunk in chunks {
        let found = std::mem::take(&mut parts);
        let mut here = Parts { chunk, ..found };
        parser.feed(chunk, &mut here)?;
        parts = here;
    }
    Ok((parts.found, parser.may_end()))
}

/// Parses a multipart body with the boundary `B`.
pub fn multipart(input: &[u8]) {
    let chunks = chunks(input);
    Python::attach(|py| {
        let bytes = |bytes: &[u8]| PyBytes::new(py, bytes);
        let mine = parsed(b"B", &chunks).ok().map(|(parts, ended)| {
            let parts = parts.into_iter().map(|(headers, content)| {
                let headers = headers.iter().map(|(name, value)| (bytes(name), bytes(value))).collect::<Vec<_>>();
                (headers, bytes(&content))
            });
            (parts.collect::<Vec<_>>(), ended)
        });
        agree(py, "multipart", mine, vec![bytes(b"B").into_any(), listed(py, &chunks)]);
    });
}

/// Reads an urlencoded form under limits, which the first two bytes give.
pub fn urlencoded(input: &[u8]) {
    let (limits, rest) = input.split_at_checked(2).unwrap_or((&[3, 9], input));
    let (most, size) = (limits[0] % 16, limits[1] % 64);
    let chunks = chunks(rest);
    let limits = urlencoded::Limits { fields: f64::from(most), field_size: f64::from(size) };
    let read = |whole: bool| {
        let mut found: Vec<(String, String)> = Vec::new();
        let mut each = |name: &str, value: &str| found.push((name.to_owned(), value.to_owned()));
        let mut reader = urlencoded::Reader::new(limits);
        if whole {
            reader.whole(chunks[0], &mut each)?;
        } else {
            chunks.iter().try_for_each(|chunk| reader.feed(chunk, &mut each))?;
            reader.end(&mut each)?;
        }
        Ok::<_, urlencoded::Exceeded>(found)
    };
    let mine = read(false);
    if chunks.len() == 1 {
        assert_eq!(read(true), mine, "in one piece and by chunks");
    }
    Python::attach(|py| {
        let mine = match mine {
            Ok(found) => found.into_bound_py_any(py),
            Err(urlencoded::Exceeded::Fields) => "fields".into_bound_py_any(py),
            Err(urlencoded::Exceeded::FieldSize) => "size".into_bound_py_any(py),
        };
        let limit = |limit: u8| limit.into_bound_py_any(py).expect("a number");
        agree(py, "urlencoded", mine.expect("texts"), vec![listed(py, &chunks), limit(most), limit(size)]);
    });
}

/// Reads a header with options. Letters outside of ASCII, whose case Python minds, are none of them.
pub fn options(header: &[u8]) {
    let header = header.to_ascii_lowercase();
    let header: Vec<u8> =
        header.into_iter().map(|byte| if (0xC0..0xDF).contains(&byte) { byte | 0x20 } else { byte }).collect();
    Python::attach(|py| {
        let found = Options::parse(&header);
        let get = |name: &[u8]| found.get(name).map(|value| PyBytes::new(py, value));
        let mine = vec![
            Some(PyBytes::new(py, &found.value)),
            get(b"name"),
            get(b"filename"),
            get(b"charset"),
            get(b"boundary"),
        ];
        agree(py, "options", mine, vec![PyBytes::new(py, &header).into_any()]);
    });
}
