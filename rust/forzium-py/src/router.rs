//! A router as Python calls it, and the count of declarations by which what was compiled is known to be stale.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::awaitable::{Awaitable, Held, Shared, wait};
use crate::connection::Connection;
use crate::route::Table;
use crate::scope::{self, Kind};
use crate::{http, imports, interned};

/// Counts declarations. What was compiled at an earlier count is looked at again.
///
/// One clock for the process: it says only *that* something was declared somewhere, and compiling decides what of it
/// concerns an application.
static DECLARED: AtomicU64 = AtomicU64::new(1);

/// Says that a declaration has changed: a route was added, a router included.
#[pyfunction]
pub fn declared() {
    DECLARED.fetch_add(1, Ordering::Relaxed);
}

/// The count of declarations so far.
pub fn clock() -> u64 {
    DECLARED.load(Ordering::Relaxed)
}

/// Startup and shutdown, as the lifespan context of the router says that is the connection's origin.
pub async fn lifespan(connection: &Connection) -> PyResult<Py<PyAny>> {
    let py = connection.py();
    let arguments = (connection.scope(), connection.receive(), connection.send());
    let waiting = connection.origin.object(py)?.call_method1(interned::lifespan(py), arguments)?;
    wait(connection.channel(), waiting).await
}

/// A router's ASGI callable: routing and all that follows, without an application's exception handlers.
#[pyclass(module = "forzium._forzium", weakref, frozen)]
pub struct Dispatcher {
    router: Py<PyAny>,
    table: Shared<RefCell<Option<Seen>>>,
}

/// A table, and the count of declarations at which it was compiled.
type Seen = (u64, Py<Table>);

impl Dispatcher {
    /// The table of the router's routes, compiled anew if a declaration has changed.
    pub fn table<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Table>> {
        let clock = clock();
        let before = match self.table.0.borrow().as_ref() {
            Some((seen, table)) if *seen == clock => return Ok(table.bind(py).clone()),
            Some((_, table)) => Some(table.clone_ref(py)),
            None => None,
        };
        let table = imports::compile_router(py)?.call1((&self.router, before))?.cast_into::<Table>()?;
        let before = self.table.0.replace(Some((clock, table.clone().unbind())));
        drop(before);
        Ok(table)
    }
}

#[pymethods]
impl Dispatcher {
    #[new]
    fn new(router: Py<PyAny>) -> Self {
        Self { router, table: Shared(RefCell::new(None)) }
    }

    fn __call__<'py>(
        slf: &Bound<'py, Self>,
        scope: Bound<'py, PyAny>,
        receive: Bound<'py, PyAny>,
        send: Bound<'py, PyAny>,
    ) -> PyResult<Awaitable> {
        let py = slf.py();
        let kind = scope::kind(scope::dict(&scope)?)?;
        let scope = scope.cast_into::<PyDict>()?;
        let connection = Rc::new(Connection::new(scope, receive, send, kind == Kind::WebSocket).inside_middleware());
        let machine = Rc::clone(&connection);
        if kind == Kind::Lifespan {
            let router = slf.get().router.bind(py);
            if !connection.scope().contains(interned::router(py))? {
                connection.scope().set_item(interned::router(py), router)?;
            }
            connection.origin.set(router.clone());
            return Ok(Awaitable::new(connection, Box::pin(async move { lifespan(&machine).await })));
        }
        connection.table.hold(slf.get().table(py)?)?;
        connection.origin.set(slf.clone().into_any());
        Ok(Awaitable::new(
            connection,
            Box::pin(async move {
                let py = machine.py();
                let dispatcher = machine.origin.held::<Dispatcher>(py)?;
                http::dispatch(&machine, &dispatcher.router, machine.table.held(py)?, false).await?;
                Ok(py.None())
            }),
        ))
    }

    /// The compiled table, for tools.
    #[getter(table)]
    fn table_<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Table>> {
        self.table(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.router)?;
        if let Ok(table) = self.table.0.try_borrow()
            && let Some((_, table)) = table.as_ref()
        {
            visit.call(table)?;
        }
        Ok(())
    }
}
