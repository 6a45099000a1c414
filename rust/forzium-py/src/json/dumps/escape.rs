//! Writing strings: quotes around, escapes inside.
//!
//! What `json.dumps(..., ensure_ascii=False)` escapes: the quote, the backslash and the control characters below 0x20,
//! with the short forms `\n \r \t \b \f`. sonic-rs escapes the same; it asks for six times the room, and copies short
//! strings through a buffer, which is why the loop is written out here. A test holds it to sonic-rs's.

use super::output::{Cursor, Output, Written};

/// Bytes looked at in one go.
const BLOCK: usize = 16;

/// Writes `"`, the escaped text, `"` and `after`.
#[inline(always)]
pub(super) fn quoted(output: &mut Output<'_>, cursor: Cursor, text: &str, after: u8) -> Written {
    let (from, length) = (text.as_ptr(), text.len());
    let cursor = output.reserve(cursor, length + 3)?;
    // SAFETY: `reserve` made room for the text, three bytes and `SLACK` (two blocks) more, so that `copy` may write one
    // block beyond the text. `from` has `length` bytes.
    unsafe {
        cursor.write(b'"');
        let to = cursor.add(1);
        let copied = copy(from, to.as_ptr(), length);
        let end = to.add(copied);
        if copied < length {
            return escaped(output, end, &text.as_bytes()[copied..], after);
        }
        end.cast::<[u8; 2]>().write([b'"', after]);
        Ok(end.add(2))
    }
}

/// Copies bytes up to the first that has to be escaped; returns how many.
///
/// # Safety
/// `from` has `length` bytes; `to`, elsewhere, has room for `length` bytes and a block.
#[inline(always)]
unsafe fn copy(from: *const u8, to: *mut u8, length: usize) -> usize {
    // SAFETY: reads stay within the `length` bytes: a block is read at `at` only if `at + BLOCK <= length`, and the
    // short reads begin at 0 or end at `length`. Writes go at most a block beyond `length`.
    unsafe {
        if length < BLOCK {
            return copy_short(from, to, length);
        }
        let mut at = 0;
        while at + BLOCK <= length {
            let stops = copy_block(from.add(at), to.add(at));
            if stops != 0 {
                return at + stops.trailing_zeros() as usize;
            }
            at += BLOCK;
        }
        if at < length {
            // The last block overlaps the one before it, which had nothing to escape.
            let last = length - BLOCK;
            let stops = copy_block(from.add(last), to.add(last));
            if stops != 0 {
                return last + stops.trailing_zeros() as usize;
            }
        }
        length
    }
}

/// As [`copy`], for less than a block.
///
/// # Safety
/// As [`copy`], and `length < BLOCK`.
#[inline(always)]
unsafe fn copy_short(from: *const u8, to: *mut u8, length: usize) -> usize {
    let mut block = [b' '; BLOCK];
    // SAFETY: reads and writes begin at 0 or end at `length`, and each is as long as `length` at most.
    unsafe {
        // Two overlapping pieces are copied, and stand in one block, which is looked at once.
        let half = match length {
            8.. => pieces::<8>(from, to, length, &mut block),
            4.. => pieces::<4>(from, to, length, &mut block),
            2.. => pieces::<2>(from, to, length, &mut block),
            1 => pieces::<1>(from, to, length, &mut block),
            _ => return 0,
        };
        let stops = stops(&block);
        if stops == 0 {
            return length;
        }
        // The first stop is in the first piece, or else in the one that ends the text.
        let first = stops.trailing_zeros() as usize;
        if first < half { first } else { first + length - 2 * half }
    }
}

/// Copies the first and the last `N` bytes of a text, and puts them into a block one behind the other.
///
/// # Safety
/// Both pointers have `length` bytes; `N <= length`, and `2 * N <= BLOCK`.
#[inline(always)]
unsafe fn pieces<const N: usize>(from: *const u8, to: *mut u8, length: usize, block: &mut [u8; BLOCK]) -> usize {
    // SAFETY: the places are within the text and the block (contract); arrays of bytes have no alignment.
    unsafe {
        let first = from.cast::<[u8; N]>().read();
        let last = from.add(length - N).cast::<[u8; N]>().read();
        to.cast::<[u8; N]>().write(first);
        to.add(length - N).cast::<[u8; N]>().write(last);
        block[..N].copy_from_slice(&first);
        block[N..2 * N].copy_from_slice(&last);
    }
    N
}

/// The rest of a string, from a byte that has to be escaped on, and its end.
#[inline(never)]
fn escaped(output: &mut Output<'_>, cursor: Cursor, rest: &[u8], after: u8) -> Written {
    let cursor = piece(output, cursor, rest)?;
    output.constant(cursor, &[b'"', after])
}

