//! Writing: Python objects straight into the bytes that are sent.
//!
//! What is written is what
//! `json.dumps(obj, ensure_ascii=False, allow_nan=False, separators=(",", ":"))` gives, encoded as UTF-8; only the
//! spelling of floats is pydantic-core's (`1e-7` for `1e-07`). Errors are Python's types, and name the path to the value.
//!
//! After every value stands a comma; a container's end takes the place of the last one, and so does the document's.

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr;

use pyo3::exceptions::{PyRecursionError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyFloat, PyList, PyNotImplemented, PyString, PyTuple};
use pyo3::{ffi, intern};

use super::entries::Walk;
use super::escape;
use super::failed::{Failed, OrFailed};
use super::output::{Cursor, Output, SMALL, Written};
use super::report::{Report, Wrong, step};
use super::turns::Turns;
use super::{float, integer};

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

/// The containers that are open, from the outermost inwards.
///
/// A container is kept alive by the one it is in, and the outermost by the caller, as long as nobody else can run. Taking
/// a reference to each would write to every object that is read; so references are taken ([`Writing::hold`]) only just
/// before others can run, and then to all that are open.
type Open = [MaybeUninit<*mut ffi::PyObject>; MAX_DEPTH];

type Pair<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

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
}

impl Drop for Writing<'_, '_, '_> {
    fn drop(&mut self) {
        self.release(0);
    }
}

