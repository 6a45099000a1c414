//! Taking turns: long work lets other Python threads run, and short work is left alone.
//!
//! A reader or writer calls [`Turns::tick`] once for each value. Every [`VALUES_A_LOOK`] values it looks at the clock,
//! and when [`SLICE`] has passed since the last turn the GIL is released and taken again, which hands it to a thread
//! that waits for it (and costs about 100 ns when none does).
//!
//! A reader also keeps the garbage collector from looking at what it has made so far: none of it can be garbage, and on
//! Python 3.11 every 700 new containers would start a collection. (From Python 3.12 on the interpreter itself collects
//! only between two bytecodes, so nothing changes there.) Others find the collector as they left it: it is switched back
//! on before they have their turn.

use std::time::{Duration, Instant};

use pyo3::ffi;
use pyo3::prelude::*;

/// How many values are handled between two looks at the clock. A value costs some 5 to 100 ns, so a look comes every
/// 50 µs or less; a look itself costs about 25 ns.
const VALUES_A_LOOK: u32 = 512;

/// How long the GIL is held at most before others are let in.
///
/// A thread that waits for the GIL asks for it after CPython's switch interval, 5 ms; released before somebody has
/// asked, it is taken again before a waiting thread wakes up, and on Python 3.13 that one starves. Released after that,
/// it is handed over.
const SLICE: Duration = Duration::from_millis(6);

/// How soon it is tried again when nobody took the GIL: the one who waits may be late to ask.
const AGAIN: Duration = Duration::from_millis(1);

/// A turn that took less than this was nobody's.
const NOBODY: Duration = Duration::from_micros(20);

/// Counts values and knows when others had their last turn.
pub(super) struct Turns {
    left: u32,
    /// When it is time for others; not known before the first look.
    until: Option<Instant>,
    /// Whether the collector is to be kept away while this thread works.
    reads: bool,
    /// Whether it was switched off here.
    off: bool,
}

impl Turns {
    pub(super) const fn reading() -> Self {
        Self { left: VALUES_A_LOOK, until: None, reads: true, off: false }
    }

    pub(super) const fn writing() -> Self {
        Self { left: VALUES_A_LOOK, until: None, reads: false, off: false }
    }

    /// Counts one value; now and then lets other threads run.
    #[inline(always)]
    pub(super) fn tick(&mut self, py: Python<'_>) {
        self.left -= 1;
        if self.left == 0 {
            self.look(py);
        }
    }

    /// Counts `count` values; false when it is time for [`Turns::look`].
    #[inline(always)]
    pub(super) fn has(&mut self, count: u32) -> bool {
        let has = self.left > count;
        if has {
            self.left -= count;
        }
        has
    }

    /// Looks at the clock and lets others run if it is time; true if they could.
    #[cold]
    #[inline(never)]
    pub(super) fn look(&mut self, py: Python<'_>) -> bool {
        self.left = VALUES_A_LOOK;
        let now = Instant::now();
        let Some(until) = self.until else {
            self.collector_off();
            self.until = Some(now + SLICE);
            return false;
        };
        if now < until {
            return false;
        }
        self.collector_on();
        py.detach(|| ());
        self.collector_off();
        let back = Instant::now();
        self.until = Some(back + if back - now < NOBODY { AGAIN } else { SLICE });
        true
    }

    /// Does long work that needs no Python while others run.
    pub(super) fn away<T: Send>(&mut self, py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
        self.collector_on();
        let done = py.detach(work);
        self.collector_off();
        self.until = Some(Instant::now() + SLICE);
        done
    }

    fn collector_off(&mut self) {
        if self.reads {
            // SAFETY: the GIL is held wherever a `Turns` is used. The call returns what it was before.
            self.off = unsafe { ffi::PyGC_Disable() } != 0;
        }
    }

    fn collector_on(&mut self) {
        if std::mem::take(&mut self.off) {
            // SAFETY: as above.
            unsafe { ffi::PyGC_Enable() };
        }
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.collector_on();
    }
}
