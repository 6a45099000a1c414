//! Where the responses of a request go: through the layers that its links have left, to the host's `send`.
//!
//! An [`Outlet`] stands in the place of `send`. The core gives it whole responses ([`whole`]), everything else calls it
//! with ASGI messages; both ways change a response by the same rules, the innermost layer first.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

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
        let outlet =
            connection.outlet_or(|send| Ok(Py::new(py, Self::over(send.clone().unbind(), Vec::new()))?.into_any()))?;
        outlet.cast::<Self>()?.get().layers.0.borrow_mut().push(layer);
        Ok(())
    }

    /// The outlet of a connection, if it has one.
    pub fn of(connection: &Connection) -> Option<&Self> {
        connection.outlet().and_then(|outlet| outlet.cast::<Self>().ok()).map(Bound::get)
    }

    /// How many layers there are.
    pub(super) fn depth(&self) -> usize {
        self.layers.0.borrow().len()
    }

    /// Takes away the layers inside of the outermost `depth`: what is sent from now on comes from outside of them.
    pub(super) fn cut(&self, depth: usize) {
        let inside = {
            let mut layers = self.layers.0.borrow_mut();
            if depth < layers.len() { layers.split_off(depth) } else { Vec::new() }
        };
        drop(inside);
    }

    /// Whether the start of a response has reached the host.
    pub fn has_left(&self) -> bool {
        self.left.0.get()
    }

    /// Notes that the start of a response is being given to the host.
    pub fn leaves(&self) {
        self.left.0.set(true);
    }

    /// An outlet with these layers.
    pub(super) fn over(send: Py<PyAny>, layers: Vec<Layer>) -> Self {
        Self { send, layers: Shared(RefCell::new(layers)), left: Shared(Cell::new(false)) }
    }

    /// Takes messages through the layers until one reaches the host, or its body is being coded.
    fn step<'py>(&self, py: Python<'py>, queue: &RefCell<Queue>) -> PyResult<Option<Next<'py>>> {
        loop {
            let Some((inside, message)) = queue.borrow_mut().pop_front() else { return Ok(None) };
            let message = message.into_bound(py);
            let Some(at) = inside.checked_sub(1) else {
                if is_start(&message)? {
                    self.leaves();
                }
                return self.send.bind(py).call1((message,)).map(|waiting| Some(Next::Sent(waiting)));
            };
            let passing = match self.layers.0.borrow().get(at) {
                Some(layer) => layer.message(&message)?,
                None => Passing::On,
            };
            if let Some(waiting) = pass(queue, at, message, passing) {
                return Ok(Some(Next::Coding(waiting)));
            }
        }
    }

    /// Goes on with the message whose body has been coded, the first of the queue.
    fn coded(&self, py: Python<'_>, queue: &RefCell<Queue>, coded: &Py<PyAny>) -> PyResult<()> {
        let Some((inside, message)) = queue.borrow_mut().pop_front() else { return Ok(()) };
        let (at, message) = (inside.saturating_sub(1), message.into_bound(py));
        let passing = match self.layers.0.borrow().get(at) {
            Some(layer) => layer.finish(&message, coded.bind(py))?,
            None => Passing::On,
        };
        pass(queue, at, message, passing);
        Ok(())
    }
}

/// Messages on their way, each with the number of layers that it has still to pass.
type Queue = VecDeque<(usize, Py<PyDict>)>;

/// What has to be waited for before messages go on.
enum Next<'py> {
    /// The host takes a message.
    Sent(Bound<'py, PyAny>),
    /// The body of the first message of the queue is being coded.
    Coding(Bound<'py, PyAny>),
}

impl Next<'_> {
    fn is_coding(&self) -> bool {
        matches!(self, Self::Coding(_))
    }
}