impl<'a, 'v, 'py> Writing<'a, 'v, 'py> {
    fn new(py: Python<'py>, output: Output<'v>, open: &'v mut Open, rules: Rules<'a, 'py>) -> Self {
        Self { py, output, turns: Turns::writing(), rules, open, held: 0, replaced: Vec::new(), report: None }
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
        // SAFETY: `obj` is a live object and stays borrowed for the call.
        let written = unsafe {
            if matches!(self.rules, Rules::Jsonable { .. }) {
                self.value::<false>(cursor, obj.as_ptr(), 0)
            } else {
                self.value::<true>(cursor, obj.as_ptr(), 0)
            }
        };
        match written {
            Ok(end) => Ok(self.output.without_comma(end)),
            Err(failed) => Err(self.explained(failed)),
        }
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
                self.string(cursor, object, b',')
            } else if class == &raw mut ffi::PyLong_Type {
                self.integer(cursor, object, b',')
            } else if class == &raw mut ffi::PyFloat_Type {
                self.float(cursor, ffi::PyFloat_AS_DOUBLE(object), b',')
            } else if class == &raw mut ffi::PyDict_Type {
                self.dict::<PLAIN>(cursor, object, depth)
            } else if class == &raw mut ffi::PyList_Type {
                self.list::<PLAIN>(cursor, object, depth)
            } else if object == ffi::Py_None() {
                self.output.constant(cursor, b"null,")
            } else if object == ffi::Py_True() {
                self.output.constant(cursor, b"true,")
            } else if object == ffi::Py_False() {
                self.output.constant(cursor, b"false,")
            } else {
                self.other::<PLAIN>(cursor, object, depth)
            }
        }
    }

    /// Writes a list.
    ///
    /// # Safety
    /// `object` is a live list.
    #[inline(never)]
    unsafe fn list<const PLAIN: bool>(
        &mut self,
        mut cursor: Cursor,
        object: *mut ffi::PyObject,
        depth: usize,
    ) -> Written {
        if depth >= MAX_DEPTH {
            // SAFETY: `object` is alive (contract).
            return unsafe { self.deeper::<PLAIN>(cursor, object) };
        }
        // SAFETY: `object` is held for the call. An index is used only after it was compared with the size the list has
        // now, with nothing run in between; `item` is in the list when it is given to `value`.
        unsafe {
            self.enter(depth, object);
            let length = ffi::PyList_GET_SIZE(object);
            cursor = self.output.constant(cursor, b"[")?;
            let mut position = 0;
            while position < ffi::PyList_GET_SIZE(object) {
                let item = ffi::PyList_GET_ITEM(object, position);
                if position + 1 < ffi::PyList_GET_SIZE(object) {
                    prefetch(ffi::PyList_GET_ITEM(object, position + 1));
                }
                if ffi::Py_TYPE(item) == &raw mut ffi::PyFloat_Type {
                    // Numbers come in rows: these are written in a loop of their own, up to the next stretch.
                    let end = ((position / STRETCH + 1) * STRETCH).min(ffi::PyList_GET_SIZE(object));
                    let items = (*object.cast::<ffi::PyListObject>()).ob_item;
                    let written;
                    (cursor, written) = self.floats(cursor, items.add(position as usize), (end - position) as usize)?;
                    position += written as ffi::Py_ssize_t;
                    if written == 0 {
                        let failed = self.wrong(Wrong::NotFinite(ffi::PyFloat_AS_DOUBLE(item)));
                        return Err(self.at_index(position, failed));
                    }
                } else {
                    cursor = match self.value::<PLAIN>(cursor, item, depth + 1) {
                        Ok(cursor) => cursor,
                        Err(failed) => return Err(self.at_index(position, failed)),
                    };
                    position += 1;
                }
                if position % STRETCH == 0 && self.spend(depth + 1, STRETCH) && ffi::PyList_GET_SIZE(object) != length {
                    break;
                }
            }
            self.spend(depth + 1, 1 + position % STRETCH);
            if position != length || ffi::PyList_GET_SIZE(object) != length {
                return Err(self.wrong(Wrong::Changed("list")));
            }
            self.leave(depth);
            self.output.close(cursor, b']', length != 0)
        }
    }

    /// Writes the items up to the first that is no finite float; returns how many.
    ///
    /// # Safety
    /// `items` are `count` live objects, and nobody else runs.
    #[inline(never)]
    unsafe fn floats(
        &mut self,
        mut cursor: Cursor,
        items: *mut *mut ffi::PyObject,
        count: usize,
    ) -> Result<(Cursor, usize), Failed> {
        // SAFETY: the items are alive (contract), an index is below their number; `reserve` makes room for the digits and
        // the comma, and the value is finite.
        unsafe {
            let mut at = 0;
            while at < count {
                let item = *items.add(at);
                if ffi::Py_TYPE(item) != &raw mut ffi::PyFloat_Type {
                    break;
                }
                let value = ffi::PyFloat_AS_DOUBLE(item);
                if !value.is_finite() {
                    break;
                }
                at += 1;
                cursor = self.output.reserve(cursor, float::ROOM)?;
                cursor = cursor.add(float::write(cursor.as_ptr(), value));
                cursor.write(b',');
                cursor = cursor.add(1);
            }
            Ok((cursor, at))
        }
    }

    /// Writes a tuple.
    ///
    /// # Safety
    /// `object` is a live tuple.
    #[inline(never)]
    unsafe fn tuple<const PLAIN: bool>(
        &mut self,
        mut cursor: Cursor,
        object: *mut ffi::PyObject,
        depth: usize,
    ) -> Written {
        if depth >= MAX_DEPTH {
            // SAFETY: `object` is alive (contract).
            return unsafe { self.deeper::<PLAIN>(cursor, object) };
        }
        // SAFETY: `object` is held for the call, and a tuple does not change.
        unsafe {
            self.enter(depth, object);
            let length = ffi::PyTuple_GET_SIZE(object);
            cursor = self.output.constant(cursor, b"[")?;
            for position in 0..length {
                let item = ffi::PyTuple_GET_ITEM(object, position);
                cursor = match self.value::<PLAIN>(cursor, item, depth + 1) {
                    Ok(cursor) => cursor,
                    Err(failed) => return Err(self.at_index(position, failed)),
                };
                if position % STRETCH == STRETCH - 1 {
                    self.spend(depth + 1, STRETCH);
                }
            }
            self.spend(depth + 1, 1 + length % STRETCH);
            self.leave(depth);
            self.output.close(cursor, b']', length != 0)
        }
    }

    /// Writes a dict.
    ///
    /// # Safety
    /// `object` is a live dict.
    #[inline(never)]
    unsafe fn dict<const PLAIN: bool>(
        &mut self,
        mut cursor: Cursor,
        object: *mut ffi::PyObject,
        depth: usize,
    ) -> Written {
        if depth >= MAX_DEPTH {
            // SAFETY: `object` is alive (contract).
            return unsafe { self.deeper::<PLAIN>(cursor, object) };
        }
        let begin = self.output.count(cursor);
        // SAFETY: `object` is held for the call. The walk goes over the dict as it is now, so one changed meanwhile is at
        // worst walked wrongly; that is noticed. Key and value are in the dict when they are used; where Python code may
        // run in between (a key that is no exact `str`), both are held.
        unsafe {
            self.enter(depth, object);
            let length = (*object.cast::<ffi::PyDictObject>()).ma_used;
            let mut some = PLAIN && length != 0;
            cursor = self.output.constant(cursor, b"{")?;
            let mut walk = Walk::new(object);
            while let Some((key, value)) = walk.next() {
                let written = if ffi::Py_TYPE(key) == &raw mut ffi::PyUnicode_Type {
                    if !PLAIN {
                        if is_sqlalchemy_state(key) {
                            continue;
                        }
                        some = true;
                    }
                    match self.string(cursor, key, b':') {
                        Ok(cursor) => self.value::<PLAIN>(cursor, value, depth + 1),
                        Err(failed) => Err(failed),
                    }
                } else if PLAIN || ffi::PyLong_CheckExact(key) != 0 {
                    some = true;
                    let value = Bound::from_borrowed_ptr(self.py, value);
                    match self.other_key(cursor, &Bound::from_borrowed_ptr(self.py, key)) {
                        Ok(cursor) => self.value::<PLAIN>(cursor, value.as_ptr(), depth + 1),
                        Err(failed) => Err(failed),
                    }
                } else {
                    // A key that is not for us: what was written is forgotten, the encoder decides.
                    let cursor = self.output.back_to(begin, cursor);
                    return self.other::<false>(cursor, object, depth);
                };
                cursor = match written {
                    Ok(cursor) => cursor,
                    Err(failed) => return Err(self.at_entry(object, depth, walk.position(), failed)),
                };
                if walk.position() % STRETCH == 0 {
                    self.spend(depth + 1, STRETCH);
                }
                if (*object.cast::<ffi::PyDictObject>()).ma_used != length {
                    return Err(self.wrong(Wrong::Changed("dictionary")));
                }
            }
            self.spend(depth + 1, 1 + walk.position() % STRETCH);
            self.leave(depth);
            self.output.close(cursor, b'}', some)
        }
    }

    /// Writes the items of a mapping that is not exactly a dict.
    #[cold]
    fn items<const PLAIN: bool>(&mut self, mut cursor: Cursor, object: &Bound<'py, PyAny>, depth: usize) -> Written {
        let py = self.py;
        if depth >= MAX_DEPTH {
            // SAFETY: `object` is held by the reference.
            return unsafe { self.deeper::<PLAIN>(cursor, object.as_ptr()) };
        }
        self.enter(depth, object.as_ptr());
        self.hold(depth + 1);
        // SAFETY: as above; the call returns a new list, or null with an exception set.
        let items = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyMapping_Items(object.as_ptr())) }.or_failed(py)?;
        let items = items.cast_into::<PyList>().map_err(PyErr::from).or_failed(py)?;
        cursor = self.output.constant(cursor, b"{")?;
        let mut some = false;
        for pair in items.iter() {
            // A key's `repr` or a hook may have run: the items are ours, and so are key and value now.
            let Ok((key, value)) =
                pair.cast_into::<PyTuple>().map_err(PyErr::from).and_then(|pair| pair.extract::<Pair<'_>>())
            else {
                return Err(Failed::with(py, PyValueError::new_err("items must return 2-tuples")));
            };
            // SAFETY: the value is held by `value`.
            let written = self
                .other_key(cursor, &key)
                .and_then(|cursor| unsafe { self.value::<PLAIN>(cursor, value.as_ptr(), depth + 1) });
            cursor = match written {
                Ok(cursor) => cursor,
                Err(failed) => return Err(self.at_key(Some(&key), failed)),
            };
            self.spend(depth + 1, 1);
            some = true;
        }
        self.leave(depth);
        self.output.close(cursor, b'}', some)
    }

    /// A container deeper than the native stack is used for: the standard library writes it, or says what is wrong with
    /// it (a cycle, too deep).
    ///
    /// # Safety
    /// `object` is alive.
    #[cold]
    unsafe fn deeper<const PLAIN: bool>(&mut self, cursor: Cursor, object: *mut ffi::PyObject) -> Written {
        let py = self.py;
        self.hold(MAX_DEPTH);
        if !PLAIN {
            return Err(self.too_deep());
        }
        let default = match self.rules {
            Rules::Plain { default, .. } | Rules::Pydantic { default } => default,
            Rules::Jsonable { .. } => None,
        };
        // SAFETY: `object` is alive (contract).
        let object = unsafe { Bound::from_borrowed_ptr(py, object) };
        let text = by_python(&object, default).or_failed(py)?;
        let text = text.cast_into::<PyString>().map_err(PyErr::from).or_failed(py)?;
        let text = match text.to_str() {
            Ok(text) => text,
            Err(error) => return Err(self.wrong(Wrong::Surrogate(error))),
        };
        let cursor = self.output.extend(cursor, text.as_bytes())?;
        self.output.constant(cursor, b",")
    }

    #[cold]
    fn too_deep(&self) -> Failed {
        let message = "maximum recursion depth exceeded while encoding a JSON object";
        Failed::with(self.py, PyRecursionError::new_err(message))
    }

    /// Everything that is not exactly one of the frequent builtin types.
    ///
    /// # Safety
    /// `object` is alive.
    #[inline(never)]
    unsafe fn other<const PLAIN: bool>(&mut self, cursor: Cursor, object: *mut ffi::PyObject, depth: usize) -> Written {
        // SAFETY: `object` is alive (contract), and held from here on; every branch is guarded by the matching type
        // check, and a list made here is held until it is written.
        unsafe {
            if ffi::PyTuple_CheckExact(object) != 0 {
                return self.tuple::<PLAIN>(cursor, object, depth);
            }
            let raw = object;
            let object = &Bound::from_borrowed_ptr(self.py, object);
            self.hold(depth);
            if let (Rules::Jsonable { encoder }, false) = (self.rules, PLAIN) {
                let encoded = encoder.call1((object,)).or_failed(self.py)?;
                if let Ok(text) = encoded.cast::<PyBytes>() {
                    let cursor = self.output.extend(cursor, text.as_bytes())?;
                    return self.output.constant(cursor, b",");
                }
                return self.replaced(cursor, object, &encoded, depth);
            }
            if ffi::PyUnicode_Check(raw) != 0 {
                self.string(cursor, raw, b',')
            } else if ffi::PyLong_Check(raw) != 0 {
                self.big_integer(cursor, raw, b',')
            } else if ffi::PyFloat_Check(raw) != 0 {
                self.float(cursor, ffi::PyFloat_AS_DOUBLE(raw), b',')
            } else if ffi::PyList_Check(raw) != 0 || ffi::PyTuple_Check(raw) != 0 {
                // The subclass may iterate as it likes.
                let list = Bound::from_owned_ptr_or_err(self.py, ffi::PySequence_List(raw)).or_failed(self.py)?;
                // `list` outlives the call, and with it what is entered at `depth`.
                self.list::<PLAIN>(cursor, list.as_ptr(), depth)
            } else if ffi::PyDict_Check(raw) != 0 {
                self.items::<PLAIN>(cursor, object, depth)
            } else {
                self.foreign(cursor, object, depth)
            }
        }
    }

    /// An object JSON has no form for.
    #[cold]
    fn foreign(&mut self, cursor: Cursor, object: &Bound<'py, PyAny>, depth: usize) -> Written {
        let py = self.py;
        let (default, text) = match self.rules {
            Rules::Plain { default, foreign } => {
                (default, foreign.map(|foreign| foreign.call1((object,))).transpose().or_failed(py)?)
            }
            Rules::Pydantic { default } => (default, Some(by_pydantic(object, default.is_some()).or_failed(py)?)),
            Rules::Jsonable { .. } => (None, None),
        };
        if let Some(text) = text {
            if let Ok(text) = text.cast::<PyBytes>() {
                let cursor = self.output.extend(cursor, text.as_bytes())?;
                return self.output.constant(cursor, b",");
            }
            if !text.is_instance_of::<PyNotImplemented>() {
                return Err(Failed::with(py, PyTypeError::new_err("expected the serializer to return bytes")));
            }
        }
        if let Some(default) = default {
            let instead = default.call1((object,)).or_failed(py)?;
            return self.replaced(cursor, object, &instead, depth);
        }
        let name = object.get_type().name().or_failed(py)?.to_string_lossy().into_owned();
        Err(self.wrong(Wrong::Value(name)))
    }

    /// Writes `instead` in the place of `object`, which is remembered, so that hooks going in circles come to an end.
    #[cold]
    fn replaced(
        &mut self,
        cursor: Cursor,
        object: &Bound<'py, PyAny>,
        instead: &Bound<'py, PyAny>,
        depth: usize,
    ) -> Written {
        if self.replaced.contains(&object.as_ptr()) {
            return Err(self.wrong(Wrong::Circular));
        }
        if depth >= MAX_DEPTH {
            return Err(self.too_deep());
        }
        self.enter(depth, object.as_ptr());
        self.replaced.push(object.as_ptr());
        // SAFETY: `instead` is held by its reference.
        let written = unsafe { self.value::<true>(cursor, instead.as_ptr(), depth + 1) };
        self.replaced.pop();
        self.leave(depth);
        written
    }

    /// Writes a key that is no exact `str`, and the colon after it.
    #[cold]
    #[inline(never)]
    fn other_key(&mut self, cursor: Cursor, key: &Bound<'py, PyAny>) -> Written {
        let raw = key.as_ptr();
        // SAFETY: `key` is held by the reference; the branches are guarded by the matching type checks.
        unsafe {
            if ffi::PyUnicode_Check(raw) != 0 {
                return self.string(cursor, raw, b':');
            }
            let cursor = self.output.constant(cursor, b"\"")?;
            let cursor = if ffi::PyFloat_Check(raw) != 0 {
                self.float_key(cursor, ffi::PyFloat_AS_DOUBLE(raw))?
            } else if raw == ffi::Py_True() {
                self.output.constant(cursor, b"true\"")?
            } else if raw == ffi::Py_False() {
                self.output.constant(cursor, b"false\"")?
            } else if raw == ffi::Py_None() {
                self.output.constant(cursor, b"null\"")?
            } else if ffi::PyLong_Check(raw) != 0 {
                self.integer(cursor, raw, b'"')?
            } else {
                let name = key.get_type().name().or_failed(self.py)?.to_string_lossy().into_owned();
                return Err(self.wrong(Wrong::Key(name)));
            };
            self.output.constant(cursor, b":")
        }
    }

    /// A float as a key, and the quote after it. A key is a string, so its spelling is its value: it is Python's.
    fn float_key(&mut self, cursor: Cursor, value: f64) -> Written {
        if !value.is_finite() {
            return Err(self.wrong(Wrong::NotFinite(value)));
        }
        let text = PyFloat::new(self.py, value).repr().or_failed(self.py)?;
        let cursor = self.output.extend(cursor, text.to_str().or_failed(self.py)?.as_bytes())?;
        self.output.constant(cursor, b"\"")
    }

    /// # Safety
    /// `object` is a live `str`.
    #[inline(always)]
    unsafe fn string(&mut self, cursor: Cursor, object: *mut ffi::PyObject, after: u8) -> Written {
        // SAFETY: `object` is a live `str` (contract); its characters or its UTF-8 form live as long as it does, nobody
        // else runs before they are copied, and both are valid UTF-8.
        unsafe {
            let mut length: ffi::Py_ssize_t = 0;
            let data = if ffi::PyUnicode_IS_COMPACT_ASCII(object) != 0 {
                length = ffi::PyUnicode_GET_LENGTH(object);
                object.cast::<ffi::PyASCIIObject>().add(1).cast::<u8>().cast_const()
            } else {
                let data = ffi::PyUnicode_AsUTF8AndSize(object, &raw mut length).cast::<u8>();
                if data.is_null() {
                    let error = PyErr::fetch(self.py);
                    return Err(self.wrong(Wrong::Surrogate(error)));
                }
                data
            };
            let text = std::str::from_utf8_unchecked(std::slice::from_raw_parts(data, length as usize));
            escape::quoted(&mut self.output, cursor, text, after)
        }
    }

    /// # Safety
    /// `object` is a live `int`.
    #[inline(always)]
    unsafe fn integer(&mut self, cursor: Cursor, object: *mut ffi::PyObject, after: u8) -> Written {
        // SAFETY: `object` is a live `int` (contract).
        let value = match unsafe { integer::small(object) } {
            Some(value) => value,
            None => {
                let mut overflow: c_int = 0;
                // SAFETY: as above.
                let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(object, &raw mut overflow) };
                if overflow != 0 {
                    // SAFETY: as above.
                    return unsafe { self.big_integer(cursor, object, after) };
                }
                value
            }
        };
        let cursor = self.output.reserve(cursor, integer::LONGEST + 1)?;
        // SAFETY: `reserve` made room for the digits and the byte after them.
        unsafe {
            let cursor = cursor.add(integer::write(cursor.as_ptr(), value));
            cursor.write(after);
            Ok(cursor.add(1))
        }
    }

    /// Any integer, as `int.__repr__` writes it, whatever a subclass thinks of that.
    ///
    /// # Safety
    /// `object` is a live `int`.
    #[cold]
    #[inline(never)]
    unsafe fn big_integer(&mut self, cursor: Cursor, object: *mut ffi::PyObject, after: u8) -> Written {
        // SAFETY: `object` is a live `int` (contract); the call returns a new `str`, or null with an exception set.
        let text = unsafe { Bound::from_owned_ptr_or_err(self.py, ffi::PyNumber_ToBase(object, 10)) };
        let text = text.and_then(|text| Ok(text.cast_into::<PyString>()?)).or_failed(self.py)?;
        let cursor = self.output.extend(cursor, text.to_str().or_failed(self.py)?.as_bytes())?;
        self.output.constant(cursor, &[after])
    }

    #[inline(always)]
    fn float(&mut self, cursor: Cursor, value: f64, after: u8) -> Written {
        if !value.is_finite() {
            return Err(self.wrong(Wrong::NotFinite(value)));
        }
        let cursor = self.output.reserve(cursor, float::ROOM)?;
        // SAFETY: `reserve` made room for the digits and the byte after them; `value` is finite.
        unsafe {
            let cursor = cursor.add(float::write(cursor.as_ptr(), value));
            cursor.write(after);
            Ok(cursor.add(1))
        }
    }

    /// Begins a report.
    #[cold]
    #[inline(never)]
    fn wrong(&mut self, wrong: Wrong) -> Failed {
        self.report = Some(Report { wrong, steps: Vec::new() });
        Failed
    }

    #[cold]
    #[inline(never)]
    fn at_index(&mut self, index: ffi::Py_ssize_t, failed: Failed) -> Failed {
        if let Some(report) = &mut self.report {
            report.steps.push(format!("[{index}]"));
        }
        failed
    }

    /// # Safety
    /// `dict` is a live dict, entered at `depth`.
    #[cold]
    #[inline(never)]
    unsafe fn at_entry(
        &mut self,
        dict: *mut ffi::PyObject,
        depth: usize,
        wanted: ffi::Py_ssize_t,
        failed: Failed,
    ) -> Failed {
        if self.report.is_none() {
            return failed;
        }
        self.hold(depth + 1);
        let (mut position, mut key, mut value) = (0, ptr::null_mut(), ptr::null_mut());
        // SAFETY: the dict is alive (contract); a reference is taken to the borrowed key before anything else can run.
        let key = unsafe {
            loop {
                if ffi::PyDict_Next(dict, &raw mut position, &raw mut key, &raw mut value) == 0 {
                    break None;
                }
                if position >= wanted {
                    break Some(Bound::from_borrowed_ptr(self.py, key));
                }
            }
        };
        self.at_key(key.as_ref(), failed)
    }

    #[cold]
    #[inline(never)]
    fn at_key(&mut self, key: Option<&Bound<'py, PyAny>>, failed: Failed) -> Failed {
        if let Some(report) = &mut self.report {
            // A key that cannot be one is named by its type; the path is that of its dict.
            if !(report.steps.is_empty() && matches!(report.wrong, Wrong::Key(_))) {
                report.steps.push(key.map_or_else(|| String::from("[?]"), step));
            } else {
                report.steps.push(String::new());
            }
        }
        failed
    }

    /// Turns a report into the exception it is about.
    #[cold]
    fn explained(&mut self, failed: Failed) -> Failed {
        match self.report.take() {
            Some(report) => Failed::with(self.py, report.into_error(self.py)),
            None => failed,
        }
    }
}

