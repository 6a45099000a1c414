//! The watch under asyncio: `receive()` is driven by the callbacks of what it waits for.
//!
//! To the code inside it the watch stands for a task: it is the current one while `receive()` goes on, and answers what
//! tasks are asked. So cancel scopes that middleware opens there are not mixed up with those of the endpoint.
//!
//! Source: `asyncio.Task` for driving a coroutine; `asyncio.timeout` for cancelling a task and taking it back.

use std::cell::{Cell, RefCell};

use pyo3::PyTraverseError;
use pyo3::exceptions::{PyAttributeError, PyException, PyRuntimeError};
use pyo3::gc::PyVisit;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use smallvec::SmallVec;

use crate::awaitable::{Driven, Shared, Stead, asyncio_loop, iterator_of, send_in, throw_in};
use crate::{imports, interned};

/// Bytes of a body that are read ahead of those who want them. A disconnect behind more than that is not seen.
const READ_AHEAD: usize = 64 * 1024;

/// What a message counts beside its body, so that many empty ones come to an end, too. In bytes.
const MESSAGE_COST: usize = 1024;

/// Listens to `receive()` for one request, and cancels the task that waits for it when the client has left.
#[pyclass(module = "forzium._forzium", weakref, frozen)]
pub struct DisconnectWatch {
    /// The host's.
    receive: Py<PyAny>,
    objects: Shared<RefCell<Objects>>,
    /// The client has left.
    pub left: Shared<Cell<bool>>,
    /// The request is in a worker thread.
    pub occupied: Shared<Cell<bool>>,
    /// The client's leaving is a reason to cancel the task.
    listening: Shared<Cell<bool>>,
    /// The task was told to cancel itself.
    cancelled: Shared<Cell<bool>>,
    /// How many cancellations the task had been asked for before.
    before: Shared<Cell<usize>>,
    /// The last message of the body has been read.
    complete: Shared<Cell<bool>>,
    /// What came makes no sense, or is more than is read ahead.
    sated: Shared<Cell<bool>>,
    /// Bytes that are kept.
    ahead: Shared<Cell<usize>>,
    /// Somebody asked `receive()` to end, taking the watch for a task.
    must_cancel: Shared<Cell<bool>>,
    /// How often.
    requests: Shared<Cell<usize>>,
}

#[derive(Default)]
struct Objects {
    event_loop: Option<Py<PyAny>>,
    /// The task that waits for the request.
    host: Option<Py<PyAny>>,
    /// What is cancelled instead of the task: the cancel scope of a stream, whose watch nobody asks for messages.
    scope: Option<Py<PyAny>>,
    /// The coroutine of `receive()`.
    reading: Option<Py<PyAny>>,
    /// The future it waits for.
    waits_for: Option<Py<PyAny>>,
    /// The call that was asked for, where it waits for nothing but its turn.
    turn: Option<Py<PyAny>>,
    /// As a rule one: the body that is none.
    messages: SmallVec<[Py<PyAny>; 1]>,
    disconnect: Option<Py<PyAny>>,
    /// What `receive()` raised.
    error: Option<Py<PyAny>>,
    /// Futures of those who ask for a message.
    waiters: Vec<Py<PyAny>>,
}

impl DisconnectWatch {
    pub fn new(receive: Bound<'_, PyAny>) -> Self {
        Self {
            receive: receive.unbind(),
            objects: Shared(RefCell::default()),
            left: Shared(Cell::new(false)),
            occupied: Shared(Cell::new(false)),
            listening: Shared(Cell::new(false)),
            cancelled: Shared(Cell::new(false)),
            before: Shared(Cell::new(0)),
            complete: Shared(Cell::new(false)),
            sated: Shared(Cell::new(false)),
            ahead: Shared(Cell::new(0)),
            must_cancel: Shared(Cell::new(false)),
            requests: Shared(Cell::new(0)),
        }
    }

    /// A watch that cancels a scope, and keeps no message.
    pub fn of_scope(receive: Bound<'_, PyAny>, scope: Bound<'_, PyAny>) -> Self {
        let watch = Self::new(receive);
        watch.objects.0.borrow_mut().scope = Some(scope.unbind());
        watch
    }

