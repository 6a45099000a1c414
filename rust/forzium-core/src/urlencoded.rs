//! `application/x-www-form-urlencoded` data: query strings and forms (WHATWG URL Standard, section 5).

use std::borrow::Cow;

use crate::percent;

/// The pairs of a query string, in order, blank values kept.
///
/// Equal to `urllib.parse.parse_qsl(raw.decode("latin-1"), keep_blank_values=True)`: only `&` separates, an empty
/// piece is passed over, a piece without `=` is a name with an empty value.
pub fn pairs(raw: &[u8]) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    raw.split(|byte| *byte == b'&').filter(|piece| !piece.is_empty()).map(|piece| {
        let (name, value) = match memchr::memchr(b'=', piece) {
            Some(at) => (&piece[..at], &piece[at + 1..]),
            None => (piece, &piece[piece.len()..]),
        };
        (component(name), component(value))
    })
}

fn component(raw: &[u8]) -> Cow<'_, str> {
    if percent::is_plain(raw)
        && let Ok(text) = std::str::from_utf8(raw)
    {
        return Cow::Borrowed(text);
    }
    Cow::Owned(percent::decode_component(raw))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &[u8]) -> Vec<(String, String)> {
        pairs(raw).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn blank_values_and_names_without_equals_are_kept() {
        assert_eq!(read(b"a=1&b=&c&&=d"), [pair("a", "1"), pair("b", ""), pair("c", ""), pair("", "d")]);
    }

    #[test]
    fn only_the_first_equals_separates() {
        assert_eq!(read(b"a=1=2"), [pair("a", "1=2")]);
    }

    #[test]
    fn nothing_gives_nothing() {
        assert!(read(b"").is_empty());
    }
}
