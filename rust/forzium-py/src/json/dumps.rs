//! Writing: Python objects straight into the bytes that are sent.
//!
//! One loop with a stack of its own. What is written is what
//! `json.dumps(obj, ensure_ascii=False, allow_nan=False, separators=(",", ":"))` gives, encoded as UTF-8; only the
//! spelling of floats is pydantic-core's (`1e-7` for `1e-07`). Errors are Python's types, and name the path to the value.

use std::ffi::c_int;
use std::fmt::Write as _;
use std::ptr;

use pyo3::exceptions::{PyRecursionError, PyRuntimeError, PyTypeError, PyUnicodeEncodeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyNotImplemented, PyString, PyTuple};
use pyo3::ffi;
use sonic_rs::format::{CompactFormatter, Formatter};

use super::output::Output;
use super::turns::Turns;

/// Containers within each other that are written without a question. Deeper, a cycle is looked for.
const SHALLOW: usize = 256;

/// Longest piece of a string that is escaped in one go; sonic-rs wants six times the room for it.
const PIECE: usize = 4096;

/// Room for the longest integer of 64 bits (20) or float (24), and a comma.
const SCALAR: usize = 32;

/// What is done with objects that JSON has no form for.
#[derive(Clone, Copy)]
pub enum Rules<'a, 'py> {
    /// As `json.dumps`. `foreign(obj)` is asked first and returns JSON text as `bytes`, or `NotImplemented`; then
    /// `default(obj)` returns an object to write instead. Without either, `TypeError`.
    Plain { default: Option<&'a Bound<'py, PyAny>>, foreign: Option<&'a Bound<'py, PyAny>> },
    /// As FastAPI's `JSONResponse(jsonable_encoder(obj))`: objects of the exact builtin types are written here, keys
    /// that begin with `_sa` left out; any other is given to `encoder(obj)`, and what that returns is written plainly.
    Jsonable { encoder: &'a Bound<'py, PyAny> },
}

/// `obj` as JSON text.
///
/// # Errors
/// `TypeError` (no JSON form), `ValueError` (a float that is not finite, a cycle), `UnicodeEncodeError` (a lone
/// surrogate), `RecursionError` (nested too deeply), `RuntimeError` (changed by another thread meanwhile), and whatever
/// the hooks raise.
pub fn dumps<'py>(py: Python<'py>, obj: &Bound<'py, PyAny>, rules: Rules<'_, 'py>) -> PyResult<Py<PyBytes>> {
    let mut writing = Writing::new(py, Output::bytes(py)?, rules);
    writing.document(obj)?;
    writing.output.finish_bytes(py)
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
    let mut writing = Writing::new(py, Output::vec(buffer), rules);
    let result = writing.document(obj);
    if result.is_err() {
        writing.output.truncate(before);
    }
    writing.output.finish_vec();
    result
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    List,
    Tuple,
    Dict,
    /// A list of (key, value) tuples: the items of a mapping that is not exactly a dict.
    Items,
    /// An object for which a hook gave another one, which is being written.
    Replaced,
}

struct Frame {
    /// An owned reference.
    object: *mut ffi::PyObject,
    /// What the user sees at this place, if `object` is a copy of its items; owned, or null.
    original: *mut ffi::PyObject,
    kind: Kind,
    /// Written plainly whatever the rules say.
    plain: bool,
    /// Whether something was written between the brackets yet.
    some: bool,
    /// How far the walk is: an index, or `PyDict_Next`'s position.
    position: ffi::Py_ssize_t,
    /// How many items there were at the start.
    length: ffi::Py_ssize_t,
    /// Where the text of this container begins.
    begin: usize,
}

struct Writing<'a, 'v, 'py> {
    py: Python<'py>,
    output: Output<'v>,
    rules: Rules<'a, 'py>,
    frames: Vec<Frame>,
    turns: Turns,
}

impl Drop for Writing<'_, '_, '_> {
    fn drop(&mut self) {
        while let Some(frame) = self.frames.pop() {
            release(&frame);
        }
    }
}

fn release(frame: &Frame) {
    // SAFETY: a frame owns both references, is released once (when popped), and lives only under the GIL.
    unsafe {
        ffi::Py_DECREF(frame.object);
        ffi::Py_XDECREF(frame.original);
    }
}

impl<'a, 'v, 'py> Writing<'a, 'v, 'py> {
    fn new(py: Python<'py>, output: Output<'v>, rules: Rules<'a, 'py>) -> Self {
        Self { py, output, rules, frames: Vec::new(), turns: Turns::new() }
    }

