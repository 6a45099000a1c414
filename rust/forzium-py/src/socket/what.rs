//! The methods of a WebSocket, by name, and which of them somebody has replaced.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::Socket;
use super::method::what_of;
use crate::unchanged;

/// What a call does. The first five are steps that a subclass or an instance may replace; the others are made of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Receive,
    Send,
    ReceiveText,
    ReceiveBytes,
    ReceiveJson,
    Accept,
    SendText,
    SendBytes,
    SendJson,
    Close,
    IterText,
    IterBytes,
    IterJson,
    /// The end of an iteration, by `aclose` and `athrow`.
    Leave,
}

/// Those that others go through.
const STEPS: [What; 5] = [What::Receive, What::Send, What::ReceiveText, What::ReceiveBytes, What::ReceiveJson];

impl What {
    /// The name of the method.
    pub fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Send => "send",
            Self::ReceiveText => "receive_text",
            Self::ReceiveBytes => "receive_bytes",
            Self::ReceiveJson => "receive_json",
            Self::Accept => "accept",
            Self::SendText => "send_text",
            Self::SendBytes => "send_bytes",
            Self::SendJson => "send_json",
            Self::Close => "close",
            Self::IterText => "iter_text",
            Self::IterBytes => "iter_bytes",
            Self::IterJson => "iter_json",
            Self::Leave => "aclose",
        }
    }

    /// What each step of an iteration does, if this is one.
    pub fn frame(self) -> Option<Self> {
        match self {
            Self::IterText => Some(Self::ReceiveText),
            Self::IterBytes => Some(Self::ReceiveBytes),
            Self::IterJson => Some(Self::ReceiveJson),
            _ => None,
        }
    }

    /// The name, of one of [`STEPS`].
    pub fn step(self, py: Python<'_>) -> &Bound<'_, PyString> {
        match self {
            Self::Send => pyo3::intern!(py, "send"),
            Self::ReceiveText => pyo3::intern!(py, "receive_text"),
            Self::ReceiveBytes => pyo3::intern!(py, "receive_bytes"),
            Self::ReceiveJson => pyo3::intern!(py, "receive_json"),
            _ => pyo3::intern!(py, "receive"),
        }
    }

    /// Whether somebody has put something else in its place: a subclass, a patch of the class, or an instance.
    pub fn is_replaced(self, socket: &Bound<'_, Socket>) -> PyResult<bool> {
        let seen = socket.get().seen.0.get();
        let version = unchanged::version(&socket.get_type());
        let replaced = if version != 0 && seen.class == version { seen.replaced } else { look(socket)? };
        Ok(replaced & self.bit() != 0 || has_own(socket, self)?)
    }

    /// Whether it is certain that nobody has.
    #[inline]
    pub fn is_native(self, socket: &Bound<'_, Socket>) -> bool {
        self.is_known(socket) || matches!(self.is_replaced(socket), Ok(false))
    }

    /// Whether that was so when the socket was looked at last, and nothing has changed.
    #[inline]
    fn is_known(self, socket: &Bound<'_, Socket>) -> bool {
        let seen = socket.get().seen.0.get();
        let version = unchanged::version(&socket.get_type());
        let is_class_known = version != 0 && seen.class == version && seen.replaced & self.bit() == 0;
        is_class_known && seen.absent & self.bit() != 0 && own(socket).is_some_and(|own| version_of(&own) == seen.own)
    }

    /// One of [`STEPS`] as a bit.
    #[inline]
    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// What was found when a socket was looked at.
#[derive(Clone, Copy, Default)]
pub struct Seen {
    /// The version of its class, and which of [`STEPS`] that class replaces.
    class: u32,
    replaced: u8,
    /// Which of [`STEPS`] are certainly not in its `__dict__`, while that has this version.
    absent: u8,
    own: u64,
}

/// Looks which of [`STEPS`] the socket's class replaces.
fn look(socket: &Bound<'_, Socket>) -> PyResult<u8> {
    let class = socket.get_type();
    let mut replaced = 0;
    for step in STEPS {
        let found = class.getattr(step.step(socket.py()))?;
        if what_of(&found) != Some(step) {
            replaced |= step.bit();
        }
    }
    let seen = &socket.get().seen.0;
    seen.set(Seen { class: unchanged::version(&socket.get_type()), replaced, ..seen.get() });
    Ok(replaced)
}

/// The socket's `__dict__`, if it has one, and it is where it can be found without asking.
#[inline]
fn own<'py>(socket: &Bound<'py, Socket>) -> Option<Bound<'py, PyAny>> {
    let object = socket.as_ptr();
    // SAFETY:
    // - A positive offset is where objects of the type keep their `__dict__`: null, or a live dictionary.
    // - The dictionary stays alive while it is asked: a reference is taken to it first.
    unsafe {
        let offset = (*ffi::Py_TYPE(object)).tp_dictoffset;
        let place = object.cast::<u8>().offset(offset).cast::<*mut ffi::PyObject>();
        if offset > 0 { Bound::from_borrowed_ptr_or_opt(socket.py(), *place) } else { None }
    }
}

/// Whether the object's `__dict__` has the name of that step.
fn has_own(socket: &Bound<'_, Socket>, step: What) -> PyResult<bool> {
    let attributes = match own(socket) {
        Some(attributes) => attributes,
        None => socket.getattr(pyo3::intern!(socket.py(), "__dict__"))?,
    };
    let seen = &socket.get().seen.0;
    let version = version_of(&attributes);
    let has_own = attributes.cast_into::<PyDict>()?.contains(step.step(socket.py()))?;
    if !has_own && version != 0 {
        let before = seen.get();
        let absent = if before.own == version { before.absent } else { 0 };
        seen.set(Seen { own: version, absent: absent | step.bit(), ..before });
    }
    Ok(has_own)
}

/// A number that no other state of this or another dictionary has (PEP 509); 0 in versions of Python that have none.
#[inline]
#[cfg(not(Py_3_12))]
fn version_of(dict: &Bound<'_, PyAny>) -> u64 {
    match dict.cast::<PyDict>() {
        // SAFETY: every dictionary, of a subclass too, begins with this structure.
        Ok(dict) => unsafe { (*dict.as_ptr().cast::<ffi::PyDictObject>()).ma_version_tag },
        Err(_) => 0,
    }
}

#[inline]
#[cfg(Py_3_12)]
fn version_of(_dict: &Bound<'_, PyAny>) -> u64 {
    0
}
