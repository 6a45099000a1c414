"""The dependencies of an operation, written out in the order of solving.

Stands on `fields` and `dependencies`. FastAPI solves by recursion at every request; here the recursion runs once and
leaves its path: a list of visits. A dependency that has its value already (same callable, same scopes) is visited
again only to let its errors count again, as they do there.

Source: FastAPI 0.165 `dependencies.utils.solve_dependencies`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from forzium import params
from forzium._compile.fields import body_spec, form_specs, param_spec
from forzium._compile.spec import Calling, NodeSpec, VisitSpec
from forzium._fields import ModelField, Undefined
from forzium.dependencies.body import request_body_to_args, should_embed_body_fields
from forzium.dependencies.callables import is_async_gen_callable, is_coroutine_callable, is_gen_callable
from forzium.dependencies.forms import form_models
from forzium.dependencies.graph import overridden
from forzium.dependencies.lasting import lasting
from forzium.dependencies.models import (
    Dependant,
    LastingDependant,
    UsesScopesCache,
    cache_key,
    oauth_scopes,
    uses_scopes,
)
from forzium.dependencies.utils import get_flat_body_params

Overrides = Mapping[Callable[..., Any], Callable[..., Any]]


class Nodes:
    """Collects nodes and visits while the dependencies are walked.

    Args:
        overrides: Callables to put in the place of others.
        embed: Whether body parameters are keys of the body even where there is only one.
        websocket: Whether the operation is a WebSocket's.
    """

    def __init__(self, *, overrides: Overrides, embed: bool, websocket: bool) -> None:
        self.nodes: list[NodeSpec] = []
        self.visits: list[VisitSpec] = []
        self.slots = 0
        self._overrides = overrides
        self._embed = embed
        self._websocket = websocket
        self._known: dict[Any, int] = {}
        self._repeats: dict[int, bool] = {}
        self._uses_scopes: UsesScopesCache = {}
        self._form = False

    def add_endpoint(self, dependant: Dependant) -> None:
        """Walk the dependencies of an endpoint, then visit the endpoint itself."""
        body_params = get_flat_body_params(dependant)
        self._form = any(isinstance(field.field_info, params.Form) for field in body_params)
        self._one_body_param = len(body_params) == 1
        first = len(self.visits)
        inputs, names, needs = self._visit_dependencies(dependant)
        assert dependant.call is not None
        calling: Calling = "sync"
        if is_gen_callable(dependant.call) or is_async_gen_callable(dependant.call):
            calling = "stream"
        elif is_coroutine_callable(dependant.call):
            calling = "async"
        self._add(self._node(dependant, calling, inputs, names, needs, "function"), first)

    def _visit_dependencies(self, dependant: Dependant) -> tuple[list[tuple[str, Any]], list[str], list[int]]:
        inputs: list[tuple[str, Any]] = []
        names: list[str] = []
        needs: list[int] = []
        for dependency in dependant.dependencies:
            at = self._visit(dependency)
            needs.append(at)
            if dependency.name is not None:
                inputs.append(("slot", self.visits[at].slot))
                names.append(dependency.name)
        return inputs, names, needs

    def _visit(self, dependency: Dependant) -> int:
        """Visit a dependency and what it needs. Returns the visit that has its value."""
        if isinstance(dependency, LastingDependant):
            return self._take(dependency)
        key = cache_key(dependency, self._uses_scopes)
        known = self._known.get(key) if dependency.use_cache else None
        if known is not None and not self._repeats[known]:
            return self._reuse(known, len(self.visits), own=False)
        first = len(self.visits)
        used = overridden(dependency, self._overrides)
        inputs, names, needs = self._visit_dependencies(used)
        if known is not None:
            return self._reuse(known, first, own=True)
        lifetime: Literal["function", "request"] = "function" if dependency.scope == "function" else "request"
        at = self._add(self._node(used, _calling(used.call), inputs, names, needs, lifetime), first)
        self._repeats[at] = (
            not dependency.use_cache
            # What an override needs may be solved for each set of scopes, where the key is that of what it stands for.
            or (used.call is not dependency.call and uses_scopes(used, self._uses_scopes))
            or any(
                self._repeats[visit.reuse if visit.reuse is not None else index]
                for index, visit in enumerate(self.visits[first:at], first)
            )
        )
        self._known.setdefault(key, at)
        return at

    def _take(self, dependency: LastingDependant) -> int:
        """Visit what the lifespan of the application has made: its value is only taken."""
        found = lasting(dependency, self._overrides)
        at = self._known.get(found)
        if at is None:
            at = self._known[found] = self._add(NodeSpec(call=found, calling="lasting"), len(self.visits))
            self._repeats[at] = False
        return at

    def _reuse(self, known: int, first: int, *, own: bool) -> int:
        earlier = self.visits[known]
        self.visits.append(VisitSpec(earlier.node, earlier.slot, first, reuse=known, reuse_own=own))
        return len(self.visits) - 1

    def _add(self, node: NodeSpec, first: int) -> int:
        self.nodes.append(node)
        self.visits.append(VisitSpec(len(self.nodes) - 1, self.slots, first))
        self.slots += 1
        return len(self.visits) - 1

    def _node(
        self,
        dependant: Dependant,
        calling: Calling,
        inputs: list[tuple[str, Any]],
        names: list[str],
        needs: list[int],
        lifetime: Literal["function", "request"],
    ) -> NodeSpec:
        assert dependant.call is not None

        def take(name: str | None, kind: str, value: Any = None) -> None:
            if name:
                inputs.append((kind, value))
                names.append(name)

        for field in dependant.path_params:
            take(field.name, "field", param_spec(field, "path"))
        for field in dependant.query_params:
            take(field.name, "field", param_spec(field, "query"))
        for field in dependant.header_params:
            take(field.name, "field", param_spec(field, "header"))
        for field in dependant.cookie_params:
            take(field.name, "field", param_spec(field, "cookie"))
        connection = "websocket" if self._websocket else "request"
        take(dependant.http_connection_param_name, connection)
        take(dependant.websocket_param_name if self._websocket else dependant.request_param_name, connection)
        take(dependant.background_tasks_param_name, "background")
        take(dependant.response_param_name, "response")
        take(dependant.security_scopes_param_name, "scopes", oauth_scopes(dependant))
        return NodeSpec(
            call=dependant.call,
            calling=calling,
            inputs=inputs,
            names=(*names, *(field.name for field in dependant.body_params)),
            body=self._body(dependant),
            needs=needs,
            lifetime=lifetime,
            limit=dependant.concurrency,
        )

    def _body(self, dependant: Dependant) -> tuple[str, Any] | None:
        fields = dependant.body_params
        if not fields:
            return None
        if self._form:  # the body of the whole operation is one, whoever declared it
            embed = self._embed

            async def read(body: Any) -> tuple[dict[str, Any], list[Any]]:
                return await request_body_to_args(fields, Undefined if body is None else body, embed)

            specs = None if self._is_whole(fields) else form_specs(fields)
            return ("general", read) if specs is None else ("form", (specs, read))
        if self._is_whole(fields):
            return "whole", body_spec(fields[0], whole=True, alone=self._one_body_param)
        return "keys", [body_spec(field, whole=False, alone=self._one_body_param) for field in fields]

    def _is_whole(self, fields: list[ModelField]) -> bool:
        """Whether the only field is the body."""
        return (
            len(fields) == 1 and not self._embed and not should_embed_body_fields(fields) and not form_models(fields[0])
        )


def _calling(call: Callable[..., Any] | None) -> Calling:
    # A wrapper may look like both; FastAPI takes it for the asynchronous one.
    if is_async_gen_callable(call):
        return "async_generator"
    if is_gen_callable(call):
        return "generator"
    return "async" if is_coroutine_callable(call) else "sync"
