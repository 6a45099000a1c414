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
        let class = socket.get_type();
        let version = unchanged::version(&class);
        let (mut seen, mut replaced) = socket.get().seen.0.get();
        if version == 0 || seen != version {
            replaced = 0;
            for step in STEPS {
                let found = class.getattr(step.step(socket.py()))?;
                if what_of(&found) != Some(step) {
                    replaced |= 1 << step as u8;
                }
            }
            seen = unchanged::version(&class);
            socket.get().seen.0.set((seen, replaced));
        }
        Ok(replaced & (1 << self as u8) != 0 || has_own(socket, self.step(socket.py()))?)
    }
}

/// Whether the object's `__dict__` has that name.
fn has_own(socket: &Bound<'_, Socket>, name: &Bound<'_, PyString>) -> PyResult<bool> {
    let object = socket.as_ptr();
    // SAFETY:
    // - A positive offset is where objects of the type keep their `__dict__`: null, or a live dictionary.
    // - The dictionary stays alive while it is asked: a reference is taken to it first.
    let attributes = unsafe {
        let offset = (*ffi::Py_TYPE(object)).tp_dictoffset;
        if offset > 0 {
            let place = object.cast::<u8>().offset(offset).cast::<*mut ffi::PyObject>();
            Bound::from_borrowed_ptr_or_opt(socket.py(), *place)
        } else {
            Some(socket.getattr(pyo3::intern!(socket.py(), "__dict__"))?)
        }
    };
    attributes.map_or(Ok(false), |attributes| attributes.cast_into::<PyDict>()?.contains(name))
}
