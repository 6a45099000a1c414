"""`Dependant`: a callable with its parameters and dependencies, as the analysis of a signature leaves it.

Layer: `forzium._fields`, `forzium.security.base`. Plain data and what follows from it (cache key, scopes); building the
tree is `forzium.dependencies.graph`, calling it the compiled plan.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from forzium._fields import ModelField
from forzium.concurrency import _DependencyConcurrency
from forzium.dependencies.callables import (
    CallKind,
    call_kind,
    is_async_gen_callable,
    is_coroutine_callable,
    is_gen_callable,
    unwrapped_call,
)
from forzium.security.base import SecurityBase
from forzium.types import DependencyCacheKey

__all__ = [
    "CallKind",
    "Dependant",
    "LastingDependant",
    "UsesScopesCache",
    "cache_key",
    "call_kind",
    "computed_scope",
    "is_async_gen_callable",
    "is_coroutine_callable",
    "is_gen_callable",
    "is_security_scheme",
    "oauth_scopes",
    "security_scheme",
    "unwrapped_call",
    "uses_scopes",
]


@dataclass(slots=True)
class Dependant:
    """A callable and everything it is called with.

    Attributes:
        path_params: Parameters from the path; so for the query, headers, cookies and body.
        dependencies: What the parameters that are dependencies call; parameterless ones have no `name`.
        name: The parameter this is the value of. None for an endpoint.
        call: The callable.
        request_param_name: The parameter that takes the `Request`; so for the other things that are injected by type.
        own_oauth_scopes: Scopes that its own `Security(...)` asks for.
        parent_oauth_scopes: Scopes asked for by what depends on it.
        use_cache: Whether it is called once a request.
        path: The path of the route, which tells which parameters are path parameters.
        scope: When the part behind its `yield` runs, as declared.
        concurrency: The limit of simultaneous uses, as declared.

    Source: FastAPI, `dependencies.models.Dependant`.
    """

    path_params: list[ModelField] = field(default_factory=list)
    query_params: list[ModelField] = field(default_factory=list)
    header_params: list[ModelField] = field(default_factory=list)
    cookie_params: list[ModelField] = field(default_factory=list)
    body_params: list[ModelField] = field(default_factory=list)
    dependencies: list[Dependant] = field(default_factory=list)
    name: str | None = None
    call: Callable[..., Any] | None = None
    request_param_name: str | None = None
    websocket_param_name: str | None = None
    http_connection_param_name: str | None = None
    response_param_name: str | None = None
    background_tasks_param_name: str | None = None
    security_scopes_param_name: str | None = None
    own_oauth_scopes: list[str] | None = None
    parent_oauth_scopes: list[str] | None = None
    use_cache: bool = True
    path: str | None = None
    scope: Literal["function", "request", "lifespan"] | None = None
    concurrency: _DependencyConcurrency | None = None


@dataclass(slots=True)
class LastingDependant(Dependant):
    """What is made once for the lifespan of an application.

    Attributes:
        application_param_name: The parameter that takes the application.
    """

    application_param_name: str | None = None


# By the identity of a dependant; the dependant stands beside the answer so that its id stays taken.
UsesScopesCache = dict[int, tuple[Dependant, bool]]


def oauth_scopes(dependant: Dependant) -> list[str]:
    """Return the OAuth2 scopes that are asked for on the way to a dependant, the outermost first."""
    scopes = list(dependant.parent_oauth_scopes or ())
    for scope in dependant.own_oauth_scopes or ():
        if scope not in scopes:
            scopes.append(scope)
    return scopes


def uses_scopes(dependant: Dependant, cache: UsesScopesCache | None = None) -> bool:
    """Tell whether the result of a dependant may depend on the OAuth2 scopes asked for.

    Args:
        dependant: The dependant.
        cache: Answers already known, filled by this call. Default is none.
    """
    cache = {} if cache is None else cache
    known = cache.get(id(dependant))
    if known is not None and known[0] is dependant:
        return known[1]
    answer = (
        bool(dependant.own_oauth_scopes)
        or dependant.security_scopes_param_name is not None
        or is_security_scheme(dependant)
        or any(uses_scopes(inner, cache) for inner in dependant.dependencies)
    )
    cache[id(dependant)] = (dependant, answer)
    return answer


def computed_scope(dependant: Dependant) -> str | None:
    """Return the declared scope, else `"request"` for generators, else None."""
    if dependant.scope:
        return dependant.scope
    kind = call_kind(dependant.call)
    return "request" if kind.is_gen or kind.is_async_gen else None


def cache_key(dependant: Dependant, uses_scopes_cache: UsesScopesCache | None = None) -> DependencyCacheKey:
    """Return the key under which one request remembers the result of a dependant.

    Args:
        dependant: The dependant.
        uses_scopes_cache: The cache of `uses_scopes`. Default is none.
    """
    scopes = tuple(sorted(set(oauth_scopes(dependant)))) if uses_scopes(dependant, uses_scopes_cache) else ()
    return dependant.call, scopes, computed_scope(dependant) or ""


def is_security_scheme(dependant: Dependant) -> bool:
    """Tell whether what is called is one of the schemes of `forzium.security`."""
    return isinstance(unwrapped_call(dependant.call), SecurityBase)


def security_scheme(dependant: Dependant) -> SecurityBase:
    """Return the security scheme that is called.

    Raises:
        AssertionError: It is none.
    """
    scheme = unwrapped_call(dependant.call)
    assert isinstance(scheme, SecurityBase)
    return scheme