    fn document(&mut self, obj: &Bound<'py, PyAny>) -> PyResult<()> {
        let plain = matches!(self.rules, Rules::Plain { .. });
        // SAFETY: `obj` is a live object and stays borrowed for the call.
        unsafe { self.value(obj.as_ptr(), plain)? };
        while let Some(frame) = self.frames.last() {
            // SAFETY: `walk` is given the kind of the last frame.
            unsafe {
                match frame.kind {
                    Kind::List => self.walk_sequence::<true>()?,
                    Kind::Tuple => self.walk_sequence::<false>()?,
                    Kind::Dict => self.walk_dict()?,
                    Kind::Items => self.walk_items()?,
                    Kind::Replaced => self.leave(),
                }
            }
        }
        Ok(())
    }

    fn leave(&mut self) {
        if let Some(frame) = self.frames.pop() {
            release(&frame);
        }
    }

    fn top(&mut self) -> &mut Frame {
        self.frames.last_mut().expect("a container is walked only while its frame is on the stack")
    }

    /// Writes the items of the list or tuple on top until one of them is a container (then that is on top), or closes it.
    ///
    /// # Safety
    /// The frame on top holds a list (`LIST`) or tuple.
    unsafe fn walk_sequence<const LIST: bool>(&mut self) -> PyResult<()> {
        let depth = self.frames.len();
        let Frame { object, plain, mut position, length, mut some, .. } = *self.top();
        while position < length {
            // SAFETY: the frame owns a reference to `object`, of the kind the contract names; the index is within the
            // size just read, and nobody else runs between the two.
            let item = unsafe {
                if LIST {
                    if ffi::PyList_GET_SIZE(object) != length {
                        return Err(self.changed("list"));
                    }
                    ffi::PyList_GET_ITEM(object, position)
                } else {
                    ffi::PyTuple_GET_ITEM(object, position)
                }
            };
            if some {
                self.output.push(b',')?;
            }
            some = true;
            position += 1;
            let top = self.top();
            top.position = position;
            top.some = true;
            // SAFETY: `item` is alive: it is in the container, and nobody else runs before `value` holds it.
            unsafe { self.value(item, plain)? };
            self.turns.tick(self.py, 1);
            if self.frames.len() != depth {
                return Ok(());
            }
        }
        self.output.push(b']')?;
        self.leave();
        Ok(())
    }

    /// As `walk_sequence`, for a dict.
    ///
    /// # Safety
    /// The frame on top holds a dict.
    unsafe fn walk_dict(&mut self) -> PyResult<()> {
        let depth = self.frames.len();
        let Frame { object, plain, mut position, length, .. } = *self.top();
        loop {
            let mut key: *mut ffi::PyObject = ptr::null_mut();
            let mut value: *mut ffi::PyObject = ptr::null_mut();
            // SAFETY: the frame owns a reference to `object`, a dict (contract). `PyDict_Next` checks its position
            // against the dict as it is now, so a dict changed meanwhile is at worst walked wrongly; that is noticed.
            let more = unsafe {
                if ffi::PyDict_Size(object) != length {
                    return Err(self.changed("dictionary"));
                }
                ffi::PyDict_Next(object, &raw mut position, &raw mut key, &raw mut value)
            };
            if more == 0 {
                break;
            }
            let top = self.top();
            top.position = position;
            let some = top.some;
            // SAFETY: key and value are in the dict. `key` may run Python code (a subclass's method) only where it
            // holds both; `value` holds what it keeps.
            unsafe {
                if !plain {
                    if ffi::PyUnicode_CheckExact(key) != 0 {
                        if self.is_sqlalchemy_state(key)? {
                            continue;
                        }
                    } else if ffi::PyLong_CheckExact(key) == 0 {
                        return self.replace_top();
                    }
                }
                if some {
                    self.output.push(b',')?;
                }
                self.top().some = true;
                ffi::Py_INCREF(value);
                let value = Bound::from_owned_ptr(self.py, value);
                self.key(key)?;
                self.value(value.as_ptr(), plain)?;
            }
            self.turns.tick(self.py, 1);
            if self.frames.len() != depth {
                return Ok(());
            }
        }
        self.output.push(b'}')?;
        self.leave();
        Ok(())
    }

