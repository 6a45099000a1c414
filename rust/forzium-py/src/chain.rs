//! What Python calls: the middleware of an application, one link inside the other, around its routes.
//!
//! A chain is a list of links, the outermost first, and what they enclose: an application's routes, or an ASGI
//! application. Between two links of forzium's own nothing is called and no coroutine made: a request goes in through
//! `Link::enter` one after the other, and its response out through the layers they have left (`middleware`). A
//! middleware of somebody else's ends a chain; what it encloses is a chain again, which it calls as it would call any
//! ASGI application. So the order is the one that was declared.
//!
//! `run` is where a link stands that encloses the rest instead of only looking at what passes: it is given the chain
//! and its place, and carries out what is inside with `apart(|| run(connection, chain, place + 1))`.

use std::rc::Rc;

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use crate::awaitable::{Awaitable, Held, apart, guard, wait};
use crate::connection::Connection;
use crate::middleware::{BodyLimit, Entry, Link, Outlet};
use crate::route::Table;
use crate::router::Dispatcher;
use crate::{failure, http, interned, send};

/// An application's routes inside of its exception handlers: what its middleware encloses.
#[pyclass(module = "forzium._forzium", frozen)]
pub struct Routes {
    router: Py<PyAny>,
    dispatcher: Py<Dispatcher>,
    /// `(exception_handlers, status_handlers)`.
    handlers: Py<PyTuple>,
    /// The same as an ASGI application in Python: for requests that telemetry watches.
    watched: Option<Py<PyAny>>,
}

#[pymethods]
impl Routes {
    #[new]
    fn new(
        router: Py<PyAny>,
        dispatcher: Py<Dispatcher>,
        handlers: Py<PyTuple>,
        watched: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        Ok(Self { router, dispatcher, handlers, watched })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.router)?;
        visit.call(&self.dispatcher)?;
        visit.call(&self.handlers)?;
        visit.call(&self.watched)
    }
}

impl Routes {
    /// The ASGI application to call instead, for a request that telemetry watches.
    fn instead(&self, connection: &Connection) -> PyResult<Option<&Py<PyAny>>> {
        let py = connection.py();
        match &self.watched {
            Some(watched) if connection.scope().contains(interned::telemetry(py))? => Ok(Some(watched)),
            _ => Ok(None),
        }
    }

    /// The table of routes, kept for the length of the request; the scope gets the exception handlers.
    #[inline(never)]
    fn ready<'c>(&self, connection: &'c Connection) -> PyResult<PyResult<&'c Table>> {
        let py = connection.py();
        failure::set_handlers(connection, self.handlers.bind(py))?;
        Ok(self.dispatcher.get().table(py).and_then(|table| connection.table.hold(table)))
    }
}

enum End {
    Routes(Py<Routes>),
    Asgi(Py<PyAny>),
}

/// Middleware around an application, as an ASGI application.
#[pyclass(module = "forzium._forzium", frozen)]
pub struct Chain {
    links: Vec<Link>,
    end: End,
}

/// Carries out the links from `from` on, and what they enclose.
pub async fn run(connection: &Connection, chain: &Chain, from: usize) -> PyResult<()> {
    for (place, link) in chain.links.iter().enumerate().skip(from) {
        let reply = match link.enter(connection)? {
            Entry::Passed => continue,
            Entry::Answered(reply) => Some(reply),
            Entry::Asks => apart(|| link.ask(connection)).await?,
            Entry::Encloses(link) => return apart(|| limited(connection, chain, place, link.get())).await,
        };
        if let Some(reply) = reply {
            return apart(|| send::reply(connection, reply)).await;
        }
    }
    match &chain.end {
        End::Routes(routes) => {
            let routes = routes.get();
            match routes.instead(connection)? {
                Some(app) => apart(|| called(connection, app)).await,
                None => http::handled(connection, &routes.router, routes.ready(connection)?).await,
            }
        }
        End::Asgi(app) => apart(|| called(connection, app)).await,
    }
}

