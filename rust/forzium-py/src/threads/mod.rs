//! Foundation: worker threads under asyncio: a *crew* for each event loop.
//!
//! Calls wait in one queue. A thread that is awake takes the next without going to sleep, and wakes at most one more
//! while calls are left: should its own call block, that one goes on. What the calls came to is reported in batches; the
//! event loop is woken once for all that was done meanwhile. So short calls cost neither a switch of threads nor a wake-up
//! each, and calls that block run side by side, as many as the limit allows.
//!
//! The limit is anyio's default thread limiter, shared with everybody who uses it: the crew holds a token of it for each
//! call that runs, and perhaps for a few that are about to; it never runs more calls than it holds tokens, but for those
//! that must not wait for one: clean-up, and what `hold` says.
//!
//! Seen from inside, the threads are anyio's: the caller's context variables, `anyio.from_thread`.
//!
//! Not here: other event loops, whose threads are anyio's own (`forzium/_threads.py`); what runs in a thread (the stages).

mod crew;
mod future;
mod hold;
mod job;
mod line;
mod wait;
mod worker;

pub use crew::Crew;
pub use hold::{Hold, lane};
pub use job::{Job, Step, Values, Work};
pub use line::Claim;
pub use wait::{crew_of_this_loop, in_thread, outcome};