/// What the standard library writes.
#[cold]
fn by_python<'py>(object: &Bound<'py, PyAny>, default: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let options = PyDict::new(py);
    options.set_item(intern!(py, "ensure_ascii"), false)?;
    options.set_item(intern!(py, "allow_nan"), false)?;
    options.set_item(intern!(py, "separators"), (",", ":"))?;
    options.set_item(intern!(py, "default"), default)?;
    py.import(intern!(py, "json"))?.getattr(intern!(py, "dumps"))?.call((object,), Some(&options))
}

/// What `forzium.json` says to an object: JSON text as `bytes`, or `NotImplemented`.
#[cold]
fn by_pydantic<'py>(object: &Bound<'py, PyAny>, has_default: bool) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    py.import(intern!(py, "forzium.json"))?.getattr(intern!(py, "_by_pydantic"))?.call1((object, has_default))
}

/// Whether a key begins with `_sa`, as SQLAlchemy's state does.
///
/// # Safety
/// `key` is a live `str`.
#[inline(always)]
unsafe fn is_sqlalchemy_state(key: *mut ffi::PyObject) -> bool {
    // SAFETY: `key` is a live `str` (contract); its data holds `length` characters of the kind it names. A `str` of a
    // wider kind may begin so, too.
    unsafe {
        if ffi::PyUnicode_GET_LENGTH(key) < 3 {
            return false;
        }
        if ffi::PyUnicode_KIND(key) == ffi::PyUnicode_1BYTE_KIND {
            return ffi::PyUnicode_DATA(key).cast::<[u8; 3]>().read() == *b"_sa";
        }
        [0, 1, 2].map(|index| ffi::PyUnicode_ReadChar(key, index)) == b"_sa".map(u32::from)
    }
}

/// Asks for an object that is needed soon.
#[inline(always)]
fn prefetch(object: *mut ffi::PyObject) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is a hint: it reads nothing and cannot fault; SSE, which has it, is part of x86-64.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(object.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = object;
}
