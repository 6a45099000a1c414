//! One run of the rest of the chain: `call_next(request)`, from the call to the last thing the rest does.

use std::cell::{Cell, OnceCell, RefCell};

use pyo3::PyTraverseError;
use pyo3::exceptions::{PyBaseException, PyException, PyGeneratorExit, PyRuntimeError, PyTypeError};
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PySet, PyType};

use super::messages::{RestReceive, RestSend};
use crate::awaitable::{
    self, Coroutine, Drivable, Driven, Entered, Inner, Place, Resume, Shared, thrown, told, told_next,
};
use crate::{imports, instance, interned};

/// A request on its way through an http middleware: what `dispatch` is given as `call_next`.
#[pyclass(module = "forzium._forzium", frozen)]
pub struct CallNext {
    pub middleware: Py<PyAny>,
    pub scope: Py<PyDict>,
    /// The request that `dispatch` sees.
    pub request: Py<PyAny>,
    /// Where the middleware sends to.
    pub send: Py<PyAny>,
    /// Where `dispatch` began; none where that cannot be told, and then each run has a task of its own.
    pub place: Shared<OnceCell<Option<Place>>>,
    pub state: Shared<State>,
}

/// What changes on the way.
#[derive(Default)]
pub struct State {
    /// The context of `dispatch`.
    pub context: OnceCell<Py<PyAny>>,
    /// The coroutine of `dispatch`.
    pub dispatch: RefCell<Option<Py<PyAny>>>,
    pub runs: RefCell<Vec<Py<Run>>>,
    /// The task in which `dispatch` goes on, once it has moved there.
    pub elsewhere: RefCell<Option<Py<PyAny>>>,
    /// The run that stayed in the first task then.
    pub stayed: RefCell<Option<Py<Run>>>,
    /// What `dispatch`, or sending its response, has raised.
    pub error: RefCell<Option<Py<PyBaseException>>>,
    /// Whether the response of `dispatch` is being sent: it can hand over control no more.
    pub sending: Cell<bool>,
    /// How the first task is told to stop.
    pub guard: RefCell<Option<Py<PyAny>>>,
}

#[pymethods]
impl CallNext {
    fn __call__(slf: Py<Self>, py: Python<'_>, request: Bound<'_, PyAny>) -> PyResult<Py<Run>> {
        let _ = request;
        Py::new(py, Run::of(slf))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.middleware)?;
        visit.call(&self.scope)?;
        visit.call(&self.request)?;
        visit.call(&self.send)?;
        if let Some(Some(place)) = self.place.0.get() {
            place.traverse(&visit)?;
        }
        let state = &self.state.0;
        visit.call(state.context.get())?;
        for cell in [&state.dispatch, &state.elsewhere, &state.guard] {
            if let Ok(held) = cell.try_borrow() {
                visit.call(&*held)?;
            }
        }
        if let Ok(error) = state.error.try_borrow() {
            visit.call(&*error)?;
        }
        if let Ok(stayed) = state.stayed.try_borrow() {
            visit.call(&*stayed)?;
        }
        if let Ok(runs) = state.runs.try_borrow() {
            for run in runs.iter() {
                visit.call(run)?;
            }
        }
        Ok(())
    }

    fn __clear__(&self) {
        self.clear();
    }
}

impl CallNext {
    pub fn new(middleware: Py<PyAny>, scope: Py<PyDict>, request: Py<PyAny>, send: Py<PyAny>) -> Self {
        Self { middleware, scope, request, send, place: Shared(OnceCell::new()), state: Shared(State::default()) }
    }

    pub fn place(&self) -> Option<&Place> {
        self.place.0.get().and_then(Option::as_ref)
    }

    /// The runs there have been, in order.
    pub fn runs<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, Run>> {
        self.state.0.runs.borrow().iter().map(|run| run.bind(py).clone()).collect()
    }

