//! Another object in the stead of asyncio's current task, while code runs that is none of that task's.
//!
//! Not here: who asks for it (`disconnect`), and which task runs (`place`).

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::place::{current_tasks, entry_of};
use crate::imports;

/// The object in the stead of the current task of an event loop, until it is given back.
pub struct Stead<'py> {
    stand_in: Bound<'py, PyAny>,
    event_loop: Bound<'py, PyAny>,
    /// None in a callback of the loop's.
    before: Option<Bound<'py, PyAny>>,
    tasks: Option<&'py Bound<'py, PyDict>>,
}

impl<'py> Stead<'py> {
    pub fn take(stand_in: Bound<'py, PyAny>, event_loop: Bound<'py, PyAny>) -> PyResult<Self> {
        let py = stand_in.py();
        // Past four calls, where this version of Python has a table.
        if let Some(tasks) = current_tasks(py)? {
            let before = entry_of(tasks, &event_loop)?;
            tasks.set_item(&event_loop, &stand_in)?;
            return Ok(Self { stand_in, event_loop, before, tasks: Some(tasks) });
        }
        let before = imports::current_task(py)?.call1((&event_loop,))?;
        let before = (!before.is_none()).then_some(before);
        if let Some(before) = &before {
            imports::leave_task(py)?.call1((&event_loop, before))?;
        }
        imports::enter_task(py)?.call1((&event_loop, &stand_in))?;
        Ok(Self { stand_in, event_loop, before, tasks: None })
    }

    /// The task that runs.
    pub fn task(&self) -> Option<&Bound<'py, PyAny>> {
        self.before.as_ref()
    }

    pub fn event_loop(&self) -> &Bound<'py, PyAny> {
        &self.event_loop
    }

    pub fn give_back(self) -> PyResult<()> {
        let Self { stand_in, event_loop, before, tasks } = self;
        let py = stand_in.py();
        match (tasks, before) {
            (Some(tasks), Some(before)) => tasks.set_item(event_loop, before),
            (Some(tasks), None) => tasks.del_item(event_loop),
            (None, before) => {
                imports::leave_task(py)?.call1((&event_loop, stand_in))?;
                before.map_or(Ok(()), |before| imports::enter_task(py)?.call1((event_loop, before)).map(drop))
            }
        }
    }
}