/// A part of a string, without quotes.
pub(super) fn piece(output: &mut Output<'_>, mut cursor: Cursor, text: &[u8]) -> Written {
    for part in text.chunks(PART) {
        cursor = output.reserve(cursor, LONGEST * part.len())?;
        let mut rest = part;
        loop {
            // SAFETY: `reserve` made room for as many escapes as there are bytes, and `SLACK` (two blocks) more, of which
            // `copy` may use one; of the 8 bytes that are written for an escape two fall into it.
            unsafe {
                let copied = copy(rest.as_ptr(), cursor.as_ptr(), rest.len());
                cursor = cursor.add(copied);
                let Some((&byte, tail)) = rest[copied..].split_first() else { break };
                let (text, count) = ESCAPES[usize::from(byte)];
                cursor.cast::<[u8; 8]>().write(text);
                cursor = cursor.add(usize::from(count));
                rest = tail;
            }
        }
    }
    Ok(cursor)
}

/// Bytes for which room is made at once.
const PART: usize = 512;

/// Bytes of the longest escape.
const LONGEST: usize = 6;

const fn has_escape(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0..0x20)
}

/// The escapes of the bytes that have one, and their lengths.
static ESCAPES: [([u8; 8], u8); 256] = {
    let mut all = [([0; 8], 0); 256];
    let mut byte = 0;
    while byte < all.len() {
        if has_escape(byte as u8) {
            all[byte] = escape(byte as u8);
        }
        byte += 1;
    }
    all
};

const fn escape(byte: u8) -> ([u8; 8], u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0C => b'f',
        _ => return ([b'\\', b'u', b'0', b'0', HEX[(byte >> 4) as usize], HEX[(byte & 15) as usize], 0, 0], 6),
    };
    ([b'\\', short, 0, 0, 0, 0, 0, 0], 2)
}

/// Copies a block; which of its bytes have to be escaped?
///
/// # Safety
/// Both pointers have a block.
#[inline(always)]
unsafe fn copy_block(from: *const u8, to: *mut u8) -> u32 {
    // SAFETY: both have a block (contract); arrays of bytes have no alignment.
    unsafe {
        let block = from.cast::<[u8; BLOCK]>().read();
        to.cast::<[u8; BLOCK]>().write(block);
        stops(&block)
    }
}

/// Which bytes of a block have to be escaped.
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
#[inline(always)]
fn stops(block: &[u8; BLOCK]) -> u32 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
    };
    // SAFETY: a block is 16 bytes; SSE2 is enabled for this target (cfg).
    unsafe {
        let bytes = _mm_loadu_si128(block.as_ptr().cast());
        let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
        let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
        let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1F)), bytes);
        _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), control)) as u32
    }
}

/// Which bytes of a block have to be escaped.
#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
#[inline(always)]
fn stops(block: &[u8; BLOCK]) -> u32 {
    block.iter().enumerate().fold(0, |bits, (at, &byte)| bits | u32::from(has_escape(byte)) << at)
}

#[cfg(test)]
mod tests {
    use super::quoted;
    use crate::json::dumps::output::Output;

    fn ours(text: &str) -> Vec<u8> {
        let mut written = Vec::new();
        let (mut output, cursor) = Output::vec(&mut written);
        let end = quoted(&mut output, cursor, text, b',').expect("there is memory");
        output.finish_vec(end);
        drop(output);
        assert_eq!(written.pop(), Some(b','));
        written
    }

    fn sonic(text: &str) -> Vec<u8> {
        sonic_rs::to_vec(text).expect("a string is JSON")
    }

    #[test]
    fn every_escape_at_every_place_is_written_as_sonic_writes_it() {
        for length in 0..50 {
            let plain = "x".repeat(length);
            assert_eq!(ours(&plain), sonic(&plain));
            for at in 0..length {
                for special in
                    ['"', '\\', '\0', '\x08', '\n', '\x0C', '\r', '\t', '\x0B', '\x1F', '\x7F', 'é', '漢', '😀']
                {
                    let mut text = plain.clone();
                    text.replace_range(at..at + 1, &special.to_string());
                    assert_eq!(ours(&text), sonic(&text), "{special:?} at {at} of {length}");
                    text.push(special);
                    assert_eq!(ours(&text), sonic(&text), "{special:?} at {at} of {length} and at the end");
                }
            }
        }
    }

    #[test]
    fn a_string_of_nothing_but_escapes_fits() {
        for length in [1, 15, 16, 17, 1000, 5000] {
            let text = "\x01".repeat(length);
            assert_eq!(ours(&text), sonic(&text));
        }
    }
}
