//! Protocols: an HTTP request, from the scope to the last message.
//!
//! `scope → route → extract → solve → call → serialize → send`. Routing is here; the stages from `extract` to
//! `serialize` follow one another in `pipeline`; sending, clean-up and exception handlers are here again.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;

use pyo3::exceptions::PyException;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::awaitable::{Held, apart, guard, wait};
use crate::connection::{Connection, Lifetime};
use crate::failure::{Answer, Written};
use crate::middleware::{BodyLimit, Limited, Outlet};
use crate::plan::Plan;
use crate::route::{Entry, Match, Table};
use crate::serialize::Outgoing;
use crate::{disconnect, failure, imports, interned, pipeline, scope, send, solve, tasks, websocket};

/// Who answers a request, once it is known.
enum Way<'c> {
    /// A native route, by its plan.
    Plan(&'c Plan),
    /// The same under a limit of the body.
    Limited(&'c Plan, &'c BodyLimit),
    /// A route that answers as plain ASGI.
    Route(&'c Py<PyAny>),
    /// A redirect to the path with or without its last slash.
    Redirect(Bound<'c, PyAny>),
    /// No route that was declared.
    Nobody,
}

/// Finds the route that answers and lets it.
///
/// Source: Starlette's `Router.app` with FastAPI's additions: the first full match, else the first partial one, else a
/// redirect to the path with or without its last slash, else routes of low priority, else the default.
///
/// Gives the 404 that is left to send: exception handlers are not asked about what goes wrong with it. Where middleware may
/// stand between here and the handlers, which `rescued` denies, it is raised instead.
pub async fn dispatch<'c>(
    connection: &'c Connection,
    router: &Py<PyAny>,
    table: &Table,
    rescued: bool,
) -> PyResult<Option<Written<'c>>> {
    let way = route(connection, router, table)?;
    let answered: Pin<Box<dyn Future<Output = PyResult<()>>>> = match way {
        Way::Plan(plan) if plan.background_always => apart(|| serve_owing(connection, plan)),
        Way::Plan(plan) => return serve(connection, plan).await.map(|()| None),
        Way::Route(route) => return handed_over(connection, route).await.map(|()| None),
        Way::Limited(plan, limit) => apart(|| limited(connection, plan, limit)),
        Way::Redirect(response) => apart(|| send::response(connection, response)),
        Way::Nobody => match nothing_here(connection, table, rescued)? {
            Some(written) => return Ok(Some(written)),
            None => apart(|| unmatched(connection, table)),
        },
    };
    answered.await.map(|()| None)
}

/// Matches the path and the method, and puts into the scope what the route brings.
fn route<'c>(connection: &'c Connection, router: &Py<PyAny>, table: &'c Table) -> PyResult<Way<'c>> {
    let (py, scope) = (connection.py(), connection.scope());
    set_default(scope, interned::router(py), router.bind(py))?;
    if let Some(form_limits) = &table.form_limits {
        form_limits.bind(py).call1((scope,))?;
    }
    let (path, start) = scope::route_path(connection)?;
    let Ok(path) = path.to_cow() else {
        // A path with lone surrogates is none that a route can have.
        return Ok(Way::Nobody);
    };
    let method = match connection.websocket {
        true => None,
        false => Some(scope::method(connection)?),
    };
    // A method with lone surrogates is none that a route allows.
    let method = method.as_ref().map(|method| method.to_string_lossy()).unwrap_or_default();
    let (index, found, full) = match table.route(connection, &path[start..], &method, connection.websocket)? {
        Match::Full(index, found) => (index, found, true),
        Match::Partial(index, found) => (index, found, false),
        Match::None => {
            if !connection.websocket
                && table.redirect_slashes
                && &path[start..] != "/"
                && let Some(target) = redirect_target(connection, table, &path, start, &method)?
            {
                return Ok(Way::Redirect(imports::redirect(py)?.call1((target,))?));
            }
            return Ok(Way::Nobody);
        }
    };
    let Some(entry) = table.entries.get(index) else { return Ok(Way::Nobody) };
    if entry.opaque {
        enter_opaque(connection, table, entry, found)?;
        return Ok(Way::Route(&entry.route));
    }
    enter(connection, entry, found)?;
    // Telemetry watches through the functions that stand where FastAPI's own do.
    let watched = connection.enclosed && connection.is_watched()?;
    if full && !watched {
        let plan = connection.plan.hold(entry.plan.get(py)?)?;
        return Ok(match &entry.limit {
            Some(limit) => Way::Limited(plan, limit.get()),
            None => Way::Plan(plan),
        });
    }
    report_route(connection, entry, entry.is_mount)?;
    Ok(Way::Route(&entry.route))
}

