//! Numbers as they mostly are: up to 18 digits, with or without a point.
//!
//! What is not one of these (exponents, more digits, or a decimal that one multiplication cannot round for certain) is
//! left to sonic-rs, which reads every number.

use super::scan::At;

/// A number that was read.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Simple {
    Integer(i64),
    Float(f64),
}

/// Digits that fit into 63 bits whatever they are.
const MOST_DIGITS: usize = 18;

/// Digits that are looked at one by one: most numbers have a few before and behind the point.
const FEW: usize = 7;

/// Reads the number at `at`, and returns the place behind it; `None` if it is not a simple one.
///
/// # Safety
/// `at` is a place of a live document, which ends with a zero at `end`.
#[inline(always)]
pub(super) unsafe fn simple(at: At, end: At) -> Option<(Simple, At)> {
    // SAFETY: as the contract says; behind a minus is the next byte, or the zero at the end.
    unsafe {
        if at.read() != b'-' {
            return positive(at, end);
        }
        let at = at.behind(1);
        match positive(at, end)? {
            // `-0` is an integer to Python; only with a point it has a sign.
            (Simple::Integer(_), _) if at.read() == b'0' => None,
            (Simple::Integer(value), end) => Some((Simple::Integer(-value), end)),
            (Simple::Float(value), end) => Some((Simple::Float(-value), end)),
        }
    }
}

/// The digit at `at`, or a larger number.
///
/// # Safety
/// As [`simple`].
#[inline(always)]
unsafe fn digit(at: At) -> u64 {
    // SAFETY: as the contract says.
    u64::from(unsafe { at.read() }.wrapping_sub(b'0'))
}

/// # Safety
/// As [`simple`].
#[inline(always)]
unsafe fn positive(start: At, limit: At) -> Option<(Simple, At)> {
    // SAFETY: as the contract says; what is read comes behind a digit, so it is the next byte, or the zero at the end.
    unsafe {
        let mut value = digit(start);
        if value > 9 {
            return None;
        }
        let zero = value == 0;
        let end;
        (value, end) = few_digits(start.behind(1), limit, value);
        let count = end.since(start);
        // A zero stands alone before the point.
        if zero && count > 1 || count > MOST_DIGITS {
            return None;
        }
        let after = end.read();
        if after == b'.' {
            return fraction(end, limit, value, count).map(|(value, end)| (Simple::Float(value), end));
        }
        (after | 0x20 != b'e').then_some((Simple::Integer(value as i64), end))
    }
}

/// Reads a decimal from its point on, `before` digits of which stand before that.
///
/// # Safety
/// As [`simple`].
#[inline(never)]
unsafe fn fraction(point: At, limit: At, whole: u64, before: usize) -> Option<(f64, At)> {
    // SAFETY: as the contract says; behind the point, and behind digits, is the next byte, or the zero at the end.
    unsafe {
        let first = point.behind(1);
        // Most are short or fill the precision of a float: those begin with eight digits.
        let (all, end) = if limit.since(first) >= 8 && Eight::read(first).others() == 0 {
            digits(first, limit, whole)
        } else {
            few_digits(first, limit, whole)
        };
        let decimals = end.since(point) - 1;
        if decimals == 0 || before + decimals > MOST_DIGITS || end.read() | 0x20 == b'e' {
            return None;
        }
        decimal(all, decimals).map(|value| (value, end))
    }
}

/// As [`digits`], for what is mostly short.
///
/// # Safety
/// As [`simple`].
#[inline(always)]
unsafe fn few_digits(mut at: At, limit: At, mut value: u64) -> (u64, At) {
    // SAFETY: as the contract says; what is read comes behind a digit or the point.
    unsafe {
        for _ in 0..FEW {
            let next = digit(at);
            if next > 9 {
                return (value, at);
            }
            value = value.wrapping_mul(10).wrapping_add(next);
            at = at.behind(1);
        }
        digits(at, limit, value)
    }
}

