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

/// What a form must not exceed. Limits are floats because Python's may be: `inf` is none.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Fields.
    pub fields: f64,
    /// Bytes of one field's name and value together, before they are decoded.
    pub field_size: f64,
}

/// The limit that a form exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exceeded {
    Fields,
    FieldSize,
}

/// Reads an urlencoded form as its chunks arrive. What lies beyond a limit is neither decoded nor kept.
#[derive(Debug)]
pub struct Reader {
    limits: Limits,
    fields: usize,
    /// The beginning of a field whose end has not arrived.
    begun: Vec<u8>,
}

impl Reader {
    pub fn new(limits: Limits) -> Self {
        Self { limits, fields: 0, begun: Vec::new() }
    }

    /// Takes the next chunk and gives the fields that are complete, name and value.
    ///
    /// Errors: a limit is exceeded.
    pub fn feed(&mut self, chunk: &[u8], each: &mut impl FnMut(&str, &str)) -> Result<(), Exceeded> {
        let mut rest = chunk;
        if !self.begun.is_empty() {
            let end = memchr::memchr(b'&', chunk);
            self.begin(&chunk[..end.unwrap_or(chunk.len())])?;
            let Some(end) = end else { return Ok(()) };
            self.end(each)?;
            rest = &chunk[end + 1..];
        }
        if let Some(last) = memchr::memrchr(b'&', rest) {
            let (complete, after) = rest.split_at(last);
            for field in complete.split(|byte| *byte == b'&').filter(|field| !field.is_empty()) {
                self.take(field, each)?;
            }
            rest = &after[1..];
        }
        self.begin(rest)?;
        Ok(())
    }

    /// Gives the last field, which nothing follows.
    ///
    /// Errors: as `feed`.
    pub fn end(&mut self, each: &mut impl FnMut(&str, &str)) -> Result<(), Exceeded> {
        if self.begun.is_empty() {
            return Ok(());
        }
        let field = std::mem::take(&mut self.begun);
        self.take(&field, each)
    }

    /// Takes a body that came in one chunk, without a copy.
    ///
    /// Errors: as `feed`.
    pub fn whole(&mut self, body: &[u8], each: &mut impl FnMut(&str, &str)) -> Result<(), Exceeded> {
        body.split(|byte| *byte == b'&').filter(|field| !field.is_empty()).try_for_each(|field| self.take(field, each))
    }

    fn begin(&mut self, piece: &[u8]) -> Result<(), Exceeded> {
        self.check_size(self.begun.len() + piece.len(), || self.begun.contains(&b'=') || piece.contains(&b'='))?;
        self.begun.extend_from_slice(piece);
        Ok(())
    }

    fn take(&mut self, field: &[u8], each: &mut impl FnMut(&str, &str)) -> Result<(), Exceeded> {
        self.check_size(field.len(), || field.contains(&b'='))?;
        self.fields += 1;
        if self.fields as f64 > self.limits.fields {
            return Err(Exceeded::Fields);
        }
        for (name, value) in pairs(field) {
            each(&name, &value);
        }
        Ok(())
    }

    /// The first equals sign belongs to neither the name nor the value.
    fn check_size(&self, size: usize, has_equals: impl Fn() -> bool) -> Result<(), Exceeded> {
        let over = |size: usize| size as f64 > self.limits.field_size;
        if size > 0 && over(size) && (over(size - 1) || !has_equals()) { Err(Exceeded::FieldSize) } else { Ok(()) }
    }
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

    fn read_in_chunks(chunks: &[&[u8]], fields: f64, field_size: f64) -> Result<Vec<(String, String)>, Exceeded> {
        let mut found = Vec::new();
        let mut each = |name: &str, value: &str| found.push((name.to_owned(), value.to_owned()));
        let mut reader = Reader::new(Limits { fields, field_size });
        chunks.iter().try_for_each(|chunk| reader.feed(chunk, &mut each))?;
        reader.end(&mut each)?;
        Ok(found)
    }

    #[test]
    fn limits_hold_for_each_field_without_its_equals_sign() {
        assert_eq!(read_in_chunks(&[b"ab=cd&ef=", b"gh"], 2.0, 4.0).map(|found| found.len()), Ok(2));
        assert_eq!(read_in_chunks(&[b"ab=cd&ef=", b"ghi"], 2.0, 4.0), Err(Exceeded::FieldSize));
        assert_eq!(read_in_chunks(&[b"abcde"], 2.0, 4.0), Err(Exceeded::FieldSize));
        assert_eq!(read_in_chunks(&[b"a==bcd"], 2.0, 4.0), Err(Exceeded::FieldSize));
        assert_eq!(read_in_chunks(&[b"a&&b&c"], 2.0, 4.0), Err(Exceeded::Fields));
        assert_eq!(read_in_chunks(&[b"a"], f64::INFINITY, 0.0), Err(Exceeded::FieldSize));
        assert_eq!(read_in_chunks(&[b"=&="], f64::INFINITY, 0.0).map(|found| found.len()), Ok(2));
    }

    proptest::proptest! {
        #[test]
        fn where_a_form_is_cut_makes_no_difference(body in "[ab=&%2+é]{0,24}", cuts in proptest::collection::vec(0usize..24, 0..4)) {
            let body = body.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(body.len())).chain([0, body.len()]).collect();
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect();
            proptest::prop_assert_eq!(read_in_chunks(&chunks, f64::INFINITY, f64::INFINITY), Ok(read(body)));
            let (cut, whole) = (read_in_chunks(&chunks, 3.0, 5.0), read_in_chunks(&[body], 3.0, 5.0));
            proptest::prop_assert_eq!(cut.is_ok(), whole.is_ok());
        }
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
