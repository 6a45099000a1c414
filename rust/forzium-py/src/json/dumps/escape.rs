//! Writing strings: quotes around, escapes inside.
//!
//! What `json.dumps(..., ensure_ascii=False)` escapes: the quote, the backslash and the control characters below 0x20,
//! with the short forms `\n \r \t \b \f`. sonic-rs escapes the same; it asks for six times the room, and copies short
//! strings through a buffer, which is why the loop is written out here. A test holds it to sonic-rs's.

use super::output::{Cursor, Output, Written};

/// Bytes looked at in one go.
const BLOCK: usize = 16;

/// A text to be written.
#[derive(Clone, Copy)]
pub(super) struct Text {
    from: *const u8,
    length: usize,
    /// Whether a block can be read that ends where the text ends, even if the text is shorter.
    headed: bool,
}

impl Text {
    /// # Safety
    /// `from` has `length` bytes of UTF-8, that are alive and do not change as long as this is used. If it is `headed`, it
    /// stands in the same object behind a block or more.
    #[inline(always)]
    pub(super) const unsafe fn new(from: *const u8, length: usize, headed: bool) -> Self {
        Self { from, length, headed }
    }

    #[inline(always)]
    pub(super) const fn len(self) -> usize {
        self.length
    }

    /// # Safety
    /// As for [`Text::new`], as long as the lifetime is.
    #[inline(always)]
    pub(super) const unsafe fn bytes<'a>(self) -> &'a [u8] {
        // SAFETY: as the contract says.
        unsafe { std::slice::from_raw_parts(self.from, self.length) }
    }
}

/// Writes `"`, the escaped text, `"` and `after`.
///
/// # Safety
/// The text is good.
#[inline(always)]
pub(super) unsafe fn quoted(output: &mut Output<'_>, cursor: Cursor, text: Text, after: u8) -> Written {
    let cursor = output.reserve(cursor, text.length + 3)?;
    // SAFETY: `reserve` made room for the text, three bytes and `SLACK` (two blocks) more, so that `copy` may write one
    // block beyond the text.
    unsafe {
        cursor.write(b'"');
        let to = cursor.add(1);
        if let Err(clean) = copy(text, to.as_ptr()) {
            return escaped(output, to.add(clean), &text.bytes()[clean..], after);
        }
        let end = to.add(text.length);
        end.cast::<[u8; 2]>().write([b'"', after]);
        Ok(end.add(2))
    }
}

/// Copies a text in which nothing has to be escaped; in any other only some bytes, which are clean: how many.
///
/// # Safety
/// The text is good; `to`, elsewhere, has room for it and a block.
#[inline(always)]
unsafe fn copy(text: Text, to: *mut u8) -> Result<(), usize> {
    let Text { from, length, .. } = text;
    // SAFETY: reads stay within the text: two blocks are read at `at` only if `at + 2 * BLOCK <= length`, and others end
    // where it ends. Writes go at most a block beyond `length`.
    unsafe {
        if length < BLOCK {
            let found =
                if text.headed { copy_last(from.add(length), length, to) } else { copy_short(from, length, to) };
            return if found == 0 { Ok(()) } else { Err(0) };
        }
        let mut at = 0;
        while at + 2 * BLOCK <= length {
            if copy_blocks(from.add(at), to.add(at)) != 0 {
                return Err(at);
            }
            at += 2 * BLOCK;
        }
        // The last blocks overlap what was looked at already, or each other.
        let last = length - BLOCK;
        let mut found = copy_block(from.add(last), to.add(last));
        if length - at > BLOCK {
            found |= copy_block(from.add(at), to.add(at));
        }
        if found == 0 { Ok(()) } else { Err(at) }
    }
}

/// The rest of a string, from shortly before a byte that has to be escaped on, and its end.
#[inline(never)]
fn escaped(output: &mut Output<'_>, cursor: Cursor, rest: &[u8], after: u8) -> Written {
    let cursor = piece(output, cursor, rest)?;
    output.constant(cursor, &[b'"', after])
}

/// A part of a string, without quotes.
pub(super) fn piece(output: &mut Output<'_>, mut cursor: Cursor, text: &[u8]) -> Written {
    for part in text.chunks(PART) {
        cursor = output.reserve(cursor, LONGEST * part.len())?;
        let (mut from, mut left) = (part.as_ptr(), part.len());
        // SAFETY: blocks are read only where as many bytes are left. `reserve` made room for as many escapes as there are
        // bytes, and `SLACK` (two blocks) more, of which two blocks, or the 8 bytes that are written for an escape, may
        // use all.
        unsafe {
            while left >= BLOCK {
                let (stops, whole) = if left >= 2 * BLOCK {
                    (copy_blocks(from, cursor.as_ptr()), 2 * BLOCK)
                } else {
                    (copy_block(from, cursor.as_ptr()), BLOCK)
                };
                let count = if stops == 0 {
                    cursor = cursor.add(whole);
                    whole
                } else {
                    let clean = stops.trailing_zeros() as usize;
                    cursor = escape_byte(cursor.add(clean), *from.add(clean));
                    clean + 1
                };
                from = from.add(count);
                left -= count;
            }
            let mut end = from.add(left);
            let mut own = [0; 2 * BLOCK];
            if part.len() < BLOCK {
                own[BLOCK..BLOCK + left].copy_from_slice(part);
                end = own.as_ptr().add(BLOCK + left);
            }
            while left > 0 {
                let stops = copy_last(end, left, cursor.as_ptr());
                if stops == 0 {
                    cursor = cursor.add(left);
                    break;
                }
                let clean = stops.trailing_zeros() as usize;
                left -= clean;
                cursor = escape_byte(cursor.add(clean), *end.sub(left));
                left -= 1;
            }
        }
    }
    Ok(cursor)
}

