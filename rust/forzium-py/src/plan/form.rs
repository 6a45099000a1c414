//! The fields of a form, as data: `forzium._compile.spec.FormFieldSpec` in Rust.

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::{Field, unknown};

/// What an uploaded file becomes before the validator sees it.
pub enum Reads {
    /// It stays what it is.
    Nothing,
    /// Its bytes.
    File,
    /// A list of files becomes the declared sequence of their bytes: `(list) -> sequence`.
    Files(Py<PyAny>),
}

/// Where a value is found in a form.
pub struct FormSource {
    /// The names it may come under, in order of preference.
    pub names: Vec<Py<PyString>>,
    /// Whether all values of a name are collected into a list.
    pub sequence: bool,
    pub reads: Reads,
}

/// A model whose fields are fields of the form.
pub struct FormModel {
    pub members: Vec<FormSource>,
    /// Whether there may be nothing of it.
    pub optional: bool,
    /// Whether a field that is none of the model's own counts as something of it.
    pub extras_count: bool,
}

/// One parameter of a form.
pub struct FormField {
    pub field: Field,
    pub source: FormSource,
    pub model: Option<FormModel>,
}

impl FormSource {
    fn read(spec: &Bound<'_, PyAny>) -> PyResult<Self> {
        let reads = attribute!(spec, "reads");
        Ok(Self {
            names: attribute!(spec, "names").extract()?,
            sequence: attribute!(spec, "sequence").extract()?,
            reads: match reads.extract::<String>()?.as_str() {
                "nothing" => Reads::Nothing,
                "file" => Reads::File,
                "files" => Reads::Files(attribute!(spec, "collect").unbind()),
                _ => return Err(unknown("way of reading files", &reads)),
            },
        })
    }

    pub fn reads_files(&self) -> bool {
        !matches!(self.reads, Reads::Nothing)
    }

    fn traverse(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Reads::Files(collect) = &self.reads {
            visit.call(collect)?;
        }
        Ok(())
    }
}

impl FormField {
    pub(super) fn read_all(specs: &Bound<'_, PyAny>) -> PyResult<Vec<Self>> {
        specs.try_iter()?.map(|spec| Self::read(&spec?)).collect()
    }

    fn read(spec: &Bound<'_, PyAny>) -> PyResult<Self> {
        let model = attribute!(spec, "model");
        Ok(Self {
            field: Field::read(&attribute!(spec, "field"))?,
            source: FormSource::read(&attribute!(spec, "source"))?,
            model: match model.is_none() {
                true => None,
                false => Some(FormModel {
                    members: attribute!(model, "members")
                        .try_iter()?
                        .map(|member| FormSource::read(&member?))
                        .collect::<PyResult<_>>()?,
                    optional: attribute!(model, "optional").extract()?,
                    extras_count: attribute!(model, "extras_count").extract()?,
                }),
            },
        })
    }

    /// Whether any file's bytes are wanted.
    pub fn reads_files(&self) -> bool {
        self.source.reads_files()
            || self.model.as_ref().is_some_and(|model| model.members.iter().any(FormSource::reads_files))
    }

    pub(super) fn traverse(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.field.traverse(visit)?;
        self.source.traverse(visit)?;
        self.model.iter().flat_map(|model| &model.members).try_for_each(|member| member.traverse(visit))
    }
}
