//! Which routes can answer a path, in the order they were declared.
//!
//! `pattern` reads one declared path and matches it; `tree` holds many and finds the candidates for a path. Both speak
//! of indices in the order of registration: what a route *is* (its methods, its plan) the binding knows.

pub mod pattern;
pub mod tree;

pub use pattern::{Captures, Convertor, Pattern, Piece};
pub use tree::Tree;