/// `scope.setdefault(key, value)`, which looks for the key once where `PyDictMethods::set_default` does it twice.
fn set_default(scope: &Bound<'_, PyDict>, key: &Bound<'_, PyString>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    // SAFETY: all three are live objects, the first a dict; a borrowed reference is returned, or null with an exception set.
    let found = unsafe { ffi::PyDict_SetDefault(scope.as_ptr(), key.as_ptr(), value.as_ptr()) };
    if found.is_null() { Err(PyErr::fetch(scope.py())) } else { Ok(()) }
}

/// Puts into the scope what a matched route brings.
fn enter(connection: &Connection, entry: &Entry, path_params: Py<PyDict>) -> PyResult<()> {
    let (py, scope) = (connection.py(), connection.scope());
    scope.set_item(interned::endpoint(py), &entry.endpoint)?;
    scope.set_item(interned::path_params(py), path_params)?;
    scope.set_item(interned::route(py), &entry.route)?;
    set_context(connection, entry.context.as_ref())
}

/// Puts the effective context of an included route where agents look for it.
fn set_context(connection: &Connection, context: Option<&Py<PyAny>>) -> PyResult<()> {
    let Some(context) = context else {
        return Ok(());
    };
    let py = connection.py();
    let own = fastapi_scope(connection)?;
    own.set_item(interned::effective_route_context(py), context)
}

/// The part of the scope that is FastAPI's own.
fn fastapi_scope(connection: &Connection) -> PyResult<Bound<'_, PyDict>> {
    let py = connection.py();
    if let Some(own) = connection.scope().get_item(interned::fastapi(py))? {
        return Ok(own.cast_into::<PyDict>()?);
    }
    let own = PyDict::new(py);
    connection.scope().set_item(interned::fastapi(py), &own)?;
    Ok(own)
}

/// Puts into the scope what a route brings that is asked and called as plain ASGI.
fn enter_opaque(connection: &Connection, table: &Table, entry: &Entry, child: Py<PyDict>) -> PyResult<()> {
    let (py, scope) = (connection.py(), connection.scope());
    if table.marks_route {
        scope.set_item(interned::route(py), &entry.route)?;
    }
    for (key, value) in child.bind(py).iter() {
        if key.eq(interned::fastapi(py))?
            && let Ok(value) = value.cast::<PyDict>()
        {
            fastapi_scope(connection)?.update(value.as_mapping())?;
            continue;
        }
        scope.set_item(key, value)?;
    }
    set_context(connection, entry.context.as_ref())?;
    report_route(connection, entry, entry.is_mount)
}

/// Tells telemetry, where it watches this connection, which route was taken.
fn report_route(connection: &Connection, entry: &Entry, mount: bool) -> PyResult<()> {
    let py = connection.py();
    if connection.is_watched()? {
        let path = match entry.context.as_ref().map(|context| path_format(context.bind(py))).transpose()?.flatten() {
            Some(path) => Some(path),
            None => path_format(entry.route.bind(py))?,
        };
        let options = PyDict::new(py);
        options.set_item(pyo3::intern!(py, "mount"), mount)?;
        imports::route_selected(py)?.call((connection.scope(), path), Some(&options))?;
    }
    Ok(())
}

/// The path template of a route, if it has one of its own.
fn path_format<'py>(route: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let path = route.getattr_opt(pyo3::intern!(route.py(), "path_format"))?;
    Ok(match path {
        Some(path) if path.is_truthy()? => Some(path),
        _ => None,
    })
}

