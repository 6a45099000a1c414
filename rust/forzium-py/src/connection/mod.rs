//! Foundation: one connection as the stages see it.
//!
//! A stage reads the request through this and not through the ASGI dict, so that another transport can feed the same
//! plan later. It also keeps what a request owns in Python while its machine waits ([`vault`]), and the `Request` object
//! once somebody asked for it.
//!
//! Not here: reading the ASGI dict for the first time (stage `scope`), matching, validating.

mod vault;

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

use forzium_core::{cookie, urlencoded};
use pyo3::PyTraverseError;
use pyo3::exceptions::{PyKeyError, PyRuntimeError, PyTypeError};
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::pyclass::PyClass;
use pyo3::pyclass::boolean_struct::True;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

pub use self::vault::{Exit, Form, Kept, Lifetime, Shield, Vault};
use crate::awaitable::{Channel, Held, attached};
use crate::{imports, interned};

/// An object that the machine was made with and works by, kept where the garbage collector sees it.
#[derive(Default)]
pub struct Anchor(OnceCell<Py<PyAny>>);

impl Anchor {
    /// Keeps the object for as long as the connection lives. The first one stays.
    pub fn hold<'c, T>(&'c self, object: Bound<'c, T>) -> PyResult<&'c T>
    where
        T: PyClass<Frozen = True> + Sync,
    {
        let py = object.py();
        self.set(object.into_any());
        self.held(py)
    }

    /// The same for any object.
    pub fn set(&self, object: Bound<'_, PyAny>) {
        self.0.get_or_init(|| object.unbind());
    }

    /// The object, as what it is.
    ///
    /// Errors: `RuntimeError` where there is none, which is a defect of this crate.
    pub fn held<'c, T>(&'c self, py: Python<'c>) -> PyResult<&'c T>
    where
        T: PyClass<Frozen = True> + Sync,
    {
        Ok(self.object(py)?.cast::<T>()?.get())
    }

    /// The object, whatever it is.
    ///
    /// Errors: as `held`.
    pub fn object<'c>(&'c self, py: Python<'c>) -> PyResult<&'c Bound<'c, PyAny>> {
        self.0
            .get()
            .map(|kept| kept.bind(py))
            .ok_or_else(|| PyRuntimeError::new_err("forzium: what a connection works by was lost; please report this"))
    }
}

/// Whether a response has started.
#[derive(Default)]
pub struct Started {
    here: Cell<bool>,
    /// The same as a `send` knows it that was given away.
    elsewhere: OnceCell<Rc<Cell<bool>>>,
}

impl Started {
    pub fn get(&self) -> bool {
        self.here.get() || self.elsewhere.get().is_some_and(|elsewhere| elsewhere.get())
    }

    pub fn set(&self) {
        self.here.set(true);
        if let Some(elsewhere) = self.elsewhere.get() {
            elsewhere.set(true);
        }
    }

    /// What a `send` that is given away notes it in.
    pub fn shared(&self) -> Rc<Cell<bool>> {
        Rc::clone(self.elsewhere.get_or_init(|| Rc::new(Cell::new(self.here.get()))))
    }
}

/// What is to be done at some point of a machine's way.
pub type Hook = fn(&Connection) -> PyResult<()>;

