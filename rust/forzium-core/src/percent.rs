//! Percent-decoding of url-encoded text (RFC 3986, section 2.1), with Python's rules for what is not valid.

/// The value of one hexadecimal digit.
fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Decodes one component of a query string or an urlencoded form, `+` standing for a space.
///
/// The rules are those of `urllib.parse.unquote` over the latin-1 decoded text: a run of escapes is read as UTF-8 with
/// U+FFFD for what is not valid; a `%` that no two hexadecimal digits follow stays; a raw byte above 127 is the
/// latin-1 character of that number.
pub fn decode_component(raw: &[u8]) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut run: Vec<u8> = Vec::new();
    let mut at = 0;
    while at < raw.len() {
        let byte = raw[at];
        if byte == b'%'
            && let (Some(high), Some(low)) =
                (raw.get(at + 1).copied().and_then(hex), raw.get(at + 2).copied().and_then(hex))
        {
            run.push(high << 4 | low);
            at += 3;
            continue;
        }
        if byte < 128 {
            // An ASCII character takes part in the run: it ends an incomplete sequence exactly as Python's decoder,
            // which sees the whole of it, does.
            run.push(if byte == b'+' { b' ' } else { byte });
        } else {
            flush(&mut run, &mut text);
            text.push(char::from(byte));
        }
        at += 1;
    }
    flush(&mut run, &mut text);
    text
}

fn flush(run: &mut Vec<u8>, text: &mut String) {
    if !run.is_empty() {
        text.push_str(&String::from_utf8_lossy(run));
        run.clear();
    }
}

/// Whether a component has to be decoded at all.
pub fn is_plain(raw: &[u8]) -> bool {
    raw.iter().all(|byte| byte.is_ascii() && *byte != b'%' && *byte != b'+')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_plus_and_raw_bytes_are_decoded_as_python_does() {
        assert_eq!(decode_component(b"a+b%20c"), "a b c");
        assert_eq!(decode_component(b"%C3%A9"), "\u{e9}");
        assert_eq!(decode_component(b"\xc3\xa9"), "\u{c3}\u{a9}");
        assert_eq!(decode_component(b"%C3x"), "\u{fffd}x");
        assert_eq!(decode_component(b"100%"), "100%");
        assert_eq!(decode_component(b"%zz%4"), "%zz%4");
    }

    #[test]
    fn what_is_plain_is_returned_as_it_is() {
        assert!(is_plain(b"abc-123"));
        assert!(!is_plain(b"a+b"));
        assert!(!is_plain(b"a%20"));
        assert!(!is_plain(b"\xe9"));
    }
}
