//! One declared path, such as `/items/{item_id:int}`, and the test whether it matches.
//!
//! A path whose parameters each fill a whole segment (the last one may take the rest of the path) is matched here.
//! Any other (several parameters in a segment, a convertor of the user's own) is *irregular*: only the part before its
//! first parameter is known here, and the binding asks the compiled regular expression.

use std::ops::Range;

/// What a parameter accepts. The names are those of Starlette's built-in convertors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Convertor {
    /// One segment, not empty.
    Str,
    /// Anything up to the end, slashes included, also nothing.
    Path,
    /// ASCII digits.
    Int,
    /// ASCII digits, then optionally a point and digits.
    Float,
    /// A UUID in hexadecimal, its hyphens optional.
    Uuid,
    /// A convertor of the user's own, known only by its regular expression.
    Custom,
}

impl Convertor {
    /// The convertor of a built-in name; any other name is a custom one.
    pub fn from_name(name: &str) -> Self {
        match name {
            "str" => Self::Str,
            "path" => Self::Path,
            "int" => Self::Int,
            "float" => Self::Float,
            "uuid" => Self::Uuid,
            _ => Self::Custom,
        }
    }

    fn accepts(self, value: &str) -> bool {
        match self {
            Self::Str => !value.is_empty(),
            Self::Path => !value.contains('\n'),
            Self::Int => is_digits(value),
            Self::Float => match value.split_once('.') {
                Some((whole, fraction)) => is_digits(whole) && is_digits(fraction),
                None => is_digits(value),
            },
            Self::Uuid => is_uuid(value.as_bytes()),
            Self::Custom => false,
        }
    }
}

fn is_digits(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_uuid(mut rest: &[u8]) -> bool {
    for (group, digits) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if group > 0
            && let Some(after) = rest.strip_prefix(b"-")
        {
            rest = after;
        }
        let Some((head, tail)) = rest.split_at_checked(digits) else {
            return false;
        };
        if !head.iter().all(u8::is_ascii_hexdigit) {
            return false;
        }
        rest = tail;
    }
    rest.is_empty()
}

/// A piece of a declared path, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text that must stand there.
    Literal(String),
    /// A parameter.
    Param(Convertor),
}

/// Where the parameters of a match stand in the path, in the order of their declaration.
pub type Captures = Vec<Range<usize>>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    Literal(String),
    Param(Convertor),
}

/// A declared path, ready to be matched.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// The segments after the leading slash, where the path is regular.
    segments: Option<Vec<Segment>>,
    /// Whether the last segment takes the rest of the path.
    tail: bool,
    /// The literal text before the first parameter.
    prefix: String,
}

impl Pattern {
    /// Reads the pieces of a path. Adjacent literals are allowed.
    pub fn new(pieces: &[Piece]) -> Self {
        let prefix: String = pieces
            .iter()
            .map_while(|piece| match piece {
                Piece::Literal(text) => Some(text.as_str()),
                Piece::Param(_) => None,
            })
            .collect();
        let segments = Self::split(pieces);
        let tail = matches!(segments.as_deref(), Some([.., Segment::Param(Convertor::Path)]));
        Self { segments, tail, prefix }
    }

    /// The segments, if every parameter fills a whole one and only the last takes the rest.
    fn split(pieces: &[Piece]) -> Option<Vec<Segment>> {
        let mut segments: Vec<Segment> = Vec::new();
        let mut open: Option<Segment> = None; // the segment being read; none before the leading slash
        for piece in pieces {
            match piece {
                Piece::Literal(text) => {
                    for (index, part) in text.split('/').enumerate() {
                        if index > 0 {
                            segments.extend(open.take());
                            open = Some(Segment::Literal(String::new()));
                        }
                        match &mut open {
                            Some(Segment::Literal(literal)) => literal.push_str(part),
                            _ if part.is_empty() => {}
                            _ => return None, // text before the leading slash, or right after a parameter
                        }
                    }
                }
                Piece::Param(convertor) => match &open {
                    Some(Segment::Literal(literal)) if literal.is_empty() && *convertor != Convertor::Custom => {
                        open = Some(Segment::Param(*convertor));
                    }
                    _ => return None,
                },
            }
        }
        segments.extend(open);
        let greedy = segments.iter().position(|segment| *segment == Segment::Param(Convertor::Path));
        if segments.is_empty() || greedy.is_some_and(|at| at + 1 < segments.len()) { None } else { Some(segments) }
    }

