//! Writing values whose outline is known: the text that pydantic would write after validating them.
//!
//! Only what is certain is written. `Failed` means here that somebody else has to look at the value, all of it: nothing is
//! said about why, and no Python code has run that could have seen it.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDate, PyDateAccess, PyDateTime, PyString, PyTimeAccess, PyTzInfo, PyTzInfoAccess};

use super::super::entries::Walk;
use super::super::integer;
use super::super::outline::{Member, Model, Outline, Part};
use super::failed::{Failed, OrFailed};
use super::output::{Cursor, Written};
use super::scalars::Literal;
use super::scalars::SHORT;
use super::{STRETCH, Writing};

/// Containers within each other that are written here. Far from where pydantic sees a cycle, and so are cycles.
const DEEPEST: usize = 64;

/// Up to here, and down to its negative, each integer is a float.
const LARGEST_EXACT: i64 = 1 << 53;

impl<'py> Writing<'_, '_, 'py> {
    /// Writes a value that is made as the part of the outline at `place`, and a comma. `GIVEN`: whether it stands inside
    /// of an instance, which is written as it is, without validation.
    ///
    /// # Safety
    /// `object` is alive until the next time Python code or another thread can run.
    #[inline(always)]
    pub(super) unsafe fn outlined<const GIVEN: bool>(
        &mut self,
        cursor: Cursor,
        outline: &Outline,
        place: usize,
        object: *mut ffi::PyObject,
        depth: usize,
    ) -> Written {
        // SAFETY: `object` is alive (contract); a branch hands it on with the type that it was just found to have.
        unsafe {
            let class = ffi::Py_TYPE(object);
            match outline.part(place) {
                Some(Part::Str) if class == &raw mut ffi::PyUnicode_Type => self.string(cursor, object, b',', depth),
                Some(Part::Float) if class == &raw mut ffi::PyFloat_Type => {
                    self.float(cursor, ffi::PyFloat_AS_DOUBLE(object), b',')
                }
                Some(Part::Int) if class == &raw mut ffi::PyLong_Type => self.native_integer(cursor, object),
                part => self.outlined_else::<GIVEN>(cursor, outline, part.ok_or(Failed)?, object, depth),
            }
        }
    }

    /// As [`Writing::outlined`], for what is not as frequent.
    ///
    /// # Safety
    /// As there.
    unsafe fn outlined_else<const GIVEN: bool>(
        &mut self,
        cursor: Cursor,
        outline: &Outline,
        part: &Part,
        object: *mut ffi::PyObject,
        depth: usize,
    ) -> Written {
        // SAFETY: as above.
        unsafe {
            let class = ffi::Py_TYPE(object);
            match part {
                Part::Nullable(_) | Part::Null if object == ffi::Py_None() => self.output.constant(cursor, b"null,"),
                Part::Nullable(inner) => self.outlined::<GIVEN>(cursor, outline, *inner, object, depth),
                Part::List(inner) if class == &raw mut ffi::PyList_Type => {
                    self.outlined_list::<GIVEN>(cursor, outline, Some(*inner), object, depth)
                }
                Part::Dict(inner) if class == &raw mut ffi::PyDict_Type => {
                    self.outlined_dict::<GIVEN>(cursor, outline, Some(*inner), object, depth)
                }
                Part::Model(model) if class.cast() == model.class.as_ptr() => {
                    self.instance(cursor, outline, model, object, depth)
                }
                Part::Model(model) if !GIVEN && model.of_dicts && class == &raw mut ffi::PyDict_Type => {
                    self.members::<false>(cursor, outline, model, object, depth)
                }
                Part::Bool if object == ffi::Py_True() => self.output.constant(cursor, b"true,"),
                Part::Bool if object == ffi::Py_False() => self.output.constant(cursor, b"false,"),
                Part::Float if !GIVEN && class == &raw mut ffi::PyLong_Type => {
                    let value = native(object).ok_or(Failed)?;
                    if !(-LARGEST_EXACT..=LARGEST_EXACT).contains(&value) {
                        return Err(Failed);
                    }
                    self.float(cursor, value as f64, b',')
                }
                Part::Literal(strings) if class == &raw mut ffi::PyUnicode_Type => {
                    if ffi::PySet_Contains(strings.as_ptr(), object) != 1 {
                        return Err(Failed);
                    }
                    self.string(cursor, object, b',', depth)
                }
                Part::One(members) => {
                    let (_, text) = members.iter().find(|(member, _)| member.as_ptr() == object).ok_or(Failed)?;
                    self.output.extend(cursor, text)
                }
                Part::Uuid(known) if class.cast() == known.as_ptr() => {
                    self.uuid(cursor, &Bound::from_borrowed_ptr(self.py, object))
                }
                Part::DateTime => self.moment(cursor, &Bound::from_borrowed_ptr(self.py, object)),
                Part::Date => self.day(cursor, &Bound::from_borrowed_ptr(self.py, object)),
                Part::Given(inner) if GIVEN => self.outlined::<GIVEN>(cursor, outline, *inner, object, depth),
                Part::Any => self.anything(cursor, outline, object, depth),
                _ => Err(Failed),
            }
        }
    }

