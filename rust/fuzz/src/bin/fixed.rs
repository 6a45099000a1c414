//! A fixed number of inputs from a seeded generator: what continuous integration runs, on stable Rust.
//!
//!     fixed [COUNT [SEED]]

use forzium_fuzz::chance::Chance;
use forzium_fuzz::{dumps, loads};

/// Pieces that texts are put together from.
const PIECES: &[&str] = &[
    "[", "]", "{", "}", ",", ":", "\"", "\\", "\"a\":", "\"key\":", "\"long key with more than sixteen bytes\":", "\"id\":1,",
    "\"name\":\"x\",", "{\"id\":1,\"name\":\"y\",\"v\":[]},", "null", "true", "false", "NaN", "Infinity", "-", "0", "1", "-0",
    "12345678901234567890", "1.5", "1e5", "1e400", "0.1", "-1.25E-7", " ", "\n", "\t", "        ", "\\n", "\\u00e9", "\\ud83d",
    "\\ude00", "é", "漢字", "😀", "\u{0}", "\u{7f}", "abcdefghijklmnopqrstuvwxyz", "\"\"", "[]", "{}", "]]", "}}", "\u{feff}",
];

/// Keys that objects share; some longer than a block, the last too long to be remembered.
const KEYS: &[&str] = &[
    "\"id\"", "\"name\"", "\"a key of twenty-six bytes\"", "\"exactly 13 by\"", "\"exactly 14 byt\"",
    "\"a key that is longer than the sixty-two bytes that are remembered of keys\"",
];

fn text(chance: &mut Chance) -> Vec<u8> {
    let mut text = Vec::new();
    // Half of the texts are well-formed to begin with.
    if chance.below(2) == 0 {
        well_formed(chance, &mut text, 0);
    } else {
        for _ in 0..chance.below(30) {
            text.extend_from_slice(PIECES[chance.below(PIECES.len())].as_bytes());
        }
    }
    for _ in 0..chance.below(3) {
        if !text.is_empty() {
            let at = chance.below(text.len());
            match chance.below(3) {
                0 => text[at] = chance.next() as u8,
                1 => drop(text.remove(at)),
                _ => text.insert(at, PIECES[chance.below(PIECES.len())].as_bytes()[0]),
            }
        }
    }
    text
}

fn well_formed(chance: &mut Chance, text: &mut Vec<u8>, depth: usize) {
    let space = |chance: &mut Chance, text: &mut Vec<u8>| {
        if chance.below(4) == 0 {
            text.resize(text.len() + chance.below(20), b' ');
        }
    };
    space(chance, text);
    match chance.below(if depth > 5 { 6 } else { 10 }) {
        0 => text.extend_from_slice(b"null"),
        1 => text.extend_from_slice(b"true"),
        2 => text.extend_from_slice((chance.next() as i64 >> chance.below(64)).to_string().as_bytes()),
        3 => {
            let value = f64::from_bits(chance.next());
            let value = if value.is_finite() { value } else { 0.5 };
            text.extend_from_slice(format!("{value:e}").as_bytes());
        }
        4 | 5 => string(chance, text),
        6 | 7 => {
            text.push(b'[');
            let count = chance.below(6);
            for index in 0..count {
                well_formed(chance, text, depth + 1);
                if index + 1 < count {
                    text.push(b',');
                }
            }
            text.push(b']');
        }
        _ => {
            text.push(b'{');
            let count = chance.below(8);
            // Half of the objects have the keys of others, in the same order, or nearly so.
            let alike = chance.below(2) == 0;
            for index in 0..count {
                space(chance, text);
                if alike && chance.below(10) != 0 {
                    text.extend_from_slice(KEYS[index % KEYS.len()].as_bytes());
                } else {
                    string(chance, text);
                }
                if !alike || chance.below(10) == 0 {
                    space(chance, text);
                }
                text.push(b':');
                well_formed(chance, text, depth + 1);
                if index + 1 < count {
                    text.push(b',');
                }
            }
            text.push(b'}');
        }
    }
    space(chance, text);
}

fn string(chance: &mut Chance, text: &mut Vec<u8>) {
    text.push(b'"');
    let kind = chance.below(8);
    for _ in 0..chance.below(if kind == 0 { 90 } else { 12 }) {
        match kind {
            5 => text.extend_from_slice("漢".as_bytes()),
            6 => text.extend_from_slice(["é", "😀", "x", "\\n", "\\u1234"][chance.below(5)].as_bytes()),
            _ => text.push(b'a' + chance.below(6) as u8),
        }
    }
    text.push(b'"');
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>().expect("a number"));
    let count = arguments.next().unwrap_or(20_000);
    let mut chance = Chance::new(arguments.next().unwrap_or(20));
    for _ in 0..count {
        loads(&text(&mut chance));
        let size = chance.below(400);
        let recipe: Vec<u8> = (0..size).map(|_| chance.next() as u8).collect();
        dumps(&recipe);
    }
    // The one line that says it came to its end.
    println!("{count} texts and {count} values: no difference");
}
