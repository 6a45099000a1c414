//! The headers of a response as the list of pairs of bytes that ASGI sends, changed in place.
//!
//! Source: `MutableHeaders` of `forzium.datastructures`, whose rules these are: names are compared as they stand.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

/// Headers that may be changed.
pub struct Headers<'py>(Bound<'py, PyList>);

impl<'py> Headers<'py> {
    /// The headers of a message of ours, to be changed where they are.
    pub fn of(list: Bound<'py, PyList>) -> Self {
        Self(list)
    }

    /// A copy of headers that may belong to somebody else.
    ///
    /// Errors: `TypeError` where they cannot be iterated over.
    pub fn copy(headers: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(list) = headers.cast::<PyList>() {
            return Ok(Self(list.get_slice(0, list.len())));
        }
        let list = PyList::empty(headers.py());
        for header in headers.try_iter()? {
            list.append(header?)?;
        }
        Ok(Self(list))
    }

    pub fn list(&self) -> &Bound<'py, PyList> {
        &self.0
    }

    pub fn into_list(self) -> Bound<'py, PyList> {
        self.0
    }

    /// The values of a header, in order, with their places.
    fn each(&self, name: &[u8]) -> PyResult<Vec<(usize, Bound<'py, PyBytes>)>> {
        let mut found = Vec::new();
        for (at, header) in self.0.iter().enumerate() {
            let (line, value) = match header.cast::<PyTuple>() {
                Ok(pair) if pair.len() == 2 => (pair.get_item(0)?, pair.get_item(1)?),
                _ => (header.get_item(0)?, header.get_item(1)?),
            };
            if line.cast::<PyBytes>()?.as_bytes() == name {
                found.push((at, value.cast_into::<PyBytes>()?));
            }
        }
        Ok(found)
    }

    /// The first value of a header.
    pub fn get(&self, name: &[u8]) -> PyResult<Option<Bound<'py, PyBytes>>> {
        Ok(self.each(name)?.into_iter().next().map(|(_, value)| value))
    }

    /// Makes `pair` the only line of its name, where the first one stood; else the last line of all.
    pub fn set(&self, pair: &Bound<'py, PyTuple>) -> PyResult<()> {
        let name = pair.get_item(0)?.cast_into::<PyBytes>()?;
        let places = self.each(name.as_bytes())?;
        let Some(((first, _), rest)) = places.split_first() else {
            return self.0.append(pair);
        };
        self.0.set_item(*first, pair)?;
        for (at, _) in rest.iter().rev() {
            self.0.del_item(*at)?;
        }
        Ok(())
    }

    /// Adds one more line.
    pub fn append(&self, name: &[u8], value: &Bound<'py, PyBytes>) -> PyResult<()> {
        self.0.append((PyBytes::new(self.0.py(), name), value))
    }

    /// Takes all lines of a name away.
    pub fn remove(&self, name: &[u8]) -> PyResult<()> {
        for (at, _) in self.each(name)?.iter().rev() {
            self.0.del_item(*at)?;
        }
        Ok(())
    }

    /// Adds the name of a request header to `Vary`, which becomes one line. `alone` is that line where it is the only.
    pub fn vary(&self, alone: &Bound<'py, PyTuple>) -> PyResult<()> {
        let name = alone.get_item(0)?.cast_into::<PyBytes>()?;
        let before = self.each(name.as_bytes())?;
        if before.is_empty() {
            return self.0.append(alone);
        }
        let mut joined = Vec::new();
        for (_, value) in &before {
            joined.extend_from_slice(value.as_bytes());
            joined.extend_from_slice(b", ");
        }
        joined.extend_from_slice(alone.get_item(1)?.cast_into::<PyBytes>()?.as_bytes());
        let py = self.0.py();
        self.set(&PyTuple::new(py, [name, PyBytes::new(py, &joined)])?)
    }
}

/// One line of headers.
pub fn line<'py>(py: Python<'py>, name: &[u8], value: &[u8]) -> PyResult<Bound<'py, PyTuple>> {
    PyTuple::new(py, [PyBytes::new(py, name), PyBytes::new(py, value)])
}

macro_rules! lines {
    ($($function:ident = ($name:literal, $value:literal)),+ $(,)?) => {
        $(
            pub fn $function(py: Python<'_>) -> PyResult<&Bound<'_, PyTuple>> {
                static CELL: pyo3::sync::PyOnceLock<Py<PyTuple>> = pyo3::sync::PyOnceLock::new();
                CELL.get_or_try_init(py, || line(py, $name, $value).map(Bound::unbind)).map(|cell| cell.bind(py))
            }
        )+
    };
}

lines! {
    vary_accept_encoding = (b"vary", b"Accept-Encoding"),
    vary_cookie = (b"vary", b"Cookie"),
    vary_origin = (b"vary", b"Origin"),
}
