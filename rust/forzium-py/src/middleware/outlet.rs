//! Where the responses of a request go: through the layers that its links have left, to the host's `send`.
//!
//! An [`Outlet`] stands in the place of `send`. The core gives it whole responses ([`whole`]), everything else calls it
//! with ASGI messages; both ways change a response by the same rules, the innermost layer first.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::Layer;
use super::headers::Headers;
use crate::awaitable::{Awaitable, Channel, Held, Shared, attached, wait};
use crate::connection::Connection;
use crate::interned;

/// `send` as what is enclosed by middleware gets it.
#[pyclass(module = "forzium._forzium", frozen)]
pub struct Outlet {
    send: Py<PyAny>,
    /// The outermost first.
    layers: Shared<RefCell<Vec<Layer>>>,
    /// Whether the start of a response has left the outermost layer.
    left: Shared<Cell<bool>>,
}

impl Outlet {
    /// Adds a layer inside those that are there, which makes the outlet where there is none.
    pub(super) fn push(connection: &Connection, layer: Layer) -> PyResult<()> {
        let py = connection.py();
        let outlet = connection.outlet_or(|send| {
            let outlet = Self {
                send: send.clone().unbind(),
                layers: Shared(RefCell::new(Vec::new())),
                left: Shared(Cell::new(false)),
            };
            Ok(Py::new(py, outlet)?.into_any())
        })?;
        outlet.cast::<Self>()?.get().layers.0.borrow_mut().push(layer);
        Ok(())
    }

    /// The outlet of a connection, if it has one.
    pub fn of(connection: &Connection) -> Option<&Self> {
        connection.outlet().and_then(|outlet| outlet.cast::<Self>().ok()).map(Bound::get)
    }

    /// Whether the start of a response has reached the host.
    pub fn has_left(&self) -> bool {
        self.left.0.get()
    }

    /// Notes that the start of a response is being given to the host.
    pub fn leaves(&self) {
        self.left.0.set(true);
    }

    /// Takes messages through the layers until one reaches the host or has to be waited for.
    fn step<'py>(&self, py: Python<'py>, queue: &RefCell<Queue>) -> PyResult<Option<Bound<'py, PyAny>>> {
        loop {
            let Some((inside, message)) = queue.borrow_mut().pop_front() else { return Ok(None) };
            let message = message.into_bound(py);
            let Some(at) = inside.checked_sub(1) else {
                if is_start(&message)? {
                    self.leaves();
                }
                return self.send.bind(py).call1((message,)).map(Some);
            };
            let passing = match self.layers.0.borrow().get(at) {
                Some(layer) => layer.message(&message)?,
                None => Passing::On,
            };
            match passing {
                Passing::On => queue.borrow_mut().push_front((at, message.unbind())),
            }
        }
    }
}

/// Messages on their way, each with the number of layers that it has still to pass.
type Queue = VecDeque<(usize, Py<PyDict>)>;

/// What becomes of a message in a layer.
pub(super) enum Passing {
    /// It goes on.
    On,
}

fn is_start(message: &Bound<'_, PyDict>) -> PyResult<bool> {
    let py = message.py();
    match message.get_item(interned::r#type(py))? {
        Some(kind) => kind.eq(interned::http_response_start(py)),
        None => Ok(false),
    }
}

/// The status and the headers of a message that starts a response; the headers are a copy of those that were there.
pub(super) fn start<'py>(message: &Bound<'py, PyDict>) -> PyResult<Option<Headers<'py>>> {
    if !is_start(message)? {
        return Ok(None);
    }
    let py = message.py();
    let headers = match message.get_item(interned::headers(py))? {
        Some(headers) => Headers::copy(&headers)?,
        None => Headers::copy(PyList::empty(py).as_any())?,
    };
    message.set_item(interned::headers(py), headers.list())?;
    Ok(Some(headers))
}

/// A response that is known as a whole, as it leaves the outermost layer.
///
/// *When cancelled here*: nothing of the response has been sent.
pub async fn whole<'c>(
    connection: &'c Connection,
    outlet: &'c Outlet,
    _status: u16,
    headers: &Bound<'c, PyAny>,
    body: &Bound<'c, PyAny>,
) -> PyResult<(Bound<'c, PyAny>, Bound<'c, PyAny>)> {
    let headers = Headers::copy(headers)?;
    let py = connection.py();
    let mut inside = outlet.layers.0.borrow().len();
    while let Some(at) = inside.checked_sub(1) {
        if let Some(layer) = outlet.layers.0.borrow().get(at) {
            layer.whole(py, &headers)?;
        }
        inside = at;
    }
    Ok((headers.into_list().into_any(), body.clone()))
}

/// Messages on their way that have to be waited for.
struct Passage {
    channel: Channel,
    outlet: Py<Outlet>,
    queue: RefCell<Queue>,
    /// What to wait for first.
    first: RefCell<Option<Py<PyAny>>>,
}

impl Held for Passage {
    fn channel(&self) -> &Channel {
        &self.channel
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.outlet)?;
        if let Ok(first) = self.first.try_borrow() {
            visit.call(&*first)?;
        }
        if let Ok(queue) = self.queue.try_borrow() {
            for (_, message) in queue.iter() {
                visit.call(message)?;
            }
        }
        Ok(())
    }

    fn clear(&self) {
        self.channel.clear();
        let first = self.first.try_borrow_mut().ok().and_then(|mut first| first.take());
        let queue = self.queue.try_borrow_mut().ok().map(|mut queue| std::mem::take(&mut *queue));
        drop((first, queue));
    }
}

#[pymethods]
impl Outlet {
    fn __call__<'py>(slf: &Bound<'py, Self>, message: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let message = match message.cast_into::<PyDict>() {
            Ok(message) => message,
            Err(error) => py.get_type::<PyDict>().call1((error.into_inner(),))?.cast_into::<PyDict>()?,
        };
        let queue = RefCell::new(VecDeque::from([(slf.get().layers.0.borrow().len(), message.unbind())]));
        let first = slf.get().step(py, &queue)?;
        if queue.borrow().is_empty()
            && let Some(first) = first
        {
            return Ok(first);
        }
        let passage = std::rc::Rc::new(Passage {
            channel: Channel::default(),
            outlet: slf.clone().unbind(),
            queue,
            first: RefCell::new(first.map(Bound::unbind)),
        });
        let machine = std::rc::Rc::clone(&passage);
        let awaitable = Awaitable::new(
            passage,
            Box::pin(async move {
                let py = attached(&machine.channel);
                let mut next = machine.first.borrow_mut().take().map(|first| first.into_bound(py));
                while let Some(waiting) = next {
                    wait(&machine.channel, waiting).await?;
                    next = machine.outlet.get().step(py, &machine.queue)?;
                }
                Ok(py.None())
            }),
        );
        Ok(Bound::new(py, awaitable)?.into_any())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.send)?;
        if let Ok(layers) = self.layers.0.try_borrow() {
            for layer in layers.iter() {
                layer.traverse(&visit)?;
            }
        }
        Ok(())
    }
}
