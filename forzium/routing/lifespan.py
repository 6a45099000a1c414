"""What runs before the first request and after the last: lifespan context managers, made uniform and combined.

Stands on the standard library. The ASGI messages of it are in router.

Source: Starlette 1.10 and FastAPI 0.165 `routing`; ASGI lifespan protocol 2.0.
"""

from __future__ import annotations

import inspect
import types
import warnings
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, cast

from forzium.exceptions import StarletteDeprecationWarning
from forzium.types import Lifespan

if TYPE_CHECKING:
    from forzium.routing.router import Router

__all__ = ["EventLifespan", "merged", "uniform"]

_USE_INSTEAD = "use an @contextlib.asynccontextmanager function instead"


class EventLifespan:
    """The lifespan of a router that was given none: it runs the `startup` and `shutdown` handlers."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def __call__(self, app: object) -> EventLifespan:
        return self

    async def __aenter__(self) -> None:
        await self._router._startup()

    async def __aexit__(self, *exc_info: object) -> None:
        await self._router._shutdown()


class _Lifted(AbstractAsyncContextManager[Any]):
    """A synchronous context manager, entered and left within the event loop."""

    def __init__(self, manager: AbstractContextManager[Any]) -> None:
        self._manager = manager

    async def __aenter__(self) -> Any:
        return self._manager.__enter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> bool | None:
        return self._manager.__exit__(exc_type, exc_value, traceback)


def uniform(lifespan: Any, *, warn: bool) -> Lifespan[Any]:
    """Make a lifespan context of what a user gave: a context manager factory, or a bare generator function.

    Args:
        lifespan: Called with the application.
        warn: Whether a bare generator function is reported as deprecated (Starlette does, FastAPI does not).
    """
    if inspect.isasyncgenfunction(lifespan):
        kind = "async generator function"
        context: Lifespan[Any] = asynccontextmanager(lifespan)
    elif inspect.isgeneratorfunction(lifespan):
        kind = "generator function"
        manager = contextmanager(lifespan)

        def context(app: Any) -> _Lifted:
            return _Lifted(manager(app))

    else:
        given: Lifespan[Any] = lifespan
        return given
    if warn:
        warnings.warn(f"{kind} lifespans are deprecated, {_USE_INSTEAD}", StarletteDeprecationWarning, stacklevel=4)
    return context


def merged(outer: Lifespan[Any], nested: Lifespan[Any]) -> Lifespan[Any]:
    """Run `nested` within `outer`. Their states are put together; where both name a key, the outer one's stays."""

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[Mapping[str, Any] | None]:
        async with outer(app) as outer_state, nested(app) as nested_state:
            if outer_state is None and nested_state is None:
                yield None
            else:
                yield {**(nested_state or {}), **(outer_state or {})}

    return cast("Lifespan[Any]", lifespan)
