//! The boundaries and headers of a multipart body, chunk by chunk.
//!
//! Accepts and refuses what `python_multipart.MultipartParser` does, cut into chunks in whatever way; a fuzz target holds
//! them against each other.

use memchr::memmem::Finder;

/// Headers a part may have.
///
/// Browsers send two; the limit is python-multipart's.
pub const MAX_HEADERS: usize = 8;
/// Bytes a header of a part may have, its name, colon and spaces counted.
///
/// Room for a file name of 4 KiB, which is the longest path most systems know; the limit is python-multipart's.
pub const MAX_HEADER_SIZE: usize = 4096 + 128;
/// Bytes a boundary may have. RFC 2046 allows 70; the limit is python-multipart's.
pub const MAX_BOUNDARY_SIZE: usize = 256;

/// The body is not what its media type says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid;

/// Content of a part.
#[derive(Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// A range of the chunk at hand.
    Chunk(std::ops::Range<usize>),
    /// Bytes of earlier chunks that looked like the beginning of a boundary.
    Held(&'a [u8]),
}

/// Where the parts go, in the order of the body.
pub trait Sink {
    type Error: From<Invalid>;

    /// A header of a new part: its name as written, its value without leading spaces.
    fn header(&mut self, name: &[u8], value: &[u8]) -> Result<(), Self::Error>;
    /// The last header of the part was seen.
    fn headers_end(&mut self) -> Result<(), Self::Error>;
    /// A piece of the part's content.
    fn content(&mut self, content: Content<'_>) -> Result<(), Self::Error>;
    /// The part is complete.
    fn part_end(&mut self) -> Result<(), Self::Error>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first boundary, at most line ends having been seen.
    Start,
    /// In the first boundary, this many of its bytes having been seen, the line end after it counted.
    First(usize),
    /// After the first boundary and one hyphen: no parts at all, if another one follows.
    FirstLast,
    HeaderStart,
    HeaderName,
    HeaderSpaces,
    HeaderValue,
    /// After the CR of a header.
    HeaderEnd,
    /// After the CR of the empty line.
    HeadersEnd,
    /// In the content, this many of the last bytes being the beginning of a boundary, with what follows it.
    Content(usize),
    /// Between a boundary and its line end; whether CR was seen.
    Padding(bool),
    /// After the last boundary: whatever follows is passed over.
    End,
}

/// A parser that is fed chunk by chunk.
#[derive(Debug)]
pub struct Parser {
    /// CR, LF, two hyphens, the boundary.
    delimiter: Vec<u8>,
    finder: Finder<'static>,
    state: State,
    /// Whether the hyphen of a last boundary follows the delimiter, and not CR.
    last: bool,
    headers: usize,
    header_size: usize,
    name: Vec<u8>,
    value: Vec<u8>,
    begun: bool,
}

impl Parser {
    /// A parser for bodies with this boundary.
    ///
    /// Errors: the boundary is too long.
    pub fn new(boundary: &[u8]) -> Result<Self, Invalid> {
        if boundary.len() > MAX_BOUNDARY_SIZE {
            return Err(Invalid);
        }
        let delimiter = [b"\r\n--", boundary].concat();
        Ok(Self {
            finder: Finder::new(&delimiter).into_owned(),
            delimiter,
            state: State::Start,
            last: false,
            headers: 0,
            header_size: 0,
            name: Vec::new(),
            value: Vec::new(),
            begun: false,
        })
    }

    /// Whether the last boundary was seen, or there is nothing but line ends so far.
    pub fn may_end(&self) -> bool {
        self.state == State::End || !self.begun
    }

