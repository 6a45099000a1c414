//! Writing: Python objects straight into the bytes that are sent.
//!
//! What is written is what
//! `json.dumps(obj, ensure_ascii=False, allow_nan=False, separators=(",", ":"))` gives, encoded as UTF-8; only the
//! spelling of floats is pydantic-core's (`1e-7` for `1e-07`). Errors are Python's types, and name the path to the value.
//!
//! After every value stands a comma; a container's end takes the place of the last one, and so does the document's.

mod dicts;
mod escape;
mod failed;
mod float;
mod lists;
mod others;
mod outlined;
mod output;
mod report;
mod scalars;

use std::mem::MaybeUninit;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use self::failed::Failed;
use self::output::{Cursor, Output, SMALL, Written};
use self::report::{Report, Wrong};
use self::scalars::Literal;
use super::outline::Outline;
use super::turns::Turns;

/// Items of a long container between two looks at the clock.
const STRETCH: ffi::Py_ssize_t = 256;

/// Containers within each other that are written here: as many as Python's own default limit allows. Each takes some
/// 250 bytes of the native stack, so all of them fit into the smallest that threads have (512 kB on macOS).
const MAX_DEPTH: usize = 1000;

/// What is done with objects that JSON has no form for.
#[derive(Clone, Copy)]
pub enum Rules<'a, 'py> {
    /// As `json.dumps`. `foreign(obj)`, if given, is asked first and returns JSON text as `bytes`, or `NotImplemented`;
    /// then `default(obj)`, if given, returns an object to write instead. Else `TypeError`.
    Plain { default: Option<&'a Bound<'py, PyAny>>, foreign: Option<&'a Bound<'py, PyAny>> },
    /// As [`Rules::Plain`], where `forzium.json` asks pydantic's serializer first: with a `default` hook for models and
    /// dataclasses, without one for anything.
    Pydantic { default: Option<&'a Bound<'py, PyAny>> },
    /// As FastAPI's `JSONResponse(jsonable_encoder(obj))`: objects of the exact builtin types are written here, keys
    /// that begin with `_sa` left out; any other is given to `encoder(obj)`, and what that returns is written plainly,
    /// `bytes` as the JSON text they are.
    Jsonable { encoder: &'a Bound<'py, PyAny> },
}

/// `obj` as JSON text.
///
/// # Errors
/// `TypeError` (no JSON form), `ValueError` (a float that is not finite, a cycle), `UnicodeEncodeError` (a lone
/// surrogate), `RecursionError` (nested too deeply), `RuntimeError` (changed by another thread meanwhile), and whatever
/// the hooks raise.
pub fn dumps<'py>(py: Python<'py>, obj: &Bound<'py, PyAny>, rules: Rules<'_, 'py>) -> PyResult<Py<PyBytes>> {
    let mut small = [MaybeUninit::uninit(); SMALL];
    let (output, cursor) = Output::bytes(&mut small);
    let mut open = [MaybeUninit::uninit(); MAX_DEPTH];
    let mut writing = Writing::new(py, output, &mut open, rules);
    let end = writing.document(cursor, obj).map_err(|failed| failed.take(py))?;
    Ok(writing.output.finish_bytes(py, end)?.unbind())
}

/// As [`dumps`], appended to `buffer`; after an error `buffer` is as it was.
///
/// # Errors
/// As [`dumps`].
pub fn dumps_into<'py>(
    py: Python<'py>,
    obj: &Bound<'py, PyAny>,
    rules: Rules<'_, 'py>,
    buffer: &mut Vec<u8>,
) -> PyResult<()> {
    let before = buffer.len();
    let (output, cursor) = Output::vec(buffer);
    let mut open = [MaybeUninit::uninit(); MAX_DEPTH];
    let mut writing = Writing::new(py, output, &mut open, rules);
    match writing.document(cursor, obj) {
        Ok(end) => {
            writing.output.finish_vec(end);
            Ok(())
        }
        Err(failed) => {
            drop(writing);
            buffer.truncate(before);
            Err(failed.take(py))
        }
    }
}

