//! A worker thread: looking for calls, making them, having them reported, sleeping.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use super::crew::{Crew, Seat, State};
use super::job::Job;
use super::line::Pass;
use crate::interned;

/// How long a thread waits for work before it ends: as long as anyio's.
const IDLE: Duration = Duration::from_secs(10);

/// How long what a call came to may wait for others to be reported with. Waking the event loop costs some microseconds;
/// this keeps that a small part of the work, and the wait below what anybody could notice.
const BATCH: Duration = Duration::from_micros(100);

/// What a thread does next.
enum Next {
    Make(Py<Job>, Pass, Then),
    Report,
    Sleep,
    Leave,
}

/// What it does right before a call, which may block.
struct Then {
    wake: Option<Arc<Seat>>,
    grow: bool,
    report: bool,
}

/// Works until there is nothing to do for some time, or until dismissed. It counts as searching when it comes.
pub fn work(slf: &Bound<'_, Crew>) {
    let (py, crew) = (slf.py(), slf.get());
    let seat = Arc::new(Seat { thread: thread::current(), called: AtomicBool::new(false) });
    let threadlocals = crew.threadlocals.bind(py);
    let library = crew.library.as_ref().map(|library| library.bind(py));
    // When the call made last was done, where this thread has been at work since.
    let mut now = None;
    loop {
        let next = next(&mut crew.state(), &seat);
        match next {
            Next::Make(job, pass, then) => {
                if let Some(seat) = then.wake {
                    seat.thread.unpark();
                }
                if then.report {
                    Crew::call_soon(slf, interned::report(py));
                }
                if then.grow {
                    Crew::call_soon(slf, interned::grow(py));
                }
                let began = now.unwrap_or_else(Instant::now);
                job.get().make(py, threadlocals, library);
                let ended = Instant::now();
                now = Some(ended);
                if finish(crew, py, job, pass, began, ended) {
                    Crew::call_soon(slf, interned::report(py));
                }
            }
            Next::Report => {
                if !Crew::call_soon(slf, interned::report(py)) {
                    let done = std::mem::take(&mut crew.state().done);
                    drop(done);
                }
            }
            Next::Sleep => {
                let since = Instant::now();
                now = None;
                loop {
                    py.detach(|| thread::park_timeout(IDLE.saturating_sub(since.elapsed())));
                    let mut state = crew.state();
                    if seat.called.swap(false, Ordering::Relaxed) {
                        break;
                    }
                    if state.dismissed || since.elapsed() >= IDLE {
                        state.idle.retain(|idle| !Arc::ptr_eq(idle, &seat));
                        state.threads -= 1;
                        drop(state);
                        crew.close();
                        return;
                    }
                }
            }
            Next::Leave => {
                crew.close();
                return;
            }
        }
    }
}

/// Chooses, for a thread that is searching.
fn next(state: &mut State, seat: &Arc<Seat>) -> Next {
    let (spare, full) = (state.spare(), state.is_full());
    let Some((pass, job)) = state.line.next(spare, full) else {
        if !state.done.is_empty() && !state.report_scheduled {
            state.report_scheduled = true;
            return Next::Report;
        }
        state.searching -= 1;
        if state.dismissed {
            state.threads -= 1;
            return Next::Leave;
        }
        state.idle.push(Arc::clone(seat));
        return Next::Sleep;
    };
    if pass == Pass::Token {
        state.running += 1;
    }
    state.searching -= 1;
    let mut then = Then { wake: None, grow: false, report: false };
    if state.searching == 0 {
        // Nobody else is awake. Should this call block, another thread has to go on.
        if state.has_work() {
            then.wake = state.idle.pop();
        }
        match &then.wake {
            Some(seat) => {
                seat.called.store(true, Ordering::Relaxed);
                state.searching += 1;
            }
            None => {
                let waiting = state.has_work() || (state.line.needing_tokens() > 0 && state.awaited == 0);
                then.grow = waiting && !state.growth_scheduled;
                state.growth_scheduled |= then.grow;
                then.report = !state.done.is_empty() && !state.report_scheduled;
                state.report_scheduled |= then.report;
            }
        }
    }
    Next::Make(job, pass, then)
}

/// Puts a call that was made where it is reported from. Whether the event loop has to be told now.
fn finish(crew: &Crew, py: Python<'_>, job: Py<Job>, pass: Pass, began: Instant, ended: Instant) -> bool {
    // Somebody may have lowered the limit meanwhile; not while short calls follow one another in one thread.
    let may_be_too_many = pass == Pass::Token && (crew.state().running > 1 || ended - began >= BATCH);
    let too_many = may_be_too_many
        && crew
            .limiter
            .bind(py)
            .getattr(interned::available_tokens(py))
            .and_then(|available| available.lt(0))
            .unwrap_or(false);
    let mut state = crew.state();
    state.searching += 1;
    match pass {
        Pass::Token => {
            state.running -= 1;
            if too_many || state.contended {
                state.given_up += 1;
            }
        }
        Pass::Lane(lane) => state.line.leave(lane),
        Pass::Nothing => {}
    }
    let first = *state.first_done.get_or_insert(began);
    state.done.push(job);
    let now = !state.report_scheduled && ended - first >= BATCH;
    state.report_scheduled |= now;
    now
}
