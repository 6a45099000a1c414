"""The shape of a plan: plain data, read by `forzium._forzium.Plan` and by `explain`.

Stands on nothing. What the values mean is said in `rust/forzium-py/src/plan.rs`, which mirrors these classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from forzium._forzium import BodyLimit

Source: TypeAlias = Literal["path", "query", "header", "cookie", "body"]
Conversion: TypeAlias = Literal["str", "int", "float", "bool", "json", "validate", "general"]
Shape: TypeAlias = tuple[str, ...]
"""From the outside inwards, `("list", "dict", "any")` for `list[dict[str, Any]]`."""
Calling: TypeAlias = Literal["async", "sync", "generator", "async_generator", "stream", "lasting"]


@dataclass(slots=True)
class FieldSpec:
    """One parameter.

    Attributes:
        name: Its name in Python.
        source: Where it comes from.
        aliases: The names it may have in the request, the preferred one first, each with the location in errors.
        convert: How the raw value becomes the argument: in Rust where the result is certain, else by pydantic's
            validator, or wholly by the general Python function.
        validate: `SchemaValidator.validate_python` of its type.
        low, high: Bounds of an integer converted in Rust, inclusive. Default is none.
        shape: What a part of a JSON body must be made of to be the argument as it is, for `convert="json"`.
        sequence: Whether all values of a name are collected.
        required: Whether it must be there.
        default: The default, where `plain_default` says that it needs no copy.
        make_default: Computes any other default.
        validate_default: Whether the default is validated, too.
        general: `(request) -> (value, errors)`, for `convert="general"`.
    """

    name: str
    source: Source
    aliases: list[tuple[str, tuple[str, ...]]]
    convert: Conversion
    validate: Callable[..., Any]
    low: int | None = None
    high: int | None = None
    shape: Shape | None = None
    sequence: bool = False
    required: bool = True
    plain_default: bool = False
    default: Any = None
    make_default: Callable[[], Any] | None = None
    validate_default: bool = False
    general: Callable[[Any], tuple[Any, list[Any]]] | None = None


@dataclass(slots=True)
class FormSourceSpec:
    """Where a value is found in a form.

    Attributes:
        names: The names it may have, the preferred one first.
        sequence: Whether all values of a name are collected.
        reads: What is read of uploaded files: nothing, the bytes of one, or those of a list.
        collect: Makes the declared sequence of a list of bytes, for `reads="files"`.
    """

    names: list[str]
    sequence: bool = False
    reads: Literal["nothing", "file", "files"] = "nothing"
    collect: Callable[[list[Any]], Any] | None = None


@dataclass(slots=True)
class FormModelSpec:
    """A model whose fields are fields of the form.

    Attributes:
        members: Its fields.
        optional: Whether there may be nothing of it.
        extras_count: Whether a field that is none of its own counts as something of it.
    """

    members: list[FormSourceSpec]
    optional: bool
    extras_count: bool


@dataclass(slots=True)
class FormFieldSpec:
    """One parameter of a form.

    Attributes:
        field: How it is validated.
        source: Where it is found, unless it is a model.
        model: The model it is. Default is none.
    """

    field: FieldSpec
    source: FormSourceSpec
    model: FormModelSpec | None = None


@dataclass(slots=True)
class NodeSpec:
    """A callable with what it needs: a dependency, or the endpoint.

    Attributes:
        call: The callable; for `calling="lasting"` a `Lasting`, whose value is there.
        calling: How it is called.
        inputs: Where each keyword argument comes from: a kind, and what belongs to it.
        names: The names of the keyword arguments, those of the body last.
        body: How its body parameters are read: `("whole", field)`, `("keys", fields)`, `("form", (fields, function))`
            or `("general", function)`.
        needs: The visits that must have succeeded.
        lifetime: Until when what it yields lives.
        limit: The concurrency limit of its `Depends`. Default is none.
    """

    call: Callable[..., Any]
    calling: Calling
    inputs: list[tuple[str, Any]] = field(default_factory=list)
    names: tuple[str, ...] = ()
    body: tuple[str, Any] | None = None
    needs: list[int] = field(default_factory=list)
    lifetime: Literal["function", "request"] = "request"
    limit: Any = None


@dataclass(slots=True)
class VisitSpec:
    """One step of solving.

    Attributes:
        node: The callable visited.
        slot: Where its value is kept.
        first: The first visit of what it needs, directly or not; itself if nothing.
        reuse: The earlier visit whose value is taken over. Default is none.
        reuse_own: Whether only the earlier visit's own errors count again, what it needs having been visited anew.
    """

    node: int
    slot: int
    first: int
    reuse: int | None = None
    reuse_own: bool = False


Part: TypeAlias = tuple[Any, ...]
"""One part of a value: what it is, and the places of the parts that it is made of.