/// Carries out what a limit of the body encloses.
async fn limited(connection: &Connection, chain: &Chain, place: usize, limit: &BodyLimit) -> PyResult<()> {
    let (limited, before) = limit.enter(connection)?;
    let result = guard(apart(|| run(connection, chain, place + 1))).await;
    match limit.leave(connection, limited, before, result)? {
        Some(reply) => send::reply(connection, reply).await,
        None => Ok(()),
    }
}

/// Calls an ASGI application.
async fn called(connection: &Connection, app: &Py<PyAny>) -> PyResult<()> {
    let py = connection.py();
    let send: Bound<'_, PyAny> = if connection.websocket || Outlet::of(connection).is_some() {
        connection.send().clone()
    } else {
        send::sender(connection)?.into_any()
    };
    let waiting = app.bind(py).call1((connection.scope(), connection.receive(), send))?;
    wait(connection.channel(), waiting).await?;
    Ok(())
}

/// The whole of a request to an application: its middleware, and the 500 around that.
pub async fn application(
    connection: &Connection,
    chain: &Chain,
    router: &Py<PyAny>,
    errors: &Py<PyAny>,
) -> PyResult<()> {
    match guard(run(connection, chain, 0)).await {
        Ok(()) => Ok(()),
        Err(error) => apart(|| http::unhandled(connection, error, router, errors)).await,
    }
}

impl Chain {
    /// The ASGI application inside, where it encloses one.
    pub fn app_inside(&self) -> Option<&Py<PyAny>> {
        match &self.end {
            End::Routes(_) => None,
            End::Asgi(app) => Some(app),
        }
    }

    /// The router inside, where it encloses routes: all that a lifespan concerns.
    pub fn router<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        match &self.end {
            End::Routes(routes) => Some(routes.get().router.bind(py).clone()),
            End::Asgi(_) => None,
        }
    }
}

#[pymethods]
impl Chain {
    /// `links`: the outermost first; `end`: `Routes` or an ASGI application.
    #[new]
    fn new(links: &Bound<'_, PyAny>, end: Bound<'_, PyAny>) -> PyResult<Self> {
        let links = links.try_iter()?.map(|link| Link::read(&link?)).collect::<PyResult<_>>()?;
        let end = match end.cast_into::<Routes>() {
            Ok(routes) => End::Routes(routes.unbind()),
            Err(error) => End::Asgi(error.into_inner().unbind()),
        };
        Ok(Self { links, end })
    }

    /// The ASGI application inside; None: the routes.
    #[getter]
    fn app(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.app_inside().map(|app| app.clone_ref(py))
    }

    fn __call__<'py>(
        slf: &Bound<'py, Self>,
        scope: Bound<'py, PyAny>,
        receive: Bound<'py, PyAny>,
        send: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let kind = scope.get_item(interned::r#type(py))?;
        let kind = kind.cast::<PyString>().ok().map(|kind| kind.to_string_lossy());
        let websocket = match kind.as_deref() {
            Some("http") => false,
            Some("websocket") => true,
            _ => {
                return match &slf.get().end {
                    End::Asgi(app) => app.bind(py).call1((scope, receive, send)),
                    End::Routes(routes) => routes.get().dispatcher.bind(py).call1((scope, receive, send)),
                };
            }
        };
        let scope = scope.cast_into::<PyDict>()?;
        let connection = Rc::new(Connection::new(scope, receive, send, websocket).inside_middleware());
        let machine = Rc::clone(&connection);
        connection.origin.set(slf.clone().into_any());
        let awaitable = Awaitable::new(
            connection,
            Box::pin(async move {
                let py = machine.py();
                run(&machine, machine.origin.held::<Chain>(py)?, 0).await?;
                Ok(py.None())
            }),
        );
        Ok(Bound::new(py, awaitable)?.into_any())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        for link in &self.links {
            link.traverse(&visit)?;
        }
        match &self.end {
            End::Routes(routes) => visit.call(routes),
            End::Asgi(app) => visit.call(app),
        }
    }
}