async fn handed_over(connection: &Connection, route: &Py<PyAny>) -> PyResult<()> {
    let py = connection.py();
    let send: Bound<'_, PyAny> =
        if connection.websocket { connection.send().clone() } else { send::sender(connection)?.into_any() };
    let handlers = connection.scope().get_item(interned::exception_handlers(py))?.map(|own| connection.keep(own));
    let waiting =
        route.bind(py).call_method1(interned::handle(py), (connection.scope(), connection.receive(), send))?;
    let handed = wait(connection.channel(), waiting).await;
    if handed.is_err()
        && let Some(own) = &handlers
    {
        // A mounted application has put its handlers there. What it lets through is for those of the outer one.
        connection.scope().set_item(interned::exception_handlers(py), own.get())?;
    }
    handed.map(|_| ())
}

/// The answer to what no route does, where nobody else is to be asked for it.
fn nothing_here<'c>(connection: &'c Connection, table: &Table, rescued: bool) -> PyResult<Option<Written<'c>>> {
    match (&table.low_priority, &table.default) {
        (None, None) if rescued => failure::known_not_found(connection),
        _ => Ok(None),
    }
}

/// Answers what no route does: routes of low priority first, then the router's default.
async fn unmatched(connection: &Connection, table: &Table) -> PyResult<()> {
    let py = connection.py();
    if let Some(low_priority) = &table.low_priority {
        let arguments = (connection.scope(), connection.receive(), connection.send());
        let waiting = low_priority.bind(py).call1(arguments)?;
        if wait(connection.channel(), waiting).await?.is_truthy(py)? {
            return Ok(());
        }
    }
    let Some(default) = &table.default else {
        return failure::not_found(connection).await;
    };
    let waiting = default.bind(py).call1((connection.scope(), connection.receive(), connection.send()))?;
    wait(connection.channel(), waiting).await?;
    Ok(())
}

/// The scope with the last slash added or taken away, if some route knows that path.
fn redirect_target<'c>(
    connection: &'c Connection,
    table: &Table,
    path: &str,
    start: usize,
    method: &str,
) -> PyResult<Option<Bound<'c, PyDict>>> {
    let py = connection.py();
    let other: Cow<'_, str> = match path[start..].ends_with('/') {
        true => path.trim_end_matches('/').into(),
        false => [path, "/"].concat().into(),
    };
    if !table.may_know(other.get(start..).unwrap_or_default()) {
        return Ok(None);
    }
    let target = connection.scope().copy()?;
    target.set_item(interned::path(py), PyString::new(py, &other))?;
    let probe = Connection::new(target.clone(), connection.receive().clone(), connection.send().clone(), false);
    let (_, start) = scope::route_path(&probe)?;
    let Some(index) = table.knows(&probe, other.get(start..).unwrap_or_default(), method)? else { return Ok(None) };
    if let Some(entry) = table.entries.get(index) {
        report_route(connection, entry, false)?;
    }
    Ok(Some(target))
}

/// Carries out a native route under a limit of the body.
async fn limited(connection: &Connection, plan: &Plan, limit: &BodyLimit) -> PyResult<()> {
    let (limited, before) = limit.enter(connection)?;
    let result = if plan.background_always {
        guard(serve_owing(connection, plan)).await
    } else {
        guard(serve(connection, plan)).await
    };
    leave(connection, limit, limited, before, result).await
}

/// Leaves a limit of the body: gives the answer that is left to it, then passes on what else has come of the request.
pub async fn leave<'c>(
    connection: &'c Connection,
    limit: &BodyLimit,
    limited: Limited<'c>,
    before: Option<Bound<'c, PyAny>>,
    result: PyResult<()>,
) -> PyResult<()> {
    let (reply, result) = limit.leave(connection, limited, before, result)?;
    let Some(reply) = reply else { return result };
    let error = result.err().map(|error| connection.keep_error(error));
    guard(send::reply(connection, reply)).await?;
    error.map_or(Ok(()), |error| Err(PyErr::from_value(error.get())))
}

