"""A plan for people to read: which route answers, what is converted where, in which order dependencies run.

Stands on `spec` and the compiled table. `forzium.explain` is this module's `explain`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from forzium._compile.spec import FieldSpec, NodeSpec, OutlineSpec, PlanSpec
from forzium.dependencies.lasting import Lasting

_CALLING = {
    "async": "awaited in place",
    "sync": "called in a worker thread",
    "generator": "entered and left in a worker thread",
    "async_generator": "entered and left in place",
    "stream": "iterated while the response is sent",
    "lasting": "made once in the lifespan of the application",
}


@dataclass(frozen=True)
class Explanation:
    """How a request would be answered.

    Attributes:
        method: The method asked about.
        path: The path asked about.
        outcome: `"native"` (Rust carries out a plan), `"opaque"` (the route is called as plain ASGI),
            `"method not allowed"`, or `"not found"`.
        route: The path template of the route, if one was found.
        endpoint: The name of its endpoint.
        path_params: The values of the path parameters.
        middleware: The user's middleware, outermost first: for each its `class` and whether it is `native`, which the
            core carries out itself (False: it is called as the ASGI application it is).
        stages: For a native route: one dict a stage with at least `stage`.
    """

    method: str
    path: str
    outcome: str
    route: str | None = None
    endpoint: str | None = None
    path_params: dict[str, Any] = field(default_factory=dict)
    middleware: list[dict[str, Any]] = field(default_factory=list)
    stages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def native(self) -> bool:
        """Whether Rust carries out the route."""
        return self.outcome == "native"

    def __str__(self) -> str:
        lines = [f"{self.method} {self.path}: {self.outcome}"]
        if self.route is not None:
            lines.append(f"  route {self.route} -> {self.endpoint}")
        for each in self.middleware:
            lines.append(f"  middleware {each['class']}: {'native' if each['native'] else 'called as ASGI'}")
        for stage in self.stages:
            details = ", ".join(f"{key}: {value}" for key, value in stage.items() if key != "stage")
            lines.append(f"  {stage['stage']}: {details}" if details else f"  {stage['stage']}")
        return "\n".join(lines)


def explain(app: Any, method: str, path: str) -> Explanation:
    """Say how an application would answer, without calling anything of it.

    Args:
        app: A `forzium.FastAPI`.
        method: For instance `"GET"`; `"WEBSOCKET"` for a WebSocket.
        path: For instance `"/items/1"`.

    Returns:
        The explanation; `str()` of it is the text.

    Raises:
        TypeError: `app` is not a forzium application.

    Example:
        >>> print(forzium.explain(app, "GET", "/items/1"))  # doctest: +SKIP
    """
    from forzium.applications import Starlette

    if not isinstance(app, Starlette):
        raise TypeError(f"expected a forzium application, but found {type(app).__name__}: give the FastAPI() object")
    method = method.upper()
    websocket = method == "WEBSOCKET"
    scope: dict[str, Any] = {
        "type": "websocket" if websocket else "http",
        "method": method,
        "path": path,
        "root_path": "",
        "query_string": b"",
        "headers": [],
        "app": app,
    }
    table = app.router._dispatcher.table
    found = table.find(scope)
    middleware = middleware_of(app)
    if found is None:
        return Explanation(method, path, "not found", middleware=middleware)
    index, fits, values = found
    route, context, endpoint, opaque = table.entry(index)
    shown = route if context is None else context
    described: dict[str, Any] = {
        "route": getattr(shown, "path", None) or getattr(route, "path", None) or repr(route),
        "endpoint": getattr(endpoint, "__qualname__", None) or type(endpoint).__name__,
        "path_params": {} if opaque else values,
        "middleware": middleware,
    }
    if not fits:
        return Explanation(method, path, "method not allowed", **described)
    if opaque:
        return Explanation(method, path, "opaque", **described)
    return Explanation(method, path, "native", **described, stages=stages_of(table.entry_plan(index).spec))


def middleware_of(app: Any) -> list[dict[str, Any]]:
    """The user's middleware of an application, outermost first, and what carries it out."""
    from forzium._compile.application import is_native
    from forzium.middleware._own import is_own

    ours = app.middleware_stack is None and is_native(app)
    return [
        {"class": getattr(each.cls, "__name__", repr(each.cls)), "native": ours and is_own(each.cls)}
        for each in app.user_middleware
    ]