/// `obj` as the JSON text that its outline says; `None` where it does not keep within the outline, or something went wrong:
/// then nothing has happened, and no code of the user's has run.
#[inline(never)] // its room on the stack is not to be that of a request
pub fn dumps_outlined<'py>(
    py: Python<'py>,
    obj: &Bound<'py, PyAny>,
    outline: &Outline,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let mut small = [MaybeUninit::uninit(); SMALL];
    let (output, cursor) = Output::bytes(&mut small);
    let mut open = [MaybeUninit::uninit(); MAX_DEPTH];
    let mut writing = Writing::new(py, output, &mut open, Rules::Plain { default: None, foreign: None });
    // SAFETY: `obj` is a live object and stays borrowed for the call.
    match unsafe { writing.outlined::<false>(cursor, outline, outline.root, obj.as_ptr(), 0) } {
        Ok(end) => {
            let end = writing.output.without_comma(end);
            writing.output.finish_bytes(py, end).map(Some)
        }
        Err(Failed) => {
            drop(PyErr::take(py));
            Ok(None)
        }
    }
}

/// A string as JSON text between `before` and `after`, which stand there as they are; `None` where it has no form in UTF-8:
/// then nothing has happened.
#[inline(never)] // as above
pub fn dumps_text_in<'py, const N: usize>(
    py: Python<'py>,
    before: &[u8; N],
    text: &Bound<'py, PyString>,
    after: u8,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let mut small = [MaybeUninit::uninit(); SMALL];
    let (output, cursor) = Output::bytes(&mut small);
    let mut open = [MaybeUninit::uninit(); MAX_DEPTH];
    let mut writing = Writing::new(py, output, &mut open, Rules::Plain { default: None, foreign: None });
    // SAFETY: `text` is a live string and stays borrowed for the call.
    let written = writing
        .output
        .constant(cursor, before)
        .and_then(|cursor| unsafe { writing.string(cursor, text.as_ptr(), after, 0) });
    match written {
        Ok(end) => writing.output.finish_bytes(py, end).map(Some),
        Err(Failed) => {
            drop(PyErr::take(py));
            Ok(None)
        }
    }
}

/// The containers that are open, from the outermost inwards.
///
/// A container is kept alive by the one it is in, and the outermost by the caller, as long as nobody else can run. Taking
/// a reference to each would write to every object that is read; so references are taken ([`Writing::hold`]) only just
/// before others can run, and then to all that are open.
type Open = [MaybeUninit<*mut ffi::PyObject>; MAX_DEPTH];

struct Writing<'a, 'v, 'py> {
    py: Python<'py>,
    output: Output<'v>,
    turns: Turns,
    rules: Rules<'a, 'py>,
    /// Those at a depth below the current one are set.
    open: &'v mut Open,
    /// How many of them, counted from the outermost, are owned references.
    held: usize,
    /// Objects for which a hook gave another one, which is being written.
    replaced: Vec<*mut ffi::PyObject>,
    /// With `Failed`, either a report or a Python exception that is set.
    report: Option<Report>,
    /// Whether strings with lone surrogates are written as if they were empty: it is only looked what else is wrong.
    takes_surrogates: bool,
}

impl Drop for Writing<'_, '_, '_> {
    fn drop(&mut self) {
        self.release(0);
    }
}

impl<'a, 'v, 'py> Writing<'a, 'v, 'py> {
    fn new(py: Python<'py>, output: Output<'v>, open: &'v mut Open, rules: Rules<'a, 'py>) -> Self {
        Self {
            py,
            output,
            turns: Turns::writing(),
            rules,
            open,
            held: 0,
            replaced: Vec::new(),
            report: None,
            takes_surrogates: false,
        }
    }

    /// A container at `depth` is opened.
    #[inline(always)]
    fn enter(&mut self, depth: usize, object: *mut ffi::PyObject) {
        self.open[depth].write(object);
    }

    /// The container at `depth` was written.
    #[inline(always)]
    fn leave(&mut self, depth: usize) {
        if self.held > depth {
            self.release(depth);
        }
    }