/// What is left to do for a request that a route has served.
enum Rest<'c> {
    Nothing,
    Answer(Written<'c>),
    Settling(Pin<Box<dyn Future<Output = PyResult<()>> + 'c>>),
}

/// Carries out a native route whose background tasks run in any case: after all else, or here where no application is
/// around that would see to it.
async fn serve_owing(connection: &Connection, plan: &Plan) -> PyResult<()> {
    let is_outermost = tasks::begin_account(connection.scope())?;
    let served = serve(connection, plan).await;
    if is_outermost { send::owed(connection, served).await } else { served }
}

/// Carries out a native route: the plan, the response, clean-up, exception handlers.
async fn serve(connection: &Connection, plan: &Plan) -> PyResult<()> {
    let served = if connection.websocket {
        apart(|| guard(websocket::converse(connection, plan))).await
    } else {
        guard(answer(connection, plan)).await
    };
    let settling = match rest(connection, served)? {
        Rest::Nothing => return Ok(()),
        Rest::Answer(written) => return written.send(connection).await,
        Rest::Settling(settling) => settling,
    };
    settling.await
}

/// Finds what is left to do: nothing, an answer that can be written at once, or what has to be waited for.
///
/// Errors: an exception that nobody answers.
fn rest(connection: &Connection, served: PyResult<()>) -> PyResult<Rest<'_>> {
    let answer = served.err().map(|error| failure::answer_to(connection, error));
    if connection.vault.borrow().closing.is_some() {
        return Ok(Rest::Settling(apart(|| settled(connection, answer))));
    }
    Ok(match answer.transpose()? {
        None => Rest::Nothing,
        Some(Answer::Written(written)) => Rest::Answer(written),
        Some(answer) => Rest::Settling(apart(|| answer.send(connection))),
    })
}

/// Sends the answer to an exception, if there is one, and closes files.
async fn settled(connection: &Connection, answer: Option<PyResult<Answer<'_>>>) -> PyResult<()> {
    let sent = match answer {
        None => Ok(()),
        Some(Ok(answer)) => answer.send(connection).await,
        Some(Err(error)) => Err(error),
    };
    close_files(connection).await?;
    sent
}

/// Closes what was opened for reading the body.
async fn close_files(connection: &Connection) -> PyResult<()> {
    let py = connection.py();
    let closing = connection.vault.borrow_mut().closing.take();
    if let Some(closing) = closing {
        let waiting = closing.bind(py).call_method0(interned::close(py))?;
        wait(connection.channel(), waiting).await?;
    }
    Ok(())
}

/// Everything between the match and the exception handlers: what FastAPI's `request_response` encloses.
async fn answer(connection: &Connection, plan: &Plan) -> PyResult<()> {
    let executed = match pipeline::execute(connection, plan).await {
        Ok(Some(outgoing)) => Ok(outgoing),
        Ok(None) => refused(connection, plan),
        Err(error) => Err(error),
    };
    if connection.vault.borrow().has_exits() {
        let cleaned_up = apart(|| cleaned_up(connection, executed));
        return cleaned_up.await;
    }
    let outgoing = executed?;
    if connection.left.get() {
        return Err(disconnect::client_disconnect(connection)?);
    }
    deliver(connection, outgoing).await
}

/// Sends what there is to send, between the clean-up of the one lifetime and that of the other.
async fn cleaned_up(connection: &Connection, executed: PyResult<Outgoing>) -> PyResult<()> {
    let (outgoing, failed) = match executed {
        Ok(outgoing) => (Some(outgoing), None),
        Err(error) => (None, Some(error)),
    };
    let mut failed = solve::unwind(connection, Lifetime::Function, failed).await;
    let left = connection.left.get();
    if failed.is_none() && !left {
        failed = match outgoing {
            Some(outgoing) => deliver(connection, outgoing).await.err(),
            None => Some(swallowed(connection)?),
        };
    }
    let had_failed = failed.is_some();
    match solve::unwind(connection, Lifetime::Request, failed).await {
        Some(error) => Err(error),
        None if left => Err(disconnect::client_disconnect(connection)?),
        None if had_failed => Err(swallowed(connection)?),
        None => Ok(()),
    }
}