    pub fn newest<'py>(&self, py: Python<'py>) -> Option<Bound<'py, Run>> {
        self.state.0.runs.borrow().last().map(|run| run.bind(py).clone())
    }

    /// The run that stayed in the first task when `dispatch` moved.
    pub fn stayed<'py>(&self, py: Python<'py>) -> Option<Bound<'py, Run>> {
        self.state.0.stayed.borrow().as_ref().map(|run| run.bind(py).clone())
    }

    /// Lets go of everything that changes; a cycle through a run ends here.
    pub fn clear(&self) {
        let state = &self.state.0;
        let held = [&state.dispatch, &state.elsewhere, &state.guard]
            .map(|cell| cell.try_borrow_mut().ok().and_then(|mut held| held.take()));
        let error = state.error.try_borrow_mut().ok().and_then(|mut held| held.take());
        let runs = state.runs.try_borrow_mut().ok().map(|mut runs| std::mem::take(&mut *runs));
        let stayed = state.stayed.try_borrow_mut().ok().and_then(|mut held| held.take());
        drop((held, error, runs, stayed));
    }
}

/// The coroutine of `dispatch`, as its driver sees it.
pub struct Dispatching<'c>(pub &'c Bound<'c, CallNext>);

impl Drivable for Dispatching<'_> {
    fn at_hand<'py>(&self, py: Python<'py>) -> Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let state = &self.0.get().state.0;
        let dispatch = state.dispatch.borrow().as_ref().map(|iterator| iterator.bind(py).clone())?;
        Some((dispatch, state.context.get()?.bind(py).clone()))
    }

    fn is_mark(&self, yielded: &Bound<'_, PyAny>) -> bool {
        yielded.is(self.0)
    }
}

/// What the awaitable of `call_next` stands at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Fresh,
    /// Control was handed to the driver, who lets the rest go on.
    HandedOver,
    /// The rest has a task of its own; its response is being waited for.
    Waiting,
    Ended,
}

/// One run of the application below an http middleware, and the awaitable of its response.
///
/// A run is *together* with `dispatch` while both go on in turns in one task: `call_next` hands control to the run, the
/// run hands it back with its response. They are *apart* when each has a task of its own; messages then go through a
/// stream that holds none (`forzium.middleware._apart`).
#[pyclass(module = "forzium._forzium", frozen)]
pub struct Run {
    turn: Shared<RefCell<Option<Py<CallNext>>>>,
    at: Shared<Cell<At>>,
    inner: Inner,
    pub held: Shared<Rest>,
}

/// What the run has at hand.
#[derive(Default)]
pub struct Rest {
    /// The coroutine of the rest.
    coroutine: RefCell<Option<Py<PyAny>>>,
    context: OnceCell<Py<PyAny>>,
    /// The state of the context when its variables were last taken over.
    adopted: RefCell<Option<Py<PyAny>>>,
    pub ended: Cell<bool>,
    /// Whether the response is out, or never will be: whatever else the rest sends goes nowhere.
    pub finished: Cell<bool>,
    pub error: RefCell<Option<Py<PyBaseException>>>,
    /// `http.response.start`, as it was sent.
    pub start: RefCell<Option<Py<PyDict>>>,
    /// All there is after the start: bytes, or a message that stands for them.
    pub only_chunk: RefCell<Option<Py<PyAny>>>,
    pub info: RefCell<Option<Py<PyAny>>>,
    /// A message with the whole of the body that says there is more: nothing, as a rule.
    pub almost: RefCell<Option<Py<PyAny>>>,
    /// The length of the body, where the start has told it.
    pub length: Cell<Option<usize>>,
    /// The stream of messages, once the two are apart.
    pub apart: RefCell<Option<Py<PyAny>>>,
    /// The task of the run, where it has one.
    pub companion: RefCell<Option<Py<PyAny>>>,
    /// The cancel scopes in which somebody waits for a message of the client's.
    receiving: RefCell<Option<Py<PySet>>>,
}

impl Run {
    fn of(turn: Py<CallNext>) -> Self {
        Self {
            turn: Shared(RefCell::new(Some(turn))),
            at: Shared(Cell::new(At::Fresh)),
            inner: Inner::default(),
            held: Shared(Rest::default()),
        }
    }

