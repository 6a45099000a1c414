//! One call of a WebSocket's method, under way: what is awaited.
//!
//! It behaves as the coroutine it stands for: nothing happens before it is awaited, it drives the host's awaitable itself
//! and passes up what that yields, `throw` and `close` go down to it.

mod quick;

use std::cell::{RefCell, RefMut};

use pyo3::PyTraverseError;
use pyo3::exceptions::{PyGeneratorExit, PyOSError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

use super::Socket;
use super::frames::Frames;
use super::state::{State, after_receiving, after_sending, disconnected, is, optional, required};
use super::what::What;
use crate::awaitable::{
    Coroutine, Driven, Shared, iterator_of, send_in, throw_in, thrown, told, told_close, told_next,
};
use crate::json::{self, Rules};
use crate::{imports, interned};

const ABNORMAL_CLOSURE: u16 = 1006;
const NO_STATUS_RECEIVED: u16 = 1005;

/// Where a call stands.
#[derive(Clone, Copy)]
enum Phase {
    Fresh,
    /// The host's `receive` is awaited; the client's state before.
    Receiving(State),
    /// The host's `send` is awaited; the application's state before.
    Sending(State),
    /// A `receive` of the user's is awaited.
    AskingReceive,
    /// A `send` of the user's is awaited.
    AskingSend,
    /// A `receive_text` of the user's, or its like, is awaited.
    AskingData,
    Ended,
}

/// A call, what it was given and what it waits for.
struct Work {
    what: What,
    phase: Phase,
    /// Nothing once it has ended.
    held: Held,
}

/// The objects that a call keeps.
#[derive(Default)]
struct Held {
    socket: Option<Py<Socket>>,
    /// The arguments, as given.
    first: Option<Py<PyAny>>,
    second: Option<Py<PyAny>>,
    awaiting: Option<Py<PyAny>>,
    /// The iteration that this is a step of.
    frames: Option<Py<Frames>>,
}

/// What a call does next.
enum Next<'py> {
    WaitFor(Bound<'py, PyAny>),
    Return(Bound<'py, PyAny>),
}

/// An awaitable with the interface of a coroutine (PEP 492).
#[pyclass(module = "forzium._forzium", frozen, immutable_type)]
pub struct Exchange {
    work: Shared<RefCell<Work>>,
}

impl Exchange {
    /// A call that is yet to be awaited. The last one that has ended is used again, if nobody else holds it.
    #[inline]
    pub fn begun<'py>(
        socket: Bound<'py, Socket>,
        what: What,
        first: Option<Bound<'py, PyAny>>,
        second: Option<Bound<'py, PyAny>>,
        frames: Option<Bound<'py, Frames>>,
    ) -> PyResult<Bound<'py, Self>> {
        let py = socket.py();
        let spare = socket.get().spare.0.take().map(|spare| spare.into_bound(py));
        let held = Held {
            socket: Some(socket.unbind()),
            first: first.map(Bound::unbind),
            second: second.map(Bound::unbind),
            awaiting: None,
            frames: frames.map(Bound::unbind),
        };
        match spare {
            Some(spare) if is_only_here(&spare) => {
                let mut work = spare.get().work.0.borrow_mut();
                (work.what, work.phase) = (what, Phase::Fresh);
                // It has ended and holds nothing: there is nothing to drop, and no need to look.
                std::mem::forget(std::mem::replace(&mut work.held, held));
                drop(work);
                Ok(spare)
            }
            _ => Bound::new(py, Self { work: Shared(RefCell::new(Work { what, phase: Phase::Fresh, held })) }),
        }
    }

    /// Runs until there is something to wait for, or to the end.
    fn step(slf: &Bound<'_, Self>, run: impl FnOnce(&mut Work) -> PyResult<Driven>) -> PyResult<Driven> {
        let py = slf.py();
        let Ok(mut work) = slf.get().work.0.try_borrow_mut() else {
            return Err(PyValueError::new_err("coroutine already executing"));
        };
        if matches!(work.phase, Phase::Ended) {
            return Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine"));
        }
        let driven = run(&mut work);
        if matches!(driven, Ok(Driven::Yielded(_))) {
            return driven;
        }
        let what = work.what;
        match Self::end(slf, work) {
            None => driven,
            Some(frames) => frames.get().left(py, what, driven),
        }
    }

    /// Ends the call, drops what it held, and leaves it to be used again. Gives the iteration that it was a step of.
    #[inline]
    fn end<'py>(slf: &Bound<'py, Self>, mut work: RefMut<'_, Work>) -> Option<Bound<'py, Frames>> {
        let py = slf.py();
        let held = work.end();
        drop(work);
        if let Some(socket) = &held.socket {
            let before = socket.get().spare.0.replace(Some(slf.clone().unbind()));
            drop(before.map(|before| before.into_bound(py)));
        }
        // With a token in hand: dropping them without one asks for it each time.
        drop(held.socket.map(|socket| socket.into_bound(py)));
        for held in [held.first, held.second, held.awaiting] {
            drop(held.map(|held| held.into_bound(py)));
        }
        held.frames.map(|frames| frames.into_bound(py))
    }

    #[cold]
    fn raise(slf: &Bound<'_, Self>, error: PyErr) -> PyResult<Driven> {
        let py = slf.py();
        Self::step(slf, |work| match work.held.awaiting.take() {
            None => Err(error),
            Some(awaiting) => {
                let iterator = awaiting.into_bound(py);
                let came = throw_in(&iterator, error);
                work.go_on(iterator, came)
            }
        })
    }
}

