//! Foundation: a compiled route, as data. Read once from what `forzium._compile` found out; never changed.
//!
//! The order of the *visits* is the order of FastAPI's recursion over the dependencies, written out: a dependency
//! comes before what depends on it. Not here: how any of it is carried out (the stages).

use std::cell::RefCell;

use pyo3::PyTraverseError;
use pyo3::exceptions::PyValueError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

pub use self::form::{FormField, FormModel, FormSource, Reads};
use crate::awaitable::Shared;
use crate::connection::Lifetime;
use crate::json::Outline;

macro_rules! attribute {
    ($object:expr, $name:literal) => {
        $object.getattr(pyo3::intern!($object.py(), $name))?
    };
}

mod form;

/// Where a parameter comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Path,
    Query,
    Header,
    Cookie,
    Body,
}

/// How a raw value becomes the argument.
pub enum Convert {
    /// A string that is passed on as it is.
    Str,
    /// An ASCII integer within these bounds; anything else is the validator's.
    Int { low: Option<i64>, high: Option<i64> },
    /// A plain decimal number; anything else is the validator's.
    Float,
    /// `true` or `false`, `1` or `0`; anything else is the validator's.
    Bool,
    /// A part of a JSON body that is passed on as it is if it is made of this; anything else is the validator's.
    Json(Vec<Shape>),
    /// Always the validator's.
    Validate,
    /// Extracted by the general Python function: models, aliases with choices.
    General(Py<PyAny>),
}

/// What a JSON value is made of; `List` and `Dict` are followed by what their items are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Any,
    Str,
    Int,
    Float,
    Bool,
    List,
    Dict,
}

/// One parameter.
pub struct Field {
    pub source: Source,
    /// The names it may come under, in order of preference.
    pub aliases: Vec<Alias>,
    pub convert: Convert,
    /// `SchemaValidator.validate_python`, bound.
    pub validate: Py<PyAny>,
    /// Whether all values of a name are collected into a list.
    pub sequence: bool,
    pub required: bool,
    /// The default, where it needs no copy and no validation.
    pub default: Option<Py<PyAny>>,
    /// Computes any other default: `() -> value`.
    pub make_default: Option<Py<PyAny>>,
    pub validate_default: bool,
}

/// A name of a parameter.
pub struct Alias {
    pub text: String,
    /// The same as the name of a header: latin-1, in lower case. None: no header has that name.
    pub header: Option<Vec<u8>>,
    /// The same as a Python string.
    pub key: Py<PyString>,
    /// The location that errors name: `(source, alias)`.
    pub loc: Py<PyTuple>,
}

/// Where one keyword argument comes from.
pub enum Input {
    /// The value of a dependency.
    Slot(usize),
    Field(Field),
    Request,
    WebSocket,
    Response,
    Background,
    /// `SecurityScopes` with these scopes.
    Scopes(Py<PyAny>),
}

/// How the body parameters of one callable are read.
pub enum BodyInput {
    /// The whole body is the value of this one.
    Whole(Field),
    /// Each is a key of the JSON object.
    Keys(Vec<Field>),
    /// Each is a field of a form. Where somebody else has read the form, the general Python function knows.
    Form(Vec<FormField>, Py<PyAny>),
    /// What the general Python function knows: `(body, ) -> (values, errors)`, awaited.
    General(Py<PyAny>),
}

/// How a callable is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calling {
    /// A coroutine function: driven in place.
    Async,
    /// A plain function: in a worker thread.
    Sync,
    /// A generator function: up to its `yield` in a worker thread.
    Generator,
    /// An async generator function: up to its `yield` in place.
    AsyncGenerator,
    /// Called in place for an object to iterate over: an endpoint that streams.
    Stream,
    /// The lifespan of the application has made its value, or is asked to make it now.
    Lasting,
}