/// One HTTP request or WebSocket connection.
pub struct Connection {
    channel: Channel,
    scope: Py<PyDict>,
    receive: Py<PyAny>,
    send: Py<PyAny>,
    /// What stands in the place of `receive`, where middleware counts what is received.
    intake: OnceCell<Py<PyAny>>,
    /// Whether nothing stands there any more.
    intake_ended: Cell<bool>,
    /// What stands in the place of `send`, where middleware changes responses.
    outlet: OnceCell<Py<PyAny>>,
    /// Whether this is a WebSocket.
    pub websocket: bool,
    /// Whether middleware may be around it that wants to know when nothing follows a response.
    pub enclosed: bool,
    /// Whether `http.response.start` has been sent.
    pub started: Started,
    /// Whether telemetry watches it, once somebody has asked.
    watched: OnceCell<bool>,
    /// What serves the connection: the compiled application, a router's dispatcher, or an ASGI application in Python.
    pub origin: Anchor,
    /// The table of routes that was current when the request came.
    pub table: Anchor,
    /// The plan being carried out.
    pub plan: Anchor,
    /// Called the next time that the machine waits.
    pub on_wait: Cell<Option<Hook>>,
    /// Called when it has ended.
    pub on_end: Cell<Option<Hook>>,
    /// Who listens for the client's leaving.
    watch: OnceCell<Py<PyAny>>,
    /// The `receive` of those who ask for messages meanwhile.
    inbox: OnceCell<Py<PyAny>>,
    /// Whether the request is in a worker thread.
    pub occupied: Cell<bool>,
    /// Whether it was cut short because the client has left: nobody is to be answered.
    pub left: Cell<bool>,
    /// The Python `Request` or `WebSocket`.
    request: RefCell<Option<Py<PyAny>>>,
    pub vault: RefCell<Vault>,
}

impl Connection {
    pub fn new(scope: Bound<'_, PyDict>, receive: Bound<'_, PyAny>, send: Bound<'_, PyAny>, websocket: bool) -> Self {
        Self {
            websocket,
            enclosed: false,
            channel: Channel::default(),
            scope: scope.unbind(),
            receive: receive.unbind(),
            send: send.unbind(),
            intake: OnceCell::new(),
            intake_ended: Cell::new(false),
            outlet: OnceCell::new(),
            started: Started::default(),
            watched: OnceCell::new(),
            origin: Anchor::default(),
            table: Anchor::default(),
            plan: Anchor::default(),
            on_wait: Cell::new(None),
            on_end: Cell::new(None),
            watch: OnceCell::new(),
            inbox: OnceCell::new(),
            occupied: Cell::new(false),
            left: Cell::new(false),
            request: RefCell::new(None),
            vault: RefCell::new(Vault::default()),
        }
    }

    /// The same, for a router that middleware may enclose.
    pub fn inside_middleware(self) -> Self {
        Self { enclosed: true, ..self }
    }

    /// A connection around a `Request` or `WebSocket` that Python code made.
    pub fn around(request: Bound<'_, PyAny>, websocket: bool) -> PyResult<Self> {
        let scope = request.getattr("scope")?.cast_into::<PyDict>()?;
        let receive = request.getattr("_receive")?;
        let send = request.getattr("_send")?;
        let connection = Self::new(scope, receive, send, websocket);
        *connection.request.borrow_mut() = Some(request.unbind());
        Ok(connection)
    }

    /// Keeps an object across a wait.
    pub fn keep(&self, object: Bound<'_, PyAny>) -> Kept<'_> {
        Kept::new(self, object)
    }

    /// Keeps an exception across a wait.
    pub fn keep_error(&self, error: PyErr) -> Kept<'_> {
        self.keep(error.into_value(self.py()).into_bound(self.py()).into_any())
    }

