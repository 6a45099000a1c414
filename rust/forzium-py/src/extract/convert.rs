//! Conversions whose result is certain to be pydantic's own. `None` leaves the value to the validator.

use forzium_core::scalar;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString};

use crate::plan::Convert;

/// Converts text that can mean only one thing.
pub fn natively<'py>(convert: &Convert, value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = value.py();
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
        Convert::Str | Convert::Validate | Convert::General(_) => None,
    })
}

fn within(number: i64, low: Option<i64>, high: Option<i64>) -> bool {
    low.is_none_or(|low| number >= low) && high.is_none_or(|high| number <= high)
}
