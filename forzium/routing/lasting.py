"""Which dependencies with the scope `"lifespan"` the routes of an application have, and their values while it serves.

Stands on mount, include and `forzium.dependencies.lasting`, where they are made. FastAPI has no such thing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from forzium import params
from forzium._forzium import AsgiApp
from forzium.dependencies.graph import overridden
from forzium.dependencies.lasting import Lasting, LastingValues, lasting
from forzium.dependencies.models import Dependant, LastingDependant
from forzium.routing.apirouter import APIRouter
from forzium.routing.base import BaseRoute
from forzium.routing.include import iter_route_contexts
from forzium.routing.mount import Host, Mount

if TYPE_CHECKING:
    from forzium.routing.router import Router

__all__ = ["lasting_values"]


def lasting_values(app: Any, router: Router) -> AbstractAsyncContextManager[None]:
    """Have the values of lasting dependencies while `app` serves: those of its routes now, others when asked for.

    Args:
        app: The application. Without one there are none: they belong to an application.
        router: Its router.

    Raises:
        Exception: On entering and leaving, what a dependency raises.
    """
    if not isinstance(app, AsgiApp):
        return nullcontext()
    # Where nobody has declared any, no route is looked at.
    wanted = _of_router(router) if params.Depends._any_lasting else ()
    return LastingValues(app).made(wanted)


def _of_router(router: Router) -> Iterator[Lasting]:
    yield from _of_routes(router.routes)
    if isinstance(router, APIRouter):
        for front_end in router.low_priority_routes():
            yield from _of_operation(front_end)


def _of_routes(routes: Sequence[BaseRoute]) -> Iterator[Lasting]:
    for context in iter_route_contexts(routes):
        route = context.original_route
        if not isinstance(route, Mount | Host):
            yield from _of_operation(context)
        elif not isinstance(getattr(route, "_base_app", route.app), AsgiApp):  # which has a lifespan of its own
            yield from _of_routes(route.routes or [])


def _of_operation(operation: Any) -> Iterator[Lasting]:
    dependant = getattr(operation, "dependant", None)
    if isinstance(dependant, Dependant):
        provider = operation.dependency_overrides_provider
        yield from _below(dependant, getattr(provider, "dependency_overrides", None) or {})


def _below(dependant: Dependant, overrides: Mapping[Callable[..., Any], Callable[..., Any]]) -> Iterator[Lasting]:
    for dependency in dependant.dependencies:
        if isinstance(dependency, LastingDependant):
            yield lasting(dependency, overrides)
        else:
            yield from _below(overridden(dependency, overrides), overrides)
