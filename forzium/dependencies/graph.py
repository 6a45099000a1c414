"""The tree of a callable and its dependencies, and what a whole tree takes from a request.

Layer: `forzium.dependencies.analysis` and `.models`. Running the tree is the compiled plan's part.

Source: FastAPI, `dependencies.utils.get_dependant`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from forzium import params
from forzium._fields import ModelField, get_cached_model_fields
from forzium.concurrency import _DependencyConcurrency
from forzium.dependencies.analysis import (
    LastingParam,
    ParamDetails,
    add_non_field_param_to_dependency,
    add_param_to_fields,
    analyze_lasting_param,
    analyze_param,
)
from forzium.dependencies.extraction import get_param_model
from forzium.dependencies.models import (
    Dependant,
    LastingDependant,
    UsesScopesCache,
    cache_key,
    call_kind,
    computed_scope,
    oauth_scopes,
    unwrapped_call,
)
from forzium.dependencies.signature import get_typed_signature, typed_parameters
from forzium.exceptions import DependencyScopeError, FastAPIError
from forzium.types import DependencyCacheKey
from forzium.utils import get_path_param_names

Scope = Literal["function", "request", "lifespan"] | None


class DependencyCycleError(FastAPIError, RecursionError):
    """A dependency depends on itself. FastAPI recurses until Python stops it, hence the second base."""


def get_dependant(
    *,
    path: str,
    call: Callable[..., Any],
    name: str | None = None,
    own_oauth_scopes: list[str] | None = None,
    parent_oauth_scopes: list[str] | None = None,
    use_cache: bool = True,
    scope: Literal["function", "request", "lifespan"] | None = None,
    concurrency: _DependencyConcurrency | None = None,
) -> Dependant:
    """Analyse a callable and everything it depends on.

    Args:
        path: The path of the route.
        call: The callable.
        name: The parameter whose value it makes. Default is none.
        own_oauth_scopes: Scopes that its declaration asks for. Default is none.
        parent_oauth_scopes: Scopes asked for by what depends on it. Default is none.
        use_cache: Whether it is called once a request. Default is yes.
        scope: When the part behind its `yield` runs. Default is as the kind of callable has it.
        concurrency: The limit of simultaneous uses. Default is none.

    Raises:
        AssertionError: A parameter is declared in a way that contradicts itself.
        DependencyScopeError: What lives until the response is sent depends on what does not; or what is made for the
            lifespan asks for something of a request.
        DependencyCycleError: A dependency depends on itself.
        FastAPIError: pydantic cannot validate an annotation.
        TypeError: A dependency is not callable.

        All of them name the function, its file and line.
    """
    dependant = _class_for(scope)(
        call=call,
        name=name,
        path=path,
        use_cache=use_cache,
        scope=scope,
        concurrency=concurrency,
        own_oauth_scopes=own_oauth_scopes,
        parent_oauth_scopes=parent_oauth_scopes,
    )
    _fill(dependant, call, path, get_path_param_names(path), ())
    return dependant


def get_parameterless_sub_dependant(*, depends: params.Depends, path: str) -> Dependant:
    """Analyse a dependency whose value nobody takes.

    Raises:
        AssertionError: The dependency is not callable; and whatever `get_dependant` raises.
    """
    if not callable(depends.dependency):
        raise AssertionError(
            "A parameter-less dependency must have a callable dependency\n"
            f"  Write `Depends(function)` in `dependencies=[...]`; this one has {depends.dependency!r}."
        )
    return get_dependant(
        path=path,
        call=depends.dependency,
        scope=depends.scope,
        concurrency=depends._concurrency,
        own_oauth_scopes=_scopes_of(depends),
    )


def _class_for(scope: Scope) -> type[Dependant]:
    return LastingDependant if scope == "lifespan" else Dependant


def _scopes_of(depends: params.Depends) -> list[str]:
    return list(depends.scopes) if isinstance(depends, params.Security) and depends.scopes else []


def _fill(
    dependant: Dependant,
    call: Callable[..., Any],
    path: str,
    path_param_names: set[str],
    callers: tuple[Callable[..., Any], ...],
) -> None:
    """Find the parameters of `call`, and go on with its dependencies. `callers` is the way down to it."""
    if any(caller is call for caller in callers):
        raise _cycle((*callers, call))
    callers = (*callers, call)
    if isinstance(dependant, LastingDependant):
        _fill_lasting(dependant, call, callers)
        return
    inner_scopes = (dependant.parent_oauth_scopes or []) + (dependant.own_oauth_scopes or [])
    for param_name, details in _analyzed(call, path_param_names, callers):
        depends = details.depends
        if depends is not None:
            inner_call = depends.dependency
            assert inner_call
            if depends.scope == "function" and computed_scope(dependant) == "request":
                _check_scope(dependant, param_name, inner_call)
            inner = _class_for(depends.scope)(
                call=inner_call,
                name=param_name,
                path=path,
                use_cache=depends.use_cache,
                scope=depends.scope,
                concurrency=depends._concurrency,
                own_oauth_scopes=_scopes_of(depends),
                parent_oauth_scopes=inner_scopes,
            )
            _fill(inner, inner_call, path, path_param_names, callers)
            dependant.dependencies.append(inner)
            continue
        field = details.field
        if field is None:
            add_non_field_param_to_dependency(
                param_name=param_name, type_annotation=details.type_annotation, dependant=dependant
            )
        elif isinstance(field.field_info, params.Body):
            dependant.body_params.append(field)
        else:
            add_param_to_fields(field=field, dependant=dependant)


def _fill_lasting(
    dependant: LastingDependant, call: Callable[..., Any], callers: tuple[Callable[..., Any], ...]
) -> None:
    """The same for what is made once for the lifespan of an application, where there is no request."""
    for name, found in _analyzed_lasting(call, callers):
        if found.depends is not None:
            inner_call = found.depends.dependency
            assert inner_call
            inner = LastingDependant(call=inner_call, name=name, path="", scope="lifespan")
            _fill(inner, inner_call, "", set(), callers)
            dependant.dependencies.append(inner)
        elif found.is_application:
            dependant.application_param_name = name


def _analyzed_lasting(
    call: Callable[..., Any], callers: tuple[Callable[..., Any], ...]
) -> Iterable[tuple[str, LastingParam]]:
    try:
        parameters = get_typed_signature(call).parameters.values()
    except Exception as error:
        _locate(error, callers, None)
        raise
    analyzed: list[tuple[str, LastingParam]] = []
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        try:
            found = analyze_lasting_param(
                param_name=parameter.name, annotation=parameter.annotation, value=parameter.default
            )
        except Exception as error:
            _locate(error, callers, parameter.name)
            raise
        analyzed.append((parameter.name, found))
    return analyzed


def overridden(dependency: Dependant, overrides: Mapping[Callable[..., Any], Callable[..., Any]]) -> Dependant:
    """Return what stands for a dependency where these overrides are set.

    Source: FastAPI, `solve_dependencies`.
    """
    if not overrides:
        return dependency
    assert dependency.call is not None
    return get_dependant(
        path=dependency.path or "",
        call=overrides.get(dependency.call, dependency.call),
        name=dependency.name,
        parent_oauth_scopes=oauth_scopes(dependency),
        scope=dependency.scope,
        concurrency=dependency.concurrency,
    )


def _analyzed(
    call: Callable[..., Any], path_param_names: set[str], callers: tuple[Callable[..., Any], ...]
) -> Iterable[tuple[str, ParamDetails]]:
    """Return what each parameter is; errors get the place of the callable."""
    try:
        parameters = typed_parameters(call)
    except Exception as error:
        _locate(error, callers, None)
        raise
    analyzed: list[tuple[str, ParamDetails]] = []
    for name, annotation, value in parameters:
        try:
            details = analyze_param(
                param_name=name, annotation=annotation, value=value, path_param_names=path_param_names
            )
        except Exception as error:
            _locate(error, callers, name)
            raise
        analyzed.append((name, details))
    return analyzed


def _check_scope(dependant: Dependant, param_name: str, inner: Callable[..., Any]) -> None:
    kind = call_kind(dependant.call)
    if not (kind.is_gen or kind.is_async_gen):
        return
    name = getattr(dependant.call, "__name__", "<unnamed_callable>")
    raise DependencyScopeError(
        f'The dependency "{name}" has a scope of "request", it cannot depend on dependencies with scope "function".\n'
        f'  Declare {param_name!r} without `scope="function"`, or "{name}" with it: what is behind its `yield` runs '
        f"after the response is sent, and {_name_of(inner)} is gone by then.\n  {described(dependant.call)}"
    )


def _cycle(calls: tuple[Callable[..., Any], ...]) -> DependencyCycleError:
    steps = "\n".join(f"  {described(call)}" for call in calls)
    return DependencyCycleError(
        f"The dependency {_name_of(calls[-1])} depends on itself:\n{steps}\n"
        "  Move what both need into a third dependency that depends on neither."
    )


def _locate(error: Exception, callers: tuple[Any, ...], param_name: str | None) -> None:
    """Say in an error where the declaration stands that it is about."""
    call = callers[-1]
    place = described(call) if param_name is None else f"parameter {param_name!r} of {described(call)}"
    if not callable(call):
        place = f"{call!r} cannot be called: `Depends()` takes a function or a class, without calling it"
        if len(callers) > 1:
            place += f"; in {described(callers[-2])}"
    text = error.args[0] if len(error.args) == 1 else None
    plain = (AssertionError, TypeError, ValueError, RuntimeError, FastAPIError, DependencyScopeError)
    if isinstance(text, str) and type(error) in plain:
        error.args = (f"{text}\n  {place}",)
    else:
        # An exception that makes its own text out of what it holds.
        error.add_note(f"  {place}")


def _name_of(call: Any) -> str:
    return f"`{getattr(call, '__qualname__', None) or repr(call)}`"


def described(call: Any) -> str:
    """Return the name of a callable with the place where it was written, for errors."""
    function = unwrapped_call(call)
    if inspect.isclass(function):
        own = vars(function).get("__init__")
        code = getattr(own, "__code__", None)
        if code is None or code.co_filename.startswith("<"):
            # A model, or a dataclass: nobody wrote the function.
            return f"{_name_of(call)}{_where_class(function)}"
        function = own
    elif not hasattr(function, "__code__"):
        function = getattr(type(function), "__call__", None)  # noqa: B004
    code = getattr(function, "__code__", None)
    where = f", file {code.co_filename!r}, line {code.co_firstlineno}" if code is not None else ""
    return f"{_name_of(call)}{where}"


def _where_class(found: type[Any]) -> str:
    try:
        return f", file {inspect.getsourcefile(found)!r}, line {inspect.getsourcelines(found)[1]}"
    except (OSError, TypeError):
        return ""  # Made by code that is in no file.


def get_flat_params(dependant: Dependant) -> list[ModelField]:
    """Return the path, query, header and cookie parameters of a whole tree, models as their fields.

    What is cached under one key is counted once.
    """
    places: tuple[list[ModelField], ...] = ([], [], [], [])
    seen: list[DependencyCacheKey] = []
    scopes_cache: UsesScopesCache = {}
    pending = [dependant]
    while pending:
        current = pending.pop()
        if current is not dependant or dependant.dependencies:
            key = cache_key(current, scopes_cache)
            if key in seen:
                continue
            seen.append(key)
        fields = (current.path_params, current.query_params, current.header_params, current.cookie_params)
        for found, own in zip(places, fields, strict=True):
            found.extend(own)
        pending.extend(reversed(current.dependencies))
    flat: list[ModelField] = []
    for found in places:
        for field in found:
            model = get_param_model(field)
            flat.extend([field] if model is None else get_cached_model_fields(model))
    return flat


def get_flat_body_params(dependant: Dependant) -> list[ModelField]:
    """Return the body fields of a whole tree, depth first."""
    flat: list[ModelField] = []
    pending = [dependant]
    while pending:
        current = pending.pop()
        flat.extend(current.body_params)
        pending.extend(reversed(current.dependencies))
    return flat
