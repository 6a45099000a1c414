//! What Python calls: the middleware of an application, one link inside the other, around its routes.
//!
//! A chain is a list of links, the outermost first, and what they enclose: an application's routes, or an ASGI
//! application. Between two links of forzium's own nothing is called and no coroutine made: a request goes in through
//! `Link::enter` one after the other, and its response out through the layers they have left (`middleware`). A
//! middleware of somebody else's ends a chain; what it encloses is a chain again, which it calls as it would call any
//! ASGI application. So the order is the one that was declared.
//!
//! A link that encloses the rest instead of only looking at what passes, as a limit of the body does, is entered in its
//! turn and left in `leave`, the innermost first.

use std::rc::Rc;

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use crate::awaitable::{Awaitable, Held, apart, guard, wait};
use crate::connection::Connection;
use crate::middleware::{BodyLimit, Entry, Limited, Link, Outlet};
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
        match &self.watched {
            Some(watched) if connection.is_watched()? => Ok(Some(watched)),
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

/// Carries out the links of a chain, and what they enclose.
pub async fn run(connection: &Connection, chain: &Chain) -> PyResult<()> {
    let mut limits = Vec::new();
    let done = guard(inside(connection, chain, &mut limits)).await;
    if limits.is_empty() {
        return done;
    }
    let rest = apart(|| leave(connection, limits, done));
    rest.await
}

/// A limit of the body that is in force, and what it needs to be left.
type Entered<'c> = (&'c BodyLimit, Limited<'c>, Option<Bound<'c, PyAny>>);

/// Everything that limits of the body enclose; they are entered on the way.
///
/// What would have to be kept while something is awaited is moved into that before: a request's machine is one piece of
/// memory, and a large one is allocated slowly.
async fn inside<'c>(connection: &'c Connection, chain: &'c Chain, limits: &mut Vec<Entered<'c>>) -> PyResult<()> {
    let mut from = 0;
    while let Some(stop) = chain.enter(connection, from, limits)? {
        from = stop.0 + 1;
        let asked = apart(|| stopped(connection, chain, stop));
        if let Stopped::Done = asked.await? {
            return Ok(());
        }
    }
    let routes = match chain.end(connection)? {
        Ok(routes) => routes,
        Err(app) => {
            let called = apart(|| called(connection, app));
            return called.await;
        }
    };
    let table = match routes.ready(connection)? {
        Ok(table) => table,
        Err(error) => {
            // A declaration that came late and is wrong: an error of the application, answered as one.
            let rescued = apart(|| http::rescue(connection, error));
            return rescued.await;
        }
    };
    let rescued = match guard(http::dispatch(connection, &routes.router, table, true)).await {
        Ok(None) => return Ok(()),
        Ok(Some(written)) => return written.send(connection).await,
        Err(error) => apart(|| http::rescue(connection, error)),
    };
    rescued.await
}

/// Leaves limits of the body, the innermost first.
async fn leave(connection: &Connection, limits: Vec<Entered<'_>>, done: PyResult<()>) -> PyResult<()> {
    let mut done = done;
    for (limit, limited, before) in limits.into_iter().rev() {
        done = http::leave(connection, limit, limited, before, done).await;
    }
    done
}

/// What became of a request at a link that did not let it pass at once.
enum Stopped {
    Goes,
    Done,
}

/// Does what a link wants that does not let a request pass at once.
async fn stopped(connection: &Connection, chain: &Chain, (place, entry): (usize, Entry<'_>)) -> PyResult<Stopped> {
    let reply = match (entry, chain.links.get(place)) {
        (Entry::Answered(reply), _) => Some(reply),
        (Entry::Asks, Some(link)) => link.ask(connection).await?,
        (Entry::Passed | Entry::Asks | Entry::Encloses(_), _) => None,
    };
    let Some(reply) = reply else { return Ok(Stopped::Goes) };
    send::reply(connection, reply).await?;
    Ok(Stopped::Done)
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
    let answered = match run(connection, chain).await {
        Ok(()) => return Ok(()),
        Err(error) => apart(|| http::unhandled(connection, error, router, errors)),
    };
    answered.await
}

impl Chain {
    /// Enters the links from `from` on; the first one that does not let the request pass, and what it wants.
    fn enter<'c>(
        &'c self,
        connection: &'c Connection,
        from: usize,
        limits: &mut Vec<Entered<'c>>,
    ) -> PyResult<Option<(usize, Entry<'c>)>> {
        for (place, link) in self.links.iter().enumerate().skip(from) {
            match link.enter(connection)? {
                Entry::Passed => {}
                Entry::Encloses(limit) => {
                    let (limited, before) = limit.get().enter(connection)?;
                    limits.push((limit.get(), limited, before));
                }
                entry => return Ok(Some((place, entry))),
            }
        }
        Ok(None)
    }

    /// What is inside: routes, or an ASGI application in Python.
    fn end(&self, connection: &Connection) -> PyResult<Result<&Routes, &Py<PyAny>>> {
        Ok(match &self.end {
            End::Routes(routes) => match routes.get().instead(connection)? {
                Some(app) => Err(app),
                None => Ok(routes.get()),
            },
            End::Asgi(app) => Err(app),
        })
    }

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
                run(&machine, machine.origin.held::<Chain>(py)?).await?;
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
