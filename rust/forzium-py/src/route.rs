//! Stage: from a path and a method to the route that answers, by the order of registration.
//!
//! The tree of `forzium_core::routing` names the candidates; here each is tried. A *native* route is matched here and
//! carried out by its plan; an *opaque* one (a mounted application, a route class of the user's own) is asked
//! through its own `matches` and answers through its own `handle`. Source: Starlette's router: the first full match
//! wins, then the first that matches but for its method.

use forzium_core::routing::{Captures, Convertor, Pattern, Piece, Tree};
use pyo3::PyTraverseError;
use pyo3::exceptions::PyValueError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyInt, PyString, PyTuple};

use crate::connection::Connection;
use crate::interned;
use crate::middleware::BodyLimit;
use crate::plan::{LazyPlan, Plan};

/// One route in a router's table.
pub struct Entry {
    /// None: any path may match (a route that matches by other means, such as the host).
    pattern: Option<Pattern>,
    /// `re.Pattern` for an irregular path.
    regex: Option<Py<PyAny>>,
    websocket: bool,
    /// None: any method.
    methods: Option<Vec<String>>,
    params: Vec<(Py<PyString>, Value)>,
    pub endpoint: Py<PyAny>,
    /// What `scope["route"]` becomes.
    pub route: Py<PyAny>,
    /// The route as it is included, with its prefix and dependencies, where a router includes another.
    pub context: Option<Py<PyAny>>,
    /// Whether the route is asked and called as plain ASGI.
    pub opaque: bool,
    /// Whether it is a mounted application.
    pub is_mount: bool,
    /// What a native route carries out.
    pub plan: LazyPlan,
    /// The limit of the body of a request to this route.
    pub limit: Option<Py<BodyLimit>>,
}

/// How the text of a path parameter becomes its value.
enum Value {
    Text,
    Int,
    Float,
    /// The convertor's own `convert`.
    Call(Py<PyAny>),
}

/// The answer to a path.
pub enum Match {
    /// This entry answers; the values of its path parameters, or the scope that an opaque route wants.
    Full(usize, Py<PyDict>),
    /// This one would, were it not for the method.
    Partial(usize, Py<PyDict>),
    None,
}

/// The routes of one router.
#[pyclass(module = "forzium._forzium", frozen)]
pub struct Table {
    pub entries: Vec<Entry>,
    tree: Tree,
    /// Whether a path that fails is tried with its last slash taken away or added.
    pub redirect_slashes: bool,
    /// Answers what no route does; none: 404.
    pub default: Option<Py<PyAny>>,
    /// `(scope, receive, send)` for routes that come after all others; answers false where there is none.
    pub low_priority: Option<Py<PyAny>>,
    /// Puts the router's form limits into the scope: `(scope)`.
    pub form_limits: Option<Py<PyAny>>,
    /// Whether a mounted application or the like is put into `scope["route"]`, as Starlette's own router does.
    pub marks_route: bool,
}

impl Entry {
    fn read(spec: &Bound<'_, PyAny>) -> PyResult<Self> {
        let pieces = spec.getattr("pieces")?;
        let mut params = Vec::new();
        let pattern = if pieces.is_none() {
            None
        } else {
            let mut read = Vec::new();
            for piece in pieces.try_iter()? {
                let (text, convertor, convert) =
                    piece?.extract::<(Bound<'_, PyString>, Option<String>, Bound<'_, PyAny>)>()?;
                read.push(match convertor {
                    None => Piece::Literal(text.to_string()),
                    Some(name) => {
                        let convertor = Convertor::from_name(&name);
                        let value = match convertor {
                            Convertor::Str | Convertor::Path => Value::Text,
                            Convertor::Int => Value::Int,
                            Convertor::Float => Value::Float,
                            Convertor::Uuid | Convertor::Custom => Value::Call(convert.unbind()),
                        };
                        params.push((text.unbind(), value));
                        Piece::Param(convertor)
                    }
                });
            }
            Some(Pattern::new(&read))
        };
        Ok(Self {
            pattern,
            regex: spec.getattr("regex")?.extract()?,
            websocket: spec.getattr("websocket")?.extract()?,
            methods: spec.getattr("methods")?.extract()?,
            params,
            endpoint: spec.getattr("endpoint")?.unbind(),
            route: spec.getattr("route")?.unbind(),
            context: spec.getattr("context")?.extract()?,
            opaque: spec.getattr("opaque")?.extract()?,
            is_mount: spec.getattr("is_mount")?.extract()?,
            plan: LazyPlan::new(spec.getattr("compile")?.unbind(), spec.getattr("provider")?.extract()?),
            limit: spec.getattr("limit")?.extract()?,
        })
    }

