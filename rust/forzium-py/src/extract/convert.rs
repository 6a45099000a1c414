//! Conversions whose result is certain to be pydantic's own. `None` leaves the value to the validator.

use forzium_core::scalar;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString};

use crate::plan::{Convert, Shape};

/// Converts text that can mean only one thing.
pub fn natively<'py>(convert: &Convert, value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = value.py();
    if let Convert::Json(shape) = convert {
        return Ok(fits(shape, value).then(|| value.clone()));
    }
    if let (Convert::Int { low, high }, Ok(number)) = (convert, value.cast_exact::<PyInt>()) {
        // A convertor of the path has made an integer of it already.
        let fits = number.extract::<i64>().is_ok_and(|number| within(number, *low, *high));
        return Ok(fits.then(|| value.clone()));
    }
    let Ok(text) = value.cast_exact::<PyString>() else {
        return Ok(None);
    };
    if matches!(convert, Convert::Str) {
        return Ok(Some(value.clone()));
    }
    // Text that is not valid UTF-8 (a lone surrogate) is the validator's to refuse.
    let Ok(text) = text.to_cow() else {
        return Ok(None);
    };
    Ok(match convert {
        Convert::Int { low, high } => scalar::integer(&text)
            .filter(|number| within(*number, *low, *high))
            .map(|number| PyInt::new(py, number).into_any()),
        Convert::Float => scalar::decimal(&text).map(|number| PyFloat::new(py, number).into_any()),
        Convert::Bool => match text.as_ref() {
            "true" | "1" => Some(PyBool::new(py, true).to_owned().into_any()),
            "false" | "0" => Some(PyBool::new(py, false).to_owned().into_any()),
            _ => None,
        },
        Convert::Str | Convert::Json(_) | Convert::Validate | Convert::General(_) => None,
    })
}

/// Whether the validator would give an equal value back: everything in it has exactly the type that is asked for.
fn fits(shape: &[Shape], value: &Bound<'_, PyAny>) -> bool {
    let Some((outer, inner)) = shape.split_first() else { return false };
    match outer {
        Shape::Any => true,
        Shape::Str => is_text(value),
        Shape::Int => value.cast_exact::<PyInt>().is_ok(),
        Shape::Float => value.cast_exact::<PyFloat>().is_ok(),
        Shape::Bool => value.cast_exact::<PyBool>().is_ok(),
        Shape::List => value.cast_exact::<PyList>().is_ok_and(|list| {
            let any = inner == [Shape::Any];
            any || list.iter().all(|item| fits(inner, &item))
        }),
        Shape::Dict => value
            .cast_exact::<PyDict>()
            .is_ok_and(|dict| dict.iter().all(|(key, item)| is_text(&key) && fits(inner, &item))),
    }
}

/// Whether this is a string that the validator takes: it refuses lone surrogates.
fn is_text(value: &Bound<'_, PyAny>) -> bool {
    value.cast_exact::<PyString>().is_ok_and(|text| text.to_str().is_ok())
}

fn within(number: i64, low: Option<i64>, high: Option<i64>) -> bool {
    low.is_none_or(|low| number >= low) && high.is_none_or(|high| number <= high)
}
