//! The objects a host or the Python layer calls: the application, the router, a route's handler.
//!
//! Each makes a connection and a machine and hands back the awaitable; which protocol it is decides `scope["type"]`.

use std::cell::RefCell;
use std::rc::Rc;

use pyo3::PyTraverseError;
use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::awaitable::{Awaitable, Held, Shared, apart, wait};
use crate::chain::{self, Chain};
use crate::connection::{Connection, Exit, Lifetime, Shield};
use crate::plan::{LazyPlan, Plan};
use crate::router::{clock, lifespan};
use crate::scope::{self, Kind};
use crate::serialize::Outgoing;
use crate::{disconnect, http, imports, interned, pipeline, providers, send, solve, tasks};

/// What an application was compiled to.
#[pyclass(module = "forzium._forzium", frozen)]
pub struct Compiled {
    clock: u64,
    /// The ASGI application to call instead, where somebody has put one in the place of the package's own.
    stack: Option<Py<PyAny>>,
    /// Middleware, exception handlers and routes.
    chain: Py<Chain>,
    /// The router that a request finds first, unless the application is mounted in another.
    router: Py<PyAny>,
    /// Answers what no handler does.
    errors: Py<PyAny>,
    /// What `scope["root_path"]` is set to, if the application was given one.
    root_path: Option<Py<PyAny>>,
    /// Whether telemetry may watch the application, and whether it was told to.
    telemetry: Option<bool>,
}

/// The base class of an application: its instances are ASGI 3.0 callables.
#[pyclass(module = "forzium._forzium", subclass, dict, weakref, frozen)]
pub struct AsgiApp {
    compiled: Shared<RefCell<Option<Py<Compiled>>>>,
}

impl AsgiApp {
    fn compiled<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Compiled>> {
        let py = slf.py();
        let clock = clock();
        if let Some(compiled) = slf.get().compiled.0.borrow().as_ref()
            && compiled.get().clock == clock
        {
            return Ok(compiled.bind(py).clone());
        }
        let (stack, chain, errors, root_path, telemetry) = imports::compile_app(py)?.call1((slf,))?.extract()?;
        let router = slf.getattr(interned::router(py))?.unbind();
        let compiled = Bound::new(py, Compiled { clock, stack, chain, router, errors, root_path, telemetry })?;
        let before = slf.get().compiled.0.replace(Some(compiled.clone().unbind()));
        drop(before);
        Ok(compiled)
    }

    fn unwatched<'py>(
        slf: &Bound<'py, Self>,
        compiled: Bound<'py, Compiled>,
        scope: Bound<'py, PyDict>,
        receive: Bound<'py, PyAny>,
        send: Bound<'py, PyAny>,
        kind: Kind,
    ) -> PyResult<Awaitable> {
        let py = slf.py();
        scope.set_item(interned::app(py), slf)?;
        let connection = Rc::new(Connection::new(scope, receive, send, kind == Kind::WebSocket));
        let stack = match &compiled.get().stack {
            // Telemetry follows a request through Python.
            None if compiled.get().telemetry.is_some() && connection.is_watched()? => {
                Some(imports::middleware_stack(py)?.call1((slf,))?)
            }
            stack => stack.as_ref().map(|stack| stack.bind(py).clone()),
        };
        let machine = Rc::clone(&connection);
        // What is owed is seen to when all that encloses the routes is done.
        let keeps_account = kind == Kind::Http && tasks::keep_account(connection.scope())?;
        if let Some(stack) = stack {
            connection.origin.set(stack);
            return Ok(Awaitable::new(
                connection,
                Box::pin(async move {
                    let done = called(&machine).await;
                    if keeps_account {
                        apart(|| send::owed(&machine, done.map(drop))).await?;
                        return Ok(machine.py().None());
                    }
                    done
                }),
            ));
        }
        if kind == Kind::Lifespan {
            let chain = compiled.get().chain.get();
            if let Some(app) = chain.app_inside() {
                connection.origin.set(app.bind(py).clone());
                return Ok(Awaitable::new(connection, Box::pin(async move { called(&machine).await })));
            }
            connection.origin.set(chain.router(py).unwrap_or_else(|| py.None().into_bound(py)));
            return Ok(Awaitable::new(connection, Box::pin(async move { lifespan(&machine).await })));
        }
        connection.origin.set(compiled.into_any());
        Ok(Awaitable::new(
            connection,
            Box::pin(async move {
                let py = machine.py();
                let compiled = machine.origin.held::<Compiled>(py)?;
                let done = chain::application(&machine, compiled.chain.get(), &compiled.router, &compiled.errors).await;
                if keeps_account {
                    apart(|| send::owed(&machine, done)).await?;
                } else {
                    done?;
                }
                Ok(py.None())
            }),
        ))
    }
}

