//! What a value is made of, where that alone says which JSON text stands for it.
//!
//! Data only: `forzium/_compile/outline.py` finds it out, [`super::dumps_outlined`] writes by it. The words are those of
//! `forzium/_compile/spec.py`.

use pyo3::PyTraverseError;
use pyo3::exceptions::PyValueError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyFrozenSet, PyString, PyTuple, PyType};

/// A value and all that it may be made of.
pub struct Outline {
    parts: Vec<Part>,
    pub(super) root: usize,
}

/// One part. A number is the place of another part in the outline, which may lead back to this one.
pub(super) enum Part {
    /// Anything that is made of what JSON has.
    Any,
    Str,
    Int,
    Float,
    Bool,
    Null,
    DateTime,
    Date,
    Nullable(usize),
    List(usize),
    /// With keys that are all `str`.
    Dict(usize),
    /// One of these strings.
    Literal(Py<PyFrozenSet>),
    /// One of these very objects, each with its text and a comma.
    One(Vec<(Py<PyAny>, Vec<u8>)>),
    /// An instance of exactly this class, which is `uuid.UUID`.
    Uuid(Py<PyType>),
    /// Known only where it is not validated.
    Given(usize),
    Model(Model),
}

pub(super) struct Model {
    pub class: Py<PyType>,
    /// Whether a dict may stand for an instance.
    pub of_dicts: bool,
    pub members: Vec<Member>,
}

/// A field of a model.
pub(super) struct Member {
    /// The keys that it may have in a dict, the preferred one first.
    pub keys: Vec<Py<PyString>>,
    /// The key that it has in the dict of an instance.
    pub name: Py<PyString>,
    /// What is written before its value.
    pub text: Vec<u8>,
    pub part: usize,
    /// What stands for a missing one.
    pub default: Option<Py<PyAny>>,
}

impl Outline {
    /// Reads an `OutlineSpec`.
    pub fn read(spec: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = spec.py();
        let parts = spec.getattr(pyo3::intern!(py, "parts"))?;
        let parts = parts.try_iter()?.map(|part| Part::read(&part?)).collect::<PyResult<_>>()?;
        Ok(Self { parts, root: spec.getattr(pyo3::intern!(py, "root"))?.extract()? })
    }

    #[inline(always)]
    pub(super) fn part(&self, place: usize) -> Option<&Part> {
        self.parts.get(place)
    }

    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        for part in &self.parts {
            match part {
                Part::Literal(strings) => visit.call(strings)?,
                Part::One(members) => members.iter().try_for_each(|(member, _)| visit.call(member))?,
                Part::Uuid(class) => visit.call(class)?,
                Part::Model(model) => {
                    visit.call(&model.class)?;
                    for member in &model.members {
                        visit.call(&member.default)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Part {
    fn read(spec: &Bound<'_, PyAny>) -> PyResult<Self> {
        let spec = spec.cast::<PyTuple>()?;
        let place = || spec.get_item(1)?.extract::<usize>();
        Ok(match spec.get_item(0)?.extract::<String>()?.as_str() {
            "any" => Self::Any,
            "str" => Self::Str,
            "int" => Self::Int,
            "float" => Self::Float,
            "bool" => Self::Bool,
            "none" => Self::Null,
            "datetime" => Self::DateTime,
            "date" => Self::Date,
            "nullable" => Self::Nullable(place()?),
            "list" => Self::List(place()?),
            "dict" => Self::Dict(place()?),
            "literal" => Self::Literal(spec.get_item(1)?.cast_into::<PyFrozenSet>()?.unbind()),
            "one" => Self::One(texts(&spec.get_item(2)?)?),
            "uuid" => Self::Uuid(spec.get_item(1)?.cast_into::<PyType>()?.unbind()),
            "given" => Self::Given(place()?),
            "model" => Self::Model(Model {
                class: spec.get_item(1)?.cast_into::<PyType>()?.unbind(),
                of_dicts: spec.get_item(2)?.extract()?,
                members: spec.get_item(3)?.try_iter()?.map(|member| Member::read(&member?)).collect::<PyResult<_>>()?,
            }),
            kind => return Err(PyValueError::new_err(format!("outline: expected a known part, but found {kind:?}"))),
        })
    }
}

/// Objects with their texts, to each of which a comma is added.
fn texts(spec: &Bound<'_, PyAny>) -> PyResult<Vec<(Py<PyAny>, Vec<u8>)>> {
    let pairs = spec.try_iter()?.map(|pair| {
        let (object, text) = pair?.extract::<(Py<PyAny>, Bound<'_, PyBytes>)>()?;
        Ok((object, [text.as_bytes(), b","].concat()))
    });
    pairs.collect()
}

impl Member {
    fn read(spec: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (keys, name, text, part, default) = spec.extract::<(_, _, Bound<'_, PyBytes>, _, Bound<'_, PyTuple>)>()?;
        let default = default.iter().next().map(Bound::unbind);
        Ok(Self { keys, name, text: text.as_bytes().to_vec(), part, default })
    }
}