    /// The interpreter, inside the machine of this connection.
    #[inline]
    pub fn py(&self) -> Python<'_> {
        attached(&self.channel)
    }

    pub fn scope(&self) -> &Bound<'_, PyDict> {
        self.scope.bind(self.py())
    }

    /// Whether telemetry watches the connection: then its functions stand where FastAPI's own do.
    pub fn is_watched(&self) -> PyResult<bool> {
        if let Some(watched) = self.watched.get() {
            return Ok(*watched);
        }
        let watched = self.scope().contains(interned::telemetry(self.py()))?;
        Ok(*self.watched.get_or_init(|| watched))
    }

    /// Where messages come from: the host, the middleware that counts them, or the watch once there is one.
    pub fn receive(&self) -> &Bound<'_, PyAny> {
        let py = self.py();
        let receive = self.intake.get().filter(|_| !self.intake_ended.get()).unwrap_or(&self.receive);
        let Some(watch) = self.watch.get() else { return receive.bind(py) };
        if let Some(inbox) = self.inbox.get() {
            return inbox.bind(py);
        }
        match watch.getattr(py, pyo3::intern!(py, "receive")) {
            Ok(inbox) => self.inbox.get_or_init(|| inbox).bind(py),
            Err(_) => receive.bind(py),
        }
    }

    /// Lets messages come from `intake` from now on. The first one stays.
    pub fn set_intake(&self, intake: Bound<'_, PyAny>) {
        self.intake.get_or_init(|| intake.unbind());
    }

    /// Lets messages come from the host again: what counted them has been left.
    pub fn end_intake(&self) {
        self.intake_ended.set(true);
    }

    /// Who listens for the client's leaving.
    pub fn watch(&self) -> Option<&Bound<'_, PyAny>> {
        self.watch.get().map(|watch| watch.bind(self.py()))
    }

    /// Lets `watch` listen, and messages be had from it from now on. The first one stays.
    pub fn set_watch(&self, watch: Bound<'_, PyAny>) {
        self.watch.get_or_init(|| watch.unbind());
    }

    /// Where responses go: through the middleware that changes them, if there is any.
    pub fn send(&self) -> &Bound<'_, PyAny> {
        self.outlet.get().unwrap_or(&self.send).bind(self.py())
    }

    /// The `send` that the connection was made with: nothing of its own middleware is in the way.
    pub fn host_send(&self) -> &Bound<'_, PyAny> {
        self.send.bind(self.py())
    }

    /// What stands in the place of `send`, if anything does.
    pub fn outlet(&self) -> Option<&Bound<'_, PyAny>> {
        self.outlet.get().map(|outlet| outlet.bind(self.py()))
    }

    /// The same, made when first asked for.
    pub fn outlet_or(
        &self,
        make: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<Py<PyAny>>,
    ) -> PyResult<&Bound<'_, PyAny>> {
        if self.outlet.get().is_none() {
            let made = make(self.host_send())?;
            self.outlet.get_or_init(|| made);
        }
        Ok(self.send())
    }

    /// The Python `Request`, made when first asked for.
    pub fn request(&self) -> PyResult<Bound<'_, PyAny>> {
        self.request_of(imports::request(self.py())?)
    }

    /// The Python `WebSocket`, made when first asked for.
    pub fn websocket(&self) -> PyResult<Bound<'_, PyAny>> {
        self.request_of(imports::websocket(self.py())?)
    }

    fn request_of<'c>(&'c self, class: &Bound<'c, PyAny>) -> PyResult<Bound<'c, PyAny>> {
        let py = self.py();
        if let Some(request) = self.request.borrow().as_ref() {
            return Ok(request.bind(py).clone());
        }
        let request = class.call1((self.scope(), self.receive(), self.send()))?;
        if let Some(body) = &self.vault.borrow().raw_body {
            request.setattr(interned::validated_body(py), body)?;
        }
        let form = self.vault.borrow().form.as_ref().map(|form| form.consumed);
        if let Some(consumed) = form {
            request.setattr(interned::form(py), self.body()?)?;
            request.setattr(interned::stream_consumed(py), consumed)?;
        }
        *self.request.borrow_mut() = Some(request.clone().unbind());
        Ok(request)
    }

    /// Keeps the bytes of the body for a `Request` that is made later: it can be read only once.
    pub fn set_raw_body(&self, body: Bound<'_, PyBytes>) {
        self.vault.borrow_mut().raw_body = Some(body.into_any().unbind());
    }

    /// The body as Python code knows it, if there is one: a form becomes a `FormData`, always the same.
    pub fn body(&self) -> PyResult<Option<Bound<'_, PyAny>>> {
        let py = self.py();
        let items = {
            let vault = self.vault.borrow();
            match (&vault.body, &vault.form) {
                (Some(body), _) => return Ok(Some(body.bind(py).clone())),
                (None, None) => return Ok(None),
                (None, Some(form)) => PyList::new(py, form.items.iter().map(|(name, value)| (name, value)))?,
            }
        };
        let data = imports::form_data(py)?.call1((items,))?;
        self.vault.borrow_mut().body = Some(data.clone().unbind());
        Ok(Some(data))
    }

    /// The Python `Request` or `WebSocket`, if somebody has asked for it.
    pub fn existing_request(&self) -> Option<Bound<'_, PyAny>> {
        self.request.borrow().as_ref().map(|request| request.bind(self.py()).clone())
    }

    /// A value of the scope that the ASGI specification requires.
    ///
    /// Errors: `KeyError` naming the key.
    pub fn required<'c>(&'c self, key: &Bound<'c, PyString>) -> PyResult<Bound<'c, PyAny>> {
        self.scope()
            .get_item(key)?
            .ok_or_else(|| PyKeyError::new_err(format!("ASGI scope: the key '{key}' is missing")))
    }

    /// The value of a path parameter, converted by its convertor.
    pub fn path_param<'c>(&'c self, name: &Bound<'c, PyString>) -> PyResult<Option<Bound<'c, PyAny>>> {
        match self.scope().get_item(interned::path_params(self.py()))? {
            Some(params) => params.cast::<PyDict>()?.get_item(name),
            None => Ok(None),
        }
    }

    fn query_string(&self) -> PyResult<Option<Bound<'_, PyBytes>>> {
        match self.scope().get_item(interned::query_string(self.py()))? {
            None => Ok(None),
            Some(query) => query.cast_into::<PyBytes>().map(Some).map_err(|error| {
                let found = error.into_inner();
                PyTypeError::new_err(format!("ASGI scope: expected 'query_string' to be bytes, but found {found:?}"))
            }),
        }
    }

    /// The last value of a query parameter: where a name comes twice the later one counts.
    pub fn query_param(&self, name: &str) -> PyResult<Option<Bound<'_, PyString>>> {
        let Some(query) = self.query_string()? else {
            return Ok(None);
        };
        let last = urlencoded::pairs(query.as_bytes()).filter(|(found, _)| found == name).last();
        Ok(last.map(|(_, value)| PyString::new(self.py(), &value)))
    }

    /// All values of a query parameter, in order.
    pub fn query_params(&self, name: &str) -> PyResult<Bound<'_, PyList>> {
        let values = PyList::empty(self.py());
        if let Some(query) = self.query_string()? {
            for (_, value) in urlencoded::pairs(query.as_bytes()).filter(|(found, _)| found == name) {
                values.append(value.as_ref())?;
            }
        }
        Ok(values)
    }

    /// Calls `each` with the value of every header of that (lower case) name until it returns false.
    fn headers(&self, name: &[u8], mut each: impl FnMut(&[u8]) -> PyResult<bool>) -> PyResult<()> {
        let py = self.py();
        let headers = self.required(interned::headers(py))?;
        let headers = match headers.cast_into::<PyList>() {
            Ok(headers) => headers,
            Err(error) => {
                // Any iterable of pairs will do for ASGI; it may be one that can be read only once.
                let headers = PyList::empty(py);
                for pair in error.into_inner().try_iter().map_err(not_a_pair)? {
                    headers.append(pair?)?;
                }
                self.scope().set_item(interned::headers(py), &headers)?;
                headers
            }
        };
        for pair in headers.iter() {
            let (key, value) = match pair.cast::<PyTuple>() {
                Ok(pair) if pair.len() == 2 => (pair.get_item(0)?, pair.get_item(1)?),
                _ => (pair.get_item(0).map_err(not_a_pair)?, pair.get_item(1).map_err(not_a_pair)?),
            };
            let (Ok(key), Ok(value)) = (key.cast::<PyBytes>(), value.cast::<PyBytes>()) else {
                return Err(PyTypeError::new_err(
                    "ASGI scope: expected 'headers' to hold pairs of bytes, but found something else",
                ));
            };
            if key.as_bytes() == name && !each(value.as_bytes())? {
                break;
            }
        }
        Ok(())
    }

    /// The first value of a header, as latin-1 text.
    pub fn header(&self, name: &[u8]) -> PyResult<Option<Bound<'_, PyString>>> {
        let mut first = None;
        self.headers(name, |value| {
            first = Some(latin1(self.py(), value));
            Ok(false)
        })?;
        Ok(first)
    }

    /// The first value of a header, given to `read` as bytes.
    pub fn header_bytes<T>(&self, name: &[u8], read: impl Fn(&[u8]) -> T) -> PyResult<Option<T>> {
        let mut first = None;
        self.headers(name, |value| {
            first = Some(read(value));
            Ok(false)
        })?;
        Ok(first)
    }

    /// Calls `each` with every value of a header, in order.
    pub fn each_header(&self, name: &[u8], mut each: impl FnMut(&[u8])) -> PyResult<()> {
        self.headers(name, |value| {
            each(value);
            Ok(true)
        })
    }

    /// All values of a header, in order.
    pub fn headers_all(&self, name: &[u8]) -> PyResult<Bound<'_, PyList>> {
        let values = PyList::empty(self.py());
        self.headers(name, |value| values.append(latin1(self.py(), value)).map(|()| true))?;
        Ok(values)
    }

    /// The value of a cookie: where a name comes twice the later one counts.
    pub fn cookie(&self, name: &str) -> PyResult<Option<Bound<'_, PyString>>> {
        let mut found = None;
        self.headers(b"cookie", |header| {
            let header = text_of_latin1(header);
            if let Some((_, value)) = cookie::pairs(&header).filter(|(key, _)| *key == name).last() {
                found = Some(PyString::new(self.py(), &value));
            }
            Ok(true)
        })?;
        Ok(found)
    }
}