/// A callable with what it needs: a dependency or the endpoint.
pub struct Node {
    /// For what lasts: gives the value where it is not there yet, `(scope) -> value`, awaited.
    pub call: Py<PyAny>,
    pub calling: Calling,
    /// For what lasts: what the value stands under in the application's.
    pub key: Option<Py<PyAny>>,
    pub inputs: Vec<Input>,
    pub body: Option<BodyInput>,
    /// The names of the keyword arguments, in the order of `inputs`, then of the body.
    pub names: Py<PyTuple>,
    /// The visits of its dependencies.
    pub needs: Vec<usize>,
    pub lifetime: Lifetime,
    /// `Depends(max_concurrency=...)`: gives the semaphore.
    pub limit: Option<Py<PyAny>>,
}

/// One step of solving.
pub struct Visit {
    pub node: usize,
    /// The slot the value goes to, or comes from.
    pub slot: usize,
    /// The first visit of what it needs; itself if it needs nothing.
    pub first: usize,
    /// The visit whose value (or whose errors) this one takes over.
    pub reuse: Option<usize>,
    /// Whether only that visit's own errors count again: what it needs has been visited anew.
    pub reuse_own: bool,
}

/// What is read of the body before anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    None,
    Json { strict: bool },
    Form,
}

/// What the endpoint's result becomes.
pub struct Answer {
    pub status: Option<u16>,
    /// The class to make the response of; none: JSON, written here.
    pub class: Option<Py<PyAny>>,
    /// Validates what was returned against the response model.
    pub validate: Option<Py<PyAny>>,
    /// `SchemaSerializer.to_json`, bound, with its options.
    pub to_json: Option<(Py<PyAny>, Py<PyDict>)>,
    /// What is written here without either: where it is certain what they would make of it.
    pub outline: Option<Outline>,
    /// Makes the content for `class`: `(value) -> content`.
    pub content: Py<PyAny>,
    /// Whether validation and serialization leave the event loop's thread, as the endpoint did.
    pub threaded: bool,
    /// Options of a streaming endpoint, for the Python function that makes its response.
    pub stream: Option<Py<PyAny>>,
}

/// A compiled route.
#[pyclass(module = "forzium._forzium", frozen)]
pub struct Plan {
    pub nodes: Vec<Node>,
    pub visits: Vec<Visit>,
    pub slots: usize,
    pub body: BodyKind,
    /// Limits for reading a form.
    pub form_limits: Py<PyAny>,
    /// Whether there are any.
    pub has_form_limits: bool,
    pub answer: Answer,
    /// The path operation, for errors: `(method) -> EndpointContext`.
    pub context: Py<PyAny>,
    /// Whether any callable asks for the injected response.
    pub injects_response: bool,
    /// Whether any callable asks for the `Request`.
    pub injects_request: bool,
    /// Whether the endpoint and its dependencies are cancelled when the client leaves.
    pub cancel_on_disconnect: bool,
    /// Whether background tasks run whatever becomes of the response.
    pub background_always: bool,
    spec: Py<PyAny>,
}

fn unknown(what: &str, found: &Bound<'_, PyAny>) -> PyErr {
    PyValueError::new_err(format!("plan: expected a known {what}, but found {found:?}"))
}

fn shapes(names: &Bound<'_, PyAny>) -> PyResult<Vec<Shape>> {
    let names: Vec<String> = names.extract()?;
    names
        .iter()
        .map(|name| match name.as_str() {
            "any" => Ok(Shape::Any),
            "str" => Ok(Shape::Str),
            "int" => Ok(Shape::Int),
            "float" => Ok(Shape::Float),
            "bool" => Ok(Shape::Bool),
            "list" => Ok(Shape::List),
            "dict" => Ok(Shape::Dict),
            _ => Err(PyValueError::new_err(format!("unknown shape: {name:?}"))),
        })
        .collect()
}