/// Writes the escape of a byte that has one.
///
/// # Safety
/// There is room for 8 bytes.
#[inline(always)]
unsafe fn escape_byte(cursor: Cursor, byte: u8) -> Cursor {
    let (text, count) = ESCAPES[usize::from(byte)];
    // SAFETY: as the contract says.
    unsafe {
        cursor.cast::<[u8; 8]>().write(text);
        cursor.add(usize::from(count))
    }
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

/// As [`copy_block`], for the last bytes of a text, less than a block. How many they are is not asked by branches: the
/// lengths of strings are hard to predict.
///
/// # Safety
/// `left < BLOCK`; a block can be read that ends at `end`, and `to` has room for one.
#[inline(always)]
unsafe fn copy_last(end: *const u8, left: usize, to: *mut u8) -> u32 {
    let span = left.max(8);
    let beyond = 8 * (span - left) as u32;
    // SAFETY: reads end at `end` and begin a block before that at most; writes begin at `to`, and are within a block.
    // Arrays of bytes have no alignment.
    unsafe {
        // Two overlapping pieces, or twice the same. If nothing is left, what is written does not count.
        let first = u64::from_le_bytes(end.sub(span).cast::<[u8; 8]>().read()).wrapping_shr(beyond);
        let last = u64::from_le_bytes(end.sub(8).cast::<[u8; 8]>().read()).wrapping_shr(beyond);
        to.cast::<[u8; 8]>().write(first.to_le_bytes());
        to.add(span - 8).cast::<[u8; 8]>().write(last.to_le_bytes());
        stops(&end.sub(BLOCK).cast::<[u8; BLOCK]>().read()) >> (BLOCK - left)
    }
}

/// As [`copy_block`], for less than a block; says only whether there are such bytes.
///
/// # Safety
/// `from` has `length` bytes, which are less than a block, and `to` has room for them.
#[inline(always)]
unsafe fn copy_short(from: *const u8, length: usize, to: *mut u8) -> u32 {
    // SAFETY: as the contract says.
    unsafe {
        match length {
            8.. => copy_pieces::<8>(from, length, to),
            4.. => copy_pieces::<4>(from, length, to),
            2.. => copy_pieces::<2>(from, length, to),
            1 => copy_pieces::<1>(from, length, to),
            _ => 0,
        }
    }
}

/// As [`copy_short`]: the first and the last `N` bytes.
///
/// # Safety
/// As there, and `N <= length <= 2 * N <= BLOCK`.
#[inline(always)]
unsafe fn copy_pieces<const N: usize>(from: *const u8, length: usize, to: *mut u8) -> u32 {
    let mut block = [b' '; BLOCK];
    // SAFETY: the places are within the text (contract). Arrays of bytes have no alignment.
    unsafe {
        for (at, into) in [0, length - N].into_iter().zip(block.chunks_exact_mut(N)) {
            let piece = from.add(at).cast::<[u8; N]>().read();
            to.add(at).cast::<[u8; N]>().write(piece);
            into.copy_from_slice(&piece);
        }
    }
    stops(&block)
}

/// As [`copy_block`], for two.
///
/// # Safety
/// Both pointers have two blocks.
#[inline(always)]
unsafe fn copy_blocks(from: *const u8, to: *mut u8) -> u32 {
    // SAFETY: as the contract says.
    unsafe { copy_block(from, to) | copy_block(from.add(BLOCK), to.add(BLOCK)) << BLOCK }
}

/// Which bytes of a block have to be escaped.
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
#[inline(always)]
fn stops(block: &[u8; BLOCK]) -> u32 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8, _mm_xor_si128,
    };
    // SAFETY: a block is 16 bytes; SSE2 is enabled for this target (cfg).
    unsafe {
        let bytes = _mm_loadu_si128(block.as_ptr().cast());
        let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
        // One bit turned, the quote is 0x20 and the space 0x22, while control characters stay below 0x20.
        let bytes = _mm_xor_si128(bytes, _mm_set1_epi8(b'"' as i8 ^ b' ' as i8));
        let others = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(b' ' as i8)), bytes);
        _mm_movemask_epi8(_mm_or_si128(backslash, others)) as u32
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
    use super::{BLOCK, Text, quoted};
    use crate::json::dumps::output::Output;

    /// Behind a head that must not be looked at, and without one.
    fn ours(text: &str) -> Vec<u8> {
        let headed = format!("{}{text}", "\"".repeat(BLOCK));
        // SAFETY: both texts are alive; before one of them stands a block.
        let both = unsafe {
            [Text::new(text.as_ptr(), text.len(), false), Text::new(headed[BLOCK..].as_ptr(), text.len(), true)]
        };
        let [plain, written] = both.map(|text| {
            let mut written = Vec::new();
            let (mut output, cursor) = Output::vec(&mut written);
            // SAFETY: the text is good.
            let end = unsafe { quoted(&mut output, cursor, text, b',').expect("there is memory") };
            output.finish_vec(end);
            drop(output);
            assert_eq!(written.pop(), Some(b','));
            written
        });
        assert_eq!(plain, written);
        written
    }

    fn sonic(text: &str) -> Vec<u8> {
        sonic_rs::to_vec(text).expect("a string is JSON")
    }

    #[test]
    fn every_escape_at_every_place_is_written_as_sonic_writes_it() {
        for length in 0..70 {
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