    pub fn turn<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, CallNext>> {
        let turn = self.turn.0.borrow().as_ref().map(|turn| turn.bind(py).clone());
        turn.ok_or_else(|| PyRuntimeError::new_err("the request is over"))
    }

    pub fn is_apart(&self) -> bool {
        self.held.0.apart.borrow().is_some()
    }

    pub fn apart<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.held.0.apart.borrow().as_ref().map(|apart| apart.bind(py).clone())
    }

    /// The coroutine of the rest and its context, until it has ended.
    pub fn at_hand<'py>(&self, py: Python<'py>) -> Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let coroutine = self.held.0.coroutine.borrow().as_ref().map(|coroutine| coroutine.bind(py).clone())?;
        Some((coroutine, self.held.0.context.get()?.bind(py).clone()))
    }

    /// Makes the coroutine of the rest, in a context of its own.
    fn begin(slf: &Bound<'_, Self>, turn: &Bound<'_, CallNext>) -> PyResult<()> {
        let py = slf.py();
        let held = &slf.get().held.0;
        let adopted = awaitable::copy_current(py)?;
        let context = awaitable::copy(&adopted)?;
        *held.adopted.borrow_mut() = Some(adopted.unbind());
        let _ = held.context.set(context.clone().unbind());
        turn.get().state.0.runs.borrow_mut().push(slf.clone().unbind());
        let app = turn.get().middleware.bind(py).getattr(interned::app(py))?;
        let receive = Bound::new(py, RestReceive::of(slf.clone().unbind()))?;
        let send = Bound::new(py, RestSend::of(slf.clone().unbind()))?;
        let entered = Entered::enter(context)?;
        let made = app.call1((turn.get().scope.bind(py), receive, send)).and_then(awaitable::iterator_of);
        drop(entered);
        match made {
            Ok(coroutine) => *held.coroutine.borrow_mut() = Some(coroutine.unbind()),
            Err(error) => slf.get().end(py, Err(error)),
        }
        Ok(())
    }

    /// Notes what the coroutine of the rest has come to.
    pub fn end(&self, py: Python<'_>, result: PyResult<Py<PyAny>>) {
        let held = &self.held.0;
        held.ended.set(true);
        if let Err(error) = result {
            *held.error.borrow_mut() = Some(error.into_value(py));
        }
        let coroutine = held.coroutine.borrow_mut().take();
        drop(coroutine);
        let almost = held.almost.borrow_mut().take();
        if let Some(almost) = almost {
            // It ended without saying that there is no more.
            *held.only_chunk.borrow_mut() = almost.bind(py).get_item(interned::body(py)).ok().map(Bound::unbind);
        }
        if let Some(apart) = self.apart(py)
            && let Err(error) = apart.call_method0(pyo3::intern!(py, "run_ended"))
        {
            error.write_unraisable(py, Some(&apart));
        }
    }

    /// Closes the coroutine of a run that is thrown away.
    pub fn close_rest(&self, py: Python<'_>) -> PyResult<()> {
        let coroutine = self.held.0.coroutine.borrow_mut().take();
        self.held.0.ended.set(true);
        match coroutine {
            Some(coroutine) => close(coroutine.bind(py)),
            None => Ok(()),
        }
    }

    /// Notes that the response is out, or never will be.
    pub fn finish(&self, py: Python<'_>) -> PyResult<()> {
        self.held.0.finished.set(true);
        if let Some(apart) = self.apart(py) {
            apart.call_method0(pyo3::intern!(py, "finish"))?;
        }
        let receiving = self.held.0.receiving.borrow_mut().take();
        if let Some(scopes) = receiving {
            for scope in scopes.bind(py).iter() {
                scope.call_method0(interned::cancel(py))?;
            }
        }
        Ok(())
    }

    /// Sets in the current context what the run has set in its own since it was last asked.
    pub fn adopt_variables(&self, py: Python<'_>) -> PyResult<()> {
        let held = &self.held.0;
        let Some(context) = held.context.get().map(|context| context.bind(py)) else { return Ok(()) };
        let Some(before) = held.adopted.borrow_mut().take() else { return Ok(()) };
        if held.ended.get() {
            return awaitable::adopt(before.bind(py), context);
        }
        let now = awaitable::copy(context)?;
        awaitable::adopt(before.bind(py), &now)?;
        *held.adopted.borrow_mut() = Some(now.unbind());
        Ok(())
    }

    /// Goes apart: messages go through a stream from now on.
    pub fn part<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if let Some(apart) = self.apart(py) {
            return Ok(apart);
        }
        let apart = imports::apart(py)?.call1((&self.turn(py)?.get().send,))?;
        let almost = self.held.0.almost.borrow_mut().take();
        if let Some(almost) = almost {
            apart.call_method1(pyo3::intern!(py, "put_first"), (almost,))?;
        }
        *self.held.0.apart.borrow_mut() = Some(apart.clone().unbind());
        Ok(apart)
    }

    /// Lets go of everything but the response; the run has ended.
    pub fn clear(&self) {
        let held = &self.held.0;
        let objects = [&held.coroutine, &held.adopted, &held.almost, &held.apart, &held.companion]
            .map(|cell| cell.try_borrow_mut().ok().and_then(|mut held| held.take()));
        let turn = self.turn.0.try_borrow_mut().ok().and_then(|mut turn| turn.take());
        let receiving = held.receiving.try_borrow_mut().ok().and_then(|mut held| held.take());
        let error = held.error.try_borrow_mut().ok().and_then(|mut held| held.take());
        self.inner.clear();
        drop((objects, turn, receiving, error));
    }

    fn step(slf: &Bound<'_, Self>, resume: Resume) -> PyResult<Driven> {
        let py = slf.py();
        let this = slf.get();
        match (this.at.0.get(), resume) {
            (At::Fresh, Resume::Send(None)) => {
                let turn = this.turn(py)?;
                Self::begin(slf, &turn)?;
                let together = !turn.get().state.0.sending.get()
                    && turn.get().place().map_or(Ok(false), |place| place.is_here(py))?;
                if this.held.0.ended.get() {
                    return this.response(slf);
                }
                if together {
                    this.at.0.set(At::HandedOver);
                    return Ok(Driven::Yielded(turn.into_any().unbind()));
                }
                this.part(py)?;
                super::give_task(&turn, slf)?;
                this.wait(slf)
            }
            (At::Fresh, Resume::Send(Some(_))) => {
                Err(PyTypeError::new_err("can't send non-None value to a just-started coroutine"))
            }
            (At::Fresh, Resume::Throw(error)) => {
                this.at.0.set(At::Ended);
                Err(error)
            }
            (At::HandedOver, Resume::Send(_)) if !this.is_apart() => this.response(slf),
            (At::HandedOver, Resume::Send(_)) => this.wait(slf),
            (At::HandedOver, Resume::Throw(error)) => {
                this.at.0.set(At::Ended);
                Err(error)
            }
            (At::Waiting, resume) => match this.inner.resume(py, resume) {
                Ok(stepped) => this.waited(slf, stepped),
                Err(_) => Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine")),
            },
            (At::Ended, _) => Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine")),
        }
    }

    /// Waits for the start of a response that comes through the stream.
    fn wait(&self, slf: &Bound<'_, Self>) -> PyResult<Driven> {
        let py = slf.py();
        self.at.0.set(At::Waiting);
        if self.held.0.start.borrow().is_some() {
            return self.response(slf);
        }
        let starting = self.part(py)?.call_method0(pyo3::intern!(py, "start"))?;
        let stepped = self.inner.begin(starting);
        self.waited(slf, stepped)
    }

    fn waited(&self, slf: &Bound<'_, Self>, stepped: PyResult<Driven>) -> PyResult<Driven> {
        let py = slf.py();
        match stepped {
            Ok(Driven::Yielded(value)) => Ok(Driven::Yielded(value)),
            Ok(Driven::Returned(found)) => {
                if let Ok((start, info)) = found.extract::<(Py<PyDict>, Option<Py<PyAny>>)>(py) {
                    *self.held.0.start.borrow_mut() = Some(start);
                    if info.is_some() {
                        *self.held.0.info.borrow_mut() = info;
                    }
                }
                self.response(slf)
            }
            Err(error) => {
                self.at.0.set(At::Ended);
                // Nobody will have the response of a run that `dispatch` has stopped waiting for, at a deadline for one.
                let companion = self.held.0.companion.borrow().as_ref().map(|held| held.clone_ref(py));
                if let Some(companion) = companion {
                    companion.call_method0(py, interned::cancel(py))?;
                }
                Err(error)
            }
        }
    }

    /// The response, as soon as it has started.
    ///
    /// Errors: what the rest has raised; `RuntimeError` where it ended without a response.
    fn response(&self, slf: &Bound<'_, Self>) -> PyResult<Driven> {
        let py = slf.py();
        self.at.0.set(At::Ended);
        self.adopt_variables(py)?;
        if let Some(start) = self.held.0.start.borrow().as_ref() {
            return response_of(slf, start.bind(py)).map(|response| Driven::Returned(response.unbind()));
        }
        let error = self.held.0.error.borrow_mut().take();
        let Some(error) = error else {
            return Err(PyRuntimeError::new_err("No response returned."));
        };
        let error = PyErr::from_value(error.into_bound(py).into_any());
        // As in Starlette: what was the context is the cause, where none was given, and where there was no context, it is
        // the end of the stream of messages. Neither changes whatever `dispatch` is about to handle.
        let value = error.value(py);
        let (cause, context) = (error.cause(py), value.getattr(pyo3::intern!(py, "__context__"))?);
        let suppressed = value.getattr(pyo3::intern!(py, "__suppress_context__"))?.is_truthy()?;
        let cause = cause.or_else(|| (!suppressed && !context.is_none()).then(|| PyErr::from_value(context.clone())));
        if context.is_none() {
            value.setattr(pyo3::intern!(py, "__context__"), imports::end_of_stream(py)?.call0()?)?;
        }
        error.set_cause(py, cause);
        Err(error)
    }
}

