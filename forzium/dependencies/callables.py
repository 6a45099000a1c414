"""What kind of callable is this: generator, async generator, coroutine function, or none of them?

Layer: the standard library only. The answer decides whether a dependency or endpoint is awaited, entered as a context
manager, or sent to a thread.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any, NamedTuple

# Callables whose kind is remembered. 4,096 functions are more than an application has, and few kilobytes.
_REMEMBERED_CALLABLES = 4096


class CallKind(NamedTuple):
    """What calling something gives.

    A decorated callable may be several of these. The solver asks for an async generator first, then for a generator,
    then for a coroutine.
    """

    is_gen: bool
    is_async_gen: bool
    is_coroutine: bool


_NO_CALL = CallKind(False, False, False)
_kinds: dict[int, tuple[Callable[..., Any], CallKind]] = {}


def without_partial(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return what a `functools.partial` (of a partial ...) calls."""
    while isinstance(call, partial):
        call = call.func
    return call


def unwrapped_call(call: Callable[..., Any] | None) -> Any:
    """Return the callable inside of partials and of decorators that used `functools.wraps`."""
    return None if call is None else inspect.unwrap(without_partial(call))


def call_kind(call: Callable[..., Any] | None) -> CallKind:
    """Return the kind of a callable, looking through partials, decorators and `__call__`.

    Source: FastAPI, `dependencies.models`, the `_is_..._callable` functions.
    """
    if call is None:
        return _NO_CALL
    if type(call) is FunctionType and not call.__dict__:
        flags = call.__code__.co_flags
        return CallKind(
            bool(flags & inspect.CO_GENERATOR),
            bool(flags & inspect.CO_ASYNC_GENERATOR),
            bool(flags & inspect.CO_COROUTINE),
        )
    # By identity, for callables may be equal or not hashable. What is remembered is kept alive, so no id is reused.
    known = _kinds.get(id(call))
    if known is not None:
        return known[1]
    kind = _classify(call)
    if len(_kinds) >= _REMEMBERED_CALLABLES:
        _kinds.clear()
    _kinds[id(call)] = (call, kind)
    return kind


def is_gen_callable(call: Callable[..., Any] | None) -> bool:
    """Tell whether calling it gives a generator."""
    return call_kind(call).is_gen


def is_async_gen_callable(call: Callable[..., Any] | None) -> bool:
    """Tell whether calling it gives an asynchronous generator."""
    return call_kind(call).is_async_gen


def is_coroutine_callable(call: Callable[..., Any] | None) -> bool:
    """Tell whether calling it gives a coroutine."""
    return call_kind(call).is_coroutine


def _classify(call: Callable[..., Any]) -> CallKind:
    outer = without_partial(call)
    inner = inspect.unwrap(outer)
    functions = [outer, inner]
    # An instance is called through its class; calling a class itself makes an instance, whatever its `__call__` is.
    methods = [] if inspect.isclass(inner) else [*_call_methods(outer), *_call_methods(inner)]
    return CallKind(
        any(inspect.isgeneratorfunction(item) for item in functions + methods),
        any(inspect.isasyncgenfunction(item) for item in functions + methods),
        any(inspect.isroutine(item) and _is_coroutine_function(item) for item in functions)
        or any(_is_coroutine_function(item) for item in methods),
    )


def _call_methods(call: Any) -> list[Any]:
    method = getattr(call, "__call__", None)  # noqa: B004  (the method is wanted, not whether there is one)
    return [] if method is None else [without_partial(method), unwrapped_call(method)]


def _is_coroutine_function(call: Any) -> bool:
    if inspect.iscoroutinefunction(call):
        return True
    # Before Python 3.13 asyncio had a mark of its own, which mocks still set. Without asyncio nobody has set it.
    asyncio_coroutines = sys.modules.get("asyncio.coroutines")
    mark = getattr(asyncio_coroutines, "_is_coroutine", None)
    return mark is not None and sys.version_info < (3, 13) and getattr(call, "_is_coroutine", None) is mark
