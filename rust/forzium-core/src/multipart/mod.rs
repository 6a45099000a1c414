//! `multipart/form-data` (RFC 7578): the parts of a body as its chunks arrive, and the options of a header.
//!
//! The parser keeps no content: it tells a [`Sink`] which bytes of the chunk at hand belong to what, so that they are
//! copied once, to where they are wanted. What becomes of a part (a field, a file, a limit) is the sink's business.

mod options;
mod parser;

pub use options::Options;
pub use parser::{Content, Invalid, Parser, Sink};
