"""Signatures with their annotations evaluated, as far as their names are defined.

Layer: `forzium._fields` (forward references). What the annotations mean is `forzium.dependencies.analysis`.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
)
from types import FunctionType
from typing import Any, ForwardRef, get_args, get_origin

from forzium._fields import evaluate_forwardref

_EMPTY = inspect.Parameter.empty
_STREAM_ORIGINS = frozenset((AsyncIterable, AsyncIterator, AsyncGenerator, Iterable, Iterator, Generator))


def _signature(call: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(call, eval_str=True)
    except NameError:
        # A name that is imported for type checkers only, or defined later: take what can be had.
        if sys.version_info >= (3, 14):
            from annotationlib import Format

            return inspect.signature(call, annotation_format=Format.FORWARDREF)
        return inspect.signature(call)


def _globals_of(call: Callable[..., Any]) -> dict[str, Any]:
    found: dict[str, Any] = getattr(inspect.unwrap(call), "__globals__", {})
    return found


def get_typed_annotation(annotation: Any, globalns: dict[str, Any]) -> Any:
    """Evaluate an annotation that is a string; one whose names are not defined becomes a `ForwardRef`."""
    if not isinstance(annotation, str):
        return annotation
    evaluated = evaluate_forwardref(ForwardRef(annotation), globalns, globalns)
    return None if evaluated is type(None) else evaluated


def get_typed_signature(call: Callable[..., Any]) -> inspect.Signature:
    """Return the parameters of a callable with evaluated annotations, and no return annotation.

    Raises:
        TypeError: The object is not callable.
        ValueError: The callable shows no signature.
    """
    globalns = _globals_of(call)
    return inspect.Signature(
        [
            inspect.Parameter(
                parameter.name,
                parameter.kind,
                default=parameter.default,
                annotation=get_typed_annotation(parameter.annotation, globalns),
            )
            for parameter in _signature(call).parameters.values()
        ]
    )


def typed_parameters(call: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
    """Return name, annotation and default of every parameter, as `get_typed_signature` has them.

    Most callables are plain functions without strings as annotations; these are read without making a signature.
    """
    if type(call) is FunctionType and not call.__dict__ and sys.version_info < (3, 14):
        annotations = call.__annotations__
        if not any(isinstance(annotation, str) for annotation in annotations.values()):
            return _plain_parameters(call, annotations)
    return [(item.name, item.annotation, item.default) for item in get_typed_signature(call).parameters.values()]


def _plain_parameters(function: FunctionType, annotations: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    code = function.__code__
    names = code.co_varnames
    positional, keyword = code.co_argcount, code.co_kwonlyargcount
    rest = positional + keyword
    defaults = dict(zip(names[:positional][::-1], (function.__defaults__ or ())[::-1], strict=False))
    defaults.update(function.__kwdefaults__ or {})
    ordered = list(names[:positional])
    if code.co_flags & inspect.CO_VARARGS:
        ordered.append(names[rest])
        rest += 1
    ordered.extend(names[positional : positional + keyword])
    if code.co_flags & inspect.CO_VARKEYWORDS:
        ordered.append(names[rest])
    return [(name, annotations.get(name, _EMPTY), defaults.get(name, _EMPTY)) for name in ordered]


def get_typed_return_annotation(call: Callable[..., Any]) -> Any:
    """Return the evaluated return annotation; None if there is none, or if it is None.

    Raises:
        TypeError: The object is not callable.
    """
    annotation = _signature(call).return_annotation
    return None if annotation is _EMPTY else get_typed_annotation(annotation, _globals_of(call))


def get_stream_item_type(annotation: Any) -> Any | None:
    """Return the type of the items of an iterable, iterator or generator; None if the annotation is none of these."""
    if get_origin(annotation) not in _STREAM_ORIGINS:
        return None
    arguments = get_args(annotation)
    return arguments[0] if arguments else Any