    /// Whether this pattern is matched here; otherwise by its regular expression.
    pub fn is_regular(&self) -> bool {
        self.segments.is_some()
    }

    /// The literal text before the first parameter: a path that does not start with it cannot match.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The segments of a regular pattern that takes no rest of a path, for the tree.
    pub(super) fn fixed_segments(&self) -> Option<&[Segment]> {
        self.segments.as_deref().filter(|_| !self.tail)
    }

    /// Matches a path, filling `captures`. Always false for an irregular pattern.
    pub fn matches(&self, path: &str, captures: &mut Captures) -> bool {
        captures.clear();
        let Some(segments) = &self.segments else {
            return false;
        };
        let Some(rest) = path.strip_prefix('/') else {
            return false;
        };
        let mut start = path.len() - rest.len();
        let last = segments.len() - 1;
        for (index, segment) in segments.iter().enumerate() {
            let end = if index == last && self.tail {
                path.len()
            } else {
                memchr::memchr(b'/', &path.as_bytes()[start..]).map_or(path.len(), |at| start + at)
            };
            let value = &path[start..end];
            match segment {
                Segment::Literal(text) => {
                    if text != value {
                        return false;
                    }
                }
                Segment::Param(convertor) => {
                    if !convertor.accepts(value) {
                        return false;
                    }
                    captures.push(start..end);
                }
            }
            if index == last {
                return end == path.len();
            }
            if end == path.len() {
                return false;
            }
            start = end + 1;
        }
        false
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Reads `/a/{x:int}` the way the binding does.
    pub(crate) fn parse(path: &str) -> Pattern {
        let mut pieces = Vec::new();
        let mut rest = path;
        while let Some((literal, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').expect("a closed brace");
            pieces.push(Piece::Literal(literal.to_owned()));
            let convertor = name.split_once(':').map_or("str", |(_, convertor)| convertor);
            pieces.push(Piece::Param(Convertor::from_name(convertor)));
            rest = after;
        }
        pieces.push(Piece::Literal(rest.to_owned()));
        Pattern::new(&pieces)
    }

    fn captured<'p>(pattern: &str, path: &'p str) -> Option<Vec<&'p str>> {
        let mut captures = Captures::new();
        parse(pattern).matches(path, &mut captures).then(|| captures.into_iter().map(|range| &path[range]).collect())
    }

    #[test]
    fn literals_match_to_the_letter() {
        assert_eq!(captured("/", "/"), Some(vec![]));
        assert_eq!(captured("/a/b", "/a/b"), Some(vec![]));
        assert_eq!(captured("/a/b/", "/a/b"), None);
        assert_eq!(captured("/a/b", "/a/b/"), None);
        assert_eq!(captured("/a", "/a\n"), None);
    }

    #[test]
    fn parameters_take_one_segment_that_their_convertor_accepts() {
        assert_eq!(captured("/i/{x}", "/i/42"), Some(vec!["42"]));
        assert_eq!(captured("/i/{x}", "/i/"), None);
        assert_eq!(captured("/i/{x:int}/y", "/i/42/y"), Some(vec!["42"]));
        assert_eq!(captured("/i/{x:int}", "/i/4x"), None);
        assert_eq!(captured("/i/{x:float}", "/i/4.5"), Some(vec!["4.5"]));
        assert_eq!(captured("/i/{x:float}", "/i/4."), None);
        assert_eq!(
            captured("/i/{x:uuid}", "/i/01234567-89ab-cdef-0123-456789ABCDEF"),
            Some(vec!["01234567-89ab-cdef-0123-456789ABCDEF"])
        );
    }

    #[test]
    fn a_path_parameter_takes_the_rest_also_nothing() {
        assert_eq!(captured("/f/{p:path}", "/f/a/b"), Some(vec!["a/b"]));
        assert_eq!(captured("/f/{p:path}", "/f/"), Some(vec![""]));
        assert_eq!(captured("/f/{p:path}", "/f"), None);
        assert_eq!(captured("/f/{p:path}", "/f/a\nb"), None);
    }

    #[test]
    fn other_shapes_are_left_to_the_regular_expression() {
        for path in ["/{a}-{b}", "/x{a}", "/{a}.json", "/{p:path}/end", "/{c:mine}", "{a}", "a/{b}"] {
            assert!(!parse(path).is_regular(), "{path}");
        }
        assert_eq!(parse("/x/y{a}").prefix(), "/x/y");
    }
}