    /// Takes the next chunk.
    ///
    /// Errors: the sink's own, and its `From<Invalid>`. The parser is of no use afterwards.
    pub fn feed<S: Sink>(&mut self, chunk: &[u8], sink: &mut S) -> Result<(), S::Error> {
        self.begun = self.begun || chunk.iter().any(|byte| !matches!(byte, b'\r' | b'\n'));
        let mut at = 0;
        while let Some(&byte) = chunk.get(at) {
            match self.state {
                State::Start => {
                    if matches!(byte, b'\r' | b'\n') {
                        match memchr::memchr(b'-', &chunk[at..]) {
                            Some(distance) => at += distance,
                            None => return Ok(()),
                        }
                    } else {
                        self.state = State::First(0);
                    }
                }
                State::First(seen) => {
                    self.first(seen, byte)?;
                    at += 1;
                }
                State::FirstLast => {
                    expect(byte == b'-')?;
                    self.state = State::End;
                }
                State::HeaderStart => at += self.header_start(byte)?,
                State::HeaderName => at += self.header_name(&chunk[at..])?,
                State::HeaderSpaces => {
                    if byte == b' ' {
                        self.grow(1)?;
                        at += 1;
                    } else {
                        self.state = State::HeaderValue;
                    }
                }
                State::HeaderValue => {
                    let rest = &chunk[at..];
                    let end = memchr::memchr(b'\r', rest);
                    let piece = &rest[..end.unwrap_or(rest.len())];
                    self.grow(piece.len())?;
                    self.value.extend_from_slice(piece);
                    at += piece.len();
                    if end.is_some() {
                        sink.header(&self.name, &self.value)?;
                        self.state = State::HeaderEnd;
                        at += 1;
                    }
                }
                State::HeaderEnd => {
                    expect(byte == b'\n')?;
                    self.state = State::HeaderStart;
                    at += 1;
                }
                State::HeadersEnd => {
                    expect(byte == b'\n')?;
                    sink.headers_end()?;
                    at += 1;
                    self.state = State::Content(0);
                }
                State::Content(seen) => at = self.content(seen, chunk, at, sink)?,
                State::Padding(ending) => {
                    match (ending, byte) {
                        (false, b' ' | b'\t') => {}
                        (false, b'\r') => self.state = State::Padding(true),
                        (true, b'\n') => {
                            sink.part_end()?;
                            self.begin_part();
                        }
                        _ => return Err(Invalid.into()),
                    }
                    at += 1;
                }
                State::End => return Ok(()),
            }
        }
        Ok(())
    }

    fn first(&mut self, seen: usize, byte: u8) -> Result<(), Invalid> {
        let boundary = &self.delimiter[2..];
        match seen.checked_sub(boundary.len()) {
            None => expect(boundary.get(seen) == Some(&byte))?,
            Some(0) if byte == b'-' => {
                self.state = State::FirstLast;
                return Ok(());
            }
            Some(0) => expect(byte == b'\r')?,
            Some(_) => {
                expect(byte == b'\n')?;
                self.begin_part();
                return Ok(());
            }
        }
        self.state = State::First(seen + 1);
        Ok(())
    }

    fn begin_part(&mut self) {
        self.headers = 0;
        self.header_size = 0;
        self.state = State::HeaderStart;
    }

    /// Begins a header, or the empty line after the last one. Returns how many bytes that took.
    fn header_start(&mut self, byte: u8) -> Result<usize, Invalid> {
        if byte == b'\r' {
            self.state = State::HeadersEnd;
            return Ok(1);
        }
        self.headers += 1;
        expect(self.headers <= MAX_HEADERS)?;
        self.header_size = 0;
        self.name.clear();
        self.value.clear();
        self.state = State::HeaderName;
        Ok(0)
    }

    fn header_name(&mut self, rest: &[u8]) -> Result<usize, Invalid> {
        let colon = memchr::memchr(b':', rest);
        let piece = &rest[..colon.unwrap_or(rest.len())];
        let taken = piece.len() + usize::from(colon.is_some());
        self.grow(taken)?;
        expect(piece.iter().copied().all(is_token))?;
        self.name.extend_from_slice(piece);
        if colon.is_some() {
            expect(!self.name.is_empty())?;
            self.state = State::HeaderSpaces;
        }
        Ok(taken)
    }