    fn allows(&self, method: &str) -> bool {
        self.methods.as_ref().is_none_or(|methods| methods.iter().any(|allowed| allowed == method))
    }

    /// Matches a native route's path; the values of its parameters, added to those of the scope.
    fn values<'c>(
        &self,
        connection: &'c Connection,
        path: &str,
        captures: &mut Captures,
    ) -> PyResult<Option<Bound<'c, PyDict>>> {
        let py = connection.py();
        let Some(pattern) = &self.pattern else {
            return Ok(None);
        };
        let matched = if pattern.is_regular() {
            if !pattern.matches(path, captures) {
                return Ok(None);
            }
            None
        } else {
            let Some(regex) = &self.regex else {
                return Ok(None);
            };
            if !path.starts_with(pattern.prefix()) {
                return Ok(None);
            }
            let matched = regex.bind(py).call_method1(pyo3::intern!(py, "fullmatch"), (path,))?;
            if matched.is_none() {
                return Ok(None);
            }
            Some(matched)
        };
        let values = match connection.scope().get_item(interned::path_params(py))? {
            Some(outer) if outer.is_truthy()? => outer.cast::<PyDict>()?.copy()?,
            _ => PyDict::new(py),
        };
        for (index, (name, value)) in self.params.iter().enumerate() {
            let name = name.bind(py);
            let text = match &matched {
                Some(matched) => matched.call_method1(pyo3::intern!(py, "group"), (name,))?.cast_into::<PyString>()?,
                None => PyString::new(py, &path[captures[index].clone()]),
            };
            match value {
                Value::Text => values.set_item(name, text)?,
                Value::Int => match text.to_cow()?.parse::<i64>() {
                    Ok(number) => values.set_item(name, number)?,
                    Err(_) => match converted(py.get_type::<PyInt>().as_any(), &text)? {
                        Some(number) => values.set_item(name, number)?,
                        None => return Ok(None),
                    },
                },
                Value::Float => values.set_item(name, py.get_type::<PyFloat>().call1((text,))?)?,
                Value::Call(convert) => match converted(convert.bind(py), &text)? {
                    Some(value) => values.set_item(name, value)?,
                    None => return Ok(None),
                },
            }
        }
        Ok(Some(values))
    }
}

/// What a convertor makes of a text; none where it refuses it (`ValueError`), and so the route does not match.
fn converted<'py>(convert: &Bound<'py, PyAny>, text: &Bound<'py, PyString>) -> PyResult<Option<Bound<'py, PyAny>>> {
    match convert.call1((text,)) {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_instance_of::<PyValueError>(convert.py()) => Ok(None),
        Err(error) => Err(error),
    }
}

#[pymethods]
impl Table {
    #[new]
    #[pyo3(signature = (entries, *, redirect_slashes, default, low_priority, marks_route, form_limits))]
    fn new(
        entries: Bound<'_, PyAny>,
        redirect_slashes: bool,
        default: Option<Py<PyAny>>,
        low_priority: Option<Py<PyAny>>,
        marks_route: bool,
        form_limits: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let entries = entries.try_iter()?.map(|entry| Entry::read(&entry?)).collect::<PyResult<Vec<_>>>()?;
        let tree = Tree::new(entries.iter().map(|entry| entry.pattern.as_ref()));
        Ok(Self { entries, tree, redirect_slashes, default, low_priority, form_limits, marks_route })
    }

