//! Taking turns: long work lets other Python threads run.
//!
//! A writer or reader calls [`Turns::tick`] once for each value. Every [`VALUES_A_LOOK`] values it looks at the clock,
//! and when [`SLICE`] has passed since the last turn the GIL is released and taken again, which hands it to a thread
//! that waits for it (and costs about 100 ns when none does).

use std::time::{Duration, Instant};

use pyo3::prelude::*;

/// How many values are handled between two looks at the clock. A value costs some 5 to 100 ns, so a look comes every
/// 50 µs or less; a look itself costs about 25 ns.
const VALUES_A_LOOK: u32 = 512;

/// How long the GIL is held at most before others are let in. CPython's own switch interval is 5 ms.
const SLICE: Duration = Duration::from_millis(4);

/// Counts values and knows when others had their last turn.
pub(super) struct Turns {
    left: u32,
    since: Option<Instant>,
}

impl Turns {
    pub(super) const fn new() -> Self {
        Self { left: VALUES_A_LOOK, since: None }
    }

    /// Counts `n` values; now and then lets other threads run. True when they could have run.
    #[inline(always)]
    pub(super) fn tick(&mut self, py: Python<'_>, n: u32) -> bool {
        if self.left > n {
            self.left -= n;
            return false;
        }
        self.look(py)
    }

    #[cold]
    #[inline(never)]
    fn look(&mut self, py: Python<'_>) -> bool {
        self.left = VALUES_A_LOOK;
        let now = Instant::now();
        match self.since {
            None => {
                self.since = Some(now);
                false
            }
            Some(since) if now.duration_since(since) < SLICE => false,
            Some(_) => {
                py.detach(|| ());
                self.since = Some(Instant::now());
                true
            }
        }
    }
}