impl Field {
    fn read(spec: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = spec.py();
        let source = attribute!(spec, "source");
        let name = source.extract::<String>()?;
        let convert = attribute!(spec, "convert");
        let mut aliases = Vec::new();
        for alias in attribute!(spec, "aliases").try_iter()? {
            let (text, loc) = alias?.extract::<(Bound<'_, PyString>, Bound<'_, PyTuple>)>()?;
            let (key, text) = (text.clone().unbind(), text.to_string());
            let header = text.to_lowercase().chars().map(|char| u8::try_from(char).ok()).collect();
            aliases.push(Alias { text, header, key, loc: loc.unbind() });
        }
        let validate_default: bool = attribute!(spec, "validate_default").extract()?;
        let _ = py;
        Ok(Self {
            source: match name.as_str() {
                "path" => Source::Path,
                "query" => Source::Query,
                "header" => Source::Header,
                "cookie" => Source::Cookie,
                "body" => Source::Body,
                _ => return Err(unknown("source", &source)),
            },
            aliases,
            convert: match convert.extract::<String>()?.as_str() {
                "str" => Convert::Str,
                "int" => {
                    Convert::Int { low: attribute!(spec, "low").extract()?, high: attribute!(spec, "high").extract()? }
                }
                "float" => Convert::Float,
                "bool" => Convert::Bool,
                "json" => Convert::Json(shapes(&attribute!(spec, "shape"))?),
                "validate" => Convert::Validate,
                "general" => Convert::General(attribute!(spec, "general").unbind()),
                _ => return Err(unknown("conversion", &convert)),
            },
            validate: attribute!(spec, "validate").unbind(),
            sequence: attribute!(spec, "sequence").extract()?,
            required: attribute!(spec, "required").extract()?,
            default: attribute!(spec, "plain_default")
                .extract::<bool>()?
                .then(|| spec.getattr("default").map(Bound::unbind))
                .transpose()?,
            make_default: attribute!(spec, "make_default").extract()?,
            validate_default,
        })
    }

    fn read_all(specs: &Bound<'_, PyAny>) -> PyResult<Vec<Self>> {
        specs.try_iter()?.map(|spec| Self::read(&spec?)).collect()
    }
}

impl Node {
    fn read(spec: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut inputs = Vec::new();
        for input in attribute!(spec, "inputs").try_iter()? {
            let (kind, value) = input?.extract::<(Bound<'_, PyString>, Bound<'_, PyAny>)>()?;
            inputs.push(match kind.to_cow()?.as_ref() {
                "slot" => Input::Slot(value.extract()?),
                "field" => Input::Field(Field::read(&value)?),
                "request" => Input::Request,
                "websocket" => Input::WebSocket,
                "response" => Input::Response,
                "background" => Input::Background,
                "scopes" => Input::Scopes(value.unbind()),
                _ => return Err(unknown("input", &kind)),
            });
        }
        let body = attribute!(spec, "body");
        let body = if body.is_none() {
            None
        } else {
            let (kind, value) = body.extract::<(Bound<'_, PyString>, Bound<'_, PyAny>)>()?;
            Some(match kind.to_cow()?.as_ref() {
                "whole" => BodyInput::Whole(Field::read(&value)?),
                "keys" => BodyInput::Keys(Field::read_all(&value)?),
                "form" => {
                    let (fields, general) = value.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
                    BodyInput::Form(FormField::read_all(&fields)?, general.unbind())
                }
                "general" => BodyInput::General(value.unbind()),
                _ => return Err(unknown("body input", &kind)),
            })
        };
        let name = attribute!(spec, "calling");
        let calling = match name.extract::<String>()?.as_str() {
            "async" => Calling::Async,
            "sync" => Calling::Sync,
            "generator" => Calling::Generator,
            "async_generator" => Calling::AsyncGenerator,
            "stream" => Calling::Stream,
            "lasting" => Calling::Lasting,
            _ => return Err(unknown("way of calling", &name)),
        };
        let call = attribute!(spec, "call");
        let key = if calling == Calling::Lasting { Some(attribute!(call, "key").unbind()) } else { None };
        Ok(Self {
            call: call.unbind(),
            calling,
            key,
            inputs,
            body,
            names: attribute!(spec, "names").cast_into::<PyTuple>()?.unbind(),
            needs: attribute!(spec, "needs").extract()?,
            lifetime: if attribute!(spec, "lifetime").extract::<String>()? == "function" {
                Lifetime::Function
            } else {
                Lifetime::Request
            },
            limit: attribute!(spec, "limit").extract()?,
        })
    }
}

