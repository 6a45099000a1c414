//! One call of a WebSocket's method, under way: what is awaited.
//!
//! It behaves as the coroutine it stands for: nothing happens before it is awaited, it drives the host's awaitable itself
//! and passes up what that yields, `throw` and `close` go down to it.

use std::cell::RefCell;

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
    /// None once it has ended.
    socket: Option<Py<Socket>>,
    /// The arguments, as given.
    first: Option<Py<PyAny>>,
    second: Option<Py<PyAny>>,
    awaiting: Option<Py<PyAny>>,
    /// The iteration that this is a step of.
    frames: Option<Py<Frames>>,
}

/// An awaitable with the interface of a coroutine (PEP 492).
#[pyclass(module = "forzium._forzium", frozen, immutable_type)]
pub struct Exchange {
    work: Shared<RefCell<Work>>,
}

impl Exchange {
    /// A call that is yet to be awaited. The last one that has ended is used again, if nobody else holds it.
    pub fn begun<'py>(
        socket: Bound<'py, Socket>,
        what: What,
        first: Option<Py<PyAny>>,
        second: Option<Py<PyAny>>,
        frames: Option<Py<Frames>>,
    ) -> PyResult<Bound<'py, Self>> {
        let py = socket.py();
        let spare = socket.get().spare.0.take();
        let socket = Some(socket.unbind());
        let work = Work { what, phase: Phase::Fresh, socket, first, second, awaiting: None, frames };
        match spare {
            Some(spare) if is_only_here(&spare) => {
                spare.get().work.0.replace(work);
                Ok(spare.into_bound(py))
            }
            _ => Bound::new(py, Self { work: Shared(RefCell::new(work)) }),
        }
    }

    /// Runs until there is something to wait for, or to the end.
    fn step(slf: &Bound<'_, Self>, run: impl FnOnce(&mut Work) -> PyResult<Driven>) -> PyResult<Driven> {
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
        let (what, frames) = (work.what, work.frames.take());
        if let Some(socket) = work.end() {
            // With a token in hand: dropping them without one asks for it each time.
            let socket = socket.into_bound(slf.py());
            let before = socket.get().spare.0.replace(Some(slf.clone().unbind()));
            drop((work, before.map(|before| before.into_bound(slf.py()))));
        }
        match frames {
            None => driven,
            Some(frames) => frames.get().left(slf.py(), what, driven),
        }
    }

    fn raise(slf: &Bound<'_, Self>, error: PyErr) -> PyResult<Driven> {
        let py = slf.py();
        Self::step(slf, |work| match work.awaiting.take() {
            None => Err(error),
            Some(awaiting) => work.drive(awaiting.into_bound(py), |iterator| throw_in(iterator, error)),
        })
    }
}

impl Coroutine for Exchange {
    fn resume(slf: &Bound<'_, Self>, value: Option<Py<PyAny>>) -> PyResult<Driven> {
        let py = slf.py();
        if value.is_some() && matches!(slf.get().work.0.try_borrow().map(|work| work.phase), Ok(Phase::Fresh)) {
            return Err(PyTypeError::new_err("can't send non-None value to a just-started coroutine"));
        }
        Self::step(slf, |work| match work.awaiting.take() {
            None => work.begin(py),
            Some(awaiting) => work.drive(awaiting.into_bound(py), |iterator| send_in(iterator, value)),
        })
    }
}

/// Whether nobody else holds the object.
fn is_only_here(spare: &Py<Exchange>) -> bool {
    // SAFETY: the object is live, and the lock is held, as everywhere in these methods.
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
        self.work.0.try_borrow().ok().and_then(|work| work.awaiting.as_ref().map(|awaiting| awaiting.clone_ref(py)))
    }

    /// Whether it is being driven at this moment.
    #[getter]
    fn cr_running(&self) -> bool {
        self.work.0.try_borrow().is_err()
    }

    /// Whether it has begun and waits.
    #[getter]
    fn cr_suspended(&self) -> bool {
        self.work.0.try_borrow().is_ok_and(|work| work.awaiting.is_some())
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
            visit.call(&work.socket)?;
            visit.call(&work.first)?;
            visit.call(&work.second)?;
            visit.call(&work.awaiting)?;
            visit.call(&work.frames)?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        if let Ok(mut work) = self.work.0.try_borrow_mut() {
            let socket = work.end();
            drop((work, socket));
        }
    }
}