#[pymethods]
impl Compiled {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.stack)?;
        visit.call(&self.chain)?;
        visit.call(&self.router)?;
        visit.call(&self.errors)?;
        visit.call(&self.root_path)
    }
}

impl Compiled {
    /// Whether a connection goes through telemetry: somebody may be listening.
    ///
    /// Nobody listens as long as the application was told nothing and OpenTelemetry is not imported.
    fn is_watched(&self, app: &Bound<'_, AsgiApp>, kind: Kind) -> PyResult<bool> {
        let py = app.py();
        let Some(told) = self.telemetry else { return Ok(false) };
        if !told && !providers::may_be_there(py)? {
            return Ok(false);
        }
        let watches = match kind {
            Kind::Lifespan => imports::telemetry_watches_lifespan(py)?,
            Kind::Http | Kind::WebSocket => imports::telemetry_watches(py)?,
        };
        watches.call1((app,))?.is_truthy()
    }
}

/// Lets telemetry serve a connection, around the application.
async fn watched(connection: &Connection) -> PyResult<Py<PyAny>> {
    let py = connection.py();
    let app = connection.origin.object(py)?;
    let inner = app.getattr(pyo3::intern!(py, "_unwatched"))?;
    let arguments = (app, inner, connection.scope(), connection.receive(), connection.send());
    let waiting = imports::telemetry_serve(py)?.call1(arguments)?;
    wait(connection.channel(), waiting).await
}

#[pymethods]
impl AsgiApp {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { compiled: Shared(RefCell::new(None)) }
    }

    /// The ASGI callable: gives the awaitable that answers the connection.
    fn __call__<'py>(
        slf: &Bound<'py, Self>,
        scope: Bound<'py, PyAny>,
        receive: Bound<'py, PyAny>,
        send: Bound<'py, PyAny>,
    ) -> PyResult<Awaitable> {
        let py = slf.py();
        let kind = scope::kind(scope::dict(&scope)?)?;
        let scope = scope.cast_into::<PyDict>()?;
        let compiled = Self::compiled(slf)?;
        if let Some(root_path) = &compiled.get().root_path {
            scope.set_item(interned::root_path(py), root_path)?;
        }
        if compiled.get().is_watched(slf, kind)? && !scope.contains(interned::telemetry(py))? {
            let connection = Rc::new(Connection::new(scope, receive, send, kind == Kind::WebSocket));
            let machine = Rc::clone(&connection);
            connection.origin.set(slf.clone().into_any());
            return Ok(Awaitable::new(connection, Box::pin(async move { watched(&machine).await })));
        }
        Self::unwatched(slf, compiled, scope, receive, send, kind)
    }

    /// The same without asking telemetry, which calls it.
    fn _unwatched<'py>(
        slf: &Bound<'py, Self>,
        scope: Bound<'py, PyAny>,
        receive: Bound<'py, PyAny>,
        send: Bound<'py, PyAny>,
    ) -> PyResult<Awaitable> {
        let kind = scope::kind(scope::dict(&scope)?)?;
        let compiled = Self::compiled(slf)?;
        Self::unwatched(slf, compiled, scope.cast_into::<PyDict>()?, receive, send, kind)
    }

    /// Forgets what was compiled, so that the next request compiles anew.
    fn _forget(&self) {
        let before = self.compiled.0.take();
        drop(before);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Ok(compiled) = self.compiled.0.try_borrow()
            && let Some(compiled) = compiled.as_ref()
        {
            visit.call(compiled)?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        self._forget();
    }
}

