"""`solve_dependencies`: FastAPI's function, on the same plan that a request runs.

Layer: `forzium.dependencies` and, when called, the compiler of plans. The core does not call it, unless an agent has
put a function of its own in its place; it is here for those who call it themselves.

Source: FastAPI 0.165 `dependencies.utils.solve_dependencies`.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from forzium._fields import Undefined
from forzium._forzium import solve_values

if TYPE_CHECKING:
    from forzium.background import BackgroundTasks
    from forzium.dependencies.models import Dependant
    from forzium.dependencies.utils import SolvedDependency
    from forzium.requests import Request
    from forzium.responses import Response
    from forzium.websockets import WebSocket


async def solve_dependencies(
    *,
    request: Request | WebSocket,
    dependant: Dependant,
    body: Any = Undefined,
    background_tasks: BackgroundTasks | None = None,
    response: Response | None = None,
    dependency_overrides_provider: Any = None,
    dependency_cache: dict[Any, Any] | None = None,
    async_exit_stack: AsyncExitStack,
    embed_body_fields: bool,
    _uses_scopes_cache: Any = None,
) -> SolvedDependency:
    """Solve the dependencies of `dependant` for a request.

    Args:
        request: The connection; its scope holds the exit stacks that `request_response` put there.
        dependant: What is to be called afterwards.
        body: The body as read. Default is none.
        background_tasks: Tasks to add to. Default is new ones, where they are asked for.
        response: The response to set headers on. Default is a new one.
        dependency_overrides_provider: Who has `dependency_overrides`. Default is none.
        dependency_cache: Given back as it is; values are kept in the plan.
        async_exit_stack: The request's exit stack, as in the scope.
        embed_body_fields: Whether body parameters are keys of the body.
        _uses_scopes_cache: Taken for the sake of the signature.

    Returns:
        The arguments of `dependant.call` by name, or the validation errors.
    """
    from forzium._compile.plans import Operation, compile_operation
    from forzium._compile.runtime import injected_response
    from forzium.dependencies.utils import SolvedDependency

    websocket = request.scope["type"] == "websocket"
    operation = Operation(dependant=dependant, embed_body_fields=embed_body_fields, websocket=websocket)
    overrides = getattr(dependency_overrides_provider, "dependency_overrides", None) or {}
    injected = injected_response() if response is None else response
    values, errors, background, _ = await solve_values(
        compile_operation(operation, overrides),
        request,
        None if body is Undefined else (body,),
        background_tasks,
        injected,
        websocket=websocket,
    )
    return SolvedDependency(
        values=values or {},
        errors=errors,
        background_tasks=background,
        response=injected,
        dependency_cache={} if dependency_cache is None else dependency_cache,
    )