/// Closes a coroutine, or what has no `close` not at all.
pub fn close(coroutine: &Bound<'_, PyAny>) -> PyResult<()> {
    match coroutine.getattr_opt(interned::close(coroutine.py()))? {
        Some(close) => close.call0().map(drop),
        None => Ok(()),
    }
}

/// Makes the request that `dispatch` sees.
pub fn cached_request<'py>(
    scope: &Bound<'py, PyAny>,
    receive: Bound<'py, PyAny>,
    send: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = scope.py();
    let class = imports::cached_request(py)?.cast::<PyType>()?;
    if !class.getattr(pyo3::intern!(py, "__init__"))?.is(imports::request_init(py)?) {
        return class.call1((scope, receive, send));
    }
    // What `__init__` does, unless somebody has put another one there.
    let request = instance::of(class)?;
    request.setattr(pyo3::intern!(py, "scope"), scope)?;
    request.setattr(pyo3::intern!(py, "_receive"), receive)?;
    request.setattr(pyo3::intern!(py, "_send"), send)?;
    Ok(request)
}

/// Makes the response that a run has started, its headers as they are.
fn response_of<'py>(run: &Bound<'py, Run>, start: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyAny>> {
    let py = run.py();
    let response = instance::of(imports::streamed_response(py)?.cast::<PyType>()?)?;
    let status = start.get_item(interned::status(py))?;
    let headers = match start.get_item(interned::headers(py))? {
        Some(headers) => headers,
        None => pyo3::types::PyList::empty(py).into_any(),
    };
    response.setattr(pyo3::intern!(py, "_run"), run)?;
    response.setattr(interned::status_code(py), status)?;
    response.setattr(interned::raw_headers(py), headers)?;
    if let Some(info) = run.get().held.0.info.borrow().as_ref() {
        response.setattr(pyo3::intern!(py, "info"), info)?;
    }
    Ok(response)
}