/// Calls an ASGI application with the connection's own callables.
async fn called(connection: &Connection) -> PyResult<Py<PyAny>> {
    let py = connection.py();
    let waiting = connection.origin.object(py)?.call1((connection.scope(), connection.receive(), connection.send()))?;
    match wait(connection.channel(), waiting).await {
        Err(error) if http::says_client_left(connection, &error)? => Ok(py.None()),
        done => done,
    }
}

/// A plan as a function from a request to its response: what `APIRoute.get_route_handler` gives.
///
/// Route classes of the user's wrap it; clean-up is left to the exit stacks they find in the scope.
#[pyclass(module = "forzium._forzium", frozen)]
pub struct Handler {
    plan: LazyPlan,
    websocket: bool,
}

#[pymethods]
impl Handler {
    #[new]
    #[pyo3(signature = (compile, provider, *, websocket=false))]
    fn new(compile: Py<PyAny>, provider: Option<Py<PyAny>>, websocket: bool) -> Self {
        Self { plan: LazyPlan::new(compile, provider), websocket }
    }

    fn __call__<'py>(&self, request: Bound<'py, PyAny>) -> PyResult<Awaitable> {
        let py = request.py();
        let websocket = self.websocket;
        let connection = Rc::new(Connection::around(request, websocket)?);
        connection.plan.hold(self.plan.get(py)?)?;
        let machine = Rc::clone(&connection);
        Ok(Awaitable::new(
            connection,
            Box::pin(async move {
                let plan = machine.plan.held(machine.py())?;
                let result = if websocket {
                    pipeline::converse(&machine, plan).await.map(|()| None)
                } else {
                    match pipeline::execute(&machine, plan).await {
                        Ok(Some(outgoing)) => Ok(Some(outgoing)),
                        Ok(None) => Err(pipeline::invalid(&machine, plan)),
                        Err(error) => Err(error),
                    }
                };
                hand_over_exits(&machine)?;
                match result? {
                    Some(_) if machine.left.get() => Err(disconnect::client_disconnect(&machine)?),
                    Some(outgoing) => response_of(&machine, plan, outgoing),
                    None => Ok(machine.py().None()),
                }
            }),
        ))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.plan.traverse(visit)
    }
}

/// Solves the dependencies of a plan for a request that Python code made, without calling the endpoint.
///
/// `body` is a tuple of one, since a body may be JSON's null. Gives `(values or None, errors, background tasks,
/// response)`; clean-up is left to the exit stacks in the scope.
#[pyfunction]
#[pyo3(signature = (plan, request, body, background, response, *, websocket))]
pub fn solve_values(
    plan: Bound<'_, Plan>,
    request: Bound<'_, PyAny>,
    body: Option<(Py<PyAny>,)>,
    background: Option<Py<PyAny>>,
    response: Option<Py<PyAny>>,
    websocket: bool,
) -> PyResult<Awaitable> {
    let connection = Rc::new(Connection::around(request, websocket)?);
    connection.plan.hold(plan)?;
    {
        let mut vault = connection.vault.borrow_mut();
        vault.body = body.map(|(body,)| body);
        vault.background = background;
        vault.response = response;
    }
    let machine = Rc::clone(&connection);
    Ok(Awaitable::new(
        connection,
        Box::pin(async move {
            let values = pipeline::values(&machine, machine.plan.held(machine.py())?).await;
            hand_over_exits(&machine)?;
            values
        }),
    ))
}

/// Waits for `awaitable` on behalf of a request that Python code made, and cancels it when the client leaves.
#[pyfunction]
pub fn until_disconnect(
    request: Bound<'_, PyAny>,
    watch: Bound<'_, PyAny>,
    awaitable: Bound<'_, PyAny>,
) -> PyResult<Awaitable> {
    let connection = Rc::new(Connection::around(request, false)?);
    connection.set_watch(watch);
    connection.origin.set(awaitable);
    let machine = Rc::clone(&connection);
    Ok(Awaitable::new(
        connection,
        Box::pin(async move {
            let work = machine.origin.object(machine.py())?.clone();
            disconnect::listen(&machine, true)?;
            let done = wait(machine.channel(), work).await;
            disconnect::rest(&machine)?;
            done
        }),
    ))
}