impl Coroutine for Exchange {
    fn resume(slf: &Bound<'_, Self>, value: Option<Py<PyAny>>) -> PyResult<Driven> {
        let py = slf.py();
        if value.is_some() && matches!(slf.get().work.0.try_borrow().map(|work| work.phase), Ok(Phase::Fresh)) {
            return Err(PyTypeError::new_err("can't send non-None value to a just-started coroutine"));
        }
        Self::step(slf, |work| {
            let iterator = match work.held.awaiting.take() {
                Some(awaiting) => awaiting.into_bound(py),
                None => match work.begin(py)? {
                    Next::WaitFor(awaitable) => iterator_of(awaitable).map_err(|error| work.failed(py, error))?,
                    Next::Return(value) => return Ok(Driven::Returned(value.unbind())),
                },
            };
            let came = send_in(&iterator, value);
            work.go_on(iterator, came)
        })
    }

    unsafe extern "C" fn am_send(
        object: *mut ffi::PyObject,
        value: *mut ffi::PyObject,
        result: *mut *mut ffi::PyObject,
    ) -> ffi::PySendResult {
        // SAFETY: the caller sees to it.
        unsafe { quick::am_send(object, value, result) }
    }
}

/// Whether nobody else holds the object.
fn is_only_here(spare: &Bound<'_, Exchange>) -> bool {
    // SAFETY: the object is live, and the lock is held.
    unsafe { ffi::Py_REFCNT(spare.as_ptr()) == 1 }
}

#[pymethods]
impl Exchange {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(slf: &Bound<'_, Self>) -> PyResult<Option<Py<PyAny>>> {
        let py = slf.py();
        told_next(py, Self::resume(slf, None))
    }

    /// Resumes with a value, as `coroutine.send` does.
    fn send(slf: &Bound<'_, Self>, value: Py<PyAny>) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        told(py, Self::resume(slf, (!value.is_none(py)).then_some(value)))
    }

    /// Resumes by raising an exception at the point of waiting, as `coroutine.throw` does.
    #[pyo3(signature = (typ, val=None, tb=None, /))]
    fn throw(
        slf: &Bound<'_, Self>,
        typ: Bound<'_, PyAny>,
        val: Option<Bound<'_, PyAny>>,
        tb: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        told(slf.py(), Self::raise(slf, thrown(&typ, val, tb)?))
    }

    /// Ends the call by raising `GeneratorExit` at the point of waiting, as `coroutine.close` does.
    fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        if matches!(slf.get().work.0.try_borrow().map(|work| work.phase), Ok(Phase::Ended)) {
            return Ok(());
        }
        told_close(py, Self::raise(slf, PyGeneratorExit::new_err(())))
    }

    /// The awaitable that is being waited for, for tools that show where a task stands.
    #[getter]
    fn cr_await(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.work
            .0
            .try_borrow()
            .ok()
            .and_then(|work| work.held.awaiting.as_ref().map(|awaiting| awaiting.clone_ref(py)))
    }

    /// Whether it is being driven at this moment.
    #[getter]
    fn cr_running(&self) -> bool {
        self.work.0.try_borrow().is_err()
    }

    /// Whether it has begun and waits.
    #[getter]
    fn cr_suspended(&self) -> bool {
        self.work.0.try_borrow().is_ok_and(|work| work.held.awaiting.is_some())
    }

    /// None: there is no frame.
    #[getter]
    fn cr_frame(&self) -> Option<Py<PyAny>> {
        None
    }

    /// The name of the method.
    #[getter(__qualname__)]
    fn qualified_name(&self) -> String {
        let name = self.work.0.try_borrow().map_or("call", |work| work.what.name());
        format!("WebSocket.{name}")
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // One that is in use at this moment is reachable from the code that uses it.
        if let Ok(work) = self.work.0.try_borrow() {
            let Held { socket, first, second, awaiting, frames } = &work.held;
            visit.call(socket)?;
            visit.call(first)?;
            visit.call(second)?;
            visit.call(awaiting)?;
            visit.call(frames)?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        if let Ok(mut work) = self.work.0.try_borrow_mut() {
            let held = work.end();
            drop(work);
            drop(held);
        }
    }
}

