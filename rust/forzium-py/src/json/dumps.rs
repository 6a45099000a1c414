//! Writing: Python objects straight into the bytes that are sent.
//!
//! What is written is what
//! `json.dumps(obj, ensure_ascii=False, allow_nan=False, separators=(",", ":"))` gives, encoded as UTF-8; only the
//! spelling of floats is pydantic-core's (`1e-7` for `1e-07`). Errors are Python's types, and name the path to the value.
//!
//! After every value stands a comma; a container's end takes the place of the last one, and so does the document's.

use std::cell::Cell;
use std::ffi::c_int;
use std::fmt::Write as _;
use std::mem::MaybeUninit;
use std::ptr;

use pyo3::exceptions::{PyRecursionError, PyRuntimeError, PyTypeError, PyUnicodeEncodeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyNotImplemented, PyString, PyTuple};
use pyo3::{ffi, intern};

use super::escape;
use super::failed::{Failed, OrFailed};
use super::output::{Output, SMALL};
use super::turns::Turns;
use super::{float, integer};

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
    let mut small = [MaybeUninit::uninit(); SMALL];
    let mut writing = Writing::new(py, Output::bytes(&mut small), rules);
    writing.document(obj).map_err(|failed| failed.take(py))?;
    Ok(writing.output.finish_bytes(py)?.unbind())
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
    result.map_err(|failed| failed.take(py))
}

/// A container that is being written, and the one it is in. They stand on the native stack, whose depth is limited.
struct Link<'l> {
    above: Option<&'l Link<'l>>,
    /// What the user sees at this place.
    object: *mut ffi::PyObject,
    /// Where the walk is, for messages.
    at: Cell<At>,
}

#[derive(Clone, Copy)]
enum At {
    /// At this index.
    Index(ffi::Py_ssize_t),
    /// After this position of `PyDict_Next`.
    Entry(ffi::Py_ssize_t),
    /// At this item of a mapping: a list of (key, value) tuples that is alive, and an index.
    Item(*mut ffi::PyObject, ffi::Py_ssize_t),
    /// A hook gave another object, which is being written in its place.
    Replaced,
}

/// A reference that is held while a container is walked: others may run meanwhile, and drop theirs.
struct Held(*mut ffi::PyObject);

impl Held {
    /// # Safety
    /// `object` is alive, and the GIL is held now and when this is dropped.
    #[inline(always)]
    unsafe fn new(object: *mut ffi::PyObject) -> Self {
        // SAFETY: as the contract says.
        unsafe { ffi::Py_INCREF(object) };
        Self(object)
    }
}

impl Drop for Held {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: the reference is ours; the GIL is held (contract of `new`).
        unsafe { ffi::Py_DECREF(self.0) };
    }
}

type Written = Result<(), Failed>;
type Pair<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);
type Above<'l> = Option<&'l Link<'l>>;

struct Writing<'a, 'v, 'py> {
    py: Python<'py>,
    output: Output<'v>,
    rules: Rules<'a, 'py>,
    /// Containers that are open.
    depth: usize,
    turns: Turns,
}

impl<'a, 'v, 'py> Writing<'a, 'v, 'py> {
    fn new(py: Python<'py>, output: Output<'v>, rules: Rules<'a, 'py>) -> Self {
        Self { py, output, rules, depth: 0, turns: Turns::writing() }
    }

    fn document(&mut self, obj: &Bound<'py, PyAny>) -> Written {
        let plain = !matches!(self.rules, Rules::Jsonable { .. });
        // SAFETY: `obj` is a live object and stays borrowed for the call.
        unsafe { self.value(obj.as_ptr(), plain, None)? };
        self.output.take_back(b',');
        Ok(())
    }

    /// Writes any value, and a comma.
    ///
    /// # Safety
    /// `object` is alive until the next time Python code or another thread can run.
    #[inline(always)]
    unsafe fn value(&mut self, object: *mut ffi::PyObject, plain: bool, above: Above<'_>) -> Written {
        // SAFETY: `object` is alive (contract), and each branch hands it on with the type it was just found to have.
        unsafe {
            let class = ffi::Py_TYPE(object);
            if class == &raw mut ffi::PyUnicode_Type {
                self.string(object, b',', above)
            } else if class == &raw mut ffi::PyLong_Type {
                self.integer(object)
            } else if class == &raw mut ffi::PyFloat_Type {
                self.float(ffi::PyFloat_AS_DOUBLE(object), above)
            } else if object == ffi::Py_None() {
                self.output.constant(b"null,")
            } else if object == ffi::Py_True() {
                self.output.constant(b"true,")
            } else if object == ffi::Py_False() {
                self.output.constant(b"false,")
            } else if class == &raw mut ffi::PyDict_Type {
                if plain { self.dict::<true>(object, above) } else { self.dict::<false>(object, above) }
            } else if class == &raw mut ffi::PyList_Type {
                self.sequence::<true>(object, object, plain, above)
            } else if class == &raw mut ffi::PyTuple_Type {
                self.sequence::<false>(object, object, plain, above)
            } else {
                self.other(&Bound::from_borrowed_ptr(self.py, object), plain, above)
            }
        }
    }