impl Answer {
    fn read(spec: &Bound<'_, PyAny>) -> PyResult<Self> {
        let outline = attribute!(spec, "outline");
        Ok(Self {
            status: attribute!(spec, "status").extract()?,
            class: attribute!(spec, "response_class").extract()?,
            validate: attribute!(spec, "validate").extract()?,
            to_json: attribute!(spec, "to_json").extract()?,
            outline: (!outline.is_none()).then(|| Outline::read(&outline)).transpose()?,
            content: attribute!(spec, "content").unbind(),
            threaded: attribute!(spec, "threaded").extract()?,
            stream: attribute!(spec, "stream").extract()?,
        })
    }
}

#[pymethods]
impl Plan {
    #[new]
    fn new(spec: Bound<'_, PyAny>) -> PyResult<Self> {
        let nodes =
            attribute!(spec, "nodes").try_iter()?.map(|node| Node::read(&node?)).collect::<PyResult<Vec<_>>>()?;
        let mut visits = Vec::new();
        for visit in attribute!(spec, "visits").try_iter()? {
            let visit = visit?;
            visits.push(Visit {
                node: attribute!(visit, "node").extract()?,
                slot: attribute!(visit, "slot").extract()?,
                first: attribute!(visit, "first").extract()?,
                reuse: attribute!(visit, "reuse").extract()?,
                reuse_own: attribute!(visit, "reuse_own").extract()?,
            });
        }
        let body = attribute!(spec, "body");
        let plan = Self {
            slots: attribute!(spec, "slots").extract()?,
            body: match body.extract::<String>()?.as_str() {
                "none" => BodyKind::None,
                "json" => BodyKind::Json { strict: attribute!(spec, "strict_content_type").extract()? },
                "form" => BodyKind::Form,
                _ => return Err(unknown("kind of body", &body)),
            },
            has_form_limits: attribute!(spec, "form_limits").is_truthy()?,
            form_limits: attribute!(spec, "form_limits").unbind(),
            answer: Answer::read(&attribute!(spec, "answer"))?,
            context: attribute!(spec, "context").unbind(),
            injects_response: nodes
                .iter()
                .any(|node: &Node| node.inputs.iter().any(|input| matches!(input, Input::Response))),
            injects_request: nodes
                .iter()
                .any(|node: &Node| node.inputs.iter().any(|input| matches!(input, Input::Request))),
            cancel_on_disconnect: attribute!(spec, "cancel_on_disconnect").extract()?,
            background_always: attribute!(spec, "background_always").extract()?,
            nodes,
            visits,
            spec: spec.clone().unbind(),
        };
        plan.check()?;
        Ok(plan)
    }

    /// What the plan was read from.
    #[getter]
    fn spec(&self, py: Python<'_>) -> Py<PyAny> {
        self.spec.clone_ref(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        for object in [&self.spec, &self.context, &self.form_limits] {
            visit.call(object)?;
        }
        for node in &self.nodes {
            node.traverse(visit)?;
        }
        self.answer.traverse(visit)
    }
}

impl Field {
    fn traverse(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Convert::General(general) = &self.convert {
            visit.call(general)?;
        }
        visit.call(&self.validate)?;
        visit.call(&self.default)?;
        visit.call(&self.make_default)
    }
}

impl Node {
    fn traverse(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.call)?;
        visit.call(&self.key)?;
        visit.call(&self.limit)?;
        for input in &self.inputs {
            match input {
                Input::Field(field) => field.traverse(visit)?,
                Input::Scopes(scopes) => visit.call(scopes)?,
                Input::Slot(_) | Input::Request | Input::WebSocket | Input::Response | Input::Background => {}
            }
        }
        match &self.body {
            None => Ok(()),
            Some(BodyInput::Whole(field)) => field.traverse(visit),
            Some(BodyInput::Keys(fields)) => fields.iter().try_for_each(|field| field.traverse(visit)),
            Some(BodyInput::Form(fields, general)) => {
                fields.iter().try_for_each(|field| field.traverse(visit))?;
                visit.call(general)
            }
            Some(BodyInput::General(general)) => visit.call(general),
        }
    }
}