impl Work {
    /// Ends it; gives what it held.
    #[inline]
    fn end(&mut self) -> Held {
        self.phase = Phase::Ended;
        std::mem::take(&mut self.held)
    }

    fn socket<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Socket>> {
        match &self.held.socket {
            Some(socket) => Ok(socket.bind(py).clone()),
            // Cleared by the collector: end as a closed coroutine does.
            None => Err(PyGeneratorExit::new_err(())),
        }
    }

    fn begin<'py>(&mut self, py: Python<'py>) -> PyResult<Next<'py>> {
        let socket = self.socket(py)?;
        if self.held.frames.is_some()
            && let Some(next) = self.begin_step(&socket)?
        {
            return Ok(next);
        }
        match self.what {
            What::ReceiveText | What::ReceiveBytes | What::ReceiveJson => {
                if self.what == What::ReceiveJson {
                    self.is_binary(py)?;
                }
                if socket.get().application.0.get() != State::Connected {
                    return Err(disconnected(py, "WebSocket is not connected. Need to call \"accept\" first."));
                }
                self.receive(&socket)
            }
            What::Receive => self.receive(&socket),
            What::Accept if socket.get().client.0.get() == State::Connecting => self.receive(&socket),
            _ => self.send(&socket),
        }
    }

    /// Begins a step of an iteration. None where it is the method's own, to go on with.
    fn begin_step<'py>(&mut self, socket: &Bound<'py, Socket>) -> PyResult<Option<Next<'py>>> {
        let py = socket.py();
        if let Some(frames) = self.held.frames.take() {
            // One that does not begin does not end, either.
            frames.get().enter(self.what)?;
            self.held.frames = Some(frames);
        }
        if self.what == What::Leave {
            return match self.held.first.take() {
                None => Ok(Some(Next::Return(py.None().into_bound(py)))),
                Some(error) => Err(PyErr::from_value(error.into_bound(py))),
            };
        }
        if !self.what.is_replaced(socket)? {
            return Ok(None);
        }
        self.phase = Phase::AskingData;
        socket.call_method0(self.what.step(py)).map(|waiting| Some(Next::WaitFor(waiting)))
    }

    /// Waits for a message, by the host's `receive` or the user's.
    fn receive<'py>(&mut self, socket: &Bound<'py, Socket>) -> PyResult<Next<'py>> {
        let py = socket.py();
        if self.what != What::Receive && What::Receive.is_replaced(socket)? {
            self.phase = Phase::AskingReceive;
            return socket.call_method0(pyo3::intern!(py, "receive")).map(Next::WaitFor);
        }
        let state = socket.get().client.0.get();
        if !matches!(state, State::Connecting | State::Connected) {
            return Err(disconnected(py, "Cannot call \"receive\" once a disconnect message has been received."));
        }
        self.phase = Phase::Receiving(state);
        socket.get().host_receive(py)?.call0().map(Next::WaitFor)
    }

    /// Sends the message, by the host's `send` or the user's.
    fn send<'py>(&mut self, socket: &Bound<'py, Socket>) -> PyResult<Next<'py>> {
        let py = socket.py();
        let message = self.message(py)?;
        if self.what != What::Send && What::Send.is_replaced(socket)? {
            self.phase = Phase::AskingSend;
            return socket.call_method1(interned::send(py), (message,)).map(Next::WaitFor);
        }
        let states = &socket.get().application.0;
        let state = states.get();
        let carries_data = matches!(self.what, What::SendText | What::SendBytes | What::SendJson);
        let message = if carries_data && state == State::Connected {
            message
        } else {
            let (next, closes) = after_sending(state, &message)?;
            let message = if closes { imports::checked_close(py)?.call1((message,))? } else { message };
            states.set(next);
            message
        };
        self.phase = Phase::Sending(state);
        match socket.get().host_send(py)?.call1((message,)) {
            Ok(waiting) => Ok(Next::WaitFor(waiting)),
            Err(error) => Err(self.failed(py, error)),
        }
    }

    /// Goes on from what came of a step of what is waited for, until there is something to wait for, or to the end.
    fn go_on<'py>(&mut self, mut iterator: Bound<'py, PyAny>, mut came: PyResult<Driven>) -> PyResult<Driven> {
        let py = iterator.py();
        loop {
            let next = match came {
                Ok(Driven::Yielded(value)) => {
                    self.held.awaiting = Some(iterator.unbind());
                    return Ok(Driven::Yielded(value));
                }
                Ok(Driven::Returned(value)) => self.arrived(value.into_bound(py))?,
                Err(error) => return Err(self.failed(py, error)),
            };
            match next {
                Next::Return(value) => return Ok(Driven::Returned(value.unbind())),
                Next::WaitFor(awaitable) => {
                    iterator = iterator_of(awaitable).map_err(|error| self.failed(py, error))?
                }
            }
            came = send_in(&iterator, None);
        }
    }

    /// What was waited for is there.
    fn arrived<'py>(&mut self, result: Bound<'py, PyAny>) -> PyResult<Next<'py>> {
        let py = result.py();
        match self.phase {
            Phase::Receiving(state) => {
                let next = after_receiving(state, &result)?;
                if next != state {
                    self.socket(py)?.get().client.0.set(next);
                }
                self.received(result, next == State::Disconnected)
            }
            Phase::Sending(_) | Phase::AskingSend => Ok(Next::Return(py.None().into_bound(py))),
            Phase::AskingReceive => {
                let left =
                    self.what != What::Accept && is(&required(&result, interned::r#type(py))?, "websocket.disconnect")?;
                self.received(result, left)
            }
            Phase::AskingData => Ok(Next::Return(result)),
            Phase::Fresh | Phase::Ended => Err(PyGeneratorExit::new_err(())),
        }
    }

    /// What waiting has failed with, as the caller sees it.
    #[cold]
    fn failed(&mut self, py: Python<'_>, error: PyErr) -> PyErr {
        if !matches!(self.phase, Phase::Sending(State::Connected)) || !error.is_instance_of::<PyOSError>(py) {
            return error;
        }
        let left = || -> PyResult<PyErr> {
            self.socket(py)?.get().application.0.set(State::Disconnected);
            let fields = PyDict::new(py);
            fields.set_item(pyo3::intern!(py, "code"), ABNORMAL_CLOSURE)?;
            let left = PyErr::from_value(imports::websocket_disconnect(py)?.call((), Some(&fields))?);
            left.set_context(py, Some(error));
            Ok(left)
        };
        left().unwrap_or_else(|error| error)
    }

    /// Makes of the message what was asked for. `left`: it says that the client has left.
    fn received<'py>(&mut self, message: Bound<'py, PyAny>, left: bool) -> PyResult<Next<'py>> {
        let py = message.py();
        let binary = match self.what {
            What::Receive => return Ok(Next::Return(message)),
            What::Accept => {
                let socket = self.socket(py)?;
                return self.send(&socket);
            }
            What::ReceiveJson => self.is_binary(py)?,
            what => what == What::ReceiveBytes,
        };
        if left {
            return Err(has_left(&message));
        }
        let key = if binary { pyo3::intern!(py, "bytes") } else { pyo3::intern!(py, "text") };
        let Some(data) = optional(&message, key)? else {
            let expected = if binary { "binary" } else { "text" };
            return Err(PyErr::from_value(imports::websocket_unexpected_data(py)?.call1((expected,))?));
        };
        if self.what != What::ReceiveJson {
            return Ok(Next::Return(data));
        }
        let text = if binary { data.call_method1(pyo3::intern!(py, "decode"), ("utf-8",))? } else { data };
        json::loads_py(&text).map(Next::Return)
    }

    /// Whether JSON comes and goes as bytes.
    ///
    /// Errors: `RuntimeError` for a mode that does not exist.
    fn is_binary(&self, py: Python<'_>) -> PyResult<bool> {
        let mode = if self.what == What::SendJson { &self.held.second } else { &self.held.first };
        let Some(mode) = mode.as_ref().map(|mode| mode.bind(py)) else {
            return Ok(false);
        };
        if is(mode, "text")? {
            Ok(false)
        } else if is(mode, "binary")? {
            Ok(true)
        } else {
            Err(PyRuntimeError::new_err("The \"mode\" argument should be \"text\" or \"binary\"."))
        }
    }

    /// The message to send.
    fn message<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let first = match self.what {
            What::Close => py.None().into_bound(py),
            _ => self.held.first.take().map_or_else(|| py.None().into_bound(py), |first| first.into_bound(py)),
        };
        let message = match self.what {
            What::SendText => data_message(py, pyo3::intern!(py, "text"), &first)?,
            What::SendBytes => data_message(py, pyo3::intern!(py, "bytes"), &first)?,
            What::SendJson if self.is_binary(py)? => {
                let text = json_text(&first)?;
                let bytes = text.call_method1(pyo3::intern!(py, "encode"), ("utf-8",))?;
                data_message(py, pyo3::intern!(py, "bytes"), &bytes)?
            }
            What::SendJson => data_message(py, pyo3::intern!(py, "text"), &json_text(&first)?)?,
            What::Accept => {
                let message = PyDict::new(py);
                message.set_item(interned::r#type(py), pyo3::intern!(py, "websocket.accept"))?;
                message.set_item(pyo3::intern!(py, "subprotocol"), first)?;
                match self.held.second.as_ref().map(|headers| headers.bind(py)) {
                    Some(headers) if headers.is_truthy()? => message.set_item(interned::headers(py), headers)?,
                    _ => message.set_item(interned::headers(py), PyList::empty(py))?,
                }
                message
            }
            What::Close => {
                let message = PyDict::new(py);
                message.set_item(interned::r#type(py), pyo3::intern!(py, "websocket.close"))?;
                match &self.held.first {
                    Some(code) => message.set_item(pyo3::intern!(py, "code"), code)?,
                    None => message.set_item(pyo3::intern!(py, "code"), 1000)?,
                }
                match self.held.second.as_ref().map(|reason| reason.bind(py)) {
                    Some(reason) if reason.is_truthy()? => message.set_item(pyo3::intern!(py, "reason"), reason)?,
                    _ => message.set_item(pyo3::intern!(py, "reason"), "")?,
                }
                message
            }
            _ => return Ok(first),
        };
        Ok(message.into_any())
    }
}

