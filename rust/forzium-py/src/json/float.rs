//! Writing floats: the shortest decimal that reads back as the same float, spelled as pydantic-core spells it.
//!
//! The digits are zmij's, which sonic-rs and pydantic-core use as well. It is called here without the buffer in between
//! that sonic-rs's formatter needs: reading bytes back right after they were written one by one stalls the processor,
//! which cost a quarter of the time.

use zmij::Buffer;

/// Bytes that must be free where a float is written.
pub(super) const ROOM: usize = size_of::<Buffer>() + 1;

const _: () = assert!(align_of::<Buffer>() == 1, "a buffer can stand at any place in the output");

/// Writes `value`; returns how many bytes.
///
/// # Safety
/// `to` has room for [`ROOM`] bytes; `value` is finite.
#[inline(always)]
pub(super) unsafe fn write(to: *mut u8, value: f64) -> usize {
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
