//! What stands in the class `WebSocket` for a coroutine function or an asynchronous generator function.
//!
//! To Python it looks like the function it was made of, by signature, annotations and flags, so that `inspect`, mocks with
//! a specification and type hints see such a function. Called, it gives an [`Exchange`] or [`Frames`] and runs no Python
//! code.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use pyo3::PyTraverseError;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::type_object::PyTypeInfo;
use pyo3::types::{PyDict, PyString, PyTuple};

use super::Socket;
use super::exchange::Exchange;
use super::frames::Frames;
use super::what::What;
use crate::awaitable::give_am_send;
use crate::imports;

/// The functions that [`native`] knows, with the names of their parameters.
const METHODS: [(What, &[&str]); 13] = [
    (What::Receive, &[]),
    (What::Send, &["message"]),
    (What::Accept, &["subprotocol", "headers"]),
    (What::ReceiveText, &[]),
    (What::ReceiveBytes, &[]),
    (What::ReceiveJson, &["mode"]),
    (What::SendText, &["data"]),
    (What::SendBytes, &["data"]),
    (What::SendJson, &["data", "mode"]),
    (What::Close, &["code", "reason"]),
    (What::IterText, &[]),
    (What::IterBytes, &[]),
    (What::IterJson, &[]),
];

/// How many of the parameters have no default.
fn required(what: What) -> usize {
    usize::from(matches!(what, What::Send | What::SendText | What::SendBytes | What::SendJson))
}

/// A method of a WebSocket.
#[pyclass(module = "forzium._forzium", frozen, immutable_type, weakref)]
pub struct Method {
    /// Where CPython looks for it: see [`set_up`].
    vectorcall: ffi::vectorcallfunc,
    pub what: What,
    parameters: &'static [&'static str],
    /// The function that says how it looks.
    declared: Py<PyAny>,
}

/// Makes a method of `WebSocket` of the coroutine or generator function that declares it; its body is never run.
///
/// Raises `TypeError` for a name that is none of them.
#[pyfunction]
#[pyo3(signature = (function, /))]
pub fn native(function: Bound<'_, PyAny>) -> PyResult<Method> {
    let name: String = function.getattr("__name__")?.extract()?;
    let Some((what, parameters)) = METHODS.into_iter().find(|(what, _)| what.name() == name) else {
        return Err(PyTypeError::new_err(format!("expected a method of WebSocket, but found {name}")));
    };
    Ok(Method { vectorcall, what, parameters, declared: function.unbind() })
}

#[pymethods]
impl Method {
    fn __get__<'py>(
        slf: Bound<'py, Self>,
        instance: Option<Bound<'py, PyAny>>,
        _owner: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match instance {
            None => Ok(slf.into_any()),
            Some(instance) => imports::method_type(slf.py())?.call1((slf, instance)),
        }
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let kwargs = kwargs.map_or(ptr::null_mut(), |kwargs| kwargs.as_ptr());
        // SAFETY: all are live objects, of the types asked for; `slf` supports the protocol since `set_up`; the call
        // returns a new reference, or null with an exception set.
        unsafe { Bound::from_owned_ptr_or_err(slf.py(), ffi::PyVectorcall_Call(slf.as_ptr(), args.as_ptr(), kwargs)) }
    }

    fn __getattr__<'py>(&self, py: Python<'py>, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        self.declared.bind(py).getattr(name)
    }

    #[getter(__doc__)]
    fn doc<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.declared.bind(py).getattr("__doc__")
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.declared.bind(py).repr()?.to_string())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.declared)
    }
}

/// The arguments of a call: the socket, then at most two.
struct Arguments<'py> {
    socket: Bound<'py, Socket>,
    values: [Option<Bound<'py, PyAny>>; 2],
}