impl Answer {
    fn traverse(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        for object in [&self.class, &self.validate, &self.stream] {
            visit.call(object)?;
        }
        if let Some((to_json, options)) = &self.to_json {
            visit.call(to_json)?;
            visit.call(options)?;
        }
        if let Some(outline) = &self.outline {
            outline.traverse(&visit)?;
        }
        visit.call(&self.content)
    }
}

impl Plan {
    /// Whether anything is called before the endpoint.
    fn has_dependencies(&self) -> bool {
        self.visits.len() > 1
    }

    /// Every index points somewhere, and to what comes before: what the stages rely on.
    fn check(&self) -> PyResult<()> {
        for (at, visit) in self.visits.iter().enumerate() {
            let node = self.nodes.get(visit.node);
            let needs = node.map_or(&[][..], |node| &node.needs);
            let slots = node.into_iter().flat_map(|node| &node.inputs).filter_map(|input| match input {
                Input::Slot(slot) => Some(*slot),
                _ => None,
            });
            if node.is_none()
                || visit.slot >= self.slots
                || visit.first > at
                || visit.reuse.is_some_and(|reuse| reuse >= at)
                || needs.iter().any(|need| *need >= at)
                || slots.into_iter().any(|slot| slot >= self.slots)
            {
                return Err(PyValueError::new_err(format!("plan: visit {at} points outside the plan")));
            }
        }
        if self.visits.last().is_none_or(|visit| visit.reuse.is_some()) {
            return Err(PyValueError::new_err("plan: the last visit must be the endpoint's"));
        }
        Ok(())
    }
}

/// A plan that is compiled when it is first needed, and anew where dependencies are overridden.
pub struct LazyPlan {
    /// `(overrides or None) -> Plan`.
    compile: Py<PyAny>,
    /// Who has the `dependency_overrides`.
    provider: Option<Py<PyAny>>,
    plan: Shared<RefCell<Option<Py<Plan>>>>,
}

impl LazyPlan {
    pub fn new(compile: Py<PyAny>, provider: Option<Py<PyAny>>) -> Self {
        Self { compile, provider, plan: Shared(RefCell::new(None)) }
    }

    /// The plan to carry out.
    pub fn get<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Plan>> {
        let known = self.plan.0.borrow().as_ref().map(|plan| plan.bind(py).clone());
        if let Some(plan) = &known
            && !plan.get().has_dependencies()
        {
            // Nothing that could be overridden.
            return Ok(plan.clone());
        }
        if let Some(provider) = &self.provider
            && let Some(overrides) = provider.bind(py).getattr_opt(pyo3::intern!(py, "dependency_overrides"))?
            && overrides.is_truthy()?
        {
            return Ok(self.compile.bind(py).call1((overrides,))?.cast_into::<Plan>()?);
        }
        if let Some(plan) = known {
            return Ok(plan);
        }
        let plan = self.compile.bind(py).call1((py.None(),))?.cast_into::<Plan>()?;
        *self.plan.0.borrow_mut() = Some(plan.clone().unbind());
        Ok(plan)
    }

    pub fn traverse(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.compile)?;
        visit.call(&self.provider)?;
        match self.plan.0.try_borrow() {
            Ok(plan) => visit.call(&*plan),
            Err(_) => Ok(()),
        }
    }
}