/// What becomes of a message in a layer.
pub(super) enum Passing<'py> {
    /// It goes on.
    On,
    /// It is kept for later.
    Kept,
    /// It goes on after another one, which was kept.
    After(Bound<'py, PyDict>),
    /// It goes on when this has been waited for.
    Coding(Bound<'py, PyAny>),
}

/// What becomes of the body of a whole response in a layer.
pub(super) enum Changed<'py> {
    Nothing,
    /// There is another one.
    Body(Bound<'py, PyAny>),
    /// It will be what this gives.
    Coding(Bound<'py, PyAny>),
}

/// Queues what a layer lets pass; what has to be waited for before.
fn pass<'py>(
    queue: &RefCell<Queue>,
    at: usize,
    message: Bound<'py, PyDict>,
    passing: Passing<'py>,
) -> Option<Bound<'py, PyAny>> {
    let mut queue = queue.borrow_mut();
    match passing {
        Passing::Kept => {}
        Passing::On => queue.push_front((at, message.unbind())),
        Passing::After(earlier) => {
            queue.push_front((at, message.unbind()));
            queue.push_front((at, earlier.unbind()));
        }
        Passing::Coding(waiting) => {
            queue.push_front((at + 1, message.unbind()));
            return Some(waiting);
        }
    }
    None
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

/// The headers of a message that `start` has seen.
pub(super) fn headers_of<'py>(message: &Bound<'py, PyDict>) -> PyResult<Headers<'py>> {
    match message.get_item(interned::headers(message.py()))? {
        Some(headers) => Ok(Headers::of(headers.cast_into::<PyList>()?)),
        None => Ok(Headers::of(PyList::empty(message.py()))),
    }
}

/// A response that is known as a whole, as it leaves the outermost layer.
///
/// *When cancelled here*: nothing of the response has been sent.
pub async fn whole<'c>(
    connection: &'c Connection,
    outlet: &'c Outlet,
    status: u16,
    headers: &Bound<'c, PyAny>,
    body: &Bound<'c, PyAny>,
) -> PyResult<(Bound<'c, PyAny>, Bound<'c, PyAny>)> {
    let headers = Headers::copy(headers)?;
    let mut body = body.clone();
    let mut inside = outlet.layers.0.borrow().len();
    while let Some(waiting) = outlet.change(connection.py(), &mut inside, status, &headers, &mut body)? {
        let coded = wait(connection.channel(), waiting).await?.into_bound(connection.py());
        if let Some(layer) = outlet.layers.0.borrow().get(inside) {
            layer.describe_whole(&headers, &coded)?;
        }
        body = coded;
    }
    Ok((headers.into_list().into_any(), body))
}

impl Outlet {
    /// Changes a whole response in one layer after the other; what has to be waited for before it goes on.
    #[inline(never)]
    fn change<'py>(
        &self,
        py: Python<'py>,
        inside: &mut usize,
        status: u16,
        headers: &Headers<'py>,
        body: &mut Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        while let Some(at) = inside.checked_sub(1) {
            *inside = at;
            let layers = self.layers.0.borrow();
            let Some(layer) = layers.get(at) else { continue };
            match layer.whole(py, status, headers, body)? {
                Changed::Nothing => {}
                Changed::Body(coded) => {
                    layer.describe_whole(headers, &coded)?;
                    *body = coded;
                }
                Changed::Coding(waiting) => return Ok(Some(waiting)),
            }
        }
        Ok(None)
    }
}

/// Messages on their way that have to be waited for.
struct Passage {
    channel: Channel,
    outlet: Py<Outlet>,
    queue: RefCell<Queue>,
    /// What to wait for first, and whether it gives a coded body.
    first: RefCell<Option<(Py<PyAny>, bool)>>,
}

impl Held for Passage {
    fn channel(&self) -> &Channel {
        &self.channel
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.outlet)?;
        if let Ok(first) = self.first.try_borrow() {
            visit.call(first.as_ref().map(|(first, _)| first))?;
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
            && let Some(Next::Sent(first)) = first
        {
            return Ok(first);
        }
        let first = first.map(|next| {
            let is_coding = next.is_coding();
            let (Next::Sent(waiting) | Next::Coding(waiting)) = next;
            (waiting.unbind(), is_coding)
        });
        let passage = Rc::new(Passage {
            channel: Channel::default(),
            outlet: slf.clone().unbind(),
            queue,
            first: RefCell::new(first),
        });
        let machine = Rc::clone(&passage);
        let awaitable = Awaitable::new(
            passage,
            Box::pin(async move {
                let py = attached(&machine.channel);
                let outlet = machine.outlet.get();
                let first = machine.first.borrow_mut().take();
                let mut next = first.map(|(waiting, is_coding)| match is_coding {
                    true => Next::Coding(waiting.into_bound(py)),
                    false => Next::Sent(waiting.into_bound(py)),
                });
                while let Some(step) = next {
                    let is_coding = step.is_coding();
                    let (Next::Sent(waiting) | Next::Coding(waiting)) = step;
                    let given = wait(&machine.channel, waiting).await?;
                    if is_coding {
                        outlet.coded(py, &machine.queue, &given)?;
                    }
                    next = outlet.step(py, &machine.queue)?;
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