    fn grow(&mut self, size: usize) -> Result<(), Invalid> {
        self.header_size += size;
        expect(self.header_size <= MAX_HEADER_SIZE)
    }

    /// Goes on in a part's content, at `start`. Returns where the next state goes on.
    fn content<S: Sink>(
        &mut self,
        mut seen: usize,
        chunk: &[u8],
        mut start: usize,
        sink: &mut S,
    ) -> Result<usize, S::Error> {
        let whole = self.delimiter.len();
        // How many of the bytes seen are in earlier chunks.
        let mut held = seen;
        let mut at = start;
        loop {
            let Some(&byte) = chunk.get(at) else {
                // What looks like the beginning of a boundary waits for the next chunk.
                emit(sink, start, at - (seen - held))?;
                self.state = State::Content(seen);
                return Ok(at);
            };
            if seen == 0 {
                match self.finder.find(&chunk[at..]) {
                    Some(distance) => {
                        seen = whole;
                        at += distance + whole;
                    }
                    None => {
                        seen = self.tail(&chunk[at..]);
                        at = chunk.len();
                    }
                }
                continue;
            }
            let follows = match seen.checked_sub(whole) {
                None => self.delimiter.get(seen) == Some(&byte),
                Some(0) => match byte {
                    b'\r' | b'-' => {
                        self.last = byte == b'-';
                        true
                    }
                    b' ' | b'\t' => {
                        // A line that begins with the boundary cannot be content.
                        emit(sink, start, at - (seen - held))?;
                        self.state = State::Padding(false);
                        return Ok(at + 1);
                    }
                    _ => false,
                },
                Some(_) if byte == if self.last { b'-' } else { b'\n' } => {
                    emit(sink, start, at - (seen - held))?;
                    sink.part_end()?;
                    if self.last {
                        self.state = State::End;
                    } else {
                        self.begin_part();
                    }
                    return Ok(at + 1);
                }
                Some(_) => false,
            };
            if follows {
                seen += 1;
                at += 1;
                continue;
            }
            // No boundary after all.
            if held > 0 {
                sink.content(Content::Held(&self.delimiter[..held.min(whole)]))?;
                if held > whole {
                    sink.content(Content::Held(if self.last { b"-" } else { b"\r" }))?;
                }
                held = 0;
                start = 0;
            }
            seen = 0;
        }
    }

    /// How many bytes at the end of `rest` may be the beginning of a boundary.
    fn tail(&self, rest: &[u8]) -> usize {
        let from = (rest.len() + 1).saturating_sub(self.delimiter.len());
        match memchr::memrchr(b'\r', &rest[from..]) {
            Some(at) if self.delimiter.starts_with(&rest[from + at..]) => rest.len() - from - at,
            _ => 0,
        }
    }
}

fn emit<S: Sink>(sink: &mut S, start: usize, end: usize) -> Result<(), S::Error> {
    if start < end { sink.content(Content::Chunk(start..end)) } else { Ok(()) }
}

fn expect(holds: bool) -> Result<(), Invalid> {
    if holds { Ok(()) } else { Err(Invalid) }
}

/// A character of a token (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Headers = Vec<(Vec<u8>, Vec<u8>)>;
    type Found = Vec<(Headers, Vec<u8>)>;