    /// Writes what is made of exact builtin types.
    ///
    /// # Safety
    /// As for [`Writing::outlined`].
    unsafe fn anything(
        &mut self,
        cursor: Cursor,
        outline: &Outline,
        object: *mut ffi::PyObject,
        depth: usize,
    ) -> Written {
        // SAFETY: as there.
        unsafe {
            let class = ffi::Py_TYPE(object);
            if class == &raw mut ffi::PyUnicode_Type {
                self.string(cursor, object, b',', depth)
            } else if class == &raw mut ffi::PyLong_Type {
                self.native_integer(cursor, object)
            } else if class == &raw mut ffi::PyFloat_Type {
                self.float(cursor, ffi::PyFloat_AS_DOUBLE(object), b',')
            } else if class == &raw mut ffi::PyDict_Type {
                self.outlined_dict::<true>(cursor, outline, None, object, depth)
            } else if class == &raw mut ffi::PyList_Type {
                self.outlined_list::<true>(cursor, outline, None, object, depth)
            } else if let Some(literal) = Literal::of(object) {
                self.literal(cursor, literal)
            } else {
                Err(Failed)
            }
        }
    }

    /// # Safety
    /// `object` is a live `int`.
    #[inline(always)]
    unsafe fn native_integer(&mut self, cursor: Cursor, object: *mut ffi::PyObject) -> Written {
        // SAFETY: as the contract says; `reserve` made room for the digits and the comma.
        unsafe {
            let value = native(object).ok_or(Failed)?;
            let cursor = self.output.reserve(cursor, integer::LONGEST + 1)?;
            let cursor = cursor.add(integer::write(cursor.as_ptr(), value));
            cursor.write(b',');
            Ok(cursor.add(1))
        }
    }

    /// Writes an item of a list or a dict; `inner` is the place of its part, none where it may be anything.
    ///
    /// # Safety
    /// As for [`Writing::outlined`].
    #[inline(always)]
    unsafe fn item<const GIVEN: bool>(
        &mut self,
        cursor: Cursor,
        outline: &Outline,
        inner: Option<usize>,
        object: *mut ffi::PyObject,
        depth: usize,
    ) -> Written {
        // SAFETY: as there.
        unsafe {
            match inner {
                Some(place) => self.outlined::<GIVEN>(cursor, outline, place, object, depth),
                None => self.anything(cursor, outline, object, depth),
            }
        }
    }

