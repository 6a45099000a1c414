//! A header value with options: `form-data; name="file"; filename="a.txt"`.
//!
//! Equal to `python_multipart.multipart.parse_options_header`, which is the email package's way of splitting: a
//! semicolon inside quotes does not separate. Options in the extended notation (`filename*=`) are passed over, as RFC
//! 7578, section 4.2, asks.

use memchr::memmem;

/// The value before the first semicolon, and the options after it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// In lower case.
    pub value: Vec<u8>,
    options: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Options {
    /// Reads a header's value. Nothing gives no value and no options.
    pub fn parse(header: &[u8]) -> Self {
        if !header.contains(&b';') {
            return Self { value: strip(header).to_ascii_lowercase(), options: Vec::new() };
        }
        let mut segments = segments(header);
        let value = segments.next().unwrap_or_default().to_ascii_lowercase();
        Self { value, options: segments.filter_map(|segment| option(&segment)).collect() }
    }

    /// The value of an option; of equal names the last one counts.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.options.iter().rev().find(|(found, _)| found == name).map(|(_, value)| value.as_slice())
    }
}

fn option(segment: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (key, value) = match memchr::memchr(b'=', segment) {
        Some(at) => (&segment[..at], &segment[at + 1..]),
        None => (segment, &segment[segment.len()..]),
    };
    if key.contains(&b'*') {
        return None;
    }
    let mut value = match value {
        [b'"', inside @ .., b'"'] => replaced(&replaced(inside, b"\\\\", b"\\"), b"\\\"", b"\""),
        _ => value.to_vec(),
    };
    // Internet Explorer 6 sent the whole path of a file.
    if key == b"filename"
        && (value.get(1..3) == Some(b":\\".as_slice()) || value.starts_with(b"\\\\"))
        && let Some(at) = memchr::memrchr(b'\\', &value)
    {
        value.drain(..=at);
    }
    Some((key.to_vec(), value))
}

/// The pieces between semicolons that stand outside of quotes: names in lower case, spaces around them gone.
fn segments(header: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let mut rest = Some(header);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut quotes = 0;
        let mut from = 0;
        let end = loop {
            match memchr::memchr(b';', &text[from..]) {
                None => break None,
                Some(at) => {
                    let piece = &text[from..from + at];
                    quotes += memchr::memchr_iter(b'"', piece).count();
                    quotes -= memmem::find_iter(piece, b"\\\"").count();
                    if quotes % 2 == 0 {
                        break Some(from + at);
                    }
                    from += at + 1;
                }
            }
        };
        rest = end.map(|end| &text[end + 1..]);
        let segment = &text[..end.unwrap_or(text.len())];
        Some(match memchr::memchr(b'=', segment) {
            None => strip(segment).to_vec(),
            Some(at) => {
                let mut written = strip_end(&segment[..at]).to_ascii_lowercase();
                written.push(b'=');
                written.extend_from_slice(strip_start(&segment[at + 1..]));
                strip(&written).to_vec()
            }
        })
    })
}

fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut written = Vec::with_capacity(text.len());
    let mut end = 0;
    for at in memmem::find_iter(text, from) {
        written.extend_from_slice(&text[end..at]);
        written.extend_from_slice(to);
        end = at + from.len();
    }
    written.extend_from_slice(&text[end..]);
    written
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn strip_start(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !is_space(*byte)).unwrap_or(text.len());
    &text[start..]
}

fn strip_end(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| !is_space(*byte)).map_or(0, |at| at + 1);
    &text[..end]
}

fn strip(text: &[u8]) -> &[u8] {
    strip_end(strip_start(text))
}

#[cfg(test)]
mod tests {
    use super::Options;

    fn get(header: &str, name: &str) -> Option<String> {
        Options::parse(header.as_bytes()).get(name.as_bytes()).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    #[test]
    fn the_value_is_in_lower_case_and_without_spaces() {
        assert_eq!(Options::parse(b" Text/HTML\t").value, b"text/html");
        assert_eq!(Options::parse(b"Multipart/Form-Data ; boundary=X").value, b"multipart/form-data");
        assert_eq!(Options::parse(b""), Options::default());
    }

    #[test]
    fn options_may_be_quoted_and_hold_semicolons() {
        assert_eq!(get("form-data; name=a", "name").as_deref(), Some("a"));
        assert_eq!(get(r#"form-data; NAME = "a;b" ; x=1"#, "name").as_deref(), Some("a;b"));
        assert_eq!(get(r#"form-data; name="a\"b\\c""#, "name").as_deref(), Some(r#"a"b\c"#));
        assert_eq!(get(r#"form-data; name="a;b"#, "name").as_deref(), Some(r#""a;b"#));
        assert_eq!(get("form-data; name", "name").as_deref(), Some(""));
        assert_eq!(get("form-data; name=a; name=b", "name").as_deref(), Some("b"));
        assert_eq!(get("form-data", "name"), None);
    }

    #[test]
    fn extended_notation_is_passed_over() {
        assert_eq!(get("form-data; filename*=utf-8''x; filename=y", "filename").as_deref(), Some("y"));
        assert_eq!(get("form-data; filename*=utf-8''x", "filename"), None);
    }

    #[test]
    fn a_windows_path_is_cut_down_to_its_name() {
        assert_eq!(get(r#"form-data; filename="C:\dir\a.txt""#, "filename").as_deref(), Some("a.txt"));
        assert_eq!(get(r"form-data; filename=\\host\a.txt", "filename").as_deref(), Some("a.txt"));
        assert_eq!(get(r"form-data; name=C:\a", "name").as_deref(), Some(r"C:\a"));
    }
}