impl Coroutine for Run {
    fn resume(slf: &Bound<'_, Self>, value: Option<Py<PyAny>>) -> PyResult<Driven> {
        Self::step(slf, Resume::Send(value))
    }
}

#[pymethods]
impl Run {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(slf: &Bound<'_, Self>) -> PyResult<Option<Py<PyAny>>> {
        told_next(slf.py(), Self::resume(slf, None))
    }

    fn send(slf: &Bound<'_, Self>, value: Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        told(slf.py(), Self::resume(slf, (!value.is_none()).then(|| value.unbind())))
    }

    #[pyo3(signature = (typ, val=None, tb=None, /))]
    fn throw(
        slf: &Bound<'_, Self>,
        typ: Bound<'_, PyAny>,
        val: Option<Bound<'_, PyAny>>,
        tb: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        told(slf.py(), Self::step(slf, Resume::Throw(thrown(&typ, val, tb)?)))
    }

    fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        let this = slf.get();
        let waits = this.at.0.replace(At::Ended) == At::Waiting;
        if waits { this.inner.close(slf.py()) } else { Ok(()) }
    }

    /// All there is after the start: bytes, a message that stands for them, or None.
    #[getter]
    fn only_chunk(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.held.0.only_chunk.borrow().as_ref().map(|chunk| chunk.clone_ref(py))
    }

    /// The stream of messages, once the run is apart.
    #[getter(apart)]
    fn apart_<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.apart(py)
    }

    /// The cancel scopes in which somebody waits for a message of the client's.
    #[getter]
    fn receiving<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PySet>> {
        let mut held = self.held.0.receiving.borrow_mut();
        if held.is_none() {
            *held = Some(PySet::empty(py)?.unbind());
        }
        Ok(held.as_ref().map_or(PySet::empty(py)?, |scopes| scopes.bind(py).clone()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Ok(turn) = self.turn.0.try_borrow() {
            visit.call(&*turn)?;
        }
        self.inner.traverse(&visit)?;
        let held = &self.held.0;
        visit.call(held.context.get())?;
        for cell in
            [&held.coroutine, &held.adopted, &held.almost, &held.only_chunk, &held.info, &held.apart, &held.companion]
        {
            if let Ok(object) = cell.try_borrow() {
                visit.call(&*object)?;
            }
        }
        if let Ok(error) = held.error.try_borrow() {
            visit.call(&*error)?;
        }
        if let Ok(start) = held.start.try_borrow() {
            visit.call(&*start)?;
        }
        if let Ok(receiving) = held.receiving.try_borrow() {
            visit.call(&*receiving)?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        self.clear();
    }
}

/// Whether an exception is one that an application raises, and no cancellation.
pub fn is_plain(error: &Bound<'_, PyBaseException>) -> bool {
    error.is_instance_of::<PyException>()
}

/// Whether a coroutine was thrown away.
pub fn is_exit(error: &PyErr, py: Python<'_>) -> bool {
    error.is_instance_of::<PyGeneratorExit>(py)
}

/// A message that goes on with the body, or ends it.
pub enum Part<'py> {
    /// All there is after the start.
    Last(Bound<'py, PyAny>),
    /// Bytes, and there is more.
    More(Option<Bound<'py, PyAny>>),
    /// Something else.
    Other,
}

impl<'py> Part<'py> {
    pub fn read(kind: &Bound<'py, PyAny>, message: &Bound<'py, PyAny>) -> PyResult<Self> {
        let py = message.py();
        if !kind.eq(interned::http_response_body(py))? {
            let stands_for_all = kind.eq(interned::http_response_pathsend(py))?;
            return Ok(if stands_for_all { Self::Last(message.clone()) } else { Self::Other });
        }
        let (more, body) = match message.cast_exact::<PyDict>() {
            Ok(message) => (message.get_item(interned::more_body(py))?, message.get_item(interned::body(py))?),
            Err(_) => {
                let get = pyo3::intern!(py, "get");
                let found = |key| message.call_method1(get, (key,)).map(|found| (!found.is_none()).then_some(found));
                (found(interned::more_body(py))?, found(interned::body(py))?)
            }
        };
        if more.map_or(Ok(false), |more| more.is_truthy())? {
            return Ok(Self::More(body));
        }
        Ok(Self::Last(body.unwrap_or_else(|| PyBytes::new(py, b"").into_any())))
    }
}