fn not_a_pair(_: PyErr) -> PyErr {
    PyTypeError::new_err("ASGI scope: expected 'headers' to hold pairs of bytes, but found something else")
}

fn text_of_latin1(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => text.into(),
        _ => bytes.iter().copied().map(char::from).collect::<String>().into(),
    }
}

/// Latin-1 text as a Python string.
pub fn latin1<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyString> {
    PyString::new(py, &text_of_latin1(bytes))
}

impl Held for Connection {
    fn channel(&self) -> &Channel {
        &self.channel
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.scope)?;
        visit.call(&self.receive)?;
        visit.call(&self.send)?;
        visit.call(self.intake.get())?;
        visit.call(self.outlet.get())?;
        for Anchor(anchor) in [&self.origin, &self.table, &self.plan] {
            visit.call(anchor.get())?;
        }
        visit.call(self.watch.get())?;
        visit.call(self.inbox.get())?;
        if let Ok(request) = self.request.try_borrow() {
            visit.call(&*request)?;
        }
        if let Ok(vault) = self.vault.try_borrow() {
            vault.traverse(visit)?;
        }
        Ok(())
    }

    #[inline]
    fn is_watched(&self) -> bool {
        self.on_wait.get().is_some()
    }

    #[inline]
    fn waits(&self) -> PyResult<()> {
        self.on_wait.take().map_or(Ok(()), |call| call(self))
    }

    fn clear(&self) {
        self.channel.clear();
        if let Some(call) = self.on_end.take()
            && let Err(error) = call(self)
        {
            error.write_unraisable(self.py(), None);
        }
        let request = self.request.try_borrow_mut().ok().and_then(|mut request| request.take());
        // Dropped here, after the cells are free again: a destructor may run Python code.
        drop(request);
        if self.vault.try_borrow().is_ok_and(|vault| vault.is_empty()) {
            return;
        }
        let vault = self.vault.try_borrow_mut().ok().map(|mut vault| std::mem::take(&mut *vault));
        drop(vault);
    }
}