    /// As `walk_sequence`, for the items of a mapping.
    ///
    /// # Safety
    /// The frame on top holds a list.
    unsafe fn walk_items(&mut self) -> PyResult<()> {
        let depth = self.frames.len();
        let Frame { object, plain, position, length, some, .. } = *self.top();
        if position < length {
            // SAFETY: the frame owns the list (contract).
            let list = unsafe { Bound::from_borrowed_ptr(self.py, object).cast_into_unchecked::<PyList>() };
            let pair = list.get_item(position as usize)?;
            let Ok(pair) = pair.cast_into::<PyTuple>() else {
                return Err(PyValueError::new_err("items must return 2-tuples"));
            };
            if pair.len() != 2 {
                return Err(PyValueError::new_err("items must return 2-tuples"));
            }
            if some {
                self.output.push(b',')?;
            }
            let top = self.top();
            top.position = position + 1;
            top.some = true;
            let (key, value) = (pair.get_item(0)?, pair.get_item(1)?);
            // SAFETY: both are held by `key` and `value`.
            unsafe {
                self.key(key.as_ptr())?;
                self.value(value.as_ptr(), plain)?;
            }
            self.turns.tick(self.py, 1);
            debug_assert!(self.frames.len() >= depth);
            return Ok(());
        }
        self.output.push(b'}')?;
        self.leave();
        Ok(())
    }

    /// Writes a scalar, or opens a container and puts its frame on top.
    ///
    /// # Safety
    /// `object` is alive until the next time Python code or another thread can run.
    #[inline(always)]
    unsafe fn value(&mut self, object: *mut ffi::PyObject, plain: bool) -> PyResult<()> {
        // SAFETY: `object` is alive (contract), and each branch hands it on with the type it was just found to have.
        unsafe {
            let class = ffi::Py_TYPE(object);
            if class == &raw mut ffi::PyUnicode_Type {
                self.string(object)
            } else if class == &raw mut ffi::PyLong_Type {
                self.integer(object)
            } else if object == ffi::Py_None() {
                self.output.extend(b"null")
            } else if object == ffi::Py_True() {
                self.output.extend(b"true")
            } else if object == ffi::Py_False() {
                self.output.extend(b"false")
            } else if class == &raw mut ffi::PyFloat_Type {
                self.float(ffi::PyFloat_AS_DOUBLE(object))
            } else if class == &raw mut ffi::PyDict_Type {
                self.open(object, ptr::null_mut(), Kind::Dict, ffi::PyDict_Size(object), plain)
            } else if class == &raw mut ffi::PyList_Type {
                self.open(object, ptr::null_mut(), Kind::List, ffi::PyList_GET_SIZE(object), plain)
            } else if class == &raw mut ffi::PyTuple_Type {
                self.open(object, ptr::null_mut(), Kind::Tuple, ffi::PyTuple_GET_SIZE(object), plain)
            } else {
                let object = Bound::from_borrowed_ptr(self.py, object);
                self.other(&object, plain)
            }
        }
    }

    /// Opens a container of `length` items.
    ///
    /// # Safety
    /// `object` is alive and of the kind given; `original` is null or an owned reference that is given away.
    unsafe fn open(
        &mut self,
        object: *mut ffi::PyObject,
        original: *mut ffi::PyObject,
        kind: Kind,
        length: ffi::Py_ssize_t,
        plain: bool,
    ) -> PyResult<()> {
        // SAFETY: the object is alive (contract); the frame owns the new reference.
        let frame = unsafe {
            Frame {
                object: ffi::Py_NewRef(object),
                original,
                kind,
                plain,
                some: false,
                position: 0,
                length,
                begin: self.output.len(),
            }
        };
        self.frames.push(frame);
        if self.frames.len() > SHALLOW {
            self.check_depth()?;
        }
        match kind {
            Kind::List | Kind::Tuple => self.output.push(b'['),
            Kind::Dict | Kind::Items => self.output.push(b'{'),
            Kind::Replaced => Ok(()),
        }
    }

    /// Deep down: is it a cycle, or deeper than Python would go?
    #[cold]
    fn check_depth(&mut self) -> PyResult<()> {
        let identity = |frame: &Frame| if frame.original.is_null() { frame.object } else { frame.original };
        if let Some((last, above)) = self.frames.split_last() {
            let looks_cyclic = above.iter().any(|frame| identity(frame) == identity(last));
            if looks_cyclic && matches!(self.rules, Rules::Plain { .. }) {
                return Err(PyValueError::new_err("Circular reference detected"));
            }
            // SAFETY: the GIL is held by `self.py`.
            let limit = unsafe { ffi::Py_GetRecursionLimit() };
            if looks_cyclic || self.frames.len() > limit.max(0) as usize {
                return Err(PyRecursionError::new_err("maximum recursion depth exceeded while encoding a JSON object"));
            }
        }
        Ok(())
    }

