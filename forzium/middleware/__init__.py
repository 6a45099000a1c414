"""`Middleware`: one line of the list an application is given, a class and what it is to be called with.

Layer: on `types` alone.
Not for: the middleware themselves (a module each beside this one), nor for stacking them (`forzium.applications`).
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, ParamSpec, Protocol

__all__ = ["Middleware"]

P = ParamSpec("P")

# Wider than `forzium.types.ASGIApp` on purpose: factories typed after another library's idea of ASGI fit as well.
_AnyASGIApp = Callable[[Any, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]


class _MiddlewareFactory(Protocol[P]):
    """A class or function that takes the application to wrap first, and options after it."""

    def __call__(self, app: _AnyASGIApp, /, *args: P.args, **kwargs: P.kwargs) -> _AnyASGIApp: ...


class Middleware:
    """A middleware to be built around the application once the stack is made.

    Iterating gives `(cls, args, kwargs)`.

    Args:
        cls: Class or function called as `cls(app, *args, **kwargs)`.
        *args: Positional options after the application.
        **kwargs: Options by name.

    Source: `starlette.middleware.Middleware`.
    """

    def __init__(self, cls: _MiddlewareFactory[P], *args: P.args, **kwargs: P.kwargs) -> None:
        self.cls = cls
        self.args = args
        self.kwargs = kwargs

    def __iter__(self) -> Iterator[Any]:
        yield self.cls
        yield self.args
        yield self.kwargs

    def __repr__(self) -> str:
        shown = [getattr(self.cls, "__name__", "")]
        shown.extend(map(repr, self.args))
        shown.extend(f"{name}={value!r}" for name, value in self.kwargs.items())
        return f"{type(self).__name__}({', '.join(shown)})"