def stages_of(plan: PlanSpec) -> list[dict[str, Any]]:
    """The stages of a plan, in order."""
    stages: list[dict[str, Any]] = [{"stage": "body", "read as": plan.body}] if plan.body != "none" else []
    for visit in plan.visits[:-1]:
        node = plan.nodes[visit.node]
        if visit.reuse is None:
            stages.append({"stage": "solve", **_described(node)})
        else:
            stages.append({"stage": "reuse", "callable": _name(node.call)})
    call = {"stage": "call", **_described(plan.nodes[plan.visits[-1].node])}
    if plan.cancel_on_disconnect:
        call["cancelled"] = "when the client leaves"
    if plan.background_always:
        call["background tasks"] = "run in any case"
    stages.append(call)
    answer = plan.answer
    if answer.stream is not None:
        stages.append({"stage": "stream"})
    elif answer.to_json is not None:
        stages.append({"stage": "serialize", **_validated(answer.outline)})
    elif answer.response_class is None:
        stages.append({"stage": "serialize", "written by": "forzium.json"})
    else:
        stages.append({"stage": "serialize", "written by": answer.response_class.__name__})
    stages.append({"stage": "send"})
    return stages


def _validated(outline: OutlineSpec | None) -> dict[str, str]:
    if outline is None:
        return {"validated by": "pydantic", "written by": "pydantic"}
    return {
        "validated by": "outline, else pydantic",
        "written by": "forzium.json, else pydantic",
        "outline": _outlined(outline, outline.root, frozenset()),
    }


def _outlined(outline: OutlineSpec, place: int, around: frozenset[int]) -> str:
    """A part of an outline like an annotation, one in angle brackets if it must stand inside of an instance."""
    kind, *rest = outline.parts[place]
    match kind:
        case "model":
            cls, of_dicts, members = rest
            name = str(cls.__name__) if of_dicts else f"{cls.__name__} instance"
            if place in around:
                return name
            around |= {place}
            fields = (f"{keys[0]}: {_outlined(outline, part, around)}" for keys, _, _, part, _ in members)
            return f"{name}({', '.join(fields)})"
        case "one":
            return str(rest[0].__name__)
        case "literal":
            return f"Literal[{', '.join(map(repr, sorted(rest[0])))}]"
        case "nullable" | "list" | "dict" | "given":
            form = {"nullable": "{} | None", "list": "list[{}]", "dict": "dict[str, {}]", "given": "<{}>"}[kind]
            return form.format(_outlined(outline, rest[0], around))
    return str(kind)


def _name(call: Any) -> str:
    call = call.call if isinstance(call, Lasting) else call
    return getattr(call, "__qualname__", None) or type(call).__name__


def _described(node: NodeSpec) -> dict[str, Any]:
    described: dict[str, Any] = {"callable": _name(node.call), "calling": _CALLING[node.calling]}
    if node.calling in ("generator", "async_generator"):
        described["until"] = "the endpoint has returned" if node.lifetime == "function" else "the response is sent"
    parameters = {value.name: _converted(value) for kind, value in node.inputs if kind == "field"}
    if node.body is not None:
        parameters.update(_described_body(*node.body))
    if parameters:
        described["parameters"] = parameters
    return described


def _described_body(kind: str, value: Any) -> dict[str, str]:
    match kind:
        case "whole":
            return {value.name: _converted(value)}
        case "keys":
            return {each.name: _converted(each) for each in value}
        case "form":
            return {each.field.name: _converted(each.field, "form") for each in value[0]}
    return {}


def _converted(spec: FieldSpec, source: str | None = None) -> str:
    how = {"validate": "pydantic", "general": "Python"}.get(spec.convert, f"Rust ({spec.convert})")
    return f"{source or spec.source} by {how}"
