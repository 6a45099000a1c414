//! What is fuzzed, apart from who makes the input: [`loads`] takes a text, [`dumps`] a recipe for a value.
//!
//! Both panic where forzium and the standard library of the embedded Python differ. Forms are in [`forms`].

pub mod chance;
pub mod forms;

use std::sync::OnceLock;

use _forzium::json;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyFloat, PyList, PyString, PyTuple};

/// The judge: compares outcomes, values by their type, order and sign of zero (what `repr` shows).
const JUDGE: &std::ffi::CStr = c"
import json

def outcome(read, data):
    try:
        return ('value', repr(read(data)))
    except json.JSONDecodeError as error:
        return (type(error), error.msg, error.pos, error.lineno, error.colno)
    except (ValueError, RecursionError) as error:
        return (type(error), str(error) if not isinstance(error, RecursionError) else '')

def judge_loads(ours, data):
    mine, theirs = outcome(ours, data), outcome(json.loads, data)
    assert mine == theirs, (data, mine, theirs)

def judge_dumps(ours, value):
    try:
        theirs = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(',', ':')).encode()
    except (ValueError, TypeError, RecursionError) as error:
        theirs = type(error)
    try:
        mine = ours(value)
    except (ValueError, TypeError, RecursionError) as error:
        mine = type(error)
    if isinstance(mine, bytes) and isinstance(theirs, bytes):
        # Floats may be spelled in another way.
        assert repr(json.loads(mine)) == repr(json.loads(theirs)), (value, mine, theirs)
    else:
        assert mine == theirs, (value, mine, theirs)
";

#[pyfunction]
fn ours_loads<'py>(data: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyAny>> {
    json::loads(data)
}

#[pyfunction]
fn ours_dumps(value: &Bound<'_, PyAny>) -> PyResult<Py<PyBytes>> {
    let rules = json::Rules::Plain { default: None, foreign: None };
    let written = json::dumps(value.py(), value, rules);
    let mut appended = b"before".to_vec();
    let result = json::dumps_into(value.py(), value, rules, &mut appended);
    assert_eq!(written.is_ok(), result.is_ok());
    match &written {
        Ok(bytes) => assert_eq!(&appended[6..], bytes.as_bytes(value.py())),
        Err(_) => assert_eq!(appended, b"before"),
    }
    written
}

struct Tools {
    judge_loads: Py<PyAny>,
    judge_dumps: Py<PyAny>,
    ours_loads: Py<PyAny>,
    ours_dumps: Py<PyAny>,
}

fn tools(py: Python<'_>) -> &'static Tools {
    static TOOLS: OnceLock<Tools> = OnceLock::new();
    TOOLS.get_or_init(|| {
        let module = PyModule::from_code(py, JUDGE, c"judge.py", c"judge").expect("the judge is valid Python");
        let get = |name: &str| module.getattr(name).expect("the judge has both functions").unbind();
        Tools {
            judge_loads: get("judge_loads"),
            judge_dumps: get("judge_dumps"),
            ours_loads: wrap_pyfunction!(ours_loads, py).expect("a function can be wrapped").into_any().unbind(),
            ours_dumps: wrap_pyfunction!(ours_dumps, py).expect("a function can be wrapped").into_any().unbind(),
        }
    })
}

fn agree(py: Python<'_>, result: PyResult<Bound<'_, PyAny>>) {
    if let Err(error) = result {
        error.print(py);
        panic!("forzium and the standard library differ");
    }
}

/// Reads `data` both ways.
pub fn loads(data: &[u8]) {
    Python::attach(|py| {
        let tools = tools(py);
        let data = PyBytes::new(py, data);
        agree(py, tools.judge_loads.bind(py).call1((&tools.ours_loads, data)));
    });
}

/// Makes a value as the bytes of `recipe` say, and writes it both ways.
pub fn dumps(recipe: &[u8]) {
    Python::attach(|py| {
        let tools = tools(py);
        let mut bytes = recipe.iter().copied();
        if let Ok(value) = value(py, &mut bytes, 0) {
            agree(py, tools.judge_dumps.bind(py).call1((&tools.ours_dumps, value)));
        }
    });
}

type Bytes<'b> = std::iter::Copied<std::slice::Iter<'b, u8>>;

fn number(bytes: &mut Bytes<'_>) -> u64 {
    (0..8).fold(0, |number, _| number << 8 | u64::from(bytes.next().unwrap_or(0)))
}

fn text<'py>(py: Python<'py>, bytes: &mut Bytes<'_>) -> PyResult<Bound<'py, PyAny>> {
    let kind = bytes.next().unwrap_or(0);
    let length = usize::from(bytes.next().unwrap_or(0)) << if kind & 0x80 == 0 { 0 } else { 3 };
    let character = |byte: u8| match kind & 7 {
        0..=3 => u32::from(byte & 0x7F),
        4 => u32::from(byte),
        5 => u32::from(byte) * 257,
        6 => 0x1F600 + u32::from(byte),
        // Lone surrogates among them.
        _ => 0xD700 + u32::from(byte) * 2,
    };
    let codes: Vec<u32> = (0..length).map(|_| character(bytes.next().unwrap_or(b'x'))).collect();
    match codes.iter().map(|&code| char::from_u32(code)).collect::<Option<String>>() {
        Some(text) => Ok(PyString::new(py, &text).into_any()),
        None => {
            let utf32: Vec<u8> = codes.iter().flat_map(|code| code.to_le_bytes()).collect();
            PyBytes::new(py, &utf32).call_method1("decode", ("utf-32-le", "surrogatepass"))
        }
    }
}

fn value<'py>(py: Python<'py>, bytes: &mut Bytes<'_>, depth: usize) -> PyResult<Bound<'py, PyAny>> {
    let kind = bytes.next().unwrap_or(0);
    let count = usize::from(kind >> 4);
    Ok(match kind & 15 {
        0 => py.None().into_bound(py),
        1 => (kind & 16 != 0).into_pyobject(py)?.to_owned().into_any(),
        2 => (number(bytes) as i64 >> (kind >> 2)).into_pyobject(py)?.into_any(),
        3 => number(bytes).into_pyobject(py)?.into_any(),
        4 => number(bytes).into_pyobject(py)?.call_method1("__lshift__", (kind,))?,
        5 => PyFloat::new(py, f64::from_bits(number(bytes))).into_any(),
        6 => PyFloat::new(py, (number(bytes) as i64 >> 40) as f64 / 100.0).into_any(),
        7..=9 => text(py, bytes)?,
        _ if depth > 40 => py.None().into_bound(py),
        10 | 11 => {
            let items = (0..count).map(|_| value(py, bytes, depth + 1)).collect::<PyResult<Vec<_>>>()?;
            if kind & 1 == 0 { PyList::new(py, items)?.into_any() } else { PyTuple::new(py, items)?.into_any() }
        }
        12 => {
            // The same list many times: a shape that is no tree. Within each other only to a depth, or the text would never
            // end.
            let item = value(py, bytes, depth + 1)?;
            PyList::new(py, vec![item; if depth < 3 { count } else { 1 }])?.into_any()
        }
        _ => {
            let dict = PyDict::new(py);
            for _ in 0..count {
                let key = if kind & 1 == 0 { text(py, bytes)? } else { value(py, bytes, 41)? };
                dict.set_item(key, value(py, bytes, depth + 1)?)?;
            }
            dict.into_any()
        }
    })
}
