//! The document, and looking ahead in it, 16 bytes at a time.

use std::marker::PhantomData;
use std::ptr::NonNull;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

/// Bytes, and a zero behind them: where they end is noticed without asking at each of them.
#[derive(Clone, Copy)]
pub(super) struct Document<'a> {
    start: At,
    /// The place of the zero.
    end: At,
    bytes: PhantomData<&'a [u8]>,
}

/// A place in a document, at the zero behind it at most.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct At(NonNull<u8>);

impl At {
    /// The byte at this place.
    ///
    /// # Safety
    /// The document is alive, and the place is in it.
    #[inline(always)]
    pub(super) unsafe fn read(self) -> u8 {
        // SAFETY: as the contract says.
        unsafe { self.0.read() }
    }

    /// The byte at this place, and the seven behind.
    ///
    /// # Safety
    /// The document is alive, and has as many bytes.
    #[inline(always)]
    pub(super) unsafe fn read_eight(self) -> [u8; 8] {
        // SAFETY: as the contract says; an array of bytes has no alignment.
        unsafe { self.0.cast().read() }
    }

    /// How many bytes `before` is before this place.
    #[inline(always)]
    pub(super) fn since(self, before: Self) -> usize {
        self.0.addr().get().wrapping_sub(before.0.addr().get())
    }

    /// The place `count` bytes further.
    #[inline(always)]
    pub(super) const fn behind(self, count: usize) -> Self {
        // Nothing is read here; a place that is used is inside an allocation, and not null.
        // SAFETY: as above.
        Self(unsafe { NonNull::new_unchecked(self.0.as_ptr().wrapping_add(count)) })
    }

    /// The place `count` bytes before.
    #[inline(always)]
    pub(super) const fn before(self, count: usize) -> Self {
        // SAFETY: as in `behind`.
        Self(unsafe { NonNull::new_unchecked(self.0.as_ptr().wrapping_sub(count)) })
    }
}

impl From<&u8> for At {
    fn from(byte: &u8) -> Self {
        Self(NonNull::from(byte))
    }
}

impl<'a> Document<'a> {
    /// What `bytes` hold: CPython puts a zero behind them.
    pub(super) fn of_bytes(bytes: &'a Bound<'_, PyBytes>) -> Self {
        Self::new(bytes.as_bytes())
    }

    /// The UTF-8 form of `text`, if it has one: CPython puts a zero behind it.
    pub(super) fn of_text(text: &'a Bound<'_, PyString>) -> Option<Self> {
        Some(Self::new(text.to_str().ok()?.as_bytes()))
    }

    /// `bytes` must have a zero behind them.
    fn new(bytes: &'a [u8]) -> Self {
        let start = At(NonNull::from(bytes).cast());
        Self { start, end: start.behind(bytes.len()), bytes: PhantomData }
    }

    pub(super) const fn start(&self) -> At {
        self.start
    }

    /// Where the zero stands.
    #[inline(always)]
    pub(super) const fn end(&self) -> At {
        self.end
    }

    /// How many bytes are before `at`.
    pub(super) fn index(&self, at: At) -> usize {
        at.since(self.start)
    }

    pub(super) fn bytes(&self) -> &'a [u8] {
        // SAFETY: it starts at its start.
        unsafe { self.from(self.start) }
    }

    /// The bytes from `at` on.
    ///
    /// # Safety
    /// `at` is a place of this document, at the zero behind it at most.
    #[inline(always)]
    pub(super) unsafe fn from(&self, at: At) -> &'a [u8] {
        // SAFETY: the document lives as long as `'a`, and from a place in it to its end are so many bytes.
        unsafe { std::slice::from_raw_parts(at.0.as_ptr(), self.end.0.offset_from_unsigned(at.0)) }
    }
}

/// Bytes of a string from which on it is long.
const LONG: usize = 1 << 20;

/// Whether the string whose first byte is `text[0]` is so long that others should run while it is read.
pub(super) fn is_long(text: &[u8]) -> bool {
    let Some(start) = text.get(..LONG) else { return false };
    let mut at = 0;
    while let Some(next) = start.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        if start[at + next] == b'"' {
            return false;
        }
        at += next + 2;
    }
    true
}

/// Where a string that was just entered ends, and whether it is plain ASCII.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// A quote at this offset; all bytes before it are ASCII.
    Ascii(usize),
    /// A quote at this offset; some bytes before it are not ASCII.
    Wide(usize),
    /// A backslash or control character comes first, or no quote at all.
    Other,
}

/// Finds the end of the string whose first byte is `text[0]`.
#[inline(always)]
pub(super) fn string_end(text: &[u8]) -> End {
    let mut at = 0;
    let mut wide = 0;
    while let Some(chunk) = text.get(at..at + 16) {
        let (stop, high) = string_bits(chunk);
        if stop == 0 {
            wide |= high;
            at += 16;
            continue;
        }
        // Those up to the first stop, which is ASCII itself.
        wide |= high & (stop ^ (stop - 1));
        let first = stop.trailing_zeros() as usize;
        return ending(chunk[first & 15], at + first, wide != 0);
    }
    while let Some(&byte) = text.get(at) {
        if matches!(byte, b'"' | b'\\' | 0..0x20) {
            return ending(byte, at, wide != 0);
        }
        wide |= u32::from(byte & 0x80);
        at += 1;
    }
    End::Other
}