- `("any",)`, or the same with `str`, `int`, `float`, `bool`, `none`, `datetime`, `date`;
- `("nullable", part)`, `("list", part)`, `("dict", part)`, where a key of a `dict` is a `str`;
- `("literal", strings)`;
- `("one", enumeration, members)`: one of these very objects, each with its text; `("uuid", class)`;
- `("given", part)`: certain only where nothing is validated, which is inside of an instance of a model;
- `("model", class, of_dicts, members)`: an instance; or a `dict`, where no more is needed to make an instance of it.
"""

Member: TypeAlias = tuple[tuple[str, ...], str, bytes, int, tuple[()] | tuple[Any]]
"""A field of a model: the keys that its value may stand under in a `dict`, the preferred one first; the name of the
attribute; what is written before the value; the place of its part; what stands for a missing one, if anything."""


@dataclass(slots=True)
class OutlineSpec:
    """What a value is made of whose validation and whose JSON text are certain.

    Attributes:
        parts: The value and all that it may be made of.
        root: The place of the value itself.
    """

    parts: list[Part]
    root: int


@dataclass(slots=True)
class AnswerSpec:
    """What becomes of the endpoint's result.

    Attributes:
        status: The declared status. Default is that of the response.
        response_class: What a response is made with. None: JSON, written in Rust.
        validate: Validates against the response model. Default is no validation.
        to_json: Writes a validated value as JSON: a function and its keyword arguments.
        outline: What is written in Rust without either. Default is nothing.
        content: Turns a value into the content for `response_class`.
        threaded: Whether validation happens in a worker thread, as the endpoint did.
        stream: For a result that is iterated while it is sent: the function that makes the response.
    """

    status: int | None
    response_class: type[Any] | None
    content: Callable[[Any], Any]
    validate: Callable[..., Any] | None = None
    to_json: tuple[Callable[..., bytes], dict[str, Any]] | None = None
    outline: OutlineSpec | None = None
    threaded: bool = False
    stream: Callable[..., Any] | None = None


@dataclass(slots=True)
class PlanSpec:
    """A whole plan.

    Attributes:
        nodes: The dependencies and, last, the endpoint.
        visits: The order of solving; the last one is the endpoint's.
        slots: How many values are kept.
        body: What is read of the body.
        strict_content_type: Whether a JSON body needs its media type.
        form_limits: Limits of a form.
        answer: What becomes of the result.
        context: `(scope) -> EndpointContext`, for error messages.
        cancel_on_disconnect: Whether dependencies and endpoint are cancelled when the client leaves.
        background_always: Whether background tasks run whatever becomes of the response.
    """

    nodes: list[NodeSpec]
    visits: list[VisitSpec]
    slots: int
    body: Literal["none", "json", "form"]
    strict_content_type: bool
    form_limits: dict[str, int]
    answer: AnswerSpec
    context: Callable[[Any], Any]
    cancel_on_disconnect: bool = False
    background_always: bool = False


@dataclass(slots=True)
class EntrySpec:
    """A route in the table of a router.

    Attributes:
        route: What `scope["route"]` becomes, and whose `matches` and `handle` are asked if it is opaque.
        endpoint: What `scope["endpoint"]` becomes.
        pieces: The path: literals and parameters (name, convertor, convert). None: any path may match.
        regex: The whole expression, for paths that the table cannot match itself.
        websocket: Whether it is for WebSockets.
        methods: The methods it takes. None: all.
        context: The effective context, for a route of an included router.
        opaque: Whether it is asked and called as plain ASGI.
        compile: `(overrides or None) -> Plan`.
        provider: Who has the dependency overrides.
        is_mount: Whether it is a mounted application.
        limit: The limit of the body of a request to it. None: none of its own.
    """

    route: Any
    endpoint: Any
    pieces: list[tuple[str, str | None, Any]] | None
    regex: Any = None
    websocket: bool = False
    methods: list[str] | None = None
    context: Any = None
    opaque: bool = True
    compile: Callable[[Any], Any] | None = None
    provider: Any = None
    is_mount: bool = False
    limit: BodyLimit | None = None