    /// # Safety
    /// `object` is a live list.
    #[inline(never)]
    unsafe fn outlined_list<const GIVEN: bool>(
        &mut self,
        mut cursor: Cursor,
        outline: &Outline,
        inner: Option<usize>,
        object: *mut ffi::PyObject,
        depth: usize,
    ) -> Written {
        if depth >= DEEPEST {
            return Err(Failed);
        }
        // SAFETY: `object` is held for the call. An index is used only after it was compared with the size the list has
        // now, with nothing run in between; `item` is in the list when it is written.
        unsafe {
            self.enter(depth, object);
            let length = ffi::PyList_GET_SIZE(object);
            cursor = self.output.constant(cursor, b"[")?;
            let mut position = 0;
            while position < ffi::PyList_GET_SIZE(object) {
                let item = ffi::PyList_GET_ITEM(object, position);
                cursor = self.item::<GIVEN>(cursor, outline, inner, item, depth + 1)?;
                position += 1;
                if position % STRETCH == 0 {
                    self.spend(depth + 1, STRETCH);
                }
            }
            self.spend(depth + 1, 1 + position % STRETCH);
            if position != length || ffi::PyList_GET_SIZE(object) != length {
                return Err(Failed);
            }
            self.leave(depth);
            self.output.close(cursor, b']', length != 0)
        }
    }

    /// # Safety
    /// `object` is a live dict.
    #[inline(never)]
    unsafe fn outlined_dict<const GIVEN: bool>(
        &mut self,
        mut cursor: Cursor,
        outline: &Outline,
        inner: Option<usize>,
        object: *mut ffi::PyObject,
        depth: usize,
    ) -> Written {
        if depth >= DEEPEST {
            return Err(Failed);
        }
        // SAFETY: `object` is held for the call; key and value are in the dict when they are written. A walk over a dict
        // that is changed meanwhile is at worst wrong, which is noticed.
        unsafe {
            self.enter(depth, object);
            let length = used(object);
            cursor = self.output.constant(cursor, b"{")?;
            let mut walk = Walk::new(object);
            while let Some((key, value)) = walk.next() {
                if ffi::Py_TYPE(key) != &raw mut ffi::PyUnicode_Type || ffi::PyUnicode_GET_LENGTH(key) > SHORT {
                    return Err(Failed);
                }
                // Others do not run while a short string is written: the value is in the dict still.
                cursor = self.string(cursor, key, b':', depth + 1)?;
                cursor = self.item::<GIVEN>(cursor, outline, inner, value, depth + 1)?;
                if walk.position() % STRETCH == 0 {
                    self.spend(depth + 1, STRETCH);
                }
                if used(object) != length {
                    return Err(Failed);
                }
            }
            self.spend(depth + 1, 1 + walk.position() % STRETCH);
            self.leave(depth);
            self.output.close(cursor, b'}', length != 0)
        }
    }

    /// Writes an instance of exactly a model's class.
    ///
    /// # Safety
    /// `object` is a live instance of it.
    #[inline(never)]
    unsafe fn instance(
        &mut self,
        cursor: Cursor,
        outline: &Outline,
        model: &Model,
        object: *mut ffi::PyObject,
        depth: usize,
    ) -> Written {
        // SAFETY: `object` is alive (contract); its dict is held until it is written.
        unsafe {
            let dict = ffi::PyObject_GenericGetDict(object, std::ptr::null_mut());
            let dict = Bound::from_owned_ptr_or_err(self.py, dict).or_failed(self.py)?;
            if ffi::PyDict_CheckExact(dict.as_ptr()) == 0 {
                return Err(Failed);
            }
            self.members::<true>(cursor, outline, model, dict.as_ptr(), depth)
        }
    }

