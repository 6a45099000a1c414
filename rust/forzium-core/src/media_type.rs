//! Media types of request bodies (RFC 9110, section 8.3.1), as far as a route has to tell them apart.

/// Whether a `Content-Type` value names JSON: `application/json` or `application/*+json`, parameters aside.
///
/// Follows `email.message.Message`, which FastAPI asks: what does not have exactly one slash is not a media type.
pub fn is_json(value: &[u8]) -> bool {
    if value == b"application/json" {
        return true;
    }
    let essence = value.split(|byte| *byte == b';').next().unwrap_or(value).trim_ascii().to_ascii_lowercase();
    let mut parts = essence.split(|byte| *byte == b'/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(b"application"), Some(subtype), None) => subtype == b"json" || subtype.ends_with(b"+json"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_json;

    #[test]
    fn json_and_its_suffix_types_are_json() {
        for value in ["application/json", "Application/JSON; charset=utf-8", " application/vnd.api+json ;v=1"] {
            assert!(is_json(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn everything_else_is_not() {
        for value in ["", "text/json", "application/json/x", "application/geojson-seq", "json", "application/xml"] {
            assert!(!is_json(value.as_bytes()), "{value}");
        }
    }
}