    /// Everything that is not exactly a builtin type.
    #[cold]
    #[inline(never)]
    fn other(&mut self, object: &Bound<'py, PyAny>, plain: bool) -> PyResult<()> {
        if let (Rules::Jsonable { encoder }, false) = (self.rules, plain) {
            let encoded = encoder.call1((object,))?;
            return self.replaced(object, &encoded);
        }
        // SAFETY: `object` is held by the reference; every branch is guarded by the matching type check, and objects
        // made here are handed to a frame or dropped.
        unsafe {
            let raw = object.as_ptr();
            if ffi::PyUnicode_Check(raw) != 0 {
                self.string(raw)
            } else if ffi::PyLong_Check(raw) != 0 {
                self.big_integer(raw)
            } else if ffi::PyFloat_Check(raw) != 0 {
                self.float(ffi::PyFloat_AS_DOUBLE(raw))
            } else if ffi::PyList_Check(raw) != 0 || ffi::PyTuple_Check(raw) != 0 {
                // The subclass may iterate as it likes.
                let list = Bound::from_owned_ptr_or_err(self.py, ffi::PySequence_List(raw))?;
                let length = ffi::PyList_GET_SIZE(list.as_ptr());
                self.open(list.as_ptr(), ffi::Py_NewRef(raw), Kind::List, length, plain)
            } else if ffi::PyDict_Check(raw) != 0 {
                let items = Bound::from_owned_ptr_or_err(self.py, ffi::PyMapping_Items(raw))?;
                let length = ffi::PyList_GET_SIZE(items.as_ptr());
                self.open(items.as_ptr(), ffi::Py_NewRef(raw), Kind::Items, length, plain)
            } else {
                self.foreign(object)
            }
        }
    }

    /// An object JSON has no form for.
    fn foreign(&mut self, object: &Bound<'py, PyAny>) -> PyResult<()> {
        if let Rules::Plain { default, foreign } = self.rules {
            if let Some(foreign) = foreign {
                let text = foreign.call1((object,))?;
                if let Ok(text) = text.cast::<PyBytes>() {
                    return self.output.extend(text.as_bytes());
                }
                if !text.is_instance_of::<PyNotImplemented>() {
                    return Err(PyTypeError::new_err("expected the foreign hook to return bytes or NotImplemented"));
                }
            }
            if let Some(default) = default {
                let instead = default.call1((object,))?;
                return self.replaced(object, &instead);
            }
        }
        let name = object.get_type().name()?;
        Err(PyTypeError::new_err(format!(
            "Object of type {} is not JSON serializable (at {})",
            name.to_string_lossy(),
            self.path()
        )))
    }

    /// Writes `instead` in the place of `object`; a frame remembers it, so that a hook that always gives a new object
    /// comes to an end.
    fn replaced(&mut self, object: &Bound<'py, PyAny>, instead: &Bound<'py, PyAny>) -> PyResult<()> {
        // SAFETY: both objects are held by their references.
        unsafe {
            self.open(object.as_ptr(), ptr::null_mut(), Kind::Replaced, 0, true)?;
            self.value(instead.as_ptr(), true)
        }
    }

    /// The dict on top has a key that is not for us: what was written of it is forgotten, the encoder decides.
    #[cold]
    fn replace_top(&mut self) -> PyResult<()> {
        let Frame { object, begin, .. } = *self.top();
        // SAFETY: the frame owns a reference to its object.
        let object = unsafe { Bound::from_borrowed_ptr(self.py, object) };
        self.output.truncate(begin);
        self.leave();
        self.other(&object, false)
    }