    /// Writes the members of a model that stand in a dict: that of an instance (`GIVEN`), or one an instance could be made
    /// of. Those of an instance are written in the order in which they were set, so it must be that of the fields.
    ///
    /// # Safety
    /// `dict` is a live dict.
    #[inline(never)]
    unsafe fn members<const GIVEN: bool>(
        &mut self,
        mut cursor: Cursor,
        outline: &Outline,
        model: &Model,
        dict: *mut ffi::PyObject,
        depth: usize,
    ) -> Written {
        if depth >= DEEPEST {
            return Err(Failed);
        }
        // SAFETY: `dict` is held for the call. A value is in the dict when it is written, or is held by the outline. The
        // walk is as in `outlined_dict`.
        unsafe {
            self.enter(depth, dict);
            let length = used(dict);
            let count = model.members.len() as ffi::Py_ssize_t;
            if GIVEN && length != count {
                return Err(Failed);
            }
            cursor = self.output.constant(cursor, b"{")?;
            let mut walk = Some(Walk::new(dict));
            for member in &model.members {
                let next = walk.as_mut().and_then(|walk| walk.next());
                cursor = self.output.extend(cursor, &member.text)?;
                cursor = match next {
                    Some((key, value)) if GIVEN && same(key, &member.name) => {
                        self.outlined::<true>(cursor, outline, member.part, value, depth + 1)?
                    }
                    Some((key, value)) if !GIVEN && member.keys.first().is_some_and(|first| same(key, first)) => {
                        self.outlined::<false>(cursor, outline, member.part, value, depth + 1)?
                    }
                    _ if GIVEN => return Err(Failed),
                    _ => {
                        if walk.take().is_some() && !has_strings(Walk::new(dict)) {
                            return Err(Failed);
                        }
                        match sought(dict, member) {
                            Some(value) => self.outlined::<false>(cursor, outline, member.part, value, depth + 1)?,
                            None => {
                                let default = member.default.as_ref().ok_or(Failed)?;
                                self.outlined::<true>(cursor, outline, member.part, default.as_ptr(), depth + 1)?
                            }
                        }
                    }
                };
                if used(dict) != length {
                    return Err(Failed);
                }
            }
            // A key that is compared with others by code of its own could have been taken for one of these.
            if length > count && walk.is_some_and(|walk| !has_strings(walk)) {
                return Err(Failed);
            }
            self.spend(depth + 1, 1 + count);
            self.leave(depth);
            self.output.close(cursor, b'}', count != 0)
        }
    }

    /// Writes a `datetime` without a time zone, or in UTC.
    fn moment(&mut self, cursor: Cursor, object: &Bound<'py, PyAny>) -> Written {
        let moment = object.cast_exact::<PyDateTime>().map_err(|_| Failed)?;
        let zone: &[u8] = match moment.get_tzinfo() {
            None => b"\",",
            Some(zone) if PyTzInfo::utc(self.py).is_ok_and(|utc| zone.is(&*utc)) => b"Z\",",
            Some(_) => return Err(Failed),
        };
        let cursor = self.date(cursor, moment)?;
        let time = [moment.get_hour(), moment.get_minute(), moment.get_second()];
        let [hour, minute, second] = time.map(|number| two_digits(number.into()));
        let time = [b'T', hour[0], hour[1], b':', minute[0], minute[1], b':', second[0], second[1]];
        let mut cursor = self.output.constant(cursor, &time)?;
        let micros = moment.get_microsecond();
        if micros != 0 {
            let [a, b, c] = [micros / 10_000, micros / 100 % 100, micros % 100].map(two_digits);
            cursor = self.output.constant(cursor, &[b'.', a[0], a[1], b[0], b[1], c[0], c[1]])?;
        }
        self.output.extend(cursor, zone)
    }

    /// Writes a `date`.
    fn day(&mut self, cursor: Cursor, object: &Bound<'py, PyAny>) -> Written {
        let day = object.cast_exact::<PyDate>().map_err(|_| Failed)?;
        let cursor = self.date(cursor, day)?;
        self.output.constant(cursor, b"\",")
    }

    /// Writes a `uuid.UUID`.
    fn uuid(&mut self, cursor: Cursor, object: &Bound<'py, PyAny>) -> Written {
        let number = object.getattr(pyo3::intern!(self.py, "int")).or_failed(self.py)?;
        let number = number.extract::<u128>().or_failed(self.py)?;
        let mut text = *b"\"00000000-0000-0000-0000-000000000000\",";
        let digits = (0..32).rev().map(|place| (number >> (4 * place)) as usize & 15);
        for (place, digit) in text.iter_mut().filter(|byte| **byte == b'0').zip(digits) {
            *place = b"0123456789abcdef"[digit];
        }
        self.output.constant(cursor, &text)
    }

