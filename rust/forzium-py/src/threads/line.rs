//! The calls that wait for a thread, and who comes next.
//!
//! Knows nothing of Python or threads. Clean-up comes first, and needs no token: those that hold tokens may be waiting
//! for it. Then those whose request holds something come before those that have yet to take it: each of the latter that
//! began would be one more to wait.

use std::collections::VecDeque;

use super::hold::Lane;

/// What a call may go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// A token.
    Ordinary,
    /// A token, or its lane: its request holds something.
    Holding(Lane),
    /// It needs nothing: it is clean-up.
    CleanUp,
}

/// What a call was begun by, and gives back when it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    Token,
    Lane(Lane),
    Nothing,
}

/// The calls that wait.
pub struct Line<T> {
    clean_up: VecDeque<T>,
    holding: Vec<Holding<T>>,
    ordinary: VecDeque<T>,
    /// How many of `holding` there were ever.
    arrived: u64,
}

/// Those of one lane.
struct Holding<T> {
    lane: Lane,
    /// Whether a call is being made by the lane.
    taken: bool,
    /// With the order in which they came.
    calls: VecDeque<(u64, T)>,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { clean_up: VecDeque::new(), holding: Vec::new(), ordinary: VecDeque::new(), arrived: 0 }
    }
}

impl<T> Line<T> {
    pub fn push(&mut self, claim: Claim, call: T) {
        match claim {
            Claim::CleanUp => self.clean_up.push_back(call),
            Claim::Ordinary => self.ordinary.push_back(call),
            Claim::Holding(lane) => {
                self.arrived += 1;
                let call = (self.arrived, call);
                match self.holding.iter_mut().find(|holding| holding.lane == lane) {
                    Some(holding) => holding.calls.push_back(call),
                    None => self.holding.push(Holding { lane, taken: false, calls: VecDeque::from([call]) }),
                }
            }
        }
    }

    /// The call to make next, where there are `tokens` to be had; `full` says that there will be none.
    pub fn next(&mut self, tokens: usize, full: bool) -> Option<(Pass, T)> {
        if let Some(call) = self.clean_up.pop_front() {
            return Some((Pass::Nothing, call));
        }
        if tokens > 0 {
            return self.next_by_token().map(|call| (Pass::Token, call));
        }
        let open = self.holding.iter_mut().find(|holding| full && holding.is_open())?;
        open.taken = true;
        open.calls.pop_front().map(|(_, call)| (Pass::Lane(open.lane), call))
    }

    fn next_by_token(&mut self) -> Option<T> {
        let first = self.holding.iter_mut().filter_map(|holding| Some((holding.calls.front()?.0, holding)));
        let Some((_, first)) = first.min_by_key(|(arrived, _)| *arrived) else { return self.ordinary.pop_front() };
        let (lane, call) = (first.lane, first.calls.pop_front());
        self.forget(lane);
        call.map(|(_, call)| call)
    }

    /// Whether `next` has one.
    pub fn has_next(&self, tokens: usize, full: bool) -> bool {
        !self.clean_up.is_empty()
            || (tokens > 0 && self.needing_tokens() > 0)
            || (full && self.holding.iter().any(Holding::is_open))
    }

    /// A call made by a lane is done.
    pub fn leave(&mut self, lane: Lane) {
        if let Some(holding) = self.holding.iter_mut().find(|holding| holding.lane == lane) {
            holding.taken = false;
        }
        self.forget(lane);
    }

    /// Drops the record of a lane that is neither taken nor waited for.
    fn forget(&mut self, lane: Lane) {
        self.holding.retain(|holding| holding.lane != lane || holding.taken || !holding.calls.is_empty());
    }

    /// How many wait for tokens.
    pub fn needing_tokens(&self) -> usize {
        self.ordinary.len() + self.holding.iter().map(|holding| holding.calls.len()).sum::<usize>()
    }

    pub fn is_empty(&self) -> bool {
        self.clean_up.is_empty() && self.needing_tokens() == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let holding = self.holding.iter().flat_map(|holding| holding.calls.iter().map(|(_, call)| call));
        self.clean_up.iter().chain(holding).chain(&self.ordinary)
    }

    /// Takes out those that wait for tokens and that nobody needs.
    pub fn take_unneeded(&mut self, unneeded: impl Fn(&T) -> bool) -> Vec<T> {
        let (mut taken, mut ordinary) = (Vec::new(), VecDeque::new());
        for call in self.ordinary.drain(..) {
            if unneeded(&call) { taken.push(call) } else { ordinary.push_back(call) }
        }
        self.ordinary = ordinary;
        for holding in &mut self.holding {
            let mut calls = VecDeque::new();
            for (arrived, call) in holding.calls.drain(..) {
                if unneeded(&call) { taken.push(call) } else { calls.push_back((arrived, call)) }
            }
            holding.calls = calls;
        }
        self.holding.retain(|holding| holding.taken || !holding.calls.is_empty());
        taken
    }
}

impl<T> Holding<T> {
    /// Whether a call may be made by the lane now.
    fn is_open(&self) -> bool {
        !self.taken && !self.calls.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Lane = (1, 0);
    const OTHER: Lane = (1, 1);

    #[test]
    fn those_who_hold_something_come_before_those_who_do_not_and_among_themselves_in_order() {
        let mut line = Line::default();
        for (claim, call) in [
            (Claim::Ordinary, "ordinary"),
            (Claim::Holding(ONE), "one"),
            (Claim::Holding(OTHER), "other"),
            (Claim::Holding(ONE), "one again"),
            (Claim::CleanUp, "clean-up"),
        ] {
            line.push(claim, call);
        }
        let order: Vec<_> = std::iter::from_fn(|| line.next(1, false)).collect();
        let token = |call| (Pass::Token, call);
        let expected = [token("one"), token("other"), token("one again"), token("ordinary")];
        assert_eq!(order, [&[(Pass::Nothing, "clean-up")][..], &expected].concat());
        assert!(line.is_empty() && line.holding.is_empty());
    }

    #[test]
    fn without_a_token_one_of_each_lane_goes_and_the_next_when_that_is_done() {
        let mut line = Line::default();
        for call in 0..2 {
            line.push(Claim::Ordinary, 0);
            line.push(Claim::Holding(ONE), 10 + call);
            line.push(Claim::Holding(OTHER), 20 + call);
        }
        assert_eq!((line.has_next(0, false), line.next(0, false)), (false, None));
        assert_eq!(line.next(0, true), Some((Pass::Lane(ONE), 10)));
        assert_eq!(line.next(0, true), Some((Pass::Lane(OTHER), 20)));
        assert_eq!((line.has_next(0, true), line.next(0, true)), (false, None));
        line.leave(OTHER);
        assert_eq!(line.next(0, true), Some((Pass::Lane(OTHER), 21)));
        assert_eq!(line.next(1, true), Some((Pass::Token, 11)));
        assert_eq!(line.holding.len(), 2);
        for lane in [ONE, OTHER] {
            line.leave(lane);
        }
        assert!(line.holding.is_empty());
        assert_eq!(line.needing_tokens(), 2);
    }

    #[test]
    fn what_nobody_needs_is_taken_out_but_for_clean_up() {
        let mut line = Line::default();
        for claim in [Claim::Ordinary, Claim::Holding(ONE), Claim::CleanUp] {
            line.push(claim, 1);
            line.push(claim, 2);
        }
        assert_eq!(line.take_unneeded(|call| *call == 1), [1, 1]);
        assert_eq!(line.iter().copied().collect::<Vec<_>>(), [1, 2, 2, 2]);
    }
}