    /// Whether a key begins with `_sa`, as SQLAlchemy's state does.
    ///
    /// # Safety
    /// `key` is a live `str`.
    #[inline(always)]
    unsafe fn is_sqlalchemy_state(&self, key: *mut ffi::PyObject) -> PyResult<bool> {
        // SAFETY: `key` is a live `str` (contract), its data holds `length` characters of the kind it names.
        unsafe {
            if ffi::PyUnicode_GET_LENGTH(key) < 3 {
                return Ok(false);
            }
            if ffi::PyUnicode_KIND(key) == ffi::PyUnicode_1BYTE_KIND {
                let data = ffi::PyUnicode_DATA(key).cast::<u8>();
                return Ok(std::slice::from_raw_parts(data, 3) == b"_sa");
            }
            let first = [0, 1, 2].map(|index| ffi::PyUnicode_ReadChar(key, index));
            Ok(first == [u32::from(b'_'), u32::from(b's'), u32::from(b'a')])
        }
    }

    /// Writes a key and the colon after it.
    ///
    /// # Safety
    /// `key` is alive until the next time Python code or another thread can run.
    #[inline(always)]
    unsafe fn key(&mut self, key: *mut ffi::PyObject) -> PyResult<()> {
        // SAFETY: `key` is alive (contract).
        unsafe {
            if ffi::PyUnicode_Check(key) != 0 {
                self.string(key)?;
            } else {
                let key = Bound::from_borrowed_ptr(self.py, key);
                self.other_key(&key)?;
            }
        }
        self.output.push(b':')
    }

    #[cold]
    fn other_key(&mut self, key: &Bound<'py, PyAny>) -> PyResult<()> {
        let raw = key.as_ptr();
        self.output.push(b'"')?;
        // SAFETY: `key` is held by the reference; the branches are guarded by the matching type checks.
        unsafe {
            if ffi::PyFloat_Check(raw) != 0 {
                self.float(ffi::PyFloat_AS_DOUBLE(raw))?;
            } else if raw == ffi::Py_True() {
                self.output.extend(b"true")?;
            } else if raw == ffi::Py_False() {
                self.output.extend(b"false")?;
            } else if raw == ffi::Py_None() {
                self.output.extend(b"null")?;
            } else if ffi::PyLong_Check(raw) != 0 {
                self.integer(raw)?;
            } else {
                let name = key.get_type().name()?;
                return Err(PyTypeError::new_err(format!(
                    "keys must be str, int, float, bool or None, not {} (in {})",
                    name.to_string_lossy(),
                    self.path_of(self.frames.len().saturating_sub(1))
                )));
            }
        }
        self.output.push(b'"')
    }

    /// # Safety
    /// `object` is a live `str`.
    #[inline(always)]
    unsafe fn string(&mut self, object: *mut ffi::PyObject) -> PyResult<()> {
        // SAFETY: `object` is a live `str` (contract); its UTF-8 form lives as long as it does, and nobody else runs
        // before it was copied.
        unsafe {
            let mut length: ffi::Py_ssize_t = 0;
            let data = if ffi::PyUnicode_IS_COMPACT_ASCII(object) != 0 {
                length = ffi::PyUnicode_GET_LENGTH(object);
                object.cast::<ffi::PyASCIIObject>().add(1).cast::<u8>().cast_const()
            } else {
                let data = ffi::PyUnicode_AsUTF8AndSize(object, &raw mut length).cast::<u8>();
                if data.is_null() {
                    return Err(self.surrogate());
                }
                data
            };
            let text = std::str::from_utf8_unchecked(std::slice::from_raw_parts(data, length as usize));
            self.text(text)
        }
    }

    #[inline(always)]
    fn text(&mut self, text: &str) -> PyResult<()> {
        if text.len() > PIECE {
            return self.long_text(text);
        }
        CompactFormatter.write_string_fast(&mut self.output, text, true).map_err(Into::into)
    }

    #[cold]
    fn long_text(&mut self, mut text: &str) -> PyResult<()> {
        self.output.reserve(text.len() + text.len() / 16)?;
        self.output.push(b'"')?;
        while !text.is_empty() {
            let (piece, rest) = text.split_at(text.floor_char_boundary(PIECE));
            CompactFormatter.write_string_fast(&mut self.output, piece, false)?;
            text = rest;
        }
        self.output.push(b'"')
    }

