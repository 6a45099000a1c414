//! Foundation: whether OpenTelemetry has a provider for the whole process, and so somebody may be listening.
//!
//! OpenTelemetry's own functions that tell are slow for something asked at every request, so the variables behind them
//! are looked at. Where one is not found, or a function is not OpenTelemetry's own, the answer is that there may be a
//! provider, and telemetry asks properly.
//!
//! Also whether any request has been watched so far, as telemetry notes it.
//!
//! Not here: what is done with a provider (`forzium.telemetry`).

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString};

use crate::{imports, interned};

/// One kind of provider: the variable that holds it and the function that gives it.
struct Kind {
    /// The names of the module with the variable.
    holder: Py<PyDict>,
    variable: Py<PyString>,
    /// The names of the module with the function.
    public: Py<PyDict>,
    getter: Py<PyString>,
    /// OpenTelemetry's own function.
    own: Py<PyAny>,
}

/// The three kinds, found once in the package that was loaded then.
struct Known {
    package: Py<PyAny>,
    kinds: Vec<Kind>,
}

/// Whether there may be a provider.
pub fn may_be_there(py: Python<'_>) -> PyResult<bool> {
    static KNOWN: PyOnceLock<Known> = PyOnceLock::new();
    let modules = imports::modules(py)?.cast::<PyDict>()?;
    let Some(package) = modules.get_item(interned::opentelemetry(py))? else { return Ok(false) };
    if let Some(known) = KNOWN.get(py)
        && known.package.is(&package)
    {
        return any_has(py, &known.kinds);
    }
    // Not found before, or loaded once more since.
    let mut kinds = Vec::with_capacity(NAMES.len());
    for names in NAMES {
        match find(modules, names)? {
            Found::NotLoaded => {}
            Found::Unknown => return Ok(true),
            Found::Kind(kind) => kinds.push(kind),
        }
    }
    let there = any_has(py, &kinds)?;
    if kinds.len() == NAMES.len() {
        let _ = KNOWN.set(py, Known { package: package.unbind(), kinds });
    }
    Ok(there)
}

/// Whether any request of this process has been watched: before that nobody need be told of its parts.
pub fn telemetry_is_active(py: Python<'_>) -> PyResult<bool> {
    let modules = imports::modules(py)?.cast::<PyDict>()?;
    let Some(module) = modules.get_item(intern!(py, "forzium.telemetry._api"))? else { return Ok(false) };
    match module.cast::<PyModule>() {
        Ok(module) => match module.dict().get_item(intern!(py, "is_active"))? {
            Some(active) => active.is_truthy(),
            None => Ok(true),
        },
        Err(_) => Ok(true),
    }
}

fn any_has(py: Python<'_>, kinds: &[Kind]) -> PyResult<bool> {
    for kind in kinds {
        if kind.holder.bind(py).get_item(&kind.variable)?.is_none_or(|provider| !provider.is_none())
            || kind.public.bind(py).get_item(&kind.getter)?.is_none_or(|getter| !getter.is(&kind.own))
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The module with the function, the function, the module with the variable, the variable.
const NAMES: [[&str; 4]; 3] = [
    ["opentelemetry.trace", "get_tracer_provider", "opentelemetry.trace", "_TRACER_PROVIDER"],
    ["opentelemetry.metrics", "get_meter_provider", "opentelemetry.metrics._internal", "_METER_PROVIDER"],
    ["opentelemetry._logs", "get_logger_provider", "opentelemetry._logs._internal", "_LOGGER_PROVIDER"],
];

enum Found {
    /// Nobody can have made a provider.
    NotLoaded,
    /// Not as it is known, or somebody's own function.
    Unknown,
    Kind(Kind),
}

fn find(modules: &Bound<'_, PyDict>, [public, getter, holder, variable]: [&str; 4]) -> PyResult<Found> {
    let py = modules.py();
    let Some(holder) = names_of(modules, holder)? else { return Ok(Found::NotLoaded) };
    let Some(public) = names_of(modules, public)? else { return Ok(Found::NotLoaded) };
    let (getter, variable) = (PyString::intern(py, getter), PyString::intern(py, variable));
    let Some(own) = public.get_item(&getter)? else { return Ok(Found::Unknown) };
    let globals = own.getattr_opt(intern!(py, "__globals__"))?;
    if !globals.is_some_and(|globals| globals.is(&holder)) {
        return Ok(Found::Unknown);
    }
    Ok(Found::Kind(Kind {
        holder: holder.unbind(),
        variable: variable.unbind(),
        public: public.unbind(),
        getter: getter.unbind(),
        own: own.unbind(),
    }))
}

/// The names of a loaded module.
fn names_of<'py>(modules: &Bound<'py, PyDict>, name: &str) -> PyResult<Option<Bound<'py, PyDict>>> {
    let Some(module) = modules.get_item(name)? else { return Ok(None) };
    let names = module.getattr_opt(intern!(modules.py(), "__dict__"))?;
    Ok(names.and_then(|names| names.cast_into::<PyDict>().ok()))
}
