//! Foundation: what stands in a class of the package for a function written in Python.
//!
//! To Python it looks like the function it was made of, by signature, annotations and flags, so that `inspect`, mocks with
//! a specification and type hints see such a function. Called, it runs native code, which leaves to the function what it
//! does not know to do just as that says.
//!
//! Not here: the native code (`exceptions`, `tasks`, `socket`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{ptr, slice};

use pyo3::Borrowed;
use pyo3::PyTraverseError;
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::type_object::PyTypeInfo;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

use crate::imports;

/// The native code of a method; none where the function is to be called: the arguments do not fit, say.
pub type Native = for<'py> fn(&Method, Given<'_, 'py>) -> PyResult<Option<Bound<'py, PyAny>>>;

/// The arguments of a call.
pub struct Given<'a, 'py> {
    pub py: Python<'py>,
    /// The object whose method it is comes first.
    pub positional: &'a [Bound<'py, PyAny>],
    keywords: &'a [Bound<'py, PyAny>],
    names: Option<Bound<'py, PyTuple>>,
}

impl<'a, 'py> Given<'a, 'py> {
    /// Whether there are keyword arguments.
    #[inline]
    pub fn has_keywords(&self) -> bool {
        self.names.is_some()
    }

    /// The keyword arguments with their names.
    pub fn keywords(&self) -> impl Iterator<Item = (Bound<'py, PyAny>, &'a Bound<'py, PyAny>)> {
        self.names.iter().flatten().zip(self.keywords)
    }
}

/// A method.
#[pyclass(module = "forzium._forzium", frozen, immutable_type, weakref)]
pub struct Method {
    /// Where CPython looks for it: see [`set_up`].
    vectorcall: ffi::vectorcallfunc,
    native: Native,
    /// Which one it is, of several that share their native code.
    pub tag: u8,
    attaches: bool,
    /// The function that says how it looks.
    declared: Py<PyAny>,
}

impl Method {
    /// A method that does what the function `declared` does.
    pub fn new(native: Native, tag: u8, declared: Py<PyAny>) -> Self {
        Self { vectorcall, native, tag, attaches: true, declared }
    }

    /// The same without `Python::attach`, which looks up the thread's own state at either end of a call.
    ///
    /// A reference that the native code drops with no token in hand is put off to another time, then.
    pub fn without_attaching(self) -> Self {
        Self { attaches: false, ..self }
    }

    /// Whether it is the one that was made so.
    pub fn is(&self, native: Native, tag: u8) -> bool {
        self.tag == tag && ptr::fn_addr_eq(self.native, native)
    }
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

    // That of the class would be found before `__getattr__` is asked.
    #[getter(__module__)]
    fn module<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.declared.bind(py).getattr("__module__")
    }

    // Were it left to `__getattr__`, that of the class itself would be found, once anybody has asked for it.
    #[getter(__annotations__)]
    fn annotations<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.declared.bind(py).getattr("__annotations__")
    }

    /// `isinstance` takes it for a function, and so do `inspect` and mocks.
    #[getter(__class__)]
    fn class<'py>(&self, py: Python<'py>) -> Bound<'py, PyType> {
        self.declared.bind(py).get_type()
    }

    /// Copies and pickles are the method that stands in the class, as with a function.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(&Bound<'py, PyAny>, (String,))> {
        let declared = self.declared.bind(py);
        let (module, name) = (declared.getattr("__module__")?, declared.getattr("__qualname__")?);
        Ok((imports::resolve_name(py)?, (format!("{module}:{name}"),)))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.declared.bind(py).repr()?.to_string())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.declared)
    }
}

/// Calls a [`Method`] (PEP 590).
unsafe extern "C" fn vectorcall(
    callable: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY:
    // - Only a `Method` holds this function, so `callable` is one, and live for the call.
    // - Python calls with the lock held, and the token does not outlive the call.
    // - The rest is given on as it was given.
    unsafe {
        let method = Borrowed::from_ptr(Python::assume_attached(), callable).cast_unchecked::<Method>();
        if method.get().attaches {
            return Python::attach(|py| method.get().call(py, arguments, count, names));
        }
        method.get().call(method.py(), arguments, count, names)
    }
}

impl Method {
    /// Calls the native code, or the function.
    ///
    /// # Safety
    /// The arguments are as PEP 590 has them: `names` is null or a live tuple of as many names as there are arguments
    /// after the positional ones, and `arguments` points to all of them, live for the call.
    #[inline]
    unsafe fn call(
        &self,
        py: Python<'_>,
        arguments: *const *mut ffi::PyObject,
        count: usize,
        names: *mut ffi::PyObject,
    ) -> *mut ffi::PyObject {
        // SAFETY:
        // - Where there is no argument `arguments` may be null, and no slice is made of it.
        // - `Bound` is a transparent wrapper of a non-null object pointer, and what is borrowed here is not dropped.
        let given = unsafe {
            let names = Bound::from_borrowed_ptr_or_opt(py, names).map(|names| names.cast_into_unchecked::<PyTuple>());
            let positional = ffi::PyVectorcall_NARGS(count) as usize;
            let keywords = names.as_ref().map_or(0, |names| names.len());
            let all: &[Bound<'_, PyAny>] = match positional + keywords {
                0 => &[],
                total => slice::from_raw_parts(arguments.cast(), total),
            };
            let (positional, keywords) = all.split_at_unchecked(positional);
            Given { py, positional, keywords, names }
        };
        let called = catch_unwind(AssertUnwindSafe(|| match (self.native)(self, given) {
            Ok(Some(result)) => result.into_ptr(),
            // SAFETY: what this was given is given on.
            Ok(None) => unsafe { self.call_declared(arguments, count, names) },
            Err(error) => failed(py, error),
        }));
        called.unwrap_or_else(|_| failed(py, PyRuntimeError::new_err("internal error in forzium, please report it")))
    }

    /// Calls the function.
    ///
    /// # Safety
    /// As that of `call`.
    #[cold]
    unsafe fn call_declared(
        &self,
        arguments: *const *mut ffi::PyObject,
        count: usize,
        names: *mut ffi::PyObject,
    ) -> *mut ffi::PyObject {
        // SAFETY: the caller sees to it.
        unsafe { ffi::PyObject_Vectorcall(self.declared.as_ptr(), arguments, count, names) }
    }
}

#[cold]
fn failed(py: Python<'_>, error: PyErr) -> *mut ffi::PyObject {
    error.restore(py);
    ptr::null_mut()
}

/// Fills in the slots of the type that `#[pyclass]` has no word for. Called once, when the module is made.
pub fn set_up(py: Python<'_>) -> PyResult<()> {
    let probe = Bound::new(py, Method::new(|_, _| Ok(None), 0, py.None()))?;
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
