//! Reading small integers out of Python's objects, and writing integers of 64 bits in decimal.
//!
//! A Python integer of one digit (30 bits) is read directly. How it lies in memory is no public interface: it is tried
//! out once in a process ([`small`]), and where it is not as expected the C API is asked for every integer.

use std::sync::atomic::{AtomicU8, Ordering};

use pyo3::ffi;

/// Whether this is CPython 3.12 or later, where the sign moved into a tag. (3.12 took a pointer out of `str`; that tells
/// the versions apart without help from the build.)
const TAGGED: bool = size_of::<ffi::PyASCIIObject>() == 40;

/// The head of an integer and its first digit.
#[repr(C)]
struct OneDigit {
    object: ffi::PyObject,
    /// Up to 3.11 the number of digits, negative for a negative number. Since 3.12 that number shifted left by three, and
    /// the sign in the lowest two bits: 0 positive, 1 zero, 2 negative.
    tag: isize,
    digit: u32,
}

/// Not tried yet, read directly, or not.
static DIRECT: AtomicU8 = AtomicU8::new(UNTRIED);
const UNTRIED: u8 = 0;
const YES: u8 = 1;
const NO: u8 = 2;

/// The value of an integer that has one digit at most; `None` for others, or where this is not known.
///
/// # Safety
/// The GIL is held; `object` is a live `int`.
#[inline(always)]
pub(super) unsafe fn small(object: *mut ffi::PyObject) -> Option<i64> {
    match DIRECT.load(Ordering::Relaxed) {
        // SAFETY: as the contract says; that integers lie so was tried out.
        YES => unsafe { one_digit(object) },
        NO => None,
        _ => {
            try_out();
            None
        }
    }
}

/// # Safety
/// `object` is a live `int`, which lies in memory as [`OneDigit`] says. An integer without digits (zero) has room for
/// one all the same, which may hold anything up to 3.11: it is multiplied by zero.
#[inline(always)]
unsafe fn one_digit(object: *mut ffi::PyObject) -> Option<i64> {
    // SAFETY: as the contract says.
    unsafe {
        let OneDigit { tag, digit, .. } = &*object.cast::<OneDigit>();
        if TAGGED {
            if *tag as usize >= 2 << 3 {
                return None;
            }
            Some((1 - (*tag as i64 & 3)) * i64::from(*digit))
        } else {
            if tag.unsigned_abs() > 1 {
                return None;
            }
            Some(*tag as i64 * i64::from(*digit))
        }
    }
}

/// Compares both ways once, on integers around the limits of a digit.
#[cold]
fn try_out() {
    let limit = 1_i64 << 30;
    let mut agrees = cfg!(target_pointer_width = "64");
    for value in [0, 1, -1, 5, -5, 300, -300, limit - 1, 1 - limit, limit, -limit, limit * 8, i64::MAX, i64::MIN] {
        // SAFETY: only called from `small`, under the GIL; the object is ours, and released once. Every integer object
        // has room for the head and one digit.
        unsafe {
            let object = ffi::PyLong_FromLongLong(value);
            if object.is_null() {
                ffi::PyErr_Clear();
                agrees = false;
                continue;
            }
            agrees = agrees && one_digit(object) == (value.abs_diff(0) < limit.unsigned_abs()).then_some(value);
            ffi::Py_DECREF(object);
        }
    }
    DIRECT.store(if agrees { YES } else { NO }, Ordering::Relaxed);
}

/// Bytes of the longest: `-9223372036854775808`.
pub(super) const LONGEST: usize = 20;

const fn pairs() -> [[u8; 2]; 100] {
    let mut pairs = [[0; 2]; 100];
    let mut value = 0;
    while value < 100 {
        pairs[value] = [b'0' + (value / 10) as u8, b'0' + (value % 10) as u8];
        value += 1;
    }
    pairs
}

/// The digits of 0 to 99.
static PAIRS: [[u8; 2]; 100] = pairs();