impl Method {
    /// Sorts out the arguments of a call; none where they do not fit.
    fn bound<'py>(
        &self,
        py: Python<'py>,
        arguments: &[*mut ffi::PyObject],
        keywords: &[*mut ffi::PyObject],
        names: Option<&Bound<'py, PyTuple>>,
    ) -> PyResult<Option<Arguments<'py>>> {
        let Some((&socket, positional)) = arguments.split_first() else { return Ok(None) };
        // SAFETY: the arguments of a call are live objects for as long as it lasts.
        let of = |object: *mut ffi::PyObject| unsafe { Bound::from_borrowed_ptr(py, object) };
        if positional.len() > self.parameters.len() {
            return Ok(None);
        }
        let mut values = [None, None];
        for (value, &object) in values.iter_mut().zip(positional) {
            *value = Some(of(object));
        }
        if let Some(names) = names {
            for (name, &object) in names.iter().zip(keywords) {
                let name = name.cast::<PyString>()?.to_str()?;
                let at = self.parameters.iter().position(|parameter| *parameter == name);
                match at.and_then(|at| values.get_mut(at)) {
                    Some(value) if value.is_none() => *value = Some(of(object)),
                    _ => return Ok(None),
                }
            }
        }
        if values.iter().take(required(self.what)).any(Option::is_none) {
            return Ok(None);
        }
        Ok(Some(Arguments { socket: of(socket).cast_into()?, values }))
    }
}

/// Calls a [`Method`] (PEP 590).
unsafe extern "C" fn vectorcall(
    callable: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    Python::attach(|py| {
        // SAFETY:
        // - Only a `Method` holds this function, so `callable` is one, and live for the call.
        // - `names` is null or a live tuple of as many names as there are arguments after the first `positional`.
        // - `arguments` points to all of them; where there is none it may be null, and no slice is made of it.
        let (callable, names, positional, keywords) = unsafe {
            let names = Bound::from_borrowed_ptr_or_opt(py, names);
            let positional = ffi::PyVectorcall_NARGS(count) as usize;
            let keywords = names.as_ref().map_or(0, |names| ffi::PyTuple_GET_SIZE(names.as_ptr()) as usize);
            let all = match positional + keywords {
                0 => &[],
                total => std::slice::from_raw_parts(arguments, total),
            };
            let (positional, keywords) = all.split_at_unchecked(positional);
            (Bound::from_borrowed_ptr(py, callable), names, positional, keywords)
        };
        let made = catch_unwind(AssertUnwindSafe(|| -> PyResult<Option<Bound<'_, PyAny>>> {
            let method = callable.cast_exact::<Method>()?.get();
            let names = names.as_ref().map(|names| names.cast::<PyTuple>()).transpose()?;
            let Some(Arguments { socket, values: [first, second] }) = method.bound(py, positional, keywords, names)?
            else {
                return Ok(None);
            };
            let (first, second) = (first.map(Bound::unbind), second.map(Bound::unbind));
            Ok(Some(match method.what.frame() {
                None => Exchange::begun(socket, method.what, first, second, None)?.into_any(),
                Some(what) => Bound::new(py, Frames::new(socket.unbind(), what))?.into_any(),
            }))
        }));
        match made {
            Ok(Ok(Some(exchange))) => exchange.into_ptr(),
            // The arguments do not fit: the function that declares the method says how, in Python's words.
            Ok(Ok(None)) => match callable.cast_exact::<Method>() {
                // SAFETY: as above; what this function was given is given on.
                Ok(method) => unsafe {
                    let declared = method.get().declared.as_ptr();
                    ffi::PyObject_Vectorcall(declared, arguments, count, names.map_or(ptr::null_mut(), |n| n.as_ptr()))
                },
                Err(error) => failed(py, error.into()),
            },
            Ok(Err(error)) => failed(py, error),
            Err(_) => failed(py, PyRuntimeError::new_err("internal error in forzium, please report it")),
        }
    })
}

fn failed(py: Python<'_>, error: PyErr) -> *mut ffi::PyObject {
    error.restore(py);
    ptr::null_mut()
}

/// Fills in the slots of the types that `#[pyclass]` has no word for. Called once, when the module is made.
pub fn set_up(py: Python<'_>) -> PyResult<()> {
    give_am_send::<Exchange>(py);
    let probe = Bound::new(py, Method { vectorcall, what: What::Receive, parameters: &[], declared: py.None() })?;
    let offset = ptr::from_ref(&probe.get().vectorcall) as usize - probe.as_ptr() as usize;
    let method = Method::type_object_raw(py);
    // SAFETY:
    // - It is a type of this module, complete, not shared with anybody yet and changed with the lock held. It cannot be
    //   subclassed, so that no other type has copied its slots.
    // - At `offset` every `Method` has a `vectorcallfunc`: the layout of a class is the same for all its instances.
    unsafe {
        (*method).tp_vectorcall_offset = offset as ffi::Py_ssize_t;
        (*method).tp_flags |= ffi::Py_TPFLAGS_HAVE_VECTORCALL | ffi::Py_TPFLAGS_METHOD_DESCRIPTOR;
    }
    Ok(())
}