impl Work {
    /// Drops what it held, but for the socket, which it gives back.
    fn end(&mut self) -> Option<Py<Socket>> {
        self.phase = Phase::Ended;
        drop((self.first.take(), self.second.take(), self.awaiting.take(), self.frames.take()));
        self.socket.take()
    }

    fn socket<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Socket>> {
        match &self.socket {
            Some(socket) => Ok(socket.bind(py).clone()),
            // Cleared by the collector: end as a closed coroutine does.
            None => Err(PyGeneratorExit::new_err(())),
        }
    }

    fn begin(&mut self, py: Python<'_>) -> PyResult<Driven> {
        let socket = self.socket(py)?;
        if let Some(frames) = self.frames.take() {
            frames.get().enter(self.what)?;
            self.frames = Some(frames);
            if self.what == What::Leave {
                return match self.first.take() {
                    None => Ok(Driven::Returned(py.None())),
                    Some(error) => Err(PyErr::from_value(error.into_bound(py))),
                };
            }
            if self.what.is_replaced(&socket)? {
                self.phase = Phase::AskingData;
                let waiting = socket.call_method0(self.what.step(py))?;
                return self.wait(waiting);
            }
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

    /// Waits for a message, by the host's `receive` or the user's.
    fn receive(&mut self, socket: &Bound<'_, Socket>) -> PyResult<Driven> {
        let py = socket.py();
        if self.what != What::Receive && What::Receive.is_replaced(socket)? {
            self.phase = Phase::AskingReceive;
            let waiting = socket.call_method0(pyo3::intern!(py, "receive"))?;
            return self.wait(waiting);
        }
        let state = socket.get().client.0.get();
        if !matches!(state, State::Connecting | State::Connected) {
            return Err(disconnected(py, "Cannot call \"receive\" once a disconnect message has been received."));
        }
        self.phase = Phase::Receiving(state);
        let waiting = socket.get().host_receive(py)?.call0()?;
        self.wait(waiting)
    }

    /// Sends the message, by the host's `send` or the user's.
    fn send(&mut self, socket: &Bound<'_, Socket>) -> PyResult<Driven> {
        let py = socket.py();
        let message = self.message(py)?;
        if self.what != What::Send && What::Send.is_replaced(socket)? {
            self.phase = Phase::AskingSend;
            let waiting = socket.call_method1(interned::send(py), (message,))?;
            return self.wait(waiting);
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
            Ok(waiting) => self.wait(waiting),
            Err(error) => self.arrived(py, Err(error)),
        }
    }

    /// Begins to wait for an awaitable.
    fn wait(&mut self, awaitable: Bound<'_, PyAny>) -> PyResult<Driven> {
        let iterator = iterator_of(awaitable)?;
        self.drive(iterator, |iterator| send_in(iterator, None))
    }

    /// Resumes what is waited for, and goes on if that is at its end.
    fn drive<'py>(
        &mut self,
        iterator: Bound<'py, PyAny>,
        resume: impl FnOnce(&Bound<'py, PyAny>) -> PyResult<Driven>,
    ) -> PyResult<Driven> {
        let py = iterator.py();
        match resume(&iterator) {
            Ok(Driven::Yielded(value)) => {
                self.awaiting = Some(iterator.unbind());
                Ok(Driven::Yielded(value))
            }
            Ok(Driven::Returned(value)) => self.arrived(py, Ok(value.into_bound(py))),
            Err(error) => self.arrived(py, Err(error)),
        }
    }

    /// What was waited for is there.
    fn arrived(&mut self, py: Python<'_>, result: PyResult<Bound<'_, PyAny>>) -> PyResult<Driven> {
        match self.phase {
            Phase::Receiving(state) => {
                let message = result?;
                let next = after_receiving(state, &message)?;
                if next != state {
                    self.socket(py)?.get().client.0.set(next);
                }
                self.received(message, next == State::Disconnected)
            }
            Phase::AskingReceive => {
                let message = result?;
                let left = self.what != What::Accept
                    && is(&required(&message, interned::r#type(py))?, "websocket.disconnect")?;
                self.received(message, left)
            }
            Phase::AskingData => result.map(|data| Driven::Returned(data.unbind())),
            Phase::Sending(State::Connected) => match result {
                Ok(_) => Ok(Driven::Returned(py.None())),
                Err(error) if error.is_instance_of::<PyOSError>(py) => {
                    self.socket(py)?.get().application.0.set(State::Disconnected);
                    let fields = PyDict::new(py);
                    fields.set_item(pyo3::intern!(py, "code"), ABNORMAL_CLOSURE)?;
                    let left = PyErr::from_value(imports::websocket_disconnect(py)?.call((), Some(&fields))?);
                    left.set_context(py, Some(error));
                    Err(left)
                }
                Err(error) => Err(error),
            },
            Phase::Sending(_) | Phase::AskingSend => result.map(|_| Driven::Returned(py.None())),
            Phase::Fresh | Phase::Ended => Err(PyGeneratorExit::new_err(())),
        }
    }

    /// Makes of the message what was asked for. `left`: it says that the client has left.
    fn received(&mut self, message: Bound<'_, PyAny>, left: bool) -> PyResult<Driven> {
        let py = message.py();
        let binary = match self.what {
            What::Receive => return Ok(Driven::Returned(message.unbind())),
            What::Accept => {
                let socket = self.socket(py)?;
                return self.send(&socket);
            }
            What::ReceiveJson => self.is_binary(py)?,
            what => what == What::ReceiveBytes,
        };
        if left {
            let code = optional(&message, pyo3::intern!(py, "code"))?;
            let reason = optional(&message, pyo3::intern!(py, "reason"))?;
            let code = code.map_or_else(|| NO_STATUS_RECEIVED.into_pyobject(py).map(|code| code.into_any()), Ok)?;
            return Err(PyErr::from_value(imports::websocket_disconnect(py)?.call1((code, reason))?));
        }
        let key = if binary { pyo3::intern!(py, "bytes") } else { pyo3::intern!(py, "text") };
        let Some(data) = optional(&message, key)? else {
            let expected = if binary { "binary" } else { "text" };
            return Err(PyErr::from_value(imports::websocket_unexpected_data(py)?.call1((expected,))?));
        };
        if self.what != What::ReceiveJson {
            return Ok(Driven::Returned(data.unbind()));
        }
        let text = if binary { data.call_method1(pyo3::intern!(py, "decode"), ("utf-8",))? } else { data };
        Ok(Driven::Returned(json::loads_py(&text)?.unbind()))
    }

    /// Whether JSON comes and goes as bytes.
    ///
    /// Errors: `RuntimeError` for a mode that does not exist.
    fn is_binary(&self, py: Python<'_>) -> PyResult<bool> {
        let mode = if self.what == What::SendJson { &self.second } else { &self.first };
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
            _ => self.first.take().map_or_else(|| py.None().into_bound(py), |first| first.into_bound(py)),
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
                match self.second.as_ref().map(|headers| headers.bind(py)) {
                    Some(headers) if headers.is_truthy()? => message.set_item(interned::headers(py), headers)?,
                    _ => message.set_item(interned::headers(py), PyList::empty(py))?,
                }
                message
            }
            What::Close => {
                let message = PyDict::new(py);
                message.set_item(interned::r#type(py), pyo3::intern!(py, "websocket.close"))?;
                match &self.first {
                    Some(code) => message.set_item(pyo3::intern!(py, "code"), code)?,
                    None => message.set_item(pyo3::intern!(py, "code"), 1000)?,
                }
                match self.second.as_ref().map(|reason| reason.bind(py)) {
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

/// `websocket.send` with one field.
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