/// Writes `value`; returns how many bytes.
///
/// # Safety
/// `to` has room for [`LONGEST`] bytes.
#[inline(always)]
pub(super) unsafe fn write(to: *mut u8, value: i64) -> usize {
    // SAFETY: there is room for the sign and 19 digits (contract).
    unsafe {
        if value < 0 {
            *to = b'-';
            1 + unsigned(to.add(1), value.unsigned_abs())
        } else {
            unsigned(to, value.unsigned_abs())
        }
    }
}

/// # Safety
/// `to` has room for the digits of `value`.
#[inline(always)]
pub(super) unsafe fn unsigned(to: *mut u8, value: u64) -> usize {
    // SAFETY: each branch writes the digits of `value` and no more.
    unsafe {
        if value < 10_000 {
            return to_four(to, value as u32);
        }
        if value < 100_000_000 {
            let count = to_four(to, (value / 10_000) as u32);
            four(to.add(count), (value % 10_000) as u32);
            return count + 4;
        }
        long(to, value)
    }
}

/// Nine digits and more.
///
/// # Safety
/// As `unsigned`.
#[inline(never)]
unsafe fn long(to: *mut u8, value: u64) -> usize {
    // SAFETY: `count` digits stand before the eight that are written last.
    unsafe {
        let count = unsigned_short(to, value / 100_000_000);
        let rest = (value % 100_000_000) as u32;
        four(to.add(count), rest / 10_000);
        four(to.add(count + 4), rest % 10_000);
        count + 8
    }
}

/// What stands before the last eight digits: 1 to 12 digits.
///
/// # Safety
/// As `unsigned`.
unsafe fn unsigned_short(to: *mut u8, value: u64) -> usize {
    // SAFETY: each branch writes the digits of `value` and no more.
    unsafe {
        if value < 10_000 {
            return to_four(to, value as u32);
        }
        let count = unsigned_short(to, value / 10_000);
        four(to.add(count), (value % 10_000) as u32);
        count + 4
    }
}

/// One to four digits.
///
/// # Safety
/// As `unsigned`; `value < 10_000`.
#[inline(always)]
unsafe fn to_four(to: *mut u8, value: u32) -> usize {
    // SAFETY: each branch writes the digits of `value` and no more.
    unsafe {
        if value < 10 {
            *to = b'0' + value as u8;
            return 1;
        }
        if value < 100 {
            pair(to, value);
            return 2;
        }
        if value < 1000 {
            *to = b'0' + (value / 100) as u8;
            pair(to.add(1), value % 100);
            return 3;
        }
        four(to, value);
        4
    }
}

/// Four digits, zeros in front.
///
/// # Safety
/// `to` has room for four bytes; `value < 10_000`.
#[inline(always)]
unsafe fn four(to: *mut u8, value: u32) {
    // SAFETY: as the contract says.
    unsafe {
        pair(to, value / 100);
        pair(to.add(2), value % 100);
    }
}

/// # Safety
/// `to` has room for two bytes; `value < 100`.
#[inline(always)]
unsafe fn pair(to: *mut u8, value: u32) {
    debug_assert!(value < 100);
    // SAFETY: there is room for two bytes, and `value` is in the table (contract).
    unsafe { to.cast::<[u8; 2]>().write(*PAIRS.get_unchecked(value as usize)) };
}

#[cfg(test)]
mod tests {
    fn written(value: i64) -> String {
        let mut room = [0; super::LONGEST];
        // SAFETY: the array has the room that is asked for.
        let count = unsafe { super::write(room.as_mut_ptr(), value) };
        String::from_utf8(room[..count].to_vec()).expect("digits are ASCII")
    }

    #[test]
    fn integers_around_every_power_of_ten_and_two_are_written_as_std_writes_them() {
        let mut around = vec![0, i64::MAX, i64::MIN];
        around.extend((0..19).map(|power| 10_i64.pow(power)));
        around.extend((0..63).map(|power| 1_i64 << power));
        for base in around {
            for value in [base.wrapping_sub(1), base, base.wrapping_add(1)] {
                for value in [value, value.wrapping_neg()] {
                    assert_eq!(written(value), value.to_string());
                }
            }
        }
        for value in -20_000..20_000 {
            assert_eq!(written(value), value.to_string());
        }
    }
}