#[inline(always)]
fn ending(byte: u8, at: usize, wide: bool) -> End {
    match (byte, wide) {
        (b'"', false) => End::Ascii(at),
        (b'"', true) => End::Wide(at),
        _ => End::Other,
    }
}

/// For 16 bytes: which of them are a quote, backslash or control character, and which are not ASCII.
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
#[inline(always)]
fn string_bits(chunk: &[u8]) -> (u32, u32) {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
    };
    assert!(chunk.len() >= 16);
    // SAFETY: 16 bytes are there to be loaded (asserted); SSE2 is enabled for this target (cfg).
    unsafe {
        let bytes = _mm_loadu_si128(chunk.as_ptr().cast());
        let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
        let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
        let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1F)), bytes);
        let stop = _mm_or_si128(_mm_or_si128(quote, backslash), control);
        (_mm_movemask_epi8(stop) as u32, _mm_movemask_epi8(bytes) as u32)
    }
}

/// For 16 bytes: which of them are a quote, backslash or control character, and which are not ASCII.
#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
#[inline(always)]
fn string_bits(chunk: &[u8]) -> (u32, u32) {
    let (mut stop, mut high) = (0, 0);
    for (index, &byte) in chunk.iter().take(16).enumerate() {
        stop |= u32::from(matches!(byte, b'"' | b'\\' | 0..0x20)) << index;
        high |= u32::from(byte >= 0x80) << index;
    }
    (stop, high)
}

/// How many bytes of white space `text` begins with.
#[inline(always)]
pub(super) fn spaces(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(chunk) = text.get(at..at + 16) {
        let others = other_bits(chunk);
        if others != 0 {
            return at + others.trailing_zeros() as usize;
        }
        at += 16;
    }
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = text.get(at) {
        at += 1;
    }
    at
}

/// For 16 bytes: which of them are not white space.
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
#[inline(always)]
fn other_bits(chunk: &[u8]) -> u32 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8};
    assert!(chunk.len() >= 16);
    // SAFETY: 16 bytes are there to be loaded (asserted); SSE2 is enabled for this target (cfg).
    unsafe {
        let bytes = _mm_loadu_si128(chunk.as_ptr().cast());
        let space = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b' ' as i8));
        let tab = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\t' as i8));
        let feed = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\n' as i8));
        let carriage = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\r' as i8));
        let white = _mm_or_si128(_mm_or_si128(space, tab), _mm_or_si128(feed, carriage));
        !(_mm_movemask_epi8(white) as u32) & 0xFFFF
    }
}

/// For 16 bytes: which of them are not white space.
#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
#[inline(always)]
fn other_bits(chunk: &[u8]) -> u32 {
    let other = |byte: u8| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
    chunk.iter().take(16).enumerate().fold(0, |bits, (index, &byte)| bits | u32::from(other(byte)) << index)
}

#[cfg(test)]
mod tests {
    use super::{End, LONG, is_long, spaces, string_end};

    /// The same rule, one byte at a time.
    fn slowly(text: &[u8]) -> End {
        match text.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)) {
            Some(at) if text[at] != b'"' => End::Other,
            Some(at) if text[..at].is_ascii() => End::Ascii(at),
            Some(at) => End::Wide(at),
            None => End::Other,
        }
    }

    #[test]
    fn every_byte_at_every_place_is_seen() {
        for length in 0..70 {
            for at in 0..length {
                for byte in [b'"', b'\\', 0, 0x1F, 0x20, 0x7F, 0x80, 0xFF, b'a'] {
                    let mut text = vec![b'x'; length];
                    text[at] = byte;
                    assert_eq!(string_end(&text), slowly(&text), "{byte:#x} at {at} of {length}");
                    text.push(b'"');
                    assert_eq!(string_end(&text), slowly(&text), "{byte:#x} at {at} of {length}");
                }
            }
        }
    }

    #[test]
    fn a_string_is_long_if_its_quote_is_far() {
        let long = [vec![b'x'; LONG], b"\"".to_vec()].concat();
        assert!(is_long(&long));
        assert!(is_long(&b"\\\"".repeat(LONG)));
        assert!(!is_long(&long[1..]));
        assert!(!is_long(&[b"\\\"\"".to_vec(), long].concat()));
        assert!(!is_long(b"x\""));
    }

    #[test]
    fn white_space_ends_where_something_else_begins() {
        for length in 0..70 {
            for at in 0..=length {
                let mut text: Vec<u8> = (0..length).map(|index| b" \n\r\t"[index % 4]).collect();
                if at < length {
                    text[at] = 0x0B;
                }
                assert_eq!(spaces(&text), at);
            }
        }
    }
}