/// Reads digits from `at` on: `value` with these appended (wrong if there are more than [`MOST_DIGITS`]), and where they
/// end.
///
/// How many are left after the last eight is computed: it is seldom the same as for the number before.
///
/// # Safety
/// As [`simple`].
#[inline(never)]
unsafe fn digits(mut at: At, end: At, mut value: u64) -> (u64, At) {
    // SAFETY: as the contract says. Eight bytes are read where there are as many, one only behind a digit or the point.
    unsafe {
        while end.since(at) >= 8 {
            let chunk = Eight::read(at);
            let others = chunk.others();
            if others != 0 {
                let count = others.trailing_zeros() as usize / 8;
                return (value.wrapping_mul(TENS[count]).wrapping_add(chunk.first(count).joined()), at.behind(count));
            }
            value = value.wrapping_mul(100_000_000).wrapping_add(chunk.joined());
            at = at.behind(8);
        }
        loop {
            let next = digit(at);
            if next > 9 {
                return (value, at);
            }
            value = value.wrapping_mul(10).wrapping_add(next);
            at = at.behind(1);
        }
    }
}

static TENS: [u64; 8] = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000];

/// Eight bytes of a document, the lowest the first, less the digit zero.
#[derive(Clone, Copy)]
struct Eight(u64);

impl Eight {
    /// # Safety
    /// There are eight bytes at `at`.
    #[inline(always)]
    unsafe fn read(at: At) -> Self {
        // SAFETY: as the contract says.
        Self(u64::from_le_bytes(unsafe { at.read_eight() }) ^ 0x3030_3030_3030_3030)
    }

    /// The highest bit of the first byte that is no digit, and perhaps of some behind it; zero if all are digits.
    #[inline(always)]
    fn others(self) -> u64 {
        // A carry reaches only bytes after one that is no digit.
        (self.0.wrapping_add(0x7676_7676_7676_7676) | self.0) & 0x8080_8080_8080_8080
    }

    /// The first `count` digits with zeros before them, less than eight.
    #[inline(always)]
    fn first(self, count: usize) -> Self {
        // In two steps, because there may be none.
        Self(self.0 << (8 * (7 - count)) << 8)
    }

    /// The number whose digits these are.
    #[inline(always)]
    fn joined(self) -> u64 {
        let pairs = self.0.wrapping_mul(10).wrapping_add(self.0 >> 8);
        let high = (pairs & 0x0000_00FF_0000_00FF).wrapping_mul(0x000F_4240_0000_0064);
        let low = (pairs >> 16 & 0x0000_00FF_0000_00FF).wrapping_mul(0x0000_2710_0000_0001);
        high.wrapping_add(low) >> 32
    }
}

/// 5^-n as a fraction: `digits / 2^scale`, rounded down to 64 bits.
#[derive(Clone, Copy)]
struct Reciprocal {
    digits: u64,
    scale: i32,
}

const fn reciprocals() -> [Reciprocal; MOST_DIGITS] {
    let mut all = [Reciprocal { digits: 0, scale: 0 }; MOST_DIGITS];
    let mut power = 1_u64;
    let mut n = 1;
    while n < MOST_DIGITS {
        power *= 5;
        // 2^(bits - 1) < power < 2^bits, so the quotient has 64 bits.
        let scale = 63 + (u64::BITS - power.leading_zeros());
        let (mut quotient, mut rest, mut step) = (0_u64, 1_u64, 0);
        while step < scale {
            rest *= 2;
            quotient <<= 1;
            if rest >= power {
                rest -= power;
                quotient |= 1;
            }
            step += 1;
        }
        all[n] = Reciprocal { digits: quotient, scale: scale as i32 };
        n += 1;
    }
    all
}

/// Powers of ten, exact: those up to 10^22 are.
static POWERS: [f64; MOST_DIGITS] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17];

static RECIPROCALS: [Reciprocal; MOST_DIGITS] = reciprocals();

