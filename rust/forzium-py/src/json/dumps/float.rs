//! Writing floats: the shortest decimal that reads back as the same float, spelled as pydantic-core spells it.
//!
//! The digits are zmij's, which sonic-rs and pydantic-core use as well. It is called here without the buffer in between
//! that sonic-rs's formatter needs: reading bytes back right after they were written one by one stalls the processor,
//! which cost a quarter of the time.

use zmij::Buffer;

use super::super::integer;

/// Bytes that must be free where a float is written.
pub(super) const ROOM: usize = size_of::<Buffer>() + 1;

const _: () = assert!(align_of::<Buffer>() == 1, "a buffer can stand at any place in the output");

/// Thousandths that have 15 digits at most.
const MOST_THOUSANDTHS: f64 = 1e15;

/// Writes `value`; returns how many bytes.
///
/// # Safety
/// `to` has room for [`ROOM`] bytes; `value` is finite.
#[inline(always)]
pub(super) unsafe fn write(to: *mut u8, value: f64) -> usize {
    // A price, a percentage, half a unit: if the nearest number of thousandths reads back as the same float, it is the
    // shortest decimal but for zeros at its end, because no two decimals of 15 digits or less read as the same float.
    let thousandths = value * 1000.0;
    // SAFETY: `to` has the room (contract): what is written here is shorter.
    unsafe {
        if thousandths.abs() < MOST_THOUSANDTHS {
            let whole = thousandths.to_int_unchecked::<i64>();
            if whole as f64 == thousandths {
                // Hidden from the compiler, which would divide before it compares.
                let thousand = std::hint::black_box(1000.0);
                if thousandths / thousand == value {
                    return short(to, value.is_sign_negative(), whole.unsigned_abs());
                }
            }
        }
        long(to, value)
    }
}

/// Writes a number of thousandths: with a point, and one digit behind it at least.
///
/// # Safety
/// `to` has room for a sign, the digits, a point and a zero.
#[inline(always)]
unsafe fn short(to: *mut u8, negative: bool, thousandths: u64) -> usize {
    let (whole, rest) = (thousandths / 1000, thousandths % 1000);
    // SAFETY: there is room (contract); the three digits and the zero behind them are written at once, though perhaps not
    // all of them count.
    unsafe {
        to.write(b'-');
        let start = usize::from(negative);
        let end = start + integer::unsigned(to.add(start), whole);
        let digits = [rest / 100, rest / 10 % 10, rest % 10].map(|digit| b'0' + digit as u8);
        to.add(end).cast::<[u8; 4]>().write([b'.', digits[0], digits[1], digits[2]]);
        let decimals = if digits[2] != b'0' { 3 } else { 1 + usize::from(digits[1] != b'0') };
        end + 1 + decimals
    }
}

/// Writes `value` whatever it is.
///
/// # Safety
/// As [`write`].
#[inline(always)]
unsafe fn long(to: *mut u8, value: f64) -> usize {
    // SAFETY: there is room for a `Buffer` (contract), which has no alignment (asserted); it is written before a
    // reference to it is made, and nothing else refers to these bytes while that lives. The text stands inside it.
    unsafe {
        let buffer = to.cast::<Buffer>();
        buffer.write(Buffer::new());
        let text = (*buffer).format_finite(value);
        let (from, count) = (text.as_ptr(), text.len());
        if !std::ptr::eq(from, to) {
            // zmij 1.0 never comes here; nothing promises that.
            std::ptr::copy(from, to, count);
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::{ROOM, write};

    fn check(value: f64) {
        let mut room = [0; ROOM];
        // SAFETY: there is the room that is asked for, and the value is finite.
        let count = unsafe { write(room.as_mut_ptr(), value) };
        assert_eq!(std::str::from_utf8(&room[..count]), Ok(zmij::Buffer::new().format_finite(value)));
    }

    #[test]
    fn floats_of_few_decimals_are_written_as_zmij_writes_them() {
        for whole in [0_u64, 1, 9, 10, 999, 1000, 123_456, 999_999_999, 999_999_999_999, 1_000_000_000_000, 1 << 52] {
            for rest in 0..1000 {
                for value in
                    [format!("{whole}.{rest:03}"), format!("-{whole}.{rest:03}"), format!("{whole}.{rest:03}0000001")]
                {
                    check(value.parse().expect("a decimal is a float"));
                }
            }
        }
        let mut bits = 1_u64;
        for _ in 0..200_000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let value = f64::from_bits(bits);
            if value.is_finite() {
                check(value);
            }
            check((bits >> 20) as f64 / 1000.0);
            check((bits >> 40) as f64 * 0.001);
            check((bits >> 40) as f64 * 0.01 + 1e-9);
        }
        for value in [0.0, -0.0, f64::MIN_POSITIVE, f64::MAX, 5e-324, 1e-5, 1e-7, 1e15, 1e16, 1e12, 0.001, 0.0005] {
            check(value);
        }
    }
}
