//! What a request owns in Python while its machine waits: values of dependencies, what has to be cleaned up, and objects
//! that variables of the machine stand for.
//!
//! All of it is shown to the garbage collector. Not here: what the connection was made with, which it holds itself.

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::PyString;
use smallvec::SmallVec;

use super::Connection;
use crate::threads::Hold;

/// What is to be undone when a dependency's lifetime ends.
pub enum Exit {
    /// An async generator that stands at its `yield`.
    AsyncGenerator(Py<PyAny>),
    /// A generator that stands at its `yield` and runs in worker threads.
    Generator(Py<PyAny>),
    /// A semaphore of `Depends(max_concurrency=...)` to give back.
    Release(Py<PyAny>),
    /// An `AsyncExitStack`.
    Stack(Py<PyAny>),
    /// The cancel scope that shields the clean-up of async generators.
    Shield(Py<PyAny>),
}

impl Exit {
    /// Whether it is a dependency that stands at its `yield`.
    pub fn holds(&self) -> bool {
        matches!(self, Self::AsyncGenerator(_) | Self::Generator(_))
    }

    pub fn object(&self) -> &Py<PyAny> {
        match self {
            Self::AsyncGenerator(object)
            | Self::Generator(object)
            | Self::Release(object)
            | Self::Stack(object)
            | Self::Shield(object) => object,
        }
    }
}

/// What shields the clean-up of async generators from the cancellation of an enclosing scope.
#[derive(Default)]
pub enum Shield {
    /// No async generator has begun.
    #[default]
    Undecided,
    /// There is no enclosing scope.
    Needless,
    /// A cancel scope, which stands among the exits.
    Scope(Py<PyAny>),
}

impl Shield {
    /// The cancel scope, if there is one.
    pub fn scope(&self) -> Option<&Py<PyAny>> {
        match self {
            Self::Scope(scope) => Some(scope),
            Self::Undecided | Self::Needless => None,
        }
    }
}

/// How long what a dependency yields lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Until the endpoint has returned.
    Function,
    /// Until the response has been sent.
    Request,
}

/// The Python objects of a request that outlive a wait.
#[derive(Default)]
pub struct Vault {
    /// The values of the dependencies, by slot.
    pub values: Vec<Option<Py<PyAny>>>,
    /// The validation errors so far.
    pub errors: Vec<Py<PyAny>>,
    /// The bytes of the body.
    pub raw_body: Option<Py<PyAny>>,
    /// The body: parsed JSON, a `FormData`, or the raw bytes.
    pub body: Option<Py<PyAny>>,
    /// The form that Rust has read. It becomes a `FormData` in `body` when somebody asks for one.
    pub form: Option<Form>,
    /// The `Response` handed to dependencies and the endpoint, for headers and status.
    pub response: Option<Py<PyAny>>,
    /// The `BackgroundTasks` handed out.
    pub background: Option<Py<PyAny>>,
    pub function_exits: Vec<Exit>,
    pub request_exits: Vec<Exit>,
    pub shield: Shield,
    /// What is held by the dependencies among the exits.
    pub hold: Option<Py<Hold>>,
    /// What is being sent: status, headers, body.
    pub outgoing: Option<Py<PyAny>>,
    /// Closed when the request has ended, whatever happened: uploaded files.
    pub closing: Option<Py<PyAny>>,
    /// What variables of the machine stand for: see [`Kept`].
    kept: SmallVec<[Option<Py<PyAny>>; 2]>,
}

impl Vault {
    /// Shows the garbage collector what is here.
    pub(super) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        for value in self.values.iter().chain(&self.kept) {
            visit.call(value)?;
        }
        for error in &self.errors {
            visit.call(error)?;
        }
        for (_, value) in self.form.iter().flat_map(|form| &form.items) {
            visit.call(value)?;
        }
        for held in [&self.body, &self.response, &self.background, &self.outgoing, &self.closing, &self.raw_body] {
            visit.call(held)?;
        }
        visit.call(self.shield.scope())?;
        visit.call(&self.hold)?;
        for exit in self.function_exits.iter().chain(&self.request_exits) {
            visit.call(exit.object())?;
        }
        Ok(())
    }

    /// Whether anything has to be cleaned up.
    pub fn has_exits(&self) -> bool {
        !self.function_exits.is_empty() || !self.request_exits.is_empty()
    }

    /// Whether it holds nothing, so that nothing can be reached through it.
    pub(super) fn is_empty(&self) -> bool {
        let Self {
            values,
            errors,
            raw_body: None,
            body: None,
            form: None,
            response: None,
            background: None,
            function_exits,
            request_exits,
            shield: Shield::Undecided | Shield::Needless,
            hold: None,
            outgoing: None,
            closing: None,
            kept,
        } = self
        else {
            return false;
        };
        values.is_empty()
            && errors.is_empty()
            && function_exits.is_empty()
            && request_exits.is_empty()
            && kept.is_empty()
    }
}

/// The fields of a form, in the order of the body.
#[derive(Default)]
pub struct Form {
    /// Names, with texts or `UploadFile`s.
    pub items: Vec<(Py<PyString>, Py<PyAny>)>,
    /// Whether the body was read, which can be done only once: not where its media type is that of no form.
    pub consumed: bool,
}

/// An object that a variable of the machine needs after a wait, kept where the garbage collector sees it.
///
/// A reference in the machine itself is one that the collector cannot account for: whatever it leads to would live for
/// ever, should the request be abandoned there.
pub struct Kept<'c> {
    connection: &'c Connection,
    at: usize,
}

impl<'c> Kept<'c> {
    pub(super) fn new(connection: &'c Connection, object: Bound<'_, PyAny>) -> Self {
        let mut vault = connection.vault.borrow_mut();
        vault.kept.push(Some(object.unbind()));
        Self { connection, at: vault.kept.len() - 1 }
    }

    /// The object. It must not be held across a wait, or this was for nothing.
    pub fn get(&self) -> Bound<'c, PyAny> {
        let py = self.connection.py();
        let vault = self.connection.vault.borrow();
        match vault.kept.get(self.at) {
            Some(Some(object)) => object.bind(py).clone(),
            // Cleared by the collector, and so out of use.
            _ => py.None().into_bound(py),
        }
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        let object = self.connection.vault.try_borrow_mut().ok().and_then(|mut vault| {
            let object = vault.kept.get_mut(self.at).and_then(Option::take);
            while let Some(None) = vault.kept.last() {
                vault.kept.pop();
            }
            object
        });
        // Dropped here, after the vault is free again: a destructor may run Python code.
        drop(object);
    }
}