    /// What `receive()` raised, once.
    pub fn take_error(&self, py: Python<'_>) -> Option<PyErr> {
        let error = self.objects.0.borrow_mut().error.take();
        error.map(|error| PyErr::from_value(error.into_bound(py)))
    }

    /// Ends the listening as a task group ends a task: `receive()` is cancelled, and driven on if it waits for more.
    pub fn stop(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        this.listening.0.set(false);
        let before = {
            let mut objects = this.objects.0.borrow_mut();
            if objects.reading.is_none() {
                return Ok(());
            }
            (objects.waits_for.take(), objects.turn.take())
        };
        this.must_cancel.0.set(true);
        if let (_, Some(turn)) = &before {
            turn.call_method0(py, intern!(py, "cancel"))?;
        }
        Self::go_on(slf)
    }

    /// Begins to listen for the task that runs now.
    pub fn begin(slf: &Bound<'_, Self>, occupied: bool) -> PyResult<()> {
        let Some(event_loop) = asyncio_loop(slf.py())? else { return Ok(()) };
        let stead = Stead::take(slf.clone().into_any(), event_loop)?;
        let begun = match stead.task() {
            Some(host) => Self::begin_for(slf, host, stead.event_loop(), occupied),
            None => Ok(()), // driven by hand: there is nothing to cancel
        };
        stead.give_back().and(begun)
    }

    fn begin_for(
        slf: &Bound<'_, Self>,
        host: &Bound<'_, PyAny>,
        event_loop: &Bound<'_, PyAny>,
        occupied: bool,
    ) -> PyResult<()> {
        let this = slf.get();
        this.before.0.set(cancelling(host)?);
        this.occupied.0.set(occupied);
        this.listening.0.set(true);
        let reads = {
            let mut objects = this.objects.0.borrow_mut();
            objects.event_loop = Some(event_loop.clone().unbind());
            objects.host = Some(host.clone().unbind());
            objects.reading.is_some()
        };
        if reads { Ok(()) } else { Self::read(slf) }
    }

    /// Cancels the task if the client has left and that was not done yet.
    pub fn insist(&self, py: Python<'_>) -> PyResult<()> {
        if !self.left.0.get() || !self.listening.0.get() || self.occupied.0.get() || self.cancelled.0.get() {
            return Ok(());
        }
        if let Some(scope) = self.object(py, |objects| &objects.scope) {
            self.cancelled.0.set(true);
            return scope.call_method0(intern!(py, "cancel")).map(drop);
        }
        let Some(host) = self.object(py, |objects| &objects.host) else { return Ok(()) };
        if cancelling(&host)? > self.before.0.get() {
            // Somebody else does already. If it goes on in spite of that, this comes when it waits the next time.
            return Ok(());
        }
        self.cancelled.0.set(true);
        host.call_method1(intern!(py, "cancel"), (intern!(py, "the client has left"),)).map(drop)
    }

    /// Stops being a reason to cancel the task, and takes a cancellation back.
    pub fn rest(&self, py: Python<'_>) -> PyResult<()> {
        self.listening.0.set(false);
        if self.cancelled.0.get()
            && let Some(host) = self.object(py, |objects| &objects.host)
        {
            host.call_method0(intern!(py, "uncancel"))?;
        }
        Ok(())
    }