    /// The index of the route that a path leads to, and whether its method fits, for tests and tools.
    fn find(&self, scope: Bound<'_, PyDict>) -> PyResult<Option<(usize, bool, Py<PyDict>)>> {
        let py = scope.py();
        let websocket = scope.get_item(interned::r#type(py))?.is_some_and(|kind| kind.eq("websocket").unwrap_or(false));
        let connection = Connection::new(scope.clone(), py.None().into_bound(py), py.None().into_bound(py), websocket);
        let path =
            scope.get_item(interned::path(py))?.map(|path| path.extract::<String>()).transpose()?.unwrap_or_default();
        let method = scope.get_item(interned::method(py))?.map(|method| method.extract::<String>()).transpose()?;
        Ok(match self.route(&connection, &path, method.as_deref().unwrap_or("GET"), websocket)? {
            Match::Full(index, values) => Some((index, true, values)),
            Match::Partial(index, values) => Some((index, false, values)),
            Match::None => None,
        })
    }

    /// The `(route, context, endpoint, opaque)` of an entry, for tools.
    fn entry<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyTuple>> {
        let entry = self.entries.get(index).ok_or_else(|| PyValueError::new_err("table: no such entry"))?;
        (entry.route.bind(py), entry.context.as_ref(), entry.endpoint.bind(py), entry.opaque).into_pyobject(py)
    }

    /// The plan of a native entry, for tools.
    fn entry_plan<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, Plan>> {
        self.entries.get(index).ok_or_else(|| PyValueError::new_err("table: no such entry"))?.plan.get(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        for entry in &self.entries {
            for object in [&entry.route, &entry.endpoint] {
                visit.call(object)?;
            }
            visit.call(&entry.context)?;
            entry.plan.traverse(visit)?;
        }
        visit.call(&self.default)?;
        visit.call(&self.form_limits)?;
        visit.call(&self.low_priority)
    }
}

impl Table {
    /// Finds who answers. `path` is the part of the path that routes see.
    pub fn route(&self, connection: &Connection, path: &str, method: &str, websocket: bool) -> PyResult<Match> {
        let py = connection.py();
        let mut captures = Captures::new();
        let mut partial = Match::None;
        for index in self.tree.candidates(path) {
            let Some(entry) = self.entries.get(index) else {
                continue;
            };
            if entry.opaque {
                if entry.pattern.as_ref().is_some_and(|pattern| !path.starts_with(pattern.prefix())) {
                    continue;
                }
                let asked = entry.route.bind(py).call_method1(interned::matches(py), (connection.scope(),))?;
                let (verdict, child) = asked.extract::<(Bound<'_, PyAny>, Bound<'_, PyDict>)>()?;
                match verdict.getattr(pyo3::intern!(py, "value"))?.extract::<u8>()? {
                    2 => return Ok(Match::Full(index, child.unbind())),
                    1 if matches!(partial, Match::None) => partial = Match::Partial(index, child.unbind()),
                    _ => {}
                }
                continue;
            }
            if entry.websocket != websocket {
                continue;
            }
            let Some(values) = entry.values(connection, path, &mut captures)? else {
                continue;
            };
            if websocket || entry.allows(method) {
                return Ok(Match::Full(index, values.unbind()));
            }
            if matches!(partial, Match::None) {
                partial = Match::Partial(index, values.unbind());
            }
        }
        Ok(partial)
    }

    /// Whether a path has candidates at all.
    pub fn may_know(&self, path: &str) -> bool {
        self.tree.candidates(path).any(|index| {
            let pattern = self.entries.get(index).and_then(|entry| entry.pattern.as_ref());
            pattern.is_none_or(|pattern| path.starts_with(pattern.prefix()))
        })
    }

    /// The route that knows the path, whatever the method: what decides on a redirect.
    pub fn knows(&self, connection: &Connection, path: &str, method: &str) -> PyResult<Option<usize>> {
        Ok(match self.route(connection, path, method, false)? {
            Match::Full(index, _) | Match::Partial(index, _) => Some(index),
            Match::None => None,
        })
    }
}
