//! Middleware: what each built-in one makes of a request on its way in and of a response on its way out.
//!
//! A middleware is a *link*: options, ready made when the application is compiled, and two functions. `enter` looks at
//! the request: it lets it pass, answers itself, or leaves a *layer*, the mark by which the response is changed later.
//! The layers of a request stand in its [`Outlet`]: a response that the core has written passes through them as status,
//! headers and body, with no message made; one that other code sends, message by message, by the same rules.
//!
//! Another kind of link: a file here with a `#[pyclass(frozen)]` of its options, which the Python class of the
//! middleware makes in `_link()`; a variant of [`Link`], and of [`Layer`] where it changes responses. A kind that needs
//! what it encloses to be a call of its own (to catch what that raises, to wait for it, to give it another `receive`)
//! gets its variant of [`Link`] too, but is entered and left in `chain::run`.
//!
//! Not here: in which order links follow one another and what they enclose (`chain`); sending (stage `send`).

mod authentication;
mod body_limit;
mod coding;
mod compress;
mod cors;
mod headers;
mod https_redirect;
mod outlet;
mod sessions;
mod trusted_host;

use pyo3::PyTraverseError;
use pyo3::exceptions::PyTypeError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::connection::Connection;
use headers::Headers;
use outlet::{Changed, Passing};

pub use authentication::Authentication;
pub use body_limit::{BodyCounter, BodyLimit, Limited};
pub use coding::Coder;
pub use compress::Compress;
pub use cors::Cors;
pub use https_redirect::HttpsRedirect;
pub use outlet::{Outlet, whole};
pub use sessions::Sessions;
pub use trusted_host::TrustedHost;

macro_rules! links {
    ($($kind:ident),+ $(,)?) => {
        /// One middleware of a chain.
        pub enum Link {
            $($kind(Py<$kind>),)+
        }

        impl Link {
            /// Takes a link from the object that holds its options.
            ///
            /// Errors: `TypeError` where that is none.
            pub fn read(link: &Bound<'_, PyAny>) -> PyResult<Self> {
                $(
                    if let Ok(link) = link.cast::<$kind>() {
                        return Ok(Self::$kind(link.clone().unbind()));
                    }
                )+
                Err(PyTypeError::new_err(format!("expected the link of a middleware, but found {link:?}")))
            }

            /// The object that holds its options.
            pub fn object(&self) -> &Py<PyAny> {
                match self {
                    $(Self::$kind(link) => link.as_any(),)+
                }
            }
        }
    };
}

links! { Authentication, BodyLimit, Compress, Cors, HttpsRedirect, Sessions, TrustedHost }

/// What a link answers in the place of what it encloses.
pub enum Reply<'c> {
    /// Written by the link.
    Written { status: u16, headers: Bound<'c, PyList>, body: Bound<'c, PyBytes> },
    /// A `Response` object.
    Response(Bound<'c, PyAny>),
    /// One ASGI message.
    Message(Bound<'c, PyAny>),
}

impl Link {
    /// Lets a request in.
    #[inline(never)]
    pub fn enter<'c>(&'c self, connection: &'c Connection) -> PyResult<Entry<'c>> {
        let reply = match self {
            Self::Authentication(_) => return Ok(Entry::Asks),
            Self::BodyLimit(_) if connection.websocket => return Ok(Entry::Passed),
            Self::BodyLimit(link) => return Ok(Entry::Encloses(link)),
            Self::Compress(link) => compress::enter(link, connection).map(|()| None),
            Self::Cors(link) => cors::enter(link, connection),
            Self::HttpsRedirect(link) => link.get().enter(connection),
            Self::Sessions(link) => sessions::enter(link, connection).map(|()| None),
            Self::TrustedHost(link) => link.get().enter(connection),
        };
        Ok(reply?.map_or(Entry::Passed, Entry::Answered))
    }

    /// The same for a link that asks somebody.
    pub async fn ask<'c>(&self, connection: &'c Connection) -> PyResult<Option<Reply<'c>>> {
        match self {
            Self::Authentication(link) => authentication::enter(link, connection).await,
            _ => Ok(None),
        }
    }

    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.object())
    }
}

/// What becomes of a request at a link.
pub enum Entry<'c> {
    Passed,
    Answered(Reply<'c>),
    /// That has to be waited for: see [`Link::ask`].
    Asks,
    /// What is inside has to be carried out for the link.
    Encloses(&'c Py<BodyLimit>),
}

/// A mark that a link has left in a request's outlet.
enum Layer {
    Body(compress::Body),
    Cors(cors::Origin),
    Limit(Py<BodyCounter>),
    Session(sessions::Session),
}

impl Layer {
    /// Changes the headers of a response, where that is all the layer does.
    fn dress(&self, headers: &Headers<'_>) -> PyResult<()> {
        match self {
            Self::Body(_) => Ok(()),
            Self::Cors(origin) => origin.dress(headers),
            Self::Limit(counter) => counter.get().starts(headers.list().py()),
            Self::Session(session) => session.dress(headers),
        }
    }

    /// Changes a response that is known as a whole.
    fn whole<'py>(
        &self,
        py: Python<'py>,
        status: u16,
        headers: &Headers<'py>,
        body: &Bound<'py, PyAny>,
    ) -> PyResult<Changed<'py>> {
        match self {
            Self::Body(layer) => layer.whole(py, status, headers, body),
            _ => self.dress(headers).map(|()| Changed::Nothing),
        }
    }

    /// Takes note of the new body of a whole response.
    fn describe_whole(&self, headers: &Headers<'_>, coded: &Bound<'_, PyAny>) -> PyResult<()> {
        match self {
            Self::Body(layer) => layer.describe_whole(headers, coded),
            _ => Ok(()),
        }
    }

    /// Changes a message of a response.
    fn message<'py>(&self, message: &Bound<'py, PyDict>) -> PyResult<Passing<'py>> {
        if let Self::Body(layer) = self {
            return layer.message(message);
        }
        if let Some(headers) = outlet::start(message)? {
            self.dress(&headers)?;
        }
        Ok(Passing::On)
    }

    /// Goes on with a message whose body has been coded meanwhile.
    fn finish<'py>(&self, message: &Bound<'py, PyDict>, coded: &Bound<'py, PyAny>) -> PyResult<Passing<'py>> {
        match self {
            Self::Body(layer) => layer.finish(message, coded),
            _ => Ok(Passing::On),
        }
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Body(layer) => layer.traverse(visit),
            Self::Cors(origin) => origin.traverse(visit),
            Self::Limit(counter) => visit.call(counter),
            Self::Session(session) => session.traverse(visit),
        }
    }
}