/// The response object for what would be sent.
fn response_of(connection: &Connection, plan: &Plan, outgoing: Outgoing) -> PyResult<Py<PyAny>> {
    let py = connection.py();
    match outgoing {
        Outgoing::Written { status, headers, body } => {
            let background = connection.vault.borrow_mut().background.take();
            let modelled = plan.answer.to_json.is_some();
            Ok(imports::written_response(py)?.call1((modelled, status, headers, body, background))?.unbind())
        }
        Outgoing::Response => {
            let response = connection.vault.borrow_mut().outgoing.take();
            response.ok_or_else(|| PyRuntimeError::new_err("forzium: a response was lost; please report this"))
        }
    }
}

/// Gives what is to be cleaned up to the exit stacks in the scope.
fn hand_over_exits(connection: &Connection) -> PyResult<()> {
    let py = connection.py();
    let (function, request, closing, shield, hold) = {
        let mut vault = connection.vault.borrow_mut();
        let exits = (std::mem::take(&mut vault.function_exits), std::mem::take(&mut vault.request_exits));
        (exits.0, exits.1, vault.closing.take(), std::mem::take(&mut vault.shield), vault.hold.take())
    };
    if function.is_empty() && request.is_empty() && closing.is_none() {
        return Ok(());
    }
    let wrap = |exits: Vec<Exit>, lifetime| {
        let own = Connection::new(
            connection.scope().clone(),
            connection.receive().clone(),
            connection.send().clone(),
            connection.websocket,
        );
        {
            let mut vault = own.vault.borrow_mut();
            if let Some(scope) = shield.scope() {
                vault.shield = Shield::Scope(scope.clone_ref(py));
            }
            vault.hold = hold.as_ref().map(|hold| hold.clone_ref(py));
            match lifetime {
                Lifetime::Function => vault.function_exits = exits,
                Lifetime::Request => vault.request_exits = exits,
            }
        }
        Bound::new(py, Exits { connection: Shared(Rc::new(own)), lifetime })
    };
    imports::push_exits(py)?.call1((
        connection.scope(),
        wrap(function, Lifetime::Function)?,
        wrap(request, Lifetime::Request)?,
        closing,
    ))?;
    Ok(())
}

/// The clean-up of one lifetime, for an `AsyncExitStack`.
#[pyclass(module = "forzium._forzium", frozen)]
pub struct Exits {
    connection: Shared<Rc<Connection>>,
    lifetime: Lifetime,
}

#[pymethods]
impl Exits {
    /// Runs the clean-up with the exception under way, if any; whether that was swallowed.
    fn leave<'py>(&self, exception: Option<Bound<'py, PyAny>>) -> Awaitable {
        let machine = Rc::clone(&self.connection.0);
        let lifetime = self.lifetime;
        let failure = exception.map(PyErr::from_value);
        Awaitable::new(
            Rc::clone(&self.connection.0) as Rc<dyn Held>,
            Box::pin(async move {
                let py = machine.py();
                let before = failure.map(|failure| machine.keep_error(failure));
                let failure = before.as_ref().map(|before| PyErr::from_value(before.get()));
                match (before, solve::unwind(&machine, lifetime, failure).await) {
                    (Some(before), Some(after)) if after.value(py).is(before.get()) => {
                        Ok(false.into_pyobject(py)?.to_owned().into_any().unbind())
                    }
                    (_, Some(after)) => Err(after),
                    (before, None) => Ok(before.is_some().into_pyobject(py)?.to_owned().into_any().unbind()),
                }
            }),
        )
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // An awaitable that is cleaning up shows what it holds itself; nothing may be counted twice.
        if Rc::strong_count(&self.connection.0) == 1 { self.connection.0.traverse(&visit) } else { Ok(()) }
    }
}