    /// Takes references to the containers that are open above `depth`. To be called before Python code or another thread
    /// can run.
    #[cold]
    #[inline(never)]
    fn hold(&mut self, depth: usize) {
        while self.held < depth {
            // SAFETY: containers above `depth` are entered, and alive: nobody else has run since they were, or they are
            // held already.
            unsafe { ffi::Py_INCREF(self.open[self.held].assume_init()) };
            self.held += 1;
        }
    }

    /// Gives the references from `depth` on back.
    #[cold]
    #[inline(never)]
    fn release(&mut self, depth: usize) {
        while self.held > depth {
            self.held -= 1;
            // SAFETY: the reference was taken in `hold`, and is given back once.
            unsafe { ffi::Py_DECREF(self.open[self.held].assume_init()) };
        }
    }

    /// Counts values; now and then lets others run, while the containers above `depth` are held. True if they could.
    #[inline(always)]
    fn spend(&mut self, depth: usize, count: ffi::Py_ssize_t) -> bool {
        if self.turns.has(count as u32) { false } else { self.turn(depth) }
    }

    #[cold]
    #[inline(never)]
    fn turn(&mut self, depth: usize) -> bool {
        self.hold(depth);
        self.turns.look(self.py)
    }

    fn document(&mut self, cursor: Cursor, obj: &Bound<'py, PyAny>) -> Written {
        let begin = self.output.count(cursor);
        match self.whole(cursor, obj) {
            Ok(end) => Ok(self.output.without_comma(end)),
            Err(failed) => {
                let failed = self.first_of_all(begin, obj, failed);
                Err(self.explained(failed))
            }
        }
    }

    fn whole(&mut self, cursor: Cursor, obj: &Bound<'py, PyAny>) -> Written {
        // SAFETY: `obj` is a live object and stays borrowed for the call.
        unsafe {
            if matches!(self.rules, Rules::Jsonable { .. }) {
                self.value::<false>(cursor, obj.as_ptr(), 0)
            } else {
                self.value::<true>(cursor, obj.as_ptr(), 0)
            }
        }
    }

    /// The standard library makes a text of everything before it is encoded: another error comes before that of a lone
    /// surrogate, wherever it is. So what follows is looked at, too; unless there is a hook, which must not be asked twice.
    #[cold]
    fn first_of_all(&mut self, begin: usize, obj: &Bound<'py, PyAny>, failed: Failed) -> Failed {
        let hookless =
            matches!(self.rules, Rules::Plain { default: None, foreign: None } | Rules::Pydantic { default: None });
        if !hookless || !matches!(&self.report, Some(Report { wrong: Wrong::Surrogate(_), .. })) {
            return failed;
        }
        let surrogate = self.report.take();
        self.release(0);
        self.replaced.clear();
        self.takes_surrogates = true;
        let cursor = self.output.at(begin);
        if self.whole(cursor, obj).is_ok() {
            self.report = surrogate;
        }
        Failed
    }

    /// Writes any value, and a comma. `PLAIN`: whatever the rules say.
    ///
    /// # Safety
    /// `object` is alive until the next time Python code or another thread can run.
    #[inline(always)]
    unsafe fn value<const PLAIN: bool>(&mut self, cursor: Cursor, object: *mut ffi::PyObject, depth: usize) -> Written {
        // SAFETY: `object` is alive (contract), and each branch hands it on with the type it was just found to have.
        unsafe {
            let class = ffi::Py_TYPE(object);
            if class == &raw mut ffi::PyUnicode_Type {
                self.string(cursor, object, b',', depth)
            } else if class == &raw mut ffi::PyLong_Type {
                self.integer(cursor, object, b',')
            } else if class == &raw mut ffi::PyFloat_Type {
                self.float(cursor, ffi::PyFloat_AS_DOUBLE(object), b',')
            } else if class == &raw mut ffi::PyDict_Type {
                self.dict::<PLAIN>(cursor, object, depth)
            } else if class == &raw mut ffi::PyList_Type {
                self.list::<PLAIN>(cursor, object, depth)
            } else if let Some(literal) = Literal::of(object) {
                self.literal(cursor, literal)
            } else {
                self.other::<PLAIN>(cursor, object, depth)
            }
        }
    }
}