    fn object<'py>(
        &self,
        py: Python<'py>,
        which: impl Fn(&Objects) -> &Option<Py<PyAny>>,
    ) -> Option<Bound<'py, PyAny>> {
        which(&self.objects.0.borrow()).as_ref().map(|object| object.bind(py).clone())
    }

    /// Whether another message is to be asked for.
    fn wants_more(&self) -> bool {
        let objects = self.objects.0.borrow();
        let asked = !objects.waiters.is_empty();
        let room = !self.sated.0.get() && self.ahead.0.get() < READ_AHEAD;
        !self.left.0.get() && objects.error.is_none() && (asked || (self.listening.0.get() && room))
    }

    /// Lets `receive()` go on as far as it can, in the stead of the task that runs now.
    fn go_on(slf: &Bound<'_, Self>) -> PyResult<()> {
        let Some(event_loop) = slf.get().object(slf.py(), |objects| &objects.event_loop) else { return Ok(()) };
        let stead = Stead::take(slf.clone().into_any(), event_loop)?;
        let done = Self::read(slf);
        stead.give_back().and(done)
    }

    fn read(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let mut thrown: Option<PyErr> = None;
        loop {
            let reading = match this.object(py, |objects| &objects.reading) {
                Some(reading) => reading,
                None if !this.wants_more() => return Ok(()),
                None => match this.receive.bind(py).call0().and_then(iterator_of) {
                    Ok(reading) => reading,
                    Err(error) => return this.fail(py, error),
                },
            };
            if this.must_cancel.0.replace(false) {
                thrown = Some(PyErr::from_value(imports::cancelled_error(py)?.call0()?));
            }
            let step = match thrown.take() {
                None => send_in(&reading, None),
                Some(error) => throw_in(&reading, error),
            };
            match step {
                Ok(Driven::Yielded(waits_for)) => {
                    this.objects.0.borrow_mut().reading = Some(reading.unbind());
                    match Self::wait_for(slf, waits_for.into_bound(py)) {
                        Ok(()) => return Ok(()),
                        Err(error) => thrown = Some(error),
                    }
                }
                Ok(Driven::Returned(message)) => {
                    this.forget_reading();
                    if let Err(error) = this.take_in(message.into_bound(py)) {
                        return this.fail(py, error);
                    }
                }
                Err(error) => {
                    this.forget_reading();
                    return this.fail(py, error);
                }
            }
        }
    }

    fn forget_reading(&self) {
        let done = self.objects.0.borrow_mut().reading.take();
        drop(done);
    }

    /// Has itself called when what `receive()` waits for has come.
    fn wait_for(slf: &Bound<'_, Self>, waits_for: Bound<'_, PyAny>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        if waits_for.is_none() {
            let event_loop = this.object(py, |objects| &objects.event_loop);
            let Some(event_loop) = event_loop else { return Ok(()) };
            let turn = event_loop.call_method1(intern!(py, "call_soon"), (slf, py.None()))?;
            this.objects.0.borrow_mut().turn = Some(turn.unbind());
            return Ok(());
        }
        let blocking = intern!(py, "_asyncio_future_blocking");
        if !waits_for.getattr_opt(blocking)?.is_some_and(|blocks| blocks.is_truthy().unwrap_or(false)) {
            return Err(PyRuntimeError::new_err(format!("Task got bad yield: {waits_for:?}")));
        }
        waits_for.setattr(blocking, false)?;
        waits_for.call_method1(intern!(py, "add_done_callback"), (slf,))?;
        this.objects.0.borrow_mut().waits_for = Some(waits_for.clone().unbind());
        if this.must_cancel.0.get() && waits_for.call_method0(intern!(py, "cancel"))?.is_truthy()? {
            this.must_cancel.0.set(false);
        }
        Ok(())
    }

    /// Looks at a message: a disconnect ends it all, anything else is kept.
    fn take_in(&self, message: Bound<'_, PyAny>) -> PyResult<()> {
        let py = message.py();
        let fields = message.cast::<PyDict>()?;
        let kind = fields.get_item(interned::r#type(py))?;
        if kind.map_or(Ok(false), |kind| kind.eq(interned::http_disconnect(py)))? {
            self.left.0.set(true);
            self.objects.0.borrow_mut().disconnect = Some(message.unbind());
            self.wake(py)?;
            return self.insist(py);
        }
        if self.objects.0.borrow().scope.is_some() {
            return Ok(());
        }
        let more = fields.get_item(interned::more_body(py))?.map_or(Ok(false), |more| more.is_truthy())?;
        self.ahead.0.set(self.ahead.0.get() + cost(fields)?);
        if self.complete.0.get() {
            self.sated.0.set(true);
        }
        self.complete.0.set(self.complete.0.get() || !more);
        self.objects.0.borrow_mut().messages.push(message.unbind());
        self.wake(py)
    }

    /// Keeps what `receive()` raised for those who ask for messages; there will be none any more.
    fn fail(&self, py: Python<'_>, error: PyErr) -> PyResult<()> {
        if !error.is_instance_of::<PyException>(py) && !error.is_instance(py, imports::cancelled_error(py)?) {
            return Err(error);
        }
        self.objects.0.borrow_mut().error = Some(error.into_value(py).into_any());
        match self.object(py, |objects| &objects.scope) {
            Some(scope) if self.listening.0.get() => scope.call_method0(intern!(py, "cancel")).map(drop),
            _ => self.wake(py),
        }
    }

    /// Lets those go on who ask for messages.
    fn wake(&self, py: Python<'_>) -> PyResult<()> {
        let waiters = std::mem::take(&mut self.objects.0.borrow_mut().waiters);
        for waiter in waiters {
            let waiter = waiter.bind(py);
            if !waiter.call_method0(intern!(py, "done"))?.is_truthy()? {
                waiter.call_method1(intern!(py, "set_result"), (py.None(),))?;
            }
        }
        Ok(())
    }
}