    /// Writes the parts down.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Parts {
        chunk: Vec<u8>,
        headers: Headers,
        content: Vec<u8>,
        found: Found,
    }

    impl Sink for Parts {
        type Error = Invalid;

        fn header(&mut self, name: &[u8], value: &[u8]) -> Result<(), Invalid> {
            self.headers.push((name.to_vec(), value.to_vec()));
            Ok(())
        }

        fn headers_end(&mut self) -> Result<(), Invalid> {
            Ok(())
        }

        fn content(&mut self, content: Content<'_>) -> Result<(), Invalid> {
            match content {
                Content::Chunk(range) => self.content.extend_from_slice(&self.chunk[range]),
                Content::Held(bytes) => self.content.extend_from_slice(bytes),
            }
            Ok(())
        }

        fn part_end(&mut self) -> Result<(), Invalid> {
            self.found.push((std::mem::take(&mut self.headers), std::mem::take(&mut self.content)));
            Ok(())
        }
    }

    fn parse(chunks: &[&[u8]]) -> Result<(Found, bool), Invalid> {
        let mut parser = Parser::new(b"BND")?;
        let mut parts = Parts::default();
        for chunk in chunks {
            parts.chunk = chunk.to_vec();
            parser.feed(chunk, &mut parts)?;
        }
        Ok((parts.found, parser.may_end()))
    }

    fn pair(name: &str, value: &str) -> (Vec<u8>, Vec<u8>) {
        (name.into(), value.into())
    }

    #[test]
    fn parts_have_headers_and_content() {
        let body = b"\r\n--BND\r\nA:  1 \r\nb:\r\n\r\none\r\n--BND \t\r\n\r\n\r\n--BND--\r\nepilogue --BND";
        let parts = vec![(vec![pair("A", "1 "), pair("b", "")], b"one".to_vec()), (vec![], vec![])];
        assert_eq!(parse(&[body]), Ok((parts, true)));
    }

    #[test]
    fn what_only_looks_like_a_boundary_is_content() {
        let body = b"--BND\r\n\r\n\r\n--BNDx\r\n--BND-x\r\n--BND\rx\r\n--BN\r\r\n--BND--";
        let content = b"\r\n--BNDx\r\n--BND-x\r\n--BND\rx\r\n--BN\r".to_vec();
        assert_eq!(parse(&[body]), Ok((vec![(vec![], content)], true)));
    }

    #[test]
    fn no_parts_and_nothing_at_all_are_bodies() {
        assert_eq!(parse(&[b"--BND--"]), Ok((vec![], true)));
        assert_eq!(parse(&[b"\r\n", b""]), Ok((vec![], true)));
        assert_eq!(parse(&[b"--BND\r\n\r\nx"]), Ok((vec![], false)));
    }

    #[test]
    fn malformed_bodies_are_refused() {
        let long = [b"--BND\r\na: ".as_slice(), &[b'x'; MAX_HEADER_SIZE], b"\r\n\r\n"].concat();
        let many = [b"--BND\r\n".as_slice(), &b"a:b\r\n".repeat(MAX_HEADERS + 1)].concat();
        let bodies: [&[u8]; 11] = [
            b"x--BND\r\n",
            b"--BNx",
            b"--BNDx",
            b"--BND\rx",
            b"--BND-x",
            b"--BND\r\na b: c\r\n",
            b"--BND\r\n: c\r\n",
            b"--BND\r\na: b\rc",
            b"--BND\r\n\r\nx\r\n--BND x",
            &long,
            &many,
        ];
        for body in bodies {
            assert_eq!(parse(&[body]), Err(Invalid), "{}", String::from_utf8_lossy(body));
        }
        assert!(Parser::new(&[b'x'; MAX_BOUNDARY_SIZE + 1]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn where_a_body_is_cut_makes_no_difference(
            pieces in proptest::collection::vec(
                proptest::sample::select(vec!["\r\n--BND\r\n", "\r\n--BND", "--", "\r", "\n", "\r\n\r\n", "a: b", " ", "--BN", "x"]),
                0..16,
            ),
            cuts in proptest::collection::vec(0usize..80, 0..6),
        ) {
            let body = ["--BND\r\n", &pieces.concat()].concat();
            let body = body.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(body.len())).chain([0, body.len()]).collect();
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect();
            proptest::prop_assert_eq!(parse(&chunks), parse(&[body]));
        }
    }
}
