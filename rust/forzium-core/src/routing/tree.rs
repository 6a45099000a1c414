//! Many patterns, and the few that can match a path, in the order of registration.
//!
//! The radix tree (matchit) prefers the more specific pattern; Starlette tries routes in the order they were
//! declared. So the tree only finds *one* shape that fits. For each shape it is known beforehand which patterns can
//! match some path that this shape matches: those are tried in order. Two kinds of pattern cannot stand in the tree
//! and are tried in order whenever the path starts with their literal prefix: those that take the rest of the path, and
//! irregular ones.

use std::collections::HashMap;

use ahash::AHashMap;

use super::pattern::{Pattern, Segment};

/// The candidates for a path, as indices in the order of registration.
#[derive(Debug)]
pub struct Candidates<'t> {
    fixed: std::iter::Peekable<std::slice::Iter<'t, usize>>,
    loose: std::iter::Peekable<std::slice::Iter<'t, usize>>,
}

impl Iterator for Candidates<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let next = match (self.fixed.peek(), self.loose.peek()) {
            (Some(fixed), Some(loose)) if loose < fixed => self.loose.next(),
            (Some(_), _) => self.fixed.next(),
            (None, _) => self.loose.next(),
        };
        next.copied()
    }
}

/// The patterns of one router.
#[derive(Debug, Default)]
pub struct Tree {
    literals: AHashMap<String, usize>,
    radix: matchit::Router<usize>,
    /// For each shape, the patterns that can match a path it matches, in order.
    shapes: Vec<Vec<usize>>,
    /// Patterns outside the tree, in order.
    loose: Vec<usize>,
}

/// A shape: the segments of a pattern with every parameter alike.
type Shape = Vec<Option<String>>;

impl Tree {
    /// Builds the tree. `None` stands for a route without a path pattern, which is a candidate for every path.
    pub fn new<'p>(patterns: impl IntoIterator<Item = Option<&'p Pattern>>) -> Self {
        let mut tree = Self::default();
        let mut shapes: Vec<(Shape, Vec<usize>)> = Vec::new();
        let mut known: HashMap<Shape, usize> = HashMap::new();
        for (index, pattern) in patterns.into_iter().enumerate() {
            let Some(segments) = pattern.and_then(Pattern::fixed_segments) else {
                tree.loose.push(index);
                continue;
            };
            let shape: Shape = segments
                .iter()
                .map(|segment| match segment {
                    Segment::Literal(text) => Some(text.clone()),
                    Segment::Param(_) => None,
                })
                .collect();
            let at = *known.entry(shape.clone()).or_insert_with(|| {
                shapes.push((shape, Vec::new()));
                shapes.len() - 1
            });
            shapes[at].1.push(index);
        }
        for (at, (shape, own)) in shapes.iter().enumerate() {
            if shape.iter().all(Option::is_some) {
                tree.literals.insert(text_of(shape, |_| String::new()), at);
            } else if tree.radix.insert(text_of(shape, |index| format!("{{p{index}}}")), at).is_err() {
                // A shape the radix tree cannot hold is tried like the others outside it.
                tree.loose.extend(own);
            }
        }
        tree.loose.sort_unstable();
        tree.shapes = overlaps(&shapes);
        tree
    }

    /// The patterns that can match `path`, in the order of registration. Each still has to be tried.
    pub fn candidates(&self, path: &str) -> Candidates<'_> {
        let shape = self.literals.get(path).copied().or_else(|| self.radix.at(path).ok().map(|found| *found.value));
        let fixed = shape.map_or(&[][..], |at| &self.shapes[at]);
        Candidates { fixed: fixed.iter().peekable(), loose: self.loose.iter().peekable() }
    }
}

fn text_of(shape: &Shape, param: impl Fn(usize) -> String) -> String {
    shape.iter().enumerate().fold(String::new(), |mut text, (index, segment)| {
        text.push('/');
        match segment {
            // In a tree with parameters braces are doubled; a table of literals has none to confuse them with.
            Some(literal) if shape.contains(&None) => text.push_str(&literal.replace('{', "{{").replace('}', "}}")),
            Some(literal) => text.push_str(literal),
            None => text.push_str(&param(index)),
        }
        text
    })
}

/// For each shape the patterns of all shapes that share a path with it, in order.
///
/// A path that is a literal is found in the table of literals first; that literal's list names the other shapes.
fn overlaps(shapes: &[(Shape, Vec<usize>)]) -> Vec<Vec<usize>> {
    // Only shapes of the same length with a parameter somewhere can meet another one.
    let mut by_length: HashMap<usize, Vec<usize>> = HashMap::new();
    for (at, (shape, _)) in shapes.iter().enumerate() {
        if shape.contains(&None) {
            by_length.entry(shape.len()).or_default().push(at);
        }
    }
    shapes
        .iter()
        .enumerate()
        .map(|(at, (shape, own))| {
            let mut found = own.clone();
            for other in by_length.get(&shape.len()).into_iter().flatten().filter(|other| **other != at) {
                if meets(shape, &shapes[*other].0) {
                    found.extend(&shapes[*other].1);
                }
            }
            found.sort_unstable();
            found
        })
        .collect()
}

fn meets(one: &Shape, other: &Shape) -> bool {
    one.iter().zip(other).all(|pair| match pair {
        (Some(one), Some(other)) => one == other,
        (Some(literal), None) | (None, Some(literal)) => !literal.is_empty(),
        (None, None) => true,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::pattern::{Captures, tests::parse};
    use super::*;

    fn first_in_order(patterns: &[Pattern], path: &str) -> Option<usize> {
        let mut captures = Captures::new();
        patterns.iter().position(|pattern| pattern.matches(path, &mut captures))
    }

    fn first_by_tree(patterns: &[Pattern], path: &str) -> Option<usize> {
        let tree = Tree::new(patterns.iter().map(Some));
        let mut captures = Captures::new();
        let mut candidates = tree.candidates(path);
        candidates.find(|index| patterns[*index].matches(path, &mut captures))
    }

    #[test]
    fn the_first_declared_wins_over_the_more_specific() {
        let patterns: Vec<Pattern> = ["/u/{id}", "/u/me", "/{a}/{b}", "/{rest:path}"].map(parse).into();
        assert_eq!(first_by_tree(&patterns, "/u/me"), Some(0));
        assert_eq!(first_by_tree(&patterns, "/x/me"), Some(2));
        assert_eq!(first_by_tree(&patterns, "/x/y/z"), Some(3));
        assert_eq!(first_by_tree(&patterns, "/"), Some(3));
    }

    #[test]
    fn braces_in_literals_are_text() {
        let patterns: Vec<Pattern> =
            [Pattern::new(&[super::super::Piece::Literal("/{x".to_owned())]), parse("/{a}")].into();
        assert_eq!(first_by_tree(&patterns, "/{x"), Some(0));
        assert_eq!(first_by_tree(&patterns, "/y"), Some(1));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn the_tree_and_the_list_agree(
            declared in prop::collection::vec("(/(a|b|ab|\\{x\\}|\\{x:int\\}|1|)){1,4}(/\\{r:path\\})?", 1..12),
            path in "(/(a|b|ab|c|1|22|)){1,5}",
        ) {
            let patterns: Vec<Pattern> = declared.iter().map(|path| parse(path)).collect();
            prop_assert_eq!(first_by_tree(&patterns, &path), first_in_order(&patterns, &path));
        }
    }
}