/// What a message that is kept counts, in bytes.
fn cost(message: &Bound<'_, PyDict>) -> PyResult<usize> {
    let body = message.get_item(interned::body(message.py()))?;
    Ok(body.map_or(0, |body| body.cast::<PyBytes>().map_or(0, |body| body.as_bytes().len())) + MESSAGE_COST)
}

/// How often a task was asked to cancel itself, and nobody took it back.
fn cancelling(task: &Bound<'_, PyAny>) -> PyResult<usize> {
    task.call_method0(intern!(task.py(), "cancelling"))?.extract()
}

#[pymethods]
impl DisconnectWatch {
    #[new]
    fn make(receive: Bound<'_, PyAny>) -> Self {
        Self::new(receive)
    }

    /// Whether the client has left.
    #[getter(left)]
    fn has_left(&self) -> bool {
        self.left.0.get()
    }

    /// What `receive()` waited for is there.
    fn __call__(slf: &Bound<'_, Self>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        let this = slf.get();
        if !future.is_none() && this.objects.0.borrow().waits_for.as_ref().is_none_or(|waits_for| !waits_for.is(future))
        {
            return Ok(()); // of a `receive()` that was ended
        }
        let before = {
            let mut objects = this.objects.0.borrow_mut();
            (objects.waits_for.take(), objects.turn.take())
        };
        drop(before);
        Self::go_on(slf)
    }