    /// Writes a list (`LIST`) or a tuple, which the user sees as `shown`.
    ///
    /// # Safety
    /// `object` is alive and of that type, `shown` is alive as long as it.
    #[inline(never)]
    unsafe fn sequence<const LIST: bool>(
        &mut self,
        object: *mut ffi::PyObject,
        shown: *mut ffi::PyObject,
        plain: bool,
        above: Above<'_>,
    ) -> Written {
        if self.depth >= MAX_DEPTH {
            // SAFETY: `shown` is alive (contract).
            return unsafe { self.deeper(shown, plain, above) };
        }
        self.depth += 1;
        // SAFETY: `object` is held for the call. An index is used only after it was compared with the size the container
        // has now, with nothing run in between; `item` is in the container when it is given to `value`.
        unsafe {
            let _held = Held::new(object);
            let link = Link { above, object: shown, at: Cell::new(At::Index(0)) };
            let length = if LIST { ffi::PyList_GET_SIZE(object) } else { ffi::PyTuple_GET_SIZE(object) };
            self.output.push(b'[')?;
            let mut position = 0;
            while position < length {
                let item =
                    if LIST { ffi::PyList_GET_ITEM(object, position) } else { ffi::PyTuple_GET_ITEM(object, position) };
                link.at.set(At::Index(position));
                position += 1;
                self.value(item, plain, Some(&link))?;
                self.turns.tick(self.py);
                if LIST && ffi::PyList_GET_SIZE(object) != length {
                    return Err(self.changed("list", above));
                }
            }
        }
        self.depth -= 1;
        self.output.close(b']')
    }

    /// Writes a dict.
    ///
    /// # Safety
    /// `object` is a live dict.
    #[inline(never)]
    unsafe fn dict<const PLAIN: bool>(&mut self, object: *mut ffi::PyObject, above: Above<'_>) -> Written {
        if self.depth >= MAX_DEPTH {
            // SAFETY: `object` is alive (contract).
            return unsafe { self.deeper(object, PLAIN, above) };
        }
        self.depth += 1;
        let begin = self.output.len();
        // SAFETY: `object` is held for the call. `PyDict_Next` checks its position against the dict as it is now, so a
        // dict changed meanwhile is at worst walked wrongly; that is noticed. Key and value are in the dict when they
        // are used; where Python code may run in between (a key that is no exact `str`), both are held.
        unsafe {
            let _held = Held::new(object);
            let link = Link { above, object, at: Cell::new(At::Entry(0)) };
            let length = (*object.cast::<ffi::PyDictObject>()).ma_used;
            self.output.push(b'{')?;
            let mut position = 0;
            let mut key: *mut ffi::PyObject = ptr::null_mut();
            let mut value: *mut ffi::PyObject = ptr::null_mut();
            while ffi::PyDict_Next(object, &raw mut position, &raw mut key, &raw mut value) != 0 {
                link.at.set(At::Entry(position));
                if ffi::Py_TYPE(key) == &raw mut ffi::PyUnicode_Type {
                    if !PLAIN && is_sqlalchemy_state(key) {
                        continue;
                    }
                    self.string(key, b':', Some(&link))?;
                    self.value(value, PLAIN, Some(&link))?;
                } else if PLAIN || ffi::PyLong_CheckExact(key) != 0 {
                    let value = Bound::from_borrowed_ptr(self.py, value);
                    self.other_key(&Bound::from_borrowed_ptr(self.py, key), Some(&link))?;
                    self.value(value.as_ptr(), PLAIN, Some(&link))?;
                } else {
                    // A key that is not for us: what was written is forgotten, the encoder decides.
                    self.output.truncate(begin);
                    self.depth -= 1;
                    return self.other(&Bound::from_borrowed_ptr(self.py, object), false, above);
                }
                self.turns.tick(self.py);
                if (*object.cast::<ffi::PyDictObject>()).ma_used != length {
                    return Err(self.changed("dictionary", above));
                }
            }
        }
        self.depth -= 1;
        self.output.close(b'}')
    }

