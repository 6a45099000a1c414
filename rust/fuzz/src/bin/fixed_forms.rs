//! A fixed number of forms from a seeded generator: what continuous integration runs, on stable Rust.
//!
//!     fixed_forms [COUNT [SEED]]

use forzium_fuzz::chance::Chance;
use forzium_fuzz::forms::{multipart, options, urlencoded};

/// Pieces that multipart bodies are put together from.
const PARTS: &[&[u8]] = &[
    b"--B\r\n",
    b"\r\n--B\r\n",
    b"\r\n--B\r\n",
    b"\r\n--B--",
    b"\r\n--B",
    b"\r\n--",
    b"--",
    b"-",
    b"B",
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\r\n\r\n",
    b"\t",
    b" ",
    b":",
    b"a: b",
    b"a: b\r\n",
    b"Content-Disposition: form-data; name=x\r\n\r\n",
    b"x",
    b"content\r\n",
    b"\x00\xff",
    b"\r\r\n",
    &[b'h'; 100],
    &[b'v'; 4300],
];
/// Pieces of urlencoded forms.
const FIELDS: &[&[u8]] = &[
    b"a", b"b=", b"=", b"&", b"&", b"&&", b"+", b"%20", b"%C3%A9", b"%zz", b"%", b"\xe9", b";", b"value", b"==",
    b"%e2%82",
];
/// Pieces of headers.
const OPTIONS: &[&[u8]] = &[
    b"form-data",
    b";",
    b"; ",
    b";",
    b"=",
    b" = ",
    b"\"",
    b"\"",
    b"\\",
    b"\\\"",
    b"name",
    b"filename",
    b"name*",
    b"charset",
    b"boundary",
    b"c:\\",
    b"\\\\",
    b"a.txt",
    b" ",
    b"\t",
    b"\xe9",
    b"utf-8''",
    b"name=",
    b"filename=\"",
    b"multipart/",
];

fn assembled(chance: &mut Chance, pieces: &[&[u8]], most: usize) -> Vec<u8> {
    let mut text: Vec<u8> = Vec::new();
    for _ in 0..chance.below(most) {
        text.extend_from_slice(pieces[chance.below(pieces.len())]);
    }
    if chance.below(4) == 0 && !text.is_empty() {
        let at = chance.below(text.len());
        text[at] = chance.next() as u8;
    }
    text
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>().expect("a number"));
    let count = arguments.next().unwrap_or(20_000);
    let mut chance = Chance::new(arguments.next().unwrap_or(20));
    for _ in 0..count {
        let cuts: Vec<u8> = (0..5).map(|_| chance.next() as u8 % 96).collect();
        let begin: &[u8] = [&b"--B\r\n"[..], b"--B\r\na: b\r\n\r\n", b"", b"\r\n"][chance.below(4)];
        multipart(&[&cuts, begin, &assembled(&mut chance, PARTS, 24)].concat());
        let limits = [chance.next() as u8, chance.next() as u8];
        urlencoded(&[&limits, &cuts[..], &assembled(&mut chance, FIELDS, 24)].concat());
        options(&assembled(&mut chance, OPTIONS, 16));
    }
    // The one line that says it came to its end.
    println!("{count} multipart bodies, urlencoded forms and headers: no difference");
}