    /// The `receive` of those who ask for messages.
    fn receive<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        imports::receive_from(slf.py())?.call1((slf,))
    }

    /// The next message that has come; `None` if there is none yet.
    ///
    /// Raises what `receive()` raised, once.
    fn take<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (py, this) = (slf.py(), slf.get());
        let next = {
            let messages = &mut this.objects.0.borrow_mut().messages;
            (!messages.is_empty()).then(|| messages.remove(0))
        };
        if let Some(message) = next {
            this.ahead.0.set(this.ahead.0.get().saturating_sub(cost(message.bind(py).cast()?)?));
            this.sated.0.set(false);
            if this.objects.0.borrow().reading.is_none() && this.listening.0.get() {
                Self::go_on(slf)?;
            }
            return Ok(Some(message.into_bound(py)));
        }
        if let Some(disconnect) = this.object(py, |objects| &objects.disconnect) {
            return Ok(Some(disconnect));
        }
        this.take_error(py).map_or(Ok(None), Err)
    }

    /// A future that is done as soon as something has come.
    fn coming<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        let event_loop = imports::running_loop(py)?.call0()?;
        let future = event_loop.call_method0(intern!(py, "create_future"))?;
        let idle = {
            let mut objects = this.objects.0.borrow_mut();
            objects.waiters.push(future.clone().unbind());
            objects.event_loop.get_or_insert_with(|| event_loop.unbind());
            objects.reading.is_none()
        };
        if idle {
            Self::go_on(slf)?;
        }
        Ok(future)
    }

    /// Ends the listening. Who asks for a message later has it asked for anew.
    pub fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        this.listening.0.set(false);
        let (event_loop, reading, waits_for, turn) = {
            let mut objects = this.objects.0.borrow_mut();
            let event_loop = objects.event_loop.as_ref().map(|event_loop| event_loop.bind(py).clone());
            (event_loop, objects.reading.take(), objects.waits_for.take(), objects.turn.take())
        };
        if let Some(turn) = &turn {
            turn.call_method0(py, intern!(py, "cancel"))?;
        }
        let (Some(event_loop), Some(reading)) = (event_loop, reading) else { return Ok(()) };
        let stead = Stead::take(slf.clone().into_any(), event_loop)?;
        let closed = match reading.bind(py).call_method0(interned::close(py)) {
            Err(error) if error.is_instance_of::<PyAttributeError>(py) => Ok(()), // an iterator need not have it
            closed => closed.map(drop),
        };
        stead.give_back()?;
        drop(waits_for);
        closed
    }

    /// Whether an exception is the cancellation that the client's leaving was the only reason for.
    fn __exit__(
        &self,
        py: Python<'_>,
        _kind: &Bound<'_, PyAny>,
        error: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let Some(host) = self.object(py, |objects| &objects.host) else { return Ok(false) };
        Ok(self.cancelled.0.get()
            && error.is_instance(imports::cancelled_error(py)?)?
            && cancelling(&host)? <= self.before.0.get())
    }

    // What a task is asked for.

    /// Ends the listening, as `asyncio.Task.cancel` does a task.
    #[pyo3(signature = (msg=None))]
    fn cancel(&self, py: Python<'_>, msg: Option<Bound<'_, PyAny>>) -> PyResult<bool> {
        self.requests.0.set(self.requests.0.get() + 1);
        if let Some(future) = self.object(py, |objects| &objects.waits_for)
            && future.call_method1(intern!(py, "cancel"), (msg,))?.is_truthy()?
        {
            return Ok(true);
        }
        self.must_cancel.0.set(true);
        Ok(true)
    }

    /// How often it was to be cancelled and nobody took it back.
    fn cancelling(&self) -> usize {
        self.requests.0.get()
    }

    /// Takes one cancellation back.
    fn uncancel(&self) -> usize {
        self.requests.0.set(self.requests.0.get().saturating_sub(1));
        self.requests.0.get()
    }

    /// Whether `receive()` has ended.
    fn done(&self) -> bool {
        self.objects.0.borrow().reading.is_none()
    }

    /// The coroutine of `receive()`.
    fn get_coro<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.object(py, |objects| &objects.reading)
    }

    /// A name for tools.
    fn get_name(&self) -> &'static str {
        "forzium: watch for a disconnect"
    }

    /// The event loop it belongs to.
    fn get_loop<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.object(py, |objects| &objects.event_loop)
    }

    /// Whether `receive()` is to end when it goes on the next time.
    #[getter]
    fn _must_cancel(&self) -> bool {
        self.must_cancel.0.get()
    }

    /// The future it waits for.
    #[getter]
    fn _fut_waiter<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.object(py, |objects| &objects.waits_for)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.receive)?;
        if let Ok(objects) = self.objects.0.try_borrow() {
            for object in [
                &objects.event_loop,
                &objects.host,
                &objects.scope,
                &objects.reading,
                &objects.waits_for,
                &objects.turn,
                &objects.disconnect,
                &objects.error,
            ] {
                visit.call(object)?;
            }
            for object in objects.messages.iter().chain(&objects.waiters) {
                visit.call(object)?;
            }
        }
        Ok(())
    }

    fn __clear__(&self) {
        let objects = self.objects.0.try_borrow_mut().ok().map(|mut objects| std::mem::take(&mut *objects));
        // Dropped here, after the cell is free again: a destructor may run Python code.
        drop(objects);
    }
}
