//! Conversions whose result is certain to be pydantic's own. `None` leaves the value to the validator.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString};

use crate::plan::Convert;

/// Most digits of an integer that is read here; any `i64` of so many digits is exact.
const MAX_DIGITS: usize = 18;

/// Converts text that can mean only one thing.
pub fn natively<'py>(
    convert: &Convert,
    value: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = value.py();
    if let (Convert::Int { low, high }, Ok(number)) = (convert, value.cast_exact::<PyInt>()) {
        // A convertor of the path has made an integer of it already.
        let fits = number
            .extract::<i64>()
            .is_ok_and(|number| within(number, *low, *high));
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
        Convert::Int { low, high } => integer(&text)
            .filter(|number| within(*number, *low, *high))
            .map(|number| PyInt::new(py, number).into_any()),
        Convert::Float => decimal(&text).map(|number| PyFloat::new(py, number).into_any()),
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

/// An optional minus and ASCII digits without a leading zero.
fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let plain = matches!(digits, [b'0'] | [b'1'..=b'9', ..])
        && digits.len() <= MAX_DIGITS
        && digits.iter().all(u8::is_ascii_digit);
    if plain { text.parse().ok() } else { None }
}

/// Digits, a point, digits; at most 15 digits in all, which a double holds exactly enough for any reader to agree.
fn decimal(text: &str) -> Option<f64> {
    let (whole, fraction) = text.strip_prefix('-').unwrap_or(text).split_once('.')?;
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if digits(whole) && digits(fraction) && whole.len() + fraction.len() <= 15 {
        text.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{decimal, integer};

    #[test]
    fn only_plain_integers_are_read() {
        assert_eq!(integer("42"), Some(42));
        assert_eq!(integer("-7"), Some(-7));
        assert_eq!(integer("0"), Some(0));
        for text in [
            "",
            "-",
            "+1",
            "007",
            "-0x",
            "1_000",
            " 1",
            "1.0",
            "\u{661}",
            "9999999999999999999",
        ] {
            assert_eq!(integer(text), None, "{text}");
        }
    }

    #[test]
    fn only_plain_decimals_are_read() {
        assert_eq!(decimal("1.5"), Some(1.5));
        assert_eq!(decimal("-0.25"), Some(-0.25));
        for text in [
            "",
            "1",
            "1.",
            ".5",
            "1e5",
            "nan",
            "1_0.0",
            "1234567890123456.5",
        ] {
            assert_eq!(decimal(text), None, "{text}");
        }
    }
}