/// `WebSocketDisconnect`, of the message that says so.
#[cold]
fn has_left(message: &Bound<'_, PyAny>) -> PyErr {
    let py = message.py();
    let left = || -> PyResult<PyErr> {
        let code = optional(message, pyo3::intern!(py, "code"))?;
        let reason = optional(message, pyo3::intern!(py, "reason"))?;
        let code = code.map_or_else(|| NO_STATUS_RECEIVED.into_pyobject(py).map(|code| code.into_any()), Ok)?;
        Ok(PyErr::from_value(imports::websocket_disconnect(py)?.call1((code, reason))?))
    };
    left().unwrap_or_else(|error| error)
}

/// `websocket.send` with one field.
#[inline]
fn data_message<'py>(
    py: Python<'py>,
    name: &Bound<'py, PyString>,
    data: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyDict>> {
    let message = PyDict::new(py);
    message.set_item(interned::r#type(py), pyo3::intern!(py, "websocket.send"))?;
    message.set_item(name, data)?;
    Ok(message)
}

/// `json.dumps(value, separators=(",", ":"), ensure_ascii=False)`, to the letter.
fn json_text<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    let mut written = Vec::new();
    let plain = json::dumps_into(py, value, Rules::Plain { default: None, foreign: None }, &mut written);
    if plain.is_ok()
        && !has_float_spelled_otherwise(&written)
        && let Ok(text) = std::str::from_utf8(&written)
    {
        return Ok(PyString::new(py, text).into_any());
    }
    // What is written differently there, or is an error there, too.
    imports::websocket_write_json(py)?.call1((value,))
}

/// Whether there may be a float that Python spells otherwise: one with an exponent, there or here.
///
/// A string that looks like one says yes, too.
fn has_float_spelled_otherwise(text: &[u8]) -> bool {
    memchr::memmem::find(text, b"0.0000").is_some()
        || memchr::memchr_iter(b'e', text).any(|at| {
            let before = at.checked_sub(1).and_then(|at| text.get(at));
            before.is_some_and(u8::is_ascii_digit)
        })
}