/// The float nearest to `digits / 10^decimals`; `None` where the error of the multiplication may matter.
///
/// `digits`, shifted until its highest bit is set, times the reciprocal: the upper half of the product is `high`, and the
/// exact product lies in `high .. high + 2`, because the reciprocal is less than one too small and the lower half is
/// dropped. Of its 63 or 64 bits 53 stay; the others say which way to round, unless the middle lies in that interval.
#[inline(always)]
fn decimal(digits: u64, decimals: usize) -> Option<f64> {
    if digits < 1 << f64::MANTISSA_DIGITS {
        // Both are exact, so the division rounds once.
        return Some(digits as f64 / POWERS.get(decimals)?);
    }
    let Reciprocal { digits: reciprocal, scale } = *RECIPROCALS.get(decimals)?;
    let zeros = digits.leading_zeros();
    let high = ((u128::from(digits << zeros) * u128::from(reciprocal)) >> 64) as u64;
    let dropped = 11 - high.leading_zeros();
    let half = 1_u64 << (dropped - 1);
    let rest = high & (2 * half - 1);
    if rest == half || rest == half - 1 {
        return None;
    }
    let kept = (high >> dropped) + u64::from(rest > half);
    let exponent = dropped as i32 + 64 - zeros as i32 - scale - decimals as i32;
    // 53 bits are exact in a float, and times a power of two that is far from the limits as well.
    Some(kept as f64 * f64::from_bits(((1023 + exponent) as u64) << 52))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::scan::At;
    use super::{Simple, simple};

    /// The number that `text` begins with, and how many bytes it takes.
    fn read(text: &str) -> Option<(Simple, usize)> {
        let document = format!("{text}\0");
        let start = At::from(&document.as_bytes()[0]);
        // SAFETY: the document is alive, and a zero is behind the text.
        unsafe { simple(start, start.behind(text.len())) }.map(|(number, at)| (number, at.since(start)))
    }

    /// Whatever is read here is what std reads.
    fn check(text: &str) {
        for after in ["", ",", " 12345678", "]]]]]]]]]]"] {
            let document = format!("{text}{after}");
            match read(&document) {
                Some((Simple::Integer(value), length)) => {
                    assert_eq!(&document[..length], text);
                    assert_eq!(Ok(value), text.parse());
                }
                Some((Simple::Float(value), length)) => {
                    assert_eq!(&document[..length], text);
                    assert_eq!(text.parse().map(f64::to_bits), Ok(value.to_bits()));
                }
                None => {}
            }
        }
    }

    proptest! {
        #[test]
        fn decimals_are_rounded_as_std_rounds_them(digits in 0_u64..1_000_000_000_000_000_000, decimals in 0_usize..19) {
            let text = format!("{digits:0>width$}", width = decimals + 1);
            let (whole, rest) = text.split_at(text.len() - decimals);
            check(&if decimals == 0 { whole.to_owned() } else { format!("-{whole}.{rest}") });
            check(&if decimals == 0 { format!("-{whole}") } else { format!("{whole}.{rest}") });
        }

        #[test]
        fn floats_as_they_are_spelled_are_read_back(value in -1e9_f64..1e9) {
            check(&format!("{value}"));
            check(&format!("{:.3}", value));
            check(&format!("{:.1}", (value * 0.001).round() * 0.5));
        }
    }

    #[test]
    fn simple_numbers_are_read_here() {
        for text in ["0", "7", "-7", "42", "12345678", "123456789012345678", "-123456789012345678"] {
            assert_eq!(read(text), Some((Simple::Integer(text.parse().expect("an integer")), text.len())));
            check(text);
        }
        for text in ["0.0", "-0.0", "0.5", "1.5", "-65.613616999999977", "0.1", "98.6", "0.00000000000000001"] {
            assert_eq!(read(text), Some((Simple::Float(text.parse().expect("a float")), text.len())));
            check(text);
        }
    }

    #[test]
    fn what_is_no_simple_number_is_left_to_others() {
        for text in [
            "",
            "-",
            "-0",
            "00",
            "01",
            "-01",
            "01.5",
            "1.",
            "1.e5",
            ".5",
            "1e5",
            "1.5E3",
            "1234567890123456789",
            "+1",
            "-a",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
