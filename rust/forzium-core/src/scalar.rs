//! Numbers in text that can be read in only one way.
//!
//! What pydantic reads more leniently (spaces, underscores, other digits, exponents) is not read here at all.

/// Most digits of an integer that is read; any `i64` of so many digits is exact.
const MAX_INTEGER_DIGITS: usize = 18;

/// Most digits of a decimal that is read: a double holds them exactly enough for any reader to agree.
const MAX_DECIMAL_DIGITS: usize = 15;

/// An optional minus and ASCII digits without a leading zero.
pub fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let plain = matches!(digits, [b'0'] | [b'1'..=b'9', ..])
        && digits.len() <= MAX_INTEGER_DIGITS
        && digits.iter().all(u8::is_ascii_digit);
    if plain { text.parse().ok() } else { None }
}

/// Digits, a point, digits; optionally a minus before them.
pub fn decimal(text: &str) -> Option<f64> {
    let (whole, fraction) = text.strip_prefix('-').unwrap_or(text).split_once('.')?;
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if digits(whole) && digits(fraction) && whole.len() + fraction.len() <= MAX_DECIMAL_DIGITS {
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
        for text in ["", "-", "+1", "007", "-0x", "1_000", " 1", "1.0", "\u{661}", "9999999999999999999"] {
            assert_eq!(integer(text), None, "{text}");
        }
    }

    #[test]
    fn only_plain_decimals_are_read() {
        assert_eq!(decimal("1.5"), Some(1.5));
        assert_eq!(decimal("-0.25"), Some(-0.25));
        for text in ["", "1", "1.", ".5", "1e5", "nan", "1_0.0", "1234567890123456.5"] {
            assert_eq!(decimal(text), None, "{text}");
        }
    }
}