    /// # Safety
    /// `object` is a live `int`.
    #[inline(always)]
    unsafe fn integer(&mut self, object: *mut ffi::PyObject) -> PyResult<()> {
        let mut overflow: c_int = 0;
        // SAFETY: `object` is a live `int` (contract).
        let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(object, &raw mut overflow) };
        if overflow != 0 {
            // SAFETY: as above.
            return unsafe { self.big_integer(object) };
        }
        self.output.reserve(SCALAR)?;
        CompactFormatter.write_i64(&mut self.output, value).map_err(Into::into)
    }

    /// Any integer, as `int.__repr__` writes it, whatever a subclass thinks of that.
    ///
    /// # Safety
    /// `object` is a live `int`.
    #[cold]
    unsafe fn big_integer(&mut self, object: *mut ffi::PyObject) -> PyResult<()> {
        // SAFETY: `object` is a live `int` (contract); the call returns a new `str`, or null with an exception set.
        let text = unsafe {
            Bound::from_owned_ptr_or_err(self.py, ffi::PyNumber_ToBase(object, 10))?
        };
        let text = text.cast_into::<PyString>()?;
        self.output.extend(text.to_str()?.as_bytes())
    }

    #[inline(always)]
    fn float(&mut self, value: f64) -> PyResult<()> {
        if !value.is_finite() {
            return Err(self.not_finite(value));
        }
        self.output.reserve(SCALAR)?;
        CompactFormatter.write_f64(&mut self.output, value).map_err(Into::into)
    }

    #[cold]
    fn not_finite(&self, value: f64) -> PyErr {
        let name = if value.is_nan() {
            "nan"
        } else if value > 0.0 {
            "inf"
        } else {
            "-inf"
        };
        PyValueError::new_err(format!("Out of range float values are not JSON compliant: {name} (at {})", self.path()))
    }

    /// Python's error about a lone surrogate, with the path added to its reason.
    #[cold]
    fn surrogate(&self) -> PyErr {
        let error = PyErr::fetch(self.py);
        let value = error.value(self.py);
        if value.is_instance_of::<PyUnicodeEncodeError>()
            && let Ok(reason) = value.getattr("reason")
        {
            // The error stays good without its path.
            let _ = value.setattr("reason", format!("{reason} (at {})", self.path()));
        }
        error
    }

    #[cold]
    fn changed(&self, what: &str) -> PyErr {
        let path = self.path_of(self.frames.len().saturating_sub(1));
        PyRuntimeError::new_err(format!("{what} changed size during iteration (at {path})"))
    }

    /// Where the value that is being written stands: `$.items[3].price`.
    #[cold]
    fn path(&self) -> String {
        self.path_of(self.frames.len())
    }

    #[cold]
    fn path_of(&self, depth: usize) -> String {
        let mut path = String::from("$");
        for frame in self.frames.iter().take(depth) {
            match frame.kind {
                Kind::List | Kind::Tuple => {
                    // Writing to a String cannot fail.
                    let _ = write!(path, "[{}]", frame.position - 1);
                }
                Kind::Dict | Kind::Items => match self.key_at(frame) {
                    Some(key) => push_key(&mut path, &key),
                    None => path.push_str("[?]"),
                },
                Kind::Replaced => {}
            }
        }
        path
    }

    /// The key a dict's walk stands at.
    fn key_at(&self, frame: &Frame) -> Option<Bound<'py, PyAny>> {
        // SAFETY: the frame owns a reference to its object, of the type its kind names; borrowed keys are taken a
        // reference to before anything else can run.
        unsafe {
            if frame.kind == Kind::Items {
                let list = Bound::from_borrowed_ptr(self.py, frame.object).cast_into_unchecked::<PyList>();
                let pair = list.get_item(frame.position as usize - 1).ok()?;
                return pair.get_item(0).ok();
            }
            let dict = Bound::from_borrowed_ptr(self.py, frame.object).cast_into_unchecked::<PyDict>();
            let (mut position, mut key, mut value) = (0, ptr::null_mut(), ptr::null_mut());
            while ffi::PyDict_Next(dict.as_ptr(), &raw mut position, &raw mut key, &raw mut value) != 0 {
                if position >= frame.position {
                    return Some(Bound::from_borrowed_ptr(self.py, key));
                }
            }
            None
        }
    }
}

fn push_key(path: &mut String, key: &Bound<'_, PyAny>) {
    if let Ok(text) = key.cast_exact::<PyString>() {
        let text = text.to_string_lossy();
        let plain = text.chars().all(|c| c.is_alphanumeric() || c == '_');
        if plain && !text.is_empty() && text.len() <= 64 {
            path.push('.');
            path.push_str(&text);
            return;
        }
    }
    let shown = key.repr().map_or_else(|_| String::from("?"), |repr| repr.to_string_lossy().into_owned());
    // Writing to a String cannot fail.
    let _ = write!(path, "[{}]", shown.chars().take(64).collect::<String>());
}
