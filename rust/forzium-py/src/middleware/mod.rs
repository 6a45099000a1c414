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
//! gets its variant of [`Link`] too, but is carried out in `chain::run`, by running the chain from the next link on.
//!
//! Not here: in which order links follow one another and what they enclose (`chain`); sending (stage `send`).

mod cors;
mod headers;
mod outlet;
mod trusted_host;

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::connection::Connection;
use headers::Headers;
use outlet::Passing;

pub use cors::Cors;
pub use outlet::{Outlet, whole};
pub use trusted_host::TrustedHost;

/// One middleware of a chain.
pub enum Link {
    Cors(Py<Cors>),
    TrustedHost(Py<TrustedHost>),
}

/// What a link answers in the place of what it encloses.
pub enum Reply<'c> {
    /// Written by the link.
    Written { status: u16, headers: Bound<'c, PyList>, body: Bound<'c, PyBytes> },
    /// A `Response` object.
    Response(Bound<'c, PyAny>),
}

impl Link {
    /// Takes a link from the object that holds its options.
    ///
    /// Errors: `TypeError` where that is none.
    pub fn read(link: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(link) = link.cast::<Cors>() {
            return Ok(Self::Cors(link.clone().unbind()));
        }
        Ok(Self::TrustedHost(link.cast::<TrustedHost>()?.clone().unbind()))
    }

    /// Lets a request in; what the link answers itself.
    #[inline(never)]
    pub fn enter<'c>(&self, connection: &'c Connection) -> PyResult<Option<Reply<'c>>> {
        match self {
            Self::Cors(link) => cors::enter(link, connection),
            Self::TrustedHost(link) => link.get().enter(connection),
        }
    }

    /// The object that holds its options.
    pub fn object(&self) -> &Py<PyAny> {
        match self {
            Self::Cors(link) => link.as_any(),
            Self::TrustedHost(link) => link.as_any(),
        }
    }

    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.object())
    }
}

/// A mark that a link has left in a request's outlet.
enum Layer {
    Cors(cors::Origin),
}

impl Layer {
    /// Changes a response that is known as a whole.
    fn whole(&self, _py: Python<'_>, headers: &Headers<'_>) -> PyResult<()> {
        match self {
            Self::Cors(origin) => origin.dress(headers),
        }
    }

    /// Changes a message of a response.
    fn message(&self, message: &Bound<'_, PyDict>) -> PyResult<Passing> {
        match self {
            Self::Cors(origin) => {
                if let Some(headers) = outlet::start(message)? {
                    origin.dress(&headers)?;
                }
                Ok(Passing::On)
            }
        }
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Cors(origin) => origin.traverse(visit),
        }
    }
}
