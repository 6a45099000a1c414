//! The `Cookie` request header, read the way browsers write it (RFC 6265, section 5.4, leniently).

use std::borrow::Cow;

/// The cookies of one header value, in order; where a name comes twice the caller lets the later one win.
///
/// A piece without `=` is a value without a name. Space around names and values is dropped and a quoted value is
/// unquoted, in time linear in its length.
pub fn pairs(header: &str) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    header.split(';').filter_map(|piece| {
        let (name, value) = piece.split_once('=').unwrap_or(("", piece));
        let (name, value) = (trim(name), trim(value));
        (!name.is_empty() || !value.is_empty()).then(|| (name, unquote(value)))
    })
}

/// What `str.strip()` takes away: Unicode white space and the four ASCII separators that Python counts as such.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

/// Takes the quotes and the backslash escapes (`\"`, `\\`, `\ooo`) off a value, as `http.cookies` writes them.
fn unquote(value: &str) -> Cow<'_, str> {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Cow::Borrowed(value);
    };
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let bytes = after.as_bytes();
        let octal = bytes.len() >= 3
            && (b'0'..=b'3').contains(&bytes[0])
            && (b'0'..=b'7').contains(&bytes[1])
            && (b'0'..=b'7').contains(&bytes[2]);
        if octal {
            let code = (bytes[0] - b'0') * 64 + (bytes[1] - b'0') * 8 + (bytes[2] - b'0');
            text.push(char::from(code));
            rest = &after[3..];
        } else if let Some(escaped) = after.chars().next().filter(|c| *c != '\n') {
            text.push(escaped);
            rest = &after[escaped.len_utf8()..];
        } else {
            text.push('\\');
            rest = after;
        }
    }
    text.push_str(rest);
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &str) -> Vec<(String, String)> {
        pairs(header).map(|(name, value)| (name.to_owned(), value.into_owned())).collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn names_values_and_the_nameless_are_read() {
        assert_eq!(read("a=1; b = 2 ;c; =d; "), [pair("a", "1"), pair("b", "2"), pair("", "c"), pair("", "d")]);
    }

    #[test]
    fn quoted_values_lose_quotes_and_escapes() {
        assert_eq!(read(r#"a="x\"y\\z\054w""#), [pair("a", "x\"y\\z,w")]);
        assert_eq!(read(r#"a=""#), [pair("a", "\"")]);
        assert_eq!(read(r#"a="""#), [pair("a", "")]);
    }

    #[test]
    fn many_backslashes_take_linear_time() {
        let header = format!("a=\"{}\"", "\\".repeat(1 << 20));
        assert_eq!(read(&header)[0].1.len(), 1 << 19);
    }
}