    /// Writes the items of a mapping that is not exactly a dict.
    #[cold]
    fn items(&mut self, object: &Bound<'py, PyAny>, plain: bool, above: Above<'_>) -> Written {
        let py = self.py;
        // SAFETY: `object` is held by the reference.
        unsafe {
            if self.depth >= MAX_DEPTH {
                return self.deeper(object.as_ptr(), plain, above);
            }
        }
        self.depth += 1;
        // SAFETY: as above; the call returns a new list, or null with an exception set.
        let items = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyMapping_Items(object.as_ptr())) }.or_failed(py)?;
        let list = items.as_ptr();
        let link = Link { above, object: object.as_ptr(), at: Cell::new(At::Item(list, 0)) };
        self.output.push(b'{')?;
        for (index, pair) in items.cast::<PyList>().map_err(PyErr::from).or_failed(py)?.iter().enumerate() {
            link.at.set(At::Item(list, index as ffi::Py_ssize_t));
            let Ok((key, value)) =
                pair.cast_into::<PyTuple>().map_err(PyErr::from).and_then(|pair| pair.extract::<Pair<'_>>())
            else {
                return Err(Failed::with(py, PyValueError::new_err("items must return 2-tuples")));
            };
            self.other_key(&key, Some(&link))?;
            // SAFETY: the value is held by `value`.
            unsafe { self.value(value.as_ptr(), plain, Some(&link))? };
            self.turns.tick(py);
        }
        self.depth -= 1;
        self.output.close(b'}')
    }

    /// A container deeper than the native stack is used for: the standard library writes it, or says what is wrong with
    /// it (a cycle, too deep).
    ///
    /// # Safety
    /// `object` is alive.
    #[cold]
    unsafe fn deeper(&mut self, object: *mut ffi::PyObject, plain: bool, above: Above<'_>) -> Written {
        let py = self.py;
        if matches!(self.rules, Rules::Jsonable { .. }) && !plain {
            let message = "maximum recursion depth exceeded while encoding a JSON object";
            return Err(Failed::with(py, PyRecursionError::new_err(message)));
        }
        let default = match self.rules {
            Rules::Plain { default, .. } | Rules::Pydantic { default } => default,
            Rules::Jsonable { .. } => None,
        };
        // SAFETY: `object` is alive (contract).
        let object = unsafe { Bound::from_borrowed_ptr(py, object) };
        let text = by_python(&object, default).or_failed(py)?;
        let text = text.cast_into::<PyString>().map_err(PyErr::from).or_failed(py)?;
        match text.to_str() {
            Ok(text) => self.output.extend(text.as_bytes())?,
            Err(error) => {
                error.restore(py);
                return Err(self.surrogate(above));
            }
        }
        self.output.push(b',')
    }

    /// Everything that is not exactly a builtin type.
    #[cold]
    #[inline(never)]
    fn other(&mut self, object: &Bound<'py, PyAny>, plain: bool, above: Above<'_>) -> Written {
        if let (Rules::Jsonable { encoder }, false) = (self.rules, plain) {
            let encoded = encoder.call1((object,)).or_failed(self.py)?;
            return self.replaced(object, &encoded, above);
        }
        // SAFETY: `object` is held by the reference; every branch is guarded by the matching type check, and a list made
        // here is held until it is written.
        unsafe {
            let raw = object.as_ptr();
            if ffi::PyUnicode_Check(raw) != 0 {
                self.string(raw, b',', above)
            } else if ffi::PyLong_Check(raw) != 0 {
                self.big_integer(raw)
            } else if ffi::PyFloat_Check(raw) != 0 {
                self.float(ffi::PyFloat_AS_DOUBLE(raw), above)
            } else if ffi::PyList_Check(raw) != 0 || ffi::PyTuple_Check(raw) != 0 {
                // The subclass may iterate as it likes.
                let list = Bound::from_owned_ptr_or_err(self.py, ffi::PySequence_List(raw)).or_failed(self.py)?;
                self.sequence::<true>(list.as_ptr(), raw, plain, above)
            } else if ffi::PyDict_Check(raw) != 0 {
                self.items(object, plain, above)
            } else {
                self.foreign(object, above)
            }
        }
    }

    /// An object JSON has no form for.
    fn foreign(&mut self, object: &Bound<'py, PyAny>, above: Above<'_>) -> Written {
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
                self.output.extend(text.as_bytes())?;
                return self.output.push(b',');
            }
            if !text.is_instance_of::<PyNotImplemented>() {
                return Err(Failed::with(py, PyTypeError::new_err("expected the serializer to return bytes")));
            }
        }
        if let Some(default) = default {
            let instead = default.call1((object,)).or_failed(py)?;
            return self.replaced(object, &instead, above);
        }
        let name = object.get_type().name().or_failed(py)?;
        let message =
            format!("Object of type {} is not JSON serializable (at {})", name.to_string_lossy(), self.path(above));
        Err(Failed::with(py, PyTypeError::new_err(message)))
    }

    /// Writes `instead` in the place of `object`; a link remembers it, so that hooks going in circles come to an end.
    fn replaced(&mut self, object: &Bound<'py, PyAny>, instead: &Bound<'py, PyAny>, above: Above<'_>) -> Written {
        let again = links(above).any(|link| matches!(link.at.get(), At::Replaced) && link.object == object.as_ptr());
        if again {
            let message = format!("Circular reference detected (at {})", self.path(above));
            return Err(Failed::with(self.py, PyValueError::new_err(message)));
        }
        if self.depth >= MAX_DEPTH {
            let message = "maximum recursion depth exceeded while encoding a JSON object";
            return Err(Failed::with(self.py, PyRecursionError::new_err(message)));
        }
        self.depth += 1;
        let link = Link { above, object: object.as_ptr(), at: Cell::new(At::Replaced) };
        // SAFETY: `instead` is held by its reference, and so is `object`, which the link names.
        unsafe { self.value(instead.as_ptr(), true, Some(&link))? };
        self.depth -= 1;
        Ok(())
    }

    /// Writes a key that is no exact `str`, and the colon after it.
    #[cold]
    #[inline(never)]
    fn other_key(&mut self, key: &Bound<'py, PyAny>, above: Above<'_>) -> Written {
        let raw = key.as_ptr();
        // SAFETY: `key` is held by the reference; the branches are guarded by the matching type checks.
        unsafe {
            if ffi::PyUnicode_Check(raw) != 0 {
                return self.string(raw, b':', above);
            }
            self.output.push(b'"')?;
            if ffi::PyFloat_Check(raw) != 0 {
                self.float(ffi::PyFloat_AS_DOUBLE(raw), above)?;
            } else if raw == ffi::Py_True() {
                self.output.constant(b"true,")?;
            } else if raw == ffi::Py_False() {
                self.output.constant(b"false,")?;
            } else if raw == ffi::Py_None() {
                self.output.constant(b"null,")?;
            } else if ffi::PyLong_Check(raw) != 0 {
                self.integer(raw)?;
            } else {
                let name = key.get_type().name().or_failed(self.py)?;
                let message = format!(
                    "keys must be str, int, float, bool or None, not {} (in {})",
                    name.to_string_lossy(),
                    self.path(above.and_then(|link| link.above))
                );
                return Err(Failed::with(self.py, PyTypeError::new_err(message)));
            }
        }
        self.output.take_back(b',');
        self.output.constant(b"\":")
    }

    /// # Safety
    /// `object` is a live `str`.
    #[inline(always)]
    unsafe fn string(&mut self, object: *mut ffi::PyObject, after: u8, above: Above<'_>) -> Written {
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
                    return Err(self.surrogate(above));
                }
                data
            };
            let text = std::str::from_utf8_unchecked(std::slice::from_raw_parts(data, length as usize));
            escape::quoted(&mut self.output, text, after)
        }
    }

    /// # Safety
    /// `object` is a live `int`.
    #[inline(always)]
    unsafe fn integer(&mut self, object: *mut ffi::PyObject) -> Result<(), Failed> {
        let mut overflow: c_int = 0;
        // SAFETY: `object` is a live `int` (contract).
        let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(object, &raw mut overflow) };
        if overflow != 0 {
            // SAFETY: as above.
            return unsafe { self.big_integer(object) };
        }
        self.output.reserve(integer::LONGEST + 1)?;
        // SAFETY: `reserve` made room for the digits and the comma.
        unsafe {
            let to = self.output.cursor();
            let count = integer::write(to, value);
            *to.add(count) = b',';
            self.output.advance(count + 1);
        }
        Ok(())
    }

    /// Any integer, as `int.__repr__` writes it, whatever a subclass thinks of that.
    ///
    /// # Safety
    /// `object` is a live `int`.
    #[cold]
    unsafe fn big_integer(&mut self, object: *mut ffi::PyObject) -> Result<(), Failed> {
        // SAFETY: `object` is a live `int` (contract); the call returns a new `str`, or null with an exception set.
        let text = unsafe { Bound::from_owned_ptr_or_err(self.py, ffi::PyNumber_ToBase(object, 10)) };
        let text = text.and_then(|text| Ok(text.cast_into::<PyString>()?)).or_failed(self.py)?;
        self.output.extend(text.to_str().or_failed(self.py)?.as_bytes())?;
        self.output.push(b',')
    }

    #[inline(always)]
    fn float(&mut self, value: f64, above: Above<'_>) -> Written {
        if !value.is_finite() {
            return Err(self.not_finite(value, above));
        }
        self.output.reserve(float::ROOM)?;
        // SAFETY: `reserve` made room for the digits and the comma; `value` is finite.
        unsafe {
            let to = self.output.cursor();
            let count = float::write(to, value);
            *to.add(count) = b',';
            self.output.advance(count + 1);
        }
        Ok(())
    }

    #[cold]
    fn not_finite(&self, value: f64, above: Above<'_>) -> Failed {
        let name = if value.is_nan() {
            "nan"
        } else if value > 0.0 {
            "inf"
        } else {
            "-inf"
        };
        let message = format!("Out of range float values are not JSON compliant: {name} (at {})", self.path(above));
        Failed::with(self.py, PyValueError::new_err(message))
    }

    /// Python's error about a lone surrogate, with the path added to its reason.
    #[cold]
    fn surrogate(&self, above: Above<'_>) -> Failed {
        let error = PyErr::fetch(self.py);
        let value = error.value(self.py);
        if value.is_instance_of::<PyUnicodeEncodeError>()
            && let Ok(reason) = value.getattr("reason")
        {
            // The error stays good without its path.
            let _ = value.setattr("reason", format!("{reason} (at {})", self.path(above)));
        }
        Failed::with(self.py, error)
    }

    #[cold]
    fn changed(&self, what: &str, above: Above<'_>) -> Failed {
        let message = format!("{what} changed size during iteration (at {})", self.path(above));
        Failed::with(self.py, PyRuntimeError::new_err(message))
    }

    /// Where a value stands whose container `above` is: `$.items[3].price`.
    #[cold]
    fn path(&self, above: Above<'_>) -> String {
        let mut upwards: Vec<&Link<'_>> = links(above).collect();
        upwards.reverse();
        let mut path = String::from("$");
        for link in upwards {
            if path.len() > LONGEST_PATH {
                path.push('…');
                break;
            }
            match link.at.get() {
                At::Index(index) => {
                    // Writing to a String cannot fail.
                    let _ = write!(path, "[{index}]");
                }
                At::Replaced => {}
                At::Entry(_) | At::Item(..) => match self.key_at(link) {
                    Some(key) => push_key(&mut path, &key),
                    None => path.push_str("[?]"),
                },
            }
        }
        path
    }

    /// The key that the walk of a dict or mapping stands at.
    fn key_at(&self, link: &Link<'_>) -> Option<Bound<'py, PyAny>> {
        // SAFETY: what a link names is held by the function that made it, and of the type `at` says; a reference is taken
        // to a borrowed key before anything else can run.
        unsafe {
            match link.at.get() {
                At::Item(items, index) => {
                    let items = Bound::from_borrowed_ptr(self.py, items).cast_into_unchecked::<PyList>();
                    items.get_item(index as usize).ok()?.get_item(0).ok()
                }
                At::Entry(wanted) => {
                    let (mut position, mut key, mut value) = (0, ptr::null_mut(), ptr::null_mut());
                    while ffi::PyDict_Next(link.object, &raw mut position, &raw mut key, &raw mut value) != 0 {
                        if position >= wanted {
                            return Some(Bound::from_borrowed_ptr(self.py, key));
                        }
                    }
                    None
                }
                At::Index(_) | At::Replaced => None,
            }
        }
    }
}

/// The links from the innermost outwards.
fn links<'l>(above: Above<'l>) -> impl Iterator<Item = &'l Link<'l>> {
    std::iter::successors(above, |link| link.above)
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

/// Bytes after which a path is cut: nesting can be deep, and a message is for reading.
const LONGEST_PATH: usize = 1000;

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