    fn date(&mut self, cursor: Cursor, date: &impl PyDateAccess) -> Written {
        let year = date.get_year().unsigned_abs();
        let [a, b] = [year / 100, year % 100].map(two_digits);
        let [month, day] = [date.get_month(), date.get_day()].map(|number| two_digits(number.into()));
        let text = [b'"', a[0], a[1], b[0], b[1], b'-', month[0], month[1], b'-', day[0], day[1]];
        self.output.constant(cursor, &text)
    }
}

/// The decimal digits of a number below 100.
fn two_digits(number: u32) -> [u8; 2] {
    [b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]
}

/// An integer of 64 bits.
///
/// # Safety
/// `object` is a live `int`.
#[inline(always)]
unsafe fn native(object: *mut ffi::PyObject) -> Option<i64> {
    // SAFETY: as the contract says. The call raises nothing for an `int`.
    unsafe {
        integer::small(object).or_else(|| {
            let mut overflow = 0;
            let value = ffi::PyLong_AsLongLongAndOverflow(object, &raw mut overflow);
            (overflow == 0).then_some(value)
        })
    }
}

/// How many items a dict has.
///
/// # Safety
/// `dict` is a live dict.
#[inline(always)]
unsafe fn used(dict: *mut ffi::PyObject) -> ffi::Py_ssize_t {
    // SAFETY: as the contract says.
    unsafe { (*dict.cast::<ffi::PyDictObject>()).ma_used }
}

/// Whether the keys that are left are all exactly `str`: then to look for one runs no code of the user's.
///
/// # Safety
/// The dict of the walk is alive, and nobody else runs.
unsafe fn has_strings(mut walk: Walk) -> bool {
    // SAFETY: as the contract says.
    unsafe {
        while let Some((key, _)) = walk.next() {
            if ffi::Py_TYPE(key) != &raw mut ffi::PyUnicode_Type {
                return false;
            }
        }
        true
    }
}

/// The value of a member in a dict, a borrowed reference.
///
/// # Safety
/// `dict` is a live dict whose keys are all `str`.
unsafe fn sought(dict: *mut ffi::PyObject, member: &Member) -> Option<*mut ffi::PyObject> {
    // SAFETY: as the contract says; to look for a `str` among `str` raises nothing.
    let found = |key: &Py<PyString>| unsafe { ffi::PyDict_GetItemWithError(dict, key.as_ptr()) };
    member.keys.iter().map(found).find(|value| !value.is_null())
}

/// Whether a key of a dict is this text. Keys that are written out in a program are interned, those read from somewhere are
/// not.
///
/// # Safety
/// `key` is alive.
#[inline(always)]
unsafe fn same(key: *mut ffi::PyObject, text: &Py<PyString>) -> bool {
    // SAFETY: as the contract says.
    key == text.as_ptr() || unsafe { equal(key, text.as_ptr()) }
}

/// # Safety
/// Both are alive and keys of a dict, and `text` is a `str`.
unsafe fn equal(key: *mut ffi::PyObject, text: *mut ffi::PyObject) -> bool {
    // SAFETY: both are alive (contract), and both are `str` where their characters are read: as many as `length` says, of
    // `kind` bytes each. As keys they were hashed, so that they have them even where 3.11 makes them late.
    unsafe {
        if ffi::Py_TYPE(key) != &raw mut ffi::PyUnicode_Type {
            return false;
        }
        let (length, kind) = (ffi::PyUnicode_GET_LENGTH(text) as usize, ffi::PyUnicode_KIND(text));
        if ffi::PyUnicode_GET_LENGTH(key) as usize != length || ffi::PyUnicode_KIND(key) != kind {
            return false;
        }
        let bytes =
            |object| std::slice::from_raw_parts(ffi::PyUnicode_DATA(object).cast::<u8>(), length * kind as usize);
        bytes(key) == bytes(text)
    }
}