/// Answers a request that is not valid; the exception, where there is somebody to see it on its way.
fn refused(connection: &Connection, plan: &Plan) -> PyResult<Outgoing> {
    let unseen = !connection.vault.borrow().has_exits();
    if unseen && let Some(outgoing) = failure::unprocessable(connection)? {
        return Ok(outgoing);
    }
    Err(pipeline::invalid(connection, plan))
}

/// The error for a dependency that swallowed the exception without which there is no response.
fn swallowed(connection: &Connection) -> PyResult<PyErr> {
    Ok(PyErr::from_value(imports::swallowed(connection.py())?.call0()?))
}

/// Sends a response and runs its background tasks.
async fn deliver(connection: &Connection, outgoing: Outgoing) -> PyResult<()> {
    let py = connection.py();
    match outgoing {
        Outgoing::Written { status, headers, body } => {
            if connection.enclosed && connection.vault.borrow().background.is_none() {
                connection.scope().set_item(interned::nothing_follows(py), true)?;
            }
            send::written(connection, status, headers.bind(py), body.bind(py)).await?;
            let background = connection.vault.borrow_mut().background.take();
            match background {
                Some(tasks) => send::background(connection, tasks.into_bound(py)).await,
                None => Ok(()),
            }
        }
        Outgoing::Response => {
            let response = connection.vault.borrow_mut().outgoing.take();
            match response {
                Some(response) => send::response(connection, response.into_bound(py)).await,
                None => Ok(()),
            }
        }
    }
}

/// Lets the exception handlers of an application answer what came out of its router.
pub async fn rescue(connection: &Connection, error: PyErr) -> PyResult<()> {
    guard(async { failure::answer_to(connection, error)?.send(connection).await }).await
}

/// Whether an exception only says that the client has left: there is nobody to answer, and the application did nothing
/// wrong.
pub fn says_client_left(connection: &Connection, error: &PyErr) -> PyResult<bool> {
    let py = connection.py();
    Ok(!connection.websocket && error.is_instance(py, imports::client_disconnect(py)?))
}

/// Whether no other application of ours is around this one, whose middleware would have to be told of such an exception.
fn is_outermost(connection: &Connection, router: &Py<PyAny>) -> PyResult<bool> {
    let py = connection.py();
    let Some(first) = connection.scope().get_item(interned::router(py))? else { return Ok(true) };
    Ok(first.is(router) || !first.is_instance(imports::router_class(py)?)?)
}

/// Answers an exception that no handler was registered for with a 500, and gives it back.
pub async fn unhandled(connection: &Connection, error: PyErr, router: &Py<PyAny>, errors: &Py<PyAny>) -> PyResult<()> {
    let py = connection.py();
    if says_client_left(connection, &error)? {
        return if is_outermost(connection, router)? { Ok(()) } else { Err(error) };
    }
    if connection.websocket || connection.left.get() || !error.is_instance_of::<PyException>(py) {
        return Err(error);
    }
    // The answer is a courtesy; the exception itself goes on to the server, which logs it.
    let error = connection.keep_error(error);
    let started = Outlet::of(connection).map_or_else(|| connection.started.get(), Outlet::has_left);
    if !started && connection.scope().contains(interned::max_body_size(py))? {
        // The limit is that of an application which this one is mounted in; the answer is not an error of either.
        let arguments = (connection.scope(), connection.receive(), connection.host_send(), error.get());
        let answering = imports::body_limit_answered(py)?.call1(arguments)?;
        if wait(connection.channel(), answering).await?.is_truthy(py)? {
            return Ok(());
        }
    }
    connection.channel().set_handling(Some(error.get().unbind()));
    let respond = errors.bind(py).call_method1(
        pyo3::intern!(py, "respond"),
        (connection.scope(), connection.receive(), connection.host_send(), error.get(), started),
    );
    let responded = match respond {
        Ok(waiting) => wait(connection.channel(), waiting).await.map(drop),
        Err(error) => Err(error),
    };
    connection.channel().set_handling(None);
    match responded {
        Err(failed) if !says_client_left(connection, &failed)? => Err(failed),
        _ => Err(PyErr::from_value(error.get())),
    }
}
